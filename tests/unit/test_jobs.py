"""Batches as jobs: what is in the journal when, what is asked for, and what a failure says of the rows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from tests.job_service import Jobs, JobService
from warehouse_cdc import Model, Sync
from warehouse_cdc.destinations import (
    Batch,
    Capabilities,
    Destination,
    JobWriter,
    RunContext,
    Writer,
    rejected,
    retryable,
    unknown,
)
from warehouse_cdc.destinations.base import Outcomes, opened
from warehouse_cdc.engine import journal
from warehouse_cdc.engine.chunks import ChunkSender
from warehouse_cdc.engine.jobs import JobSender, Left, Wish
from warehouse_cdc.engine.parts import Parts
from warehouse_cdc.engine.sending import Answer, Sent
from warehouse_cdc.engine.settling import combined
from warehouse_cdc.errors import AuthenticationError, ConfigError, DestinationError, PayloadTooLargeError
from warehouse_cdc.limits import Limiter, windows
from warehouse_cdc.plan.record import Ended, Job

CONTEXT = make_context(pa.schema([("id", pa.int64())]))


class Scripted(JobWriter):
    """Does as it is told, and keeps what it was asked.

    Answers are functions, errors or values; the last one is given again and again.
    """

    def __init__(self, submit: list[Any], poll: list[Any], find: list[Any]) -> None:
        self.answers = {"submit": submit, "poll": poll, "find": find}
        self.calls: list[tuple[str, list[int], str]] = []

    def submit(self, batch: Batch, job_id: str) -> str:
        return self._answer("submit", batch, job_id)

    def poll(self, batch: Batch, handle: str) -> Outcomes | None:
        return self._answer("poll", batch, handle)

    def find(self, batch: Batch, job_id: str) -> str | None:
        return self._answer("find", batch, job_id) if self.answers["find"] else super().find(batch, job_id)

    def _answer(self, kind: str, batch: Batch, name: str) -> Any:
        self.calls.append((kind, [int(row_id) for row_id in batch.row_ids], name))
        answers = self.answers[kind]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer(batch)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kinds(self) -> list[str]:
        return [kind for kind, _rows, _name in self.calls]

    def rows(self, kind: str) -> list[list[int]]:
        return [rows for each, rows, _name in self.calls if each == kind]

    def names(self, kind: str) -> list[str]:
        return [name for each, _rows, name in self.calls if each == kind]


class Scene:
    """A sender with its journal."""

    def __init__(
        self,
        submit: list[Any] | None = None,
        poll: list[Any] | None = None,
        find: list[Any] | None = None,
        *,
        limiter: Limiter | None = None,
        **options: Any,
    ) -> None:
        self.writer = Scripted(submit or ["h"], poll or [{}], find or [])
        self.cancelled = threading.Event()
        self.notes: list[Job] = []
        self.lease: Callable[[], None] = lambda: None
        values: dict[str, Any] = {"retry_wait": 0, "poll_wait": 0.001, "split_retries": True, **options}
        self.sync = Sync(
            id="s",
            model=Model("m", sql="select 1 as id", primary_key="id"),
            destination=Jobs("http://nowhere"),
            **values,
        )
        self.sender = JobSender(
            self.sync,
            self.writer,
            limiter or Limiter(),
            lambda: self.lease(),
            self.cancelled,
            wish=self.note,
        )

    def note(self, wish: Wish) -> None:
        self.notes.append(wish.job)
        self.writer.calls.append(("note", list(wish.job.rows), wish.job.handle or wish.job.id))
        wish.noted.set()

    def send(self, rows: int = 3) -> Sent:
        self.sender.places[0] = [10 + row for row in range(rows)]
        return self.sender.send(make_batch(CONTEXT, [(row,) for row in range(rows)]), 0)


def lost(reason: str = "no answer") -> DestinationError:
    return DestinationError(reason, outcome_unknown=True)


def test_an_id_is_in_the_journal_before_and_the_handle_after() -> None:
    scene = Scene(poll=[None, None, {1: rejected("bad")}])
    sent = scene.send()
    assert scene.writer.kinds() == ["note", "submit", "note", "poll", "poll", "poll"]
    before, after = scene.notes
    assert before.rows == after.rows == (10, 11, 12)
    assert (before.handle, after.handle) == (None, "h") and before.id == after.id
    assert scene.writer.names("submit") == [before.id]
    assert sent.failures == {1: ("failed", "bad", False, 1)} and sent.fatal is None


def test_single_rows_are_another_job() -> None:
    scene = Scene(
        submit=["h1", "h2"], poll=[{0: retryable("later"), 2: unknown("perhaps")}, {1: rejected("x")}]
    )
    sent = scene.send()
    assert scene.writer.rows("submit") == [[0, 1, 2], [0, 2]]
    assert len(set(scene.writer.names("submit"))) == 2
    assert [job.rows for job in scene.notes[2:]] == [(10, 12)] * 2
    assert sent.failures == {2: ("unknown", "x", False, 2)}, "one unknown attempt makes it unknown"


@pytest.mark.parametrize("error", [lost(), RuntimeError("what")], ids=["lost", "any"])
def test_a_lost_submission_is_found(error: Exception) -> None:
    scene = Scene(submit=[error], find=[DestinationError("busy"), "there"])
    assert scene.send().failures == {}
    assert scene.writer.kinds() == ["note", "submit", "find", "find", "note", "poll"]
    assert scene.writer.names("find") == [scene.notes[0].id] * 2
    assert scene.notes[-1].handle == "there"


def test_one_that_surely_never_arrived_is_submitted_again_under_another_id() -> None:
    scene = Scene(submit=[lost(), lost(), "h"], find=[None])
    sent = scene.send()
    assert not sent.failures and len(set(scene.writer.names("submit"))) == 3
    scene = Scene(submit=[lost()], find=[None], max_attempts=2)
    assert {failure[0] for failure in scene.send().failures.values()} == {"failed"}


@pytest.mark.parametrize(
    ("find", "calls"),
    [
        ([], 1),
        ([DestinationError("no", retryable=False)], 1),
        ([DestinationError("busy")], 2),
        ([KeyError()], 1),
    ],
    ids=["never", "refused", "busy", "broken"],
)
def test_one_of_which_nothing_can_be_told_is_unknown(find: list[Any], calls: int) -> None:
    scene = Scene(submit=[lost()], find=find, max_attempts=2)
    sent = scene.send()
    assert {failure[0] for failure in sent.failures.values()} == {"unknown"}
    assert scene.writer.kinds().count("submit") == 2, "an unknown row is sent again, as ever"
    assert scene.writer.kinds().count("find") == 2 * calls * bool(find)


def test_a_refused_submission_is_not_looked_for() -> None:
    scene = Scene(submit=[DestinationError("no", retryable=False)], split_retries=False)
    assert {failure[:2] for failure in scene.send().failures.values()} == {("failed", "no")}
    assert scene.writer.kinds() == ["note", "submit"]


def test_questions_that_fail_are_asked_again() -> None:
    errors = [DestinationError("busy"), lost(), ValueError("odd"), None, ValueError("odd"), ValueError("odd")]
    scene = Scene(poll=[*errors, {}], max_attempts=3)
    assert scene.send() == Sent()
    assert scene.writer.kinds().count("submit") == 1


def test_a_writer_that_can_not_read_its_answers_stops_the_run() -> None:
    for poll in ([ValueError("odd")], [{7: rejected("nobody")}]):
        sent = Scene(poll=poll, max_attempts=3).send()
        assert sent.fatal is not None and {failure[0] for failure in sent.failures.values()} == {"unknown"}


@pytest.mark.parametrize("poll", [None, DestinationError("busy")], ids=["runs", "busy"])
def test_a_job_that_never_ends_is_unknown_and_stops_the_run(poll: Any) -> None:
    scene = Scene(poll=[poll], job_timeout=0.2)
    sent = scene.send()
    assert sent.fatal is not None and "not over within 0.2 s" in sent.fatal
    assert scene.writer.kinds().count("submit") == 1, "no other job has the same rows"
    assert [failure[0] for failure in sent.failures.values()] == ["unknown"] * 3


def test_a_job_that_was_refused_as_a_whole_comes_again_in_halves() -> None:
    def poll(batch: Batch) -> Any:
        return DestinationError("bad file", retryable=False) if "2" in batch.row_ids else {}

    scene = Scene(poll=[poll])
    assert set(scene.send(4).failures) == {2}
    assert scene.writer.rows("submit") == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]
    scene = Scene(poll=[lambda b: PayloadTooLargeError("big") if len(b) > 2 else {}], split_retries=False)
    assert scene.send(4) == Sent() and scene.writer.rows("submit") == [[0, 1, 2, 3], [0, 1], [2, 3]]


def test_credentials_that_end_meanwhile_stop_the_run() -> None:
    sent = Scene(poll=[AuthenticationError("who")]).send()
    assert sent.fatal == "who" and {failure[0] for failure in sent.failures.values()} == {"unknown"}


def test_a_handle_that_the_journal_can_not_keep_is_none() -> None:
    for handle in ("", 7, "\ud800"):
        scene = Scene(submit=[handle], find=["h"])
        assert scene.send() == Sent()
        assert scene.writer.names("poll") == ["h"]


def test_what_a_lost_submission_refused_is_not_submitted_again() -> None:
    lost = DestinationError("no answer", outcome_unknown=True, outcomes={0: rejected("bad")})
    scene = Scene(submit=[lost, "h"], find=[None])
    assert {at: failure[:2] for at, failure in scene.send().failures.items()} == {0: ("failed", "bad")}
    assert scene.writer.rows("submit") == [[0, 1, 2], [1, 2]]


def test_a_cancelled_run_waits_for_its_job_and_begins_no_other() -> None:
    scene = Scene()

    def poll(batch: Batch) -> Any:
        scene.cancelled.set()
        return None if scene.writer.kinds().count("poll") < 5 else {0: retryable("later")}

    scene.writer.answers["poll"] = [poll]
    sent = scene.send()
    assert sent.failures == {0: ("failed", "later", None, 1)} and not sent.unsent
    assert scene.writer.kinds().count("submit") == 1
    assert scene.send().unsent == [0, 1, 2]
    assert scene.writer.kinds().count("submit") == 1


def test_a_closed_sender_asks_no_more() -> None:
    scene = Scene(poll=[None])
    caught: list[BaseException] = []

    def send() -> None:
        try:
            scene.send()
        except Left as left:
            caught.append(left)

    thread = threading.Thread(target=send)
    thread.start()
    while "poll" not in scene.writer.kinds():
        time.sleep(0.01)
    scene.sender.close()
    thread.join(10)
    assert caught and not thread.is_alive()


def test_only_one_call_has_a_time_limit_not_the_job() -> None:
    scene = Scene(poll=[None, lambda batch: time.sleep(0.3), None, {}], batch_timeout=0.2)
    gave_up: list[Sent | None] = []

    def send() -> None:
        with suppress(Left):
            scene.send()

    thread = threading.Thread(target=send)
    thread.start()
    while thread.is_alive():
        if (sent := scene.sender.give_up(0)) is not None:
            gave_up.append(sent)
            break
        time.sleep(0.01)
    thread.join(10)
    assert len(gave_up) == 1 and gave_up[0] is not None
    assert {failure[0] for failure in gave_up[0].failures.values()} == {"unknown"}
    assert scene.writer.kinds().count("poll") <= 2, "a batch that was given up is left alone"
    scene = Scene(poll=[None] * 5 + [{}], batch_timeout=0.2, poll_wait=0.02)
    thread = threading.Thread(target=scene.send)
    thread.start()
    while thread.is_alive():
        assert scene.sender.give_up(0) is None
        time.sleep(0.005)


def test_questions_keep_to_the_rate_but_cost_no_rows() -> None:
    limiter = Limiter(windows("100/second", "3 per 60 seconds"))
    scene = Scene(poll=[None, None, {}], limiter=limiter)
    began = time.monotonic()
    assert scene.send() == Sent()
    assert time.monotonic() - began < 5, "three rows fill the window of rows; questions don't wait for it"
    scene = Scene(poll=[None, None, {}], limiter=Limiter(windows("2 per 1 second", None)))
    began = time.monotonic()
    scene.send()
    assert time.monotonic() - began >= 1


def test_the_lease_is_looked_at_before_each_call() -> None:
    scene = Scene(poll=[None])

    def lease() -> None:
        if scene.writer.kinds().count("poll") == 2:
            raise wcdc.LeaseLostError("over")

    scene.lease = lease
    with pytest.raises(wcdc.LeaseLostError):
        scene.send()
    assert scene.writer.kinds().count("poll") == 2
    scene = Scene()
    scene.lease = lambda: (_ for _ in ()).throw(wcdc.LeaseLostError("over"))
    with pytest.raises(wcdc.LeaseLostError):
        scene.send()
    assert scene.writer.kinds() == ["note"], "noted, but never submitted"


# -- the journal ----------------------------------------------------------------------------------


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sets(st.integers(0, 300)), st.none() | st.text()), max_size=4), st.integers(0, 9)
)
def test_jobs_in_the_journal_come_back(jobs: list[tuple[set[int], str | None]], delivered: int) -> None:
    made = tuple(Job(f"j{n}", tuple(sorted(rows)), handle) for n, (rows, handle) in enumerate(jobs))
    ended = Ended("success", delivered=delivered, settled_by=delivered, jobs=made)
    assert Ended.from_json(ended.to_json()) == ended


def test_a_job_that_was_refused_whole_refuses_no_row_by_itself() -> None:
    answer = Answer({0: rejected("no"), 1: rejected("no"), 2: rejected("bad")}, refused=(0, 1))
    sent = combined(
        4,
        [Job("a", (0, 1, 2)), Job("b", (3,))],
        {"a": answer, "b": Answer({0: rejected("no")}, refused=(0,))},
    )
    assert [sent.failures[at][2] for at in range(4)] == [None, None, False, False]


def test_entries_without_jobs_are_as_they_ever_were() -> None:
    assert {"jobs", "settled_by"}.isdisjoint(json.loads(Ended("success").to_json()))
    old = '{"format": 2, "status": "failed", "error": null, "delivered": 3, "unknown": [1], "rejections": 2}'
    assert Ended.from_json(old) == Ended("failed", delivered=3, unknown=(1,), rejections=2)
    assert Ended("success", delivered=3).counted == "(chunk >= 0 AND chunk < 3)"


def test_entries_add_up_until_the_next_checkpoint() -> None:
    one, two = Job("one", (0, 1)), Job("two", (2,))
    ended = Ended("success", delivered=1)
    entries = [
        replace(ended, jobs=(one,)),
        replace(ended, jobs=(two, replace(one, handle="h"))),
        replace(ended, jobs=(replace(two, handle="g"),)),
        replace(ended, delivered=2),
        replace(ended, delivered=2, jobs=(one,)),
    ]
    seen = []
    for number in range(1, len(entries) + 1):
        rows: list[Any] = [(1, 0, "r", journal.CLAIMED, journal.EPOCH, "{}")]
        for entry, each in enumerate(entries[:number], start=1):
            rows.append((1, entry, "r", journal.CHECKPOINT, journal.EPOCH, each.to_json()))
        (generation,) = journal.fold(rows).generations
        seen.append([(job.id, job.handle) for job in generation.progress.jobs])
    assert seen == [
        [("one", None)],
        [("one", "h"), ("two", None)],
        [("one", "h"), ("two", "g")],
        [],
        [("one", None)],
    ]


def test_what_several_jobs_say_of_a_row() -> None:
    jobs = [Job("a", (0, 1, 2, 3)), Job("b", (1, 2)), Job("gone", (1, 4)), Job("c", (2,))]
    answers = {
        "a": Answer({1: retryable("later"), 2: unknown("perhaps"), 3: rejected("bad", permanent=True)}),
        "b": Answer({0: retryable("later still"), 1: rejected("no")}),  # by place in the job
        "gone": None,
        "c": Answer({}),
    }
    sent = combined(6, jobs, answers)
    assert sent.failures == {1: ("failed", "later still", None, 2), 3: ("failed", "bad", True, 1)}
    assert sent.unsent == [4, 5]
    sent = combined(6, jobs[:2], answers)
    assert sent.failures[2] == ("unknown", "no", False, 2)


# -- declarations, and a whole run ----------------------------------------------------------------


class Odd(Destination):
    """Declares what it isn't."""

    def __init__(self, *, jobs: bool, publishing: bool = False) -> None:
        self.jobs = jobs
        self.publishing = publishing
        self.closed = 0

    @property
    def name(self) -> str:
        return "odd"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(modes=frozenset({"upsert"}), jobs=self.jobs)

    def publishes(self, mode: str) -> bool:
        return self.publishing

    def open(self, context: RunContext) -> Writer:
        odd = self

        class Plain(Writer):
            def write(self, batch: Batch) -> Outcomes:
                raise AssertionError("it was refused")

            def close(self) -> None:
                odd.closed += 1

        return Plain() if self.jobs else Scripted(["h"], [{}], [])


