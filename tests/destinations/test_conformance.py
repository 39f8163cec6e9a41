"""Our own destinations keep the promises that the shipped suite tests."""

from __future__ import annotations

import base64
import csv
import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet as pq
import pytest

from tests.job_service import Jobs, JobService
from warehouse_cdc.destinations import (
    Batch,
    Csv,
    Destination,
    FunctionDestination,
    HttpRequest,
    JsonLines,
    Parquet,
    SqlTable,
)
from warehouse_cdc.destinations.files import FileDestination
from warehouse_cdc.destinations.http import Request
from warehouse_cdc.sync import OPERATIONS
from warehouse_cdc.testing import DestinationConformance, Fault, FaultServer

EXAMPLES = 2
_numbers = itertools.count(1)
Record = Mapping[str, Any]


class TestDuckDBTable(DestinationConformance):
    refused = {"name": "refused"}
    examples = EXAMPLES
    types = {
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

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        path = str(self.folder / f"target{next(_numbers)}.duckdb")
        columns = ", ".join(f"{name} {self.types[kind]}" for name, kind in fields.items())
        check = ", CHECK (name <> 'refused')" if "name" in fields else ""
        key = "" if mode == "archive" else ", PRIMARY KEY (id)"
        with duckdb.connect(path) as db:
            db.execute(f"CREATE TABLE t ({columns}{check}{key})")
        return path

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return SqlTable(f"duckdb:///{target}", "t")

    def read(self, target: Any) -> Iterable[Record]:
        with duckdb.connect(target) as db:
            db.execute("SET timezone = 'UTC'")
            found = db.sql("SELECT * FROM t").to_arrow_table()
        return list(map(_with_json, found.to_pylist()))

    def unusable(self) -> Destination:
        return SqlTable(f"duckdb:///{self.folder / 'nothing.duckdb'}", "t")


def _with_json(each: Record) -> Record:
    return {name: json.loads(it) if name == "a_json" and it else it for name, it in each.items()}


class TestPostgresTable(TestDuckDBTable):
    secrets = ["s3cr3t"]
    types = {
        **TestDuckDBTable.types,
        "float": "DOUBLE PRECISION",
        "json": "JSONB",
        "binary": "BYTEA",
        "decimal": "NUMERIC",
    }

    @pytest.fixture(autouse=True)
    def _server(self, postgres_url: str) -> Iterator[None]:
        self.url = postgres_url
        self.made: list[str] = []
        yield
        with psycopg.connect(postgres_url, autocommit=True) as session:
            for table in self.made:
                session.execute(f"DROP TABLE {table}".encode())

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        table = f"conforms_{next(_numbers)}"
        self.made.append(table)
        columns = ", ".join(f"{name} {self.types[kind]}" for name, kind in fields.items())
        check = ", CHECK (name <> 'refused')" if "name" in fields else ""
        key = "" if mode == "archive" else ", PRIMARY KEY (id)"
        with psycopg.connect(self.url, autocommit=True) as session:
            session.execute(f"CREATE TABLE {table} ({columns}{check}{key})".encode())
        return self.url, table

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return SqlTable(*target)

    def read(self, target: Any) -> Iterable[Record]:
        url, table = target
        with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as session:
            return session.execute(f"SELECT * FROM {table}".encode()).fetchall()

    def unusable(self) -> Destination:
        return SqlTable("postgresql://nobody:s3cr3t@127.0.0.1:1/nothing", "t")


class TestFunction(DestinationConformance):
    refused = {"name": "refused"}
    examples = EXAMPLES
    kinds = ["text", "integer", "float", "binary"]

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        path = str(self.folder / f"target{next(_numbers)}.sqlite")
        key = "" if mode == "archive" else ", PRIMARY KEY (id)"
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"CREATE TABLE t ({', '.join(fields)}{key})")
        return path

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return FunctionDestination(partial(_shelve, target), batch_size=50)

    def read(self, target: Any) -> Iterable[Record]:
        with closing(sqlite3.connect(target)) as db:
            db.row_factory = sqlite3.Row
            return list(map(dict, db.execute("SELECT * FROM t")))


