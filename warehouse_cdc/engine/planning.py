"""From a described model to a journaled plan: the plan's table, its counts, and the guards."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.errors import GuardError
from warehouse_cdc.plan.record import Chunk, Ended, PlanColumn, PlanRecord
from warehouse_cdc.plan.state import Prior
from warehouse_cdc.plan.statements import GIVEN_UP
from warehouse_cdc.sync import OPERATIONS, Sync

STATE_ROWS_FOR_SHARE = 100
"""A share as ``max_removed`` counts from this many rows of state on (D16)."""


@dataclass
class Summary:
    """Counts of a plan.

    Attributes:
        planned: Operations by kind, duplicates not counted.
        duplicates: Duplicated keys by the operation that they count as.
        unchanged: Rows that are not sent.
        model_rows: Distinct keys of the model.
        state_rows: Rows of the former state that weren't absent.
        newly_removed: Rows that left the model since the last plan.
        kept: Rows that stay as they were although the model has others.
        given_up: Those that a policy keeps from being sent.
        rows: Rows of the plan.
        null_keys: Those without a key.
        buckets: Rows by operation and bucket.
        checksums: Of the model's rows, part by part.
    """

    planned: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    model_rows: int = 0
    state_rows: int = 0
    newly_removed: int = 0
    kept: int = 0
    given_up: int = 0
    rows: int = 0
    null_keys: int = 0
    buckets: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    checksums: list[int | None] = field(default_factory=list)


def summarize(
    rows: Iterable[tuple[str, str, bool, bool, bool, int | None, int, int | None]], base_rows: int = 0
) -> Summary:
    """Fold the summary statement's rows (op, was, pending, duplicate, in_base, bucket, count, checksum).

    Args:
        rows: What the statement returned.
        base_rows: Of a plan of differences: rows of the model at the last full plan. Those that this plan
            doesn't hold are in the model and in the state as they were.
    """
    found = Summary(model_rows=base_rows, state_rows=base_rows, unchanged=base_rows)
    for op, was, pending, duplicate, in_base, bucket, count, checksum in rows:
        found.rows += count
        if in_base and base_rows:
            found.model_rows -= count
            found.state_rows -= count
            found.unchanged -= count
        if op in ("null_key", "gone"):
            found.null_keys += count if op == "null_key" else 0
            continue
        if was != "absent":
            found.state_rows += count
        if op != "removed":
            found.model_rows += count
            found.checksums.append(checksum)
        if op in ("kept", *GIVEN_UP.values()):
            found.kept += count
        if op in GIVEN_UP.values():
            found.given_up += count
        if duplicate:
            found.duplicates["added" if was == "absent" else "changed"] += count
        elif op in OPERATIONS:
            found.planned[op] += count
            found.buckets[op][bucket or 0] += count
            if op == "removed" and not pending:
                found.newly_removed += count
        else:
            found.unchanged += count
    return found


def cut_chunks(summary: Summary, chunk_rows: int, *, most: int, skip_removed: bool) -> tuple[Chunk, ...]:
    """Ranges of buckets with about ``chunk_rows`` rows each, in the order of sending (D14).

    More than that where there would be more than ``most`` of an operation.
    """
    chunks = []
    for operation in OPERATIONS:
        if operation == "removed" and skip_removed:
            continue
        counts = sorted(summary.buckets[operation].items())
        size = max(chunk_rows, sum(n for _b, n in counts) // most)
        low, rows = 0, 0
        for place, (bucket, count) in enumerate(counts):
            rows += count
            following = counts[place + 1][1] if place + 1 < len(counts) else None
            if following is None or rows + following > size:
                chunks.append(Chunk(operation, low, bucket, rows))
                low, rows = bucket + 1, 0
    return tuple(chunks)


def check_guards(
    sync: Sync,
    kind: str,
    summary: Summary,
    before: int,
    *,
    allow_removed: bool,
    allow_empty: bool,
) -> None:
    """Stop a run that would remove too much (D16).

    Raises:
        GuardError: With what it saw and how to allow it.
    """
    effective = sync.sends_removed or sync.traits.replaces
    held = max(summary.state_rows, before)
    if effective and sync.require_rows and not allow_empty and summary.model_rows == 0 and held > 0:
        raise GuardError(
            f"Sync {sync.id!r}: the model returns no row with a key, but the last run left {held}.",
            guard="require_rows",
            seen=0,
            limit=1,
            hint="If that is right, pass allow_empty=True (--allow-empty) once, or set require_rows=False.",
        )
    removed, rows = summary.newly_removed, summary.state_rows
    if sync.traits.replaces:
        rows = before
        removed = max(0, rows - summary.model_rows)
    elif kind != "run" or not sync.sends_removed:
        return
    limit = removal_limit(sync, rows)
    if limit is not None and not allow_removed and removed > limit:
        raise GuardError(
            f"Sync {sync.id!r}: the run would remove {removed} of {rows} rows; max_removed allows {limit}.",
            guard="max_removed",
            seen=removed,
            limit=limit,
            hint="If that is right, pass allow_removed=True (--allow-removed) once, or raise max_removed.",
        )


def rows_left(record: PlanRecord | None, ended: Ended | None) -> int:
    """Rows that the last run left at the destination; one without CDC that failed left what it found."""
    if record is None or ended is None:
        return 0
    return record.state_rows if record.kind == "full" and ended.status != "success" else record.model_rows


def removal_limit(sync: Sync, state_rows: int) -> int | None:
    """The most rows that may newly leave the model; None is no limit."""
    if sync.max_removed is None:
        return None
    if isinstance(sync.max_removed, int):
        return sync.max_removed
    # As it is written: 0.29 of 100 rows are 29, though the nearest binary number is a little less.
    share = Fraction(str(sync.max_removed))
    return int(share * state_rows) if state_rows >= STATE_ROWS_FOR_SHARE else None


def plan_columns(layout: Layout, prior: Prior | None) -> tuple[PlanColumn, ...]:
    """The columns of the plan that a layout and a former state make."""
    previous = {state.number: state.kind for state in prior.columns} if prior else {}
    return tuple(
        PlanColumn(c.name, c.number, c.stored, previous.get(c.number, c.stored)) for c in layout.columns
    )


def type_notes(layout: Layout, before: PlanRecord | None) -> list[str]:
    """What a run says about columns whose type changed within its family."""
    if before is None:
        return []
    held = {column.name: column.value for column in before.columns}
    return [
        f"column {column.name!r} changed from {held[column.name].name} to {column.stored.name}: "
        "rows were compared by value"
        for column in layout.columns
        if column.name in held and held[column.name] != column.stored
    ]


def same_key(layout: Layout, before: Sequence[str]) -> bool:
    """Whether the primary key is the one of the stored state (D8)."""
    return tuple(before) == layout.primary_key
