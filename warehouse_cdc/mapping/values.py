"""How values travel as Arrow, and how they become Python objects.

Three kinds of value have no faithful Arrow type on every warehouse, so they travel as strings, and the
field's metadata says what they are: JSON (also arrays and structs of engines that print them so),
decimals without a declared scale, and everything that the engine only prints. Integers that may be longer
than 64 bits travel as decimals, and the metadata says that they are integers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext, suppress
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa

from warehouse_cdc.mapping import times

KIND = b"wcdc.kind"


def tagged(name: str, kind: str) -> pa.Field:
    """A field of strings that are ``json`` or ``decimal``, or of decimals that are ``integer``."""
    carrier = pa.decimal128(38, 0) if kind == "integer" else pa.string()
    return pa.field(name, carrier, metadata={KIND: kind.encode()})


def kind_of(field: pa.Field) -> str | None:
    """The kind that a field is tagged with, or None."""
    value = (field.metadata or {}).get(KIND)
    return None if value is None else value.decode()


_DECODERS: dict[str, Callable[[Any], Any]] = {"json": json.loads, "decimal": Decimal, "integer": int}


def to_rows(table: pa.Table, *, strict: bool = True, exact: bool = False) -> list[dict[str, Any]]:
    """The table's rows as dictionaries of Python objects.

    Args:
        table: The table.
        strict: Whether a value that isn't what its field says is an error; else it stays the text that it is.
            One that Python can't hold is None then.
        exact: Whether fractions in JSON are decimals.
    """
    how = {"strict": strict, "exact": exact}
    columns = [to_list(table.column(index), field, **how) for index, field in enumerate(table.schema)]
    names = table.schema.names
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def to_list(
    column: pa.ChunkedArray, field: pa.Field, *, strict: bool = True, exact: bool = False
) -> list[Any]:
    """A column's values as Python objects, decoded by the field's kind.

    Zoned timestamps are ``datetime`` in UTC, whatever the column's zone. Dates and times that Python's
    objects can't hold (years outside 1 to 9999, nanoseconds) are ISO 8601 text, also inside of other values.
    """
    if times.is_time_like(column.type):
        convert = times.to_python(column.type)
        return [None if value is None else convert(value) for value in times.ticks(column)]
    values, lost = objects(column)
    for position in lost:
        with nullcontext() if strict else suppress(ValueError, OverflowError):
            values[position] = _with_text(column[position])
    decode = _DECODERS.get(kind_of(field) or "")
    if decode is None:
        return values
    if decode is json.loads and exact:
        decode = partial(json.loads, parse_float=Decimal)
    if not strict:
        decode = _or_itself(decode)
    return [None if value is None else decode(value) for value in values]


def objects(column: pa.ChunkedArray) -> tuple[list[Any], list[int]]:
    """A column's values as Python objects, and the places of those that can't be one, which are None."""
    try:
        return column.to_pylist(), []
    except (ValueError, OverflowError):
        pass
    values: list[Any] = []
    lost = []
    for position, scalar in enumerate(column):
        try:
            values.append(scalar.as_py())
        except (ValueError, OverflowError):
            lost.append(position)
            values.append(None)
    return values, lost


def _with_text(value: pa.Scalar) -> Any:
    """A value as a Python object, with ISO 8601 text for the dates and times in it that can't be one."""
    kind = value.type
    if not value.is_valid:
        return None
    if times.is_time_like(kind):
        (ticks,) = times.ticks(pa.chunked_array([pa.array([value], kind)]))
        return None if ticks is None else times.to_python(kind)(ticks)
    if pa.types.is_struct(kind):
        return {name: _with_text(member) for name, member in value.items()}
    if pa.types.is_map(kind):
        return [(_with_text(entry["key"]), _with_text(entry["value"])) for entry in value.values]
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return [_with_text(member) for member in value.values]
    return value.as_py()


def _or_itself(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decoded(value: Any) -> Any:
        try:
            return decode(value)
        except (ValueError, ArithmeticError, RecursionError):
            return value

    return decoded
