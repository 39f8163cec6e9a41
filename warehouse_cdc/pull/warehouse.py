"""Pulling from a warehouse that has a dialect: its own SQL makes the values that it would store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType
from warehouse_cdc.dialects.duckdb import ANY_DECIMAL
from warehouse_cdc.pull.base import Origin, type_of
from warehouse_cdc.warehouses.base import Connection, Labels

MANY = 1_000_000
"""Rows that make the fastest way of reading worth it: how many there are isn't known."""


class WarehouseOrigin(Origin):
    """A connection of ours, of which only queries are asked."""

    def __init__(self, connection: Connection, *, owned: bool) -> None:
        """Read from a connection, and close it at the end if it is owned."""
        self.spoken = connection.dialect
        self._connection = connection
        self._owned = owned
        self._described: dict[str, dict[str, tuple[ColumnType, str]]] = {}

    @property
    def connection(self) -> Connection:
        """The session, or a new one in its place if it broke."""
        if self._owned and self._connection.closed:
            labels = self._connection.labels
            self._connection = self._connection.clone()
            self._connection.labels = labels
        return self._connection

    def label(self, labels: Labels) -> None:
        """Pass it on."""
        self._connection.labels = labels

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The types that its values have on their way."""
        described = self.connection.describe(sql)
        dialect = self._connection.dialect
        kinds = [dialect.column_type(text) for _name, text in described]
        stored = [dialect.stored("x", kind)[1] for kind in kinds]
        arrow = self._connection.arrow_types(stored)
        kept = [_kept(*each) for each in zip(kinds, stored, arrow, strict=True)]
        names = [name for name, _text in described]
        self._described = {sql: dict(zip(names, zip(kinds, kept, strict=True), strict=True))}
        return list(zip(names, kept, strict=True))

    def rows(self, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As its dialect stores and sends them."""
        dialect = self._connection.dialect
        values, kinds = [], []
        for name in names:
            described, kept = self._described[sql][name]
            value, kind = dialect.stored(dialect.quote(name), described)
            if kept == ANY_DECIMAL.name:
                value, kind = dialect.canonical_text(value, kind), dialect.column_type(dialect.text_type)
            values.append(f"{dialect.transport(value, kind)[0]} AS {dialect.quote(name)}")
            kinds.append(kind)
        select = f"SELECT {', '.join(values)} FROM (\n{sql}\n) wcdc_model"
        # A session that is somebody else's may have tables and a search path that a second one hasn't.
        expected = MANY if self._owned else 0
        for batch in self._connection.stream(dialect.finished(select), kinds, expected_rows=expected):
            columns = [_infinite(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(columns, list(names))

    def probe(self, sql: str) -> None:
        """Ask for one row."""
        self.connection.probe(sql)

    def version_of(self, tables: Sequence[exp.Table]) -> str | None:
        """What the warehouse tells."""
        return self.connection.version_of(tables)

    def cancel_statement(self) -> None:
        """Stop the query under way."""
        self._connection.cancel_statement()

    def close(self) -> None:
        """Close the connection if it is owned."""
        if self._owned:
            self._connection.close()


def _kept(described: ColumnType, stored: ColumnType, way: pa.DataType) -> str:
    """The DuckDB type for a column."""
    if stored.kind in ("json", "nested"):
        return "JSON"
    if stored.kind == "uuid":
        return "UUID"
    if stored.kind == "decimal" and not pa.types.is_decimal(way):
        digits = [int(number) for number in re.findall(r"\d+", described.name)]
        fits = digits and digits[0] <= 38
        return f"DECIMAL({digits[0]},{(*digits, 0)[1]})" if fits else ANY_DECIMAL.name
    if stored.kind == "integer" and not (pa.types.is_integer(way) or pa.types.is_decimal(way)):
        return "UHUGEINT" if stored.name.startswith("U") else "HUGEINT"
    return type_of(way)


def _infinite(column: pa.Array) -> pa.Array:
    """A column whose lowest moment is DuckDB's infinity of the past: one above the lowest number."""
    if not pa.types.is_date32(column.type) and not pa.types.is_timestamp(column.type):
        return column
    number = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
    raw = column.view(number)
    lowest = pa.scalar(-(2 ** (number.bit_width - 1)), number)
    found = pc.equal(raw, lowest)
    if not pc.any(found).as_py():
        return column
    return pc.if_else(found, pc.add(lowest, pa.scalar(1, number)), raw).view(column.type)
