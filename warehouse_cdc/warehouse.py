"""The warehouse object: where a user's calls come in."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any

from warehouse_cdc.engine.checks import Finding, check
from warehouse_cdc.engine.dry_run import DryRun, dry_run
from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.engine.parts import Parts
from warehouse_cdc.engine.request_table import calls_in
from warehouse_cdc.engine.result import Progress, Run, Table
from warehouse_cdc.engine.run import Options, Runner
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import fetch, read_rejections
from warehouse_cdc.engine.transitions import Observer, ignore
from warehouse_cdc.errors import StateError
from warehouse_cdc.plan.statements import Schemas, Statements
from warehouse_cdc.sources import Source, open_target
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Warehouse:
    """A connected warehouse. Use it as a context manager, or call ``close``.

    One warehouse object runs one thing at a time; open another one for another thread.
    """

    def __init__(self, connection: Connection, settings: Settings, *, owned: bool) -> None:
        """Use ``warehouse_cdc.connect`` instead."""
        self._connection = connection
        self._settings = settings
        self._reopen = owned
        self._closed = False
        self._cancelled = threading.Event()
        self._busy = threading.Lock()

    @property
    def dialect(self) -> str:
        """The dialect's name."""
        return self._connection.dialect.name

    def __enter__(self) -> Warehouse:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the connection."""
        self.close()

    def __repr__(self) -> str:
        """Show the dialect; nothing of the connection."""
        return f"Warehouse({self.dialect})"

    def close(self) -> None:
        """Close what ``connect`` opened; a connection that was passed in stays open."""
        self._closed = True
        self._connection.close()

    # -- runs -------------------------------------------------------------------------------------

    def run(
        self,
        sync: Sync,
        *,
        wait: float = 0.0,
        allow_removed: bool = False,
        allow_empty: bool = False,
        progress: Callable[[Progress], None] | None = None,
        observer: Observer = ignore,
        executor: Executor | None = None,
        parts: int = 1,
        release: bool | Collection[str] = False,
    ) -> Run:
        """Send what changed. An interrupted run of the sync is closed first.

        Args:
            sync: What to run.
            wait: Seconds to wait for another run of the sync to end.
            allow_removed: Pass the ``max_removed`` guard this once.
            allow_empty: Pass the ``require_rows`` guard this once.
            progress: Called as the run goes on.
            observer: Called before and after each durable step.
            executor: Sends from its workers instead of this process: threads, processes, or a cluster's.
            parts: How many chunks are under way at once there, each with its share of rates and concurrency.
            release: Send rows that ``on_rejected`` keeps back, too: all, or those with these row ids.

        Returns:
            What the run did. Failures of the destination are in ``status`` and ``error``.

        Raises:
            ConfigError: The sync doesn't fit the model or the destination; nothing was written or sent.
            ModelError: The model is refused; nothing was written or sent.
            GuardError: A guard stopped the run before anything was sent.
            SyncInProgressError: Another run holds the sync.
            StateError: The stored state is damaged.
            WarehouseError: A statement failed; the next run goes on from the journal.
        """
        released: tuple[str, ...] | None = () if release is True else None
        if release and release is not True:
            released = (release,) if isinstance(release, str) else tuple(release)
        options = Options(
            wait=wait,
            allow_removed=allow_removed,
            allow_empty=allow_empty,
            progress=progress or _silent,
            observer=observer,
            cancelled=self._cancelled,
            parts=_parts(executor, parts),
            released=released,
        )
        return self._run(sync, options)

    def full_resync(
        self,
        sync: Sync,
        *,
        wait: float = 0.0,
        allow_empty: bool = False,
        progress: Callable[[Progress], None] | None = None,
        observer: Observer = ignore,
        executor: Executor | None = None,
        parts: int = 1,
    ) -> Run:
        """Forget the state and send every row as added; pending removals are dropped (D15)."""
        options = Options(
            kind="resync",
            wait=wait,
            allow_removed=True,
            allow_empty=allow_empty,
            progress=progress or _silent,
            observer=observer,
            cancelled=self._cancelled,
            parts=_parts(executor, parts),
        )
        return self._run(sync, options)

    def reset_cdc(
        self,
        sync: Sync,
        *,
        wait: float = 0.0,
        allow_empty: bool = False,
        progress: Callable[[Progress], None] | None = None,
        observer: Observer = ignore,
    ) -> Run:
        """Take the model's rows as delivered; sends nothing and clears rejections (D15)."""
        options = Options(
            kind="reset",
            wait=wait,
            allow_removed=True,
            allow_empty=allow_empty,
            progress=progress or _silent,
            observer=observer,
            cancelled=self._cancelled,
        )
        return self._run(sync, options)

    def adopt(
        self,
        sync: Sync,
        state: str | PathLike[str] | Source,
        *,
        wait: float = 0.0,
        observer: Observer = ignore,
    ) -> Run | None:
        """Take over the state of a sync that was pulled so far (``connect(…, state=…)``); sends nothing.

        What the destination holds counts as delivered; what has changed since is for the next run. Rows that
        were refused are tried afresh. From then on, the sync can't be pulled any more.

        Args:
            sync: The sync.
            state: The DuckDB file; no other process may have it open.
            wait: Seconds to wait for another run of the sync to end.
            observer: As of ``run``.

        Returns:
            The run that wrote the state, or that was cancelled before it had; None if one before had.

        Raises:
            StateError: There is no state to move, it isn't settled, or the warehouse has one already.
            SyncInProgressError: Another run holds the sync here, or is moving it.
            WarehouseLockedError: Another process holds the file.
        """
        from warehouse_cdc.pull.adopt import adopt, opened

        with self._exclusively():
            kept = opened(state)
            try:
                options = Options(
                    wait=wait,
                    allow_removed=True,
                    allow_empty=True,
                    observer=observer,
                    cancelled=self._cancelled,
                )
                return adopt(self._connection, self._settings, sync, kept, options)
            finally:
                kept.close()

    def cancel(self) -> None:
        """Stop the run under way, from another thread: batches in flight finish, the rest is aborted."""
        self._cancelled.set()

    def _run(self, sync: Sync, options: Options) -> Run:
        with self._exclusively(), _cancelled_by_signals(self._cancelled):
            return Runner(self._connection, self._settings, sync, options).run()

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise StateError(
                "This warehouse object is running a sync.", hint="Open another one with connect()."
            )
        try:
            self._cancelled.clear()
            self._reconnect()
            yield
        finally:
            self._busy.release()

    def _reconnect(self) -> None:
        """A session that broke is replaced, unless it is the caller's own or was closed on purpose."""
        if self._reopen and self._connection.closed and not self._closed:
            self._connection = self._connection.clone()

    def plan(self, sync: Sync) -> DryRun:
        """What the next run would send: evaluated now, nothing written, nothing sent."""
        self._reconnect()
        with self._connection.interactive(), self._connection.labelled(sync.id, "dry_run"):
            return dry_run(self._connection, self._settings, sync)

    # -- looking back -----------------------------------------------------------------------------

    def history(self, sync: Sync | str, limit: int | None = None) -> Table:
        """The sync's rows of ``sync_runs``, newest first."""
        self._reconnect()
        sync_id = sync if isinstance(sync, str) else sync.id
        dialect = self._connection.dialect
        statements = Statements(dialect, self._settings.schemas, sync_id)
        text, time = dialect.text_type, dialect.timestamp_type
        names = {
            name: text
            for name in (
                "sync_id",
                "sync_run_id",
                "primary_key",
                "destination",
                "model_name",
                "model_id",
                "status",
                "error",
            )
        }
        names |= {"started_at": time, "finished_at": time}
        for measure in ("planned", "attempted", "succeeded", "failed"):
            names |= {f"num_{measure}_{operation}": "BIGINT" for operation in ("add", "change", "remove")}
        schema = self._settings.schemas.audit
        kinds = [dialect.own_type(kind) for kind in names.values()]
        columns = ", ".join(names)
        if (schema, "sync_runs") not in self._connection.tables(schema):
            nulls = ", ".join(f"{dialect.null(kind)} AS {name}" for name, kind in names.items())
            return fetch(
                self._connection,
                f"SELECT * FROM (SELECT {nulls}) x WHERE {dialect.holds(dialect.false)}",
                kinds,
                list(names),
            )
        sql = (
            f"SELECT {columns} FROM {statements.audit('sync_runs')} "
            f"WHERE {dialect.is_text('sync_id', dialect.literal(sync_id))} ORDER BY sync_run_id DESC"
        )
        if limit is not None:
            sql = dialect.first_rows(sql, int(limit))
        return fetch(self._connection, sql, kinds, list(names))

    def rejections(self, sync: Sync | str) -> Table:
        """Rows that failed in the last ended run: row_id, op, reason, attempts, first and last failure.

        Quarantined rows are among them, though they weren't attempted.

        Raises:
            StateError: The sync has no ended run.
        """
        self._reconnect()
        sync_id = sync if isinstance(sync, str) else sync.id
        statements = Statements(self._connection.dialect, self._settings.schemas, sync_id)
        history = ledger_of(self._connection, statements).look()
        last = history.committed
        if last is None or last.plan is None or last.ended is None:
            raise StateError(
                f"Sync {sync_id!r} has no finished run.", code="state-no-run", hint="Run it first."
            )
        duplicates = last.plan.kind != "reset"
        return read_rejections(
            self._connection,
            statements,
            last.plan,
            last.ended,
            duplicates=duplicates,
            state=history.state.plan if history.state is not None else None,
        )

    def calls(self, run_id: str, row_id: str | None = None) -> list[dict[str, Any]] | None:
        """The calls of a run whose sync has ``request_log_table``, or those that a row was in.

        Returns:
            Each call as the request log has it, in order; None if there is no log of that run.
        """
        self._reconnect()
        statements = Statements(self._connection.dialect, self._settings.schemas, "")
        found = calls_in(self._connection, statements, run_id, row_id)
        return None if found is None else list(found)

    # -- setup ------------------------------------------------------------------------------------

    def setup_sql(self, principal: str | None = None) -> list[str]:
        """The statements that an administrator runs once: two schemas, and the grants on them.

        Args:
            principal: Who is to run syncs; the connected user by default.
        """
        self._reconnect()
        schemas = self._settings.schemas
        if principal is None:
            principal = self._connection.user()
        return self._connection.dialect.setup(schemas.planner, schemas.audit, principal)

    def setup(self, principal: str | None = None) -> None:
        """Run the statements of ``setup_sql``."""
        for sql in self.setup_sql(principal):
            self._connection.execute(sql)

    def check(self, sync: Sync | None = None) -> list[Finding]:
        """Look whether everything that a run needs is there, and what to run where it isn't."""
        self._reconnect()
        with self._connection.interactive():
            return check(self._connection, self._settings, sync)


