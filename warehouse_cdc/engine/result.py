"""What a run returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.sync import OPERATIONS


@dataclass(frozen=True)
class Counts:
    """Counts of one operation: planned = attempted + aborted, attempted = succeeded + failed (D23)."""

    planned: int = 0
    attempted: int = 0
    succeeded: int = 0
    failed: int = 0
    aborted: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: ``queued``, ``querying``, ``processing`` or ``reporting``.
        operation: The operation being sent, or None.
        done: Operations with an outcome.
        failed: Those of them that failed.
        total: Operations that the run sends.
    """

    phase: str
    operation: str | None = None
    done: int = 0
    failed: int = 0
    total: int = 0


class Table:
    """Rows of a warehouse table, as Arrow and whatever else is installed.

    Attributes:
        arrow: The rows as a ``pyarrow.Table``.
    """

    def __init__(self, arrow: pa.Table) -> None:
        """Wrap an Arrow table."""
        self.arrow = arrow

    def __len__(self) -> int:
        """The number of rows."""
        return int(self.arrow.num_rows)

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        rows: list[dict[str, Any]] = self.arrow.to_pylist()
        return rows

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            ConfigError: pandas isn't installed.
        """
        try:
            return self.arrow.to_pandas()
        except ImportError as error:
            raise ConfigError(
                "pandas isn't installed.", code="missing-extra", hint="pip install pandas"
            ) from error

    def to_polars(self) -> Any:
        """The rows as a polars DataFrame.

        Raises:
            ConfigError: polars isn't installed.
        """
        try:
            import polars  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise ConfigError(
                "polars isn't installed.", code="missing-extra", hint="pip install polars"
            ) from error
        return polars.from_arrow(self.arrow)


@dataclass(frozen=True)
class Run:
    """What a run did.

    Attributes:
        sync_id: The sync.
        run_id: The run's ULID.
        status: ``success``, ``warning`` (some rows were rejected), ``failed``, ``cancelled`` or
            ``interrupted``.
        error: Why it failed, without row values, or None.
        counts: Counts by operation.
        null_key_rows: Rows of the model that were ignored for want of a key.
        duplicates_dropped: Copies that ``on_duplicate="keep_one"`` dropped.
        notes: What the run did beyond the usual.
        seconds: How long it took.
        statements: Statements that it sent to the warehouse.
        closed: The interrupted run that it closed first, if any.
    """

    sync_id: str
    run_id: str
    status: str
    error: str | None
    counts: Mapping[str, Counts]
    null_key_rows: int = 0
    duplicates_dropped: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    statements: int = 0
    closed: str | None = None
    read_rejections: Callable[[], Table] | None = field(default=None, repr=False, compare=False)

    def rejections(self) -> Table:
        """The rows that were rejected: row_id, op, reason, attempts, first and last failure.

        They are kept as long as the run is one of the sync's two newest.
        """
        assert self.read_rejections is not None
        return self.read_rejections()


def count(record: PlanRecord, ended: Ended) -> dict[str, Counts]:
    """Counts by operation of a planned run that has ended (D23)."""
    counted = {}
    for operation in OPERATIONS:
        duplicates = record.duplicates.get(operation, 0)
        planned = record.planned.get(operation, 0)
        if operation == "removed" and record.auto_removed:
            counted[operation] = Counts(planned, planned, planned, 0, 0)
            continue
        sent = sum(c.rows for c in record.chunks[: ended.delivered] if c.operation == operation)
        unknown = sum(record.chunks[i].rows for i in ended.unknown if record.chunks[i].operation == operation)
        attempted = sent - ended.aborted.get(operation, 0) + unknown + duplicates
        failed = ended.failed.get(operation, 0) + unknown + duplicates
        counted[operation] = Counts(
            planned + duplicates, attempted, attempted - failed, failed, planned + duplicates - attempted
        )
    return counted


def status_of(ended: Ended, counts: Mapping[str, Counts]) -> str:
    """``Run.status`` of an ended run."""
    if ended.status == "success" and any(c.failed for c in counts.values()):
        return "warning"
    return ended.status
