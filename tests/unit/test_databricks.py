"""Databricks without a workspace: what is read of URLs, sent to a server, and made of its refusals."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

import warehouse_cdc as wcdc
from tests.golden.test_golden import CASES, compiled
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.engine.interruption import Interrupted, interruptible
from warehouse_cdc.sources import Databricks, source_of
from warehouse_cdc.warehouses import databricks as module
from warehouse_cdc.warehouses.delta import LeftoverError, mapped

PATH = "/sql/1.0/warehouses/abc"


def test_urls_name_a_token_or_a_service_principal() -> None:
    url = "databricks://token:dapi%2F1+@host/main/sales?http_path=%2Fsql%2F1.0%2Fwarehouses%2Fabc"
    assert source_of(url) == Databricks(
        host="host", access_token="dapi/1+", catalog="main", schema="sales", http_path=PATH
    )
    url = f"databricks://an-id:word@host:8443/?http_path={PATH}&interactive_http_path={PATH}2"
    found = source_of(url)
    assert found == Databricks(
        host="host",
        port=8443,
        client_id="an-id",
        client_secret="word",
        http_path=PATH,
        interactive_http_path=PATH + "2",
    )
    assert "word" not in repr(found) and "dapi" not in repr(source_of(url))


@pytest.mark.parametrize("port", ["", ":443"])
def test_a_url_may_have_all_in_its_query(port: str) -> None:
    """As engines of SQLAlchemy are made for Databricks."""
    url = make_url(f"databricks://token:dapi1@host{port}?http_path={PATH}&catalog=main&schema=sales")
    found = source_of(url.render_as_string(hide_password=False))
    assert found == Databricks(
        host="host", access_token="dapi1", catalog="main", schema="sales", http_path=PATH
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"access_token": "t", "client_id": "i", "client_secret": "s"},
        {"client_id": "i"},
        {"host": "https://host", "access_token": "t"},
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any]) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        Databricks(**{"host": "host", "http_path": PATH, **fields})
    assert caught.value.code == "source-field"


def test_the_session_is_in_ansi_mode_and_in_utc() -> None:
    source = Databricks(
        host="h",
        http_path=PATH,
        access_token="t",
        statement_timeout=30,
        session_configuration={"USE_CACHED_RESULT": "false"},
    )
    assert module.configuration(source) == {
        "ANSI_MODE": "true",
        "TIMEZONE": "UTC",
        "STATEMENT_TIMEOUT": "30",
        "USE_CACHED_RESULT": "false",
    }


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """A server on this machine; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer(self)

        do_GET = do_POST

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connector speaks HTTP without encryption, and doesn't wait before it tries again."""
    connect = module.driver.connect

    def unencrypted(**arguments: Any) -> Any:
        host = f"http://127.0.0.1:{arguments['_port']}{arguments['http_path']}"
        return connect(**arguments, _connection_uri=host)

    at_once = SimpleNamespace(sleep=lambda _seconds: None, time=time.time)
    monkeypatch.setattr("databricks.sql.auth.retry.time", at_once)
    monkeypatch.setattr(module.driver, "connect", unencrypted)


def refusing(code: int, seen: list[Any], **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.path, request.headers.get("Authorization"), request.headers.get("User-Agent")))
        request.send_response(code)
        for name, text in {"Content-Length": "0", **headers}.items():
            request.send_header(name, text)
        request.end_headers()

    return answer


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(("code", "words"), [(401, "refused the sign-in"), (404, "can't be reached")])
def test_a_refusal_says_so_and_shows_no_token(code: int, words: str) -> None:
    seen: list[Any] = []
    with answering(refusing(code, seen)) as port, pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(f"databricks://token:hunter2@127.0.0.1:{port}/?http_path={PATH}&retry_seconds=2")
    assert words in caught.value.message and "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert seen and seen[0][:2] == (PATH, "Bearer hunter2") and "warehouse-cdc" in seen[0][2]


@pytest.mark.usefixtures("plain")
def test_a_busy_service_is_asked_again() -> None:
    seen: list[Any] = []
    busy = refusing(503, seen, **{"Retry-After": "1"})
    with answering(busy) as port, pytest.raises(wcdc.ConnectionLostError):
        wcdc.connect(f"databricks://token:t@127.0.0.1:{port}/?http_path={PATH}&retry_seconds=20")
    assert len([path for path, *_rest in seen if path == PATH]) > 1


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("[DELTA_CONCURRENT_APPEND] x", wcdc.QueryError, "query-conflict"),
        ("io.delta.exceptions.ConcurrentAppendException: x", wcdc.QueryError, "query-conflict"),
        ("[INSUFFICIENT_PERMISSIONS] x", wcdc.PermissionDeniedError, "permission-denied"),
        ("Invalid SessionHandle: x", wcdc.ConnectionLostError, "connection-lost"),
        ("[TABLE_OR_VIEW_NOT_FOUND] The table `a`.`b` is 'hunter2'", wcdc.QueryError, "query"),
        ("[CAST_INVALID_INPUT] The value 'hunter2' of `x`", wcdc.QueryError, "query"),
        ("[CAST_INVALID_INPUT] The value 'Connection refused, hunter2' of", wcdc.QueryError, "query"),
        ("[USER_RAISED_EXCEPTION] PERMISSION_DENIED hunter2", wcdc.QueryError, "query"),
        ("[USER_RAISED_EXCEPTION] x\nCaused by: a: [DELTA_CONCURRENT] hunter2", wcdc.QueryError, "query"),
        ("[CAST_INVALID_INPUT] The value 'DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION location ('hunter2')'",
         wcdc.QueryError, "query"),
        ("For input string: \"it's SESSION_CLOSED 'hunter2'\"", wcdc.QueryError, "query"),
        ("[WRITING_JOB_ABORTED] x\nCaused by: org.apache.iceberg.exceptions.CommitFailedException: x",
         wcdc.QueryError, "query-conflict"),
        ("[SPARK_JOB_CANCELLED] SparkContext was shut down", wcdc.ConnectionLostError, "connection-lost"),
        ("Error running query: [PERMISSION_DENIED] x", wcdc.PermissionDeniedError, "permission-denied"),
    ],
)  # fmt: skip
def test_errors_by_what_they_say(text: str, kind: type[wcdc.WarehouseError], code: str) -> None:
    found = mapped(
        module.driver.Error(text), "SELECT 'hunter2', \"hunter2\", 'it\\'s hunter2'", "Databricks", "q"
    )
    assert type(found) is kind and found.code == code
    assert "hunter2" not in str(found) + found.sql and found.query_id == "q"
    if "`b`" in text:
        assert "`a`.`b`" in found.message


