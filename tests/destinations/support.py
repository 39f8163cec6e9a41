"""Runs and batches for tests of destinations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa

from warehouse_cdc.destinations import Batch, Destination, RunContext, Writer

RUN = "01J9Z3M5T8Q2W4E6R8T0Y1U3I5"
STARTED = datetime(2024, 3, 7, 9, 5, 6, 78_900, tzinfo=timezone.utc)
OPERATIONS = {"upsert": ("removed", "changed", "added"), "update": ("removed", "changed", "added")}


def make_context(schema: pa.Schema, **changes: Any) -> RunContext:
    """A run of a sync that writes a schema's fields; the first field identifies the record."""
    mode = changes.get("mode", "upsert")
    values: dict[str, Any] = {
        "sync_id": "customers",
        "run_id": RUN,
        "started_at": STARTED,
        "model_name": "Customers",
        "model_id": "customers-model",
        "mode": mode,
        "on_removed": "nothing",
        "match": (schema.names[0],),
        "fields": tuple(schema.names),
        "schema": schema,
        "operations": ("removed", "changed", "added") if mode == "diff" else OPERATIONS.get(mode, ("added",)),
        "batch_timeout": 20.0,
    }
    return RunContext(**{**values, **changes})


def make_batch(
    context: RunContext,
    rows: Sequence[Sequence[Any]],
    operation: str = "added",
    *,
    ids: Sequence[str] | None = None,
) -> Batch:
    """A batch of rows, given as tuples of values in the order of the context's fields."""
    columns = [
        pa.array([row[index] for row in rows], field.type) for index, field in enumerate(context.schema)
    ]
    row_ids = list(ids) if ids is not None else [str(number) for number in range(len(rows))]
    return Batch(
        context=context,
        operation=operation,
        arrow=pa.Table.from_arrays(columns, schema=context.schema),
        row_ids=row_ids,
        key_runs=[context.run_id] * len(rows),
    )


def send(
    destination: Destination,
    context: RunContext,
    rows: Sequence[Sequence[Any]],
    operation: str = "added",
) -> dict[int, str]:
    """Check, open, write one batch and close; the reason of each row that failed."""
    destination.check(context)
    writer = destination.open(context)
    try:
        return reasons(writer, make_batch(context, rows, operation))
    finally:
        writer.close()


def reasons(writer: Writer, batch: Batch) -> dict[int, str]:
    """Write a batch; the reason of each row that failed, which must be a rejection."""
    outcomes: Mapping[int, Any] = writer.write(batch)
    assert {outcome.status for outcome in outcomes.values()} <= {"rejected"}
    return {position: outcome.reason for position, outcome in outcomes.items()}
