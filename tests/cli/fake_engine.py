"""A stand-in for the engine with the same methods, driven by the sync's id.

It says what the real one would say for runs that are hard to bring about: failures, guards, cancellations.
Run as a program it is the command line on this engine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from warehouse_cdc.errors import ConfigError, GuardError, ModelError, SyncInProgressError
from warehouse_cdc.sync import Sync

CALLS: list[tuple[str, dict[str, Any]]] = []


@dataclass
class Counts:
    planned: int = 0
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
    aborted: int = 0


@dataclass
class Progress:
    phase: str
    operation: str | None = None
    done: int = 0
    failed: int = 0
    total: int = 0


@dataclass
class Finding:
    name: str
    ok: bool
    detail: str
    fix: str = ""


@dataclass
class Rows:
    arrow: pa.Table

    def to_pylist(self) -> list[dict[str, Any]]:
        return self.arrow.to_pylist()


@dataclass
class Run:
    sync_id: str
    status: str
    error: str | None = None
    counts: dict[str, Counts] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    run_id: str = "01J0000000000000000000000A"
    null_key_rows: int = 0
    duplicates_dropped: int = 0
    seconds: float = 1.25


@dataclass
class DryRun:
    counts: dict[str, int]
    unchanged: int
    guards: list[str]
    notes: list[str]
    null_key_rows: int = 1
    duplicate_keys: int = 2

    def preview(self, limit: int = 10) -> pa.Table:
        table = pa.table(
            {
                "op": ["added", "changed"],
                "row_id": ["1", "2"],
                "email": ["ada@example.com", "tab\there \x1b[31mred"],
                "name": ["Ada", "Zoë 京"],
                "score": [1.5, float("nan")],
            }
        )
        return table.slice(0, limit)

    def sql(self) -> str:
        return "select 1"


class Warehouse:
    dialect = "duckdb"

    def __init__(self, target: Any, **options: Any) -> None:
        self.target = target
        self.options = options
        CALLS.append(("connect", {"target": target, **options}))

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *_: object) -> None:
        CALLS.append(("close", {}))

    def run(self, sync: Sync, **options: Any) -> Run:
        CALLS.append(("run", {"sync": sync.id, **options}))
        return _run(sync.id, options.get("progress"))

    def full_resync(
        self, sync: Sync, *, wait: float = 0.0, allow_empty: bool = False, progress: Any = None
    ) -> Run:
        options = {"wait": wait, "allow_empty": allow_empty, "progress": progress}
        CALLS.append(("full_resync", {"sync": sync.id, **options}))
        return _run(sync.id, options.get("progress"))

    def reset_cdc(
        self, sync: Sync, *, wait: float = 0.0, allow_empty: bool = False, progress: Any = None
    ) -> Run:
        CALLS.append(("reset_cdc", {"sync": sync.id, "wait": wait, "allow_empty": allow_empty}))
        return Run(sync.id, "success", counts={op: Counts() for op in ("removed", "changed", "added")})

    def plan(self, sync: Sync) -> DryRun:
        guards = ["80 of 100 rows left the model"] if sync.id == "guarded" else []
        return DryRun({"added": 1200, "changed": 1, "removed": 0}, 7, guards, ["columns changed"])

    def history(self, sync: Sync, limit: int | None = None) -> Rows:
        started = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
        runs = (
            [] if sync.id == "new" else [_history_row(sync.id, index, started) for index in range(limit or 3)]
        )
        return Rows(
            pa.Table.from_pylist(runs, schema=None) if runs else pa.table({"sync_id": pa.array([], "string")})
        )

    def rejections(self, sync: Sync) -> Rows:
        when = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
        count = 0 if sync.id == "good" else 3
        return Rows(
            pa.table(
                {
                    "row_id": [str(index) for index in range(count)],
                    "op": ["added"] * count,
                    "reason": ["no such \x1b[31m user"] * count,
                    "attempts": pa.array([5] * count, "int32"),
                    "first_failed_at": pa.array([when] * count, pa.timestamp("us", "UTC")),
                    "last_failed_at": pa.array([when] * count, pa.timestamp("us", "UTC")),
                }
            )
        )

    def setup_sql(self, principal: str | None = None) -> list[str]:
        return [f"create schema {self.options['planner_schema']}", f"grant usage to {principal or 'me'};"]

    def setup(self, principal: str | None = None) -> None:
        CALLS.append(("setup", {"principal": principal}))

    def check(self, sync: Sync | None = None) -> list[Finding]:
        findings = [Finding("planner schema", True, "create and usage")]
        if sync is not None and sync.id == "bad":
            findings.append(
                Finding("model", False, "no SELECT on customers", "grant select on customers to me")
            )
        return findings


def _history_row(sync_id: str, index: int, started: datetime) -> dict[str, Any]:
    row = {"sync_id": sync_id, "sync_run_id": f"01J{index:023}", "primary_key": "id", "destination": "files"}
    row |= {"model_name": "m", "model_id": "m", "status": "succeeded", "error": None}
    row |= {"started_at": started, "finished_at": started}
    for kind in ("planned", "attempted", "succeeded", "failed"):
        row |= {f"num_{kind}_{op}": 1000 + index for op in ("add", "change", "remove")}
    return row


def _run(sync_id: str, progress: Callable[[Progress], None] | None) -> Run:
    steps = [Progress("queued"), Progress("querying")]
    steps += [Progress("processing", "added", done, done // 10, 1000) for done in (0, 500, 1000)]
    for step in [*steps, Progress("reporting", None, 1000, 100, 1000)]:
        if progress is not None:
            progress(step)
        time.sleep(float(os.environ.get("FAKE_PAUSE", "0")))
    errors: dict[str, Exception] = {
        "model-error": ModelError("Only one SELECT is allowed", line=2, column=1, excerpt="drop table x\n^"),
        "config-error": ConfigError(
            "unknown field name 'mail'", code="unknown-field", hint="The model has email."
        ),
        "guarded": GuardError(
            "80 of 100 rows left", guard="max_removed", seen=80, limit=50, hint="--allow-removed"
        ),
        "busy": SyncInProgressError("Another run holds it", expires_in=3.0),
        "bug": KeyError("secret row value"),
    }
    if sync_id in errors:
        raise errors[sync_id]
    counts = {"removed": Counts(), "changed": Counts(1, 1, 1), "added": Counts(1000, 1000, 1000)}
    if sync_id == "rejecting":
        counts["added"] = Counts(1000, 1000, 997, 3)
        return Run(sync_id, "warning", counts=counts, notes=["columns changed"], null_key_rows=4)
    if sync_id == "failing":
        return Run(sync_id, "failed", "destination unreachable", counts)
    if sync_id == "stopped":
        return Run(sync_id, "cancelled", "cancelled", counts)
    return Run(sync_id, "success", counts=counts)


class Compiled:
    def __init__(self, sync: Sync, dialect: str, schema: Any, **schemas: str) -> None:
        CALLS.append(("compile", {"dialect": dialect, "schema": schema, **schemas}))
        self.statements = {"plan": f"select 1 -- {sync.id} in {dialect}", "counts": "select 2"}

    def sql(self) -> str:
        return ";\n".join(self.statements.values()) + ";"


def install(patch: Callable[[object, str, object], None]) -> None:
    """Put the stand-in where the command line looks for the engine."""
    import warehouse_cdc

    patch(warehouse_cdc, "connect", Warehouse)
    patch(warehouse_cdc, "compile", Compiled)


if __name__ == "__main__":
    install(setattr)
    from warehouse_cdc.cli import main

    sys.argv[0] = "warehouse-cdc"
    main()
