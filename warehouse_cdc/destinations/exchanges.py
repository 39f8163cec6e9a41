"""What went over the wire while a batch was sent: writers tell it, a request log keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Exchange:
    """A request and its answer, without secrets.

    Attributes:
        method: The request's method.
        url: Its URL.
        request_headers: Its headers; those that hold secrets have ``…`` in place of their values.
        request_body: Its body.
        status: The answer's status; None if there was none.
        response_headers: Its headers.
        response_body: Its body, or as much of it as was read.
        error: Why there was no whole answer, or None.
        seconds: How long it took.
    """

    method: str
    url: str
    request_headers: Mapping[str, str]
    request_body: str
    status: int | None
    response_headers: Mapping[str, str]
    response_body: str
    error: str | None
    seconds: float


_HEARD: ContextVar[list[Exchange] | None] = ContextVar("wcdc_exchanges", default=None)


def wanted() -> bool:
    """Whether anybody keeps exchanges."""
    return _HEARD.get() is not None


def record(exchange: Exchange) -> None:
    """Tell an exchange to whoever keeps them."""
    heard = _HEARD.get()
    if heard is not None:
        heard.append(exchange)


@contextmanager
def recorded(*, wanted: bool) -> Iterator[list[Exchange]]:
    """Collect the exchanges of a block, if they are wanted."""
    heard: list[Exchange] = []
    token = _HEARD.set(heard if wanted else None)
    try:
        yield heard
    finally:
        _HEARD.reset(token)
