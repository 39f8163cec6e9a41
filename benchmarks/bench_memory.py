"""Peak memory of a first run that a slow destination drains, at growing numbers of operations.

    python -m benchmarks.bench_memory [--size laptop] [--repeat 1]

The warehouse is PostgreSQL, so that the process's memory is the library's alone (with its driver and Arrow).
The destination is a function that takes a moment for each batch of 1000 rows, on four threads. Each run is a
process of its own. The ratio is the largest run's peak to the smallest's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

from benchmarks import report
from benchmarks.bench_runs import execute, warehouse_url

ROWS = {"small": 200_000, "laptop": 1_000_000, "full": 5_000_000}
SMALLEST = 100_000
AT_MOST = 1.2
PAUSE = 0.002
"""Seconds that the destination takes for a batch."""
SHOWN = (("operations", "rows"), ("seconds", "seconds"), ("peak MB", "memory_mb"), *report.JUDGED)


def child(url: str, rows: int) -> dict[str, Any]:
    """One run, in this process."""
    import warehouse_cdc as wcdc

    @wcdc.destination(batch_size=1000, concurrency=4)
    def slow(batch: wcdc.destinations.Batch) -> None:
        time.sleep(PAUSE)

    columns = "i AS id, 'name ' || i AS name, 'p' || i || '@example.org' AS email, i % 97 AS score"
    model = f"SELECT {columns} FROM generate_series(1::bigint, {rows}) r(i)"
    sync = wcdc.Sync(
        id=f"bench_{rows}", model=wcdc.Model("bench", sql=model, primary_key="id"), destination=slow
    )
    with wcdc.connect(url) as warehouse:
        warehouse.setup()
        run = warehouse.run(sync)
    assert run.status == "success" and run.counts["added"].succeeded == rows, run.error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": run.seconds, "memory_mb": round(peak, 1)}


def main() -> None:
    made = report.parser(__doc__, ROWS, "memory")
    made.add_argument("--child", nargs=2, metavar=("URL", "ROWS"), help="one run")
    options = report.parse(made, ROWS)
    if options.child:
        print(json.dumps(child(options.child[0], int(options.child[1]))))
        return
    found = []
    sizes = [rows for rows in (SMALLEST, 1_000_000, 5_000_000) if rows < options.rows] + [options.rows]
    with warehouse_url("postgres") as url:
        for _ in range(options.repeat):
            for rows in sizes:
                command = [sys.executable, "-m", "benchmarks.bench_memory", "--child", url, str(rows)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise RuntimeError(done.stderr)
                found.append(json.loads(done.stdout))
                execute(url, "DROP SCHEMA hightouch_planner CASCADE", "DROP SCHEMA hightouch_audit CASCADE")
    rows_found = report.medians(found, ("rows",))
    peaks = [row["memory_mb"] for row in rows_found]
    rows_found[-1] |= report.judged(round(max(peaks) / min(peaks), 3), at_most=AT_MOST)
    report.show(rows_found, "Memory", SHOWN)
    report.write(options.output, rows_found, size=options.size, rows=options.rows)


if __name__ == "__main__":
    main()
