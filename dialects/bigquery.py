"""Google BigQuery, in GoogleSQL.

A schema is a data set, of the connection's own project or, as ``project.dataset``, of another one. A data set
may say that its tables expire and how their texts compare: every table of the engine says for itself that it
doesn't expire (but for those that a run drops anyway), and that its texts compare as they are.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from sqlglot import exp

from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType
from warehouse_cdc.errors import UnsupportedError

_KINDS = {
    "INT64": "integer",
    "NUMERIC": "decimal",
    "BIGNUMERIC": "decimal",
    "FLOAT64": "float",
    "BOOL": "boolean",
    "STRING": "text",
    "BYTES": "binary",
    "DATE": "date",
    "DATETIME": "timestamp",
    "TIME": "time",
    "TIMESTAMP": "timestamptz",
    "JSON": "json",
    "ARRAY": "nested",
    "STRUCT": "nested",
}
_ALIASES = {
    **dict.fromkeys(("INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "BYTEINT"), "INT64"),
    **{"DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "BOOLEAN": "BOOL", "FLOAT": "FLOAT64"},
}
_TEXT = ColumnType("STRING", "text")
_DOCUMENT = ColumnType("STRING", "json")
"""A JSON document: values of type JSON can't be compared, and nested ones not all."""
_PARTS = 50
"""Texts in one call of ``CONCAT``; the calls are nested."""
_DIGITS = 15
"""Digits that any number of JSON keeps; longer decimals become strings there."""
_LONGEST_NAME = 300
_IN_NAMES = frozenset("&%=+:'<>#|")
_KINDS_IN_NAMES = frozenset({"Pc", "Pd"})
"""Unicode's categories of connectors and dashes."""
_UNNAMED = re.compile(r"_field_\d+")
"""What the service calls fields that have no name: they can't be referred to."""


