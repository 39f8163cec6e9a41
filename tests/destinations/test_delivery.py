"""Delivery at its edges: rows alone in a call, odd answers, values, disks and processes."""

from __future__ import annotations

import http.server
import json
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import duckdb
import httpx2
import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from tests.unit.test_sending import batch as delivery
from tests.unit.test_sending import sender
from warehouse_cdc.destinations import (
    Batch,
    Capabilities,
    Destination,
    HttpFunction,
    JobWriter,
    JsonRpc,
    rejected,
    retryable,
)
from warehouse_cdc.destinations.encoding import json_objects
from warehouse_cdc.destinations.http import HttpRequest, Json, OAuth2, Request
from warehouse_cdc.destinations.http.client import _retry_after
from warehouse_cdc.destinations.spelling import spellings
from warehouse_cdc.engine import chunks
from warehouse_cdc.engine.chunks import _lanes_of
from warehouse_cdc.engine.spool import Spool
from warehouse_cdc.errors import AuthenticationError, DestinationError, RateLimitedError
from warehouse_cdc.mapping.values import tagged, to_rows
from warehouse_cdc.testing import Fault, FaultServer


def run_of(db: Any, destination: Any, table: str = "t", warehouse: Any = None, **options: Any) -> wcdc.Run:
    sync = wcdc.Sync(
        id="s",
        model=wcdc.Model("m", table=table, primary_key="id"),
        destination=destination,
        **{"retry_wait": 0, **options},
    )
    if warehouse is not None:
        return warehouse.run(sync)
    with wcdc.connect(db) as opened:
        return opened.run(sync)


def test_only_what_is_made_fast_is_made_once_for_a_chunk() -> None:
    """It is made within the time of one call."""
    narrow = pa.table({"v": pa.array(range(20_000))})
    wide = pa.table({"v": pa.array([b"x" * 10_000] * 1000)})
    assert chunks._whole(narrow) is not None and chunks._whole(wide.slice(0, 100)) is not None
    assert chunks._whole(wide) is None and chunks._whole(pa.concat_tables([narrow, narrow])) is None


# -- rejections -----------------------------------------------------------------------------------


def test_a_row_that_was_alone_in_a_refused_call_counts() -> None:
    """running.md: "A call that was refused as a whole counts for a row that was alone in it"."""

    def answer(rows: list[int], batch: Batch) -> Any:
        raise DestinationError(
            "status 400", status=400, retryable=False, outcomes={0: rejected("left out", permanent=True)}
        )

    made, _writer = sender(answer)
    sent = made.send(make_batch(make_context(pa.schema([("id", pa.int64())])), [(1,), (2,)]), 0)
    assert sent.failures[0][2] is True
    assert sent.failures[1][2] is not None, f"row 2 was alone in the call that was refused: {sent.failures}"


def test_quarantine_of_a_row_that_is_refused_alone_beside_one_that_is_left_out() -> None:
    db = duckdb.connect()
    db.execute("create table t as select i as id, if(i = 0, 'x', 'y') as v from range(2) r(i)")
    calls: list[list[str]] = []

    def send(batch: Batch) -> None:
        calls.append(list(batch.row_ids))
        outcomes = {at: rejected("left out") for at, row in enumerate(batch.rows) if row["v"] == "x"}
        raise DestinationError("status 400", status=400, retryable=False, outcomes=outcomes)

    with wcdc.connect(db) as warehouse:
        for _turn in range(6):
            run_of(db, send, warehouse=warehouse, on_rejected="quarantine", rejected_runs=2, mode="insert")
    assert len(calls) <= 3, calls


def test_a_retryable_row_of_a_refused_call_is_tried_again() -> None:
    """A row with an outcome of its own that is retryable has max_attempts attempts in a run."""
    tries: dict[int, int] = {}

    def answer(rows: list[int], batch: Batch) -> Any:
        for row in rows:
            tries[row] = tries.get(row, 0) + 1
        if 0 in rows and tries[0] == 1:
            raise DestinationError("bad", status=400, retryable=False, outcomes={0: retryable("busy")})
        return {}

    made, _writer = sender(answer)
    sent = made.send(make_batch(make_context(pa.schema([("id", pa.int64())])), [(i,) for i in range(4)]), 0)
    assert not sent.failures, f"{sent.failures}, {tries}"


