"""Project files in TOML.

The standard parser reads the values but tells no positions, so a scan of the text, which that parser has
accepted before, finds where each key and value is.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Any

from warehouse_cdc.project.document import Document, KeyPath, Problem, ProjectError

# The parser came into the standard library with Python 3.11.
tomllib: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing ones
    r"|'''[\s\S]*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
)
_PLAIN = re.compile(r"[^,\]}#\n]+")


def read_toml(name: str, text: str) -> Document:
    """Parse TOML text.

    Raises:
        ProjectError: The syntax is wrong.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(name, [_syntax_problem(str(error), text)]) from error
    except RecursionError as error:
        raise ProjectError(name, [Problem("It is nested too deeply.", code="project-syntax")]) from error
    scan = _Scan(text)
    scan.document()
    return Document(name, text, data, scan.keys, scan.values)


def _syntax_problem(message: str, text: str) -> Problem:
    found = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", message)
    reason = message[: found.start()] if found else message
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = text.rstrip().count("\n") + 1, None
    twice = reason.startswith(("Cannot overwrite a value", "Duplicate inline table key", "Cannot declare"))
    if twice:
        return Problem(
            f"A key or table is given twice ({reason.lower()}).", line, column, code="project-duplicate-key"
        )
    return Problem(f"The TOML can't be parsed: {reason}.", line, column, code="project-syntax")


class _Scan:
    """Walks valid TOML and notes where everything is."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.keys: dict[KeyPath, int] = {}
        self.values: dict[KeyPath, tuple[int, int]] = {}
        self.tables: dict[KeyPath, int] = {}  # arrays of tables, and how many tables each has so far

    def document(self) -> None:
        """Walk the whole text."""
        table: KeyPath = ()
        while self.blank() < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                table = self.header(array=True)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self.header(array=False)
                self.at += 1
            else:
                self.pair(table)

    def header(self, *, array: bool) -> KeyPath:
        """Walk a table's name."""
        path: KeyPath = ()
        parts = self.key()
        for position, (part, offset) in enumerate(parts):
            path = (*path, part)
            self.keys.setdefault(path, offset)
            last = position == len(parts) - 1
            if array and last:
                self.tables[path] = self.tables.get(path, -1) + 1
            if path in self.tables:
                path = (*path, self.tables[path])
                self.keys.setdefault(path, offset)
        return path

    def pair(self, table: KeyPath) -> None:
        """Walk ``key = value``."""
        path = table
        for part, offset in self.key():
            path = (*path, part)
            self.keys.setdefault(path, offset)
        self.at = self.text.index("=", self.at) + 1
        self.value(path)

    def key(self) -> list[tuple[str, int]]:
        """Walk a dotted key."""
        parts = []
        while True:
            self.blank()
            start = self.at
            if self.text[start] in "\"'":
                quoted = self.match(_STRING)
                parts.append((str(tomllib.loads(f"key = {quoted}")["key"]), start))
            else:
                parts.append((self.match(_BARE_KEY), start))
            if self.text[self.blank()] != ".":
                return parts
            self.at += 1

    def value(self, path: KeyPath) -> None:
        """Walk a value."""
        start = self.blank()
        first = self.text[start]
        if first == "[":
            self.items(path)
        elif first == "{":
            self.at += 1
            while self.text[self.blank()] != "}":
                if self.text[self.at] == ",":
                    self.at += 1
                else:
                    self.pair(path)
            self.at += 1
        else:
            self.match(_STRING if first in "\"'" else _PLAIN)
        self.values[path] = (start, self.at)

    def items(self, path: KeyPath) -> None:
        """Walk an array."""
        self.at += 1
        count = 0
        while self.text[self.blank()] != "]":
            if self.text[self.at] == ",":
                self.at += 1
            else:
                self.value((*path, count))
                count += 1
        self.at += 1

    def blank(self) -> int:
        """Skip white space and comments; the position after them."""
        self.match(_BLANK)
        return self.at

    def match(self, pattern: re.Pattern[str]) -> str:
        """Step over what the pattern matches here."""
        found: Any = pattern.match(self.text, self.at)
        self.at = found.end()
        return str(found[0])
