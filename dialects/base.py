"""What every dialect must be able to say: names, literals, types and expressions, as text.

A dialect knows no connection and no sync. A subclass says only what differs from its nearest relative;
templates are looked up along the same line (``lineage``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from functools import lru_cache, reduce
from operator import xor

from sqlglot import exp

from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.types import ColumnType
from warehouse_cdc.errors import ModelError

BUCKETS = 16_384
"""Ranges of the row id's hash that delivery can cut chunks from."""

FINGERPRINT_ENCODING = 4
"""Version of the fingerprint's encoding; raising it makes runs compare values once (D6)."""

_CLOSE = "']'"


@lru_cache(maxsize=4096)
def _quoted(identifier: str, dialect: str) -> str:
    return exp.to_identifier(identifier, quoted=True).sql(dialect=dialect)


class Dialect(ABC):
    """SQL text for one kind of warehouse."""

    name: str
    sqlglot: str
    capabilities: DialectCapabilities
    text_type = "TEXT"
    hash_type = "BIGINT"
    hash_column = "hash"
    """The name of the column with fingerprints where it stands alone; quoted if it must be."""
    timestamp_type = "TIMESTAMP WITH TIME ZONE"
    json_type = "JSON"
    row_lock = ""
    """Clause that locks a row against everything until the transaction ends, or nothing."""
    share_lock = ""
    """Clause that locks a row against ``row_lock`` only, or nothing."""
    now = "now()"
    current_user = "current_user"
    """Who is connected, as an expression."""
    most_columns: int | None = None
    """Columns that a table can have, if few enough to matter."""
    most_chunks = 10_000
    """Chunks of an operation: one statement names all of them. Up to twice as many may be cut."""
    materialized = ""
    """Word that makes a CTE a step of its own, evaluated once, or nothing."""
    scratch = ""
    """Word for a table that needn't survive a crash of the warehouse, or nothing."""
    boolean_type = "BOOLEAN"
    true = "TRUE"
    false = "FALSE"
    folds_names = False
    """Whether results name a column otherwise than it was written, if only in quotes or not even there."""
    catalog: str | None = None
    """Where ``setup`` makes schemas that don't say it themselves; wherever a session is if None."""
    recursion_inside = True
    """Whether a recursive CTE may stand inside of another query."""

    @property
    def lineage(self) -> tuple[str, ...]:
        """Names under which templates are looked up, nearest first."""
        names = [base.__dict__["name"] for base in type(self).__mro__ if "name" in base.__dict__]
        return (*names, "default")

    def quote(self, identifier: str) -> str:
        """The identifier, quoted."""
        return _quoted(identifier, self.sqlglot)

    def literal(self, value: str | int | float | bool | None) -> str:
        """A literal of the dialect."""
        return exp.convert(value).sql(dialect=self.sqlglot)

    def schema(self, name: str) -> str:
        """A schema, quoted."""
        return self.quote(name)

    def table(self, schema: str, name: str) -> str:
        """A qualified table name, quoted."""
        return f"{self.schema(schema)}.{self.quote(name)}"

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """The statement that renames a table within its schema."""
        return f"ALTER TABLE {self.table(schema, name)} RENAME TO {self.quote(new_name)}"

    def stage(self, schema: str, name: str, new_name: str) -> list[str]:
        """The statements after which a table has another name: its renaming, where it can be renamed."""
        return [self.rename(schema, name, new_name)]

    def drop(self, schema: str, name: str) -> str:
        """The statement that drops a table."""
        return f"DROP TABLE {self.table(schema, name)}"

    def cast(self, expression: str, type_name: str) -> str:
        """The expression, cast."""
        return f"CAST({expression} AS {type_name})"

    def null(self, type_name: str) -> str:
        """A NULL of a type."""
        return self.cast("NULL", type_name)

    def flag(self, condition: str) -> str:
        """A condition as a value of ``boolean_type``, where the two aren't the same."""
        return condition

    def holds(self, value: str) -> str:
        """A value of ``boolean_type`` as a condition, where the two aren't the same."""
        return value

    def joined(self, *texts: str) -> str:
        """Texts one behind the other; NULL if one of them is."""
        return " || ".join(texts)

    def nulls_first(self, expression: str) -> str:
        """What to order by, ascending, NULLs first."""
        return f"{expression} NULLS FIRST"

    def first_rows(self, select: str, rows: int) -> str:
        """A SELECT of no more than so many rows."""
        return f"{select} LIMIT {rows}"

    def embeddable(self, sql: str, tree: exp.Query) -> str:
        """A query as it can stand inside of another one, without what only concerns its own result.

        Args:
            sql: The query.
            tree: The same, parsed.

        Raises:
            ModelError: It is recursive where only a statement's own CTEs can be.
        """
        if not self.recursion_inside and any(each.args.get("recursive") for each in tree.find_all(exp.With)):
            raise ModelError(
                "The model has a recursive CTE, which may not stand inside of another query here.",
                code="model-recursive-cte",
                hint="Let a table or view have that query's rows, and select from it.",
            )
        return sql

    def can_name(self, name: str) -> bool:
        """Whether a query's result can have a column of that name."""
        return True

    def finished(self, sql: str) -> str:
        """A statement with its CTEs where the dialect takes them: templates put queries into one another."""
        return sql

    def instant(self, moment: datetime) -> str:
        """A value of ``timestamp_type``; the moment has a time zone."""
        text = moment.astimezone(timezone.utc).isoformat(" ")
        return self.cast(self.literal(text), self.timestamp_type)

    def differs(self, left: str, right: str) -> str:
        """A condition: the two differ, NULL being equal to NULL (D5)."""
        return f"({left} IS DISTINCT FROM {right})"

    def text_differs(self, left: str, right: str) -> str:
        """The same for texts, byte for byte, or nearly so where nothing depends on it."""
        return self.differs(left, right)

    def is_text(self, column: str, literal: str) -> str:
        """A condition: a column is a text, byte for byte."""
        return f"{column} = {literal}"

    def same(self, left: str, right: str, kind: ColumnType | None = None) -> str:
        """A condition to join by: two keys are equal, byte for byte (D5).

        Args:
            left: One side.
            right: The other.
            kind: Their stored type; text if None.
        """
        return f"{left} = {right}"

    def exact(self, text: str, kind: ColumnType | None = None) -> str:
        """A key in a form to group and to look up by: forms are equal if and only if keys are (D5)."""
        return text

    def distribution(self, column: str = "") -> str:
        """Clause of a CREATE TABLE that spreads the rows by a column, or in any way; or nothing."""
        return ""

    def seconds_since(self, timestamp: str) -> str:
        """Seconds from a timestamp until now, by the warehouse's clock."""
        return f"CAST(EXTRACT(EPOCH FROM ({self.now} - {timestamp})) AS DOUBLE PRECISION)"

    # -- types ------------------------------------------------------------------------------------

    @abstractmethod
    def column_type(self, name: str) -> ColumnType:
        """What a type's name in this dialect means."""

    def own_type(self, name: str) -> ColumnType:
        """The same for the types of the engine's own columns: ``timestamp_type`` is an instant."""
        return self.column_type(name)

    @abstractmethod
    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """How a model's column is kept in a plan: the expression and its type.

        Text loses its collation; types that the engine can only print become text.
        """

    def common_type(self, left: ColumnType, right: ColumnType) -> ColumnType:
        """A type that can hold values of both without loss; text if there is no other."""
        if left == right:
            return left
        if {left.kind, right.kind} <= {"integer", "decimal"}:
            return self.column_type(self.exact_number)
        return self.column_type(self.text_type)

    exact_number = "NUMERIC"
    """A type that holds every integer and decimal."""

    def converted(self, expression: str, source: ColumnType, target: ColumnType) -> str:
        """A stored value of one type as another, as ``common_type`` allows."""
        if source == target:
            return expression
        if target.kind == "text":
            return self.canonical_text(expression, source)
        return self.cast(expression, target.name)

    # -- identity and equality --------------------------------------------------------------------

    @abstractmethod
    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """A stored value as canonical text (D1); equal values have equal texts."""

    def parsed(self, text: str, kind: ColumnType) -> str:
        """A stored value again, from its text: canonical, or as JSON, or in hexadecimal digits."""
        if kind.kind == "timestamp":
            text = f"replace(replace({text}, 'T', ' '), 'Z', '')"
        elif kind.kind == "timestamptz":
            text = f"replace(replace({text}, 'T', ' '), 'Z', '+00:00')"
        elif kind.kind == "binary":
            return self.from_hex(text)
        return self.cast(text, kind.name)

    def from_hex(self, text: str) -> str:
        """Bytes, from their hexadecimal digits."""
        return exp.Unhex(this=exp.maybe_parse(text, dialect=self.sqlglot)).sql(dialect=self.sqlglot)

    def row_id(self, parts: Sequence[str]) -> str:
        """The row id of canonical key texts: the text itself, or a JSON array of them (D1)."""
        if len(parts) == 1:
            return parts[0]
        texts = ["'['"]
        for part in parts:
            texts += [self.json_string(part), "','"]
        return f"({self.joined(*texts[:-1], _CLOSE)})"

    @abstractmethod
    def json_string(self, text: str) -> str:
        """A text as a JSON string, without spaces around it; NULL stays NULL."""

    @abstractmethod
    def comparable(self, expression: str, kind: ColumnType) -> str:
        """A stored value in a form whose ``IS DISTINCT FROM`` is the equality of D5."""

    def as_json(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """A stored value of the JSON family in a form that compares across types of that family."""
        return expression, kind

    @abstractmethod
    def fingerprint(
        self, columns: Sequence[tuple[str, ColumnType]], key: Sequence[tuple[str, ColumnType]] = ()
    ) -> str:
        """A 64-bit hash of stored values, injective up to the hash itself (D6).

        Its ``checksum`` over rows with different keys tells them from any others: values that change places
        between rows must show in it.

        Args:
            columns: What is hashed, the key's columns among them.
            key: The key's columns, by which the hashes of different rows are made independent.
        """

    def checksum(self, hashes: str) -> str:
        """The aggregate that makes one number of the 64-bit hashes of rows, in any order."""
        return f"bit_xor({hashes})"

    def combined(self, checksums: Iterable[int | None], without: Iterable[int | None] = ()) -> int:
        """What rows come to together, from checksums of parts of them; without rows of other checksums."""
        return reduce(xor, (int(part or 0) for part in (*checksums, *without)), 0)

    @abstractmethod
    def row_hash(self, row_id: str) -> str:
        """A 64-bit hash of a row id."""

    @abstractmethod
    def bucket(self, row_id: str) -> str:
        """The bucket of a row id: an integer from 0 to ``BUCKETS`` - 1."""

    # -- values on their way out ------------------------------------------------------------------

    @abstractmethod
    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """How a stored value is read: the expression, and the tag of a string that means more."""

    @abstractmethod
    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """A JSON object of (name, expression, type): raw values, NULLs kept (D24)."""

    def json_text(self, value: str) -> str:
        """A value of ``json_type`` as text that is the same for the same content."""
        return self.cast(value, self.text_type)

    def analyze(self, table: str, columns: Sequence[str]) -> str | None:
        """The statement that gathers statistics of a new table, where the planner lacks them otherwise."""
        return None

    def snapshot_index(self, table: str) -> str | None:
        """The statement that makes an index of the snapshot's rows by sync and row id, where one pays."""
        return None

    def placed(self, schema: str) -> str:
        """A schema, quoted, as it is known in anybody's session: an administrator's may be elsewhere."""
        catalog = "" if self.catalog is None else f"{self.quote(self.catalog)}."
        return f"{catalog}{self.schema(schema)}"

    def make_schema(self, schema: str) -> str:
        """The statement that makes a schema that isn't there."""
        return f"CREATE SCHEMA IF NOT EXISTS {self.placed(schema)}"

    def grants(self, schema: str, principal: str) -> list[str]:
        """The statements that let somebody make tables in a schema; none where that isn't SQL."""
        return [f"GRANT CREATE, USAGE ON SCHEMA {self.schema(schema)} TO {self.quote(principal)}"]

    def table_grants(self, schema: str, name: str, principal: str) -> list[str]:
        """The statements that let somebody use a table that another one made: those of its schema do."""
        return self.grants(schema, principal)

    def read_grant(self, principal: str) -> str:
        """What lets somebody read a model's tables, for an administrator to fill in."""
        return f"GRANT SELECT ON <the model's tables> TO {self.quote(principal)}"

    @abstractmethod
    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """The statements that an administrator runs once."""
