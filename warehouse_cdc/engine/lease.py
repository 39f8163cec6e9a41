"""The lease: one writer a sync, by a generation that only one can take (the contract's step 1).

Fencing does not rest on clocks: every write of a run happens in a transaction that locks the lease's row
and finds its own generation there. The expiry only decides when a successor may take over; a process
measures its own lease with its own clock, from before it asked.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ulid import ULID

from warehouse_cdc.engine import journal
from warehouse_cdc.errors import (
    CdcError,
    LeaseLostError,
    StateError,
    SyncInProgressError,
    WarehouseError,
)
from warehouse_cdc.plan.names import JOURNAL, LEASES
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.warehouses.base import Connection

_log = logging.getLogger("warehouse_cdc")
_PROCESS = str(ULID())
"""Tells this process from any other, on this machine or elsewhere."""

_HELD: set[str] = set()
"""Owners of the leases that this process holds now."""


def owner(run_id: str) -> str:
    """Who holds a run's lease: this process, and none that was forked from it."""
    return f"{_PROCESS}-{os.getpid()}-{run_id}"


class Clock:
    """Seconds that go on while the machine sleeps or the process is stopped."""

    _kind = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))

    def now(self) -> tuple[float, float]:
        """Two readings: since boot, and of the wall clock."""
        steady = time.clock_gettime(self._kind) if self._kind is not None else time.monotonic()
        return steady, time.time()

    def elapsed(self, since: tuple[float, float]) -> float:
        """Seconds since a reading: the larger of the two, so that neither clock can hide a pause."""
        steady, wall = self.now()
        return max(steady - since[0], wall - since[1])


class Lease:
    """A held lease.

    Attributes:
        generation: The generation that it holds, as the journal knows it.
        taken_over: Whether it was taken from a run that had not ended.
    """

    def __init__(
        self,
        statements: Statements,
        generation: journal.Generation,
        seconds: float,
        read: tuple[float, float],
    ) -> None:
        """Take note of a claim that was made when the clock showed ``read``."""
        self.generation = generation
        self._statements = statements
        self._seconds = seconds
        self._clock = Clock()
        self._extended = read
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._owner = owner(generation.run_id)
        _HELD.add(self._owner)

    def check(self) -> None:
        """Raise unless the lease is surely still held.

        Raises:
            LeaseLostError: It was taken over, or may have been.
        """
        if self._lost.is_set() or self._clock.elapsed(self._extended) >= self._seconds:
            self._lost.set()
            raise self._error()

    def _error(self) -> LeaseLostError:
        return LeaseLostError(
            f"Sync {self._statements.sync_id!r}: this run's lease is over; another run may have taken it.",
            hint="Nothing more was sent or written. The next run goes on from the journal.",
        )

    @property
    def idle_timeout(self) -> float | None:
        """Seconds after which a silent holder's transaction must end: its locks would block a successor."""
        return None if math.isinf(self._seconds) else self._seconds

    @contextmanager
    def fenced(self, connection: Connection, *, lock_timeout: float | None = None) -> Iterator[None]:
        """A transaction that commits only if this run still holds the sync.

        Args:
            connection: Where the lease is.
            lock_timeout: As of ``Connection.transaction``.

        Raises:
            LeaseLostError: It doesn't.
        """
        if self._lost.is_set():
            raise self._error()
        dialect = self._statements.dialect
        with connection.transaction(idle_timeout=self.idle_timeout, lock_timeout=lock_timeout):
            held = connection.query(
                f"SELECT generation FROM {self._statements.planner(LEASES)} "
                f"WHERE sync_id = {dialect.literal(self._statements.sync_id)} "
                f"AND generation = {self.generation.number} AND run_id IS NOT NULL {dialect.share_lock}"
            )
            if not held:
                self._lost.set()
                raise self._error()
            yield

    def release(self, connection: Connection) -> None:
        """Give the sync back, inside a fenced transaction."""
        connection.execute(
            f"UPDATE {self._statements.planner(LEASES)} SET run_id = NULL, owner = NULL "
            f"WHERE sync_id = {self._statements.dialect.literal(self._statements.sync_id)} "
            f"AND generation = {self.generation.number}"
        )

    def expire(self, connection: Connection) -> None:
        """Let a successor take over at once; for a run that stops without having ended."""
        connection.execute(
            f"UPDATE {self._statements.planner(LEASES)} SET owner = NULL, "
            f"expires_at = expires_at - INTERVAL '1 day' "
            f"WHERE sync_id = {self._statements.dialect.literal(self._statements.sync_id)} "
            f"AND generation = {self.generation.number}"
        )

    def keep(self, connection: Connection) -> None:
        """Extend the lease from a thread, until ``let_go``; a lease that can't expire needs none."""
        if math.isinf(self._seconds):
            return
        connection = connection.clone()
        self._thread = threading.Thread(
            target=self._heartbeat, args=(connection,), name="wcdc-lease", daemon=True
        )
        self._thread.start()

    def let_go(self) -> None:
        """Stop extending the lease; whatever ended the run, this process doesn't hold it any more."""
        self._stop.set()
        _HELD.discard(self._owner)
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _heartbeat(self, connection: Connection) -> None:
        dialect = self._statements.dialect
        extend = (
            f"UPDATE {self._statements.planner(LEASES)} "
            f"SET expires_at = {dialect.now} + INTERVAL '{self._seconds} seconds' "
            f"WHERE sync_id = {dialect.literal(self._statements.sync_id)} "
            f"AND generation = {self.generation.number} AND run_id IS NOT NULL RETURNING generation"
        )
        try:
            while not self._stop.wait(self._seconds / 4):
                read = self._clock.now()
                try:
                    held = connection.query(extend)
                except WarehouseError as error:
                    _log.warning("lease of sync %r not extended: %s", self._statements.sync_id, error.code)
                    try:
                        connection.close()
                        connection = connection.clone()
                    except CdcError:
                        continue  # the lease runs out by itself if this goes on
                    continue
                if not held:
                    self._lost.set()
                    return
                self._extended = read
        finally:
            connection.close()


