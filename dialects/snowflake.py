"""Snowflake.

Unquoted names are upper case there, and so are the engine's own: ``hightouch_audit.sync_changelog`` is found
as anybody writes it. A model's columns keep the case in which the model returns them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType, common_number

_KINDS = {
    **dict.fromkeys(("NUMBER", "DECIMAL", "NUMERIC", "DEC"), "decimal"),
    **dict.fromkeys(("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"), "integer"),
    **dict.fromkeys(("FLOAT", "FLOAT4", "FLOAT8", "DOUBLE", "REAL"), "float"),
    **dict.fromkeys(("VARCHAR", "TEXT", "STRING", "CHAR", "CHARACTER", "NCHAR", "NVARCHAR"), "text"),
    **dict.fromkeys(("BINARY", "VARBINARY"), "binary"),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_NTZ", "TIMESTAMPNTZ", "DATETIME"), "timestamp"),
    **dict.fromkeys(("TIMESTAMP_LTZ", "TIMESTAMPLTZ", "TIMESTAMP_TZ", "TIMESTAMPTZ"), "timestamptz"),
    **dict.fromkeys(("OBJECT", "ARRAY", "MAP", "VECTOR", "GEOGRAPHY", "GEOMETRY"), "nested"),
    **dict.fromkeys(("VARIANT", "JSON"), "json"),
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIME": "time",
}
_NAMES = {
    "float": "FLOAT",
    "text": "VARCHAR",
    "binary": "BINARY",
    "json": "VARIANT",
    "integer": "NUMBER(38, 0)",
}
"""Kinds of which there is one type; lengths count for nothing."""
TIMES = {"time": "TIME", "timestamp": "TIMESTAMP_NTZ", "timestamptz": "TIMESTAMP_LTZ"}
_FOLDS = re.compile(r"[a-z_][a-z0-9_$]*")
_DAY, _CLOCK = "YYYY-MM-DD", "HH24:MI:SS.FF9"
_MOMENT = f'{_DAY}"T"{_CLOCK}'
_MICROSECONDS = 6
_HALF = 2**63
_PARTS = 50
"""Texts in one call of ``CONCAT``; the calls are nested."""
TEXT = ColumnType("VARCHAR", "text")
DOCUMENT = ColumnType("VARCHAR", "json")
"""A JSON document as its text: objects' names in order, no white space."""


def digits_of(kind: ColumnType) -> tuple[int, int]:
    """Precision and scale of a number, or of a time the digits of its seconds twice."""
    numbers = [int(number) for number in re.findall(r"\d+", kind.name)]
    return numbers[0], numbers[-1]


def _places(kind: ColumnType) -> tuple[int, int]:
    """Digits of a number before and after the point."""
    precision, scale = digits_of(kind)
    return precision - scale, scale


