"""HTTP destinations against a real server on a real socket."""

from __future__ import annotations

import json
import math
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import duckdb
import httpx2
import pyarrow as pa
import pytest
import trustme

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from warehouse_cdc.destinations import HttpFunction, JsonRpc, RunContext, Writer
from warehouse_cdc.destinations.http import (
    Empty,
    Form,
    HttpRequest,
    Json,
    JsonColumn,
    OAuth2,
    Request,
    Tls,
    Xml,
)
from warehouse_cdc.mapping.values import tagged
from warehouse_cdc.testing import Fault, FaultServer, in_turn

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
JSON_TYPE = {"Content-Type": "application/json"}
ROWS = [(1, "Ada"), (2, 'Gr"ace'), (3, None)]


@contextmanager
def writer(
    destination: HttpRequest, schema: pa.Schema = SCHEMA, **changes: Any
) -> Iterator[tuple[Writer, RunContext]]:
    context = make_context(schema, on_removed="delete", **changes)
    destination.check(context)
    opened = destination.open(context)
    try:
        yield opened, context
    finally:
        opened.close()


def upserting(server: FaultServer, **options: Any) -> HttpRequest:
    request = Request(url="/rows")
    removing = Request("DELETE", "/rows/{{ row.id }}", body=Empty(), batch=False)
    return HttpRequest(server.url, **{"added": request, "changed": request, "removed": removing, **options})


def body_of(request: Request, rows: Any = ROWS, schema: pa.Schema = SCHEMA) -> bytes:
    """The body that a request has on the wire."""
    with FaultServer() as server:
        made = HttpRequest(server.url, added=request, changed=request, removed=request)
        with writer(made, schema) as (opened, context):
            assert not opened.write(make_batch(context, rows))
        return server.calls[0].body


# -- what is sent ---------------------------------------------------------------------------------


def test_columns_are_exact_json() -> None:
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("amount", pa.decimal128(38, 10)),
            ("ratio", pa.float64()),
            tagged("extra", "json"),
            ("seen", pa.timestamp("us", tz="UTC")),
            ("data", pa.binary()),
        ]
    )
    row = (
        9007199254740993,
        Decimal("12345678901234567890.1234567890"),
        0.1,
        '{"b":1.10,"a":[null]}',
        0,
        b"\x00",
    )
    sent = body_of(Request(url="/x"), [row, (2, None, math.nan, None, None, None)], schema).decode()
    assert sent.startswith('[{"id":9007199254740993,"amount":12345678901234567890.1234567890,"ratio":0.1,')
    assert '"extra":{"b":1.10,"a":[null]}' in sent
    second = json.loads(sent)[1]
    assert second == {"id": 2, "amount": None, "ratio": "NaN", "extra": None, "seen": None, "data": None}


def test_names_are_as_they_are() -> None:
    schema = pa.schema([("id", pa.int64()), ('a "b" %s %%', pa.string())])
    assert json.loads(body_of(Request(), [(1, "%d")], schema)) == [{"id": 1, 'a "b" %s %%': "%d"}]


def test_one_row_is_an_object_and_a_batch_an_array() -> None:
    assert json.loads(body_of(Request(batch=False), ROWS[:1])) == {"id": 1, "name": "Ada"}
    assert json.loads(body_of(Request())) == [{"id": i, "name": name} for i, name in ROWS]


def test_one_column_is_the_payload() -> None:
    schema = pa.schema([("id", pa.int64()), ("payload", pa.string())])
    rows = [(1, '{"a": 1.10}'), (2, "plain"), (3, None)]
    body = JsonColumn("payload")
    assert body_of(Request(body=body), rows, schema) == b'[{"a": 1.10},"plain",null]'
    assert body_of(Request(body=body, batch=False), rows[:1], schema) == b'{"a": 1.10}'


TUTORIAL = """[
  {% for row in rows %} { "id": "{{ row.id }}",
 "tags": [ "{{ row.name | replace: ', ', '", "' }}" ], }, {% endfor %} ]"""


def test_a_template_makes_json_and_trailing_commas_are_left_out() -> None:
    rows = [(1, "sso, single, sign"), (2, 'a "b", c')]
    assert json.loads(body_of(Request(body=Json(TUTORIAL)), rows)) == [
        {"id": "1", "tags": ["sso", "single", "sign"]},
        {"id": "2", "tags": ['a "b"', "c"]},
    ]


def test_a_value_cannot_break_out_of_its_quotes() -> None:
    evil = 'x", "admin": true, "y": "'
    sent = json.loads(body_of(Request(body=Json('{"name": "{{ row.name }}"}'), batch=False), [(1, evil)]))
    assert sent == {"name": evil}
    xml = body_of(Request(body=Xml('<p n="{{ row.name }}">{{ row.id }}</p>'), batch=False), [(1, '"><x/>')])
    assert xml == b'<p n="&quot;&gt;&lt;x/&gt;">1</p>'


def test_commas_inside_of_text_stay() -> None:
    body = Json('{"name": "{{ row.name }},]", "list": [1, 2, ], }')
    assert json.loads(body_of(Request(body=body, batch=False), [(1, "a,}")])) == {
        "name": "a,},]",
        "list": [1, 2],
    }


def test_a_form_is_encoded() -> None:
    form = Form({"who": "{{ row.name | upcase }}", "run": "{{ context.sync_run_id }}"})
    sent = parse_qs(body_of(Request(body=form), [(1, "a&b=c ü")]).decode())
    assert sent["who"] == ["A&B=C Ü"] and len(sent["run"][0]) == 26
    assert parse_qs(body_of(Request(body=Form()), [(1, "x")]).decode()) == {"id": ["1"], "name": ["x"]}


