"""OAuth 2 for HTTP destinations: tokens that are fetched, renewed and, where they rotate, kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from concurrent.futures import Future, wait
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from warehouse_cdc.destinations.http.client import (
    Secrets,
    Tls,
    base_url,
    check_types,
    checked_headers,
    shown_url,
)
from warehouse_cdc.errors import AuthenticationError, ConfigError, DestinationError

_OWN = frozenset(
    {"auth", "body", "client_id", "client_secret", "grant_type", "headers", "method", "password"}
    | {"refresh_token", "scope", "state", "token_url", "url", "username"}
)
"""Parameters of requests for tokens that others say."""
_LEEWAY = 60.0
"""A token is renewed so many seconds before it ends."""


@dataclass(frozen=True, kw_only=True)
class OAuth2:
    """How an access token is got.

    Args:
        token_url: Where access tokens are asked for.
        client_id: The client's id.
        client_secret: Its secret.
        grant: ``client_credentials``, ``password``, or ``authorization_code``: then ``refresh_token`` is what
            a person's consent has brought.
        username: For ``password``.
        password: For ``password``.
        refresh_token: For ``authorization_code``.
        refresh_url: Where tokens are renewed, if not at ``token_url``.
        scopes: Scopes to ask for.
        client_auth: Whether id and secret travel in the ``header`` or in the ``body``.
        header_prefix: What stands before the token in the ``Authorization`` header.
        token_params: More parameters of requests for a token.
        refresh_params: More parameters of requests that renew one.
        token_file: File that keeps a refresh token that the server replaces, for the next process. It belongs
            to its user alone (mode 600).

    Raises:
        ConfigError: A value is missing or has no meaning (code ``destination-auth``).
    """

    token_url: str = field(repr=False)
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    grant: Literal["client_credentials", "password", "authorization_code"] = "client_credentials"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    refresh_url: str | None = field(default=None, repr=False)
    scopes: str | None = None
    client_auth: Literal["header", "body"] = "header"
    header_prefix: str = "Bearer"
    token_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    refresh_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    token_file: str | PathLike[str] | None = None

    def __post_init__(self) -> None:
        """Check what the grant needs."""
        check_types(OAuth2, vars(self), "auth: ", "destination-auth")
        checked_headers({"Authorization": self.header_prefix})
        base_url(self.token_url)
        if self.refresh_url is not None:
            base_url(self.refresh_url)
        needs = {
            "client_credentials": ("client_secret",),
            "password": ("username", "password"),
            "authorization_code": ("refresh_token",),
        }
        if self.grant not in needs:
            raise ConfigError(
                f"auth: grant {self.grant!r} is unknown.",
                code="destination-auth",
                hint=f"One of {', '.join(needs)}.",
            )
        for label in ("token_params", "refresh_params"):
            if clash := sorted(_OWN.intersection(getattr(self, label))):
                raise ConfigError(
                    f"auth: {label} can't hold {clash[0]}, which has an argument.", code="destination-auth"
                )
        for label in needs[self.grant]:
            if getattr(self, label) is None and not (label == "refresh_token" and self.token_file):
                raise ConfigError(f"auth: grant {self.grant!r} needs {label}.", code="destination-auth")
        if self.client_auth not in ("header", "body"):
            raise ConfigError("auth: client_auth is header or body.", code="destination-auth")

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may hold."""
        found = (
            self.client_secret,
            self.username,
            self.password,
            self.refresh_token,
            *self.token_params.values(),
        )
        return tuple(text for text in (*found, *self.refresh_params.values()) if text)


