"""What of a text is its author's: marks, and the formats that texts with marks are finished for.

The special characters of a template's author, and those of a value's JSON, travel through filters, captures
and loops as lone surrogates, which no row's text has. When all is filled in, whatever has no mark is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape as xml_escape

from liquid.undefined import Undefined

from warehouse_cdc.destinations import encoding
from warehouse_cdc.destinations.encoding import decimal_text, float_text, plain, scalar_text

AUTHOR, _TOKEN, EMPTY, _BETWEEN = 0xDC00, 0xDC80, "\udd00", "\udd01"
"""Where the marks of an author's characters begin, and those of a value's JSON; an empty value; a gap."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_UNMARKED = re.compile("[^\ud800-\udfff]+")
_OF_VALUES = {_TOKEN + code: code for code in range(128)}
_PLAIN = {AUTHOR + code: code for code in range(128)} | _OF_VALUES | {ord(EMPTY): None}
_JSON_TOKENS = {ord(c): _TOKEN + ord(c) for c in '"\\,:[]{}'}
PATH_ENDS = re.compile("[\udc23\udc3f]")
_STRING = re.compile("\udc22([^\udc22\udc5c]*(?:\udc5c.[^\udc22\udc5c]*)*)\udc22", re.DOTALL)
"""A string of the author's in JSON; its quotes and backslashes are the author's."""
_ASTRAY = re.compile(r"(?<!\udc5c)(?:\udc5c\udc5c)*\udc5c\\")
"""A backslash of the author's before one that escapes what a value holds."""


class Marked(str):
    """A text of the author's, whose marks make it no other text to a template's conditions."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(plain_text(self), plain_text(other)) if isinstance(other, str) else False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(plain_text(self))

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and plain_text(part) in plain_text(self)


def kept(text: str) -> str:
    """A text that a filter has made, still the author's as far as it has marks."""
    return text if text.isascii() or not _SURROGATE.search(text) else Marked(text)


class RowRejectedError(Exception):
    """A filter refused a value, or a template can't be filled with it; the message is the row's reason."""


@dataclass(frozen=True)
class Format:
    """How text is written into a payload.

    Attributes:
        name: What a message calls it.
        special: The characters that mean something, in which an author's differ from a value's.
        finish: Makes the final text of one with marks.
        empties: Whether it must know where a value was empty.
    """

    name: str
    special: str
    finish: Callable[[str], str]
    empties: bool = False

    @cached_property
    def marks(self) -> dict[int, int]:
        """The author's characters to their marks."""
        return {ord(c): AUTHOR + ord(c) for c in self.special}

    def __reduce__(self) -> str:
        """One of those below, in another process too."""
        return self.name.upper()


def plain_text(text: str) -> str:
    """A text without marks, as it is."""
    return text.translate(_PLAIN)


def _xml(text: str) -> str:
    if _NOT_XML.search(text):
        raise RowRejectedError("a value has a control character, which XML can't hold")
    return plain_text(xml_escape(text, {'"': "&quot;", "'": "&apos;"}))


def url_text(text: str) -> str:
    """A part of a URL; what its author wrote is as it is."""
    return plain_text(_UNMARKED.sub(lambda found: quote(found[0], safe=""), text))


def _json(text: str) -> str:
    """Strings are the author's: what a value holds stays within one, or is one JSON value outside of all."""
    parts = _STRING.split(text)
    outside, inside = _BETWEEN.join(parts[::2]), _BETWEEN.join(parts[1::2])
    if re.search(r'["\\,:\[\]{}]', outside):
        raise RowRejectedError(
            "a text is where JSON has no string: it belongs into quotes, or through | json"
        )
    inside = json.dumps(inside.translate(_OF_VALUES), ensure_ascii=False)[1:-1]
    if _ASTRAY.search(inside):
        raise RowRejectedError("a backslash stands before a value that begins with a quote or a backslash")
    parts[::2] = plain_text(outside).split(_BETWEEN)
    parts[1::2] = [f'"{string}"' for string in plain_text(inside).split(_BETWEEN)][: len(parts) // 2]
    return "".join(parts)


JSON = Format("JSON", '"\\,:[]{}', _json)
XML = Format("XML", "<>&\"'", _xml)
URL = Format(
    "URL", "".join(chr(c) for c in range(128) if quote(chr(c), safe="") != chr(c)), url_text, empties=True
)
TEXT = Format("text", "", plain_text)


def json_text(value: Any, format: Format) -> str:
    """A value's JSON: a part of JSON, and a text like any other elsewhere."""
    text = json_of(value)
    return text.translate(_JSON_TOKENS) if format is JSON else text


def without_surrogates(value: Any) -> Any:
    """A value with U+FFFD for whatever UTF-8 can't hold, in all that it holds."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_surrogates(item) for item in value]
    return value


def text_of(value: Any, format: Format = TEXT) -> str:
    """A value as the text that a template shows."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value, plain)
    if isinstance(value, Decimal):
        return decimal_text(value, plain)
    if isinstance(value, (dict, list, tuple)):
        return json_text(value, format)
    return str(value) if isinstance(value, (int, range)) else scalar_text(value)


def json_of(value: Any) -> str:
    """A value as JSON: exact, decimals as numbers, and what is undefined as null."""
    return encoding.json_of(_defined(value), lambda text: json.dumps(plain_text(text), ensure_ascii=False))


def _defined(value: Any) -> Any:
    if isinstance(value, dict):
        return {text_of(key): _defined(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_defined(item) for item in value]
    return None if isinstance(value, Undefined) else value
