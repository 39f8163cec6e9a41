"""Liquid templates that fill URLs and payloads with rows.

A value can't break out of where a template puts it: what a row holds is escaped for the format (JSON, XML, a
URL), what the template's author wrote is not, also where a filter inserts it:
``["{{ row.tags | replace: ', ', '", "' }}"]`` makes an array, whatever quotes the tags have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import date
from functools import cache, wraps
from io import StringIO
from typing import Any, TextIO
from urllib.parse import unquote

from liquid import Environment, Node, RenderContext, Tag
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import (
    Filter,
    FilteredExpression,
    PositionalArgument,
    StringLiteral,
    TernaryFilteredExpression,
)
from liquid.builtin.filters import string as string_filters
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode, CaptureTag
from liquid.builtin.tags.cycle_tag import CycleNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.undefined import Undefined

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.mapping.liquid_filters import FILTERS
from warehouse_cdc.mapping.marks import (
    EMPTY,
    PATH_ENDS,
    Format,
    RowRejectedError,
    json_text,
    kept,
    plain_text,
    text_of,
    url_text,
)

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
_PATTERNS = {"regex_replace", "regex_test"}
"""Filters whose first argument is a regular expression."""
_READING = {"date", "url_encode", "url_decode"} | {
    f"base64_{safe}{way}code" for safe in ("", "url_safe_") for way in ("en", "de")
}
"""Those of Liquid's own that read a text."""


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
        for each in (each for node in nodes for given in node.expressions() for each in _filters(given)):
            _check_pattern(each, label)
        for node in nodes:
            _mark_node(node, format)
        loops = [node.expression for node in nodes if isinstance(node, ForNode)]
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
        paths = [
            (name, known, each.segments) for name, known in members.items() for each in used.get(name, ())
        ]
        # A row of rows: by its place, or the first or last.
        placed = [each.segments for each in (() if single else self._used.globals.get("rows", ()))]
        paths += [
            ("rows[…]", fields, path[1:])
            for path in placed
            if len(path) > 2 and (isinstance(path[1], int) or path[1] in ("first", "last"))
        ]
        for name, known, (_, *rest) in paths:
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
                path = PATH_ENDS.split(text)[0]
                if EMPTY in path:
                    raise RowRejectedError("a value in the URL's path is empty")
                parts = re.split(r"[/\\]", unquote(url_text(path)))
                if {".", ".."} & {part.partition(";")[0] for part in parts}:
                    raise RowRejectedError("a part of the URL's path is '.' or '..'")
            return url_text(text)

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
    del made.tags["tablerow"]  # an HTML table, whose own tags would have to be marked
    if format.empties:
        made.add_tag(_For)
    for name, function in made.filters.items():
        if function.__module__ == string_filters.__name__:
            made.add_filter(name, _keeping(_of_texts(function, format)))
        if name in _READING:
            made.add_filter(name, _of_plain(function))
    for name, function in FILTERS.items():
        made.add_filter(name, _keeping(function))
    made.add_filter("json", lambda value: json_text(value, format))
    return made


def _tag_of(tag: type[Tag], node: type[OutputNode], format: Format) -> type[Tag]:
    """A tag that shows a value."""

    class FormatNode(node):  # type: ignore[valid-type, misc]
        def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
            return buffer.write(_shown(self.expression.evaluate(context), format))

    return type(tag.__name__, (tag,), {"node_class": FormatNode})


def _shown(value: Any, format: Format) -> str:
    text = text_of(value, format)
    return text if text or not format.empties else EMPTY


def _keeping(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose texts are still the author's as far as they have marks."""

    @wraps(function)
    def wrapped(*values: Any, **named: Any) -> Any:
        found = function(*values, **named)
        if isinstance(found, list):
            return [kept(item) if isinstance(item, str) else item for item in found]
        return kept(found) if isinstance(found, str) else found

    return wrapped


def _of_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """One of Liquid's filters that reads a text: it sees no marks."""

    @wraps(function)
    def wrapped(value: Any, *args: Any, **named: Any) -> Any:
        shown = value if isinstance(value, (date, int, Undefined)) else plain_text(text_of(value))
        return function(shown, *args, **named)

    return wrapped


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
        context.assign(self.name, kept(buf.getvalue()))


class _Capture(CaptureTag):
    node_class = _CaptureNode


class _ForNode(ForNode):
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        written = super().render_to_output(context, buffer)
        return written if written or self.default else buffer.write(EMPTY)


class _For(ForTag):
    """A loop that shows nothing is an empty value, unless its author says what stands there then."""

    node_class = _ForNode


class _Shown(Expression):
    """An expression whose value ``cycle`` shows as others are shown."""

    def __init__(self, given: Expression, format: Format) -> None:
        super().__init__(given.token)
        self._given = given
        self._format = format

    def evaluate(self, context: RenderContext) -> str:
        return _shown(self._given.evaluate(context), self._format)

    async def evaluate_async(self, context: RenderContext) -> str:
        return self.evaluate(context)

    def children(self) -> list[Expression]:
        return [self._given]


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
        node.args = [_Shown(given, format) for given in node.args]


def _filters(expression: Any) -> list[Filter]:
    """The filters of an expression."""
    if isinstance(expression, TernaryFilteredExpression):
        return [*_filters(expression.left), *(expression.filters or ()), *(expression.tail_filters or ())]
    return list(expression.filters or ()) if isinstance(expression, FilteredExpression) else []


def _check_pattern(used: Filter, label: str) -> None:
    """Look whether a filter's regular expression is one, if the template says it.

    Raises:
        ConfigError: It isn't (code ``template-syntax``).
    """
    given = next((each.value for each in used.args if isinstance(each, PositionalArgument)), None)
    if used.name in _PATTERNS and isinstance(given, StringLiteral):
        try:
            re.compile(given.value)
        except re.error as error:
            raise ConfigError(
                f"{label}: {used.name} has no regular expression: {error}.", code="template-syntax"
            ) from None


def _mark(expression: Any, format: Format) -> None:
    """Mark what of an expression becomes a part of the text."""
    literals = []
    if isinstance(expression, TernaryFilteredExpression):
        literals = [expression.alternative]
        expression, filters = expression.left, _filters(expression)
    else:
        filters = _filters(expression)
    if isinstance(expression, FilteredExpression) and not expression.filters:
        literals.append(expression.left)
    positional = [
        [given for given in each.args if isinstance(given, PositionalArgument)]
        for each in filters
        if each.name in _INSERTING
    ]
    inserted = [given[-1].value for given in positional if given]
    _mark_literals([*literals, *inserted], format)


def _mark_literals(literals: Iterable[Any], format: Format) -> None:
    for literal in literals:
        if isinstance(literal, StringLiteral):
            literal.value = kept(literal.value.translate(format.marks))
