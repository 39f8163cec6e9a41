"""One sync from an embedded warehouse to a destination under test, and what that should then hold."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from warehouse_cdc.destinations.base import Destination
from warehouse_cdc.engine.result import Run
from warehouse_cdc.model import Model
from warehouse_cdc.sync import MODES, Sync
from warehouse_cdc.testing.watching import Fault, Watch, Watched, files_of
from warehouse_cdc.warehouse import Warehouse, connect

if TYPE_CHECKING:
    from warehouse_cdc.testing.conformance import DestinationConformance

Record = dict[str, Any]

FIELDS = {"id": "integer", "name": "text", "score": "integer"}
"""The fields of most trials, and what kind of value each holds; ``id`` identifies the record."""

SQL_TYPES = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(38, 9)",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "instant": "TIMESTAMPTZ",
    "json": "JSON",
    "binary": "BLOB",
}
"""Kinds of value, and their types in the warehouse."""

VALUES: Mapping[str, Sequence[Any]] = {
    "text": (
        "",
        " ",
        " a  b ",
        'O\'Brien "x" `y` \\ \\n ;-- /* */',
        "a\nb\r\nc\td",
        "Zo\u00eb Zoe\u0308 \u4eac \U0001f986 \u202e \ufeff",
        "{{ id }} {% raw %} ${HOME} %s {0}",
        "<a href='x'>&amp;</a> ]]>",
        "null",
        "NULL",
        "\\N",
        "true",
        "0012",
        "=1+1,;|",
        "\x01\x1f\x7f\x85\u2028",
        "long " * 4000,
    ),
    "integer": (0, 1, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)),
    "decimal": tuple(
        Decimal(text)
        for text in ("0", "1.5", "-0.000000001", "100", "12345678901234567890123456789.123456789")
    ),
    "float": (0.0, 0.1, -2.5, 1e300, 5e-324, 1e16, 123456789.125),
    "boolean": (True, False),
    "date": (date(1970, 1, 1), date(1, 1, 1), date(9999, 12, 31), date(2024, 2, 29)),
    "timestamp": (
        datetime(2024, 2, 29, 23, 59, 59, 999999),
        datetime(1969, 12, 31, 23, 59, 59),
        datetime(2024, 3, 31, 2, 30),
    ),
    "instant": (
        datetime(2024, 2, 29, 23, 59, 59, 999999, timezone.utc),
        datetime(1969, 12, 31, 23, 59, 59, 0, timezone.utc),
        datetime(2024, 3, 31, 1, 30, 0, 0, timezone.utc),
    ),
    "json": (
        {"a": [1, -2.5, None, True, 'q"\\\n\u00eb'], "b": {}},
        [],
        [[{"x": None}]],
        {"n": 12345678901234567890},
        {"": "empty name"},
    ),
    "binary": (b"", b"\x00", bytes(range(256)), b"'; \\x00"),
}
"""Values of each kind that destinations have got wrong."""

KEYS = (
    "O'Brien",
    'a "b"/../c?d=1#%41',
    "\u00dcn\u00ef \U0001f600",
    "UPPER",
    "upper",
    "x",
    "x ",
    "007",
    "7",
)
"""Keys that destinations have mistaken for others, or for more than keys."""

CANARY = "canary"
"""A part of every text that most trials send: no message may hold it."""


def record(key: int, version: int = 0, **fields: Any) -> Record:
    """A record of the usual fields."""
    return {"id": key, "name": f"{CANARY} {key}.{version}", "score": version, **fields}


def _column(field: str) -> str:
    """The model's column for a field of the destination's."""
    return f"their_{field}"


class Trial:
    """A model in DuckDB, a watched destination, and a sync between them.

    Attributes:
        target: What the suite made.
        model: The model's rows by key.
        watch: What the last run did, and what is to go wrong in the next.
    """

    def __init__(
        self,
        suite: DestinationConformance,
        mode: str,
        on_removed: str = "nothing",
        *,
        fields: Mapping[str, str] = FIELDS,
        target: Any = None,
        file: Path | None = None,
        again: bool = False,
        destination: Destination | None = None,
        **options: Any,
    ) -> None:
        """Make the model's table, unless it is there ``again``, and connect."""
        self.suite = suite
        self.mode = mode
        self.on_removed = on_removed
        self.fields = fields
        self.target = suite.target(fields, mode) if target is None else target
        self.model: dict[Any, Record] = {}
        self.watch = Watch()
        self._past: list[dict[Any, Record]] = []
        self._destination = destination or suite.destination(self.target, mode, on_removed)
        self._options = options
        self.file = file
        self.open()
        if not again:
            columns = ", ".join(f'"{_column(name)}" {SQL_TYPES[kind]}' for name, kind in fields.items())
            self._source.execute(f"CREATE TABLE model ({columns})")

    def open(self) -> None:
        """Connect to the warehouse."""
        self._source = duckdb.connect(":memory:" if self.file is None else str(self.file))
        self._source.execute("SET timezone = 'UTC'")
        self.warehouse: Warehouse = connect(
            self._source, changelog=False, snapshot=False, sync_runs=False, lease_seconds=60
        )

    def close(self) -> None:
        """Let go of the warehouse."""
        self.warehouse.close()
        self._source.close()

    def __enter__(self) -> Trial:
        """The trial itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the warehouse."""
        self.close()

    @property
    def sync(self) -> Sync:
        """The sync, with the watch of the next run."""
        able = self._destination.capabilities
        options: dict[str, Any] = {
            "id": f"trial-{self.mode}",
            "model": Model("model", table="model", primary_key=_column("id")),
            "destination": Watched(self._destination, self.watch),
            "mode": self.mode,
            "on_removed": self.on_removed,
            "match": {_column("id"): "id"},
            "mappings": {name: _column(name) for name in self.fields if name != "id"},
            "max_removed": None,
            "require_rows": False,
            "batch_rows": min(3, able.batch_rows),
            "chunk_rows": 12 if self.file is None else 3,  # where it is killed, most calls are checkpointed
            "concurrency": 1,
            "max_attempts": 3,
            "retry_wait": 0,
            "breaker": None,
        }
        return Sync(**{**options, **self.suite.options, **self._options})

    # -- the model --------------------------------------------------------------------------------

    def put(self, *records: Record) -> None:
        """Add records to the model, or change them."""
        for each in records:
            self.model[each["id"]] = each
        self._store()

    def drop(self, *keys: Any) -> None:
        """Remove records from the model."""
        for key in keys:
            self.model.pop(key, None)
        self._store()

    def _store(self) -> None:
        self._source.execute("DELETE FROM model")
        rows = [
            [
                json.dumps(each[name]) if kind == "json" and each[name] is not None else each[name]
                for name, kind in self.fields.items()
            ]
            for each in self.model.values()
        ]
        if rows:
            places = ", ".join("?" for _ in self.fields)
            self._source.executemany(f"INSERT INTO model VALUES ({places})", rows)

    # -- runs -------------------------------------------------------------------------------------

    def run(
        self,
        fault: Callable[[int], Fault] | None = None,
        publishing: Callable[[int], Fault] | None = None,
        **watched: Any,
    ) -> Run:
        """Run the sync, in which the faults happen; nothing that it tells holds a value or a secret."""
        self.watch = Watch(**watched)
        if fault is not None:
            self.watch.fault = fault
        if publishing is not None:
            self.watch.publishing = publishing
        self._past.append(dict(self.model))
        with _logged() as said:
            run = self.warehouse.run(self.sync)
        assert not self.watch.denied, "its writer can't find a job that it has submitted"
        failed = any(counts.failed for counts in run.counts.values())
        for _row_id, reason in self.refusals(run) if failed else ():
            self.suite.keeps_secrets(reason)
        told = [str(run.error), *run.notes, *said, *self.watch.shown]
        for text in told:
            self.suite.discreet(text)
        for counts in run.counts.values():
            assert counts.planned == counts.attempted + counts.aborted
            assert counts.attempted == counts.succeeded + counts.failed
        return run

    def succeeds(self, **options: Any) -> Run:
        """Run the sync: every row arrives."""
        run = self.run(**options)
        assert run.status == "success", f"mode {self.mode}: {run.status}, {run.error}, {self.refusals(run)}"
        return run

    def settles(self) -> None:
        """After a run without faults, the next one has nothing to send."""
        self.succeeds()
        self.succeeds()
        assert self.watch.rows == [], f"mode {self.mode}: rows that had arrived were sent again"

    def refusals(self, run: Run) -> list[tuple[str, str]]:
        """Row id and reason of each row that failed."""
        return [(each["row_id"], each["reason"]) for each in run.rejections().to_pylist()]

    @property
    def watched_files(self) -> tuple[str, ...]:
        """The files of the destination and of the suite's class."""
        return files_of(type(self._destination), type(self.suite))

    # -- what the destination holds ------------------------------------------------------------------

    def held(self) -> list[Record]:
        """The target's records."""
        return [dict(each) for each in self.suite.read(self.target)]

    def replayed(self) -> list[Record]:
        """What the operations come to that the target was told."""
        found: dict[Any, Record] = {}
        for operation, each in self.suite.read_operations(self.target):
            assert operation in ("added", "changed", "removed"), operation
            if operation == "removed":
                found.pop(each["id"], None)
            else:
                found[each["id"]] = dict(each)
        return list(found.values())

    def expect(self, records: Iterable[Record], when: str = "", *, repeats: bool = False) -> None:
        """The target holds these records and no other; ``repeats`` may come more than once."""
        found = self.replayed() if self.mode == "diff" else self.held()
        if repeats:
            found = _once(found)
        compare(found, self.as_shown(records), f"mode {self.mode}, on_removed {self.on_removed}: {when}")

    def as_shown(self, records: Iterable[Record]) -> list[Record]:
        """Records as reading the target shows them."""
        return [
            {name: self.suite.shown(kind, each[name]) for name, kind in self.fields.items()}
            for each in records
        ]

    def content(self) -> list[Record]:
        """What the target holds after the runs so far, once everything has arrived."""
        traits = MODES[self.mode]
        if traits.replaces or self.mode == "diff" or self.on_removed == "delete":
            return list(self.model.values())
        if not traits.cdc:
            return [each for model in self._past for each in model.values()]
        found: dict[Any, Record] = {}
        for model in self._past:
            found = {**model, **found} if self.mode == "insert" else {**found, **model}
        return list(found.values())

    def cleared(self, *keys: int) -> list[Record]:
        """Records whose fields were cleared."""
        return [{**dict.fromkeys(self.fields), "id": key} for key in keys]


