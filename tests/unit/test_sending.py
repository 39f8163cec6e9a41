"""One batch on its way: retries, halves, and when a destination counts as down."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.destinations.support import make_batch, make_context
from warehouse_cdc import Model, Sync, destination
from warehouse_cdc.destinations import Batch, Writer, rejected, retryable, unknown
from warehouse_cdc.destinations.base import Outcomes, left_out
from warehouse_cdc.engine.sending import Sender, Sent
from warehouse_cdc.errors import (
    AuthenticationError,
    DestinationError,
    PayloadTooLargeError,
    RateLimitedError,
)
from warehouse_cdc.limits import Limiter, windows

CONTEXT = make_context(pa.schema([("id", pa.int64())]))
Answer = Callable[[list[int], Batch], Outcomes]


class Scripted(Writer):
    """Answers each call as told, and keeps what was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[list[int]] = []
        self.attempts: list[int] = []

    def write(self, batch: Batch) -> Outcomes:
        rows = [int(row_id) for row_id in batch.row_ids]
        self.calls.append(rows)
        self.attempts.append(batch.attempt)
        return self.answer(rows, batch)


def sync(**options: Any) -> Sync:
    @destination
    def nowhere(batch: Batch) -> None:
        return None

    values: dict[str, Any] = {"retry_wait": 0, "retry_wait_max": 0, "split_retries": True, **options}
    model = Model("m", sql="select 1 as id", primary_key="id")
    return Sync(id="s", model=model, destination=nowhere, **values)


def sender(answer: Answer, limiter: Limiter | None = None, **options: Any) -> tuple[Sender, Scripted]:
    writer = Scripted(answer)
    made = Sender(sync(**options), writer, limiter or Limiter(), lambda: None, threading.Event())
    return made, writer


def batch(rows: int) -> Batch:
    return make_batch(CONTEXT, [(row,) for row in range(rows)])


def send(answer: Answer, rows: int, **options: Any) -> tuple[Sent, Scripted]:
    made, writer = sender(answer, **options)
    return made.send(batch(rows), 0), writer


def refuse(bad: Sequence[int], error: Exception | None = None) -> Answer:
    """A destination that takes a call or refuses it whole."""

    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        if set(rows) & set(bad):
            raise error or DestinationError("refused", retryable=False, status=400)
        return {}

    return answer


@given(st.integers(1, 130), st.data())
def test_split_retries_class_every_row_within_the_bound(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=12))
    sent, writer = send(refuse(sorted(bad)), rows)
    assert set(sent.failures) == bad and not sent.unsent and sent.fatal is None
    assert all(failure[0] == "failed" for failure in sent.failures.values())
    bound = 1 + 2 * len(bad) * math.ceil(math.log2(rows)) if rows > 1 else 1
    assert len(writer.calls) <= min(bound, 2 * rows - 1)
    taken = [row for call in writer.calls if not set(call) & bad for row in call]
    assert sorted(taken) == sorted(set(range(rows)) - bad), "each good row was taken once"
    assert taken == sorted(taken), "in order"


def test_without_split_retries_a_refused_batch_is_refused() -> None:
    sent, writer = send(refuse([3]), 8, split_retries=False)
    assert set(sent.failures) == set(range(8)) and len(writer.calls) == 1


def test_what_may_have_been_applied_is_not_split() -> None:
    def answer(rows: list[int], called: Batch) -> Outcomes:
        if called.attempt == 1:
            raise DestinationError("no answer", outcome_unknown=True)
        raise DestinationError("refused", retryable=False)

    sent, writer = send(answer, 8, max_attempts=5)
    assert writer.calls == [list(range(8))] * 2
    assert {failure[0] for failure in sent.failures.values()} == {"unknown"}


def test_a_batch_that_is_too_large_is_halved_whatever_the_setting_and_later_ones_with_it() -> None:
    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        if len(rows) > 3:
            raise PayloadTooLargeError("too large", status=413)
        return {}

    made, writer = sender(answer, split_retries=False)
    assert not made.send(batch(10), 0).failures
    assert [len(call) for call in writer.calls] == [10, 5, 2, 3, 2, 3]
    writer.calls.clear()
    assert not made.send(batch(8), 1).failures
    assert [len(call) for call in writer.calls] == [2, 2, 2, 2]