def test_files_that_are_left_over_are_told_by_their_place() -> None:
    said = (
        "[DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION] Cannot create table ('`a`.`b`'). "
        "The associated location ('file:/x/b') is not empty and also not a Delta table."
    )
    found = mapped(module.driver.Error(said), "CREATE TABLE `a`.`b`")
    assert isinstance(found, LeftoverError) and found.location == "file:/x/b"


def test_a_cancelled_run_does_not_wait_to_send_a_statement_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    class Session:
        open = True

        def cursor(self) -> Any:
            return SimpleNamespace(execute=refuse, close=lambda: None, query_id=None)

    def refuse(sql: str, **_more: Any) -> None:
        sent.append(sql)
        raise module.driver.exc.ServerOperationError("[DELTA_CONCURRENT_APPEND] x")

    monkeypatch.setattr("random.uniform", lambda *_between: 2)
    source = Databricks(host="host", http_path=PATH, access_token="t")
    connection, cancelled = module.DatabricksConnection(source, Session()), threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.execute("DELETE FROM t")
    assert len(sent) == 1


def test_schemas_that_are_missing_are_named() -> None:
    class Session:
        open = True

        def cursor(self) -> Any:
            said = "[SCHEMA_NOT_FOUND] The schema `main`.`plans` cannot be found. SQLSTATE: 42704"
            return SimpleNamespace(execute=refuse(said), close=lambda: None, query_id="q")

    def refuse(said: str) -> Any:
        def execute(*_statement: Any, **_more: Any) -> None:
            raise module.driver.exc.ServerOperationError(said)

        return execute

    source = Databricks(host="host", http_path=PATH, access_token="t")
    with pytest.raises(wcdc.StateError, match="'plans' and the schema 'runs'") as caught:
        module.DatabricksConnection(source, Session()).tables("plans", "runs")
    assert caught.value.code == "schema-missing"


def test_a_service_principal_signs_in_whatever_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a token in the environment too, the SDK refuses to choose unless it is told the way."""
    sdk = pytest.importorskip("databricks.sdk.core")
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(sdk, "Config", lambda **fields: made.append(fields))
    monkeypatch.setattr(sdk, "oauth_service_principal", lambda _config: dict)
    source = Databricks(host="host", http_path=PATH, client_id="id", client_secret="word")
    module._sign_in(source)["credentials_provider"]()
    assert made[0]["auth_type"] == "oauth-m2m"


def test_setup_grants_what_is_documented() -> None:
    statements = get_dialect("databricks").setup("main.plans", "audit", "an id")
    assert statements == [
        "CREATE SCHEMA IF NOT EXISTS `audit`",
        "CREATE SCHEMA IF NOT EXISTS `main`.`plans`",
        "GRANT ALL PRIVILEGES ON SCHEMA `audit` TO `an id`",
        "GRANT ALL PRIVILEGES ON SCHEMA `main`.`plans` TO `an id`",
    ]


def test_setup_names_the_catalog_of_schemas_that_do_not() -> None:
    source = Databricks(host="host", http_path=PATH, access_token="t", catalog="shop")
    connection = module.DatabricksConnection(source, None)
    assert connection.dialect.setup("main.plans", "audit", "an id") == [
        "CREATE SCHEMA IF NOT EXISTS `shop`.`audit`",
        "CREATE SCHEMA IF NOT EXISTS `main`.`plans`",
        "GRANT ALL PRIVILEGES ON SCHEMA `shop`.`audit` TO `an id`",
        "GRANT ALL PRIVILEGES ON SCHEMA `main`.`plans` TO `an id`",
    ]


@pytest.mark.parametrize("case", CASES)
def test_its_statements_are_sparks_but_for_the_clustering_of_plans(case: str) -> None:
    ours = {
        label: re.sub(r"\nCLUSTER BY \(op, bucket\)", "", sql)
        for label, sql in compiled(case, "databricks").statements.items()
    }
    assert ours == compiled(case, "spark").statements
    assert "CLUSTER BY" in compiled(case, "databricks").statements["plan"]


def test_a_struct_that_cannot_be_told_apart_is_refused() -> None:
    dialect = get_dialect("databricks")
    for name in ("struct<a b:int>", "array<struct<a:b:int>>"):
        with pytest.raises(wcdc.UnsupportedError):
            dialect.stored("x", dialect.column_type(name))
