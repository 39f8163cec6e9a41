"""The contract as a plain-Python model: what a run plans, and what an outcome makes of a row's state.

Nothing here knows SQL. Rows are dictionaries; the state is a dictionary of row id to ``Held``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

Values = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """What the state keeps of a row that isn't absent (contract §3)."""

    state: str
    values: Values
    version: str
    confirmed: bool
    gone: bool = False
    attempt: tuple[str, Any, str, str] | None = None
    """An operation of unknown outcome: (operation, values, version, run of its idempotency key)."""


@dataclass(frozen=True)
class Operation:
    """An operation of a plan."""

    kind: str
    new: Values | None
    held: Held | None
    key_run: str


@dataclass
class Plan:
    """What a run plans."""

    run_id: str
    version: str
    operations: dict[str, Operation] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    duplicate_values: dict[str, Values] = field(default_factory=dict)
    quiet: dict[str, Values] = field(default_factory=dict)
    """Rows of the model that make no operation, with the values that the snapshot shows."""
    before: dict[str, Held] = field(default_factory=dict)
    after: dict[str, Held] = field(default_factory=dict)
    """The state of rows that make no operation."""
    forgotten: set[str] = field(default_factory=set)
    auto_removed: bool = False
    clears: bool = False
    counted: bool = True


@dataclass(frozen=True)
class Setup:
    """A sync's settings, as far as they matter to the plan."""

    mode: str = "upsert"
    on_removed: str = "delete"
    fields: tuple[str, ...] = ("email", "score")
    on_duplicate: str = "reject"

    @property
    def version(self) -> str:
        """The mapping version: other mapped fields are another one."""
        return ",".join(self.fields)


def remembered(state: dict[str, Held], last_version: str | None, setup: Setup) -> dict[str, Held]:
    """A plan keeps the columns of its mapping: other values are gone, and older versions can't come back."""
    if last_version is None:
        return state
    kept = last_version.split(",")
    found = {}
    for row_id, held in state.items():
        held = replace(held, values=_limited(held.values, kept))
        if held.attempt is not None:
            operation, values, version, run_id = held.attempt
            held = replace(held, attempt=(operation, _limited(values, kept), version, run_id))
        lost = held.version != setup.version and not set(kept) <= set(setup.fields)
        found[row_id] = replace(held, version="") if lost else held
    return found


def _limited(values: Values, fields: list[str]) -> Values:
    return {name: value for name, value in values.items() if name in ("id", *fields)}


def plan(rows: list[Values], state: dict[str, Held], setup: Setup, run_id: str, kind: str = "run") -> Plan:
    """What a run of this kind plans, for a model that returns these rows."""
    made = Plan(run_id, setup.version, before=dict(state))
    made.auto_removed = setup.on_removed == "nothing" or setup.mode == "insert"
    made.clears = setup.on_removed == "clear"
    made.counted = kind != "reset"
    if kind == "reset":
        made.before = {}
    copies: dict[str, list[Values]] = {}
    for row in rows:
        if row["id"] is not None:
            compared = {name: row[name] for name in ("id", *setup.fields)}
            copies.setdefault(str(row["id"]), []).append(compared)
    if kind in ("resync", "reset"):
        made.forgotten = set(state) - set(copies) if kind == "resync" else set(state)
    for row_id, found in copies.items():
        held = None if kind == "reset" else state.get(row_id)
        if kind == "resync" and held is not None:
            held = replace(held, state="unconfirmed", attempt=None, gone=False)
        first = min(found, key=lambda row: _canonical(row, setup))
        if len(found) > 1 and setup.on_duplicate == "reject":
            made.duplicates[row_id] = len(found)
            made.duplicate_values[row_id] = first
            if held is not None:
                made.after[row_id] = replace(held, gone=False)
            continue
        _plan_row(made, setup, kind, row_id, first, held)
    if kind == "run":
        for row_id, held in state.items():
            if row_id not in copies and setup.mode != "insert":
                made.operations[row_id] = _operation(made, "removed", None, held)
    return made


def _canonical(row: Values, setup: Setup) -> tuple[Any, ...]:
    """Canonical order: the key, then by column name; NULL first, then text byte for byte."""
    return tuple(
        (row[name] is not None, str(row[name]).encode() if row[name] is not None else b"")
        for name in ("id", *sorted(setup.fields))
    )


