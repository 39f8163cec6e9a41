"""reladiff's joindiff of the table with a copy of its former state: the diff only, nothing is kept or sent.

The setting is its fastest for tables in one database: joindiff, without the check for unique keys, without
samples and without writing the difference to a table. On PostgreSQL it uses one connection for each core and
twice as many threads, as its documentation advises; a DuckDB connection is one, so threads only cost there.
"""

from __future__ import annotations

import os
import time
from typing import Any

from peer_child import duckdb_path, main


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One diff."""
    from reladiff import Algorithm, connect, connect_to_table, diff_tables

    cores = os.cpu_count() or 1
    if job["engine"] == "postgres":
        import psycopg2  # noqa: F401

        where: Any = job["url"]
    else:
        import duckdb

        duckdb.sql("SELECT 1").fetchall()  # it imports some of itself only now

        where = {"driver": "duckdb", "filepath": duckdb_path(job["url"])}
    threaded = job["engine"] == "postgres"
    columns = tuple(name for name in job["columns"] if name != "id")
    began = time.perf_counter()
    database = connect(where, thread_count=cores)
    former, now = (
        connect_to_table(database, job[which], "id", extra_columns=columns) for which in ("before", "table")
    )
    found = set()
    with diff_tables(
        former,
        now,
        algorithm=Algorithm.JOINDIFF,
        validate_unique_key=False,
        threaded=threaded,
        max_threadpool_size=2 * cores if threaded else 1,
    ) as differences:
        for _sign, row in differences:  # a changed row comes twice: as it was, and as it is
            found.add(row[0])
    seconds = time.perf_counter() - began
    database.close()
    return {"seconds": seconds, "rows_sent": len(found)}


if __name__ == "__main__":
    main(run)