class BearerAuth(httpx2.Auth):
    """Signs calls with an access token, which all threads share; a refused one is renewed once."""

    def __init__(self, settings: OAuth2, tls: Tls | None, timeout: float, secrets: Secrets) -> None:
        """Fetch nothing yet; ``secrets`` gets each token that is fetched."""
        self._settings = settings
        self._longest = 1.5 * timeout
        self._secrets = secrets
        self._lock = threading.Lock()
        self._token: dict[str, Any] = {}
        self._request: Future[dict[str, Any]] | None = None
        self._refresh_token = self._kept() or settings.refresh_token
        secrets.add(*settings.secrets, self._refresh_token or "")
        method = "client_secret_basic" if settings.client_auth == "header" else "client_secret_post"
        self._client = OAuth2Client(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            token_endpoint_auth_method=method if settings.client_secret else "none",
            scope=settings.scopes,
            verify=tls.context() if tls is not None else True,
            timeout=timeout,
        )

    def close(self) -> None:
        """Close the connections to the server of tokens."""
        self._client.close()

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Sign a call; and again with a new token if the first is refused."""
        token = self._current(refused=None)
        request.headers["Authorization"] = f"{self._settings.header_prefix} {token}".strip()
        response = yield request
        if response.status_code == 401:
            again = self._current(refused=token)
            request.headers["Authorization"] = f"{self._settings.header_prefix} {again}".strip()
            yield request

    def _current(self, refused: str | None) -> str:
        """An access token other than one that was refused; whoever needs one waits for one request of it."""
        with self._lock:
            held = self._token.get("access_token")
            if held is not None and held != refused and time.monotonic() < self._token["ends"]:
                return str(held)
            request = self._request
            if asks := request is None:
                request = self._request = Future()
        if asks:
            # By a thread of its own: a server that answers drop by drop keeps no call waiting.
            threading.Thread(target=self._fetch, args=(request,), name="wcdc-token", daemon=True).start()
        wait([request], self._longest)
        if not request.done():
            raise DestinationError(
                f"{shown_url(self._settings.token_url)} took too long.", code="destination-unreachable"
            )
        if (error := request.exception()) is not None:
            raise copy(error)
        return str(request.result()["access_token"])

    def _fetch(self, request: Future[dict[str, Any]]) -> None:
        try:
            token, error = self._fetched(), None
        except Exception as caught:
            token, error = {}, caught
        with self._lock:
            self._token, self._request = token, None
        if error is None:
            request.set_result(token)
        else:
            request.set_exception(error)

    def _fetched(self) -> dict[str, Any]:
        settings = self._settings
        try:
            if self._refresh_token is not None:
                try:
                    found = self._renewed()
                except OAuthError:
                    if settings.grant == "authorization_code":
                        raise
                    self._refresh_token = None  # the grant itself brings a new one
                    found = self._asked()
            else:
                found = self._asked()
        except OAuthError as error:
            told = self._secrets.scrubbed(str(error.error))
            raise AuthenticationError(
                f"{shown_url(settings.token_url)} gave no access token ({told}).",
                hint="Look whether client, secret, grant and scopes are right.",
            ) from None
        except httpx2.HTTPStatusError as error:
            raise DestinationError(
                f"{shown_url(settings.token_url)} gave no access token "
                f"(status {error.response.status_code}).",
                status=error.response.status_code,
            ) from None
        except httpx2.HTTPError as error:
            raise DestinationError(
                f"{shown_url(settings.token_url)} can't be reached ({type(error).__name__}).",
                code="destination-unreachable",
            ) from None
        except ValueError:
            raise AuthenticationError(
                f"{shown_url(settings.token_url)} answered with something else than a token."
            ) from None
        token = found.get("access_token") if isinstance(found, Mapping) else None
        if not isinstance(token, str) or not re.fullmatch("[!-~]+", token):
            raise AuthenticationError(f"{shown_url(settings.token_url)} gave no access token.")
        rotated = found.get("refresh_token")
        self._secrets.add(token, str(rotated or ""))
        if rotated and rotated != self._refresh_token:
            self._refresh_token = str(rotated)
            self._keep(self._refresh_token)
        try:
            lasts = float(found.get("expires_in") or "inf")
        except OverflowError:
            lasts = float("inf")
        leeway = min(_LEEWAY, lasts / 4) if lasts != float("inf") else 0.0
        return {"access_token": token, "ends": time.monotonic() + lasts - leeway}

    def _asked(self) -> Any:
        settings = self._settings
        more = {"username": settings.username, "password": settings.password}
        return self._client.fetch_token(
            settings.token_url,
            grant_type=settings.grant,
            **(more if settings.grant == "password" else {}),
            **settings.token_params,
        )

    def _renewed(self) -> Any:
        settings = self._settings
        return self._client.refresh_token(
            settings.refresh_url or settings.token_url,
            refresh_token=self._refresh_token,
            **settings.refresh_params,
        )

    @property
    def _given(self) -> str | None:
        """What tells one declared refresh token from another: a new one is another consent."""
        token = self._settings.refresh_token
        return None if token is None else hashlib.sha256(token.encode()).hexdigest()

    def _kept(self) -> str | None:
        """The refresh token that an earlier process has kept in place of the declared one."""
        path = self._settings.token_file
        if path is None or not Path(path).exists():
            return None
        try:
            kept = json.loads(Path(path).read_text("utf-8"))
            mine = kept["client_id"] == self._settings.client_id
            again = self._given is None or kept.get("of", self._given) == self._given
            return str(kept["refresh_token"]) if mine and again else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"auth: token_file can't be read ({type(error).__name__}).", code="destination-auth"
            ) from None

    def _keep(self, token: str) -> None:
        """Keep a refresh token for the next process: whole, or not at all."""
        if self._settings.token_file is None:
            return
        path = Path(self._settings.token_file)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    held = {"client_id": self._settings.client_id, "of": self._given}
                    json.dump({**held, "refresh_token": token}, file)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            raise AuthenticationError(
                f"auth: token_file can't be written ({type(error).__name__}), "
                "and the server has replaced the refresh token.",
                hint="Make the file writable, and sign in again if the old token is refused.",
            ) from None
