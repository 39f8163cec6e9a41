"""What the journal keeps of a plan: enough to read its state, audit it and close it without the sync."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from warehouse_cdc.dialects import ColumnType
from warehouse_cdc.errors import StateVersionError

FORMAT = 3
"""Version of the journal's entries; a newer one is refused, an older one is read."""


@dataclass(frozen=True)
class PlanColumn:
    """A compared column as a plan table holds it: ``v_<number>`` new, ``p_<number>`` last delivered."""

    name: str
    number: int
    value: ColumnType
    previous: ColumnType


@dataclass(frozen=True)
class Chunk:
    """A range of buckets of one operation, sent between two checkpoints."""

    operation: str
    low: int
    high: int
    rows: int


@dataclass(frozen=True)
class PlanRecord:
    """The journal's entry of a plan.

    Attributes:
        kind: ``run``, ``resync``, ``reset`` or ``full`` (a mode without CDC).
        plan_table: Name of the plan table in the planner schema; empty if there was nothing to plan, so that
            the state stays where it was.
        rejections_table: Name of its rejections table, or empty.
        rows: Rows of the plan table.
        columns: The compared columns.
        primary_key: The key's columns.
        mapping_version: Under which mapping rows are delivered by this plan.
        fingerprint_version: How its hashes were made.
        planned: Operations by kind, duplicates not counted.
        duplicates: Duplicated keys by the operation that they count as.
        model_rows: Distinct keys of the model's result.
        state_rows: Rows of the previous state that weren't absent; in modes without CDC, the rows that the
            run before had left at the destination.
        null_key_rows: Rows without a key.
        dropped_rows: Copies that ``keep_one`` dropped.
        chunks: What is sent, in order.
        auto_removed: Removed rows leave the state without a call.
        publishes: An operation takes effect as a whole.
        mode: The sync's mode.
        destination: The destination's name.
        model_name: The model's name.
        model_id: The model's id.
        logs: Names of the audit tables that this run writes.
        compare_fields: The snapshot may differ also in rows that neither this run nor the last touched.
        notes: What the run did beyond the usual, for people.
        base: The generation of the full plan that this one differs from; None if this is a full plan.
        delta_rows: Rows that the plans since the full plan have written, this one included.
        kept: Rows that stay as they were although the model has others: ignored changes, duplicate keys. None
            in a plan of an earlier version.
        former_plan: The plan table of the state that the run began with, or empty.
        settles: The run before delivered rows that its snapshot row shows as such.
        checksum: What the hashes of the model's rows come to together, as digits; empty if it doesn't tell
            them from any others.
        source_version: Of the model and its tables, from before they were read; empty if that can't be told.
        lean: Without the columns that tell of a former state: there was none.
        jobs: Rows are sent by jobs that the journal names before: what no job has was never sent.
        change_hint: What the warehouse knew about the tables' changes then; empty if nothing.
        parts: How many chunks of one operation an executor may have under way at once; 0 without one.
        policy: What was done with rows that are rejected again and again; empty if they are sent for ever.
        refusals: It has the columns that tell how often a row's values were refused.
        given_up: Rows that the policy kept from being sent.
    """

    kind: str
    plan_table: str
    rejections_table: str
    rows: int
    columns: tuple[PlanColumn, ...]
    primary_key: tuple[str, ...]
    mapping_version: str
    fingerprint_version: str
    planned: dict[str, int]
    duplicates: dict[str, int]
    model_rows: int
    state_rows: int
    null_key_rows: int
    dropped_rows: int
    chunks: tuple[Chunk, ...]
    auto_removed: bool
    publishes: bool
    mode: str
    destination: str
    model_name: str
    model_id: str
    logs: tuple[str, ...]
    compare_fields: bool
    notes: tuple[str, ...] = field(default=())
    base: int | None = None
    delta_rows: int = 0
    kept: int | None = None
    former_plan: str = ""
    settles: bool = False
    checksum: str = ""
    source_version: str = ""
    change_hint: str = ""
    lean: bool = False
    jobs: bool = False
    parts: int = 0
    policy: str = ""
    refusals: bool = False
    given_up: int = 0

    @property
    def operations(self) -> int:
        """How many operations it planned, duplicated keys included."""
        return sum(self.planned.values()) + sum(self.duplicates.values())

    @property
    def idle(self) -> bool:
        """Whether it has nothing to send and nothing to show at the destination."""
        return not self.plan_table and not self.publishes

    @property
    def cdc(self) -> bool:
        """Whether the plan holds the state of a sync."""
        return self.kind != "full"

    def to_json(self) -> str:
        """The entry as JSON text."""
        data = asdict(self)
        data["chunks"] = [[c.operation, c.low, c.high, c.rows] for c in self.chunks]
        return json.dumps({"format": FORMAT, **data}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> PlanRecord:
        """Read an entry.

        Raises:
            StateVersionError: A newer version of this library wrote it.
        """
        data: dict[str, Any] = json.loads(text)
        if data.pop("format", FORMAT) > FORMAT:
            raise StateVersionError(
                "The sync's state was written by a newer version of warehouse-cdc.",
                hint="Upgrade this installation.",
            )
        data["columns"] = tuple(
            PlanColumn(c["name"], c["number"], ColumnType(**c["value"]), ColumnType(**c["previous"]))
            for c in data["columns"]
        )
        data["chunks"] = tuple(Chunk(*chunk) for chunk in data["chunks"])
        for name in ("primary_key", "logs", "notes"):
            data[name] = tuple(data[name])
        return cls(**data)


@dataclass(frozen=True)
class Job:
    """A job that was submitted to a destination, or was about to be.

    Attributes:
        id: Chosen before it was submitted.
        rows: Places of its rows in the chunk after the last checkpoint, whose rows are in order of row id.
        handle: By which the destination knows it; None as long as it hasn't told.
    """

    id: str
    rows: tuple[int, ...]
    handle: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a planned run ended: what the journal's last entry of its generation says.

    Attributes:
        status: ``success``, ``failed``, ``cancelled`` or ``interrupted``.
        error: Why it did not succeed, without row values, or None.
        delivered: The first so many chunks were sent; their rows succeeded unless rejected.
        unknown: Indexes of chunks of which nothing is known.
        rejections: Rows of the rejections table that belong to delivered chunks.
        failed: Operations of delivered chunks that failed, by kind.
        aborted: Operations of delivered chunks that were never sent, by kind.
        settled_by: The generation of the run that found out what became of the last delivered chunk's jobs,
            after the run that had submitted them was gone: that chunk's rejections have its number, negative,
            in place of the chunk's. Else 0.
        jobs: Jobs of the chunk after the last delivered one. A checkpoint has those that are new or have a
            handle since the one before, unless it is of another chunk.
    """

    status: str
    error: str | None = None
    delivered: int = 0
    unknown: tuple[int, ...] = ()
    rejections: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    aborted: dict[str, int] = field(default_factory=dict)
    settled_by: int = 0
    jobs: tuple[Job, ...] = ()

    @property
    def counted(self) -> str:
        """The condition of the rejections that count, in SQL."""
        if not self.settled_by:
            return f"(chunk >= 0 AND chunk < {self.delivered})"  # below are those of settlings that died
        return f"((chunk >= 0 AND chunk < {self.delivered - 1}) OR chunk = -{self.settled_by})"

    def to_json(self) -> str:
        """The entry as JSON text."""
        data = asdict(self)
        data["jobs"] = [[job.id, _packed(job.rows), job.handle] for job in self.jobs]
        for name in ("settled_by", "jobs"):
            if not data[name]:
                del data[name]
        return json.dumps({"format": FORMAT, **data}, ensure_ascii=False)

    def complete(self, record: PlanRecord) -> bool:
        """Whether every operation of the plan succeeded."""
        return (
            self.delivered == len(record.chunks)
            and not self.unknown
            and not self.rejections
            and not any(self.aborted.values())
        )

    @classmethod
    def from_json(cls, text: str) -> Ended:
        """Read an entry."""
        data: dict[str, Any] = json.loads(text)
        data.pop("format", None)
        data["unknown"] = tuple(data["unknown"])
        data["jobs"] = tuple(
            Job(job_id, _unpacked(rows), handle) for job_id, rows, handle in data.get("jobs", ())
        )
        return cls(**data)


def _packed(rows: Sequence[int]) -> str:
    """Ascending numbers as short text."""
    bits = np.zeros(max(rows, default=-1) + 1, dtype=bool)
    bits[list(rows)] = True
    return b64encode(zlib.compress(np.packbits(bits).tobytes())).decode()


def _unpacked(text: str) -> tuple[int, ...]:
    bits = np.unpackbits(np.frombuffer(zlib.decompress(b64decode(text)), dtype=np.uint8))
    return tuple(np.flatnonzero(bits).tolist())
