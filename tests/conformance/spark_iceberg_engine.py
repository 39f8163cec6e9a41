"""Spark with Iceberg as the conformance tests see it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.conformance.spark_engine import LEFT_OUT as ON_DELTA
from tests.conformance.spark_engine import SparkEngine, fresh
from tests.engines.spark_iceberg import CATALOG
from warehouse_cdc.dialects import SparkOnIceberg

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

LEFT_OUT = (ON_DELTA | {"test_a_plan_of_several_parts_and_statements_is_read_as_one"}) - {
    "test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays"
}
"""Tests that run only with ``WCDC_TEST_SPARK_ICEBERG=all``: their SQL is that of Spark with Delta."""


class SparkIcebergEngine(SparkEngine):
    """A server's Iceberg catalog, models included."""

    catalog = CATALOG

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.name, self.dialect = "spark_iceberg", SparkOnIceberg()

    @staticmethod
    def _session(server: str) -> Any:
        session = SparkEngine._session(server)
        session.conf.set("spark.sql.sources.default", "iceberg")
        session.catalog.setCurrentCatalog(CATALOG)
        return session

    def drop(self, schema: str) -> None:
        """Iceberg drops no schema that has tables."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for row in self.records(f"SHOW TABLES IN {schema}"):
            self.execute(f"DROP TABLE {schema}.`{row['tableName']}`")
        self.execute(f"DROP SCHEMA {schema}")


@contextlib.contextmanager
def opened(server: str) -> Iterator[SparkIcebergEngine]:
    """With empty schemas."""
    with fresh(SparkIcebergEngine(server)) as engine:
        yield engine
