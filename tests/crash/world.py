"""A small world for one sync: a table that is its model, a durable destination, and how its rows move.

Both the tests and their child processes build it from the same plain values.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

import warehouse_cdc as wcdc
from tests.conformance.bigquery_engine import BigQueryEngine
from tests.conformance.helpers import Engine
from tests.conformance.snowflake_engine import SnowflakeEngine
from tests.conformance.spark_engine import SparkEngine
from tests.conformance.trino_engine import TrinoEngine
from tests.job_service import Held, Jobs
from tests.stand_ins import connect_without_transactions
from warehouse_cdc.destinations import Batch, HttpRequest, JsonLines, Outcome, RunContext, Writer, rejected
from warehouse_cdc.destinations.http import Request
from warehouse_cdc.sync import OPERATIONS

OPENED: dict[str, Callable[[str], Engine]] = {
    "bigquery": BigQueryEngine,
    "snowflake": SnowflakeEngine,
    "spark": SparkEngine,
}
"""Servers that worlds may be on."""
SYNC = "customers"
CHUNK_ROWS = 6
BATCH_ROWS = 2
LEASE = 1.5
"""Seconds; of processes whose lease really runs out in a test."""
LONG_LEASE = 30.0
MARGIN = 0.2
WAIT = 45.0
"""More than enough for a lease to run out, even if a killed run's last sign of life came after all else."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """One row in one call of the destination."""

    run: str
    operation: str
    row_id: str
    key: str
    values: Values
    applied: bool

    @property
    def what(self) -> tuple[str, str, str]:
        """The operation and its values, whichever run sends it."""
        return self.operation, self.row_id, json.dumps(self.values)


