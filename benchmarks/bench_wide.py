"""A table of 200 columns with 1 % changed: a whole run against comparing every column by hand.

    python -m benchmarks.bench_wide [--size laptop] [--rows 1000000] [--engine duckdb] [--repeat 3]

*all columns* is one hand-written statement of the same engine: FULL JOIN of the table with a copy of its
former state, every column compared by IS DISTINCT FROM, counted; nothing is written, kept or sent. The run
is that of bench_peers: it also writes its plan, reads the changed rows and sends them to a destination that
does nothing. What was asked for is asked of runs that write sync_runs alone.
"""

from __future__ import annotations

from typing import Any

from benchmarks import report
from benchmarks.bench_limits import timed
from benchmarks.bench_peers import OWN, OWN_RUNS_ONLY, peer_runs
from benchmarks.bench_runs import SERIES, execute, warehouse_url

ROWS = {"small": 5_000, "laptop": 200_000, "full": 1_000_000}
COLUMNS = 200
KIND = "1 % changed"
TIMES = 5.0
BY_HAND = "all columns"
PATTERNS = (
    "(i * {n} + {n}) % 100000",
    "'value ' || (i * {n} % 1000)",
    "CAST((i * {n} % 10000) / 100.0 AS DECIMAL(10, 2))",
    "(i * {n} % 1000) / 7.0",
    "CASE WHEN (i + {n}) % 3 = 0 THEN NULL ELSE 'tag' || (i % 50) END",
    "DATE '2020-01-01' + CAST(i * {n} % 1000 AS INTEGER)",
)
"""Of the columns, in turn."""
SHOWN = (
    ("engine", "engine"),
    ("who", "peer"),
    ("what", "kind"),
    ("seconds", "seconds"),
    ("rows found", "rows_sent"),
    *report.JUDGED,
)


def names() -> list[str]:
    """The columns: those that bench_peers needs, and many more."""
    return ["id", "points", *(f"c{number}" for number in range(3, COLUMNS + 1))]


def make_wide(engine: str, url: str, rows: int) -> None:
    """Make the source table of the other benchmarks, with many columns."""
    values = ["i", "i * 7919 % 100000"]
    values += [PATTERNS[n % len(PATTERNS)].format(n=n) for n in range(3, COLUMNS + 1)]
    select = ", ".join(f"{value} AS {name}" for value, name in zip(values, names(), strict=True))
    series = SERIES[engine].format(end=rows + 1, last=rows)
    execute(url, f"CREATE TABLE bench_source AS SELECT {select} FROM {series}")


def by_hand(engine: str, url: str) -> float:
    """Seconds of the comparison of all columns with a former state of the same rows."""
    former = ", ".join("points - CAST(id % 100 = 1 AS INTEGER)" if n == "points" else n for n in names())
    listed = ", ".join(names())
    execute(url, f"CREATE TABLE bench_former ({listed}) AS SELECT {former} FROM bench_source")
    if engine == "postgres":
        execute(url, "VACUUM ANALYZE bench_source", "VACUUM ANALYZE bench_former", "CHECKPOINT")
    differs = " OR ".join(f"n.{name} IS DISTINCT FROM f.{name}" for name in names())
    sql = f"SELECT count(*) FROM bench_source n FULL JOIN bench_former f ON n.id = f.id WHERE {differs}"
    seconds = timed(url, sql)
    execute(url, "DROP TABLE bench_former")
    return seconds


def bench(engine: str, rows: int, repeat: int) -> list[dict[str, Any]]:
    """Runs with and without logs, and the comparison by hand."""
    found = []
    with warehouse_url(engine) as url:
        make_wide(engine, url, rows)
        for number in range(repeat):
            runs = peer_runs(engine, url, rows, (KIND,), peers=(OWN_RUNS_ONLY, OWN), number=number)
            seconds = by_hand(engine, url)
            found.append({"engine": engine, "peer": "hand-written", "kind": BY_HAND, "seconds": seconds})
            for run in runs:
                found.append({**run, "ratio": seconds / run["seconds"] if run["seconds"] else None})
    return found


def main() -> None:
    """Measure, print a table and keep the figures."""
    options = report.parse(report.parser(__doc__, ROWS, "wide"), ROWS)
    found = [one for engine in options.engine for one in bench(engine, options.rows, options.repeat)]
    rows = []
    for row in report.medians(found, ("engine", "peer", "kind")):
        asked = TIMES if row["peer"] == OWN_RUNS_ONLY.name else None
        rows.append({**row, **report.judged(row.get("ratio"), at_least=asked)})
    title = f"{options.rows:,} rows × {COLUMNS} columns, medians of {options.repeat}"
    report.show(rows, title, SHOWN)
    report.write(options.output, rows, rows=options.rows, columns=COLUMNS, repeat=options.repeat)


if __name__ == "__main__":
    main()
