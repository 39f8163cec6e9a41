"""Delivery: chunks in order, batches in parallel, rejections before checkpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_cdc.destinations.base import RunContext, Writer
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.chunks import Ahead, ChunkSender, Sending
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.parts import Parts, PartsSender
from warehouse_cdc.engine.request_log import RequestLog, log_of
from warehouse_cdc.engine.request_table import RequestTable
from warehouse_cdc.engine.result import Progress
from warehouse_cdc.engine.spool import Spool, ahead
from warehouse_cdc.engine.transitions import Observer, Step, observed
from warehouse_cdc.errors import CdcError, LeaseLostError
from warehouse_cdc.limits import Limiter, limiter
from warehouse_cdc.mapping.values import tagged
from warehouse_cdc.plan.record import Chunk, Ended, Job, PlanRecord
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import OPERATIONS, Sync
from warehouse_cdc.warehouses.base import Connection

PART_ROWS = 50_000
"""Rows that are in memory at once; several chunks are cut from them."""
PART_BYTES = 64 * 1024 * 1024
"""How many bytes they may have."""

Numbered = list[tuple[int, Chunk]]
"""Chunks with their place among the plan's."""

REJECTIONS = pa.schema(
    [
        ("row_id", pa.string()),
        ("op", pa.string()),
        ("chunk", pa.int32()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("permanent", pa.bool_()),
        ("attempts", pa.int32()),
        ("first_failed_at", pa.timestamp("us", tz="UTC")),
        ("last_failed_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class Part:
    """What a run needs to deliver its plan."""

    connection: Connection
    statements: Statements
    sync: Sync
    record: PlanRecord
    generation: journal.Generation
    lease: Lease
    context: RunContext
    fields: Sequence[tuple[str, str]]
    observer: Observer
    cancelled: threading.Event
    progress: Callable[[Progress], None]
    parts: Parts | None = None
    before: tuple[int, float] = (0, 0.0)
    """Rows that the run before had to send, and seconds since its last call, by the warehouse's clock."""


class Delivery:
    """Sends a journaled plan.

    Attributes:
        ended: What was delivered so far, as the next checkpoint will say it.
    """

    def __init__(self, part: Part, writer: Writer | None) -> None:
        """Prepare; nothing is read or sent yet.

        Args:
            part: What is to be delivered.
            writer: Takes the batches; None if the tasks of an executor send them.
        """
        self.ended = Ended("success")
        self._part = part
        self._writer = writer
        sync = part.sync
        self._log: RequestLog | None = None
        self._table: RequestTable | None = None
        if sync.request_log_table:
            self._table = RequestTable(part.connection, part.statements, sync, part.context.run_id)
        limits = limits_of(part)
        self._sender: Sending
        if writer is None:
            assert part.parts is not None
            self._sender = PartsSender(part.parts, sync, part.context, limits, part.lease, part.cancelled)
        else:
            self._log = log_of(sync, part.context)
            self._sender = ChunkSender(
                sync,
                part.context,
                writer,
                limits,
                part.lease.check,
                part.cancelled,
                partial(observed, part.observer, Step.SEND),
                self._log,
                note=self._note_jobs,
            )
        self._total = sum(chunk.rows for chunk in part.record.chunks)
        self._done = 0
        self._fatal: str | None = None
        self._published = 0
        self._pending: list[dict[str, Any]] = []

    def run(self) -> Ended:
        """Deliver everything, or what can be before the run stops.

        Raises:
            LeaseLostError: Another run may have taken the sync: nothing more was sent or written.
        """
        try:
            for operation in self._part.context.operations:
                if self._stopping:
                    break
                self._deliver(operation)
        except Exception:
            self._sender.settle()
            raise
        finally:
            self._sender.close()
            if self._log is not None:
                self._log.close()
        if self._fatal:
            return replace(self.ended, status="failed", error=self._fatal)
        if self._part.cancelled.is_set() and not self._finished:
            return replace(self.ended, status="cancelled", error="cancelled")
        return self.ended

    @property
    def _stopping(self) -> bool:
        return self._fatal is not None or self._part.cancelled.is_set()

    @property
    def _finished(self) -> bool:
        if self._part.record.publishes:
            return self._published == len(self._part.context.operations)
        return self.ended.delivered == len(self._part.record.chunks) and not any(self.ended.aborted.values())

    def _deliver(self, operation: str) -> None:
        for index, chunk, failures in self._sender.deliver(operation, self._chunks(operation)):
            self._fatal = self._fatal or self._sender.fatal
            self._pending += [{**failure, "op": operation, "chunk": index} for failure in failures]
            if not self._part.record.publishes:
                self._checkpoint(index + 1)
            self._keep_calls()
            self._done += chunk.rows
            self._report(operation)
        if self._stopping:
            return
        if self._part.record.publishes:
            self._publish(operation)

    def _keep_calls(self) -> None:
        if self._table is not None:
            self._table.write([*(self._log.take() if self._log is not None else ()), *self._sender.calls()])

    def _report(self, operation: str) -> None:
        self._part.progress(Progress("processing", operation, self._done, self._sender.rejected, self._total))

    # -- reading ----------------------------------------------------------------------------------

    def _chunks(self, operation: str) -> Iterator[Ahead]:
        """Each chunk of an operation with its rows, by row id."""
        numbered = [(i, c) for i, c in enumerate(self._part.record.chunks) if c.operation == operation]
        for taken in _grouped(numbered, self._part.connection.result_rows):
            whole = len(taken) == len(numbered)
            parts = _grouped(taken, PART_ROWS)
            spool = read(self._part, operation, taken, _highs(parts), whole=whole)
            with closing(spool), closing(ahead(self._ready(operation, spool, parts))) as ready:
                for chunks in ready:
                    for chunk, after in zip(chunks, [*chunks[1:], None], strict=True):
                        yield (*chunk, None if after is None else after[-1])

    def _ready(
        self, operation: str, spool: Spool, parts: Sequence[Numbered]
    ) -> Iterator[list[tuple[int, Chunk, pa.Table, pa.Table]]]:
        """The chunks of each part, as ``Ahead`` has them; a part of too many bytes is parted again."""
        for place, (part, size) in enumerate(zip(parts, spool.sizes, strict=True)):
            if size > PART_BYTES and len(part) > 1:
                rows = sum(chunk.rows for _index, chunk in part)
                finer = _grouped(part, rows * PART_BYTES // size)
                with closing(Spool(spool.batches(place), _highs(finer))) as again:
                    yield from self._ready(operation, again, finer)
                continue
            yield [
                (*found, values_of(self._part, operation, found[-1]))
                for found in cut(self._part, spool.part(place), part)
            ]

    # -- durable steps ----------------------------------------------------------------------------

    def _checkpoint(self, delivered: int) -> None:
        """Store the rejections and the checkpoint of all chunks below ``delivered``."""
        part = self._part
        with observed(part.observer, Step.CHECKPOINT), part.lease.fenced():
            self.ended = counted(self.ended, delivered, self._pending)
            part.lease.note(journal.CHECKPOINT, self.ended, rejections_of(self._pending))
        self._pending = []

    def _note_jobs(self, jobs: Sequence[Job]) -> None:
        """Store what is known of jobs, without which a successor couldn't ask for them."""
        part = self._part
        with observed(part.observer, Step.JOB), part.lease.fenced():
            part.lease.note(journal.CHECKPOINT, replace(self.ended, jobs=tuple(jobs)))

    def _publish(self, operation: str) -> None:
        """A unit that is published whole: rejections first, then the effect, then the checkpoint (D29)."""
        part = self._part
        if any(row["outcome"] == "aborted" for row in self._pending):
            self._pending = []
            return
        after = OPERATIONS[OPERATIONS.index(operation) + 1 :]
        chunks = part.record.chunks
        delivered = next((i for i, c in enumerate(chunks) if c.operation in after), len(chunks))
        with observed(part.observer, Step.REJECTIONS), part.lease.fenced():
            if (rejections := rejections_of(self._pending)) is not None:
                part.lease.reject(rejections)
        part.lease.check()
        try:
            with observed(part.observer, Step.PUBLISH):
                assert self._writer is not None
                self._writer.publish(operation)
        except LeaseLostError:
            raise
        except Exception as error:
            self._fatal = (
                error.message if isinstance(error, CdcError) else f"{type(error).__name__} in the destination"
            )
            units = [i for i, c in enumerate(chunks) if c.operation == operation]
            if getattr(error, "outcome_unknown", not isinstance(error, CdcError)):
                self.ended = replace(self.ended, unknown=tuple(units))
            self._pending = []
            return
        with observed(part.observer, Step.CHECKPOINT), part.lease.fenced():
            self.ended = counted(self.ended, delivered, self._pending)
            part.lease.note(journal.CHECKPOINT, self.ended)
        self._published += 1
        self._pending = []


def limits_of(part: Part) -> Limiter:
    """What keeps a run's calls within the destination's limits, those of the run before included."""
    sync = part.sync
    limits = limiter(sync.share_rate or sync.id, sync.rates) if sync.rates else Limiter()
    limits.assume(*part.before)
    return limits


def rejections_of(rows: Sequence[dict[str, Any]]) -> pa.Table | None:
    """Rows for the table of rejections, if there are any."""
    return pa.Table.from_pylist(list(rows), schema=REJECTIONS) if rows else None


def counted(ended: Ended, delivered: int, rejections: Sequence[dict[str, Any]]) -> Ended:
    """A checkpoint of the first ``delivered`` chunks, whose last ones have brought these rejections."""
    failed, aborted = dict(ended.failed), dict(ended.aborted)
    for row in rejections:
        counts = aborted if row["outcome"] == "aborted" else failed
        counts[row["op"]] = counts.get(row["op"], 0) + 1
    return replace(
        ended,
        delivered=delivered,
        rejections=ended.rejections + len(rejections),
        failed=failed,
        aborted=aborted,
    )


def read(part: Part, operation: str, taken: Numbered, highs: list[int], *, whole: bool) -> Spool:
    """Read chunks of an operation, all of which they are if ``whole``."""
    low, high = (None, None) if whole else (taken[0][1].low, taken[-1][1].high)
    sql = part.statements.read(part.context.run_id, part.record, operation, low, high)
    values = [c.previous if operation == "removed" else c.value for c in part.record.columns]
    with observed(part.observer, Step.READ):
        kinds = read_kinds(part.statements, values, lean=part.record.lean)
        rows = part.connection.stream(
            sql,
            kinds,
            idle_timeout=part.lease.idle_timeout,
            expected_rows=sum(chunk.rows for _index, chunk in taken),
        )
        with closing(ahead(rows)) as batches:
            return Spool(batches, highs)


def _highs(parts: Sequence[Numbered]) -> list[int]:
    """The highest bucket of each part."""
    return [chunks[-1][1].high for chunks in parts]


def _grouped(chunks: Numbered, rows: int) -> list[Numbered]:
    """Runs of chunks with at most so many rows each, or one chunk."""
    groups: list[Numbered] = []
    size = 0
    for numbered in chunks:
        size += numbered[1].rows
        if not groups or size > rows:
            groups.append([])
            size = numbered[1].rows
        groups[-1].append(numbered)
    return groups


def cut(part: Part, rows: pa.Table, chunks: Numbered) -> Iterator[tuple[int, Chunk, pa.Table]]:
    """Cut rows into chunks, each sorted by row id (D14)."""
    highs = np.asarray([chunk.high for _index, chunk in chunks])
    places = pa.array(np.searchsorted(highs, rows.column("bucket").cast(pa.int64()).to_numpy()))
    keys = pa.table({"place": places, "row_id": rows.column("row_id")})
    ordered = rows.take(pc.sort_indices(keys, [("place", "ascending"), ("row_id", "ascending")]))
    start = 0
    for index, chunk in chunks:
        yield index, chunk, _with_attempts(part, ordered.slice(start, chunk.rows))
        start += chunk.rows


def _with_attempts(part: Part, rows: pa.Table) -> pa.Table:
    """Rows of a lean plan with what others know of earlier attempts: there were none."""
    if not part.record.lean:
        return rows
    run_id, number = part.context.run_id, rows.num_rows
    return (
        rows.append_column("key_run", pa.repeat(run_id, number))
        .append_column("tries", pa.nulls(number, pa.int32()))
        .append_column("failed_since", pa.nulls(number, pa.timestamp("us", tz="UTC")))
    )


def read_kinds(statements: Statements, values: Sequence[Any], *, lean: bool) -> list[Any]:
    """The types of the columns that the read statement returns."""
    dialect = statements.dialect
    fixed = [dialect.text_type, "INTEGER"]
    if not lean:
        fixed += [dialect.text_type, "INTEGER", dialect.timestamp_type]
    return [*(dialect.column_type(name) for name in fixed), *values]


def values_of(part: Part, operation: str, rows: pa.Table) -> pa.Table:
    """The values of a plan's rows in the destination's field names."""
    numbers = {column.name: column.number for column in part.record.columns}
    tags = {number: tag for number, _sql, tag in part.statements.read_columns(part.record, operation)}
    former = {column.name: column.previous != column.value for column in part.record.columns}
    arrays, fields = [], []
    for column, name in part.fields:
        array, field = rows.column(f"c_{numbers[column]}"), part.context.schema.field(name)
        if operation == "removed" and former[column]:
            # It was delivered while the column had another type, and goes out as it was delivered.
            tag = tags[numbers[column]]
            field = pa.field(name, array.type) if tag is None else tagged(name, tag)
        arrays.append(array if array.type == field.type else array.cast(field.type))
        fields.append(field)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
