"""What a sync compares and sends: the columns, their types and roles, and the mapping's version."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from warehouse_cdc.dialects import ColumnType, Dialect
from warehouse_cdc.dialects.base import FINGERPRINT_ENCODING
from warehouse_cdc.dialects.types import KEY_KINDS
from warehouse_cdc.errors import ConfigError, ModelError
from warehouse_cdc.sync import Sync

OWN_COLUMNS = 16
"""Columns of a plan beside the compared ones."""


@dataclass(frozen=True)
class Column:
    """A compared column of the model.

    Attributes:
        name: The model's name of it.
        number: Its place in plan tables: columns ``v_<number>`` and ``p_<number>``.
        described: Its type in the model.
        stored: Its type in a plan table.
        expression: SQL that makes the stored value from the model's column.
        key: Whether it is part of the primary key.
    """

    name: str
    number: int
    described: ColumnType
    stored: ColumnType
    expression: str
    key: bool

    @property
    def value(self) -> str:
        """Name of the plan's column with the new value."""
        return f"v_{self.number}"

    @property
    def previous(self) -> str:
        """Name of the plan's column with the value last delivered."""
        return f"p_{self.number}"


@dataclass(frozen=True)
class Layout:
    """What one sync compares and sends, for one description of its model.

    Attributes:
        columns: The compared columns (D4), the key's first, then by name.
        primary_key: Names of the key's columns, in order.
        match: Pairs (column, destination field) that identify a record.
        fields: Pairs (column, destination field) in the order of sending, the match fields first.
        mapped: Pairs (column, destination field) without those that only identify a record.
        mapping_version: Changes when mappings, compared columns or a type's family change (D7).
        fingerprint_version: Changes when equal values could hash differently (D6).
    """

    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    match: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, str], ...]
    mapped: tuple[tuple[str, str], ...]
    mapping_version: str
    fingerprint_version: str

    def column(self, name: str) -> Column:
        """The compared column of that name."""
        return next(column for column in self.columns if column.name == name)

    @property
    def key(self) -> tuple[Column, ...]:
        """The key's columns, in the order of the primary key."""
        return tuple(self.column(name) for name in self.primary_key)

    def version_of(self, families: Mapping[str, str]) -> str:
        """The mapping's version if the compared columns were of these families (D7)."""
        return _mapping_version(self.mapped, self.match, families)

    def of_copy(self) -> Layout:
        """The same for a copy of the model, whose columns hold the stored values already.

        They have a plan's names: a table can't have every name that a query can give.
        """
        columns = (replace(column, expression=column.value) for column in self.columns)
        return replace(self, columns=tuple(columns))


def lay_out(
    sync: Sync, described: Sequence[tuple[str, str]], dialect: Dialect, engine_version: str = ""
) -> Layout:
    """Choose the compared columns of a sync from its model's description.

    Args:
        sync: The sync.
        described: The model's columns as (name, type), in order.
        dialect: The warehouse's dialect.
        engine_version: What the engine's hash function may depend on.

    Raises:
        ConfigError: A mapped, matched or key column isn't in the model (code ``unknown-field``).
        ModelError: A used column is ambiguous, a key column has a type that can't identify rows, or there are
            more compared columns than a plan can hold.
    """
    names = [name for name, _type in described]
    types = {name: dialect.column_type(text) for name, text in described}
    primary_key = tuple(sync.model.primary_key)
    match = tuple((sync.match or {name: name for name in primary_key}).items())
    whole = {name: name for name in dict.fromkeys(names) if name not in dict(match)}
    chosen = whole if sync.mappings is None else sync.mappings
    mapped = tuple((column, field) for field, column in chosen.items())
    used = tuple(dict.fromkeys([*primary_key, *(c for c, _ in match), *(c for c, _ in mapped)]))
    _check_known(sync, names, [*used, *sync.redact])
    _check_names(sync, names, used, dialect)
    _check_key(sync, types)
    _check_width(sync, len(used), dialect)
    fields = _fields(sync, match, mapped)
    if sync.order_by is not None and sync.order_by not in dict(fields):
        raise ConfigError(
            f"Sync {sync.id!r}: order_by {sync.order_by!r} is no column that is sent.",
            code="unknown-field",
            hint="Map it, or order by one of the columns that are mapped or matched.",
        )
    columns = []
    ordered = [*primary_key, *sorted(set(used) - set(primary_key))]
    for number, name in enumerate(ordered, start=1):
        expression, stored = dialect.stored(dialect.quote(name), types[name])
        columns.append(Column(name, number, types[name], stored, expression, name in primary_key))
    return Layout(
        columns=tuple(columns),
        primary_key=primary_key,
        match=match,
        fields=fields,
        mapped=mapped,
        mapping_version=_mapping_version(mapped, match, {c.name: c.described.family for c in columns}),
        fingerprint_version=_digest(
            FINGERPRINT_ENCODING, dialect.name, engine_version, [(c.name, c.described.name) for c in columns]
        ),
    )


