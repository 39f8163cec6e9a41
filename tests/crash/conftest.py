"""Fixtures of the crash tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.child import Nursery
from tests.crash.world import OPENED, World

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def _nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture
def nursery(_nursery: Nursery) -> Iterator[Nursery]:
    """Starts children quickly; none outlives its test."""
    yield _nursery
    _nursery.end_all()


@pytest.fixture
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Makes a world of its own, on the named engine."""
    made = []

    def make(engine: str) -> World:
        number = next(_NUMBERS)
        folder = tmp_path / f"world{number}"
        folder.mkdir()
        if engine != "duckdb":
            old = engine == "postgres_old"
            server = request.getfixturevalue("server_of")(engine) if old else None
            # A statement that waits for a lock for ever would hang the test.
            url = (server or request.getfixturevalue("postgres_url")) + "?options=-c%20lock_timeout%3D20s"
            world = World(url, f"crash_{os.getpid()}_{number}", str(folder), engine == "tables")
            world.drop()
        elif engine in OPENED:
            url = request.getfixturevalue("server_of")(engine)
            world = World(url, f"crash_{os.getpid()}_{number}", str(folder), tables=True)
        else:
            world = World(f"duckdb:///{folder / 'warehouse.duckdb'}", "shop", str(folder))
        made.append(world)
        world.create()
        return world

    yield make
    for world in made:
        if not world.duckdb:
            world.drop()


@pytest.fixture(
    params=[
        pytest.param(e, marks=getattr(pytest.mark, e))
        for e in ("duckdb", "postgres", "postgres_old", "tables")
    ]
)
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> Any:
    """A world on each engine."""
    return make_world(request.param)
