"""One run of drt-core with ``incremental_strategy: diff``, to a destination that counts.

The setting is its fastest for the same job: every column is hashed (``hash_columns: all``), removals are
delivered (``mirror.strategy: diff``, which reads the keys that the diff has found anyway), batches are as
large as its default fetch size of 10,000 instead of 100, and no observer, history or ledger is attached.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from peer_child import MODEL, NotSupported, duckdb_path, main, postgres_parts


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    from drt.config.base import GenericDestinationConfig
    from drt.config.models import SyncConfig
    from drt.config.profiles import DuckDBProfile, PostgresProfile
    from drt.connectors.registry import register_destination
    from drt.destinations.base import SyncResult
    from drt.engine.sync import run_sync
    from drt.sources.duckdb import DuckDBSource
    from drt.sources.postgres import PostgresSource

    class NowhereConfig(GenericDestinationConfig):
        upsert_key: list[str]

    class Nowhere:
        sent = 0

        def supported_modes(self) -> frozenset[str]:
            return frozenset({"mirror"})

        def load(self, records: list[dict[str, Any]], config: Any, sync_options: Any) -> Any:
            self.sent += len(records)
            return SyncResult(success=len(records))

        def finalize_sync(self, config: Any, sync_options: Any) -> None:
            self.sent += len(sync_options._diff_removed_keys or ())

    register_destination("nowhere", NowhereConfig, Nowhere)
    source: Any
    profile: Any
    if job["engine"] == "postgres":
        import psycopg2  # noqa: F401

        parts = postgres_parts(job["url"])
        source = PostgresSource()
        profile = PostgresProfile(type="postgres", dbname=parts.pop("database"), **parts)
    else:
        import duckdb

        duckdb.sql("SELECT 1").fetchall()  # it imports some of itself only now

        source = DuckDBSource()
        profile = DuckDBProfile(type="duckdb", database=duckdb_path(job["url"]))
    sync = SyncConfig.model_validate(
        {
            "name": "bench",
            "model": MODEL.format(table=job["table"]),
            "destination": {"type": "nowhere", "upsert_key": ["id"]},
            "sync": {
                "mode": "mirror",
                "mirror": {"strategy": "diff"},
                "incremental_strategy": "diff",
                "diff": {"hash_columns": "all"},
                "batch_size": 10_000,
            },
        }
    )
    destination = Nowhere()
    began = time.perf_counter()
    try:
        result = run_sync(sync, source, destination, profile, Path(job["folder"]))
    except NotImplementedError as error:
        raise NotSupported(str(error)) from error
    seconds = time.perf_counter() - began
    assert not result.failed, result.errors
    return {"seconds": seconds, "rows_sent": destination.sent}


if __name__ == "__main__":
    main(run)
