"""What rows can be pulled from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

if TYPE_CHECKING:
    from warehouse_cdc.compile.parse import Spoken
    from warehouse_cdc.warehouses.base import Connection, Labels


class Origin(ABC):
    """A database that is only read.

    Attributes:
        spoken: The SQL that its models are written in.
    """

    spoken: Spoken

    @property
    def connection(self) -> Connection | None:
        """The session of a warehouse, if it is one."""
        return None

    @abstractmethod
    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The columns of a query, as (name, the DuckDB type that holds its values)."""

    @abstractmethod
    def rows(self, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of the query that was described last, with values that DuckDB can cast to their types.

        Args:
            sql: The query.
            names: The columns, each of which the query has once.
        """

    @abstractmethod
    def probe(self, sql: str) -> None:
        """Try whether the query can be run, for next to nothing."""

    def version_of(self, tables: Sequence[exp.Table]) -> str | None:
        """As of ``Connection``."""
        return None

    def label(self, labels: Labels) -> None:  # noqa: B027
        """Take what the next statements are for, where they can say it."""

    def cancel_statement(self) -> None:  # noqa: B027
        """As of ``Connection``."""

    @abstractmethod
    def close(self) -> None:
        """Close what was opened for it."""


def type_of(kind: pa.DataType) -> str:
    """The DuckDB type that holds an Arrow type's values; text for what has no other."""
    types = pa.types
    if types.is_boolean(kind):
        return "BOOLEAN"
    if types.is_integer(kind):
        sign = "U" if types.is_unsigned_integer(kind) else ""
        return sign + {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}[kind.bit_width]
    if types.is_decimal(kind) and kind.precision <= 38 and 0 <= kind.scale <= kind.precision:
        return f"DECIMAL({kind.precision},{kind.scale})"
    if types.is_floating(kind):
        return "DOUBLE" if kind.bit_width == 64 else "FLOAT"
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return "BLOB"
    if types.is_date(kind):
        return "DATE"
    if types.is_time(kind):
        return "TIME"
    if types.is_timestamp(kind):
        if kind.tz is not None:
            return "TIMESTAMP WITH TIME ZONE"
        return "TIMESTAMP_NS" if kind.unit == "ns" else "TIMESTAMP"
    return "VARCHAR"
