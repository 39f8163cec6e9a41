"""Bytes that a run writes, as closely as each warehouse tells.

The *plan's bytes* are those of the tables that the run left in the planner schema: its plan and its
rejections. PostgreSQL tells them (``pg_total_relation_size``). DuckDB has no such figure: the tables are
copied into a database file that holds nothing else, and its size counts, in DuckDB's blocks of 256 KiB.

*All bytes* also hold what is gone again (tables that live for a moment), the journal, the audit tables and
the log of the database. On PostgreSQL: pages by which any table or index grew, and WAL, as the server counts
them. On DuckDB: what the process passed to write(), as Linux counts it; this holds the checkpoint that
closes the file.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bench_runs import execute

PLANNER = "hightouch_planner"
HEADER = 3 * 4096
"""Bytes of a DuckDB file without a block."""


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a statement, by the plain driver."""
    if url.startswith("duckdb"):
        import duckdb

        with duckdb.connect(url.removeprefix("duckdb:///")) as connection:
            return connection.execute(sql).fetchall()
    import psycopg

    with psycopg.connect(url, autocommit=True) as session:
        return session.execute(sql.encode()).fetchall()


def tables_of_runs(url: str) -> set[str]:
    """The tables that runs made in the planner schema: all but the journal and the leases."""
    sql = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{PLANNER}'"
    return {str(name) for (name,) in query(url, sql) if not str(name).startswith("wcdc_")}


def bytes_of(url: str, tables: set[str]) -> int:
    """Bytes that these tables of the planner schema take."""
    if not tables:
        return 0
    if url.startswith("duckdb"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "alone.duckdb"
            copies = (f'CREATE TABLE alone."{n}" AS FROM {PLANNER}."{n}"' for n in sorted(tables))
            execute(url, f"ATTACH '{file}' AS alone", *copies, "DETACH alone")
            return max(0, file.stat().st_size - HEADER)
    names = ", ".join(f"('{PLANNER}.\"{name}\"'::regclass)" for name in sorted(tables))
    ((size,),) = query(url, f"SELECT sum(pg_total_relation_size(t.name)) FROM (VALUES {names}) t(name)")
    return int(size)


def counters(url: str) -> dict[str, int]:
    """What the PostgreSQL server has counted so far, once other sessions have told it all; else nothing."""
    if url.startswith("duckdb"):
        return {}
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE backend_type IN ('client backend', 'parallel worker') AND pid <> pg_backend_pid()"
    )
    until = time.monotonic() + 5
    while query(url, others) != [(0,)] and time.monotonic() < until:
        time.sleep(0.05)
    ((version,),) = query(url, "SELECT current_setting('server_version_num')::int")
    ((wal,),) = query(url, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
    found = {"wal": int(wal)}
    if version >= 160000:
        grown = "extend_bytes" if version >= 180000 else "extends * op_bytes"
        sql = (
            f"SELECT coalesce(sum({grown}), 0)::bigint FROM pg_stat_io "
            "WHERE backend_type IN ('client backend', 'background worker')"
        )
        found["grown"] = int(query(url, sql)[0][0])
    return found


def grown_since(url: str, before: dict[str, int]) -> dict[str, int]:
    """What was counted since then."""
    return {name: value - before[name] for name, value in counters(url).items()}
