"""The rows of one chunk on their way: batches, lanes, time limits, and the rejections that come of them."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_cdc.destinations.base import Batch, JobWriter, RunContext, Writer
from warehouse_cdc.destinations.encoding import JSON, encode_column
from warehouse_cdc.destinations.whole import Whole
from warehouse_cdc.engine.jobs import JobSender, Wish
from warehouse_cdc.engine.pool import Pool
from warehouse_cdc.engine.request_log import RequestLog
from warehouse_cdc.engine.sending import Sender, Sent, Standing
from warehouse_cdc.errors import ConfigError
from warehouse_cdc.limits import Limiter
from warehouse_cdc.mapping.values import kind_of
from warehouse_cdc.plan.record import Chunk, Job
from warehouse_cdc.sync import Sync

_log = logging.getLogger("warehouse_cdc")
_LOOK = 0.2
"""Seconds between two looks for calls whose time is over."""
_BREATH = 0.002
"""Seconds in which several calls may end before they are looked at, while others wait for their turn."""
_AT_ONCE, _BYTES_AT_ONCE = 20_000, 4 * 1024 * 1024
"""The most rows and bytes whose JSON or objects are made at once: that is within one call's time."""


@dataclass(frozen=True)
class _Parcel:
    """A batch, and the rows of the plan that it is made of, from a place on."""

    batch: Batch
    chunk: pa.Table
    at: int

    @property
    def rows(self) -> pa.Table:
        """What the plan knows of the batch's rows."""
        return self.chunk.slice(self.at, len(self.batch))


Ahead = tuple[int, Chunk, pa.Table, pa.Table, pa.Table | None]
"""A chunk: its place among the plan's, itself, its rows, and their values in the destination's field names.

Of each row there are ``row_id``, ``key_run``, ``tries`` and ``failed_since``. The last are the values of the
chunk that follows, if they are at hand.
"""


class Sending(ABC):
    """How the rows of a plan are sent.

    Attributes:
        fatal: Why the run can't go on, or None.
        rejected: Rows that were not delivered.
    """

    def __init__(self, sync: Sync, cancelled: threading.Event) -> None:
        """Nothing was sent yet."""
        self.fatal: str | None = None
        self.rejected = 0
        self._sync = sync
        self._cancelled = cancelled

    @abstractmethod
    def deliver(
        self, operation: str, chunks: Iterator[Ahead]
    ) -> Iterator[tuple[int, Chunk, list[dict[str, Any]]]]:
        """Send an operation's chunks, until the run stops.

        Yields:
            Each chunk that was begun, in order, with a row of the table of rejections for each that was not
            delivered, but for ``op`` and ``chunk``.
        """

    @property
    def stopping(self) -> bool:
        """Whether no chunk is to be begun any more."""
        return self.fatal is not None or self._cancelled.is_set()

    def count(self, failures: Sequence[dict[str, Any]]) -> None:
        """Count what failed, and stop the run if it is too much."""
        self.rejected += sum(1 for failure in failures if failure["outcome"] != "aborted")
        limit = self._sync.max_rejected
        if limit is not None and self.rejected > limit:
            self.fatal = self.fatal or f"more than {limit} rows were rejected (max_rejected)"

    def calls(self) -> Sequence[str]:
        """Lines of the request log that were written elsewhere since they were taken last."""
        return ()

    def settle(self) -> None:  # noqa: B027
        """Wait until nothing is sent any more."""

    @abstractmethod
    def close(self) -> None:
        """Begin no batch any more, and let go of what it holds."""


