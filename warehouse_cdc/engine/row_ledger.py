"""The ledger of warehouses whose transactions can be relied on: rows, and a lease that every write locks.

Every write of a run happens in a transaction that locks the lease's row and finds its own generation there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import pyarrow as pa

from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Clock, Lease, in_progress, is_held_here, owner
from warehouse_cdc.engine.ledger import Ledger, Listing, other_sync
from warehouse_cdc.errors import StateError, WarehouseError
from warehouse_cdc.plan.names import JOURNAL, LEASES, slug
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.warehouses.base import Connection


class RowLedger(Ledger):
    """Runs are rows of the journal; the lease is a row that can be locked."""

    def load(self) -> journal.History:
        """Read the sync's rows of the journal."""
        return journal.fold(
            self.connection.query(
                "SELECT generation, entry, run_id, event, recorded_at, data "
                f"FROM {self.statements.planner(JOURNAL)} "
                f"WHERE {self.statements.of_sync} ORDER BY generation, entry"
            )
        )

    def exists(self) -> bool:
        """Whether the journal is there."""
        planner = self.statements.schemas.planner
        return (planner, JOURNAL) in self.connection.tables(planner)

    def forget(self, needed: list[journal.Generation], listed: Listing) -> list[str]:
        """Drop the journal's entries of other generations before the newest of these."""
        sql = (
            f"DELETE FROM {self.statements.planner(JOURNAL)} WHERE {self.statements.of_sync} "
            f"AND generation < {max((g.number for g in needed), default=0)}"
        )
        if needed:
            sql += f" AND generation NOT IN ({', '.join(str(g.number) for g in needed)})"
        return [sql]

    def claim(
        self, seconds: float, margin: float, *, afresh: bool = False, listed: Listing | None = None
    ) -> Lease:
        """Lock the lease's row, and write the next generation into it."""
        try:
            return self._claim(seconds, margin, afresh)
        except WarehouseError as error:
            if error.retryable and error.code == "query-conflict":
                raise in_progress(self.statements, None) from error
            raise

    def _claim(self, seconds: float, margin: float, afresh: bool) -> Lease:
        connection, statements, dialect = self.connection, self.statements, self.statements.dialect
        leases, of_sync = statements.planner(LEASES), statements.of_sync
        clock = Clock()
        with connection.transaction(idle_timeout=seconds):
            connection.execute(
                f"INSERT INTO {leases} (sync_id, generation, expires_at) VALUES "
                f"({dialect.literal(statements.sync_id)}, 0, {dialect.now}) ON CONFLICT (sync_id) DO NOTHING"
            )
            ((number, run_id, held_by, left),) = connection.query(
                f"SELECT generation, run_id, owner, -{dialect.seconds_since('expires_at')} "
                f"FROM {leases} WHERE {of_sync} {dialect.row_lock}"
            )
            if run_id is not None and not _is_over(
                dialect.capabilities.exclusive_process, held_by, left + margin
            ):
                raise in_progress(statements, None if left is None else max(0.0, left + margin))
            last = self._last(first=number == 0)
            if number > 0 and last[1] != number and not afresh:
                raise StateError(
                    f"Sync {statements.sync_id!r}: its journal doesn't fit its lease: "
                    "entries were removed or restored.",
                    code="state-journal",
                    hint="Restore the planner schema, or start afresh with a full resync or a reset.",
                )
            read = clock.now()
            fresh = journal.next_run_id(last[0])
            generation = journal.Generation(max(number, last[1] or 0) + 1, fresh, journal.EPOCH)
            generation.entries = 0
            connection.execute(
                f"UPDATE {leases} SET generation = {generation.number}, run_id = {dialect.literal(fresh)}, "
                f"owner = {dialect.literal(owner(fresh))}, "
                f"expires_at = {dialect.now} + INTERVAL '{seconds} seconds' "
                f"WHERE {of_sync}"
            )
            expires = math.inf if dialect.capabilities.exclusive_process else seconds
            lease = RowLease(connection, statements, generation, expires, read)
            lease.append(generation, journal.CLAIMED, "{}")
            # Read back, so that a run that closes this one sees the same time (file names may contain it).
            ((generation.started_at,),) = connection.query(
                f"SELECT recorded_at FROM {statements.planner(JOURNAL)} "
                f"WHERE {of_sync} AND generation = {generation.number}"
            )
        return lease

    def _last(self, *, first: bool) -> tuple[str | None, int | None]:
        """The newest run and generation in the journal.

        Args:
            first: Whether the sync never ran, so that its tables' names may be another sync's.

        Raises:
            StateError: They are.
        """
        statements, dialect = self.statements, self.statements.dialect
        newest = f"max(run_id), max(generation) FROM {statements.planner(JOURNAL)}"
        if not first:
            ((run_id, number),) = self.connection.query(f"SELECT {newest} WHERE {statements.of_sync}")
            return run_id, number
        sync_id, last = statements.sync_id, (None, None)
        each, _kind = dialect.stored("sync_id", dialect.column_type(dialect.text_type))
        for other, run_id, number in self.connection.query(f"SELECT {each}, {newest} GROUP BY 1"):
            if other == sync_id:
                last = run_id, number
            elif slug(other) == slug(sync_id):
                raise other_sync(sync_id, other)
        return last