def _shelve(path: str, batch: Batch) -> dict[str, str]:
    """A function as users write them: each row in the way of the sync's mode."""
    refused = {}
    mode, names = batch.context.mode, batch.context.fields
    others = [name for name in names if name != "id"]
    clears = batch.operation == "removed" and batch.context.on_removed == "clear"
    with closing(sqlite3.connect(path, timeout=20)) as db, db:
        for row_id, row in zip(batch.row_ids, batch.rows, strict=True):
            if batch.operation == "removed" and not clears:
                db.execute("DELETE FROM t WHERE id = :id", row)
            elif row.get("name") == "refused" and not clears:
                refused[row_id] = "refused"
            elif mode == "update" or clears:
                values = dict.fromkeys(others) if clears else row
                changes = ", ".join(f"{name} = :{name}" for name in others)
                db.execute(f"UPDATE t SET {changes} WHERE id = :id", {**values, "id": row["id"]})
            else:
                way = {"insert": " OR IGNORE", "upsert": " OR REPLACE"}.get(mode, "")
                db.execute(f"INSERT{way} INTO t VALUES ({', '.join(':' + name for name in names)})", row)
    return refused


class Files(DestinationConformance):
    """What is alike in the formats of files."""

    examples = EXAMPLES
    made: type[FileDestination]

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        return self.folder / f"target{next(_numbers)}"

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return self.made(target)

    def parse(self, path: Path) -> Iterable[Record]:
        raise NotImplementedError

    def files(self, target: Any) -> list[Path]:
        """The visible files in the order in which they were published."""
        order = {f"{operation}{self.made.extension}": at for at, operation in enumerate(OPERATIONS)}
        found = [path for path in Path(target).glob("[!.]*")] if Path(target).exists() else []
        return sorted(
            found, key=lambda path: [*path.name.split("_")[:2], order.get(path.name.split("_")[-1])]
        )

    def read(self, target: Any) -> Iterable[Record]:
        return [each for path in self.files(target) for each in self.parse(path)]

    def read_operations(self, target: Any) -> Iterable[tuple[str, Record]]:
        for path in self.files(target):
            for each in self.parse(path):
                yield path.stem.split("_")[-1], each

    def unusable(self) -> Destination:
        (self.folder / "file").write_text("in the way")
        return self.made(self.folder / "file" / "below")


class TestJsonLines(Files):
    made = JsonLines

    def parse(self, path: Path) -> Iterable[Record]:
        with path.open(encoding="utf-8", newline="\n") as lines:
            return [json.loads(line, parse_float=Decimal) for line in lines]

    def shown(self, kind: str, value: Any) -> Any:
        exact = kind == "float" and value is not None
        return Decimal(repr(value)) if exact else _as_json(kind, value)


class TestParquet(Files):
    made = Parquet
    modes = ["snapshot"]
    durable = False  # as the others

    def parse(self, path: Path) -> Iterable[Record]:
        return list(map(_with_json, pq.read_table(path).to_pylist()))


class TestCsv(Files):
    made = Csv
    modes = ["snapshot"]
    durable = False  # as the others

    def parse(self, path: Path) -> Iterable[Record]:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def shown(self, kind: str, value: Any) -> Any:
        if value is None:
            return ""
        if kind == "decimal":
            return f"{value:.9f}"
        as_json = kind in ("boolean", "json")
        return json.dumps(value) if as_json else str(_as_json(kind, value))


