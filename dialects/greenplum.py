"""Greenplum 7: PostgreSQL 12, on segments among which the rows of a table are spread.

Runs are recorded in rows, as on PostgreSQL. Without its global deadlock detector, Greenplum locks the whole
table where PostgreSQL locks a row: runs of different syncs then wait for each other's short transactions.
"""

from __future__ import annotations

from dataclasses import replace

from warehouse_cdc.dialects.postgres import Postgres
from warehouse_cdc.dialects.postgres_fork import PostgresFork


class Greenplum(PostgresFork):
    """Greenplum 7 and later."""

    name = "greenplum"
    # The counters of changed rows are kept on the segments, out of the coordinator's sight.
    capabilities = replace(Postgres.capabilities, change_hints=False)

    def distribution(self, column: str = "") -> str:
        """Rows that are joined with one another are on one segment."""
        return f"\nDISTRIBUTED BY ({column})" if column else "\nDISTRIBUTED RANDOMLY"
