"""Runs that read nothing, on a warehouse that can tell whether tables changed: it counts its commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlglot import exp

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine, Recorder, sync_of
from warehouse_cdc.warehouses.base import Connection
from warehouse_cdc.warehouses.duckdb import DuckDBConnection
from warehouse_cdc.warehouses.postgres import PostgresConnection

SKIPPED = "skipped: the model's tables have not changed since the last run"


@pytest.fixture
def change(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run statements as one commit that the warehouse counts."""
    engine.execute(
        "CREATE TABLE commits AS SELECT 1 AS n",
        "CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id, CAST(i * 10 AS INTEGER) AS v "
        "FROM generate_series(1, 100) r(i)",
    )

    def version_of(self: Connection, tables: Sequence[exp.Table]) -> str | None:
        assert tables
        return str(self.query("SELECT n FROM commits")[0][0])

    for kind in (DuckDBConnection, PostgresConnection):
        monkeypatch.setattr(kind, "version_of", version_of)

    def commit(*statements: str) -> None:
        engine.execute("BEGIN", *statements, "UPDATE commits SET n = n + 1", "COMMIT")

    return commit


def unseen(engine: Engine, *statements: str) -> None:
    """Change the model's table behind the counter's back: a run that reads it would tell."""
    engine.execute(*statements)


def skipped(run: wcdc.Run) -> bool:
    return SKIPPED in run.notes


def test_a_model_whose_tables_did_not_change_is_not_read(
    engine: Engine, crm: Recorder, change: Callable[..., None]
) -> None:
    warehouse, sync = engine.connect(), sync_of(crm)
    assert not skipped(warehouse.run(sync))
    crm.take()
    unseen(engine, "UPDATE people SET v = 0 WHERE id = 1")
    run = warehouse.run(sync)
    assert skipped(run) and run.status == "success" and crm.take() == set()
    assert {(c.planned, c.succeeded) for c in run.counts.values()} == {(0, 0)}
    assert [row["num_planned_add"] for row in engine.runs()] == [100, 0]
    assert any("skips" in note for note in warehouse.plan(sync).notes)
    change()
    assert not any("skips" in note for note in warehouse.plan(sync).notes)
    assert not skipped(warehouse.run(sync))
    assert crm.take() == {("changed", "1")}
    assert skipped(warehouse.run(sync))


def test_the_switch(engine: Engine, crm: Recorder, change: Callable[..., None]) -> None:
    sync = sync_of(crm)
    engine.connect().run(sync)
    crm.take()
    unseen(engine, "UPDATE people SET v = 0 WHERE id = 1")
    assert not skipped(engine.connect(skip=False).run(sync))
    assert crm.take() == {("changed", "1")}


def test_a_change_while_the_run_reads_is_not_skipped(
    engine: Engine, crm: Recorder, change: Callable[..., None]
) -> None:
    warehouse, sync = engine.connect(), sync_of(crm)

    def late(step: Any, moment: str) -> None:
        if (step.value, moment) == ("journal_plan", "before"):
            change("UPDATE people SET v = 0 WHERE id = 1")

    warehouse.run(sync, observer=late)
    crm.take()
    assert not skipped(warehouse.run(sync))
    assert crm.take() == {("changed", "1")}


@pytest.mark.parametrize("why", ["rejected", "duplicate", "mapping", "model", "mode", "resync"])
def test_what_is_due_is_not_skipped(
    engine: Engine, crm: Recorder, change: Callable[..., None], why: str
) -> None:
    warehouse, sync = engine.connect(), sync_of(crm)
    if why == "rejected":
        crm.refuse = {"7": "no"}
    if why == "duplicate":
        change("INSERT INTO people VALUES (7, 0)")
    warehouse.run(sync)
    crm.take()
    crm.refuse = {}
    if why == "mapping":
        sync = sync_of(crm, mappings={"w": "v"})
    if why == "model":
        sync = sync_of(crm, "SELECT id, v + 1 AS v FROM people")
    if why == "mode":
        warehouse.run(sync_of(crm, mode="archive"))
        crm.take()
    run = warehouse.full_resync(sync) if why == "resync" else warehouse.run(sync)
    assert not skipped(run)
    expected = {"rejected": 1, "duplicate": 0}.get(why, 100)
    assert len(crm.take()) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id, v FROM people LIMIT 1000",
        "SELECT id, v, random() AS r FROM people",
        "SELECT id, v FROM people_view",
        "SELECT id, v, user AS u FROM people",
        "SELECT id, v FROM people WHERE CAST('infinity' AS DATE) IS NOT NULL",
        "WITH people AS (SELECT * FROM people_view) SELECT * FROM people",
        "WITH p AS (SELECT * FROM people) SELECT p.id, p.v FROM p, people_view w WHERE w.id = p.id",
    ],
)
def test_a_model_that_may_change_by_itself_is_always_read(
    engine: Engine, crm: Recorder, change: Callable[..., None], sql: str
) -> None:
    engine.execute("CREATE VIEW people_view AS SELECT * FROM people")
    warehouse = engine.connect()
    sync = sync_of(crm, sql)
    warehouse.run(sync)
    assert not skipped(warehouse.run(sync))


def test_duckdb_and_postgresql_cannot_tell(engine: Engine, crm: Recorder) -> None:
    engine.execute("CREATE TABLE people AS SELECT 1 AS id, 1 AS v")
    warehouse, sync = engine.connect(), sync_of(crm)
    for _repeat in range(2):
        assert not skipped(warehouse.run(sync))
