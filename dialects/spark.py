"""Apache Spark, on Delta tables.

Every expression means the same whatever the session's time zone is; ANSI mode must be on. Names of schemas
may be qualified by a catalog.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from warehouse_cdc.dialects import types
from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType, common_number
from warehouse_cdc.errors import UnsupportedError

_KINDS = {
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "integer": "integer",
    "bigint": "integer",
    "decimal": "decimal",
    "float": "float",
    "double": "float",
    "string": "text",
    "varchar": "text",
    "char": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamptz",
    "timestamp_ntz": "timestamp",
    "binary": "binary",
    "variant": "json",
    "array": "nested",
    "map": "nested",
    "struct": "nested",
}
_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "BIGINT": 19}
"""Digits of integer types; of others, 10."""
_TEXT = ColumnType("STRING", "text")
_DOCUMENT = ColumnType("STRING", "json")
"""A JSON document."""
_WORD = re.compile(r"\w+")
_FIELD = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^\s:`,<>]+))\s*:\s*")


def decimal_digits(kind: ColumnType) -> tuple[int, int]:
    """Precision and scale of a decimal type."""
    return types.decimal_digits(kind, 10)


def _digits(kind: ColumnType) -> tuple[int, int]:
    """The most digits before and after the point of an integer or decimal type."""
    if kind.kind == "integer":
        return _DIGITS.get(kind.name, 10), 0
    precision, scale = decimal_digits(kind)
    return precision - scale, scale


def _split(text: str) -> list[str]:
    """The parts of a list of types or fields: commas in brackets or backquotes don't count."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(text):
        if character == "`":
            quoted = not quoted
        elif not quoted:
            depth += (character in "<(") - (character in ">)")
            if character == "," and not depth:
                parts.append(text[start:at])
                start = at + 1
    return [part.strip() for part in (*parts, text[start:]) if part.strip()]


def _unreadable(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"The type {name} can't be read.",
        hint="Convert the column by to_json in the model, or give its fields plain names.",
    )


