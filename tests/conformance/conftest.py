"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import spark_engine as on_spark
from tests.conformance import trino_engine as on_trino
from tests.conformance.helpers import (
    ENGINES,
    DuckDBEngine,
    Engine,
    PostgresEngine,
    Recorder,
    TablesEngine,
    duckdb_engine,
    postgres_engine,
)

SERVERS = {"trino": on_trino, "spark": on_spark}
"""Engines that are slow: a part of the tests runs there."""

RECORDING = {"test_audit", "test_deltas", "test_edges", "test_modes", "test_promises"}
"""Modules about what a run records and how it ends; values and types are the same with another ledger."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what doesn't run on slow engines, and, unless ``WCDC_TEST_TABLES=all``, on the stand-in."""
    items[:] = [item for item in items if _runs(item)]
    for item in items:
        server = SERVERS.get(_engine_of(item) or "")
        name = getattr(item, "originalname", "")
        if server is not None and name in server.GAPS:
            item.add_marker(pytest.mark.xfail(reason=server.GAPS[name], strict=True))


def _runs(item: pytest.Item) -> bool:
    engine = _engine_of(item)
    if engine == "tables":
        return item.path.stem in RECORDING or os.environ.get("WCDC_TEST_TABLES") == "all"
    if engine not in SERVERS:
        return True
    return getattr(item, "originalname", "") in SERVERS[engine].TESTS.get(item.path.stem, frozenset())


def _engine_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None) if item.path.parent == Path(__file__).parent else None
    return None if call is None else call.params.get("engine")


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ENGINES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh database on one engine."""
    if request.param == "duckdb":
        with duckdb_engine(tmp_path) as duck:
            yield duck
    elif request.param == "trino":
        with on_trino.trino_engine(request.getfixturevalue("trino_url")) as trino:
            yield trino
    elif request.param == "spark":
        with on_spark.spark_engine(request.getfixturevalue("spark_url")) as spark:
            yield spark
    else:
        kind = TablesEngine if request.param == "tables" else PostgresEngine
        with postgres_engine(request.getfixturevalue("postgres_url"), kind) as postgres:
            yield postgres


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[DuckDBEngine]:
    """A fresh DuckDB file."""
    with duckdb_engine(tmp_path) as engine:
        yield engine


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[PostgresEngine]:
    """A fresh PostgreSQL database, as its superuser."""
    with postgres_engine(postgres_url) as engine:
        yield engine


@pytest.fixture
def trino(trino_url: str) -> Iterator[on_trino.TrinoEngine]:
    """Empty schemas on Trino."""
    with on_trino.trino_engine(trino_url) as engine:
        yield engine


@pytest.fixture
def spark(spark_url: str) -> Iterator[on_spark.SparkEngine]:
    """Empty schemas on Spark."""
    with on_spark.spark_engine(spark_url) as engine:
        yield engine


@pytest.fixture
def crm() -> Recorder:
    """A destination that remembers."""
    return Recorder()
