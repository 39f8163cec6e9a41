"""The table that a sync creates where none is: Arrow types in a database's own words."""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa

from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.destinations.tables import quote
from warehouse_cdc.mapping.values import kind_of

_WORDS = {
    "postgres": {
        "text": "text",
        "json": "jsonb",
        "number": "numeric",
        "double": "double precision",
        "bytes": "bytea",
        "interval": "interval",
    },
    "duckdb": {
        "text": "VARCHAR",
        "json": "JSON",
        "number": "DECIMAL(38, 10)",
        "double": "DOUBLE",
        "bytes": "BLOB",
        "interval": "INTERVAL",
    },
}


def create_table_sql(name: str, context: RunContext, dialect: str) -> str:
    """CREATE TABLE for a sync's fields; the match fields are the primary key, except in archive mode."""
    columns = [f"{quote(field.name)} {sql_type(field, dialect)}" for field in context.schema]
    if context.mode != "archive":
        columns.append(f"PRIMARY KEY ({', '.join(map(quote, context.match))})")
    return f"CREATE TABLE {name} ({', '.join(columns)})"


def create_table(name: str, context: RunContext, dialect: str) -> sa.TextClause:
    """The same as a SQLAlchemy statement."""
    return sa.text(create_table_sql(name, context, dialect).replace(":", r"\:"))


def sql_type(field: pa.Field, dialect: str) -> str:
    """The type of a column that takes a field's values."""
    words = _WORDS[dialect]
    tag = kind_of(field)
    if tag in ("json", "decimal"):
        return words["json"] if tag == "json" else words["number"]
    return _plain_type(field.type, words)


def _plain_type(kind: pa.DataType, words: dict[str, str]) -> str:
    types = pa.types
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type, words)
    if types.is_decimal(kind):
        return f"decimal({kind.precision}, {max(kind.scale, 0)})" if kind.scale >= 0 else words["number"]
    if types.is_integer(kind):
        wide = types.is_unsigned_integer(kind)
        bits = kind.bit_width * 2 if wide else kind.bit_width
        return (
            "smallint"
            if bits <= 16
            else "integer"
            if bits == 32
            else "bigint"
            if bits == 64
            else "decimal(20, 0)"
        )
    if types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp with time zone"
    for check, word in (
        (types.is_boolean, "boolean"),
        (types.is_float32, "real"),
        (types.is_floating, words["double"]),
        (types.is_date, "date"),
        (types.is_time, "time"),
        (types.is_duration, words["interval"]),
        (types.is_interval, words["interval"]),
        (types.is_binary, words["bytes"]),
        (types.is_large_binary, words["bytes"]),
        (types.is_fixed_size_binary, words["bytes"]),
    ):
        if check(kind):
            return word
    if types.is_list(kind) or types.is_large_list(kind):
        return _plain_type(kind.value_type, words) + "[]"
    return words["json"] if types.is_nested(kind) else words["text"]
