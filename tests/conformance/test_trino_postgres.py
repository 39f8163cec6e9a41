"""Trino on PostgreSQL's tables, by the last version whose plugin for it is published as a jar."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_equality_matrix, test_promises, test_trino, test_trino_connectors
from tests.conformance.helpers import AUDIT, PLANNER, Recorder, sync_of
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.engines import Unavailable
from tests.engines.trino import on_postgres
from warehouse_cdc.dialects import TrinoOnPostgres

pytestmark = pytest.mark.trino


class OnPostgresEngine(TrinoEngine):
    """The server's PostgreSQL catalog, models included."""

    spelling = replace(
        TrinoEngine.spelling,
        absent=dict.fromkeys(["interval", "struct", "map of integer"], "PostgreSQL's tables can't hold it"),
        differs={
            ("json", '{"a":1}', '{"a":1.0}'): "Trino prints JSON numbers with a point as such",
            ("json", "[100]", "[1e2]"): "Trino prints JSON numbers with an exponent as such",
            (
                "json",
                "1234567890.12345678901",
                "1234567890.12345678902",
            ): "this version reads JSON numbers that aren't integers as doubles",
        },
        make=("DROP TABLE IF EXISTS {name}", "CREATE TABLE {name} AS {select}"),
    )

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.url = server.replace("/postgresql", f"/postgresql/{MODELS}")
        self.dialect = TrinoOnPostgres()

    def _open(self, server: str) -> Any:
        import trino

        parts = urlsplit(server)
        return trino.dbapi.connect(
            host=parts.hostname,
            port=parts.port,
            user=parts.username,
            catalog="postgresql",
            schema=MODELS,
            http_scheme="http",
            timezone="UTC",
        )

    def connect(self, **options: Any) -> wcdc.Warehouse:
        return super().connect(**{"snapshot": False, **options})


@pytest.fixture(scope="module")
def server(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS trino")
        admin.execute("CREATE DATABASE trino TEMPLATE template0")
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(on_postgres(postgres_url.rsplit("/", 1)[0] + "/trino"))
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield url


@pytest.fixture
def engine(server: str, postgres_url: str) -> Iterator[OnPostgresEngine]:
    """Empty schemas in a PostgreSQL database."""
    found = OnPostgresEngine(server)
    with contextlib.closing(found):
        with psycopg.connect(postgres_url.rsplit("/", 1)[0] + "/trino", autocommit=True) as admin:
            for schema in (MODELS, PLANNER, AUDIT):
                admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        found.execute(f"CREATE SCHEMA {MODELS}", *found.dialect.setup(PLANNER, AUDIT, None))
        yield found


WHOLE = os.environ.get("WCDC_TEST_TRINO") == "all"
PROMISES = [
    test_promises.test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed,
    test_trino_connectors.test_only_what_changed_is_sent_and_logged,
    test_trino_connectors.test_what_hive_lacks_is_refused_before_anything_is_written,
]
OTHERS = [
    test_promises.test_a_run_without_a_change_sends_nothing,
    test_promises.test_d1_composite_keys_keep_their_parts_apart,
    test_promises.test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays,
    test_promises.test_d7_editing_a_mapping_makes_every_delivered_row_changed,
    test_promises.test_d15_a_full_resync_sends_every_row_and_forgets_the_rest,
    test_promises.test_history_and_rejections_read_back,
]
"""What runs only with ``WCDC_TEST_TRINO=all``: the SQL is that of the Iceberg connector."""


@pytest.mark.parametrize(
    "promise",
    [*PROMISES, *(OTHERS if WHOLE else [])],
    ids=lambda promise: promise.__name__,
)
def test_promises_are_kept(
    engine: OnPostgresEngine, crm: Recorder, promise: Callable[[Any, Recorder], None]
) -> None:
    promise(engine, crm)


def test_d5_the_matrix_has_one_outcome(
    engine: OnPostgresEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_equality_matrix.test_d5_the_matrix_has_one_outcome(engine, crm, monkeypatch)


def test_d1_the_canonical_text_of_keys(engine: OnPostgresEngine) -> None:
    test_equality_matrix.test_d1_the_canonical_text_of_keys(engine)


def test_d5_text_keys_are_told_apart_byte_for_byte(engine: OnPostgresEngine, crm: Recorder) -> None:
    """Also where PostgreSQL compares them."""
    test_equality_matrix.test_d5_text_keys_are_told_apart_byte_for_byte(engine, crm)


def test_values_reach_the_destination(engine: OnPostgresEngine, crm: Recorder) -> None:
    engine.execute(
        """CREATE TABLE people AS SELECT 1 AS id, CAST(1.50 AS decimal(10, 2)) AS d, nan() AS f,
        true AS b, DATE '2024-02-29' AS day, TIME '10:00:00.000001' AS t,
        TIMESTAMP '2024-01-01 10:00:00.000001' AS at, TIMESTAMP '2024-01-01 12:00:00.000001 +02:00' AS seen,
        X'00ff' AS raw, JSON '{"b":[1.50],"a":null}' AS doc, CAST('x' AS char(3)) AS c, 'q"' AS s,
        ARRAY['é', NULL] AS many, CAST(NULL AS varchar) AS nothing"""
    )
    assert engine.connect().run(sync_of(crm)).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "b": True,
        "day": date(2024, 2, 29),
        "t": time(10, 0, 0, 1),
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "seen": datetime(2024, 1, 1, 10, 0, 0, 1, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "doc": {"a": None, "b": [1.5]},
        "c": "x",
        "s": 'q"',
        "many": ["é", None],
        "nothing": None,
    }


def test_of_two_processes_that_start_at_once_one_runs(engine: OnPostgresEngine, tmp_path: Path) -> None:
    test_trino.test_of_two_processes_that_start_at_once_one_runs(engine, tmp_path)


@pytest.mark.crash
@pytest.mark.skipif(not WHOLE, reason="takes its time; the SQL is that of the Iceberg connector")
def test_d17_a_killed_run_is_closed_and_continued(
    engine: OnPostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    test_trino.test_d17_a_killed_run_is_closed_and_continued(engine, crm, tmp_path)
