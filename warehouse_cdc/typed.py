"""Which keys a section takes, and of which types: read from the signatures of the library's own classes."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os import PathLike
from typing import Any, Literal, Union, get_args, get_origin


@dataclass(frozen=True)
class Field:
    """A key that a section takes.

    Attributes:
        hint: The type of its value; ``Any`` if the class that takes it says nothing that can be checked.
        required: Whether it must be given.
    """

    hint: Any = Any
    required: bool = False


class MismatchError(Exception):
    """A value is of another type than its key takes; the message says what is expected."""


def fields_of(function: Callable[..., Any], without: Sequence[str] = ()) -> dict[str, Field]:
    """The arguments of a class or function that can be given by name."""
    return {
        name: Field(_evaluated(parameter.annotation, function), parameter.default is parameter.empty)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY) and name not in without
    }


def _evaluated(annotation: Any, function: Callable[..., Any]) -> Any:
    """An annotation as a type; ``Any`` if it names what only type checkers import."""
    if annotation is inspect.Parameter.empty:
        return Any
    target = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    try:
        return eval(annotation, target.__globals__) if isinstance(annotation, str) else annotation
    except (NameError, AttributeError, TypeError):
        return Any


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint that names the known word nearest to this one, or all known words."""
    folded = {each.lower().replace("-", "_"): each for each in known}
    found = get_close_matches(word.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    if found:
        return f"Did you mean {folded[found[0]]}?"
    return f"Known: {', '.join(known)}." if known else ""


def fit(value: Any, hint: Any, *, from_text: bool = False) -> Any:
    """A value as its key takes it.

    Args:
        value: The value in the file.
        hint: The type that the key takes.
        from_text: Whether text may stand for a number or a boolean, as environment variables are text.

    Raises:
        MismatchError: It is of another type.
    """
    for choice in _choices(hint):
        matches, converted = _match(value, choice, from_text)
        if matches:
            return converted
    if value == "off" and type(None) in _choices(hint):
        return None  # TOML has no null
    expected = dict.fromkeys(_describe(choice) for choice in _choices(hint))
    raise MismatchError(" or ".join(each for each in expected if each))


def _choices(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) not in (Union, types.UnionType):
        return (hint,)
    # int comes first, so that the text "5" is a count, not a share
    return tuple(sorted(get_args(hint), key=lambda each: each is not int))


def _match(value: Any, hint: Any, from_text: bool) -> tuple[bool, Any]:
    origin = get_origin(hint) or hint
    if from_text and isinstance(value, str) and origin in (bool, int, float):
        return _parse(value, origin)
    if origin is Literal:
        return value in get_args(hint), value
    if origin is bool:
        return isinstance(value, bool), value
    if origin is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool), value
    if origin is type(None):
        return value is None, None
    if origin is Any or origin is object or not inspect.isclass(origin):
        return True, value  # nothing that could be checked here
    if origin is str or issubclass(origin, PathLike):
        return isinstance(value, str), value
    inner = get_args(hint)
    if issubclass(dict, origin):
        return isinstance(value, dict) and all(
            _fits(item, inner[1]) for item in value.values() if inner
        ), value
    if issubclass(list, origin) or issubclass(tuple, origin):
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value if inner), value
    return False, value  # an object of a library, which a file can't hold


def _fits(value: Any, hint: Any) -> bool:
    return any(_match(value, choice, False)[0] for choice in _choices(hint))


def _parse(text: str, kind: type) -> tuple[bool, Any]:
    if kind is bool:
        return text.lower() in ("true", "false"), text.lower() == "true"
    try:
        return True, kind(text)
    except ValueError:
        return False, text


def _describe(hint: Any) -> str:
    origin = get_origin(hint) or hint
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    simple = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        type(None): "null",
        str: "text",
    }
    if origin in simple:
        return simple[origin]
    if origin is Callable:
        return "a function"
    if not inspect.isclass(origin):
        return ""
    if issubclass(origin, PathLike):
        return "a path"
    items = _describe(get_args(hint)[-1]) if get_args(hint) else ""
    if issubclass(dict, origin):
        return f"a mapping of names to {items}" if items else "a mapping"
    if issubclass(list, origin) or issubclass(tuple, origin):
        return f"a list of {items}" if items else "a list"
    return ""
