"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ENGINES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A fresh database on one engine."""
    if request.param == "duckdb":
        with duckdb_engine(tmp_path) as duck:
            yield duck
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
def crm() -> Recorder:
    """A destination that remembers."""
    return Recorder()
