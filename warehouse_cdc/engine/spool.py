"""Rows between the warehouse and a destination: in memory while few, on local disk otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import IO, Any, TypeVar

import numpy as np
import pyarrow as pa

from warehouse_cdc.engine.pool import Pool

_END: Any = object()


T = TypeVar("T")


def ahead(batches: Iterator[T]) -> Generator[T, None, None]:
    """The same batches; while one is worked on, the next one is read."""
    pool, patient = Pool(1), True
    try:
        upcoming = pool.submit(partial(next, batches, _END))
        while (batch := upcoming.result()) is not _END:
            upcoming = pool.submit(partial(next, batches, _END))
            yield batch
    except KeyboardInterrupt:
        patient = False  # a second signal: nobody waits for the warehouse (D20)
        raise
    finally:
        # By the thread that reads: nobody else may close what is being read.
        closed = pool.submit(batches.close if isinstance(batches, Generator) else _nothing)
        pool.close()
        if patient:
            wait([closed])


def _nothing() -> None:
    """Nothing is to be closed."""


LIMIT = 8 * 1024 * 1024
"""Bytes that are kept in memory."""


class Spool:
    """A result that was read whole, in parts by its column ``bucket``; closing it frees its file.

    Args:
        batches: The result, in any order.
        highs: The highest bucket of each part, ascending.

    Attributes:
        sizes: Bytes of each part.
    """

    def __init__(self, batches: Iterable[pa.RecordBatch], highs: Sequence[int]) -> None:
        """Read all the batches."""
        self._highs = np.asarray(highs)
        self.sizes = [0 for _high in highs]
        self._held: dict[int, pa.RecordBatch] = {}
        self._written: list[list[int]] = [[] for _high in highs]
        self._count = 0
        self._file: IO[bytes] | None = None
        self._reader: Any = None
        self._writer: Any = None
        came: list[pa.RecordBatch] = []
        size = 0
        try:
            for batch in batches:
                came.append(batch)
                size += batch.nbytes
                if size > LIMIT:
                    self._spill(came)
                    came, size = [], 0
            if self._count == 0:
                self._held = dict(self._parts(came))
            else:
                self._spill(came)
                self._writer.close()  # type: ignore[attr-defined]
                self._reader = pa.ipc.open_file(self._file)
        except BaseException:
            self.close()
            raise

    def part(self, place: int) -> pa.Table:
        """The rows of a part."""
        return pa.Table.from_batches(self.batches(place))

    def batches(self, place: int) -> Iterator[pa.RecordBatch]:
        """The rows of a part, a few at a time."""
        if self._reader is None:
            yield self._held[place]
        for number in self._written[place]:
            yield self._reader.get_batch(number)

    def close(self) -> None:
        """Free the rows."""
        self._held = {}
        self._reader = None
        if self._file is not None:
            with suppress(OSError):  # of a full disk, on which the file has no name
                self._file.close()

    def _parts(self, batches: list[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Each part's rows, where it has some."""
        for batch in pa.Table.from_batches(batches).combine_chunks().to_batches() if batches else ():
            ordered, ends = batch, [batch.num_rows]
            if len(self._highs) > 1:
                places = np.searchsorted(self._highs, batch.column("bucket").cast(pa.int64()).to_numpy())
                order = np.argsort(places, kind="stable")
                ends = np.searchsorted(places[order], np.arange(len(self._highs)), side="right").tolist()
                ordered = batch.take(pa.array(order))
            for place, (start, end) in enumerate(pairwise([0, *ends])):
                if end > start:
                    part = ordered.slice(start, end - start)
                    self.sizes[place] += part.nbytes
                    yield place, part

    def _spill(self, batches: list[pa.RecordBatch]) -> None:
        """Put them on disk, for each part by itself."""
        for place, batch in self._parts(batches):
            if self._writer is None:
                # It has no name, so that nothing is left of it, whatever becomes of this process.
                self._file = tempfile.TemporaryFile(prefix="wcdc-", suffix=".arrow")  # noqa: SIM115
                self._writer = pa.ipc.new_file(self._file, batch.schema)
            self._writer.write_batch(batch)
            self._written[place].append(self._count)
            self._count += 1
