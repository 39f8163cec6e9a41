"""T-SQL has no server here: its statements are translated and run by DuckDB."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.engines.base import Unavailable


def assemble() -> str:
    """There is nothing to fetch, but the driver's own library may lack another one."""
    try:
        import mssql_python  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"mssql-python: {error}") from error
    return "translated for DuckDB"


@contextlib.contextmanager
def server() -> Iterator[str]:
    assemble()
    yield "duckdb"
