"""What an attack on the engine proved, kept as tests: hashes, types, overdue calls, guards."""

from __future__ import annotations

import time
from typing import Any

import pyarrow.parquet as pq
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine, PostgresEngine, Recorder, sync_of
from warehouse_cdc.destinations import JsonLines, Parquet, SqlTable, retryable

PAIRS = [
    ("BIGINT", "1", "4294967296"),
    ("BIGINT", "0", "-1"),
    ("BIGINT", "9223372036854775807", "-9223372036854775808"),
    ("DECIMAL(38, 2)", "0", "-0.01"),
    ("DECIMAL(20, 2)", "0", "-0.01"),
    ("UUID", "'00000000-0000-0001-0000-000000000000'", "'00000000-0000-0002-0000-000000000000'"),
    ("TIME", "'00:00:00.000001'", "'01:11:34.967296'"),
    ("TIMESTAMP", "'1970-01-01 00:00:00.000001'", "'1970-01-01 01:11:34.967297'"),
]
WIDE = [
    ("HUGEINT", "0", "-1"),
    ("HUGEINT", "1", "18446744073709551616"),
    ("UHUGEINT", "0", "18446744073709551617"),
]


@pytest.mark.parametrize(("kind", "old", "new"), [*PAIRS, *WIDE])
def test_d6_values_that_native_hashes_fold_are_changes(
    engine: Engine, crm: Recorder, kind: str, old: str, new: str
) -> None:
    if "HUGEINT" in kind and engine.name != "duckdb":
        pytest.skip("only DuckDB has integers of 128 bits")
    engine.table(f"id INTEGER, n {kind}", f"(1, {old})")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(f"UPDATE people SET n = {new} WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1")}
    warehouse.run(sync)
    assert crm.take() == set()


FLIPS = [
    ("TEXT", "'abc'", "INTEGER", "7"),
    ("TEXT", "'007'", "INTEGER", "7"),
    ("TEXT", "'abc'", "NUMERIC", "5"),
    ("TEXT", "'abc'", "JSON", "'{}'"),
    ("TEXT", "'abc'", "DATE", "DATE '2020-01-01'"),
    ("BOOLEAN", "true", "DATE", "DATE '2020-01-01'"),
    ("BOOLEAN", "true", "TEXT", "'x'"),
    ("DOUBLE PRECISION", "0.1", "REAL", "1.5"),
    ("INTEGER", "3", "BIGINT", "4"),
    ("TIME", "TIME '11:11:11'", "TIMESTAMP", "TIMESTAMP '2020-01-01'"),
    ("TIMESTAMP", "TIMESTAMP '2020-01-01 10:11:12'", "TEXT", "'x'"),
]


@pytest.mark.parametrize(("old", "value", "new", "other"), FLIPS)
def test_d9_a_removed_row_keeps_the_value_that_was_delivered(
    engine: Engine, crm: Recorder, old: str, value: str, new: str, other: str
) -> None:
    engine.table(f"id INTEGER, v {old}", f"(1, {value})", f"(2, {value})")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    delivered = crm.held["1"]["v"]
    crm.take()
    engine.table(f"id INTEGER, v {new}", f"(2, {other})")
    run = warehouse.run(sync)
    assert run.status == "success", run.rejections().to_pylist()
    removed = [batch.rows for batch in crm.batches if batch.operation == "removed"]
    assert removed[0][0]["v"] == delivered and type(removed[0][0]["v"]) is type(delivered)
    assert set(crm.held) == {"2"}


def test_d9_a_text_key_is_not_deleted_as_a_number(engine: Engine) -> None:
    held: dict[str, Any] = {}

    def crm(batch: wcdc.destinations.Batch) -> None:
        for row in batch.rows:
            if batch.operation == "removed":
                held.pop(str(row["id"]), None)
            else:
                held[str(row["id"])] = row

    engine.table("id TEXT, v TEXT", "('007', 'a')", "('7', 'b')")
    warehouse = engine.connect()
    warehouse.run(sync_of(crm))
    assert set(held) == {"007", "7"}
    engine.table("id INTEGER, v TEXT", "(7, 'b')")
    warehouse.run(sync_of(crm))
    assert set(held) == {"7"}


def test_d9_a_parquet_file_of_removed_rows_has_the_types_of_their_delivery(
    engine: Engine, tmp_path: Any
) -> None:
    engine.table("id INTEGER, v TEXT", "(1, 'a')", "(2, 'b')")
    sync = sync_of(Parquet(tmp_path, "{sync.run.id}_{operation}.parquet"), mode="diff", on_removed="nothing")
    warehouse = engine.connect()
    warehouse.run(sync)
    engine.table("id INTEGER, v INTEGER", "(2, 5)")
    run = warehouse.run(sync)
    assert run.counts["removed"].failed == 0, run.rejections().to_pylist()
    (removed,) = tmp_path.glob(f"{run.run_id}_removed.parquet")
    assert pq.read_table(removed).to_pylist() == [{"id": 1, "v": "a"}]