def _plan_row(made: Plan, setup: Setup, kind: str, row_id: str, row: Values, held: Held | None) -> None:
    sends_changed = setup.mode != "insert"
    if kind == "reset":
        made.quiet[row_id] = row
        made.after[row_id] = Held("present", row, made.version, True)
    elif kind == "resync" or held is None or held.state == "unconfirmed":
        made.operations[row_id] = _operation(made, "added", row, held)
    elif held.state == "stale" or held.version != made.version or held.values != row:
        if sends_changed:
            made.operations[row_id] = _operation(made, "changed", row, held)
        else:
            made.quiet[row_id] = {name: held.values.get(name) for name in row}
            made.after[row_id] = replace(held, gone=False)
    else:
        made.quiet[row_id] = row
        made.after[row_id] = Held("present", row, made.version, True)


def _operation(made: Plan, kind: str, new: Values | None, held: Held | None) -> Operation:
    values = new if new is not None else (held.values if held is not None else None)
    key_run = made.run_id
    if held is not None and held.attempt is not None:
        operation, attempted, version, run_id = held.attempt
        if (operation, attempted, version) == (kind, values, made.version):
            key_run = run_id
    return Operation(kind, new, held, key_run)


def settle(made: Plan, outcomes: dict[str, str]) -> dict[str, Held]:
    """The state after a plan, given each operation's outcome: succeeded, failed, aborted or unknown."""
    state = dict(made.after)
    for row_id, operation in made.operations.items():
        if operation.kind == "removed" and made.auto_removed:
            continue
        held = _settled(made, operation, outcomes[row_id])
        if held is not None:
            state[row_id] = held
    return state


def _settled(made: Plan, operation: Operation, outcome: str) -> Held | None:
    held, kind = operation.held, operation.kind
    attempt = held.attempt if held is not None else None
    if outcome == "unknown":
        values = operation.new if operation.new is not None else (held.values if held else None)
        attempt = (kind, values, made.version, operation.key_run)
    if kind == "added":
        if outcome == "succeeded":
            assert operation.new is not None
            return Held("present", operation.new, made.version, True)
        if outcome == "unknown":
            if held is not None and held.confirmed:
                return replace(held, state="unconfirmed", gone=False, attempt=attempt)
            assert operation.new is not None
            return Held("unconfirmed", operation.new, made.version, False, attempt=attempt)
        return None if held is None else replace(held, gone=False)
    assert held is not None
    if kind == "changed":
        if outcome == "succeeded":
            assert operation.new is not None
            return Held("present", operation.new, made.version, True)
        return replace(held, state="stale", gone=False, attempt=attempt)
    if outcome == "succeeded":
        return None
    state = "unconfirmed" if outcome == "unknown" or held.state == "unconfirmed" else "stale"
    return replace(held, state=state, gone=True, attempt=attempt)


def counts(made: Plan, outcomes: dict[str, str]) -> dict[str, tuple[int, int, int, int]]:
    """Planned, attempted, succeeded and failed by operation (D23)."""
    planned: Counter[str] = Counter()
    attempted: Counter[str] = Counter()
    succeeded: Counter[str] = Counter()
    for row_id, operation in made.operations.items():
        outcome = "succeeded" if operation.kind == "removed" and made.auto_removed else outcomes[row_id]
        planned[operation.kind] += 1
        attempted[operation.kind] += outcome != "aborted"
        succeeded[operation.kind] += outcome == "succeeded"
    for row_id in made.duplicates if made.counted else ():
        kind = "added" if row_id not in made.before else "changed"
        planned[kind] += 1
        attempted[kind] += 1
    return {
        kind: (planned[kind], attempted[kind], succeeded[kind], attempted[kind] - succeeded[kind])
        for kind in ("added", "changed", "removed")
    }


def snapshot(made: Plan, outcomes: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Row id to (op_type, status), as the snapshot shows them (D25)."""
    shown = dict.fromkeys(made.quiet, ("unchanged", "succeeded"))
    for row_id in made.duplicates:
        shown[row_id] = ("added" if row_id not in made.before else "changed", "failed")
    for row_id, operation in made.operations.items():
        if operation.kind == "removed" and made.auto_removed:
            continue
        outcome = outcomes[row_id]
        if operation.kind == "removed" and outcome == "succeeded":
            continue
        status = {"succeeded": "succeeded", "aborted": "aborted"}.get(outcome, "failed")
        shown[row_id] = (operation.kind, status)
    return shown