class Snowflake(Dialect):
    """Snowflake, with tables of its own kind."""

    name = "snowflake"
    sqlglot = "snowflake"
    capabilities = DialectCapabilities(
        transactional_ddl=False,
        snapshots=False,
        exclusive_process=False,
        creates_schemas=False,
        json_key_order=True,
        column_case=True,
        change_hints=False,
    )
    folds_names = True
    text_type = "VARCHAR"
    hash_type = "NUMBER(38, 0)"
    timestamp_type = "TIMESTAMP_LTZ(9)"
    json_type = "VARIANT"
    now = "CURRENT_TIMESTAMP"
    current_user = "CURRENT_ROLE()"

    def folded(self, name: str) -> str:
        """A schema, table or role as Snowflake knows it: a plain name in lower case stands for upper case."""
        return name.upper() if _FOLDS.fullmatch(name) else name

    def schema(self, name: str) -> str:
        """A schema, quoted."""
        return self.quote(self.folded(name))

    def table(self, schema: str, name: str) -> str:
        """A qualified table name, quoted."""
        return f"{self.schema(schema)}.{self.quote(self.folded(name))}"

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """The new name is qualified: alone, it would be one of the session's schema."""
        return f"ALTER TABLE {self.table(schema, name)} RENAME TO {self.table(schema, new_name)}"

    def seconds_since(self, timestamp: str) -> str:
        """By milliseconds."""
        return f"(CAST(DATEDIFF('millisecond', {timestamp}, {self.now}) AS FLOAT) / 1000)"

    def create_as(self, table: str, select: str) -> str:
        """The statement that makes a table of the planner schema: without fail-safe, at no extra cost."""
        return f"CREATE TRANSIENT TABLE {table} AS\n{select}"

    def fields_text(self, fields: str) -> str:
        """The audit tables' ``fields`` as text to compare."""
        return f"TO_JSON({fields})"

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as the driver or sqlglot names it; spellings of one type become one."""
        upper = name.upper()
        word = re.split(r"\W", upper, maxsplit=1)[0]
        kind = _KINDS.get(word, "other")
        numbers = re.findall(r"\d+", upper[len(word) :])
        if upper.startswith("TIMESTAMP") and upper.endswith("WITH TIME ZONE"):
            kind = "timestamptz"
        if kind == "decimal":
            precision, scale = (numbers + ["38", "0"][len(numbers) :])[:2]
            return ColumnType(f"NUMBER({precision}, {scale})", "decimal" if int(scale) else "integer")
        if kind in TIMES:
            return ColumnType(f"{TIMES[kind]}({numbers[0] if numbers else 9})", kind)
        if kind in _NAMES:
            return ColumnType(_NAMES[kind], kind)
        return ColumnType(upper, kind)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Strip collations; keep instants without their zone, and what is nested as the text of its JSON."""
        if kind.kind == "text":
            return f"COLLATE({expression}, '')", TEXT
        if kind.kind == "timestamptz":
            return self.cast(expression, kind.name), kind
        if kind.kind in ("json", "nested"):
            return f"TO_JSON({self._variant(expression, kind)})", DOCUMENT
        if kind.kind == "other":
            return self.cast(expression, "VARCHAR"), TEXT
        return expression, kind

    def _variant(self, expression: str, kind: ColumnType) -> str:
        if kind.name.startswith("VECTOR"):
            expression = self.cast(expression, "ARRAY")
        elif kind.name.startswith("GEO"):
            expression = f"ST_ASGEOJSON({expression})"
        return f"TO_VARIANT({expression})"

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """Numbers have one as long as 38 digits hold both, times the finer one; the rest becomes text."""
        if left == right:
            return left
        if number := common_number(left, right, _places, integer=None, decimal="NUMBER({}, {})"):
            return self.column_type(number)
        if left.kind == right.kind and left.kind in TIMES:
            texts = [kind for kind in (left, right) if kind.name == TEXT.name]
            return texts[0] if texts else max(left, right, key=digits_of)
        return TEXT

    def converted(self, expression: str, source: ColumnType, target: ColumnType) -> str:
        """Also to times that are kept as text."""
        if source != target and target.name == TEXT.name:
            return self.canonical_text(expression, source)
        return super().converted(expression, source, target)

    # -- identity and equality --------------------------------------------------------------------

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1), whatever formats and zone the session has."""
        text = self.cast(expression, "VARCHAR")
        if kind.name == TEXT.name:
            return expression
        if kind.kind == "decimal":
            return f"RTRIM(RTRIM({text}, '0'), '.')"
        if kind.kind == "float":
            whole = f"ABS({expression}) < 1e18 AND {expression} = TRUNC({expression})"
            return (
                f"CASE WHEN {whole} THEN CAST(CAST({expression} AS NUMBER(38, 0)) AS VARCHAR) ELSE {text} END"
            )
        if kind.kind == "date":
            return f"TO_VARCHAR({expression}, '{_DAY}')"
        if kind.kind == "time":
            return _fine(self._clock(expression, kind))
        if kind.kind in ("timestamp", "timestamptz"):
            return f"{_fine(self._clock(expression, kind))} || 'Z'"
        if kind.kind == "binary":
            return f"LOWER(HEX_ENCODE({expression}))"
        return text

    def _clock(self, expression: str, kind: ColumnType) -> str:
        """A time or timestamp as text, with nine digits of its seconds."""
        shape = _CLOCK if kind.kind == "time" else _MOMENT
        return f"TO_VARCHAR({self._utc(expression, kind)}, '{shape}')"

    def _utc(self, expression: str, kind: ColumnType) -> str:
        """A timestamp whose clock shows UTC."""
        return f"CONVERT_TIMEZONE('UTC', {expression})" if kind.kind == "timestamptz" else expression

    def json_string(self, text: str) -> str:
        """Snowflake's own quoting."""
        return f"TO_JSON(TO_VARIANT({text}))"

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Stored values compare as they are: NaN equals NaN, text compares by its bytes."""
        return expression

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """64 bits of the MD5 of the values' texts, one behind the other.

        A text comes with its length; others end with a comma, which none contains, and NULL is an empty one.
        The key is among the values and mixed with them, so exclusive ors tell which row has which values.
        """
        return self.row_hash(_concat([self._hashed(*column) for column in columns]))

    def _hashed(self, expression: str, kind: ColumnType) -> str:
        if kind.name == TEXT.name:
            return f"COALESCE(CAST(LENGTH({expression}) AS VARCHAR) || ':' || {expression}, ',')"
        if kind.kind == "float":
            text = self._exact_text(f"({expression} + 0)")
        elif kind.kind in ("integer", "decimal", "boolean"):
            text = self.cast(expression, "VARCHAR")
        elif kind.kind in TIMES:
            text = self._clock(expression, kind)
        else:
            text = self.canonical_text(expression, kind)
        if kind.kind == "binary":
            text = f"'x' || {text}"
        return f"COALESCE({text}, '') || ','"

    def _exact_text(self, number: str) -> str:
        """A float as two texts: of itself, and of what that leaves out, if it does not show all digits."""
        text = self.cast(number, "VARCHAR")
        return f"{text} || ';' || COALESCE(CAST({number} - TRY_CAST({text} AS FLOAT) AS VARCHAR), '')"

    def row_hash(self, row_id: str) -> str:
        """64 bits of its MD5, as a number with a sign, so that no bitwise function takes it for too large."""
        return f"(MD5_NUMBER_LOWER64({row_id}) - {_HALF})"

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return self.cast(f"MOD(MD5_NUMBER_LOWER64({row_id}), {BUCKETS})", "INTEGER")

    def checksum(self, hashes: str) -> str:
        """Exclusive or, by Snowflake's name of it."""
        return f"BITXOR_AGG({hashes})"

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """Timestamps travel as UTC with microseconds, the rest as it is; long integers stay integers."""
        if kind.kind in ("timestamp", "timestamptz"):
            return self.cast(self._utc(expression, kind), f"TIMESTAMP_NTZ({_MICROSECONDS})"), None
        if kind.kind == "integer" and digits_of(kind)[0] > 18:
            return expression, "integer"
        return expression, "json" if kind.kind == "json" else None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """An OBJECT that keeps NULLs; what JSON doesn't know is a string in canonical form."""
        parts = [f"{self.literal(name)}, {self._member(sql, kind)}" for name, sql, kind in pairs]
        return f"TO_VARIANT(OBJECT_CONSTRUCT_KEEP_NULL({', '.join(parts)}))"

    def _member(self, sql: str, kind: ColumnType) -> str:
        if kind.kind == "json":
            return f"COALESCE(TRY_PARSE_JSON({sql}), TO_VARIANT({sql}))"
        if kind.kind == "float":
            texts = (("NaN", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity"))
            cases = " ".join(
                f"WHEN {sql} = CAST('{name}' AS FLOAT) THEN TO_VARIANT('{text}')" for name, text in texts
            )
            return f"CASE {cases} ELSE TO_VARIANT({sql}) END"
        if kind.kind in ("integer", "decimal", "boolean"):
            return sql
        return self.canonical_text(sql, kind)

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas that the role owns."""
        made = [self.make_schema(schema) for schema in (audit, planner)]
        if principal is not None:
            made += [grant for schema in (audit, planner) for grant in self.grants(schema, principal)]
        return made

    def grants(self, schema: str, principal: str) -> list[str]:
        """The role owns the schema: it makes and drops all that is in it."""
        return [
            f"GRANT OWNERSHIP ON SCHEMA {self.placed(schema)} TO ROLE {self.quote(self.folded(principal))} "
            "COPY CURRENT GRANTS"
        ]

    def table_grants(self, schema: str, name: str, principal: str) -> list[str]:
        """Its ownership, which that of the schema doesn't bring."""
        role = self.quote(self.folded(principal))
        return [f"GRANT OWNERSHIP ON TABLE {self.table(schema, name)} TO ROLE {role} COPY CURRENT GRANTS"]

    def read_grant(self, principal: str) -> str:
        """Principals are roles, which also need the use of what the tables are in."""
        role = f"TO ROLE {self.quote(self.folded(principal))}"
        used = f"GRANT USAGE ON DATABASE <theirs> {role}; GRANT USAGE ON SCHEMA <theirs> {role}"
        return f"GRANT SELECT ON TABLE <each of the model's tables> {role}; {used}"


def _fine(text: str) -> str:
    """A time's text with nine digits, without zeros at the end beyond microseconds."""
    return f"LEFT({text}, LENGTH({text}) - 3) || RTRIM(RIGHT({text}, 3), '0')"


def _concat(texts: Sequence[str]) -> str:
    """Texts one behind the other."""
    while len(texts) > 1:
        groups = [texts[at : at + _PARTS] for at in range(0, len(texts), _PARTS)]
        texts = [group[0] if len(group) == 1 else f"CONCAT({', '.join(group)})" for group in groups]
    return texts[0]
