"""Databricks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, unquote

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class Databricks(Source):
    """A SQL warehouse or a cluster of Databricks.

    Signs in with ``access_token``, or as a service principal with ``client_id`` and ``client_secret``.

    Args:
        host: The workspace's server, without ``https://``.
        port: Its port.
        http_path: Where the warehouse or cluster is that runs syncs.
        interactive_http_path: Where the one is that answers what somebody waits for; the same if None.
        access_token: A personal access token.
        client_id: A service principal's application id.
        client_secret: Its OAuth secret.
        catalog: Where models look names up, and the two schemas are, unless these are qualified.
        schema: The schema that models' names without one are of.
        session_configuration: More parameters of the session.
        socket_timeout: Seconds to wait for an answer of the server.
        statement_timeout: Seconds after which the warehouse ends a statement; its own limit if None.
        retry_seconds: How long to go on trying where it is busy (429) or starting (503).
        ca_file: A file of certificates to trust instead of the system's.
    """

    schemes: ClassVar = ("databricks",)
    example: ClassVar = "databricks://token:token@host/catalog/schema?http_path=/sql/1.0/warehouses/id"
    dialect: ClassVar = "databricks"
    driver: ClassVar = "databricks.sql"
    extra: ClassVar = "databricks"
    path: ClassVar = ("catalog", "schema")
    engine: ClassVar = "databricks"

    host: str
    http_path: str
    interactive_http_path: str | None = None
    port: int = 443
    access_token: str | None = secret()
    client_id: str | None = None
    client_secret: str | None = secret()
    catalog: str | None = None
    schema: str | None = None
    session_configuration: Mapping[str, str] = field(default_factory=dict, repr=False)
    socket_timeout: float = 900.0
    statement_timeout: int | None = None
    retry_seconds: float = 900.0
    ca_file: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what doesn't name one way to sign in."""
        super().__post_init__()
        if (self.client_id is None) != (self.client_secret is None):
            raise self._refuse("client_id and client_secret go together.")
        if (self.access_token is None) == (self.client_id is None):
            raise self._refuse("give either access_token, or client_id and client_secret.")
        if "/" in self.host:
            raise self._refuse("host is a name, without https:// and without a path.")

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read a URL, in which ``token:…@`` is a token and ``id:secret@`` a service principal."""
        scheme, colon, rest = url.partition("://")
        place = re.split("[/?]", rest, maxsplit=1)[0]
        signing, at, address = place.rpartition("@")
        user, _colon, word = signing.partition(":")
        if at and word:
            names = {"access_token": word} if user == "token" else {"client_id": user, "client_secret": word}
            fields = (f"{name}={quote(unquote(text), safe='')}" for name, text in names.items())
            more_of = rest[len(place) :]
            url = f"{scheme}{colon}{address}{more_of}{'&' if '?' in more_of else '?'}{'&'.join(fields)}"
        return super().from_url(url, **more)

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.databricks import open_databricks

        return open_databricks(self)
