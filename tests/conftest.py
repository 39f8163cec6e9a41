"""Fixtures that all tests share."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

from tests.engines import BEHIND, ENGINES, Unavailable
from tests.servers import postgres_server

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

QUICK = {"postgres_old", "tsql"}
"""Engines that each worker may have one of."""
BY_NAME = {*ENGINES, "parsers", "stand_in"}
"""Marks of tests that run only where a mark of theirs is asked for (make test-engines)."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a superuser's database on a real PostgreSQL server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], str]]:
    """The URL of a running server of an engine, by name."""
    found: dict[str, str | Unavailable] = {}
    with contextlib.ExitStack() as stack:

        def url_of(name: str) -> str:
            if name not in found:
                behind = [url_of(BEHIND[name])] if name in BEHIND else []
                try:
                    found[name] = stack.enter_context(ENGINES[name].server(*behind))
                except Unavailable as reason:
                    found[name] = reason
            url = found[name]
            if isinstance(url, Unavailable):
                pytest.skip(str(url))
            return url

        yield url_of


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes its time is asked for by name, a worker for each server; the longest tests first.

    So that no worker is left with one at the end.
    """
    asked = set(re.findall(r"\w+", config.option.markexpr))
    kept = []
    for item in items:
        needed = {mark.name for mark in item.iter_markers()} & BY_NAME
        if needed <= asked:
            kept.append(item)
            for name in needed & ENGINES.keys() - QUICK:
                item.add_marker(pytest.mark.xdist_group(BEHIND.get(name, name)))
    items[:] = kept
    items.sort(key=lambda item: item.path.name != "test_oracle.py")
