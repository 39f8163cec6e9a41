"""Presto by its own client, of which only single requests are used.

The client's cursors send a statement again whose answer was lost, and hold whole results in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from itertools import chain, islice
from os import fspath
from typing import Any

import prestodb
import requests
from prestodb.exceptions import HttpError, PrestoQueryError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from warehouse_cdc.dialects import Presto
from warehouse_cdc.errors import WarehouseError
from warehouse_cdc.sources import Presto as Source
from warehouse_cdc.warehouses.trino_session import TrinoSession, source_of, tags_of

_PORTS = {"https": 443, "http": 8080}
_client: Any = prestodb.client
"""It has no types."""
_HEADERS = {"X-Presto-Time-Zone": "UTC"}
_PROPERTIES = {"field_names_in_json_cast_enabled": "true"}
"""Otherwise rows become arrays in JSON."""
_REPEATED = Retry(5, allowed_methods=["GET", "DELETE"], status_forcelist=[502, 503, 504], backoff_factor=0.2)
"""Requests that fetch can be sent again; one that sends a statement is only sent again if nobody heard it."""


def open_presto(source: Source) -> PrestoConnection:
    """Connect.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    connection = PrestoConnection(source)
    try:
        connection.query("SELECT 1")
    except BaseException:
        connection.close()
        raise
    return connection


class _Statement:
    """One statement: what the server answers, page by page.

    Attributes:
        query_id: The server's name of it.
        description: Its columns: name, type.
    """

    def __init__(self, request: Any, spelled: bool) -> None:
        self._request, self._spelled = request, spelled
        self._rows: Iterator[list[Any]] = iter(())
        self.query_id = ""
        self.description: list[tuple[str, str]] = []

    def execute(self, sql: str) -> None:
        """Send it, and wait for the first rows or its end."""
        first = self._request.process(self._request.post(sql))
        self.query_id = first.id
        pages = self._pages(first)
        for page in pages:
            if page:
                self._rows = chain(page, chain.from_iterable(pages))
                return

    def _pages(self, status: Any) -> Iterator[list[list[Any]]]:
        while True:
            if status.columns and not self.description:
                self.description = [(column["name"], column["type"]) for column in status.columns]
            yield status.rows
            if status.next_uri is None:
                return
            status = self._request.process(self._request.get(status.next_uri))

    def fetchmany(self, rows: int) -> list[list[Any]]:
        return [self._python(row) for row in islice(self._rows, rows)]

    def fetchall(self) -> list[list[Any]]:
        return [self._python(row) for row in self._rows]

    def _python(self, row: list[Any]) -> list[Any]:
        if self._spelled:
            return row
        return [_python(value, kind) for value, (_name, kind) in zip(row, self.description, strict=True)]

    def cancel(self) -> None:
        if self.query_id and self._request.next_uri is not None:
            self._request.delete(self._request.next_uri)


def _python(value: Any, kind: str) -> Any:
    """A value of a small result; times are those that runs record, in UTC."""
    if isinstance(value, str) and kind == "timestamp":
        return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)
    if isinstance(value, str) and kind.startswith("decimal"):
        return Decimal(value)
    return float(value) if isinstance(value, str) and kind in ("double", "real") else value


class PrestoConnection(TrinoSession):
    """A session by Presto's client."""

    server = "Presto"
    _failures = (HttpError, PrestoQueryError, requests.exceptions.RequestException)

    def __init__(self, source: Source) -> None:
        """Nothing is sent yet."""
        super().__init__(Presto())
        self.dialect.catalog = source.catalog
        self._source = source
        self._http = requests.Session()
        self._http.verify = True if source.verify is None else fspath(source.verify)
        for scheme in ("http://", "https://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=_REPEATED))
        if source.password is not None:
            self._http.auth = (source.user, source.password)

    def _new_cursor(self, spelled: bool) -> _Statement:
        source = self._source
        session = _client.ClientSession(
            source.user,
            source.catalog,
            source.schema,
            source_of(self.labels.run),
            _PROPERTIES,
            {**_HEADERS, "X-Presto-Client-Tags": ",".join(tags_of(self.labels))},
        )
        request = _client.PrestoRequest(
            source.host,
            source.port or _PORTS[source.http_scheme],
            session,
            http_session=self._http,
            http_scheme=source.http_scheme,
            max_attempts=1,
        )
        return _Statement(request, spelled)

    def _mapped(self, error: Any, sql: str) -> WarehouseError:
        if isinstance(error, PrestoQueryError):
            return self._refused(error, sql)
        if isinstance(error, HttpError) and "error 401" in str(error):
            return self._refused_sign_in(sql)
        return self._unreachable(error, sql)

    def clone(self) -> PrestoConnection:
        """Another one to the same server."""
        return PrestoConnection(self._source)

    def close(self) -> None:
        """Close the HTTP session."""
        self._http.close()
