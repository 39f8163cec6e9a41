"""HTTP requests as a destination: one kind of request for each operation, filled with its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Outcomes,
    RunContext,
    Writer,
    left_out,
    rejected,
)
from warehouse_cdc.destinations.http.body import Body, Empty, Form, Json, JsonColumn, JsonColumns, Rows, Xml
from warehouse_cdc.destinations.http.client import HttpClient, TimeLimits, Tls, check_types, checked_headers
from warehouse_cdc.destinations.http.endpoint import Endpoint, argument, made
from warehouse_cdc.destinations.http.oauth import OAuth2
from warehouse_cdc.errors import ConfigError, DestinationError
from warehouse_cdc.mapping import marks
from warehouse_cdc.mapping.liquid import Template
from warehouse_cdc.mapping.marks import RowRejectedError

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODIES: Mapping[str, type[Body]] = {
    "json": Json,
    "columns": JsonColumns,
    "column": JsonColumn,
    "xml": Xml,
    "form": Form,
    "empty": Empty,
}
"""What a project file calls each body."""


@dataclass(frozen=True)
class Request:
    """The requests of one operation.

    Args:
        method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        url: A Liquid template: what follows the destination's URL.
        body: What is sent: ``Json``, ``JsonColumns`` (default), ``JsonColumn``, ``Xml``, ``Form`` or
            ``Empty``; in project files a mapping with ``type`` and its fields.
        headers: More headers, as Liquid templates.
        batch: Whether a request carries many rows (``rows``), or one (``row``). A form carries one.

    Raises:
        ConfigError: A value is out of range, or a template is wrong.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str = ""
    body: Body | Mapping[str, Any] = field(default_factory=JsonColumns)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    batch: bool = True
    _url: Template = field(init=False, repr=False, compare=False)
    _headers: dict[str, Template] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check each value and parse the templates."""
        check_types(Request, vars(self))
        checked_headers(dict.fromkeys(self.headers, ""))
        if self.method not in METHODS:
            raise ConfigError(
                f"method {self.method!r} is unknown.",
                code="destination-option",
                hint=f"One of {', '.join(METHODS)}.",
            )
        object.__setattr__(self, "body", _body(self.body))
        if isinstance(self.body, Form) and self.batch:
            object.__setattr__(self, "batch", False)
        object.__setattr__(self, "_url", Template(self.url, marks.URL, "url"))
        made = {name: Template(text, marks.TEXT, f"header {name}") for name, text in self.headers.items()}
        object.__setattr__(self, "_headers", made)

    def check(self, fields: tuple[str, ...]) -> None:
        """Raise ConfigError if a template names a field that isn't sent."""
        assert isinstance(self.body, Body)
        for template in (self._url, *self._headers.values()):
            template.check(fields, single=not self.batch)
        self.body.check(fields, single=not self.batch)

    def filled(self, base: str, rows: Rows) -> tuple[str, dict[str, str], bytes | None]:
        """URL, headers and body for some rows.

        Args:
            base: What the URL begins with.
            rows: The rows.

        Raises:
            RowRejectedError: They can't be filled in.
        """
        assert isinstance(self.body, Body)
        url = self._url.render_url(base, **rows.seen_by(self._url))
        headers = {
            name: template.render(**rows.seen_by(template)) for name, template in self._headers.items()
        }
        try:
            checked_headers(headers)
        except ConfigError as error:
            raise RowRejectedError(error.message) from None
        return url, headers, self.body.content(rows)


