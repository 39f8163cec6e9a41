"""What conformance tests share: a fresh warehouse on each engine, a destination that remembers, children."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict

import warehouse_cdc as wcdc
from tests.conformance.spelling import Spelling
from tests.stand_ins import PostgresWithoutTransactions, connect_without_transactions
from warehouse_cdc.destinations import Batch
from warehouse_cdc.dialects import ColumnType, get_dialect
from warehouse_cdc.mapping.values import to_rows

PLANNER = "hightouch_planner"
AUDIT = "hightouch_audit"
SHARED = {(PLANNER, "wcdc_journal"), (PLANNER, "wcdc_leases")} | {
    (AUDIT, name) for name in ("sync_changelog", "sync_snapshot", "sync_runs")
}
LEDGER = re.compile(r"_\d{12}_(beats|claim|done|end)$")
"""Tables in which runs are recorded, where they aren't rows."""
ENGINES = ("duckdb", "postgres", "tables", "pulled")
ROOT = Path(__file__).resolve().parents[2]


class Engine:
    """A fresh database, seen as its owner sees it: not through the library."""

    binary: str
    """The type of byte strings."""
    counted = False
    """Whether ``execute`` waits until the server's counters tell of it, however long that takes."""
    spelling = Spelling()

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.url = url
        self.dialect = get_dialect(name)
        self._warehouses: list[wcdc.Warehouse] = []

    @property
    def capabilities(self) -> Any:
        return self.dialect.capabilities

    def execute(self, *statements: str) -> None:
        raise NotImplementedError

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.records(sql)]

    def records(self, sql: str) -> list[dict[str, Any]]:
        raise NotImplementedError

    def column_type(self, value: str) -> ColumnType:
        """The type that the library sees in a model with such a value."""
        return self._described(f"SELECT {value} AS k")

    def _described(self, sql: str) -> ColumnType:
        ((_name, kind),) = self.connect()._connection.describe(sql)
        return self.dialect.column_type(kind)

    def over(self, rows: str, select: str) -> list[tuple[Any, ...]]:
        """A SELECT of the dialect's expressions over a table of spelled values, which it names ROWS."""
        return self.query(select.replace("ROWS", rows))

    def raw(self) -> Any:
        """A connection of the driver's own, which the caller closes."""
        raise NotImplementedError

    def connect(self, **options: Any) -> wcdc.Warehouse:
        """A warehouse that is closed when the test ends."""
        warehouse = wcdc.connect(self.url, **options)
        self._warehouses.append(warehouse)
        return warehouse

    def detach(self) -> None:
        """Close what this process holds, so that another one may open the database."""
        while self._warehouses:
            self._warehouses.pop().close()

    def table(self, columns: str, *rows: str, name: str = "people") -> None:
        """Make a table (again) with these rows."""
        self.execute(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} ({columns})")
        if rows:
            self.execute(f"INSERT INTO {name} VALUES {', '.join(rows)}")

    def tables(self) -> set[tuple[str, str]]:
        """All tables of the two schemas."""
        return {
            (schema, name)
            for schema, name in self.query(
                "SELECT table_schema, table_name FROM information_schema.tables "
                f"WHERE table_schema IN ('{PLANNER}', '{AUDIT}')"
            )
        }

    def series(self, low: int, high: int) -> str:
        """A table of all integers of a range, with one column."""
        return f"generate_series({low}, {high})"

    def rows(self, names: list[str], rows: list[list[str]]) -> str:
        """A table of expressions."""
        return f"(VALUES {', '.join(f'({chr(44).join(row)})' for row in rows)}) t ({', '.join(names)})"

    def footprint(self) -> dict[tuple[str, str], list[str]]:
        """Everything that the two schemas hold; equal footprints mean that nothing was written."""
        return {
            (schema, name): sorted(map(repr, self.query(f"SELECT * FROM {self.dialect.table(schema, name)}")))
            for schema, name in self.tables()
        }

    def own_tables(self) -> set[str]:
        """Tables of the planner schema that belong to runs."""
        return {name for _schema, name in self.tables() - SHARED if not LEDGER.search(name)}

    def journal_tables(self) -> list[str]:
        """The tables that have the journal's entries, qualified."""
        return [f"{PLANNER}.wcdc_journal"]

    def journal(self, event: str) -> list[tuple[Any, ...]]:
        """Recorded_at and data of all entries of a kind."""
        return [
            row
            for table in self.journal_tables()
            for row in self.query(f"SELECT recorded_at, data FROM {table} WHERE event = '{event}'")
        ]

    def edit_journal(self, change: str, where: str = "TRUE") -> None:
        """Update entries."""
        self.execute(*(f"UPDATE {table} SET {change} WHERE {where}" for table in self.journal_tables()))

    def audit(self, name: str, order: str = "sync_run_id, row_id") -> list[dict[str, Any]]:
        """Rows of an audit table; ``fields`` is parsed."""
        rows = self.records(f"SELECT * FROM {AUDIT}.{name} ORDER BY {order}")
        for row in rows:
            if isinstance(row.get("fields"), str):
                row["fields"] = json.loads(row["fields"])
        return rows

    def runs(self) -> list[dict[str, Any]]:
        return self.audit("sync_runs", "sync_run_id")

    def plan_table(self, which: int = -1) -> str:
        """A run's plan table, qualified; the newest by default."""
        names = sorted(name for name in self.own_tables() if name.endswith("_plan"))
        return self.dialect.table(PLANNER, names[which])


