"""Moving a sync that was pulled so far into the warehouse: its state comes along, and nothing is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.dialects import DuckDB
from warehouse_cdc.engine.interruption import Interrupted
from warehouse_cdc.engine.journal import History
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.engine.planning import same_key
from warehouse_cdc.engine.result import Run
from warehouse_cdc.engine.run import Options, Runner
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import own_tables, state_of, verify, verify_rows
from warehouse_cdc.errors import CdcError, ConnectionLostError, LeaseLostError, StateError
from warehouse_cdc.plan.names import JOURNAL, adopted, table_name
from warehouse_cdc.plan.statements import Schemas, Statements
from warehouse_cdc.pull.connection import kept_in
from warehouse_cdc.pull.moved import is_moved, note
from warehouse_cdc.sources import Source
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection

BATCH_ROWS = 5_000


def opened(state: str | PathLike[str] | Source) -> Connection:
    """Open the file of a state, which nothing makes if it isn't there.

    Raises:
        StateError: It isn't.
        WarehouseLockedError: Another process holds it.
    """
    source = kept_in(state)
    file = "" if source.file is None else fspath(source.file)
    if not file.startswith(("md:", "motherduck:")) and not Path(file).is_file():
        raise StateError(
            f"There is no file {file!r} that could have a state.",
            code="state-no-run",
            hint="Give the path that the sync was pulled with, as state=.",
        )
    return source.open()


def adopt(
    connection: Connection, settings: Settings, sync: Sync, kept: Connection, options: Options
) -> Run | None:
    """Take over a sync's state.

    Nothing can be lost or doubled: whoever holds the sync here says in the file that it is on its way, so
    that it isn't pulled any more; then its state is written here; then the file says that it was moved.
    Interrupted in between, it is called again.

    Args:
        connection: Where the sync will run.
        settings: The warehouse's.
        sync: The sync.
        kept: Its state's file, which no other process has open.
        options: As of any run, but for what this sets itself.

    Returns:
        The run that wrote the state, or that was cancelled before it had; None if one before had.

    Raises:
        StateError: There is no state to move, or not yet, or the warehouse has one.
        SyncInProgressError: Another run holds the sync here, or is moving it.
    """
    move = _Move(
        connection,
        Statements(connection.dialect, settings.schemas, sync.id),
        kept,
        _theirs(kept, settings.schemas, sync.id),
        options.cancelled,
    )
    if move.is_done():
        return None
    _settled(kept, move.theirs)
    try:
        run = Runner(connection, settings, sync, replace(options, kind="reset", copy=move.copy)).run()
    except StateError as error:
        if error.code == "state-moved" and move.is_done():
            return None
        raise
    if run.status == "success":
        note(kept, move.theirs, done=True)
        move.drop()
    return run


@dataclass(frozen=True)
class _Move:
    """A state on its way.

    Attributes:
        connection: Where it will be.
        ours: The statements there.
        kept: Its file.
        theirs: The statements of the file.
        cancelled: Set to stop.
    """

    connection: Connection
    ours: Statements
    kept: Connection
    theirs: Statements
    cancelled: threading.Event

    def is_done(self) -> bool:
        """Whether the warehouse has this state.

        Raises:
            StateError: It has another one.
        """
        if ledger_of(self.connection, self.ours).look().state is None:
            return False
        if is_moved(self.kept, self.theirs) is None:
            raise StateError(
                f"Sync {self.ours.sync_id!r} has a state in the warehouse: there is nothing to move to it.",
                code="state-moved",
                hint="Run it there. A full resync or a reset would start it afresh.",
            )
        note(self.kept, self.theirs, done=True)
        return True

    @contextmanager
    def copy(self, lease: Lease, layout: Layout) -> Iterator[str]:
        """What the destination holds, as ``Options.copy``; gone again if the run fails."""
        if ledger_of(self.connection, self.ours).look().state is not None:
            raise StateError(
                f"Sync {self.ours.sync_id!r} has got a state in the warehouse meanwhile.", code="state-moved"
            )
        staging = table_name(self.ours.sync_id, lease.generation.run_id, "adopted")
        note(self.kept, self.theirs, done=False)
        try:
            history = _settled(self.kept, self.theirs)  # as it stays: a run of it that begins now is refused
            delivered = _delivered(self.kept, self.theirs, history, layout)
            self.connection.execute(self.ours.create_copy(staging, layout))
            self._fill(lease, staging, delivered)
            yield staging
        except (ConnectionLostError, LeaseLostError):
            raise  # another run may be moving it, or this one may have
        except Exception:
            lease.check()
            planned = lease.generation.plan is not None  # it will be the state when it is closed
            if not planned and ledger_of(self.connection, self.ours).look().state is None:
                note(self.kept, self.theirs, done=None)
                with suppress(CdcError):
                    self.drop()
            raise

    def _fill(self, lease: Lease, staging: str, delivered: str) -> None:
        """Copy what the destination holds into a table of texts."""
        connection, columns = self.connection, len(self.kept.describe(delivered))
        for batch in self.kept.stream(delivered, [None] * columns, BATCH_ROWS):
            lease.check()
            if self.cancelled.is_set():
                raise Interrupted
            with connection.transaction():
                connection.insert(self.ours.schemas.planner, staging, pa.Table.from_batches([batch]))

    def drop(self) -> None:
        """Drop what was copied, also by others before."""
        for name in adopted(self.ours.sync_id, own_tables(self.connection, self.ours)):
            self.connection.execute(self.ours.drop(name))


def _theirs(kept: Connection, ours: Schemas, sync_id: str) -> Statements:
    """The statements of a sync in a file, whose schema may have another name than the warehouse's."""
    journal = f"table_name = {kept.dialect.literal(JOURNAL)} AND database_name = current_database()"
    found = [name for (name,) in kept.query(f"SELECT schema_name FROM duckdb_tables() WHERE {journal}")]
    for name in sorted(found, key=lambda name: (name != ours.planner, name)):
        theirs = Statements(kept.dialect, replace(ours, planner=name), sync_id)
        if ledger_of(kept, theirs).look().generations:
            return theirs
    return Statements(kept.dialect, ours, sync_id)


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
    if kept.query(f"SELECT count(*) FROM ({delivered}) d WHERE due = 3") != [(0,)]:
        raise _unsettled(theirs)
    return delivered