# -- services ---------------------------------------------------------------------------------------


def test_a_number_that_python_does_not_parse_is_no_unknown_outcome() -> None:
    """The function has taken the rows and said so; reading the answer must not need the values."""
    schema = pa.schema([("id", pa.int64()), tagged("v", "json")])
    context = make_context(schema)
    with FaultServer(script=lambda number, path, body: Fault(status=200, body="{}")) as server:
        made = HttpFunction(server.url, batch_rows=10)
        opened = made.open(context)
        try:
            assert opened.write(make_batch(context, [(1, "1"), (2, "9" * 5000)])) == {}
        finally:
            opened.close()


def test_a_connectors_code_that_is_none_is_an_error_of_ours() -> None:
    def script(number: int, path: str, body: bytes) -> Fault:
        asked = json.loads(body)
        answer = {"jsonrpc": "2.0", "id": asked["id"], "error": {"code": [1], "message": "x"}}
        return Fault(status=200, body=json.dumps(answer))

    with FaultServer(script=script) as server, pytest.raises(wcdc.CdcError):
        JsonRpc(server.url, object="a").check(make_context(pa.schema([("id", pa.int64())])))


def test_a_retry_after_that_is_no_date_is_ignored() -> None:
    context = make_context(pa.schema([("id", pa.int64())]))
    fault = Fault(status=429, headers={"Retry-After": "Mon, 1 Jan 99999999999999999999 10:00:00 GMT"})
    with FaultServer(script=lambda number, path, body: fault) as server:
        opened = HttpRequest(server.url, added=Request(url="/x")).open(context)
        try:
            with pytest.raises(DestinationError) as caught:
                opened.write(make_batch(context, [(1,)]))
            assert caught.value.status == 429
        finally:
            opened.close()


# -- what writers say wrongly -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "say",
    [
        lambda: RateLimitedError("slow", retry_after="0"),  # type: ignore[arg-type]
        lambda: DestinationError({"error": "down"}, status=503),  # type: ignore[arg-type]
    ],
)
def test_an_odd_error_costs_only_its_batch(say: Any) -> None:
    db = duckdb.connect()
    db.execute("create table t as select i as id from range(6) r(i)")
    calls: list[str] = []

    def send(batch: Batch) -> None:
        calls.extend(batch.row_ids)
        if batch.row_ids == ["3"] and batch.attempt == 1:
            raise say()

    assert run_of(db, send, batch_rows=1, mode="insert").status == "success"
    assert sorted(calls) == [*"012334", "5"]


def test_what_is_true_but_no_bool_is_permanent() -> None:
    db = duckdb.connect()
    db.execute("create table t as select i as id from range(6) r(i)")
    run = run_of(db, lambda batch: {"3": rejected("bad", permanent=1)} if "3" in batch.row_ids else None)  # type: ignore[arg-type]
    assert run.status == "warning" and run.counts["added"].succeeded == 5


def test_refused_credentials_after_an_effect_that_may_have_happened() -> None:
    def answer(rows: list[int], batch: Batch) -> dict[int, Any]:
        raise AuthenticationError("gone", outcome_unknown=True)

    assert sender(answer)[0].send(delivery(2), 0).failures[0][0] == "unknown"


def test_rows_left_out_of_a_lost_submission_did_not_succeed() -> None:
    class Bulk(Destination):
        name = "bulk"
        capabilities = Capabilities(modes=frozenset({"upsert"}), jobs=True)

        def open(self, context: Any) -> JobWriter:
            return BulkWriter()

    class BulkWriter(JobWriter):
        def submit(self, batch: Batch, job_id: str) -> str:
            outcomes = {batch.row_ids.index("1"): rejected("too long")}
            raise DestinationError("lost", outcome_unknown=True, outcomes=outcomes)

        def poll(self, batch: Batch, handle: str) -> dict[int, Any]:
            return {}

        def find(self, batch: Batch, job_id: str) -> str:
            return job_id

    db = duckdb.connect()
    db.execute("create table t as select i as id from range(3) r(i)")
    counts = run_of(db, Bulk(), poll_wait=0.01).counts["added"]
    assert (counts.succeeded, counts.failed) == (2, 1)


