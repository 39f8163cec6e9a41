"""Trino by its own client.

Each statement is alone: Trino's transactions hold one write at most, so runs are recorded in tables.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from os import fspath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import requests
import trino
from sqlglot import exp
from trino.auth import BasicAuthentication
from trino.exceptions import Error as DriverError
from trino.exceptions import HttpError, TrinoAuthError, TrinoConnectionError, TrinoQueryError

from warehouse_cdc.dialects import ColumnType, Trino
from warehouse_cdc.dialects.trino import decimal_digits
from warehouse_cdc.errors import (
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    StateError,
    WarehouseError,
)
from warehouse_cdc.sources import Trino as Source
from warehouse_cdc.warehouses.base import Connection, Work, redacted

STATEMENT_LENGTH = 900_000
"""Characters of one INSERT; Trino takes a million in a statement."""
_ATTEMPTS = 6
"""How often a DELETE or UPDATE is tried that another one was faster than."""
_PORTS = {"https": 443, "http": 8080}
_session: Any = trino.dbapi.connect
"""Opens a session; the client has no types for it."""
_FAILURES = (DriverError, HttpError, requests.exceptions.RequestException)

_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}


def arrow_type(kind: ColumnType | None) -> pa.DataType:
    """The Arrow type of a stored type."""
    if kind is None:
        return pa.string()
    if kind.kind == "integer":
        return pa.int64() if kind.name == "BIGINT" else pa.int32()
    if kind.kind == "float":
        return pa.float32() if kind.name == "REAL" else pa.float64()
    if kind.kind == "decimal":
        return pa.decimal128(*decimal_digits(kind))
    return _ARROW[kind.kind]


def _array(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """A column as the server's JSON spells its values, in an Arrow type."""
    if pa.types.is_floating(wanted):
        return pa.array([float(v) if isinstance(v, str) else v for v in values], wanted)
    if pa.types.is_binary(wanted):
        return pa.array([None if v is None else base64.b64decode(v) for v in values], wanted)
    if pa.types.is_timestamp(wanted) and wanted.tz is not None:
        plain = [None if v is None else v.removesuffix(" UTC") for v in values]
        return pc.assume_timezone(pa.array(plain, pa.string()).cast(pa.timestamp(wanted.unit)), "UTC")
    if pa.types.is_time(wanted):
        moments = pc.binary_join_element_wise("1970-01-01", pa.array(values, pa.string()), " ")
        return moments.cast(pa.timestamp(wanted.unit)).cast(pa.int64()).cast(wanted)
    if pa.types.is_temporal(wanted) or pa.types.is_decimal(wanted):
        return pa.array(values, pa.string()).cast(wanted)
    return pa.array(values, wanted)


