"""Synapse's dedicated SQL pools and Fabric's warehouses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from warehouse_cdc.errors import UnsupportedError
from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from warehouse_cdc.warehouses.base import Connection

_SERVERLESS = "-ondemand."
_PRINCIPAL = ("client_secret", "certificate_thumbprint", "private_key", "private_key_file")


@dataclass(frozen=True, kw_only=True)
class _TSQL(Source):
    """What both take: the place, and how a service principal or a token signs in.

    Args:
        host: The server's name, without a scheme before it or a slash behind.
        database: The database: a dedicated SQL pool or a warehouse.
        port: The server's port.
        tenant_id: Of a service principal: the directory's id.
        client_id: Its application's id.
        client_secret: Its secret, unless it has a certificate.
        certificate_thumbprint: The thumbprint of its certificate: hexadecimal digits.
        private_key: The certificate's key as PEM text, header and footer included.
        private_key_file: A file with that text, instead.
        token: Instead of a service principal: called for an access token for each new session.
        request_timeout: Seconds that a statement may take; None for any time.
        trust_server_certificate: Don't check the server's certificate.
    """

    driver: ClassVar[str] = "mssql_python"
    path: ClassVar[tuple[str, ...]] = ("database",)

    host: str | None = None
    database: str | None = None
    port: int = 1433
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: str | None = secret()
    certificate_thumbprint: str | None = None
    private_key: str | None = secret()
    private_key_file: str | PathLike[str] | None = None
    token: Callable[[], str] | None = secret()
    request_timeout: int | None = None
    trust_server_certificate: bool = False

    def __post_init__(self) -> None:
        """Look whether the fields go together.

        Raises:
            ConfigError: They don't (code ``source-field``).
        """
        super().__post_init__()
        if not self.host or not self.database:
            raise self._refuse("host and database must be given.", self.example)
        if set("/:;,") & set(self.host):
            raise self._refuse("host must be the server's name alone.", "Without https:// and slashes.")
        ways = self._ways()
        if len(ways) != 1:
            found = " and ".join(ways) if ways else "none is given"
            raise self._refuse(f"there must be one way to sign in: {found}.", self._hint())
        if "a service principal" in ways:
            self._check_principal()
        if (self.request_timeout or 0) < 0:
            raise self._refuse("request_timeout can't be negative.")

    def _ways(self) -> list[str]:
        """The ways to sign in that are given."""
        principal = any(getattr(self, name) for name in ("tenant_id", "client_id", *_PRINCIPAL))
        return [way for way, given in (("a service principal", principal), ("token", self.token)) if given]

    def _hint(self) -> str:
        principal = "tenant_id, client_id and client_secret (or certificate_thumbprint and private_key)"
        return f"Give {principal}, or token."

    def _check_principal(self) -> None:
        if not (self.tenant_id and self.client_id):
            raise self._refuse("a service principal needs tenant_id and client_id.")
        keys = [name for name in ("private_key", "private_key_file") if getattr(self, name)]
        if self.client_secret:
            if keys or self.certificate_thumbprint:
                raise self._refuse("a service principal has a client_secret or a certificate, not both.")
        elif not (self.certificate_thumbprint and len(keys) == 1):
            raise self._refuse(
                "a service principal needs client_secret, or certificate_thumbprint and its key.",
                "private_key is the PEM text, private_key_file a file with it.",
            )
        elif self.private_key and "-----BEGIN" not in self.private_key:
            raise self._refuse("private_key must be PEM text with its header and footer.")

    def key_text(self) -> str:
        """The certificate's key as PEM text.

        Raises:
            ConfigError: The file can't be read, or holds no such text (code ``source-field``).
        """
        if self.private_key_file is None:
            return self.private_key or ""
        try:
            text = Path(self.private_key_file).read_text(encoding="ascii")
        except (OSError, ValueError):
            raise self._refuse("private_key_file can't be read.") from None
        if "-----BEGIN" not in text:
            raise self._refuse("private_key_file must hold PEM text with its header and footer.")
        return text

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.tsql import open_tsql

        return open_tsql(self)


@dataclass(frozen=True, kw_only=True)
class Synapse(_TSQL):
    """Azure Synapse Analytics: a dedicated SQL pool.

    Args:
        user: A login of SQL, instead of a service principal.
        password: The login's password.
        connection_string: Instead of host, database and sign-in, as Azure's portal shows it:
            ``Server=…;Database=…;User Id=…;Password=…;Encrypt=…``.
    """

    schemes: ClassVar = ("synapse",)
    example: ClassVar = "synapse://user:password@workspace.sql.azuresynapse.net:1433/pool"
    dialect: ClassVar = "synapse"
    extra: ClassVar = "synapse"

    user: str | None = None
    password: str | None = secret()
    connection_string: str | None = secret()

    def __post_init__(self) -> None:
        """Look whether the fields go together, and whether the pool is a dedicated one.

        Raises:
            ConfigError: They don't (code ``source-field``).
            UnsupportedError: The host is that of a serverless pool.
        """
        if self.connection_string is None:
            super().__post_init__()
        elif self.host or self.database or self._ways() != ["connection_string"]:
            raise self._refuse("connection_string comes without host, database and sign-in.")
        else:
            super(_TSQL, self).__post_init__()
        if _SERVERLESS in (self.connection_string or self.host or "").lower():
            raise UnsupportedError(
                "Serverless SQL pools have no tables to write to.",
                code="serverless-pool",
                hint="Use a dedicated SQL pool: its host has no -ondemand in its name.",
            )
        if bool(self.user) != bool(self.password):
            raise self._refuse("user and password come together.")

    def _ways(self) -> list[str]:
        login = self.user or self.password
        more = (("user and password", login), ("connection_string", self.connection_string))
        return [*super()._ways(), *(way for way, given in more if given)]

    def _hint(self) -> str:
        return f"Give user and password. Or: {super()._hint()[5:]}"


@dataclass(frozen=True, kw_only=True)
class Fabric(_TSQL):
    """Microsoft Fabric: a warehouse. It has no logins of SQL."""

    schemes: ClassVar = ("fabric",)
    example: ClassVar = (
        "fabric://endpoint.datawarehouse.fabric.microsoft.com/shop?tenant_id=…&client_id=…&client_secret=…"
    )
    dialect: ClassVar = "fabric"
    extra: ClassVar = "fabric"
