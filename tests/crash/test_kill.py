"""A process killed before, inside and after each step of a run: the next run converges (D17)."""

from __future__ import annotations

import json

import pytest

from tests.crash.checks import Story
from tests.crash.child import Nursery
from tests.crash.points import CLOSING, NTH, SCENARIO, STEPS, points
from tests.crash.world import BATCH_ROWS, LEASE, World
from warehouse_cdc.engine.transitions import Step

pytestmark = pytest.mark.crash


KILLED = ("before", "checked", "committing", "after")


@pytest.mark.parametrize(
    ("step", "moment"), points(*(step for step in STEPS if step != Step.CLOSE), only=KILLED)
)
def test_killed_at(world: World, nursery: Nursery, step: Step, moment: str) -> None:
    scenario = SCENARIO.get(step, "plain")
    story = Story(world, scenario)
    nursery.start(world, scenario=scenario, at=(step, moment), nth=NTH.get(step, 1)).killed()
    world.let_time_pass()
    certain, flying = story.killed()
    run, seen = story.check_convergence(certain, flying)
    story.check_interrupted(seen, run, step, moment)
    if run.closed and scenario == "plain" and STEPS.index(step) > STEPS.index(Step.JOURNAL_PLAN):
        story.check_undelivered(seen.changes[run.closed], certain, flying)
    story.check_healed()


@pytest.mark.parametrize("step", [Step.WRITE_PLAN, Step.RESOLVE, Step.CHECKPOINT, Step.SNAPSHOT, Step.COMMIT])
def test_killed_with_a_full_plan(world: World, nursery: Nursery, step: Step) -> None:
    """Where differences have added up; the next run goes on with one of differences."""
    story = Story(world)
    nursery.start(world, scenario="full", at=(step, "after"), nth=NTH.get(step, 1)).killed()
    world.let_time_pass()
    story.check_convergence(*story.killed())
    story.check_healed()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 3])
def test_killed_at_each_publication(world: World, nursery: Nursery, nth: int, moment: str) -> None:
    """Of the three files of a run; after the last, all is delivered although no checkpoint says so (D29)."""
    story = Story(world, "files")
    nursery.start(world, scenario="files", at=(Step.PUBLISH, moment), nth=nth).killed()
    world.let_time_pass()
    certain, flying = story.killed()
    run, seen = story.check_convergence(certain, flying)
    assert run.closed
    dead = seen.runs[run.closed]
    expected = ("succeeded", None) if (nth, moment) == (3, "after") else ("failed", "interrupted")
    assert (dead.status, dead.error) == expected
    assert sum(row[1] == "succeeded" for row in seen.changes[run.closed].values()) == len(certain)
    story.check_healed()


@pytest.mark.parametrize("moment", ["before", "half", "after"])
@pytest.mark.parametrize(("call", "workers"), [(2, 3), (9, 1)])
def test_killed_in_a_call(world: World, nursery: Nursery, call: int, workers: int, moment: str) -> None:
    """Inside the destination: before its effect, in the middle of it, and before its answer."""
    story = Story(world)
    nursery.start(world, call=(call, moment), workers=workers, lease=LEASE).killed()
    certain, flying = story.killed()
    assert flying or moment == "before"
    run, seen = story.check_convergence(certain, flying)
    assert run.closed
    assert (seen.runs[run.closed].status, seen.runs[run.closed].error) == ("failed", "interrupted")
    story.check_undelivered(seen.changes[run.closed], certain, flying)
    story.check_quiet(flying)
    story.check_healed()


def test_rows_that_change_before_the_next_run(world: World, nursery: Nursery) -> None:
    """What was in flight and has other values since is another operation: it gets another key (D18)."""
    story = Story(world)
    nursery.start(world, call=(9, "after")).killed()
    world.let_time_pass()
    _certain, flying = story.killed()
    assert {sent.operation for sent in flying} == {"changed"}
    touched, kept = flying[0], flying[1]
    world.sql(f"UPDATE {world.table} SET score = -1 WHERE id = {touched.row_id}")
    already = len(story.sent)
    story.check_convergence(*story.killed(), exact=False)
    keys = {sent.row_id: sent.key for sent in story.sent[already:]}
    assert keys[touched.row_id] != touched.key
    assert keys[kept.row_id] == kept.key


@pytest.mark.parametrize(("step", "moment"), points(*CLOSING, only=("committing", "after")))
def test_killed_while_closing(world: World, nursery: Nursery, step: Step, moment: str) -> None:
    """A run dies in delivery, and the run that closes it dies as well."""
    story = Story(world)
    nursery.start(world, call=(9, "after")).killed()
    certain, flying = story.killed()
    sent = len(story.sent)
    for _ in range(2 if step == Step.CLOSE else 1):  # twice at the same place, for once
        world.let_time_pass()
        nursery.start(world, at=(step, moment)).killed()
    assert len(story.sent) == sent, "a run sent something before it had closed the interrupted one"
    world.let_time_pass()
    _run, seen = story.check_convergence(certain, flying)
    first, *others = [row for run_id, row in seen.runs.items() if run_id not in story.runs][:-1]
    assert (first.status, first.error) == ("failed", "interrupted")
    story.check_undelivered(seen.changes[first.run], certain, flying)
    for other in others:
        assert (other.status, other.error, set(other.numbers.values())) == ("failed", "interrupted", {0})
    story.check_healed()


def test_killed_again_and_again(world: World, nursery: Nursery) -> None:
    """Each of several runs dies a little later in delivery; nothing is sent more often than it must be."""
    story = Story(world)
    for call in (1, 4, 2, 7):
        nursery.start(world, call=(call, "after")).killed()
        world.let_time_pass()
    certain, flying = story.killed()
    whats = [sent.what for sent in certain if sent.applied]
    assert len(whats) == len(set(whats))
    keys: dict[str, set[str]] = {}
    for sent in certain + flying:
        keys.setdefault(json.dumps(sent.what), set()).add(sent.key)
    assert all(len(of_one) == 1 for of_one in keys.values())
    assert len(flying) <= BATCH_ROWS * (1 + 4 + 2 + 7)
    story.check_convergence(certain, flying, exact=False)
    story.check_healed()
