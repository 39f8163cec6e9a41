"""PostgreSQL 14 and later."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType

_KINDS = {
    "integer": ("smallint", "integer", "int", "int2", "int4", "int8", "bigint"),
    "decimal": ("numeric", "decimal"),
    "float": ("real", "double precision", "float", "float4", "float8"),
    "text": ("character varying", "character", "char", "bpchar", "varchar", "text"),
    "uuid": ("uuid",),
    "boolean": ("bool", "boolean"),
    "date": ("date",),
    "json": ("json", "jsonb"),
    "binary": ("bytea",),
    "money": ("money",),
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}
_ARGUMENTS = 100
"""PostgreSQL takes 100 arguments in one call."""


class Postgres(Dialect):
    """PostgreSQL, and the parent of its relatives."""

    name = "postgres"
    sqlglot = "postgres"
    capabilities = DialectCapabilities(
        transactional_ddl=True,
        snapshots=True,
        exclusive_process=False,
        creates_schemas=False,
        json_key_order=True,
        column_case=True,
        change_hints=True,
    )
    folds_names = True
    json_type = "JSONB"
    row_lock = "FOR UPDATE NOWAIT"
    share_lock = "FOR KEY SHARE"
    now = "clock_timestamp()"
    most_columns = 1600
    materialized = "MATERIALIZED "
    scratch = "UNLOGGED"

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as ``format_type`` prints it."""
        lower = name.lower()
        if lower.endswith("[]") or lower == "record":
            return ColumnType(name, "nested")
        if re.match(r"timestamp(tz)?\b", lower):
            zoned = "with time zone" in lower or lower.startswith("timestamptz")
            return ColumnType(name, "timestamptz" if zoned else "timestamp")
        if re.match(r"time\b", lower) and "with time zone" not in lower:
            return ColumnType(name, "time")
        return ColumnType(name, _BY_NAME.get(lower.partition("(")[0].strip(), "other"))

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Text under the C collation; arrays and composites as JSON; what only prints, as text."""
        if kind.kind in ("text", "other"):
            return f'({expression})::text COLLATE "C"', ColumnType("text", "text")
        if kind.kind == "nested":
            return self._nested(expression, kind), ColumnType("jsonb", "json")
        if kind.kind == "money":
            return f"({expression})::numeric", ColumnType("numeric", "decimal")
        return expression, kind

    def _nested(self, expression: str, kind: ColumnType) -> str:
        """An array or a composite as jsonb, or as its text where an escaped NUL of JSON is in it."""
        member = self.column_type(kind.name.partition("[")[0])
        if member.kind not in ("json", "other", "nested") or member.name.lower() == "jsonb":
            return f"to_jsonb({expression})"
        return self._jsonb(f"to_json({expression})", ColumnType("json", "json"))

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        text = f"({expression})::text"
        if kind.kind == "decimal":
            text = f"trim_scale({expression})::text"
        elif kind.kind == "float":
            whole = f"abs({expression}) < 1e18 AND {expression} = trunc({expression})"
            text = f"CASE WHEN {whole} THEN ({expression})::bigint::text ELSE {text} END"
        elif kind.kind in ("timestamp", "timestamptz"):
            value = f"timezone('UTC', {expression})" if kind.kind == "timestamptz" else expression
            text = (
                f'CASE WHEN isfinite({value}) THEN to_char({value}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\') '
                f"|| CASE WHEN {value} < timestamp '0001-01-01' THEN ' BC' ELSE '' END "
                f"ELSE ({value})::text END"
            )
        elif kind.kind == "json":
            text = f"({self.comparable(expression, kind)})::text"
        return f'({text}) COLLATE "C"'

    def literal(self, value: str | int | float | bool | None) -> str:
        """A literal; PostgreSQL's text can't hold NUL, which becomes U+FFFD."""
        return super().literal(value.replace("\0", "\ufffd") if isinstance(value, str) else value)

    def parsed(self, text: str, kind: ColumnType) -> str:
        """PostgreSQL reads neither signs nor the year 0: years before the first one have their own count."""
        if kind.kind not in ("date", "timestamp", "timestamptz"):
            return super().parsed(text, kind)
        plain = text if kind.kind == "date" else f"replace(replace({text}, 'T', ' '), 'Z', '+00')"
        unsigned = f"ltrim({plain}, '-')"
        year = f"split_part({unsigned}, '-', 1)"
        rest = f"substr({unsigned}, length({year}) + 1)"
        count = self.cast(f"{self.cast(year, 'INTEGER')} + 1", self.text_type)
        before = f"lpad({count}, 4, '0') || {rest} || ' BC'"
        found = f"{text} LIKE '-%' AND {text} <> '-infinity' OR {text} LIKE '0000-%'"
        return self.cast(f"CASE WHEN {found} THEN {before} ELSE {plain} END", kind.name)

    def from_hex(self, text: str) -> str:
        """By its own function."""
        return f"decode({text}, 'hex')"

    def json_string(self, text: str) -> str:
        """PostgreSQL's own JSON quoting."""
        return f"to_json({text})::text"

    def row_id(self, parts: Sequence[str]) -> str:
        """Compared byte for byte, whatever the database's collation."""
        return f'({super().row_id(parts)}) COLLATE "C"'

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """JSON as jsonb, which ignores key order and spelling; uuid as text."""
        if kind.kind == "json":
            return self._jsonb(expression, kind)
        if kind.kind == "uuid":
            return f'({expression})::text COLLATE "C"'
        return expression

    def _jsonb(self, expression: str, kind: ColumnType) -> str:
        """As jsonb; json may hold an escaped NUL, which jsonb refuses: then its text counts."""
        if kind.name.lower() == "jsonb":
            return expression
        text = f"({expression})::text"
        return f"CASE WHEN strpos({text}, '\\u0000') > 0 THEN to_jsonb({text}) ELSE ({expression})::jsonb END"

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """The record hash, which tells NULLs and positions apart, of values that hash without collisions.

        It only adds up the values' hashes: the key as their seed keeps sums of different rows apart.
        """
        seed = "0"
        if len(key) == 1 and key[0][1].kind == "integer":
            seed = f"({key[0][0]})::bigint"
        elif key:
            seed = self.fingerprint(key)
        inputs = ", ".join(part for expression, kind in columns for part in self._hashed(expression, kind))
        return f"hash_record_extended(ROW({inputs}), {seed})"

    def _hashed(self, expression: str, kind: ColumnType) -> list[str]:
        """What a value adds to the record hash.

        PostgreSQL's own hashes are for hash joins: those of 0.0 and of numeric NaN are that of NULL, numeric
        ignores the sign, jsonb ignores signs, nesting and what is empty, and values of 64 bits are folded
        into 32. Their binary forms have none of that, once equal decimals have one scale.
        """
        if kind.kind == "integer" and kind.name.lower() in ("bigint", "int8"):
            return [expression, f"({expression} >> 32)::integer"]
        if kind.kind in ("time", "timestamp", "timestamptz"):
            return [f"{kind.kind}_send({expression})"]
        if kind.kind == "float":
            return [f"{expression} IS NULL", expression]
        if kind.kind == "decimal":
            return [f"numeric_send(trim_scale({expression}))"]
        value = self.comparable(expression, kind)
        return [f'({value})::text COLLATE "C"' if kind.kind == "json" else value]

    def row_hash(self, row_id: str) -> str:
        """The text hash."""
        return f"hashtextextended({row_id}, 0)"

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return f"({self.row_hash(row_id)} & {BUCKETS - 1})::integer"

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """Decimals may be NaN and of any scale, JSON is text: both travel as strings."""
        if kind.kind == "decimal":
            return f"({expression})::text", "decimal"
        if kind.kind == "json":
            return f"({expression})::text", "json"
        if kind.kind == "uuid":
            return f"({expression})::text", None
        return expression, None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """Objects of at most fifty members each, merged."""
        objects = []
        for start in range(0, len(pairs), _ARGUMENTS // 2):
            members = [
                f"{self.literal(name)}::text, "
                f"{self._jsonb(expression, kind) if kind.kind == 'json' else expression}"
                for name, expression, kind in pairs[start : start + _ARGUMENTS // 2]
            ]
            objects.append(f"jsonb_build_object({', '.join(members)})")
        return f"({' || '.join(objects)})"

    def analyze(self, table: str, columns: Sequence[str]) -> str | None:
        """Autovacuum comes too late for a table that is read at once."""
        return f"ANALYZE {table} ({', '.join(columns)})"

    def snapshot_index(self, table: str) -> str | None:
        """Without, each run that changes a few rows of the snapshot would scan all of them twice.

        A hash: a B-tree takes no texts of several thousand bytes.
        """
        return f'CREATE INDEX ON {table} USING hash (row_id COLLATE "C")'

    def table_grants(self, schema: str, name: str, principal: str) -> list[str]:
        """Its ownership: only who owns a table can drop it."""
        return [f"ALTER TABLE {self.table(schema, name)} OWNER TO {self.quote(principal)}"]

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas, and the right to create and use tables in them."""
        schemas = [self.quote(schema) for schema in (audit, planner)]
        grants = [
            f"GRANT CREATE, USAGE ON SCHEMA {schema} TO {self.quote(principal)}"
            for schema in schemas
            if principal
        ]
        return [*(f"CREATE SCHEMA IF NOT EXISTS {schema}" for schema in schemas), *grants]
