"""Trino and Presto."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, ClassVar, Literal

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class _Coordinator(Source):
    """What both are reached by.

    Args:
        host: The coordinator.
        port: Its port: 443, or 8080 without encryption, if None.
        user: Whom statements are run for.
        password: The user's password, if there is one.
        catalog: Where state and audit tables are, and where models look names up.
        schema: The schema that models' names without one are of.
        http_scheme: ``https`` encrypts; ``http`` doesn't.
        verify: A file of certificates to trust instead of the system's.
    """

    path: ClassVar = ("catalog", "schema")

    host: str
    user: str
    catalog: str
    port: int | None = None
    password: str | None = secret()
    schema: str | None = None
    http_scheme: Literal["https", "http"] = "https"
    verify: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse a password that would travel in the clear, and what no HTTP header can hold.

        Raises:
            ConfigError: There is one (code ``source-field``).
        """
        super().__post_init__()
        if "/" in self.host:
            raise self._refuse("host must be the server's name alone.", "Without https:// and slashes.")
        if self.password is not None and self.http_scheme != "https":
            raise self._refuse("password needs http_scheme https.", "Without encryption, give a user alone.")
        for name in ("user", "password", "catalog", "schema"):
            if any(ord(character) > 255 for character in getattr(self, name) or ""):
                raise self._refuse(f"{name} must have characters of Latin-1 only: it is sent in a header.")


@dataclass(frozen=True, kw_only=True)
class Trino(_Coordinator):
    """Trino, on a catalog of tables.

    Args:
        connector: The catalog's connector; it is looked up if None.
    """

    schemes: ClassVar = ("trino",)
    example: ClassVar = "trino://user:password@host:443/catalog/schema?http_scheme=https&verify=/path/ca.pem"
    dialect: ClassVar = "trino"
    driver: ClassVar = "trino"
    extra: ClassVar = "trino"

    connector: Literal["iceberg", "hive", "postgresql"] | None = None

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.trino import open_trino

        return open_trino(self)


@dataclass(frozen=True, kw_only=True)
class Presto(_Coordinator):
    """Presto, on a catalog of tables."""

    schemes: ClassVar = ("presto",)
    example: ClassVar = "presto://user:password@host:443/catalog/schema?http_scheme=https"
    dialect: ClassVar = "presto"
    driver: ClassVar = "prestodb"
    extra: ClassVar = "presto"

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.presto import open_presto

        return open_presto(self)
