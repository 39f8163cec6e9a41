"""Microsoft Fabric, warehouse."""

from __future__ import annotations

from warehouse_cdc.dialects.tsql import TSQL


class Fabric(TSQL):
    """A warehouse: its texts are UTF-8, and its times have six digits and no zone."""

    name = "fabric"
    sqlglot = "fabric"
    text_type = "VARCHAR(MAX)"
    json_type = "VARCHAR(MAX)"
    timestamp_type = "DATETIME2(6)"
    code_points = "Latin1_General_100_BIN2_UTF8"
    national = ""
    fraction = 6

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """By the procedure, which takes texts."""
        table = self.table(schema, name).replace("'", "''")
        return f"EXEC sp_rename '{table}', '{new_name}'"
