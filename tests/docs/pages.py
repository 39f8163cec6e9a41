"""The documentation's pages: their code blocks, links and names of tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_NOT_RUN = re.compile(r"<!-- not run: [^>]+ -->\s*$")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    runs: bool
    """Whether nothing before it says why it can't be run."""


def pages() -> list[Path]:
    """Every page, the README first."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[Block]:
    """The page's blocks in a language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, match.start()) + 2,
            language,
            _unindented(match["text"], len(match["indent"])),
            _NOT_RUN.search(text[: match.start()]) is None,
        )
        for match in _FENCE.finditer(text)
        if match["language"] == language
    ]


def cited_tests() -> Iterator[tuple[Path, str, str]]:
    """Each mention of a test: page, file, function."""
    for page in pages():
        for file, function in _TEST.findall(page.read_text(encoding="utf-8")):
            yield page, file, function


def _unindented(text: str, indent: int) -> str:
    return "".join(line[indent:] if line.strip() else "\n" for line in text.splitlines(keepends=True))
