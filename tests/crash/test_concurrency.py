"""Two that want to run the same sync at once: exactly one does (the contract of the claim)."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.crash.checks import check_settled
from tests.crash.child import Nursery
from tests.crash.racer import ROOT
from tests.crash.world import LEASE, MARGIN, SYNC, WAIT, Recorder, World, make_sync
from warehouse_cdc.destinations import Batch
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.plan.names import in_ledger

pytestmark = pytest.mark.crash

ROUNDS = 100


class Racer:
    """A process that runs the sync whenever it is told to."""

    def __init__(self, world: World) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.racer", json.dumps(vars(world))],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, **message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the process is gone"
        found: dict[str, Any] = json.loads(line)
        return found


SERVERS = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("postgres", "tables")]
"""With and without transactions."""


@pytest.fixture(params=SERVERS)
def racers(
    request: pytest.FixtureRequest, make_world: Callable[..., World]
) -> Iterator[tuple[World, Racer, Racer]]:
    world = make_world(request.param)
    pair = Racer(world), Racer(world)
    for racer in pair:
        assert racer.answer() == {"ready": True}
    yield world, *pair
    for racer in pair:
        racer.process.kill()
        racer.process.wait()
        assert racer.process.stdin and racer.process.stdout
        racer.process.stdin.close()
        racer.process.stdout.close()


@pytest.mark.postgres
@pytest.mark.slow
def test_two_processes_start_at_once(racers: tuple[World, Racer, Racer]) -> None:
    """A hundred times; the winner sends nothing before the loser has given up. At first no table is there."""
    world, *pair = racers
    winners = []
    with world.database() as database:
        for number in range(ROUNDS):
            database(f"INSERT INTO {world.table} VALUES ({1000 + number}, 'round', {number})")
            start = time.monotonic() + 0.01
            for racer in pair:
                # Every other round they meet at the claim itself.
                racer.tell(start=start, meet="claim" if number % 2 else "start")
            streams = [racer.process.stdout for racer in pair]
            ready, _, _ = select.select(streams, [], [], 60)
            assert len(ready) == 1, "both have ended: nobody runs" if ready else "both run, or neither ends"
            loser = pair[streams.index(ready[0])]
            winner = pair[1 - streams.index(ready[0])]
            assert loser.answer() == {"error": "SyncInProgressError", "sent": False}
            winner.tell(release=True)
            answer = winner.answer()
            assert answer["status"] == "warning"
            winners.append(answer["run"])
    assert winners == sorted(set(winners))
    seen = check_settled(world, winners[-1])
    assert list(seen.runs) == winners
    newest = max(in_ledger(SYNC, set(seen.leases)).values()) if world.tables else seen.leases[0][0]
    assert newest == ROUNDS
    accepted = [sent.what for sent in world.sent() if sent.applied]
    assert len(accepted) == len(set(accepted))


class Gate(Recorder):
    """A destination that waits until it may go on."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, batch: Batch) -> dict[str, str]:
        self.entered.set()
        assert self.opened.wait(30)
        return super().__call__(batch)


def in_thread(act: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Start a thread; what it returned or raised is in the list afterwards."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(act())
        except wcdc.CdcError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def test_two_threads_start_at_once(world: World) -> None:
    """Each has a warehouse object of its own; on DuckDB they share the file and the process."""
    for number in range(6):
        world.sql(f"INSERT INTO {world.table} VALUES ({1000 + number}, 'round', {number})")
        barrier, gate = threading.Barrier(2), Gate(world)

        def run(barrier: threading.Barrier = barrier, gate: Gate = gate, meet: int = number % 2) -> wcdc.Run:
            def observer(step: Step, moment: str) -> None:
                if (step, moment) == (Step.CLAIM, "before") and meet:
                    barrier.wait(30)

            with world.connect() as warehouse:
                if not meet:
                    barrier.wait(30)
                return warehouse.run(make_sync(world, destination=gate), observer=observer)

        (one, first), (other, second) = in_thread(run), in_thread(run)
        until = time.monotonic() + 30
        while not first + second and time.monotonic() < until:
            time.sleep(0.001)
        losers = first + second
        gate.opened.set()
        one.join(30)
        other.join(30)
        assert [type(loser).__name__ for loser in losers] == ["SyncInProgressError"], losers
        (winner,) = [result for result in first + second if result is not losers[0]]
        assert isinstance(winner, wcdc.Run), winner
        seen = check_settled(world, winner.run_id)
        assert len(seen.runs) == number + 1


def test_waiting_for_the_other_run(world: World) -> None:
    """With ``wait``, the second run starts when the first has ended."""
    gate = Gate(world)
    sync = make_sync(world, destination=gate)
    claims = threading.Semaphore(0)

    def observer(step: Step, moment: str) -> None:
        if (step, moment) == (Step.CLAIM, "before"):
            claims.release()

    def hold() -> wcdc.Run:
        with world.connect() as warehouse:
            return warehouse.run(sync)

    def wait() -> wcdc.Run:
        with world.connect() as warehouse:
            return warehouse.run(make_sync(world), wait=WAIT, observer=observer)

    holder, held = in_thread(hold)
    assert gate.entered.wait(30)
    waiter, waited = in_thread(wait)
    for _ in range(2):  # it has tried once, and tries again
        assert claims.acquire(timeout=30)
    assert (held, waited) == ([], [])
    with world.connect() as warehouse, pytest.raises(wcdc.SyncInProgressError) as caught:
        warehouse.run(make_sync(world), wait=0.1)
    assert caught.value.hint
    gate.opened.set()
    holder.join(30)
    waiter.join(30)
    ((first,), (second,)) = held, waited
    assert isinstance(first, wcdc.Run), first
    assert isinstance(second, wcdc.Run), second
    assert first.run_id < second.run_id
    assert second.counts["added"].succeeded == 0
    check_settled(world, second.run_id)


@pytest.mark.parametrize("engine", SERVERS)
def test_waiting_for_a_dead_run(make_world: Callable[..., World], nursery: Nursery, engine: str) -> None:
    """Its lease must run out first."""
    world = make_world(engine)
    nursery.start(world, call=(3, "after"), lease=LEASE).killed()
    with world.connect() as warehouse:
        with pytest.raises(wcdc.SyncInProgressError) as caught:
            warehouse.run(make_sync(world))
        assert caught.value.expires_in is not None and 0 < caught.value.expires_in <= LEASE + MARGIN
        run = warehouse.run(make_sync(world), wait=WAIT)
    assert run.closed
    check_settled(world, run.run_id)
