"""Reading a query's rows by whatever driver, so that another thread can stop it."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import Empty, Full, Queue
from time import monotonic
from typing import Any, TypeAlias

import pyarrow as pa

from warehouse_cdc.errors import QueryError

Batch: TypeAlias = tuple[list[str], list[pa.DataType], list[pa.Array]]
"""Names and declared types of columns, and their values."""
LOOK_SECONDS = 0.1
"""How often it is looked whether a query was stopped."""
STOP_SECONDS = 3.0
"""How long a driver may take to stop before it is left alone."""


class Reading:
    """A query that is being read, which another thread may stop."""

    def __init__(self) -> None:
        """Of a query that is yet to be sent."""
        self._cursor: Any = None
        self._stopped_at: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether it is to stop."""
        return self._stopped_at is not None

    def began(self, _connection: Any, cursor: Any, *_statement: Any) -> None:
        """Take note of the driver's cursor, as SQLAlchemy's event tells it."""
        self._cursor = cursor

    def stop(self) -> None:
        """Cancel it by the driver, whatever that calls it; that is not waited for either."""
        if self._stopped_at is None:
            self._stopped_at = monotonic()
        if (cursor := self._cursor) is not None:
            threading.Thread(target=self._cancel, args=(cursor,), name="wcdc-cancel", daemon=True).start()

    @staticmethod
    def _cancel(cursor: Any) -> None:
        driver = getattr(cursor, "connection", None)
        ways = [(of, name) for of in (driver, cursor) for name in ("cancel_safe", "cancel", "interrupt")]
        for of, name in ways:
            if callable(cancel := getattr(of, name, None)):
                with suppress(Exception):  # it may be over already, or not begun
                    cancel()
                return

    def aside(self, batches: Generator[Batch, None, None]) -> Iterator[Batch]:
        """Read in a thread, which is left behind if it doesn't stop when it is told to.

        Raises:
            QueryError: It was left behind.
        """
        ready: Queue[tuple[Batch | None, BaseException | None]] = Queue(1)
        wanted = threading.Event()
        wanted.set()

        def put(batch: Batch | None, error: BaseException | None = None) -> None:
            while wanted.is_set():
                with suppress(Full):
                    ready.put((batch, error), timeout=LOOK_SECONDS)
                    return

        def read() -> None:
            try:
                for batch in batches:
                    put(batch)
                    if self.stopped or not wanted.is_set():
                        break
                batches.close()
                put(None)
            except BaseException as error:
                put(None, error)

        threading.Thread(target=read, name="wcdc-pull", daemon=True).start()
        try:
            while True:
                try:
                    batch, error = ready.get(timeout=LOOK_SECONDS)
                except Empty:
                    if self._stopped_at is not None and monotonic() - self._stopped_at > STOP_SECONDS:
                        raise QueryError("The database's driver doesn't stop.") from None
                    continue
                if error is not None:
                    raise error
                if self.stopped:
                    raise QueryError("The query was stopped between two rows.")
                if batch is None:
                    return
                yield batch
        finally:
            wanted.clear()
