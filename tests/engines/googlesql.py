"""The GoogleSQL analyzer and reference evaluator, as they are published: in an environment of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.engines.base import Unavailable, cache

PACKAGES = ("zetasql==0.1.5", "wasmtime==50.0.1")
WORKER = Path(__file__).with_name("googlesql_worker.py")


def install(home: Path, packages: tuple[str, ...], python: str = sys.executable) -> None:
    """An environment with some packages, which is made if it isn't there.

    Args:
        home: Its folder.
        packages: What is installed.
        python: The interpreter.

    Raises:
        Unavailable: The packages can't be fetched.
    """
    ready = home / "installed"
    if not ready.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, "-m", "venv", home], check=True)
        command = [home / "bin" / "python", "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(f"{packages[0]} could not be installed:\n{done.stderr[-2000:]}")
        ready.touch()


def assemble() -> Path:
    """Their folder, which is made if it isn't there.

    Raises:
        Unavailable: The packages can't be fetched.
    """
    home = cache() / PACKAGES[0].replace("==", "-")
    install(home, PACKAGES)
    return home


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
    home = assemble()
    python = home / "bin" / "python"
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
