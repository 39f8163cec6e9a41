"""PostgreSQL and its relatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class Postgres(Source):
    """PostgreSQL by psycopg 3; what isn't given is up to libpq: its environment variables and files.

    Args:
        conninfo: A URL or connection string of libpq; the other fields win over its parts.
        host: The server.
        port: Its port.
        database: The database.
        user: The role to sign in as.
        password: Its password.
        parameters: More of libpq's parameters, such as ``sslmode``.
    """

    schemes: ClassVar[tuple[str, ...]] = ("postgresql", "postgres")
    example: ClassVar[str] = "postgresql://user:password@host:5432/database"
    dialect: ClassVar[str] = "postgres"
    driver: ClassVar[str] = "psycopg"
    extra: ClassVar[str] = "postgres"
    modules: ClassVar[tuple[str, ...]] = ("psycopg",)
    engine: ClassVar[str] = "postgresql"

    conninfo: str | None = secret()
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = secret()
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Leave the URL to libpq, which reads it when it connects."""
        return cls(conninfo=f"postgresql://{url.partition('://')[2]}", **more)

    @classmethod
    def from_engine(cls, engine: Engine) -> Connection:
        """A connection of the engine's own making."""
        cls.need()
        from warehouse_cdc.warehouses.postgres import from_engine

        return from_engine(engine)

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A connection of psycopg's, which stays its owner's."""
        import psycopg

        from warehouse_cdc.warehouses.postgres import PostgresConnection

        if not isinstance(connection, psycopg.Connection):
            return super().adopt(connection)
        return PostgresConnection(connection, owned=False)

    @property
    def options(self) -> dict[str, str]:
        """The fields by libpq's names, but for ``conninfo``."""
        named = {"host": self.host, "port": self.port, "dbname": self.database}
        named |= {"user": self.user, "password": self.password}
        return {**self.parameters, **{name: str(v) for name, v in named.items() if v is not None}}

    def _open(self) -> Connection:
        from warehouse_cdc.dialects import Postgres as Dialect
        from warehouse_cdc.dialects import get_dialect
        from warehouse_cdc.warehouses.postgres import open_postgres

        spoken = get_dialect(self.dialect)
        assert isinstance(spoken, Dialect)
        return open_postgres(self.conninfo or "", spoken, options=self.options)


@dataclass(frozen=True, kw_only=True)
class Greenplum(Postgres):
    """Greenplum; fields as of ``Postgres``."""

    schemes: ClassVar[tuple[str, ...]] = ("greenplum",)
    example: ClassVar[str] = "greenplum://user:password@coordinator:5432/database"
    dialect: ClassVar[str] = "greenplum"
    extra: ClassVar[str] = "greenplum"
    modules: ClassVar[tuple[str, ...]] = ()
    engine: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True)
class Lakebase(Postgres):
    """Lakebase; fields as of ``Postgres``.

    Args:
        token: Called for the password of each new session: an OAuth token.
    """

    schemes: ClassVar[tuple[str, ...]] = ("lakebase",)
    example: ClassVar[str] = "lakebase://user:password@instance:5432/database"
    dialect: ClassVar[str] = "lakebase"
    extra: ClassVar[str] = "lakebase"
    modules: ClassVar[tuple[str, ...]] = ()
    engine: ClassVar[str] = ""

    token: Callable[[], str] | None = secret()

    def _open(self) -> Connection:
        from warehouse_cdc.dialects import Lakebase as Dialect
        from warehouse_cdc.warehouses.postgres import open_postgres

        return open_postgres(self.conninfo or "", Dialect(), options=self.options, token=self.token)


@dataclass(frozen=True, kw_only=True)
class Redshift(Postgres):
    """Redshift; fields as of ``Postgres``, and the port is 5439 if none is given."""

    schemes: ClassVar[tuple[str, ...]] = ("redshift",)
    example: ClassVar[str] = "redshift://user:password@cluster:5439/database"
    dialect: ClassVar[str] = "redshift"
    extra: ClassVar[str] = "redshift"
    modules: ClassVar[tuple[str, ...]] = ()
    engine: ClassVar[str] = ""

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.redshift import open_redshift

        return open_redshift(self.conninfo or "", self.options)
