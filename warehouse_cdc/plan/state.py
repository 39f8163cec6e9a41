"""The state of a sync as the templates read it: finished plans, what became of them, and the columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from warehouse_cdc.compile.layout import Column, Layout
from warehouse_cdc.dialects import ColumnType, Dialect
from warehouse_cdc.plan.record import Chunk, Ended, PlanColumn, PlanRecord
from warehouse_cdc.sync import OPERATIONS


@dataclass(frozen=True)
class Finished:
    """A plan that has ended.

    Attributes:
        run_id: Its run.
        record: The plan.
        ended: How it ended.
    """

    run_id: str
    record: PlanRecord
    ended: Ended

    @property
    def settled(self) -> bool:
        """Whether each of its rows is at the destination with the plan's values, or not at all."""
        return self.ended.complete(self.record) and self.record.kept == 0

    @property
    def at_rest(self) -> bool:
        """Whether nothing of it is due: the same model's rows would be no operation."""
        duplicates = sum(self.record.duplicates.values())
        return self.ended.complete(self.record) and (
            self.record.kept == 0 or (duplicates == 0 and self.record.kind == "run")
        )


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
class Part:
    """A finished plan, ready for the state and audit macros.

    Attributes:
        plan_table: Its qualified name.
        rows: Its rows with all the columns that a plan may have.
        rejections_table: Its qualified name.
        run_id: Its run, as a literal.
        has_rejections: Whether any row of the rejections table counts.
        counted: The condition of rejections that count.
        delivered: What was sent.
        unknown: What may have been sent.
        auto_removed: Removed rows left without a call.
        settled: As of ``Finished``.
        mapping_version: The plan's own.
        refusals: It tells how often rows were refused.
        columns: The state's values, for each column of the current layout.
        aborted_reason: Why the rest was not sent, as a literal.
        fields_sql: The audit tables' ``fields``.
    """

    plan_table: str
    rows: str
    rejections_table: str
    run_id: str
    has_rejections: bool
    counted: str
    delivered: tuple[Range, ...]
    unknown: tuple[Range, ...]
    auto_removed: bool
    settled: bool
    mapping_version: str
    refusals: bool
    columns: tuple[StateColumn, ...] = ()
    aborted_reason: str = "NULL"
    fields_sql: str = "NULL"


@dataclass(frozen=True)
class Prior:
    """The state to compare with.

    Attributes:
        base: The last full plan.
        delta: The newest plan of differences from it, or None.
        same_fingerprint: Their hashes compare with the current ones.
        lost_columns: They have columns that the current layout hasn't, so old versions can't be trusted.
        columns: The state's values, for each column of the current layout.
    """

    base: Part
    delta: Part | None
    same_fingerprint: bool
    lost_columns: bool
    columns: tuple[StateColumn, ...]


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


def prior_state(
    dialect: Dialect, planner: str, base: Finished, delta: Finished | None, layout: Layout
) -> Prior:
    """The state that finished plans left, for the columns of a layout."""
    plans = [base] if delta is None else [base, delta]
    newest = plans[-1]
    columns: list[list[StateColumn]] = [[] for _plan in plans]
    for column in layout.columns:
        held = [_held(plan.record, column.name) for plan in plans]
        kinds = [_state_kind(dialect, plan, of, column) for plan, of in zip(plans, held, strict=True)]
        kind = reduce(dialect.common_type, kinds)
        for place, (plan, of) in enumerate(zip(plans, held, strict=True)):
            columns[place].append(StateColumn(column.number, _state_sql(dialect, plan, of, kind), kind))
    names = {column.name for column in layout.columns}
    lost = any(of.name not in names for of in newest.record.columns) or any(
        state.kind.family != of.value.family or state.kind.family != of.previous.family
        for state, current in zip(columns[-1], layout.columns, strict=True)
        if (of := _held(newest.record, current.name))
    )
    parts = [part(dialect, planner, plan, tuple(each)) for plan, each in zip(plans, columns, strict=True)]
    return Prior(
        base=parts[0],
        delta=None if delta is None else parts[1],
        same_fingerprint=all(p.record.fingerprint_version == layout.fingerprint_version for p in plans),
        lost_columns=lost,
        columns=tuple(columns[-1]),
    )


