"""Jobs outlive the process that has submitted them: the next run asks for them and sends nothing twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.crash.checks import Seen, Story, check_destination, check_settled
from tests.crash.child import Child, Nursery
from tests.crash.world import World, make_sync
from tests.job_service import JobService
from warehouse_cdc.errors import AuthenticationError
from warehouse_cdc.testing import Fault, FaultServer

pytestmark = pytest.mark.crash

WORKERS = 8
SIZES = {"chunk_rows": 20, "batch_rows": 2}
"""Each operation is one chunk; the added rows are nine batches."""
ENGINES = ("duckdb", "postgres", "tables")
DUCKDB = pytest.mark.parametrize("world", ["duckdb"], indirect=True)
"""What is the same with each way to record runs."""


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ENGINES])
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    return make_world(request.param)


def run(world: World, scenario: str = "jobs", **options: Any) -> wcdc.Run:
    sync = make_sync(world, scenario, concurrency=WORKERS, **SIZES)
    with world.connect() as warehouse:
        return warehouse.run(sync, wait=30.0, **options)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def start(nursery: Nursery, world: World, scenario: str = "jobs", **spec: Any) -> Child:
    return nursery.start(world, **{"scenario": scenario, "workers": WORKERS, "sizes": SIZES, **spec})


def kill_under_way(world: World, nursery: Nursery, service: JobService, workers: int = WORKERS) -> None:
    """Kill a run that has eight jobs under way: those of added rows, but for two that wait."""
    service.holds = lambda job: job.operation == "added"
    child = start(nursery, world, workers=workers)
    until(lambda: service.under_way == workers)
    until(lambda: all(job.polls for job in service.jobs.values()))  # each handle is in the journal then
    os.kill(child._pid, signal.SIGKILL)
    child.killed()
    world.let_time_pass()


def check_once(story: Story, closed: str | None, seen: Seen) -> None:
    """Everything arrived once, but for what is refused; and the run that died says so of each of its rows."""
    arrived = Counter(sent.what for sent in story.sent if sent.applied)
    accepted, refused = story.due()
    assert set(arrived) == accepted and set(arrived.values()) <= {1}, "something was sent twice"
    assert closed is not None
    outcomes = seen.changes[closed]
    for sent in story.sent:
        if sent.run == closed:
            expected = ("succeeded", None) if sent.applied else ("failed", "refused")
            assert outcomes[sent.row_id] == (sent.operation, *expected)
    sent_then = {sent.row_id for sent in story.sent if sent.run == closed}
    due = {what[1] for what in accepted | refused}
    assert {outcomes[row_id][1] for row_id in due - sent_then} <= {"aborted"}
    check_destination(story.world, story.before)


@pytest.mark.parametrize(
    ("world", "workers"),
    [("duckdb", 8), ("duckdb", 9), ("postgres", 8), ("tables", 8), ("tables", 9)],
    indirect=["world"],
)
def test_killed_with_jobs_under_way(
    world: World, nursery: Nursery, service: JobService, workers: int
) -> None:
    """They end after their run has died: its audit rows say what they did, and its status is the true one."""
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service, workers)
    service.release()
    submitted = len(service.jobs)
    again = run(world)
    seen = check_settled(world, again.run_id)
    check_once(story, again.closed, seen)
    dead, unsent = seen.runs[str(again.closed)], 18 - 2 * workers
    assert (dead.status, dead.error) == (("failed", "interrupted") if unsent > 0 else ("succeeded", None))
    rows = {row["row_id"] for job in list(service.jobs.values())[submitted:] for row in job.rows}
    outcomes = seen.changes[str(again.closed)]
    assert sum(outcomes[row_id][1] == "aborted" for row_id in rows) == max(unsent, 0)
    assert {row_id for row_id in rows if outcomes[row_id][1] != "aborted"} <= {
        r for _o, r, _v in story.due()[1]
    }
    assert len({job.job_id for job in service.jobs.values()}) == len(service.jobs)
    assert service.refused_ids == 0
    story.check_healed()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_an_entry_of_jobs(world: World, nursery: Nursery, service: JobService, moment: str) -> None:
    """Before an id or a handle is in the journal, and once it is; with other jobs under way."""
    service.seconds = 0.05
    story = Story(world, "jobs")
    start(nursery, world, at=("job", moment), nth=9).killed()
    world.let_time_pass()
    service.release()
    again = run(world)
    check_once(story, again.closed, check_settled(world, again.run_id))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_a_submission(world: World, nursery: Nursery, service: JobService, moment: str) -> None:
    """The id is in the journal, and the handle can't be: it is found by its id, or surely isn't there."""
    story = Story(world, "jobs")
    start(nursery, world, call=(9, moment)).killed()
    world.let_time_pass()
    until(lambda: not service.under_way)
    again = run(world)
    check_once(story, again.closed, check_settled(world, again.run_id))


@DUCKDB
def test_a_job_that_can_not_be_looked_for_is_unknown_row_by_row(
    world: World, nursery: Nursery, service: JobService
) -> None:
    """The others of its chunk are known by their handles, or were never sent."""
    story = Story(world, "blind jobs")
    start(nursery, world, "blind jobs", call=(15, "after")).killed()
    world.let_time_pass()
    until(lambda: not service.under_way)
    lost = [sent for sent in story.sent if sent.applied]
    again = run(world, "blind jobs")
    seen = check_settled(world, again.run_id)
    outcomes = seen.changes[str(again.closed)]
    unknown = {row_id for row_id, row in outcomes.items() if (row[2] or "").startswith("outcome unknown")}
    aborted = {row_id for row_id, row in outcomes.items() if row[1] == "aborted"}
    assert 2 <= len(unknown) <= SIZES["batch_rows"] * WORKERS and len(aborted) >= 2
    assert {sent.row_id for sent in lost} & aborted == set(), "what was sent is not taken for unsent"
    repeated = Counter(sent.what for sent in story.sent if sent.applied)
    assert {what[1] for what, times in repeated.items() if times > 1} <= unknown
    keys = {sent.what: sent.key for sent in lost}
    assert all(sent.key == keys.get(sent.what, sent.key) for sent in story.sent), "another idempotency key"
    check_destination(world, story.before)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_it_settles(world: World, nursery: Nursery, service: JobService, moment: str) -> None:
    """The run that asks for a dead run's jobs dies as well, with their rejections stored or not."""
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service)
    service.release()
    for _ in range(2):
        start(nursery, world, at=("close", moment)).killed()
        world.let_time_pass()
    again = run(world)
    seen = check_settled(world, again.run_id)
    first, *others = sorted(set(seen.runs) - story.runs - {again.run_id})
    check_once(story, first, seen)
    assert seen.runs[first].error == "interrupted"
    assert [seen.runs[other].error for other in others] == ["interrupted"] * 2
    story.check_healed()