@dataclass(frozen=True)
class World:
    """Where everything is; survives a trip through JSON."""

    url: str
    prefix: str
    folder: str
    tables: bool = False
    """Without transactions: runs are recorded in tables."""
    served: str = ""
    """Where a service is that the scenarios with jobs or HTTP send to."""
    behind: str = ""
    """Trino, by which the tables are looked at; its statements take their time."""

    @property
    def postgres(self) -> bool:
        return self.url.startswith("postgres")

    @property
    def in_a_file(self) -> bool:
        return self.url.startswith("duckdb")

    @property
    def patience(self) -> float:
        """How many times longer everything takes."""
        return 8.0 if self.behind or self.server == "spark" else 1.0

    @property
    def server(self) -> str:
        """The engine whose server it is on; empty for the two above."""
        scheme = self.url.partition(":")[0]
        return "" if self.postgres or self.in_a_file else {"sc": "spark"}.get(scheme, scheme)

    @property
    def table(self) -> str:
        return f"{self.prefix}.customers"

    @property
    def planner(self) -> str:
        return f"{self.prefix}_planner"

    @property
    def audit(self) -> str:
        return f"{self.prefix}_audit"

    @property
    def log(self) -> Path:
        return Path(self.folder) / "log.jsonl"

    @property
    def files(self) -> Path:
        return Path(self.folder) / "files"

    def connect(self, lease: float = LONG_LEASE, compaction: float = 100.0) -> wcdc.Warehouse:
        """All plans but the first are of differences, unless ``compaction`` is 0."""
        connect = connect_without_transactions if self.tables and self.postgres else wcdc.connect
        return connect(
            self.url,
            planner_schema=self.planner,
            audit_schema=self.audit,
            lease_seconds=lease * self.patience,
            lease_margin=MARGIN,
            compaction=compaction,
        )

    @contextmanager
    def database(self) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
        """A function that runs a statement, by the driver and not by this library."""
        if self.postgres:
            with psycopg.connect(self.url, autocommit=True) as session:

                def run(sql: str) -> list[tuple[Any, ...]]:
                    cursor = session.execute(sql.encode())
                    return cursor.fetchall() if cursor.description else []

                yield run
        elif self.behind:
            with closing(TrinoEngine(self.behind)) as trino:
                yield trino.query
        elif self.server:
            with closing(OPENED[self.server](self.url)) as engine:

                def run_there(sql: str) -> list[tuple[Any, ...]]:
                    if sql.startswith("CREATE"):
                        return engine.execute(sql) or []
                    return engine.query(sql)

                yield run_there
        else:
            opened = duckdb.connect(self.url.removeprefix("duckdb:///"))
            try:
                yield lambda sql: list(map(tuple, opened.execute(sql).fetchall()))
            finally:
                opened.close()

    def listed(self) -> set[str]:
        """Names of the tables in the planner schema."""
        if self.server:
            with self.connect() as warehouse:
                return {name for _schema, name in warehouse._connection.tables(self.planner)}
        listed = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{self.planner}'"
        return {name for (name,) in self.sql(listed)}

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements; the rows of the last."""
        _MODELS.pop(self, None)
        with self.database() as run:
            return [run(statement) for statement in statements][-1]

    # -- the model --------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the table with its first rows, and the schemas."""
        schemas = (self.prefix, self.planner, self.audit)
        rows = ", ".join(f"({n}, '{_name(n)}', {n})" for n in range(1, 41))
        self.sql(
            *(f"CREATE SCHEMA {schema}" for schema in schemas),
            f"CREATE TABLE {self.table} (id INTEGER, name VARCHAR(50), score INTEGER)",
            f"INSERT INTO {self.table} VALUES {rows}",
            f"INSERT INTO {self.table} VALUES (39, 'second copy', 1), (NULL, 'no key', 1)",
        )

    def drop(self) -> None:
        self.sql(*(f"DROP SCHEMA IF EXISTS {s} CASCADE" for s in (self.prefix, self.planner, self.audit)))

    def change(self) -> None:
        """Rows leave, change, come, become duplicated and are refused, or no longer are."""
        table = self.table
        added = ", ".join(f"({n}, '{_name(n)}', {n})" for n in range(41, 57))
        self.sql(
            f"DELETE FROM {table} WHERE id <= 12",
            f"UPDATE {table} SET score = score + 100 WHERE id BETWEEN 13 AND 22",
            f"UPDATE {table} SET name = 'refuse changed' WHERE id = 22",
            f"UPDATE {table} SET name = 'healed' WHERE id = 37",
            f"INSERT INTO {table} VALUES {added}",
            f"INSERT INTO {table} VALUES (23, 'second copy', 1)",
        )

    def change_again(self, times: int = 1) -> None:
        """Further changes, some of them of the same rows."""
        table = self.table
        self.sql(
            f"DELETE FROM {table} WHERE id IN ({12 + times}, {40 + times})",
            f"UPDATE {table} SET score = score + 1000 WHERE id BETWEEN 18 AND 25 OR id BETWEEN 45 AND 50",
            f"INSERT INTO {table} VALUES ({times}, 'came back', {times}), ({60 + times}, 'new', 1)",
        )

    def let_time_pass(self, *, dead: bool = True) -> None:
        """As if the lease had run out; where its process is dead, wait until the server knows that."""
        if self.tables:
            names = [name for name in self.listed() if name.endswith(("_claim", "_beats"))]
            past = "recorded_at - INTERVAL '1' HOUR" if self.behind else "TIMESTAMP '1970-01-01 00:00:00'"
            self.sql(
                "SELECT 1", *(f"UPDATE {self.planner}.{name} SET recorded_at = {past}" for name in names)
            )
        elif self.postgres:
            leases = f"{self.planner}.wcdc_leases"
            locked = f"PERFORM 1 FROM {leases} FOR UPDATE;" if dead else ""
            expire = f"UPDATE {leases} SET expires_at = expires_at - INTERVAL '1 hour';"
            self.sql(f"DO $$BEGIN {locked} {expire} END$$")

    def heal(self) -> None:
        """Nothing is refused or duplicated any more."""
        self.sql(
            f"UPDATE {self.table} SET name = 'healed again' WHERE name LIKE 'refuse%'",
            f"DELETE FROM {self.table} WHERE name = 'second copy'",
        )

    def model(self) -> dict[str, list[Values]]:
        """Row id to the copies that the model has."""
        if self in _MODELS:
            return _MODELS[self]
        found: dict[str, list[Values]] = {}
        for number, name, score in self.sql(f"SELECT id, name, score FROM {self.table} ORDER BY 1, 2"):
            if number is not None:
                found.setdefault(str(number), []).append({"id": number, "name": name, "score": score})
        _MODELS[self] = found
        return found

    # -- the destination --------------------------------------------------------------------------

    def sent(self) -> list[Sent]:
        """Every row that ever arrived, in order."""
        found = self._published() if self.files.exists() else []
        return found + [Sent(*row) for line in self.lines() if "rows" in line for row in line["rows"]]

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log: batches, and marks of the child."""
        if not self.log.exists():
            return []
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def _published(self) -> list[Sent]:
        found = []
        runs = sorted({path.name.split("_")[1] for path in self.files.iterdir() if path.suffix == ".jsonl"})
        for run in runs:
            for operation in OPERATIONS:
                path = self.files / f"{SYNC}_{run}_{operation}.jsonl"
                for line in path.read_text().splitlines() if path.exists() else ():
                    values = json.loads(line)
                    found.append(Sent(run, operation, str(values["id"]), "", values, True))
        return found

    def destination(self) -> dict[str, Values]:
        """What the destination holds, replayed from what arrived."""
        held: dict[str, Values] = {}
        for sent in self.sent():
            if sent.applied and sent.operation == "removed":
                held.pop(sent.row_id, None)
            elif sent.applied:
                held[sent.row_id] = sent.values
        return held


_MODELS: dict[World, dict[str, list[Values]]] = {}
"""The models as last read: they change by ``World.sql`` only."""


def _name(number: int) -> str:
    return f"refuse {number}" if number in (37, 38, 56) else f"name {number}"


def append(path: Path, line: Values) -> None:
    """One line, in one call, so that it is there whole or not at all."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, (json.dumps(line) + "\n").encode())
    finally:
        os.close(handle)