def test_a_refusal_that_asks_to_wait_too_long_is_not_halved() -> None:
    def answer(rows: list[int], batch: Batch) -> dict[int, Any]:
        raise DestinationError("busy", status=400, retryable=False, retry_after=1000)

    made, writer = sender(answer, retry_after_max=0.05)
    assert made.send(delivery(4), 0).fatal and len(writer.calls) == 1


@pytest.mark.parametrize(("options", "most"), [({"max_attempts": 2}, 2), ({"retry_budget": 0}, 1)])
def test_a_retryable_row_of_a_refused_call_keeps_to_attempts_and_budget(options: Any, most: int) -> None:
    calls: list[list[int]] = []

    def answer(rows: list[int], batch: Batch) -> dict[int, Any]:
        calls.append(list(rows))
        if len(calls) == 1:
            raise DestinationError("bad", status=400, retryable=False, outcomes={0: retryable("busy")})
        return {at: retryable("busy") for at, row in enumerate(rows) if row == 0}

    sender(answer, **options)[0].send(delivery(4), 0)
    assert sum(0 in each for each in calls) <= most and {2, 3} <= {row for each in calls[1:] for row in each}


# -- values in messages and logs ----------------------------------------------------------------------


LONG = "('[' || repeat('9', 5000) || ']')::json"


def test_a_long_number_does_not_break_the_stop(tmp_path: Path) -> None:
    """D21: refused credentials stop the run, and what was delivered counts; the log keeps each call."""
    db = duckdb.connect()
    db.execute(f"create table t as select i as id, {LONG} as v from range(6) r(i)")

    def send(batch: Batch) -> None:
        if batch.row_ids == ["3"]:
            raise AuthenticationError("the token is over")

    run = run_of(db, send, batch_rows=1, request_log=tmp_path, redact=["v"])
    assert run.status == "failed" and run.counts["added"].succeeded == 3
    assert len((tmp_path / f"{run.run_id}.jsonl").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("sql", "leak"), [("DATE '1987-03-14'", "1987, 3, 14"), ("'hidden-bytes'::BLOB", "hidden-bytes")]
)
def test_values_as_python_shows_them_are_taken_out(sql: str, leak: str) -> None:
    db = duckdb.connect()
    db.execute(f"create table t as select 1 as id, {sql} as v")

    def send(batch: Batch) -> None:
        raise DestinationError(f"can't send {batch.rows[0]}")

    run = run_of(db, send, max_attempts=1)
    assert run.error and leak not in run.error


def test_values_that_python_cannot_hold_break_no_message() -> None:
    column = broken_text(3, 1).column("v")
    assert "a" in spellings(column, pa.field("v", pa.string()))
    nested = pa.list_(pa.timestamp("us"))
    far = spellings(pa.chunked_array([pa.array([[2**62], None], nested)]), pa.field("v", nested))
    assert far == {"['+148108-07-06T14:00:27.387904']"}, "as Python shows what a destination gets"


def test_a_value_that_python_cannot_hold_does_not_end_the_log() -> None:
    assert [row["v"] for row in to_rows(broken_text(3, 1), strict=False)] == ["a", None, "a"]


def test_a_value_that_was_cut_is_taken_out_before_words_are_added() -> None:
    name = "Confidential-Customer-Name-" + "x" * 200
    db = duckdb.connect()
    db.execute("create table t as select 1 as id, ? as name", [name])
    fault = Fault(status=503, headers={"Retry-After": "9999"}, body="z" * 450 + " " + name)
    with FaultServer(script=lambda number, path, body: fault) as server:
        run = run_of(db, HttpRequest(server.url, added=Request()), mode="insert", retry_after_max=0.1)
    assert run.error and "asks to wait" in run.error and "Confidential" not in run.error


def test_a_redacted_value_is_hidden_in_other_columns(tmp_path: Path) -> None:
    db = duckdb.connect()
    db.execute("create table t as select 1 as id, 'ada@x.org' as email, ['mailto:ada@x.org'] as links")
    run = run_of(db, lambda batch: None, request_log=tmp_path, redact=["email"])
    assert "ada@x.org" not in (tmp_path / f"{run.run_id}.jsonl").read_text()