@pytest.mark.parametrize("world", ["postgres", "tables"], indirect=True)
def test_two_runs_settle_the_same_jobs(world: World, nursery: Nursery, service: JobService) -> None:
    """One is paused before it stores what it found, until the other has: nothing is counted twice."""
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service)
    service.release()
    paused = start(nursery, world, at=("close", "before"), stop=True, lease=1.5, patient=True)
    paused.stopped()
    again = run(world)  # once its lease is really over
    paused.resume()
    assert paused.result()["error"] == "LeaseLostError"
    first = sorted(set(Seen(world).runs) - story.runs)[0]
    last = run(world)
    check_once(story, first, check_settled(world, last.run_id))
    assert again.status == "warning"


@pytest.mark.parametrize("world", ["duckdb", "tables"], indirect=True)
def test_a_settled_run_counts_no_rejection_of_others(
    world: World, nursery: Nursery, service: JobService
) -> None:
    """What a run that died had stored, or one that was paused stores late, is void."""
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service)
    service.release()
    log = max(name for name in world.listed() if name.endswith("_rejections"))
    for chunk in (-1, -2, -99, 2):  # of other runs, and of the run itself: it is its third chunk
        world.sql(
            f"INSERT INTO {world.planner}.{log} (row_id, op, chunk, outcome, reason, attempts) "
            f"SELECT row_id, op, {chunk}, 'failed', 'void', 1 FROM "
            f"{world.planner}.{log.replace('_rejections', '_plan')} WHERE op = 'added'"
        )
    again = run(world)
    seen = check_settled(world, again.run_id)
    check_once(story, again.closed, seen)
    reasons = {row[2] for row in seen.changes[str(again.closed)].values()}
    assert "void" not in reasons
    story.check_healed()


@DUCKDB
def test_another_mapping_leaves_the_chunk_unknown(
    world: World, nursery: Nursery, service: JobService
) -> None:
    """Their batches can't be made again: what was in flight is sent again."""
    Story(world, "jobs")
    kill_under_way(world, nursery, service)
    service.release()
    sync = make_sync(world, "jobs", concurrency=WORKERS, **SIZES)
    sync = replace(sync, mappings={"name": "name", "label": "name", "score": "score"})
    with world.connect() as warehouse:
        again = warehouse.run(sync, wait=30.0)
    rows = Seen(world).changes[str(again.closed)]
    unknown = {row_id for row_id, row in rows.items() if (row[2] or "").startswith("outcome unknown")}
    assert unknown == {"37", "38"} | {str(number) for number in range(41, 57)}
    assert all(world.destination()[row_id].get("label") for row_id in unknown - {"38", "56"})


