"""Snowflake's emulator as the conformance tests see it.

Their names of columns are in lower case, which a quoted name keeps. Unquoted, models find them all the same:
the emulator doesn't tell cases apart, and names columns as their table does.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import exp

from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from tests.conformance.spelling import Spelling
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.sources import source_of

MODELS = "models"
"""The schema of the models' tables."""

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

HISTORY = {"all": (20_000, 30)}
"""``WCDC_TEST_HISTORY`` to rows and runs of the history that gives the same answers everywhere."""


def _object(value: str) -> str:
    """A struct of the equality matrix."""
    fields = json.loads(value)
    text = "CAST(NULL AS VARCHAR)" if fields["b"] is None else get_dialect("snowflake").literal(fields["b"])
    return f"OBJECT_CONSTRUCT_KEEP_NULL('a', {fields['a'] or 'CAST(NULL AS INTEGER)'}, 'b', {text})"


class SnowflakeEngine(RecordsInTables):
    """A database with fresh schemas; the models' tables are in one of their own."""

    binary = "BINARY"
    spelling = Spelling(
        types={
            "time": "TIME(6)",
            "timestamp": "TIMESTAMP_NTZ(6)",
            "timestamptz": "TIMESTAMP_TZ(6)",
            "binary": "BINARY",
            "json": "VARIANT",
            "array of integer": "ARRAY",
            "array of text": "ARRAY",
            "array of array of integer": "ARRAY",
            "struct": "OBJECT",
        },
        values={
            "binary": lambda digits: f"TO_BINARY('{digits}', 'HEX')",
            "json": lambda text: f"PARSE_JSON({get_dialect('snowflake').literal(text)})",
            "struct": _object,
        },
        absent={
            "decimal(38, 0)": "the emulator keeps whole numbers in 64 bits",
            "uuid": "Snowflake's is new, and the emulator doesn't have it",
            "interval": "Snowflake's are new, and the emulator doesn't have them",
            "map of integer": "the emulator has no structured types",
        },
        differs={
            (
                "real",
                "0.1",
                "0.10000000149",
            ): "Snowflake's REAL is another name of FLOAT, with all its digits",
            (
                "real",
                "16777216",
                "16777217",
            ): "Snowflake's REAL is another name of FLOAT, with all its digits",
            ("char(4)", "a", "a "): "Snowflake's char(n) is another name of varchar",
            ("char(4)", "", "    "): "Snowflake's char(n) is another name of varchar",
            ("json", '{"a":1}', '{"a":1.0}'): "the spelling of numbers counts",
            ("json", "[100]", "[1e2]"): "the spelling of numbers counts",
            ("json", "1234567890.12345678901", "1234567890.12345678902"): "the emulator makes floats of them",
        },
        array=lambda items: f"ARRAY_CONSTRUCT({', '.join(items)})",
    )

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

    def rows(self, names: list[str], rows: list[list[str]]) -> str:
        return super().rows([f'"{name}"' for name in names], rows)

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
