"""Claims on the ledger of tables that are made by what a list of tables said before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from ulid import ULID

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER, Recorder, TablesEngine, postgres_engine, sync_of
from tests.stand_ins import WithoutTransactions
from warehouse_cdc.engine import table_ledger
from warehouse_cdc.engine.table_ledger import TableLease, TableLedger
from warehouse_cdc.engine.transitions import Step
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
    tables.edit_journal("""data = replace(data, '"format": 3', '"format": 99')""")
    for _ in range(2):
        with pytest.raises(wcdc.StateVersionError):
            warehouse.run(sync)
    tables.edit_journal("""data = replace(data, '"format": 99', '"format": 3')""")
    assert warehouse.run(sync).status == "success"
    assert len(ledger.load().generations) == 4


def test_runs_that_fail_are_forgotten_too(tables: TablesEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they do: a ledger that grew with them could no longer be read one day."""
    monkeypatch.setattr(table_ledger, "_FRESH", 0.0)
    tables.table("id bigint", "(1)")
    warehouse, sync = tables.connect(), sync_of(Recorder(), require_rows=True)
    warehouse.run(sync)
    tables.execute("DELETE FROM people")
    for _ in range(8):
        with pytest.raises(wcdc.GuardError):
            warehouse.run(sync)
    assert len(claims(tables)) <= 2 + table_ledger._FORGET
    tables.execute("INSERT INTO people VALUES (1)")
    assert warehouse.run(sync).counts["added"].planned == 0


def test_tables_beyond_what_one_statement_may_read(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_ledger, "_AT_ONCE", 2)
    tables.table("id bigint", "(1)")
    warehouse, crm = tables.connect(), Recorder()
    for _ in range(3):
        assert warehouse.run(sync_of(crm)).status == "success"
    assert crm.sent == [("added", "1")]


