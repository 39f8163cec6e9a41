"""sqlmesh's table_diff of the table with a copy of its former state: statistics and 20 rows, nothing is kept.

The setting is its fastest: without the check of the grain, and nothing is printed. The time includes its
context on an empty project, which every call of its command line makes as well.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from peer_child import duckdb_path, main, postgres_parts


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One diff."""
    import logging

    import pandas  # noqa: F401
    from sqlmesh import Context
    from sqlmesh.core.config import (
        Config,
        DuckDBConnectionConfig,
        GatewayConfig,
        ModelDefaultsConfig,
        PostgresConnectionConfig,
    )

    logging.disable(logging.WARNING)  # it logs every statement otherwise
    connection: Any
    if job["engine"] == "postgres":
        import psycopg2  # noqa: F401

        connection = PostgresConnectionConfig(**postgres_parts(job["url"]))
    else:
        import duckdb

        duckdb.sql("SELECT 1").fetchall()  # it imports some of itself only now

        connection = DuckDBConnectionConfig(database=duckdb_path(job["url"]))
    gateways = {
        "warm": GatewayConfig(connection=DuckDBConnectionConfig()),
        "warehouse": GatewayConfig(connection=connection),
    }

    def diff(gateway: str, dialect: str, before: str, table: str, *statements: str) -> int:
        project = Path(job["folder"]) / gateway
        project.mkdir(exist_ok=True)
        config = Config(
            gateways=gateways,
            default_gateway=gateway,
            model_defaults=ModelDefaultsConfig(dialect=dialect),
        )
        context = Context(paths=[str(project)], config=config)
        for statement in statements:
            context.engine_adapter.execute(statement)
        (difference,) = context.table_diff(before, table, on=["id"], show=False)
        rows = difference.row_diff(skip_grain_check=True)
        context.close()
        return rows.partial_match_count + rows.s_only_count + rows.t_only_count

    # Much is imported at first use: a diff of one row in memory does that before the clock starts.
    one_row = "AS SELECT 1 AS id, 2 AS points"
    diff("warm", "duckdb", "a", "b", f"CREATE TABLE a {one_row}", f"CREATE TABLE b {one_row}")
    began = time.perf_counter()
    found = diff("warehouse", job["engine"], job["before"], job["table"])
    return {"seconds": time.perf_counter() - began, "rows_sent": found}


if __name__ == "__main__":
    main(run)
