"""Databases that are only read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.sources.base import Source

if TYPE_CHECKING:
    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class Database(Source):
    """Any database that SQLAlchemy reads; its state is kept in a DuckDB file: ``connect(…, state=…)``.

    Args:
        url: SQLAlchemy's URL of it.
    """

    schemes: ClassVar = ()
    example: ClassVar = "mysql+pymysql://user:password@host/database"
    driver: ClassVar = "sqlalchemy"
    extra: ClassVar = ""

    url: str = field(repr=False)

    @property
    def dialect(self) -> str:  # type: ignore[override]
        """SQLAlchemy's name of what is spoken there."""
        scheme, colon, _rest = self.url.partition("://")
        return scheme.partition("+")[0].lower() if colon else "that"

    def _open(self) -> Connection:
        raise ConfigError(
            f"{self.dialect} is no warehouse that the engine runs in.",
            code="settings",
            hint='Name a DuckDB file for its state: state="syncs.duckdb".',
        )
