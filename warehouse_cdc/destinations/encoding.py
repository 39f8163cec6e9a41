"""Arrow columns as text: JSON tokens, or plain text for CSV. Exact, whatever the type.

Numbers keep every digit (a decimal never becomes a float), dates and times are ISO 8601 (zoned ones in
UTC, with a ``Z``), bytes are base64, and what JSON has no number for is a string: ``"NaN"``,
``"Infinity"``, ``"-Infinity"``. A column that carries JSON stays JSON: its digits, its key order and its
spelling are those of the warehouse.
"""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from warehouse_cdc.mapping import times
from warehouse_cdc.mapping.values import kind_of, objects

Quote = Callable[[str], str]
Encode = Callable[[Any], str]

_COLUMNS_AT_ONCE = 500
"""From so many rows on, Arrow's kernels are faster than Python."""
_PLAIN_DIGITS = 6200
"""A decimal whose exponent is larger than this is written in scientific notation."""


def base64_text(value: bytes) -> str:
    """Bytes as base64 (RFC 4648, with padding)."""
    return base64.b64encode(value).decode("ascii")


def plain(text: str) -> str:
    """The text itself: the quoting of a format that quotes later, or not at all."""
    return text


@dataclass(frozen=True)
class Style:
    """How scalars become text.

    Attributes:
        quote: Makes a string of text (``json_quote``, or ``plain``).
        of_bytes: Makes text of bytes.
    """

    quote: Quote = encode_basestring
    of_bytes: Callable[[bytes], str] = base64_text


JSON = Style()
TEXT = Style(quote=plain)


def encode_column(
    column: pa.ChunkedArray, field: pa.Field, style: Style, invalid: MutableMapping[int, str]
) -> list[str | None]:
    """A column's values as text; None for NULL.

    Args:
        column: The values.
        field: Their field, whose metadata tells JSON and decimals that travel as strings.
        style: How scalars become text.
        invalid: Gets a reason for each position whose value can't be encoded; its text is None then.
    """
    column, kind = _plain_type(column)
    if times.is_time_like(kind):
        values: list[Any] = list(times.ticks(column))
        shown = times.to_text(kind)
        encode: Encode = lambda value: style.quote(shown(value))  # noqa: E731
    else:
        values = _values(column, field, invalid)
        encode = _tagged_encoder(field, style) or encoder(kind, style)
    refused = (ValueError, TypeError, InvalidOperation, RecursionError)
    try:
        return [None if value is None else encode(value) for value in values]
    except refused:
        pass  # one by one: a value that can't be encoded costs only its own row
    texts: list[str | None] = []
    for position, value in enumerate(values):
        text = None
        if value is not None:
            try:
                text = encode(value)
            except refused:
                what = kind_of(field) or str(kind)
                invalid.setdefault(position, f"field {field.name!r}: the value is not valid as {what}")
        texts.append(text)
    return texts


def json_objects(table: pa.Table, invalid: MutableMapping[int, str]) -> list[str]:
    """Each row as the text of a JSON object.

    Args:
        table: The rows.
        invalid: As of ``encode_column``.
    """
    heads = [JSON.quote(name) + ":" for name in table.schema.names]
    if table.num_rows < _COLUMNS_AT_ONCE:
        columns = [
            [text or "null" for text in encode_column(table.column(index), field, JSON, invalid)]
            for index, field in enumerate(table.schema)
        ]
        row = "{" + ",".join(head.replace("%", "%%") + "%s" for head in heads) + "}"
        return [row % texts for texts in zip(*columns, strict=True)]
    parts: list[Any] = []
    between = "{"
    for index, (head, field) in enumerate(zip(heads, table.schema, strict=True)):
        column = table.column(index)
        texts, quote = _by_kernels(column, field)
        if texts is None:
            texts = pa.array(encode_column(column, field, JSON, invalid), pa.large_string())
        if texts.null_count:
            texts = pc.coalesce(
                pc.binary_join_element_wise(_large(quote), texts, _large(quote), _large("")), _large("null")
            )
            quote = ""
        parts += [_large(between + head + quote), texts]
        between = quote + ","
    ends = between[:-1] + "}" if parts else "{}"
    joined: list[str] = pc.binary_join_element_wise(*parts, _large(ends), _large("")).to_pylist()
    return joined


def _by_kernels(column: pa.ChunkedArray, field: pa.Field) -> tuple[pa.ChunkedArray | None, str]:
    """A column's JSON and the quote around it, if Arrow's own text is what ``encode_column`` makes."""
    kind, types = column.type, pa.types
    if kind_of(field) not in (None, "integer"):
        return None, ""
    if types.is_boolean(kind):
        return pc.if_else(column, _large("true"), _large("false")), ""
    if types.is_integer(kind) or (types.is_decimal(kind) and kind.scale == 0):
        texts = column.cast(pa.large_string())
        exponents = types.is_decimal(kind) and pc.any(pc.match_substring(texts, "E")).as_py()
        return (None if exponents else texts), ""
    if types.is_string(kind) or types.is_large_string(kind):
        column = column.cast(pa.large_string())
        return (column, '"') if all(map(_as_it_is, column.chunks)) else (None, "")
    return None, ""


def _as_it_is(texts: pa.LargeStringArray) -> bool:
    """Whether JSON can have all of the texts as they are."""
    _valid, ends, content = texts.buffers()
    if content is None:
        return True
    ends = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    octets = np.frombuffer(content, np.uint8)[ends[0] : ends[-1]]
    if ((octets < ord(" ")) | (octets == ord('"')) | (octets == ord("\\"))).any():
        return False
    try:
        texts.validate(full=bool((octets >= 128).any()))
    except pa.ArrowInvalid:  # it is no UTF-8
        return False
    return True


