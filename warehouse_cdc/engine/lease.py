"""The lease: one writer a sync, by a generation that only one can take (the contract's step 1).

Correctness does not rest on clocks: what a run may not write any more is kept out by its ledger. The expiry
only decides when a successor may take over; a process measures its own lease with its own clock, from before
it asked.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import replace

import pyarrow as pa
from ulid import ULID

from warehouse_cdc.engine import journal
from warehouse_cdc.errors import CdcError, LeaseLostError, SyncInProgressError, WarehouseError
from warehouse_cdc.plan.record import Ended, PlanRecord
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


def is_held_here(held_by: str | None) -> bool:
    """Whether this process holds that lease now."""
    return held_by in _HELD


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


class Lease(ABC):
    """A held lease, and what its holder may write about its run.

    Attributes:
        generation: The generation that it holds, as the journal knows it.
    """

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        generation: journal.Generation,
        seconds: float,
        read: tuple[float, float],
    ) -> None:
        """Take note of a claim that was made when the clock showed ``read``."""
        self.generation = generation
        self._connection = connection
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
            raise self._gone()

    def left(self) -> float:
        """Seconds for which it is surely held; without end for one that can't expire."""
        return self._seconds - self._clock.elapsed(self._extended)

    def _gone(self) -> LeaseLostError:
        """The lease is over, from now on."""
        self._lost.set()
        return LeaseLostError(
            f"Sync {self._statements.sync_id!r}: this run's lease is over; another run may have taken it.",
            hint="Nothing more was sent or written. The next run goes on from the journal.",
        )

    @property
    def idle_timeout(self) -> float | None:
        """Seconds after which a silent holder's transaction must end: its locks would block a successor."""
        return None if math.isinf(self._seconds) else self._seconds

    # -- what its holder writes -------------------------------------------------------------------

    @abstractmethod
    def fenced(self, *, lock_timeout: float | None = None) -> AbstractContextManager[None]:
        """Around statements that only the holder of the sync may send.

        Args:
            lock_timeout: As of ``Connection.transaction``.

        Raises:
            LeaseLostError: It isn't this run any more.
        """

    @abstractmethod
    def plan(self, record: PlanRecord) -> None:
        """Make the table of its rejections and journal it, inside a fence: from here on it is the state."""

    @abstractmethod
    def take(
        self, generation: journal.Generation, ended: Ended, rejections: pa.Table | None = None
    ) -> Ended | None:
        """Journal what became of a run that died, inside a fence: from here on it can't end by itself.

        Args:
            generation: The run.
            ended: How it ended.
            rejections: Rows for the table of its rejections, which count only if this end does.

        Returns:
            How it ended, as the first run that closes it has found; None if it has ended by itself.
        """

    @abstractmethod
    def note(self, event: str, ended: Ended, rejections: pa.Table | None = None) -> None:
        """Journal how far delivery has come, inside a fence.

        Args:
            event: ``checkpoint`` or ``delivered``.
            ended: What was delivered.
            rejections: Rows for the table of rejections, stored with it or not at all.
        """

    @abstractmethod
    def reject(self, rejections: pa.Table) -> None:
        """Store rejections that count only once a later checkpoint says so, inside a fence."""

    @abstractmethod
    def end(
        self,
        generation: journal.Generation,
        event: str,
        ended: Ended,
        *,
        record: PlanRecord | None = None,
        release: bool,
    ) -> None:
        """End a generation, inside a fence, by compare-and-set.

        Args:
            generation: The run's own generation, or that of a run that it closes.
            event: ``committed`` or ``failed``.
            ended: How it ended.
            record: A plan that was not journaled: it had nothing to do.
            release: Give the sync back.

        Raises:
            LeaseLostError: Another run has ended it.
        """

    @abstractmethod
    def expire(self) -> None:
        """Let a successor take over at once; for a run that stops without having ended."""

    # -- staying alive ----------------------------------------------------------------------------

    def keep(self) -> None:
        """Extend the lease from a thread, until ``let_go``; a lease that can't expire needs none."""
        if math.isinf(self._seconds):
            return
        connection = self._another(self._connection)
        self._thread = threading.Thread(
            target=self._heartbeat, args=(connection,), name="wcdc-lease", daemon=True
        )
        self._thread.start()

    def _another(self, connection: Connection) -> Connection:
        """A session for the lease; later ones are made of it, not to wait for the run's statement."""
        made = connection.clone()
        made.labels = replace(connection.labels, stage="lease")
        return made

    def let_go(self) -> None:
        """Stop extending the lease; whatever ended the run, this process doesn't hold it any more."""
        self._stop.set()
        _HELD.discard(self._owner)
        if self._thread is not None:
            self._thread.join(timeout=5)

    @abstractmethod
    def _extend(self, connection: Connection) -> bool:
        """Extend the lease; False if it was taken over."""

    def _heartbeat(self, connection: Connection) -> None:
        try:
            while not self._stop.wait(self._seconds / 4):
                read = self._clock.now()
                try:
                    held = self._extend(connection)
                except WarehouseError as error:
                    _log.warning("lease of sync %r not extended: %s", self._statements.sync_id, error.code)
                    try:
                        connection.close()
                        connection = self._another(connection)
                    except CdcError:
                        continue  # the lease runs out by itself if this goes on
                    continue
                if not held:
                    self._lost.set()
                    return
                self._extended = read
        finally:
            connection.close()


def in_progress(statements: Statements, seconds: float | None) -> SyncInProgressError:
    """The error of a sync that another run holds, for so many seconds at least."""
    left = (
        "" if seconds is None else f" Its lease can be taken over in {seconds:.0f} s unless it is extended."
    )
    return SyncInProgressError(
        f"Sync {statements.sync_id!r} is running already.{left}",
        expires_in=seconds,
        hint="Wait for it, or pass wait= (--wait) to do so.",
    )