class Recorder:
    """A destination function that keeps what it gets, and refuses rows by their name.

    ``around`` is called with the number of the call and ``before``, ``half`` or ``after``: around and in the
    middle of its effect.
    """

    def __init__(self, world: World, around: Callable[[int, str], None] = lambda call, moment: None) -> None:
        self._world = world
        self._around = around
        self._calls = 0
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> dict[str, str]:
        with self._lock:
            self._calls += 1
            call = self._calls
        self._around(call, "before")
        bad = {i: "refused" for i, row in zip(batch.row_ids, batch.rows, strict=True) if refused(row)}
        rows = [
            [batch.context.run_id, batch.operation, row_id, key, row, row_id not in bad]
            for row_id, key, row in zip(batch.row_ids, batch.idempotency_keys, batch.rows, strict=True)
        ]
        append(self._world.log, {"rows": rows[:1]})
        self._around(call, "half")
        if rows[1:]:
            append(self._world.log, {"rows": rows[1:]})
        self._around(call, "after")
        return bad


def refused(row: Values) -> bool:
    return str(row["name"]).startswith("refuse")


def keep(world: World, job: Held, failed: set[int]) -> None:
    """Write down what a job has done, as a recorder would."""
    rows = [
        [job.body["run"], job.operation, row["row_id"], row["key"], row["values"], at not in failed]
        for at, row in enumerate(job.rows)
    ]
    append(world.log, {"rows": rows})


class PickyFiles(JsonLines):
    """JSON Lines that refuse rows by their name."""

    def open(self, context: RunContext) -> Writer:
        return _PickyWriter(super().open(context))


class _PickyWriter(Writer):
    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def write(self, batch: Batch) -> dict[int, Outcome]:
        bad = {at: rejected("refused") for at, row in enumerate(batch.rows) if refused(row)}
        taken = [at for at in range(len(batch)) if at not in bad]
        if taken:
            assert not self._writer.write(batch.take(taken))
        return bad

    def publish(self, operation: str) -> None:
        self._writer.publish(operation)

    def close(self) -> None:
        self._writer.close()


def make_sync(
    world: World,
    scenario: str = "plain",
    destination: Any = None,
    concurrency: int = 1,
    lease: float = LONG_LEASE,
    **sizes: int,
) -> wcdc.Sync:
    """The sync of a scenario.

    ``plain`` and ``full`` (plans) call a function, ``files`` publishes files, ``copied`` has a model not to
    be read twice, ``jobs`` submits jobs, which ``blind jobs`` can't look for by their ids; ``http`` calls a
    server.
    """
    source: dict[str, Any] = {"table": world.table}
    if scenario == "copied" and (world.behind or not world.server):  # where every model is copied
        source = {"sql": f"SELECT id, name, score FROM {world.table} WHERE random() >= 0"}
    model = wcdc.Model("customers", primary_key="id", **source)
    common: dict[str, Any] = {
        "id": SYNC,
        "model": model,
        "chunk_rows": CHUNK_ROWS,
        "batch_rows": BATCH_ROWS,
        "batch_timeout": lease * 0.8,
        "max_removed": None,
        **sizes,
    }
    if scenario == "files":
        return wcdc.Sync(destination=PickyFiles(world.files), mode="diff", **common)
    if scenario.endswith("jobs"):
        jobs = Jobs(world.served, finds=scenario == "jobs", around=destination or (lambda moment: None))
        patience = {"poll_wait": 0.02, "job_timeout": 20.0}
        return wcdc.Sync(destination=jobs, on_removed="delete", concurrency=concurrency, **common, **patience)
    if scenario == "http":
        requests = {operation: Request(url="/rows") for operation in ("added", "changed")}
        http = HttpRequest(world.served, **requests, removed=Request(url="/remove"), rate=None)
        return wcdc.Sync(
            destination=http, on_removed="delete", concurrency=concurrency, split_retries=True, **common
        )
    function = wcdc.destinations.FunctionDestination(destination or Recorder(world), name="recorder")
    return wcdc.Sync(
        destination=function, mode="upsert", on_removed="delete", concurrency=concurrency, **common
    )
