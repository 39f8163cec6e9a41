"""Snowflake's emulator as the conformance tests see it.

Their names of columns are in lower case, which a quoted name keeps. Unquoted, models find them all the same:
the emulator doesn't tell cases apart, and names columns as their table does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import exp

from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.sources import source_of

MODELS = "models"
"""The schema of the models' tables."""

GAPS: dict[str, str] = {
    "test_one_history_gives_the_same_answers": "its model's columns are in lower case, and unquoted",
}
"""Tests that fail on it, with the reason; one that passes is an error."""


class SnowflakeEngine(RecordsInTables):
    """A database with fresh schemas; the models' tables are in one of their own."""

    binary = "BINARY"

    def __init__(self, url: str) -> None:
        from warehouse_cdc.warehouses.snowflake import open_snowflake

        super().__init__("snowflake", url)
        self._connection = open_snowflake(source_of(url))
        self._own = self._connection._connection

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self.records(_quoted(sql) if sql.startswith("CREATE ") else sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        with self._own.cursor() as cursor:
            cursor.execute(sql)
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchall()
        names = [name.lower() if name.isupper() else name for name in names]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def tables(self) -> set[tuple[str, str]]:
        """By the names that the library uses."""
        return self._connection.tables(PLANNER, AUDIT)

    def series(self, low: int, high: int) -> str:
        return f"(VALUES {', '.join(f'({number})' for number in range(low, high + 1))})"

    def raw(self) -> Any:
        return self._own

    def close(self) -> None:
        self.detach()
        self._connection.close()


def _quoted(sql: str) -> str:
    """With the names of a new table's columns quoted."""
    tree = sqlglot.parse_one(sql, read="snowflake")
    for node in tree.find_all(exp.ColumnDef, exp.Alias):
        name = node.this if isinstance(node, exp.ColumnDef) else node.args["alias"]
        name.set("quoted", True)
    return tree.sql(dialect="snowflake")


@contextlib.contextmanager
def opened(url: str) -> Iterator[SnowflakeEngine]:
    """With empty schemas."""
    engine = SnowflakeEngine(url)
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        engine.execute(*get_dialect("snowflake").setup(PLANNER, AUDIT, "tester"), f"CREATE SCHEMA {MODELS}")
        yield engine
    finally:
        engine.close()
