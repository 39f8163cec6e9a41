"""Writing the audit tables: statements inside the warehouse, each safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from ulid import ULID

from warehouse_cdc.engine.journal import EPOCH
from warehouse_cdc.engine.result import Counts
from warehouse_cdc.plan.statements import Statements

_SHORT = {"added": "add", "changed": "change", "removed": "remove"}


def run_row(
    statements: Statements,
    run_id: str,
    *,
    primary_key: str,
    destination: str,
    model_name: str,
    model_id: str,
    status: str,
    error: str | None,
    started_at: datetime,
    counts: Mapping[str, Counts],
) -> str:
    """The INSERT of a run's row in ``sync_runs``, unless it is there."""
    dialect, table = statements.dialect, statements.audit("sync_runs")
    values = {
        "sync_id": dialect.literal(statements.sync_id),
        "sync_run_id": dialect.literal(run_id),
        "primary_key": dialect.literal(primary_key),
        "destination": dialect.literal(destination),
        "model_name": dialect.literal(model_name),
        "model_id": dialect.literal(model_id),
        "status": dialect.literal(status),
        "error": dialect.cast(dialect.literal(error), dialect.text_type),
        "started_at": dialect.instant(started_at),
        "finished_at": dialect.now,
    }
    for measure in ("planned", "attempted", "succeeded", "failed"):
        for operation, short in _SHORT.items():
            values[f"num_{measure}_{short}"] = str(getattr(counts.get(operation, Counts()), measure))
    return (
        f"INSERT INTO {table} ({', '.join(values)}) SELECT {', '.join(values.values())} "
        f"FROM (SELECT 1 AS one) wcdc_one WHERE NOT EXISTS "
        f"(SELECT 1 FROM {table} "
        f"WHERE {dialect.is_text('sync_id', values['sync_id'])} AND sync_run_id = {values['sync_run_id']})"
    )


def oldest_run(days: float) -> str:
    """The least id of runs that are not older than so many days."""
    now = datetime.now(timezone.utc)
    age = timedelta(days=min(days, (now - EPOCH).days))
    return str(ULID.from_datetime(now - age))[:10] + "0" * 16


def prune(statements: Statements, days: float) -> list[str]:
    """Delete what is older than so many days; run ids tell the time (D19, D27)."""
    oldest = statements.dialect.literal(oldest_run(days))
    return [
        f"DELETE FROM {statements.audit(table)} WHERE {statements.of_sync} AND sync_run_id < {oldest}"
        for table in ("sync_changelog", "sync_runs")
    ]
