"""What each side holds, read without the engine, and what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql

from benchmarks.demo.errors import DemoError
from benchmarks.demo.syncs import MODEL, TO_FILES

Rows = Mapping[int, tuple[Any, ...]]
"""Customer to orders, spent, last order and tier."""


@dataclass(frozen=True)
class Comparison:
    """How a destination differs from the model.

    Attributes:
        expected: Rows in the model.
        found: Rows in the destination.
        missing: Customers that only the model has.
        extra: Customers that only the destination has.
        different: Customers with other values.
    """

    expected: int
    found: int
    missing: list[int]
    extra: list[int]
    different: list[int]

    @property
    def differing(self) -> set[int]:
        """Customers that aren't the same on both sides."""
        return {*self.missing, *self.extra, *self.different}


def compare(expected: Rows, found: Rows) -> Comparison:
    """Compare every row and every value."""
    return Comparison(
        len(expected),
        len(found),
        missing=sorted(expected.keys() - found.keys()),
        extra=sorted(found.keys() - expected.keys()),
        different=sorted(key for key in expected.keys() & found.keys() if expected[key] != found[key]),
    )


def model_rows(connection: duckdb.DuckDBPyConnection) -> Rows:
    """The model's rows as DuckDB returns them now."""
    return {row[0]: row[1:] for row in connection.execute(MODEL).fetchall()}


def table_rows(postgres: psycopg.Connection, schema: str) -> Rows:
    """The rows of the PostgreSQL table."""
    query = sql.SQL("SELECT id, order_count, lifetime_value, last_order, tier FROM {}.customers")
    return {row[0]: row[1:] for row in postgres.execute(query.format(sql.Identifier(schema)))}


def file_rows(folder: Path) -> Rows:
    """What somebody holds who applied all files, run by run.

    Raises:
        DemoError: A file adds what is there already, or changes or removes what isn't.
    """
    rows: dict[int, tuple[Any, ...]] = {}
    runs = sorted(
        {path.name.split("_")[1] for path in folder.glob(f"{TO_FILES}_*.jsonl")}
    )  # ids sort by time
    for run in runs:
        for operation in ("removed", "changed", "added"):
            path = folder / f"{TO_FILES}_{run}_{operation}.jsonl"
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line, parse_float=Decimal)
                customer = row["customer_id"]
                if (customer in rows) == (operation == "added"):
                    raise DemoError(
                        f"{path.name} has customer {customer}, which doesn't fit the files before it."
                    )
                if operation == "removed":
                    del rows[customer]
                else:
                    values = row["orders"], Decimal(row["spent"]), date.fromisoformat(row["last_order"])
                    rows[customer] = (*values, row["tier"])
    return rows
