"""The contract between the engine and a destination.

A :class:`Destination` is what a user declares; for each run it opens a :class:`Writer`, which turns a
:class:`Batch` into calls and says what became of each row. Writers never retry, sleep or log: the
engine does.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

from warehouse_cdc.destinations.encoding import json_objects
from warehouse_cdc.destinations.whole import Whole
from warehouse_cdc.errors import ConfigError, DestinationError
from warehouse_cdc.mapping.values import to_rows

OutcomeStatus = Literal["retryable", "rejected", "unknown"]


@dataclass(frozen=True)
class Outcome:
    """What became of a row that did not simply succeed.

    Attributes:
        status: ``retryable`` and ``rejected`` were definitely not applied; ``unknown`` may have been.
        reason: For people; it lands in audit tables, never in logs.
        permanent: Whether sending the same values again is pointless (information only).
    """

    status: OutcomeStatus
    reason: str
    permanent: bool = False


def rejected(reason: str, *, permanent: bool = False) -> Outcome:
    """The destination refused the row: it was definitely not applied."""
    return Outcome("rejected", reason, permanent)


def retryable(reason: str) -> Outcome:
    """The row was definitely not applied, and another attempt may succeed."""
    return Outcome("retryable", reason)


def unknown(reason: str) -> Outcome:
    """The row may or may not have been applied."""
    return Outcome("unknown", reason)


@dataclass(frozen=True)
class Capabilities:
    """What a destination can do.

    Attributes:
        modes: The sync modes that it supports.
        on_removed: What it can do with a removed row: ``clear``, ``delete`` (``nothing`` always works).
        whole_rows: Whether a sync may leave out mappings and send every column.
        idempotent: Modes in which a row that comes again with the same idempotency key has no second effect;
            ``upsert`` and ``update`` set values, and must have none anyway.
        split_retries: Whether a call that it refuses as a whole, having applied none of it, may come again in
            halves, unless the sync says otherwise.
        single: Operations whose calls take one row each.
        batch_rows: Rows in one call, unless the sync says otherwise.
        batch_bytes: Bytes in one call, as Arrow counts them; a row that has more travels alone.
        rate: Calls in any window of time, unless the sync says otherwise: ``"100/second"``.
        row_rate: The same for rows.
        concurrency: Calls under way at once, unless the sync says otherwise.
        max_concurrency: The most calls under way at once that it can take.
        jobs: Whether its writers are of the kind ``JobWriter``.
    """

    modes: frozenset[str]
    on_removed: frozenset[str] = frozenset()
    whole_rows: bool = True
    idempotent: frozenset[str] = frozenset()
    split_retries: bool = False
    single: frozenset[str] = frozenset()
    batch_rows: int = 1000
    batch_bytes: int | None = None
    rate: str | None = None
    row_rate: str | None = None
    concurrency: int = 1
    max_concurrency: int = 64
    jobs: bool = False


@dataclass(frozen=True)
class RunContext:
    """What a destination is told about a run.

    Attributes:
        sync_id: The sync's id.
        run_id: The run's id (a ULID).
        started_at: When the run started (UTC), the same whenever the run is looked at.
        model_name: The model's name.
        model_id: The model's id.
        mode: The sync's mode.
        on_removed: The sync's ``on_removed``.
        match: Destination fields that identify a record.
        fields: Destination fields that are written, in order; with the match fields first.
        schema: Arrow schema of a batch: one column per entry of ``fields``.
        operations: The operations that this run can send, in order.
        batch_timeout: Seconds that one call may take.
        columns: The model's column for each entry of ``fields``.
        skip_initial: Whether the sync takes its first run's rows as delivered.
    """

    sync_id: str
    run_id: str
    started_at: datetime
    model_name: str
    model_id: str
    mode: str
    on_removed: str
    match: tuple[str, ...]
    fields: tuple[str, ...]
    schema: pa.Schema
    operations: tuple[str, ...]
    batch_timeout: float
    columns: tuple[str, ...] = ()
    skip_initial: bool = False


@dataclass(frozen=True, repr=False)
class Batch:
    """Rows of one operation, in the destination's own field names.

    Attributes:
        context: The run that the batch belongs to.
        operation: ``added``, ``changed`` or ``removed`` (with the values last delivered).
        arrow: The rows as an Arrow table, one column per field, as ``context.schema`` says; a removed row's
            value may have the type that the column had when it was delivered. Text, JSON and decimals of
            unbounded scale travel as strings; ``warehouse_cdc.mapping.values`` tells them apart.
        row_ids: Each row's canonical primary key.
        key_runs: The run that first planned each operation, for the idempotency key.
        attempt: 1 for the first attempt in this run.
        part_of: The rows that ``arrow`` is a part of, its place among them, and itself; or None.
    """

    context: RunContext
    operation: str
    arrow: pa.Table
    row_ids: Sequence[str]
    key_runs: Sequence[str]
    attempt: int = 1
    part_of: tuple[Whole, int, pa.Table] | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.row_ids)

    def __repr__(self) -> str:
        """Show the batch without its values."""
        return f"Batch({self.context.sync_id!r}, {self.operation}, {len(self)} rows, attempt {self.attempt})"

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as dictionaries: field to Python value (JSON parsed, decimals as Decimal)."""
        whole, start = self._whole
        found = None if whole is None else whole.rows(start, len(self))
        return to_rows(self.arrow) if found is None else found

    def json(self, invalid: dict[int, str]) -> list[str]:
        """Each row as the text of a JSON object: exact, whatever the types.

        Args:
            invalid: Gets a reason for each position whose row can't be one.
        """
        whole, start = self._whole
        found = None if whole is None else whole.json(start, len(self), invalid)
        return json_objects(self.arrow, invalid) if found is None else found

    @cached_property
    def idempotency_keys(self) -> list[str]:
        """One key per row: the same for every repeat of one operation of unknown outcome (D18)."""
        sync, operation = self.context.sync_id, self.operation
        return [
            idempotency_key(sync, row_id, operation, run)
            for row_id, run in zip(self.row_ids, self.key_runs, strict=True)
        ]

    @property
    def _whole(self) -> tuple[Whole | None, int]:
        whole, start, arrow = self.part_of or (None, 0, None)
        return (whole, start) if arrow is self.arrow else (None, 0)  # another writer may have replaced it

    def __getstate__(self) -> dict[str, Any]:
        """The batch for another process: its own rows alone."""
        return vars(self.take(range(len(self))))

    def take(self, positions: Sequence[int], *, attempt: int | None = None) -> Batch:
        """The batch of the rows at these positions."""
        return replace(
            self,
            arrow=self.arrow.take(pa.array(positions, pa.int64())),
            row_ids=[self.row_ids[position] for position in positions],
            key_runs=[self.key_runs[position] for position in positions],
            attempt=self.attempt if attempt is None else attempt,
            part_of=None,
        )


