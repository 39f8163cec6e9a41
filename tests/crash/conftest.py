"""Fixtures of the crash tests."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.crash.child import Nursery
from tests.crash.world import OPENED, World, keep, refused
from tests.engines import athena
from tests.job_service import JobService

_NUMBERS = itertools.count(1)
_SERVICES: dict[str, JobService] = {}
"""By the name of a world's folder."""
ON_TRINO = ("athena", "trino")
"""Engines whose runs take seconds."""
FEW = ("test_killed_at[trino-checkpoint-after]",)
"""What runs on them, unless ``WCDC_TEST_FAULTS=all``; each has tests of its own of killed runs, too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what takes too long, and moments inside of transactions where there are none.

    Each step on the stand-in without transactions takes minutes: they are asked for by name.
    """
    items[:] = [item for item in items if _runs(item)]
    for item in items:
        if item.path.name in ("test_kill.py", "test_zombie.py") and item.get_closest_marker("tables"):
            item.add_marker(pytest.mark.stand_in)


def _runs(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None) if item.path.parent == Path(__file__).parent else None
    if call is None or call.params.get("world") not in ON_TRINO:
        return True
    if call.params.get("moment") in ("locked", "committing"):
        return False
    return item.name in FEW or os.environ.get("WCDC_TEST_FAULTS") == "all"


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
    services = contextlib.ExitStack()

    def make(engine: str) -> World:
        number = next(_NUMBERS)
        service = JobService(refuses=refused)
        _SERVICES[f"world{number}"] = service
        folder = tmp_path / f"world{number}"
        folder.mkdir()
        if engine in ("postgres", "postgres_old", "tables"):
            old = engine == "postgres_old"
            server = request.getfixturevalue("server_of")(engine) if old else None
            # A statement that waits for a lock for ever would hang the test.
            url = (server or request.getfixturevalue("postgres_url")) + "?options=-c%20lock_timeout%3D20s"
            world = World(url, f"crash_{os.getpid()}_{number}", str(folder), engine == "tables")
            world.drop()
        elif engine in OPENED:
            url = request.getfixturevalue("server_of")(engine)
            world = World(url, f"crash_{os.getpid()}_{number}", str(folder), tables=True)
        elif engine in ON_TRINO:
            url = request.getfixturevalue("server_of")(engine)
            behind = athena.behind(url).trino_url if engine == "athena" else url
            world = World(url, f"crash_{os.getpid()}_{number}", str(folder), tables=True, behind=behind)
        else:
            world = World(f"duckdb:///{folder / 'warehouse.duckdb'}", "shop", str(folder))
        made.append(world)
        world.create()
        world = replace(world, served=services.enter_context(service).url)
        service.told = partial(keep, world)
        return world

    yield make
    services.close()
    for world in made:
        if not world.in_a_file:
            world.drop()


@pytest.fixture
def service(world: World) -> JobService:
    """The world's service."""
    return _SERVICES[Path(world.folder).name]


@pytest.fixture(
    params=[
        pytest.param(name, marks=getattr(pytest.mark, name))
        for name in ("duckdb", "postgres", "postgres_old", "tables", *ON_TRINO)
    ]
)
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> Any:
    """A world on each engine."""
    return make_world(request.param)
