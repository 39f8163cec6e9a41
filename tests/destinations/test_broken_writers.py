"""The shipped suite finds what is wrong: a destination that is broken in one way fails the test of that."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import Phase, settings

from tests.destinations import test_conformance as right
from tests.job_service import Jobs
from warehouse_cdc.destinations import (
    Batch,
    Capabilities,
    Destination,
    JobWriter,
    RunContext,
    Writer,
    rejected,
)
from warehouse_cdc.errors import AuthenticationError, DestinationError
from warehouse_cdc.testing.trial import FIELDS

Outcomes = Any
SECRET = "s3cr3t"


class Bent(Destination):
    """A right destination with a writer that isn't; what it is bent to, is a class of this module."""

    def __init__(self, inner: Destination, target: Any, bend: str) -> None:
        self.inner = inner
        self.target = target
        self.bend = bend

    def __repr__(self) -> str:
        return f"Bent({SECRET if self.bend == 'ShowsASecret' else ''})"

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def capabilities(self) -> Capabilities:
        able = self.inner.capabilities
        return (
            replace(able, idempotent=frozenset({"archive"})) if self.bend == "ClaimsToBeIdempotent" else able
        )

    def check(self, context: RunContext) -> None:
        self.inner.check(context)

    def publishes(self, mode: str) -> bool:
        return self.inner.publishes(mode)

    def published(self, context: RunContext, operation: str) -> bool | None:
        return self.inner.published(context, operation)

    def open(self, context: RunContext) -> Writer:
        bent: type[BentWriter] = globals().get(self.bend, BentWriter)
        return bent(self.inner.open(context), self.target)


class BentWriter(Writer):
    """Passes everything on."""

    def __init__(self, inner: Writer, target: Any) -> None:
        self.inner = inner
        self.target = target

    def write(self, batch: Batch) -> Outcomes:
        return self.inner.write(batch)

    def publish(self, operation: str) -> None:
        self.inner.publish(operation)

    def close(self) -> None:
        self.inner.close()