def _large(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())


def encoder(kind: pa.DataType, style: Style) -> Encode:
    """The function that makes text of one Python value of an Arrow type."""
    types = pa.types
    if types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if types.is_integer(kind):
        return str
    if types.is_floating(kind):
        return lambda value: float_text(value, style.quote)
    if types.is_decimal(kind):
        return lambda value: decimal_text(value, style.quote)
    if types.is_string(kind) or types.is_large_string(kind) or _is_view(kind, "string"):
        return style.quote
    if _is_binary(kind):
        return lambda value: style.quote(style.of_bytes(value))
    if types.is_nested(kind):
        return _nested_encoder(kind, Style(of_bytes=style.of_bytes))
    return lambda value: style.quote(scalar_text(value))


def float_text(value: float, quote: Quote) -> str:
    """The shortest text that reads back as the same float."""
    if math.isfinite(value):
        return repr(value)
    return quote("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")


def decimal_text(value: Decimal, quote: Quote) -> str:
    """All digits of a decimal, trailing zeros included, without an exponent if that isn't absurd."""
    if not value.is_finite():
        return quote("NaN" if value.is_nan() else "Infinity" if value > 0 else "-Infinity")
    return f"{value:f}" if abs(value.adjusted()) <= _PLAIN_DIGITS else str(value)


def json_text(value: str) -> str:
    """JSON text on one line, exactly as it is otherwise.

    Raises:
        ValueError: It isn't valid JSON (NaN and Infinity aren't).
    """

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    # Numbers are only looked at, so that no digit is lost and none is too many.
    json.loads(value, parse_float=str, parse_int=str, parse_constant=refuse)
    # Valid JSON has line breaks only between tokens.
    return value.replace("\r", " ").replace("\n", " ").strip(" \t")


def json_of(value: Any, quote: Quote = encode_basestring, *, spaced: bool = False) -> str:
    """A Python value as JSON: exact, decimals as numbers.

    Args:
        value: The value.
        quote: Makes a string of text.
        spaced: Whether a space follows each comma and colon.
    """
    return "".join(_json_tokens(value, quote, " " if spaced else ""))


def _json_tokens(value: Any, quote: Quote, space: str) -> Iterator[str]:
    if isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            yield f"{f',{space}' if number else '{'}{quote(scalar_text(key))}:{space}"
            yield from _json_tokens(item, quote, space)
        yield "}" if value else "{}"
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield f",{space}" if number else "["
            yield from _json_tokens(item, quote, space)
        yield "]" if value else "[]"
    elif value is None or isinstance(value, (bool, int)):
        yield json.dumps(value)
    elif isinstance(value, float):
        yield float_text(value, quote)
    elif isinstance(value, Decimal):
        yield decimal_text(value, quote)
    else:
        yield quote(scalar_text(value))


def scalar_text(value: Any) -> str:
    """The text of a value whose type has no encoder of its own.

    Raises:
        ValueError: There is none.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64_text(value)
    if isinstance(value, pa.MonthDayNano):
        return times.iso_interval(value.months, value.days, value.nanoseconds)
    if hasattr(value, "isoformat"):
        return times.time_of(value)
    if hasattr(value, "total_seconds"):
        micros = (value.days * times.DAY_SECONDS + value.seconds) * 1_000_000 + value.microseconds
        return times.iso_duration(micros, 1_000_000)
    raise ValueError(f"no text for a {type(value).__name__}")


def _tagged_encoder(field: pa.Field, style: Style) -> Encode | None:
    kind = kind_of(field)
    if kind == "json":
        return json_text
    if kind == "decimal":
        return lambda value: decimal_text(Decimal(value), style.quote)
    return None


def _nested_encoder(kind: pa.DataType, style: Style) -> Encode:
    """Lists as arrays, structs as objects, maps as objects or (if keys aren't text) arrays of pairs."""
    types = pa.types
    if types.is_map(kind):
        item = _or_null(encoder(kind.item_type, style))
        if types.is_string(kind.key_type):
            return lambda pairs: "{" + ",".join(f"{style.quote(k)}:{item(v)}" for k, v in pairs) + "}"
        key = _or_null(encoder(kind.key_type, style))
        return lambda pairs: "[" + ",".join(f"[{key(k)},{item(v)}]" for k, v in pairs) + "]"
    if types.is_struct(kind):
        members = [(kind.field(index).name, kind.field(index).type) for index in range(kind.num_fields)]
        parts = [(name, style.quote(name) + ":", _or_null(encoder(type_, style))) for name, type_ in members]
        return lambda row: "{" + ",".join(f"{head}{part(row[name])}" for name, head, part in parts) + "}"
    if types.is_union(kind):
        return lambda value: json.dumps(value, ensure_ascii=False, allow_nan=False, default=scalar_text)
    element = _or_null(encoder(kind.value_type, style))
    return lambda values: "[" + ",".join(map(element, values)) + "]"


def _or_null(encode: Encode) -> Encode:
    return lambda value: "null" if value is None else encode(value)


def _plain_type(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.DataType]:
    """The column without dictionary encoding."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column, column.type


def _values(column: pa.ChunkedArray, field: pa.Field, invalid: MutableMapping[int, str]) -> list[Any]:
    """The column's values as Python objects; one that Python can't hold costs only its own row."""
    values, lost = objects(column)
    for position in lost:
        invalid.setdefault(position, f"field {field.name!r}: a nested value is out of range")
    return values


def _is_binary(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or _is_view(kind, "binary")
    )


def _is_view(kind: pa.DataType, of: str) -> bool:
    """Whether the type is a view type (newer versions of Arrow only)."""
    check = getattr(pa.types, f"is_{of}_view", None)
    return bool(check is not None and check(kind))
