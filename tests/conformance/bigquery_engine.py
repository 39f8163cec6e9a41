"""BigQuery's emulator as the conformance tests see it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.conformance import spark_engine
from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from tests.conformance.spelling import Spelling
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.sources import BigQuery

MODELS = "models"
"""The data set of the models' tables."""

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

LEFT_OUT = spark_engine.LEFT_OUT | {
    "test_d22_and_d23_over_every_kind_of_outcome",
    "test_a_plan_holds_what_differs_from_the_last_full_one",
    "test_one_history_gives_the_same_answers",
}
"""Tests that run only with ``WCDC_TEST_BIGQUERY=all``, for the same reason as there."""

HISTORY = {"": (2_000, 6)}
"""``WCDC_TEST_HISTORY`` to rows and runs of the history that gives the same answers everywhere."""


def _struct(value: str) -> str:
    """A struct of the equality matrix."""
    fields = json.loads(value)
    text = "CAST(NULL AS STRING)" if fields["b"] is None else get_dialect("bigquery").literal(fields["b"])
    return f"STRUCT({fields['a'] or 'CAST(NULL AS INT64)'} AS a, {text} AS b)"


class BigQueryEngine(RecordsInTables):
    """An emulator's project with fresh data sets; the models' tables are in one of their own."""

    binary = "BYTES"
    spelling = Spelling(
        types={
            **dict.fromkeys(("smallint", "integer", "bigint"), "INT64"),
            **dict.fromkeys(("decimal(20, 6)", "decimal(5, 2)"), "NUMERIC"),
            **dict.fromkeys(("decimal(38, 0)", "decimal(38, 18)"), "BIGNUMERIC"),
            **dict.fromkeys(("text", "long text", "varchar(20)"), "STRING"),
            "double": "FLOAT64",
            "boolean": "BOOL",
            "timestamp": "DATETIME",
            "timestamptz": "TIMESTAMP",
            "binary": "BYTES",
            "array of integer": "ARRAY<INT64>",
            "array of text": "ARRAY<STRING>",
            "array of array of integer": "ARRAY<ARRAY<INT64>>",
            "struct": "STRUCT<a INT64, b STRING>",
            "map of integer": "MAP<STRING, INT64>",
        },
        values={
            "binary": lambda digits: f"FROM_HEX('{digits}')",
            "interval": lambda text: "INTERVAL {} {}".format(*text.split()),
            "json": lambda text: f"PARSE_JSON({get_dialect('bigquery').literal(text)})",
            "struct": _struct,
        },
        absent={
            "decimal(38, 0)": "the emulator's BIGNUMERIC has 20 digits before its point",
            "real": "BigQuery has no short floats",
            "char(4)": "BigQuery has no padded texts",
            "uuid": "BigQuery has no such type",
            "array of array of integer": "BigQuery's arrays have no arrays as elements",
            "map of integer": "BigQuery has no maps",
        },
        differs={
            ("json", '{"a":1}', '{"a":1.0}'): "the spelling of numbers counts",
            ("json", "[100]", "[1e2]"): "the spelling of numbers counts",
            ("json", "1234567890.12345678901", "1234567890.12345678902"): "JSON's numbers are floats there",
        },
        array=lambda items: f"[{', '.join(items)}]",
        make=("CREATE OR REPLACE VIEW {name} AS {select}",),  # no table holds an array with a NULL
    )

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

    def rows(self, names: list[str], rows: list[list[str]]) -> str:
        selects = (
            f"SELECT {', '.join(f'{value} AS {name}' for value, name in zip(row, names, strict=True))}"
            for row in rows
        )
        return f"({' UNION ALL '.join(selects)}) t"

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