def _silent(_progress: Progress) -> None:
    """Nobody asked."""


def _parts(executor: Executor | None, number: int) -> Parts | None:
    return None if executor is None else Parts(executor, number)


@contextmanager
def _cancelled_by_signals(cancelled: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM cancel the run; a second one ends it at once (D20)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        cancelled.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def connect(
    target: str | Source | Engine | Any,
    *,
    state: str | PathLike[str] | Source | None = None,
    planner_schema: str = "hightouch_planner",
    audit_schema: str = "hightouch_audit",
    changelog: bool = True,
    snapshot: bool = True,
    sync_runs: bool = True,
    retention_days: float | None = None,
    lease_seconds: float = 60.0,
    lease_margin: float = 5.0,
    compaction: float = 1.0,
    skip: bool = True,
) -> Warehouse:
    """Connect to a warehouse.

    Args:
        target: A URL such as ``duckdb:///path`` or ``postgresql://user:password@host/database``, an object of
            ``warehouse_cdc.sources``, a SQLAlchemy Engine, or a connection of the warehouse's driver (which
            stays open and stays yours).
        state: A DuckDB file to keep plans, state and audit tables in, where the target may only be read: the
            model's rows are pulled there before they are compared. The target can be any database that
            SQLAlchemy reads. None keeps everything in the warehouse.
        planner_schema: Where plan tables and the journal are.
        audit_schema: Where the audit tables are.
        changelog: Write ``sync_changelog`` unless a sync says otherwise.
        snapshot: Write ``sync_snapshot`` unless a sync says otherwise.
        sync_runs: Write ``sync_runs`` unless a sync says otherwise.
        retention_days: Delete changelog and run rows older than this after each run; None keeps all.
        lease_seconds: How long a run's lease lasts unless extended.
        lease_margin: Seconds after a lease's expiry before another run may take over.
        compaction: A run writes a full plan again once the plans of differences since the last one add up to
            this share of its rows; 0 makes every plan a full one.
        skip: Don't read a model where the warehouse tells that none of its tables changed since the last run.

    Raises:
        ConfigError: A setting is wrong or an extra is missing.
        UnsupportedError: There is no warehouse of that kind.
        ConnectionLostError: It can't be reached.
        WarehouseLockedError: Another process holds the DuckDB file.

    >>> with connect("duckdb:///:memory:") as warehouse:
    ...     warehouse.dialect
    'duckdb'
    """
    settings = Settings(
        Schemas(planner_schema, audit_schema),
        changelog=changelog,
        snapshot=snapshot,
        sync_runs=sync_runs,
        retention_days=retention_days,
        lease_seconds=lease_seconds,
        lease_margin=lease_margin,
        compaction=compaction,
        skip=skip,
    )
    if state is not None:
        from warehouse_cdc.pull.connection import open_pulled

        return Warehouse(open_pulled(target, state), settings, owned=True)
    connection, owned = open_target(target)
    connection.check_place()
    return Warehouse(connection, settings, owned=owned)
