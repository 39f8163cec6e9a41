"""Sessions of Microsoft's driver: the place, the login, and the tokens of service principals."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msal
import mssql_python
from mssql_python import Error as DriverError
from mssql_python.exceptions import ConnectionStringParseError

from warehouse_cdc.errors import ConfigError, ConnectionLostError
from warehouse_cdc.sources.tsql import Synapse
from warehouse_cdc.warehouses.base import fresh_token
from warehouse_cdc.warehouses.tsql_errors import mapped

if TYPE_CHECKING:
    from warehouse_cdc.sources.tsql import _TSQL as Source

_session: Any = mssql_python.connect
"""Opens a session; its types are too narrow for a dictionary of attributes."""
ACCESS_TOKEN = 1256
"""The attribute of a session that holds its token."""
SCOPE = "https://database.windows.net/.default"
_AUTHORITY = "https://login.microsoftonline.com/"
_NAMES = {
    **dict.fromkeys(("user id", "user"), "uid"),
    **{"password": "pwd", "initial catalog": "database", "data source": "server"},
}
_ADO = frozenset(
    {"connect timeout", "connection timeout", "multipleactiveresultsets", "persist security info", "pooling"}
)
"""Names in a connection string that say nothing to this driver."""


def opener_of(source: Source) -> Callable[[], Any]:
    """What opens sessions of the driver."""
    tokens = _tokens(source)
    given = _arguments(source)

    def session() -> Any:
        attributes = {} if tokens is None else {ACCESS_TOKEN: _token_attribute(tokens())}
        try:
            connection = _session(**given, autocommit=True, attrs_before=attributes)
        except ConnectionStringParseError:
            raise ConfigError(
                "The connection string can't be read.",
                code="source-field",
                hint="Server=server;Database=database;User Id=username;Password=password;Encrypt=yes",
            ) from None
        except DriverError as error:
            raise mapped(error, "") from None
        connection.timeout = source.request_timeout or 0
        return connection

    return session


def _arguments(source: Source) -> dict[str, Any]:
    """The place and the login, by the driver's names."""
    if isinstance(source, Synapse) and source.connection_string is not None:
        return {"connection_str": _by_drivers_names(source.connection_string)}
    found: dict[str, Any] = {
        "server": f"tcp:{source.host},{source.port}",
        "database": source.database,
        "encrypt": "yes",
        "trustservercertificate": "yes" if source.trust_server_certificate else "no",
    }
    if isinstance(source, Synapse) and source.user:
        found |= {"uid": source.user, "pwd": source.password}
    return found


def _by_drivers_names(connection_string: str) -> str:
    """A connection string with the names that the driver knows, and its words for yes and no."""
    parts = []
    for part in re.findall(r"(?:[^;{]|\{(?:[^}]|\}\})*\})+", connection_string):
        name, equals, value = part.partition("=")
        plain = name.strip().lower()
        if plain in _ADO:
            continue
        if plain == "authentication":
            value = value.replace(" ", "").strip("'\"")
        if plain in ("encrypt", "trustservercertificate"):
            value = {"true": "yes", "false": "no"}.get(value.strip().lower(), value)
        parts.append(f"{_NAMES.get(plain, name.strip())}{equals}{value}")
    return ";".join(parts)


def _tokens(source: Source) -> Callable[[], str] | None:
    """What gives the token of a new session; None where a login signs in."""
    if source.token is not None:
        return partial(fresh_token, source.token)
    if source.tenant_id is None:
        return None
    credential: Any = source.client_secret
    if source.certificate_thumbprint:
        thumbprint = source.certificate_thumbprint.replace(":", "").replace(" ", "")
        credential = {"private_key": source.key_text(), "thumbprint": thumbprint}
    return _principal(source.client_id or "", source.tenant_id, credential)


def _principal(client_id: str, tenant_id: str, credential: Any) -> Callable[[], str]:
    """The tokens of a service principal; the client keeps one as long as it is valid."""
    clients: list[Any] = []

    def token() -> str:
        try:
            if not clients:
                clients.append(
                    msal.ConfidentialClientApplication(
                        client_id, client_credential=credential, authority=_AUTHORITY + tenant_id
                    )
                )
            answer = clients[0].acquire_token_for_client([SCOPE])
        except Exception as error:
            raise ConnectionLostError(
                f"The service principal can't sign in ({type(error).__name__}).",
                hint="Check tenant_id, the certificate's key, and the way to login.microsoftonline.com.",
            ) from None
        if "access_token" not in answer:
            raise ConnectionLostError(
                f"Microsoft Entra ID refused the service principal ({answer.get('error', 'no reason')}).",
                hint="Check tenant_id, client_id, and the secret or certificate and when it expires.",
                retryable=False,
            )
        return str(answer["access_token"])

    return token


def _token_attribute(token: str) -> bytes:
    """A token as the driver takes it: its length, and its characters of two bytes."""
    encoded = token.encode("utf-16-le")
    return len(encoded).to_bytes(4, "little") + encoded
