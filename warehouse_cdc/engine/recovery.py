"""What became of an interrupted run (D17, D29)."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.engine.delivery import Part
from warehouse_cdc.engine.settling import settle, settles
from warehouse_cdc.engine.store import count_rejections
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import OPERATIONS, Sync
from warehouse_cdc.warehouses.base import Connection


def how_it_ended(part: Part, layout: Layout) -> tuple[Ended, pa.Table | None]:
    """The end of a planned generation whose process is gone, and rejections that belong to it.

    What the journal says is delivered, is. Of jobs it says which there may be: their destination knows more.
    Delivery that was complete makes the run what it was; otherwise what was under way since the last
    checkpoint is unknown, unless it was to be sent by jobs, and the rest was never sent.

    Args:
        part: The generation, with the lease of the run that closes it.
        layout: What the sync compares and sends now.

    Raises:
        Interrupted: The run was cancelled while it asked for jobs.
        LeaseLostError: It isn't the sync's run any more.
    """
    record, progress, rejections = part.record, part.generation.progress, None
    if part.generation.delivered:
        return progress, None
    if record.kind == "reset":
        return Ended("success"), None
    if record.publishes:
        return (
            _published(part.connection, part.statements, record, progress, part.sync, part.context),
            None,
        )
    may_be_sent = progress.jobs or not record.jobs
    if progress.jobs and settles(part, layout):
        progress, rejections = settle(part)
        may_be_sent = False
    progress = replace(progress, jobs=())
    if progress.delivered == len(record.chunks) and not any(progress.aborted.values()):
        return replace(progress, status="success", error=None), rejections
    unknown = under_way(record, progress.delivered) if may_be_sent else ()
    return replace(progress, status="failed", error="interrupted", unknown=unknown), rejections


def under_way(record: PlanRecord, delivered: int) -> tuple[int, ...]:
    """The chunks after a checkpoint that may have been begun."""
    following = record.chunks[delivered : delivered + max(1, record.parts)]
    same = (chunk.operation == following[0].operation for chunk in following)
    return tuple(at for at, begun in enumerate(same, delivered) if begun)


def _published(
    connection: Connection,
    statements: Statements,
    record: PlanRecord,
    progress: Ended,
    sync: Sync,
    context: RunContext,
) -> Ended:
    """Units that take effect as a whole: ask the destination about the one after the last checkpoint."""
    context = replace(context, mode=record.mode, model_name=record.model_name, model_id=record.model_id)
    same = sync.destination.name == record.destination and sync.mode == record.mode
    delivered = progress.delivered
    for operation in OPERATIONS:
        chunks = [i for i, chunk in enumerate(record.chunks) if chunk.operation == operation]
        if operation not in context.operations or (chunks and chunks[-1] < delivered):
            continue
        if not chunks and record.cdc:
            continue  # nothing of it could be lost
        known = sync.destination.published(context, operation) if same else None
        if known:
            delivered = chunks[-1] + 1 if chunks else delivered
            continue
        ended = _with_rejections(connection, statements, record, progress, delivered)
        unknown = tuple(chunks) if known is None else ()
        return replace(ended, status="failed", error="interrupted", unknown=unknown)
    ended = _with_rejections(connection, statements, record, progress, delivered)
    return replace(ended, status="success", error=None)


def _with_rejections(
    connection: Connection, statements: Statements, record: PlanRecord, progress: Ended, delivered: int
) -> Ended:
    if delivered == progress.delivered:
        return progress
    failed = count_rejections(connection, statements, record, delivered)
    return replace(progress, delivered=delivered, rejections=sum(failed.values()), failed=failed)
