"""Warehouses whose transactions aren't relied on: each statement is alone, and commits by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlglot import exp

from warehouse_cdc.warehouses.base import Connection


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
