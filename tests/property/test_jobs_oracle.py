"""The oracle through a service that works by jobs: runs are killed, answers are lost, jobs fail.

Whatever goes wrong, the service's table converges to the model; and where a job's outcome can be asked for,
nothing is sent twice.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import warehouse_cdc as wcdc
from tests.job_service import Jobs, JobService
from warehouse_cdc.engine.transitions import Step

KEYS = st.integers(0, 11)
FAULTS = st.sampled_from([None, None, "lost", "cut", "busy", "limited", "refused", "large", "garbage"])
FATES = st.sampled_from([None, None, None, "fails", "retry", "unknown"])
KILLS = st.none() | st.tuples(
    st.sampled_from([Step.JOB, Step.SEND, Step.CHECKPOINT, Step.CLOSE]),
    st.sampled_from(["before", "after"]),
    st.integers(1, 6),
)
STEP = st.fixed_dictionaries(
    {
        "write": st.dictionaries(KEYS, st.integers(0, 3), max_size=8),
        "remove": st.sets(KEYS, max_size=3),
        "submit": st.lists(FAULTS, max_size=4),
        "poll": st.lists(FAULTS.filter(lambda fault: fault not in ("refused", "large")), max_size=4),
        "find": st.lists(st.sampled_from([None, "lost", "busy"]), max_size=2),
        "fates": st.lists(FATES, max_size=4),
        "refuses": st.sets(KEYS, max_size=2),
        "kill": KILLS,
    }
)


class Killed(BaseException):
    """Stands for the death of the process: nothing catches it."""


class World:
    """A model, the service, and how often each version of a row may have an effect."""

    def __init__(self, service: JobService, *, finds: bool, concurrency: int) -> None:
        self.service = service
        self.model: dict[int, int] = {}
        self.versions: Counter[tuple[str, str]] = Counter()
        self.script: dict[str, list[Any]] = {}
        self.refuses: set[int] = set()
        service.script = lambda kind, number: self._next(kind)
        service.fate = lambda number, rows: self._next("fates")
        service.refuses = lambda values: values["id"] in self.refuses
        self.source = duckdb.connect()
        self.source.execute("create table t (id integer, value integer)")
        self.warehouse = wcdc.connect(self.source)
        self.sync = wcdc.Sync(
            id="s",
            model=wcdc.Model("t", table="t", primary_key="id"),
            destination=Jobs(service.url, finds=finds),
            on_removed="delete",
            max_removed=None,
            require_rows=False,
            batch_rows=2,
            chunk_rows=6,
            concurrency=concurrency,
            split_retries=True,
            retry_wait=0,
            poll_wait=0.001,
            max_attempts=3,
            breaker=None,
        )

    def _next(self, kind: str) -> Any:
        left = self.script.get(kind)
        return left.pop() if left else None

    def step(self, step: dict[str, Any]) -> None:
        for key, value in step["write"].items():
            if self.model.get(key) != value:
                self.versions["written", str(key)] += 1
            self.model[key] = value
        for key in step["remove"]:
            if self.model.pop(key, None) is not None:
                self.versions["removed", str(key)] += 1
        self.script = {kind: list(step[kind]) for kind in ("submit", "poll", "find", "fates")}
        self.refuses = set(step["refuses"])
        self.run(step["kill"])

    def run(self, kill: tuple[Step, str, int] | None = None) -> wcdc.Run | None:
        self.source.execute("delete from t")
        if self.model:
            self.source.executemany(
                "insert into t values (?, ?)", [list(each) for each in self.model.items()]
            )
        left = kill[2] if kill is not None else 0

        def observe(step: Step, moment: str) -> None:
            nonlocal left
            if kill is not None and (step, moment) == kill[:2]:
                left -= 1
                if left == 0:
                    raise Killed

        try:
            run = self.warehouse.run(self.sync, observer=observe)
        except Killed:
            return None
        for counts in run.counts.values():
            assert counts.planned == counts.attempted + counts.aborted
            assert counts.attempted == counts.succeeded + counts.failed
        return run

    @property
    def held(self) -> dict[int, int]:
        return {int(key): values["value"] for key, values in self.service.table.items()}


def converges(steps: list[dict[str, Any]], *, finds: bool, concurrency: int) -> World:
    with JobService() as service:
        world = World(service, finds=finds, concurrency=concurrency)
        for step in steps:
            world.step(step)
        world.script, world.refuses = {}, set()
        run = world.run()
        assert run is not None and run.status == "success"
        assert world.held == world.model
        submitted = len(service.jobs)
        run = world.run()
        assert run is not None and run.status == "success"
        assert len(service.jobs) == submitted, "nothing is left to send"
        assert len({job.job_id for job in service.jobs.values()}) == submitted
        return world


SETTINGS = settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@SETTINGS
@given(st.lists(STEP, min_size=1, max_size=3), st.integers(1, 4), st.booleans())
def test_jobs_converge_whatever_goes_wrong(
    steps: list[dict[str, Any]], concurrency: int, finds: bool
) -> None:
    converges(steps, finds=finds, concurrency=concurrency)


@SETTINGS
@given(st.lists(STEP, min_size=1, max_size=3), st.integers(1, 4))
def test_nothing_is_sent_twice_where_every_outcome_can_be_asked_for(
    steps: list[dict[str, Any]], concurrency: int
) -> None:
    for step in steps:
        step["fates"] = [None if fate == "unknown" else fate for fate in step["fates"]]
        while step["poll"].count("garbage") > 2:  # then the outcome counts as one that can't be read
            step["poll"].remove("garbage")
    world = converges(steps, finds=True, concurrency=concurrency)
    times: Counter[tuple[str, str]] = Counter()
    for (operation, row_id), number in world.service.effects.items():
        times["removed" if operation == "removed" else "written", row_id] += number
    for what, number in times.items():
        assert number <= world.versions[what], what


def test_the_service_loses_answers_and_the_oracle_sees_it() -> None:
    """The oracle would see nothing if the faults took no effect."""
    step: dict[str, Any] = {
        "write": {1: 1, 2: 2, 3: 3, 4: 4},
        "remove": set(),
        "submit": ["lost", "lost"],
        "poll": ["cut", "busy"],
        "find": ["busy"],
        "fates": [],
        "refuses": set(),
        "kill": (Step.JOB, "after", 3),
    }
    world = converges([step], finds=True, concurrency=1)
    assert world.service.asked["find"] == 3, "two by the run that died, one by its successor"
    assert set(world.service.effects.values()) == {1} and len(world.service.effects) == 4
