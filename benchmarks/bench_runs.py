"""What a run costs: first, without a change, and with 1 % changed, against a bare CREATE TABLE AS.

    python -m benchmarks.bench_runs [--size laptop] [--rows 1000000] [--engine duckdb] [--repeat 3]

Each run is a process of its own, so that its peak memory is its own. The destination is a function that
does nothing. Seconds are medians; the ratio is to the bare copy of the model's result in the same repetition.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import report

ROWS = {"small": 50_000, "laptop": 1_000_000, "full": 10_000_000}
KEYS = ("engine", "kind")
SHOWN = (
    ("engine", "engine"),
    ("run", "kind"),
    ("seconds", "seconds"),
    ("ratio to copy", "ratio"),
    ("statements", "statements"),
    ("client MB", "memory_mb"),
    ("rows sent", "sent"),
)
COLUMNS = (
    "i AS id, 'user' || i || '@example.com' AS email, 'Name ' || (i % 1000) AS name, "
    "(i * 7919) % 100000 AS points, CAST((i % 10000) / 100.0 AS DECIMAL(10, 2)) AS balance, "
    "(i % 1000) / 7.0 AS score, i % 2 = 0 AS active, "
    "DATE '2020-01-01' + CAST(i % 1000 AS INTEGER) AS signed_up, "
    "TIMESTAMP '2024-01-01' + INTERVAL '1 second' * (i % 100000) AS seen_at, "
    "CASE WHEN i % 3 = 0 THEN NULL ELSE 'tag' || (i % 50) END AS tag"
)
SERIES = {"duckdb": "range(1, {end}) r(i)", "postgres": "generate_series(1::bigint, {last}) r(i)"}
MODEL = "SELECT * FROM bench_source"


def execute(url: str, *statements: str) -> None:
    """Run statements with the plain driver."""
    if url.startswith("duckdb"):
        import duckdb

        connection: Any = duckdb.connect(url.removeprefix("duckdb:///"))
    else:
        import psycopg

        connection = psycopg.connect(url, autocommit=True)
    with connection:
        for sql in statements:
            connection.execute(sql)


def child(url: str, kind: str) -> dict[str, Any]:
    """One measurement, in this process."""
    import warehouse_cdc as wcdc

    if url.startswith("postgres"):
        import psycopg  # noqa: F401
    else:
        import duckdb  # noqa: F401
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if kind == "bare copy":
        began = time.perf_counter()
        execute(url, f"CREATE TABLE bench_copy AS {MODEL}")
        seconds = time.perf_counter() - began
        execute(url, "DROP TABLE bench_copy")
        return {"seconds": seconds, "statements": 1, "memory_mb": 0, "sent": 0}
    sent = 0

    @wcdc.destination(batch_size=1000)
    def nowhere(batch: wcdc.destinations.Batch) -> None:
        nonlocal sent
        sent += len(batch)

    sync = wcdc.Sync(
        id="bench",
        model=wcdc.Model("bench", sql=MODEL, primary_key="id"),
        destination=nowhere,
        on_removed="delete",
    )
    with wcdc.connect(url) as warehouse:
        run = warehouse.run(sync)
    assert run.status == "success", run.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": run.seconds,
        "statements": run.statements,
        "memory_mb": (peak - base) / 1024,
        "sent": sent,
    }


@contextmanager
def warehouse_url(engine: str) -> Iterator[str]:
    """A fresh warehouse."""
    if engine == "duckdb":
        with tempfile.TemporaryDirectory() as folder:
            yield f"duckdb:///{Path(folder) / 'bench.duckdb'}"
        return
    from tests.servers import postgres_server

    # As on a server of its own: two fifths of the memory, and no checkpoint in the middle of a run.
    shared = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 2 // 5 // 2**20
    with postgres_server(shared_buffers=f"{shared}MB", max_wal_size="16GB") as url:
        report.remember_server(url)
        yield url


def measure(url: str, kind: str) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_runs", "--child", url, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def bench(engine: str, rows: int, repeat: int) -> list[dict[str, Any]]:
    """All measurements of an engine."""
    found = []
    with warehouse_url(engine) as url:
        series = SERIES[engine].format(end=rows + 1, last=rows)
        execute(url, f"CREATE TABLE bench_source AS SELECT {COLUMNS} FROM {series}")
        schemas = ("hightouch_planner", "hightouch_audit")
        for number in range(repeat):
            for schema in schemas:
                execute(url, f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}")
            if engine == "postgres":
                execute(url, "VACUUM ANALYZE bench_source", "CHECKPOINT")
            bare = measure(url, "bare copy")
            found.append({"engine": engine, "kind": "bare copy", "ratio": 1.0, **bare})
            for kind in ("first", "no change", "1 % changed"):
                if kind == "1 % changed":
                    execute(url, f"UPDATE bench_source SET points = points + 1 WHERE id % 100 = {number}")
                result = measure(url, kind)
                ratio = result["seconds"] / bare["seconds"]
                found.append({"engine": engine, "kind": kind, "ratio": ratio, **result})
    return found


def main() -> None:
    """Measure, print a table and keep the figures."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(sys.argv[2], sys.argv[3])))
        return
    options = report.parse(report.parser(__doc__, ROWS, "runs"), ROWS)
    found = [one for engine in options.engine for one in bench(engine, options.rows, options.repeat)]
    rows = report.medians(found, KEYS, 2)
    report.show(rows, f"{options.rows:,} rows × 10 columns, medians of {options.repeat}", SHOWN)
    report.write(options.output, rows, rows=options.rows, repeat=options.repeat)


if __name__ == "__main__":
    main()
