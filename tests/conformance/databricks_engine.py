"""Databricks by its own connector, as the conformance tests see it: a stand-in of its service, and Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.conformance.spark_engine import LEFT_OUT as ON_SPARK
from tests.conformance.spark_engine import MODELS, SparkEngine, fresh
from tests.engines.databricks import services

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""

LEFT_OUT = ON_SPARK | {
    "test_d1_the_canonical_text_of_keys",
    "test_what_is_moved_is_not_sent_and_what_is_due_is",
}
"""Tests that run only with ``WCDC_TEST_DATABRICKS=all``: what they send is Spark's."""


class DatabricksEngine(SparkEngine):
    """A stand-in's server with fresh schemas; tests' own statements are Spark's."""

    def __init__(self, url: str) -> None:
        self.service = services[url]
        super().__init__(self.service.server, "databricks", url.replace("/?", f"/spark_catalog/{MODELS}?"))


@contextlib.contextmanager
def opened(url: str) -> Iterator[DatabricksEngine]:
    """With empty schemas."""
    with fresh(DatabricksEngine(url)) as engine:
        yield engine
