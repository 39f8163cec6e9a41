"""Spark by a session of its own Python API, with or without Spark Connect.

Each statement is alone, so runs are recorded in tables. Results come whole, as Arrow: a chunk of a plan is
small enough for that, and nothing else is large.
"""

from __future__ import annotations

import logging
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession
from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from warehouse_cdc.dialects import ColumnType, Spark, SparkOnIceberg
from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    WarehouseError,
)
from warehouse_cdc.sources.spark import Spark as Source
from warehouse_cdc.warehouses.delta import DeltaConnection, mapped, typed

_REACH = 10.0
"""Seconds in which a server must take a connection."""
_CHAR = "__CHAR_VARCHAR_TYPE_STRING"
"""Where Spark notes that a string is of a fixed or limited length."""


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
    return any(base.__name__ == "SparkSession" for base in type(target).__mro__)


def _on_iceberg(session: Any, source: Source | None) -> bool:
    """Whether new tables are Iceberg's: as the source says, or because its catalog keeps no others."""
    if source is not None and source.table_format is not None:
        return source.table_format == "iceberg"
    catalog = session.catalog.currentCatalog()
    return ".iceberg." in str(session.conf.get(f"spark.sql.catalog.{catalog}", ""))


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


class SparkConnection(DeltaConnection):
    """A session, which may be used by several threads at once: clones share it."""

    result_rows = 250_000  # the client has no way to fetch a part of a result

    def __init__(self, session: Any, *, source: Source | None = None, shared: bool = False) -> None:
        """Take a session.

        Args:
            session: A SparkSession.
            source: Where it came from, if it isn't the caller's own.
            shared: Another connection ends it.

        Raises:
            ConfigError: It isn't in ANSI mode.
        """
        super().__init__()
        self._session = session
        self._source = source
        self._shared = shared
        self._lost = False
        self._under_way = ""
        with _mapping():
            ansi = str(session.conf.get("spark.sql.ansi.enabled")).lower()
            self.dialect = SparkOnIceberg() if _on_iceberg(session, source) else Spark()
            self.dialect.catalog = None if source is None else source.catalog
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

    @contextmanager
    def _sent(self, sql: str) -> Iterator[Any]:
        """Send a statement: what isn't a query is run, once. It is interrupted if nobody waits any more."""
        self._sending()
        tag = f"wcdc-{uuid.uuid4().hex}"
        try:
            with _mapping(sql):
                self._session.addTag(tag)
                self._under_way = tag
                try:
                    yield self._session.sql(self.labels.comment() + sql)
                finally:
                    self._under_way = ""
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

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The result, fetched whole and cut into batches."""
        with self._sent(sql) as frame:
            table = frame.toArrow()
        yield from typed(table, kinds).to_batches(batch_rows)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The query's schema, for which it isn't run."""
        with self._sent(sql) as frame:
            return [(field.name, type_name(field)) for field in frame.schema.fields]

    def cancel_statement(self) -> None:
        """Interrupt it, by its tag."""
        super().cancel_statement()
        tag = self._under_way
        if tag:
            with suppress(Exception):  # it may be over already
                self._session.interruptTag(tag)

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
