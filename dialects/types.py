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
