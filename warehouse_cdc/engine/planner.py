"""Writing a run's plan: its table, one row per key, the guards, and its entry in the journal."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace

from warehouse_cdc.compile.determinism import tables_of
from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.compile.parse import ModelQuery
from warehouse_cdc.engine import journal, planning
from warehouse_cdc.engine.interruption import interruptible
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.planning import Summary
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import own_tables, verify_rows
from warehouse_cdc.engine.transitions import Observer, Step, observed
from warehouse_cdc.engine.unchanged import can_skip, reads_rows_only, resting, source_version
from warehouse_cdc.errors import CdcError, LeaseLostError, WarehouseError
from warehouse_cdc.plan.record import PlanColumn, PlanRecord
from warehouse_cdc.plan.state import Prior
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection


def tells_refusals(sync: Sync, kind: str, prior: Prior | None) -> bool:
    """Whether a plan tells how often rows were refused."""
    return bool(sync.policy) and kind == "run" and prior is not None


@dataclass
class _Rows:
    """What is known of the model's rows before the plan is summed up.

    Attributes:
        null_keys: Rows without a key.
        repeated: Rows beyond the first of their key, or None if they weren't counted.
    """

    null_keys: int = 0
    repeated: int | None = None


@dataclass(frozen=True)
class Planner:
    """Writes the plan of one run.

    Attributes:
        kind: As in ``PlanRecord``.
        layout: The compared columns.
        history: The sync's former generations.
        prior: The state to compare with, or None.
        allow_removed: Pass the ``max_removed`` guard.
        allow_empty: Pass the ``require_rows`` guard.
        notes: What the run says so far.
        cancelled: Set to stop the run.
        parts: How many chunks are sent beside each other.
        released: As of ``Statements.plan``.
        known: Whether the model's reads are alike, once it was asked: that takes a statement.
    """

    connection: Connection
    statements: Statements
    settings: Settings
    sync: Sync
    observer: Observer
    kind: str
    layout: Layout
    history: journal.History
    prior: Prior | None
    allow_removed: bool
    allow_empty: bool
    notes: list[str]
    cancelled: threading.Event
    held: str | None = None
    parts: int = 0
    released: tuple[str, ...] | None = None
    known: list[bool] = field(default_factory=list)

    def write(self, lease: Lease, query: ModelQuery) -> PlanRecord:
        """Write, check and journal the plan; one with nothing to do is only returned.

        Raises:
            GuardError: A guard stopped the run; what was written is garbage.
            Interrupted: The run was cancelled; what was written is garbage.
            StateError: The state's tables don't hold what they held.
            LeaseLostError: What was written is gone again: others may have forgotten this run.
        """
        try:
            with interruptible(self.connection, self.cancelled):
                record = self._written(lease, query)
            if record.idle:
                return record
            with observed(self.observer, Step.JOURNAL_PLAN), lease.fenced():
                lease.plan(record)
        except LeaseLostError:
            self._sweep(lease.generation.run_id)
            raise
        lease.generation.plan = record
        return record

    def _sweep(self, run_id: str) -> None:
        """Drop what the run has made, as far as its successor hasn't."""
        with suppress(CdcError):
            for name in own_tables(self.connection, self.statements):
                if run_id.lower() in name:
                    with suppress(WarehouseError):
                        self.connection.execute(self.statements.drop(name))

    def _written(self, lease: Lease, query: ModelQuery) -> PlanRecord:
        run_id = lease.generation.run_id
        model, _touched, _keys = self.statements.scratch_tables(run_id)
        model_sql, reader, copied = query.sql, self, False
        record, version, hint = None, "", ""
        if self.kind == "run":
            version = source_version(self.connection, self.settings, query)
            hint = self.connection.change_hint(tables_of(query.tree))
            record = self._unchanged(query, version, hint)
        if record is None and self.connection.loads and self.held is None:
            with observed(self.observer, Step.COPY_MODEL):
                names = [column.name for column in self.layout.columns]
                model_sql = self.connection.load(query.sql, names, self.statements.planner(model))
            copied = True
        if record is None and self._can_differ():
            snapshots = self.connection.dialect.capabilities.snapshots
            if not copied and not (snapshots and self._reads_rows_only(query)):
                copy = self.statements.copy_of_model(reader.layout, model_sql)
                with observed(self.observer, Step.COPY_MODEL):
                    create = self.statements.create_as(model, copy, scratch=True, key="")
                    self.connection.execute(create, work="scan")
                model_sql = f"SELECT * FROM {self.statements.planner(model)}"
                reader = replace(self, layout=self.layout.of_copy())
                copied = True
            if copied and not self._reads_rows_only(query):
                record = reader._as_before(model_sql, hint)
        if record is None and self.prior is not None:
            verify_rows(self.connection, self.statements, self.history)
        if record is None and self._can_differ():
            record = reader._differences(lease, model_sql)
        if record is None:
            record = reader._full(lease, model_sql)
        if copied:
            self.connection.execute(self.statements.drop(model))
        return replace(record, source_version=version, change_hint=hint)

    @property
    def _rows_left(self) -> int:
        """Rows that the last run left at the destination, for the guards."""
        last = self.history.committed
        return planning.rows_left(last.plan, last.ended) if last is not None else 0

    @property
    def _delta_rows(self) -> int:
        """Rows that plans of differences have written since the full plan."""
        state = self.history.state_plan
        return state.record.delta_rows if state is not None else 0

    # -- the two kinds of plan --------------------------------------------------------------------

    def _can_differ(self) -> bool:
        """Whether the plan may be one of differences from the last full plan."""
        prior, base, last = self.prior, self.history.base_plan, self.history.last_plan
        if self.kind != "run" or prior is None or base is None or last is None:
            return False
        kinds = {column.number: column.kind for column in prior.columns}
        return (
            self.settings.compaction > 0
            and prior.same_fingerprint
            and base.record.mapping_version == self.layout.mapping_version
            and base.record.mode == self.sync.mode
            and base.record.model_rows > 0
            and (base.record.kind != "reset" or base.record.kept == 0)
            and all(kinds[column.number] == column.stored for column in self.layout.key)
            and not self._compares_fields()
        )

    def _reads_rows_only(self, query: ModelQuery) -> bool:
        """As the function of that name; asked once."""
        if not self.known:
            self.known.append(reads_rows_only(self.connection, query))
        return self.known[0]

    def _unchanged(self, query: ModelQuery, version: str, hint: str) -> PlanRecord | None:
        """The run's record if nothing is due and the model's rows are surely those of the last run."""
        last = self._resting()
        if last is None:
            return None
        if can_skip(last, version):
            self.notes.append("skipped: the model's tables have not changed since the last run")
            rows = _Rows(last.null_key_rows, last.dropped_rows)
            return self._idle(rows, last.model_rows, last.checksum)
        # A changed model is read again: that is for models of which all reads are alike (D28).
        if not self._may_be_as_before(last, hint) or not self._reads_rows_only(query):
            return None
        return self._as_before(query.sql, hint)

    def _resting(self) -> PlanRecord | None:
        state = self.history.state_plan
        if state is not None and self._reconsiders(state.record):
            return None
        return resting(self.history, self.layout, self.sync, self.settings)

    def _reconsiders(self, state: PlanRecord) -> bool:
        """Whether rows that a policy has kept from being sent may be due now."""
        return bool(state.given_up) and (self.released is not None or state.policy != self.sync.policy)

    def _may_be_as_before(self, last: PlanRecord, hint: str) -> bool:
        """Whether it is worth a look at the checksum alone."""
        return last.checksum != "" and (hint == last.change_hint if hint else not last.operations)

    def _as_before(self, model_sql: str, hint: str) -> PlanRecord | None:
        """The run's record if nothing is due and the model's rows have the checksum of the last run's."""
        last = self._resting()
        if last is None or not self._may_be_as_before(last, hint):
            return None
        counts = self.statements.counts(self.layout, model_sql, checksum=True)
        ((all_rows, keyed, checksum),) = self.connection.query(counts)
        found = self.connection.dialect.combined([checksum])
        if (keyed, found) != (last.model_rows, int(last.checksum)):
            return None
        return self._idle(_Rows(all_rows - keyed), keyed, last.checksum)

    def _differences(self, lease: Lease, model_sql: str) -> PlanRecord | None:
        """A plan of differences; None if a full one is due."""
        connection, statements, layout = self.connection, self.statements, self.layout
        base, state, prior = self.history.base_plan, self.history.state_plan, self.prior
        assert base is not None and state is not None and prior is not None
        run_id = lease.generation.run_id
        table, _rejections, _staged = statements.run_tables(run_id)
        _model, touched, keys = statements.scratch_tables(run_id)
        with (
            observed(self.observer, Step.WRITE_PLAN),
            connection.transaction(idle_timeout=lease.idle_timeout, snapshot=True),
        ):
            select = statements.touched(layout, model_sql, prior)
            connection.execute(statements.create_as(touched, select, scratch=True), work="scan")
            self._gather_statistics(touched, ("row_id",))
            differences = statements.differences(touched, prior)
            ((found, missing, new_keys, news, new_hashes, old_hashes),) = connection.query(differences)
            idle = not news and state.at_rest and not self._reconsiders(state.record)
            counts = statements.counts(layout, model_sql, checksum=False)
            ((all_rows, keyed, _none),) = connection.query(counts)
            model_rows = base.record.model_rows - missing + new_keys
            rows = _Rows(all_rows - keyed, keyed - model_rows)
            checksum = ""
            if base.record.checksum and not rows.repeated:
                known = (int(base.record.checksum), new_hashes)
                checksum = str(connection.dialect.combined(known, without=[old_hashes]))
            refused = rows.repeated and self.sync.on_duplicate != "keep_one"
            # Of a repeated key, one row may be the delta's and one the base's: look at them.
            idle = idle and not refused and not (rows.repeated and prior.delta)
            size = self._delta_rows + found + (state.record.rows if prior.delta else 0)
            # Fewer rows than keys: the reads weren't alike after all.
            due = not idle and (size >= self.settings.compaction * base.record.rows or keyed < model_rows)
            if not idle and not due:
                select = statements.keys(
                    layout,
                    model_sql,
                    prior,
                    touched,
                    repeated=bool(refused),
                )
                connection.execute(statements.create_as(keys, select, scratch=True))
                names = (f"k_{column.number}" for column in layout.key)
                self._gather_statistics(keys, ("row_id", *names))
                plan = self._plan(model_sql, keys)
                connection.execute(statements.create_plan(table, plan))
                connection.execute(statements.drop(keys))
            connection.execute(statements.drop(touched))
        if due:
            return None
        if idle:
            return self._idle(rows, model_rows, checksum)
        return replace(self._checked(lease, rows, base.record.model_rows), checksum=checksum)

    def _full(self, lease: Lease, model_sql: str) -> PlanRecord:
        table = self.statements.run_tables(lease.generation.run_id)[0]
        if self.held is not None:
            select = self.statements.held(self.sync, self.layout, self._columns(), self.held)
        else:
            select = self._plan(model_sql)
        with observed(self.observer, Step.WRITE_PLAN):
            lease.check()
            self.connection.execute(self.statements.create_plan(table, select), work="scan")
        return self._checked(lease, _Rows(), 0)

    def _plan(self, model_sql: str, keys: str | None = None) -> str:
        return self.statements.plan(
            self.sync,
            self.layout,
            model_sql,
            self.kind,
            self.prior,
            keys,
            refusals=self._refusals,
            released=self.released,
        )

    @property
    def _refusals(self) -> bool:
        return tells_refusals(self.sync, self.kind, self.prior)

    def _idle(self, rows: _Rows, model_rows: int, checksum: str) -> PlanRecord:
        """A run that has nothing to plan writes no tables: the state stays where it is."""
        record = self._record("", "", Summary(model_rows=model_rows, state_rows=model_rows), rows)
        last, state = self.history.last_plan, self.history.state_plan
        former = state.record.plan_table if state is not None and state.record.base is not None else ""
        settles = last is not None and last.operations > 0
        return replace(record, settles=settles, former_plan=former, checksum=checksum)

    def _checked(self, lease: Lease, rows: _Rows, base_rows: int) -> PlanRecord:
        """A written plan, with one row per key, past its guards."""
        run_id = lease.generation.run_id
        table, rejections, _staged = self.statements.run_tables(run_id)
        summary = self._summary(table, base_rows)
        if rows.repeated is None:
            rows = _Rows(summary.null_keys, 0)
            if self._leaves_one_row_per_key(lease, run_id):
                keyed = summary.rows - summary.null_keys
                summary = self._summary(table, base_rows)
                rows.repeated = keyed - summary.rows
        elif rows.repeated and self._leaves_one_row_per_key(lease, run_id):
            summary = self._summary(table, base_rows)
        planning.check_guards(
            self.sync,
            self.kind,
            summary,
            self._rows_left,
            allow_removed=self.allow_removed,
            allow_empty=self.allow_empty,
        )
        record = self._record(table, rejections, summary, rows)
        last, state, base = self.history.last_plan, self.history.state_plan, self.history.base
        if not base_rows or last is None or state is None or base is None:
            return record
        return replace(
            record,
            base=base.number,
            delta_rows=self._delta_rows + summary.rows,
            former_plan="" if state.record.base is None else state.record.plan_table,
            settles=last.operations > 0 and bool(last.plan_table) and last.base is None,
        )

    def _summary(self, table: str, base_rows: int) -> Summary:
        self._gather_statistics(table, ("row_id", "op", "bucket"))
        rows = self.statements.rows(table, self._columns(), lean=self._lean)
        return planning.summarize(self.connection.query(self.statements.summary(rows)), base_rows)

    def _leaves_one_row_per_key(self, lease: Lease, run_id: str) -> bool:
        """Resolve duplicates (D3); False if there are none."""
        connection, statements = self.connection, self.statements
        table, _rejections, staged = statements.run_tables(run_id)
        ((repeated,),) = connection.query(statements.duplicates(self.layout, table))
        if not repeated:
            return False
        resolved = statements.resolve(
            statements.planner(staged),
            self.layout,
            {column.name: column.previous for column in self._columns()},
            keep_one=self.sync.on_duplicate == "keep_one",
            lean=self._lean,
            refusals=self._refusals,
        )
        with observed(self.observer, Step.RESOLVE), connection.transaction(idle_timeout=lease.idle_timeout):
            for sql in statements.stage(table, staged):
                connection.execute(sql)
            connection.execute(statements.create_plan(table, resolved))
            connection.execute(statements.drop(staged))
        return True

    # -- what the journal keeps -------------------------------------------------------------------

    def _gather_statistics(self, table: str, columns: tuple[str, ...]) -> None:
        sql = self.connection.dialect.analyze(self.statements.planner(table), columns)
        if sql is not None:
            self.connection.execute(sql)

    @property
    def _lean(self) -> bool:
        """Whether its plan tells of no former state."""
        return self.prior is None and self.held is None

    def _columns(self) -> tuple[PlanColumn, ...]:
        return planning.plan_columns(self.layout, self.prior)

    def _compares_fields(self) -> bool:
        """Whether the snapshot may differ also in rows that neither this run nor the last touched."""
        last = self.history.last_plan
        return (
            self.kind != "run"
            or last is None
            or last.mapping_version != self.layout.mapping_version
            or ("sync_snapshot" in self.settings.logs(self.sync) and "sync_snapshot" not in last.logs)
        )

    def _record(self, table: str, rejections: str, summary: Summary, rows: _Rows) -> PlanRecord:
        sync, layout = self.sync, self.layout
        if self.kind == "run" and self.prior is not None:
            self.notes.extend(planning.type_notes(layout, self.history.last_plan))
        if summary.given_up:
            what = "wait to be released" if self.sync.on_rejected == "quarantine" else "were given up"
            self.notes.append(f"{summary.given_up} rows {what}: rejected in {self.sync.rejected_runs} runs")
        counted = self.kind != "reset"
        auto_removed = not sync.sends_removed
        most = self.connection.dialect.most_chunks
        cut = planning.cut_chunks(summary, sync.chunk_rows, most=most, skip_removed=auto_removed)
        return PlanRecord(
            kind=self.kind,
            plan_table=table,
            rejections_table=rejections,
            rows=summary.rows,
            columns=self._columns(),
            primary_key=layout.primary_key,
            mapping_version=layout.mapping_version,
            fingerprint_version=layout.fingerprint_version,
            planned=dict(summary.planned) if counted else {},
            duplicates=dict(summary.duplicates) if counted else {},
            model_rows=summary.model_rows,
            state_rows=self._rows_left if self.kind == "full" else summary.state_rows,
            null_key_rows=rows.null_keys,
            dropped_rows=(rows.repeated or 0) if sync.on_duplicate == "keep_one" else 0,
            chunks=cut,
            auto_removed=auto_removed,
            publishes=sync.destination.publishes(sync.mode),
            mode=sync.mode,
            destination=sync.destination.name,
            model_name=sync.model.name,
            model_id=sync.model.id,
            logs=self.settings.logs(sync),
            compare_fields=self._compares_fields(),
            notes=tuple(self.notes),
            kept=summary.kept,
            # Two rows alike leave no trace in it.
            checksum="" if rows.repeated else str(self.connection.dialect.combined(summary.checksums)),
            lean=self._lean,
            jobs=sync.destination.capabilities.jobs,
            parts=self.parts,
            policy=self.sync.policy,
            refusals=bool(table) and self._refusals,
            given_up=summary.given_up,
        )
