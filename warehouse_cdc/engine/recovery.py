"""What became of an interrupted run (D17, D29)."""

from __future__ import annotations

from dataclasses import replace

from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.store import count_rejections
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import OPERATIONS, Sync
from warehouse_cdc.warehouses.base import Connection


def how_it_ended(
    connection: Connection,
    statements: Statements,
    generation: journal.Generation,
    sync: Sync,
    context: RunContext,
) -> Ended:
    """The end of a planned generation whose process is gone.

    What the journal says is delivered, is. Delivery that was complete makes the run what it was; otherwise
    what was under way since the last checkpoint is unknown and the rest was never sent.
    """
    record = generation.plan
    assert record is not None
    progress = generation.progress
    if generation.delivered:
        return progress
    if record.kind == "reset":
        return Ended("success")
    if record.publishes:
        return _published(connection, statements, record, progress, sync, context)
    if progress.delivered == len(record.chunks) and not any(progress.aborted.values()):
        return replace(progress, status="success", error=None)
    unknown = under_way(record, progress.delivered)
    return replace(progress, status="failed", error="interrupted", unknown=unknown)


def under_way(record: PlanRecord, delivered: int) -> tuple[int, ...]:
    """The chunks after a checkpoint that may have been begun."""
    following = record.chunks[delivered : delivered + record.parts]
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