def _mapping_version(
    mapped: Sequence[tuple[str, str]], match: Sequence[tuple[str, str]], families: Mapping[str, str]
) -> str:
    return _digest(sorted(mapped), sorted(match), sorted(families.items()))


def _digest(*parts: object) -> str:
    text = json.dumps(parts, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _check_known(sync: Sync, names: Sequence[str], wanted: Sequence[str]) -> None:
    known = set(names)
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, names, 3) or [
                n for n in names if n.lower() == name.lower()
            ]
            raise ConfigError(
                f"Sync {sync.id!r}: unknown field name {name!r}: "
                f"model {sync.model.name!r} has no such column.",
                code="unknown-field",
                hint=f"Did you mean {', '.join(map(repr, near))}?"
                if near
                else "Change the mapping or the model.",
            )


def _check_names(sync: Sync, names: Sequence[str], used: Sequence[str], dialect: Dialect) -> None:
    counted, same_case = Counter(names), dialect.capabilities.column_case
    alike = counted if same_case else Counter(name.lower() for name in names)
    for name in used:
        if (copies := alike[name if same_case else name.lower()]) > 1:
            case = "" if same_case else ", whatever their case"
            raise ModelError(
                f"Model {sync.model.name!r} returns {copies} columns named {name!r}{case}.",
                code="model-ambiguous-column",
                hint="Give each its own alias.",
            )
        if not dialect.can_name(name):
            raise ModelError(
                f"Model {sync.model.name!r}: no column can have the name {name!r} in this warehouse.",
                code="model-column-name",
                hint="Give it an alias of letters, digits and underscores.",
            )


def _check_width(sync: Sync, columns: int, dialect: Dialect) -> None:
    """A plan holds each compared column twice, and what it knows of the row."""
    most = dialect.most_columns
    if most is not None and 2 * columns + OWN_COLUMNS > most:
        raise ModelError(
            f"Model {sync.model.name!r}: {columns} compared columns don't fit into this warehouse's tables.",
            code="model-too-wide",
            hint=f"Map at most {(most - OWN_COLUMNS) // 2} columns.",
        )


def _check_key(sync: Sync, types: dict[str, ColumnType]) -> None:
    for name in sync.model.primary_key:
        if types[name].kind not in KEY_KINDS:
            raise ModelError(
                f"Model {sync.model.name!r}: column {name!r} of type {types[name].name} "
                "can't be a primary key.",
                code="model-key-type",
                hint=(
                    "Two floats that print alike may differ: cast it to a decimal, integer or text."
                    if types[name].kind == "float"
                    else "Cast it to text in the model."
                ),
            )


def _fields(
    sync: Sync, match: Sequence[tuple[str, str]], mapped: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    chosen = {field: column for column, field in match}
    for column, field in mapped:
        if chosen.setdefault(field, column) != column:
            raise ConfigError(
                f"Sync {sync.id!r}: destination field {field!r} is filled from two columns, "
                f"{chosen[field]!r} and {column!r}.",
                code="sync-mappings",
            )
    return tuple((column, field) for field, column in chosen.items())
