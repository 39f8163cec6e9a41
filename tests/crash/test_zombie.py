"""A process paused until its lease is over and others have run the sync: it does no harm when it goes on.

SIGSTOP stops all of a process's threads, the one that extends its lease as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash.checks import Seen, Story, check_destination, check_settled, run_here
from tests.crash.child import Nursery
from tests.crash.points import CLOSING, NTH, SCENARIO, STEPS, points
from tests.crash.world import BATCH_ROWS, LEASE, SYNC, Sent, World, make_sync
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.errors import SyncInProgressError, WarehouseLockedError

pytestmark = pytest.mark.crash


GAVE_UP = ("LeaseLostError", "ConnectionLostError", "QueryError")
"""How a run ends that lost its lease, its session, or its tables, which others have dropped."""


@pytest.fixture(params=[pytest.param(e, marks=getattr(pytest.mark, e)) for e in ("postgres", "tables")])
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    return make_world(request.param)


class Paused:
    """A run that has stopped itself while others go on."""

    def __init__(self, story: Story, nursery: Nursery, **spec: Any) -> None:
        self.story = story
        self.world = story.world
        self._child = nursery.start(story.world, scenario=story.scenario, stop=True, lease=LEASE, **spec)
        self._child.stopped()

    def overtake(self) -> None:
        """Others run the sync twice, with further changes: twice, so that tables are dropped as well."""
        for times in (1, 2):
            self.world.change_again(times)
            run = run_here(self.world, self.story.scenario)
            assert run.status == "warning"
            check_destination(self.world, self.story.before)
            check_settled(self.world, run.run_id)

    def resume(self) -> tuple[dict[str, Any], list[Sent]]:
        """Let it go on to its end: what became of it, and what it sent."""
        before = Counter((sent.run, sent.what) for sent in self.story.sent)
        self._child.resume()
        result = self._child.result()
        late = []
        for sent in self.story.sent:
            if before[sent.run, sent.what]:
                before[sent.run, sent.what] -= 1
            else:
                late.append(sent)
        return result, late


def contents(world: World, tables: set[str]) -> dict[str, list[Any]]:
    """The rows of planner tables."""
    with world.database() as run:
        return {name: sorted(map(repr, run(f"SELECT * FROM {world.planner}.{name}"))) for name in tables}


def check_harmless(paused: Paused, *, late_rows: int = 0) -> list[Sent]:
    """The others run the sync; then the paused process changes nothing, and sends at most so many rows."""
    world = paused.world
    paused.overtake()
    left = Seen(world)
    held = contents(world, left.tables)
    result, late = paused.resume()
    assert result["reached"]
    assert result.get("error") in GAVE_UP, result
    assert len(late) <= late_rows
    now = Seen(world)
    garbage, now.tables = now.tables - left.tables, left.tables
    assert now == left
    assert contents(world, left.tables) == held
    assert all(name.startswith(f"{SYNC}_") for name in garbage)
    check_next(paused, late)
    return late


def check_next(paused: Paused, late: list[Sent]) -> None:
    """The next run is as if the paused process had never gone on, but for what it had on its way."""
    world = paused.world
    already = len(paused.story.sent)
    run = run_here(world, paused.story.scenario)
    check_settled(world, run.run_id)
    assert all(not sent.applied for sent in paused.story.sent[already:])
    if not late:
        check_destination(world, paused.story.before)


@pytest.mark.parametrize(
    ("step", "moment"),
    [
        *(p for p in points(*(s for s in STEPS if s != Step.CLOSE)) if "checked" not in str(p)),
        pytest.param(Step.READ, "committing", id="read-committing"),
    ],
)
def test_paused_at(world: World, nursery: Nursery, step: Step, moment: str) -> None:
    story = Story(world, SCENARIO.get(step, "plain"))
    paused = Paused(story, nursery, at=(step, moment), nth=NTH.get(step, 1))
    if (step, moment) == (Step.CLAIM, "before"):
        # It has claimed nothing yet: afterwards it is just the next run.
        paused.overtake()
        result, late = paused.resume()
        assert result["status"] == "warning"
        assert not any(sent.applied for sent in late)
        check_settled(world, result["run"])
    elif (step, moment) == (Step.COMMIT, "after"):
        paused.overtake()
        result, late = paused.resume()
        assert (result["status"], late) == ("warning", [])
        check_next(paused, late)
    else:
        check_harmless(paused)


@pytest.mark.tables
def test_paused_with_a_sign_of_life_on_its_way(make_world: Callable[[str], World], nursery: Nursery) -> None:
    """It comes when nobody reads it any more, perhaps to a table that is made for it."""
    story = Story(make_world("tables"))
    check_harmless(Paused(story, nursery, at=(Step.CHANGELOG, "before"), beating=True))


@pytest.mark.parametrize(("step", "moment"), points(*CLOSING[1:], only=("before", "committing")))
def test_paused_while_closing(world: World, nursery: Nursery, step: Step, moment: str) -> None:
    """The paused run was closing an interrupted one."""
    story = Story(world)
    nursery.start(world, call=(9, "after")).killed()
    world.let_time_pass()
    check_harmless(Paused(story, nursery, at=(step, moment)))


@pytest.mark.parametrize("workers", [1, 3])
def test_paused_between_the_check_and_the_call(world: World, nursery: Nursery, workers: int) -> None:
    """Each worker may send the batch that it had checked, under the keys that the others sent it with."""
    story = Story(world)
    paused = Paused(story, nursery, at=(Step.SEND, "checked"), workers=workers, together=workers)
    late = check_harmless(paused, late_rows=BATCH_ROWS * workers)
    assert len(late) == BATCH_ROWS * workers
    assert {sent.operation for sent in late} == {"removed"}
    others = {sent.row_id: sent for sent in story.sent if sent.run != late[0].run and sent not in late}
    for sent in late:
        if others[sent.row_id].what == sent.what:
            assert others[sent.row_id].key == sent.key


def test_resumed_in_the_middle_of_the_other_run(world: World, nursery: Nursery) -> None:
    """It opens no destination any more: that would sweep away the files that the other run is writing."""
    story = Story(world, "files")
    paused = Paused(story, nursery, at=(Step.JOURNAL_PLAN, "after"))
    results = []

    def observer(step: Step, moment: str) -> None:
        if (step, moment) == (Step.PUBLISH, "before") and not results:
            results.append(paused.resume())

    run = run_here(world, "files", observer=observer)
    assert run.status == "warning"
    ((result, late),) = results
    assert (result["error"], late) == ("LeaseLostError", [])
    check_destination(world, story.before)
    check_settled(world, run.run_id)


@pytest.mark.parametrize("moment", ["locked", "committing"])
@pytest.mark.parametrize("step", [Step.JOURNAL_PLAN, Step.CHECKPOINT, Step.SNAPSHOT])
def test_nobody_takes_over_while_a_write_is_on_its_way(
    world: World, nursery: Nursery, step: Step, moment: str
) -> None:
    """Whatever the clocks say: the write commits before the takeover, or not at all."""
    story = Story(world)
    child = nursery.start(world, at=(step, moment), stop=True, patient=True)
    child.stopped()
    world.let_time_pass(dead=False)
    with world.connect() as warehouse, pytest.raises(SyncInProgressError):
        warehouse.run(make_sync(world))
    child.resume()
    result = child.result()
    assert result["status"] == "warning"
    check_destination(world, story.before)
    check_settled(world, result["run"])


def test_a_short_pause_is_no_harm(world: World, nursery: Nursery) -> None:
    """Nobody else has run: the process loses its lease, or it goes on; either way the next run converges."""
    story = Story(world)
    paused = Paused(story, nursery, at=(Step.CHECKPOINT, "after"))
    result, _late = paused.resume()
    assert result.get("status") == "warning" or result["error"] == "LeaseLostError"
    run = run_here(world)
    check_destination(world, story.before)
    check_settled(world, run.run_id)


@pytest.mark.duckdb
def test_a_paused_process_keeps_the_duckdb_file(make_world: Callable[..., World], nursery: Nursery) -> None:
    story = Story(make_world("duckdb"))
    paused = Paused(story, nursery, at=(Step.CHECKPOINT, "after"))
    with pytest.raises(WarehouseLockedError, match="Another process holds this DuckDB file") as caught:
        story.world.connect()
    assert "one process at a time" in caught.value.hint
    result, _late = paused.resume()
    assert result["status"] == "warning"
    check_destination(story.world, story.before)
    check_settled(story.world, result["run"])
