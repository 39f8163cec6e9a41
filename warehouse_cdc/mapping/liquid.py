"""Liquid templates that fill URLs and payloads with rows.

A value can't break out of where a template puts it: what a row holds is escaped for the format (JSON, XML, a
URL), what the template's author wrote is not, also where a filter inserts it:
``["{{ row.tags | replace: ', ', '", "' }}"]`` makes an array, whatever quotes the tags have.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from email.utils import parseaddr
from functools import cache
from typing import Any, TextIO
from urllib.parse import quote
from xml.sax.saxutils import escape as xml_escape

from liquid import Environment, RenderContext, TokenStream
from liquid.builtin.expressions import FilteredExpression, StringLiteral, TernaryFilteredExpression
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.exceptions import LiquidError
from liquid.undefined import Undefined

from warehouse_cdc.destinations.encoding import decimal_text, float_text, plain, scalar_text
from warehouse_cdc.errors import ConfigError

_INSERTING = {"append", "prepend", "replace", "replace_first", "replace_last", "default", "join", "push"}
"""Filters whose last argument becomes a part of the text."""
_WRITTEN = 0xDC00
"""The author's own special characters travel through filters as lone surrogates, which no row's text has."""
_RUNS = re.compile("[\udc00-\udc7f]+|[^\udc00-\udc7f]+")


class RowRejectedError(Exception):
    """A filter refused a value, or a template can't be filled with it; the message is the row's reason."""


@dataclass(frozen=True)
class Format:
    """How text is written into a payload.

    Attributes:
        name: What a message calls it.
        escape: Makes a value's text safe.
    """

    name: str
    escape: Callable[[str], str]

    def __reduce__(self) -> str:
        """One of those below, in another process too."""
        return self.name.upper()


JSON = Format("JSON", lambda text: json.dumps(text, ensure_ascii=False)[1:-1])
XML = Format("XML", lambda text: xml_escape(text, {'"': "&quot;", "'": "&apos;"}))
URL = Format("URL", lambda text: quote(text, safe=""))
TEXT = Format("text", plain)


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

    def __reduce__(self) -> Any:
        """Parsed anew in another process."""
        return Template, self._given

    def check(self, fields: Collection[str]) -> None:
        """Look whether the template names only columns that there are.

        Raises:
            ConfigError: It doesn't (code ``unknown-field``).
        """
        for variables in self._used.variables.values():
            for variable in variables:
                head, *rest = variable.segments
                if head == "row" and rest and isinstance(rest[0], str) and rest[0] not in fields:
                    raise ConfigError(
                        f"{self.label} uses row.{rest[0]}, and no such field is sent.",
                        code="unknown-field",
                        hint=f"Fields: {', '.join(fields)}.",
                    )

    def render(self, **values: Any) -> str:
        """Fill the template.

        Raises:
            RowRejectedError: A filter refused a value, or failed on it.
        """
        if self._constant is not None:
            return self._constant
        try:
            return self._template.render(**values)
        except LiquidError as error:
            raise RowRejectedError(f"{self.label} can't be filled: {error.message}") from None
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            raise RowRejectedError(f"{self.label} can't be filled ({type(error).__name__})") from None


@cache
def _environment(format: Format) -> Environment:
    made = Environment(undefined=Undefined)
    made.add_tag(_output_of(format))
    made.add_tag(_assign_of(format))
    for name, function in FILTERS.items():
        made.add_filter(name, function)
    made.add_filter("json", lambda value: written(json_of(value), format))
    return made


def _output_of(format: Format) -> type[Output]:
    class FormatNode(OutputNode):
        def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
            return buffer.write(finished(text_of(self.expression.evaluate(context), format), format))

    class FormatOutput(Output):
        node_class = FormatNode

        def parse(self, stream: TokenStream) -> OutputNode:
            node = super().parse(stream)
            _mark(node.expression, format)
            return node

    return FormatOutput


def _assign_of(format: Format) -> type[AssignTag]:
    class FormatAssign(AssignTag):
        def parse(self, stream: TokenStream) -> AssignNode:
            node = super().parse(stream)
            _mark(node.expression, format)
            return node

    return FormatAssign


def _mark(expression: Any, format: Format) -> None:
    """Mark the author's own text in an expression."""
    if isinstance(expression, TernaryFilteredExpression):
        _mark(expression.left, format)
        filters = [*(expression.filters or ()), *(expression.tail_filters or ())]
        literals = [expression.alternative]
    elif isinstance(expression, FilteredExpression):
        filters = expression.filters or []
        literals = [] if filters else [expression.left]
    else:
        return
    literals += [each.args[-1].value for each in filters if each.name in _INSERTING and each.args]
    for literal in literals:
        if isinstance(literal, StringLiteral):
            literal.value = written(literal.value, format)


def written(text: str, format: Format) -> str:
    """Text that is to appear as it is: its special characters are marked."""
    return "".join(chr(_WRITTEN + ord(c)) if ord(c) < 0x80 and format.escape(c) != c else c for c in text)


def finished(text: str, format: Format) -> str:
    """A value's text, escaped but for what is marked."""
    if text.isascii():
        return format.escape(text)
    return "".join(
        "".join(chr(ord(c) - _WRITTEN) for c in run) if "\udc00" <= run[0] <= "\udc7f" else format.escape(run)
        for run in _RUNS.findall(text)
    )


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
        return written(json_of(value), format)
    return str(value) if isinstance(value, (int, range)) else scalar_text(value)


def json_of(value: Any) -> str:
    """A value as JSON: exact, decimals as numbers."""
    return "".join(_json_tokens(value))


def _json_tokens(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            yield ("," if number else "{") + json.dumps(text_of(key), ensure_ascii=False) + ":"
            yield from _json_tokens(item)
        yield "}" if value else "{}"
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield "," if number else "["
            yield from _json_tokens(item)
        yield "]" if value else "[]"
    elif value is None or isinstance(value, Undefined):
        yield "null"
    elif isinstance(value, (bool, int)):
        yield json.dumps(value)
    elif isinstance(value, float):
        yield float_text(value, json.dumps)
    elif isinstance(value, Decimal):
        yield decimal_text(value, json.dumps)
    else:
        yield json.dumps(text_of(value), ensure_ascii=False)


# -- filters --------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    return finished(text_of(value), TEXT)


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
    return re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", _text(replacement)), _text(value))


def _json_construct(*pairs: Any) -> dict[str, Any]:
    if len(pairs) % 2:
        raise RowRejectedError("json_construct takes keys and values in turn")
    return {_text(key): value for key, value in zip(pairs[::2], pairs[1::2], strict=True)}


def _parse(value: Any) -> Any:
    return json.loads(_text(value), parse_float=Decimal)


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
        found = datetime.fromisoformat(_text(value).strip().replace("Z", "+00:00"))
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
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "to_date": lambda value: _moment(value).astimezone(timezone.utc).isoformat().replace("+00:00", "Z"),
    "to_unix": lambda value: int(_moment(value).timestamp()),
    "validate_email": _validate_email,
}
"""Filters beside Liquid's own."""
