"""Column types, reduced to what the engine needs to know of them."""

from __future__ import annotations

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

MOST_DIGITS = 38
"""Of a decimal, on nearly every warehouse."""


def covering(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int] | None:
    """Precision and scale of a decimal that holds two, given by their digits before and after the point.

    Returns:
        None if there is none.
    """
    whole, scale = max(left[0], right[0]), max(left[1], right[1])
    return (whole + scale, scale) if whole + scale <= MOST_DIGITS else None


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