def idempotency_key(sync_id: str, row_id: str, operation: str, run_id: str) -> str:
    """The key of one operation: 32 hexadecimal digits, injective up to SHA-256 (D18)."""
    text = json.dumps([sync_id, row_id, operation, run_id], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


Outcomes = Mapping[int, Outcome]
"""What became of a batch's rows, by position; a row that isn't in it succeeded."""


@contextmanager
def left_out(outcomes: Outcomes) -> Iterator[None]:
    """Let rows that a call leaves out keep their own outcomes if it fails."""
    try:
        yield
    except DestinationError as error:
        error.outcomes = {**error.outcomes, **outcomes}
        raise


class Writer(ABC):
    """Sends the batches of one run. ``write`` is called from several threads if concurrency is above 1."""

    @abstractmethod
    def write(self, batch: Batch) -> Outcomes:
        """Send a batch.

        Returns:
            The outcome of each row that didn't succeed, by position in the batch.

        Raises:
            DestinationError: The whole batch failed: retryable, refused, or with unknown outcome, as the
                error says, but for the rows in its ``outcomes``. Any other exception means that the outcome
                of all rows is unknown.
        """

    def publish(self, operation: str) -> None:  # noqa: B027
        """Make the operation's unit take effect (only if the destination publishes)."""

    def close(self) -> None:  # noqa: B027
        """Release what the writer holds; what was not published is discarded."""


class JobWriter(Writer):
    """Sends each batch as a job that the destination works on by itself; the engine waits and asks.

    All of it may be called from several threads. The id of a job is in the journal before the job is
    submitted, its handle after: if the process dies, the next run asks for the outcome of its jobs.
    """

    @abstractmethod
    def submit(self, batch: Batch, job_id: str) -> str:
        """Hand over a batch.

        Args:
            batch: The rows.
            job_id: An id for the job, which no other attempt has: a destination that can should take no
                second job of one id.

        Returns:
            The job's handle, without secrets: what ``poll`` needs to ask for it, in this process or another.

        Raises:
            DestinationError: As of ``write``; if the outcome is unknown, ``find`` is asked for the job.
        """

    @abstractmethod
    def poll(self, batch: Batch, handle: str) -> Outcomes | None:
        """Ask how a job is doing.

        Returns:
            None while it isn't over; then what ``write`` would return, as often as it is asked.

        Raises:
            DestinationError: If it is retryable or the outcome unknown, the job is asked for again. Else the
                job was refused as a whole, and nothing of it was applied.
        """

    def find(self, batch: Batch, job_id: str) -> str | None:
        """Look for a job by its id; one that isn't known may have been submitted all the same.

        Returns:
            Its handle; None if the destination surely never got it, nor will.

        Raises:
            DestinationError: That can't be told.
        """
        raise DestinationError("The destination can't look for a job by its id.", retryable=False)

    def write(self, batch: Batch) -> Outcomes:
        """Nothing is written but by jobs."""
        raise NotImplementedError("the engine submits jobs")


class Destination(ABC):
    """Where rows go. Declarations are cheap: nothing is opened before ``check`` or ``open``."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What audit tables show as the destination; without secrets."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this destination can do."""

    def check(self, context: RunContext) -> None:  # noqa: B027
        """Look whether the destination can take this sync; called before anything is sent.

        Raises:
            ConfigError: A field or a constraint is missing there.
            DestinationError: It can't be reached or refuses the credentials.
        """

    def publishes(self, mode: str) -> bool:
        """Whether nothing takes effect before ``Writer.publish`` in a mode (files, a mirror's swap).

        Then each operation is one unit: published whole, or not at all (D29).
        """
        return False

    @abstractmethod
    def open(self, context: RunContext) -> Writer:
        """A writer for one run."""

    def published(self, context: RunContext, operation: str) -> bool | None:
        """Whether an interrupted run's unit took effect; None if that can't be told."""
        return None


def opened(destination: Destination, context: RunContext) -> Writer:
    """A destination's writer, of the kind that it has declared.

    Raises:
        ConfigError: It is of the other kind.
    """
    writer = destination.open(context)
    if isinstance(writer, JobWriter) != destination.capabilities.jobs:
        writer.close()
        raise ConfigError(
            "The destination's capability `jobs` doesn't fit its writer.",
            code="sync-destination",
            hint="Declare jobs=True where writers are JobWriters, and only there.",
        )
    return writer


def as_destination(value: Any) -> Destination:
    """The value itself if it is a destination; a callable is wrapped.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, Destination):
        return value
    if isinstance(value, Callable):  # type: ignore[arg-type]
        from warehouse_cdc.destinations.function import FunctionDestination

        return FunctionDestination(value)
    raise ConfigError(
        "A destination must be a Destination or a callable that takes a batch.", code="sync-destination"
    )