def _concat(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"concat({', '.join(texts)})"


def _quoted(text: str) -> str:
    """A text as a JSON string; NULL stays NULL."""
    return f"nullif(regexp_replace(to_json(array({text})), '^.|.$', ''), 'null')"


class Spark(Dialect):
    """Spark, with Delta as the format of the tables that are written."""

    name = "spark"
    sqlglot = "spark"
    capabilities = DialectCapabilities(
        transactional_ddl=False,
        snapshots=False,
        exclusive_process=False,
        creates_schemas=False,
        json_key_order=True,
        column_case=False,
        change_hints=False,
    )
    text_type = "STRING"
    timestamp_type = "TIMESTAMP"
    json_type = "STRING"
    now = "current_timestamp()"
    scratch = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    """With the model's own names of columns, which Delta takes only so if they have spaces or punctuation."""

    def literal(self, value: str | int | float | bool | None) -> str:
        """A literal, with quotes and control characters as escapes."""
        if not isinstance(value, str):
            return super().literal(value)
        text = value.encode("utf-8", "replace").decode().replace("\\", "\\\\")
        return "'" + re.sub(r"[\x00-\x1f']", lambda found: f"\\u{ord(found[0]):04x}", text) + "'"

    def table(self, schema: str, name: str) -> str:
        """The schema's own name has no dots: what stands before one is its catalog."""
        return f"{self.schema(schema)}.{self.quote(name)}"

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """The new name is qualified: alone, it would be one of the session's schema."""
        return f"ALTER TABLE {self.table(schema, name)} RENAME TO {self.table(schema, new_name)}"

    def distribution(self, column: str = "") -> str:
        """The format of a table; there is nothing else to choose."""
        return "\nUSING DELTA"

    def seconds_since(self, timestamp: str) -> str:
        """By microseconds."""
        elapsed = f"unix_micros({self.now}) - unix_micros({timestamp})"
        return f"(CAST({elapsed} AS DOUBLE) / CAST(1000000 AS DOUBLE))"

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as Spark prints it."""
        word = _WORD.match(name.strip().lower())
        kind = _KINDS.get(word[0] if word else "", "other")
        return ColumnType(name if kind in ("nested", "other") else name.upper(), kind)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """As Delta can hold and compare it: JSON and what is nested as text, text without its collation."""
        if kind.kind in ("nested", "json"):
            return self._json(expression, kind.name, 1), _DOCUMENT
        if kind.kind == "text" and kind.name == "STRING":
            return expression, _TEXT
        if kind.kind in ("text", "other"):
            return self.canonical_text(expression, kind), _TEXT
        if kind.kind == "integer" and kind.name == "INTEGER":
            return expression, ColumnType("INT", "integer")
        return expression, kind

    def _json(self, value: str, name: str, depth: int) -> str:
        """The JSON text of a value: what JSON doesn't know becomes text, maps become objects.

        Args:
            value: An expression.
            name: Its type.
            depth: Of nesting, so that the names of lambda parameters differ.
        """
        kind, element = self.column_type(name), f"e{depth}"
        if kind.kind == "other" and ":" in name:
            raise _unreadable(name)
        if kind.kind != "nested":
            return self._json_text(value, kind)
        outer, _bracket, inner = name.strip().partition("<")
        outer, parts = outer.strip().lower(), _split(inner.rpartition(">")[0])
        if outer == "array":
            item = f"coalesce({self._json(element, parts[0], depth + 1)}, 'null')"
            return f"concat('[', array_join(transform({value}, {element} -> {item}), ','), ']')"
        if outer == "map":
            key = self._key_text(f"{element}.key", parts[0], depth + 1)
            item = f"coalesce({self._json(f'{element}.value', parts[1], depth + 1)}, 'null')"
            pair = f"concat({_quoted(key)}, ':', {item})"
            pairs = f"array_sort(transform(map_entries({value}), {element} -> {pair}))"
            return f"concat('{{', array_join({pairs}, ','), '}}')"
        members = []
        for place, part in enumerate(parts):
            label = _FIELD.match(part)
            if label is None or not part[label.end() :]:
                raise _unreadable(name)
            field = label[2] if label[1] is None else label[1].replace("``", "`")
            text = json.dumps(field, ensure_ascii=False)
            members.append(self.literal(f"{',' if place else ''}{text}:"))
            inside = self._json(f"{value}.{self.quote(field)}", part[label.end() :], depth + 1)
            members.append(f"coalesce({inside}, 'null')")
        whole = _concat(["'{'", *members, "'}'"])
        return f"CASE WHEN {value} IS NOT NULL THEN {whole} END"

    def _key_text(self, key: str, name: str, depth: int) -> str:
        """A map's key as text; different keys have different texts."""
        kind = self.column_type(name)
        nested = kind.kind in ("nested", "json")
        return self._json(key, name, depth) if nested else self.canonical_text(key, kind)

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Integers and decimals have one as long as 38 digits hold both; anything else becomes text."""
        if left == right:
            return left
        return self.column_type(common_number(left, right, _digits) or self.text_type)

    # -- identity and equality --------------------------------------------------------------------

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        text = self.cast(expression, "STRING")
        if kind == _TEXT or kind.kind == "json":
            return expression
        if kind.kind == "text" and kind.name.startswith("CHAR"):
            return f"rtrim({text})"
        if kind.kind == "decimal" and decimal_digits(kind)[1]:
            return f"trim(TRAILING '.' FROM trim(TRAILING '0' FROM {text}))"
        if kind.kind == "float":
            whole = f"abs({expression}) < 1e18 AND {expression} = rint({expression})"
            return f"CASE WHEN {whole} THEN CAST(try_cast({expression} AS BIGINT) AS STRING) ELSE {text} END"
        if kind.kind == "timestamp":
            return _timestamp_text(text)
        if kind.kind == "timestamptz":
            # A cast would be to the session's zone.
            epoch = "TIMESTAMP_NTZ '1970-01-01 00:00:00'"
            seconds = f"CAST(unix_micros({expression}) AS DECIMAL(20, 0)) / 1000000"
            return _timestamp_text(f"CAST({epoch} + make_dt_interval(0, 0, 0, {seconds}) AS STRING)")
        if kind.kind == "binary":
            return f"lower(hex({expression}))"
        return text

    def json_string(self, text: str) -> str:
        """Spark's quoting, but with escapes in lower case, as elsewhere."""
        inner = "regexp_replace(to_json(array(x)), '^..|..$', '')"
        each = f"CASE WHEN x < ' ' THEN lower({inner}) ELSE {inner} END"
        slow = f"concat('\"', array_join(transform(split({text}, ''), x -> {each}), ''), '\"')"
        return rf"CASE WHEN {text} RLIKE '[\\x00-\\x1f]' THEN {slow} ELSE {_quoted(text)} END"

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Stored values compare as they are: JSON was written with its keys in order."""
        return expression

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """xxHash64 of the values' texts, one behind the other.

        A text comes with its length; others end with a comma, which none contains, and NULL is an empty one.
        The key is among the values and mixed with them, so exclusive ors tell which row has which values.
        """
        return f"xxhash64({_concat([self._hashed(*column) for column in columns])})"

    def _hashed(self, expression: str, kind: ColumnType) -> str:
        if kind.kind in ("text", "json"):
            size = f"CAST(octet_length({expression}) AS STRING)"
            return f"coalesce(concat({size}, ':', {expression}), ',')"
        if kind.kind == "float":
            # The hash of eight or four bytes is as good as they are; what a float prints as depends on Java.
            text = f"CASE WHEN {expression} IS NOT NULL THEN CAST(xxhash64({expression}) AS STRING) END"
        elif kind.kind == "decimal":
            text = self.canonical_text(expression, kind)
        elif kind.kind == "timestamptz":
            text = f"CAST(unix_micros({expression}) AS STRING)"
        elif kind.kind == "binary":
            text = f"concat('x', hex({expression}))"
        else:
            text = self.cast(expression, "STRING")
        return f"concat(coalesce({text}, ''), ',')"

    def row_hash(self, row_id: str) -> str:
        """xxHash64."""
        return f"xxhash64({row_id})"

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return f"CAST({self.row_hash(row_id)} & {BUCKETS - 1} AS INT)"

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """All stored values travel as they are."""
        return expression, "json" if kind.kind == "json" else None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """Its text, put together: Spark's own function writes instants in the session's zone."""
        texts = []
        for place, (name, expression, kind) in enumerate(pairs):
            label = self.literal(f"{',' if place else ''}{json.dumps(name, ensure_ascii=False)}:")
            member = expression if kind == _DOCUMENT else self._json_text(expression, kind)
            texts += [label, f"coalesce({member}, 'null')"]
        return _concat(["'{'", *texts, "'}'"])

    def _json_text(self, expression: str, kind: ColumnType) -> str:
        """The JSON text of a value that isn't nested; NULL stays NULL."""
        text = self.canonical_text(expression, kind)
        if kind.kind == "json":
            return f"to_json({expression}, map('timeZone', 'UTC'))"
        if kind.kind in ("integer", "decimal", "boolean"):
            return text
        if kind.kind in ("text", "other"):
            return _quoted(text)
        plain = f"concat('\"', {text}, '\"')"
        if kind.kind == "float":
            return f"CASE WHEN abs({expression}) < CAST('Infinity' AS DOUBLE) THEN {text} ELSE {plain} END"
        return plain

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas; who may write to them is a matter of the catalog."""
        return [self.make_schema(schema) for schema in (audit, planner)]

    def grants(self, schema: str, principal: str) -> list[str]:
        """None: it is a matter of the catalog."""
        return []

    def schema(self, name: str) -> str:
        """A schema, qualified if its name is, quoted."""
        return ".".join(map(self.quote, name.split(".")))

    def placed(self, schema: str) -> str:
        """Its name may have the catalog already."""
        return self.schema(schema) if "." in schema else super().placed(schema)


def _timestamp_text(text: str) -> str:
    """ISO 8601 with microseconds, from what Spark prints of a timestamp without a zone."""
    digits = f"rpad(CASE WHEN {text} LIKE '%.%' THEN substring_index({text}, '.', -1) ELSE '' END, 6, '0')"
    return f"concat(replace(substring_index({text}, '.', 1), ' ', 'T'), '.', {digits}, 'Z')"
