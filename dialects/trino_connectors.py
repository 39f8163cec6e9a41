"""Trino on catalogs whose tables hold less than Iceberg's; which one it is, the connection finds out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from warehouse_cdc.dialects.trino import Trino
from warehouse_cdc.dialects.types import ColumnType


class TrinoWithoutZones(Trino):
    """On tables that hold neither zones, so that instants are timestamps in UTC, nor times of day."""

    timestamp_type = "TIMESTAMP (6)"
    """The space tells instants from a model's own timestamps."""
    now = "CAST(current_timestamp AT TIME ZONE 'UTC' AS TIMESTAMP(6))"

    def instant(self, moment: datetime) -> str:
        """Without its zone, which is UTC."""
        text = moment.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ")
        return self.cast(self.literal(text), self.timestamp_type)

    def column_type(self, name: str) -> ColumnType:
        """As Trino prints it, or an instant of ours."""
        return self._instant if name == self.timestamp_type else super().column_type(name)

    def stored(self, expression: str, kind: ColumnType) -> tuple[str, ColumnType]:
        """Times of day become text, and instants lose their zones."""
        value, stored = super().stored(expression, kind)
        if stored.kind == "timestamptz":
            return self.cast(f"({expression} AT TIME ZONE 'UTC')", self.timestamp_type), self._instant
        if stored.kind == "time":
            return self.canonical_text(expression, kind), self.column_type(self.text_type)
        return value, stored

    def _timestamp_text(self, expression: str, kind: ColumnType) -> str:
        zoneless = ColumnType(kind.name, "timestamp")
        return super()._timestamp_text(expression, zoneless if kind == self._instant else kind)

    @property
    def _instant(self) -> ColumnType:
        return ColumnType(self.timestamp_type, "timestamptz")


class TrinoOnHive(TrinoWithoutZones):
    """On Hive's tables, of which only whole partitions can be deleted."""

    capabilities = replace(Trino.capabilities, row_level_dml=False)


class TrinoOnPostgres(Trino):
    """On PostgreSQL's tables: a DELETE that looks at other tables isn't pushed down to it."""

    capabilities = replace(Trino.capabilities, row_level_dml=False)