@pytest.mark.parametrize(
    "options",
    [
        *({"request_log": True}, {"redact": 5}, {"redact": ["emial"]}),
        *({"share_rate": ["a"], "rate": "5/second"}, {"rate": "9" * 5000 + "/second"}),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(options: Any) -> None:
    db = duckdb.connect()
    db.execute("create table t as select 1 as id")
    with pytest.raises(wcdc.ConfigError):
        run_of(db, lambda batch: None, **options)
    assert not db.execute("select * from duckdb_tables() where table_name like '%plan%'").fetchall()


@pytest.mark.parametrize("days", [float("inf"), 1_000_000])
def test_a_log_that_is_kept_for_ever_harms_no_run(days: float) -> None:
    db = duckdb.connect()
    db.execute("create table t (id integer)")
    with wcdc.connect(db) as warehouse:
        for row in (7, 8):
            db.execute(f"insert into t values ({row})")
            options = {"request_log_table": True, "request_log_days": days}
            assert run_of(db, lambda batch: None, warehouse=warehouse, **options).status == "success"


# -- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["rows[0].nope", "rows.first.nope"])
def test_a_field_of_a_row_by_its_place_must_be_sent(value: str) -> None:
    db = duckdb.connect()
    db.execute("create table t as select 1 as id")
    body = Json('{"a": {{ ' + value + " | json }}}")
    with pytest.raises(wcdc.ConfigError, match="nope, and no such field is sent"):
        run_of(db, HttpRequest("http://127.0.0.1:9", added=Request(body=body)), mode="insert")
    good = Json('{"a": {{ rows[0].id | json }}, "b": {{ rows.last.id | json }}, "n": {{ rows.size }}}')
    with FaultServer() as server:
        made = HttpRequest(server.url, added=Request(url="/x", body=good))
        assert run_of(db, made, mode="insert").status == "success"


def test_a_retry_after_in_the_old_form_of_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110: it is in UTC."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        seconds = _retry_after(time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(time.time() + 10)))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert seconds is not None and seconds < 15


def test_a_batch_size_that_is_none_is_not_made_a_number() -> None:
    """So many digits would fill the memory."""

    def script(number: int, path: str, body: bytes) -> Fault:
        asked = json.loads(body)
        result = {"add": "{}", "behavior": '{"batchSize": 1e9999999999}'}.get(asked["method"], "[]")
        return Fault(status=200, body=f'{{"jsonrpc": "2.0", "id": {asked["id"]}, "result": {result}}}')

    db = duckdb.connect()
    db.execute("create table t as select 1 as id")
    with FaultServer(script=script) as server:
        assert run_of(db, JsonRpc(server.url)).status == "success"


def test_the_fault_server_removes_any_key() -> None:
    with FaultServer() as server:
        httpx2.post(server.url + "/rows", json={"id": "a b"})
        assert list(server.table) == ["a b"]
        httpx2.delete(server.url + "/rows/a%20b")
        assert not server.table


@pytest.mark.parametrize("header", [" x", "x "])
def test_a_header_that_begins_or_ends_with_a_blank_is_refused(header: str) -> None:
    with pytest.raises(wcdc.ConfigError):
        HttpRequest("http://127.0.0.1:9", added=Request(), headers={"X-A": header})


# -- OAuth ----------------------------------------------------------------------------------------


def test_a_server_of_tokens_that_hangs_makes_no_row_unknown() -> None:
    """No call was made: "no connection -> not applied"."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    db = duckdb.connect()
    db.execute("create table t as select i as id from range(40) r(i)")
    with FaultServer() as server:
        auth = OAuth2(token_url=f"http://127.0.0.1:{port}/token", client_id="c", client_secret="long secret")
        made = HttpRequest(server.url, added=Request(url="/x"), auth=auth, concurrency=8)
        with wcdc.connect(db) as warehouse:
            run = run_of(db, made, warehouse=warehouse, batch_rows=5, batch_timeout=2.0, mode="insert")
            told = {each["reason"] for each in run.rejections().to_pylist()}
        assert not server.calls
    assert not [each for each in told if "no answer within" in each], (run.error, run.counts["added"], told)


def oauth(server: FaultServer, **options: Any) -> OAuth2:
    return OAuth2(token_url=server.url + "/token", client_id="c", client_secret="long secret", **options)


def test_a_new_consent_takes_the_place_of_a_kept_token(tmp_path: Path) -> None:
    good = {"first"}

    def script(number: int, path: str, body: bytes) -> Fault | None:
        if not path.startswith("/token"):
            return None
        if parse_qs(body.decode())["refresh_token"][0] not in good:
            return Fault(status=400, body='{"error": "invalid_grant"}')
        good.clear()
        good.add("rotated")
        answer = {"access_token": "abcdefgh", "token_type": "Bearer", "refresh_token": "rotated"}
        return Fault(status=200, headers={"Content-Type": "application/json"}, body=json.dumps(answer))

    db = duckdb.connect()
    db.execute("create table t (id integer)")
    with FaultServer(script=script) as server, wcdc.connect(db) as warehouse:
        for row, token in enumerate(("first", "first", "second")):
            if token == "second":
                good.clear()
                good.add(token)
            auth = oauth(
                server, grant="authorization_code", refresh_token=token, token_file=tmp_path / "token"
            )
            db.execute(f"insert into t values ({row})")
            made = HttpRequest(server.url, added=Request(url="/rows"), auth=auth)
            run = run_of(db, made, warehouse=warehouse, mode="insert")
            assert run.status == "success", (row, run.error)


def test_a_server_of_tokens_that_drips_makes_no_row_unknown() -> None:
    answer = json.dumps({"access_token": "abcdefgh", "token_type": "Bearer"})
    drips = Fault(status=200, headers={"Content-Type": "application/json"}, body=answer, drip=0.1)
    db = duckdb.connect()
    db.execute("create table t as select i as id from range(6) r(i)")
    with FaultServer(script=lambda number, path, body: drips if path == "/token" else None) as server:
        made = HttpRequest(server.url, added=Request(url="/rows"), auth=oauth(server), timeout=0.8)
        with wcdc.connect(db) as warehouse:
            run = run_of(db, made, warehouse=warehouse, mode="insert", max_attempts=1, batch_timeout=1)
            told = {each["reason"] for each in run.rejections().to_pylist()}
    assert run.status == "failed" and not [each for each in told if "unknown" in each]


def test_parameters_of_tokens_that_have_arguments_are_refused() -> None:
    with pytest.raises(wcdc.ConfigError, match="grant_type"):
        OAuth2(
            token_url="http://127.0.0.1:9", client_id="c", client_secret="s", token_params={"grant_type": "x"}
        )


def test_no_call_is_sent_with_a_token_that_came_too_late() -> None:
    """Its call was given up by then, and the next run may have sent newer values."""
    over = threading.Event()

    class Drips(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = b'{"access_token": "abcdefgh", "token_type": "Bearer"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):
                for at in range(0, len(content), 4):
                    time.sleep(0.1)
                    self.wfile.write(content[at : at + 4])
            over.set()

        def log_message(self, *_told: Any) -> None:
            """Say nothing."""

    tokens = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drips)
    threading.Thread(target=tokens.serve_forever, daemon=True).start()
    db = duckdb.connect()
    db.execute("create table t as select 1 as id")
    url = f"http://127.0.0.1:{tokens.server_port}/token"
    try:
        with FaultServer() as server:
            auth = OAuth2(token_url=url, client_id="c", client_secret="long secret")
            made = HttpRequest(server.url, added=Request(url="/x"), auth=auth)
            run = run_of(db, made, batch_timeout=0.5, max_attempts=1, mode="insert")
            assert run.status == "failed" and over.wait(10)
            time.sleep(0.3)
            assert not server.calls
    finally:
        tokens.shutdown()
        tokens.server_close()


# -- values -----------------------------------------------------------------------------------------


def broken_text(rows: int, bad: int) -> pa.Table:
    texts = [b"a"] * rows
    texts[bad] = b"\xff"
    data = pa.array(texts, pa.binary())
    text = pa.Array.from_buffers(pa.string(), rows, data.buffers())
    return pa.table({"id": pa.array(range(rows)), "v": text})


@pytest.mark.parametrize("rows", [499, 500])
def test_text_that_is_no_utf8_costs_only_its_own_row(rows: int) -> None:
    invalid: dict[int, str] = {}
    texts = json_objects(broken_text(rows, 7), invalid)
    assert set(invalid) == {7} and len(texts) == rows


# -- the spool ----------------------------------------------------------------------------------------


def test_a_trailing_batch_without_rows_is_no_error() -> None:
    """An empty batch at the end of a large result of one part."""
    big = pa.record_batch({"bucket": pa.array([1] * 10), "v": pa.array(["x" * 1_000_000] * 10)})
    spool = Spool([big, big.slice(0, 0)], [5])
    try:
        assert spool.part(0).num_rows == 10
    finally:
        spool.close()


@pytest.mark.parametrize("highs", [[9], [3, 9]])
def test_buckets_may_come_as_decimals(highs: list[int]) -> None:
    """As Snowflake's whole numbers do."""
    buckets = pa.array(range(10)).cast(pa.decimal128(38, 0))
    spool = Spool([pa.record_batch({"bucket": buckets})], highs)
    parts = [spool.part(place).column("bucket").to_pylist() for place in range(len(highs))]
    assert parts == [[*range(10)]] if len(highs) == 1 else [[*range(4)], [*range(4, 10)]]
    spool.close()


def test_a_full_disk_leaves_no_file_behind(tmp_path: Path) -> None:
    """The disk is full (here: files may have 20 MB): "closing it frees its file"."""
    code = """
        import resource, signal, sys, pyarrow as pa
        from warehouse_cdc.engine.spool import Spool
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))
        big = pa.record_batch({"bucket": pa.array([1] * 10), "v": pa.array(["x" * 1_000_000] * 10)})
        try:
            Spool([big] * 5, [5])
        except OSError as error:
            print("OSError")
    """
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True, check=False
    )
    assert "OSError" in done.stdout, done.stderr
    assert not list(tmp_path.glob("wcdc-*")), [(p.name, p.stat().st_size) for p in tmp_path.glob("wcdc-*")]


# -- order_by ---------------------------------------------------------------------------------------


def test_lanes_know_numbers_that_travel_as_text() -> None:
    lanes = _lanes_of(pa.chunked_array([["1.0", "2", "1.00", "NaN", "NaN"]]), tagged("v", "decimal"), 1000)
    assert lanes[0] == lanes[2] != lanes[1] and lanes[3] == lanes[4]


def test_lanes_know_json_by_its_content() -> None:
    texts = [*('{"a": 1, "b": [0]}', '{"b":[-0.0],"a":1.0}'), *(None, None), *("nonsense", "nonsense")]
    lanes = _lanes_of(pa.chunked_array([texts]), tagged("j", "json"), 1000)
    assert lanes[0] == lanes[1] and lanes[2] == lanes[3] and lanes[4] == lanes[5] and len(set(lanes)) == 3


@pytest.mark.parametrize("column", ["l", "st"])
def test_order_by_a_list_or_a_struct(column: str) -> None:
    """It works, or is refused before anything is planned, by an error of this library."""
    db = duckdb.connect()
    db.execute("create table t as select i as id, [i % 3] as l, {'a': i % 3} as st from range(6) r(i)")
    try:
        assert run_of(db, lambda batch: None, order_by=column, mode="insert").status == "success"
    except wcdc.CdcError as error:
        assert error.code.startswith("sync")


def test_zeros_are_one_value_of_order_by() -> None:
    """D5: -0.0 equals 0.0; running.md: rows with one value are never under way at once."""
    db = duckdb.connect()
    db.execute(
        "create table t as select i as id, case i % 2 when 0 then 0.0::double else '-0'::double end as z "
        "from range(40) r(i)"
    )
    lock, live, most = threading.Lock(), [0], [0]

    def send(batch: Batch) -> None:
        with lock:
            live[0] += 1
            most[0] = max(most[0], live[0])
        time.sleep(0.01)
        with lock:
            live[0] -= 1

    assert run_of(db, send, order_by="z", batch_rows=2, concurrency=4, mode="insert").status == "success"
    assert most[0] == 1


# -- what is left behind, and what travels ------------------------------------------------------------


def test_a_killed_run_leaves_no_rows_on_disk(tmp_path: Path) -> None:
    """After the next run at the latest, the rows of a killed one aren't in the temporary folder."""
    code = """
        import os, sys, duckdb, warehouse_cdc as wcdc
        db = duckdb.connect("w.duckdb")
        made = "select i as id, repeat(i::text, 300) as v from range(40000) r(i)"
        db.execute(f"create table if not exists t as {made}")
        def send(batch):
            if sys.argv[1] == "kill":
                os.kill(os.getpid(), 9)
        with wcdc.connect(db) as wh:
            model = wcdc.Model("m", table="t", primary_key="id")
            print(wh.run(wcdc.Sync(id="s", model=model, destination=send)).status)
    """
    root = str(Path(__file__).parents[2])
    (tmp_path / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": root}
    for what in ("kill", "end"):
        command = [sys.executable, "-c", textwrap.dedent(code), what]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "success" in done.stdout, done.stderr
    left = [(each.name, each.stat().st_size) for each in (tmp_path / "tmp").glob("wcdc-*")]
    assert not left, left


def test_a_batch_travels_without_the_rest_of_its_chunk() -> None:
    """A pickled batch has its rows once, and not the chunk's beside them."""
    db = duckdb.connect()
    db.execute("create table t as select i as id, repeat('x', 100) || i as v from range(10000) r(i)")
    sizes: list[tuple[int, int]] = []

    def send(batch: Batch) -> None:
        if not sizes:
            alone = batch.take(range(len(batch)))
            sizes.append((len(pickle.dumps(batch)), len(pickle.dumps(alone))))

    run_of(db, send, batch_rows=10, mode="insert")
    assert sizes[0][0] < 2 * sizes[0][1], sizes


@pytest.mark.parametrize("narrow", [0, 9000])
def test_wide_rows_are_in_memory_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch, narrow: int) -> None:
    """50 MB of them wait on disk, whichever come first; 50,000 narrow ones would be in memory at once."""
    monkeypatch.setattr("warehouse_cdc.engine.delivery.PART_BYTES", 1_000_000)
    held: list[int] = []

    def note(batch: Batch) -> None:
        held.append(pa.total_allocated_bytes() - before)

    sql = (
        f"SELECT i AS id, repeat('x', CASE WHEN i < {narrow} THEN 1 ELSE 50000 END) AS v "
        f"FROM range({narrow + 1000}) t(i)"
    )
    model = wcdc.Model("wide", sql=sql, primary_key="id")
    sync = wcdc.Sync(id="wide", model=model, destination=wcdc.destination(note), chunk_rows=10)
    with wcdc.connect("duckdb:///:memory:", snapshot=False, changelog=False) as warehouse:
        before = pa.total_allocated_bytes()
        assert warehouse.run(sync).status == "success"
    assert len(held) > 50
    assert max(held) < 15_000_000


@pytest.mark.parametrize("rows", [1, 130, 1000])
def test_a_plan_may_be_read_by_many_statements(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """On a warehouse whose results come whole: each operation's chunks, in order and once."""
    monkeypatch.setattr("warehouse_cdc.warehouses.duckdb.DuckDBConnection.result_rows", rows)
    sent: list[str] = []
    read: list[str] = []
    sql = "SELECT i AS id FROM range(1000) t(i)"
    sync = wcdc.Sync(
        id="many",
        model=wcdc.Model("many", sql=sql, primary_key="id"),
        destination=wcdc.destination(lambda batch: sent.extend(batch.row_ids)),
        chunk_rows=40,
    )
    with wcdc.connect("duckdb:///:memory:") as warehouse:
        stream = warehouse._connection.stream
        monkeypatch.setattr(
            warehouse._connection,
            "stream",
            lambda sql, *rest, **more: read.append(sql) or stream(sql, *rest, **more),
        )
        run = warehouse.run(sync)
    assert run.status == "success" and sorted(sent, key=int) == [str(number) for number in range(1000)]
    assert (len(read) > 5) == (rows < 1000)
