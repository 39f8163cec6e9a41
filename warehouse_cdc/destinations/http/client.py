"""Calls over HTTP: one client a run, time limits, and what an answer says of the rows that were sent."""

from __future__ import annotations

import base64
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from warehouse_cdc.destinations.encoding import plain
from warehouse_cdc.destinations.exchanges import Exchange, record, wanted
from warehouse_cdc.destinations.spelling import CUT, HIDDEN, hiding, spelled
from warehouse_cdc.errors import (
    AuthenticationError,
    ConfigError,
    DestinationError,
    PayloadTooLargeError,
    RateLimitedError,
)
from warehouse_cdc.typed import MismatchError, fields_of, fit

_MEGABYTE = 1 << 20
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_parsed = lru_cache(maxsize=64)(httpx2.URL)
LONGEST_ANSWER = _MEGABYTE
"""Bytes of an answer that are read; the rest of it is left."""
_LAST_LOOK = 0.05
"""Seconds for the body of an answer that begins when the call's time is over."""
NOT_APPLIED = frozenset({408, 425, 503})
"""Answers of a server that has not looked at the request, and may when asked again."""


@dataclass(frozen=True)
class Tls:
    """How a server is trusted, and how the client proves who it is.

    Args:
        ca: File with the certificates of authorities to trust, in place of the usual ones (PEM).
        certificate: File with the client's certificate, for mutual TLS (PEM; with its key, or beside it).
        key: File with the certificate's key (PEM).
        password: The key's password.
    """

    ca: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Look whether the files are there."""
        check_types(Tls, vars(self), "tls: ", "destination-tls")
        for label in ("ca", "certificate", "key"):
            path = getattr(self, label)
            if path is None:
                continue
            if not Path(path).is_file():
                raise ConfigError(f"tls: {label} {str(path)!r} is no file.", code="destination-tls")
            if Path(path).stat().st_size > 10 * _MEGABYTE:
                raise ConfigError(f"tls: {label} has more than 10 MB.", code="destination-tls")
        if (self.key or self.password) and not self.certificate:
            raise ConfigError("tls: key and password belong to a certificate.", code="destination-tls")

    def context(self) -> ssl.SSLContext:
        """What it means for a connection.

        Raises:
            ConfigError: A file isn't what it should be, or the password is wrong.
        """
        try:
            made = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                made.load_cert_chain(self.certificate, self.key, self.password or "")
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(
                f"tls: the files can't be used ({type(error).__name__}).",
                code="destination-tls",
                hint="They must be PEM; the key must belong to the certificate, and the password to the key.",
            ) from None
        return made


def check_types(
    of: Callable[..., Any], values: Mapping[str, Any], label: str = "", code: str = "destination-option"
) -> None:
    """Look whether plain values are what a signature takes; objects are what they are.

    Raises:
        ConfigError: One isn't.
    """
    for name, known in fields_of(of).items():
        value = values[name]
        try:
            if isinstance(value, str | int | float | list | dict):
                fit(value, known.hint)
        except MismatchError as error:
            raise ConfigError(f"{label}{name} must be {error}.", code=code) from None
        if name in ("batch_rows", "concurrency") and value < 1:
            raise ConfigError(f"{label}{name} must be at least 1.", code=code)


def base_url(url: Any) -> str:
    """A URL that calls can begin with.

    Raises:
        ConfigError: It isn't one.
    """
    try:
        known = (
            isinstance(url, str) and httpx2.URL(url).scheme in ("http", "https") and not re.search(r"\s", url)
        )
        parts = urlsplit(url if known else "")
        known = known and bool(parts.hostname) and parts.port != 0
    except (ValueError, httpx2.InvalidURL):
        known = False
    if not known:
        raise ConfigError("url must begin with http:// or https:// and a host.", code="destination-url")
    if parts.username or parts.password:
        raise ConfigError(
            "url can't hold a user and password.",
            code="destination-url",
            hint="Send them as a header, or use auth.",
        )
    return str(url)


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers that every call can have.

    Raises:
        ConfigError: A name or a value can't be sent.
    """
    for name, value in (headers or {}).items():
        if (
            not isinstance(value, str)
            or not isinstance(name, str)
            or not _NAME.fullmatch(name)
            or not _VALUE.fullmatch(value)
        ):
            raise ConfigError(
                f"The header {name!r} can't be sent.",
                code="destination-option",
                hint="Its value must be one line of ASCII text.",
            )
    return dict(headers or {})


