"""A run that is killed half way, in a process of its own.

``python -m benchmarks.demo.killed FILE SCHEMA``, with the URL of the server in the environment: a list of
processes would show it.
"""

from __future__ import annotations

import os
import signal
import sys

import warehouse_cdc as wcdc
from benchmarks.demo.syncs import to_table
from warehouse_cdc.engine.result import Progress
from warehouse_cdc.engine.transitions import Step

URL = "WCDC_DEMO_POSTGRES_URL"


def main(file: str, schema: str) -> None:
    seen = Progress("queued")

    def look(progress: Progress) -> None:
        nonlocal seen
        seen = progress

    def kill(step: Step, moment: str) -> None:
        """The rows of a batch are in the table, and nobody has noted that yet."""
        if step is Step.SEND and moment == "after" and seen.total and 2 * seen.done >= seen.total:
            os.kill(os.getpid(), signal.SIGKILL)

    with wcdc.connect(f"duckdb:///{file}") as warehouse:
        warehouse.run(to_table(os.environ[URL], schema), progress=look, observer=kill)


if __name__ == "__main__":
    main(*sys.argv[1:])
