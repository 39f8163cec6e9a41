"""Every error code of the source, found in its syntax tree; no module is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("warehouse_cdc", "dialects")

COMPUTED = {
    "guard-{}": ("guard-max-removed", "guard-require-rows"),
    "run-{}": ("run-failed", "run-cancelled", "run-interrupted"),
    "sync-{}": (
        *("sync-mode", "sync-on-removed", "sync-on-duplicate", "sync-on-rejected"),
        *("sync-mappings", "sync-match"),
    ),
    "{}-type": ("source-type", "destination-type"),
    "unknown-{}": ("unknown-source", "unknown-model", "unknown-destination"),
}
"""What the codes that are put together at run time can be."""


def error_codes() -> set[str]:
    """The codes that errors can carry."""
    found: set[str] = set()
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            found.update(_codes_of(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _codes_of(tree: ast.Module) -> Iterator[str]:
    places = dict(_code_parameters(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from _texts(keyword.value)
            name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
            place = places.get(name)
            if place is not None and place < len(node.args):
                yield from _texts(node.args[place])
        elif isinstance(node, ast.Assign):
            if any(getattr(target, "id", "") == "default_code" for target in node.targets):
                yield from _texts(node.value)
        elif isinstance(node, ast.AnnAssign):
            if getattr(node.target, "id", "") == "code" and node.value is not None:
                yield from _texts(node.value)
        elif isinstance(node, ast.FunctionDef):
            yield from _defaults(node.args)


def _code_parameters(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Functions of a module that take a code by position, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
            if "code" in names:
                yield node.name, names.index("code") - (names[0] in ("self", "cls"))


def _defaults(arguments: ast.arguments) -> Iterator[str]:
    named = list(zip(reversed(arguments.args), reversed(arguments.defaults), strict=False))
    named += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
    for argument, default in named:
        if argument.arg == "code":
            yield from _texts(default)


def _texts(node: ast.expr) -> Iterable[str]:
    """The codes that an expression can be; ``None`` and variables are looked for where they come from."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    if isinstance(node, ast.JoinedStr):
        text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return COMPUTED[text]
    return []
