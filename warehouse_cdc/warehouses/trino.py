"""Trino by its own client."""

from __future__ import annotations

from contextlib import closing
from os import fspath
from typing import Any

import requests
import trino
from trino import constants
from trino.auth import BasicAuthentication
from trino.exceptions import Error as DriverError
from trino.exceptions import HttpError, TrinoAuthError, TrinoConnectionError, TrinoQueryError

from warehouse_cdc.dialects import Trino, TrinoOnHive, TrinoOnPostgres
from warehouse_cdc.errors import PermissionDeniedError, QueryError, WarehouseError
from warehouse_cdc.sources import Trino as Source
from warehouse_cdc.warehouses.base import redacted
from warehouse_cdc.warehouses.trino_session import TrinoSession, source_of, tags_of

_DIALECTS: dict[str, type[Trino]] = {"hive": TrinoOnHive, "postgresql": TrinoOnPostgres}
"""Connectors whose tables hold less than Iceberg's."""
_PORTS = {"https": 443, "http": 8080}
_REQUESTS = 6
"""How often a request is sent that the server is too busy for, after growing waits of seconds in all."""
_session: Any = trino.dbapi.connect
"""Makes a session; the client has no types for it."""


def open_trino(source: Source) -> TrinoConnection:
    """Connect.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    arguments: dict[str, Any] = {
        "host": source.host,
        "port": source.port or _PORTS[source.http_scheme],
        "user": source.user,
        "catalog": source.catalog,
        "schema": source.schema,
        "http_scheme": source.http_scheme,
        "timezone": "UTC",
        "auth": BasicAuthentication(source.user, source.password) if source.password else None,
    }
    verify = True if source.verify is None else fspath(source.verify)
    with closing(TrinoConnection(arguments, verify)) as first:
        first.query("SELECT 1")
        connector = source.connector or _connector(first, source.catalog)
    arguments["max_attempts"] = _REQUESTS
    if connector == "hive":
        # Otherwise its tables hold milliseconds, and refuse what is finer.
        arguments["session_properties"] = {f"{source.catalog}.timestamp_precision": "MICROSECONDS"}
    return TrinoConnection(arguments, verify, _DIALECTS.get(connector, Trino))


def _connector(connection: TrinoConnection, catalog: str) -> str:
    """A catalog's connector; empty for one that isn't known, or that the user may not look up."""
    name = connection.dialect.literal(catalog)
    try:
        rows = connection.query(
            f"SELECT connector_name FROM system.metadata.catalogs WHERE catalog_name = {name}"
        )
    except PermissionDeniedError:
        return ""
    return str(rows[0][0]) if rows else ""


class TrinoConnection(TrinoSession):
    """A session by Trino's client."""

    server = "Trino"
    _failures = (DriverError, HttpError, requests.exceptions.RequestException)

    def __init__(self, arguments: dict[str, Any], verify: bool | str, dialect: type[Trino] = Trino) -> None:
        """Take the client's arguments, and which certificates to trust; nothing is sent yet."""
        super().__init__(dialect())
        self.dialect.catalog = arguments.get("catalog")
        self._arguments = arguments
        self._http = requests.Session()
        self._http.verify = verify

    def _new_cursor(self, spelled: bool) -> Any:
        told = {"source": source_of(self.labels.run), "client_tags": tags_of(self.labels)}
        # The client leaves the tags of the statement before where a statement has none.
        self._http.headers.pop(constants.HEADER_CLIENT_TAGS, None)
        session = _session(**self._arguments, **told, http_session=self._http)
        return session.cursor(legacy_primitive_types=spelled)

    def _mapped(self, error: Any, sql: str) -> WarehouseError:
        refused = isinstance(error, HttpError) and str(error).startswith("error 401")
        if refused or isinstance(error, TrinoAuthError):
            return self._refused_sign_in(sql)
        if isinstance(error, (HttpError, TrinoConnectionError, requests.exceptions.RequestException)):
            return self._unreachable(error, sql)
        if not isinstance(error, TrinoQueryError):
            return QueryError(f"Trino's client failed ({type(error).__name__}).", sql=redacted(sql))
        return self._refused(error, sql)

    def clone(self) -> TrinoConnection:
        """Another one with the same arguments."""
        return TrinoConnection(self._arguments, self._http.verify, type(self.dialect))

    def close(self) -> None:
        """Close the client's HTTP session."""
        self._http.close()
