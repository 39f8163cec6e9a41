"""How a run shows that it goes on: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from warehouse_cdc.cli import output

if TYPE_CHECKING:
    from warehouse_cdc import Progress

_SECONDS_BETWEEN_LINES = 10.0
_PHASES = {
    "queued": "starting",
    "querying": "comparing the model with what was delivered",
    "processing": "sending",
    "reporting": "writing the audit tables",
}


class Reporter(Protocol):
    """Takes note of a run's progress."""

    def __call__(self, progress: Progress) -> None:
        """Note where the run is."""


def reporter(sync_id: str, *, quiet: bool) -> AbstractContextManager[Reporter | None]:
    """What shows a run's progress on stderr.

    Args:
        sync_id: The sync.
        quiet: Whether to write nothing where no terminal is.
    """
    if output.stderr_is_terminal():
        return _BarReporter(sync_id)
    return nullcontext(None) if quiet else nullcontext(LineReporter(sync_id))


class _Rate:
    """Operations a second since the sending began."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.last = 0.0

    def of(self, progress: Progress) -> float:
        if progress.phase == "processing":
            now = time.monotonic()
            self.since = now if self.since is None else self.since
            if now - self.since > 0.5:
                self.last = progress.done / (now - self.since)
        return self.last


class LineReporter:
    """A line at each new phase and operation, and every ten seconds in between."""

    def __init__(self, sync_id: str) -> None:
        """Start to count the time."""
        self.sync_id = output.clean(sync_id)
        self.rate = _Rate()
        self.last: tuple[str, str | None] | None = None
        self.written = 0.0

    def __call__(self, progress: Progress) -> None:
        """Note where the run is."""
        rate = self.rate.of(progress)
        stage = (progress.phase, progress.operation)
        now = time.monotonic()
        if stage == self.last and now - self.written < _SECONDS_BETWEEN_LINES:
            return
        self.last, self.written = stage, now
        line = f"{self.sync_id}: {_PHASES.get(progress.phase, progress.phase)}"
        if progress.phase == "processing":
            line += f" {progress.operation or ''}: {progress.done:,} of {progress.total:,}"
            line += f", {progress.failed:,} failed"
            line += f", {rate:,.0f}/s" if rate else ""
        output.tell(line)


class _Count(ProgressColumn):
    """Operations done, failed and done a second."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        failed = int(task.fields["failed"])
        return Text.assemble(
            (f"{int(task.completed):,}/{int(task.total):,}", "bold"),
            (f"  {failed:,} failed", "yellow" if failed else "dim"),
            (f"  {task.fields['rate']:,.0f}/s" if task.fields["rate"] else "", "cyan"),
        )


class _BarReporter:
    """A progress bar that goes away when the run ends."""

    def __init__(self, sync_id: str) -> None:
        self.sync_id = output.clean(sync_id)
        self.rate = _Rate()
        self.bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Count(),
            TimeElapsedColumn(),
            console=output.err,
            transient=True,
        )
        self.task = self.bars.add_task(self.sync_id, total=None, failed=0, rate=0.0)

    def __enter__(self) -> _BarReporter:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def __call__(self, progress: Progress) -> None:
        phase = (
            progress.operation if progress.phase == "processing" and progress.operation else progress.phase
        )
        counting = progress.phase in ("processing", "reporting")
        self.bars.update(
            self.task,
            description=f"{self.sync_id} {phase}",
            total=progress.total if counting else None,
            completed=progress.done,
            failed=progress.failed,
            rate=self.rate.of(progress),
        )
