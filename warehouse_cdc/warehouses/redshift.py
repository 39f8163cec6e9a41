"""Amazon Redshift by psycopg 3.

Settings are the session's, which is always our own: it isn't documented that SET LOCAL would hold for all
statements of one message. Rows are read as text, by a cursor of the server; there is no binary COPY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType, Redshift
from warehouse_cdc.dialects.redshift import LONGEST
from warehouse_cdc.warehouses.base import NAMED, Work, end_all, literals
from warehouse_cdc.warehouses.postgres import PlainCursor, PostgresConnection, arrow_type, sign_in, storable

FETCHED = 1_000
"""Rows of one FETCH: a cluster of one node takes no more."""
INSERTED = 1_000
"""Rows of one INSERT, which may have 16 MB."""
BATCH, INTERACTIVE = "ht_batch", "ht_interactive"
"""Query groups by which workload management can tell runs from what somebody waits for."""
_SETTINGS = "SET timezone TO 'UTC'; SET datestyle TO 'ISO, YMD'; SET extra_float_digits TO 2"


def open_redshift(conninfo: str, options: Mapping[str, str] | None = None) -> RedshiftConnection:
    """Connect by a URL or a libpq connection string, and more of libpq's parameters.

    The port is 5439 unless one is given.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    session = sign_in_to_redshift(conninfo, options)
    return RedshiftConnection(session, lambda: open_redshift(conninfo, options))


def sign_in_to_redshift(conninfo: str, options: Mapping[str, str] | None = None) -> psycopg.Connection[Any]:
    """A session of the driver, to which the server would otherwise name an encoding that it doesn't know."""
    try:
        known = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        known = {"port": ""}  # sign_in tells
    port = {} if "port" in known else {"port": "5439"}
    return sign_in(conninfo, {"client_encoding": "UTF8", **port, **(options or {})})


class RedshiftConnection(PostgresConnection):
    """A session of Redshift."""

    _literals = literals(r"'(?:[^'\\]|\\.|'')*'|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$", NAMED)

    def __init__(self, connection: psycopg.Connection[Any], opener: Callable[[], RedshiftConnection]) -> None:
        """Take a session, and what makes another one like it."""
        super().__init__(connection, owned=True, opener=opener, dialect=Redshift())
        self._group = BATCH
        self.execute(f"{_SETTINGS}; SET query_group TO '{BATCH}'")

    def _framed(self, sql: str) -> str:
        return sql

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; there is nothing to tell the planner."""
        with self._cursor(sql):
            pass

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """In the query group for what somebody waits for."""
        before = self._group
        self._use(INTERACTIVE)
        try:
            yield
        finally:
            if not self.closed:
                self._use(before)

    def _use(self, group: str) -> None:
        if group != self._group:
            self.execute(f"SET query_group TO '{group}'")
            self._group = group

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """A transaction; Redshift has no such time-outs."""
        with self._in_transaction_of("BEGIN"):
            yield

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """By a cursor of the server, in a transaction of its own."""
        types = [arrow_type(kind) for kind in kinds]
        pa.array([])  # the first array imports pandas where it is installed: not inside the transaction
        cursor = PlainCursor(self._connection, row_factory=tuple_row)
        with self.transaction(), self._mapped(sql), cursor:
            self._sending()
            cursor.execute(
                self._framed(f"{self.labels.comment()}DECLARE wcdc_stream CURSOR FOR {sql}").encode()
            )
            while True:
                cursor.execute(f"FETCH FORWARD {min(batch_rows, FETCHED)} FROM wcdc_stream".encode())
                rows = cursor.fetchall()
                if not rows:
                    break
                columns = [_decoded(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)]
                names = [column.name for column in cursor.description or ()]
                yield pa.RecordBatch.from_arrays(columns, names)

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """As many statements as it takes, in order."""
        target = self.dialect.table(schema, table)
        names = ", ".join(self.dialect.quote(name) for name in rows.column_names)
        kinds = {field.name: self._own_type(field.type) for field in rows.schema}
        records = rows.to_pylist()
        for start in range(0, len(records), INSERTED):
            part = records[start : start + INSERTED]
            values = ", ".join(
                f"({', '.join(self._value(name, value, kinds[name]) for name, value in row.items())})"
                for row in part
            )
            self.execute(f"INSERT INTO {target} ({names}) VALUES {values}")

    def _value(self, name: str, value: Any, kind: str) -> str:
        value = storable(value)
        if name == "reason" and value is not None:
            value = value.encode()[:LONGEST].decode(errors="ignore")
        return self.dialect.cast(self.dialect.literal(value), kind)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The server's own description of the query's result."""
        with self.interactive():
            found = self._result_columns(sql)
            if not found:
                return []
            names = ", ".join(f"format_type({oid}, {mod})" for _name, oid, mod in found)
            (types,) = self.query(f"SELECT {names}")
        return [(name, str(kind)) for (name, _oid, _mod), kind in zip(found, types, strict=True)]

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """Not asked: without snapshots, a model is copied before it is compared."""
        return None

    def end_statements(self, run_id: str) -> bool:
        """End their sessions, which the comment before each tells; they are of the same user."""
        named = self.dialect.literal(f"/* warehouse-cdc %run={run_id} %")
        running = (
            "SELECT DISTINCT session_id FROM sys_query_history WHERE session_id <> pg_backend_pid() "
            f"AND status IN ('planning', 'queued', 'running', 'returning') AND query_text LIKE {named}"
        )
        return end_all(
            run_id,
            lambda: [str(session) for (session,) in self.query(running)],
            lambda session: self.execute(f"SELECT pg_terminate_backend({int(session)})"),
        )

    def engine_version(self) -> str:
        """The hash functions are defined, whatever the version."""
        return ""


def _decoded(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """Values as they were read; byte strings travel as hexadecimal digits."""
    if pa.types.is_binary(wanted):
        values = [None if value is None else bytes.fromhex(value) for value in values]
    return pa.array(values, wanted)
