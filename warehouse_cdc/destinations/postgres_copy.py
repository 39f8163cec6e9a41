"""Large batches on PostgreSQL: rows travel as CSV, by ``COPY … FROM STDIN``.

Arrow itself writes the CSV. A column whose text it would write otherwise than the JSON of
``postgres_sql`` does is made into text first, value by value; a batch with a column of which CSV is not
what JSON is (arrays, composite types), or with a row that has to be told apart, isn't copied at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from warehouse_cdc.destinations.base import Batch
from warehouse_cdc.destinations.encoding import encode_column
from warehouse_cdc.destinations.postgres_sql import INTEGERS, Slot
from warehouse_cdc.destinations.tables import quote
from warehouse_cdc.mapping import times

COPY_ROWS = 500
"""Rows of the smallest batch that is copied: a smaller one is sooner sent in one statement."""
_PIECE = 16 * 1024 * 1024
_CSV = pa.csv.WriteOptions(include_header=False, batch_size=16_384)
_FLOATS = frozenset({"float4", "float8"})
_NUMBERS = INTEGERS | _FLOATS | {"numeric"}
_MOMENTS = frozenset({"date", "timestamp", "timestamptz"})
_NESTED = frozenset({"array", "composite"})


def csv_pieces(
    batch: Batch, slots: Sequence[Slot], required: Sequence[str], extra: Mapping[str, pa.Array]
) -> list[pa.Buffer] | None:
    """A batch's rows as CSV, in pieces of a bearable size; None if they can't travel so.

    Args:
        batch: The rows.
        slots: The fields to write, in this order.
        required: The fields that must not be NULL, because they identify the record.
        extra: More columns, after the fields.
    """
    columns: list[pa.ChunkedArray | pa.Array] = []
    for slot in slots:
        column = batch.arrow.column(slot.index)
        if column.type != slot.arrow or (column.null_count and slot.name in required):
            return None
        column = _as_text(column, slot)
        if column is None:
            return None
        columns.append(column)
    rows = pa.table([*columns, *extra.values()], names=[str(at) for at in range(len(columns) + len(extra))])
    step = max(1, len(rows) * _PIECE // max(1, rows.nbytes))
    try:
        return [_csv(rows.slice(start, step)) for start in range(0, len(rows), step)]
    except pa.ArrowInvalid:  # a type that this version of Arrow doesn't write
        return None


def copy(connection: sa.Connection, table: str, columns: Sequence[str], pieces: Sequence[pa.Buffer]) -> None:
    """Append rows to a table.

    Raises:
        DBAPIError: The server refused a row, or the connection broke.
    """
    names = ", ".join(map(quote, columns))
    sql = f"COPY {table} ({names}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
    with _cursor(connection) as cursor:
        for piece in pieces:
            if connection.dialect.driver == "psycopg2":
                cursor.copy_expert(sql, pa.BufferReader(piece), 65_536)
                continue
            with cursor.copy(sql) as stream:
                stream.write(memoryview(piece))


@contextlib.contextmanager
def _cursor(connection: sa.Connection) -> Iterator[Any]:
    """A cursor of the driver, whose errors are raised as SQLAlchemy does it."""
    driver: Any = connection.dialect.loaded_dbapi
    session = connection.connection
    try:
        with contextlib.closing(session.cursor()) as cursor:
            yield cursor
    except driver.Error as error:
        lost = connection.dialect.is_disconnect(error, session.driver_connection, None)
        if lost:
            connection.invalidate(error)
        raised = sa.exc.DBAPIError.instance(
            "COPY", None, error, driver.Error, hide_parameters=True, connection_invalidated=lost
        )
        # Not chained: the driver's error carries row values.
        raise raised from None


def _csv(rows: pa.Table) -> pa.Buffer:
    stream = pa.BufferOutputStream()
    pa.csv.write_csv(rows, stream, _CSV)
    return stream.getvalue()


def _as_text(column: pa.ChunkedArray, slot: Slot) -> pa.ChunkedArray | pa.Array | None:
    """The column as one that Arrow writes in the words of its JSON; None if there is none."""
    types, kind = pa.types, column.type
    if types.is_string(kind) or types.is_large_string(kind):
        if slot.field.metadata is None:
            return column
    elif types.is_integer(kind) or types.is_boolean(kind):
        return column
    elif types.is_float32(kind) or types.is_float64(kind):
        # Elsewhere it matters whether 2.0 is written as 2.
        if slot.kind in _FLOATS or slot.cast:
            return column.cast(pa.float64())
    elif types.is_decimal(kind):
        if slot.kind in _NUMBERS:
            return column
    elif (
        (types.is_date32(kind) or types.is_timestamp(kind))
        and slot.kind in _MOMENTS
        and times.in_four_digits(column)
    ):
        return _moments(column, slot)
    if slot.kind in _NESTED:
        return None
    invalid: dict[int, str] = {}
    texts = encode_column(column, slot.field, slot.text, invalid)
    return None if invalid else pa.array(texts, pa.string())


def _moments(column: pa.ChunkedArray, slot: Slot) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_date(kind) or (kind.tz is None and slot.kind != "timestamptz"):
        return column
    # Not by Arrow's own zones: it would look for the machine's database of them.
    naive = column.cast(pa.int64()).cast(pa.timestamp(kind.unit))
    return pc.binary_join_element_wise(naive.cast(pa.string()), "Z", "")
