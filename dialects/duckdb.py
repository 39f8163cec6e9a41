"""DuckDB: the embedded default."""

from __future__ import annotations

import re
from collections.abc import Sequence

from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType, common_number

_KINDS = {
    "integer": (
        "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT",
        "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
    ),
    "float": ("FLOAT", "DOUBLE"),
    "text": ("VARCHAR",),
    "uuid": ("UUID",),
    "boolean": ("BOOLEAN",),
    "date": ("DATE",),
    "time": ("TIME",),
    "timestamp": ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
    "timestamptz": ("TIMESTAMP WITH TIME ZONE",),
    "binary": ("BLOB",),
    "json": ("JSON",),
}  # fmt: skip
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names}
_INTEGER_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 39}


ANY_DECIMAL = ColumnType("NVARCHAR", "decimal")
"""A decimal of any length, which DuckDB lacks: its canonical text, by a name that DuckDB never prints."""


def _digits(kind: ColumnType) -> tuple[int, int]:
    """The most digits before and after the point of an integer or decimal type."""
    if kind.kind == "integer":
        return _INTEGER_DIGITS[kind.name.removeprefix("U")] + kind.name.startswith("U"), 0
    precision, _comma, scale = (kind.name.partition("(")[2].rstrip(")") or "18,3").partition(",")
    return int(precision) - int(scale or 0), int(scale or 0)


_ALIASES = {
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT8": "BIGINT",
    "TEXT": "VARCHAR",
    "STRING": "VARCHAR",
    "REAL": "FLOAT",
    "BOOL": "BOOLEAN",
    "BYTEA": "BLOB",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
}
"""Spellings that DESCRIBE doesn't print but people and transpilers write."""


def _plain(text: str) -> str:
    """A text without its collation."""
    return f'({text}) COLLATE "binary"'


def _has_json(kind: ColumnType) -> bool:
    """Whether a type is JSON, or has it inside."""
    return kind.kind in ("json", "nested") and "JSON" in kind.name.upper()


def _is_wide(kind: ColumnType) -> bool:
    """Whether a decimal takes 128 bits: from 19 digits on."""
    precision = re.match(r"(?:DECIMAL|NUMERIC)\((\d+)", kind.name)
    return kind.kind == "decimal" and (precision is None or int(precision[1]) > 18)


