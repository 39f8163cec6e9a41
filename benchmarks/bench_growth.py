"""How time and bytes grow: with the model's rows, over many runs, and with the share of rows that change.

    python -m benchmarks.bench_growth [--size laptop] [--rows 100000 --rows 1000000] [--part growth]
        [--engine duckdb] [--repeat 3] [--peer drt-core ...] [--runs 50] [--bytes-rows 1000000]

- *growth*: first run, no change and 0.1 % changed at each size: ours with sync_runs alone, and the
  hand-written limit; up to --peer-rows also ours with all three audit tables and the other tools.
- *series*: 50 runs in a row, in each of which other 0.1 % change; then one without a change, and for
  comparison one that writes a full plan.
- *shares*: 0, 0.1, 1, 10 and 100 % changed, each after a full plan.

benchmarks/written.py says what the bytes are.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import report
from benchmarks.bench_limits import limits
from benchmarks.bench_peers import (
    BY_NAME,
    OWN,
    OWN_RUNS_ONLY,
    SCRIPTS,
    TABLE,
    copied_source,
    job_of,
    make_source,
    peer_runs,
)
from benchmarks.bench_runs import execute, warehouse_url
from benchmarks.written import bytes_of, counters, grown_since, tables_of_runs

ROWS = {"small": 50_000, "laptop": 1_000_000, "full": 50_000_000}
STEPS: dict[str, dict[str, tuple[int, ...]]] = {
    "small": {"duckdb": (10_000, 50_000), "postgres": (10_000, 50_000)},
    "laptop": {"duckdb": (100_000, 300_000, 1_000_000), "postgres": (100_000, 300_000, 1_000_000)},
    "full": {"duckdb": (1_000_000, 10_000_000, 50_000_000), "postgres": (1_000_000, 10_000_000)},
}
PARTS = ("growth", "series", "shares")
KINDS = ("first", "no change", "0.1 % changed")
SHARES = {0.0: None, 0.1: 1000, 1.0: 100, 10.0: 10, 100.0: 1}
"""Percent, and one row in how many."""
HAND_WRITTEN = "hand-written limit"
FULL_SHARE = 0.1
"""Of the bytes of a full plan, what a run may write on average."""
PULL_TIMES = 20.0


# -- growth ---------------------------------------------------------------------------------------


def growth(engine: str, rows: int, repeat: int, peers: list[str], peer_rows: int) -> list[dict[str, Any]]:
    """Seconds of each tool at one size."""
    chosen = [OWN_RUNS_ONLY.name, *(peers if rows <= peer_rows else [])]
    found = []
    with warehouse_url(engine) as url:
        make_source(engine, url, rows)
        for number in range(repeat):
            found += peer_runs(engine, url, rows, KINDS, peers=chosen, number=number)
            bare = limits(engine, url)
            found += [
                {
                    "peer": HAND_WRITTEN,
                    "version": "",
                    "engine": engine,
                    "kind": kind,
                    "seconds": sum(bare[name] for name in names),
                    "rows_sent": None,
                    "note": " + ".join(names),
                }
                for kind, names in {
                    "first": ("full copy", "read"),
                    "no change": ("scan and hash", "narrow join"),
                    "0.1 % changed": ("scan and hash", "narrow join"),
                }.items()
            ]
    return [{**one, "part": "growth", "rows": rows} for one in found]


def judge_growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add how time grew since the smallest size, and how many times ours a tool takes."""
    at = {(row["engine"], row["peer"], row["kind"], row["rows"]): row["seconds"] for row in rows}
    judged = []
    for row in rows:
        engine, peer, kind = row["engine"], row["peer"], row["kind"]
        smallest = min(size for e, p, k, size in at if (e, p, k) == (engine, peer, kind))
        base, seconds = at[engine, peer, kind, smallest], row["seconds"]
        row = dict(row)
        if seconds and base:
            row["growth"] = round((seconds / base) / (row["rows"] / smallest), 3)
        for field, own in (("times_own", OWN), ("times_runs_only", OWN_RUNS_ONLY)):
            ours = at.get((engine, own.name, kind, row["rows"]))
            row[field] = round(seconds / ours, 2) if seconds and ours else None
        mine = peer in (OWN.name, OWN_RUNS_ONLY.name)
        if mine and row["rows"] != smallest:
            row |= report.judged(row.get("growth"), at_most=1.0)
        elif peer == "pull-everything" and kind == "0.1 % changed":
            row |= report.judged(row["times_own"], at_least=PULL_TIMES)
        judged.append(row)
    return judged


