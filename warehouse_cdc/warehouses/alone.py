"""Warehouses whose transactions aren't relied on: each statement is alone, and commits by itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa
from sqlglot import exp

from warehouse_cdc.errors import QueryError
from warehouse_cdc.warehouses.base import Connection

ATTEMPTS = 6
"""How often a statement is sent that did nothing and may do it the next time."""
QUEUE_SECONDS = 600.0
"""How long a statement waits for a place in a queue."""

_T = TypeVar("_T")


def wait_of_conflict(error: QueryError, sql: str) -> float:
    """Seconds before a statement is sent again that another one was faster than; 0 if it isn't.

    Only what may run twice is, for it may have done something before it failed.
    """
    again = error.code == "query-conflict" and sql.lstrip()[:6].upper() in ("DELETE", "UPDATE")
    return 0.2 if again else 0.0


class AloneConnection(Connection):
    """A session in which every statement commits by itself.

    Attributes:
        insert_bytes: Bytes of the rows of one INSERT.
        insert_rows: How many rows it may have, where that is limited.
    """

    insert_bytes = 900_000
    insert_rows: int | None = None

    def __init__(self) -> None:
        """Nothing is sent yet."""
        self.statements = 0
        self._unwanted = threading.Event()

    def cancel_statement(self) -> None:
        """Don't send it again; what is under way, others stop that can."""
        self._unwanted.set()

    def _repeated(self, send: Callable[[], _T], wait: Callable[[QueryError], float]) -> _T:
        """Send a statement; again, if that may help and for as long as it is wanted.

        Args:
            send: Sends it once.
            wait: From an error to the seconds before the second attempt, which double for each later one; 0
                if the statement would fail again, or may have done something.
        """
        self._unwanted.clear()
        for attempt in range(ATTEMPTS - 1):
            try:
                return send()
            except QueryError as error:
                longest = wait(error) * 2**attempt
                if not longest or self._unwanted.wait(random.uniform(longest / 2, longest)):
                    raise
        return send()

    def _queued(self, send: Callable[[], _T], full: Callable[[Exception], bool]) -> _T:
        """Send a statement; again after growing waits while the queue is full, for then nothing runs."""
        end, pause = time.monotonic() + QUEUE_SECONDS, 1.0
        while True:
            try:
                return send()
            except Exception as error:
                if not full(error) or time.monotonic() > end or self._unwanted.wait(pause):
                    raise
            self._sending()
            pause = min(2 * pause, 30.0)

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """Nothing: every statement commits by itself."""
        yield

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """As many statements as their length asks for, in order: the last row comes with the last one."""
        names = ", ".join(self._column(name) for name in rows.column_names)
        head = f"INSERT INTO {self.dialect.table(schema, table)} ({names}) VALUES "
        taken: list[str] = []
        length = 0
        for row in rows.to_pylist():
            text = f"({', '.join(self._literal(value) for value in row.values())})"
            size = len(text.encode()) + 2
            if taken and (length + size > self.insert_bytes or len(taken) == self.insert_rows):
                self.execute(head + ", ".join(taken))
                taken, length = [], 0
            taken.append(text)
            length += size
        if taken:
            self.execute(head + ", ".join(taken))

    def _column(self, name: str) -> str:
        """A column of the engine's own tables."""
        return self.dialect.quote(name)

    def _literal(self, value: Any) -> str:
        if isinstance(value, datetime):
            return self.dialect.instant(value)
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()  # no lone surrogates
        return self.dialect.literal(value)

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """None: two statements see two states of a table, so that a model is copied before it is compared."""
        return None
