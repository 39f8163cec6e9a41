"""What Trino's client is made to send, to a server that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.engine.interruption import Interrupted, interruptible
from warehouse_cdc.warehouses import alone
from warehouse_cdc.warehouses.base import Labels

module = pytest.importorskip("warehouse_cdc.warehouses.trino")
pytest.importorskip("warehouse_cdc.warehouses.trino_session")
COLUMN = {"name": "a", "type": "bigint", "typeSignature": {"rawType": "bigint", "arguments": []}}
FULL = {"message": "Too many queued queries", "errorCode": 1, "errorName": "QUERY_QUEUE_FULL"}


class Server(ThreadingHTTPServer):
    """Answers statements with what was put there, and then well."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int | dict[str, Any]] = []
        self.tags: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.tags.append(self.headers.get("X-Trino-Client-Tags"))
        told = self.server.answers.pop(0) if self.server.answers else {}
        status = told if isinstance(told, int) else 200
        answer: dict[str, Any] = {"id": "q", "infoUri": "x", "stats": {"state": "FINISHED"}}
        answer |= {"columns": [COLUMN], "data": [[1]]}
        if isinstance(told, dict) and told:
            answer["error"] = {**told, "errorType": "INSUFFICIENT_RESOURCES"}
        text = json.dumps(answer).encode() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    waits: list[float] = []
    monkeypatch.setattr("trino.client.sleep", waits.append)
    return waits


def connected(server: Server) -> Any:
    port = server.server_address[1]
    source = wcdc.sources.Trino(
        host="127.0.0.1", port=port, user="u", catalog="c", connector="iceberg", http_scheme="http"
    )
    return source.open()


def test_a_full_queue_is_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connected(server)
    waited: list[float] = []
    monkeypatch.setattr(connection._unwanted, "wait", waited.append)
    server.answers += [FULL, FULL]
    assert connection.query("SELECT 1") == [(1,)]
    assert waited == [1.0, 2.0]


def test_a_cancelled_run_does_not_wait_for_a_full_queue(server: Server) -> None:
    connection, cancelled = connected(server), threading.Event()
    server.answers += [FULL] * 9
    sent = len(server.tags)
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.query("SELECT 1")
    assert len(server.tags) == sent + 1


def test_a_statement_that_waited_is_sent_only_if_it_still_may(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run may have taken the sync over meanwhile."""
    connection, looks = connected(server), iter([None, wcdc.LeaseLostError("It is over.")])

    def guard() -> None:
        if (error := next(looks)) is not None:
            raise error

    monkeypatch.setattr(connection._unwanted, "wait", lambda _seconds: False)
    server.answers += [FULL] * 9
    sent = len(server.tags)
    connection.guard = guard
    with pytest.raises(wcdc.LeaseLostError):
        connection.query("SELECT 1")
    assert len(server.tags) == sent + 1


def test_a_queue_that_stays_full_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connected(server)
    monkeypatch.setattr(alone, "QUEUE_SECONDS", -1.0)
    server.answers += [FULL]
    with pytest.raises(wcdc.QueryError, match="queue is full") as caught:
        connection.query("SELECT 1")
    assert caught.value.code == "query-busy" and caught.value.retryable and caught.value.query_id == "q"


def test_a_busy_server_is_asked_again(server: Server, waited: list[float]) -> None:
    connection = connected(server)
    server.answers += [503, 429, 502, 503, 503]
    assert connection.query("SELECT 1") == [(1,)] and len(waited) == 5


def test_a_statement_has_no_tags_of_another(server: Server) -> None:
    connection = connected(server)
    connection.labels = Labels("people", "R1", "plan")
    connection.query("SELECT 1")
    connection.labels = Labels()
    connection.query("SELECT 1")
    assert server.tags[-2:] == ["sync=people,run=R1,stage=plan", None]


def test_a_number_in_an_answer_is_no_refused_sign_in() -> None:
    connection = module.TrinoConnection({}, True)
    failed = module.HttpError("error 500: b'query 20261125_140123 failed'")
    assert "sign-in" not in connection._mapped(failed, "SELECT 1").message
    assert "sign-in" in connection._mapped(module.HttpError("error 401: b'no'"), "SELECT 1").message


def test_setup_names_the_catalog() -> None:
    connection = module.TrinoConnection({"catalog": "lake"}, True)
    assert connection.dialect.setup("plans", "audit", "u") == [
        'CREATE SCHEMA IF NOT EXISTS "lake"."audit"',
        'CREATE SCHEMA IF NOT EXISTS "lake"."plans"',
    ]
