"""What a destination table looks like, and whether a sync can write to it."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.errors import ConfigError

LOADING = "warehouse-cdc: staging"
PUBLISHED = "warehouse-cdc: published"
"""What the comment on a mirror's staging table says."""

INSERTING = frozenset({"insert", "upsert", "mirror", "archive"})
MATCHING = frozenset({"insert", "update", "upsert"})

_NAME_BYTES = 63
"""The length of a name on PostgreSQL, in bytes."""


@dataclass(frozen=True)
class Column:
    """A column of a destination table.

    Attributes:
        name: Its name, byte for byte.
        type: Its type, as the database writes it in DDL.
        nullable: Whether it takes NULL.
        has_default: Whether it may be left out of an INSERT though it takes no NULL.
        generated: Whether the database alone gives it its values.
        kind: What the database's writer needs to know of the type, beside its name.
    """

    name: str
    type: str
    nullable: bool = True
    has_default: bool = False
    generated: bool = False
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A destination table.

    Attributes:
        name: Its bare name.
        sql: Its quoted name, as far as statements need it.
        columns: Its columns by name.
        unique_keys: The sets of columns that a constraint or an index keeps unique.
    """

    name: str
    sql: str
    columns: dict[str, Column]
    unique_keys: frozenset[frozenset[str]]

    def is_unique(self, names: Iterable[str]) -> bool:
        """Whether a constraint is on exactly these columns."""
        return frozenset(names) in self.unique_keys


def quote(name: str) -> str:
    """An identifier in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def split_name(text: str) -> tuple[str, ...]:
    """The parts of a dotted name; a part in double quotes may hold dots (``"my.schema"."t"``).

    Raises:
        ConfigError: A part is empty, or a quote isn't closed.
    """
    parts: list[str] = []
    rest = text
    while True:
        if rest.startswith('"'):
            end = 1
            while (end := rest.find('"', end)) != -1 and rest[end : end + 2] == '""':
                end += 2
            part, rest = rest[1:end].replace('""', '"'), rest[end + 1 :] if end != -1 else '"'
        else:
            part, dot, tail = rest.partition(".")
            rest = dot + tail
        parts.append(part)
        if not rest:
            break
        if not rest.startswith("."):
            raise _bad_name(text)
        rest = rest[1:]
    if not all(parts) or len(parts) > 3 or "\0" in text:
        raise _bad_name(text)
    return tuple(parts)


def _bad_name(text: str) -> ConfigError:
    return ConfigError(
        f"SqlTable: {text!r} is not the name of a table.",
        code="table-name",
        hint='Write table or schema.table; a part that contains a dot goes in quotes: "my.schema".table.',
    )


def staging_name(context: RunContext, table: Table) -> str:
    """The name of a run's staging table: the target's (cut), the sync's mark and the run's."""
    return staging_start(context, table) + mark(context.run_id, 12)


def staging_start(context: RunContext, table: Table) -> str:
    """What the names of all staging tables of a sync on a table start with, and no other table's."""
    suffix = f"__wcdc_{mark(f'{context.sync_id}/{table.sql}', 8)}_"
    room = _NAME_BYTES - len(suffix) - 12
    return table.name.encode()[:room].decode(errors="ignore") + suffix


def mark(text: str, digits: int) -> str:
    """The first hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def written_fields(context: RunContext) -> tuple[str, ...]:
    """The fields that a run may give values to."""
    if context.mode in INSERTING:
        return context.fields
    return tuple(name for name in context.fields if name not in context.match)


def check_table(table: Table, context: RunContext) -> None:
    """Look whether a table can take a sync.

    Raises:
        ConfigError: A field is missing, can't be written or would be left without a value; or the match
            fields aren't unique.
    """
    _check_known(table, context)
    fixed = [name for name in written_fields(context) if table.columns[name].generated]
    if fixed:
        raise ConfigError(
            f"{table.sql}: the database generates {_listed(fixed)}; no value can be written.",
            code="generated-field",
            hint="Take the field out of the mappings.",
        )
    if context.mode in INSERTING:
        _check_required(table, context)
    others = [name for name in context.fields if name not in context.match]
    if context.mode == "update" and not others:
        raise ConfigError(
            f"{table.sql}: mode 'update' needs a field besides those that identify the record.",
            code="nothing-to-update",
            hint="Map another column.",
        )
    if context.mode == "upsert" and not table.is_unique(context.match):
        columns = ", ".join(quote(table.columns[name].name) for name in context.match)
        index = quote("_".join((table.name, *context.match, "key"))[:60])
        raise ConfigError(
            f"{table.sql}: mode 'upsert' needs a primary key or unique constraint on exactly "
            f"{_listed(context.match)}.",
            code="no-unique-key",
            hint=f"CREATE UNIQUE INDEX {index} ON {table.sql} ({columns}); or match on other fields.",
        )
    if context.on_removed == "clear":
        _check_clearable(table, context, others)


def _check_known(table: Table, context: RunContext) -> None:
    names = dict.fromkeys((*context.match, *context.fields))
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ConfigError(
            f"{table.sql} has no field {_listed(missing)}.",
            code="unknown-field",
            hint=_near(missing, list(table.columns)),
        )


def _check_required(table: Table, context: RunContext) -> None:
    left_out = [
        column.name
        for name, column in table.columns.items()
        if name not in context.fields and not (column.nullable or column.has_default or column.generated)
    ]
    if left_out:
        raise ConfigError(
            f"{table.sql}: {_listed(left_out)} must have a value, but the sync doesn't write it.",
            code="required-field",
            hint="Map a column to it, or give it a default.",
        )


def _check_clearable(table: Table, context: RunContext, others: list[str]) -> None:
    strict = [name for name in others if not table.columns[name].nullable]
    if strict:
        raise ConfigError(
            f"{table.sql}: on_removed='clear' would set {_listed(strict)} to NULL, which it can't take.",
            code="clear-not-null",
            hint="Use on_removed='delete', or make the field nullable.",
        )


def _near(missing: list[str], known: list[str]) -> str:
    lower = {name.lower(): name for name in known}
    found: list[str] = []
    for name in missing:
        if name.lower() in lower:
            found.append(lower[name.lower()])
        found += difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    near = list(dict.fromkeys(found))
    if near:
        return f"Did you mean {_listed(near)}? Names are case-sensitive."
    return f"It has {_listed(known[:20])}{', …' if len(known) > 20 else ''}."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