def test_url_and_headers_are_templates() -> None:
    request = Request(
        "PUT",
        "/a/{{ row.name }}?model={{ context.model_name }}",
        Empty(),
        {"X-Row": "{{ row.id }}"},
        batch=False,
    )
    with FaultServer() as server:
        made = HttpRequest(server.url, added=request, headers={"Authorization": "Bearer t0ken"})
        with writer(made, mode="insert", operations=("added",)) as (opened, context):
            assert not opened.write(make_batch(context, [(1, "x/y?z#ü")]))
        call = server.calls[0]
    assert call.method == "PUT" and call.body == b""
    assert call.path == "/a/x%2Fy%3Fz%23%C3%BC?model=Customers"
    assert call.headers["x-row"] == "1" and call.headers["authorization"] == "Bearer t0ken"
    assert len(call.headers["idempotency-key"]) == 32


@pytest.mark.parametrize("value", [None, "", "..", "."])
def test_a_value_cannot_make_a_request_to_another_path(value: str | None) -> None:
    request = Request("DELETE", "/rows/{{ row.name }}", Empty(), batch=False)
    with FaultServer() as server:
        with writer(HttpRequest(server.url, added=request), mode="insert", operations=("added",)) as (
            opened,
            context,
        ):
            outcomes = opened.write(make_batch(context, [(1, value)]))
        assert not server.calls
    assert outcomes[0].status == "rejected" and outcomes[0].permanent and "path" in outcomes[0].reason


def test_a_value_cannot_become_a_part_of_the_host() -> None:
    request = Request(url="{{ row.name }}", batch=False)
    for url, ok in (
        ("https://a.example", False),
        ("https://a.example/", True),
        ("https://a.example/x", True),
    ):
        made = HttpRequest(url, added=request)
        context = make_context(SCHEMA, mode="insert", operations=("added",))
        if ok:
            made.check(context)
            continue
        with pytest.raises(wcdc.ConfigError) as caught:
            made.check(context)
        assert caught.value.code == "destination-url"


def test_what_utf8_cannot_hold_is_no_mark_of_the_authors() -> None:
    """PostgreSQL's json may hold a lone surrogate."""
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    extra = '{"a": "\\udc22, \\udc22admin\\udc22: \\udc22"}'
    body = Json('{"a": "{{ row.extra.a }}"}')
    sent = json.loads(body_of(Request(body=body, batch=False), [(1, extra)], schema))
    assert sent == {"a": "\ufffd, \ufffdadmin\ufffd: \ufffd"}


@pytest.mark.parametrize("where", ["destination", "request", "nowhere"])
def test_a_content_type_of_ones_own_is_the_only_one(where: str) -> None:
    own = {"content-type": "application/vnd.api+json"}
    with FaultServer() as server:
        made = HttpRequest(
            server.url,
            added=Request(headers=own if where == "request" else {}),
            headers=own if where == "destination" else {},
        )
        with writer(made, mode="insert", operations=("added",)) as (opened, context):
            opened.write(make_batch(context, ROWS))
        sent = server.calls[0].header_lines
    expected = "application/json" if where == "nowhere" else own["content-type"]
    assert [value for name, value in sent if name.lower() == "content-type"] == [expected]


def test_headers_are_one_whatever_their_case() -> None:
    own = {"x-own": "{{ row.id }}", "USER-AGENT": "b"}
    with FaultServer() as server:
        made = HttpRequest(
            server.url,
            added=Request(headers=own, batch=False),
            headers={"user-agent": "a", "X-Own": "a", "idempotency-key": "mine"},
        )
        with writer(made, mode="insert", operations=("added",)) as (opened, context):
            opened.write(make_batch(context, ROWS[:1]))
        sent = [(name.lower(), value) for name, value in server.calls[0].header_lines]
    for name, value in (("user-agent", "b"), ("x-own", "1"), ("idempotency-key", "mine")):
        assert [text for each, text in sent if each == name] == [value]


def test_a_header_cannot_hold_a_line_break() -> None:
    request = Request(headers={"X-Name": "{{ row.name }}"}, batch=False)
    with FaultServer() as server:
        with writer(HttpRequest(server.url, added=request), mode="insert", operations=("added",)) as (
            opened,
            context,
        ):
            outcomes = opened.write(make_batch(context, [(1, "a\r\nX-Admin: 1")]))
        assert not server.calls
    assert "can't be sent" in outcomes[0].reason and outcomes[0].status == "rejected"


# -- what an answer means -------------------------------------------------------------------------

