from __future__ import annotations

import functools
from typing import Any

import pyarrow as pa
import pytest

import warehouse_cdc.destinations as dest
from tests.destinations.support import make_batch, make_context
from warehouse_cdc.destinations.base import as_destination, idempotency_key
from warehouse_cdc.errors import ConfigError, DestinationError

SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string())])
CONTEXT = make_context(SCHEMA)
BATCH = make_batch(CONTEXT, [(1, "a"), (2, "b"), (3, None)], ids=["1", "2", "3"])


def write(answer: Any) -> Any:
    return dest.FunctionDestination(lambda batch: answer).open(CONTEXT).write(BATCH)


def test_the_function_sees_the_batch() -> None:
    seen: list[dest.Batch] = []
    destination = dest.FunctionDestination(seen.append)
    assert destination.open(CONTEXT).write(BATCH) == {}
    (batch,) = seen
    assert batch.rows == [{"id": 1, "email": "a"}, {"id": 2, "email": "b"}, {"id": 3, "email": None}]
    assert batch.operation == "added" and batch.row_ids == ["1", "2", "3"]
    assert batch.idempotency_keys[0] == idempotency_key("customers", "1", "added", CONTEXT.run_id)
    assert batch.context is CONTEXT and batch.arrow.num_rows == 3


def test_bare_decorator() -> None:
    @dest.destination
    def send_mail(batch: dest.Batch) -> str:
        "Sends."
        return f"{len(batch)} rows"

    assert isinstance(send_mail, dest.FunctionDestination)
    assert send_mail.name == "send_mail" and send_mail.__doc__ == "Sends."
    assert send_mail(BATCH) == "3 rows"
    assert send_mail.capabilities.modes == {"insert", "update", "upsert", "archive"}
    assert send_mail.capabilities.on_removed == {"clear", "delete"}
    assert as_destination(send_mail) is send_mail


def test_decorator_with_options() -> None:
    @dest.destination(batch_size=7, concurrency=80, modes=["insert"], on_removed=[], name="mailer")
    def send_mail(batch: dest.Batch) -> None: ...

    able = send_mail.capabilities
    assert (able.batch_rows, able.concurrency, able.max_concurrency) == (7, 80, 80)
    assert able.modes == {"insert"} and able.on_removed == frozenset() and not send_mail.publishes("insert")
    assert send_mail.name == "mailer" and repr(send_mail) == "FunctionDestination(mailer)"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, {}),
        ({}, {}),
        ([None, None, None], {}),
        ({"2": "no"}, {1: dest.rejected("no")}),
        ({"2": dest.retryable("busy"), "3": None}, {1: dest.retryable("busy")}),
        ([None, "no", dest.unknown("?")], {1: dest.rejected("no"), 2: dest.unknown("?")}),
        ((None, None, ""), {2: dest.rejected("rejected")}),
    ],
)
def test_answers(answer: Any, expected: Any) -> None:
    assert write(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        {"4": "no such row"},
        {2: "an int isn't a row id"},
        {"2": 5},
        [None],
        [None] * 4,
        [None, None, 1],
        "abc",
        b"abc",
        True,
        7,
        iter([None, None, None]),
        dest.Outcome("fine", "x"),  # type: ignore[arg-type]
        [dest.Outcome("fine", "x"), None, None],  # type: ignore[arg-type]
    ],
)
def test_answers_that_cannot_be_understood(answer: Any) -> None:
    with pytest.raises(DestinationError) as caught:
        write(answer)
    assert caught.value.outcome_unknown and caught.value.hint
    assert caught.value.code == "destination-answer"


def test_a_hidden_coroutine_is_closed(recwarn: pytest.WarningsRecorder) -> None:
    async def later(batch: dest.Batch) -> None: ...

    with pytest.raises(DestinationError):
        dest.FunctionDestination(lambda batch: later(batch)).open(CONTEXT).write(BATCH)
    assert not recwarn.list


def test_exceptions_pass() -> None:
    def fail(batch: dest.Batch) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dest.FunctionDestination(fail).open(CONTEXT).write(BATCH)


class Plain:
    def __call__(self, batch: dest.Batch) -> None: ...


class Async:
    async def __call__(self, batch: dest.Batch) -> None: ...


async def coroutine(batch: dest.Batch) -> None: ...


def generator(batch: dest.Batch) -> Any:
    yield None


async def async_generator(batch: dest.Batch) -> Any:
    yield None


@pytest.mark.parametrize(
    "function",
    [
        coroutine,
        generator,
        async_generator,
        functools.partial(coroutine),
        Async(),
        Plain,
        dest.SqlTable,
        5,
        None,
    ],
)
def test_callables_that_are_refused(function: Any) -> None:
    with pytest.raises(ConfigError):
        dest.FunctionDestination(function)


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda batch: None, "lambda"), (functools.partial(print, 1), "print"), (Plain(), "Plain")],
)
def test_names(function: Any, name: str) -> None:
    assert as_destination(function).name == name


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"batch_size": True},
        {"concurrency": 1.5},
        {"modes": []},
        {"modes": ["mirror"]},
        {"on_removed": ["drop"]},
        {"name": " "},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        dest.destination(**options)(print)
