"""How fast a destination may be called: windows of calls and rows, and pauses that it asks for."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from warehouse_cdc.errors import ConfigError

_UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_WINDOW = re.compile(r"(\d{1,15})\s*(?:/|\s+per\s+)\s*(\d{1,9})?\s*(second|minute|hour|day)s?", re.IGNORECASE)
CLOCKS = 1.001
"""Two machines' clocks may run so much apart."""
_LOOK = 0.2
"""Seconds between two looks at whether waiting is to stop."""
COARSE = 1 / 1000
"""Calls that end within this part of a window are kept as one, so that long windows cost little memory."""


@dataclass(frozen=True)
class Window:
    """At most ``limit`` calls, or rows, in any ``seconds``."""

    limit: int
    seconds: float
    rows: bool = False


def windows(rate: str | None, row_rate: str | None) -> tuple[Window, ...]:
    """The windows of two rates as text: ``100/second``, ``5 per 10 minutes``, ``10/second; 500/minute``.

    Raises:
        ConfigError: A text is no rate.
    """
    return (*_windows(rate, rows=False), *_windows(row_rate, rows=True))


def _windows(text: str | None, *, rows: bool) -> Iterator[Window]:
    if text is None:
        return
    for part in str(text).split(";"):
        found = _WINDOW.fullmatch(part.strip())
        if found is None or int(found[1]) < 1 or found[2] == "0":
            raise ConfigError(
                f"{'row_rate' if rows else 'rate'} {text!r} can't be understood.",
                code="sync-rate",
                hint='Write for example "100/second", "5 per 10 minutes" or "10/second; 500/minute".',
            )
        yield Window(int(found[1]), int(found[2] or 1) * _UNITS[found[3].lower()], rows)


@dataclass
class _Ended:
    """Calls that ended at about the same time, and when their places are free again."""

    first: float
    last: float
    weight: int
    own: bool = True


@dataclass(frozen=True)
class Usage:
    """What is taken of each window, by a clock that only counts from now.

    Attributes:
        windows: For each window, (seconds until it is free, calls or rows, whether they are its own).
        pause: Seconds in which no call may begin.
    """

    windows: tuple[tuple[tuple[float, int, bool], ...], ...] = ()
    pause: float = 0.0


@dataclass
class _Used:
    """What of a window is taken: by calls under way, and by those that ended less than its time ago."""

    window: Window
    busy: int = 0
    ended: deque[_Ended] = field(default_factory=deque)
    resting: int = 0

    def free_in(self, weight: int, now: float) -> float | None:
        """Seconds until so much is free; None if that depends on a call under way."""
        while self.ended and self.ended[0].last <= now:
            self.resting -= self.ended.popleft().weight
        over = self.busy + self.resting + weight - self.window.limit
        if over <= 0:
            return 0.0
        for calls in self.ended:
            over -= calls.weight
            if over <= 0:
                return calls.last - now
        return None

    def rest(self, weight: int, now: float) -> None:
        """A call ended: its place is free after the window's time."""
        self.busy -= weight
        self.resting += weight
        at = now + self.window.seconds * CLOCKS
        if self.ended and self.ended[-1].own and at - self.ended[-1].first < self.window.seconds * COARSE:
            self.ended[-1].last = at
            self.ended[-1].weight += weight
        else:
            self.ended.append(_Ended(at, at, weight))


class Place:
    """A call's place in a limiter, which it leaves once."""

    def __init__(self, limiter: Limiter, rows: int) -> None:
        """Hold it."""
        self._limiter: Limiter | None = limiter
        self._rows = rows
        self._lock = threading.Lock()

    def leave(self) -> None:
        """The call has ended, or nobody waits for it any more."""
        with self._lock:
            limiter, self._limiter = self._limiter, None
        if limiter is not None:
            limiter.leave(self._rows)


