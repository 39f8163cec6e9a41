"""One dlt pipeline from the table to a destination function that counts. It sends every row in every run.

The setting is its fastest: rows stay Arrow all the way (from DuckDB's own reader; on PostgreSQL from its
sql_table source with the connectorx backend), load files are Parquet, and the function gets record batches
of 100,000 rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peer_child import MODEL, duckdb_path, load_duckdb, main


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One run of the pipeline."""
    import dlt
    import pyarrow as pa
    import pyarrow.parquet  # noqa: F401

    sent = 0

    @dlt.destination(batch_size=100_000, loader_file_format="parquet", name="nowhere")
    def nowhere(items: Any, table: Any) -> None:
        nonlocal sent
        sent += len(items)

    if job["engine"] == "postgres":
        import connectorx  # noqa: F401
        import psycopg2  # noqa: F401
        from dlt.sources.sql_database import sql_table

        data: Any = sql_table(
            credentials=job["url"].replace("postgresql://", "postgresql+psycopg2://"),
            table=job["table"],
            backend="connectorx",
            backend_kwargs={"return_type": "arrow"},
        )
    else:
        duckdb = load_duckdb()

        def rows() -> Iterator[Any]:
            with duckdb.connect(duckdb_path(job["url"]), read_only=True) as connection:
                yield from connection.sql(MODEL.format(table=job["table"])).to_arrow_reader(100_000)

        data = dlt.resource(rows, name=job["table"])

    def send(name: str, resource: Any) -> None:
        pipeline = dlt.pipeline(name, destination=nowhere, pipelines_dir=str(Path(job["folder"]) / name))
        pipeline.run(resource, write_disposition="append")

    # Much is imported at first use: a pipeline of one row does that before the clock starts.
    send("warm", dlt.resource([pa.table({"id": [1]})], name="warm"))
    sent = 0
    began = time.perf_counter()
    send("bench", data)
    return {"seconds": time.perf_counter() - began, "rows_sent": sent}


if __name__ == "__main__":
    main(run)