def test_d7_an_integer_that_becomes_a_float_and_back_is_no_change(engine: Engine, crm: Recorder) -> None:
    values = "(1, 7)", "(2, 0)", "(3, -4503599627370496)", "(4, 100000000000000000)"
    warehouse, sync = engine.connect(), sync_of(crm)
    for kind in ("BIGINT", "DOUBLE PRECISION", "BIGINT"):
        engine.table(f"id INTEGER, v {kind}", *values)
        warehouse.run(sync)
        assert {operation for operation, _id in crm.take()} <= {"added"}


def test_d11_a_row_without_a_match_value_has_nothing_to_remove(engine: Engine) -> None:
    engine.execute("CREATE TABLE crm_people (mail TEXT PRIMARY KEY, id INTEGER)")
    engine.table("id INTEGER, mail TEXT", "(1, NULL)", "(2, 'b')")
    where = engine.url if engine.name == "postgres" else engine._connection
    sync = sync_of(SqlTable(where, "crm_people"), mappings={"id": "id"}, match={"mail": "mail"})
    warehouse = engine.connect()
    warehouse.reset_cdc(sync)
    engine.execute("DELETE FROM people WHERE id = 1")
    run = warehouse.run(sync)
    assert run.status == "success" and run.counts["removed"].succeeded == 1


@pytest.mark.postgres
def test_somebody_who_reads_an_old_plan_does_not_hold_up_the_next_runs(
    postgres: PostgresEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("warehouse_cdc.engine.store.LOCK_SECONDS", 0.2)
    engine, sync = postgres, sync_of(crm)
    engine.table("id INTEGER", "(1)")
    warehouse = engine.connect(compaction=0)
    warehouse.run(sync)
    warehouse.run(sync)
    with psycopg.connect(engine.url) as reader:
        tables = reader.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'hightouch_planner'")
        for (name,) in tables.fetchall():
            reader.execute(f'SELECT count(*) FROM hightouch_planner."{name}"')
        notes = []
        for number in range(2, 5):
            engine.execute(f"INSERT INTO people VALUES ({number})")
            notes += warehouse.run(sync).notes
    assert any("could not be dropped" in note for note in notes)
    engine.execute("INSERT INTO people VALUES (9)")
    assert warehouse.run(sync).notes == []


def test_d10_an_overdue_retry_leaves_the_rows_that_had_succeeded(engine: Engine) -> None:
    engine.table("id INTEGER", "(1)", "(2)")
    sent: list[list[str]] = []

    def slow(batch: wcdc.destinations.Batch) -> dict[str, Any]:
        sent.append(list(batch.row_ids))
        if batch.attempt == 1:
            return {"2": retryable("later")}
        time.sleep(1.5)
        return {}

    warehouse = engine.connect()
    run = warehouse.run(sync_of(slow, batch_timeout=0.3, retry_wait=0.0))
    added = run.counts["added"]
    assert run.status == "failed" and (added.succeeded, added.failed) == (1, 1)
    sent.clear()
    warehouse.run(sync_of(lambda batch: sent.append(list(batch.row_ids))))
    assert sent == [["2"]]


def test_d16_a_cancelled_mirror_does_not_lower_the_guard(engine: Engine) -> None:
    engine.execute("CREATE TABLE crm_people (id INTEGER PRIMARY KEY)")
    engine.execute("CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id FROM generate_series(1, 400) r(i)")
    where = engine.url if engine.name == "postgres" else engine._connection
    sync = sync_of(SqlTable(where, "crm_people"), mode="mirror", on_removed="nothing", max_removed=0.5)
    warehouse = engine.connect()
    assert warehouse.run(sync).status == "success"
    engine.execute("DELETE FROM people WHERE id > 250")
    stopped = warehouse.run(sync, progress=lambda p: warehouse.cancel() if p.phase == "querying" else None)
    assert stopped.status == "cancelled"
    engine.execute("DELETE FROM people WHERE id > 150")
    with pytest.raises(wcdc.GuardError):
        warehouse.run(sync)


def test_d20_a_cancelled_diff_publishes_all_files_or_says_so(engine: Engine, tmp_path: Any) -> None:
    engine.table("id INTEGER", "(1)")
    warehouse, sync = (
        engine.connect(),
        sync_of(JsonLines(tmp_path / "out"), mode="diff", on_removed="nothing"),
    )
    assert warehouse.run(sync).status == "success"
    before = len(list((tmp_path / "out").iterdir()))
    run = warehouse.run(sync, progress=lambda p: warehouse.cancel() if p.phase == "querying" else None)
    assert run.status == "cancelled"
    assert len(list((tmp_path / "out").iterdir())) == before


@pytest.mark.postgres
def test_an_engine_keeps_its_connect_args(postgres_url: str) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url = postgres_url.replace("postgresql://", "postgresql+psycopg://")
    made = sqlalchemy.create_engine(url, connect_args={"options": "-csearch_path=elsewhere"})
    with wcdc.connect(made) as warehouse:
        assert warehouse._connection.query("SHOW search_path") == [("elsewhere",)]
        clone = warehouse._connection.clone()
        assert clone.query("SHOW search_path") == [("elsewhere",)]
        clone.close()
    made.dispose()


@pytest.mark.postgres
def test_a_connection_with_a_row_factory_works(postgres_url: str) -> None:
    import psycopg
    from psycopg.rows import dict_row

    with psycopg.connect(postgres_url, row_factory=dict_row) as connection:
        assert wcdc.connect(connection)._connection.query("SELECT 1 AS one") == [(1,)]