class TestHttp(DestinationConformance):
    examples = 1  # tests/property/test_http_oracle.py has more
    refused = {"name": "refused"}
    modes = ["insert", "upsert"]
    options = {"split_retries": True}

    @pytest.fixture(autouse=True)
    def _servers(self) -> Iterator[None]:
        with ExitStack() as self.stack:
            self.servers: dict[str, FaultServer] = {}
            yield

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        server = self.stack.enter_context(FaultServer(poison=lambda row: row.get("name") == "refused"))
        self.servers[server.url] = server
        return server.url

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        requests = {"added": Request(url="/rows")}
        if mode == "upsert":
            requests["changed"] = Request("PUT", "/rows")
        if on_removed == "delete":
            requests["removed"] = Request(url="/remove")
        return HttpRequest(target, **requests, rate=None, timeout=0.3, read_timeout=0.3)

    def read(self, target: Any) -> Iterable[Record]:
        return list(self.servers[target].table.values())

    def shown(self, kind: str, value: Any) -> Any:
        return float(value) if kind == "decimal" and value is not None else _as_json(kind, value)

    def disturbances(self, target: Any) -> Mapping[str, AbstractContextManager[Any]]:
        server = self.servers[target]
        faults = {
            "unavailable": Fault(status=503),
            "an error after the effect": Fault(status=500, applied=True),
            "throttled": Fault(status=429, headers={"Retry-After": "0"}),
            "cut off before": Fault(reset="before"),
            "cut off after": Fault(reset="after", applied=True),
            "no answer": Fault(stall=0.5, applied=True),
        }
        return {name: _disturbed(server, fault) for name, fault in faults.items()}

    def unusable(self) -> Destination:
        return HttpRequest("http://127.0.0.1:1", added=Request())


class TestJobs(DestinationConformance):
    """A service that works by jobs; its calls are disturbed, and so are its jobs."""

    examples = 1  # tests/property/test_jobs_oracle.py has more
    refused = {"name": "refused"}
    kinds = ["text", "integer", "float", "boolean"]
    durable = False  # tests/crash/test_jobs.py kills processes with it
    options = {"poll_wait": 0.01, "split_retries": True}

    @pytest.fixture(autouse=True)
    def _services(self) -> Iterator[None]:
        with ExitStack() as self.stack:
            self.services: dict[str, JobService] = {}
            yield

    def target(self, fields: Mapping[str, str], mode: str) -> Any:
        service = JobService(refuses=lambda values: values.get("name") == "refused")
        self.services[service.url] = self.stack.enter_context(service)
        return service.url

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return Jobs(target, modes=frozenset({"insert", "upsert"}))

    def read(self, target: Any) -> Iterable[Record]:
        return list(self.services[target].table.values())

    def disturbances(self, target: Any) -> Mapping[str, AbstractContextManager[Any]]:
        service = self.services[target]
        return {
            **{fault: _faulty(service, fault) for fault in ("lost", "cut", "busy", "limited", "refused")},
            **{fate: _fateful(service, fate) for fate in ("fails", "unknown", "retry")},
        }

    def unusable(self) -> Destination:
        return Jobs("http://127.0.0.1:1", modes=frozenset({"insert", "upsert"}))


@contextmanager
def _faulty(service: JobService, fault: str) -> Iterator[None]:
    """Every second call of a kind goes wrong."""
    service.script = lambda kind, number: None if number % 2 else fault
    yield
    service.script = lambda kind, number: None


@contextmanager
def _fateful(service: JobService, fate: str) -> Iterator[None]:
    service.fate = lambda number, rows: fate
    yield
    service.fate = lambda number, rows: None


@contextmanager
def _disturbed(server: FaultServer, fault: Fault) -> Iterator[None]:
    """Every second call goes wrong."""
    server.script = lambda number, path, body: None if number % 2 else fault
    yield
    server.script = lambda number, path, body: None


def _as_json(kind: str, value: Any) -> Any:
    """A value as our JSON shows it."""
    if value is None:
        return None
    if kind == "binary":
        return base64.b64encode(value).decode()
    if kind in ("instant", "timestamp"):
        text = value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{value.microsecond:06}" if value.microsecond else "")
        return text + ("Z" if kind == "instant" else "")
    return value.isoformat() if kind == "date" else value
