"""``${NAME}`` references to environment variables in a project file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from warehouse_cdc.project.document import Document, KeyPath, Problem, line_and_column

_REFERENCE = re.compile(r"\$\$|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>))")


class Resolved:
    """The values of a project file after its references were replaced, and what must stay secret of them.

    Attributes:
        data: The document's data with replaced references.
        referring: The paths of the values that hold a reference.
        problems: References that could not be replaced.
    """

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        """Replace every reference in text values; ``$$`` becomes a dollar sign."""
        self.document = document
        self.environ = environ
        self.problems: list[Problem] = []
        self.referring: set[KeyPath] = set()
        self.failed: set[KeyPath] = set()
        self._secrets: dict[str, str] = {}
        self.data: dict[str, Any] = self._walk(document.data, ())

    def __repr__(self) -> str:
        """Show nothing of the values."""
        return f"Resolved({self.document.name!r})"

    def hide(self, text: str) -> str:
        """A text with every value from the environment replaced by its reference."""
        if not self._secrets:
            return text
        found = sorted(self._secrets, key=len, reverse=True)
        # A very short value would match inside of words.
        bounded = [re.escape(each) if len(each) > 3 else rf"(?<!\w){re.escape(each)}(?!\w)" for each in found]
        return re.sub("|".join(bounded), lambda match: self._secrets[match[0]], text)

    def _walk(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self._walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._walk(item, (*path, index)) for index, item in enumerate(value)]
        return self._replace(value, path) if isinstance(value, str) and "$" in value else value

    def _replace(self, value: str, path: KeyPath) -> str:
        used = False

        def one(match: re.Match[str]) -> str:
            nonlocal used
            name = match["name"]
            if match[0] == "$$":
                return "$"
            if name is None:
                self._report(path, "A reference is malformed.", "env-malformed", None)
                return ""
            used = True
            if found := self.environ.get(name):
                self._remember(found, f"${{{name}}}")
                return found
            if match["default"] is not None:
                return match["default"]
            if name not in self.environ:
                self._report(path, f"The environment variable {name} is not set.", "env-missing", name)
            return ""

        resolved = _REFERENCE.sub(one, value)
        if used:
            self.referring.add(path)
            if any(shown in value for shown in self._secrets.values()):
                self._remember(resolved, value)
        return resolved

    def _remember(self, secret: str, shown: str) -> None:
        for part in _parts_of_url(secret):
            self._remember(part, shown)
        for form in (secret, repr(secret)[1:-1], unquote(secret), quote(secret, safe="")):
            self._secrets.setdefault(form, shown)

    def _report(self, path: KeyPath, message: str, code: str, name: str | None) -> None:
        self.failed.add(path)
        line, column = self._position(path, name)
        hint = f"Set it, or give a default: ${{{name}:-default}}."
        if name is None:
            hint = "Write ${NAME} or ${NAME:-default}, and $$ for a dollar sign."
        self.problems.append(Problem(message, line, column, code, hint))

    def _position(self, path: KeyPath, name: str | None) -> tuple[int, int]:
        """Where the reference itself is: values may span many lines."""
        text = self.document.text
        start, end = self.document.values.get(path, (0, 0))
        for match in _REFERENCE.finditer(text, start, end):
            if match[0] != "$$" and match["name"] == name:
                return line_and_column(text, match.start())
        return self.document.at_value(path)


def _parts_of_url(text: str) -> list[str]:
    """What a URL holds that a message about it may quote alone; nothing for other text."""
    if "://" not in text:
        return []
    try:
        url = urlsplit(text)
        parts = [url.netloc, url.username, url.password, url.hostname, url.path.strip("/")]
        parts += [value for _, value in parse_qsl(url.query)]
    except ValueError:
        parts = [text.split("://", 1)[1]]
    return [part for part in parts if part]
