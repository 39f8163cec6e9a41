"""Athena (engine version 3): Trino's SQL on Iceberg tables of the Glue catalog, and Hive's DDL."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from warehouse_cdc.dialects.trino_connectors import TrinoWithoutZones
from warehouse_cdc.dialects.types import ColumnType


class Athena(TrinoWithoutZones):
    """Athena.

    Tables are made from queries only: one kind of DDL knows the types and quotes of all other statements.
    """

    name = "athena"
    sqlglot = "athena"
    most_chunks = 1_000

    def __init__(self, state: str = "s3://bucket/prefix", unique: Callable[[], str] | None = None) -> None:
        """Say where tables are.

        Args:
            state: The location below which each table has a folder; no lifecycle rule may delete there.
            unique: Makes a name that no other table's folder ever had; none is made if None.
        """
        self._state = state.rstrip("/")
        self._unique = unique

    def location(self, table: str) -> str:
        """The folder of a new table, as a literal: a table of that name may have been there before.

        Args:
            table: Its name, qualified and quoted.
        """
        folders = "/".join(re.sub(r"\W+", "_", part) for part in table.strip('"').split('"."'))
        last = f"/{self._unique()}" if self._unique is not None else ""
        return self.literal(f"{self._state}/{folders}{last}/")

    def _hive(self, schema: str, name: str) -> str:
        return f"`{schema}`.`{name}`"

    def rename(self, schema: str, name: str, new_name: str) -> str:
        """By Hive's DDL."""
        return f"ALTER TABLE {self._hive(schema, name)} RENAME TO {self._hive(schema, new_name)}"

    def drop(self, schema: str, name: str) -> str:
        """By Hive's DDL."""
        return f"DROP TABLE {self._hive(schema, name)}"

    def checksum(self, hashes: str) -> str:
        """A sum: exclusive or came to Trino later."""
        return f"sum(CAST({hashes} AS DECIMAL(38, 0)))"

    def combined(self, checksums: Iterable[int | None], without: Iterable[int | None] = ()) -> int:
        """Sums."""
        return sum(int(part or 0) for part in checksums) - sum(int(part or 0) for part in without)

    # -- values on their way out ------------------------------------------------------------------

    def transport(self, expression: str, kind: ColumnType) -> tuple[str, str | None]:
        """What results spell in a way of their own travels as text."""
        if kind.kind == "binary":
            return f"to_hex({expression})", None
        if kind.kind in ("timestamp", "timestamptz"):
            return self.cast(expression, "VARCHAR"), None
        return super().transport(expression, kind)

    def make_schema(self, schema: str) -> str:
        """A database, by Hive's DDL, which takes no catalog in front of its name."""
        return f"CREATE DATABASE IF NOT EXISTS `{schema}`"
