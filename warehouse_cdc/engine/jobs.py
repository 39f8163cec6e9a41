"""Batches as jobs of the destination: submitted once, then asked for until they are over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from tenacity.wait import wait_exponential
from ulid import ULID

from warehouse_cdc.destinations.base import Batch, JobWriter, Outcomes, retryable, unknown
from warehouse_cdc.destinations.exchanges import recorded
from warehouse_cdc.engine.request_log import RequestLog
from warehouse_cdc.engine.sending import (
    Answer,
    Attempt,
    Call,
    Piece,
    Sender,
    Sent,
    Standing,
    all_of,
    without_values,
)
from warehouse_cdc.errors import AuthenticationError, DestinationError, LeaseLostError
from warehouse_cdc.limits import Limiter, Place
from warehouse_cdc.plan.record import Job
from warehouse_cdc.sync import Sync

LONGEST_WAIT = 30.0
"""Seconds between two questions for a job that takes long."""
_LOOK = 0.1
"""Seconds between two looks at whether waiting is to stop."""

T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """A job that is to be in the journal before its batch goes on."""

    job: Job
    noted: threading.Event = field(default_factory=threading.Event)


class Left(Exception):
    """Nobody waits for the batch any more."""


def _is_handle(value: object) -> bool:
    """Whether it is text that the journal can keep."""
    return isinstance(value, str) and value != "" and value.encode("utf-8", "ignore").decode() == value


class JobSender(Sender):
    """Sends batches as jobs, one for each batch and attempt; called from several threads.

    Attributes:
        places: Number of a batch to the places of its rows in their chunk.
    """

    def __init__(
        self,
        sync: Sync,
        writer: JobWriter,
        limiter: Limiter,
        check_lease: Callable[[], None],
        cancelled: threading.Event,
        log: RequestLog | None = None,
        standing: Standing | None = None,
        wish: Callable[[Wish], None] = lambda wish: wish.noted.set(),
    ) -> None:
        """Prepare for one run.

        Args:
            sync: As of ``Sender``, and so are the following.
            writer: Submits jobs.
            limiter: Of submissions and questions.
            check_lease: Raises once the run may not send any more.
            cancelled: No job is submitted after.
            log: Keeps each call.
            standing: What another sender has learned of the destination.
            wish: Hands a wish to the thread that writes the journal.
        """
        super().__init__(sync, writer, limiter, check_lease, cancelled, log, standing)
        self.places: dict[int, Sequence[int]] = {}
        self._jobs = writer
        self._wish = wish
        self._waits = wait_exponential(multiplier=sync.poll_wait, max=max(LONGEST_WAIT, sync.poll_wait))
        self._ids: dict[int, str] = {}
        self._submitted: dict[int, Call] = {}
        self._given_up: set[int] = set()
        self._closed = threading.Event()

    def close(self) -> None:
        """Submit no job any more, and ask for none."""
        super().close()
        self._closed.set()

    def give_up(self, number: int) -> Sent | None:
        """As of ``Sender``: the time of one call, not of the whole job."""
        sent = super().give_up(number)
        if sent is not None:
            self._given_up.add(number)
        return sent

    def _left(self, number: int) -> bool:
        return self._closed.is_set() or number in self._given_up

    def settle(self, batch: Batch, number: int, job: Job, until: float) -> Answer | None:
        """Find out what became of a job that another process has submitted, or was about to.

        Args:
            batch: Its rows.
            number: Tells it from others under way.
            job: What the journal knows of it.
            until: When to give up waiting, by the monotonic clock.

        Returns:
            Its outcomes; None if there surely never was such a job.

        Raises:
            AuthenticationError: The destination doesn't tell; with other credentials it may.
            LeaseLostError: The lease was over before a call.
            Left: The sender was closed.
        """
        rows = tuple(range(len(batch)))
        self._submitted[number] = Call(time.monotonic(), rows, batch.attempt, {}, (), Place(self._limiter, 0))
        handle = job.handle
        if handle is None:
            try:
                handle = self._found(batch, number, job.id, until)
            except AuthenticationError:
                raise
            except DestinationError as error:
                return Answer(all_of(batch, unknown(error.message)))
            if handle is None:
                return None
        return self._outcome(batch, number, handle, until, waited=False)

    # -- one job ----------------------------------------------------------------------------------

    def _turn(
        self, batch: Batch, piece: Piece, number: int, sent: Sent, later: list[int]
    ) -> tuple[Batch, Answer] | None:
        """One job, from the entry in the journal to its outcome."""
        if self._halted:
            return None
        places = self.places[number]
        job = Job(str(ULID()), tuple(places[at] for at in piece.rows))
        self._note_down(job, number)
        self._ids[number] = job.id
        made = super()._turn(batch, piece, number, sent, later)
        if made is None:
            return None
        part, answer = made
        until = time.monotonic() + self._sync.job_timeout
        if answer.handle is None:
            answer = self._lost(part, number, job, answer, until)
        if answer.handle is None:
            return part, answer
        self._note_down(replace(job, handle=answer.handle), number)
        try:
            found = self._outcome(part, number, answer.handle, until)
            return part, replace(found, outcomes={**found.outcomes, **answer.outcomes})
        except AuthenticationError as error:
            return part, Answer(all_of(part, unknown(error.message)), fatal=error.message)

    def _begin(self, number: int, piece: Piece, sent: Sent, later: list[int], place: Place) -> Call | None:
        """Keep the call: what is asked for later is about the same rows."""
        call = super()._begin(number, piece, sent, later, place)
        if call is not None:
            self._submitted[number] = call
        return call

    def _write(self, batch: Batch, number: int) -> Answer:
        handle = self._jobs.submit(batch, self._ids[number])
        if not _is_handle(handle):
            raise DestinationError("The writer didn't answer with a job's handle.", outcome_unknown=True)
        return Answer({}, handle=handle)

    def _note_down(self, job: Job, number: int) -> None:
        """Have the journal know a job.

        Raises:
            Left: Nobody waits for its batch any more.
        """
        wish = Wish(job)
        self._wish(wish)
        while not wish.noted.wait(_LOOK):
            if self._left(number):
                raise Left

    def _lost(self, batch: Batch, number: int, job: Job, answer: Answer, until: float) -> Answer:
        """What a submission that failed comes to: there may be a job all the same."""
        if all(outcome.status != "unknown" for outcome in answer.outcomes.values()):
            return answer
        try:
            handle = self._found(batch, number, job.id, until)
        except AuthenticationError as error:
            return replace(answer, fatal=error.message)
        except DestinationError:
            return answer
        if handle is not None:
            own = {at: each for at, each in answer.outcomes.items() if each.status != "unknown"}
            return Answer(own, handle=handle)
        absent = retryable(answer.failed or "there is no such job")
        outcomes = {
            at: absent if outcome.status == "unknown" else outcome for at, outcome in answer.outcomes.items()
        }
        return replace(answer, outcomes=outcomes)

    def _found(self, batch: Batch, number: int, job_id: str, until: float) -> str | None:
        """Look for a job until that can be told.

        Returns:
            Its handle; None if there surely is none.

        Raises:
            DestinationError: It can't be told.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                handle = self._ask(batch, number, partial(self._jobs.find, batch, job_id))
                if handle is None or _is_handle(handle):
                    return handle
                raise DestinationError("The writer didn't answer with a job's handle.", retryable=False)
            except DestinationError as error:
                again = error.retryable or error.outcome_unknown
                self._eased(error)
                if not again or attempt >= self._sync.max_attempts or time.monotonic() >= until:
                    raise
            except (LeaseLostError, Left):
                raise
            except Exception as error:
                raise DestinationError(
                    f"{type(error).__name__} in the destination", retryable=False
                ) from error
            self._rest(attempt, number, until)

    def _outcome(
        self, batch: Batch, number: int, handle: str, until: float, *, waited: bool = True
    ) -> Answer:
        """Ask for a job until it is over.

        Raises:
            AuthenticationError: The destination doesn't tell.
            LeaseLostError: The lease was over before a question.
            Left: Nobody waits for the answer any more.
        """
        attempt = broken = 0
        said = ""
        while True:
            attempt += 1
            if waited or attempt > 1:
                self._rest(attempt, number, until)
            try:
                outcomes = self._ask(batch, number, partial(self._jobs.poll, batch, handle))
                broken, said = 0, ""
            except (AuthenticationError, LeaseLostError, Left):
                raise
            except DestinationError as error:
                if not (error.retryable or error.outcome_unknown):
                    return self._said(batch, error)
                self._eased(error)
                outcomes, said = None, f" ({without_values(error.message, batch)})"
            except Exception as error:
                # Asking changes nothing, so it may be done again; but not for an hour.
                broken += 1
                outcomes, said = None, f" ({type(error).__name__} in the destination)"
            if outcomes is not None:
                return self._ended(batch, outcomes)
            if broken == self._sync.max_attempts:
                return self._unknown(batch, f"its outcome can't be read{said}")
            if time.monotonic() >= until:
                return self._unknown(batch, f"not over within {self._sync.job_timeout:g} s{said}")

    def _ended(self, batch: Batch, outcomes: Outcomes) -> Answer:
        try:
            return Answer(self._checked(batch, outcomes))
        except DestinationError as error:
            return self._unknown(batch, error.message)

    @staticmethod
    def _unknown(batch: Batch, reason: str) -> Answer:
        """Of a job that may be under way still: the run stops, so that no other has the same rows."""
        return Answer(all_of(batch, unknown(f"job: {reason}")), fatal=f"A job of the destination: {reason}.")

    def _ask(self, batch: Batch, number: int, ask: Callable[[], T]) -> T:
        """One question: a call within the limits, with a time limit of its own.

        Raises:
            LeaseLostError: The lease was over before it.
            Left: Nobody waits for the answer any more.
        """
        with self._limiter.call(0, lambda: self._left(number)) as place:
            if place is None:
                raise Left
            self._check_lease()
            with self._lock:
                if self._left(number):
                    raise Left
                began = time.monotonic()
                self.calls[number] = replace(self._submitted[number], began=began, place=place)
            answer: T | None = None
            try:
                with recorded(wanted=self._log is not None) as exchanges:
                    answer = ask()
                    return answer
            finally:
                self.calls.pop(number, None)
                if self._log is not None:
                    over = isinstance(answer, Mapping)
                    outcomes: Outcomes = answer if isinstance(answer, Mapping) else {}
                    seconds = time.monotonic() - began
                    self._log.keep(batch, outcomes, exchanges, seconds, "succeeded" if over else None)

    def _eased(self, error: DestinationError) -> None:
        """Let all calls wait as the destination asks, within what the sync allows."""
        if error.retry_after is not None:
            self._limiter.pause(min(error.retry_after, self._sync.retry_after_max))

    def _rest(self, attempt: int, number: int, until: float) -> None:
        """Wait before the next question.

        Raises:
            Left: Nobody waits for the answer any more.
        """
        seconds = self._waits(Attempt(attempt))  # type: ignore[arg-type]
        end = min(time.monotonic() + seconds, until)
        while (left := end - time.monotonic()) > 0:
            self._closed.wait(min(left, _LOOK))
            if self._left(number):
                raise Left
