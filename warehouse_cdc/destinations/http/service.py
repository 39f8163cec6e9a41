"""Services that speak a protocol of their own over HTTP: the function contract and JSON-RPC connectors."""

from __future__ import annotations

import itertools
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Outcome,
    Outcomes,
    RunContext,
    Writer,
    left_out,
    rejected,
)
from warehouse_cdc.destinations.http.client import HttpClient, TimeLimits, Tls, check_types, shown_url
from warehouse_cdc.destinations.http.endpoint import Endpoint
from warehouse_cdc.destinations.http.oauth import OAuth2
from warehouse_cdc.errors import ConfigError, DestinationError, PayloadTooLargeError
from warehouse_cdc.mapping.marks import json_of, text_of
from warehouse_cdc.mapping.values import to_list

VERBS = {"added": "add", "changed": "change", "removed": "remove"}
"""What both protocols call the operations."""


class _Service(Endpoint):
    """A service that takes every operation, in batches."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None,
        auth: OAuth2 | Mapping[str, Any] | None,
        tls: Tls | Mapping[str, Any] | None,
        timeout: float,
        name: str | None,
        **declared: Any,
    ) -> None:
        super().__init__(url, headers, auth, tls, TimeLimits(read=timeout, total=timeout), name)
        self._capabilities = Capabilities(
            modes=frozenset({"insert", "update", "upsert", "archive"}),
            on_removed=frozenset({"delete"}),
            max_concurrency=max(1000, declared["concurrency"]),
            **declared,
        )

    @property
    def capabilities(self) -> Capabilities:
        """What the declaration says."""
        return self._capabilities

    def connection(self, context: RunContext) -> _Connection:
        """Connections for one run."""
        return _Connection(self.client(context.batch_timeout), self._url)


class _Connection:
    """A client, and where it calls."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self.scrubbed = client.scrubbed
        self.close = client.close

    def post(self, text: str) -> Any:
        """Send JSON; returns the answer's.

        Raises:
            DestinationError: There is no answer, or it isn't JSON (then nobody knows what it means).
        """
        kind = {"Content-Type": "application/json"}
        answer = self._client.call("POST", self._url, content=text.encode(), defaults=kind)
        try:
            return json.loads(answer or b"{}", parse_float=Decimal)
        except ValueError:
            raise DestinationError(
                f"{shown_url(self._url)} answered with something else than JSON.",
                code="destination-answer",
                outcome_unknown=True,
            ) from None


