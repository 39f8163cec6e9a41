"""Column types, reduced to what the engine needs to know of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

FAMILIES = {
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "text": "text",
    "uuid": "text",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamp",
    "binary": "binary",
    "json": "json",
    "nested": "json",
    "money": "number",
    "other": "text",
}
"""Kind of type to its family: a change of family is a change of the mapping (D7)."""

KEY_KINDS = frozenset({"integer", "decimal", "text", "uuid", "boolean", "date", "timestamp", "timestamptz"})
"""The kinds that a primary key may have (D1)."""


@dataclass(frozen=True)
class ColumnType:
    """A column's type.

    Attributes:
        name: The type as the dialect writes it.
        kind: One of the keys of ``FAMILIES``.
    """

    name: str
    kind: str

    @property
    def family(self) -> str:
        """The type's family (D7)."""
        return FAMILIES[self.kind]


def decimal_digits(kind: ColumnType, precision: int) -> tuple[int, int]:
    """Precision and scale of a decimal type as its name says them; else this precision, and none."""
    numbers = [int(number) for number in re.findall(r"\d+", kind.name)]
    return (numbers[0] if numbers else precision), (numbers[1] if len(numbers) > 1 else 0)


MOST_DIGITS = 38
"""Of a decimal, on nearly every warehouse."""


def common_number(
    left: ColumnType,
    right: ColumnType,
    places: Callable[[ColumnType], tuple[int, int]],
    *,
    integer: str | None = "BIGINT",
    decimal: str = "DECIMAL({}, {})",
) -> str | None:
    """The name of a type that holds the values of two types of integers or decimals without loss.

    Args:
        left: A type.
        right: Another one.
        places: The most digits before and after the point that a type has.
        integer: What holds every integer, where that isn't a decimal.
        decimal: A decimal's name, for its precision and scale.

    Returns:
        None if there is none.
    """
    if integer and left.kind == right.kind == "integer":
        return integer
    if not {left.kind, right.kind} <= {"integer", "decimal"}:
        return None
    (whole, scale), (other, other_scale) = places(left), places(right)
    whole, scale = max(whole, other), max(scale, other_scale)
    return decimal.format(whole + scale, scale) if whole + scale <= MOST_DIGITS else None
