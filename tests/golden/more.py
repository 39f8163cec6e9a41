"""Statements that ``compile`` doesn't list: setup for a principal, a reset, a move, the ledger, recovery."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from warehouse_cdc.audit.tables import run_row
from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import Dialect, get_dialect
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Clock, owner
from warehouse_cdc.engine.row_ledger import RowLease, RowLedger
from warehouse_cdc.engine.table_ledger import BEAT, TableLease, TableLedger
from warehouse_cdc.plan.compiled import FIRST_RUN, NEXT_RUN, _example
from warehouse_cdc.plan.names import ledger_table, table_name
from warehouse_cdc.plan.record import Ended, PlanColumn
from warehouse_cdc.plan.state import Finished
from warehouse_cdc.plan.statements import Schemas, Statements
from warehouse_cdc.sync import Sync


class Scripted:
    """A connection that only writes down what it is sent."""

    closed = False
    guard = None

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.sent: list[str] = []
        self.answers: list[list[tuple[Any, ...]]] = []

    def execute(self, sql: str, **_how: Any) -> None:
        self.sent.append(sql)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        self.sent.append(sql)
        return self.answers.pop(0)

    def insert(self, *_rows: Any) -> None:
        """Each warehouse's own way."""

    @contextmanager
    def transaction(self, **_how: Any) -> Iterator[None]:
        yield


def statements_of(sync: Sync, layout: Layout, name: str) -> dict[str, str]:
    """Name to SQL, for a sync whose layout is known."""
    dialect, schemas = get_dialect(name), Schemas()
    build = Statements(dialect, schemas, sync.id)
    setup = dialect.setup(schemas.planner, schemas.audit, "it's")
    found = {f"setup_{number}": sql for number, sql in enumerate(setup, 1)}
    columns = tuple(PlanColumn(c.name, c.number, c.stored, c.stored) for c in layout.columns)
    plan, copy = build.run_tables(NEXT_RUN)[0], table_name(sync.id, NEXT_RUN, "adopted")
    model = read_model(sync.model, dialect).sql
    found["reset"] = build.create_plan(plan, build.plan(sync, layout, model, "reset", None))
    found["drop_plan"] = build.drop(plan)
    found["create_copy"] = build.create_copy(copy, layout)
    found["held"] = build.create_plan(plan, build.held(sync, layout, columns, copy))
    found["drop_copy"] = build.drop(copy)
    record = replace(_example(sync, layout, columns, NEXT_RUN), lean=False)
    ended = Ended("failed", 'it\'s "over"\\\n', delivered=1, unknown=(1,), rejections=1)
    connection = Scripted(dialect)
    write = _rows if dialect.capabilities.transactional_ddl else _tables
    for label, sql in write(connection, build, record, ended):
        found[label] = sql
    found["changelog_again"] = build.changelog(Finished(NEXT_RUN, record, ended), again=True)
    found["sync_run"] = run_row(
        build,
        NEXT_RUN,
        primary_key="id",
        destination="crm",
        model_name="it's",
        model_id="people",
        status="failed",
        error=ended.error,
        started_at=journal.EPOCH,
        counts={},
    )
    return found


def _tables(connection: Any, build: Statements, record: Any, ended: Ended) -> Iterator[tuple[str, str]]:
    """A run's tables, and those of the run that it closes."""
    before, now = (journal.Generation(n, run, journal.EPOCH) for n, run in ((1, FIRST_RUN), (2, NEXT_RUN)))
    lease = TableLease(connection, build, now, 60.0, Clock().now())
    claim = json.dumps({"owner": "me", "seconds": 60.0, "sync": build.sync_id})
    lease.create("claim", now, [(0, journal.CLAIMED, claim)])
    lease._beat(connection, BEAT)
    lease._beat(connection, BEAT)
    lease.take(before, ended)
    lease.end(before, journal.COMMITTED, ended, record=record, release=False)
    lease.plan(record)
    lease.end(now, journal.COMMITTED, ended, record=record, release=True)
    connection.answers = [[], []]
    names = [ledger_table(build.sync_id, 2, what) for what in ("claim", "beats")]
    ledger = TableLedger(connection, build)
    ledger._entries(names)
    ledger._left(2, set(names))
    lease.let_go()
    labels = ("claim", "beat_first", "beat", "end_other", "done_other", "plan_entry", "end", "look", "left")
    yield from zip(labels, connection.sent, strict=True)


def _rows(connection: Any, build: Statements, record: Any, ended: Ended) -> Iterator[tuple[str, str]]:
    """The rows of a run, and those of the run that it closes."""
    connection.answers = [[(1, None, None, None)], [(None, 1)], [(journal.EPOCH,)]]
    lease = RowLedger(connection, build).claim(60.0, 5.0)
    assert isinstance(lease, RowLease)
    generation = lease.generation
    lease.take(journal.Generation(1, FIRST_RUN, journal.EPOCH), ended)
    lease.append(generation, journal.PLANNED, record.to_json())
    connection.answers = [[(2,)], [(2,)]]
    lease.expire()
    lease._extend(connection)
    lease.end(generation, journal.COMMITTED, ended, release=True)
    lease.let_go()
    labels = (
        *("claim_row", "claim_look", "claim_last", "claim", "claim_entry", "claim_time"),
        *("end_other", "plan_entry", "fence", "expire", "beat", "end", "release"),
    )
    told = ((owner(generation.run_id), "me"), (generation.run_id, NEXT_RUN))
    for label, sql in zip(labels, connection.sent, strict=True):
        for mine, example in told:
            sql = sql.replace(mine, example)
        yield label, sql