class HttpRequest(Endpoint):
    """Any HTTP endpoint: a request for each operation, filled with one row or many.

    Args:
        url: What every request's URL begins with.
        added: Requests for added rows; an operation without a request succeeds without a call.
        changed: Requests for changed rows.
        removed: Requests for removed rows (a sync with ``on_removed="delete"``).
        headers: Sent with every request; their values are secrets.
        auth: OAuth 2.
        tls: Whom to trust, and a client's certificate.
        batch_rows: Rows in one request, unless the sync says otherwise.
        concurrency: Requests under way at once, unless the sync says otherwise.
        rate: Requests in any window of time, unless the sync says otherwise.
        split_retries: Whether a request that is refused as a whole (400 to 499), having had no effect, may
            come again in halves.
        idempotency_header: The header that carries a request's idempotency key; None sends none.
        connect_timeout: Seconds until a connection is made.
        read_timeout: Seconds between two parts of an answer.
        timeout: Seconds for a whole request; less than the sync's ``batch_timeout`` in any case.
        name: What audit tables show; by default the URL's scheme and host.

    Raises:
        ConfigError: A value is out of range, or no operation has a request.
    """

    def __init__(
        self,
        url: str,
        *,
        added: Request | Mapping[str, Any] | None = None,
        changed: Request | Mapping[str, Any] | None = None,
        removed: Request | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: OAuth2 | Mapping[str, Any] | None = None,
        tls: Tls | Mapping[str, Any] | None = None,
        batch_rows: int = 100,
        concurrency: int = 100,
        rate: str | None = "1000/second",
        split_retries: bool = False,
        idempotency_header: str | None = "Idempotency-Key",
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
        timeout: float = 30.0,
        name: str | None = None,
    ) -> None:
        check_types(HttpRequest, locals())
        checked_headers({idempotency_header or "X": ""})
        limits = TimeLimits(connect_timeout, read_timeout, timeout)
        super().__init__(url, headers, auth, tls, limits, name)
        given = {"removed": removed, "changed": changed, "added": added}
        self._requests = {
            operation: made(Request, value, operation)
            for operation, value in given.items()
            if value is not None
        }
        if not self._requests:
            raise ConfigError(
                "An HTTP destination needs a request for one operation at least.",
                code="destination-option",
                hint="Give added=Request(...), changed=Request(...) or removed=Request(...).",
            )
        self._idempotency_header = idempotency_header
        modes = (
            {"insert", "update", "upsert", "archive"}
            if "changed" in self._requests
            else {"insert", "archive"}
        )
        self._capabilities = Capabilities(
            modes=frozenset(modes),
            on_removed=frozenset({"delete"} if "removed" in self._requests else ()),
            single=frozenset(each for each, request in self._requests.items() if not request.batch),
            batch_rows=batch_rows,
            concurrency=concurrency,
            max_concurrency=max(1000, concurrency),
            rate=rate,
            split_retries=split_retries,
        )

    def __repr__(self) -> str:
        """Show the host and the operations; no path, header or secret."""
        return f"HttpRequest({self._name}, {', '.join(self._requests)})"

    @property
    def capabilities(self) -> Capabilities:
        """What the requests allow: without one for changed rows, only what is added is planned."""
        return self._capabilities

    def check(self, context: RunContext) -> None:
        """Look whether every template fits the fields; nothing is called.

        Raises:
            ConfigError: A template names a field that isn't sent, or a request would never be made.
        """
        for operation, request in self._requests.items():
            request.check(context.fields)
            if request.url and request.url[0] not in "/?" and not urlsplit(self._url).path:
                raise ConfigError(
                    f"The url of the request for {operation} rows would become a part of the host's name.",
                    code="destination-url",
                    hint="Begin it with '/', or end the destination's url with it.",
                )
            if operation not in context.operations:
                way = 'on_removed="delete"' if operation == "removed" else 'mode="upsert"'
                raise ConfigError(
                    f"Sync {context.sync_id!r}: the request for {operation} rows would never be made.",
                    code="sync-mode",
                    hint=f"Give the sync {way}, or leave that request out.",
                )
        if self._tls is not None:
            self._tls.context()

    def open(self, context: RunContext) -> Writer:
        """A writer with connections of its own."""
        client = self.client(context.batch_timeout)
        return _RequestWriter(self._requests, self._url, client, self._idempotency_header)


class _RequestWriter(Writer):
    """Fills requests and sends them."""

    def __init__(
        self,
        requests: Mapping[str, Request],
        base: str,
        client: HttpClient,
        idempotency_header: str | None,
    ) -> None:
        self._requests = requests
        self._base = base
        self._client = client
        self._idempotency_header = idempotency_header

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch in one request; rows that can't be encoded are left out of it."""
        request = self._requests.get(batch.operation)
        if request is None:
            return {}
        assert isinstance(request.body, Body)
        invalid: dict[int, str] = {}
        texts = request.body.texts(batch, invalid)
        outcomes = {at: rejected(reason, permanent=True) for at, reason in invalid.items()}
        sent: Sequence[int] = range(len(batch))
        if invalid:
            sent = [at for at in sent if at not in invalid]
            batch, texts = batch.take(sent), [texts[at] for at in sent]
        if not sent:
            return outcomes
        with left_out(outcomes):
            try:
                url, headers, content = self._filled(request, Rows(batch, not request.batch, texts))
            except RowRejectedError as error:
                if len(sent) == 1:
                    return {**outcomes, sent[0]: rejected(str(error), permanent=True)}
                raise DestinationError(str(error), retryable=False, status=0, divisible=True) from None
            defaults = {}
            if content is not None and request.body.content_type:
                defaults["Content-Type"] = request.body.content_type
            if self._idempotency_header:
                defaults[self._idempotency_header] = _key(batch)
            self._client.call(request.method, url, content=content, headers=headers, defaults=defaults)
        return outcomes

    def _filled(self, request: Request, rows: Rows) -> tuple[str, dict[str, str], bytes | None]:
        """URL, headers and body.

        Raises:
            RowRejectedError: They can't be made; nothing was sent, whatever a row has done to an encoder.
        """
        try:
            return request.filled(self._base, rows)
        except RowRejectedError:
            raise
        except Exception as error:
            raise RowRejectedError(f"the request can't be made ({type(error).__name__})") from None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _key(batch: Batch) -> str:
    """A request's idempotency key: the row's, or one for all of its rows'."""
    if len(batch) == 1:
        return batch.idempotency_keys[0]
    runs = list(batch.key_runs)
    if runs.count(runs[0]) == len(runs):
        runs = runs[:1]
    ids = "\n".join(batch.row_ids)
    if ids.count("\n") >= len(batch):
        ids = json.dumps(list(batch.row_ids))  # which has none: no other rows have this text
    text = json.dumps([batch.context.sync_id, batch.operation, runs]) + "\n" + ids
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _body(value: Any) -> Body:
    if isinstance(value, Body):
        return value
    kind = str(value.get("type")) if isinstance(value, Mapping) else ""
    if kind not in BODIES:
        raise ConfigError(
            "body must be a body, or a mapping with its type.",
            code="destination-option",
            hint=f"type is one of {', '.join(BODIES)}.",
        )
    try:
        return BODIES[kind](**{key: item for key, item in value.items() if key != "type"})
    except TypeError as error:
        raise ConfigError(f"body: {argument(error)}", code="destination-option") from None