# -- bytes ----------------------------------------------------------------------------------------


class Runs:
    """Runs of ours in a row on one table, with what each wrote; sync_runs is the only audit table."""

    def __init__(self, engine: str, url: str, folder: str) -> None:
        """Nothing has run yet."""
        self._url = url
        self._job = job_of(OWN_RUNS_ONLY, engine, url, folder)
        if str(SCRIPTS) not in sys.path:
            sys.path.insert(0, str(SCRIPTS))
        self._run = importlib.import_module("own_runs").run

    def change(self, one_in: int | None, number: int = 0) -> None:
        """Change one row in so many."""
        if one_in:
            where = f"id % {one_in} = {number % one_in}"
            execute(self._url, f"UPDATE {TABLE} SET points = points + 1 WHERE {where}")

    def run(self, *, compaction: float = 1.0) -> dict[str, Any]:
        """One run, in this process."""
        tables, before = tables_of_runs(self._url), counters(self._url)
        done = self._run({**self._job, "compaction": compaction})
        counted = grown_since(self._url, before)
        new = tables_of_runs(self._url) - tables
        total = sum(counted.values()) if counted else done["wrote"]
        return {
            "seconds": round(done["seconds"], 3),
            "rows_sent": done["rows_sent"],
            "plan_tables": len(new),
            "plan_bytes": bytes_of(self._url, new),
            "all_bytes": total,
            **{f"{name}_bytes": value for name, value in counted.items()},
        }


@contextmanager
def runs_on(engine: str, rows: int) -> Iterator[Runs]:
    """A fresh table."""
    with warehouse_url(engine) as url:
        make_source(engine, url, rows)
        with copied_source(engine, url, OWN_RUNS_ONLY, {}) as (copy, folder):
            yield Runs(engine, copy, folder)


def series(engine: str, rows: int, count: int) -> list[dict[str, Any]]:
    """Many runs in a row, each with other 0.1 % changed."""
    base = {"part": "series", "engine": engine, "rows": rows}
    with runs_on(engine, rows) as runs:
        first = runs.run()
        each = []
        for number in range(count):
            runs.change(1000, number)
            each.append(runs.run())
        idle = runs.run()
        runs.change(1000, count)
        full = runs.run(compaction=0)
    average: dict[str, Any] = {
        name: round(sum(one[name] for one in each) / count)
        if all(one.get(name) is not None for one in each)
        else None
        for name in ("rows_sent", "plan_bytes", "all_bytes")
    }
    average["seconds"] = round(sum(one["seconds"] for one in each) / count, 3)
    full_plans = sum(one["plan_bytes"] > first["plan_bytes"] / 2 for one in each)
    all_share = round(average["all_bytes"] / full["all_bytes"], 4) if average["all_bytes"] else None
    share = round(average["plan_bytes"] / first["plan_bytes"], 4)
    return [
        {**base, "kind": "first", **first},
        {**base, "kind": "0.1 % changed, full plan asked for", **full},
        {
            **base,
            "kind": f"average of {count} runs with 0.1 % changed",
            **average,
            "full_plans": full_plans,
            "share_of_all_bytes": all_share,
            **report.judged(share, at_most=FULL_SHARE),
            "each": each,
        },
        {**base, "kind": "no change", **idle, **report.judged(float(idle["plan_bytes"]), at_most=0.0)},
    ]