def compare(found: list[Record], expected: list[Record], when: str) -> None:
    """Two lists hold the same records, in any order, each as often."""
    found, expected = _sorted(found), _sorted(expected)
    keys = ([each.get("id") for each in found], [each["id"] for each in expected])
    assert keys[0] == keys[1], f"{when}: the target holds the records {keys[0]}, not {keys[1]}"
    for left, right in zip(found, expected, strict=True):
        for name, value in right.items():
            there = left.get(name)
            same = there == value and isinstance(there, bool) == isinstance(value, bool)
            assert same, f"{when}: {name!r} of record {right['id']!r} is {there!r}, not {value!r}"


def without(records: Iterable[Record], others: Iterable[Record]) -> list[Record]:
    """Records without those of another list, each as often as it is there."""
    left = list(records)
    for each in others:
        if each in left:
            left.remove(each)
    return left


def _sorted(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda each: (str(each.get("id")), repr(sorted(each.items()))))


def _once(records: list[Record]) -> list[Record]:
    kept: list[Record] = []
    for each in records:
        if each not in kept:
            kept.append(each)
    return kept


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What is logged while the block runs, by loggers of every kind."""
    messages: list[str] = []
    root, made, shown = logging.getLogger(), logging.getLogRecordFactory(), logging.Formatter()
    level = root.level

    def make(*args: Any, **options: Any) -> logging.LogRecord:
        record = made(*args, **options)
        messages.append(shown.format(copy(record)))
        return record

    logging.setLogRecordFactory(make)
    root.setLevel(logging.INFO)
    try:
        yield messages
    finally:
        root.setLevel(level)
        logging.setLogRecordFactory(made)