def shown_url(url: str) -> str:
    """What may be shown of a URL: scheme and host; a path or a query may hold secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


class Secrets:
    """Texts that no message may hold, however they are spelled; used from several threads.

    Args:
        texts: The first of them. Those of less than four characters aren't looked for.
    """

    def __init__(self, *texts: str) -> None:
        self._texts: set[str] = set()
        self._lock = threading.Lock()
        self._hide: Callable[[str], str] = plain
        self.add(*texts)

    def add(self, *texts: str) -> None:
        """More of them."""
        with self._lock:
            new = {text for text in texts if len(text) > 3}
            if not new <= self._texts:
                self._texts |= new
                self._hide = hiding(set[str]().union(*map(spelled, self._texts)), shortest=4)

    def scrubbed(self, text: str) -> str:
        """A text without them."""
        return self._hide(text)


def secrets_of(headers: Mapping[str, str]) -> Iterator[str]:
    """What headers hold: their values, what follows a scheme, and a user's password."""
    for value in headers.values():
        scheme, _, credentials = value.partition(" ")
        yield from (value, credentials, credentials.strip('"'))
        if scheme.lower() == "basic":
            with suppress(ValueError):
                user = base64.b64decode(credentials).decode()
                yield from (user, user.partition(":")[2])


_QUIET: ContextVar[bool] = ContextVar("wcdc_quiet", default=False)


