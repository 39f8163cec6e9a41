"""What Presto's connection sends, over a socket, to a server that loses answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.errors import ConnectionLostError

pytest.importorskip("prestodb")

PAGES = 4


class Server(ThreadingHTTPServer):
    """Answers every statement with pages of one row, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.headers: list[Any] = []
        self.lose: list[str] = []
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.asked.append(f"{self.command} {body or self.path}")
        self.server.headers.append(self.headers)
        if self.command in self.server.lose:
            self.server.lose.remove(self.command)
            self.close_connection = True
            return
        number = int(self.path.rpartition("/")[2]) if self.command != "POST" else 0
        base = f"http://127.0.0.1:{self.server.server_port}"
        found: dict[str, Any] = {"id": "q", "stats": {}, "infoUri": base}
        found |= {"columns": [{"name": "a", "type": "bigint"}], "data": [[number]] if number else []}
        if number < PAGES and self.command != "DELETE":
            found["nextUri"] = f"{base}/{number + 1}"
        text = json.dumps(found).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET = do_DELETE = _answer  # noqa: N815


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


@pytest.fixture
def connection(server: Server) -> Iterator[Any]:
    source = wcdc.sources.Presto(
        host="127.0.0.1", port=server.server_port, user="me", catalog="c", http_scheme="http"
    )
    opened = source.open()
    server.asked.clear()
    server.headers.clear()
    yield opened
    opened.close()


def test_a_statement_whose_answer_is_lost_is_not_sent_again(server: Server, connection: Any) -> None:
    server.lose = ["POST"]
    with pytest.raises(ConnectionLostError):
        connection.execute("INSERT INTO t SELECT 'secret'")
    assert server.asked == ["POST INSERT INTO t SELECT 'secret'"]


def test_a_page_whose_answer_is_lost_is_fetched_again(server: Server, connection: Any) -> None:
    server.lose = ["GET"]
    assert connection.query("SELECT a") == [(1,), (2,), (3,), (4,)]
    assert server.asked == ["POST SELECT a", "GET /1", "GET /1", "GET /2", "GET /3", "GET /4"]


def test_pages_are_fetched_as_they_are_read_and_the_rest_is_cancelled(
    server: Server, connection: Any
) -> None:
    batches = connection.stream("SELECT a", [wcdc.dialects.ColumnType("BIGINT", "integer")], 1)
    assert next(batches).to_pylist() == [{"a": 1}]
    assert server.asked == ["POST SELECT a", "GET /1"]
    batches.close()
    assert server.asked == ["POST SELECT a", "GET /1", "DELETE /2"]


def test_statements_say_whose_they_are_and_the_session_what_it_needs(server: Server, connection: Any) -> None:
    connection.query("SELECT a")
    sent = server.headers[0]
    assert (sent["X-Presto-User"], sent["X-Presto-Catalog"]) == ("me", "c")
    assert sent["X-Presto-Source"] == "warehouse-cdc"
    assert (sent["X-Presto-Time-Zone"], sent["X-Presto-Session"]) == (
        "UTC",
        "field_names_in_json_cast_enabled=true",
    )


def test_a_refused_sign_in_is_told_from_a_server_that_is_gone(server: Server, connection: Any) -> None:
    server.status = 401
    with pytest.raises(ConnectionLostError) as caught:
        connection.query("SELECT a")
    assert "sign-in" in caught.value.message and not caught.value.retryable


def test_setup_names_the_catalog(server: Server) -> None:
    with wcdc.connect(f"presto://u@127.0.0.1:{server.server_address[1]}/lake?http_scheme=http") as warehouse:
        assert 'CREATE SCHEMA IF NOT EXISTS "lake"."hightouch_planner"' in warehouse.setup_sql("u")
