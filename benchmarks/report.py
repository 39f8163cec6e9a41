"""What all benchmarks share: their options, facts about the machine and versions, tables and result files."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

ENGINES = ("duckdb", "postgres")
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("duckdb", "httpx2", "psycopg", "adbc-driver-postgresql", "pyarrow", "sqlalchemy")
SETTINGS = ("fsync", "shared_buffers", "work_mem", "max_parallel_workers_per_gather")
JUDGED = (("ratio", "ratio"), ("asked", "asked"), ("met", "met"))
"""The columns of what was asked for."""

Row = dict[str, Any]
_server: dict[str, Any] = {}
_PATH = re.compile(r"(?<![\w/])(?:/[\w.@+-]+){2,}/?|[A-Za-z]:\\\S+")


def parser(
    doc: str | None, rows: Mapping[str, int], output: str, *, several: bool = False
) -> argparse.ArgumentParser:
    """The options that every benchmark has.

    Args:
        doc: What the benchmark does.
        rows: The rows of each named size.
        output: The name of the result file.
        several: More than one number of rows can be given.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = ", ".join(f"{name} ({number:,} rows)" for name, number in rows.items())
    made.add_argument("--size", choices=tuple(rows), default="laptop", help=sizes)
    if several:
        made.add_argument("--rows", type=int, action="append", help="instead of the size's; several")
    else:
        made.add_argument("--rows", type=int, help="instead of the rows of the size")
    made.add_argument("--repeat", type=int, default=3, help="how often; figures are medians")
    made.add_argument("--engine", action="append", choices=ENGINES)
    made.add_argument("--output", type=Path, default=RESULTS / f"{output}.json")
    return made


def parse(made: argparse.ArgumentParser, rows: Mapping[str, int]) -> argparse.Namespace:
    """The command line, with ``rows`` and ``engine`` filled in."""
    options = made.parse_args()
    options.rows = options.rows or rows[options.size]
    options.engine = options.engine or list(ENGINES)
    return options


def judged(ratio: float | None, *, at_least: float | None = None, at_most: float | None = None) -> Row:
    """A ratio with what was asked for; nothing was if neither bound is given."""
    limit = at_most if at_least is None else at_least
    if limit is None:
        return {"ratio": ratio}
    met = ratio is not None and (ratio <= limit if at_least is None else ratio >= limit)
    asked = "at most" if at_least is None else "at least"
    return {"ratio": ratio, "asked": asked, "limit": limit, "met": met}


def medians(found: Iterable[Row], keys: Sequence[str], digits: int = 3) -> list[Row]:
    """One row for each combination of the keys: medians of the numbers, of the rest what came last.

    A figure that a repetition lacks is lacking: the others don't hide that.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for one in found:
        groups.setdefault(tuple(one.get(key) for key in keys), []).append(one)
    rows = []
    for same in groups.values():
        row = dict(same[-1])
        for name in row.keys() - set(keys):
            values = [one.get(name) for one in same]
            if any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
                numbers = [value for value in values if value is not None]
                row[name] = round(median(numbers), digits) if len(numbers) == len(values) else None
        row.pop("number", None)
        rows.append(row)
    return rows


def remember_server(url: str) -> None:
    """Keep the version and settings of the PostgreSQL server that is measured."""
    import psycopg

    with psycopg.connect(url) as connection:
        _server["version"] = connection.execute("SHOW server_version").fetchone()[0]  # type: ignore[index]
        _server["settings"] = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]  # type: ignore[index]
            for name in SETTINGS
        }


def machine() -> Row:
    """The machine, without names."""
    memory = None
    if hasattr(os, "sysconf"):
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    return {
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def versions(rows: Iterable[Row] = ()) -> Row:
    """What was measured with: python, this package, drivers, the server, and the tools of the rows."""
    import warehouse_cdc

    found: Row = {"python": platform.python_version(), "warehouse_cdc": warehouse_cdc.__version__}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if _server:
        found["postgres"] = _server["version"]
        found["postgres_settings"] = _server["settings"]
    peers = {row["peer"]: row["version"] for row in rows if row.get("peer") and row.get("version")}
    return {**found, "peers": peers} if peers else found


def show(
    rows: Iterable[Row],
    title: str,
    columns: Sequence[tuple[str, str]],
    shown: Callable[[Row], bool] = lambda row: True,
) -> None:
    """Print rows as a table; columns are a heading and the field that it shows."""
    rows = [row for row in rows if shown(row)]
    table = Table(title=title)
    for heading, key in columns:
        words = all(isinstance(row.get(key), str) for row in rows) and key != "asked"
        table.add_column(heading, justify="left" if words else "right", no_wrap=words)
    for row in rows:
        table.add_row(*(_cell(row, key) for _heading, key in columns))
    console = Console()
    # In a file or a pipe there is no edge to keep to.
    (console if console.is_terminal else Console(width=160)).print(table)


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if key == "asked":
        return f"{'≥' if value == 'at least' else '≤'} {row['limit']:g}" if value else ""
    if key == "met":
        return "" if value is None else "yes" if value else "NO"
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:,}"


def write(path: Path, results: Sequence[Row], /, **facts: Any) -> None:
    """Keep the figures as JSON, with the machine and the versions; no absolute path stays in."""
    data = {"machine": machine(), "versions": versions(results), **facts, "results": list(results)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_without_paths(data), indent=2) + "\n", encoding="utf-8")


def _without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return _PATH.sub("…", value)
    if isinstance(value, Mapping):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_paths(each) for each in value]
    return value