@pytest.mark.parametrize("world", ["duckdb", "tables"], indirect=True)
def test_a_cancelled_run_leaves_the_jobs_to_the_next(
    world: World, nursery: Nursery, service: JobService
) -> None:
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service)
    sync = make_sync(world, "jobs", concurrency=WORKERS, **SIZES)
    polls = service.asked["poll"]
    with world.connect() as warehouse:

        def stop() -> None:
            until(lambda: service.asked["poll"] > polls + WORKERS)
            warehouse.cancel()

        thread = threading.Thread(target=stop)
        thread.start()
        cancelled = warehouse.run(sync, wait=30.0)
        thread.join()
    assert cancelled.status == "cancelled" and cancelled.closed is None
    service.release()
    again = run(world)
    check_once(story, again.closed, check_settled(world, again.run_id))
    story.check_healed()


@DUCKDB
@pytest.mark.parametrize("asked", ["poll", "find"])
def test_refused_credentials_leave_the_jobs_to_the_next_run(
    world: World, nursery: Nursery, service: JobService, asked: str
) -> None:
    """A dead run's jobs aren't taken for unknown as long as other credentials may tell of them."""
    story = Story(world, "jobs")
    if asked == "poll":
        kill_under_way(world, nursery, service)
        service.release()
    else:
        start(nursery, world, call=(9, "after")).killed()
        world.let_time_pass()
        until(lambda: not service.under_way)
    service.script = lambda kind, number: "denied" if kind == asked else None
    with world.connect() as warehouse, pytest.raises(AuthenticationError):
        warehouse.run(make_sync(world, "jobs", concurrency=WORKERS, **SIZES), wait=30.0)
    service.script = lambda kind, number: None
    again = run(world)
    check_once(story, again.closed, check_settled(world, again.run_id))
    story.check_healed()


@DUCKDB
def test_jobs_that_are_unknown_or_never_end_are_unknown(
    world: World, nursery: Nursery, service: JobService
) -> None:
    story = Story(world, "jobs")
    kill_under_way(world, nursery, service)
    for number, job in enumerate(list(service.jobs.values())[-WORKERS:]):
        if number < 2:
            job.fate = "never"
        elif number < 4:
            job.fate = "unknown"
    service.release()
    sync = replace(make_sync(world, "jobs", concurrency=WORKERS, **SIZES), job_timeout=0.5)
    with world.connect() as warehouse:
        again = warehouse.run(sync, wait=30.0)
    rows = Seen(world).changes[str(again.closed)]
    unknown = {row_id: row[2] for row_id, row in rows.items() if (row[2] or "").startswith("outcome unknown")}
    assert any("nobody knows" in str(reason) for reason in unknown.values())
    assert sum("not over within 0.5 s" in str(reason) for reason in unknown.values()) == 4
    check_destination(world, story.before)


def test_killed_with_eight_workers_over_http(world: World, nursery: Nursery) -> None:
    """Nothing is lost, and what is sent twice was in flight since the last checkpoint."""
    calls = 12
    poison = lambda row: str(row["name"]).startswith("refuse")  # noqa: E731
    with FaultServer(poison=poison) as server:
        world = replace(world, served=server.url)
        run(world, "http")
        world.change()
        began = len(server.calls)
        effects = Counter(server.effects)
        server.script = lambda number, path, body: Fault(stall=60) if number >= began + calls else None
        child = start(nursery, world, "http", lease=60.0)
        until(lambda: len(server.calls) >= began + calls)
        os.kill(child._pid, signal.SIGKILL)
        child.killed()
        world.let_time_pass()
        server.script = lambda number, path, body: None
        again = run(world, "http")
        check_settled(world, again.run_id)
        twice = {what for what, times in (Counter(server.effects) - effects).items() if times > 1}
        assert len(twice) <= SIZES["chunk_rows"]
        rows = Seen(world).changes[str(again.closed)]
        unknown = {row_id for row_id, row in rows.items() if (row[2] or "").startswith("outcome unknown")}
        assert {str(key) for _operation, key in twice} <= unknown and len(unknown) <= SIZES["chunk_rows"]
        model = {r: c[0] for r, c in world.model().items() if len(c) == 1 and not poison(c[0])}
        held = {str(key): row for key, row in server.table.items()}
        assert {r: held.get(r) for r in model} == model
        assert not {str(number) for number in range(1, 13)} & set(held)
