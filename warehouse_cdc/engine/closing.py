"""How a run ends in the warehouse: its audit rows, then its commit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from warehouse_cdc.audit.tables import prune, run_row
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.result import count
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.transitions import Observer, Step, observed
from warehouse_cdc.plan.record import Ended
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

    def finish(
        self,
        lease: Lease,
        generation: journal.Generation,
        plan: Finished,
        *,
        release: bool,
        again: bool = False,
    ) -> None:
        """Audit and commit a planned generation; its plan becomes the state.

        Args:
            lease: Of the run that does so.
            generation: The generation.
            plan: Its plan, and how it ended.
            release: Give the sync back.
            again: Another process may have begun with this.
        """
        for step, statements in self._audit(generation, plan, again=again):
            with observed(self.observer, step), lease.fenced():
                self._write(step, statements, plan)
        with observed(self.observer, Step.COMMIT), lease.fenced():
            self._prune()
            lease.end(generation, journal.COMMITTED, plan.ended, release=release)
        generation.ended, generation.committed = plan.ended, True

    def finish_idle(self, lease: Lease, generation: journal.Generation, plan: Finished) -> None:
        """Journal, audit and commit a generation that had nothing to do, all at once."""
        with observed(self.observer, Step.COMMIT), lease.fenced():
            for step, statements in self._audit(generation, plan, again=False):
                self._write(step, statements, plan)
            self._prune()
            lease.end(generation, journal.COMMITTED, plan.ended, record=plan.record, release=True)
        generation.plan, generation.ended, generation.committed = plan.record, plan.ended, True

    def _write(self, step: Step, statements: list[str], plan: Finished) -> None:
        differences = plan.record.base is not None or plan.record.former_plan
        for sql in statements:
            self.connection.execute(sql, work="lookup" if step is Step.SNAPSHOT and differences else "")

    def _prune(self) -> None:
        if self.settings.retention_days is not None:
            for sql in prune(self.statements, self.settings.retention_days):
                self.connection.execute(sql)

    def _audit(
        self, generation: journal.Generation, plan: Finished, *, again: bool
    ) -> Iterator[tuple[Step, list[str]]]:
        """The statements that write each audit table."""
        record = plan.record
        if "sync_changelog" in record.logs and record.kind != "reset" and record.operations:
            yield Step.CHANGELOG, [self.statements.changelog(plan, again=again)]
        if "sync_snapshot" in record.logs and (written := self.statements.snapshot(plan)):
            yield Step.SNAPSHOT, written
        if "sync_runs" in record.logs:
            row = run_row(
                self.statements,
                plan.run_id,
                primary_key=", ".join(record.primary_key),
                destination=record.destination,
                model_name=record.model_name,
                model_id=record.model_id,
                status="succeeded" if plan.ended.status == "success" else "failed",
                error=plan.ended.error,
                started_at=generation.started_at,
                counts=count(record, plan.ended),
            )
            yield Step.SYNC_RUNS, [row]

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
        with observed(self.observer, Step.COMMIT), lease.fenced():
            if "sync_runs" in self.settings.logs(sync):
                self.connection.execute(row)
            lease.end(generation, journal.FAILED, Ended("failed", error), release=release)
        generation.ended = Ended("failed", error)
