"""A project file as plain data in which every key and value has a position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warehouse_cdc.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value, for example ``("syncs", "crm", "mode")``."""


def dotted(path: KeyPath) -> str:
    """A path as messages show it: ``syncs.crm.mode``."""
    return ".".join(str(part) for part in path)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a project file.

    Attributes:
        message: What is wrong; without values that came from the environment.
        line: 1-based line, or None if the problem has no place.
        column: 1-based column in that line, or None.
        code: As in :class:`~warehouse_cdc.errors.CdcError`.
        hint: What to do about it, or an empty string.
    """

    message: str
    line: int | None = None
    column: int | None = None
    code: str = "project"
    hint: str = ""


class ProjectError(ConfigError):
    """A project file is wrong; the message lists every problem with its line and column.

    Attributes:
        problems: The problems, in the order of the file.
    """

    def __init__(self, file: str, problems: Iterable[Problem]) -> None:
        """Keep the problems and make one message of them."""
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda each: (each.line or 0, each.column or 0)))
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(f"{self._place(only)}: {only.message}", code=only.code, hint=only.hint)
            return
        lines = [f"{file} has {len(self.problems)} problems."]
        for each in self.problems:
            lines.append(f"  {self._place(each)}: {each.message}")
            if each.hint:
                lines.append(f"    hint: {each.hint}")
        super().__init__("\n".join(lines), code="project")

    def _place(self, problem: Problem) -> str:
        parts = [self.file, problem.line, problem.column]
        return ":".join(str(part) for part in parts if part is not None)


@dataclass(frozen=True, repr=False)
class Document:
    """A parsed project file.

    Attributes:
        name: The file as messages show it.
        text: Its text, with a line feed at each line's end.
        data: Its content: dictionaries with text keys, lists and scalars.
        keys: Where each key starts in the text.
        values: Where each value starts and ends in the text.
        problems: What is wrong although it could be read, for example keys given twice.
    """

    name: str
    text: str
    data: dict[str, Any]
    keys: Mapping[KeyPath, int]
    values: Mapping[KeyPath, tuple[int, int]]
    problems: list[Problem] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show the document without its content."""
        return f"Document({self.name!r})"

    def at_key(self, path: KeyPath) -> tuple[int, int]:
        """Line and column of a key; of the nearest one around it if the key has no place."""
        while path and path not in self.keys:
            path = path[:-1]
        return line_and_column(self.text, self.keys.get(path, 0))

    def at_value(self, path: KeyPath) -> tuple[int, int]:
        """Line and column of a value; of its key if the value has no place."""
        if path in self.values:
            return line_and_column(self.text, self.values[path][0])
        return self.at_key(path)


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The 1-based line and column of an offset in a text."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def read_document(path: Path) -> Document:
    """Read a YAML or TOML file.

    Raises:
        ProjectError: It can't be read, or its syntax is wrong.
    """
    from warehouse_cdc.project.toml_reader import read_toml
    from warehouse_cdc.project.yaml_reader import read_yaml

    name = str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ProjectError(
            name, [Problem(f"The file can't be read: {reason}.", code="project-file")]
        ) from error
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem("The file is not UTF-8 text.", line, code="project-syntax")
        raise ProjectError(name, [problem]) from error
    return (read_toml if path.suffix.lower() == ".toml" else read_yaml)(name, text)