class _ServiceWriter(Writer):
    """Sends batches of rows and reads which of them were rejected."""

    def __init__(self, connection: _Connection, key: str) -> None:
        self._connection = connection
        self._key = key

    @abstractmethod
    def _ask(self, batch: Batch, rows: str) -> Any:
        """The list of rejected rows in the service's answer to a JSON array of rows."""

    def _named(self, batch: Batch) -> Batch:
        """The batch with the column names that the service is to see."""
        return batch

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch; rows that JSON can't hold are left out of it."""
        invalid: dict[int, str] = {}
        texts = self._named(batch).json(invalid)
        sent = [at for at in range(len(batch)) if at not in invalid]
        outcomes = {at: rejected(reason, permanent=True) for at, reason in invalid.items()}
        if not sent:
            return outcomes
        with left_out(outcomes):
            return outcomes | self._rejected(batch, sent, texts)

    def _rejected(self, batch: Batch, sent: Sequence[int], texts: Sequence[str]) -> dict[int, Outcome]:
        """Send some rows; returns those that were rejected."""
        outcomes: dict[int, Outcome] = {}
        answer = self._ask(batch, "[" + ",".join(texts[at] for at in sent) + "]")
        if not isinstance(answer, list) or not all(isinstance(entry, dict) for entry in answer):
            raise self._misunderstood("its list of rejected rows is none")
        if not answer:
            return outcomes
        places: dict[str, list[int]] = {}
        keys = to_list(batch.arrow.column(self._key), batch.arrow.schema.field(self._key), strict=False)
        for at in sent:
            for name in _names(keys[at]):
                places.setdefault(name, []).append(at)
        places = {batch.row_ids[at]: [at] for at in sent} | places
        for entry in answer:
            names = _names(entry.get("id", entry.get("primary_key_value")))
            named = next((name for name in names if name in places), None)
            if named is None:
                raise self._misunderstood("it rejects a row that it wasn't sent")
            reason = self._connection.scrubbed(text_of(entry.get("reason")) or "rejected, without a reason")
            outcomes |= dict.fromkeys(places[named], rejected(reason))
        return outcomes

    def _misunderstood(self, what: str) -> DestinationError:
        return DestinationError(
            f"The answer of the service can't be understood: {what}.",
            code="destination-answer",
            outcome_unknown=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()


def _names(value: Any) -> dict[str, None]:
    """The texts that name a value, the best first: a number may come back without its last zeros."""
    names = [text_of(value)]
    if isinstance(value, Decimal) and value.is_finite():
        names.append(text_of(value.normalize()))
    return dict.fromkeys(names)


def _key_of(context: RunContext) -> int:
    """The position, among the fields, of the one that identifies a row.

    Raises:
        ConfigError: There are several.
    """
    if len(context.match) != 1:
        raise ConfigError(
            f"Sync {context.sync_id!r}: this destination identifies rows by one column.",
            code="sync-match",
            hint="Give match one column, or make one of the key's columns in the model.",
        )
    return context.fields.index(context.match[0])


# -- functions ------------------------------------------------------------------------------------


class HttpFunction(_Service):
    """A function behind a URL, called with rows and told why.

    The call is a POST of ``{"operation", "primary_key_column", "rows", "metadata"}``: the operation is
    ``add``, ``change`` or ``remove``, the metadata are ``api_version``, ``sync_id`` and ``sync_run_id``. The
    answer is ``{}``, or ``{"errors": [{"primary_key_value", "reason"}]}`` with the rows that were rejected.

    Args:
        url: Where the function is called.
        headers: Sent with every call; their values are secrets.
        auth: OAuth 2.
        tls: Whom to trust, and a client's certificate.
        batch_rows: Rows in one call, at most 1000, unless the sync says otherwise. More than one needs a
            function whose repeats do no harm.
        concurrency: Calls under way at once, unless the sync says otherwise.
        rate: Calls in any window of time, unless the sync says otherwise.
        timeout: Seconds for a call; less than the sync's ``batch_timeout`` in any case.
        name: What audit tables show; by default the URL's scheme and host.

    Raises:
        ConfigError: A value is out of range.
    """

    MOST_ROWS = 1000

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        auth: OAuth2 | Mapping[str, Any] | None = None,
        tls: Tls | Mapping[str, Any] | None = None,
        batch_rows: int = 1,
        concurrency: int = 10,
        rate: str | None = None,
        timeout: float = 30.0,
        name: str | None = None,
    ) -> None:
        check_types(HttpFunction, locals())
        if batch_rows > self.MOST_ROWS:
            raise ConfigError(f"batch_rows must be 1 to {self.MOST_ROWS}.", code="destination-option")
        limits = {"batch_rows": batch_rows, "concurrency": concurrency, "rate": rate}
        super().__init__(url, headers, auth, tls, timeout, name, **limits)

    def check(self, context: RunContext) -> None:
        """Look whether one column identifies a row; nothing is called."""
        _key_of(context)

    def open(self, context: RunContext) -> Writer:
        """A writer with connections of its own."""
        key = context.fields[_key_of(context)]
        return _FunctionWriter(self.connection(context), key)


class _FunctionWriter(_ServiceWriter):
    def _ask(self, batch: Batch, rows: str) -> Any:
        if len(batch) > HttpFunction.MOST_ROWS:
            raise PayloadTooLargeError(f"a call takes at most {HttpFunction.MOST_ROWS} rows")
        context = batch.context
        head = json_of({"operation": VERBS[batch.operation], "primary_key_column": self._key})
        metadata = json_of({"api_version": 1, "sync_id": context.sync_id, "sync_run_id": context.run_id})
        answer = self._connection.post(f'{head[:-1]},"rows":{rows},"metadata":{metadata}}}')
        if not isinstance(answer, dict):
            raise self._misunderstood("it is no object")
        found = answer.get("errors")
        return [] if found is None else found


# -- JSON-RPC -------------------------------------------------------------------------------------

_MOST_ROWS = 1_000_000
"""A larger size of a batch is none."""
_UNKNOWN_METHOD = -32601
_NOT_RUN = frozenset({-32700, -32600, _UNKNOWN_METHOD, -32602})
"""Codes of errors that come before a method does anything."""


