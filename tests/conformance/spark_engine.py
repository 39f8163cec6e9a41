"""Spark with Delta as the conformance tests see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from tests.conformance.trino_engine import MODELS
from warehouse_cdc.dialects import get_dialect

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""


class SparkEngine(RecordsInTables):
    """A server with fresh schemas; the models' tables are in one of their own."""

    binary = "BINARY"

    def __init__(self, server: str) -> None:
        super().__init__("spark", f"{server}/spark_catalog/{MODELS}")
        self._own = self._session(server)

    @staticmethod
    def _session(server: str) -> Any:
        from pyspark.sql import SparkSession

        session = SparkSession.builder.remote(server).create()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        session.conf.set("spark.sql.sources.default", "delta")
        return session

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self._own.sql(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._own.sql(sql).toArrow().to_pylist()
        return rows

    def tables(self) -> set[tuple[str, str]]:
        return {
            (schema, row["tableName"])
            for schema in (PLANNER, AUDIT)
            for row in self.records(f"SHOW TABLES IN {schema}")
        }

    def series(self, low: int, high: int) -> str:
        return f"(SELECT explode(sequence({low}, {high})))"

    def raw(self) -> Any:
        return self._own

    def close(self) -> None:
        self.detach()
        self._own.stop()


@contextlib.contextmanager
def opened(server: str) -> Iterator[SparkEngine]:
    """With empty schemas."""
    engine = SparkEngine(server)
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        engine.execute(f"CREATE SCHEMA {MODELS}", *get_dialect("spark").setup(PLANNER, AUDIT, None))
        engine.execute(f"USE {MODELS}")
        yield engine
    finally:
        engine.close()
