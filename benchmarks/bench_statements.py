"""Statements that runs send, by warehouse and kind of run: what a run costs where each takes a second.

    python -m benchmarks.bench_statements [--engine trino]

Without ``--engine``: DuckDB, PostgreSQL, PostgreSQL as if it had no transactions (``tables``), and every
engine of ``tests.engines`` that this machine can run.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import report
from tests.conformance.helpers import (
    Engine,
    PostgresEngine,
    Recorder,
    TablesEngine,
    duckdb_engine,
    postgres_engine,
    sync_of,
)
from tests.conformance.on_servers import ON_SERVERS
from tests.conformance.statement_counts import statements_of
from tests.engines import ENGINES, Unavailable
from tests.servers import postgres_server
from warehouse_cdc.engine import table_ledger

HERE = ("duckdb", "postgres", "tables")
SERVERS = (*ON_SERVERS, "presto")
NAMES = {"tsql": "synapse"}
"""What the documentation calls an engine, where that isn't its own name."""
MANY = 10
SHOWN = (("engine", "engine"), ("run", "kind"), ("statements", "statements"))


@contextlib.contextmanager
def opened(name: str) -> Iterator[Engine]:
    """A fresh database on an engine."""
    with contextlib.ExitStack() as stack:
        if name == "duckdb":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield stack.enter_context(duckdb_engine(folder))
        elif name in HERE:
            kind = TablesEngine if name == "tables" else PostgresEngine
            url = stack.enter_context(postgres_server())
            report.remember_server(url)
            yield stack.enter_context(postgres_engine(url, kind))
        else:
            url = stack.enter_context(ENGINES[name].server())
            if name == "presto":
                from tests.conformance import test_presto as module
            else:
                module = ON_SERVERS[name]
            yield stack.enter_context(module.opened(url))


def measure(name: str) -> list[report.Row]:
    """The rows of one engine."""
    with opened(name) as engine:
        sync = sync_of(Recorder())
        found: dict[str, float] = dict(statements_of(engine, sync))
        warehouse = engine.connect()
        warehouse.run(sync)
        table_ledger._FRESH = 0.0  # as if the runs were far apart
        several = [warehouse.run(sync).statements for _ in range(MANY)]
        found[f"unchanged, average of {MANY} with what they drop"] = sum(several) / MANY
        name = NAMES.get(name, name)
        return [{"engine": name, "kind": kind, "statements": number} for kind, number in found.items()]


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--engine", action="append", choices=(*HERE, *SERVERS))
    made.add_argument("--size", help="the same for all")
    made.add_argument("--repeat", help="they are counted, not measured")
    made.add_argument("--output", type=Path, default=report.RESULTS / "statements.json")
    options = made.parse_args()
    rows = []
    for name in options.engine or (*HERE, *SERVERS):
        try:
            rows += measure(name)
        except Unavailable as reason:
            print(f"{name} is skipped: {reason}")
    report.show(rows, "Statements of a run", SHOWN)
    report.write(options.output, rows)


if __name__ == "__main__":
    main()
