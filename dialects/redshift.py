"""Amazon Redshift, provisioned or serverless.

Runs are recorded in tables that only one run can create, not in rows: Redshift's snapshot isolation lets two
transactions insert without noticing one another, rows can't be locked, and ``LOCK`` would keep readers of the
table waiting. The creation of a table is exclusive by itself.

Its ``=`` ignores trailing spaces, and case under some collations: keys are compared together with their
SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from warehouse_cdc.dialects.base import BUCKETS
from warehouse_cdc.dialects.postgres import Postgres
from warehouse_cdc.dialects.postgres_fork import PostgresFork
from warehouse_cdc.dialects.types import ColumnType, common_number, decimal_digits
from warehouse_cdc.errors import UnsupportedError

LONGEST = 65_535
"""Bytes of the longest text."""
_TEXT = f"VARCHAR({LONGEST})"
_ESCAPED = 6
"""Bytes that a byte of text takes at most in JSON: ``\\\\u001f``."""
_SCALAR = 64
"""More bytes than any number, date or time has in JSON, with what stands between members."""
_DIGITS = {"smallint": 5, "integer": 10}


def _digits(kind: ColumnType) -> tuple[int, int]:
    """The most digits before and after the point of an integer or decimal type."""
    if kind.kind == "integer":
        return _DIGITS.get(kind.name.lower(), 19), 0
    precision, scale = decimal_digits(kind, 18)
    return precision - scale, scale


class Redshift(PostgresFork):
    """Redshift."""

    name = "redshift"
    sqlglot = "redshift"
    capabilities = replace(
        Postgres.capabilities,
        transactional_ddl=False,
        snapshots=False,
        json_key_order=False,
        column_case=False,
        change_hints=False,
    )
    text_type = _TEXT
    timestamp_type = "TIMESTAMPTZ"
    json_type = "SUPER"
    row_lock = ""
    share_lock = ""
    now = "GETDATE()"
    materialized = ""
    scratch = ""
    recursion_inside = False

    def distribution(self, column: str = "") -> str:
        """Rows that are joined with one another are on one slice."""
        return f"\nDISTKEY ({column})" if column else ""

    def literal(self, value: str | int | float | bool | None) -> str:
        """A literal, in which a backslash must be doubled.

        Raises:
            UnsupportedError: A text is too long: the cast around it would cut it without a word.
        """
        if not isinstance(value, str):
            return super().literal(value)
        if len(value.encode("utf-8", "replace")) > LONGEST:
            raise UnsupportedError(
                f"Redshift's texts have {LONGEST:,} bytes at most.",
                hint="What a run notes of itself must fit: use fewer columns, or a larger chunk_rows.",
            )
        text = value.replace("\0", "\ufffd").replace("\\", "\\\\").replace("'", "''")
        return f"'{text}'"

    def differs(self, left: str, right: str) -> str:
        """Without IS DISTINCT FROM, which not every version is known to have."""
        known = f"{left} IS NOT NULL AND {right} IS NOT NULL"
        return (
            f"(({known} AND {left} <> {right}) OR ({left} IS NULL AND {right} IS NOT NULL) "
            f"OR ({left} IS NOT NULL AND {right} IS NULL))"
        )

    def is_text(self, column: str, literal: str) -> str:
        """Also byte for byte: = ignores spaces at the end, and case in some collations."""
        return f"({column} = {literal} AND {self.exact(column)} = {self.exact(literal)})"

    def same(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """Equal, and equal byte for byte; the first condition is the one that rows are distributed by."""
        if kind is not None and kind.kind != "text":
            return super().same(left, right, kind)
        return f"({left} = {right} AND {self.exact(left)} = {self.exact(right)})"

    def exact(self, text: str, kind: ColumnType | None = None) -> str:
        """The SHA-256 of a text."""
        return text if kind is not None and kind.kind != "text" else f"SHA2({text}, 256)"

    def seconds_since(self, timestamp: str) -> str:
        """In whole seconds, as the clock counts."""
        return f"DATEDIFF(second, {timestamp}, {self.cast(self.now, self.timestamp_type)})"

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as ``format_type`` prints it; SUPER is JSON, VARBYTE is binary."""
        lower = name.lower()
        if lower == "super":
            return ColumnType(name, "json")
        if lower.startswith(("varbyte", "varbinary", "binary varying")):
            return ColumnType(name, "binary")
        return super().column_type(name)

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Integers and decimals have one as long as 38 digits hold both; anything else becomes text."""
        if left == right:
            return left
        number = common_number(left, right, _digits, integer="bigint", decimal="numeric({},{})")
        return self.column_type(number or self.text_type)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """JSON as its text, since SUPER values don't compare; the padding of CHAR goes."""
        if kind.kind in ("json", "nested"):
            is_super = kind.name.lower() == "super"
            text = f"JSON_SERIALIZE({expression})" if is_super else self.cast(expression, _TEXT)
            return text, ColumnType(_TEXT, "json")
        if kind.kind not in ("text", "other"):
            return expression, kind
        text, lower = self.cast(expression, _TEXT), kind.name.lower()
        if lower.startswith(("char", "bpchar")) and "varying" not in lower:
            text = f"RTRIM({text})"
        return text, ColumnType(_TEXT, "text")

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        text = self.cast(expression, _TEXT)
        if kind.kind == "decimal":
            return super().canonical_text(expression, kind)
        if kind.kind in ("text", "json"):
            return expression
        if kind.kind == "boolean":
            return f"CASE WHEN {expression} THEN 'true' WHEN NOT {expression} THEN 'false' END"
        if kind.kind == "float":
            whole = f"ABS({expression}) < 1e18 AND {expression} = TRUNC({expression})"
            number = self.cast(self.cast(expression, "BIGINT"), _TEXT)
            return f"CASE WHEN {whole} THEN {number} ELSE {text} END"
        if kind.kind == "date":
            return f"TO_CHAR({expression}, 'YYYY-MM-DD')"
        if kind.kind in ("timestamp", "timestamptz"):
            value = f"TIMEZONE('UTC', {expression})" if kind.kind == "timestamptz" else expression
            return f'TO_CHAR({value}, \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'
        if kind.kind == "binary":
            return f"FROM_VARBYTE({expression}, 'hex')"
        return text

    def from_hex(self, text: str) -> str:
        """By its own function: DECODE is another one here."""
        return f"TO_VARBYTE({text}, 'hex')"

    def json_string(self, text: str) -> str:
        """A SUPER string, as it prints."""
        return f"JSON_SERIALIZE(CAST({text} AS SUPER))"

    def row_id(self, parts: Sequence[str]) -> str:
        """As of every dialect: there is no collation to strip."""
        return super(Postgres, self).row_id(parts)

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Text by its SHA-256."""
        return self.exact(expression) if kind.kind in ("text", "json") else expression

    def as_json(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """JSON is stored in one form."""
        return expression, kind

    # -- hashes -----------------------------------------------------------------------------------

    def encoded(self, expression: str, kind: ColumnType) -> str:
        """A value as its own hash and a comma, so that the row's encoding is never too long for a text.

        The hash of numbers is made of their bytes, which their text need not tell apart.
        """
        if kind.kind == "float":
            # Zero takes the sign of minus zero away.
            hashed = f"FNV_HASH({expression} + 0)"
        elif kind.kind in ("integer", "boolean", "date"):
            hashed = f"FNV_HASH({expression})"
        else:
            hashed = f"FARMFINGERPRINT64({self.hashed_text(expression, kind)})"
        encoded = f"CAST({hashed} AS VARCHAR(20)) || ','"
        if kind.kind in ("text", "json"):
            encoded = f"CAST(OCTET_LENGTH({expression}) AS VARCHAR(20)) || ':' || {encoded}"
        return f"CASE WHEN {expression} IS NOT NULL THEN {encoded} ELSE '-,' END"

    def row_hash(self, row_id: str) -> str:
        """The hash of a text."""
        return f"FARMFINGERPRINT64({row_id})"

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return f"CAST({self.row_hash(row_id)} & {BUCKETS - 1} AS INTEGER)"

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """Decimals travel as strings, byte strings as hexadecimal digits."""
        if kind.kind == "decimal":
            return self.cast(expression, _TEXT), "decimal"
        if kind.kind == "binary":
            return f"FROM_VARBYTE({expression}, 'hex')", None
        return expression, "json" if kind.kind == "json" else None

    def json_text(self, value: str) -> str:
        """As SUPER prints."""
        return f"JSON_SERIALIZE({value})"

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """An object whose text is at most as long as a text may be: values are cut where it would be longer.

        JSON that must be cut becomes a string.
        """
        texts = [(name, sql, kind) for name, sql, kind in pairs if kind.kind in _LONG_KINDS]
        whole = self._object(pairs, None)
        if not texts:
            return whole
        overhead = sum(len(name.encode()) * _ESCAPED + _SCALAR for name, _sql, _kind in pairs)
        room = max(LONGEST - overhead, 0)
        size = " + ".join(_json_size(sql, kind) for _name, sql, kind in texts)
        share = room // len(texts)
        return f"CASE WHEN {size} <= {room} THEN {whole} ELSE {self._object(pairs, share)} END"

    def _object(self, pairs: Sequence[tuple[str, str, ColumnType]], share: int | None) -> str:
        members = []
        for name, sql, kind in pairs:
            quoted = self.literal(f"{json.dumps(name, ensure_ascii=False)}:")
            members.append(f"{quoted} || COALESCE({self._json_value(sql, kind, share)}, 'null')")
        joined = " || ',' || ".join(members)
        return f"JSON_PARSE('{{' || {joined} || '}}')"

    def _json_value(self, sql: str, kind: ColumnType, share: int | None) -> str:
        text = self.canonical_text(sql, kind)
        if kind.kind in _LONG_KINDS and share is not None:
            cut = self.json_string(_cut(text, share))
            if kind.kind == "json":
                return f"CASE WHEN {_json_size(sql, kind)} <= {share} THEN {text} ELSE {cut} END"
            return cut
        if kind.kind == "float":
            # Comparisons with NaN aren't to be relied on; digits are.
            return f"CASE WHEN UPPER({text}) LIKE '%N%' THEN {self.json_string(text)} ELSE {text} END"
        return text if kind.kind in ("integer", "decimal", "boolean", "json") else self.json_string(text)

    def analyze(self, table: str, columns: Sequence[str]) -> str | None:
        """A table that is made from a SELECT has statistics."""
        return None

    def snapshot_index(self, table: str) -> str | None:
        """There are no indexes."""
        return None


_LONG_KINDS = frozenset({"text", "json", "binary"})


def _cut(text: str, length: int) -> str:
    """The beginning of a text that takes at most so many bytes in JSON: no character takes more than six."""
    return f"LEFT({text}, {length // _ESCAPED})"


def _json_size(sql: str, kind: ColumnType) -> str:
    """At least the bytes that a text takes in JSON."""
    if kind.kind == "json":
        return f"COALESCE(OCTET_LENGTH({sql}), 0)"
    if kind.kind == "binary":
        return f"COALESCE(2 * OCTET_LENGTH({sql}), 0)"
    controls = f"{_ESCAPED - 1} * REGEXP_COUNT({sql}, '[[:cntrl:]]')"
    plain = f"OCTET_LENGTH(REPLACE(REPLACE({sql}, CHR(92), ''), '\"', ''))"
    return f"COALESCE(2 * OCTET_LENGTH({sql}) - {plain} + {controls}, 0)"
