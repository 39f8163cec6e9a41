"""PostgreSQL statements that write a whole batch, and the JSON that carries its rows.

A batch travels as one parameter: a JSON array of objects that the server itself turns into rows of the
target's own types (``json_to_recordset``). So a value is read by the input function of its column's type,
as if it had been typed into a literal; one statement serves any number of rows, no column name ever
becomes the name of a parameter, and the number of parameters has no limit to run into. The same
statements read the rows of a large batch from a temporary table of the same types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring

import pyarrow as pa
import sqlalchemy as sa

from warehouse_cdc.destinations.base import Batch, Outcome, RunContext, rejected
from warehouse_cdc.destinations.encoding import Quote, Style, encode_column, plain
from warehouse_cdc.destinations.tables import Column, Table, quote
from warehouse_cdc.mapping import times
from warehouse_cdc.mapping.values import kind_of

_ROWS = "\0"
"""Stands for the parameter until the text is complete; no identifier can contain it."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
INTEGERS = frozenset({"int2", "int4", "int8"})
JSON_KINDS = frozenset({"json", "jsonb"})
TEMPORARY = "pg_temp.wcdc_rows"
"""Where the rows of a large batch wait for their statement."""
_LONG_YEAR = re.compile(r"([+-])(\d{6,})(-.*)", re.DOTALL)


@dataclass(frozen=True)
class Slot:
    """How one field of a batch reaches its column.

    Attributes:
        name: The field's name.
        index: Its position in the batch.
        field: How its values are encoded (a tag is taken off where they go as they are).
        style: The same, of scalars.
        arrow: The type of its values in a batch.
        text: How scalars become the text that the column reads.
        kind: What kind of type the column has.
        type: The type that the server reads them as.
        cast: The type that they are converted to then, or None.
    """

    name: str
    index: int
    field: pa.Field
    style: Style
    arrow: pa.DataType
    text: Style
    kind: str
    type: str
    cast: str | None = None

    @property
    def converted(self) -> bool:
        """Whether the column's own type reads the values otherwise."""
        return self.cast is not None and self.kind not in JSON_KINDS


@dataclass(frozen=True)
class Row:
    """A row on its way: its position in the batch, and its JSON object."""

    position: int
    text: str


def slots_of(context: RunContext, table: Table) -> dict[str, Slot]:
    """A slot for each field, by name."""
    fields = enumerate(context.schema)
    return {field.name: _slot(index, field, table.columns[field.name]) for index, field in fields}


def _slot(index: int, field: pa.Field, column: Column) -> Slot:
    kind, tag = field.type, kind_of(field)
    style = _style(field, column, encode_basestring)
    text = style if column.kind in JSON_KINDS else _style(field, column, plain)
    slot = Slot(field.name, index, field, style, kind, text, column.kind, column.type)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_text and tag != "decimal":
        nested = tag == "json" and column.kind in ("array", "composite")
        if not nested:
            slot = replace(slot, field=pa.field(field.name, kind))
        if column.kind in JSON_KINDS:
            slot = replace(slot, type="text", cast=column.type)
    elif column.kind in INTEGERS and (tag or pa.types.is_floating(kind) or _has_digits_after(kind)):
        # 2.0 is no integer to the input function, but a number that becomes one.
        slot = replace(slot, type="numeric", cast=column.type)
    return slot


def _has_digits_after(kind: pa.DataType) -> bool:
    """Whether a type is a decimal that isn't written like an integer."""
    return bool(pa.types.is_decimal(kind) and kind.scale != 0)


def _style(field: pa.Field, column: Column, string: Quote) -> Style:
    kind = field.type
    if times.is_time_like(kind):
        naive = pa.types.is_timestamp(kind) and kind.tz is None and column.kind == "timestamptz"
        zone = "Z" if naive else ""
        return Style(lambda text: string(postgres_time(text + zone)))
    if column.kind == "bytea" or column.type == "bytea[]":
        return Style(string, lambda value: "\\x" + value.hex())
    if column.kind == "uuid":
        return Style(string, bytes.hex)
    return Style(string)


def postgres_time(text: str) -> str:
    """ISO 8601 text in PostgreSQL's way for years before 1 and after 9999."""
    found = _LONG_YEAR.match(text)
    if found is None:
        return f"0001{text[4:]} BC" if text.startswith("0000-") else text
    sign, year, rest = found.groups()
    return f"{int(year)}{rest}" if sign == "+" else f"{int(year) + 1:04d}{rest} BC"


def encode_rows(
    batch: Batch, slots: Sequence[Slot], required: Sequence[str], extra: Mapping[str, Sequence[str]]
) -> tuple[list[Row], dict[int, Outcome]]:
    """A batch's rows as JSON objects, and the rows that can't be sent.

    Args:
        batch: The rows.
        slots: The fields to encode; they become ``c0``, ``c1``, ….
        required: The fields that must not be NULL, because they identify the record.
        extra: More columns: texts that need no escape.
    """
    invalid: dict[int, str] = {}
    without: set[int] = set()
    heads: list[str] = []
    columns: list[Sequence[str | None]] = []
    for number, slot in enumerate(slots):
        column = batch.arrow.column(slot.index)
        if slot.name in required and column.null_count:
            for position, empty in enumerate(column.is_null().to_pylist()):
                if empty:
                    without.add(position)
                    invalid.setdefault(position, f"the match field {slot.name!r} is NULL")
        heads.append(f'"c{number}":')
        columns.append(encode_column(column, slot.field, slot.style, invalid))
    for name, texts in extra.items():
        heads.append(f'"{name}":')
        columns.append([f'"{text}"' for text in texts])
    rows: list[Row] = []
    for position, values in enumerate(zip(*columns, strict=True)):
        pairs = zip(heads, values, strict=True)
        tokens = ",".join([f'"i":{position}', *(head + value for head, value in pairs if value is not None)])
        text = "{" + tokens + "}"
        if "\\u0000" in text and _NUL.search(text):
            invalid.setdefault(position, "text with a NUL character, which PostgreSQL can't store")
        rows.append(Row(position, text))
    refused = {
        position: rejected(reason, permanent=True)
        for position, reason in invalid.items()
        # No record was ever written for a row without a match value, so none is there to remove.
        if batch.operation != "removed" or position not in without
    }
    return [row for row in rows if row.position not in invalid], refused


