"""Runs in processes that are killed at a given moment of delivery.

``python -m warehouse_cdc.testing.killing`` imports a suite's module once and then forks a child for each run,
so that a child costs milliseconds. It opens no connection and starts no thread itself.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import inspect
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from warehouse_cdc.destinations.base import Destination, Outcomes
from warehouse_cdc.destinations.function import FunctionDestination
from warehouse_cdc.model import Model
from warehouse_cdc.sync import Sync
from warehouse_cdc.testing.watching import Fault, Write, running, usual

if TYPE_CHECKING:
    from warehouse_cdc.testing.conformance import DestinationConformance
    from warehouse_cdc.testing.trial import Trial

_SECONDS = 60


class Mortals:
    """Processes that run a trial's sync until they are killed.

    Args:
        suite: The suite's class; its module is imported from its file by the other process.
    """

    def __init__(self, suite: type[DestinationConformance]) -> None:
        self._suite = suite

    def __enter__(self) -> Mortals:
        """Start the process that forks."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "warehouse_cdc.testing.killing"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(each or os.getcwd() for each in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        """End it."""
        self._process.communicate(timeout=_SECONDS)

    def killed(self, trial: Trial, moment: str, call: int, lines: Mapping[str, int]) -> None:
        """Run the trial's sync, in whose delivery the process dies.

        Args:
            trial: A trial whose warehouse is in a file, and closed.
            moment: ``write`` or ``publish``, and the share of its lines that have run then: 0 is before it, 1
                after it.
            call: The number of the call or publication, from 0.
            lines: The lines that each runs.
        """
        suite = self._suite
        spec = {
            "file": inspect.getfile(suite),
            "module": suite.__module__,
            "name": suite.__qualname__,
            "target": base64.b64encode(pickle.dumps(trial.target)).decode(),
            "mode": trial.mode,
            "on_removed": trial.on_removed,
            "warehouse": str(trial.file),
            "moment": moment,
            "call": call,
            "lines": dict(lines),
        }
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write(json.dumps(spec) + "\n")
        self._process.stdin.flush()
        ended = self._process.stdout.readline().strip()
        if ended != str(-signal.SIGKILL):
            self._process.kill()
            told = self._process.stderr.read()
            raise AssertionError(
                f"no process was killed in {moment}, call {call}: it ended with {ended}\n{told}"
            )


def _warm_up() -> None:
    """Load what the first run would load."""
    from warehouse_cdc.plan.compiled import compile_sync
    from warehouse_cdc.testing.trial import FIELDS, SQL_TYPES

    model = Model("model", table="model", primary_key="id")
    columns = {name: SQL_TYPES[kind] for name, kind in FIELDS.items()}
    nowhere = FunctionDestination(lambda batch: None)
    compile_sync(Sync(id="warm", model=model, destination=nowhere), "duckdb", {"model": columns})


def _serve() -> None:
    _warm_up()
    for line in sys.stdin:
        spec = json.loads(line)
        suite = _load(spec)
        target = pickle.loads(base64.b64decode(spec["target"]))
        destination = suite().destination(target, spec["mode"], spec["on_removed"])
        child = os.fork()
        if child == 0:
            _run(suite, destination, target, spec)
        _child, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _load(spec: dict[str, Any]) -> type[DestinationConformance]:
    """The suite's class; its module from its file, if it can't be found by name."""
    from warehouse_cdc.testing import DestinationConformance  # noqa: F401

    name, file = spec["module"], spec["file"]
    if name not in sys.modules:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            module = None
        if module is None or Path(inspect.getfile(module)).resolve() != Path(file).resolve():
            found = importlib.util.spec_from_file_location(name, file)
            assert found is not None and found.loader is not None
            module = sys.modules[name] = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
    suite: Any = sys.modules[name]
    for part in spec["name"].split("."):
        suite = getattr(suite, part)
    made: type[DestinationConformance] = suite
    return made


def _run(
    suite: type[DestinationConformance], destination: Destination, target: Any, spec: dict[str, Any]
) -> None:
    """Run the sync, and die in it."""
    code = 1
    try:
        from warehouse_cdc.testing.trial import Trial

        trial = Trial(
            suite(),
            spec["mode"],
            spec["on_removed"],
            target=target,
            file=Path(spec["warehouse"]),
            again=True,
            destination=destination,
        )
        what, share = spec["moment"].split()
        at, files = int(spec["lines"][what] * float(share)), trial.watched_files

        def dying(number: int) -> Fault:
            if number != spec["call"]:
                return usual
            return lambda call: _dying(call, float(share), at, files)

        faults = {"write": dying} if what == "write" else {"publishing": dying}
        run = trial.run(faults.get("write"), faults.get("publishing"))
        print(f"the run ended: {run}", file=sys.stderr)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _dying(call: Write, share: float, at: int, files: tuple[str, ...]) -> Outcomes:
    """Die before a call, once so many of its lines have run, or after it."""
    if share == 0:
        _die()
    with running(files, at if share < 1 else 0, _die):
        call()
        _die()


def _die() -> NoReturn:
    # To this thread: a signal to the process may reach another one first, and this one would go on a bit.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL)
    raise AssertionError("still alive")


if __name__ == "__main__":
    _serve()
