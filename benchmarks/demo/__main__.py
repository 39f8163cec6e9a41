"""Run the demo: ``python -m benchmarks.demo --help``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
from rich.console import Console

import warehouse_cdc as wcdc
from benchmarks.demo import syncs
from benchmarks.demo.errors import DemoError
from benchmarks.demo.replay import Replay, Script, replay
from benchmarks.demo.report import Report
from tests.servers import postgres_server

FEWEST, MOST = 4, 60


def main() -> int:
    """Run the demo; returns the exit code."""
    options = arguments()
    report = Report(Console(highlight=False))
    began = time.perf_counter()
    logging.getLogger("warehouse_cdc").addHandler(Log(report))
    script = Script(options.weeks)
    try:
        report.opening(script)
        with workplace(options.folder, script) as demo:
            report.loaded(*demo.prepare())
            replay(demo, lambda week: report.week(week, script))
            if options.tamper:
                syncs.tamper(demo.postgres, demo.schema)
                report.event("--tamper: a row of the table is changed, and another deleted")
            good = finish(demo, report)
        report.ending(good, time.perf_counter() - began, options.folder)
    except KeyboardInterrupt:
        report.line("Stopped.")
        return 130
    except (DemoError, wcdc.CdcError, psycopg.Error, duckdb.Error, RuntimeError) as error:
        report.error(str(error))
        return 1
    return 0 if good else 1


class Log(logging.Handler):
    """Shows the engine's warnings where they belong in the report."""

    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report.emit(record.getMessage())


def finish(demo: Replay, report: Report) -> bool:
    """Report what happened, and tell whether both destinations hold what the model says."""
    with duckdb.connect(str(demo.database)) as connection, wcdc.connect(connection) as warehouse:
        history = warehouse.history(syncs.TO_TABLE)
        report.runs("Runs to the PostgreSQL table", history, demo.run_days)
        report.explain(history)
        report.runs("Runs to the JSON Lines files", warehouse.history(syncs.TO_FILES), demo.run_days)
        rejections = warehouse.rejections(syncs.TO_TABLE).to_pylist()
        rejected = {int(row["row_id"]): str(row["reason"]) for row in rejections}
        report.story(connection)
    compared = demo.compare()
    report.comparison(compared, rejected)
    return not rejected and not any(one.differing for one in compared.values())


@contextlib.contextmanager
def workplace(folder: str | None, script: Script) -> Iterator[Replay]:
    """A folder and a schema of a running PostgreSQL, both the demo's own."""
    with contextlib.ExitStack() as stack:
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="wcdc-demo-", ignore_cleanup_errors=True)
            place = Path(stack.enter_context(temporary))
        else:
            place = Path(folder).resolve()
            place.mkdir(parents=True, exist_ok=True)
            if any(place.iterdir()):
                raise DemoError(f"The folder {folder} isn't empty.")
        url = stack.enter_context(postgres_server())
        postgres = stack.enter_context(psycopg.connect(url, autocommit=True))
        schema = f"wcdc_demo_{os.getpid()}"
        stack.callback(syncs.drop_table, postgres, schema)
        yield Replay(place, url, schema, postgres, script)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.demo", description="Replay weeks of a real shop and sync them to two places."
    )
    parser.add_argument("--weeks", type=int, default=10, help=f"how many, {FEWEST} to {MOST} (default: 10)")
    parser.add_argument(
        "--folder", help="a new or empty folder; its files are kept (default: a temporary one)"
    )
    parser.add_argument(
        "--tamper", action="store_true", help="change the table at the end, to see that the demo notices"
    )
    options = parser.parse_args()
    if not FEWEST <= options.weeks <= MOST:
        parser.error(f"--weeks must be from {FEWEST} to {MOST}")
    return options


if __name__ == "__main__":
    sys.exit(main())
