"""One batch on its way: attempts, pauses, and what became of each row."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tenacity.wait import wait_random_exponential

from warehouse_cdc.destinations.base import Batch, Outcome, Outcomes, Writer, retryable, unknown
from warehouse_cdc.errors import AuthenticationError, DestinationError, LeaseLostError
from warehouse_cdc.sync import Sync


@dataclass
class Sent:
    """What became of a batch.

    Attributes:
        failures: Position to (outcome, reason, permanent, attempts) of rows that failed; outcome is
            ``failed`` or ``unknown``.
        unsent: Positions that were never attempted.
        fatal: Why the run can't go on, or None.
    """

    failures: dict[int, tuple[str, str, bool, int]] = field(default_factory=dict)
    unsent: list[int] = field(default_factory=list)
    fatal: str | None = None


@dataclass(frozen=True)
class Call:
    """A call under way.

    Attributes:
        began: When, by the monotonic clock.
        positions: The rows of the batch that it sends.
        attempt: Which attempt it is.
        failures: What became of the batch's rows before.
    """

    began: float
    positions: tuple[int, ...]
    attempt: int
    failures: dict[int, tuple[str, str, bool, int]]


class Sender:
    """Sends batches with retries; called from several threads."""

    def __init__(
        self, sync: Sync, writer: Writer, check_lease: Callable[[], None], cancelled: threading.Event
    ) -> None:
        """Prepare for one run."""
        self._sync = sync
        self._writer = writer
        self._check_lease = check_lease
        self._stop = cancelled
        self._wait = wait_random_exponential(multiplier=sync.retry_wait, max=sync.retry_wait_max)
        self.stopped = threading.Event()
        """Set when the run can't go on: no new batch starts."""
        self.calls: dict[int, Call] = {}
        """Number of a batch to its call under way."""

    def send(self, batch: Batch, number: int) -> Sent:
        """Send a batch until each row has an outcome, the attempts are used up or the run stops.

        Args:
            batch: The rows.
            number: Tells the batch from others under way, in ``calls``.

        Raises:
            LeaseLostError: The lease was over before an attempt.
        """
        sent = Sent()
        pending = list(range(len(batch)))
        tainted: set[int] = set()
        for attempt in range(1, self._sync.max_attempts + 1):
            if attempt == 1 and (self._stop.is_set() or self.stopped.is_set()):
                sent.unsent = pending
                return sent
            part = batch if len(pending) == len(batch) else batch.take(pending)
            self._check_lease()
            self.calls[number] = Call(time.monotonic(), tuple(pending), attempt, dict(sent.failures))
            answer = self._attempt(part, attempt, number)
            outcomes, last = answer.outcomes, attempt == self._sync.max_attempts
            again = []
            for position in pending if sent.failures else ():
                sent.failures.pop(position, None)
            for index, outcome in sorted(outcomes.items()):
                position = pending[index]
                if outcome.status == "unknown":
                    tainted.add(position)
                self._note(sent, position, outcome, position in tainted, attempt)
                if outcome.status != "rejected":
                    again.append(position)
            pending = again
            fatal = answer.fatal or (answer.unreachable if last else None)
            if fatal:
                sent.fatal = printable(without_values(fatal, part))
                self.stopped.set()
            if not pending or sent.fatal or last or not self._pause(attempt, answer.pause):
                return sent
        return sent

    @staticmethod
    def _note(sent: Sent, position: int, outcome: Outcome, tainted: bool, attempt: int) -> None:
        """One unknown attempt makes the operation's outcome unknown (D10)."""
        kind = "unknown" if tainted else "failed"
        reason = printable(outcome.reason) or "no reason given"
        sent.failures[position] = (kind, reason, outcome.permanent, attempt)

    def _attempt(self, batch: Batch, attempt: int, number: int) -> _Answer:
        """One call."""
        if attempt > 1:
            batch = batch.take(range(len(batch)), attempt=attempt)
        try:
            return _Answer(self._checked(batch, self._writer.write(batch)))
        except AuthenticationError as error:
            return _Answer(_all(batch, Outcome("rejected", error.message)), fatal=error.message)
        except LeaseLostError:
            raise
        except DestinationError as error:
            if error.outcome_unknown:
                return _Answer(_all(batch, unknown(error.message)), pause=error.retry_after)
            if not error.retryable:
                return _Answer(_all(batch, Outcome("rejected", error.message)))
            outcomes = _all(batch, retryable(error.message))
            return _Answer(outcomes, pause=error.retry_after, unreachable=error.message)
        except Exception as error:
            # Whatever a writer did before it failed is not known; the type says enough for a reason.
            return _Answer(_all(batch, unknown(f"{type(error).__name__} in the destination")))
        finally:
            self.calls.pop(number, None)

    @staticmethod
    def _checked(batch: Batch, outcomes: Outcomes) -> Outcomes:
        known = isinstance(outcomes, Mapping) and all(
            isinstance(position, int)
            and 0 <= position < len(batch)
            and isinstance(outcome, Outcome)
            and outcome.status in ("retryable", "rejected", "unknown")
            for position, outcome in outcomes.items()
        )
        if not known:
            raise DestinationError(
                "The writer didn't answer with outcomes of the batch's rows.", outcome_unknown=True
            )
        return outcomes

    def _pause(self, attempt: int, asked: float | None) -> bool:
        """Wait before the next attempt; False if the run stops meanwhile."""
        if asked is not None:
            seconds = min(asked, self._sync.retry_wait_max) * (1 + random.random() / 10)
        else:
            seconds = self._wait(_Attempt(attempt))  # type: ignore[arg-type]
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(left, 0.1)) or self.stopped.is_set():
                return False
        return not (self._stop.is_set() or self.stopped.is_set())


@dataclass(frozen=True)
class _Answer:
    """What one call brought.

    Attributes:
        outcomes: Of the rows that didn't succeed, by position.
        fatal: Why the run can't go on.
        pause: Seconds that the destination asks to wait.
        unreachable: Why the call as a whole failed; fatal if it was the last attempt (D21).
    """

    outcomes: Outcomes
    fatal: str | None = None
    pause: float | None = None
    unreachable: str | None = None


@dataclass(frozen=True)
class _Attempt:
    """What tenacity's waits look at."""

    attempt_number: int


def without_values(message: str, batch: Batch) -> str:
    """A message for logs and ``sync_runs``, with whatever the batch's rows hold taken out (D27)."""
    texts = {text for row in batch.rows for value in row.values() for text in _leaves(value)}
    for text in sorted({*texts, *batch.row_ids}, key=len, reverse=True):
        if len(text) > 1:
            message = message.replace(text, "…")
    return message


def _leaves(value: object) -> Iterator[str]:
    """The texts of a value and of all that it holds."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _leaves(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _leaves(part)
    elif value is not None:
        yield str(value)


def printable(text: str) -> str:
    """A text that UTF-8 can hold."""
    return str(text).encode("utf-8", "replace").decode()


def _all(batch: Batch, outcome: Outcome) -> Outcomes:
    return dict.fromkeys(range(len(batch)), outcome)
