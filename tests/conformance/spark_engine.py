"""Spark with Delta as the conformance tests see it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER, RecordsInTables
from tests.conformance.spelling import Spelling
from tests.conformance.trino_engine import MODELS
from warehouse_cdc.dialects import get_dialect

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

LEFT_OUT = frozenset(
    {
        "test_models_of_every_shape",
        "test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed",
        "test_d22_and_d23_over_every_kind_of_outcome",
        "test_d25_only_rows_whose_content_differs_are_rewritten",
        "test_a_plan_holds_what_differs_from_the_last_full_one",
        "test_d3_keep_one_keeps_the_first_copy_in_canonical_order",
        "test_one_history_gives_the_same_answers",
        "test_d5_text_keys_are_told_apart_byte_for_byte",
        "test_d27_retention_prunes_this_syncs_old_rows_and_nothing_else",
        "test_the_documented_number_of_statements",
        "test_a_run_without_a_change_sends_nothing",
        "test_only_what_changed_is_sent",
        "test_d2_rows_with_a_null_key_are_ignored_and_counted",
        "test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays",
        "test_d3_a_removed_row_keeps_the_values_that_were_delivered",
        "test_d1_composite_keys_keep_their_parts_apart",
        "test_d7_editing_a_mapping_makes_every_delivered_row_changed",
        "test_d8_other_key_columns_are_refused_until_a_resync_or_a_reset",
        "test_d10_an_addition_of_unknown_outcome_is_added_again_under_its_key",
        "test_d13_a_mode_without_cdc_discards_the_state",
        "test_d15_a_full_resync_sends_every_row_and_forgets_the_rest",
        "test_d15_a_reset_takes_the_model_as_delivered",
        "test_d16_max_removed_stops_the_run_before_anything_is_sent",
        "test_history_and_rejections_read_back",
        "test_what_a_run_says_of_itself",
        "test_d24_a_removed_row_shows_what_was_last_delivered",
        "test_d25_the_snapshot_shows_the_model_and_pending_removals",
        "test_d26_modes_without_cdc_log_planned_adds_and_no_changelog",
        "test_a_run_without_a_change_writes_no_table",
        "test_rows_that_go_back_to_what_the_full_plan_holds_are_changes",
        "test_repeated_keys_are_noticed_whatever_the_plan_before_holds",
        "test_a_quarantined_row_that_changes_is_sent_again",
    }
)
"""Tests that run only with ``WCDC_TEST_SPARK=all``: their SQL is that of others, and a run takes seconds."""


_text = get_dialect("spark").literal


def _struct(value: str) -> str:
    fields = json.loads(value)
    return f"struct({_text(fields['a'])}, {_text(fields['b'])})"


def _map(value: str) -> str:
    return f"map({', '.join(_text(part) for pair in json.loads(value).items() for part in pair)})"


class SparkEngine(RecordsInTables):
    """A server with fresh schemas; the models' tables are in one of their own."""

    binary = "BINARY"
    spelling = Spelling(
        types={
            "double": "DOUBLE",
            "text": "STRING",
            "long text": "STRING",
            "timestamp": "TIMESTAMP_NTZ",
            "timestamptz": "TIMESTAMP",
            "interval": "INTERVAL DAY TO SECOND",
            "binary": "BINARY",
            "json": "VARIANT",
            "array of integer": "ARRAY<INTEGER>",
            "array of text": "ARRAY<STRING>",
            "array of array of integer": "ARRAY<ARRAY<INTEGER>>",
            "struct": "STRUCT<a: INTEGER, b: STRING>",
            "map of integer": "MAP<STRING, INTEGER>",
        },
        values={
            "binary": lambda digits: f"X'{digits}'",
            "interval": lambda text: "INTERVAL '{}' {}".format(*text.split()),
            "json": lambda text: f"parse_json({_text(text)})",
            "struct": _struct,
            "map of integer": _map,
        },
        absent={"uuid": "Spark has no UUIDs"},
        differs={
            (
                "json",
                "[100]",
                "[1e2]",
            ): "a VARIANT holds numbers with an exponent as doubles, and prints them so"
        },
        array=lambda items: f"array({', '.join(items)})",
        # A Delta table holds few of the types, and a view no CHAR.
        make=("DROP TABLE IF EXISTS {name}", "CREATE TABLE {name} USING PARQUET AS {select}"),
        before=(
            "SET spark.sql.preserveCharVarcharTypeInfo = true",
            "SET spark.sql.variant.allowDuplicateKeys = true",
        ),
    )

    catalog = "spark_catalog"

    def __init__(self, server: str, name: str = "spark", url: str = "") -> None:
        super().__init__(name, url or f"{server}/{self.catalog}/{MODELS}")
        # The client looks for it, and ends the process without, where no file is run: as in children.
        os.environ.setdefault("SPARK_HOME", "")
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

    def drop(self, schema: str) -> None:
        """Drop a schema with all that is in it."""
        self.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")

    def series(self, low: int, high: int) -> str:
        return f"(SELECT explode(sequence({low}, {high})))"

    def raw(self) -> Any:
        return self._own

    def close(self) -> None:
        self.detach()
        self._own.stop()


ENDLESS = "SELECT count(*) FROM range(1000000000) a CROSS JOIN range(1000000000) b WHERE a.id * 7 = b.id"


def stopped_from_another_thread(engine: SparkEngine) -> None:
    """A statement that would take longer than any test lasts; the session goes on."""
    connection = engine.connect()._connection
    over = threading.Event()

    def stop() -> None:
        while not over.wait(1):
            connection.cancel_statement()

    stopper = threading.Thread(target=stop)
    stopper.start()
    try:
        with pytest.raises(wcdc.QueryError):
            connection.query(ENDLESS)
    finally:
        over.set()
        stopper.join()
    assert connection.query("SELECT 1") == [(1,)]


Kind = TypeVar("Kind", bound=SparkEngine)


@contextlib.contextmanager
def fresh(engine: Kind) -> Iterator[Kind]:
    """An engine with empty schemas."""
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.drop(schema)
        engine.execute(f"CREATE SCHEMA {MODELS}", *engine.dialect.setup(PLANNER, AUDIT, None))
        engine.execute(f"USE {MODELS}")
        yield engine
    finally:
        engine.close()


@contextlib.contextmanager
def opened(server: str) -> Iterator[SparkEngine]:
    """With empty schemas."""
    with fresh(SparkEngine(server)) as engine:
        yield engine
