"""The tables of the two schemas: making them, checking them, dropping what nothing points to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.dialects import ColumnType, Dialect
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Clock, Lease
from warehouse_cdc.engine.ledger import Ledger, Listing
from warehouse_cdc.engine.result import Table
from warehouse_cdc.errors import ConnectionLostError, StateError, WarehouseError
from warehouse_cdc.plan.names import adopted, owned
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.state import Prior, prior_state
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.warehouses.base import Connection

REJECTIONS = pa.schema(
    [
        ("row_id", pa.string()),
        ("op", pa.string()),
        ("reason", pa.string()),
        ("attempts", pa.int32()),
        ("first_failed_at", pa.timestamp("us", tz="UTC")),
        ("last_failed_at", pa.timestamp("us", tz="UTC")),
    ]
)
ATTEMPTS = 40
"""How often a table is tried again that another run is making at the same time."""
LOCK_SECONDS = 2.0
"""How long a drop waits for somebody who reads the table; the next run tries again."""

_GO_ON = "Restore the table, or start afresh with a full resync (sends every row) or a reset (sends nothing)."


def create_shared(connection: Connection, statements: Statements) -> Listing:
    """Make the shared tables that are missing.

    Returns:
        The planner schema's tables, as they were before.
    """
    schemas = statements.schemas
    asked = Clock().now()
    present = connection.tables(schemas.planner, schemas.audit)
    missing = {found: made for found, made in statements.create_shared().items() if found not in present}
    if missing:
        connection.make_schemas(schemas.planner, schemas.audit)
    for (schema, name), made in missing.items():
        for last in (*[False] * ATTEMPTS, True):
            try:
                with connection.transaction() if len(made) > 1 else nullcontext():
                    for sql in made:
                        connection.execute(sql)
            except WarehouseError as error:
                if (schema, name) in connection.tables(schemas.planner, schemas.audit):
                    break
                if last or error.code != "query-conflict":
                    raise
                time.sleep(0.05)  # another run is making it, and hasn't committed yet
            else:
                break
    return Listing(frozenset(name for schema, name in present if schema == schemas.planner), asked)


def own_tables(connection: Connection, statements: Statements) -> set[str]:
    """Names of the sync's tables in the planner schema."""
    names = {name for _schema, name in connection.tables(statements.schemas.planner)}
    return owned(statements.sync_id, names)


def drop_garbage(
    ledger: Ledger,
    lease: Lease,
    history: journal.History,
    listed: Listing,
    notes: list[str],
) -> None:
    """Drop the sync's tables that the committed state doesn't need, and journal entries of no use.

    What is garbage to a run that has lost its lease may be the state of its successor: hence the fence.
    """
    connection, statements = ledger.connection, ledger.statements
    needed = [g for g in (history.base, history.state, history.committed) if g is not None]
    keep = {t for g in needed if g.plan for t in (g.plan.plan_table, statements.run_tables(g.run_id)[1])}
    if history.state is None:
        keep |= adopted(statements.sync_id, listed.names)  # they tell that one is on its way
    garbage = sorted(owned(statements.sync_id, listed.names) - keep)
    forget = ledger.forget(needed, listed)
    try:
        with lease.fenced(lock_timeout=LOCK_SECONDS):
            for name in garbage:
                connection.execute(statements.drop(name))
            for sql in forget:
                connection.execute(sql)
    except ConnectionLostError:
        raise
    except WarehouseError:
        for name in garbage:  # one at a time, so that one that can't be dropped keeps no other
            try:
                with lease.fenced(lock_timeout=LOCK_SECONDS):
                    connection.execute(statements.drop(name))
            except ConnectionLostError:
                raise
            except WarehouseError as error:
                notes.append(f"table {name} could not be dropped ({error.code})")
        with lease.fenced():
            for sql in forget:
                connection.execute(sql)


def orphaned(statements: Statements, generations: Iterable[journal.Generation], present: set[str]) -> None:
    """Raise if the sync has tables of runs that its journal doesn't know (D30).

    Raises:
        StateError: With how to go on.
    """
    if present - {table for g in generations for table in statements.run_tables(g.run_id)}:
        raise StateError(
            f"Sync {statements.sync_id!r} has plan tables, but its journal knows of no finished plan.",
            code="state-journal",
            hint=_GO_ON,
        )


def verify(statements: Statements, history: journal.History, present: set[str]) -> None:
    """Check that the state's tables are there (D30).

    Raises:
        StateError: One is missing.
    """
    if history.state is not None and history.base is None:
        raise StateError(
            f"Sync {statements.sync_id!r}: its journal lacks the full plan that its state rests on.",
            code="state-journal",
            hint=_GO_ON,
        )
    for plan in history.plans:
        for table in (plan.record.plan_table, plan.record.rejections_table):
            if table not in present:
                raise StateError(
                    f"Sync {statements.sync_id!r}: its table {table} is missing from the planner schema.",
                    code="state-missing",
                    hint=_GO_ON,
                )


