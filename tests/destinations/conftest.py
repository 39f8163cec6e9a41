from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.destinations.databases import Database, DuckDatabase, PostgresDatabase


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(postgres_url)
    yield database
    database.close()


@pytest.fixture(params=["postgresql", "duckdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "postgresql":
        made: Database = PostgresDatabase(request.getfixturevalue("postgres_url"))
    else:
        made = DuckDatabase(tmp_path)
    yield made
    made.close()
