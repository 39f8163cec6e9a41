"""A destination whose calls are watched, and fail as they are told."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Destination,
    JobWriter,
    Outcomes,
    RunContext,
    Writer,
)
from warehouse_cdc.errors import DestinationError

T = TypeVar("T")
Write = Callable[[], Outcomes]
Fault = Callable[[Write], Outcomes]
"""Makes a call, or doesn't, and answers in its place."""


def usual(write: Write) -> Outcomes:
    """Nothing goes wrong."""
    return write()


def unmade(write: Write) -> Outcomes:
    """The call doesn't get there."""
    raise DestinationError("The call was not made.")


def lost(write: Write) -> Outcomes:
    """The call takes effect, and its answer is lost."""
    write()
    raise DestinationError("The answer was lost.", outcome_unknown=True)


def crashed(write: Write) -> Outcomes:
    """The call takes effect, and then the writer fails as nobody expects."""
    write()
    raise RuntimeError("the writer failed")


def twice(write: Write) -> Outcomes:
    """The same batch comes twice, as after an answer that was lost."""
    write()
    return write()


@dataclass
class Watch:
    """What a watched destination did in a run, and what is to go wrong.

    Attributes:
        fault: What goes wrong with a call, by its number from 0.
        publishing: What goes wrong with a publication, by its number from 0.
        before_publishing: Called before each publication.
        rows: Operation and number of rows of each call.
        published: The operations that were published.
        most_at_once: The most calls that were under way at once.
        lines: The most lines that ran in the ``counted`` files in a call of ``write`` (or ``submit``) and of
            ``publish``.
        shown: What the destination and its writer show of themselves.
        denied: Jobs that were submitted, and of which ``find`` said that they weren't.
    """

    fault: Callable[[int], Fault] = lambda number: usual
    publishing: Callable[[int], Fault] = lambda number: usual
    before_publishing: Callable[[str], None] = lambda operation: None
    rows: list[tuple[str, int]] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    most_at_once: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    counted: tuple[str, ...] = ()
    _submitted: set[str] = field(default_factory=set)
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, writer: Writer, batch: Batch) -> Outcomes:
        """A call of the writer."""
        return self._called(batch, lambda again: writer.write(again))

    def submit(self, writer: JobWriter, batch: Batch, job_id: str) -> str:
        """A call of the writer that submits a job."""
        handles: list[str] = []

        def submit(again: Batch) -> Outcomes:
            handles.append(writer.submit(again, job_id))
            self._submitted.add(job_id)
            return {}

        self._called(batch, submit)
        return handles[-1]

    def find(self, writer: JobWriter, batch: Batch, job_id: str) -> str | None:
        """A question for a job."""
        handle = writer.find(batch, job_id)
        if handle is None and job_id in self._submitted:
            self.denied.append(job_id)
        return handle

    def _called(self, batch: Batch, call: Callable[[Batch], Outcomes]) -> Outcomes:
        with self._lock:
            number = len(self.rows)
            self.rows.append((batch.operation, len(batch)))
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        made = 0

        def write() -> Outcomes:
            nonlocal made
            made += 1
            again = batch.take(range(len(batch)), attempt=batch.attempt + made - 1)
            return self._counted("write", lambda: call(batch if made == 1 else again))

        try:
            return self.fault(number)(write)
        finally:
            with self._lock:
                self._under_way -= 1

    def _counted(self, what: str, call: Callable[[], T]) -> T:
        if not self.counted:
            return call()
        with running(self.counted) as lines:
            answer = call()
        self.lines[what] = max(lines.seen, self.lines.get(what, 0))
        return answer

    def publish(self, writer: Writer, operation: str) -> None:
        """A publication by the writer."""
        number = len(self.published)
        self.published.append(operation)
        self.before_publishing(operation)

        def publish() -> Outcomes:
            self._counted("publish", lambda: writer.publish(operation))
            return {}

        self.publishing(number)(publish)


class Watched(Destination):
    """Another destination, with a watch on it."""

    def __init__(self, inner: Destination, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        watch.shown += [repr(inner), inner.name]

    @property
    def name(self) -> str:
        """Its name."""
        return self._inner.name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._inner.capabilities

    def check(self, context: RunContext) -> None:
        """Its check."""
        self._inner.check(context)

    def publishes(self, mode: str) -> bool:
        """Whether it does."""
        return self._inner.publishes(mode)

    def open(self, context: RunContext) -> Writer:
        """A watched writer."""
        writer = self._inner.open(context)
        self._watch.shown.append(repr(writer))
        if isinstance(writer, JobWriter):
            return _WatchedJobs(writer, self._watch)
        return _WatchedWriter(writer, self._watch)

    def published(self, context: RunContext, operation: str) -> bool | None:
        """What it says."""
        return self._inner.published(context, operation)


class _WatchedWriter(Writer):
    def __init__(self, inner: Writer, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def write(self, batch: Batch) -> Outcomes:
        return self._watch.write(self._inner, batch)

    def publish(self, operation: str) -> None:
        self._watch.publish(self._inner, operation)

    def close(self) -> None:
        self._inner.close()


class _WatchedJobs(JobWriter):
    def __init__(self, inner: JobWriter, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def submit(self, batch: Batch, job_id: str) -> str:
        return self._watch.submit(self._inner, batch, job_id)

    def poll(self, batch: Batch, handle: str) -> Outcomes | None:
        return self._inner.poll(batch, handle)

    def find(self, batch: Batch, job_id: str) -> str | None:
        return self._watch.find(self._inner, batch, job_id)

    def close(self) -> None:
        self._inner.close()


class Lines:
    """Counts the lines that run in some files, and may act at one of them."""

    def __init__(self, roots: tuple[str, ...], at: int, act: Callable[[], None]) -> None:
        self.seen = 0
        self._roots = roots
        self._at = at
        self._act = act

    def entered(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Called for each function that is entered."""
        return self._line if frame.f_code.co_filename.startswith(self._roots) else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.seen += 1
            if self.seen == self._at:
                self._act()
        return self._line


@contextmanager
def running(roots: tuple[str, ...], at: int = 0, act: Callable[[], None] = lambda: None) -> Iterator[Lines]:
    """Count this thread's lines of some files while the block runs; act when so many have run."""
    before, lines = sys.gettrace(), Lines(roots, at, act)
    sys.settrace(lines.entered)
    try:
        yield lines
    finally:
        sys.settrace(before)


def files_of(*classes: type) -> tuple[str, ...]:
    """The files that belong to classes: the package of each, or its module if that is in no package."""
    found = []
    for each in classes:
        file, module = inspect.getfile(each), sys.modules[each.__module__]
        package = sys.modules.get(module.__name__.partition(".")[0])
        folders = list(getattr(package, "__path__", ()))
        found += [str(Path(folder)) for folder in folders] or [file]
    return tuple(found)
