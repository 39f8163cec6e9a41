"""Pulling from PostgreSQL by another driver than the library's: its own SQL makes the values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from warehouse_cdc.dialects import ColumnType, Postgres
from warehouse_cdc.dialects.duckdb import ANY_DECIMAL
from warehouse_cdc.pull.database import DatabaseOrigin, arrays_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_OLDEST = (14,)
"""Relatives of PostgreSQL say that they are older."""
_SETTINGS = {
    **{"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "extra_float_digits": "1"},
    **{"bytea_output": "hex", "xmloption": "content"},
}
_TYPE = """(
    WITH RECURSIVE base AS (
        SELECT pg_typeof({})::oid AS oid
        UNION ALL
        SELECT t.typbasetype FROM base JOIN pg_catalog.pg_type t USING (oid) WHERE t.typtype = 'd'
    )
    SELECT CASE t.typtype WHEN 'e' THEN 'text' WHEN 'c' THEN 'record' ELSE format_type(t.oid, NULL) END
    FROM base JOIN pg_catalog.pg_type t USING (oid) WHERE t.typtype <> 'd'
)"""
"""A column's type; that below a domain. An enumeration's name says nothing of its kind: it is text."""
_AS_IT_IS = {"boolean": pa.bool_(), "binary": pa.binary(), "float": pa.float64(), "integer": pa.int64()}
"""Kinds whose values drivers give without loss."""
_KEPT = {
    **{"text": "VARCHAR", "json": "JSON", "uuid": "UUID", "boolean": "BOOLEAN", "binary": "BLOB"},
    **{"date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP WITH TIME ZONE"},
    **{"decimal": ANY_DECIMAL.name},
}


class PostgresOrigin(DatabaseOrigin):
    """What an Engine on PostgreSQL connects to, with a session of the engine's own making."""

    def __init__(self, engine: Engine, *, owned: bool) -> None:
        """Read from an engine's connections, and dispose of it at the end if it is owned."""
        super().__init__(engine, owned=owned)
        self._postgres = Postgres()
        self._kinds: dict[str, ColumnType] | None = None

    def _begin(self, connection: Connection) -> None:
        """In a transaction, with settings that make values print as they are."""
        if not self._is_new(connection):
            return
        connection.execution_options(isolation_level="READ COMMITTED")
        for name, value in _SETTINGS.items():
            connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")

    @staticmethod
    def _is_new(connection: Connection | Engine) -> bool:
        return (connection.dialect.server_version_info or ()) >= _OLDEST

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Ask the server for the types; relatives are read as any other database."""
        self._kinds = None
        described = f"SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0"
        (names, _kinds, _values), *_ = self._batches(described, arrays_of)
        if not self._is_new(self._engine) or not names:
            return super().describe(sql)
        columns = [f"c_{place}" for place in range(len(names))]
        types = ", ".join(_TYPE.format(column) for column in columns)
        empty = f"(SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0) x({', '.join(columns)})"
        ((_names, _kinds, found),) = self._batches(
            f"SELECT {types} FROM (SELECT 1) one LEFT JOIN {empty} ON true", arrays_of
        )
        kinds = [self._postgres.column_type(str(text)) for (text,) in found]
        self._kinds = dict(zip(names, kinds, strict=True))
        stored = [self._postgres.stored("x", kind)[1] for kind in kinds]
        return list(zip(names, map(_kept, stored), strict=True))

    def rows(self, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As PostgreSQL's own dialect stores them."""
        if self._kinds is None:
            yield from super().rows(sql, names)
            return
        values, kinds = [], []
        for name in names:
            value, kind = self._postgres.stored(self._postgres.quote(name), self._kinds[name])
            if kind.kind == "decimal":
                value = self._postgres.canonical_text(value, kind)
            elif kind.kind not in _AS_IT_IS:
                value = f"({value})::text"
            values.append(f"{value} AS {self._postgres.quote(name)}")
            kinds.append(kind)
        select = f"SELECT {', '.join(values)} FROM (\n{sql}\n) wcdc_model"
        batches = self._batches(select, lambda columns: list(map(_array, columns, kinds)))
        for _names, _kinds, arrays in batches:
            yield pa.RecordBatch.from_arrays(arrays, list(names))


def _kept(kind: ColumnType) -> str:
    """The DuckDB type for a stored type."""
    if kind.kind == "integer":
        return {"smallint": "SMALLINT", "integer": "INTEGER"}.get(kind.name.lower(), "BIGINT")
    if kind.kind == "float":
        return "FLOAT" if kind.name.lower() == "real" else "DOUBLE"
    return _KEPT[kind.kind]


def _array(values: Sequence[Any], kind: ColumnType) -> pa.Array:
    """A column as DuckDB reads it."""
    if kind.kind == "binary":
        values = [None if value is None else bytes(value) for value in values]
    elif kind.kind in ("date", "timestamp", "timestamptz"):
        values = [_signed(value) for value in values]
    return pa.array(values, _AS_IT_IS.get(kind.kind, pa.string()))


def _signed(text: str | None) -> str | None:
    """A moment before the year 1 as ISO 8601 has it."""
    if text is None or not text.endswith(" BC"):
        return text
    year, dash, rest = text.removesuffix(" BC").partition("-")
    return f"-{int(year) - 1:04}{dash}{rest}"