class _Quiet(logging.Filter):
    """Drops what the HTTP library logs of our calls: URLs and headers, with row values and secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _QUIET.get()


for _name in (
    "httpx2",
    *(f"httpcore2.{part}" for part in ("connection", "http11", "http2", "proxy", "socks")),
):
    logging.getLogger(_name).addFilter(_Quiet())


@contextmanager
def _quietly() -> Iterator[None]:
    token = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(token)


@dataclass(frozen=True)
class TimeLimits:
    """Seconds.

    Attributes:
        connect: Until a connection is made.
        read: Between two parts of the answer.
        total: For the whole call, once its answer has begun.
    """

    connect: float = 5.0
    read: float = 30.0
    total: float = 30.0

    def __post_init__(self) -> None:
        """Check each."""
        for label in ("connect", "read", "total"):
            value = getattr(self, label)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ConfigError(
                    f"{label}_timeout must be a number of seconds above 0.", code="destination-option"
                )


class HttpClient:
    """Makes the calls of one run; used from several threads.

    Args:
        headers: Sent with every call.
        limits: Time limits.
        connections: The most connections at once.
        auth: Signs each call.
        tls: How servers are trusted.
        secrets: Texts that no message may hold.
        base: What URLs begin with; its path and query aren't shown.
    """

    def __init__(
        self,
        *,
        headers: Mapping[str, str],
        limits: TimeLimits,
        connections: int,
        auth: httpx2.Auth | None = None,
        tls: Tls | None = None,
        secrets: Secrets | None = None,
        base: str = "",
    ) -> None:
        self._limits = limits
        self._auth = auth
        self._named = tuple(headers)
        self._base = base
        self.scrubbed = (secrets or Secrets()).scrubbed
        sent = httpx2.Headers({"User-Agent": "warehouse-cdc"})
        sent.update(headers)
        self._client = httpx2.Client(
            headers=sent,
            auth=auth,
            verify=tls.context() if tls is not None else True,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=httpx2.Timeout(limits.read, connect=limits.connect),
        )

    def close(self) -> None:
        """Close the connections, and those of what signs calls."""
        self._client.close()
        close = getattr(self._auth, "close", None)
        if close is not None:
            close()

    def call(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        defaults: Mapping[str, str] | None = None,
    ) -> bytes:
        """Make a call.

        Args:
            method: Its method.
            url: Its URL.
            content: Its body.
            headers: Its own headers.
            defaults: Headers that it has unless it or every call has its own.

        Returns:
            The body of an answer with a status from 200 to 299; at most 1 MB of it.

        Raises:
            DestinationError: Anything else, as what it means for the rows of the call.
        """
        given = {name.lower() for name in (*self._named, *(headers or {}))}
        headers = {name: text for name, text in (defaults or {}).items() if name.lower() not in given} | {
            **(headers or {})
        }
        began = time.monotonic()
        response: httpx2.Response | None = None
        body, told = b"", None
        try:
            request = self._client.build_request(method, _parsed(url), content=content, headers=headers)
            with _quietly():
                response = self._client.send(request, stream=True)
                try:
                    body = self._read(response, began + self._limits.total)
                finally:
                    response.close()
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            told = type(error).__name__
            raise DestinationError(f"the request can't be made ({told})", retryable=False, status=0) from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            told = self._told(error)
            raise DestinationError(
                f"{shown_url(url)} can't be reached: {told}.", code="destination-unreachable"
            ) from None
        except httpx2.HTTPError as error:
            told = "no answer in time" if isinstance(error, httpx2.TimeoutException) else self._told(error)
            where = "after the request was sent" if response is None else "after its answer began"
            raise DestinationError(
                f"{shown_url(url)}: {told} ({where}).", code="destination-timeout", outcome_unknown=True
            ) from None
        except DestinationError as error:  # of the server of tokens: no call was made
            told = error.message
            raise
        finally:
            if wanted():
                self._record(method, url, content, headers, response, body, told, time.monotonic() - began)
        if response.is_success:
            return body
        raise self._refused(response, body, url)

    def _record(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: Mapping[str, str],
        response: httpx2.Response | None,
        body: bytes,
        told: str | None,
        seconds: float,
    ) -> None:
        answered = {} if response is None else dict(response.headers)
        record(
            Exchange(
                method=method,
                url=self.scrubbed(self._shown(url)),
                request_headers={
                    **dict.fromkeys(self._named, HIDDEN),
                    **{name: self.scrubbed(value) for name, value in headers.items()},
                },
                request_body=self.scrubbed((content or b"").decode("utf-8", "replace")),
                status=None if response is None else response.status_code,
                response_headers={
                    name: self.scrubbed(value) for name, value in answered.items() if name != "set-cookie"
                },
                response_body=self.scrubbed(body.decode("utf-8", "replace")),
                error=told,
                seconds=round(seconds, 3),
            )
        )

    def _shown(self, url: str) -> str:
        """A URL for the request log: what the destination's own has after its host isn't shown."""
        host = shown_url(self._base)
        hidden = self._base.removeprefix(host).strip("/")
        return f"{host}/{HIDDEN}{url.removeprefix(self._base)}" if hidden else url

    def _read(self, response: httpx2.Response, until: float) -> bytes:
        """The body, or as much of it as counts."""
        left = max(_LAST_LOOK, until - time.monotonic())
        until = time.monotonic() + left
        response.request.extensions["timeout"]["read"] = min(self._limits.read, left)
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size >= LONGEST_ANSWER:
                break
            if time.monotonic() > until:
                raise httpx2.ReadTimeout("the answer took too long")
        return b"".join(parts)[:LONGEST_ANSWER]

    def _refused(self, response: httpx2.Response, body: bytes, url: str) -> DestinationError:
        """What an answer that isn't a success means for the rows of its call."""
        status = response.status_code
        text = self.scrubbed(" ".join(body.decode("utf-8", "replace").split()))[:CUT]
        message = f"status {status}: {text}" if text else f"status {status}"
        wait = _retry_after(response.headers.get("Retry-After"))
        if status == 401:
            return AuthenticationError(f"{shown_url(url)} refuses the credentials (status 401).", status=401)
        if status == 413:
            return PayloadTooLargeError(message, status=status)
        if status == 429:
            return RateLimitedError(message, status=status, retry_after=wait)
        if status in NOT_APPLIED:
            return DestinationError(message, status=status, retry_after=wait)
        if status < 500 or status == 501:
            return DestinationError(message, status=status, retryable=False)
        return DestinationError(message, status=status, retry_after=wait, outcome_unknown=True)

    @staticmethod
    def _told(error: Exception) -> str:
        """What of an error of the transport may be shown: no URL, no header."""
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return f"its certificate isn't trusted ({cause.verify_message})"
            if isinstance(cause, ssl.SSLError):
                return f"TLS failed ({cause.reason or 'no reason given'})"
            cause = cause.__cause__ or cause.__context__
        return type(error).__name__


def _retry_after(text: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, which holds them or a date."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=timezone.utc)
        return max(0.0, at.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
