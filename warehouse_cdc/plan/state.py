"""The state of a sync as the templates read it: a plan, what became of it, and the columns asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warehouse_cdc.compile.layout import Column, Layout
from warehouse_cdc.dialects import ColumnType, Dialect
from warehouse_cdc.plan.record import Chunk, Ended, PlanColumn, PlanRecord
from warehouse_cdc.sync import OPERATIONS


@dataclass(frozen=True)
class Range:
    """Rows of a plan: one operation, and a range of buckets; None is open."""

    operation: str
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class StateColumn:
    """A column of the state under the number that the current layout gives it."""

    number: int
    state_sql: str
    kind: ColumnType


@dataclass(frozen=True)
class Prior:
    """A finished plan, ready for the state and audit macros.

    Attributes:
        plan_table: Its qualified name.
        rejections_table: Its qualified name.
        has_rejections: Whether any row of the rejections table counts.
        valid_chunks: Rejections of chunks below this number count.
        delivered: What was sent.
        unknown: What may have been sent.
        auto_removed: Removed rows left without a call.
        mapping_version: The plan's own.
        same_fingerprint: Its hashes compare with the current ones.
        lost_columns: It has columns that the current layout hasn't, so old versions can't be trusted.
        columns: The state's values, for each column of the current layout.
    """

    plan_table: str
    rejections_table: str
    has_rejections: bool
    valid_chunks: int
    delivered: tuple[Range, ...]
    unknown: tuple[Range, ...]
    auto_removed: bool
    mapping_version: str
    same_fingerprint: bool
    lost_columns: bool
    columns: tuple[StateColumn, ...]
    aborted_reason: str = "NULL"
    fields_sql: str = "NULL"


def ranges(chunks: Sequence[Chunk], delivered: int) -> tuple[Range, ...]:
    """The first ``delivered`` chunks as one range per operation."""
    found: dict[str, Range] = {}
    for chunk in chunks[:delivered]:
        found[chunk.operation] = Range(chunk.operation, None, chunk.high)
    rest = {chunk.operation for chunk in chunks[delivered:]}
    return tuple(
        found[operation] if operation in rest else Range(operation)
        for operation in OPERATIONS
        if operation in found
    )


def prior_state(dialect: Dialect, planner: str, record: PlanRecord, ended: Ended, layout: Layout) -> Prior:
    """The state that a finished plan left, for the columns of a layout."""
    held = {column.name: column for column in record.columns}
    columns = tuple(_state_column(dialect, column, held.get(column.name)) for column in layout.columns)
    names = {column.name for column in layout.columns}
    lost = any(name not in names for name in held) or any(
        state.kind.family != column.value.family or state.kind.family != column.previous.family
        for state, current in zip(columns, layout.columns, strict=True)
        if (column := held.get(current.name))
    )
    return Prior(
        plan_table=dialect.table(planner, record.plan_table),
        rejections_table=dialect.table(planner, record.rejections_table),
        has_rejections=ended.rejections > 0,
        valid_chunks=ended.delivered,
        delivered=ranges(record.chunks, ended.delivered),
        unknown=tuple(
            Range(chunk.operation, chunk.low, chunk.high)
            for chunk in (record.chunks[index] for index in ended.unknown)
        ),
        auto_removed=record.auto_removed,
        mapping_version=record.mapping_version,
        same_fingerprint=record.fingerprint_version == layout.fingerprint_version,
        lost_columns=lost,
        columns=columns,
    )


def _state_column(dialect: Dialect, column: Column, held: PlanColumn | None) -> StateColumn:
    if held is None:
        return StateColumn(column.number, dialect.null(column.stored.name), column.stored)
    kind = dialect.common_type(held.value, held.previous)
    new = dialect.converted(f"v_{held.number}", held.value, kind)
    old = dialect.converted(f"p_{held.number}", held.previous, kind)
    sql = f"CASE WHEN op = 'unchanged' OR takes_new THEN {new} ELSE {old} END"
    return StateColumn(column.number, sql, kind)


def values_differ(dialect: Dialect, layout: Layout, prior: Prior) -> str:
    """A condition: a row of the model (m) differs from the state (s) by value."""
    conditions = []
    for column, state in zip(layout.columns, prior.columns, strict=True):
        if column.key:
            continue
        if column.stored.family != state.kind.family:
            if state.kind.kind != "text":
                return "TRUE"
            # The two types had none in common. (Where the column really was text, its version differs.)
            text = dialect.canonical_text(f"m.{column.value}", column.stored)
            conditions.append(dialect.differs(text, f"s.{column.previous}"))
            continue
        sides = [(f"m.{column.value}", column.stored), (f"s.{column.previous}", state.kind)]
        if column.stored.family == "json" and column.stored != state.kind:
            sides = [dialect.as_json(*side) for side in sides]
        left, right = (dialect.comparable(*side) for side in sides)
        conditions.append(dialect.differs(left, right))
    return " OR ".join(conditions) or "FALSE"


def audited(dialect: Dialect, planner: str, record: PlanRecord, ended: Ended) -> Prior:
    """A finished plan for the audit macros: what became of each of its rows, and its fields as JSON."""
    new = [(column.name, f"v_{column.number}", column.value) for column in record.columns]
    old = [(column.name, f"p_{column.number}", column.previous) for column in record.columns]
    reason = "not sent" if ended.error is None else f"not sent: {ended.error}"
    return Prior(
        plan_table=dialect.table(planner, record.plan_table),
        rejections_table=dialect.table(planner, record.rejections_table),
        has_rejections=ended.rejections > 0,
        valid_chunks=ended.delivered,
        delivered=ranges(record.chunks, ended.delivered),
        unknown=tuple(
            Range(chunk.operation, chunk.low, chunk.high)
            for chunk in (record.chunks[index] for index in ended.unknown)
        ),
        auto_removed=record.auto_removed,
        mapping_version=record.mapping_version,
        same_fingerprint=True,
        lost_columns=False,
        columns=(),
        aborted_reason=dialect.literal(reason),
        fields_sql=(
            f"CASE WHEN op = 'removed' OR (op = 'kept' AND copies = 1) "
            f"THEN {dialect.json_object(old)} ELSE {dialect.json_object(new)} END"
        ),
    )
