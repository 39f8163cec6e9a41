"""Azure Synapse Analytics, dedicated SQL pool."""

from __future__ import annotations

from warehouse_cdc.dialects.tsql import TSQL

_WHY = "-- Without this, statements that a killed process left running aren't found and ended:"


class Synapse(TSQL):
    """A dedicated SQL pool.

    Its tables are heaps, since columnstores can't hold texts of any length, and spread round robin: keys are
    joined by their hash, which no distribution by a column could serve.
    """

    name = "synapse"
    text_type = "NVARCHAR(MAX)"
    json_type = "NVARCHAR(MAX)"
    timestamp_type = "DATETIME2(6)"
    code_points = "Latin1_General_100_BIN2"
    national = "N"
    fraction = 7

    def distribution(self, column: str = "") -> str:
        """On every table."""
        return "\nWITH (DISTRIBUTION = ROUND_ROBIN, HEAP)"

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """Within its schema."""
        return f"RENAME OBJECT {self.table(schema, name)} TO {self.quote(new_name)}"

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """As elsewhere, and the right to look for what a killed process has left running."""
        made = super().setup(planner, audit, principal)
        if principal not in (None, "dbo"):
            made.append(f"{_WHY}\nGRANT VIEW DATABASE STATE TO {self.quote(str(principal))}")
        return made
