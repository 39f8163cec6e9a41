"""Spark by a session of its own Python API, with or without Spark Connect.

Each statement is alone, so runs are recorded in tables. Results come whole, as Arrow: a chunk of a plan is
small enough for that, and nothing else is large.
"""

from __future__ import annotations

import logging
import random
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType, Spark
from warehouse_cdc.dialects.spark import decimal_digits
from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    StateError,
    WarehouseError,
)
from warehouse_cdc.sources.spark import Spark as Source
from warehouse_cdc.warehouses.base import Connection, Work, redacted

STATEMENT_LENGTH = 200_000
"""Characters of one INSERT, which Spark's parser reads in a second or two."""
_ATTEMPTS = 6
"""How often a statement is tried that another one was faster than."""
_REACH = 10.0
"""Seconds in which a server must take a connection."""
_LITERAL = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)
"""Text in either kind of quotes, in which a backslash takes the next character's meaning away."""
_CHAR = "__CHAR_VARCHAR_TYPE_STRING"
"""Where Spark notes that a string is of a fixed or limited length."""

_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}
_INTEGERS = {"TINYINT": pa.int8(), "SMALLINT": pa.int16(), "BIGINT": pa.int64()}


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type of a stored type."""
    if kind.kind == "integer":
        return _INTEGERS.get(kind.name, pa.int32())
    if kind.kind == "float":
        return pa.float32() if kind.name == "FLOAT" else pa.float64()
    if kind.kind == "decimal":
        return pa.decimal128(*decimal_digits(kind))
    return _ARROW[kind.kind]


def arrow_column(column: pa.ChunkedArray, kind: ColumnType | None) -> pa.ChunkedArray:
    """A column as Spark returns it, in the type that is promised."""
    if kind is not None:
        return column.cast(arrow_type(kind))
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def type_name(field: StructField) -> str:
    """A column's type, with fields' names in backquotes."""
    return str((field.metadata or {}).get(_CHAR) or _type_name(field.dataType))


def _type_name(kind: DataType) -> str:
    if isinstance(kind, ArrayType):
        return f"array<{_type_name(kind.elementType)}>"
    if isinstance(kind, MapType):
        return f"map<{_type_name(kind.keyType)},{_type_name(kind.valueType)}>"
    if isinstance(kind, StructType):
        fields = (f"`{f.name.replace('`', '``')}`:{_type_name(f.dataType)}" for f in kind.fields)
        return f"struct<{','.join(fields)}>"
    return str(kind.simpleString())


_ours = threading.local()


def _is_not_ours(_record: logging.LogRecord) -> bool:
    return not getattr(_ours, "busy", False)


# pyspark logs a failed statement's message, with literals and values, whoever handles the error.
PySparkLogger.getLogger("SQLQueryContextLogger").addFilter(_is_not_ours)


def is_session(target: Any) -> bool:
    """Whether it is a session, of whichever kind."""
    return all(hasattr(target, name) for name in ("sql", "conf", "catalog", "interruptTag"))


def open_spark(source: Source) -> SparkConnection:
    """Connect to a Spark Connect server, with a new session.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    try:
        # The client itself would try for ten minutes.
        socket.create_connection((source.host, source.port), _REACH).close()
    except OSError as error:
        raise ConnectionLostError(
            f"Spark can't be reached ({type(error).__name__}).", hint="Check host and port."
        ) from None
    parameters = {"user_id": source.user_id, "token": source.token}
    parts = [f"{name}={quote(text, safe='')}" for name, text in parameters.items() if text is not None]
    parts += ["use_ssl=true"] if source.use_ssl else []
    host = f"[{source.host}]" if ":" in source.host else source.host
    with _mapping():
        session = SparkSession.builder.remote(f"sc://{host}:{source.port}/;{';'.join(parts)}").create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.conf.set("spark.sql.ansi.enabled", "true")
        if source.catalog is not None:
            session.catalog.setCurrentCatalog(source.catalog)
        if source.schema is not None:
            session.catalog.setCurrentDatabase(source.schema)
    return SparkConnection(session, source=source)


