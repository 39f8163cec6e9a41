"""Claims on the ledger of tables that are made by what a list of tables said before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PLANNER, Recorder, TablesEngine, postgres_engine, sync_of
from warehouse_cdc.engine import table_ledger
from warehouse_cdc.engine.table_ledger import TableLedger
from warehouse_cdc.plan.statements import Schemas, Statements

pytestmark = pytest.mark.tables


@pytest.fixture
def tables(postgres_url: str) -> Iterator[TablesEngine]:
    with postgres_engine(postgres_url, TablesEngine) as engine:  # type: ignore[assignment]
        engine.table("id INTEGER", "(1)")
        yield engine


def ledger_of(engine: TablesEngine) -> TableLedger:
    connection = engine.connect()._connection
    return TableLedger(connection, Statements(connection.dialect, Schemas(), "people-sync"))


def claims(engine: TablesEngine) -> list[int]:
    names = [name for schema, name in engine.tables() if schema == PLANNER and name.endswith("_claim")]
    return sorted(int(name.split("_")[-2]) for name in names)


def test_a_list_that_lacks_the_newest_run_does_no_harm(tables: TablesEngine) -> None:
    warehouse, sync, ledger = tables.connect(), sync_of(Recorder()), ledger_of(tables)
    warehouse.run(sync)
    before = ledger.listing()
    warehouse.run(sync)
    lease = ledger.claim(60, 5, listed=before)
    assert lease.generation.number == 3
    lease.let_go()
    with pytest.raises(wcdc.SyncInProgressError):
        ledger.claim(60, 5, listed=before)


@pytest.mark.parametrize("old", [False, True])
def test_a_claim_of_a_forgotten_generation_is_dropped_again(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    """Others have taken, ended and forgotten the generation whose name was free when tables were listed."""
    monkeypatch.setattr(table_ledger, "_FRESH", 0.0)
    monkeypatch.setattr(table_ledger, "_FORGET", 1)
    warehouse, sync, ledger = tables.connect(), sync_of(Recorder()), ledger_of(tables)
    runs = 1 if old else 2  # the first stays, as the state; a read of the second's tables would tell
    for _ in range(runs):
        warehouse.run(sync)
    before = ledger.listing()
    for _ in range(3):
        warehouse.run(sync)
    assert runs + 1 not in claims(tables)
    if old:
        steady, wall = before.asked
        before = replace(before, asked=(steady - table_ledger._STALE, wall))
    lease = ledger.claim(60, 5, listed=before)
    assert lease.generation.number == runs + 4 == claims(tables)[-1]
    assert runs + 1 not in claims(tables)
    assert [g.number for g in ledger.begin()[0].generations][-1] == lease.generation.number
    lease.let_go()


def test_generations_are_forgotten_several_at_once_and_not_too_soon(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, sync = tables.connect(), sync_of(Recorder())
    for _ in range(9):
        warehouse.run(sync)
    assert claims(tables) == list(range(1, 10))
    monkeypatch.setattr(table_ledger, "_FRESH", 0.0)
    warehouse.run(sync)
    assert claims(tables) == [1, 9, 10]
    for _ in range(3):
        warehouse.run(sync)
    assert claims(tables) == [1, 9, 10, 11, 12, 13]
    warehouse.run(sync)
    assert claims(tables) == [1, 13, 14]
    assert not [name for name in tables.ledger_tables() if "000000000009" in name]


def test_a_claim_that_finds_a_newer_journal_is_given_back(tables: TablesEngine) -> None:
    warehouse, sync, ledger = tables.connect(), sync_of(Recorder()), ledger_of(tables)
    warehouse.run(sync)
    tables.edit_journal("""data = replace(data, '"format": 2', '"format": 99')""")
    for _ in range(2):
        with pytest.raises(wcdc.StateVersionError):
            warehouse.run(sync)
    tables.edit_journal("""data = replace(data, '"format": 99', '"format": 2')""")
    assert warehouse.run(sync).status == "success"
    assert len(ledger.load().generations) == 4
