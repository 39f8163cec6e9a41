"""The durable steps of a run, in order: the one table that crash tests and progress reports walk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum


class Step(str, Enum):
    """A step of a run. Each is one durable change, except ``READ`` and ``SEND``."""

    CLAIM = "claim"
    """The sync's generation is taken, by compare-and-set on its lease."""
    CLOSE = "close"
    """An interrupted run is ended: what became of its operations is in the journal."""
    COLLECT = "collect"
    """Tables of earlier runs that nothing points to are dropped."""
    COPY_MODEL = "copy_model"
    """The model's rows are in a table of the run's own, because they can't be read twice."""
    WRITE_PLAN = "write_plan"
    """The plan table exists."""
    RESOLVE = "resolve"
    """The plan table has one row per key."""
    JOURNAL_PLAN = "journal_plan"
    """The plan is in the journal, and there is a table for its rejections: from here on it is the state."""
    READ = "read"
    """A part of the plan was read and its result closed."""
    JOB = "job"
    """Jobs are in the journal: the ids of those to be submitted, the handles of those that were."""
    SEND = "send"
    """A batch went to the destination."""
    REJECTIONS = "rejections"
    """The rejections of a unit that is published as a whole are stored."""
    PUBLISH = "publish"
    """A unit took effect at the destination."""
    CHECKPOINT = "checkpoint"
    """A chunk's rejections and its checkpoint are stored."""
    DELIVERED = "delivered"
    """How delivery ended is in the journal."""
    CHANGELOG = "changelog"
    """The changelog has the run's operations."""
    SNAPSHOT = "snapshot"
    """The snapshot shows what the run left."""
    SYNC_RUNS = "sync_runs"
    """The run's row is in sync_runs."""
    COMMIT = "commit"
    """The generation has ended, by compare-and-set."""


Observer = Callable[[Step, str], None]
"""Called with a step, and ``before`` or ``after``."""


def ignore(step: Step, moment: str) -> None:
    """The observer that does nothing."""


@contextmanager
def observed(observer: Observer, step: Step) -> Iterator[None]:
    """Tell the observer before and after a step."""
    observer(step, "before")
    yield
    observer(step, "after")