class SparkConnection(Connection):
    """A session, which may be used by several threads at once: clones share it."""

    dialect: Spark

    def __init__(self, session: Any, *, source: Source | None = None, shared: bool = False) -> None:
        """Take a session.

        Args:
            session: A SparkSession.
            source: Where it came from, if it isn't the caller's own.
            shared: Another connection ends it.

        Raises:
            ConfigError: It isn't in ANSI mode.
        """
        self.dialect = Spark()
        self.statements = 0
        self._session = session
        self._source = source
        self._shared = shared
        self._lost = False
        with _mapping():
            ansi = str(session.conf.get("spark.sql.ansi.enabled", "false")).lower()
        if ansi != "true":
            raise ConfigError(
                "The Spark session isn't in ANSI mode: overflows and wrong casts would pass for values.",
                code="settings",
                hint="spark.conf.set('spark.sql.ansi.enabled', 'true')",
            )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._sent(sql) as frame:
            table = frame.toArrow()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again if another one was faster, for then it has done nothing.

        But for the creation of a table: who was faster has created it.
        """
        repeatable = sql.lstrip()[:6].upper() != "CREATE"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._sent(sql):
                    pass
            except QueryError as error:
                if error.code != "query-conflict" or not repeatable or attempt == _ATTEMPTS:
                    raise
                time.sleep(random.uniform(0, 0.1 * 2**attempt))
            else:
                return

    @contextmanager
    def _sent(self, sql: str) -> Iterator[Any]:
        """Send a statement: what isn't a query is run, once. It is interrupted if nobody waits any more."""
        self.statements += 1
        tag = f"wcdc-{uuid.uuid4().hex}"
        try:
            with _mapping(sql):
                self._session.addTag(tag)
                try:
                    yield self._session.sql(self.labels.comment() + sql)
                finally:
                    self._session.removeTag(tag)
        except ConnectionLostError:
            self._lost = True
            raise
        except WarehouseError:
            raise
        except BaseException:
            with suppress(Exception):  # what went wrong matters more
                self._session.interruptTag(tag)
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
        """The result, fetched whole and cut into batches."""
        with self._sent(sql) as frame:
            table = frame.toArrow()
        columns = [arrow_column(column, kind) for column, kind in zip(table.columns, kinds, strict=True)]
        yield from pa.table(columns, names=table.column_names).to_batches(batch_rows)

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """As many statements as their length asks for, in order: the last row comes with the last one."""
        for sql in inserts(self.dialect, schema, table, rows):
            self.execute(sql)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The query's schema, for which it isn't run."""
        with self._sent(sql) as frame:
            return [(field.name, type_name(field)) for field in frame.schema.fields]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """One statement for each schema; views are among them."""
        found, missing = set(), []
        for schema in schemas:
            try:
                rows = self.query(f"SHOW TABLES IN {self.dialect.schema(schema)}")
            except QueryError as error:
                if not error.message.startswith("Spark refused a statement (SCHEMA_NOT_FOUND"):
                    raise
                missing.append(schema)
            else:
                found |= {(schema, str(name)) for _namespace, name, temporary in rows if not temporary}
        if missing:
            raise schema_missing(missing)
        return found

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """None: what a name stands for, a table or a view, takes a statement to tell."""
        return None

    def engine_version(self) -> str:
        """The same for all versions: xxHash64 is defined by its specification."""
        return "xxhash64"

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._lost or bool(getattr(self._session, "is_stopped", False))

    def clone(self) -> SparkConnection:
        """Another user of the same session; of a new one, if it is ours and over."""
        if self._source is not None and self.closed:
            return open_spark(self._source)
        return SparkConnection(self._session, source=self._source, shared=True)

    def close(self) -> None:
        """End the session, if it is this connection's."""
        if self._source is not None and not self._shared:
            with suppress(Exception):  # it may be gone already
                self._session.stop()


