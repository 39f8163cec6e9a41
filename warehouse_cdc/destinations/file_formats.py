"""JSON Lines, CSV and Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.destinations.encoding import JSON, TEXT, Style, encode_column
from warehouse_cdc.destinations.files import FileDestination, Unit
from warehouse_cdc.errors import ConfigError

DELIMITERS = (",", ";", "|", "\t", "~")

_GROUP_ROWS = 122_880
_GROUP_BYTES = 32 * 1024 * 1024


class JsonLines(FileDestination):
    r"""JSON Lines files: UTF-8, one object a row, ``\n`` after each.

    Numbers keep all their digits, also decimals; dates and times are ISO 8601, zoned timestamps in UTC
    with a ``Z``; bytes are base64; JSON, arrays and structs are nested; NaN and infinities are the
    strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``.

    Modes: ``insert``, ``all``, ``snapshot``, ``diff``. The arguments are those of
    :class:`~warehouse_cdc.destinations.files.FileDestination`.
    """

    extension = ".jsonl"
    label = "json lines"

    def unit(self, path: Path, schema: pa.Schema) -> Unit:
        """Start a file."""
        return _TextUnit(path, schema, JSON, b"", _json_row(schema.names))


class Csv(FileDestination):
    r"""CSV files: UTF-8, RFC 4180 quoting, ``\r\n`` after each row.

    NULL is an empty field; an empty text is ``""``, in quotes. Booleans are ``true`` and ``false``; arrays,
    structs and JSON are JSON text; everything else is as in :class:`JsonLines`, without the quotes.

    Args:
        directory: Where the files go.
        name: Template of the file's name.
        delimiter: ``,`` ``;`` ``|`` ``~`` or a tab.
        header: Whether the first row holds the fields' names.
        bom: Whether the file starts with a byte order mark (spreadsheets ask for it).
        skip_empty: Publish no file for an operation without rows.

    Raises:
        ConfigError: An option is out of range.
    """

    extension = ".csv"
    label = "csv"

    def __init__(
        self,
        directory: str | os.PathLike[str],
        name: str | None = None,
        *,
        delimiter: str = ",",
        header: bool = True,
        bom: bool = False,
        skip_empty: bool = False,
    ) -> None:
        super().__init__(directory, name, skip_empty=skip_empty)
        if delimiter not in DELIMITERS:
            raise ConfigError(
                f"Csv: delimiter {delimiter!r} is not supported.",
                code="csv-delimiter",
                hint="One of , ; | ~ or a tab.",
            )
        self.delimiter = delimiter
        self.header = header
        self.bom = bom

    def unit(self, path: Path, schema: pa.Schema) -> Unit:
        """Start a file."""
        row = _csv_row(self.delimiter)
        head = ("\ufeff" if self.bom else "") + (row(schema.names) if self.header else "")
        return _TextUnit(path, schema, TEXT, head.encode("utf-8"), row)


class Parquet(FileDestination):
    """Parquet files, with the model's own types.

    Two kinds of value stay strings, because their columns have no faithful Parquet type: decimals without
    a declared precision (all digits, as text) and JSON (its text). Such fields carry the metadata
    ``wcdc.kind`` with ``decimal`` or ``json``. Intervals are ISO 8601 text.

    Args:
        directory: Where the files go.
        name: Template of the file's name.
        compression: ``zstd``, ``snappy``, ``gzip``, ``lz4``, ``brotli`` or ``none``.
        skip_empty: Publish no file for an operation without rows.

    Raises:
        ConfigError: An option is out of range.
    """

    extension = ".parquet"
    label = "parquet"

    def __init__(
        self,
        directory: str | os.PathLike[str],
        name: str | None = None,
        *,
        compression: str = "zstd",
        skip_empty: bool = False,
    ) -> None:
        super().__init__(directory, name, skip_empty=skip_empty)
        known = ("zstd", "snappy", "gzip", "lz4", "brotli", "none")
        if compression not in known:
            raise ConfigError(
                f"Parquet: compression {compression!r} is not supported.",
                code="parquet-compression",
                hint=f"One of {', '.join(known)}.",
            )
        self.compression = compression

    def check(self, context: RunContext) -> None:
        """Look at the names, the directory, and whether Parquet has all types of the fields.

        Raises:
            ConfigError: One of them can't be used.
        """
        super().check(context)
        for field in map(_parquet_field, context.schema):
            try:
                pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
            except (pa.ArrowException, ValueError, TypeError) as error:
                raise ConfigError(
                    f"Field {field.name!r}: Parquet has no type for {field.type}.",
                    code="parquet-type",
                    hint="Cast the column in the model's SQL.",
                ) from error

    def unit(self, path: Path, schema: pa.Schema) -> Unit:
        """Start a file."""
        return _ParquetUnit(path, schema, self.compression)


class _TextUnit(Unit):
    """A file of text rows."""

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        style: Style,
        head: bytes,
        row: Callable[[Iterable[str | None]], str],
    ) -> None:
        super().__init__(path, schema)
        self._style = style
        self._row = row
        self._file: BinaryIO = open(path, "wb", buffering=0)  # noqa: SIM115
        self._append(head)

    def add(self, table: pa.Table) -> dict[int, str]:
        invalid: dict[int, str] = {}
        columns = [
            encode_column(table.column(index), field, self._style, invalid)
            for index, field in enumerate(table.schema)
        ]
        rows = zip(*columns, strict=True)
        texts = [self._row(row) for position, row in enumerate(rows) if position not in invalid]
        self._append("".join(texts).encode("utf-8"))
        return invalid

    def finish(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]


class _ParquetUnit(Unit):
    """A Parquet file; batches are gathered into row groups of a useful size."""

    def __init__(self, path: Path, schema: pa.Schema, compression: str) -> None:
        super().__init__(path, schema)
        self._schema = schema
        self._compression = compression
        self._waiting: list[pa.Table] = []
        self._file = open(path, "wb")  # noqa: SIM115
        self._writer: Any = None

    def add(self, table: pa.Table) -> dict[int, str]:
        self._start(table.schema)
        invalid: dict[int, str] = {}
        columns = [
            self._column(table.column(index), field, target, invalid)
            for index, (field, target) in enumerate(zip(table.schema, self._target, strict=True))
        ]
        ready = pa.Table.from_arrays(columns, schema=self._target)
        if invalid:
            ready = ready.filter(pa.array([position not in invalid for position in range(len(ready))]))
        self._waiting.append(ready)
        rows = sum(len(waiting) for waiting in self._waiting)
        if rows >= _GROUP_ROWS or sum(waiting.nbytes for waiting in self._waiting) >= _GROUP_BYTES:
            self._flush()
        return invalid

    def finish(self) -> None:
        self._start(self._schema)
        self._flush()
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._waiting.clear()
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            self._file.close()

    def _start(self, schema: pa.Schema) -> None:
        """The first rows give the types: removed rows may have those of their delivery, all the same ones."""
        if self._writer is None:
            self._target = pa.schema([_parquet_field(field) for field in schema])
            self._writer = pq.ParquetWriter(self._file, self._target, compression=self._compression)

    def _column(
        self, column: pa.ChunkedArray, field: pa.Field, target: pa.Field, invalid: dict[int, str]
    ) -> Any:
        if column.type == target.type:
            return column
        if pa.types.is_string(target.type) and pa.types.is_interval(column.type):
            return pa.chunked_array([pa.array(encode_column(column, field, TEXT, invalid), target.type)])
        return column.cast(target.type)

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        self._waiting.clear()
        self._writer.write_table(table, row_group_size=_GROUP_ROWS)


def _parquet_field(field: pa.Field) -> pa.Field:
    return field.with_type(pa.string()) if pa.types.is_interval(field.type) else field


def _json_row(names: list[str]) -> Callable[[Iterable[str | None]], str]:
    heads = [encode_basestring(name) + ":" for name in names]

    def row(texts: Iterable[str | None]) -> str:
        pairs = zip(heads, texts, strict=True)
        return "{" + ",".join(f"{head}{'null' if text is None else text}" for head, text in pairs) + "}\n"

    return row


def _csv_row(delimiter: str) -> Callable[[Iterable[str | None]], str]:
    special = (delimiter, '"', "\r", "\n")

    def cell(text: str | None) -> str:
        if text is None:
            return ""
        if text == "" or any(character in text for character in special):
            return '"' + text.replace('"', '""') + '"'
        return text

    def row(texts: Iterable[str | None]) -> str:
        return delimiter.join(map(cell, texts)) + "\r\n"

    return row
