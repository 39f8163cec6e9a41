"""BigQuery's emulator as the conformance tests see it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.sources import BigQuery

MODELS = "models"
"""The data set of the models' tables."""

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""


class BigQueryEngine(RecordsInTables):
    """An emulator's project with fresh data sets; the models' tables are in one of their own."""

    binary = "BYTES"

    def __init__(self, server: str) -> None:
        super().__init__("bigquery", server.replace("?", f"/{MODELS}?", 1))
        from warehouse_cdc.warehouses.bigquery import open_bigquery

        source = BigQuery.from_url(self.url)
        self._own = open_bigquery(source)
        self._client = self._own._client

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self.records(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        rows = self._own._rows(self._own._run(_spoken(sql)))
        return [dict(row.items()) for row in rows]

    def tables(self) -> set[tuple[str, str]]:
        return {
            (schema, item.table_id)
            for schema in (PLANNER, AUDIT)
            for item in self._client.list_tables(schema)
        }

    def series(self, low: int, high: int) -> str:
        return f"(SELECT i FROM UNNEST(GENERATE_ARRAY({low}, {high})) i)"

    def raw(self) -> Any:
        return self._client

    def close(self) -> None:
        self.detach()
        self._own.close()


def _spoken(sql: str) -> str:
    """A statement of a test that all engines share, as BigQuery takes it: every text is a STRING."""
    sql = sql.replace(" r(i)", " r")
    sql = re.sub(r"\bVARCHAR(\(\d+\))?", "STRING", sql)
    changes = re.match(r"\s*(UPDATE|DELETE)\b", sql) and " WHERE " not in sql
    return f"{sql} WHERE TRUE" if changes else sql


@contextlib.contextmanager
def opened(server: str) -> Iterator[BigQueryEngine]:
    """With empty data sets."""
    engine = BigQueryEngine(server)
    try:
        for dataset in (MODELS, PLANNER, AUDIT):
            engine._client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)
        engine.execute(f"CREATE SCHEMA {MODELS}", *get_dialect("bigquery").setup(PLANNER, AUDIT, None))
        yield engine
    finally:
        engine.close()
