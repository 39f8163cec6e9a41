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

import duckdb
import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from tests.unit.test_sending import sender
from warehouse_cdc.destinations import Batch, HttpFunction, JsonRpc, rejected, retryable
from warehouse_cdc.destinations.encoding import json_objects
from warehouse_cdc.destinations.http import HttpRequest, OAuth2, Request
from warehouse_cdc.engine import chunks
from warehouse_cdc.engine.chunks import _lanes_of
from warehouse_cdc.engine.spool import Spool
from warehouse_cdc.errors import DestinationError
from warehouse_cdc.mapping.values import tagged
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
            run = run_of(db, made, batch_timeout=0.5, mode="insert")
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