def verify_rows(connection: Connection, statements: Statements, history: journal.History) -> None:
    """Check that the state's tables hold what the journal says (D30).

    Raises:
        StateError: One has another number of rows.
    """
    counts: list[str] = []
    written: list[tuple[str, int]] = []
    for plan in history.plans:
        record, ended = plan.record, plan.ended
        plans, rejections = (statements.planner(t) for t in (record.plan_table, record.rejections_table))
        counts.append(f"(SELECT count(*) FROM {plans})")
        counts.append(f"(SELECT count(*) FROM {rejections} WHERE {ended.counted})")
        written += [(record.plan_table, record.rows), (record.rejections_table, ended.rejections)]
    if not counts:
        return
    (found,) = connection.query(f"SELECT {', '.join(counts)}")
    for (table, expected), rows in zip(written, found, strict=True):
        if rows != expected:
            raise StateError(
                f"Sync {statements.sync_id!r}: its table {table} has {rows} rows, not {expected}.",
                code="state-rows",
                hint=_GO_ON,
            )


def state_of(dialect: Dialect, planner: str, history: journal.History, layout: Layout) -> Prior | None:
    """The state that the committed runs left, for the columns of a layout; None if there is none."""
    state, base = history.state_plan, history.base_plan
    if state is None or base is None:
        return None
    return prior_state(dialect, planner, base, None if state.record.base is None else state, layout)


def count_rejections(
    connection: Connection, statements: Statements, record: PlanRecord, delivered: int
) -> dict[str, int]:
    """Stored rejections of the first chunks, by operation."""
    rows = connection.query(
        f"SELECT op, count(*) FROM {statements.planner(record.rejections_table)} "
        f"WHERE chunk >= 0 AND chunk < {delivered} GROUP BY op"
    )
    return {str(op): int(number) for op, number in rows}


def fetch(connection: Connection, sql: str, kinds: list[ColumnType], names: list[str]) -> Table:
    """A small result as a table."""
    batches = list(connection.stream(sql, kinds))
    if batches:
        return Table(pa.Table.from_batches(batches).rename_columns(names))
    types = connection.arrow_types(kinds)
    return Table(pa.schema(list(zip(names, types, strict=True))).empty_table())


def read_rejections(
    connection: Connection,
    statements: Statements,
    record: PlanRecord,
    ended: Ended,
    *,
    duplicates: bool = True,
    state: PlanRecord | None = None,
) -> Table:
    """Rows that failed in a run, duplicates included, in order; not every warehouse can sort very many.

    With a state also those that are quarantined in it.
    """
    dialect = statements.dialect
    quarantined = state is not None and state.refusals and state.given_up > 0
    if not record.plan_table and not quarantined:
        return Table(REJECTIONS.empty_table())
    columns: list[tuple[str, Any]] = [
        ("row_id", dialect.text_type),
        ("op", dialect.text_type),
        ("reason", dialect.text_type),
        ("attempts", "INTEGER"),
        ("first_failed_at", dialect.timestamp_type),
        ("last_failed_at", dialect.timestamp_type),
    ]
    text = dialect.text_type
    never = dialect.null(dialect.timestamp_type)
    duplicate = dialect.joined("'duplicate primary key ('", dialect.cast("copies", text), "' rows)'")
    unknown = dialect.joined("'outcome unknown: '", "reason")
    counted = dialect.holds(dialect.true if duplicates else dialect.false)
    absent = "coalesce(was, 'absent') IN ('absent', 'unconfirmed')"
    selects = []
    if state is not None and quarantined:
        reason = dialect.joined("'quarantined: '", "coalesce(refused_reason, 'rejected')")
        selects.append(
            f"SELECT row_id, CASE WHEN {absent} THEN 'added' ELSE 'changed' END AS op, {reason} AS reason, "
            f"tries AS attempts, failed_since AS first_failed_at, {never} AS last_failed_at "
            f"FROM {statements.planner(state.plan_table)} p WHERE op = 'quarantined'"
        )
    failed = (
        "SELECT row_id, op, "
        f"CASE WHEN outcome = 'unknown' THEN {unknown} ELSE reason END AS reason, "
        f"attempts, first_failed_at, last_failed_at FROM {statements.planner(record.rejections_table)} "
        f"WHERE outcome IN ('failed', 'unknown') AND {ended.counted} UNION ALL "
        f"SELECT row_id, CASE WHEN coalesce(was, 'absent') = 'absent' THEN 'added' ELSE 'changed' END, "
        f"{duplicate}, CAST(1 AS INTEGER), {never}, {never} "
        f"FROM {statements.rows(record.plan_table, record.columns, lean=record.lean)} x "
        f"WHERE copies > 1 AND {counted}"
    )
    sql = " UNION ALL ".join([*selects, *([failed] if record.plan_table else [])])
    kinds = [dialect.own_type(kind) for _name, kind in columns]
    return Table(fetch(connection, sql, kinds, [name for name, _kind in columns]).arrow.sort_by("row_id"))