def odd_sync(destination: Destination) -> Sync:
    return Sync(id="s", model=Model("m", sql="select 1 as id", primary_key="id"), destination=destination)


@pytest.mark.parametrize("jobs", [True, False])
def test_a_writer_is_of_the_kind_that_was_declared(jobs: bool) -> None:
    destination = Odd(jobs=jobs)
    with pytest.raises(ConfigError, match="capability `jobs`"):
        opened(destination, CONTEXT)
    run = wcdc.connect(duckdb.connect()).run(odd_sync(destination))
    assert run.status == "failed" and "capability `jobs`" in str(run.error)
    assert destination.closed == 2 * jobs


def test_jobs_do_not_publish() -> None:
    with pytest.raises(ConfigError) as caught:
        odd_sync(Odd(jobs=True, publishing=True))
    assert caught.value.code == "sync-destination"
    with pytest.raises(NotImplementedError):
        Scripted(["h"], [{}], []).write(make_batch(CONTEXT, [(1,)]))


def test_jobs_are_not_sent_in_parts() -> None:
    with ThreadPoolExecutor(1) as executor, pytest.raises(ConfigError) as caught:
        Parts(executor, 1).check(odd_sync(Odd(jobs=True)), 60)
    assert caught.value.code == "sync-parts" and "journal" in caught.value.message
    scene = Scene()
    with pytest.raises(ConfigError) as caught:
        ChunkSender(scene.sync, CONTEXT, scene.writer, Limiter(), lambda: None, scene.cancelled)
    assert caught.value.code == "sync-parts"