def open_trino(source: Source) -> TrinoConnection:
    """Connect.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    arguments: dict[str, Any] = {
        "host": source.host,
        "port": source.port or _PORTS[source.http_scheme],
        "user": source.user,
        "catalog": source.catalog,
        "schema": source.schema,
        "http_scheme": source.http_scheme,
        "source": "warehouse-cdc",
        "timezone": "UTC",
        "auth": BasicAuthentication(source.user, source.password) if source.password else None,
    }
    if source.verify is not None:
        arguments["verify"] = fspath(source.verify)
    connection = TrinoConnection(arguments)
    connection.query("SELECT 1")
    return connection


class TrinoConnection(Connection):
    """A session, which is nothing but what each request says of itself."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        """Take the client's arguments; nothing is sent yet."""
        self.dialect = Trino()
        self.statements = 0
        self._arguments = arguments
        self._connection = _session(**arguments)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._cursor(sql) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again, if it can be repeated and another one was faster."""
        repeatable = sql.lstrip()[:6].upper() in ("DELETE", "UPDATE")
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self.query(sql)
            except QueryError as error:
                if error.code != "query-conflict" or not repeatable or attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
            else:
                return

    @contextmanager
    def _cursor(self, sql: str, *, spelled: bool = False) -> Iterator[Any]:
        """Send a statement, which is cancelled if nobody wants the rest of its result.

        Args:
            sql: The statement.
            spelled: Return values as the server's JSON spells them.
        """
        self.statements += 1
        cursor = self._connection.cursor(legacy_primitive_types=spelled)
        try:
            cursor.execute(sql)
            yield cursor
        except _FAILURES as error:
            raise _mapped(error, sql) from None
        except BaseException:
            with suppress(*_FAILURES):  # what went wrong matters more
                cursor.cancel()
            raise

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """Nothing: every statement commits by itself."""
        yield

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 20_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The server's pages, made into Arrow."""
        types = [arrow_type(kind) for kind in kinds]
        with self._cursor(sql, spelled=True) as cursor:
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(batch_rows):
                columns = zip(*rows, strict=True)
                try:
                    arrays = [_array(c, t) for c, t in zip(columns, types, strict=True)]
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    raise QueryError(
                        "A value doesn't fit into an Arrow column of its type.",
                        sql=redacted(sql),
                        hint="Cast dates and times before the year 0 or after 9999 to text in the model.",
                    ) from None
                yield pa.RecordBatch.from_arrays(arrays, names)

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """As many statements as their length asks for, in order: the last row comes with the last one."""
        names = ", ".join(self.dialect.quote(name) for name in rows.column_names)
        head = f"INSERT INTO {self.dialect.table(schema, table)} ({names}) VALUES "
        taken: list[str] = []
        length = 0
        for row in rows.to_pylist():
            text = f"({', '.join(self._literal(value) for value in row.values())})"
            if taken and length + len(text) > STATEMENT_LENGTH:
                self.execute(head + ", ".join(taken))
                taken, length = [], 0
            taken.append(text)
            length += len(text) + 2
        if taken:
            self.execute(head + ", ".join(taken))

    def _literal(self, value: Any) -> str:
        if isinstance(value, datetime):
            text = value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ", "microseconds")
            return f"TIMESTAMP '{text} UTC'"
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()  # no lone surrogates
        return self.dialect.literal(value)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The result's columns of the query without rows, which the server doesn't run."""
        with self._cursor(f"SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0") as cursor:
            cursor.fetchall()
            return [(str(column[0]), str(column[1])) for column in cursor.description]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in the catalog's information schema."""
        wanted = ", ".join(self.dialect.literal(schema.lower()) for schema in schemas)
        rows = self.query(
            f"SELECT schema_name, NULL FROM information_schema.schemata WHERE schema_name IN ({wanted}) "
            "UNION ALL SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema IN ({wanted}) AND table_type = 'BASE TABLE'"
        )
        named = {schema.lower(): schema for schema in schemas}
        if missing := sorted(set(schemas) - {named[row[0]] for row in rows}):
            raise StateError(
                f"The schema {' and the schema '.join(map(repr, missing))} doesn't exist.",
                code="schema-missing",
                hint="An administrator runs what `warehouse-cdc setup` prints, once.",
            )
        return {(named[schema], str(name)) for schema, name in rows if name is not None}

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """None: a materialized view, which may be evaluated as it is read, looks like a table."""
        return None

    def engine_version(self) -> str:
        """The same for all versions: xxHash64 is defined by its specification."""
        return "xxhash64"

    @property
    def closed(self) -> bool:
        """There is no session that could end."""
        return False

    def clone(self) -> TrinoConnection:
        """Another one with the same arguments."""
        return TrinoConnection(self._arguments)

    def close(self) -> None:
        """Close the client's HTTP session."""
        self._connection.close()


_NAMES_ONLY = frozenset(
    {
        *(
            "TABLE_NOT_FOUND",
            "COLUMN_NOT_FOUND",
            "SCHEMA_NOT_FOUND",
            "CATALOG_NOT_FOUND",
            "PERMISSION_DENIED",
        ),
        *("TABLE_ALREADY_EXISTS", "FUNCTION_NOT_FOUND", "TYPE_MISMATCH", "TYPE_NOT_FOUND", "NOT_SUPPORTED"),
        *("AMBIGUOUS_NAME", "DUPLICATE_COLUMN_NAME", "MISSING_SCHEMA_NAME"),
    }
)
"""Errors whose message names objects, never row values."""
_CONFLICTS = frozenset({"ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT"})


def _mapped(error: Exception, sql: str) -> WarehouseError:
    shown = redacted(sql)
    if isinstance(error, TrinoAuthError) or (isinstance(error, HttpError) and "401" in str(error)):
        return ConnectionLostError(
            "Trino refused the sign-in.", sql=shown, hint="Check user and password.", retryable=False
        )
    if isinstance(error, (HttpError, TrinoConnectionError, requests.exceptions.RequestException)):
        return ConnectionLostError(
            f"Trino can't be reached ({type(error).__name__}).",
            sql=shown,
            hint="Check host, port and scheme.",
        )
    if not isinstance(error, TrinoQueryError):
        return QueryError(f"Trino's client failed ({type(error).__name__}).", sql=shown)
    name = str(error.error_name)
    detail = f": {error.message}" if name in _NAMES_ONLY else "."
    if name == "PERMISSION_DENIED":
        return PermissionDeniedError(
            f"Trino denied a statement{detail}",
            sql=shown,
            query_id=error.query_id,
            hint="The user needs to create, read, write and drop tables in the two schemas, and to read the "
            "model's tables: see `warehouse-cdc check`.",
        )
    conflict = name in _CONFLICTS
    return QueryError(
        f"Trino refused a statement ({name}){detail}",
        sql=shown,
        query_id=error.query_id,
        code="query-conflict" if conflict else None,
        retryable=conflict,
    )
