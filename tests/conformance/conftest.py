"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.databricks_engine import DatabricksEngine
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
from tests.conformance.on_servers import ON_SERVERS, SPELLED, TESTS
from tests.conformance.snowflake_engine import SnowflakeEngine
from tests.conformance.spark_engine import SparkEngine
from tests.conformance.trino_engine import TrinoEngine

RECORDING = {"test_audit", "test_deltas", "test_edges", "test_modes", "test_promises"}
"""Modules about what a run records and how it ends; values and types are the same with another ledger."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what doesn't run on servers, and on the stand-in unless that is asked for (``-m tables``).

    What records runs there, but isn't among what servers run, is asked for by another name.
    """
    everything = "tables" in re.findall(r"\w+", config.option.markexpr)
    items[:] = [item for item in items if _runs(item, everything)]
    for item in items:
        engine, name = _engine_of(item), getattr(item, "originalname", "")
        if engine == "tables" and not everything and name not in TESTS.get(item.path.stem, frozenset()):
            item.add_marker(pytest.mark.stand_in)
        if engine in ON_SERVERS and name in ON_SERVERS[engine].GAPS:
            item.add_marker(pytest.mark.xfail(reason=ON_SERVERS[engine].GAPS[name], strict=True))


def _runs(item: pytest.Item, everything: bool) -> bool:
    engine = _engine_of(item)
    shared = getattr(item, "originalname", "") in TESTS.get(item.path.stem, frozenset())
    spelled = item.path.stem in ("test_equality_matrix", "test_moving_to_servers")
    if spelled and engine in ON_SERVERS.keys() - SPELLED:
        return False
    if engine == "tables":
        return everything or shared or item.path.stem in RECORDING
    if engine in ON_SERVERS or engine == "pulled":
        left_out = getattr(ON_SERVERS.get(engine), "LEFT_OUT", ())
        whole = os.environ.get(f"WCDC_TEST_{engine.upper()}") == "all"
        return shared and (whole or getattr(item, "originalname", "") not in left_out)
    return True


def _engine_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None) if item.path.parent == Path(__file__).parent else None
    return None if call is None else call.params.get("engine")


@pytest.fixture(
    params=[
        pytest.param(name, marks=getattr(pytest.mark, name))
        for name in (*ENGINES, "postgres_old", *ON_SERVERS)
    ]
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
    elif name == "postgres_old":
        with postgres_engine(request.getfixturevalue("server_of")(name)) as old:
            yield old
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
def databricks(server_of: Callable[[str], str]) -> Iterator[DatabricksEngine]:
    """Empty schemas on Spark, behind a stand-in of Databricks' service."""
    with ON_SERVERS["databricks"].opened(server_of("databricks")) as engine:
        yield engine


@pytest.fixture
def crm() -> Recorder:
    """A destination that remembers."""
    return Recorder()
