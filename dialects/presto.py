"""Presto, on catalogs whose rows can't be updated: Trino's relative, whose times have milliseconds."""

from __future__ import annotations

from dataclasses import replace

from warehouse_cdc.dialects.trino import Trino
from warehouse_cdc.dialects.trino_connectors import TrinoWithoutZones
from warehouse_cdc.dialects.types import ColumnType


class Presto(TrinoWithoutZones):
    """Presto."""

    name = "presto"
    sqlglot = "presto"
    capabilities = replace(Trino.capabilities, row_level_dml=False)
    timestamp_type = "Timestamp"
    """Its case tells instants from a model's own timestamps, whose type is spelled in one case."""
    now = "CAST(current_timestamp AT TIME ZONE 'UTC' AS Timestamp)"
    digits = ""

    def stage(self, schema: str, name: str, new_name: str) -> list[str]:
        """A copy: Iceberg tables can't be renamed, and Hive's only where that is allowed."""
        copy = f"CREATE TABLE {self.table(schema, new_name)} AS\nSELECT * FROM {self.table(schema, name)}"
        return [copy, self.drop(schema, name)]

    def canonical_text(self, expression: str, kind: ColumnType) -> str:
        """Times of day get the digits that other engines have."""
        if kind.kind == "time":
            return f"{self.cast(expression, 'VARCHAR')} || '000'"
        return super().canonical_text(expression, kind)

    def comparable(self, expression: str, kind: ColumnType) -> str:
        """Of short floats, no NaN equals another."""
        return self.cast(expression, "DOUBLE") if kind.name == "REAL" else expression

    def _timestamp_text(self, expression: str, kind: ColumnType) -> str:
        zoned = kind.kind == "timestamptz" and kind != self._instant
        value = f"({expression} AT TIME ZONE 'UTC')" if zoned else expression
        return f"replace(CAST(CAST({value} AS TIMESTAMP) AS VARCHAR), ' ', 'T') || '000Z'"

    def _trimmed(self, text: str, character: str) -> str:
        return f"rtrim({text}, '{character}')"
