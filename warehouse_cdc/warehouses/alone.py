"""Warehouses whose transactions aren't relied on: each statement is alone, and commits by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlglot import exp

from warehouse_cdc.errors import QueryError
from warehouse_cdc.warehouses.base import Connection

_END_SECONDS = 600.0
"""How long a statement may take to end once it was told to."""
_SETTLE_SECONDS = 2.0
"""What a statement was about to commit when it was ended may land a moment later."""


class AloneConnection(Connection):
    """A session in which every statement commits by itself.

    Attributes:
        insert_bytes: Bytes of the rows of one INSERT.
        insert_rows: How many rows it may have, where that is limited.
    """

    insert_bytes = 900_000
    insert_rows: int | None = None

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

    def _end(self, run_id: str, running: Callable[[], Sequence[str]], end: Callable[[str], None]) -> bool:
        """End statements, and wait until they are over.

        Args:
            run_id: The run that they are of.
            running: Looks for them, and returns their ids.
            end: Tells one to end, which may have done so by itself.

        Returns:
            Whether there were any.

        Raises:
            QueryError: They go on.
        """
        until, pause, any_found = time.monotonic() + _END_SECONDS, 0.2, False
        while found := running():
            if time.monotonic() > until:
                raise QueryError(
                    f"Statements of run {run_id} that was interrupted go on.",
                    query_id=found[0],
                    hint="End them, then run the sync again.",
                    retryable=True,
                )
            for each in found:
                end(each)
            any_found = True
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)
        if any_found:
            time.sleep(_SETTLE_SECONDS)
        return any_found

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """None: two statements see two states of a table, so that a model is copied before it is compared."""
        return None
