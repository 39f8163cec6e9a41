"""A run against what it can't do without: hand-written SQL on the same data, in the same run.

    python -m benchmarks.bench_limits [--rows 1000000] [--engine duckdb --engine postgres] [--repeat 3]

- *scan and hash*: hash every row of the model, write nothing.
- *narrow join*: join key and hash of the model with those of a full copy of its rows, count what differs.
- *full copy*: CREATE TABLE AS of text key, hash and all columns.
- *read*: all rows of the copy as Arrow batches, by the driver's own way.

Runs are those of bench_peers: a process of their own each, a destination that does nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bench_peers import OWN, OWN_RUNS_ONLY, peer_runs
from benchmarks.bench_runs import SERIES, execute, warehouse_url

KINDS = ("first", "no change", "1 % changed", "10 % changed")
COLUMNS = ("id", "email", "name", "points", "balance", "score", "active", "signed_up", "seen_at", "tag")
HASH = {
    "duckdb": f"hash({', '.join(COLUMNS)})",
    "postgres": f"hash_record_extended(ROW({', '.join(COLUMNS)}), 0)",
}
LIMIT_OF = {
    "first": ("full copy", "read"),
    "no change": ("scan and hash", "narrow join"),
    "1 % changed": ("scan and hash", "narrow join"),
    "10 % changed": ("scan and hash", "narrow join"),
}


def limits(engine: str, url: str) -> dict[str, float]:
    """Seconds of each hand-written statement, on bench_source."""
    hashed = HASH[engine]
    copied = f"SELECT CAST(id AS VARCHAR(40)) AS row_id, {hashed} AS h, s.* FROM bench_source s"
    joined = (
        f"SELECT count(*) FROM (SELECT id, {hashed} AS h FROM bench_source) m "
        "FULL JOIN bench_limit b ON m.id = b.id WHERE m.h IS DISTINCT FROM b.h"
    )
    execute(url, "DROP TABLE IF EXISTS bench_limit")
    found = {"full copy": timed(url, f"CREATE TABLE bench_limit AS {copied}")}
    if engine == "postgres":
        execute(url, "VACUUM ANALYZE bench_source", "VACUUM ANALYZE bench_limit", "CHECKPOINT")
    found["scan and hash"] = timed(url, f"SELECT bit_xor({hashed}) FROM bench_source")
    found["narrow join"] = timed(url, joined)
    found["read"] = read(engine, url)
    execute(url, "DROP TABLE bench_limit")
    return found


def timed(url: str, sql: str) -> float:
    """Seconds of one statement."""
    began = time.perf_counter()
    execute(url, sql)
    return time.perf_counter() - began


def read(engine: str, url: str) -> float:
    """Seconds to read all rows as Arrow batches by the fastest way that the driver has."""
    sql = "SELECT * FROM bench_limit"
    if engine == "duckdb":
        import duckdb

        with duckdb.connect(url.removeprefix("duckdb:///")) as connection:
            began = time.perf_counter()
            rows = sum(batch.num_rows for batch in connection.sql(sql).to_arrow_reader(100_000))
    else:
        import adbc_driver_postgresql.dbapi as adbc

        sql = sql.replace("*", "row_id, h, " + ", ".join(COLUMNS).replace("balance", "balance::text"))
        with adbc.connect(url) as session, session.cursor() as cursor:
            began = time.perf_counter()
            cursor.execute(sql.replace("score", "score::text"))
            rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
    assert rows
    return time.perf_counter() - began


def bench(engine: str, rows: int, repeat: int) -> list[dict[str, Any]]:
    """Each kind of run with its limit."""
    found = []
    with warehouse_url(engine) as url:
        for number in range(repeat):
            runs = peer_runs(engine, url, rows, KINDS, peers=(OWN, OWN_RUNS_ONLY), number=number)
            bare = limits(engine, url)
            for run in runs:
                limit = sum(bare[name] for name in LIMIT_OF[run["kind"]])
                found.append({**run, "number": number, "limit": limit, "ratio": run["seconds"] / limit})
            found += [
                {"engine": engine, "peer": "hand-written", "kind": name, "seconds": seconds, "number": number}
                for name, seconds in bare.items()
            ]
    return found


def summarize(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians."""
    rows = []
    for key in dict.fromkeys((one["engine"], one["peer"], one["kind"]) for one in found):
        same = [one for one in found if (one["engine"], one["peer"], one["kind"]) == key]
        row: dict[str, Any] = dict(zip(("engine", "peer", "kind"), key, strict=True))
        for figure in ("seconds", "limit", "ratio"):
            values = [one[figure] for one in same if one.get(figure) is not None]
            row[figure] = round(statistics.median(values), 3) if values else None
        row["rows_sent"] = same[-1].get("rows_sent")
        row["note"] = same[-1].get("note", "")
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print a table and keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--engine", action="append", choices=tuple(SERIES))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "limits.json")
    options = parser.parse_args()
    rows = summarize(
        [
            one
            for engine in options.engine or list(SERIES)
            for one in bench(engine, options.rows, options.repeat)
        ]
    )
    table = Table(title=f"{options.rows:,} rows × 10 columns, medians of {options.repeat}")
    for name in ("engine", "who", "what", "seconds", "limit", "ratio"):
        table.add_column(name, justify="left" if name in ("engine", "who", "what") else "right")
    for row in rows:
        figures = (row["seconds"], row["limit"], row["ratio"])
        shown = ("" if figure is None else f"{figure:,}" for figure in figures)
        table.add_row(row["engine"], row["peer"], row["kind"], *shown)
    Console().print(table)
    facts = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rows": options.rows,
        "repeat": options.repeat,
        "results": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
