"""Liquid templates that fill URLs and payloads with rows.

A value can't break out of where a template puts it: what a row holds is escaped for the format (JSON, XML, a
URL), what the template's author wrote is not, also where a filter inserts it:
``["{{ row.tags | replace: ', ', '", "' }}"]`` makes an array, whatever quotes the tags have.

The author's special characters, and those of a value's JSON, travel through filters, captures and loops as
marks: lone surrogates, which no row's text has. When all is filled in, whatever has no mark is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from email.utils import parseaddr
from functools import cache, cached_property, wraps
from io import StringIO
from typing import Any, TextIO
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape as xml_escape

from dateutil.parser import isoparse
from liquid import Environment, Node, RenderContext, Tag
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, StringLiteral, TernaryFilteredExpression
from liquid.builtin.filters import string as string_filters
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.cycle_tag import CycleNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.tablerow_tag import TablerowNode
from liquid.exceptions import LiquidError
from liquid.undefined import Undefined

from warehouse_cdc.destinations import encoding
from warehouse_cdc.destinations.encoding import decimal_text, float_text, plain, scalar_text
from warehouse_cdc.errors import ConfigError

CONTEXT = ("model_id", "model_name", "sync_id", "sync_run_id", "operation")
"""What a template's ``context`` holds."""
_INSERTING = {
    "append",
    "prepend",
    "replace",
    "replace_first",
    "replace_last",
    "regex_replace",
    "default",
    "join",
    "push",
}
"""Filters whose last argument becomes a part of the text."""
_AUTHOR, _TOKEN, _EMPTY, _BETWEEN = 0xDC00, 0xDC80, "\udd00", "\udd01"
"""Where the marks of an author's characters begin, and those of a value's JSON; an empty value; a gap."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNMARKED = re.compile("[^\ud800-\udfff]+")
_OF_VALUES = {_TOKEN + code: code for code in range(128)}
_PLAIN = {_AUTHOR + code: code for code in range(128)} | _OF_VALUES | {ord(_EMPTY): None}
_JSON_TOKENS = {ord(c): _TOKEN + ord(c) for c in '"\\,:[]{}'}
_PATH_ENDS = re.compile("[\udc23\udc3f]")
_STRING = re.compile("\udc22([^\udc22\udc5c]*(?:\udc5c.[^\udc22\udc5c]*)*)\udc22", re.DOTALL)
"""A string of the author's in JSON; its quotes and backslashes are the author's."""
_ASTRAY = re.compile(r"(?<!\udc5c)(?:\udc5c\udc5c)*\udc5c\\")
"""A backslash of the author's before one that escapes what a value holds."""


