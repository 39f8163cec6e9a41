"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

import re
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
from tests.conformance.trino_engine import TrinoEngine, opened

RECORDING = {"test_deltas", "test_promises"}
"""Modules about what a run records and how it ends; values and types are the same with another ledger."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what doesn't run on servers, and on the stand-in unless that is asked for (``-m tables``)."""
    everything = "tables" in re.findall(r"\w+", config.option.markexpr)
    items[:] = [item for item in items if _runs(item, everything)]
    for item in items:
        engine, name = _engine_of(item), getattr(item, "originalname", "")
        if engine in ON_SERVERS and name in ON_SERVERS[engine].GAPS:
            item.add_marker(pytest.mark.xfail(reason=ON_SERVERS[engine].GAPS[name], strict=True))


def _runs(item: pytest.Item, everything: bool) -> bool:
    engine = _engine_of(item)
    if engine == "tables" and (everything or item.path.stem in RECORDING):
        return True
    if engine == "tables" or engine in ON_SERVERS or engine == "pulled":
        return getattr(item, "originalname", "") in TESTS.get(item.path.stem, frozenset())
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
    with opened(server_of("trino")) as engine:
        yield engine


@pytest.fixture
def crm() -> Recorder:
    """A destination that remembers."""
    return Recorder()