def test_one_row_that_is_too_large_is_rejected() -> None:
    sent, writer = send(refuse([1], PayloadTooLargeError("too large", status=413)), 4, split_retries=False)
    assert set(sent.failures) == {1} and sent.fatal is None
    assert sent.failures[1][3] == 3, "it was in three calls"
    assert writer.calls == [[0, 1, 2, 3], [0, 1], [0], [1], [2], [3]]


def test_a_stop_between_halves_leaves_refused_rows_failed_and_cut_ones_unsent() -> None:
    stop: list[Sender] = []

    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        if rows == [0, 1]:
            stop[0].stopped.set()
            return {}
        raise DestinationError("refused", retryable=False)

    made, _writer = sender(answer)
    stop.append(made)
    sent = made.send(batch(4), 0)
    assert set(sent.failures) == {2, 3} and sent.unsent == []


def test_a_call_that_hangs_in_a_split_knows_what_was_not_attempted() -> None:
    seen: list[Any] = []

    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        call = made.calls[7]
        seen.append((tuple(call.positions), sorted(call.failures), sorted(call.unsent)))
        if len(rows) > 2:
            raise PayloadTooLargeError("too large")
        return {}

    made, _writer = sender(answer)
    made.send(batch(4), 7)
    made.send(batch(5), 7)
    assert seen == [
        ((0, 1, 2, 3), [], []),
        ((0, 1), [0, 1, 2, 3], []),
        ((2, 3), [2, 3], []),
        ((0, 1), [], [2, 3, 4]),
        ((2,), [], [3, 4]),
        ((3, 4), [], []),
    ]


def test_only_rows_that_may_succeed_are_repeated() -> None:
    def answer(rows: list[int], called: Batch) -> Outcomes:
        if called.attempt == 1:
            return {0: rejected("bad"), 1: retryable("later"), 2: unknown("perhaps")}
        return {}

    sent, writer = send(answer, 4)
    assert writer.calls == [[0, 1, 2, 3], [1, 2]]
    assert set(sent.failures) == {0}


def test_the_budget_of_retries_is_the_runs() -> None:
    made, writer = sender(
        refuse(range(9), DestinationError("busy", status=503)), retry_budget=3, breaker=None
    )
    for number in range(3):
        made.send(batch(1), number)
    assert len(writer.calls) == 3 + 3


def test_a_destination_that_cannot_be_reached_stops_the_run_after_its_last_attempt() -> None:
    sent, writer = send(refuse([0], DestinationError("no connection")), 1, max_attempts=3)
    assert sent.fatal == "no connection" and len(writer.calls) == 3


@pytest.mark.parametrize(
    "error",
    [
        DestinationError("status 500", status=500, outcome_unknown=True),
        DestinationError("status 503", status=503),
        RateLimitedError("too many"),
        RuntimeError("a bug"),
    ],
    ids=["unknown", "retryable", "throttled", "exception"],
)
def test_the_breaker_opens_after_calls_in_a_row(error: Exception) -> None:
    made, writer = sender(refuse(range(1, 9), error), breaker=3, max_attempts=2)
    ok, failing = batch(1), batch(2)
    for each in (failing, failing, ok, failing, failing):
        assert made.send(each, 0).fatal is None
    stopped = made.send(failing, 0)
    assert stopped.fatal is not None and stopped.fatal.startswith("3 calls in a row failed")
    assert len(writer.calls) == 11
    assert made.send(ok, 0).unsent == [0]


def test_one_poisoned_row_does_not_stop_the_run() -> None:
    made, _writer = sender(refuse([1], DestinationError("status 500", status=500, outcome_unknown=True)))
    assert made.send(batch(2), 0).fatal is None
    assert not made.send(batch(1), 1).failures


