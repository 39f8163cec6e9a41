"""What destinations over HTTP have in common: a URL, how to sign in, whom to trust, time limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from warehouse_cdc.destinations.base import Destination
from warehouse_cdc.destinations.http.client import (
    HttpClient,
    Secrets,
    TimeLimits,
    Tls,
    base_url,
    checked_headers,
    secrets_of,
    shown_url,
)
from warehouse_cdc.destinations.http.oauth import BearerAuth, OAuth2
from warehouse_cdc.errors import ConfigError


class Endpoint(Destination):
    """A destination behind a URL.

    Args:
        url: The URL.
        headers: Sent with every call; their values are secrets.
        auth: OAuth 2.
        tls: Whom to trust, and a client's certificate.
        limits: Time limits.
        name: What audit tables show; by default the URL's scheme and host.

    Raises:
        ConfigError: A value is out of range.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None,
        auth: OAuth2 | Mapping[str, Any] | None,
        tls: Tls | Mapping[str, Any] | None,
        limits: TimeLimits,
        name: str | None,
    ) -> None:
        self._url = base_url(url)
        self._name = name or shown_url(url)
        self._headers = checked_headers(headers)
        self._auth: OAuth2 | None = None if auth is None else made(OAuth2, auth, "auth")
        self._tls: Tls | None = None if tls is None else made(Tls, tls, "tls")
        self._limits = limits

    def __repr__(self) -> str:
        """Show the host; no path, header or secret."""
        return f"{type(self).__name__}({self._name})"

    @property
    def name(self) -> str:
        """The name that was given, or the URL's scheme and host."""
        return self._name

    def client(self, batch_timeout: float) -> HttpClient:
        """Connections for one run, whose calls end before a batch's time is over.

        Args:
            batch_timeout: Seconds that a batch may take.
        """
        total = min(self._limits.total, 0.8 * batch_timeout)
        limits = replace(
            self._limits,
            total=total,
            read=min(self._limits.read, 0.8 * total),
            connect=min(self._limits.connect, total),
        )
        base = urlsplit(self._url)
        pairs = parse_qsl(base.query, keep_blank_values=True)
        of_base = [value or name for name, value in pairs]
        of_base += [part.partition("=")[2] for part in base.query.split("&")]  # as they are spelled there
        of_base += [base.path.strip("/"), *(part for part in base.path.split("/") if len(part) >= 16)]
        secrets = Secrets(*secrets_of(self._headers), *of_base)
        return HttpClient(
            headers=self._headers,
            limits=limits,
            connections=self.capabilities.max_concurrency,
            auth=None if self._auth is None else BearerAuth(self._auth, self._tls, 0.5 * total, secrets),
            tls=self._tls,
            secrets=secrets,
            base=self._url,
        )


def made(kind: type[Any], value: Any, label: str) -> Any:
    """An object of a class, or what a project file holds in its place.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(f"{label} must be {kind.__name__}(...).", code="destination-option")
    try:
        return kind(**value)
    except TypeError as error:
        raise ConfigError(f"{label}: {argument(error)}", code="destination-option") from None


def argument(error: TypeError) -> str:
    """What a signature refuses, without Python's words for it."""
    return str(error).partition("__init__() ")[2] or "a value is of another type than it should be."
