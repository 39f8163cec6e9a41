"""Writing a run's plan: its table, one row per key, the guards, and its entry in the journal."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.engine import journal, planning
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.planning import Summary
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.transitions import Observer, Step, observed
from warehouse_cdc.plan.record import PlanColumn, PlanRecord
from warehouse_cdc.plan.state import Prior
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True)
class Planner:
    """Writes the plan of one run.

    Attributes:
        kind: As in ``PlanRecord``.
        layout: The compared columns.
        prior: The state to compare with, or None.
        before: The last plan that was committed.
        rows_left: What it left at the destination, for the guards.
        allow_removed: Pass the ``max_removed`` guard.
        allow_empty: Pass the ``require_rows`` guard.
        notes: What the run says so far.
    """

    connection: Connection
    statements: Statements
    settings: Settings
    sync: Sync
    observer: Observer
    kind: str
    layout: Layout
    prior: Prior | None
    before: PlanRecord | None
    rows_left: int
    allow_removed: bool
    allow_empty: bool
    notes: list[str]

    def write(self, lease: Lease, model_sql: str) -> PlanRecord:
        """Write, check and journal the plan.

        Raises:
            GuardError: A guard stopped the run; what was written is garbage.
        """
        run_id = lease.generation.run_id
        table, rejections, _staged = self.statements.run_tables(run_id)
        columns = planning.plan_columns(self.layout, self.prior)
        select = self.statements.plan(self.sync, self.layout, model_sql, run_id, self.kind, self.prior)
        with observed(self.observer, Step.WRITE_PLAN):
            self.connection.execute(self.statements.create_as(table, select))
        null_keys, dropped = self._one_row_per_key(lease, run_id, columns)
        self._gather_statistics(table)
        summary = planning.summarize(
            self.connection.query(self.statements.summary(self.statements.planner(table)))
        )
        planning.check_guards(
            self.sync,
            self.kind,
            summary,
            self.rows_left,
            allow_removed=self.allow_removed,
            allow_empty=self.allow_empty,
        )
        with observed(self.observer, Step.CREATE_REJECTIONS):
            self.connection.execute(self.statements.create_rejections(rejections))
        record = self._record(run_id, columns, summary, null_keys, dropped)
        with observed(self.observer, Step.JOURNAL_PLAN), lease.fenced(self.connection):
            journal.append(
                self.connection, self.statements, lease.generation, journal.PLANNED, record.to_json()
            )
        lease.generation.plan = record
        return record

    def _one_row_per_key(self, lease: Lease, run_id: str, columns: tuple[PlanColumn, ...]) -> tuple[int, int]:
        """Resolve duplicates if there are any (D3); returns rows without a key, and dropped copies."""
        connection, statements = self.connection, self.statements
        table, _rejections, staged = statements.run_tables(run_id)
        ((repeated, null_keys, keyed_rows),) = connection.query(statements.duplicates(table))
        if not repeated:
            return null_keys, 0
        keep_one = self.sync.on_duplicate == "keep_one"
        previous = {column.name: column.previous for column in columns}
        with observed(self.observer, Step.RESOLVE), connection.transaction(idle_timeout=lease.idle_timeout):
            connection.execute(statements.rename(table, staged))
            resolved = statements.resolve(statements.planner(staged), self.layout, previous, keep_one)
            connection.execute(statements.create_as(table, resolved))
            connection.execute(statements.drop(staged))
        if not keep_one:
            return null_keys, 0
        ((kept,),) = connection.query(f"SELECT count(*) FROM {statements.planner(table)}")
        return null_keys, keyed_rows - kept

    def _gather_statistics(self, table: str) -> None:
        sql = self.connection.dialect.analyze(self.statements.planner(table), ("row_id", "op", "bucket"))
        if sql is not None:
            self.connection.execute(sql)

    def _record(
        self, run_id: str, columns: tuple[PlanColumn, ...], summary: Summary, null_keys: int, dropped: int
    ) -> PlanRecord:
        sync, layout, before = self.sync, self.layout, self.before
        table, rejections, _staged = self.statements.run_tables(run_id)
        if self.kind == "run" and self.prior is not None:
            self.notes.extend(planning.type_notes(layout, before))
        counted = self.kind != "reset"
        auto_removed = not sync.sends_removed
        chunks = planning.cut_chunks(summary, sync.chunk_rows, skip_removed=auto_removed) if counted else ()
        return PlanRecord(
            kind=self.kind,
            plan_table=table,
            rejections_table=rejections,
            rows=summary.rows,
            columns=columns,
            primary_key=layout.primary_key,
            mapping_version=layout.mapping_version,
            fingerprint_version=layout.fingerprint_version,
            planned=dict(summary.planned) if counted else {},
            duplicates=dict(summary.duplicates) if counted else {},
            model_rows=summary.model_rows,
            state_rows=self.rows_left if self.kind == "full" else summary.state_rows,
            null_key_rows=null_keys,
            dropped_rows=dropped,
            chunks=chunks,
            auto_removed=auto_removed,
            publishes=sync.destination.publishes(sync.mode),
            mode=sync.mode,
            destination=sync.destination.name,
            model_name=sync.model.name,
            model_id=sync.model.id,
            logs=self.settings.logs(sync),
            compare_fields=(
                self.kind != "run"
                or before is None
                or before.mapping_version != layout.mapping_version
                or "sync_snapshot" not in before.logs
            ),
            notes=tuple(self.notes),
        )
