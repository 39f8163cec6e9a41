"""A run against what it can't do without: hand-written SQL on the same data, in the same run.

    python -m benchmarks.bench_limits [--size laptop] [--rows 1000000] [--engine duckdb] [--repeat 3]

- *scan and hash*: hash every row of the model, write nothing.
- *narrow join*: join key and hash of the model with those of a full copy of its rows, count what differs.
- *full copy*: CREATE TABLE AS of text key, hash and all columns.
- *read*: all rows of the copy as Arrow batches, by the driver's own way.

Runs are those of bench_peers: a process of their own each, a destination that does nothing. What was asked
for is asked of runs that write sync_runs alone, as the hand-written statements log nothing.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import report
from benchmarks.bench_peers import OWN, OWN_RUNS_ONLY, peer_runs
from benchmarks.bench_runs import ROWS, execute, warehouse_url

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

MOST = 1.3
ASKED = {"duckdb": KINDS, "postgres": ("no change", "1 % changed")}
SHOWN = (
    ("engine", "engine"),
    ("who", "peer"),
    ("what", "kind"),
    ("seconds", "seconds"),
    ("limit, s", "limit_seconds"),
    *report.JUDGED,
)


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
                ratio = run["seconds"] / limit if run["seconds"] else None
                found.append({**run, "number": number, "limit_seconds": limit, "ratio": ratio})
            found += [
                {"engine": engine, "peer": "hand-written", "kind": name, "seconds": seconds, "number": number}
                for name, seconds in bare.items()
            ]
    return found


def judge(row: dict[str, Any]) -> dict[str, Any]:
    """A row with what was asked of it."""
    asked = row["peer"] == OWN_RUNS_ONLY.name and row["kind"] in ASKED[row["engine"]]
    return {**row, **report.judged(row.get("ratio"), at_most=MOST if asked else None)}


def main() -> None:
    """Measure, print a table and keep the figures."""
    options = report.parse(report.parser(__doc__, ROWS, "limits"), ROWS)
    found = [one for engine in options.engine for one in bench(engine, options.rows, options.repeat)]
    rows = [judge(row) for row in report.medians(found, ("engine", "peer", "kind"))]
    report.show(rows, f"{options.rows:,} rows × 10 columns, medians of {options.repeat}", SHOWN)
    report.write(options.output, rows, rows=options.rows, repeat=options.repeat)


if __name__ == "__main__":
    main()
