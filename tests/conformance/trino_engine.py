"""Trino as the conformance tests see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from tests.conformance.spelling import Spelling
from warehouse_cdc.dialects import get_dialect

MODELS = "models"
"""The schema of the models' tables."""

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""


class TrinoEngine(RecordsInTables):
    """A server's Iceberg catalog with fresh schemas; the models' tables are in one of their own."""

    binary = "VARBINARY"
    spelling = Spelling(
        types={
            "time": "TIME(6)",
            "timestamp": "TIMESTAMP(6)",
            "timestamptz": "TIMESTAMP(6) WITH TIME ZONE",
            "interval": "INTERVAL DAY TO SECOND",
            "array of integer": "ARRAY(INTEGER)",
            "array of text": "ARRAY(VARCHAR)",
            "array of array of integer": "ARRAY(ARRAY(INTEGER))",
        },
        values={
            "binary": lambda digits: f"X'{digits}'",
            "interval": lambda text: "INTERVAL '{}' {}".format(*text.split()),
            "json": lambda text: f"json_parse({get_dialect('trino').literal(text)})",
        },
        differs=dict.fromkeys(
            [("json", '{"a":1}', '{"a":1.0}'), ("json", "[100]", "[1e2]"), ("json", "[0.5]", "[0.50]")],
            "Trino keeps the digits of JSON numbers as they are written, and prints them so",
        ),
        make=("CREATE OR REPLACE VIEW {name} AS {select}",),  # an Iceberg table holds few of the types
    )

    def __init__(self, server: str) -> None:
        super().__init__("trino", server.replace("/iceberg", f"/iceberg/{MODELS}"))
        self._own = self._open(server)

    def _open(self, server: str) -> Any:
        import trino

        parts = urlsplit(server)
        return trino.dbapi.connect(
            host=parts.hostname,
            port=parts.port,
            user=parts.username,
            catalog="iceberg",
            schema=MODELS,
            http_scheme="http",
            timezone="UTC",
        )

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self.records(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        cursor = self._own.cursor()
        cursor.execute(sql)
        rows = cursor.fetchall()
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def series(self, low: int, high: int) -> str:
        return f"UNNEST(sequence({low}, {high}))"

    def raw(self) -> Any:
        return self._own

    def close(self) -> None:
        self.detach()
        self._own.close()


@contextlib.contextmanager
def opened(server: str) -> Iterator[TrinoEngine]:
    """With empty schemas."""
    engine = TrinoEngine(server)
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        engine.execute(f"CREATE SCHEMA {MODELS}", *get_dialect("trino").setup(PLANNER, AUDIT, None))
        yield engine
    finally:
        engine.close()
