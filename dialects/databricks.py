"""Databricks: Spark's dialect on Unity Catalog."""

from __future__ import annotations

from warehouse_cdc.dialects.spark import Spark


class Databricks(Spark):
    """Databricks, on a SQL warehouse or a cluster.

    Plans are clustered by what their rows are read by: files that a chunk has no part in are skipped. The
    audit tables aren't, for the platform itself optimizes managed tables that live on.
    """

    name = "databricks"
    sqlglot = "databricks"

    def setup(self, planner: str, audit: str, principal: str | None) -> list[str]:
        """Two schemas, with all privileges on them."""
        statements = super().setup(planner, audit, principal)
        if principal is not None:
            statements += [grant for schema in (audit, planner) for grant in self.grants(schema, principal)]
        return statements

    def grants(self, schema: str, principal: str) -> list[str]:
        """All privileges, which are more than a run needs, as they are documented."""
        return [f"GRANT ALL PRIVILEGES ON SCHEMA {self.placed(schema)} TO {self.quote(principal)}"]
