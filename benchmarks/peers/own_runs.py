"""One run of warehouse_cdc, for comparison: the sync of bench_runs, timed from connecting to the end.

A checkpoint every 100,000 rows; with all three audit tables, or with sync_runs alone as the other tools log.
"""

from __future__ import annotations

import importlib
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from peer_child import MODEL, load_duckdb, main


def written() -> int | None:
    """Bytes that this process has passed to write(), files and sockets alike; Linux tells."""
    with suppress(OSError):
        for line in Path("/proc/self/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
    return None


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    import sqlglot  # noqa: F401

    import warehouse_cdc as wcdc

    if job["engine"] == "postgres":
        import psycopg  # noqa: F401

        with suppress(ImportError):
            importlib.import_module("adbc_driver_postgresql.dbapi")
    else:
        load_duckdb()
    sent = 0

    @wcdc.destination(batch_size=1000)
    def nowhere(batch: wcdc.destinations.Batch) -> None:
        nonlocal sent
        sent += len(batch)

    sync = wcdc.Sync(
        id="bench",
        model=wcdc.Model("bench", sql=MODEL.format(table=job["table"]), primary_key="id"),
        destination=nowhere,
        on_removed="delete",
        chunk_rows=100_000,
        changelog=job["logs"],
        snapshot=job["logs"],
    )
    before = written()
    began = time.perf_counter()
    with wcdc.connect(job["url"], compaction=job.get("compaction", 1.0)) as warehouse:
        done = warehouse.run(sync)
    seconds = time.perf_counter() - began
    assert done.status == "success", done.error
    after = written()
    wrote = None if before is None or after is None else after - before
    return {"seconds": seconds, "rows_sent": sent, "statements": done.statements, "wrote": wrote}


if __name__ == "__main__":
    main(run)
