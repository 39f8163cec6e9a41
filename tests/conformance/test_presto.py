"""Presto, on a server of its own: what is sent and logged, types and equality, races, killed runs, errors."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.conformance import (
    test_equality_matrix,
    test_moving_to_servers,
    test_promises,
    test_trino,
    test_trino_connectors,
)
from tests.conformance.equality_matrix import KEYS, MATRIX
from tests.conformance.helpers import AUDIT, PLANNER, Recorder, RecordsInTables, sync_of
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.golden.test_golden import CASES, compiled
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.sources import source_of
from warehouse_cdc.warehouses.presto import PrestoConnection

pytestmark = pytest.mark.presto
WHOLE = os.environ.get("WCDC_TEST_PRESTO") == "all"


def _in_milliseconds(text: str) -> str:
    return re.sub(r"\.(\d{3})\d*", lambda found: "" if found[1] == "000" else f".{found[1]}", text)


_TOO_FINE = [
    case[:3]
    for case in MATRIX
    if case.kind in ("time", "timestamp", "timestamptz")
    and case.changed
    and case.old
    and case.new
    and _in_milliseconds(case.old) == _in_milliseconds(case.new)
]
"""Values that are the same to Presto."""


class PrestoEngine(RecordsInTables):
    """The server's Iceberg catalog; it is looked at by a connection of its own."""

    binary = "VARBINARY"
    spelling = replace(
        TrinoEngine.spelling,
        types={
            **TrinoEngine.spelling.types,
            **{"time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP WITH TIME ZONE"},
        },
        values={
            **TrinoEngine.spelling.values,
            "time": lambda text: get_dialect("presto").literal(_in_milliseconds(text)),
        },
        differs={
            **dict.fromkeys(_TOO_FINE, "Presto's times have milliseconds"),
            **dict.fromkeys(
                [("json", '{"a":1}', '{"a":1.0}'), ("json", "[100]", "[1e2]")],
                "Presto prints JSON numbers that aren't integers as such",
            ),
            (
                "json",
                "1234567890.12345678901",
                "1234567890.12345678902",
            ): "Presto reads JSON numbers that aren't integers as doubles",
        },
    )

    def __init__(self, server: str) -> None:
        super().__init__("presto", server.replace("/iceberg", f"/iceberg/{MODELS}"))
        self._own: Any = PrestoConnection(source_of(self.url))  # type: ignore[arg-type]

    def connect(self, **options: Any) -> wcdc.Warehouse:
        return super().connect(**{"snapshot": False, **options})

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self._own.query(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        with self._own._cursor(sql) as cursor:
            rows = cursor.fetchall()
            return [dict(zip([name for name, _kind in cursor.description], row, strict=True)) for row in rows]

    def series(self, low: int, high: int) -> str:
        return f"UNNEST(sequence({low}, {high}))"

    def empty(self) -> None:
        for schema in (MODELS, PLANNER, AUDIT):
            self.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            there = f"information_schema.tables WHERE table_schema = '{schema}'"
            for name, kind in self.query(f"SELECT table_name, table_type FROM {there}"):
                self.execute(f'DROP {"VIEW" if kind == "VIEW" else "TABLE"} {schema}."{name}"')

    def close(self) -> None:
        self.detach()
        self._own.close()


@contextlib.contextmanager
def opened(url: str) -> Iterator[PrestoEngine]:
    """With empty schemas."""
    engine = PrestoEngine(url)
    with contextlib.closing(engine):
        engine.empty()
        yield engine


@pytest.fixture
def presto(server_of: Callable[[str], str]) -> Iterator[PrestoEngine]:
    """Empty schemas on Presto."""
    with opened(server_of("presto")) as engine:
        yield engine


@pytest.mark.parametrize(
    "promise",
    [
        test_promises.test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed,
        test_promises.test_history_and_rejections_read_back,
        test_promises.test_d20_cancel_stops_the_statement_that_plans,
        test_trino_connectors.test_only_what_changed_is_sent_and_logged,
        test_trino_connectors.test_what_hive_lacks_is_refused_before_anything_is_written,
        test_equality_matrix.test_d5_text_keys_are_told_apart_byte_for_byte,
    ],
    ids=lambda promise: promise.__name__,
)
def test_promises_are_kept(
    presto: PrestoEngine, crm: Recorder, promise: Callable[[Any, Recorder], None]
) -> None:
    promise(presto, crm)


def test_d5_the_matrix_has_one_outcome(
    presto: PrestoEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_equality_matrix.test_d5_the_matrix_has_one_outcome(presto, crm, monkeypatch)


def test_a_pulled_sync_is_moved(presto: PrestoEngine, crm: Recorder, tmp_path: Path) -> None:
    test_moving_to_servers.test_what_is_moved_is_not_sent_and_what_is_due_is(presto, crm, tmp_path)


def test_d1_the_canonical_text_of_keys(presto: PrestoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those of times that Presto can't tell from others."""
    keys = [key for key in KEYS if not re.search(r"\.\d*[1-9]Z$", key[2]) or key[2].endswith("000Z")]
    assert len(KEYS) - len(keys) < 5
    monkeypatch.setattr(test_equality_matrix, "KEYS", keys)
    test_equality_matrix.test_d1_the_canonical_text_of_keys(presto)


def test_values_reach_the_destination(presto: PrestoEngine, crm: Recorder) -> None:
    presto.execute(
        f"""CREATE VIEW {MODELS}.people AS SELECT 1 AS id, CAST(1.50 AS decimal(10, 2)) AS d, nan() AS f,
        REAL '0.5' AS r, true AS b, DATE '2024-02-29' AS day, TIME '10:00:00.001' AS t,
        TIMESTAMP '2024-01-01 10:00:00.001' AS at, TIMESTAMP '2024-01-01 12:00:00.001 +02:00' AS seen,
        X'00ff' AS raw, JSON '{{"b":[1.50],"a":null}}' AS doc,
        MAP(ARRAY['k'], ARRAY[ARRAY[1, NULL]]) AS m, CAST(ROW(1, 'x') AS ROW(a INTEGER, "B c" VARCHAR)) AS o,
        CAST('x' AS char(3)) AS c, 'q"' AS s, CAST(NULL AS varchar) AS nothing"""
    )
    assert presto.connect().run(sync_of(crm)).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "r": 0.5,
        "b": True,
        "day": date(2024, 2, 29),
        "t": "10:00:00.001000",
        "at": datetime(2024, 1, 1, 10, 0, 0, 1000),
        "seen": datetime(2024, 1, 1, 10, 0, 0, 1000, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "doc": {"a": None, "b": [1.5]},
        "m": {"k": [1, None]},
        "o": {"a": 1, "B c": "x"},
        "c": "x",
        "s": 'q"',
        "nothing": None,
    }
    (logged,) = presto.audit("sync_changelog")
    assert logged["fields"]["seen"] == "2024-01-01T10:00:00.001000Z"


def test_of_two_processes_that_start_at_once_one_runs(presto: PrestoEngine, tmp_path: Path) -> None:
    test_trino.test_of_two_processes_that_start_at_once_one_runs(presto, tmp_path)


@pytest.mark.crash
def test_d17_a_killed_run_is_closed_and_continued(
    presto: PrestoEngine, crm: Recorder, tmp_path: Path
) -> None:
    test_trino.test_d17_a_killed_run_is_closed_and_continued(presto, crm, tmp_path)


@pytest.mark.parametrize("case", CASES if WHOLE else ["upsert_every_type"])
def test_every_golden_statement_runs_in_the_order_in_which_runs_send_them(
    presto: PrestoEngine, case: str
) -> None:
    test_trino.make_people(presto)
    for label, sql in compiled(case, "presto").statements.items():
        try:
            presto.execute(sql)
        except wcdc.WarehouseError as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    assert len([name for name in presto.own_tables() if name.endswith("_plan")]) == 2
    presto.execute("DROP VIEW sales.people")


def test_errors_say_what_and_which_query_but_no_values(presto: PrestoEngine, crm: Recorder) -> None:
    presto.table("id INTEGER, v VARCHAR", "(1, 'secret')")
    with pytest.raises(wcdc.QueryError) as caught:
        presto.connect().run(sync_of(crm, "SELECT id, CAST(v AS INTEGER) AS v FROM people"))
    assert "secret" not in str(caught.value) and "secret" not in repr(caught.value)
    assert caught.value.query_id and "INVALID_CAST_ARGUMENT" in str(caught.value)
    with pytest.raises(wcdc.ConnectionLostError):
        wcdc.connect("presto://test@127.0.0.1:1/iceberg?http_scheme=http")
    assert get_dialect("presto").capabilities == presto.capabilities
