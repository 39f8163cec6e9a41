"""Rows that several batches are parts of: what writers make of each row is made once for all of them."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import pyarrow as pa

from warehouse_cdc.destinations.encoding import json_objects
from warehouse_cdc.mapping.values import to_rows


class Whole:
    """Rows that are made into Python objects or JSON when the first of their batches wants that.

    Arrow does many rows at once far faster than a few at a time.

    Args:
        arrow: The rows.
    """

    def __init__(self, arrow: pa.Table) -> None:
        self._arrow = arrow
        self._lock = threading.Lock()

    def make_as(self, other: Whole) -> None:
        """Make what was wanted of another."""
        with self._lock:
            for name in other.made:
                getattr(self, name)

    @property
    def made(self) -> set[str]:
        """What was wanted of it."""
        return {"_rows", "_json"} & set(vars(self))

    def rows(self, start: int, number: int) -> list[dict[str, Any]] | None:
        """Some of the rows as dictionaries; None if a row can't be one."""
        with self._lock:
            made = self._rows
        return None if made is None else made[start : start + number]

    def json(self, start: int, number: int, invalid: dict[int, str]) -> list[str] | None:
        """Some of the rows as the texts of JSON objects; None if a row makes that impossible.

        Args:
            start: The place of the first.
            number: How many.
            invalid: Gets a reason for each row, by its place among these, that can't be one.
        """
        with self._lock:
            made = self._json
        if made is None:
            return None
        texts, refused = made
        if refused:
            invalid |= {at: refused[start + at] for at in range(number) if start + at in refused}
        return texts[start : start + number]

    @cached_property
    def _rows(self) -> list[dict[str, Any]] | None:
        try:
            return to_rows(self._arrow)
        except Exception:
            return None  # it costs only its own batch, whose writer meets the error

    @cached_property
    def _json(self) -> tuple[list[str], dict[int, str]] | None:
        refused: dict[int, str] = {}
        try:
            return json_objects(self._arrow, refused), refused
        except Exception:
            return None