class JsonRpc(_Service):
    """A connector of your own, as a JSON-RPC 2.0 server.

    ``add``, ``change`` and ``remove`` get ``{"idColumn", "configuration", "rows"}``, with the rows under the
    model's column names, and answer ``{"rejectedRows": [{"id", "reason"}]}``. ``behavior`` says how many rows
    a call takes and which operations are wanted. ``list_objects``, ``list_modes``, ``list_fields`` and
    ``validate`` are asked before a run if the server has them: a wrong object, mode or mapping, and whatever
    ``validate`` finds, is an error before anything is sent.

    Args:
        url: Where the server listens.
        object: The object to write to, as ``list_objects`` names it.
        mode: The connector's own mode, as ``list_modes`` names it.
        options: More of the configuration, as ``list_options`` describes it.
        headers: Sent with every call; their values are secrets.
        auth: OAuth 2.
        tls: Whom to trust, and a client's certificate.
        batch_rows: Rows in one call, unless the sync or the server's ``behavior`` says less.
        concurrency: Calls under way at once, unless the sync says otherwise.
        rate: Calls in any window of time, unless the sync says otherwise.
        timeout: Seconds for a call; less than the sync's ``batch_timeout`` in any case.
        name: What audit tables show; by default the URL's scheme and host.
    """

    def __init__(
        self,
        url: str,
        *,
        object: str | None = None,
        mode: str | None = None,
        options: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: OAuth2 | Mapping[str, Any] | None = None,
        tls: Tls | Mapping[str, Any] | None = None,
        batch_rows: int = 100,
        concurrency: int = 10,
        rate: str | None = None,
        timeout: float = 30.0,
        name: str | None = None,
    ) -> None:
        check_types(JsonRpc, locals())
        try:
            json_of(dict(options or {})).encode()
        except (ValueError, TypeError):
            raise ConfigError("options holds what JSON can't hold.", code="destination-option") from None
        limits = {"batch_rows": batch_rows, "concurrency": concurrency, "rate": rate}
        super().__init__(url, headers, auth, tls, timeout, name, **limits)
        self._object = object
        self._mode = mode
        self._options = dict(options or {})

    def configuration(self, context: RunContext) -> dict[str, Any]:
        """What every call tells of the sync: the object, the mode, which column fills which field."""
        pairs = [
            {"from": column, "to": field}
            for column, field in zip(context.columns, context.fields, strict=True)
        ]
        matched = len(context.match)
        found = {
            **self._options,
            "object": self._object,
            "mode": self._mode,
            "identifierMapping": pairs[:matched],
            "mappings": pairs[matched:],
            "customMappings": [],
        }
        return {name: value for name, value in found.items() if value is not None}

    def check(self, context: RunContext) -> None:
        """Ask the server whether it takes this sync.

        Raises:
            ConfigError: It doesn't know the object or the mode, misses a field, or says what is wrong.
            DestinationError: It can't be reached, or fails.
        """
        _key_of(context)
        connection = self.connection(context)
        try:
            rpc = _Rpc(connection)
            scope = {"object": self._object, "mode": self._mode}
            scope = {name: value for name, value in scope.items() if value is not None}
            self._check_choice(context, "object", self._object, rpc.listed("list_objects", {}, "objects"))
            of_object = {name: value for name, value in scope.items() if name == "object"}
            self._check_choice(context, "mode", self._mode, rpc.listed("list_modes", of_object, "modes"))
            self._check_fields(context, rpc.listed("list_fields", scope, "fields"))
            behavior = rpc.behavior()
            if behavior.get("skipInitialRun") and not context.skip_initial:
                raise ConfigError(
                    f"Sync {context.sync_id!r}: {self._name} wants the first run to be skipped.",
                    code="sync-mode",
                    hint="Give the sync skip_initial=True.",
                )
            errors = rpc.listed("validate", {"configuration": self.configuration(context)}, "errors")
            if errors:
                raise ConfigError(
                    f"Sync {context.sync_id!r}: {self._name} refuses the configuration: "
                    + " ".join(text_of(each) for each in errors),
                    code="sync-mappings",
                )
        except ConfigError as error:
            told = (connection.scrubbed(error.message), connection.scrubbed(error.hint))
            raise ConfigError(told[0], code=error.code, hint=told[1]) from None
        finally:
            connection.close()

    def _check_choice(
        self, context: RunContext, label: str, chosen: str | None, known: list[Any] | None
    ) -> None:
        names = [text_of(each.get("id")) for each in known or () if isinstance(each, dict)]
        if names and chosen not in names:
            raise ConfigError(
                f"Sync {context.sync_id!r}: {self._name} has no {label} {chosen!r}.",
                code="destination-option",
                hint=f"One of {', '.join(names)}.",
            )

    def _check_fields(self, context: RunContext, known: list[Any] | None) -> None:
        fields = {text_of(each.get("id")): each for each in known or () if isinstance(each, dict)}
        if not fields:
            return
        missing = [
            name for name, each in fields.items() if each.get("required") and name not in context.fields
        ]
        if missing:
            raise ConfigError(
                f"Sync {context.sync_id!r}: {self._name} needs the field {missing[0]!r}.",
                code="required-field",
                hint="Map a column to it.",
            )

    def open(self, context: RunContext) -> Writer:
        """A writer with connections of its own."""
        place = _key_of(context)
        connection = self.connection(context)
        rpc = _Rpc(connection)
        try:
            behavior = rpc.behavior()
        except BaseException:
            connection.close()
            raise
        return _RpcWriter(connection, rpc, context, place, self.configuration(context), behavior)