class Marked(str):
    """A text of the author's, whose marks make it no other text to a template's conditions."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(_plain(self), _plain(other)) if isinstance(other, str) else False

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __contains__(self, part: object) -> bool:
        return isinstance(part, str) and _plain(part) in _plain(self)


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
        return {ord(c): _AUTHOR + ord(c) for c in self.special}

    def __reduce__(self) -> str:
        """One of those below, in another process too."""
        return self.name.upper()


def _plain(text: str) -> str:
    """A text without marks, as it is."""
    return text.translate(_PLAIN)


def _xml(text: str) -> str:
    return _plain(xml_escape(text, {'"': "&quot;", "'": "&apos;"}))


def _url(text: str) -> str:
    return _plain(_UNMARKED.sub(lambda found: quote(found[0], safe=""), text))


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
    parts[::2] = _plain(outside).split(_BETWEEN)
    parts[1::2] = [f'"{string}"' for string in _plain(inside).split(_BETWEEN)][: len(parts) // 2]
    return "".join(parts)


JSON = Format("JSON", '"\\,:[]{}', _json)
XML = Format("XML", "<>&\"'", _xml)
URL = Format(
    "URL", "".join(chr(c) for c in range(128) if quote(chr(c), safe="") != chr(c)), _url, empties=True
)
TEXT = Format("text", "", _plain)


class Template:
    """A Liquid template of one format.

    Args:
        source: The template.
        format: What it makes.
        label: What a message calls it.

    Raises:
        ConfigError: Its syntax is wrong, or it uses an unknown filter or tag (code ``template-syntax``).
    """

    def __init__(self, source: str, format: Format, label: str) -> None:
        self.label = label
        self._given = (source, format, label)
        self._constant = source if isinstance(source, str) and "{" not in source else None
        if not isinstance(source, str):
            raise ConfigError(f"{label} must be text.", code="template-syntax")
        self._format = format
        try:
            self._template = _environment(format).from_string(source)
            self._used = self._template.analyze()
        except LiquidError as error:
            line = source[: error.token.start_index].count("\n") + 1 if error.token else 1
            raise ConfigError(
                f"{label} is no Liquid template: line {line}: {error.message}", code="template-syntax"
            ) from None
        unknown = sorted(set(self._used.filters) - set(_environment(format).filters))
        if unknown:
            raise ConfigError(
                f"{label} uses an unknown filter: {unknown[0]}.",
                code="template-syntax",
                hint=f"Known: {', '.join(sorted(_environment(format).filters))}.",
            )
        nodes = list(_all_nodes(self._template.nodes, RenderContext(self._template)))
        for node in nodes:
            _mark_node(node, format)
        loops = [node.expression for node in nodes if isinstance(node, (ForNode, TablerowNode))]
        names = {each.identifier for each in loops if str(each.iterable) == "rows"}
        self._over_rows = names - {each.identifier for each in loops if str(each.iterable) != "rows"}

    @property
    def constant(self) -> bool:
        """Whether it is the same whatever it sees."""
        return self._constant is not None

    def __reduce__(self) -> Any:
        """Parsed anew in another process."""
        return Template, self._given

    def check(self, fields: Collection[str], *, single: bool) -> None:
        """Look whether the template names only what there is.

        Args:
            fields: The fields that a row has.
            single: Whether it sees one ``row``, or ``rows``.

        Raises:
            ConfigError: It names something else (code ``unknown-field``).
        """
        names = ["row", "context", *fields] if single else ["rows", "context"]
        unknown = [name for name in self._used.globals if name not in names]
        if unknown:
            write = "{% for row in rows %} … {% endfor %} around what each row fills"
            raise ConfigError(
                f"{self.label} uses {unknown[0]}, which {'one row' if single else 'a batch'} doesn't have.",
                code="unknown-field",
                hint=f"Names: {', '.join(names)}."
                + ("" if single else f" Write {write}, or set batch=False."),
            )
        members = dict.fromkeys(["row"] if single else self._over_rows, fields) | {"context": CONTEXT}
        used = self._used.globals if single else self._used.variables
        for name, known in members.items():
            for _, *rest in (variable.segments for variable in used.get(name, ())):
                if rest and isinstance(rest[0], str) and rest[0] not in known:
                    raise ConfigError(
                        f"{self.label} uses {name}.{rest[0]}, and no such field is sent.",
                        code="unknown-field",
                        hint=f"Fields: {', '.join(known)}.",
                    )

    def render(self, **values: Any) -> str:
        """Fill the template.

        Raises:
            RowRejectedError: A filter refused a value, or failed on it.
        """
        return self._filled(values, self._format.finish)

    def render_url(self, base: str, **values: Any) -> str:
        """Fill a template that makes the rest of a URL.

        Args:
            base: What the URL begins with.
            values: What the template sees.

        Raises:
            RowRejectedError: A filter refused a value or failed on it, or a value leads to another path.
        """

        def finish(text: str) -> str:
            if "?" not in base:
                path = _PATH_ENDS.split(text)[0]
                if _EMPTY in path:
                    raise RowRejectedError("a value in the URL's path is empty")
                if {".", ".."} & set(re.split(r"[/\\]", unquote(_url(path)))):
                    raise RowRejectedError("a part of the URL's path is '.' or '..'")
            return _url(text)

        return base + self._filled(values, finish)

    def _filled(self, values: dict[str, Any], finish: Callable[[str], str]) -> str:
        if self._constant is not None:
            return self._constant
        try:
            return finish(self._template.render(**values))
        except LiquidError as error:
            raise RowRejectedError(f"{self.label} can't be filled: {error.message}") from None
        except RowRejectedError as error:
            raise RowRejectedError(f"{self.label} can't be filled: {error}") from None
        except Exception as error:
            raise RowRejectedError(f"{self.label} can't be filled ({type(error).__name__})") from None


@cache
def _environment(format: Format) -> Environment:
    made = Environment(undefined=Undefined)
    made.add_tag(_tag_of(Output, OutputNode, format))
    made.add_tag(_tag_of(EchoTag, EchoNode, format))
    made.add_tag(_Capture)
    for name, function in made.filters.items():
        if function.__module__ == string_filters.__name__:
            made.add_filter(name, _of_texts(function, format))
    for name, function in FILTERS.items():
        made.add_filter(name, function)
    made.add_filter("json", lambda value: _json_text(value, format))
    return made


def _tag_of(tag: type[Tag], node: type[OutputNode], format: Format) -> type[Tag]:
    """A tag that shows a value."""

    class FormatNode(node):  # type: ignore[valid-type, misc]
        def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
            text = text_of(self.expression.evaluate(context), format)
            return buffer.write(text if text or not format.empties else _EMPTY)

    return type(tag.__name__, (tag,), {"node_class": FormatNode})


def _of_texts(function: Callable[..., Any], format: Format) -> Callable[..., Any]:
    """One of Liquid's filters of text, which sees values as the texts that a template shows."""

    def shown(value: Any) -> Any:
        return value if type(value) is int or isinstance(value, (str, Undefined)) else text_of(value, format)

    @wraps(function)
    def wrapped(value: Any, *args: Any, **named: Any) -> Any:
        return function(shown(value), *map(shown, args), **named)

    return wrapped


