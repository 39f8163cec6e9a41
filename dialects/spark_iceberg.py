"""Spark on Apache Iceberg's tables; whether it is, the connection finds out or is told."""

from __future__ import annotations

from warehouse_cdc.dialects.spark import Spark


class SparkOnIceberg(Spark):
    """Its tables take any name of a column."""

    scratch = ""

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """The new name is one of the table's own catalog, which isn't named again."""
        new = self.table(schema.rpartition(".")[2], new_name)
        return f"ALTER TABLE {self.table(schema, name)} RENAME TO {new}"

    def distribution(self, column: str = "") -> str:
        """The format of a table."""
        return "\nUSING ICEBERG"
