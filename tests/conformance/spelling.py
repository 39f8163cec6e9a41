"""How engines spell the types and values of the equality matrix; what isn't said is standard SQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

TYPES = {
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "REAL",
    "double": "DOUBLE PRECISION",
    "boolean": "BOOLEAN",
    "text": "VARCHAR",
    "long text": "VARCHAR",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "interval": "INTERVAL",
    "binary": "VARBINARY",
    "uuid": "UUID",
    "json": "JSON",
    "array of integer": "INTEGER ARRAY",
    "array of text": "VARCHAR ARRAY",
    "array of array of integer": "INTEGER ARRAY ARRAY",
    "struct": "ROW(a INTEGER, b VARCHAR)",
    "map of integer": "MAP(VARCHAR, INTEGER)",
}

Literal = Callable[[str], str]


def array(items: list[str]) -> str:
    """An array's constructor."""
    return f"ARRAY[{', '.join(items)}]"


@dataclass(frozen=True)
class Spelling:
    """An engine's SQL.

    Attributes:
        types: Kind to type, where it isn't that of ``TYPES``, or the kind itself.
        values: Kind to what spells a value that isn't NULL, where that isn't a cast of a text.
        absent: Kinds that the engine doesn't have, with the reason; its own SQL must fail on it.
        differs: (kind, old, new) that the engine decides the other way round, with the reason.
        array: Spells an array of spelled values.
        make: The statement that gives a query's rows a name (``{name}``, ``{select}``).
        before: Statements that must be run once.
        literal: Spells a text or an integer, where the dialect's own way isn't that of the test's statements.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Literal] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[tuple[str, str | None, str | None], str] = field(default_factory=dict)
    array: Callable[[list[str]], str] = array
    make: tuple[str, ...] = ("DROP TABLE IF EXISTS {name}", "CREATE TABLE {name} AS {select}")
    before: tuple[str, ...] = ()
    literal: Callable[[Any], str] | None = None

    def type(self, kind: str) -> str:
        return self.types.get(kind, TYPES.get(kind, kind))

    def value(self, literal: Callable[[Any], str], kind: str, value: str | None) -> str:
        """A value in SQL.

        Args:
            literal: Spells a text or an integer.
            kind: Its kind.
            value: As the matrix has it.
        """
        literal = self.literal or literal
        if value is None:
            return f"CAST(NULL AS {self.type(kind)})"
        if kind in self.values:
            return f"CAST({self.values[kind](value)} AS {self.type(kind)})"
        return f"CAST({self._plain(literal, kind, value)} AS {self.type(kind)})"

    def _plain(self, literal: Callable[[Any], str], kind: str, value: str) -> str:
        of = partial(self._element, literal)
        if kind == "long text":
            number, end = value.split(" ", 1)
            return f"rpad('x', {number}, 'x') || {literal(end)}"
        if kind.startswith("array of "):
            return self.array([of(kind.removeprefix("array of "), item) for item in json.loads(value)])
        if kind == "struct":
            fields = json.loads(value)
            return f"ROW({of('integer', fields['a'])}, {of('text', fields['b'])})"
        if kind == "map of integer":
            pairs = json.loads(value)
            keys, values = ([of("text", k) for k in pairs], [of("integer", v) for v in pairs.values()])
            return f"MAP({self.array(keys)}, {self.array(values)})"
        return literal(value)

    def _element(self, literal: Callable[[Any], str], kind: str, item: Any) -> str:
        if item is None:
            return f"CAST(NULL AS {self.type(kind)})"
        if isinstance(item, list):
            return self.value(literal, kind, json.dumps(item))
        return str(item) if kind == "integer" else literal(item)
