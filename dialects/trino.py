"""Trino, with the types that Iceberg tables can hold."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from sqlglot import exp

from warehouse_cdc.dialects import types
from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType, common_number

_KINDS = {
    "tinyint": "integer",
    "smallint": "integer",
    "integer": "integer",
    "int": "integer",
    "bigint": "integer",
    "decimal": "decimal",
    "real": "float",
    "double": "float",
    "varchar": "text",
    "char": "text",
    "uuid": "uuid",
    "boolean": "boolean",
    "date": "date",
    "varbinary": "binary",
    "json": "json",
    "array": "nested",
    "map": "nested",
    "row": "nested",
}
_MICROSECONDS = 6
"""Digits of a second that Iceberg keeps."""
_PARTS = 50
"""Texts in one call of ``concat``; the calls are nested."""
_JSON_KINDS = ("integer", "float", "decimal", "boolean", "json")
"""Kinds that a cast to JSON keeps as they are; any other becomes the JSON string of its canonical text."""
_TEXT = ColumnType("VARCHAR", "text")
_DOCUMENT = ColumnType("VARCHAR", "json")
"""A JSON document, which Iceberg can't hold as such."""


def _digits(kind: ColumnType) -> tuple[int, int]:
    """The most digits before and after the point of an integer or decimal type."""
    if kind.kind == "integer":
        return (19 if kind.name == "BIGINT" else 10), 0
    precision, scale = decimal_digits(kind)
    return precision - scale, scale


def decimal_digits(kind: ColumnType) -> tuple[int, int]:
    """Precision and scale of a decimal type."""
    return types.decimal_digits(kind, 38)


def _is_fine(kind: ColumnType) -> bool:
    """Whether a time has more digits than Iceberg keeps."""
    precision = re.search(r"\((\d+)\)", kind.name)
    return precision is not None and int(precision[1]) > _MICROSECONDS


def _as_json(expression: str) -> str:
    """The JSON text of a text or number."""
    return f"json_format(CAST({expression} AS JSON))"


