"""Snowflake, with Iceberg tables that Snowflake itself is the catalog of."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from warehouse_cdc.dialects.snowflake import TEXT, Snowflake, digits_of
from warehouse_cdc.dialects.snowflake import TIMES as _TIMES
from warehouse_cdc.dialects.types import ColumnType

_MICROSECONDS = 6
"""Digits of a second that Iceberg keeps."""
_CLOCK = "HH24:MI:SS.FF6"
_MOMENT = f'YYYY-MM-DD"T"{_CLOCK}'
_TEXTS = frozenset(
    {
        *("row_id", "op", "was", "was_version", "key_run", "try_run", "try_of"),
        *("run_id", "event", "data", "outcome", "reason"),
    }
)
"""The engine's own columns of text, whose length Snowflake would take from the literals in them."""


class SnowflakeIceberg(Snowflake):
    """Without VARIANT, time zones and nanoseconds: what its tables can't hold is kept as text."""

    name = "snowflake_iceberg"
    timestamp_type = f"TIMESTAMP_LTZ({_MICROSECONDS})"
    json_type = "VARCHAR"

    def __init__(self, external_volume: str | None = None, base_location: str | None = None) -> None:
        """Take where tables are kept.

        Args:
            external_volume: The volume; the schema's, database's or account's default if None.
            base_location: A prefix in it, under which each table has a folder; Snowflake's choice if None.
        """
        self.external_volume = external_volume
        self.base_location = base_location

    # -- tables -----------------------------------------------------------------------------------

    def create_as(self, table: str, select: str) -> str:
        """Texts of the engine's own are cast: an Iceberg table has none with a limited length."""
        query = sqlglot.parse_one(select, read=self.sqlglot)
        assert isinstance(query, exp.Query)
        columns = ", ".join(self._column(projection) for projection in query.selects)
        create = self.iceberg(f"CREATE TABLE {table}", table)
        return f"{create} AS\nSELECT {columns} FROM (\n{select}\n) wcdc_rows"

    def _column(self, projection: exp.Expr) -> str:
        named = projection.args.get("alias") or projection.this
        name = named.sql(dialect=self.sqlglot)
        return f"CAST({name} AS VARCHAR) AS {name}" if name in _TEXTS else name

    def iceberg(self, create: str, table: str) -> str:
        """A statement that makes a table, as one that makes an Iceberg table."""
        parts = [create.replace("CREATE TABLE", "CREATE ICEBERG TABLE", 1)]
        if self.external_volume is not None:
            parts.append(f"EXTERNAL_VOLUME = {self.literal(self.external_volume)}")
        parts.append("CATALOG = 'SNOWFLAKE'")
        if self.base_location is not None:
            place = exp.to_table(table, dialect=self.sqlglot)
            folder = f"{self.base_location.rstrip('/')}/{place.db}/{place.name}"
            parts.append(f"BASE_LOCATION = {self.literal(folder)}")
        return "\n".join(parts)

    def fields_text(self, fields: str) -> str:
        """They are text."""
        return fields

    # -- types ------------------------------------------------------------------------------------

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Text without a limit, times of microseconds; finer ones as canonical text, as exact."""
        if kind.kind in _TIMES:
            if digits_of(kind)[0] > _MICROSECONDS:
                return self.canonical_text(expression, kind), ColumnType(TEXT.name, kind.kind)
            name = f"{_TIMES[kind.kind]}({_MICROSECONDS})"
            return self.cast(expression, name), ColumnType(name, kind.kind)
        expression, kind = super().stored(expression, kind)
        return (self.cast(expression, TEXT.name) if kind == TEXT else expression), kind

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Times by their text, which is what some of them are kept as."""
        return self.canonical_text(expression, kind) if kind.kind in _TIMES else expression

    def parsed(self, text: str, kind: ColumnType) -> str:
        """Times that are kept as text are canonical text, but that others leave zeros of a time out."""
        if kind.kind not in _TIMES or kind.name != TEXT.name:
            return super().parsed(text, kind)
        if kind.kind == "time":
            return f"RPAD({text} || CASE WHEN {text} LIKE '%.%' THEN '' ELSE '.' END, 15, '0')"
        return text

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """As Snowflake's own tables do."""
        if kind.kind in _TIMES and kind.name == TEXT.name:
            # The rest of the text are nanoseconds.
            if kind.kind == "time":
                return f"TO_TIME(LEFT({expression}, 15), '{_CLOCK}')", None
            return f"TO_TIMESTAMP_NTZ(LEFT({expression}, 26), '{_MOMENT}')", None
        return super().transport(expression, kind)

    def json_object(self, pairs: Sequence[tuple[str, str, ColumnType]]) -> str:
        """Its text."""
        return f"TO_JSON({super().json_object(pairs)})"

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """As for Snowflake, and the volume."""
        made = super().setup(planner, audit, principal)
        if principal is not None and self.external_volume is not None:
            volume, role = (self.quote(self.folded(name)) for name in (self.external_volume, principal))
            made.append(f"GRANT USAGE ON EXTERNAL VOLUME {volume} TO ROLE {role}")
        return made
