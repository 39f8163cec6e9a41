"""How a run ends in the warehouse: its audit rows, then its commit."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse_cdc.audit.tables import prune, run_row
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.result import count
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.transitions import Observer, Step, observed
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.state import Finished
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True)
class Closer:
    """Ends generations of a sync; every step is fenced and safe to repeat."""

    connection: Connection
    statements: Statements
    settings: Settings
    observer: Observer

    def append(self, generation: journal.Generation, event: str, data: str) -> None:
        """Add a journal entry, in the open transaction."""
        journal.append(self.connection, self.statements, generation, event, data)

    def finish(
        self,
        lease: Lease,
        generation: journal.Generation,
        record: PlanRecord,
        ended: Ended,
        *,
        release: bool,
        again: bool = False,
    ) -> None:
        """Audit and commit a planned generation; its plan becomes the state.

        Args:
            lease: Of the run that does so.
            generation: The generation.
            record: Its plan.
            ended: How it ended.
            release: Give the sync back.
            again: Another process may have begun with this.
        """
        self._audit(lease, generation, record, ended, again)
        with observed(self.observer, Step.COMMIT), lease.fenced(self.connection):
            self.append(generation, journal.COMMITTED, ended.to_json())
            if self.settings.retention_days is not None:
                for sql in prune(self.statements, self.settings.retention_days):
                    self.connection.execute(sql)
            if release:
                lease.release(self.connection)
        generation.ended, generation.committed = ended, True

    def _audit(
        self, lease: Lease, generation: journal.Generation, record: PlanRecord, ended: Ended, again: bool
    ) -> None:
        connection, statements, run_id = self.connection, self.statements, generation.run_id
        plan = Finished(run_id, record, ended)
        if "sync_changelog" in record.logs and record.kind != "reset" and record.operations:
            with observed(self.observer, Step.CHANGELOG), lease.fenced(connection):
                connection.execute(statements.changelog(plan, again=again))
        if "sync_snapshot" in record.logs and (written := statements.snapshot(plan)):
            with observed(self.observer, Step.SNAPSHOT), lease.fenced(connection):
                for sql in written:
                    connection.execute(sql)
        if "sync_runs" in record.logs:
            row = run_row(
                statements,
                run_id,
                primary_key=", ".join(record.primary_key),
                destination=record.destination,
                model_name=record.model_name,
                model_id=record.model_id,
                status="succeeded" if ended.status == "success" else "failed",
                error=ended.error,
                started_at=generation.started_at,
                counts=count(record, ended),
            )
            with observed(self.observer, Step.SYNC_RUNS), lease.fenced(connection):
                connection.execute(row)

    def finish_unplanned(
        self, lease: Lease, generation: journal.Generation, sync: Sync, error: str, *, release: bool
    ) -> None:
        """End a generation that never planned: one row with zeros."""
        row = run_row(
            self.statements,
            generation.run_id,
            primary_key=", ".join(sync.model.primary_key),
            destination=sync.destination.name,
            model_name=sync.model.name,
            model_id=sync.model.id,
            status="failed",
            error=error,
            started_at=generation.started_at,
            counts={},
        )
        with observed(self.observer, Step.COMMIT), lease.fenced(self.connection):
            if "sync_runs" in self.settings.logs(sync):
                self.connection.execute(row)
            self.append(generation, journal.FAILED, Ended("failed", error).to_json())
            if release:
                lease.release(self.connection)
        generation.ended = Ended("failed", error)