def _is_over(exclusive_process: bool, held_by: str | None, left: float) -> bool:
    """Where one process at a time can write, a lease that this one doesn't hold is over by that fact."""
    return not is_held_here(held_by) if exclusive_process else left <= 0


class RowLease(Lease):
    """A lease that is a row."""

    @cached_property
    def _mine(self) -> str:
        """The condition that finds its row."""
        return f"WHERE {self._statements.of_sync} AND generation = {self.generation.number}"

    @contextmanager
    def fenced(self, *, lock_timeout: float | None = None) -> Iterator[None]:
        """A transaction that commits only if this run still holds the sync."""
        if self._lost.is_set():
            raise self._gone()
        with self._connection.transaction(idle_timeout=self.idle_timeout, lock_timeout=lock_timeout):
            held = self._connection.query(
                f"SELECT generation FROM {self._statements.planner(LEASES)} {self._mine} "
                f"AND run_id IS NOT NULL {self._statements.dialect.share_lock}"
            )
            if not held:
                raise self._gone()
            yield

    def append(self, generation: journal.Generation, event: str, data: str) -> None:
        """Add an entry to the journal, in the open transaction."""
        dialect = self._statements.dialect
        literal = dialect.literal
        self._connection.execute(
            f"INSERT INTO {self._statements.planner(JOURNAL)} "
            "(sync_id, generation, entry, run_id, event, recorded_at, data) VALUES "
            f"({literal(self._statements.sync_id)}, {generation.number}, {generation.entries}, "
            f"{literal(generation.run_id)}, {literal(event)}, {dialect.now}, {literal(data)})"
        )
        generation.entries += 1

    def plan(self, record: PlanRecord) -> None:
        """Append it, beside the table of its rejections."""
        if record.rejections_table:
            self._connection.execute(self._statements.create_rejections(record.rejections_table))
        self.append(self.generation, journal.PLANNED, record.to_json())

    def take(
        self, generation: journal.Generation, ended: Ended, rejections: pa.Table | None = None
    ) -> Ended | None:
        """Append it: the fence keeps its process out."""
        if rejections is not None:
            self._reject(generation, rejections)
        self.append(generation, journal.DELIVERED, ended.to_json())
        return ended

    def note(self, event: str, ended: Ended, rejections: pa.Table | None = None) -> None:
        """Append it, beside the rejections."""
        if rejections is not None:
            self.reject(rejections)
        self.append(self.generation, event, ended.to_json())

    def reject(self, rejections: pa.Table) -> None:
        """Insert them."""
        self._reject(self.generation, rejections)

    def _reject(self, generation: journal.Generation, rejections: pa.Table) -> None:
        assert generation.plan is not None
        table = generation.plan.rejections_table
        self._connection.insert(self._statements.schemas.planner, table, rejections)

    def end(
        self,
        generation: journal.Generation,
        event: str,
        ended: Ended,
        *,
        record: PlanRecord | None = None,
        release: bool,
    ) -> None:
        """Append it; the fence makes it the only end."""
        if record is not None:
            self.plan(record)
        self.append(generation, event, ended.to_json())
        if release:
            self._connection.execute(
                f"UPDATE {self._statements.planner(LEASES)} SET run_id = NULL, owner = NULL {self._mine}"
            )

    def expire(self) -> None:
        """Put the expiry a day back."""
        with self.fenced():
            self._connection.execute(
                f"UPDATE {self._statements.planner(LEASES)} SET owner = NULL, "
                f"expires_at = expires_at - INTERVAL '1 day' {self._mine}"
            )

    def _extend(self, connection: Connection) -> bool:
        now = self._statements.dialect.now
        return bool(
            connection.query(
                f"UPDATE {self._statements.planner(LEASES)} "
                f"SET expires_at = {now} + INTERVAL '{self._seconds} seconds' "
                f"{self._mine} AND run_id IS NOT NULL RETURNING generation"
            )
        )