def inserts(dialect: Spark, schema: str, table: str, rows: pa.Table) -> Iterator[str]:
    """INSERT statements for Arrow rows, none longer than it may be."""
    names = ", ".join(dialect.quote(name) for name in rows.column_names)
    head = f"INSERT INTO {dialect.table(schema, table)} ({names}) VALUES "
    taken: list[str] = []
    length = 0
    for row in rows.to_pylist():
        text = f"({', '.join(_literal(dialect, value) for value in row.values())})"
        if taken and length + len(text) > STATEMENT_LENGTH:
            yield head + ", ".join(taken)
            taken, length = [], 0
        taken.append(text)
        length += len(text) + 2
    if taken:
        yield head + ", ".join(taken)


def _literal(dialect: Spark, value: Any) -> str:
    if isinstance(value, datetime):
        text = value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ", "microseconds")
        return f"TIMESTAMP '{text}+00:00'"
    return dialect.literal(value)


def schema_missing(schemas: Sequence[str]) -> StateError:
    """The error of schemas that aren't there."""
    return StateError(
        f"The schema {' and the schema '.join(map(repr, schemas))} doesn't exist.",
        code="schema-missing",
        hint="An administrator runs what `warehouse-cdc setup` prints, once.",
    )


# -- errors ---------------------------------------------------------------------------------------

_CONFLICT = re.compile(
    r"Concurrent(Append|DeleteRead|DeleteDelete|Transaction|Write|Modification)\w*Exception"
    r"|(MetadataChanged|ProtocolChanged)Exception|DELTA_(CONCURRENT|METADATA_CHANGED|PROTOCOL_CHANGED)"
)
_DENIED = re.compile(
    r"INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED|AccessControlException|does not have \w+ priv"
)
_LOST = re.compile(
    r"StatusCode\.(UNAVAILABLE|UNAUTHENTICATED)|INVALID_HANDLE\.SESSION|SESSION_(NOT_FOUND|CLOSED|CHANGED)"
    r"|stopped SparkContext|SparkContext was shut down|Py4JNetworkError|Connection refused|NO_ACTIVE_SESSION"
)
_CLASS = re.compile(r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]")
_NAMED = ("objectName", "relationName", "schemaName", "routineName", "tableName")
"""Parameters of messages that name objects, never row values."""


@contextmanager
def _mapping(sql: str = "") -> Iterator[None]:
    """Make errors of this library from whatever pyspark raises, and keep pyspark from logging them."""
    _ours.busy = True
    try:
        yield
    except WarehouseError:
        raise
    except Exception as error:
        raise mapped(error, sql) from None
    finally:
        _ours.busy = False


def mapped(error: Exception, sql: str, vendor: str = "Spark") -> WarehouseError:
    """An error of pyspark, Py4J or gRPC as one of this library's, without values and literals."""
    shown, text = redacted(sql, literal=_LITERAL), f"{type(error).__name__}: {error}"
    if _CONFLICT.search(text):
        return QueryError(
            f"{vendor} refused a statement: another one changed the same table.",
            sql=shown,
            code="query-conflict",
            retryable=True,
        )
    if _LOST.search(text):
        return ConnectionLostError(
            f"The connection to {vendor} is lost or was refused ({type(error).__name__}).",
            sql=shown,
            hint="Check the address, the sign-in and whether the session or server has ended.",
        )
    condition = (error.getCondition() if isinstance(error, PySparkException) else None) or ""
    if not condition:
        found = _CLASS.search(text)
        condition = found[1] if found else type(error).__name__
    if _DENIED.search(text):
        return PermissionDeniedError(
            f"{vendor} denied a statement ({condition}).",
            sql=shown,
            hint="The user needs to create, read, write and drop tables in the two schemas, and to read the "
            "model's tables: see `warehouse-cdc check`.",
        )
    named = ""
    if isinstance(error, PySparkException):
        parameters = error.getMessageParameters() or {}
        named = ", ".join(str(parameters[name]) for name in _NAMED if name in parameters)
    return QueryError(f"{vendor} refused a statement ({condition}){': ' if named else '.'}{named}", sql=shown)
