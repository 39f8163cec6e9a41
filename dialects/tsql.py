"""What the T-SQL warehouses have in common.

T-SQL has no conditions among its values: a truth is a BIT, and a condition becomes one by CASE. ``=`` follows
a collation, which may ignore case, and always ignores trailing spaces; on byte strings it ignores trailing
zeros. So keys and texts are compared by their SHA-256, which has one length. Texts are kept with the
database's own collation, so that no two of them conflict, and always of one type: the same text of another
has another hash.

Runs are recorded in tables that only one run can create: keys aren't enforced, and no insert keeps another
one out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from sqlglot import exp

from warehouse_cdc.dialects import types
from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.tsql_text import hoisted, without_order
from warehouse_cdc.dialects.types import ColumnType, common_number

_KINDS = {
    **dict.fromkeys(("tinyint", "smallint", "int", "integer", "bigint"), "integer"),
    **dict.fromkeys(("decimal", "numeric", "dec", "money", "smallmoney"), "decimal"),
    **dict.fromkeys(("float", "real", "double"), "float"),
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar", "text", "ntext", "sysname"), "text"),
    **dict.fromkeys(("datetime", "smalldatetime", "datetime2"), "timestamp"),
    **dict.fromkeys(("binary", "varbinary", "image", "timestamp", "rowversion"), "binary"),
    **{"uniqueidentifier": "uuid", "bit": "boolean", "date": "date", "time": "time"},
    "datetimeoffset": "timestamptz",
}
_MONEY = {"money": "DECIMAL(19, 4)", "smallmoney": "DECIMAL(10, 4)"}
_LITERAL = 2_000
"""Characters of one literal: longer ones may be cut."""
_ARGUMENTS = 200
"""CONCAT takes 254."""
_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}


def decimal_digits(kind: ColumnType) -> tuple[int, int]:
    """Precision and scale of a decimal type."""
    return types.decimal_digits(kind, 18)


class TSQL(Dialect):
    """Expressions of T-SQL; the warehouses say what their tables can hold."""

    name = "tsql"
    sqlglot = "tsql"
    capabilities = DialectCapabilities(
        transactional_ddl=False,
        snapshots=False,
        exclusive_process=False,
        creates_schemas=False,
        json_key_order=False,
        column_case=False,
        change_hints=False,
    )
    boolean_type = "BIT"
    true = "CAST(1 AS BIT)"
    false = "CAST(0 AS BIT)"
    now = "SYSUTCDATETIME()"
    most_columns = 1024
    code_points: str
    """A collation by which texts compare by code point, but for spaces at their end."""
    national: str
    """What stands before literals and the names of text types and functions: ``N``, or nothing."""
    fraction: int
    """Digits of a second that tables hold."""

    @property
    def _short(self) -> str:
        """A type for the texts of numbers and times."""
        return f"{self.national}VARCHAR(50)"

    def quote(self, identifier: str) -> str:
        """In brackets."""
        return f"[{identifier.replace(']', ']]')}]"

    def literal(self, value: str | int | float | bool | None) -> str:
        """A literal; long texts are put together."""
        if isinstance(value, bool):
            return self.true if value else self.false
        if not isinstance(value, str):
            return super().literal(value)
        text = value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
        parts = [text[at : at + _LITERAL] for at in range(0, len(text), _LITERAL)] or [""]
        quoted = [self._plain(part) for part in parts]
        return quoted[0] if len(quoted) == 1 else f"({self.joined(*quoted)})"

    def _plain(self, text: str) -> str:
        doubled = text.replace("'", "''")
        return f"{self.national}'{doubled}'"

    def instant(self, moment: datetime) -> str:
        """In UTC, without saying so."""
        text = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="microseconds")
        return self.cast(f"'{text}'", self.timestamp_type)

    def seconds_since(self, timestamp: str) -> str:
        """In whole seconds, as the clock counts."""
        return self.cast(f"DATEDIFF(second, {timestamp}, {self.now})", "FLOAT")

    # -- conditions and texts ---------------------------------------------------------------------

    def flag(self, condition: str) -> str:
        """What isn't surely so is 0."""
        return self.cast(f"CASE WHEN {condition} THEN 1 ELSE 0 END", "BIT")

    def holds(self, value: str) -> str:
        """It is 1."""
        return f"({value} = 1)"

    def joined(self, *texts: str) -> str:
        """The first one makes it a text of any length: otherwise it would be cut."""
        first, *others = texts
        return " + ".join([self.cast(first, self.text_type), *others])

    def _concat(self, texts: Sequence[str]) -> str:
        """Texts of which none is NULL; a function takes so many arguments and no more."""
        while len(texts) > 1:
            groups = [texts[at : at + _ARGUMENTS] for at in range(0, len(texts), _ARGUMENTS)]
            heads = [self.cast(group[0], self.text_type) for group in groups]
            texts = [
                f"CONCAT({', '.join([head, *group[1:]])})" if group[1:] else head
                for head, group in zip(heads, groups, strict=True)
            ]
        return texts[0]

    def nulls_first(self, expression: str) -> str:
        """As always; texts by code point, and by what that leaves out, the spaces at the end."""
        return f"{expression} COLLATE {self.code_points}, DATALENGTH({expression})"

    def first_rows(self, select: str, rows: int) -> str:
        """TOP, behind the first word."""
        return re.sub(r"^SELECT\b", f"SELECT TOP ({rows})", select, count=1)

    def embeddable(self, sql: str, tree: exp.Query) -> str:
        """Without an order that doesn't choose rows."""
        chooses = any(tree.args.get(part) for part in ("limit", "offset"))
        return sql if chooses or not tree.args.get("order") else without_order(sql, self.sqlglot)

    def finished(self, sql: str) -> str:
        """With all CTEs at its beginning: none may stand inside of another one or of a subquery."""
        return hoisted(sql, self.sqlglot)

    def differs(self, left: str, right: str) -> str:
        """Without IS DISTINCT FROM, which Synapse doesn't have."""
        known = f"{left} IS NOT NULL AND {right} IS NOT NULL"
        return (
            f"(({known} AND {left} <> {right}) OR ({left} IS NULL AND {right} IS NOT NULL) "
            f"OR ({left} IS NOT NULL AND {right} IS NULL))"
        )

    def text_differs(self, left: str, right: str) -> str:
        """By their SHA-256."""
        return self.differs(self.exact(left), self.exact(right))

    def is_text(self, column: str, literal: str) -> str:
        """By code point, and by the length, which counts the spaces at the end."""
        alike = f"{column} = {literal} COLLATE {self.code_points}"
        return f"({alike} AND DATALENGTH({column}) = DATALENGTH({literal}))"

    def same(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """By the exact forms."""
        return f"{self.exact(left, kind)} = {self.exact(right, kind)}"

    def exact(self, text: str, kind: ColumnType | None = None) -> str:
        """The SHA-256 of a text or byte string; all of these have one length."""
        if kind is not None and kind.kind not in ("text", "binary"):
            return text
        return self.cast(f"HASHBYTES('SHA2_256', {text})", "VARBINARY(32)")

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as the server describes it."""
        word = re.split(r"\W", name.lower(), maxsplit=1)[0]
        return ColumnType(name.upper(), _KINDS.get(word, "other"))

    def own_type(self, name: str) -> ColumnType:
        """Instants are kept in UTC."""
        kind = self.column_type(name)
        return ColumnType(name, "timestamptz") if name == self.timestamp_type else kind

    @property
    def _moment(self) -> str:
        return f"DATETIME2({self.fraction})"

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Texts of any length without collation and padding, instants in UTC, exact numbers as decimals."""
        name, word = kind.name, kind.name.lower()
        if kind.kind in ("text", "uuid", "other"):
            return self._stored_text(expression, kind), ColumnType(self.text_type, "text")
        if kind.kind == "integer":
            name = "BIGINT" if word == "bigint" else "INT"
        elif kind.kind == "decimal":
            precision, scale = decimal_digits(ColumnType(_MONEY.get(word, name), "decimal"))
            name = f"DECIMAL({precision}, {scale})"
        elif kind.kind == "float":
            name = "REAL" if word in ("real", "float(24)") else "FLOAT"
        elif kind.kind == "time":
            name = f"TIME({self.fraction})"
        elif kind.kind == "timestamp":
            # Milliseconds are what it means; its ticks are thirds of them.
            expression = self.cast(expression, "DATETIME2(3)") if word == "datetime" else expression
            name = self._moment
        elif kind.kind == "timestamptz":
            expression, name = f"SWITCHOFFSET({expression}, '+00:00')", self._moment
        elif kind.kind == "binary":
            name = "VARBINARY(MAX)"
        return self.cast(expression, name), ColumnType(name, kind.kind)

    def _stored_text(self, expression: str, kind: ColumnType) -> str:
        text = self.cast(expression, self.text_type)
        if kind.kind == "uuid":
            text = f"LOWER({text})"
        elif kind.name.lower().startswith(("char", "nchar")):
            text = f"RTRIM({text})"
        return f"{text} COLLATE DATABASE_DEFAULT"

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Integers and decimals have one as long as 38 digits hold both; anything else becomes text."""
        if left == right:
            return left
        return self.column_type(common_number(left, right, _places) or self.text_type)

    # -- identity and equality --------------------------------------------------------------------

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        short = self.cast(expression, self._short)
        if kind.kind == "decimal" and decimal_digits(kind)[1]:
            return _trimmed(_trimmed(short, "0"), ".")
        if kind.kind in ("integer", "decimal"):
            return short
        if kind.kind == "float":
            whole = f"ABS({expression}) < 1e18 AND {expression} = FLOOR({expression})"
            number = self.cast(self.cast(expression, "BIGINT"), self._short)
            return f"CASE WHEN {whole} THEN {number} ELSE {self._digits(expression)} END"
        if kind.kind == "boolean":
            yes, no = self._plain("true"), self._plain("false")
            return f"CASE {expression} WHEN 1 THEN {yes} WHEN 0 THEN {no} END"
        if kind.kind == "date":
            return f"CONVERT({self.national}VARCHAR(10), {expression}, 23)"
        if kind.kind == "time":
            return self._with_fraction(expression, short, 15)
        if kind.kind in ("timestamp", "timestamptz"):
            text = f"REPLACE(CONVERT({self._short}, {expression}, 121), ' ', 'T')"
            return f"{self._with_fraction(expression, text, 26)} + 'Z'"
        if kind.kind == "binary":
            return f"LOWER(CONVERT({self.text_type}, {expression}, 2))"
        if kind.kind == "uuid":
            return f"LOWER({short})"
        return expression

    def _digits(self, expression: str) -> str:
        """All digits that a float has."""
        return f"CONVERT({self._short}, {expression}, 3)"

    def _with_fraction(self, expression: str, text: str, length: int) -> str:
        """A time of seven digits without the last one if that is zero."""
        if self.fraction < 7:
            return text
        last = f"DATEPART(nanosecond, {expression}) / 100 % 10"
        return f"LEFT({text}, {length}) + CASE WHEN {last} > 0 THEN RIGHT({text}, 1) ELSE '' END"

    def parsed(self, text: str, kind: ColumnType) -> str:
        """Instants are in UTC, whether their text says so or not."""
        if kind.kind in ("timestamp", "timestamptz"):
            return self.cast(f"REPLACE({text}, 'Z', '')", kind.name)
        return super().parsed(text, kind)

    def from_hex(self, text: str) -> str:
        """By a style of CONVERT."""
        return f"CONVERT(VARBINARY(MAX), {text}, 2)"

    def row_id(self, parts: Sequence[str]) -> str:
        """As of every dialect, with the collation of stored texts."""
        text = super().row_id(parts)
        return text if len(parts) == 1 else f"{text} COLLATE DATABASE_DEFAULT"

    def json_string(self, text: str) -> str:
        """By replacement, character by character: not every warehouse has a function for it."""
        quoted = f"{text} COLLATE {self.code_points}"
        for search, escape in (("'\\'", "\\\\"), ("'\"'", '\\"')):
            quoted = f"REPLACE({quoted}, {search}, '{escape}')"
        for code in range(32):
            escape = _ESCAPES.get(code, f"u{code:04x}")
            quoted = f"REPLACE({quoted}, {self.national}CHAR({code}), '\\{escape}')"
        return self.joined("'\"'", quoted, "'\"'")

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Texts and byte strings by their SHA-256."""
        return self.exact(expression, kind)

    # -- hashes -----------------------------------------------------------------------------------

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """The first 64 bits of the SHA-256 of the values' texts, one behind the other.

        A text comes with its length; others end with a comma, which none contains, and NULL is an empty one.
        The key is among the values and mixed with them, so hashes of different rows are independent.
        """
        return self._hash(self._concat([self._hashed(*column) for column in columns]))

    def _hashed(self, expression: str, kind: ColumnType) -> str:
        if kind.kind == "text":
            length = self.cast(f"DATALENGTH({expression})", self._short)
            return f"COALESCE({length} + ':' + {expression}, ',')"
        if kind.kind == "float":
            # Zero takes the sign of minus zero away.
            text = self._digits(f"({expression} + 0)")
        elif kind.kind == "binary":
            text = f"'x' + {self.canonical_text(expression, kind)}"
        else:
            text = self.canonical_text(expression, kind)
        return f"COALESCE({text}, '') + ','"

    def _hash(self, text: str) -> str:
        return self.cast(self.cast(f"HASHBYTES('SHA2_256', {text})", "VARBINARY(8)"), "BIGINT")

    def row_hash(self, row_id: str) -> str:
        """The first 64 bits of the SHA-256."""
        return self._hash(row_id)

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return self.cast(f"{self.row_hash(row_id)} & {BUCKETS - 1}", "INT")

    def checksum(self, hashes: str) -> str:
        """The sum: there is no exclusive or."""
        return f"SUM(CAST({hashes} AS DECIMAL(38, 0)))"

    def combined(self, checksums: Iterable[int | None], without: Iterable[int | None] = ()) -> int:
        """Sums and differences, modulo 2^64."""
        return (sum(int(part or 0) for part in checksums) - sum(int(part or 0) for part in without)) % 2**64

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """All stored values travel as they are."""
        return expression, None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """Its text, put together."""
        texts = ["'{'"]
        for place, (name, expression, kind) in enumerate(pairs):
            label = f"{',' if place else ''}{json.dumps(name, ensure_ascii=False)}:"
            texts += [self.literal(label), f"COALESCE({self._json_value(expression, kind)}, 'null')"]
        return self._concat([*texts, "'}'"])

    def _json_value(self, expression: str, kind: ColumnType) -> str:
        if kind.kind == "text":
            return self.json_string(expression)
        text = self.canonical_text(expression, kind)
        return text if kind.kind in ("integer", "decimal", "float", "boolean") else f"'\"' + {text} + '\"'"

    def json_text(self, value: str) -> str:
        """The SHA-256 of its text, which is as good to compare by."""
        return self.exact(value)

    # -- tables -----------------------------------------------------------------------------------

    def make_schema(self, schema: str) -> str:
        """Unless it is there; CREATE SCHEMA must be alone."""
        create = f"CREATE SCHEMA {self.quote(schema)}".replace("'", "''")
        found = f"SELECT 1 FROM sys.schemas WHERE name = {self._plain(schema)}"
        return f"IF NOT EXISTS ({found}) BEGIN EXEC('{create}'); END"

    def grants(self, schema: str, principal: str) -> list[str]:
        """Control of the schema, and the right to create tables, which is the database's to give."""
        to = self.quote(principal)
        return [f"GRANT CONTROL ON SCHEMA::{self.quote(schema)} TO {to}", f"GRANT CREATE TABLE TO {to}"]

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas, the control of both, and the right to create tables; the owner has it all."""
        made = [self.make_schema(schema) for schema in (audit, planner)]
        if principal in (None, "dbo"):
            return made
        granted = [grant for schema in (audit, planner) for grant in self.grants(schema, str(principal))]
        return [*made, *dict.fromkeys(granted)]


def _places(kind: ColumnType) -> tuple[int, int]:
    """The most digits before and after the point of an integer or decimal type."""
    if kind.kind == "integer":
        return (19 if kind.name == "BIGINT" else 10), 0
    precision, scale = decimal_digits(kind)
    return precision - scale, scale


def _trimmed(text: str, mark: str) -> str:
    """A text without spaces, without such marks at its end."""
    return f"REPLACE(RTRIM(REPLACE({text}, '{mark}', ' ')), ' ', '{mark}')"
