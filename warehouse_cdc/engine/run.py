"""A run, from claim to commit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout, lay_out
from warehouse_cdc.compile.parse import ModelQuery, read_model
from warehouse_cdc.destinations.base import RunContext, opened
from warehouse_cdc.engine import journal, planning
from warehouse_cdc.engine.chunks import close_quietly
from warehouse_cdc.engine.closing import Closer
from warehouse_cdc.engine.delivery import Delivery, Part
from warehouse_cdc.engine.interruption import Interrupted, interruptible
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.ledger import Listing, ledger_of
from warehouse_cdc.engine.parts import SLICE, Parts
from warehouse_cdc.engine.planner import Planner
from warehouse_cdc.engine.recovery import how_it_ended
from warehouse_cdc.engine.result import Counts, Progress, Run, Table, count, status_of
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import (
    REJECTIONS,
    create_shared,
    drop_garbage,
    orphaned,
    read_rejections,
    state_of,
    verify,
    verify_rows,
)
from warehouse_cdc.engine.telemetry import Telemetry
from warehouse_cdc.engine.transitions import Observer, Step, ignore, observed
from warehouse_cdc.errors import (
    CdcError,
    ConfigError,
    ConnectionLostError,
    DestinationError,
    LeaseLostError,
    StateError,
    SyncInProgressError,
    WarehouseError,
    told,
)
from warehouse_cdc.mapping.values import tagged
from warehouse_cdc.plan.names import owned
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.state import Finished, Prior
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.pull.moved import refuse_moved, refuse_second_state, refuse_unfinished
from warehouse_cdc.sync import OPERATIONS, Sync
from warehouse_cdc.warehouses.base import Connection

_log = logging.getLogger("warehouse_cdc")


@dataclass(frozen=True)
class Options:
    """How one run is asked for.

    Attributes:
        kind: ``run``, ``resync`` or ``reset``.
        wait: Seconds to wait for another run of the sync to end.
        allow_removed: Let this run pass the ``max_removed`` guard.
        allow_empty: Let this run pass the ``require_rows`` guard.
        progress: Called as the run goes on.
        observer: Called before and after each step.
        cancelled: Set from elsewhere to stop the run (D20).
        copy: What a reset takes in place of the model, made while the sync is held: the table that has it
            (``Statements.create_copy``).
        parts: How delivery is scaled out; None for this process alone.
        released: Rows that are sent however often they were rejected; none named are all, None is none.
    """

    kind: str = "run"
    wait: float = 0.0
    allow_removed: bool = False
    allow_empty: bool = False
    progress: Callable[[Progress], None] = lambda progress: None
    observer: Observer = ignore
    cancelled: threading.Event = field(default_factory=threading.Event)
    copy: Callable[[Lease, Layout], AbstractContextManager[str]] | None = None
    parts: Parts | None = None
    released: tuple[str, ...] | None = None


class Runner:
    """Runs one sync once, on one connection."""

    def __init__(self, connection: Connection, settings: Settings, sync: Sync, options: Options) -> None:
        """Prepare; nothing is sent to the warehouse yet."""
        self._connection = connection
        self._settings = settings
        self._sync = sync
        self._telemetry = Telemetry(sync.id, options.kind)
        observer = self._telemetry.observer(self._labelled(options.observer))
        self._options = replace(options, observer=observer)
        self._statements = Statements(connection.dialect, settings.schemas, sync.id)
        self._ledger = ledger_of(connection, self._statements)
        self._closer = Closer(connection, self._statements, settings, self._options.observer)
        self._began = time.monotonic()
        self._sent_before = connection.statements
        self._notes: list[str] = []

    def _labelled(self, observer: Observer) -> Observer:
        """An observer that also labels each step's statements; what threads do is not in this session."""

        def labelling(step: Step, moment: str) -> None:
            if moment == "before" and step not in (Step.SEND, Step.PUBLISH):
                self._label(stage=step.value)
            observer(step, moment)

        return labelling

    def _label(self, **labels: str) -> None:
        self._connection.labels = replace(self._connection.labels, **labels)

    def run(self) -> Run:
        """Run the sync.

        Raises:
            CdcError: Nothing was planned or sent; delivery's own failures are in ``Run.status``.
        """
        with self._telemetry as telemetry, self._connection.labelled(self._sync.id, "prepare"):
            run = self._run()
            telemetry.ended(run)
            return run

    def _run(self) -> Run:
        sync, options = self._sync, self._options
        self._settings.check_timeout(sync)
        self._settings.check_dialect(sync, self._connection.dialect)
        if options.parts is not None:
            options.parts.check(sync, self._settings.lease_seconds)
        if options.kind != "run" and not sync.traits.cdc:
            raise ConfigError(
                f"Sync {sync.id!r}: mode {sync.mode!r} keeps no state: there is nothing to {options.kind}.",
                code="sync-mode",
            )
        options.progress(Progress("queued"))
        query = read_model(sync.model, self._connection.spoken)
        loads = self._connection.loads
        before = self._ledger.look().last if loads else None
        layout = None
        with suppress(Interrupted):  # which is told once there is a run that can be
            layout = self._laid_out(query)
        listed = create_shared(self._connection, self._statements)
        if loads:
            refuse_moved(self._connection, self._statements)
        lease = self._claim(listed)
        self._label(run=lease.generation.run_id)
        try:
            self._keep(lease)
            if loads:
                refuse_moved(self._connection, self._statements)  # it may have begun a moment ago
                if lease.generation.number != 1 + (before.number if before is not None else 0):
                    # Another run came between: rows that were read to describe them may be older than its.
                    layout = self._laid_out(query)
            if layout is None:
                raise Interrupted
            return self._held(lease, query, layout, self._schema(layout))
        except Interrupted:
            return self._cancelled(lease, None)
        except (LeaseLostError, ConnectionLostError):
            raise
        except Exception as error:
            self._give_up(lease, error)
            raise
        finally:
            lease.let_go()

    def _keep(self, lease: Lease) -> None:
        """Extend the lease by a session of its own; without one, give the sync back."""
        try:
            lease.keep()
        except ConnectionLostError as error:
            self._give_up(lease, error)
            raise

    def _laid_out(self, query: ModelQuery) -> Layout:
        """What is compared and sent, once the destination has agreed to it.

        Raises:
            Interrupted: The run was cancelled while its rows were read, where that is done to describe them.
        """
        connection = self._connection
        with interruptible(connection, self._options.cancelled) if connection.loads else nullcontext():
            described = connection.describe(query.sql)
        layout = lay_out(self._sync, described, connection.dialect, connection.engine_version())
        if self._options.kind != "reset":
            self.check_destination(layout)
        return layout

    def check_destination(self, layout: Layout) -> None:
        """Ask the destination whether it takes this sync.

        Raises:
            ConfigError: It doesn't.
            DestinationError: It can't be reached.
        """
        try:
            self._sync.destination.check(self._context("", None, layout, self._schema(layout)))
        except CdcError:
            raise
        except Exception as error:
            raise DestinationError(
                f"The destination's check failed ({type(error).__name__}).", retryable=False
            ) from error

    # -- before the plan --------------------------------------------------------------------------

    def _claim(self, listed: Listing | None) -> Lease:
        until = time.monotonic() + self._options.wait
        settings = self._settings
        while True:
            try:
                with observed(self._options.observer, Step.CLAIM):
                    return self._ledger.claim(
                        settings.lease_seconds,
                        settings.lease_margin,
                        afresh=self._options.kind != "run",
                        listed=listed,
                    )
            except SyncInProgressError as error:
                listed = None
                left = until - time.monotonic()
                if left <= 0:
                    raise
                pause = 1.0 if error.expires_in is None else min(1.0, error.expires_in + 0.05)
                if self._options.cancelled.wait(min(left, pause)):
                    raise

    def _schema(self, layout: Layout) -> pa.Schema:
        dialect = self._connection.dialect
        columns = [layout.column(column) for column, _field in layout.fields]
        types = self._connection.arrow_types([column.stored for column in columns])
        fields = []
        for (_column, name), column, kind in zip(layout.fields, columns, types, strict=True):
            tag = dialect.transport(column.value, column.stored)[1]
            fields.append(pa.field(name, kind) if tag is None else tagged(name, tag))
        return pa.schema(fields)

    def _context(
        self, run_id: str, generation: journal.Generation | None, layout: Layout, schema: pa.Schema
    ) -> RunContext:
        sync = self._sync
        operations = tuple(
            operation
            for operation in OPERATIONS
            if operation == "added"
            or (operation == "changed" and sync.traits.changed)
            or (operation == "removed" and sync.sends_removed)
        )
        started = generation.started_at if generation is not None else journal.EPOCH
        return RunContext(
            sync_id=sync.id,
            run_id=run_id,
            started_at=started,
            model_name=sync.model.name,
            model_id=sync.model.id,
            mode=sync.mode,
            on_removed=sync.on_removed,
            match=tuple(name for _column, name in layout.match),
            fields=tuple(name for _column, name in layout.fields),
            schema=schema,
            operations=operations,
            batch_timeout=sync.batch_timeout,
            columns=tuple(column for column, _name in layout.fields),
            skip_initial=sync.skip_initial,
        )

    # -- with the lease ---------------------------------------------------------------------------

    def _held(self, lease: Lease, query: ModelQuery, layout: Layout, schema: pa.Schema) -> Run:
        history, listed = self._begin(lease)
        lived = [self._connection.end_statements(generation.run_id) for generation in history.open]
        if any(lived):
            history, listed = self._begin(lease)
        scaled = any(g.plan is not None and g.plan.parts for g in history.open)
        # The lease of such a run ended with its process, which its tasks may outlive.
        outlive = SLICE + self._sync.batch_timeout
        if scaled and lease.idle_timeout is None and self._options.cancelled.wait(outlive):
            return self._cancelled(lease, None)
        closed = None
        for generation in history.open:
            try:
                self._close(lease, generation, layout, schema)
            except Interrupted:
                return self._cancelled(lease, closed)
            closed = generation.run_id
        if closed is not None:
            listed = self._ledger.listing()
        state = history.state
        if state is None and self._connection.loads:
            refuse_second_state(self._connection, self._statements)
        kind = self._kind(state)
        present = owned(self._sync.id, listed.names)
        if self._options.kind == "run":
            self._ledger.check(history, present)
        if state is None and kind == "run":
            refuse_unfinished(self._sync.id, present)
            orphaned(self._statements, history.generations, present)
        prior = self._prior(history, layout, kind, present)
        with observed(self._options.observer, Step.COLLECT):
            drop_garbage(self._ledger, lease, history, listed, self._notes)
        self._options.progress(Progress("querying"))
        make = self._options.copy
        try:
            with nullcontext() if make is None else make(lease, layout) as held:
                return self._planned(lease, query, layout, schema, history, prior, kind, closed, held)
        except Interrupted:
            return self._cancelled(lease, closed)

    def _planned(
        self,
        lease: Lease,
        query: ModelQuery,
        layout: Layout,
        schema: pa.Schema,
        history: journal.History,
        prior: Prior | None,
        kind: str,
        closed: str | None,
        held: str | None,
    ) -> Run:
        """Plan, deliver and commit.

        Raises:
            Interrupted: The run was cancelled before it had a plan.
        """
        planner = Planner(
            connection=self._connection,
            statements=self._statements,
            settings=self._settings,
            sync=self._sync,
            observer=self._options.observer,
            kind=kind,
            layout=layout,
            history=history,
            prior=prior,
            allow_removed=self._options.allow_removed,
            allow_empty=self._options.allow_empty,
            notes=self._notes,
            cancelled=self._options.cancelled,
            held=held,
            parts=self._parts,
            released=self._options.released,
        )
        record = planner.write(lease, query)
        run_id = lease.generation.run_id
        if record.idle:
            ended = Ended("success")
            self._options.progress(Progress("reporting"))
            self._closer.finish_idle(lease, lease.generation, Finished(run_id, record, ended))
            return self._result(run_id, record, ended, closed)
        if kind == "reset":
            ended = Ended("success")
        else:
            context = self._context(run_id, lease.generation, layout, schema)
            part = self._part(lease, lease.generation, context, layout, _sent_before(history.last, lease))
            ended = self._deliver(part)
        with observed(self._options.observer, Step.DELIVERED), lease.fenced():
            lease.note(journal.DELIVERED, ended)
        self._options.progress(Progress("reporting"))
        self._closer.finish(lease, lease.generation, Finished(run_id, record, ended), release=True)
        return self._result(run_id, record, ended, closed)

    @property
    def _parts(self) -> int:
        return 0 if self._options.parts is None else self._options.parts.number

    def _begin(self, lease: Lease) -> tuple[journal.History, Listing]:
        """What the ledger knows of other runs, and the planner schema's tables."""
        history, listed = self._ledger.begin()
        others = tuple(g for g in history.generations if g.number != lease.generation.number)
        return journal.History(others), listed

    def _kind(self, state: journal.Generation | None) -> str:
        if self._options.kind == "run" and not self._sync.traits.cdc:
            return "full"
        first = state is None or state.plan is None or not state.plan.cdc
        if self._options.kind == "run" and first and self._sync.skip_initial:
            self._notes.append("first run: the model's rows were taken as delivered (skip_initial)")
            return "reset"
        return self._options.kind

    def _prior(self, history: journal.History, layout: Layout, kind: str, present: set[str]) -> Prior | None:
        """The state to compare with."""
        state = history.state_plan
        if state is None:
            return None
        record = state.record
        if kind in ("reset", "full") or not record.cdc:
            return None
        if not planning.same_key(layout, record.primary_key):
            if kind == "resync":
                return None
            raise StateError(
                f"Sync {self._sync.id!r}: the primary key changed from {', '.join(record.primary_key)} "
                f"to {', '.join(layout.primary_key)}.",
                code="state-primary-key",
                hint="Start afresh with a full resync (sends every row) or a reset (sends nothing).",
            )
        try:
            verify(self._statements, history, present)
            if kind == "resync":
                verify_rows(self._connection, self._statements, history)
        except StateError:
            if kind == "resync":
                return None
            raise
        return state_of(self._connection.dialect, self._settings.schemas.planner, history, layout)

    # -- delivery ---------------------------------------------------------------------------------

    def _part(
        self,
        lease: Lease,
        generation: journal.Generation,
        context: RunContext,
        layout: Layout,
        before: tuple[int, float],
    ) -> Part:
        assert generation.plan is not None
        return Part(
            connection=self._connection,
            statements=self._statements,
            sync=self._sync,
            record=generation.plan,
            generation=generation,
            lease=lease,
            context=context,
            fields=layout.fields,
            observer=self._options.observer,
            cancelled=self._options.cancelled,
            progress=self._options.progress,
            before=before,
            parts=self._options.parts,
        )

    def _deliver(self, part: Part) -> Ended:
        if part.parts is not None:
            return Delivery(part, None).run()
        part.lease.check()  # opening may sweep away what other runs left at the destination
        try:
            writer = opened(self._sync.destination, part.context)
        except Exception as error:
            return Ended("failed", told(error))
        try:
            return Delivery(part, writer).run()
        finally:
            close_quietly(writer)

    # -- ends -------------------------------------------------------------------------------------

    def _close(self, lease: Lease, generation: journal.Generation, layout: Layout, schema: pa.Schema) -> None:
        """End an interrupted run (D17)."""
        _log.warning("sync %r: run %s was interrupted; closing it", self._sync.id, generation.run_id)
        if generation.plan is None:
            ended, rejections = Ended("failed", "interrupted"), None
        else:
            part = self._part(
                lease,
                generation,
                self._context(generation.run_id, generation, layout, schema),
                layout,
                _sent_before(generation, lease),
            )
            ended, rejections = how_it_ended(part, layout)
        with observed(self._options.observer, Step.CLOSE), lease.fenced():
            taken = lease.take(generation, ended, rejections)
        if taken is None:
            return
        if generation.plan is None:
            self._closer.finish_unplanned(lease, generation, self._sync, "interrupted", release=False)
            return
        plan = Finished(generation.run_id, generation.plan, taken)
        self._closer.finish(lease, generation, plan, release=False, again=True)

    def _give_up(self, lease: Lease, error: Exception) -> None:
        """Leave a failed run so that the next one can go on at once.

        Raises:
            LeaseLostError: That is why a statement failed: its successor may have dropped its tables.
        """
        try:
            if lease.generation.plan is None and self._logged(lease, error):
                return
            lease.expire()
        except CdcError as second:
            if isinstance(second, LeaseLostError) and isinstance(error, WarehouseError):
                raise second from error
            _log.warning("sync %r: the failed run could not be closed: %s", self._sync.id, second.code)

    def _logged(self, lease: Lease, error: Exception) -> bool:
        """End a run that never planned, with its row in sync_runs; False if that can't be written."""
        try:
            self._closer.finish_unplanned(lease, lease.generation, self._sync, told(error), release=True)
        except (LeaseLostError, ConnectionLostError):
            raise
        except CdcError as second:
            _log.warning("sync %r: a failed run could not be logged: %s", self._sync.id, second.code)
            return False
        return True

    def _cancelled(self, lease: Lease, closed: str | None) -> Run:
        """End a run that was cancelled before it had a plan."""
        self._options.progress(Progress("reporting"))
        self._closer.finish_unplanned(lease, lease.generation, self._sync, "cancelled", release=True)
        return Run(
            sync_id=self._sync.id,
            run_id=lease.generation.run_id,
            status="cancelled",
            error="cancelled",
            counts={operation: Counts() for operation in OPERATIONS},
            notes=self._notes,
            seconds=time.monotonic() - self._began,
            statements=self._connection.statements - self._sent_before,
            closed=closed,
            read_rejections=lambda: Table(REJECTIONS.empty_table()),
        )

    def _result(self, run_id: str, record: PlanRecord, ended: Ended, closed: str | None) -> Run:
        counts = count(record, ended)
        return Run(
            sync_id=self._sync.id,
            run_id=run_id,
            status=status_of(ended, counts),
            error=ended.error,
            counts=counts,
            null_key_rows=record.null_key_rows,
            duplicates_dropped=record.dropped_rows,
            notes=list(record.notes),
            seconds=time.monotonic() - self._began,
            statements=self._connection.statements - self._sent_before,
            closed=closed,
            read_rejections=lambda: read_rejections(
                self._connection, self._statements, record, ended, duplicates=record.kind != "reset"
            ),
        )


def _sent_before(last: journal.Generation | None, lease: Lease) -> tuple[int, float]:
    """How many rows the run before had to send, and how long before this one its last call may have ended.

    One that was interrupted may have called until now.
    """
    if last is None or last.plan is None:
        return 0, 0.0
    ago = (lease.generation.started_at - last.recorded_at).total_seconds() if last.ended else 0.0
    return sum(chunk.rows for chunk in last.plan.chunks), max(0.0, ago)