class ChunkSender(Sending):
    """Sends batches from this process, one chunk after the other."""

    def __init__(
        self,
        sync: Sync,
        context: RunContext,
        writer: Writer,
        limiter: Limiter,
        check_lease: Callable[[], None],
        cancelled: threading.Event,
        sending: Callable[[], AbstractContextManager[None]] = nullcontext,
        log: RequestLog | None = None,
        standing: Standing | None = None,
        note: Callable[[Sequence[Job]], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            sync: What is sent.
            context: The run.
            writer: Takes the batches.
            limiter: Keeps calls within the destination's limits.
            check_lease: Raises once the run may not send any more.
            cancelled: Set when the run is to stop.
            sending: A context around each batch.
            log: Keeps each call.
            standing: What another sender has learned of the destination.
            note: Puts jobs in the journal; called by the thread that calls ``send``.

        Raises:
            ConfigError: The writer works by jobs, and nothing can be put in the journal.
        """
        if isinstance(writer, JobWriter) and note is None:
            raise ConfigError("Jobs are submitted by the process that writes the journal.", code="sync-parts")
        super().__init__(sync, cancelled)
        self._context = context
        self._sending = sending
        self._note = note
        self._came: queue.SimpleQueue[Future[Sent] | Wish] = queue.SimpleQueue()
        shared = (limiter, check_lease, cancelled, log, standing)
        self._jobs = (
            JobSender(sync, writer, *shared, self._came.put) if isinstance(writer, JobWriter) else None
        )
        self._sender = self._jobs or Sender(sync, writer, *shared)
        batch_rows = sync.batch_rows or sync.destination.capabilities.batch_rows
        self._batch_rows = min(filter(None, (batch_rows, limiter.most_rows)))
        self._concurrency = sync.at_once
        self._pool = Pool(self._concurrency)

    @property
    def standing(self) -> Standing:
        """What was learned of the destination."""
        return self._sender.standing

    def deliver(
        self, operation: str, chunks: Iterator[Ahead]
    ) -> Iterator[tuple[int, Chunk, list[dict[str, Any]]]]:
        """Send one chunk after the other."""
        whole: Whole | None = None
        for index, chunk, rows, values, following in chunks:
            whole, after = whole or _whole(values), _whole(following)
            yield index, chunk, self.send(operation, rows, values, whole=whole, after=after)
            whole = after
            if self.stopping:
                return

    def close(self) -> None:
        """Begin no batch any more, and let the threads end."""
        self._sender.close()
        self._pool.close()

    def send(
        self,
        operation: str,
        rows: pa.Table,
        values: pa.Table,
        tainted: frozenset[str] = frozenset(),
        *,
        whole: Whole | None = None,
        after: Whole | None = None,
    ) -> list[dict[str, Any]]:
        """Send a chunk's batches.

        Args:
            operation: What happened to the rows.
            rows: ``row_id``, ``key_run``, ``tries`` and ``failed_since`` of each.
            values: Their values, in the destination's field names.
            tainted: Ids of rows that earlier attempts of this run may have applied.
            whole: The values, if their batches share what is made of them.
            after: Those of the chunk that follows, of which a thread that is free makes the same.

        Returns:
            A row of the table of rejections for each that was not delivered, but for ``op`` and ``chunk``;
            with ``cut``, a row id of those that it would have been tried again with, had the sender not been
            stopped.
        """
        self._sender.tainted = tainted
        parcels: list[_Parcel] = []
        following: list[deque[_Parcel]] = []
        under_way: dict[Future[Sent], int] = {}
        done = self._came
        failures: list[dict[str, Any]] = []

        if self._jobs is not None:
            rows = rows.append_column("place", pa.array(np.arange(rows.num_rows)))

        def submit(lane: deque[_Parcel]) -> None:
            number = len(parcels)
            parcels.append(lane.popleft())
            following.append(lane)
            if self._jobs is not None:
                self._jobs.places[number] = parcels[number].rows.column("place").to_pylist()
            future = self._pool.submit(partial(self._observed, parcels[number].batch, number))
            under_way[future] = number
            future.add_done_callback(done.put)

        def collect(future: Future[Sent], sent: Sent) -> None:
            number = under_way.pop(future)
            failures.extend(self._collect(parcels[number], sent))
            if following[number]:
                submit(following[number])

        for lane in self._lanes(operation, rows, values, whole):
            submit(lane)
        if whole is not None and after is not None:
            self._pool.submit(partial(after.make_as, whole))
        looked = time.monotonic()
        while under_way:
            if self._jobs is None and len(under_way) > 2 * self._concurrency:
                time.sleep(_BREATH)
            for future in self._noted(taken(done, _LOOK)):
                if future in under_way:
                    collect(future, future.result())
            if time.monotonic() - looked < _LOOK:
                continue
            looked = time.monotonic()
            late = [
                (future, sent)
                for future, at in under_way.items()
                if at in self._sender.calls and (sent := self._sender.give_up(at))
            ]
            for future, sent in late:
                collect(future, sent)
            # What waits behind a call that hangs would wait for ever: it was never sent.
            while late and (waiting := [future for future in under_way if future.cancel()]):
                for future in waiting:
                    size = len(parcels[under_way[future]].batch)
                    collect(future, Sent(unsent=list(range(size))))
        return failures

    def _noted(self, came: list[Future[Sent] | Wish]) -> list[Future[Sent]]:
        """What has come, once the jobs that wait for that are in the journal."""
        wishes = [each for each in came if isinstance(each, Wish)]
        if wishes and self._note is not None:
            self._note([wish.job for wish in wishes])
            for wish in wishes:
                wish.noted.set()
        return [each for each in came if not isinstance(each, Wish)]

    def _lanes(
        self, operation: str, rows: pa.Table, values: pa.Table, whole: Whole | None
    ) -> Iterator[deque[_Parcel]]:
        """A chunk's batches: those of one lane are sent one after the other, the lanes beside each other."""
        ordered = self._sync.order_by
        if ordered is None:
            for parcel in self._parcels(operation, rows, values, whole):
                yield deque([parcel])
            return
        name = self._context.fields[self._context.columns.index(ordered)]
        places = _lanes_of(values.column(name), values.schema.field(name), self._concurrency)
        for lane in range(self._concurrency):
            taken = pa.array(np.flatnonzero(places == lane))
            if len(taken):
                part = values.take(taken)
                yield deque(self._parcels(operation, rows.take(taken), part, _whole(part)))

    def _parcels(
        self, operation: str, rows: pa.Table, values: pa.Table, whole: Whole | None
    ) -> Iterator[_Parcel]:
        """Rows as batches, none with too many rows or bytes."""
        able = self._sync.destination.capabilities
        most, batch_rows = able.batch_bytes, 1 if operation in able.single else self._batch_rows
        starts = range(0, rows.num_rows, batch_rows)
        pieces = [(at, min(batch_rows, rows.num_rows - at)) for at in starts]
        pieces.reverse()
        ids, runs = rows.column("row_id").to_pylist(), _listed(rows.column("key_run"))
        while pieces:
            at, size = pieces.pop()
            arrow = values.slice(at, size)
            if most is not None and size > 1 and arrow.nbytes > most:
                pieces += [(at + size // 2, size - size // 2), (at, size // 2)]
                continue
            batch = Batch(
                context=self._context,
                operation=operation,
                arrow=arrow,
                row_ids=ids[at : at + size],
                key_runs=runs[at : at + size],
                part_of=None if whole is None else (whole, at, arrow),
            )
            yield _Parcel(batch, rows, at)

    def _observed(self, batch: Batch, number: int) -> Sent:
        with self._sending():
            return self._sender.send(batch, number)

    def _collect(self, parcel: _Parcel, sent: Sent) -> list[dict[str, Any]]:
        """A batch's failures as rows of the rejections table."""
        found = rejected_rows(parcel.rows, sent) if sent.failures or sent.unsent else []
        self.fatal = self.fatal or sent.fatal
        if found:
            self.count([failure for failure in found if failure.get("cut") is None or self.fatal])
        if self.fatal:
            self._sender.stopped.set()
        return found


def _listed(column: pa.ChunkedArray) -> list[str]:
    """A column's texts, few of which differ."""
    known = column.unique()
    texts: list[str] = known.to_pylist() * len(column) if len(known) == 1 else column.to_pylist()
    return texts


def _whole(values: pa.Table | None) -> Whole | None:
    few = values is not None and values.num_rows <= _AT_ONCE and values.nbytes <= _BYTES_AT_ONCE
    return Whole(values) if few else None


def _lanes_of(column: pa.ChunkedArray, field: pa.Field, number: int) -> Any:
    """A lane for each row: the same for equal values."""
    if kind_of(field) in ("json", "decimal"):
        texts = [None if text is None else _one_spelling(str(text)) for text in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.large_string())])
    elif pa.types.is_nested(column.type):
        column = pa.chunked_array([pa.array(encode_column(column, field, JSON, {}), pa.large_string())])
    elif pa.types.is_floating(column.type):
        column = pc.add(column, pa.scalar(0.0, column.type))  # there is one zero
    return column.combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy() % number


def _one_spelling(text: str) -> str:
    """The same text for the same JSON or number, and perhaps for others, too."""

    def number(spelled: str) -> float:
        return float(spelled) + 0.0  # there is one zero

    try:
        return json.dumps(json.loads(text, parse_int=number, parse_float=number), sort_keys=True)
    except (ValueError, RecursionError):
        return text


def taken(came: queue.SimpleQueue[Any], seconds: float) -> list[Any]:
    """All that has come, or comes first within that time."""
    found: list[Any] = []
    with suppress(queue.Empty):
        found.append(came.get(timeout=seconds))
        while True:
            found.append(came.get_nowait())
    return found


def rejected_rows(rows: pa.Table, sent: Sent) -> list[dict[str, Any]]:
    """Rows of the table of rejections, but for ``op`` and ``chunk``.

    Args:
        rows: ``row_id``, ``tries`` and ``failed_since`` of what was to be sent.
        sent: What became of them, by their places.
    """
    now = datetime.now(timezone.utc)
    ids, tries, since = (rows.column(name) for name in ("row_id", "tries", "failed_since"))
    found = []
    for at, (outcome, reason, permanent, attempts) in sent.failures.items():
        found.append(
            {
                "row_id": ids[at].as_py(),
                "outcome": outcome,
                "reason": reason,
                "permanent": permanent,
                "attempts": (tries[at].as_py() or 0) + attempts,
                "first_failed_at": since[at].as_py() or now,
                "last_failed_at": now,
                "cut": ids[sent.cut[at]].as_py() if at in sent.cut else None,
            }
        )
    return found + [{"row_id": ids[at].as_py(), "outcome": "aborted"} for at in sent.unsent]


def close_quietly(writer: Writer) -> None:
    """What was delivered counts, also if the writer can't be closed."""
    try:
        writer.close()
    except Exception as error:
        _log.warning("the destination's writer could not be closed (%s)", type(error).__name__)
