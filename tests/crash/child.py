"""The process that is killed or stopped, and the one that starts it.

``python -m tests.crash.child`` imports everything once and then forks a child for each line of JSON that it
reads, so that a child costs milliseconds. It opens no connection and starts no thread itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.crash.world import LONG_LEASE, Recorder, World, append, make_sync
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.row_ledger import RowLease
from warehouse_cdc.engine.table_ledger import TableLease
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.errors import CdcError
from warehouse_cdc.warehouses.duckdb import DuckDBConnection
from warehouse_cdc.warehouses.postgres import PostgresConnection

ROOT = Path(__file__).parents[2]


class Hook:
    """Acts at one moment of a run.

    ``before`` and ``after`` a step are the engine's own moments. By wrapping its parts there are some inside
    a step, too: once the lease's row is ``locked``, once the lease is ``checked`` before a call, and when
    COMMIT is the next thing to be sent (``committing``).
    """

    def __init__(self, world: World, spec: dict[str, Any]) -> None:
        self._world = world
        self._at = tuple(spec.get("at") or ())
        self._nth = spec.get("nth", 1)
        self._signal = signal.SIGSTOP if spec.get("stop") else signal.SIGKILL
        self._patient = spec.get("patient", False)  # the server sets no limit to its transactions
        self._call = tuple(spec.get("call") or ())
        workers = spec.get("together", 0)
        self._together = threading.Barrier(workers) if workers else None
        self._beating = spec.get("beating", False)  # not before the lease's thread has a sign of life to send
        self._due, self._acted = threading.Event(), threading.Event()
        self._seen = 0
        self._submissions = 0
        self._lock = threading.Lock()
        self._step = threading.local()
        self._reading = False
        self.reached = False

    def observer(self, step: Step, moment: str) -> None:
        if moment == "before":
            self._step.now = step
        self._reading = step == Step.READ and moment == "before"
        if (step, moment) == (Step.CHECKPOINT, "after"):
            append(self._world.log, {"mark": "checkpoint"})
        self._reach(step, moment)
        if moment == "after":
            self._step.now = None

    def inside(self, moment: str) -> None:
        # What is read, is read by a thread of its own.
        step = getattr(self._step, "now", None) or (Step.READ if self._reading else None)
        if step is not None:
            self._reach(step, moment)

    def around(self, call: int, moment: str) -> None:
        """At a moment of a call of the destination."""
        if (call, moment) == self._call:
            self._act()

    def submission(self, moment: str) -> None:
        """At a moment of the submission of a job."""
        if moment == "before":
            with self._lock:
                self._submissions += 1
                self._step.submission = self._submissions
        self.around(self._step.submission, moment)

    def _reach(self, step: Step, moment: str) -> None:
        if (step.value, moment) != self._at:
            return
        if self._together is not None:
            with contextlib.suppress(threading.BrokenBarrierError):
                self._together.wait(5)
        with self._lock:
            self._seen += 1
            act = self._seen == self._nth
        if act and self._beating:
            self._due.set()
            self._acted.wait()
        elif act:
            self._act()

    def _act(self) -> None:
        self.reached = True
        # To this thread: a signal to the process may reach another one first, and this one would go on a bit.
        signal.pthread_kill(threading.get_ident(), self._signal)

    def wrap(self) -> None:
        """Look inside transactions and lease checks."""
        hook = self
        fenced, check = RowLease.fenced, Lease.check

        @contextlib.contextmanager
        def watched_fence(lease: RowLease, **options: Any) -> Iterator[None]:
            with fenced(lease, **options):
                hook.inside("locked")
                yield

        def watched_check(lease: Lease) -> None:
            check(lease)
            hook.inside("checked")

        beat = TableLease._beat

        def watched_beat(lease: TableLease, *arguments: Any) -> None:
            if hook._due.is_set() and not hook._acted.is_set():
                hook._act()
                hook._acted.set()
            beat(lease, *arguments)

        TableLease._beat = watched_beat  # type: ignore[method-assign]
        RowLease.fenced = watched_fence  # type: ignore[method-assign]
        Lease.check = watched_check  # type: ignore[method-assign]
        for kind in (DuckDBConnection, PostgresConnection):
            kind.transaction = _watched(kind.transaction, hook, self._patient)  # type: ignore[attr-defined]


def _watched(transaction: Any, hook: Hook, patient: bool) -> Any:
    @contextlib.contextmanager
    def watched(connection: Any, **options: Any) -> Iterator[None]:
        with transaction(connection, **({} if patient else options)):
            yield
            hook.inside("committing")

    return watched


def run_once(spec: dict[str, Any]) -> dict[str, Any]:
    """Run the sync; what became of it, if the process is still there then."""
    world = World(**spec["world"])
    hook = Hook(world, spec)
    hook.wrap()
    lease = spec.get("lease", LONG_LEASE)
    scenario = spec.get("scenario", "plain")
    recorder = hook.submission if scenario.endswith("jobs") else Recorder(world, hook.around)
    sync = make_sync(world, scenario, recorder, spec.get("workers", 1), lease, **spec.get("sizes", {}))
    try:
        full = scenario == "full"
        with world.connect(lease, 0.0 if full else 100.0) as warehouse:
            run = warehouse.run(sync, wait=spec.get("wait", 0.0), observer=hook.observer)
    except CdcError as error:
        return {"reached": hook.reached, "error": type(error).__name__, "message": str(error)}
    return {"reached": hook.reached, "run": run.run_id, "status": run.status}


# -- the process that forks -----------------------------------------------------------------------


def _warm_up() -> None:
    """Load what the first run would load."""
    world = World("", "warm", "")
    for dialect in ("duckdb", "postgres"):
        columns = {"id": "BIGINT", "name": "TEXT", "score": "BIGINT"}
        wcdc.compile(make_sync(world), dialect, {world.table: columns})
    pa.Table.from_pylist([{"a": 1}])


def _serve() -> None:
    _warm_up()
    children: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                _child(request["start"])
            children.add(pid)
            answer: dict[str, Any] = {"pid": pid}
        elif "wait" in request:
            answer = _wait(request["wait"], request["seconds"])
            if "gone" in answer:
                children.discard(request["wait"])
        else:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            answer = {"killed": len(children)}
            children.clear()
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _child(spec: dict[str, Any]) -> None:
    code = 1
    try:
        result = run_once(spec)
        (Path(spec["world"]["folder"]) / f"result-{os.getpid()}.json").write_text(json.dumps(result))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, seconds: float) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        changed, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if changed:
            if os.WIFSTOPPED(status):
                return {"stopped": True}
            return {"gone": os.waitstatus_to_exitcode(status)}
        time.sleep(0.002)
    return {"timeout": True}


class Nursery:
    """The test's side of the process that forks."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.child"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks is gone"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def start(self, world: World, **spec: Any) -> Child:
        if world.tables and (spec.get("at") or ("", ""))[1] in ("locked", "committing"):
            pytest.skip("without transactions, no run is inside of one")
        return Child(self, world, self.ask(start={"world": vars(world), **spec})["pid"])

    def end_all(self) -> None:
        """End the children that a test has left behind."""
        self.ask(end="all")

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)


class Child:
    """One run in a process of its own."""

    def __init__(self, nursery: Nursery, world: World, pid: int) -> None:
        self._nursery = nursery
        self._world = world
        self._pid = pid

    def killed(self) -> None:
        """Wait until it has killed itself."""
        answer = self._change()
        assert answer == {"gone": -signal.SIGKILL}, f"the run never came there: {answer}, {self._result()}"

    def stopped(self) -> None:
        """Wait until it has stopped itself."""
        answer = self._change()
        assert answer == {"stopped": True}, f"the run never came there: {answer}, {self._result()}"

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def result(self) -> dict[str, Any]:
        """Wait for its end, and read what became of its run."""
        answer = self._change()
        found = self._result()
        assert answer == {"gone": 0} and found is not None, answer
        return found

    def _change(self) -> dict[str, Any]:
        return self._nursery.ask(wait=self._pid, seconds=40 * self._world.patience)

    def _result(self) -> dict[str, Any] | None:
        path = Path(self._world.folder) / f"result-{self._pid}.json"
        return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    _serve()
