"""Moving a sync that was pulled so far into the warehouse: its state comes along, and nothing is sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout, lay_out
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import DuckDB
from warehouse_cdc.engine.journal import History
from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.engine.planning import same_key
from warehouse_cdc.engine.result import Run
from warehouse_cdc.engine.run import Options, Runner
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import create_shared, own_tables, state_of, verify, verify_rows
from warehouse_cdc.errors import CdcError, ConnectionLostError, StateError
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.pull.moved import is_moved, note, staging_table
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection

BATCH_ROWS = 5_000


def adopt(
    connection: Connection, settings: Settings, sync: Sync, kept: Connection, options: Options
) -> Run | None:
    """Take over a sync's state.

    Nothing can be lost or doubled: first the file says that the sync is on its way, so that it isn't pulled
    any more; then its state is written here; then the file says that it was moved. Interrupted in between, it
    is called again.

    Args:
        connection: Where the sync will run.
        settings: The warehouse's.
        sync: The sync.
        kept: Its state's file, which no other process has open.
        options: As of any run, but for what this sets itself.

    Returns:
        The run that wrote the state; None if one before had.

    Raises:
        StateError: There is no state to move, or not yet, or the warehouse has one.
    """
    theirs = Statements(kept.dialect, settings.schemas, sync.id)
    ours = Statements(connection.dialect, settings.schemas, sync.id)
    if ledger_of(connection, ours).look().state is not None:
        if is_moved(kept, theirs) is None:
            raise StateError(
                f"Sync {sync.id!r} has a state in the warehouse: there is nothing to move to it.",
                code="state-moved",
                hint="Run it there. A full resync or a reset would start it afresh.",
            )
        note(kept, theirs, done=True)
        return None
    _settled(kept, theirs)
    note(kept, theirs, done=False)
    staging = staging_table(sync.id)
    try:
        history = _settled(kept, theirs)  # as it stays: a run of it that begins now is refused
        query = read_model(sync.model, connection.spoken)
        described = connection.describe(query.sql)
        layout = lay_out(sync, described, connection.dialect, connection.engine_version())
        delivered = _delivered(kept, theirs, history, layout)
        create_shared(connection, ours)
        if (ours.schemas.planner, staging) in connection.tables(ours.schemas.planner):
            connection.execute(ours.drop(staging))
        _fill(connection, ours, staging, kept, delivered)
        rows = _values(connection, layout, ours.planner(staging))
        run = Runner(connection, settings, sync, replace(options, kind="reset", rows=rows)).run()
    except CdcError as error:
        if not isinstance(error, ConnectionLostError) and ledger_of(connection, ours).look().state is None:
            note(kept, theirs, done=None)
            with suppress(CdcError):
                connection.execute(ours.drop(staging))
        raise
    note(kept, theirs, done=True)
    connection.execute(ours.drop(staging))
    return run


def _settled(kept: Connection, statements: Statements) -> History:
    """The history of a sync whose every row's whereabouts are known.

    Raises:
        StateError: It has no state, or one that another run has to settle.
    """
    history = ledger_of(kept, statements).look()
    state = history.state
    if history.open or state is None or state.ended is None or state.plan is None or not state.plan.cdc:
        raise StateError(
            f"Sync {statements.sync_id!r} has no state of a finished run in that file.",
            code="state-no-run",
            hint="Run it there once more, with state=.",
        )
    verify(statements, history, own_tables(kept, statements))
    verify_rows(kept, statements, history)
    rejections = statements.planner(state.plan.rejections_table)
    lost = f"SELECT count(*) FROM {rejections} WHERE outcome = 'unknown' AND {state.ended.counted}"
    if state.ended.unknown or kept.query(lost) != [(0,)]:
        raise _unsettled(statements)
    return history


def _unsettled(statements: Statements) -> StateError:
    return StateError(
        f"Sync {statements.sync_id!r}: what became of some rows of its last run isn't known.",
        code="state-unsettled",
        hint="Run it there once more, with state=, before it is moved.",
    )


def _delivered(kept: Connection, theirs: Statements, history: History, layout: Layout) -> str:
    """The SELECT of what the destination holds, for the columns that the sync has now.

    Raises:
        StateError: It has another primary key, or it isn't known of some rows whether they are there.
    """
    state = history.state_plan
    assert state is not None and isinstance(kept.dialect, DuckDB)
    if not same_key(layout, state.record.primary_key):
        raise StateError(
            f"Sync {theirs.sync_id!r}: the primary key changed from {', '.join(state.record.primary_key)} "
            f"to {', '.join(layout.primary_key)}.",
            code="state-primary-key",
            hint="Move it with the primary key that it has in that file, or start afresh in the warehouse.",
        )
    held = {column.name: column.value for column in state.record.columns}
    missing = kept.dialect.column_type(kept.dialect.text_type)
    columns = tuple(replace(c, stored=held.get(c.name, missing)) for c in layout.columns)
    prior = state_of(kept.dialect, theirs.schemas.planner, history, replace(layout, columns=columns))
    assert prior is not None
    texts = {
        f"c_{column.number}": kept.dialect.portable(f"p_{column.number}", column.kind)
        for column in prior.columns
    }
    version = layout.version_of({name: kind.family for name, kind in held.items()})
    delivered = theirs.render("delivered", prior=prior, texts=texts, version=version)
    if kept.query(f"SELECT count(*) FROM ({delivered}) d WHERE due = 2") != [(0,)]:
        raise _unsettled(theirs)
    return delivered


def _fill(connection: Connection, ours: Statements, staging: str, kept: Connection, delivered: str) -> None:
    """Copy what the destination holds into a table of texts."""
    (*names, due) = (name for name, _kind in kept.describe(delivered))
    nulls = ", ".join(f"{connection.dialect.null(connection.dialect.text_type)} AS {name}" for name in names)
    empty = f"SELECT * FROM (SELECT {nulls}, CAST(NULL AS INTEGER) AS {due}) wcdc_none WHERE 1 = 0"
    connection.execute(ours.create_as(staging, empty, key=""))
    for batch in kept.stream(delivered, [None] * (len(names) + 1), BATCH_ROWS):
        with connection.transaction():
            connection.insert(ours.schemas.planner, staging, pa.Table.from_batches([batch]))


def _values(connection: Connection, layout: Layout, staging: str) -> tuple[str, str]:
    """The SELECTs of the stored values, as of a copy: those that hold, and those that are due."""
    parsed = connection.dialect.parsed
    values = ", ".join(
        f"{parsed(f'c_{column.number}', column.stored)} AS {column.value}" for column in layout.columns
    )
    return f"SELECT {values} FROM {staging} WHERE due = 0", f"SELECT {values} FROM {staging} WHERE due = 1"
