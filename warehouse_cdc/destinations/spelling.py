"""How values look in requests and answers, so that they can be taken out of texts."""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from decimal import Decimal
from html import escape as html_escape
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as xml_escape

import pyarrow as pa

from warehouse_cdc.destinations.encoding import JSON, decimal_text, encode_column, json_of, plain
from warehouse_cdc.mapping.times import is_time_like
from warehouse_cdc.mapping.values import to_list

HIDDEN = "…"
CUT = 500
"""Characters of an answer that a reason shows."""
_BEGINNING = 4
_SURROGATE = re.compile("[\ud800-\udfff]")
_WARY = re.compile("[<>&'+]")
"""What some writers of JSON escape, so that it may stand in a page."""
_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_PERCENT = re.compile("%[0-9A-F]{2}")
_QUOTES = {'"': "&quot;", "'": "&apos;"}


def spelled(text: str) -> set[str]:
    """A text as JSON, XML, URLs, forms and base64 spell it."""
    found = {text, " ".join(text.split()), _SURROGATE.sub("\ufffd", text)}
    for each in list(found):
        data = each.encode("utf-8", "replace")
        in_json = {json.dumps(each, ensure_ascii=False)[1:-1], json.dumps(each)[1:-1]}
        in_json |= {_WARY.sub(lambda found: f"\\u{ord(found[0]):04x}", each) for each in in_json}
        in_json |= {_ESCAPE.sub(lambda found: found[0][:2] + found[0][2:].upper(), each) for each in in_json}
        in_url = {quote(data, safe=""), quote(data), quote_plus(data)}
        found |= {
            *in_json,
            *(each.replace("/", "\\/") for each in in_json),
            *in_url,
            *(_PERCENT.sub(lambda found: found[0].lower(), each) for each in in_url),
            html_escape(each).replace("&#x27;", "&#39;"),
            html_escape(each).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
            xml_escape(each),
            xml_escape(each, _QUOTES),
            html_escape(each),
            base64.b64encode(data).decode(),
            base64.urlsafe_b64encode(data).decode(),
        }
    return found


def spellings(column: pa.ChunkedArray, field: pa.Field) -> set[str]:
    """A column's values as requests may spell them: whole, and each text and number that they hold."""
    invalid: dict[int, str] = {}
    moments = to_list(column, field) if is_time_like(column.type) else []
    shown = {str(value) for value in moments if value is not None}
    found = set[str]().union(*map(spelled, shown | {text.replace(" ", "T") for text in shown}))
    for position, text in enumerate(encode_column(column, field, JSON, invalid)):
        texts: set[str] = set()
        if text is None:
            with suppress(ValueError, OverflowError):
                texts = {str(column[position])} if position in invalid else texts
        else:
            try:
                value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
                texts = {value if isinstance(value, str) else text, *_parts(value)}
            except (RecursionError, ValueError):
                texts = {text}
        found = found.union(*map(spelled, texts))
    return found.union(*map(_as_python, to_list(column, field, strict=False)))


def _as_python(value: Any) -> set[str]:
    """A value as Python shows it, and the text in its quotes."""
    shown = repr(value)
    if isinstance(value, bytes):
        return {shown, shown[2:-1], value.decode("utf-8", "replace")}
    if isinstance(value, str):
        return {shown, shown[1:-1]}
    return set() if value is None else {shown}


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, (dict, list)):
        yield json_of(value)
        yield json_of(value, spaced=True)
        for part in value.values() if isinstance(value, dict) else value:
            yield from _parts(part)
    elif isinstance(value, Decimal):
        yield from (decimal_text(value, plain), str(value), repr(float(value)))
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def hiding(texts: Collection[str], shortest: int = 1) -> Callable[[str], str]:
    """What puts an ellipsis in place of each of some texts; those that are shorter stay.

    A long text may have been cut: then its end may be one's beginning.
    """
    longest_first = sorted((text for text in texts if len(text) >= shortest), key=len, reverse=True)
    if not longest_first:
        return plain
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    in_order = sorted(longest_first)

    def hide(text: str) -> str:
        text = pattern.sub(HIDDEN, text)
        if len(text) >= CUT:
            for size in range(min(CUT, len(longest_first[0])), _BEGINNING - 1, -1):
                place = bisect_left(in_order, text[-size:])
                if place < len(in_order) and in_order[place].startswith(text[-size:]):
                    return text[:-size] + HIDDEN
        return text

    return hide