def claim(
    connection: Connection, statements: Statements, seconds: float, margin: float, *, afresh: bool = False
) -> Lease:
    """Take the sync's next generation.

    Args:
        connection: Where the lease is.
        statements: Of the sync.
        seconds: How long the lease lasts unless extended.
        margin: Seconds after a foreign lease's expiry before it may be taken over.
        afresh: Go on even if the journal lacks what the lease has seen.

    Raises:
        SyncInProgressError: Another run holds the sync.
        StateError: The journal is older than the lease: it was emptied or restored by hand.
    """
    try:
        return _claim(connection, statements, seconds, margin, afresh)
    except WarehouseError as error:
        if error.retryable and error.code == "query-conflict":
            raise _in_progress(statements, None) from error
        raise


def _claim(
    connection: Connection, statements: Statements, seconds: float, margin: float, afresh: bool
) -> Lease:
    dialect = statements.dialect
    leases, sync_id = statements.planner(LEASES), dialect.literal(statements.sync_id)
    clock = Clock()
    with connection.transaction(idle_timeout=seconds):
        connection.execute(
            f"INSERT INTO {leases} (sync_id, generation, expires_at) "
            f"VALUES ({sync_id}, 0, {dialect.now}) ON CONFLICT (sync_id) DO NOTHING"
        )
        ((number, run_id, held_by, left),) = connection.query(
            f"SELECT generation, run_id, owner, "
            f"CAST(EXTRACT(EPOCH FROM (expires_at - {dialect.now})) AS DOUBLE PRECISION) "
            f"FROM {leases} WHERE sync_id = {sync_id} {dialect.row_lock}"
        )
        if run_id is not None and not _is_over(
            dialect.capabilities.exclusive_process, held_by, left + margin
        ):
            raise _in_progress(statements, None if left is None else max(0.0, left + margin))
        last = connection.query(
            f"SELECT max(run_id), max(generation) FROM {statements.planner(JOURNAL)} "
            f"WHERE sync_id = {sync_id}"
        )[0]
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
            f"WHERE sync_id = {sync_id}"
        )
        journal.append(connection, statements, generation, journal.CLAIMED, "{}")
        # Read back, so that a run that closes this one sees the same time (file names may contain it).
        ((generation.started_at,),) = connection.query(
            f"SELECT recorded_at FROM {statements.planner(JOURNAL)} "
            f"WHERE sync_id = {sync_id} AND generation = {generation.number}"
        )
    expires = math.inf if dialect.capabilities.exclusive_process else seconds
    return Lease(statements, generation, expires, read)


def _is_over(exclusive_process: bool, held_by: str | None, left: float) -> bool:
    """Where one process at a time can write, a lease that this one doesn't hold is over by that fact."""
    return held_by not in _HELD if exclusive_process else left <= 0


def _in_progress(statements: Statements, seconds: float | None) -> SyncInProgressError:
    left = (
        "" if seconds is None else f" Its lease can be taken over in {seconds:.0f} s unless it is extended."
    )
    return SyncInProgressError(
        f"Sync {statements.sync_id!r} is running already.{left}",
        expires_in=seconds,
        hint="Wait for it, or pass wait= (--wait) to do so.",
    )
