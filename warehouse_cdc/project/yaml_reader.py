"""Project files in YAML, read by the core schema of YAML 1.2.

PyYAML follows YAML 1.1, where ``on``, ``no`` or ``1:30`` are not text. Here only ``true`` and ``false`` are
booleans, and keys are always text, exactly as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml
from yaml.reader import ReaderError

from warehouse_cdc.project.document import Document, KeyPath, Problem, ProjectError, dotted, line_and_column

_MAX_VALUES = 50_000
"""More values than any project has: stops files whose aliases multiply."""

_TAG = "tag:yaml.org,2002:"
_SCALARS = [
    ("null", r"null|Null|NULL|~"),
    ("bool", r"true|True|TRUE|false|False|FALSE"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
]


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema."""


_CoreLoader.yaml_implicit_resolvers = {
    None: [(_TAG + name, re.compile(rf"(?:{pattern})\Z")) for name, pattern in _SCALARS],
    "": [(_TAG + "null", re.compile(r"\Z"))],
}


def read_yaml(name: str, text: str) -> Document:
    """Parse YAML text.

    Raises:
        ProjectError: The syntax is wrong.
    """
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except ReaderError as error:
        line, column = line_and_column(text, error.position)
        problem = Problem("A control character is not allowed here.", line, column, code="project-syntax")
        raise ProjectError(name, [problem]) from error
    except yaml.MarkedYAMLError as error:
        raise ProjectError(name, [_syntax_problem(error)]) from error
    except RecursionError as error:
        raise ProjectError(name, [Problem("It is nested too deeply.", code="project-syntax")]) from error
    document = Document(name, text, {}, {}, {})
    if node is None:
        return document
    if not isinstance(node, yaml.MappingNode):
        mark = node.start_mark
        problem = Problem(
            "The file must hold a mapping: lines of the form key: value.",
            mark.line + 1,
            mark.column + 1,
        )
        raise ProjectError(name, [problem])
    keys: dict[KeyPath, int] = {}
    values: dict[KeyPath, tuple[int, int]] = {}
    reader = _Reader(name, keys, values, document.problems)
    return Document(name, text, reader.mapping(node, ()), keys, values, document.problems)


def _syntax_problem(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = "The YAML can't be parsed: " + (error.problem or error.context or "syntax error") + "."
    hint = ""
    if error.problem and "'\\t'" in error.problem:
        hint = "Indent with spaces, not with tabs."
    elif error.problem and "but got '{'" in error.problem:
        hint = "Quote text with ${...} inside of { } and [ ]."
    elif error.problem and ("mapping values are not allowed" in error.problem or "'`'" in error.problem):
        hint = "Check the indentation, and quote text that contains ': ' or starts with a special character."
    elif error.context == "expected a single document in the stream":
        message = "A project file is one YAML document; here a second one starts."
    return Problem(
        message,
        mark.line + 1 if mark else None,
        mark.column + 1 if mark else None,
        code="project-syntax",
        hint=hint,
    )


class _Reader:
    """Turns nodes into plain data and notes where everything is."""

    def __init__(
        self,
        name: str,
        keys: dict[KeyPath, int],
        values: dict[KeyPath, tuple[int, int]],
        problems: list[Problem],
    ) -> None:
        self.name = name
        self.keys = keys
        self.values = values
        self.problems = problems
        self.open: set[int] = set()
        self.count = 0

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        """A mapping's content; merged mappings (``<<``) first, so that its own keys win."""
        self.enter(node)
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.fail("A key must be text.", key_node)
        merges = [value for key, value in node.value if _is_merge(key)]
        content: dict[str, Any] = {}
        for part in reversed([part for value in merges for part in self.merged(value)]):
            content.update(self.mapping(part, path))
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, here = str(key_node.value), (*path, str(key_node.value))
            if _is_merge(key_node):
                continue
            if key in lines:
                message = f"{dotted(here)} is given twice (first on line {lines[key]})."
                self.problems.append(_problem(message, key_node, code="project-duplicate-key"))
                continue
            lines[key] = key_node.start_mark.line + 1
            self.keys[here] = key_node.start_mark.index
            content[key] = self.value(value_node, here)
        self.open.discard(id(node))
        return content

    def merged(self, node: yaml.Node) -> list[yaml.MappingNode]:
        """The mappings that a merge key names."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self.fail("A merge key (<<) needs a mapping or a list of mappings.", part)
        return list(parts)

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Any node's content."""
        self.count += 1
        if self.count > _MAX_VALUES:
            self.fail("The file holds too many values; do its aliases multiply?", node)
        self.values[path] = (node.start_mark.index, node.end_mark.index)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            self.enter(node)
            items = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            self.open.discard(id(node))
            return items
        kind = node.tag.removeprefix(_TAG)
        if not isinstance(node, yaml.ScalarNode) or kind not in _CONVERT:
            self.fail("Tags are not supported.", node, hint="Write plain text, numbers, lists and mappings.")
        try:
            return _CONVERT[kind](node.value)
        except ValueError:
            self.fail(f"The value is not of the type that its tag names: {kind}.", node)

    def enter(self, node: yaml.Node) -> None:
        """Refuse a node that contains itself."""
        if id(node) in self.open:
            self.fail("An alias refers to the value that it is in.", node)
        self.open.add(id(node))

    def fail(self, message: str, node: yaml.Node, hint: str = "") -> NoReturn:
        """Stop reading."""
        raise ProjectError(self.name, [*self.problems, _problem(message, node, hint=hint)])


def _problem(message: str, node: yaml.Node, *, code: str = "project-syntax", hint: str = "") -> Problem:
    return Problem(message, node.start_mark.line + 1, node.start_mark.column + 1, code, hint)


def _is_merge(key: yaml.Node) -> bool:
    return key.value == "<<" and key.style is None  # type: ignore[attr-defined]


def _whole(text: str) -> int:
    prefixed = {"0o": 8, "0x": 16}.get(text[:2])
    return int(text, prefixed) if prefixed else int(text)


def _decimal(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _nothing(text: str) -> None:
    if text.lower() not in ("", "~", "null"):
        raise ValueError


_CONVERT: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": _whole,
    "float": _decimal,
    "bool": _boolean,
    "null": _nothing,
}
