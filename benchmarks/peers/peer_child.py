"""What every script of this folder shares. It runs in a peer's own environment: standard library only."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

MODEL = "SELECT * FROM {table}"


class NotSupported(Exception):
    """The peer can't do this."""


def main(run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Do the job of the command line and print what came of it as the last line."""
    with suppress(ImportError):  # pyarrow and DuckDB import it at the first row, where there is one
        importlib.import_module("pandas")
    try:
        result = run(json.loads(sys.argv[1]))
    except NotSupported as error:
        result = {"unsupported": str(error)}
    print("\n" + json.dumps(result), flush=True)


def duckdb_path(url: str) -> str:
    """The file of a DuckDB URL."""
    return url.removeprefix("duckdb:///")


def postgres_parts(url: str) -> dict[str, Any]:
    """The parts of a PostgreSQL URL, under their usual names."""
    parts = urlsplit(url)
    return {
        "host": parts.hostname or "localhost",
        "port": parts.port or 5432,
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "database": parts.path.lstrip("/"),
    }


def load_duckdb() -> Any:
    """DuckDB with what it imports when the first rows are read."""
    import duckdb

    with duckdb.connect() as connection:
        connection.sql("SELECT 1").to_arrow_reader(1).read_all()
        connection.sql("SELECT 1").to_arrow_table()
        connection.execute("SELECT 1").fetchall()
    return duckdb
