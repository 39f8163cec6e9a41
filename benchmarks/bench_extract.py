"""Reading a plan's operations as delivery does, against the driver's own fastest reading of it.

    python -m benchmarks.bench_extract [--size laptop] [--rows 10000000] [--engine duckdb] [--repeat 3]

The plan is that of a first run: every row is an operation. All read the statement that delivery reads, in
processes of their own, and throw the rows away:

- *stream*: Connection.stream alone: Arrow batches in the plan's types.
- *stream and spool*: what delivery does: the batches into a Spool (on local disk beyond 32 MB), and its
  parts of 100,000 rows out of it again. This is what is asked about.
- *stream, spool and chunks*: also cut into chunks, each sorted by row id, as batches are made from.
- DuckDB *Arrow reader* with batches of 20,000 and of 1,000,000 rows; PostgreSQL *ADBC* (Arrow batches) and
  *COPY* (psycopg, binary, raw bytes that nothing decodes). The ratio is rows/s to the fastest of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from benchmarks import report
from benchmarks.bench_peers import make_source
from benchmarks.bench_runs import execute, warehouse_url

ROWS = {"small": 50_000, "laptop": 1_000_000, "full": 10_000_000}
SHARE = 0.85
ASKED = "stream and spool"
OURS = ("stream", ASKED, "stream, spool and chunks")
THEIRS = {"duckdb": ("Arrow reader, 20,000", "Arrow reader, 1,000,000"), "postgres": ("ADBC", "COPY")}
SHOWN = (
    ("engine", "engine"),
    ("who", "peer"),
    ("how", "kind"),
    ("seconds", "seconds"),
    ("rows/s", "rows_per_second"),
    *report.JUDGED,
)


def make_plan(url: str) -> None:
    """A first run; its plan stays."""
    import warehouse_cdc as wcdc

    sync = wcdc.Sync(
        id="bench",
        model=wcdc.Model("bench", sql="SELECT * FROM bench_source", primary_key="id"),
        destination=wcdc.destination(lambda batch: None),
        batch_rows=100_000,
        chunk_rows=100_000,
        changelog=False,
        snapshot=False,
    )
    with wcdc.connect(url) as warehouse:
        assert warehouse.run(sync).status == "success"


def child(engine: str, url: str, kind: str) -> dict[str, Any]:
    """One reading of the plan, in this process."""
    import pyarrow as pa
    import pyarrow.compute  # noqa: F401

    from warehouse_cdc.engine import delivery
    from warehouse_cdc.engine.ledger import ledger_of
    from warehouse_cdc.engine.spool import Spool, ahead
    from warehouse_cdc.plan.statements import Schemas, Statements
    from warehouse_cdc.warehouses.base import Connection

    connection: Connection
    if engine == "duckdb":
        from warehouse_cdc.warehouses.duckdb import open_duckdb

        connection = open_duckdb(url.removeprefix("duckdb:///"), {})
    else:
        import adbc_driver_postgresql.dbapi  # noqa: F401

        from warehouse_cdc.warehouses.postgres import open_postgres

        connection = open_postgres(url)
    statements = Statements(connection.dialect, Schemas(), "bench")
    last = ledger_of(connection, statements).load().committed
    assert last is not None and last.plan is not None
    record = last.plan
    sql = statements.read("01000000000000000000000000", record, "added", None, None)
    pa.array([])
    numbered = list(enumerate(record.chunks))
    rows = 0
    began = time.perf_counter()
    if kind in OURS:
        kinds = delivery.read_kinds(statements, [column.value for column in record.columns], lean=record.lean)
        batches = connection.stream(sql, kinds, expected_rows=record.rows)
        if kind == "stream":
            rows = sum(batch.num_rows for batch in batches)
        else:
            parts = delivery._grouped(numbered, delivery.PART_ROWS)
            spool = Spool(ahead(batches), [part[-1][1].high for part in parts])
            for place, part in enumerate(parts):
                table = spool.part(place)
                if kind == ASKED:
                    rows += table.num_rows
                else:
                    rows += sum(chunk.num_rows for _i, _c, chunk in delivery._cut(table, part))
            spool.close()
        seconds = time.perf_counter() - began
        connection.close()
    else:
        connection.close()
        rows, seconds = drivers_own(url, sql, kind)
    assert rows in (-1, record.rows), (rows, record.rows)
    return {"seconds": seconds}


def drivers_own(url: str, sql: str, kind: str) -> tuple[int, float]:
    """Rows (-1: not counted) and seconds of a driver's own way."""
    rows = 0
    if kind == "ADBC":
        import adbc_driver_postgresql.dbapi as adbc

        began = time.perf_counter()
        with adbc.connect(url) as session, session.cursor() as adbc_cursor:
            adbc_cursor.execute(sql)
            rows = sum(batch.num_rows for batch in adbc_cursor.fetch_record_batch())
        return rows, time.perf_counter() - began
    if kind == "COPY":
        import psycopg

        began = time.perf_counter()
        with (
            psycopg.connect(url) as connection,
            connection.cursor().copy(f"COPY ({sql}) TO STDOUT (FORMAT binary)".encode()) as copied,
        ):
            while copied.read():
                pass
        return -1, time.perf_counter() - began
    import duckdb

    size = int(kind.partition(", ")[2].replace(",", ""))
    with duckdb.connect(url.removeprefix("duckdb:///")) as database:
        database.execute("SET TimeZone = 'UTC'")
        began = time.perf_counter()
        rows = sum(batch.num_rows for batch in database.sql(sql).to_arrow_reader(size))
        return rows, time.perf_counter() - began


def measure(engine: str, url: str, kind: str) -> float:
    """Seconds of one reading, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_extract", "--child", engine, url, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def bench(engine: str, rows: int, repeat: int) -> list[dict[str, Any]]:
    """All readings."""
    found = []
    with warehouse_url(engine) as url:
        make_source(engine, url, rows)
        if engine == "postgres":
            execute(url, "CREATE SCHEMA hightouch_planner", "CREATE SCHEMA hightouch_audit")
        make_plan(url)
        if engine == "postgres":
            execute(url, "VACUUM ANALYZE", "CHECKPOINT")
        measure(engine, url, THEIRS[engine][0])  # what reads first fills the caches for all
        for _repeat in range(repeat):
            theirs = {kind: measure(engine, url, kind) for kind in THEIRS[engine]}
            fastest = min(theirs.values())
            for kind, seconds in theirs.items():
                found.append({"engine": engine, "peer": "driver", "kind": kind, "seconds": seconds})
            for kind in OURS:
                seconds = measure(engine, url, kind)
                one = {"engine": engine, "peer": "warehouse-cdc", "kind": kind, "seconds": seconds}
                found.append({**one, "ratio": fastest / seconds})
    return found


def main() -> None:
    """Measure, print a table and keep the figures."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(child(*sys.argv[2:5])))
        return
    options = report.parse(report.parser(__doc__, ROWS, "extract"), ROWS)
    found = [one for engine in options.engine for one in bench(engine, options.rows, options.repeat)]
    rows = []
    for row in report.medians(found, ("engine", "peer", "kind")):
        row["rows_per_second"] = round(options.rows / row["seconds"])
        asked = SHARE if row["kind"] == ASKED else None
        rows.append({**row, **report.judged(row.get("ratio"), at_least=asked)})
    title = f"a plan of {options.rows:,} operations × 10 columns, medians of {options.repeat}"
    report.show(rows, title, SHOWN)
    report.write(options.output, rows, rows=options.rows, repeat=options.repeat)


if __name__ == "__main__":
    main()