class Limiter:
    """Keeps calls within every window of the destination's.

    A destination counts a call when it arrives, at some moment between the call's beginning and its end here.
    So a call's place is free again a whole window after the call has *ended*: however much latencies differ,
    no window at the other side ever holds more than its limit.
    """

    def __init__(self, windows: Sequence[Window] = ()) -> None:
        """Begin with empty windows."""
        self._used = [_Used(window) for window in windows]
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._not_before = 0.0

    @property
    def most_rows(self) -> int | None:
        """The most rows that one call may have."""
        return min((each.window.limit for each in self._used if each.window.rows), default=None)

    def pause(self, seconds: float) -> None:
        """Let no call begin for so long."""
        with self._changed:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def assume(self, rows: int, seconds: float) -> None:
        """Take it that another process has made calls until then, unless this one has made some since.

        How many isn't known, with repeats and halves: each window is taken to be full.

        Args:
            rows: Rows that it had to send; if there were none, it has made no call.
            seconds: How long ago its last call ended.
        """
        with self._changed:
            now = time.monotonic()
            for used in self._used:
                left = used.window.seconds * CLOCKS - seconds
                used.free_in(0, now)  # forgets what was long ago
                if rows and left > 0 and not used.ended and not used.busy:
                    used.resting += used.window.limit
                    used.ended.append(_Ended(now + left, now + left, used.window.limit))

    def usage(self, *, own: bool = True) -> Usage:
        """What is taken, for a limiter that goes on elsewhere; calls under way as if they ended now.

        Args:
            own: Whether the calls that this one has seen count as that one's own.
        """
        with self._changed:
            now = time.monotonic()
            taken = []
            for used in self._used:
                used.free_in(0, now)
                busy = ((used.window.seconds * CLOCKS, used.busy, own),) if used.busy else ()
                ended = ((each.last - now, each.weight, own and each.own) for each in used.ended)
                taken.append((*ended, *busy))
            return Usage(tuple(taken), max(0.0, self._not_before - now))

    def resume(self, usage: Usage, *, own: bool = False) -> None:
        """Count what another limiter of the same windows, or of shares of them, has taken until now.

        Args:
            usage: What it has taken.
            own: Only what is its own: the rest was counted here.
        """
        self.pause(usage.pause)
        with self._changed:
            now = time.monotonic()
            for used, taken in zip(self._used, usage.windows, strict=False):
                found = [
                    _Ended(now + left, now + left, weight, mine)
                    for left, weight, mine in taken
                    if mine or not own
                ]
                used.resting += sum(each.weight for each in found)
                used.ended = deque(sorted((*used.ended, *found), key=lambda each: each.last))

    @contextmanager
    def call(self, rows: int, stopped: Callable[[], bool]) -> Iterator[Place | None]:
        """Wait for a call's turn, and hold its place while it lasts, or until that is given back before.

        Args:
            rows: Rows of the call.
            stopped: Whether to give up waiting.

        Yields:
            The call's place; None if it was stopped and may not be made.
        """
        if not self._enter(rows, stopped):
            yield None
            return
        place = Place(self, rows)
        try:
            yield place
        finally:
            place.leave()

    def _enter(self, rows: int, stopped: Callable[[], bool]) -> bool:
        # One after the other, so that large batches don't starve behind small ones.
        while not self._turn.acquire(timeout=_LOOK):
            if stopped():
                return False
        try:
            while not stopped():
                with self._changed:
                    now = time.monotonic()
                    waits = [each.free_in(self._weight(each, rows), now) for each in self._used]
                    wait = max((_LOOK if each is None else each for each in waits), default=0.0)
                    wait = max(wait, self._not_before - now)
                    if wait <= 0:
                        for each in self._used:
                            each.busy += self._weight(each, rows)
                        return True
                    self._changed.wait(min(wait, _LOOK))
        finally:
            self._turn.release()
        return False

    def leave(self, rows: int) -> None:
        """A call of so many rows has ended."""
        with self._changed:
            for each in self._used:
                each.rest(self._weight(each, rows), time.monotonic())
            self._changed.notify_all()

    @staticmethod
    def _weight(used: _Used, rows: int) -> int:
        return min(rows, used.window.limit) if used.window.rows else 1


def share(windows: Sequence[Window], parts: int) -> tuple[Window, ...]:
    """What each of several parts may use of each window.

    Raises:
        ConfigError: There is less in one than parts (code ``sync-rate``).
    """
    for window in windows:
        if window.limit < parts:
            raise ConfigError(
                f"{parts} parts can't share a rate of {window.limit}.",
                code="sync-rate",
                hint="Use fewer parts, or write the rate over a longer time.",
            )
    return tuple(replace(window, limit=window.limit // parts) for window in windows)


_SHARED: dict[tuple[str, tuple[Window, ...]], Limiter] = {}
_LOCK = threading.Lock()


def limiter(owner: str, windows: tuple[Window, ...]) -> Limiter:
    """This process's limiter of a sync, or of all syncs that share a name: it outlives the run."""
    with _LOCK:
        return _SHARED.setdefault((owner, windows), Limiter(windows))