OUTCOMES = {
    "400": (Fault(status=400, body="bad"), "rejected"),
    "403": (Fault(status=403), "rejected"),
    "404": (Fault(status=404), "rejected"),
    "301": (Fault(status=301, headers={"Location": "/elsewhere"}), "rejected"),
    "408": (Fault(status=408), "retryable"),
    "429": (Fault(status=429, headers={"Retry-After": "7"}), "throttled"),
    "413": (Fault(status=413), "too large"),
    "401": (Fault(status=401), "credentials"),
    "500": (Fault(status=500), "unknown"),
    "502": (Fault(status=502), "unknown"),
    "503": (Fault(status=503, headers={"Retry-After": "3"}), "retryable"),
    "504": (Fault(status=504), "unknown"),
    "reset before": (Fault(reset="before"), "unknown"),
    "reset after": (Fault(reset="after", applied=True), "unknown"),
    "reset in the answer": (Fault(reset="middle", applied=True, status=200, body="x" * 100), "unknown"),
    "no answer in time": (Fault(stall=1.5, applied=True), "unknown"),
    "an answer that drips": (Fault(drip=0.3, status=200, applied=True, body="x" * 20), "unknown"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_became_of_the_rows(name: str) -> None:
    fault, expected = OUTCOMES[name]
    with FaultServer(script=in_turn([fault])) as server:
        made = upserting(server, timeout=1.0, read_timeout=0.8)
        with writer(made) as (opened, context):
            with pytest.raises(wcdc.DestinationError) as caught:
                opened.write(make_batch(context, ROWS))
            error = caught.value
            assert not opened.write(make_batch(context, ROWS)), "the client can go on"
    kind = {
        wcdc.AuthenticationError: "credentials",
        wcdc.RateLimitedError: "throttled",
        wcdc.PayloadTooLargeError: "too large",
    }.get(type(error))
    if kind is None:
        kind = "unknown" if error.outcome_unknown else "retryable" if error.retryable else "rejected"
    assert kind == expected
    asked = fault.headers.get("Retry-After")
    assert error.retry_after == (float(asked) if asked else None)


def test_a_body_that_does_not_come_ends_with_the_calls_time() -> None:
    """Not a whole read_timeout after its headers."""
    late = Fault(stall=2.0, drip=20, status=200, applied=True, body="{}")
    with (
        FaultServer(script=in_turn([late])) as server,
        writer(upserting(server, timeout=3.0, read_timeout=2.5)) as (opened, context),
    ):
        began = time.monotonic()
        with pytest.raises(wcdc.DestinationError) as caught:
            opened.write(make_batch(context, ROWS))
        assert 2.5 < time.monotonic() - began < 3.9 and caught.value.outcome_unknown
        assert "after its answer began" in caught.value.message


def test_an_answer_that_is_whole_when_it_comes_counts_however_late() -> None:
    """Fetching a token has taken its time."""

    def script(number: int, path: str, body: bytes) -> Fault:
        if path.startswith("/token"):
            return Fault(stall=0.8, status=200, body='{"access_token": "a"}', headers=JSON_TYPE)
        return Fault(stall=1.4)

    with FaultServer(script=script) as server:
        made = upserting(server, timeout=2.0, read_timeout=1.6, auth=auth(server))
        with writer(made) as (opened, context):
            began = time.monotonic()
            assert not opened.write(make_batch(context, ROWS))
            assert time.monotonic() - began > 2.0


def test_retry_after_as_a_date() -> None:
    from email.utils import formatdate

    fault = Fault(status=429, headers={"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    with (
        FaultServer(script=in_turn([fault])) as server,
        writer(upserting(server)) as (opened, context),
        pytest.raises(wcdc.RateLimitedError) as caught,
    ):
        opened.write(make_batch(context, ROWS))
    assert caught.value.retry_after is not None and 50 < caught.value.retry_after <= 60


def test_nobody_listens() -> None:
    with FaultServer() as server:
        made = upserting(server)
    with writer(made) as (opened, context), pytest.raises(wcdc.DestinationError) as caught:
        opened.write(make_batch(context, ROWS))
    assert caught.value.retryable and not caught.value.outcome_unknown and caught.value.status is None


def test_rows_that_cannot_be_encoded_cost_only_themselves() -> None:
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    with FaultServer() as server, writer(upserting(server), schema) as (opened, context):
        outcomes = opened.write(make_batch(context, [(1, "{}"), (2, "{oops"), (3, "[]")]))
        assert sorted(server.table) == [1, 3]
    assert list(outcomes) == [1] and outcomes[1].permanent


UNFIT = {
    "JSON that isn't": (Json('{"a": "{{ row.extra.a }}"}'), "{oops"),
    "JSON that isn't, in a form": (Form(), "{oops"),
    "NaN": (Json('{"a": {{ row.extra }}}'), "NaN"),
    "a pattern that isn't": (Json('{"a": "{{ row.extra | regex_test: row.extra }}"}'), '"("'),
    "too deep": (Xml("{{ row.extra.a }}"), '{"a":' + "[" * 5000 + "]" * 5000 + "}"),
    "a control character in XML": (Xml("<a>{{ row.extra }}</a>"), '"\\u0001"'),
    "a surrogate": (JsonColumn("extra"), '"\\ud800"'),
    "a surrogate of the author's": (Xml("\ud800{{ row.id }}"), "1"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_whatever_goes_wrong_while_a_request_is_made_is_the_rows_rejection(name: str) -> None:
    """Nothing was sent: its outcome isn't unknown."""
    body, extra = UNFIT[name]
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    with FaultServer() as server:
        made = HttpRequest(server.url, added=Request(body=body, batch=False))
        with writer(made, schema, mode="insert", operations=("added",)) as (opened, context):
            outcomes = opened.write(make_batch(context, [(1, extra)]))
        if name == "a surrogate":
            assert server.calls[0].body == b'"\\ud800"' and not outcomes, "its JSON is as it is"
            return
        assert not server.calls
    assert outcomes[0].status == "rejected" and outcomes[0].permanent


def test_json_columns_keep_their_digits_in_templates_and_forms_too() -> None:
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    extra = '{"a":1.10,"b":12345678901234567890.123456789}'
    for body in (Json("{{ row.extra | json }}"), JsonColumn("extra"), Json("{{ row.extra }}")):
        assert body_of(Request(body=body, batch=False), [(1, extra)], schema) == extra.encode()
    form = parse_qs(body_of(Request(body=Form()), [(1, extra)], schema).decode())
    assert form == {"id": ["1"], "extra": [extra]}


def test_a_json_column_that_holds_a_text_sends_a_text() -> None:
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    text = json.dumps('{"a": 1}')
    assert body_of(Request(body=JsonColumn("extra"), batch=False), [(1, text)], schema) == text.encode()


def test_text_that_only_looks_like_json_is_text() -> None:
    schema = pa.schema([("id", pa.int64()), ("payload", pa.string())])
    rows = [(1, "[NaN]"), (2, "[" * 5000)]
    sent = body_of(Request(body=JsonColumn("payload")), rows, schema).decode()
    assert sent == '["[NaN]","' + "[" * 5000 + '"]'


def test_rows_that_cannot_be_encoded_keep_their_reason_when_the_call_fails() -> None:
    schema = pa.schema([("id", pa.int64()), tagged("extra", "json")])
    with (
        FaultServer(script=lambda number, path, body: Fault(status=500)) as server,
        writer(upserting(server), schema) as (opened, context),
        pytest.raises(wcdc.DestinationError) as caught,
    ):
        opened.write(make_batch(context, [(1, "{}"), (2, "{oops"), (3, "[]")]))
    assert caught.value.outcome_unknown and list(caught.value.outcomes) == [1]
    assert "not valid as json" in caught.value.outcomes[1].reason


def test_a_row_that_a_template_refuses_is_found_without_a_call() -> None:
    """Its batch is halved until it is alone; nothing of it was sent."""
    body = Json(
        '[{% for row in rows %}{"id": {{ row.id }}, "name": "{{ row.name | includes: "a" }}"},{% endfor %}]'
    )
    request = Request(url="/rows", body=body)
    with FaultServer() as server:
        source = duckdb.connect()
        source.execute("create table t as select i as id, 'a' || i as name from range(64) r(i)")
        source.execute("update t set name = 'zzz' where id = 37")
        sync = wcdc.Sync(
            id="s",
            model=wcdc.Model("t", table="t", primary_key="id"),
            destination=HttpRequest(server.url, added=request, changed=request),
        )
        with wcdc.connect(source) as warehouse:
            run = warehouse.run(sync)
            assert run.status == "warning" and run.counts["added"].failed == 1
            (reason,) = [row["reason"] for row in run.rejections().to_pylist()]
            assert "doesn't include 'a'" in reason
            assert sorted(server.table) == [i for i in range(64) if i != 37]
            assert len(server.calls) == 6


# -- whole runs -----------------------------------------------------------------------------------


class Shop:
    """A model in DuckDB and a sync to a server."""

    def __init__(self, server: FaultServer, destination: HttpRequest | None = None, **options: Any) -> None:
        self.server = server
        self.source = duckdb.connect()
        self.source.execute("create table t (id integer, name varchar)")
        self.warehouse = wcdc.connect(self.source)
        values: dict[str, Any] = {"on_removed": "delete", "max_removed": None, "require_rows": False}
        values |= {"retry_wait": 0.01, "retry_wait_max": 0.05, **options}
        model = wcdc.Model("t", table="t", primary_key="id")
        self.sync = wcdc.Sync(id="s", model=model, destination=destination or upserting(server), **values)

    def fill(self, rows: int) -> None:
        self.source.execute("delete from t")
        self.source.execute("insert into t select i, 'n' || i from range(?) r(i)", [rows])

    def run(self) -> wcdc.Run:
        return self.warehouse.run(self.sync)

    @property
    def model(self) -> dict[int, str]:
        return dict(self.source.execute("select id, name from t").fetchall())

    @property
    def held(self) -> dict[int, str]:
        return {key: row["name"] for key, row in self.server.table.items()}


def test_added_changed_and_removed_rows() -> None:
    with FaultServer() as server:
        shop = Shop(server)
        shop.fill(250)
        assert shop.run().status == "success" and len(server.calls) == 3
        shop.source.execute("delete from t where id < 5; update t set name = 'x' where id = 7")
        run = shop.run()
        assert run.status == "success" and shop.held == shop.model
        assert {call.method for call in server.calls[3:8]} == {"DELETE"} and len(server.calls) == 3 + 5 + 1
        shop.run()
        assert len(server.calls) == 9


def test_the_rate_is_kept_by_the_servers_clock() -> None:
    with FaultServer() as server:
        shop = Shop(server, batch_rows=1, concurrency=16, rate="20/second", row_rate="15/second")
        shop.fill(50)
        assert shop.run().status == "success"
        assert len(server.calls) == 50 and server.most_in(1.0) <= 15
        shop.source.execute("update t set name = name || '!'")
        shop.run()
        assert len(server.calls) == 100 and server.most_in(1.0) <= 15, "also over two runs"


def test_the_rate_is_kept_by_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows of the run before from the journal."""
    with FaultServer() as server:
        shop = Shop(server, batch_rows=1, rate="10/second")
        shop.fill(10)
        shop.run()
        monkeypatch.setattr("warehouse_cdc.limits._SHARED", {})
        shop.source.execute("update t set name = name || '!'")
        shop.run()
        assert len(server.calls) == 20 and server.most_in(1.0) <= 10


def test_concurrency_is_kept() -> None:
    with FaultServer(script=lambda number, path, body: Fault(stall=0.02)) as server:
        shop = Shop(server, batch_rows=1, concurrency=4)
        shop.fill(60)
        assert shop.run().status == "success"
        assert 2 <= server.most_at_once <= 4


def test_syncs_share_a_rate() -> None:
    with FaultServer() as server:
        options: dict[str, Any] = {"batch_rows": 1, "rate": "10/second", "share_rate": "that server"}
        for _ in range(2):
            shop = Shop(server, **options)
            shop.fill(12)
            assert shop.run().status == "success"
        assert server.most_in(1.0) <= 10 and len(server.calls) == 24


def test_split_retries_keep_their_bound() -> None:
    bad = {5, 6, 99, 200}
    with FaultServer(poison=lambda row: row["id"] in bad) as server:
        shop = Shop(server, batch_rows=256, split_retries=True)
        shop.fill(256)
        run = shop.run()
        assert run.counts["added"].failed == len(bad)
        assert len(server.calls) <= 1 + 2 * len(bad) * 8
        assert shop.held == {key: name for key, name in shop.model.items() if key not in bad}
        assert set(server.effects.values()) == {1}


def test_a_server_that_takes_less_gets_less() -> None:
    def script(number: int, path: str, body: bytes) -> Fault | None:
        return Fault(status=413) if len(body) > 600 else None

    with FaultServer(script=script) as server:
        shop = Shop(server)
        shop.fill(100)
        assert shop.run().status == "success" and shop.held == shop.model
        assert server.calls[-1].status == 200
        assert len([call for call in server.calls if call.status == 413]) <= 4


def test_rows_with_one_value_are_never_under_way_together_and_go_in_order() -> None:
    with FaultServer(script=lambda number, path, body: Fault(stall=0.01)) as server:
        shop = Shop(server, batch_rows=2, concurrency=8, order_by="name")
        shop.source.execute("insert into t select i, 'n' || (i % 3) from range(60) r(i)")
        assert shop.run().status == "success"
        assert server.most_at_once > 1
        for name in ("n0", "n1", "n2"):
            ids = [row["id"] for call in server.calls for row in call.rows if row["name"] == name]
            assert [str(each) for each in ids] == sorted(str(each) for each in ids)


def test_a_throttling_server_is_waited_for_by_all_workers() -> None:
    faults = [Fault(status=429, headers={"Retry-After": "1"})]
    with FaultServer(script=in_turn(faults)) as server:
        shop = Shop(server, batch_rows=1, concurrency=1)
        shop.fill(3)
        assert shop.run().status == "success"
        assert server.calls[1].at - server.calls[0].at >= 1


def test_refused_credentials_stop_the_run_and_no_secret_is_told() -> None:
    with FaultServer(
        script=lambda number, path, body: Fault(status=401, body="token s3cr3t-t0ken is bad")
    ) as server:
        shop = Shop(server, upserting(server, headers={"X-Api-Key": "s3cr3t-t0ken"}))
        shop.fill(3)
        run = shop.run()
        assert run.status == "failed" and len(server.calls) == 1
        assert "s3cr3t" not in f"{run!r} {run.error} {shop.sync!r} {[*run.rejections().to_pylist()]}"


def test_what_the_server_says_reaches_the_reason_without_secrets() -> None:
    with FaultServer(script=lambda number, path, body: Fault(status=400, body="no t0k3n-abc here")) as server:
        shop = Shop(server, upserting(server, headers={"X-Api-Key": "t0k3n-abc"}))
        shop.fill(1)
        (row,) = shop.run().rejections().to_pylist()
        assert row["reason"] == "status 400: no … here"


SECRETS = {
    "a token after its scheme": ({"Authorization": "Bearer tok-en/42&"}, "tok-en/42&"),
    "a token as JSON spells it": ({"X-Key": 'a"key\\1'}, json.dumps('a"key\\1')[1:-1]),
    "a token as a URL spells it": ({"X-Key": "tok en/42&"}, "tok%20en%2F42%26"),
    "a user's password": ({"Authorization": "Basic " + b64encode(b"ada:hush-hush").decode()}, "hush-hush"),
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_known_in_every_spelling(name: str, tmp_path: Path) -> None:
    headers, spelled = SECRETS[name]
    answer = Fault(status=400, body=f"no {spelled} " + "x" * (489 - len(spelled)) + spelled)
    with FaultServer(script=lambda number, path, body: answer) as server:
        shop = Shop(server, upserting(server, headers=headers), request_log=tmp_path)
        shop.fill(1)
        (row,) = shop.run().rejections().to_pylist()
    (log,) = tmp_path.iterdir()
    for told in (row["reason"], log.read_text("utf-8")):
        assert spelled not in told and "no … xxx" in told
    assert not row["reason"].endswith(spelled[:4]), "nor the beginning of one that is cut off"


def test_what_of_a_request_the_log_shows(tmp_path: Path) -> None:
    request = Request(url="&x={{ row.id }}", headers={"X-Own": "mine", "X-Same": "s3cr3t-key"}, batch=False)
    with FaultServer() as server:
        made = HttpRequest(
            f"{server.url}/hook/T0K3N?code=c0de-42",
            added=request,
            changed=request,
            headers={"X-Api-Key": "s3cr3t-key"},
        )
        shop = Shop(server, made, request_log=tmp_path, on_removed="nothing")
        shop.fill(1)
        shop.run()
        assert server.calls[0].path == "/hook/T0K3N?code=c0de-42&x=0"
    (log,) = tmp_path.iterdir()
    (exchange,) = json.loads(log.read_text("utf-8"))["exchanges"]
    assert exchange["url"] == f"{server.url}/…&x=0"
    assert exchange["request_headers"]["X-Own"] == "mine" and exchange["request_headers"]["X-Same"] == "…"
    assert not [secret for secret in ("s3cr3t", "T0K3N", "c0de") if secret in log.read_text("utf-8")]


def test_the_http_librarys_own_log_shows_nothing_of_our_calls(caplog: pytest.LogCaptureFixture) -> None:
    request = Request(url="/rows?key={{ row.name }}", batch=False)
    with caplog.at_level("DEBUG"), Guarded(Tokens()) as server:
        made = HttpRequest(server.url, added=request, headers={"X-Api-Key": "s3cr3t-key"}, auth=auth(server))
        with writer(made, mode="insert", operations=("added",)) as (opened, context):
            assert not opened.write(make_batch(context, [(1, "ada")]))
        assert not [text for text in ("ada", "s3cr3t", "access-", "hush") if text in caplog.text]
        httpx2.get(f"{server.url}/of-others")
    assert "of-others" in caplog.text


# -- trust and tokens -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_of(authority: trustme.CA, *, mutual: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if mutual:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_a_certificate_is_checked_and_an_authority_can_be_named(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with FaultServer(tls=context_of(authority)) as server:
        with writer(upserting(server)) as (opened, context), pytest.raises(wcdc.DestinationError) as caught:
            opened.write(make_batch(context, ROWS))
        assert "certificate isn't trusted" in caught.value.message and not caught.value.outcome_unknown
        with writer(upserting(server, tls=Tls(ca=ca))) as (opened, context):
            assert not opened.write(make_batch(context, ROWS))
        assert len(server.table) == 3


def test_a_client_proves_who_it_is(authority: trustme.CA, tmp_path: Path) -> None:
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    issued = authority.issue_cert("client@example.org")
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    with FaultServer(tls=context_of(authority, mutual=True)) as server:
        with (
            writer(upserting(server, tls=Tls(ca=ca))) as (opened, context),
            pytest.raises(wcdc.DestinationError),
        ):
            opened.write(make_batch(context, ROWS))
        with writer(upserting(server, tls=Tls(ca=ca, certificate=cert, key=key))) as (opened, context):
            assert not opened.write(make_batch(context, ROWS))


class Tokens:
    """A server of tokens, and one that wants them."""

    def __init__(self, expires_in: float | None = 3600) -> None:
        self.issued: list[str] = []
        self.refused: set[str] = set()
        self.asked: list[dict[str, Any]] = []
        self.expires_in = expires_in

    def script(self, number: int, path: str, body: bytes) -> Fault | None:
        if not path.startswith("/token"):
            return None
        asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.asked.append(asked)
        if asked.get("refresh_token") in self.refused or asked.get("password") == "wrong":
            return Fault(
                status=400, body='{"error": "invalid_grant"}', headers={"Content-Type": "application/json"}
            )
        if "refresh_token" in asked:
            self.refused.add(asked["refresh_token"])
        self.issued.append(f"access-{len(self.issued)}")
        answer: dict[str, Any] = {"access_token": self.issued[-1], "token_type": "Bearer"}
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        if asked["grant_type"] == "refresh_token":
            answer["refresh_token"] = f"refresh-{len(self.issued)}"
        return Fault(status=200, body=json.dumps(answer), headers={"Content-Type": "application/json"})


class Guarded(FaultServer):
    """Takes rows only with the newest access token."""

    def __init__(self, tokens: Tokens) -> None:
        super().__init__(script=tokens.script)
        self.tokens = tokens
        self.revoked: set[str] = set()

    def _apply(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, str, bool]:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens.issued or token in self.revoked:
            return 401, "who are you?", False
        return super()._apply(method, path, headers, body)


def auth(server: FaultServer, **options: Any) -> OAuth2:
    values = {"client_id": "me", "client_secret": "hush-hush", **options}
    return OAuth2(token_url=f"{server.url}/token", **values)


def test_a_token_is_fetched_once_and_again_when_it_is_refused() -> None:
    with Guarded(Tokens()) as server:
        shop = Shop(server, upserting(server, auth=auth(server)), batch_rows=5, concurrency=4)
        shop.fill(100)
        assert shop.run().status == "success" and len(server.tokens.issued) == 1
        assert server.tokens.asked[0]["grant_type"] == "client_credentials"
        server.revoked.update(server.tokens.issued)
        with writer(upserting(server, auth=auth(server))) as (opened, context):
            opened.write(make_batch(context, ROWS))
            server.revoked.update(server.tokens.issued)
            assert not opened.write(make_batch(context, ROWS)), "renewed within the call"
        assert len(server.tokens.issued) == 3


def test_tokens_that_were_fetched_are_secrets(tmp_path: Path) -> None:
    """The access token, and a refresh token that the server has replaced."""

    class Telling(Guarded):
        def _apply(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, str, bool]:
            return 400, f"I know {headers['authorization']} and refresh-1, not first-token", False

    with Telling(Tokens()) as server:
        settings = auth(server, grant="authorization_code", refresh_token="first-token")
        shop = Shop(server, upserting(server, auth=settings), request_log=tmp_path)
        shop.fill(1)
        (row,) = shop.run().rejections().to_pylist()
    (log,) = tmp_path.iterdir()
    assert row["reason"] == "status 400: I know Bearer … and …, not …"
    assert not [text for text in ("access-", "refresh-1", "first-") if text in log.read_text("utf-8")]


def test_a_token_is_renewed_before_it_ends() -> None:
    with (
        Guarded(Tokens(expires_in=0.4)) as server,
        writer(upserting(server, auth=auth(server))) as (opened, context),
    ):
        for _ in range(2):
            opened.write(make_batch(context, ROWS))
        assert len(server.tokens.issued) == 1
        time.sleep(0.4)
        opened.write(make_batch(context, ROWS))
        assert len(server.tokens.issued) == 2
        assert not [call for call in server.calls if call.status == 401]


def test_the_password_grant_and_credentials_in_the_body() -> None:
    with Guarded(Tokens()) as server:
        settings = auth(
            server,
            grant="password",
            username="ada",
            password="pw",
            client_auth="body",
            scopes="a b",
            token_params={"audience": "x"},
        )
        with writer(upserting(server, auth=settings)) as (opened, context):
            assert not opened.write(make_batch(context, ROWS))
        asked = server.tokens.asked[0]
    assert asked["username"] == "ada" and asked["client_secret"] == "hush-hush"
    assert asked["scope"] == "a b" and asked["audience"] == "x"


def test_a_refresh_token_that_rotates_is_kept_for_the_next_process(tmp_path: Path) -> None:
    kept = tmp_path / "secrets" / "token.json"
    with Guarded(Tokens()) as server:
        settings = auth(server, grant="authorization_code", refresh_token="first", token_file=kept)
        for _ in range(3):
            with writer(upserting(server, auth=settings)) as (opened, context):
                assert not opened.write(make_batch(context, ROWS))
        assert [asked["refresh_token"] for asked in server.tokens.asked] == [
            "first",
            "refresh-1",
            "refresh-2",
        ]
    assert kept.stat().st_mode & 0o777 == 0o600
    held = json.loads(kept.read_text())
    assert (held["client_id"], held["refresh_token"]) == ("me", "refresh-3") and "first" not in str(held)
    assert [path.name for path in kept.parent.iterdir()] == ["token.json"]


TOKEN_ANSWERS = {
    "no time that it lasts": '{"access_token": "a", "expires_in": "soon"}',
    "no token": '{"token": "a"}',
    "a token of two lines": '{"access_token": "a\\nb"}',
    "a token beyond ASCII": '{"access_token": "ä"}',
    "a list": "[]",
    "a text": '"a"',
    "nothing": "",
    "a page": "<html>",
}


@pytest.mark.parametrize("name", TOKEN_ANSWERS)
def test_whatever_a_server_of_tokens_answers_nothing_was_sent(name: str) -> None:
    body = TOKEN_ANSWERS[name]

    def script(number: int, path: str, _body: bytes) -> Fault | None:
        return Fault(status=200, body=body, headers=JSON_TYPE) if path.startswith("/token") else None

    with (
        FaultServer(script=script) as server,
        writer(upserting(server, auth=auth(server))) as (opened, context),
    ):
        with pytest.raises(wcdc.AuthenticationError) as caught:
            opened.write(make_batch(context, ROWS))
        assert not caught.value.outcome_unknown and not server.table


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=503), Fault(reset="after"), Fault(stall=1.5)]
)
def test_a_server_of_tokens_that_is_down_is_tried_again(fault: Fault) -> None:
    """The rows' call was not made."""
    tokens = Tokens()
    with Guarded(tokens) as server:
        first = [True]

        def script(number: int, path: str, body: bytes) -> Fault | None:
            if path.startswith("/token") and first:
                first.clear()
                return fault
            return tokens.script(number, path, body)

        server.script = script
        with writer(upserting(server, auth=auth(server), timeout=2.0)) as (opened, context):
            with pytest.raises(wcdc.DestinationError) as caught:
                opened.write(make_batch(context, ROWS))
            assert caught.value.retryable and not caught.value.outcome_unknown
            assert not opened.write(make_batch(context, ROWS))


def test_a_refused_grant_stops_the_run_without_its_secrets() -> None:
    with Guarded(Tokens()) as server:
        settings = auth(server, grant="password", username="ada", password="wrong")
        shop = Shop(server, upserting(server, auth=settings))
        shop.fill(3)
        run = shop.run()
    assert run.status == "failed" and run.error is not None and "invalid_grant" in run.error
    assert "hush" not in f"{run.error} {settings!r} {run!r}" and "wrong" not in f"{run.error} {settings!r}"
    assert all(counts.attempted <= 3 for counts in run.counts.values())


# -- declarations ---------------------------------------------------------------------------------

URL = "https://example.org"
BAD = {
    "no url": (lambda: HttpRequest("", added=Request()), "destination-url"),
    "another scheme": (lambda: HttpRequest("ftp://example.org", added=Request()), "destination-url"),
    "credentials in the url": (
        lambda: HttpRequest("https://a:b@example.org", added=Request()),
        "destination-url",
    ),
    "no request": (lambda: HttpRequest(URL), "destination-option"),
    "an unknown method": (lambda: Request("HEAD"), "destination-option"),  # type: ignore[arg-type]
    "an unknown body": (lambda: Request(body={"type": "yaml"}), "destination-option"),
    "an unknown option of a body": (lambda: Request(body={"type": "json", "text": ""}), "destination-option"),
    "a broken template": (lambda: Request(url="/{{ row.id"), "template-syntax"),
    "an unknown filter": (lambda: Json("{{ row.id | shout }}"), "template-syntax"),
    "a tag of HTML": (lambda: Xml("{% tablerow x in row.y %}{% endtablerow %}"), "template-syntax"),
    "a wrong pattern": (lambda: Json("{{ row.id | regex_test: '(' }}"), "template-syntax"),
    "a wrong pattern in a loop": (
        lambda: Json("{% for x in rows %}{{ 'a' if x.y else x.z || regex_replace: '[', '' }}{% endfor %}"),
        "template-syntax",
    ),
    "an unknown grant": (lambda: OAuth2(token_url=URL, client_id="a", grant="implicit"), "destination-auth"),  # type: ignore[arg-type]
    "a grant without its values": (lambda: OAuth2(token_url=URL, client_id="a"), "destination-auth"),
    "a missing certificate": (lambda: Tls(ca="/nowhere.pem"), "destination-tls"),
    "a key without a certificate": (lambda: Tls(password="x"), "destination-tls"),
    "a header of two lines": (
        lambda: HttpRequest(URL, added=Request(), headers={"X": "a\nb"}),
        "destination-option",
    ),
    "a URL with a port that can't be": (
        lambda: HttpRequest("https://h:99999", added=Request()),
        "destination-url",
    ),
    "a URL with a space": (lambda: HttpRequest("https://h h", added=Request()), "destination-url"),
    "half an address": (lambda: HttpRequest("https://[::1", added=Request()), "destination-url"),
    "no rows in a batch": (
        lambda: HttpRequest(URL, added=Request(), batch_rows=0),
        "destination-option",
    ),
    "no call at once": (lambda: HttpFunction(URL, concurrency=0), "destination-option"),
    "a number as text": (
        lambda: JsonRpc(URL, batch_rows="many"),  # type: ignore[arg-type]
        "destination-option",
    ),
    "a list of headers": (
        lambda: HttpRequest(URL, added=Request(), headers=["a"]),  # type: ignore[arg-type]
        "destination-option",
    ),
    "a header's name": (lambda: Request(headers={"X Y": "a"}), "destination-option"),
    "a name of the key's header": (
        lambda: HttpRequest(URL, added=Request(), idempotency_header="X Y"),
        "destination-option",
    ),
    "a batch that is text": (lambda: Request(batch="no"), "destination-option"),  # type: ignore[arg-type]
    "a form that is a list": (
        lambda: Request(body={"type": "form", "fields": ["a"]}),
        "destination-option",
    ),
    "a column without a name": (lambda: Request(body={"type": "column", "column": 5}), "destination-option"),
    "scopes as a list": (
        lambda: HttpRequest(
            URL,
            added=Request(),
            auth={"token_url": URL, "client_id": "a", "client_secret": "b", "scopes": ["x"]},
        ),
        "destination-auth",
    ),
    "a prefix of two lines": (
        lambda: OAuth2(token_url=URL, client_id="a", client_secret="b", header_prefix="a\nb"),
        "destination-option",
    ),
    "options that JSON can't hold": (lambda: JsonRpc(URL, options={"a": {1}}), "destination-option"),
    "no time": (lambda: HttpRequest(URL, added=Request(), timeout=0), "destination-option"),
    "no rate": (
        lambda: wcdc.Sync(
            id="s", model=MODEL, destination=HttpRequest(URL, added=Request(), rate="x"), mode="insert"
        ),
        "sync-rate",
    ),
}
MODEL = wcdc.Model("m", sql="select 1 as id", primary_key="id")


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_declaration_is_refused_at_once(name: str) -> None:
    make, code = BAD[name]
    with pytest.raises(wcdc.ConfigError) as caught:
        make()
    assert caught.value.code == code


def test_a_template_that_names_an_unknown_column_is_refused_before_anything_is_sent() -> None:
    with FaultServer() as server:
        for request in (Request(url="/{{ row.nam }}", batch=False), Request(body=JsonColumn("nam"))):
            shop = Shop(server, HttpRequest(server.url, added=request, changed=request), on_removed="nothing")
            with pytest.raises(wcdc.ConfigError) as caught:
                shop.run()
            assert caught.value.code == "unknown-field"
        assert not server.calls


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: Request("DELETE", "/rows/{{ row.id }}", Empty()),
        lambda: Request(headers={"X-Row": "{{ row.id }}"}),
        lambda: Request(body=Json('{"id": {{ id }}}')),
        lambda: Request(body=Xml("<id>{{ row.id }}</id>")),
        lambda: Request(url="/{{ rows[0].id }}", batch=False),
        lambda: Request(url="/{{ nam }}", batch=False),
        lambda: Request(body=Form({"x": "{{ rows }}"})),
    ],
)
def test_a_batch_has_no_row_and_a_row_no_batch(request_of: Any) -> None:
    """It would be sent with nothing in its place."""
    with FaultServer() as server:
        request = request_of()
        shop = Shop(server, HttpRequest(server.url, added=request, changed=request), on_removed="nothing")
        shop.fill(2)
        with pytest.raises(wcdc.ConfigError) as caught:
            shop.run()
        assert caught.value.code == "unknown-field" and not server.calls


def test_a_request_that_would_never_be_made_is_refused() -> None:
    with FaultServer() as server:
        shop = Shop(server, on_removed="nothing")
        with pytest.raises(wcdc.ConfigError, match="would never be made"):
            shop.run()


def test_nothing_secret_is_in_its_representation() -> None:
    made = HttpRequest(
        "https://example.org/hook/s3cr3t",
        added=Request(headers={"X": "s3cr3t"}),
        headers={"Authorization": "s3cr3t"},
        auth=OAuth2(token_url="https://example.org/s3cr3t", client_id="me", client_secret="s3cr3t"),
    )
    assert repr(made) == "HttpRequest(https://example.org, added)" and made.name == "https://example.org"
    assert "s3cr3t" not in f"{made._auth!r} {made._requests!r}"


def test_a_project_file_declares_one(tmp_path: Path) -> None:
    source = tmp_path / "w.duckdb"
    with duckdb.connect(str(source)) as db:
        db.execute("create table t as select i as id, 'n' || i as name from range(3) r(i)")
    with FaultServer() as server:
        (tmp_path / "warehouse_cdc.yaml").write_text(
            f"""
sources:
  w: {{url: "duckdb:///w.duckdb"}}
models:
  t: {{table: t, primary_key: id}}
destinations:
  api:
    type: http
    url: {server.url}
    headers: {{X-Api-Key: "${{API_KEY}}"}}
    added: &write
      url: /rows
      body:
        type: json
        template: |
          [{{% for row in rows %}} {{"id": {{{{ row.id }}}}, "name": "{{{{ row.name }}}}"}}, {{% endfor %}}]
    changed: *write
    removed: {{method: DELETE, url: "/rows/{{{{ row.id }}}}", batch: false, body: {{type: empty}}}}
syncs:
  s: {{model: t, destination: api, on_removed: delete, rate: 100/second}}
"""
        )
        done = subprocess.run(
            [sys.executable, "-c", "from warehouse_cdc.cli import main; main()", "run", "s"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"API_KEY": "k3y", "PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(server.table) == [0, 1, 2] and server.calls[0].headers["x-api-key"] == "k3y"