def test_a_paused_run_leaves_no_plan_that_looks_like_lost_state(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successors have forgotten it when it goes on: nothing would tell its plan from their state."""
    monkeypatch.setattr(table_ledger, "_FRESH", 0.0)
    monkeypatch.setattr(table_ledger, "_FORGET", 1)
    short = {"lease_seconds": 1.0, "lease_margin": 0.1}
    tables.table("id bigint, v integer", "(1, 1)")
    sync = sync_of(Recorder(), batch_timeout=0.5)
    tables.connect().run(sync)
    tables.execute("UPDATE people SET v = 2")
    create = Statements.create_plan

    def paused(statements: Statements, *args: str) -> str:
        """Between the last look at the lease and the statement."""
        monkeypatch.undo()
        monkeypatch.setattr(table_ledger, "_FRESH", 0.0)
        monkeypatch.setattr(table_ledger, "_FORGET", 1)
        tables.execute("UPDATE people SET v = 1")
        time.sleep(1.2)
        for _ in range(4):
            tables.connect(**short).run(sync)
        return create(statements, *args)

    monkeypatch.setattr(TableLease, "keep", lambda lease: None)
    monkeypatch.setattr(Statements, "create_plan", paused)
    with pytest.raises(wcdc.LeaseLostError):
        tables.connect(**short, compaction=0).run(sync)
    assert tables.connect().run(sync).counts["changed"].planned == 0


SAME_NAMES = ("customers-to-crm 18026", "customers-to-crm 73604")
"""Their slugs are one."""


def test_two_syncs_whose_tables_would_have_the_same_names(tables: TablesEngine) -> None:
    """The second never takes the first one's state for its own, whatever the first is about."""
    crm = Recorder()
    first, second = sync_of(Recorder(), id=SAME_NAMES[0]), sync_of(crm, id=SAME_NAMES[1])
    warehouse = tables.connect()

    def refused() -> None:
        for act in (warehouse.run, warehouse.reset_cdc, warehouse.full_resync, warehouse.plan):
            with pytest.raises(wcdc.StateError, match=SAME_NAMES[0]) as caught:
                act(second)
            assert caught.value.code == "state-other-sync" and caught.value.hint

    def refused_meanwhile(step: Step, moment: str) -> None:
        if (step, moment) == (Step.WRITE_PLAN, "before"):
            with tables.connect() as other, pytest.raises(wcdc.StateError) as caught:
                other.run(second)
            assert caught.value.code == "state-other-sync"

    assert warehouse.run(first, observer=refused_meanwhile).counts["added"].planned == 1
    refused()
    tables.execute("INSERT INTO people VALUES (2)")
    assert warehouse.run(first).counts["added"].planned == 1
    refused()
    assert not crm.sent
    assert claims(tables) == [1, 2], "no generation of the first one's is used up"
    assert warehouse.history(second).arrow.num_rows == 0


def test_what_is_left_of_a_claim_by_another_sync_does_no_harm(tables: TablesEngine) -> None:
    """It died between its claim and the look at whose names they are."""
    first, second = (sync_of(Recorder(), id=name, batch_timeout=0.5) for name in SAME_NAMES)
    warehouse = tables.connect(lease_seconds=2.0, lease_margin=0.1)
    warehouse.run(first)

    class Killed(BaseException):
        pass

    def kill(_ledger: TableLedger, _listed: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(TableLedger, "_look", kill)
        warehouse.run(second)
    assert claims(tables) == [1, 2]
    tables.execute("INSERT INTO people VALUES (2)")
    for added in (1, 0):
        run = warehouse.run(first, wait=10)
        assert run.counts["added"].planned == added and run.closed is None


SHORT = {"lease_seconds": 1.0, "lease_margin": 0.1}


def paused_before(
    monkeypatch: pytest.MonkeyPatch, statement: str, meanwhile: Callable[[], None]
) -> list[str]:
    """A process that is stopped once, right before it sends a statement that begins so."""
    sent, paused = WithoutTransactions.execute, []

    def execute(self: WithoutTransactions, sql: str, **options: Any) -> None:
        if sql.startswith(statement) and not paused:
            paused.append(sql)
            time.sleep(SHORT["lease_seconds"] + 0.3)
            meanwhile()
        sent(self, sql, **options)

    monkeypatch.setattr(WithoutTransactions, "execute", execute)
    monkeypatch.setattr(TableLease, "keep", lambda lease: None)
    return paused


def test_d25_a_run_that_lost_the_sync_between_two_statements_sends_no_other(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.execute("INSERT INTO people VALUES (2)")
    sync = sync_of(Recorder(), batch_timeout=0.5)
    tables.connect(**SHORT).run(sync)
    tables.execute("INSERT INTO people VALUES (3)")

    def meanwhile() -> None:
        tables.execute("DELETE FROM people WHERE id = 3")
        assert tables.connect(**SHORT).run(sync).closed

    paused = paused_before(monkeypatch, f'INSERT INTO "{AUDIT}"."sync_snapshot"', meanwhile)
    with pytest.raises(wcdc.LeaseLostError):
        tables.connect(**SHORT).run(sync)
    assert paused
    tables.connect(**SHORT).run(sync)
    assert sorted(row["row_id"] for row in tables.audit("sync_snapshot")) == ["1", "2"]


def test_d24_a_run_that_lost_the_sync_writes_no_changelog(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = sync_of(Recorder(), batch_timeout=0.5)
    closing: list[str | None] = []
    paused = paused_before(
        monkeypatch,
        f'INSERT INTO "{AUDIT}"."sync_changelog"',
        lambda: closing.append(tables.connect(**SHORT).run(sync).closed),
    )
    with pytest.raises(wcdc.LeaseLostError):
        tables.connect(**SHORT).run(sync)
    assert paused and closing != [None]
    assert [row["row_id"] for row in tables.audit("sync_changelog")] == ["1"]


def lose_the_answer(monkeypatch: pytest.MonkeyPatch, table: str, *, session: bool) -> list[str]:
    """Of the first statement that makes such a table; perhaps the session is gone, too."""
    sent, lost = WithoutTransactions.execute, []

    def execute(self: WithoutTransactions, sql: str, **options: Any) -> None:
        sent(self, sql, **options)
        if sql.startswith("CREATE TABLE") and table in sql.split("\n")[0] and not lost:
            lost.append(sql)
            if session:
                self.close()
            raise wcdc.ConnectionLostError("The connection is lost.")

    monkeypatch.setattr(WithoutTransactions, "execute", execute)
    return lost


@pytest.mark.parametrize("session", [False, True])
def test_a_heartbeat_whose_answer_was_lost_is_followed_by_others(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch, session: bool
) -> None:
    lost = lose_the_answer(monkeypatch, "_beats", session=session)
    lease = ledger_of(tables).claim(4.0, 0.1)
    lease.keep()
    time.sleep(5.0)
    lease.check()
    lease.expire()
    assert lost
    assert ledger_of(tables).claim(4.0, 0.1).generation.number == lease.generation.number + 1


@pytest.mark.parametrize("session", [False, True])
def test_a_commit_whose_answer_was_lost_is_a_commit(
    tables: TablesEngine, monkeypatch: pytest.MonkeyPatch, session: bool
) -> None:
    lost = lose_the_answer(monkeypatch, "_end", session=session)
    assert tables.connect().run(sync_of(Recorder())).status == "success"
    assert lost
    assert not tables.connect().run(sync_of(Recorder())).closed


def test_what_a_killed_check_left_is_dropped_once_it_is_old(tables: TablesEngine) -> None:
    old, fresh = (f"wcdc_check_{ULID.from_timestamp(time.time() - age)}".lower() for age in (100_000, 10))
    tables.execute(*(f"CREATE TABLE {PLANNER}.{name} AS SELECT 1 AS one" for name in (old, fresh)))
    assert all(finding.ok for finding in tables.connect().check())
    assert tables.tables() == {(PLANNER, fresh)}, "the younger one may be of a check under way"
