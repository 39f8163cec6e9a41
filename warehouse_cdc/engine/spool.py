"""Rows between the warehouse and a destination: in memory while few, on local disk otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

LIMIT = 32 * 1024 * 1024
"""Bytes that are kept in memory."""


class Spool:
    """A result that was read whole, in parts by its column ``bucket``; closing it frees its file.

    Args:
        batches: The result, in any order.
        highs: The highest bucket of each part, ascending.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], highs: Sequence[int]) -> None:
        """Read all the batches."""
        self._highs = np.asarray(highs)
        self._orders: list[tuple[np.ndarray, np.ndarray]] = []
        """Of each batch: its rows by part, and where each part begins."""
        self._held: list[pa.RecordBatch] = []
        self._file: Any = None
        self._map: Any = None
        self._reader: Any = None
        self._writer: Any = None
        self._path = ""
        size = 0
        try:
            for batch in batches:
                if len(highs) > 1:
                    self._orders.append(self._order(batch))
                self._held.append(batch)
                size += batch.nbytes
                if size > LIMIT:
                    self._spill()
                    size = 0
            if self._path:
                self._spill()
                self._writer.close()  # type: ignore[attr-defined]
                self._map = pa.memory_map(self._path)
                self._reader = pa.ipc.open_file(self._map)
        except BaseException:
            self.close()
            raise

    def part(self, place: int) -> pa.Table:
        """The rows of a part."""
        read = self._reader
        whole = self._held if read is None else map(read.get_batch, range(read.num_record_batches))
        if not self._orders:
            return pa.Table.from_batches(whole)
        return pa.Table.from_batches(
            [
                batch.take(pa.array(rows[starts[place] : starts[place + 1]]))
                for batch, (rows, starts) in zip(whole, self._orders, strict=True)
            ]
        )

    def close(self) -> None:
        """Free the rows."""
        self._held = []
        self._reader = None
        for opened in (self._writer, self._file, self._map):
            if opened is not None:
                opened.close()
        if self._path:
            os.unlink(self._path)
            self._path = ""

    def _order(self, batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
        places = np.searchsorted(self._highs, batch.column("bucket").to_numpy())
        rows = np.argsort(places, kind="stable").astype(np.uint32)
        starts = np.searchsorted(places[rows], np.arange(len(self._highs) + 1))
        return rows, starts

    def _spill(self) -> None:
        """Write what is held."""
        for batch in self._held:
            if self._writer is None:
                handle, self._path = tempfile.mkstemp(prefix="wcdc-", suffix=".arrow")
                os.close(handle)
                self._file = pa.OSFile(self._path, "wb")
                self._writer = pa.ipc.new_file(self._file, batch.schema)
            self._writer.write_batch(batch)
        self._held = []
