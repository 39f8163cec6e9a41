"""One batch on its way: attempts, pauses, and what became of each row."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tenacity.wait import wait_random_exponential

from warehouse_cdc.destinations.base import Batch, Outcome, Outcomes, Writer, retryable, unknown
from warehouse_cdc.destinations.exchanges import recorded
from warehouse_cdc.destinations.spelling import hiding, spellings
from warehouse_cdc.engine import telemetry
from warehouse_cdc.engine.request_log import RequestLog
from warehouse_cdc.errors import (
    AuthenticationError,
    DestinationError,
    LeaseLostError,
    PayloadTooLargeError,
    RateLimitedError,
)
from warehouse_cdc.limits import Limiter, Place
from warehouse_cdc.sync import Sync


@dataclass
class Sent:
    """What became of a batch.

    Attributes:
        failures: Position to (outcome, reason, permanent, attempts) of rows that failed; outcome is
            ``failed`` or ``unknown``; permanent is None if the row itself was not refused.
        unsent: Positions that were never attempted.
        cut: Positions among the failures that would have been tried again, had the sender not been
            stopped, to the first position of those that would have gone together.
        fatal: Why the run can't go on, or None.
    """

    failures: dict[int, tuple[str, str, bool | None, int]] = field(default_factory=dict)
    unsent: list[int] = field(default_factory=list)
    cut: dict[int, int] = field(default_factory=dict)
    fatal: str | None = None

    def note(self, position: int, outcome: Outcome, attempt: int, *, tainted: bool, own: bool) -> None:
        """Take down how a row failed.

        Args:
            position: The row's.
            outcome: What its last attempt came to.
            attempt: Which one that was.
            tainted: One unknown attempt makes the operation's outcome unknown (D10).
            own: Whether it was refused by itself.
        """
        reason = printable(outcome.reason) or "no reason given"
        kind = "unknown" if tainted else "failed"
        self.failures[position] = (kind, reason, bool(outcome.permanent) if own else None, attempt)


@dataclass(frozen=True)
class Piece:
    """Some of a batch's rows that go together.

    Attributes:
        rows: Their positions in the batch.
        tries: How often each of them was sent before.
        used: How many of these were attempts of this call; halves of one that was refused begin afresh.
    """

    rows: Sequence[int]
    tries: int = 0
    used: int = 0


@dataclass(frozen=True)
class Call:
    """A call under way.

    Attributes:
        began: When, by the monotonic clock.
        positions: The rows of the batch that it sends.
        attempt: Which attempt it is.
        failures: What became of the batch's rows before.
        unsent: Its rows that were not attempted yet.
        place: Its place in the limiter.
    """

    began: float
    positions: Sequence[int]
    attempt: int
    failures: dict[int, tuple[str, str, bool | None, int]]
    unsent: tuple[int, ...]
    place: Place


@dataclass(frozen=True)
class Standing:
    """What a sender has learned of the destination.

    Attributes:
        failing: How many calls in a row failed as a whole.
        budget: Repeats that are left; None without a limit.
        most_rows: The most rows that a call may have; None without a limit.
    """

    failing: int = 0
    budget: int | None = None
    most_rows: int | None = None


class Sender:
    """Sends batches with retries; called from several threads."""

    def __init__(
        self,
        sync: Sync,
        writer: Writer,
        limiter: Limiter,
        check_lease: Callable[[], None],
        cancelled: threading.Event,
        log: RequestLog | None = None,
        standing: Standing | None = None,
    ) -> None:
        """Prepare for one run, or to go on where another sender has stopped."""
        self._sync = sync
        self._writer = writer
        self._limiter = limiter
        self._check_lease = check_lease
        self._stop = cancelled
        self._log = log
        self._wait = wait_random_exponential(multiplier=sync.retry_wait, max=sync.retry_wait_max)
        self._splits = sync.splits
        standing = standing or Standing(budget=sync.retry_budget, most_rows=limiter.most_rows)
        self._budget = standing.budget
        self._most_rows = standing.most_rows
        self._failing = standing.failing
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        """Set when the run can't go on: no new batch starts."""
        self.tainted: frozenset[str] = frozenset()
        """Ids of rows that earlier attempts may have applied: they go again only as they went."""
        self.calls: dict[int, Call] = {}
        """Number of a batch to its call under way."""

    def send(self, batch: Batch, number: int) -> Sent:
        """Send a batch until each row has an outcome, the attempts are used up or the run stops.

        A batch that was refused as a whole is halved until each of its rows has an outcome of its own, if the
        destination takes that; one that is too large is halved anyway. What may have been applied is sent
        again only as it was.

        Args:
            batch: The rows.
            number: Tells the batch from others under way, in ``calls``.

        Raises:
            LeaseLostError: The lease was over before an attempt.
        """
        sent = Sent()
        pieces = [Piece(range(len(batch)))]  # the next one is the last
        tainted = (
            {at for at, row_id in enumerate(batch.row_ids) if row_id in self.tainted}
            if self.tainted
            else set()
        )
        while pieces:
            piece = pieces.pop()
            if self._halted or sent.fatal:
                _leave(piece, sent)
                continue
            held = tainted.intersection(piece.rows) if tainted else set()
            if self._too_many(piece) and not held:
                pieces += _halves(piece)
            else:
                later = [row for each in pieces if not each.tries for row in each.rows]
                pieces += self._piece(batch, piece, number, sent, later, held)
        return sent

    def close(self) -> None:
        """Start no call any more."""
        self.stopped.set()

    @property
    def standing(self) -> Standing:
        """What it has learned so far."""
        with self._lock:
            return Standing(self._failing, self._budget, self._most_rows)

    @property
    def _halted(self) -> bool:
        return self._stop.is_set() or self.stopped.is_set()

    def _piece(
        self,
        batch: Batch,
        piece: Piece,
        number: int,
        sent: Sent,
        later: list[int],
        tainted: set[int],
    ) -> list[Piece]:
        """Send some of a batch's rows until each has an outcome; returns what is to be sent in pieces."""
        for attempt in range(piece.used + 1, self._sync.max_attempts + 1):
            made = self._turn(batch, piece, number, sent, later)
            if made is None:
                _leave(piece, sent)
                return []
            part, answer = made
            pending, tries = piece.rows, piece.tries + 1
            last = attempt == self._sync.max_attempts
            again = []
            if sent.failures:
                for position in pending:
                    sent.failures.pop(position, None)
            for index, outcome in sorted(answer.outcomes.items()):
                position = pending[index]
                if outcome.status == "unknown":
                    tainted.add(position)
                own = answer.refuses(index)
                sent.note(position, outcome, tries, tainted=position in tainted, own=own)
                if outcome.status != "rejected":
                    again.append(position)
            piece = Piece(again, tries, attempt)
            refused = [pending[index] for index in answer.refused]
            last = last or (bool(again) and not self._retries())
            if len(refused) > 1 and not (tainted or answer.fatal) and (self._splits or answer.divisible):
                if answer.too_large:
                    self._shrink((len(refused) + 1) // 2)
                return [*([piece] if again and not last else []), *_halves(Piece(refused, tries))]
            fatal = answer.fatal or self._down(answer, last=last)
            if fatal:
                sent.fatal = printable(without_values(fatal, part))
                self.stopped.set()
            if not again or sent.fatal or last:
                return []
            if not self._pause(attempt, answer):
                _leave(piece, sent)
                return []
        return []

    def _turn(
        self, batch: Batch, piece: Piece, number: int, sent: Sent, later: list[int]
    ) -> tuple[Batch, Answer] | None:
        """One call, once its turn has come, with the rows that it had; None if the run has stopped before."""
        with self._limiter.call(len(piece.rows), lambda: self._halted) as place:
            call = None if place is None else self._begin(number, piece, sent, later, place)
            if call is None:
                return None
            whole = len(piece.rows) == len(batch) and call.attempt == 1
            part = batch if whole else batch.take(piece.rows, attempt=call.attempt)
            return part, self._attempt(part, number)

    def _begin(self, number: int, piece: Piece, sent: Sent, later: list[int], place: Place) -> Call | None:
        """Register a call; None if the run has stopped: what isn't registered by then is never sent."""
        self._check_lease()
        with self._lock:
            if self._halted:
                return None
            call = Call(
                began=time.monotonic(),
                positions=piece.rows,
                attempt=piece.tries + 1,
                failures=dict(sent.failures),
                unsent=(*sent.unsent, *later),
                place=place,
            )
            self.calls[number] = call
            return call

    def give_up(self, number: int) -> Sent | None:
        """Wait no longer for a batch whose call takes too long; None if none does.

        Its rows are unknown; those of the batch that had an outcome before keep it. The run stops.
        """
        with self._lock:
            call = self.calls.get(number)
            if call is None or time.monotonic() - call.began <= self._sync.batch_timeout:
                return None
            self.stopped.set()
        call.place.leave()
        reason = f"no answer within {self._sync.batch_timeout:g} s"
        unknown = {at: ("unknown", reason, False, call.attempt) for at in call.positions}
        return Sent({**call.failures, **unknown}, list(call.unsent), fatal=f"The destination gave {reason}.")

    def _too_many(self, piece: Piece) -> bool:
        return self._most_rows is not None and len(piece.rows) > self._most_rows

    def _shrink(self, rows: int) -> None:
        """Batches from now on have at most so many rows."""
        with self._lock:
            self._most_rows = min(rows, self._most_rows or rows)

    def _retries(self) -> bool:
        """Whether the run may repeat one more call; counts it."""
        with self._lock:
            if self._budget is None:
                return True
            self._budget -= 1
            return self._budget >= 0

    def _down(self, answer: Answer, *, last: bool) -> str | None:
        """Why the destination counts as down, if it does (D21).

        One that can't be reached at all is after a call's last attempt. One that answers may have failed
        because of a row: it takes several calls in a row that failed so to the last.
        """
        with self._lock:
            if answer.failed is None:
                self._failing = 0
                return None
            if not last:
                return None
            if answer.unreachable:
                return answer.failed
            self._failing += 1
            if self._sync.breaker is None or self._failing < self._sync.breaker:
                return None
            return f"{self._failing} calls in a row failed as a whole; the last: {answer.failed}"

    def _attempt(self, batch: Batch, number: int) -> Answer:
        """One call, counted, and kept by the request log."""
        began = time.monotonic()
        with recorded(wanted=self._log is not None) as exchanges:
            answer = self._call(batch, number)
        seconds = time.monotonic() - began
        telemetry.called(
            batch.context.sync_id,
            batch.operation,
            len(batch),
            answer.kind,
            seconds,
            again=batch.attempt > 1,
        )
        if self._log is not None:
            rest = "succeeded" if answer.handle is None else "submitted"
            self._log.keep(batch, answer.outcomes, exchanges, seconds, rest)
        return answer

    def _call(self, batch: Batch, number: int) -> Answer:
        try:
            return self._write(batch, number)
        except LeaseLostError:
            raise
        except DestinationError as error:
            return self._said(batch, error)
        except Exception as error:
            # Whatever a writer did before it failed is not known; the type says enough for a reason.
            reason = f"{type(error).__name__} in the destination"
            return Answer(all_of(batch, unknown(reason)), failed=reason)
        finally:
            self.calls.pop(number, None)

    def _write(self, batch: Batch, number: int) -> Answer:
        return Answer(self._checked(batch, self._writer.write(batch)))

    def _said(self, batch: Batch, error: DestinationError) -> Answer:
        """What an error says of its call's rows: some of them may have outcomes of their own."""
        answer = self._failed(batch, error)
        own = error.outcomes if _known(batch, error.outcomes) else {}
        return replace(
            answer,
            outcomes={**answer.outcomes, **own},
            refused=[index for index in answer.refused if index not in own],
        )

    def _failed(self, batch: Batch, error: DestinationError) -> Answer:
        """What an error says of all rows of its call."""
        message, pause, fatal = error.message, error.retry_after, None
        if isinstance(error, AuthenticationError):
            outcome = unknown(message) if error.outcome_unknown else retryable(message)
            return Answer(all_of(batch, outcome), fatal=message)
        if pause is not None:
            longest = self._sync.retry_after_max
            self._limiter.pause(min(pause, longest))
            if pause > longest:
                asks = f"The destination asks to wait {pause:g} s (retry_after_max: {longest:g})."
                fatal = f"{without_values(message, batch)} {asks}"
        if error.outcome_unknown:
            return Answer(all_of(batch, unknown(message)), fatal, paused=pause is not None, failed=message)
        if error.retryable:
            return Answer(
                all_of(batch, retryable(message)),
                fatal,
                paused=pause is not None,
                failed=message,
                unreachable=error.status is None and not isinstance(error, RateLimitedError),
            )
        return Answer(
            all_of(batch, Outcome("rejected", message)),
            fatal,
            refused=range(len(batch)),
            divisible=error.divisible,
            too_large=isinstance(error, PayloadTooLargeError),
        )

    @staticmethod
    def _checked(batch: Batch, outcomes: Outcomes) -> Outcomes:
        if not _known(batch, outcomes):
            raise DestinationError(
                "The writer didn't answer with outcomes of the batch's rows.", outcome_unknown=True
            )
        return outcomes

    def _pause(self, attempt: int, answer: Answer) -> bool:
        """Wait before the next attempt; False if the run stops meanwhile."""
        seconds = self._wait(Attempt(attempt))  # type: ignore[arg-type]
        if answer.paused:
            seconds = min(seconds, self._sync.retry_wait) * random.random()  # the limiter waits as asked
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stop.wait(min(left, 0.1)) or self.stopped.is_set():
                return False
        return not self._halted


@dataclass(frozen=True)
class Answer:
    """What one call brought.

    Attributes:
        outcomes: Of the rows that didn't succeed, by position.
        fatal: Why the run can't go on.
        paused: Whether the destination asks to wait.
        refused: The rows of a call that the destination refused as a whole, having applied nothing.
        divisible: Whether its halves may succeed, whatever the sync says.
        too_large: Whether it did so because of its size.
        failed: Why the call as a whole failed, whatever its rows.
        unreachable: Whether there was no answer at all.
        handle: Of the job that will bring the outcomes, if it was submitted.
    """

    outcomes: Outcomes
    fatal: str | None = None
    paused: bool = False
    refused: Sequence[int] = ()
    divisible: bool = False
    too_large: bool = False
    failed: str | None = None
    unreachable: bool = False
    handle: str | None = None

    def refuses(self, index: int) -> bool:
        """Whether a row was refused by itself, and not only with the other rows of its call."""
        alone = len(self.refused) == 1 or index not in self.refused
        return self.outcomes[index].status == "rejected" and alone

    @property
    def kind(self) -> str:
        """The call's outcome in a word."""
        if self.failed is not None:
            return "unreachable" if self.unreachable else "failed"
        if self.refused or self.fatal:
            return "refused"
        return "rejections" if self.outcomes else "succeeded"


@dataclass(frozen=True)
class Attempt:
    """What tenacity's waits look at."""

    attempt_number: int


def _known(batch: Batch, outcomes: Outcomes) -> bool:
    """Whether these are outcomes of the batch's rows."""
    return isinstance(outcomes, Mapping) and all(
        isinstance(position, int)
        and 0 <= position < len(batch)
        and isinstance(outcome, Outcome)
        and outcome.status in ("retryable", "rejected", "unknown")
        for position, outcome in outcomes.items()
    )


def without_values(message: str, batch: Batch) -> str:
    """A message for logs and ``sync_runs``, with whatever the batch's rows hold taken out (D27)."""
    found = [spellings(batch.arrow.column(index), field) for index, field in enumerate(batch.arrow.schema)]
    return hiding(set(batch.row_ids).union(*found), shortest=2)(message)


def printable(text: str) -> str:
    """A text that UTF-8 can hold."""
    return str(text).encode("utf-8", "replace").decode()


def _halves(piece: Piece) -> list[Piece]:
    """Its second half, then its first: what is sent next comes last."""
    middle = len(piece.rows) // 2
    parts = (piece.rows[middle:], piece.rows[:middle])
    return [Piece(rows, piece.tries, piece.used) for rows in parts]


def _leave(piece: Piece, sent: Sent) -> None:
    """Take down that a piece is not sent any more."""
    if piece.tries:
        sent.cut |= dict.fromkeys(piece.rows, piece.rows[0])
    else:
        sent.unsent += piece.rows


def all_of(batch: Batch, outcome: Outcome) -> Outcomes:
    """The same outcome for each row."""
    return dict.fromkeys(range(len(batch)), outcome)