class Statements:
    """The statements of one run.

    Args:
        context: The run.
        table: The target.
        slots: Its fields.
        temporary: Whether they read the rows from the temporary table, and not from a parameter ``rows``.
    """

    def __init__(
        self, context: RunContext, table: Table, slots: Mapping[str, Slot], *, temporary: bool = False
    ) -> None:
        self._context = context
        self._table = table
        self._slots = slots
        self._temporary = temporary

    def fields(self, kind: str) -> list[Slot]:
        """The slots that a kind of statement needs, in the order of its ``c0``, ``c1``, …."""
        names = self._context.match if kind in ("delete", "clear") else self._context.fields
        return [self._slots[name] for name in names]

    def build(self, kind: str) -> sa.TextClause:
        """The statement of a kind: insert, update, upsert, archive, delete or clear."""
        return statement(getattr(self, f"_{kind}")())

    def create(self, kind: str) -> sa.TextClause:
        """The statement that makes the temporary table, of the transaction, for a kind of statement."""
        return statement(f"CREATE TEMPORARY TABLE {TEMPORARY} ({self._columns(kind)}) ON COMMIT DROP")

    def load(self, staging: str, row_key: str) -> sa.TextClause:
        """The statement that fills a mirror's staging table; repeating it adds nothing."""
        key = quote(row_key)
        target, values, source = self._parts("mirror", f", {key} uuid")
        return statement(
            f"INSERT INTO {staging} ({target}, {key}) SELECT {values}, v.{key} FROM {source} "
            f"ORDER BY v.i ON CONFLICT ({key}) DO NOTHING"
        )

    def _archive(self) -> str:
        target, values, source = self._parts("archive")
        return f"INSERT INTO {self._table.sql} ({target}) SELECT {values} FROM {source} ORDER BY v.i"

    def _insert(self) -> str:
        if self._table.is_unique(self._context.match):
            return f"{self._archive()} ON CONFLICT ({self._match_columns()}) DO NOTHING"
        target, values, source = self._parts("insert")
        keys = ", ".join(self._value("insert", name) for name in self._context.match)
        return (
            f"INSERT INTO {self._table.sql} ({target}) SELECT DISTINCT ON ({keys}) {values} FROM {source} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self._table.sql} AS t WHERE {self._matches('insert')}) "
            f"ORDER BY {keys}, v.i"
        )

    def _upsert(self) -> str:
        others = [quote(name) for name in self._context.fields if name not in self._context.match]
        if not others:
            return self._insert()
        changes = ", ".join(f"{name} = excluded.{name}" for name in others)
        return f"{self._archive()} ON CONFLICT ({self._match_columns()}) DO UPDATE SET {changes}"

    def _update(self) -> str:
        names = [name for name in self._context.fields if name not in self._context.match]
        changes = ", ".join(f"{quote(name)} = {self._value('update', name)}" for name in names)
        return (
            f"UPDATE {self._table.sql} AS t SET {changes} FROM {self._source('update')} "
            f"WHERE {self._matches('update')} RETURNING v.i"
        )

    def _clear(self) -> str:
        names = [name for name in self._context.fields if name not in self._context.match]
        changes = ", ".join(f"{quote(name)} = NULL" for name in names)
        return (
            f"UPDATE {self._table.sql} AS t SET {changes} FROM {self._source('clear')} "
            f"WHERE {self._matches('clear')}"
        )

    def _delete(self) -> str:
        source, matches = self._source("delete"), self._matches("delete")
        return f"DELETE FROM {self._table.sql} AS t USING {source} WHERE {matches}"

    def _parts(self, kind: str, more: str = "") -> tuple[str, str, str]:
        names = [slot.name for slot in self.fields(kind)]
        values = ", ".join(self._value(kind, name) for name in names)
        return ", ".join(map(quote, names)), values, self._source(kind, more)

    def _source(self, kind: str, more: str = "") -> str:
        if self._temporary:
            return f"{TEMPORARY} AS v"
        return f"json_to_recordset(CAST({_ROWS} AS json)) AS v({self._columns(kind)}{more})"

    def _columns(self, kind: str) -> str:
        columns = (f", c{number} {slot.type}" for number, slot in enumerate(self.fields(kind)))
        return "i integer" + "".join(columns)

    def _value(self, kind: str, name: str) -> str:
        number, slot = next(pair for pair in enumerate(self.fields(kind)) if pair[1].name == name)
        return f"v.c{number}" if slot.cast is None else f"CAST(v.c{number} AS {slot.cast})"

    def _matches(self, kind: str) -> str:
        return " AND ".join(f"t.{quote(name)} = {self._value(kind, name)}" for name in self._context.match)

    def _match_columns(self) -> str:
        return ", ".join(map(quote, self._context.match))


def statement(sql: str) -> sa.TextClause:
    """A SQLAlchemy statement of SQL text in which a colon is just a colon."""
    return sa.text(sql.replace(":", r"\:").replace(_ROWS, ":rows"))