def part(
    dialect: Dialect,
    planner: str,
    plan: Finished,
    columns: tuple[StateColumn, ...] = (),
    *,
    aborted_reason: str = "NULL",
    fields_sql: str = "NULL",
) -> Part:
    """A finished plan for the macros."""
    record, ended = plan.record, plan.ended
    table = dialect.table(planner, record.plan_table)
    return Part(
        plan_table=table,
        rows=rows_of(dialect, table, record.columns, lean=record.lean),
        rejections_table=dialect.table(planner, record.rejections_table),
        run_id=dialect.literal(plan.run_id),
        has_rejections=ended.rejections > 0,
        counted=ended.counted,
        delivered=ranges(record.chunks, ended.delivered),
        unknown=tuple(
            Range(chunk.operation, chunk.low, chunk.high)
            for chunk in (record.chunks[index] for index in ended.unknown)
        ),
        auto_removed=record.auto_removed,
        settled=plan.settled,
        mapping_version=record.mapping_version,
        refusals=record.refusals,
        columns=columns,
        aborted_reason=aborted_reason,
        fields_sql=fields_sql,
    )


def rows_of(dialect: Dialect, source: str, columns: Sequence[PlanColumn], *, lean: bool) -> str:
    """A plan's rows with all the columns that a plan may have; those that a lean one leaves out are NULL.

    Args:
        dialect: The dialect.
        source: The plan's table or query.
        columns: Its columns.
        lean: As of ``PlanRecord``.
    """
    if not lean:
        return source
    nulls = ", ".join(f"{null} AS {name}" for name, null in former_nulls(dialect, columns).items())
    return f"(SELECT wcdc_lean.*, {nulls} FROM {source} wcdc_lean)"


def former_nulls(dialect: Dialect, columns: Sequence[PlanColumn]) -> dict[str, str]:
    """The columns of a plan that tell of a former state, as NULLs."""
    text, number, boolean = dialect.text_type, dialect.hash_type, dialect.boolean_type
    types = {
        **{"was": text, "pending": boolean, "base_hash": number, "was_hash": number},
        **{"was_version": text, "confirmed": boolean, "key_run": text, "try_run": text, "try_of": text},
        **{"tries": "INTEGER", "failed_since": dialect.timestamp_type},
        **{f"p_{column.number}": column.previous.name for column in columns},
    }
    return {name: dialect.null(kind) for name, kind in types.items()}


def _held(record: PlanRecord, name: str) -> PlanColumn | None:
    return next((column for column in record.columns if column.name == name), None)


def _state_kind(dialect: Dialect, plan: Finished, held: PlanColumn | None, column: Column) -> ColumnType:
    """The type of a column's last delivered values."""
    if held is None:
        return column.stored
    return held.value if plan.settled else dialect.common_type(held.value, held.previous)


def _state_sql(dialect: Dialect, plan: Finished, held: PlanColumn | None, kind: ColumnType) -> str:
    if held is None:
        return dialect.null(kind.name)
    new = dialect.converted(f"v_{held.number}", held.value, kind)
    if plan.settled:
        return new
    old = dialect.converted(f"p_{held.number}", held.previous, kind)
    return f"CASE WHEN op = 'unchanged' OR {dialect.holds('takes_new')} THEN {new} ELSE {old} END"


def values_differ(dialect: Dialect, layout: Layout, prior: Prior) -> str:
    """A condition: a row of the model (m) differs from the state (s) by value."""
    conditions = []
    for column, state in zip(layout.columns, prior.columns, strict=True):
        if column.key:
            continue
        if column.stored.family != state.kind.family:
            if state.kind.kind != "text":
                return dialect.holds(dialect.true)
            # The two types had none in common. (Where the column really was text, its version differs.)
            text = dialect.canonical_text(f"m.{column.value}", column.stored)
            conditions.append(dialect.differs(text, f"s.{column.previous}"))
            continue
        sides = [(f"m.{column.value}", column.stored), (f"s.{column.previous}", state.kind)]
        if column.stored.family == "json" and column.stored != state.kind:
            sides = [dialect.as_json(*side) for side in sides]
        left, right = (dialect.comparable(*side) for side in sides)
        conditions.append(dialect.differs(left, right))
    return " OR ".join(conditions) or dialect.holds(dialect.false)


def audited(dialect: Dialect, planner: str, plan: Finished) -> Part:
    """A finished plan for the audit macros: what became of each of its rows, and its fields as JSON."""
    record, ended = plan.record, plan.ended
    new = [(column.name, f"v_{column.number}", column.value) for column in record.columns]
    old = [(column.name, f"p_{column.number}", column.previous) for column in record.columns]
    reason = "not sent" if ended.error is None else f"not sent: {ended.error}"
    return part(
        dialect,
        planner,
        plan,
        aborted_reason=dialect.literal(reason),
        fields_sql=(
            f"CASE WHEN op = 'removed' OR (op = 'kept' AND coalesce(copies, 1) = 1) "
            f"THEN {dialect.json_object(old)} ELSE {dialect.json_object(new)} END"
        ),
    )