class Trino(Dialect):
    """Trino, on a catalog whose tables can be deleted from and updated."""

    name = "trino"
    sqlglot = "trino"
    capabilities = DialectCapabilities(
        transactional_ddl=False,
        snapshots=False,
        exclusive_process=False,
        creates_schemas=False,
        json_key_order=True,
        column_case=False,
        change_hints=False,
    )
    text_type = "VARCHAR"
    timestamp_type = "TIMESTAMP(6) WITH TIME ZONE"
    json_type = "VARCHAR"
    now = "current_timestamp"
    most_chunks = 4_000
    digits = f"({_MICROSECONDS})"
    """What follows the name of a type of times."""

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """The new name is qualified: alone, it would be one of the session's schema."""
        return f"ALTER TABLE {self.table(schema, name)} RENAME TO {self.table(schema, new_name)}"

    def seconds_since(self, timestamp: str) -> str:
        """By milliseconds, which is what the server's clock tells."""
        return f"(CAST(date_diff('millisecond', {timestamp}, {self.now}) AS DOUBLE) / 1e3)"

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as the server prints it."""
        upper = name.upper()
        word = re.split(r"\W", name.lower(), maxsplit=1)[0]
        zoned = upper.endswith("WITH TIME ZONE")
        if word == "timestamp":
            return ColumnType(upper, "timestamptz" if zoned else "timestamp")
        if word == "time" and not zoned:
            return ColumnType(upper, "time")
        kind = _KINDS.get(word, "other")
        return ColumnType(name if kind in ("nested", "other") else upper, kind)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """As Iceberg can hold it without loss: JSON and what is nested, and what is too fine, as text."""
        if kind.kind == "nested":
            value = self._json(expression, exp.DataType.build(kind.name, dialect=self.sqlglot), 1)
            return f"json_format({value})", _DOCUMENT
        if kind.kind == "json":
            return f"json_format({expression})", _DOCUMENT
        if kind.kind in ("text", "uuid", "other") or _is_fine(kind):
            return self.canonical_text(expression, kind), _TEXT
        if kind.kind == "integer":
            name = "BIGINT" if kind.name == "BIGINT" else "INTEGER"
            return self.cast(expression, name), ColumnType(name, "integer")
        if kind.kind == "timestamptz":
            return self.cast(f"({expression} AT TIME ZONE 'UTC')", self.timestamp_type), ColumnType(
                self.timestamp_type, "timestamptz"
            )
        if kind.kind in ("time", "timestamp"):
            name = f"{kind.kind.upper()}{self.digits}"
            return self.cast(expression, name), ColumnType(name, kind.kind)
        return expression, kind

    def _json(self, value: str, kind: exp.DataType, depth: int) -> str:
        """A value of any type as JSON: what JSON doesn't know becomes text, maps become objects.

        Args:
            value: An expression.
            kind: Its type.
            depth: Of nesting, so that the names of lambda parameters differ.
        """
        parts, element, key = kind.expressions, f"e{depth}", f"k{depth}"
        if kind.this == exp.DType.ARRAY:
            inner = self._json(element, parts[0], depth + 1)
            return f"CAST(transform({value}, {element} -> {inner}) AS JSON)"
        if kind.this == exp.DType.MAP:
            name = self._key_text(key, parts[0], depth + 1)
            inner = self._json(element, parts[1], depth + 1)
            named = f"transform_keys({value}, ({key}, {element}) -> {name})"
            return f"CAST(transform_values({named}, ({key}, {element}) -> {inner}) AS JSON)"
        if kind.this == exp.DType.STRUCT:
            fields = [part if isinstance(part, exp.ColumnDef) else None for part in parts]
            kinds = [part if of is None else of.args["kind"] for part, of in zip(parts, fields, strict=True)]
            names = [
                self.quote(f"field{place}" if of is None else of.name) for place, of in enumerate(fields, 1)
            ]
            values = [self._json(f"{value}[{place}]", each, depth + 1) for place, each in enumerate(kinds, 1)]
            row = f"CAST(ROW({', '.join(values)}) AS ROW({', '.join(f'{name} JSON' for name in names)}))"
            return f"CASE WHEN {value} IS NOT NULL THEN CAST({row} AS JSON) END"
        simple = self.column_type(kind.sql(dialect=self.sqlglot))
        if simple.kind == "float":
            value = self._unsigned_zero(value, simple)
        if simple.kind not in _JSON_KINDS:
            value = self.canonical_text(value, simple)
        return f"CAST({value} AS JSON)"

    def _key_text(self, key: str, kind: exp.DataType, depth: int) -> str:
        """A map's key as text; different keys have different texts."""
        simple = self.column_type(kind.sql(dialect=self.sqlglot))
        if simple.kind in ("nested", "json"):
            return f"json_format({self._json(key, kind, depth)})"
        return self.canonical_text(key, simple)

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Integers and decimals have one as long as 38 digits hold both; anything else becomes text."""
        if left == right:
            return left
        return self.column_type(common_number(left, right, _digits) or self.text_type)

    # -- identity and equality --------------------------------------------------------------------

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        text = self.cast(expression, "VARCHAR")
        if kind.kind == "text" and kind.name.startswith("CHAR"):
            return self._trimmed(text, " ")
        if kind.kind == "decimal" and decimal_digits(kind)[1]:
            return self._trimmed(self._trimmed(text, "0"), ".")
        if kind.kind == "float":
            whole = f"abs({expression}) < 1e18 AND {expression} = truncate({expression})"
            return f"CASE WHEN {whole} THEN CAST(TRY_CAST({expression} AS BIGINT) AS VARCHAR) ELSE {text} END"
        if kind.kind in ("timestamp", "timestamptz"):
            return self._timestamp_text(expression, kind)
        if kind.kind == "binary":
            return f"lower(to_hex({expression}))"
        if kind.kind == "time" and not _is_fine(kind):
            return self.cast(self.cast(expression, f"TIME({_MICROSECONDS})"), "VARCHAR")
        return text

    def _trimmed(self, text: str, character: str) -> str:
        """Without this character at its end."""
        return f"trim(TRAILING '{character}' FROM {text})"

    def _timestamp_text(self, expression: str, kind: ColumnType) -> str:
        value = f"({expression} AT TIME ZONE 'UTC')" if kind.kind == "timestamptz" else expression
        digits = 12 if _is_fine(kind) else _MICROSECONDS
        text = f"CAST(CAST({value} AS TIMESTAMP({digits})) AS VARCHAR)"
        if digits > _MICROSECONDS:
            text = rf"regexp_replace({text}, '(\.\d{{6}}\d*?)0*$', '$1')"
        return f"replace({text}, ' ', 'T') || 'Z'"

    def json_string(self, text: str) -> str:
        """Trino's own quoting of what must be quoted, in lower case, as elsewhere.

        Of a whole text, it also quotes what is beyond the BMP.
        """
        quoted = f"lower(regexp_extract({_as_json('x[1]')}, '^\"(.*)\"$', 1))"
        return rf"""'"' || regexp_replace({text}, '([\x00-\x1f"\\])', x -> {quoted}) || '"'"""

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Stored values compare as they are: JSON was written with its keys in order."""
        return expression

    def _unsigned_zero(self, expression: str, kind: ColumnType) -> str:
        """A float whose zero has no sign."""
        return f"({expression} + {self.cast('0', kind.name)})"

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """xxHash64 of the values' texts, one behind the other.

        A text comes with its length; others end with a comma, which none contains, and NULL is an empty one.
        The key is among the values and mixed with them, so exclusive ors tell which row has which values.
        """
        return self._hash(self._concat([self._hashed(*column) for column in columns]))

    def _hashed(self, expression: str, kind: ColumnType) -> str:
        if kind.kind in ("text", "json"):
            return f"coalesce(CAST(length({expression}) AS VARCHAR) || ':' || {expression}, ',')"
        if kind.kind == "float":
            text = self.cast(self._unsigned_zero(expression, kind), "VARCHAR")
        elif kind.kind == "decimal":
            text = self.canonical_text(expression, kind)
        elif kind.kind == "binary":
            text = f"'x' || to_hex({expression})"
        else:
            text = self.cast(expression, "VARCHAR")
        return f"coalesce({text}, '') || ','"

    def _concat(self, texts: Sequence[str]) -> str:
        """Texts one behind the other: a function takes so many arguments and no more."""
        while len(texts) > 1:
            groups = [texts[at : at + _PARTS] for at in range(0, len(texts), _PARTS)]
            texts = [group[0] if len(group) == 1 else f"concat({', '.join(group)})" for group in groups]
        return texts[0]

    def _hash(self, text: str) -> str:
        return f"from_big_endian_64(xxhash64(to_utf8({text})))"

    def row_hash(self, row_id: str) -> str:
        """xxHash64."""
        return self._hash(row_id)

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return f"CAST(bitwise_and({self.row_hash(row_id)}, {BUCKETS - 1}) AS INTEGER)"

    def checksum(self, hashes: str) -> str:
        """Exclusive or, by Trino's name of it."""
        return f"bitwise_xor_agg({hashes})"

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """All stored values travel as they are; the client makes Arrow of them."""
        return expression, "json" if kind.kind == "json" else None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """Its text, put together: Trino's own function gives no order of names and takes few types."""
        texts = []
        for place, (name, expression, kind) in enumerate(pairs):
            label = self.literal(f"{',' if place else ''}{json.dumps(name, ensure_ascii=False)}:")
            texts += [label, f"coalesce({self._json_text(expression, kind)}, 'null')"]
        return self._concat(["'{'", *texts, "'}'"])

    def _json_text(self, expression: str, kind: ColumnType) -> str:
        if kind.kind == "json":
            return expression
        if kind.kind in ("integer", "decimal", "boolean"):
            return self.cast(expression, "VARCHAR")
        if kind.kind in ("text", "float"):
            return _as_json(expression)
        return f"'\"' || {self.canonical_text(expression, kind)} || '\"'"

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas; who may write to them is a matter of the catalog's access control."""
        return [self.make_schema(schema) for schema in (audit, planner)]

    def grants(self, schema: str, principal: str) -> list[str]:
        """None: it is a matter of the catalog's access control."""
        return []
