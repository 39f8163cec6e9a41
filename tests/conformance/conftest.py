"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.helpers import (
    ENGINES,
    DuckDBEngine,
    Engine,
    PostgresEngine,
    PulledEngine,
    Recorder,
    TablesEngine,
    duckdb_engine,
    postgres_engine,
)
from tests.conformance.on_servers import ON_SERVERS, TESTS
from tests.conformance.snowflake_engine import SnowflakeEngine
from tests.conformance.spark_engine import SparkEngine
from tests.conformance.trino_engine import TrinoEngine

RECORDING = {"test_audit", "test_deltas", "test_edges", "test_modes", "test_promises"}
"""Modules about what a run records and how it ends; values and types are the same with another ledger."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what doesn't run on servers, and, unless ``WCDC_TEST_TABLES=all``, on the stand-in.

    What runs on the stand-in but not on servers is asked for by name, too.
    """
    items[:] = [item for item in items if _runs(item)]
    for item in items:
        engine, name = _engine_of(item), getattr(item, "originalname", "")
        if engine == "tables" and name not in TESTS.get(item.path.stem, frozenset()):
            item.add_marker(pytest.mark.stand_in)
        if engine in ON_SERVERS and name in ON_SERVERS[engine].GAPS:
            item.add_marker(pytest.mark.xfail(reason=ON_SERVERS[engine].GAPS[name], strict=True))


def _runs(item: pytest.Item) -> bool:
    engine = _engine_of(item)
    if engine == "tables":
        return item.path.stem in RECORDING or os.environ.get("WCDC_TEST_TABLES") == "all"
    if engine in ON_SERVERS or engine == "pulled":
        name, left_out = getattr(item, "originalname", ""), getattr(ON_SERVERS.get(engine), "LEFT_OUT", ())
        everything = os.environ.get(f"WCDC_TEST_{engine.upper()}") == "all"
        return name in TESTS.get(item.path.stem, frozenset()) and (everything or name not in left_out)
    return True


def _engine_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None) if item.path.parent == Path(__file__).parent else None
    return None if call is None else call.params.get("engine")


@pytest.fixture(
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in (*ENGINES, *ON_SERVERS)]
)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh database on one engine."""
    name: str = request.param
    if name == "duckdb":
        with duckdb_engine(tmp_path) as duck:
            yield duck
    elif name == "pulled":
        with postgres_engine(request.getfixturevalue("postgres_url")) as origin:
            pulled = PulledEngine(tmp_path / "state.duckdb", origin)
            yield pulled
            pulled.detach()
    elif name in ON_SERVERS:
        with ON_SERVERS[name].opened(request.getfixturevalue("server_of")(name)) as found:
            yield found
    else:
        kind = TablesEngine if name == "tables" else PostgresEngine
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
def trino(server_of: Callable[[str], str]) -> Iterator[TrinoEngine]:
    """Empty schemas on Trino."""
    with ON_SERVERS["trino"].opened(server_of("trino")) as engine:
        yield engine


@pytest.fixture
def snowflake(server_of: Callable[[str], str]) -> Iterator[SnowflakeEngine]:
    """Empty schemas on Snowflake's emulator."""
    with ON_SERVERS["snowflake"].opened(server_of("snowflake")) as engine:
        yield engine


@pytest.fixture
def spark(server_of: Callable[[str], str]) -> Iterator[SparkEngine]:
    """Empty schemas on Spark."""
    with ON_SERVERS["spark"].opened(server_of("spark")) as engine:
        yield engine


@pytest.fixture
def crm() -> Recorder:
    """A destination that remembers."""
    return Recorder()