class _CaptureNode(CaptureNode):
    def _assign(self, context: RenderContext, buf: StringIO) -> None:
        context.assign(self.name, Marked(buf.getvalue()))


class _Capture(CaptureTag):
    node_class = _CaptureNode


def _all_nodes(nodes: Iterable[Node], context: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _all_nodes(node.children(context, include_partials=False), context)


def _mark_node(node: Node, format: Format) -> None:
    """Mark the author's own text."""
    if isinstance(node, ContentNode):
        node.text = node.text.translate(format.marks)
    elif isinstance(node, (OutputNode, AssignNode)):
        _mark(node.expression, format)
    elif isinstance(node, CycleNode):
        _mark_literals(node.args, format)


def _mark(expression: Any, format: Format) -> None:
    """Mark what of an expression becomes a part of the text."""
    if isinstance(expression, TernaryFilteredExpression):
        _mark(expression.left, format)
        filters = [*(expression.filters or ()), *(expression.tail_filters or ())]
        literals = [expression.alternative]
    elif isinstance(expression, FilteredExpression):
        filters = expression.filters or []
        literals = [] if filters else [expression.left]
    else:
        return
    inserted = [each.args[-1].value for each in filters if each.name in _INSERTING and each.args]
    _mark_literals([*literals, *inserted], format)


def _mark_literals(literals: Iterable[Any], format: Format) -> None:
    for literal in literals:
        if isinstance(literal, StringLiteral):
            literal.value = Marked(literal.value.translate(format.marks))


def _json_text(value: Any, format: Format) -> str:
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
        return _json_text(value, format)
    return str(value) if isinstance(value, (int, range)) else scalar_text(value)


def json_of(value: Any) -> str:
    """A value as JSON: exact, decimals as numbers, and what is undefined as null."""
    return encoding.json_of(_defined(value), lambda text: json.dumps(_plain(text), ensure_ascii=False))


def _defined(value: Any) -> Any:
    if isinstance(value, dict):
        return {text_of(key): _defined(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_defined(item) for item in value]
    return None if isinstance(value, Undefined) else value


# -- filters --------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return _plain(text_of(value))


def _digest(name: str) -> Callable[[Any], str]:
    return lambda value: hashlib.new(name, _text(value).encode()).hexdigest()


def _b64_encode(value: Any) -> str:
    data = value if isinstance(value, bytes) else _text(value).encode()
    return base64.b64encode(data).decode()


def _b64_decode(value: Any) -> str:
    return base64.b64decode(_text(value), validate=True).decode()


def _cast(value: Any, kind: str) -> Any:
    text = _text(value).strip()
    if kind == "string":
        return _text(value)
    if kind == "number":
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise RowRejectedError("a value can't be cast to a number") from None
        return int(number) if number == number.to_integral_value() and "." not in text else number
    if kind == "boolean":
        if text.lower() in ("true", "t", "1", "yes"):
            return True
        if text.lower() in ("false", "f", "0", "no", ""):
            return False
        raise RowRejectedError("a value can't be cast to a boolean")
    raise RowRejectedError(f"cast knows string, number and boolean, not {kind}")


def _includes(value: Any, part: Any) -> Any:
    if _text(part) not in _text(value):
        raise RowRejectedError(f"the value doesn't include {_text(part)!r}")
    return value


def _regex_test(value: Any, pattern: str) -> Any:
    if not re.search(pattern, _text(value)):
        raise RowRejectedError(f"the value doesn't match {pattern!r}")
    return value


def _validate_email(value: Any) -> Any:
    text = _text(value)
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    if name or address != text or not local or not re.fullmatch(r"[^\s@.]+(\.[^\s@.]+)+", domain):
        raise RowRejectedError("the value is no e-mail address")
    return value


def _regex_replace(value: Any, pattern: str, replacement: str) -> str:
    inserted = re.sub("[$\udc24](\\d)", r"\\g<\1>", text_of(replacement).replace("\\", r"\\"))
    return re.sub(pattern, inserted, text_of(value))


def _json_construct(*pairs: Any) -> dict[str, Any]:
    if len(pairs) % 2:
        raise RowRejectedError("json_construct takes keys and values in turn")
    return {_text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


def _parse(value: Any) -> Any:
    return without_surrogates(json.loads(_text(value), parse_float=Decimal))


def _whoever_wrote(part: Any) -> re.Pattern[str]:
    """Finds a text, with marks or without."""
    wide = (f"[{re.escape(c)}{chr(_AUTHOR + ord(c))}]" if c.isascii() else c for c in _text(part))
    return re.compile("".join(wide))


def _split(value: Any, separator: Any) -> list[str]:
    text, by = text_of(value), _text(separator)
    if not text or not by or _plain(text) == by:
        return list(text) if not by else []
    return text.split() if by == " " else _whoever_wrote(separator).split(text)


def _replace(count: int = 0) -> Callable[..., str]:
    return lambda value, old, new="": _whoever_wrote(old).sub(lambda _: text_of(new), text_of(value), count)


def _replace_last(value: Any, old: Any, new: Any = "") -> str:
    text = text_of(value)
    *_, last = [None, *_whoever_wrote(old).finditer(text)]
    return text if last is None else text[: last.start()] + text_of(new) + text[last.end() :]


def _push(value: Any, item: Any) -> list[Any]:
    return [*(value if isinstance(value, (list, tuple)) else [] if value is None else [value]), item]


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=timezone.utc)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return datetime.fromtimestamp(float(value), timezone.utc)
    try:
        found: datetime = isoparse(_text(value).strip())
    except ValueError:
        raise RowRejectedError("a value is no date or time") from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _camelcase(value: Any) -> str:
    first, *rest = re.split(r"[\s_\-]+", _text(value).strip()) or [""]
    return first.lower() + "".join(word.capitalize() for word in rest)


FILTERS: dict[str, Callable[..., Any]] = {
    "b64_decode": _b64_decode,
    "b64_encode": _b64_encode,
    "camelcase": _camelcase,
    "cast": _cast,
    "includes": _includes,
    "json_construct": _json_construct,
    "md5": _digest("md5"),
    "null_if_empty": lambda value: None if value == "" else value,
    "parse": _parse,
    "push": _push,
    "regex_replace": _regex_replace,
    "regex_test": _regex_test,
    "remove": _replace(),
    "remove_first": _replace(1),
    "remove_last": _replace_last,
    "replace": _replace(),
    "replace_first": _replace(1),
    "replace_last": _replace_last,
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "split": _split,
    "to_date": lambda value: _moment(value).astimezone(timezone.utc).isoformat().replace("+00:00", "Z"),
    "to_unix": lambda value: int(_moment(value).timestamp()),
    "validate_email": _validate_email,
}
"""Filters beside Liquid's own, and those of Liquid's own that must find what has marks."""
