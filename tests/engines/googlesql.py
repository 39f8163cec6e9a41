"""The GoogleSQL analyzer and reference evaluator, as they are published: in an environment of their own.

``python -m tests.engines.googlesql`` installs them (once: a few seconds, and half a minute to compile, kept in
the user's cache folder).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.engines.trino import Unavailable, cache

PACKAGES = ("zetasql==0.1.5", "wasmtime==50.0.1")
WORKER = Path(__file__).with_name("googlesql_worker.py")


def install(home: Path, packages: tuple[str, ...], python: str | None = None) -> Path:
    """An environment with some packages, which is made if it isn't there.

    Args:
        home: Its folder.
        packages: What is installed.
        python: The interpreter; this one if None.

    Returns:
        Its interpreter.

    Raises:
        Unavailable: The packages can't be fetched.
    """
    ready = home / "installed"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        if python is None:
            venv.create(home, with_pip=True)
        else:
            subprocess.run([python, "-m", "venv", home], check=True)
        command = [home / "bin" / "python", "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{packages[0]} could not be installed:\n{done.stderr[-2000:]}")
        ready.touch()
    return home / "bin" / "python"


class Refused(Exception):
    """A statement was refused."""


class GoogleSQL:
    """A process that analyzes and evaluates; its catalog is what analyzed statements make of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, **question: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the analyzer has died")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["found"]

    def evaluate(self, sql: str) -> list[tuple[Any, ...]]:
        """A query's rows: texts, numbers, booleans; other types can't be returned."""
        return [tuple(row) for row in self._ask(evaluate=sql)]

    def analyze(self, sql: str) -> str:
        """Analyze a statement against the catalog, and change it as the statement does.

        Returns:
            The statement's kind.
        """
        kind: str = self._ask(analyze=sql)
        return kind

    def forget(self) -> None:
        """Empty the catalog."""
        self._ask(forget=True)


@contextlib.contextmanager
def googlesql() -> Iterator[GoogleSQL]:
    """An analyzer, which ends with the block.

    Raises:
        Unavailable: It can't be installed.
    """
    home = cache() / PACKAGES[0].replace("==", "-")
    python = install(home, PACKAGES)
    environment = {**os.environ, "WCDC_ZETASQL_CACHE": str(home)}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [python, WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        try:
            yield GoogleSQL(process)
        finally:
            process.terminate()
            process.communicate()


def main() -> None:
    """Install it and evaluate something."""
    try:
        began = time.monotonic()
        with googlesql() as analyzer:
            analyzer.evaluate("SELECT 1")
        print(f"{PACKAGES[0]}: {time.monotonic() - began:.0f} s")
    except Unavailable as reason:
        print(f"skipped: {reason}", file=sys.stderr)


if __name__ == "__main__":
    main()