class DuckDB(Dialect):
    """DuckDB 1.5 and later."""

    name = "duckdb"
    sqlglot = "duckdb"
    capabilities = DialectCapabilities(
        transactional_ddl=True,
        snapshots=True,
        exclusive_process=True,
        creates_schemas=True,
        json_key_order=True,
        column_case=False,
        change_hints=False,
    )
    text_type = "VARCHAR"
    hash_type = "UBIGINT"
    exact_number = "DECIMAL(38, 10)"

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as DESCRIBE prints it."""
        upper = _ALIASES.get(name.upper(), name.upper())
        if upper in _BY_NAME:
            return ColumnType(upper, _BY_NAME[upper])
        if upper == ANY_DECIMAL.name:
            return ANY_DECIMAL
        if upper.startswith(("STRUCT", "MAP")) or upper.endswith("]"):
            return ColumnType(name, "nested")
        if upper.startswith(("DECIMAL", "NUMERIC")):
            return ColumnType(upper, "decimal")
        if upper.startswith("VARCHAR"):
            return ColumnType("VARCHAR", "text")
        return ColumnType(name, "other")

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Strip collations; enumerations, intervals, bits, unions and the like become text."""
        text = ColumnType("VARCHAR", "text")
        if kind.kind == "text":
            return _plain(expression), text
        if kind.kind == "other":
            return _plain(self.cast(expression, "VARCHAR")), text
        return expression, kind

    def is_text(self, column: str, literal: str) -> str:
        """Whatever the database's default collation."""
        return f'{column} = {literal} COLLATE "binary"'

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Integers and decimals have one as long as 38 digits hold both; anything else becomes text."""
        if left == right:
            return left
        beyond = {ANY_DECIMAL.name, "UHUGEINT"} & {left.name, right.name}
        if beyond and {left.kind, right.kind} <= {"integer", "decimal"}:
            return ANY_DECIMAL
        number = common_number(left, right, _digits, integer="HUGEINT", decimal="DECIMAL({},{})")
        return self.column_type(number or "VARCHAR")

    def converted(self, expression: str, source: ColumnType, target: ColumnType) -> str:
        """Also to decimals that are kept as text."""
        if source != target == ANY_DECIMAL:
            return self.canonical_text(expression, source)
        return super().converted(expression, source, target)

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        text = self.cast(expression, "VARCHAR")
        if kind.kind == "decimal":
            return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        if kind.kind == "float":
            whole = f"abs({expression}) < 1e18 AND {expression} = trunc({expression})"
            return f"CASE WHEN {whole} THEN CAST(TRY_CAST({expression} AS BIGINT) AS VARCHAR) ELSE {text} END"
        if kind.kind in ("timestamp", "timestamptz"):
            return self._timestamp_text(expression, kind)
        if _has_json(kind):
            return self.cast(self._nodes(expression, kind, "{}"), "VARCHAR")
        if kind.kind == "nested":
            return self.cast(self._in_order(expression, kind), "VARCHAR")
        if kind.kind == "uuid":
            return f"lower({text})"
        return text

    def _timestamp_text(self, expression: str, kind: ColumnType) -> str:
        value = f"timezone('UTC', {expression})" if kind.kind == "timestamptz" else expression
        micros = self.cast(value, "TIMESTAMP")
        if kind.name == "TIMESTAMP_NS":  # a cast would round
            nanos = f"(epoch_ns({value}) % 1000 + 1000) % 1000"
            micros = f"make_timestamp((epoch_ns({value}) - ({nanos})) // 1000)"
        digits = f"strftime({micros}, '%Y-%m-%dT%H:%M:%S.%f')"
        if kind.name == "TIMESTAMP_NS":
            digits += f" || CASE WHEN {nanos} = 0 THEN '' ELSE lpad(CAST({nanos} AS VARCHAR), 3, '0') END"
        return f"CASE WHEN isfinite({value}) THEN {digits} || 'Z' ELSE CAST({value} AS VARCHAR) END"

    def parsed(self, text: str, kind: ColumnType) -> str:
        """Maps are only read from JSON."""
        nested = kind.kind == "nested" and "MAP(" in kind.name.upper()
        return super().parsed(self.cast(text, "JSON") if nested else text, kind)

    def portable(self, expression: str, kind: ColumnType) -> str:
        """A stored value as text that the ``parsed`` of any dialect reads."""
        if kind.kind in ("json", "nested"):
            return self.cast(self.cast(expression, "JSON"), "VARCHAR")
        if kind.kind == "binary":
            return f"lower(hex({expression}))"
        text = self.canonical_text(expression, kind)
        if kind.kind == "float":
            return f"replace(replace({text}, 'nan', 'NaN'), 'inf', 'Infinity')"
        if kind.kind not in ("date", "timestamp", "timestamptz"):
            return text
        # Years before the first one as ISO 8601 has them; DuckDB prints them as others don't.
        instant = f"timezone('UTC', {expression})" if kind.kind == "timestamptz" else expression
        year = f"date_part('year', {instant})"
        digits = f"CASE WHEN {year} < 0 THEN '-' ELSE '' END || lpad(CAST(-{year} AS VARCHAR), 4, '0')"
        rest = "-%m-%d" if kind.kind == "date" else "-%m-%dT%H:%M:%S.%fZ"
        return f"CASE WHEN {year} < 1 THEN {digits} || strftime({instant}, '{rest}') ELSE {text} END"

    def json_string(self, text: str) -> str:
        """DuckDB's own JSON quoting, but with escapes in lower case, as elsewhere."""
        whole, inner = f"CAST(to_json({text}) AS VARCHAR)", "CAST(to_json(x) AS VARCHAR)[2:-2]"
        each = f"CASE WHEN x < ' ' THEN lower({inner}) ELSE {inner} END"
        slow = f"concat('\"', array_to_string([{each} FOR x IN string_split({text}, '')], ''), '\"')"
        return rf"CASE WHEN contains({whole}, '\u00') THEN {slow} ELSE {whole} END"

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """JSON as the sorted list of its nodes, so that neither key order nor spelling counts; maps in order.

        Text inside of other values keeps its collation; bytes have none. Hence nested values go with the
        bytes of their text, in which zeros are one as they are in the value.
        """
        if _has_json(kind):
            return self._nodes(expression, kind, "encode({})")
        if kind.kind == "nested":
            value = self._in_order(expression, kind)
            return f"row({value}, encode(replace({self.cast(value, 'VARCHAR')}, '-0.0', '0.0')))"
        return expression

    def _in_order(self, expression: str, kind: ColumnType) -> str:
        """A nested value; a map by its keys."""
        if re.match(r"MAP\(.*\)$", kind.name, re.IGNORECASE | re.DOTALL):
            return f"map_from_entries(list_sort(map_entries({expression})))"
        return expression

    def _nodes(self, expression: str, kind: ColumnType, form: str) -> str:
        """The nodes of JSON in order; members of one name in their own: which is last may count.

        A number of 16 digits or more may be cut by the JSON reader: then the text itself counts, so that
        no change is missed.

        Args:
            expression: The value.
            kind: Its type, which may be nested and have JSON in it.
            form: What a text becomes.
        """
        if kind.kind == "nested":
            expression = f"to_json({expression})"
        number = "type IN ('DOUBLE', 'UBIGINT', 'BIGINT')"
        digits = "regexp_replace(regexp_replace(atom, '\\.0$', ''), '^-0$', '0')"
        atom = form.format(f"CASE WHEN {number} THEN {digits} ELSE atom END")
        key = form.format("fullkey")
        node = f"row({key}, CASE WHEN {number} THEN 'NUMBER' ELSE type END, {atom})"
        nodes = f"(SELECT list({node} ORDER BY {key}, id) FROM json_tree({expression}))"
        text, none = self.cast(expression, "VARCHAR"), form.format("CAST(NULL AS VARCHAR)")
        whole = f"[row({form.format(text)}, CAST(NULL AS VARCHAR), {none})]"
        return f"CASE WHEN regexp_matches({text}, '[0-9.]{{16}}') THEN {whole} ELSE {nodes} END"

    def as_json(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Lists, structs and maps as JSON."""
        return (expression if kind.kind == "json" else f"to_json({expression})"), self.column_type("JSON")

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """DuckDB's native hash, which tells NULLs and positions apart, of values that it hashes well.

        It does not tell the nesting of lists, and it folds values of 128 bits into 64: their text counts.
        The hash of several values is only combined from theirs, which hashing it once more undoes.
        """
        inputs = []
        for expression, kind in columns:
            as_text = kind.kind == "uuid" or kind.name in ("HUGEINT", "UHUGEINT") or _is_wide(kind)
            inputs.append((self.canonical_text if as_text else self.comparable)(expression, kind))
        return f"hash(hash({', '.join(inputs)}))"

    def row_id(self, parts: Sequence[str]) -> str:
        """Compared byte for byte, whatever the database's default collation."""
        return _plain(super().row_id(parts))

    def row_hash(self, row_id: str) -> str:
        """DuckDB's native hash."""
        return f"hash({row_id})"

    def bucket(self, row_id: str) -> str:
        """The upper bits of the hash."""
        return f"CAST(hash({row_id}) >> {65 - BUCKETS.bit_length()} AS INTEGER)"

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """Everything has an Arrow type but JSON, and integers beyond 64 bits."""
        if kind.kind == "json":
            return self.cast(expression, "VARCHAR"), "json"
        if kind.kind == "uuid":
            return self.cast(expression, "VARCHAR"), None
        if kind.name in ("HUGEINT", "UHUGEINT") or kind == ANY_DECIMAL:
            return self.cast(expression, "VARCHAR"), "decimal"
        return expression, None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """JSON has no NaN: numbers that aren't finite become strings."""
        parts = []
        for name, expression, kind in pairs:
            value = expression
            if kind.kind == "float":
                value = (
                    f"CASE WHEN isfinite({expression}) THEN to_json({expression}) "
                    f"ELSE to_json(CAST({expression} AS VARCHAR)) END"
                )
            elif kind.kind == "nested" and re.search("FLOAT|DOUBLE", kind.name, re.IGNORECASE):
                value = self._finite(f"to_json({expression})")
            elif kind == ANY_DECIMAL:
                value = f"coalesce(TRY_CAST({expression} AS JSON), to_json({expression}))"
            parts.append(f"{self.literal(name)}, {value}")
        return f"json_object({', '.join(parts)})"

    def _finite(self, value: str) -> str:
        """JSON whose numbers that aren't finite, which DuckDB prints bare, are strings."""
        text = self.cast(value, "VARCHAR")
        words = rf"""regexp_extract_all({text}, '"(?:[^"\\]|\\.)*"|[-A-Za-z]+|[^-A-Za-z"]+')"""
        number = "regexp_full_match(w, '-?(nan|inf|infinity)', 'i')"
        quoted = f"[CASE WHEN {number} THEN concat('\"', w, '\"') ELSE w END FOR w IN {words}]"
        return (
            f"CASE WHEN regexp_matches({text}, 'nan|inf', 'i') "
            f"THEN CAST(array_to_string({quoted}, '') AS JSON) ELSE {value} END"
        )

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas; an embedded database has no grants."""
        return [f"CREATE SCHEMA IF NOT EXISTS {self.quote(schema)}" for schema in (planner, audit)]
