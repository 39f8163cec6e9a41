"""The journal: what every run of a sync did, read from its ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone

from ulid import ULID

from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.state import Finished

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

CLAIMED = "claimed"
PLANNED = "planned"
CHECKPOINT = "checkpoint"
DELIVERED = "delivered"
COMMITTED = "committed"
FAILED = "failed"


@dataclass
class Generation:
    """One claim of a sync, and what became of it.

    Attributes:
        number: The generation.
        run_id: The run that claimed it.
        started_at: When, by the warehouse's clock.
        recorded_at: When its newest entry was made.
        entries: Number of the next journal entry.
        plan: Its plan, once journaled.
        progress: Its last checkpoint, or how delivery ended.
        delivered: Whether delivery has ended.
        ended: How it ended; None while it is open. A generation without a plan ends as ``failed``.
        committed: Whether its plan became the state.
    """

    number: int
    run_id: str
    started_at: datetime
    recorded_at: datetime = EPOCH
    entries: int = 1
    plan: PlanRecord | None = None
    progress: Ended = field(default_factory=lambda: Ended("interrupted", "interrupted"))
    delivered: bool = False
    ended: Ended | None = None
    committed: bool = False

    @property
    def finished(self) -> Finished | None:
        """Its plan and how it ended, once it has."""
        if self.plan is None or self.ended is None:
            return None
        return Finished(self.run_id, self.plan, self.ended)


@dataclass(frozen=True)
class History:
    """A sync's generations, in order."""

    generations: tuple[Generation, ...]

    @property
    def last(self) -> Generation | None:
        """The newest generation."""
        return self.generations[-1] if self.generations else None

    @property
    def committed(self) -> Generation | None:
        """The newest generation that was committed."""
        return next((g for g in reversed(self.generations) if g.committed), None)

    @property
    def state(self) -> Generation | None:
        """The newest generation whose plan is the state: one with nothing to plan left it where it was."""
        return next(
            (g for g in reversed(self.generations) if g.committed and g.plan and g.plan.plan_table), None
        )

    @property
    def base(self) -> Generation | None:
        """The generation of the full plan that the state rests on."""
        state = self.state
        if state is None or state.plan is None or state.plan.base is None:
            return state
        return next((g for g in self.generations if g.number == state.plan.base), None)

    @property
    def last_plan(self) -> PlanRecord | None:
        """The plan of the newest generation that was committed."""
        return self.committed.plan if self.committed is not None else None

    @property
    def state_plan(self) -> Finished | None:
        """The newest plan that holds state."""
        return self.state.finished if self.state is not None else None

    @property
    def base_plan(self) -> Finished | None:
        """The full plan that the state rests on."""
        return self.base.finished if self.base is not None else None

    @property
    def plans(self) -> tuple[Finished, ...]:
        """The plans that the state consists of: the full one, and the newest of differences."""
        plans = {plan.run_id: plan for plan in (self.base_plan, self.state_plan) if plan is not None}
        return tuple(plans.values())

    @property
    def open(self) -> tuple[Generation, ...]:
        """The generations that have not ended; more than one if a run died while it closed another."""
        return tuple(g for g in self.generations if g.ended is None)


Row = tuple[int, int, str, str, datetime, str]


def fold(rows: Iterable[Row]) -> History:
    """Read journal rows (generation, entry, run id, event, recorded at, data), in order."""
    generations: dict[int, Generation] = {}
    for number, entry, run_id, event, recorded_at, data in rows:
        if event == CLAIMED:
            generations[number] = Generation(number, run_id, recorded_at, recorded_at)
            continue
        generation = generations.setdefault(number, Generation(number, run_id, recorded_at))
        generation.entries, generation.recorded_at = entry + 1, recorded_at
        if event == PLANNED:
            generation.plan = PlanRecord.from_json(data)
        else:
            ended = Ended.from_json(data)
            if ended.jobs:
                jobs = {job.id: job for job in (*generation.progress.jobs, *ended.jobs)}
                ended = replace(ended, jobs=tuple(jobs.values()))
            generation.progress = ended
            generation.delivered = generation.delivered or event in (DELIVERED, COMMITTED)
            if event in (COMMITTED, FAILED):
                generation.ended = ended
                generation.committed = event == COMMITTED
    return History(tuple(generations[number] for number in sorted(generations)))


def next_run_id(last: str | None) -> str:
    """A ULID that sorts after the last one, also if the clock stepped back (D19)."""
    fresh = ULID()
    if last is not None and str(fresh) <= last:
        fresh = ULID.from_int(int(ULID.from_str(last)) + 1)
    return str(fresh)