def shares(engine: str, rows: int, repeat: int) -> list[dict[str, Any]]:
    """Seconds and bytes by the share of rows that change; each run finds a full plan without differences."""
    found = []
    for number in range(repeat):
        with runs_on(engine, rows) as runs:
            runs.run()
            for percent, one_in in SHARES.items():
                runs.run(compaction=0)
                runs.change(one_in, number)
                one = runs.run()
                found.append({"part": "shares", "engine": engine, "rows": rows, "percent": percent, **one})
    for one in found:
        one["kind"] = f"{one['percent']:g} % changed"
    return found


# -- all ------------------------------------------------------------------------------------------

GROWTH_SHOWN = (
    ("engine", "engine"),
    ("rows", "rows"),
    ("who", "peer"),
    ("run", "kind"),
    ("seconds", "seconds"),
    ("time × per rows ×", "growth"),
    ("times ours", "times_own"),
    ("times ours, sync_runs only", "times_runs_only"),
    ("asked", "asked"),
    ("met", "met"),
)
BYTES_SHOWN = (
    ("engine", "engine"),
    ("rows", "rows"),
    ("run", "kind"),
    ("seconds", "seconds"),
    ("rows sent", "rows_sent"),
    ("plan's bytes", "plan_bytes"),
    ("all bytes", "all_bytes"),
)


def main() -> None:
    """Measure, print tables and keep the figures."""
    parser = report.parser(__doc__, ROWS, "growth", several=True)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--runs", type=int, default=50, help="runs of the series")
    parser.add_argument("--bytes-rows", type=int, help="rows of series and shares (at most a million)")
    parser.add_argument("--peer", action="append", choices=tuple(BY_NAME))
    parser.add_argument("--peer-rows", type=int, default=10_000_000, help="the largest size for other tools")
    parser.add_argument("--add", action="store_true", help="keep other parts and engines of the result file")
    options = parser.parse_args()
    parts = options.part or PARTS
    peers = options.peer or [name for name in BY_NAME if name != OWN_RUNS_ONLY.name]
    former: list[dict[str, Any]] = []
    if options.add and options.output.exists():
        former = json.loads(options.output.read_text(encoding="utf-8"))["results"]
    grown: list[dict[str, Any]] = []
    written: list[dict[str, Any]] = []
    spread: list[dict[str, Any]] = []

    def keep() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Write what was measured so far: all of it takes hours at large sizes."""
        by_rows = judge_growth(report.medians(grown, ("engine", "peer", "kind", "rows")))
        by_share = report.medians(spread, ("engine", "rows", "percent", "kind"))
        now = [*by_rows, *written, *by_share]
        measured = {(row["part"], row["engine"]) for row in now}
        before = [row for row in former if (row["part"], row["engine"]) not in measured]
        report.write(options.output, [*before, *now], repeat=options.repeat)
        return by_rows, by_share

    for engine in options.engine or report.ENGINES:
        sizes = sorted(options.rows or STEPS[options.size][engine])
        of_bytes = options.bytes_rows or min(1_000_000, sizes[-1])
        if "growth" in parts:
            for rows in sizes:
                grown += growth(engine, rows, options.repeat, peers, options.peer_rows)
                keep()
        if "series" in parts:
            written += series(engine, of_bytes, options.runs)
            keep()
        if "shares" in parts:
            spread += shares(engine, of_bytes, options.repeat)
    by_rows, by_share = keep()
    if by_rows:
        report.show(by_rows, f"growth with rows, medians of {options.repeat}", GROWTH_SHOWN)
    if written:
        report.show(written, "bytes over many runs; ratio: of a full plan", (*BYTES_SHOWN, *report.JUDGED))
    if by_share:
        report.show(by_share, f"share of rows that change, medians of {options.repeat}", BYTES_SHOWN)


if __name__ == "__main__":
    main()
