"""Trino on Hive's tables: what the contract asks for, without what such tables can't do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_equality_matrix, test_promises
from tests.conformance.helpers import AUDIT, PLANNER, Recorder, ids, sync_of
from tests.conformance.trino_engine import MODELS, TrinoEngine
from warehouse_cdc.dialects import TrinoOnHive, TrinoOnPostgres
from warehouse_cdc.sources import source_of
from warehouse_cdc.warehouses.trino import open_trino

pytestmark = pytest.mark.trino


class HiveEngine(TrinoEngine):
    """The server's Hive catalog, models included."""

    def __init__(self, server: str) -> None:
        super().__init__(server.replace("/iceberg", "/hive"))
        self.url = server.replace("/iceberg", f"/hive/{MODELS}")
        self.dialect = TrinoOnHive()

    def _open(self, server: str) -> Any:
        import trino

        parts = urlsplit(server)
        return trino.dbapi.connect(
            host=parts.hostname,
            port=parts.port,
            user=parts.username,
            catalog="hive",
            schema=MODELS,
            http_scheme="http",
            timezone="UTC",
            session_properties={"hive.timestamp_precision": "MICROSECONDS"},
        )

    def connect(self, **options: Any) -> wcdc.Warehouse:
        return super().connect(**{"snapshot": False, **options})


@pytest.fixture
def hive(server_of: Callable[[str], str]) -> Iterator[HiveEngine]:
    """Empty schemas on Hive."""
    engine = HiveEngine(server_of("trino"))
    with contextlib.closing(engine):
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}")
        yield engine


@pytest.mark.parametrize(
    "promise",
    [
        test_promises.test_a_run_without_a_change_sends_nothing,
        test_promises.test_d7_editing_a_mapping_makes_every_delivered_row_changed,
        test_promises.test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed,
        test_promises.test_history_and_rejections_read_back,
    ],
    ids=lambda promise: promise.__name__,
)
def test_promises_are_kept_on_hive(
    hive: HiveEngine, crm: Recorder, promise: Callable[[Any, Recorder], None]
) -> None:
    promise(hive, crm)


def test_only_what_changed_is_sent_and_logged(hive: HiveEngine, crm: Recorder) -> None:
    warehouse, sync = hive.connect(), sync_of(crm, on_duplicate="keep_one")
    hive.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')", "(3, 'c')", "(4, 'd')")
    warehouse.run(sync)
    assert crm.take() == ids("added", 1, 2, 3, 4)
    hive.table(
        "id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'B')", "(4, 'd')", "(4, 'e')", "(5, 'f')", "(NULL, '')"
    )
    run = warehouse.run(sync)
    assert (run.null_key_rows, run.duplicates_dropped) == (1, 1)
    assert crm.take() == ids("removed", 3) | ids("changed", 2) | ids("added", 5)
    assert len(warehouse.run(sync).counts) == 3 and crm.take() == set()
    logged = [(row["op_type"], row["row_id"], row["status"]) for row in hive.audit("sync_changelog")]
    assert sorted(logged[4:]) == [
        ("added", "5", "succeeded"),
        ("changed", "2", "succeeded"),
        ("removed", "3", "succeeded"),
    ]
    assert [row["status"] for row in hive.runs()] == ["succeeded"] * 3


def test_d5_equal_values_are_equal_and_different_ones_differ(
    hive: HiveEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_equality_matrix.test_d5_the_matrix_has_one_outcome(hive, crm, monkeypatch)


def test_times_keep_their_microseconds(hive: HiveEngine, crm: Recorder) -> None:
    hive.execute(
        f"""CREATE VIEW {MODELS}.people AS SELECT 1 AS id, TIMESTAMP '2024-01-01 10:00:00.000001' AS at,
        TIMESTAMP '2024-01-01 12:00:00.000001 +02:00' AS seen, TIME '10:00:00.000001' AS t"""
    )
    assert hive.connect().run(sync_of(crm)).status == "success"
    moment = datetime(2024, 1, 1, 10, 0, 0, 1)
    assert crm.held["1"] == {
        "id": 1,
        "at": moment,
        "seen": moment.replace(tzinfo=timezone.utc),
        "t": "10:00:00.000001",
    }


def test_what_hive_lacks_is_refused_before_anything_is_written(hive: HiveEngine, crm: Recorder) -> None:
    hive.table("id INTEGER, v VARCHAR", "(1, 'a')")
    for options, cure in (
        ({"snapshot": True}, "snapshot=False"),
        ({"retention_days": 3.0}, "retention_days"),
    ):
        warehouse = hive.connect(**options)
        with pytest.raises(wcdc.UnsupportedError) as caught:
            warehouse.run(sync_of(crm))
        assert cure in caught.value.hint
        with pytest.raises(wcdc.UnsupportedError):
            warehouse.plan(sync_of(crm))
        assert not all(finding.ok for finding in warehouse.check(sync_of(crm)))
    assert (hive.tables(), crm.batches) == (set(), [])


def test_the_connector_is_looked_up_unless_it_is_said(server_of: Callable[[str], str]) -> None:
    url = server_of("trino")
    for catalog, kind in (("iceberg", "Trino"), ("hive", "TrinoOnHive"), ("memory", "Trino")):
        with wcdc.connect(url.replace("/iceberg", f"/{catalog}")) as warehouse:
            assert type(warehouse._connection.dialect).__name__ == kind
            assert type(warehouse._connection.clone().dialect).__name__ == kind
    said = open_trino(source_of(f"{url}&connector=postgresql"))
    assert isinstance(said.dialect, TrinoOnPostgres)