class BentRows(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        columns = [self.bent(name, batch.arrow.column(name)) for name in batch.arrow.column_names]
        arrow = pa.Table.from_arrays(columns, schema=batch.arrow.schema)
        return self.inner.write(replace(batch, arrow=arrow))

    def bent(self, name: str, column: Any) -> Any:
        raise NotImplementedError


class LosesAField(BentRows):
    def bent(self, name: str, column: Any) -> Any:
        return pa.nulls(len(column), column.type) if name == "score" else column


class IntegersAsFloats(BentRows):
    def bent(self, name: str, column: Any) -> Any:
        numbers = column.type == pa.int64() and name != "id"
        return column.cast(pa.float64(), safe=False).cast(pa.int64(), safe=False) if numbers else column


class TrimsText(BentRows):
    def bent(self, name: str, column: Any) -> Any:
        return pc.utf8_trim_whitespace(column) if column.type == pa.string() else column


class TakesTheModelsNames(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        known = set(batch.context.columns)
        columns = [
            batch.arrow.column(field.name) if field.name in known else pa.nulls(len(batch), field.type)
            for field in batch.arrow.schema
        ]
        arrow = pa.Table.from_arrays(columns, schema=batch.arrow.schema)
        return self.inner.write(replace(batch, arrow=arrow))


class MixesUpKeys(BentRows):
    def bent(self, name: str, column: Any) -> Any:
        return pc.utf8_upper(column) if name == "id" and column.type == pa.string() else column


class NullsAsEmptyText(BentRows):
    def bent(self, name: str, column: Any) -> Any:
        return column.fill_null("") if column.type == pa.string() else column


class IgnoresChanges(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return {} if batch.operation == "changed" else self.inner.write(batch)


class LeavesOrphans(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return {} if batch.operation == "removed" else self.inner.write(batch)


class ClearsNothing(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        clears = batch.operation == "removed" and batch.context.on_removed == "clear"
        return {} if clears else self.inner.write(batch)


class MakesRecords(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        upserting = batch.operation == "added"
        context = replace(batch.context, mode="upsert") if upserting else batch.context
        return self.inner.write(replace(batch, context=context))


class WritesKnownRowsOnce(BentWriter):
    known: set[str] = set()

    def write(self, batch: Batch) -> Outcomes:
        new = [at for at, row_id in enumerate(batch.row_ids) if row_id not in self.known]
        self.known.update(batch.row_ids)
        return self.inner.write(batch.take(new)) if new else {}


class InsertsTwice(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        self.inner.write(batch)
        return self.inner.write(batch)


class PublishesNothing(BentWriter):
    def publish(self, operation: str) -> None:
        pass


class PublishesEarly(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        outcomes = self.inner.write(batch)
        self.inner.publish(batch.operation)
        return outcomes

    def publish(self, operation: str) -> None:
        pass


class PublishesInTwoSteps(BentWriter):
    def publish(self, operation: str) -> None:
        with duckdb.connect(self.target) as db:
            db.execute("DELETE FROM t WHERE id > 3")
        time.sleep(0)
        time.sleep(0)
        time.sleep(0)
        self.inner.publish(operation)


class LeavesAMark(BentWriter):
    def close(self) -> None:
        with closing(sqlite3.connect(self.target)) as db, db:
            db.execute("INSERT INTO t (id) VALUES (-1)")
        self.inner.close()


class TakesFewRows(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return self.inner.write(batch.take(range(min(len(batch), 20))))


class NotForThreads(BentWriter):
    busy = False

    def write(self, batch: Batch) -> Outcomes:
        if self.busy:
            return {}
        self.busy = True
        time.sleep(0.02)
        try:
            return self.inner.write(batch)
        finally:
            self.busy = False


class RejectsTheNextRow(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        found = self.inner.write(batch)
        return {(position + 1) % len(batch): outcome for position, outcome in found.items()}


class RejectsInSilence(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        self.inner.write(batch)
        return {}


class RejectsTheBatch(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        found = self.inner.write(batch)
        return dict.fromkeys(range(len(batch)), rejected("no")) if found else {}


class RejectsWithoutAReason(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return {position: rejected(" ") for position in self.inner.write(batch)}


class RefusesToRemoveTwice(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        if batch.operation == "removed" and batch.attempt > 1:
            return {0: rejected("there is no such record")}
        return self.inner.write(batch)


class IgnoresRepeats(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return {} if batch.attempt > 1 else self.inner.write(batch)


class IgnoresRepeatsOfRepeats(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return {} if batch.attempt > 2 else self.inner.write(batch)


class ChangesFewRows(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        return self.inner.write(
            batch.take(range(min(10, len(batch)))) if batch.operation != "added" else batch
        )


class AnswersTooEarly(BentWriter):
    """What it has taken is written by the next call, or at the end."""

    def __init__(self, inner: Writer, target: Any) -> None:
        super().__init__(inner, target)
        self.waiting: list[Batch] = []
        self.lock = threading.Lock()

    def write(self, batch: Batch) -> Outcomes:
        with self.lock:
            self.flush()
            self.waiting = [batch]
        return {}

    def close(self) -> None:
        self.flush()
        super().close()

    def flush(self) -> None:
        for batch in self.waiting:
            self.inner.write(batch)


class HidesErrors(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        try:
            return self.inner.write(batch)
        except DestinationError:
            return {}


class LogsRows(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        logging.getLogger("bent").warning("writing %s", batch.rows)
        return self.inner.write(batch)


class LogsRowsAside(BentWriter):
    """By a logger that keeps its records to itself."""

    def write(self, batch: Batch) -> Outcomes:
        logger = logging.getLogger("bent.aside")
        logger.propagate = False
        logger.info("writing %s", batch.rows)
        return self.inner.write(batch)


class TellsItsSecret(BentWriter):
    def write(self, batch: Batch) -> Outcomes:
        raise AuthenticationError(f"{SECRET} was refused.")


class Bending:
    """Makes every destination of a right suite a bent one; what it is bent to is a part of its target."""

    bend = ""
    secrets = [SECRET]

    def target(self, *arguments: Any) -> Any:
        return super().target(*arguments), self.bend  # type: ignore[misc]

    def destination(self, target: Any, *arguments: Any) -> Destination:
        return Bent(super().destination(target[0], *arguments), *target)  # type: ignore[misc]

    def read(self, target: Any) -> Any:
        return super().read(target[0])  # type: ignore[misc]

    def read_operations(self, target: Any) -> Any:
        return super().read_operations(target[0])  # type: ignore[misc]

    def disturbances(self, target: Any) -> Any:
        return super().disturbances(target[0])  # type: ignore[misc]

    def unusable(self) -> Destination | None:
        target = self.target(FIELDS, "upsert")
        return self.destination(target, "upsert", "nothing")


class BentFunction(Bending, right.TestFunction):
    __test__ = False


class BentFiles(Bending, right.TestJsonLines):
    __test__ = False


class BentTable(Bending, right.TestDuckDBTable):
    __test__ = False
    modes = ["mirror"]


class BentHttp(Bending, right.TestHttp):
    __test__ = False


class ForgetfulJobs(right.TestJobs):
    __test__ = False

    def destination(self, target: Any, mode: str, on_removed: str) -> Destination:
        return Forgetful(target, modes=frozenset({"insert", "upsert"}))


class Forgetful(Jobs):
    """Says of each job that it surely never came."""

    def open(self, context: RunContext) -> JobWriter:
        writer = super().open(context)
        writer.find = lambda batch, job_id: None  # type: ignore[method-assign]
        return writer


BROKEN: list[tuple[type[Bending], type[BentWriter] | str, str, str]] = [
    (BentFunction, "ShowsASecret", "it_declares_what_exists", "it shows a secret"),
    (BentFunction, LosesAField, "upsert", "'score' of record 1 is None, not 0"),
    (BentFunction, TakesTheModelsNames, "upsert", "at first: the target holds the records"),
    (BentFunction, MixesUpKeys, "keys_of_text", "mode upsert, .*the target holds the records"),
    (BentFunction, IgnoresChanges, "upsert", "'name' of record 1 is 'canary 1.0', not 'canary 1.1'"),
    (BentFunction, LeavesOrphans, "upsert", "after a change: "),
    (BentFunction, ClearsNothing, "upsert", "on_removed clear: after a change: 'name' of record 3"),
    (BentFunction, MakesRecords, "update", "record 9 was not there before: the target holds"),
    (BentFunction, InsertsTwice, "modes_that_append", "mode archive.*the target holds the records"),
    (BentFunction, WritesKnownRowsOnce, "modes_that_append", "mode archive.*the target holds the records"),
    (BentFiles, InsertsTwice, "insert", "mode insert.*the target holds the records"),
    (BentFiles, LeavesOrphans, "diff", "mode diff.*the target holds the records"),
    (BentTable, PublishesNothing, "modes_that_replace", "mode mirror.*the target holds the records"),
    (BentTable, PublishesEarly, "nothing_takes_effect_before_it_is_published", "nothing was published yet"),
    (BentTable, PublishesInTwoSteps, "killed_in_delivery", "killed in publish 0.5.*it was"),
    (BentFunction, LeavesAMark, "an_empty_model", "before there was a row: the target holds"),
    (BentFunction, IntegersAsFloats, "values_arrive_as_they_are", "'a_integer' of record"),
    (BentFunction, TrimsText, "values_arrive_as_they_are", "'a_text' of record 9007199254740993 is '', not"),
    (
        BentFunction,
        NullsAsEmptyText,
        "values_arrive_as_they_are",
        "'a_text' of record 9007199254741008 is ''",
    ),
    (BentFunction, TakesFewRows, "batches_of_the_declared_size", "the target holds the records"),
    (BentFunction, NotForThreads, "calls_beside_each_other", "the target holds the records"),
    (BentFunction, RejectsTheNextRow, "a_rejected_row_costs_only_itself", "mode upsert: .*'4'"),
    (BentFunction, RejectsInSilence, "a_rejected_row_costs_only_itself", "mode upsert: success"),
    (BentFunction, LogsRowsAside, "upsert", "it shows a value of a row"),
    (BentFunction, RejectsTheBatch, "a_rejected_row_costs_only_itself", "mode upsert: .*'1'"),
    (BentFunction, RejectsWithoutAReason, "a_rejected_row_costs_only_itself", "no reason is given"),
    (BentFunction, "ClaimsToBeIdempotent", "a_repeated_call_has_no_second_effect", "mode archive.*holds"),
    (BentFunction, RefusesToRemoveTwice, "a_repeated_call_has_no_second_effect", "there is no such record"),
    (BentFunction, AnswersTooEarly, "killed_in_delivery", "killed in write 0"),
    (BentFunction, IgnoresRepeats, "what_an_interruption_left_open_is_sent_again", "first two attempts"),
    (BentFunction, IgnoresRepeatsOfRepeats, "what_an_interruption_left_open_is_sent_again", "first two att"),
    (BentFunction, ChangesFewRows, "batches_of_the_declared_size", "after changes: .* record"),
    (BentFunction, LeavesOrphans, "any_history_converges", "at last: "),
    (BentFunction, IgnoresChanges, "what_an_interruption_left_open_is_sent_again", "after calls that were"),
    (BentHttp, HidesErrors, "it_recovers_from_what_its_target_does", "unavailable: the target holds"),
    (BentFunction, LogsRows, "upsert", "it shows a value of a row"),
    (BentFunction, TellsItsSecret, "a_destination_that_cannot_be_used_says_so", "it shows a secret"),
    (BentFunction, "Right", "a_destination_that_cannot_be_used_says_so", "status == 'failed'|'success'"),
]


@pytest.fixture
def unshrunk() -> Iterator[None]:
    """A failure is enough; nobody reads the smallest one, which takes a minute to find."""
    settings.register_profile("unshrunk", settings.get_profile("any machine"), phases=[Phase.generate])
    settings.load_profile("unshrunk")
    yield
    settings.load_profile("any machine")


@pytest.mark.usefixtures("unshrunk")
@pytest.mark.parametrize(
    ("suite", "bend", "test", "told"),
    [
        pytest.param(*each, id=f"{each[1] if isinstance(each[1], str) else each[1].__name__}-{each[2]}")
        for each in BROKEN
    ],
)
def test_a_broken_writer_fails_the_suite(
    tmp_path: Path, suite: Any, bend: type[BentWriter] | str, test: str, told: str
) -> None:
    made = suite()
    made.folder = tmp_path
    made.examples = 10
    made.bend = bend if isinstance(bend, str) else bend.__name__
    WritesKnownRowsOnce.known = set()
    with ExitStack() as made.stack:
        made.servers = {}
        check: Callable[[], None] = getattr(made, f"test_{test}")
        with pytest.raises(AssertionError, match=told):
            check()


@pytest.mark.usefixtures("unshrunk")
def test_a_writer_that_denies_its_jobs_fails_the_suite(tmp_path: Path) -> None:
    made = ForgetfulJobs()
    made.folder = tmp_path
    with ExitStack() as made.stack:
        made.services = {}
        with pytest.raises(AssertionError, match="can't find a job"):
            made.test_what_an_interruption_left_open_is_sent_again()


def test_every_promise_has_a_broken_writer() -> None:
    tests = {
        name.removeprefix("test_") for name in dir(right.DestinationConformance) if name.startswith("test_")
    }
    assert tests == {test for _suite, _bend, test, _told in BROKEN}
