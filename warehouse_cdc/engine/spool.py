"""Rows between the warehouse and a destination: in memory while few, on local disk otherwise."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable

import pyarrow as pa

LIMIT = 32 * 1024 * 1024
"""Bytes that are kept in memory."""


class Spool:
    """A result that was read whole; closing it frees its file."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Read all the batches."""
        self._map: pa.MemoryMappedFile | None = None
        held: list[pa.RecordBatch] = []
        size = 0
        source = iter(batches)
        for batch in source:
            held.append(batch)
            size += batch.nbytes
            if size > LIMIT:
                self.table = self._spill(held, source)
                return
        self.table = pa.Table.from_batches(held) if held else None

    def _spill(self, held: list[pa.RecordBatch], rest: Iterable[pa.RecordBatch]) -> pa.Table:
        handle, path = tempfile.mkstemp(prefix="wcdc-", suffix=".arrow")
        os.close(handle)
        try:
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, held[0].schema) as writer:
                while held:
                    writer.write_batch(held.pop(0))
                for batch in rest:
                    writer.write_batch(batch)
            self._map = pa.memory_map(path)
            return pa.ipc.open_file(self._map).read_all()
        finally:
            os.unlink(path)

    def close(self) -> None:
        """Free the rows."""
        self.table = None
        if self._map is not None:
            self._map.close()