def test_retry_after_holds_all_calls() -> None:
    first = [True]

    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        if first.pop() if first else False:
            raise RateLimitedError("slow down", retry_after=0.3)
        return {}

    limit = Limiter()
    made, writer = sender(answer, limit)
    assert not made.send(batch(1), 0).failures
    assert len(writer.calls) == 2
    assert limit._not_before > 0


def test_a_longer_wait_than_allowed_stops_the_run() -> None:
    sent, writer = send(refuse([0], RateLimitedError("slow down", retry_after=3600)), 1)
    assert sent.fatal is not None and "retry_after_max" in sent.fatal
    assert len(writer.calls) == 1


def test_d10_only_what_a_refusal_was_about_is_sent_in_halves() -> None:
    """Rows that succeeded in the attempt before are not sent again, and not counted as failed."""

    def answer(rows: list[int], called: Batch) -> Outcomes:
        if called.attempt == 1:
            return {0: retryable("later"), 1: retryable("later")}
        if len(rows) == 2:
            raise DestinationError("refused", retryable=False)
        return {}

    sent, writer = send(answer, 8)
    assert writer.calls == [list(range(8)), [0, 1], [0], [1]]
    assert not sent.failures and not sent.unsent


def test_d21_without_a_budget_of_retries_a_destination_that_is_down_still_stops_the_run() -> None:
    sent, writer = send(refuse([0], DestinationError("no connection")), 1, retry_budget=0)
    assert sent.fatal == "no connection" and len(writer.calls) == 1


@pytest.mark.parametrize(
    ("error", "others", "calls"),
    [
        (DestinationError("no answer", outcome_unknown=True), "unknown", 2),
        (DestinationError("busy", status=503), "failed", 2),
        (DestinationError("refused", retryable=False), "failed", 1 + 2 + 4),
        (AuthenticationError("who are you?"), "failed", 1),
    ],
    ids=["unknown", "retryable", "refused", "credentials"],
)
def test_rows_that_a_failed_call_left_out_keep_their_own_outcome(
    error: DestinationError, others: str, calls: int
) -> None:
    def answer(rows: list[int], batch: Batch) -> Outcomes:
        bad = {at: rejected("no JSON", permanent=True) for at, row in enumerate(rows) if row == 2}
        with left_out(bad):
            raise error
        return bad

    error.outcomes = {}
    sent, writer = send(answer, 5, max_attempts=2, breaker=None)
    assert sent.failures.pop(2) == ("failed", "no JSON", True, 1)
    assert {at: failure[0] for at, failure in sent.failures.items()} == dict.fromkeys((0, 1, 3, 4), others)
    assert len(writer.calls) == calls and all(2 not in rows for rows in writer.calls[1:])


def test_outcomes_of_rows_that_were_not_sent_are_ignored() -> None:
    sent, _writer = send(refuse([0], DestinationError("no", retryable=False, outcomes={7: "x"})), 1)
    assert {failure[:2] for failure in sent.failures.values()} == {("failed", "no")}


def test_what_was_given_up_sends_nothing_more_and_leaves_its_place() -> None:
    release, limit = threading.Event(), Limiter(windows("1/second", None))

    def answer(rows: list[int], _batch: Batch) -> Outcomes:
        release.wait(10)
        raise DestinationError("refused", retryable=False)

    made, writer = sender(answer, limit, batch_timeout=0.2, rate="1/second")
    thread = threading.Thread(target=made.send, args=(batch(4), 0))
    thread.start()
    assert made.give_up(0) is None, "not yet"
    sent = None
    until = time.monotonic() + 10
    while sent is None and time.monotonic() < until:
        sent = made.give_up(0)
        time.sleep(0.02)
    assert sent is not None and sent.fatal is not None
    assert {at: failure[0] for at, failure in sent.failures.items()} == dict.fromkeys(range(4), "unknown")
    with limit.call(1, lambda: time.monotonic() > until) as place:
        assert place is not None, "the next run doesn't wait for it"
    release.set()
    thread.join()
    assert writer.calls == [[0, 1, 2, 3]], "its halves aren't sent any more"
