"""Pulling by an ADBC driver, whose Arrow schema tells the types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from warehouse_cdc.errors import QueryError
from warehouse_cdc.pull.base import Origin, type_of
from warehouse_cdc.pull.database import Sql, texts
from warehouse_cdc.warehouses.base import redacted

_NAMED = {"arrow.json": "JSON", "arrow.uuid": "UUID"}
"""Arrow's extensions that DuckDB has types for."""


class AdbcOrigin(Origin):
    """A connection of ``adbc_driver_manager.dbapi``, which stays its owner's.

    A query is sent when it is described, and read from there on.
    """

    def __init__(self, connection: Any) -> None:
        """Read from a connection that isn't in a transaction."""
        vendor = ""
        with suppress(Exception):  # drivers needn't tell it
            vendor = str(connection.adbc_get_info()["vendor_name"])
        self.spoken = Sql.of(vendor.lower())
        self._connection = connection
        self._cursor: Any = None
        self._reader: Any = None

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Send the query: its answer begins with the types."""
        self._forget()
        with self._mapped(sql):
            self._cursor = self._connection.cursor()
            self._cursor.execute(sql)
            self._reader = self._cursor.fetch_record_batch()
            return [(field.name, _kept(field.type)) for field in self._reader.schema]

    def rows(self, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rest of the answer, which is then forgotten."""
        assert self._reader is not None, "described first"
        try:
            with self._mapped(sql):
                for batch in self._reader:
                    columns = [_column(batch.column(name)) for name in names]
                    yield pa.RecordBatch.from_arrays(columns, list(names))
        finally:
            self._forget()

    def probe(self, sql: str) -> None:
        """Nothing more: it was sent when it was described."""

    def cancel_statement(self) -> None:
        """Tell the driver."""
        if (cursor := self._cursor) is not None:
            with suppress(Exception):  # it may be over already, or the driver can't
                cursor.adbc_cancel()

    def close(self) -> None:
        """End what is being read."""
        self._forget()

    def _forget(self) -> None:
        cursor, self._cursor, self._reader = self._cursor, None, None
        if cursor is not None:
            with suppress(Exception):  # of a query that failed, or a connection that is gone
                cursor.close()
                self._connection.rollback()

    @contextmanager
    def _mapped(self, sql: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Arrow's as well as the driver's, whose messages may hold row values
            self._forget()
            raise QueryError(
                f"The database refused the model's query ({type(error).__name__}).",
                sql=redacted(sql),
                hint="Run it with the database's own client to see its message.",
            ) from None


def _kept(kind: pa.DataType) -> str:
    """The DuckDB type for a column."""
    if not isinstance(kind, pa.BaseExtensionType):
        return type_of(kind)
    return _NAMED.get(kind.extension_name) or type_of(kind.storage_type)


def _column(column: pa.Array) -> pa.Array:
    """A column as DuckDB reads it: what has no type there is text."""
    if isinstance(column.type, pa.BaseExtensionType) and column.type.extension_name != "arrow.uuid":
        column = column.storage
    plain = pa.types.is_string(column.type) or _kept(column.type) not in ("VARCHAR", "UUID")
    return column if plain else texts(column.to_pylist())
