"""Snowflake, with tables of its own kind or Iceberg tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import quote, urlsplit

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from typing_extensions import Self

    from warehouse_cdc.dialects import Dialect
    from warehouse_cdc.warehouses.base import Connection

_SIGN_INS = ("password", "private_key_file", "private_key", "token", "access_token", "workload_identity")


@dataclass(frozen=True, kw_only=True)
class Snowflake(Source):
    """Snowflake by its own connector; one way to sign in, or none where ``options`` name another.

    Args:
        account: The account's identifier: ``organization-account``, without the host name's rest.
        database: Where the two schemas are, and where models look names up.
        user: The login name; not needed with ``token`` or ``workload_identity``.
        warehouse: Computes runs; the user's default warehouse if None.
        interactive_warehouse: Computes what somebody waits for; the same if None.
        role: The role to run as; the user's default role if None.
        schema: The schema that models' names without one are of.
        private_key_file: A file with the private key of a key pair, in PEM.
        private_key: Its text instead.
        private_key_passphrase: What either is encrypted with.
        token: An OAuth token, or what is called for one for each new session; with ``workload_identity`` and
            the provider OIDC, the identity's token.
        access_token: A programmatic access token.
        workload_identity: The provider of the machine's identity.
        password: The user's password, where Snowflake still takes one.
        statement_timeout: Seconds after which Snowflake ends a statement; the account's limit if None.
        host: The server, if it isn't the account's own host name.
        port: Its port.
        protocol: ``https`` encrypts; ``http`` is for servers of tests.
        options: More arguments of the connector.
    """

    schemes: ClassVar[tuple[str, ...]] = ("snowflake",)
    example: ClassVar[str] = (
        "snowflake://user@account/database/schema?warehouse=wh&private_key_file=/path/key.p8"
    )
    dialect: ClassVar[str] = "snowflake"
    driver: ClassVar[str] = "snowflake.connector"
    extra: ClassVar[str] = "snowflake"
    path: ClassVar[tuple[str, ...]] = ("database", "schema")
    modules: ClassVar[tuple[str, ...]] = ("snowflake",)
    engine: ClassVar[str] = "snowflake"

    account: str
    database: str
    user: str | None = None
    warehouse: str | None = None
    interactive_warehouse: str | None = None
    role: str | None = None
    schema: str | None = None
    private_key_file: str | PathLike[str] | None = None
    private_key: str | None = secret()
    private_key_passphrase: str | None = secret()
    token: str | Callable[[], str] | None = secret()
    access_token: str | None = secret()
    workload_identity: Literal["AWS", "AZURE", "GCP", "OIDC"] | None = None
    password: str | None = secret()
    statement_timeout: int | None = None
    host: str | None = None
    port: int | None = None
    protocol: Literal["https", "http"] = "https"
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse what doesn't go together.

        Raises:
            ConfigError: There are two ways to sign in, a way lacks something, or a warehouse is missing.
        """
        super().__post_init__()
        ways = [name for name in _SIGN_INS if getattr(self, name) is not None]
        if ways not in ([], ["token", "workload_identity"]) and len(ways) > 1:
            raise self._refuse(f"{' and '.join(ways)} are two ways to sign in.", "Give one.")
        if not ways and "authenticator" not in self.options:
            raise self._refuse("there is no way to sign in.", f"Give one of {', '.join(_SIGN_INS)}.")
        if self.workload_identity == "OIDC" and self.token is None:
            raise self._refuse("workload_identity OIDC needs the identity's token.")
        if self.private_key_passphrase is not None and ways not in (["private_key"], ["private_key_file"]):
            raise self._refuse("private_key_passphrase has no key.", "Give private_key_file or private_key.")
        if self.user is None and ways and ways[0] in ("password", "private_key_file", "private_key"):
            raise self._refuse(f"{ways[0]} needs a user.")
        if self.interactive_warehouse is not None and self.warehouse is None:
            raise self._refuse("interactive_warehouse needs a warehouse to go back to.", "Name both.")
        if any(end in self.account.lower() for end in ("://", ".snowflakecomputing.")):
            raise self._refuse(
                "account is only the identifier.", "organization-account, without .snowflakecomputing.com."
            )

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read a URL whose host is the account."""
        try:
            parts = urlsplit(url)
            named = {"account": parts.hostname, "port": parts.port}
        except ValueError:
            raise cls._unreadable("The URL can't be read.") from None
        user, at, _host = parts.netloc.rpartition("@")
        given = [f"{name}={quote(str(value))}" for name, value in named.items() if value]
        query = "&".join([*given, *([parts.query] if parts.query else [])])
        return super().from_url(f"{parts.scheme}://{user}{at}{parts.path}?{query}", **more)

    @classmethod
    def from_engine(cls, engine: Engine) -> Connection:
        """A connection of the engine's own making, so that all that it was given counts."""
        cls.need()
        from warehouse_cdc.warehouses.snowflake import from_engine

        return from_engine(engine)

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A connection of the connector's, which stays its owner's."""
        from warehouse_cdc.warehouses.snowflake import adopt

        return adopt(connection)

    def spoken(self) -> Dialect:
        """The dialect, which may depend on fields."""
        from warehouse_cdc.dialects import Snowflake as Spoken

        return Spoken()

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.snowflake import open_snowflake

        return open_snowflake(self)


@dataclass(frozen=True, kw_only=True)
class SnowflakeIceberg(Snowflake):
    """Snowflake, with state and audit in Iceberg tables; fields as of ``Snowflake``.

    Args:
        external_volume: Where tables are kept; the schema's, database's or account's default if None.
        base_location: A prefix in it, under which each table has a folder; Snowflake's choice if None.
    """

    schemes: ClassVar[tuple[str, ...]] = ("snowflake-iceberg",)
    example: ClassVar[str] = (
        "snowflake-iceberg://user@account/database?private_key_file=/path/key.p8&external_volume=lake"
    )
    dialect: ClassVar[str] = "snowflake_iceberg"
    modules: ClassVar[tuple[str, ...]] = ()
    engine: ClassVar[str] = ""

    external_volume: str | None = None
    base_location: str | None = None

    def spoken(self) -> Dialect:
        """The dialect, which names volume and location in each table's statement."""
        from warehouse_cdc.dialects import SnowflakeIceberg as Spoken

        return Spoken(self.external_volume, self.base_location)
