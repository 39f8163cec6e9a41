"""One ``engine`` fixture: every test runs on every engine, each time on a fresh database."""

from __future__ import annotations

import os
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

RECORDING = {"test_audit", "test_deltas", "test_edges", "test_modes", "test_promises"}
"""Modules about what a run records and how it ends; values and types are the same with another ledger."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The stand-in without transactions runs those alone, unless ``WCDC_TEST_TABLES=all``."""
    if os.environ.get("WCDC_TEST_TABLES") == "all":
        return
    left = [
        item
        for item in items
        if item.get_closest_marker("tables")
        and item.path.parent == Path(__file__).parent
        and item.path.stem not in RECORDING
    ]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


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
