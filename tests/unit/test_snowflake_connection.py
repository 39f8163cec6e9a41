"""What Snowflake's connector is made to send, over a socket, to a server that takes any sign-in."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import gzip
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import until
from warehouse_cdc.engine.interruption import Interrupted, interruptible

connector = pytest.importorskip("snowflake.connector")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: E402

TEXT = {"type": "text", "nullable": True, "length": 100, "byteLength": 100, "precision": None, "scale": None}


class Server(ThreadingHTTPServer):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.logins: list[tuple[dict[str, Any], dict[str, list[str]]]] = []
        self.queries: list[dict[str, Any]] = []
        self.refused: tuple[str, str] | None = None
        self.autocommit = "true"
        self.blocked = threading.Event()
        self.blocked.set()

    def source(self, **fields: Any) -> wcdc.sources.Snowflake:
        place = {"host": "127.0.0.1", "port": self.server_address[1], "protocol": "http"}
        return wcdc.sources.Snowflake(account="org-acc", **{"database": "SHOP", **place, **fields})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = self.answer(parts.path, json.loads(body or b"{}"), parse_qs(parts.query))
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def answer(self, path: str, body: dict[str, Any], named: dict[str, list[str]]) -> dict[str, Any]:
        server = self.server
        if path.endswith("login-request"):
            server.logins.append((body["data"], named))
            if server.refused:
                code, message = server.refused
                return {"success": False, "code": code, "message": message, "data": {}}
            token = {"token": "t", "masterToken": "m", "validityInSeconds": 3600, "sessionId": 77}
            token |= {"masterValidityInSeconds": 14400, "displayUserName": "U", "serverVersion": "9.0.0"}
            token |= {"parameters": [], "sessionInfo": {"databaseName": "SHOP", "warehouseName": "BATCH"}}
            return {"success": True, "code": None, "message": None, "data": token}
        if path.endswith("query-request"):
            server.queries.append(body)
            if "SYSTEM$CANCEL_ALL_QUERIES" in body["sqlText"]:
                server.blocked.set()
            server.blocked.wait(20)
            if "fails" in body["sqlText"]:
                number = body["sqlText"].split()[-1]
                data = {
                    "errorCode": number,
                    "sqlState": "57014" if number == "000625" else "42501",
                    "queryId": "01b-q",
                }
                return {"success": False, "code": number, "message": "the secret of T", "data": data}
            names, values = ["A"], ["9.0.0"]
            if re.match("SHOW|select current_database", body["sqlText"]):
                names, values = ["key", "value"], ["AUTOCOMMIT", server.autocommit]
            rows = {"rowtype": [{"name": name, **TEXT} for name in names], "rowset": [values], "total": 1}
            rows |= {
                "returned": 1,
                "queryId": "01b-q",
                "queryResultFormat": "json",
                "statementTypeId": 4096,
                "parameters": [],
            }
            return {"success": True, "code": None, "message": None, "data": rows}
        return {"success": True, "code": None, "message": None, "data": None}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.blocked.set()
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey, passphrase: bytes | None = None) -> bytes:
    hidden = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden)


def is_signed_by(token: str, key: rsa.RSAPrivateKey) -> bool:
    """Whether a JWT is what Snowflake takes for the key."""
    head, body, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    signed = token.rpartition(".")[0].encode()
    key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    form, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashlib.sha256(key.public_key().public_bytes(form, kind)).digest()
    found = json.loads(body)
    assert json.loads(head)["alg"] == "RS256" and found["sub"] == "ORG-ACC.SYNCS"
    return bool(found["iss"] == f"ORG-ACC.SYNCS.SHA256:{base64.b64encode(digest).decode()}")


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
@pytest.mark.parametrize("as_file", [True, False])
def test_a_key_pair_signs_in(
    server: Server, key: rsa.RSAPrivateKey, tmp_path: Path, as_file: bool, passphrase: str | None
) -> None:
    text = pem(key, passphrase.encode() if passphrase else None)
    (tmp_path / "key.p8").write_bytes(text)
    given = {"private_key_file": tmp_path / "key.p8"} if as_file else {"private_key": text.decode()}
    source = server.source(user="syncs", role="R", warehouse="W", private_key_passphrase=passphrase, **given)
    assert "sesame" not in repr(source) and "PRIVATE" not in repr(source)
    source.open().close()
    ((login, named),) = server.logins
    assert login["AUTHENTICATOR"] == "SNOWFLAKE_JWT" and is_signed_by(login["TOKEN"], key)
    assert (named["databaseName"], named["roleName"], named["warehouse"]) == (["SHOP"], ["R"], ["W"])
    assert login["SESSION_PARAMETERS"]["TIMEZONE"] == "UTC"


def test_keys_that_can_not_be_read_are_errors_without_their_text(
    server: Server, key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    for fields in (
        {"private_key": "-----BEGIN secret"},
        {"private_key": pem(key, b"open sesame").decode()},
        {"private_key": pem(key, b"open sesame").decode(), "private_key_passphrase": "secret"},
        {"private_key_file": tmp_path / "nowhere"},
    ):
        with pytest.raises(wcdc.ConfigError) as caught:
            server.source(user="syncs", **fields).open()
        assert caught.value.code == "source-field" and "secret" not in str(caught.value)
    assert not server.logins


def encoded(part: dict[str, str]) -> str:
    """A part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def test_tokens_and_passwords_sign_in(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1")
    server.source(user="syncs", password="pw").open().close()
    server.source(user="syncs", access_token="pat").open().close()
    parts = ({"alg": "RS256"}, {"iss": "https://issuer", "sub": "me"})
    token = ".".join(encoded(part) for part in parts) + ".c2ln"
    server.source(workload_identity="OIDC", token=token).open().close()
    password, access, identity = (login for login, _named in server.logins)
    assert password["PASSWORD"] == "pw" and password["LOGIN_NAME"] == "syncs"
    assert (access["AUTHENTICATOR"], access["TOKEN"]) == ("PROGRAMMATIC_ACCESS_TOKEN", "pat")
    assert (identity["AUTHENTICATOR"], identity["PROVIDER"]) == ("WORKLOAD_IDENTITY", "OIDC")
    assert identity["TOKEN"] == token


def test_an_oauth_token_is_asked_for_anew_for_each_session(server: Server) -> None:
    tokens = iter(["first", "second"])
    connection = server.source(token=lambda: next(tokens)).open()
    clone = connection.clone()
    assert [login["TOKEN"] for login, _named in server.logins] == ["first", "second"]
    assert {login["AUTHENTICATOR"] for login, _named in server.logins} == {"OAUTH"}
    with pytest.raises(wcdc.ConnectionLostError) as caught:  # there is no third one
        connection.clone()
    assert caught.value.code == "source-token"
    clone.close()
    connection.close()


def test_a_refused_sign_in_says_so_without_the_secret(server: Server) -> None:
    server.refused = ("390100", "Incorrect username or password was specified: hunter2")
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        server.source(user="syncs", password="hunter2").open()
    assert "390100" in caught.value.message and not caught.value.retryable
    assert "hunter2" not in str(caught.value)


def test_statements_carry_a_tag_and_formats_of_their_own(server: Server) -> None:
    connection = server.source(user="syncs", password="pw").open()
    with connection.labelled('it\'s "one"', "plan"):
        connection.query("SELECT 1")
    connection.query("SELECT 2")
    one, two = (query["parameters"] for query in server.queries)
    assert json.loads(one["QUERY_TAG"]) == {"app": "warehouse-cdc", "sync": 'it\'s "one"', "stage": "plan"}
    assert json.loads(two["QUERY_TAG"]) == {"app": "warehouse-cdc"}
    assert one["TIMEZONE"] == "UTC" and one["TIMESTAMP_INPUT_FORMAT"] == "AUTO"
    connection.close()


def test_what_somebody_waits_for_runs_in_a_warehouse_of_its_own(server: Server) -> None:
    connection = server.source(
        user="syncs", password="pw", warehouse="batch", interactive_warehouse="Fast One"
    ).open()
    with connection.interactive():
        connection.query("SELECT 1")
    texts = [query["sqlText"] for query in server.queries]
    assert texts == ['USE WAREHOUSE "Fast One"', "SELECT 1", 'USE WAREHOUSE "BATCH"']
    connection.close()


def test_a_statement_that_nobody_waits_for_is_cancelled(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = server.source(user="syncs", password="pw").open()
    server.blocked.clear()
    join = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if timeout is None and not server.blocked.is_set():
            join(thread, 0.5)
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        connection.execute("CREATE TABLE t AS SELECT 1")
    texts = [query["sqlText"] for query in server.queries]
    assert texts == ["CREATE TABLE t AS SELECT 1", "SELECT SYSTEM$CANCEL_ALL_QUERIES(77)"]
    assert len(server.logins) == 2
    connection.close()


def test_cancelling_ends_the_statement_under_way_and_nothing_else(server: Server) -> None:
    connection = server.source(user="syncs", password="pw").open()
    connection.cancel_statement()
    assert server.queries == [], "nothing is under way"
    server.blocked.clear()
    thread = threading.Thread(target=connection.execute, args=("CREATE TABLE t AS SELECT 1",))
    thread.start()
    until(lambda: server.queries)
    connection.cancel_statement()
    thread.join(20)
    texts = [query["sqlText"] for query in server.queries]
    assert texts == ["CREATE TABLE t AS SELECT 1", "SELECT SYSTEM$CANCEL_ALL_QUERIES(77)"]
    connection.cancel_statement()
    assert len(server.queries) == 2, "it is over"
    connection.close()


def test_a_cancelled_run_does_not_wait_to_send_a_statement_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda *_between: 2)
    connection, cancelled = server.source(user="syncs", password="pw").open(), threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.execute("SELECT 1 AS fails, 000625")
    assert len(server.queries) == 1
    connection.close()


@pytest.mark.parametrize(
    ("number", "kind", "shown"),
    [
        ("003001", wcdc.PermissionDeniedError, True),
        ("002003", wcdc.PermissionDeniedError, True),
        ("100038", wcdc.PermissionDeniedError, False),
        ("390112", wcdc.ConnectionLostError, False),
    ],
)
def test_errors_by_their_number(server: Server, number: str, kind: type, shown: bool) -> None:
    connection = server.source(user="syncs", password="pw").open()
    with pytest.raises(kind) as caught:
        connection.query(f"SELECT 'value' AS fails, {number}")
    assert ("secret" in caught.value.message) == shown
    assert "value" not in caught.value.sql
    assert connection.closed == (kind is wcdc.ConnectionLostError), "the next run takes another session"
    if kind is not wcdc.ConnectionLostError:
        assert number in caught.value.message and caught.value.query_id == "01b-q"
    connection.close()


def test_a_connection_that_is_somebody_elses_stays_open(server: Server) -> None:
    place = {"host": "127.0.0.1", "port": server.server_address[1], "protocol": "http"}
    own = connector.connect(account="org-acc", user="u", password="p", database="SHOP", **place)
    with wcdc.connect(own) as warehouse:
        assert warehouse.dialect == "snowflake"
        assert warehouse._connection.clone().query("SELECT 1") == [("9.0.0",)]
    assert not own.is_closed() and len(server.logins) == 1 and not own.arrow_number_to_decimal
    server.autocommit = "false"
    with pytest.raises(wcdc.UnsupportedError) as caught:
        wcdc.connect(own)
    assert caught.value.code == "connect-target" and "autocommit" in caught.value.hint
    own.close()


def test_an_engine_makes_the_connections(server: Server) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("snowflake.sqlalchemy")
    place = {"host": "127.0.0.1", "port": server.server_address[1], "protocol": "http"}
    engine = sqlalchemy.create_engine("snowflake://u:p@org-acc/SHOP", connect_args=place)
    with wcdc.connect(engine) as warehouse:
        assert warehouse._connection.query("SELECT 1") == [("9.0.0",)]
        warehouse._connection.clone().close()
    assert {login["LOGIN_NAME"] for login, _named in server.logins} == {"u"}
    assert any("autocommit=true" in query["sqlText"].lower() for query in server.queries)


def test_the_last_moment_of_all_can_be_read(server: Server) -> None:
    """Its nanoseconds don't fit into 64 bits; a destination gets microseconds."""
    utils = pytest.importorskip("snowflake.connector._internal.arrow_stream_utils")
    context = pytest.importorskip("snowflake.connector._internal.arrow_context")
    about = {"logicalType": "TIMESTAMP_NTZ", "scale": "9", "precision": "0", "charLength": "0"}
    kind = pa.struct([("epoch", pa.int64()), ("fraction", pa.int32())])
    values = pa.array([{"epoch": 253402300799, "fraction": 999999999}], kind)
    sent = pa.schema([pa.field("T", kind, metadata=about)])

    class Cursor:
        def fetch_arrow_batches(self, **how: Any) -> Iterator[pa.Table]:
            stream = (ctypes.c_byte * 64)()
            batches = [pa.record_batch([values], schema=sent)]
            pa.RecordBatchReader.from_batches(sent, batches)._export_to_c(ctypes.addressof(stream))
            converter = context.ArrowConverterContext("UTC")
            for batch in utils.create_table_iterator(ctypes.addressof(stream), context=converter, **how):
                yield pa.Table.from_batches([batch])

    connection = server.source(user="u", password="p").open()
    connection._cursor = lambda _sql: contextlib.nullcontext(Cursor())  # type: ignore[attr-defined]
    kinds = [connection.dialect.column_type("TIMESTAMP_NTZ(9)")]
    (batch,) = connection.stream("SELECT t", kinds)
    connection.close()
    assert str(batch.column(0)[0]) == "9999-12-31 23:59:59.999999"


@pytest.mark.parametrize(
    ("database", "name"), [("shop", '"SHOP"'), ("Shop", '"SHOP"'), ('"my ""shop"', '"my ""shop"')]
)
def test_setup_names_the_database(server: Server, database: str, name: str) -> None:
    with wcdc.connect(server.source(user="u", password="p", database=database)) as warehouse:
        assert warehouse.setup_sql("syncs") == [
            f'CREATE SCHEMA IF NOT EXISTS {name}."HIGHTOUCH_AUDIT"',
            f'CREATE SCHEMA IF NOT EXISTS {name}."HIGHTOUCH_PLANNER"',
            f'GRANT OWNERSHIP ON SCHEMA {name}."HIGHTOUCH_AUDIT" TO ROLE "SYNCS" COPY CURRENT GRANTS',
            f'GRANT OWNERSHIP ON SCHEMA {name}."HIGHTOUCH_PLANNER" TO ROLE "SYNCS" COPY CURRENT GRANTS',
        ]
