"""Scaling out: an operation's chunks are sent by the tasks of an executor, several at once.

One coordinator reads the plan, holds the lease and writes checkpoints. A task sends rows of one chunk for a
short time and tells what became of them; what it left is for another task. So what a coordinator that died
has under way ends by itself, before anyone may take the sync over.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from warehouse_cdc.destinations.base import RunContext, unknown
from warehouse_cdc.engine.chunks import Ahead, ChunkSender, Sending, close_quietly, rejected_rows
from warehouse_cdc.engine.lease import Clock, Lease
from warehouse_cdc.engine.request_log import log_of
from warehouse_cdc.engine.sending import Sent, Standing
from warehouse_cdc.errors import ConfigError, told
from warehouse_cdc.limits import CLOCKS, Limiter, Usage, Window, share
from warehouse_cdc.plan.record import Chunk
from warehouse_cdc.sync import Sync

SLICE = 5.0
"""Seconds that a task may send, at most."""
_LOOK = 0.2
"""Seconds between two looks at whether the run is to stop."""
_ANSWER = 120.0
"""Seconds that an executor may take for a task that does nothing."""


@dataclass(frozen=True)
class Parts:
    """How a run is scaled out.

    Attributes:
        executor: Runs the tasks: threads, processes, or a cluster's.
        number: How many chunks are under way at once.
    """

    executor: Executor
    number: int

    def check(self, sync: Sync, lease_seconds: float) -> None:
        """Look whether a sync can be scaled out, and whether its destination reaches the executor's workers.

        Raises:
            ConfigError: It can't.
        """
        hint = ""
        if isinstance(self.number, bool) or not isinstance(self.number, int) or self.number < 1:
            found = "parts must be a whole number of at least 1"
        elif sync.destination.publishes(sync.mode):
            found = "what takes effect as a whole is sent by one process"
        elif sync.destination.capabilities.jobs:
            found = "jobs are submitted by the process that writes the journal"
        elif sync.order_by is not None or sync.share_rate is not None:
            found = "order_by and share_rate hold within one process"
        elif sync.at_once < self.number:
            found, hint = (
                f"concurrency is {sync.at_once}, and {self.number} parts call at once",
                "Raise concurrency.",
            )
        elif sync.batch_timeout > lease_seconds / 2:
            found = f"batch_timeout ({sync.batch_timeout:g} s) is more than half of the lease"
            hint = "Lower batch_timeout or raise lease_seconds."
        else:
            share(sync.rates, self.number)
            self._try(sync)
            return
        raise ConfigError(f"Sync {sync.id!r} can't be sent in parts: {found}.", code="sync-parts", hint=hint)

    def _try(self, sync: Sync) -> None:
        """Send the sync to a worker, which does nothing with it."""
        try:
            self.executor.submit(_received, sync).result(timeout=_ANSWER)
        except Exception as error:
            raise ConfigError(
                f"Sync {sync.id!r} can't be sent in parts: it doesn't reach the executor's workers "
                f"({type(error).__name__}).",
                code="sync-parts",
                hint="A destination must be picklable: functions at the top of a module, URLs for engines.",
            ) from error


def _received(sync: Sync) -> str:
    return sync.destination.name


@dataclass(frozen=True)
class _Known:
    """What a part knows of the calls before."""

    usage: Usage
    standing: Standing


@dataclass(frozen=True)
class _Task:
    """Rows of one chunk, to be sent for a while.

    Attributes:
        sync: The sync, with this part's share of calls at once.
        windows: This part's share of the rates.
        known: What it knows of the calls before.
        seconds: How long it may begin calls.
        until: When it may not any more, by the wall clock: of another machine, if it is one.
        part: Its number, for its request log.
    """

    sync: Sync
    context: RunContext
    operation: str
    rows: pa.Table
    values: pa.Table
    windows: tuple[Window, ...]
    known: _Known
    seconds: float
    until: float
    part: int
    tainted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Done:
    """What became of a task: ``failures`` as ``ChunkSender.send`` returns them, ``calls`` for the log."""

    failures: list[dict[str, Any]]
    fatal: str | None
    known: _Known
    calls: Sequence[str] = ()


def perform(task: _Task) -> _Done:
    """Send a task's rows; runs wherever the executor does."""
    clock, over = Clock(), threading.Event()
    began = clock.now()

    def look() -> None:
        if clock.elapsed(began) >= task.seconds or time.time() >= task.until:
            over.set()

    look()
    limiter = Limiter(task.windows)
    limiter.resume(task.known.usage)
    try:
        writer = task.sync.destination.open(task.context)
    except Exception as error:
        return _Done(_unsent(task.rows), told(error), task.known)
    log = log_of(task.sync, task.context, task.part)
    timer = threading.Timer(max(0.0, min(task.seconds, task.until - time.time())), over.set)
    timer.daemon = True
    timer.start()
    sender = ChunkSender(
        task.sync, task.context, writer, limiter, look, over, log=log, standing=task.known.standing
    )
    try:
        failures = sender.send(task.operation, task.rows, task.values, task.tainted)
        calls = log.take() if log is not None else []
        return _Done(failures, sender.fatal, _Known(limiter.usage(), sender.standing), calls)
    finally:
        timer.cancel()
        sender.close()
        close_quietly(writer)
        if log is not None:
            log.close()