@pytest.mark.parametrize("option", ["job_timeout", "poll_wait"])
def test_times_are_checked(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(odd_sync(Odd(jobs=True)), **{option: 0})
    assert caught.value.code == "sync-number"


def test_the_request_log_shows_a_job_from_submission_to_outcome(tmp_path: Any) -> None:
    busy = lambda kind, number: "busy" if (kind, number) == ("poll", 0) else None  # noqa: E731
    with JobService(script=busy, refuses=lambda values: values["id"] == 2) as service:
        source = duckdb.connect()
        source.execute("create table t as select * from (values (1, 'secret one'), (2, 'two')) v (id, name)")
        sync = Sync(
            id="s",
            model=Model("t", table="t", primary_key="id"),
            destination=Jobs(service.url),
            poll_wait=0.03,
            request_log=tmp_path,
            redact=["name"],
        )
        run = wcdc.connect(source).run(sync)
    text = (tmp_path / f"{run.run_id}.jsonl").read_text()
    calls = [json.loads(line) for line in text.splitlines()]
    outcomes = [[row["outcome"] for row in call["rows"]] for call in calls]
    assert outcomes[0] == ["submitted"] * 2 and outcomes[-1] == ["succeeded", "rejected"]
    assert len(calls) == 3 and outcomes[1] == [], "a question without an answer says nothing of rows"
    assert "secret" not in text


def test_rows_of_one_value_are_never_in_two_jobs_at_once() -> None:
    with JobService(seconds=0.1) as service:
        source = duckdb.connect()
        source.execute("create table t as select i as id, i % 3 as lane from range(30) r (i)")
        sync = Sync(
            id="s",
            model=Model("t", table="t", primary_key="id"),
            destination=Jobs(service.url),
            poll_wait=0.005,
            order_by="lane",
            batch_rows=2,
            concurrency=3,
        )
        assert wcdc.connect(source).run(sync).status == "success"
        assert len(service.table) == 30
        taken = [{row["values"]["lane"] for row in job.rows} for job in service.jobs.values()]
        assert len(taken) >= 15 and service.most == 3
        assert not service.clashes
