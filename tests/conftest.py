"""Fixtures that all tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.engines.spark import spark_server
from tests.engines.trino import Unavailable, trino_server
from tests.servers import postgres_server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a superuser's database on a real PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def trino_url() -> Iterator[str]:
    """The URL of an Iceberg catalog on a real Trino server."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(trino_server())
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield url


@pytest.fixture(scope="session")
def spark_url() -> Iterator[str]:
    """The URL of a real Spark Connect server, with Delta."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(spark_server())
        except Unavailable as reason:
            pytest.skip(str(reason))
        yield url


SERVERS = ("trino", "spark")
"""Marks of tests that need a server which takes its time."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Servers that take their time are asked for by name; the longest tests first.

    So that no worker is left with one at the end.
    """
    left = [mark for mark in SERVERS if mark not in config.option.markexpr]
    items[:] = [item for item in items if not any(map(item.get_closest_marker, left))]
    items.sort(key=lambda item: item.path.name != "test_oracle.py")