class BigQuery(Dialect):
    """BigQuery."""

    name = "bigquery"
    sqlglot = "bigquery"
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
    hash_type = "INT64"
    hash_column = "`hash`"
    recursion_inside = False
    timestamp_type = "TIMESTAMP"
    exact_number = "BIGNUMERIC"
    now = "CURRENT_TIMESTAMP()"
    current_user = "SESSION_USER()"
    scratch = "OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 DAY))"
    lasting = "OPTIONS (expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 36500 DAY))"
    """In a hundred years: CREATE TABLE ignores an option that is NULL, and the data set's default applies."""

    def __init__(self, location: str | None = None) -> None:
        """Take where ``setup`` makes data sets; the service's default if None."""
        self.location = location

    def schema(self, schema: str) -> str:
        """A data set's name, quoted; it has no dots, but the project in front of it may have.

        Raises:
            UnsupportedError: It is a namespace of an Iceberg catalog, whose tables take no DML.
        """
        if schema.count(".") > 1 and ":" not in schema:
            raise UnsupportedError(
                f"{schema!r} isn't a data set: tables of an Iceberg catalog can't be updated.",
                hint="Models may read them; the two schemas must be data sets. Or pull: connect(…, state=…)",
            )
        return ".".join(self.quote(part) for part in schema.rsplit(".", 1))

    def can_name(self, name: str) -> bool:
        """Letters, digits, marks, dashes, spaces and few other characters."""
        return len(name) <= _LONGEST_NAME and all(
            character in _IN_NAMES
            or character.isspace()
            or unicodedata.category(character) in _KINDS_IN_NAMES
            or unicodedata.category(character)[0] in "LNM"
            for character in name
        )

    def distribution(self, column: str = "") -> str:
        """What a table says for itself, and what it is clustered by."""
        cluster = f"\nCLUSTER BY {column}" if column else ""
        return f"\nDEFAULT COLLATE ''{cluster}\n{self.lasting}"

    def seconds_since(self, timestamp: str) -> str:
        """By microseconds."""
        return f"(TIMESTAMP_DIFF({self.now}, {timestamp}, MICROSECOND) / 1e6)"

    # -- types ------------------------------------------------------------------------------------

    def column_type(self, name: str) -> ColumnType:
        """Classify a type as SQL writes it; of parameters only those of fields and elements are kept."""
        word = re.split(r"\W", name.upper(), maxsplit=1)[0]
        word = _ALIASES.get(word, word)
        kind = _KINDS.get(word, "other")
        if word == "TIMESTAMP" and "(12)" in name:
            kind = "other"
        return ColumnType(name if kind in ("nested", "other") else word, kind)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """As it is if it compares; texts lose their collation, the rest becomes text."""
        if kind.kind == "text":
            return self.cast(self.cast(expression, "BYTES"), "STRING"), _TEXT
        if kind.kind == "nested":
            return self._nested(expression, exp.DataType.build(kind.name, dialect=self.sqlglot), 1), _DOCUMENT
        if kind.kind == "json":
            return self._document(expression), _DOCUMENT
        if kind.kind == "other":
            return self.canonical_text(expression, kind), _TEXT
        return expression, kind

    def _document(self, value: str) -> str:
        """A value's JSON, whose NULL would otherwise be JSON's."""
        return f"IF({value} IS NULL, NULL, TO_JSON_STRING({value}))"

    def _nested(self, value: str, kind: exp.DataType, depth: int) -> str:
        """The JSON of a value of any type; in it, each number and time is spelled as it is elsewhere.

        Args:
            value: An expression.
            kind: Its type.
            depth: Of nesting, so that the names of elements differ.
        """
        if kind.this == exp.DType.ARRAY:
            element, place = f"e{depth}", f"o{depth}"
            inner = f"COALESCE({self._nested(element, kind.expressions[0], depth + 1)}, 'null')"
            rows = f"UNNEST({value}) AS {element} WITH OFFSET AS {place} ORDER BY {place}"
            text = f"CONCAT('[', ARRAY_TO_STRING(ARRAY(SELECT {inner} FROM {rows}), ','), ']')"
        elif kind.this == exp.DType.STRUCT:
            names = [field.name if isinstance(field, exp.ColumnDef) else "" for field in kind.expressions]
            alike = Counter(name.lower() for name in names)
            if "" in alike or max(alike.values()) > 1 or any(map(_UNNAMED.fullmatch, names)):
                return self._document(value)
            members = [
                (name, self._nested(f"{value}.{self.quote(name)}", field.args["kind"], depth + 1))
                for name, field in zip(names, kind.expressions, strict=True)
            ]
            text = self._object(members)
        else:
            simple = self.column_type(kind.sql(dialect=self.sqlglot))
            return self._document(value) if simple.kind == "json" else self._json_text(value, simple)
        return f"IF({value} IS NULL, NULL, {text})"

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """NUMERIC holds every integer; between other numbers as base."""
        if {left.name, right.name} == {"INT64", "NUMERIC"}:
            return self.column_type("NUMERIC")
        return super().common_type(left, right)

    # -- identity and equality --------------------------------------------------------------------

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Canonical text by kind (D1)."""
        if kind.kind in ("text", "json"):
            return expression
        text = self.cast(expression, "STRING")
        if kind.kind == "float":
            whole = f"ABS({expression}) < 1e18 AND {expression} = TRUNC({expression})"
            return f"IF({whole}, CAST(SAFE_CAST({expression} AS INT64) AS STRING), {text})"
        if kind.kind == "time":
            return f"FORMAT_TIME('%H:%M:%E6S', {expression})"
        if kind.kind == "timestamp":
            return f"FORMAT_DATETIME('%FT%H:%M:%E6SZ', {expression})"
        if kind.kind == "timestamptz":
            return f"FORMAT_TIMESTAMP('%FT%H:%M:%E6SZ', {expression}, 'UTC')"
        if kind.kind == "binary":
            return f"TO_HEX({expression})"
        if kind.name.upper().startswith("GEOGRAPHY"):
            return f"ST_ASTEXT({expression})"
        return text

    def json_string(self, text: str) -> str:
        """The service's own JSON of a text, but with separators of lines as they are, as elsewhere."""
        quoted = rf"REPLACE(TO_JSON_STRING({text}), r'\\', '\x01')"  # which JSON doesn't contain
        for separator in (r"\u2028", r"\u2029"):
            quoted = f"REPLACE({quoted}, r'{separator}', '{separator}')"
        slow = rf"REPLACE({quoted}, '\x01', r'\\')"
        return rf"IF(REGEXP_CONTAINS({text}, '[\u2028\u2029]'), {slow}, {self._document(text)})"

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Stored values compare as they are."""
        return expression

    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """FarmHash of the values' texts, one behind the other.

        A text comes with its length; others end with a comma, which none contains, and NULL is an empty one.
        The key is among the values and mixed with them, so exclusive ors tell which row has which values.
        """
        return self.row_hash(self._concat([self._hashed(*column) for column in columns]))

    def _hashed(self, expression: str, kind: ColumnType) -> str:
        if kind.kind in ("text", "json"):
            return f"COALESCE(CONCAT(CAST(LENGTH({expression}) AS STRING), ':', {expression}), ',')"
        text = self.canonical_text(expression, kind)
        if kind.kind == "binary":
            text = f"CONCAT('x', {text})"
        return f"COALESCE(CONCAT({text}, ','), ',')"

    def _concat(self, texts: Sequence[str]) -> str:
        """Texts one behind the other."""
        while len(texts) > 1:
            groups = [texts[at : at + _PARTS] for at in range(0, len(texts), _PARTS)]
            texts = [group[0] if len(group) == 1 else f"CONCAT({', '.join(group)})" for group in groups]
        return texts[0]

    def row_hash(self, row_id: str) -> str:
        """FarmHash's Fingerprint64, which never changes."""
        return f"FARM_FINGERPRINT({row_id})"

    def bucket(self, row_id: str) -> str:
        """The lower bits of the hash."""
        return f"({self.row_hash(row_id)} & {BUCKETS - 1})"

    def checksum(self, hashes: str) -> str:
        """Exclusive or."""
        return f"BIT_XOR({hashes})"

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """Decimals travel as strings: there are longer ones than Arrow's common type holds."""
        if kind.kind == "decimal":
            return self.canonical_text(expression, kind), "decimal"
        return expression, "json" if kind.kind == "json" else None

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """An object, put together as text: the service's own functions write numbers in several ways."""
        members = [(name, self._json_text(expression, kind)) for name, expression, kind in pairs]
        return f"PARSE_JSON({self._object(members)}, wide_number_mode => 'round')"

    def _object(self, members: Sequence[tuple[str, str]]) -> str:
        """The JSON of an object from the JSON of its members."""
        texts = []
        for place, (name, value) in enumerate(members):
            label = self.literal(f"{',' if place else ''}{json.dumps(name, ensure_ascii=False)}:")
            texts += [label, f"COALESCE({value}, 'null')"]
        return self._concat(["'{'", *texts, "'}'"])

    def _json_text(self, expression: str, kind: ColumnType) -> str:
        """A value's JSON; NULL stays NULL."""
        text = self.canonical_text(expression, kind)
        if kind.kind in ("integer", "boolean", "json"):
            return text
        if kind.kind == "decimal":
            digits = f"LENGTH(REGEXP_REPLACE({text}, '[-.]', ''))"
            return f"IF({digits} <= {_DIGITS}, {text}, CONCAT('\"', {text}, '\"'))"
        if kind.kind == "float":
            return f"IF(IS_NAN({expression}) OR IS_INF({expression}), TO_JSON_STRING({expression}), {text})"
        return self._document(text) if kind.kind in ("text", "other") else f"CONCAT('\"', {text}, '\"')"

    def make_schema(self, schema: str) -> str:
        """A data set, in the location that is known."""
        where = f"\nOPTIONS (location = {self.literal(self.location)})" if self.location else ""
        return f"CREATE SCHEMA IF NOT EXISTS {self.schema(schema)}{where}"

    def grants(self, schema: str, principal: str) -> list[str]:
        """What lets somebody make, read, change and drop tables in a data set."""
        member = self.literal(_member(principal))
        roles = "`roles/bigquery.dataViewer`, `roles/bigquery.dataEditor`"
        return [f"GRANT {roles} ON SCHEMA {self.schema(schema)} TO {member}"]

    def read_grant(self, principal: str) -> str:
        """A role on data sets."""
        member = self.literal(_member(principal))
        return f"GRANT `roles/bigquery.dataViewer` ON SCHEMA <the model's data sets> TO {member}"

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two data sets, and who may write to them; what SQL can't grant is in a comment."""
        statements = [self.make_schema(schema) for schema in (audit, planner)]
        if principal is not None:
            statements += [grant for schema in (planner, audit) for grant in self.grants(schema, principal)]
            statements[0] = f"{_project_roles(principal)}\n{statements[0]}"
        return statements


def _member(principal: str) -> str:
    """A principal as policies write it: an address alone is a service account's or a user's."""
    if ":" in principal:
        return principal
    kind = "serviceAccount" if principal.endswith("gserviceaccount.com") else "user"
    return f"{kind}:{principal}"


def _project_roles(principal: str) -> str:
    """The commands that grant what belongs to the project: to run jobs, and to read by the Storage API."""
    member = _member(principal).replace("\n", " ")
    roles = ("roles/bigquery.jobUser", "roles/bigquery.readSessionUser")
    return "\n".join(
        f"-- gcloud projects add-iam-policy-binding PROJECT --member='{member}' --role={role}"
        for role in roles
    )
