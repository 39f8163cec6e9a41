"""A PostgreSQL schema and a DuckDB file, alike to the tests of SQL tables."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from warehouse_cdc.destinations import SqlTable

_numbers = itertools.count(1)


class PostgresDatabase:
    """A schema of its own on the test server."""

    name = "postgresql"

    def __init__(self, url: str) -> None:
        self.url = url
        self.schema = f"dest_{next(_numbers)}"
        self.connection = psycopg.connect(url, autocommit=True)
        self.run(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
        self.run(f"CREATE SCHEMA {self.schema}")
        self.run(f"SET search_path = {self.schema}")
        self.run("SET timezone = 'UTC'")

    def run(self, sql: str) -> None:
        self.connection.execute(sql)  # type: ignore[call-overload]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()  # type: ignore[call-overload,no-any-return]

    def table(self, name: str, **options: Any) -> SqlTable:
        return SqlTable(self.url, f"{self.schema}.{name}", **options)

    def tables(self) -> list[str]:
        return [
            row[0] for row in self.rows(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.schema}'")
        ]

    def close(self) -> None:
        self.run(f"DROP SCHEMA {self.schema} CASCADE")
        self.connection.close()


class DuckDatabase:
    """A file of its own."""

    name = "duckdb"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "destination.duckdb"
        self.connection = duckdb.connect(str(self.path))

    def run(self, sql: str) -> None:
        self.connection.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def table(self, name: str, **options: Any) -> SqlTable:
        return SqlTable(f"duckdb:///{self.path}", name, **options)

    def tables(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT table_name FROM duckdb_tables()")]

    def close(self) -> None:
        self.connection.close()


Database = PostgresDatabase | DuckDatabase