class DuckDBEngine(Engine):
    binary = "BLOB"
    spelling = Spelling(
        types={
            "binary": "BLOB",
            "array of integer": "INTEGER[]",
            "array of text": "VARCHAR[]",
            "array of array of integer": "INTEGER[][]",
        },
        values={"binary": lambda digits: f"unhex('{digits}')"},
        differs=dict.fromkeys(
            [("char(4)", "a", "a "), ("char(4)", "", "    ")], "DuckDB's char(n) is another name of varchar"
        ),
    )

    def __init__(self, path: Path) -> None:
        super().__init__("duckdb", f"duckdb:///{path}")
        self.path = path
        self._own: duckdb.DuckDBPyConnection | None = None

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._own is None:
            self._own = duckdb.connect(str(self.path))
            self._own.execute("SET TimeZone = 'UTC'")
        return self._own

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self._connection.execute(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._connection.sql(sql).to_arrow_table().to_pylist()
        return rows

    def raw(self) -> Any:
        return duckdb.connect(str(self.path))

    def detach(self) -> None:
        super().detach()
        if self._own is not None:
            self._own.close()
            self._own = None


class PostgresEngine(Engine):
    binary = "BYTEA"
    spelling = Spelling(
        types={
            "binary": "BYTEA",
            "array of integer": "INTEGER[]",
            "array of text": "VARCHAR[]",
            "array of array of integer": "INTEGER[][]",
            "struct": "pair",
        },
        values={"binary": lambda digits: f"'\\x{digits}'"},
        absent={"map of integer": "PostgreSQL has no maps"},
        before=("CREATE TYPE pair AS (a INTEGER, b VARCHAR)",),
    )

    def __init__(self, server: str, database: str) -> None:
        self.server = server
        self.database = database
        url = server.rsplit("/", 1)[0] + f"/{database}"
        super().__init__("postgres", url)
        self._own = psycopg.connect(url, autocommit=True)
        self._own.execute("SET TimeZone = 'UTC'")

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self._own.execute(sql.encode())
        if self._own.info.server_version >= 150_000:
            # What the engine takes as a hint comes when it comes otherwise.
            self._own.execute("SELECT pg_stat_force_next_flush()")
        elif self.counted:
            for _sent_then_written in range(2):
                time.sleep(0.6)
                self._own.execute("SELECT 1")

    def records(self, sql: str) -> list[dict[str, Any]]:
        with self._own.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(sql.encode()).fetchall()

    def raw(self) -> Any:
        return psycopg.connect(self.url, autocommit=True)

    def close(self) -> None:
        self.detach()
        self._own.close()


class RecordsInTables(Engine):
    """Runs are recorded in tables, not in rows."""

    def ledger_tables(self) -> list[str]:
        """Claims, ends and the like, qualified, oldest generation first."""
        found = sorted(name for schema, name in self.tables() if schema == PLANNER and LEDGER.search(name))
        return [self.dialect.table(PLANNER, name) for name in found]

    def journal_tables(self) -> list[str]:
        logs = sorted(name for name in self.own_tables() if name.endswith("_rejections"))
        return [*(self.dialect.table(PLANNER, name) for name in logs), *self.ledger_tables()]


class TablesEngine(RecordsInTables, PostgresEngine):
    """PostgreSQL as if it had no transactions."""

    def connect(self, **options: Any) -> wcdc.Warehouse:
        warehouse = connect_without_transactions(self.url, **options)
        self._warehouses.append(warehouse)
        return warehouse

    @property
    def capabilities(self) -> Any:
        return PostgresWithoutTransactions.capabilities


class PulledEngine(DuckDBEngine):
    """Models on PostgreSQL, where nothing is written; all else in a DuckDB file."""

    spelling = PostgresEngine.spelling

    def __init__(self, path: Path, origin: PostgresEngine) -> None:
        super().__init__(path)
        self.origin = origin
        self.binary = origin.binary

    def connect(self, **options: Any) -> wcdc.Warehouse:
        warehouse = wcdc.connect(self.origin.url, state=self.path, **options)
        self._warehouses.append(warehouse)
        return warehouse

    def execute(self, *statements: str) -> None:
        for sql in statements:
            if PLANNER in sql or AUDIT in sql:
                super().execute(sql)
            else:
                self.origin.execute(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        return super().records(sql) if PLANNER in sql or AUDIT in sql else self.origin.records(sql)

    def raw(self) -> Any:
        return self.origin.raw()


@contextlib.contextmanager
def duckdb_engine(folder: Path) -> Iterator[DuckDBEngine]:
    engine = DuckDBEngine(folder / "warehouse.duckdb")
    try:
        yield engine
    finally:
        engine.detach()


_FREE: dict[str, list[str]] = {}
"""Server to the databases that this process has emptied: that takes less time than to make one."""


@contextlib.contextmanager
def postgres_engine(server: str, kind: type[PostgresEngine] = PostgresEngine) -> Iterator[PostgresEngine]:
    free = _FREE.setdefault(server, [])
    if free:
        database = free.pop()
    else:
        database = f"t_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    engine = kind(server, database)
    try:
        for sql in get_dialect("postgres").setup(PLANNER, AUDIT, None):
            engine.execute(sql)
        yield engine
    finally:
        engine.close()
        _empty(server.rsplit("/", 1)[0] + f"/{database}", database)
        free.append(database)


def _empty(url: str, database: str) -> None:
    """End all other sessions of a database, and drop what is in it."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        schemas = admin.execute(
            "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> "
            "'information_schema'"
        ).fetchall()
        admin.execute(f"DROP SCHEMA {', '.join(name for (name,) in schemas)} CASCADE".encode())
        admin.execute("CREATE SCHEMA public AUTHORIZATION pg_database_owner")
        admin.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
        admin.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO PUBLIC")
        admin.execute(f"ALTER DATABASE {database} RESET ALL")


def psql_parts(url: str) -> dict[str, Any]:
    """A PostgreSQL URL's parts, as libpq reads them."""
    return conninfo_to_dict(url)


class Recorder:
    """A destination that remembers what it was sent, and what it holds as a result.

    Attributes:
        batches: Every batch, in order of arrival.
        held: What the destination would hold: row id to row.
        refuse: Row id to reason (or Outcome): these rows are not applied.
        during: Called with each batch before it is applied; may raise.
        holds_rows: Whether ``held`` keeps the rows themselves (off where there are very many).
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.held: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, Any] = {}
        self.during: Callable[[Batch], Any] | None = None
        self.holds_rows = True
        self._lock = threading.Lock()

    def __call__(self, batch: Batch) -> Any:
        with self._lock:
            self.batches.append(batch)
        if self.during is not None:
            answer = self.during(batch)
            if answer is not None:
                return answer
        rows = batch.rows if self.holds_rows else [{}] * len(batch)
        for row_id, row in zip(batch.row_ids, rows, strict=True):
            if row_id in self.refuse:
                continue
            if batch.operation == "removed":
                self.held.pop(row_id, None)
            else:
                self.held[row_id] = row
        return {row_id: self.refuse[row_id] for row_id in batch.row_ids if row_id in self.refuse}

    @property
    def sent(self) -> list[tuple[str, str]]:
        """(operation, row id) of everything that was sent, in order."""
        return [(batch.operation, row_id) for batch in self.batches for row_id in batch.row_ids]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every row that was sent, in order."""
        return [row for batch in self.batches for row in to_rows(batch.arrow)]

    @property
    def keys(self) -> dict[tuple[str, str], str]:
        """(operation, row id) to the idempotency key that was sent last."""
        return {
            (batch.operation, row_id): key
            for batch in self.batches
            for row_id, key in zip(batch.row_ids, batch.idempotency_keys, strict=True)
        }

    def take(self) -> set[tuple[str, str]]:
        """What was sent since the last call; nothing may be there twice."""
        sent = self.sent
        assert len(sent) == len(set(sent)), "an operation was sent twice"
        self.batches.clear()
        return set(sent)


def sync_of(
    destination: Any, sql: str = "select * from people", key: Any = "id", **options: Any
) -> wcdc.Sync:
    """A sync with short waits, and deletion of removed rows where the mode allows it."""
    options.setdefault("id", "people-sync")
    options.setdefault("retry_wait", 0)
    if options.get("mode", "upsert") in ("upsert", "update"):
        options.setdefault("on_removed", "delete")
    options.setdefault("max_removed", None)
    options.setdefault("require_rows", False)
    return wcdc.Sync(model=wcdc.Model("people", sql=sql, primary_key=key), destination=destination, **options)


def ids(operation: str, *row_ids: Any) -> set[tuple[str, str]]:
    """Pairs as ``Recorder.take`` returns them."""
    return {(operation, str(row_id)) for row_id in row_ids}


def counted(run: wcdc.Run) -> dict[str, tuple[int, int, int, int, int]]:
    """Counts of the operations that were planned: planned, attempted, succeeded, failed, aborted."""
    found = {
        operation: (c.planned, c.attempted, c.succeeded, c.failed, c.aborted)
        for operation, c in run.counts.items()
    }
    for planned, attempted, succeeded, failed, aborted in found.values():
        assert planned == attempted + aborted and attempted == succeeded + failed, "D23"
    return {operation: counts for operation, counts in found.items() if counts[0]}


CHILD_HEAD = """
import json, os, signal, sys, threading, time
import warehouse_cdc as wcdc
from warehouse_cdc.engine.transitions import Step
values = json.loads(sys.argv[1])
url, log = values["url"], values["log"]
if values["without_transactions"]:
    from tests.stand_ins import connect_without_transactions as connect
    wcdc.connect = connect

def note(batch):
    with open(log, "a") as file:
        for row_id, key in zip(batch.row_ids, batch.idempotency_keys):
            file.write(json.dumps([batch.operation, row_id, key]) + "\\n")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def sync_of(destination, sql="select * from people", key="id", **options):
    options = {"id": "people-sync", "snapshot": values["snapshot"], **options}
    return wcdc.Sync(model=wcdc.Model("people", sql=sql, primary_key=key), destination=destination, **options)
"""


class Child:
    """Another process that runs Python against an engine's database."""

    def __init__(self, engine: Engine, log: Path, body: str, **values: Any) -> None:
        engine.detach()
        self.log = log
        without = isinstance(engine, TablesEngine)
        values = {"url": engine.url, "log": str(log), "without_transactions": without, **values}
        values["snapshot"] = None if engine.capabilities.row_level_dml else False
        source = CHILD_HEAD + textwrap.dedent(body)
        cache = log.parent.parent / "bytecode"  # of all tests of this process: children start faster
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "PYTHONPYCACHEPREFIX": str(cache),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, json.dumps(values)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
            text=True,
        )

    def wait(self, timeout: float = 60) -> tuple[int, str]:
        """Its exit code and standard output."""
        try:
            output, errors = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if self.process.returncode not in (0, -signal.SIGKILL):
            output += errors
        return self.process.returncode, output

    def killed(self) -> None:
        """Wait for its violent end."""
        code, output = self.wait()
        assert code == -signal.SIGKILL, f"the child ended with {code}:\n{output}"

    @property
    def sent(self) -> list[tuple[str, str, str]]:
        """(operation, row id, idempotency key) of what it sent."""
        if not self.log.exists():
            return []
        return [tuple(json.loads(line)) for line in self.log.read_text().splitlines()]


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