class _Rpc:
    """Calls of methods."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)

    def call(self, method: str, params: str) -> Any:
        """The result of a method.

        Raises:
            DestinationError: The server answers with an error, whose code is its ``status``.
        """
        number = next(self._numbers)
        answer = self._connection.post(
            f'{{"jsonrpc":"2.0","id":{number},"method":{json_of(method)},"params":{params}}}'
        )
        known = (
            isinstance(answer, dict)
            and answer.get("jsonrpc") == "2.0"
            and ("result" in answer or "error" in answer)
        )
        # What the server couldn't read it refuses without a number.
        if not known or answer.get("id", "") not in ((number, None) if answer.get("error") else (number,)):
            raise DestinationError(
                "The server doesn't answer as JSON-RPC 2.0 does.",
                code="destination-answer",
                outcome_unknown=True,
            )
        error = answer.get("error")
        if error is None:
            return answer.get("result")
        code = error.get("code") if isinstance(error, dict) else None
        code = code if isinstance(code, (int, str)) else None
        told = self._connection.scrubbed(text_of(error.get("message")) if isinstance(error, dict) else "")
        raise DestinationError(
            f"{method} failed with code {code}: {told}",
            status=0 if code is None else code,
            retryable=False if code in _NOT_RUN else None,
            outcome_unknown=code not in _NOT_RUN,
        )

    def listed(self, method: str, params: Mapping[str, Any], key: str) -> list[Any] | None:
        """What a method that lists something answers; None if the server hasn't got it."""
        try:
            result = self.call(method, json_of(dict(params)))
        except DestinationError as error:
            if error.status == _UNKNOWN_METHOD:
                return None
            raise
        found = result.get(key) if isinstance(result, dict) else result
        if not isinstance(found, list):
            raise DestinationError(
                f"{method} didn't answer with a list of {key}.", code="destination-answer", retryable=False
            )
        return found

    def behavior(self) -> Mapping[str, Any]:
        """How the server wants to be called; nothing if it doesn't say."""
        try:
            result = self.call("behavior", "{}")
        except DestinationError as error:
            if error.status == _UNKNOWN_METHOD:
                return {}
            raise
        return result if isinstance(result, dict) else {}


class _RpcWriter(_ServiceWriter):
    def __init__(
        self,
        connection: _Connection,
        rpc: _Rpc,
        context: RunContext,
        place: int,
        configuration: Mapping[str, Any],
        behavior: Mapping[str, Any],
    ) -> None:
        super().__init__(connection, context.fields[place])
        self._rpc = rpc
        self._columns: Sequence[str] = context.columns
        head = json_of({"idColumn": context.columns[place], "configuration": dict(configuration)})
        self._head = head[:-1]
        size = behavior.get("batchSize")
        if isinstance(size, bool) or not isinstance(size, int | Decimal) or not 1 <= size <= _MOST_ROWS:
            size = None
        self._most_rows = None if size is None else int(size)
        wanted = behavior.get("operations")
        self._wanted = wanted if isinstance(wanted, dict) else {}

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch, unless the server doesn't want its operation."""
        if self._wanted.get(VERBS[batch.operation]) is False:
            return {}
        if self._most_rows is not None and len(batch) > self._most_rows:
            raise PayloadTooLargeError(f"a call takes at most {self._most_rows} rows")
        return super().write(batch)

    def _named(self, batch: Batch) -> Batch:
        first = {column: index for index, column in reversed(list(enumerate(self._columns)))}
        arrow = batch.arrow
        fields = [arrow.schema.field(index).with_name(column) for column, index in first.items()]
        columns = [arrow.column(index) for index in first.values()]
        return replace(batch, arrow=pa.Table.from_arrays(columns, schema=pa.schema(fields)))

    def _ask(self, batch: Batch, rows: str) -> Any:
        result = self._rpc.call(VERBS[batch.operation], f'{self._head},"rows":{rows}}}')
        if not isinstance(result, dict | None):
            raise self._misunderstood("its result is no object")
        found = (result or {}).get("rejectedRows")
        return [] if found is None else found