def _unsent(rows: pa.Table) -> list[dict[str, Any]]:
    return rejected_rows(rows, Sent(unsent=list(range(rows.num_rows))))


@dataclass
class _Turn:
    """Rows of a chunk that are to be sent yet, each with so many attempts left.

    Attributes:
        batch_rows: How many of them go together; None leaves that to the sync.
    """

    rows: pa.Table
    values: pa.Table
    attempts: int
    batch_rows: int | None = None

    def taken(self, at: list[int]) -> _Turn:
        """Some of its rows."""
        places = pa.array(at, pa.int64())
        return replace(self, rows=self.rows.take(places), values=self.values.take(places))


@dataclass
class _UnderWay:
    """A chunk under way, of which one task at a time is.

    Attributes:
        index: The chunk's place among the plan's.
        chunk: The chunk.
        turns: What is to be sent yet.
        part: Its part's number.
        future: The task under way.
        until: When it begins no call any more, by the wall clock.
        failures: Final ones.
        before: Failures of rows that are to be tried again.
        unknown: Rows of which an attempt was of unknown outcome.
    """

    index: int
    chunk: Chunk
    turns: deque[_Turn]
    part: int
    future: Future[_Done] | None = None
    until: float = 0.0
    failures: list[dict[str, Any]] = field(default_factory=list)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether nothing of it is to be sent any more."""
        return self.future is None and not self.turns

    def take(self, failures: list[dict[str, Any]], *, stopping: bool) -> None:
        """Take what became of a turn; what is left of it makes others unless the run stops."""
        turn = self.turns.popleft()
        self.future = None
        rows = {failure["row_id"]: failure for failure in failures}
        unsent = {row_id for row_id, failure in rows.items() if failure["outcome"] == "aborted"}
        cut = {row_id for row_id, failure in rows.items() if failure.get("cut") is not None}
        self.unknown |= {row_id for row_id, failure in rows.items() if failure["outcome"] == "unknown"}
        if stopping:
            unsent, cut = set(), set()
        self.failures += [self._final(f) for row_id, f in rows.items() if row_id not in unsent | cut]
        if not unsent | cut:
            return
        places = {row_id: at for at, row_id in enumerate(turn.rows.column("row_id").to_pylist())}
        if unsent:
            self.turns.appendleft(turn.taken(sorted(places[row_id] for row_id in unsent)))
        pieces: dict[str, list[int]] = {}
        for row_id in sorted(cut, key=places.__getitem__):
            self.before[row_id] = rows[row_id]
            pieces.setdefault(rows[row_id]["cut"], []).append(places[row_id])
        for size in sorted({len(piece) for piece in pieces.values()}):
            again = [at for piece in pieces.values() if len(piece) == size for at in piece]
            self.turns.appendleft(self._again(turn, turn.taken(again), size))

    def _again(self, turn: _Turn, left: _Turn, size: int) -> _Turn:
        """Rows of pieces of one size: what went together goes together, with what was learned of each row."""
        failed = [self.before[row_id] for row_id in left.rows.column("row_id").to_pylist()]
        tries = left.rows.column("tries").fill_null(0).to_pylist()
        used = max(failure["attempts"] - before for failure, before in zip(failed, tries, strict=True))
        rows = left.rows
        for name, key in (("tries", "attempts"), ("failed_since", "first_failed_at")):
            at = rows.schema.get_field_index(name)
            values = pa.array([failure[key] for failure in failed], rows.schema.field(at).type)
            rows = rows.set_column(at, rows.schema.field(at), values)
        return _Turn(rows, left.values, max(1, turn.attempts - used), size)

    def drop(self) -> None:
        """Send nothing more of it."""
        for turn in self.turns:
            self.failures += [self._final(failure) for failure in _unsent(turn.rows)]
        self.turns.clear()

    def _final(self, failure: dict[str, Any]) -> dict[str, Any]:
        if failure["outcome"] == "aborted":
            failure = self.before.get(failure["row_id"], failure)
        if failure["outcome"] == "failed" and failure["row_id"] in self.unknown:
            return {**failure, "outcome": "unknown"}  # one unknown attempt makes the operation's so (D10)
        return failure


class PartsSender(Sending):
    """Sends the rows of a plan in tasks, chunks beside each other."""

    def __init__(
        self,
        parts: Parts,
        sync: Sync,
        context: RunContext,
        limiter: Limiter,
        lease: Lease,
        cancelled: threading.Event,
    ) -> None:
        """Prepare.

        Args:
            parts: Where the tasks run.
            sync: What is sent.
            context: The run.
            limiter: What this process knows of calls before, and is told of these.
            lease: No task may send longer than it lasts.
            cancelled: Set when the run is to stop.
        """
        super().__init__(sync, cancelled)
        number = parts.number
        self._executor = parts.executor
        self._context = context
        self._limiter = limiter
        self._lease = lease
        self._share = replace(sync, concurrency=sync.at_once // number)
        self._windows = share(sync.rates, number)
        self._known = []
        most_rows, usage = Limiter(self._windows).most_rows, limiter.usage(own=False)
        for part in range(number):
            budget = sync.retry_budget
            if budget is not None:
                budget = budget // number + (part < budget % number)
            self._known.append(_Known(usage, Standing(budget=budget, most_rows=most_rows)))
        self._free = list(range(number))
        self._calls: list[str] = []
        self._not_before = 0.0
        self._window: deque[_UnderWay] = deque()

    def deliver(
        self, operation: str, chunks: Iterator[Ahead]
    ) -> Iterator[tuple[int, Chunk, list[dict[str, Any]]]]:
        """Send an operation's chunks: as many as there are parts, from the first that isn't over."""
        while True:
            while len(self._window) < len(self._known) and not self.stopping:
                following = next(chunks, None)
                if following is None:
                    break
                index, chunk, rows, values, _after = following
                turn = _Turn(rows, values, self._sync.max_attempts)
                self._window.append(_UnderWay(index, chunk, deque([turn]), self._free.pop()))
                self._begin(operation, self._window[-1])
            if not self._window:
                return
            self._wait(operation)
            while self._window and self._window[0].done:
                first = self._window.popleft()
                yield first.index, first.chunk, first.failures

    def calls(self) -> Sequence[str]:
        """What the tasks have logged."""
        taken, self._calls = self._calls, []
        return taken

    def settle(self) -> None:
        """Wait until no task sends any more: the sync is about to be given back."""
        for chunk in self._window:
            if chunk.future is not None:
                wait([chunk.future], max(0.0, chunk.until + self._sync.batch_timeout - time.time()))

    def close(self) -> None:
        """Tell this process's limiter what the parts have used."""
        for known in self._known:
            self._limiter.resume(known.usage, own=True)

    def _begin(self, operation: str, chunk: _UnderWay) -> None:
        """Send what is left of a chunk for a while."""
        turn, sync, limit = chunk.turns[0], self._share, self._sync.max_rejected
        if limit is not None:
            sync = replace(sync, max_rejected=max(0, limit - self.rejected))
        if turn.attempts != sync.max_attempts or turn.batch_rows is not None:
            sync = replace(sync, max_attempts=turn.attempts, batch_rows=turn.batch_rows or sync.batch_rows)
        known = self._known[chunk.part]
        seconds = min(SLICE, self._lease.left() - sync.batch_timeout)
        if seconds <= 0:  # the lease is about to be extended, or lost
            time.sleep(_LOOK)
        chunk.until = time.time() + seconds
        task = _Task(
            sync=sync,
            context=self._context,
            operation=operation,
            rows=turn.rows,
            values=turn.values,
            windows=self._windows,
            known=replace(
                known, usage=replace(known.usage, pause=max(0.0, self._not_before - time.monotonic()))
            ),
            seconds=seconds,
            until=chunk.until,
            part=chunk.part,
            tainted=frozenset(chunk.unknown),
        )
        try:
            chunk.future = self._executor.submit(perform, task)
        except Exception as error:
            failed = f"the executor takes no more tasks ({type(error).__name__})"
            self._take(operation, chunk, _Done(_unsent(turn.rows), failed, task.known))

    def _wait(self, operation: str) -> None:
        """Wait for a task, and go on with its chunk."""
        under_way = {chunk.future: chunk for chunk in self._window if chunk.future is not None}
        if under_way:
            wait(under_way, _LOOK, FIRST_COMPLETED)
        self._lease.check()
        for future, chunk in under_way.items():
            if self.stopping and future.cancel() or future.cancelled():
                failed = None if self.stopping else "The executor has cancelled a task."
                self._take(
                    operation, chunk, _Done(_unsent(chunk.turns[0].rows), failed, self._known[chunk.part])
                )
            elif future.done():
                error = future.exception()
                self._take(operation, chunk, future.result() if error is None else self._lost(chunk, error))
            elif self.stopping and time.time() > chunk.until + self._sync.batch_timeout:
                self._take(operation, chunk, self._lost(chunk, TimeoutError()))

    def _take(self, operation: str, chunk: _UnderWay, done: _Done) -> None:
        self._known[chunk.part] = done.known
        self._not_before = max(self._not_before, time.monotonic() + done.known.usage.pause)
        self._calls += done.calls
        before = len(chunk.failures)
        chunk.take(done.failures, stopping=self.stopping or done.fatal is not None)
        self.count(chunk.failures[before:])
        self.fatal = self.fatal or done.fatal
        if self.stopping:
            before = len(chunk.failures)
            chunk.drop()
            self.count(chunk.failures[before:])
        if chunk.turns:
            self._begin(operation, chunk)
        else:
            self._free.append(chunk.part)

    def _lost(self, chunk: _UnderWay, error: BaseException) -> _Done:
        """A task whose answer will never come: what it has sent is unknown."""
        rows, lost = chunk.turns[0].rows, unknown(f"the task that sent it was lost ({type(error).__name__})")
        sent = Sent()
        for at in range(rows.num_rows):
            sent.note(at, lost, 1, tainted=True, own=False)
        full = tuple(((window.seconds * CLOCKS, window.limit, True),) for window in self._windows)
        standing = self._known[chunk.part].standing
        return _Done(
            rejected_rows(rows, sent),
            f"A task was lost ({type(error).__name__}).",
            _Known(Usage(full), standing),
        )
