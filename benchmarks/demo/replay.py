"""The weeks, one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb
import psycopg

import warehouse_cdc as wcdc
from benchmarks.demo import data, killed, syncs
from benchmarks.demo.compare import Comparison, compare, file_rows, model_rows, table_rows
from benchmarks.demo.errors import DemoError


@dataclass(frozen=True)
class Script:
    """What happens when.

    Attributes:
        weeks: How many Sundays are replayed.
        kill: The week whose first run to PostgreSQL is killed half way.
        widen: The week before which the table is mended.
    """

    weeks: int

    @property
    def kill(self) -> int:
        return self.weeks // 2

    @property
    def widen(self) -> int:
        return self.weeks // 2 + 2

    def sunday(self, week: int) -> date:
        return data.FIRST_SUNDAY + timedelta(weeks=week - 1)


@dataclass
class Week:
    """What a week brought.

    Attributes:
        number: From 1.
        today: The day that the model took for today.
        customers: Rows of the model.
        table: What the sync to PostgreSQL did.
        files: What the sync to files did.
        rejected: Why each rejected customer was rejected.
        differing: Customers whose row in PostgreSQL isn't what the model says.
        killed: Whether the process of the week's first run to PostgreSQL was killed.
        seconds: How long it took.
    """

    number: int
    today: date
    customers: int
    table: wcdc.Run
    files: wcdc.Run
    rejected: dict[int, str]
    differing: set[int]
    killed: bool
    seconds: float


@dataclass
class Replay:
    """The whole demo: a DuckDB file, a PostgreSQL schema, a folder of files.

    Attributes:
        folder: Where the DuckDB file and the JSON Lines files are.
        url: The PostgreSQL server.
        schema: A schema there that is the demo's own.
        postgres: A connection to it.
        script: What happens when.
        run_days: Run id to the day that the model took for today.
    """

    folder: Path
    url: str
    schema: str
    postgres: psycopg.Connection
    script: Script
    run_days: dict[str, date] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        """The DuckDB file: the shop, and the engine's own two schemas."""
        return self.folder / "warehouse.duckdb"

    @property
    def files(self) -> Path:
        """Where the JSON Lines files go."""
        return self.folder / "files"

    def prepare(self) -> tuple[int, int]:
        """Load the data and make the table; returns the numbers of purchases and customers."""
        syncs.create_table(self.postgres, self.schema)
        with duckdb.connect(str(self.database)) as connection:
            return data.load(connection)

    def week(self, number: int) -> Week:
        """Replay one week.

        Raises:
            DemoError: A run failed, or the table differs from the model where no rejection says so.
        """
        began = time.perf_counter()
        today = self.script.sunday(number)
        if number == self.script.widen:
            syncs.widen_column(self.postgres, self.schema)
        with duckdb.connect(str(self.database)) as connection:
            data.set_clock(connection, today)
        if number == self.script.kill:
            self._killed()
        to_table, to_files = syncs.to_table(self.url, self.schema), syncs.to_files(self.files)
        with duckdb.connect(str(self.database)) as connection, wcdc.connect(connection) as warehouse:
            table = self._run(warehouse, to_table, today)
            rejected = {
                int(row["row_id"]): str(row["reason"]) for row in warehouse.rejections(to_table).to_pylist()
            }
            files = self._run(warehouse, to_files, today)
            expected = model_rows(connection)
        differing = compare(expected, table_rows(self.postgres, self.schema)).differing
        if unexplained := differing - rejected.keys():
            raise DemoError(
                f"Week {number}: {len(unexplained)} rows differ though none of them was rejected."
            )
        took = time.perf_counter() - began
        was_killed = number == self.script.kill
        return Week(number, today, len(expected), table, files, rejected, differing, was_killed, took)

    def compare(self) -> dict[str, Comparison]:
        """Compare both destinations with the model, row by row."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            expected = model_rows(connection)
        return {
            "PostgreSQL table": compare(expected, table_rows(self.postgres, self.schema)),
            "JSON Lines files, applied": compare(expected, file_rows(self.files)),
        }

    def _run(self, warehouse: wcdc.Warehouse, sync: wcdc.Sync, today: date) -> wcdc.Run:
        run = warehouse.run(sync)
        if run.status == "cancelled":
            raise KeyboardInterrupt
        if run.status not in ("success", "warning"):
            raise DemoError(f"The run of {sync.id} {run.status}: {run.error}")
        for run_id in (run.run_id, run.closed):
            if run_id:
                self.run_days[run_id] = today
        return run

    def _killed(self) -> None:
        command = [sys.executable, "-m", killed.__name__, str(self.database), self.schema]
        process = subprocess.run(
            command, env={**os.environ, killed.URL: self.url}, capture_output=True, text=True, timeout=300
        )
        if process.returncode >= 0:
            raise DemoError(
                f"The process wasn't killed but ended with {process.returncode}: {process.stderr}"
            )


def replay(demo: Replay, tell: Callable[[Week], None]) -> None:
    """Replay all weeks and tell about each."""
    for number in range(1, demo.script.weeks + 1):
        tell(demo.week(number))
