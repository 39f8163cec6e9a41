"""The request log: what it keeps, what it hides, and how it is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.destinations.support import make_batch, make_context
from warehouse_cdc.destinations import HttpRequest, rejected
from warehouse_cdc.destinations.exchanges import recorded
from warehouse_cdc.destinations.http import Form, Json, JsonColumn, Request, Xml
from warehouse_cdc.destinations.spelling import spelled
from warehouse_cdc.engine.request_log import RequestLog, calls
from warehouse_cdc.engine.sending import without_values
from warehouse_cdc.mapping.times import iso_date
from warehouse_cdc.mapping.values import tagged
from warehouse_cdc.testing import Fault, FaultServer, in_turn


def run(server: FaultServer, folder: Path, source: Any = None, **options: Any) -> wcdc.Run:
    """Send two rows; the name of one needs escapes in JSON and in URLs."""
    if source is None:
        source = duckdb.connect()
        source.execute("create table t as select * from (values (1, 'Ada \"é\"'), (2, 'Bob')) v(id, name)")
    request = Request(url="/rows?of={{ context.sync_id }}", headers={"X-Trace": "t"})
    destination = HttpRequest(server.url, added=request, changed=request, headers={"X-Api-Key": "s3cr3t-key"})
    sync = wcdc.Sync(
        id="s",
        model=wcdc.Model("t", table="t", primary_key="id"),
        destination=destination,
        request_log=folder,
        retry_wait=0.01,
        **options,
    )
    with wcdc.connect(source) as warehouse:
        return warehouse.run(sync)


def kept(folder: Path, run_id: str, row: str | None = None) -> list[dict[str, Any]]:
    found = calls(folder, run_id, row)
    assert found is not None
    return list(found)


def test_each_call_is_kept_with_its_rows_and_answer(tmp_path: Path) -> None:
    with FaultServer(script=in_turn([Fault(status=503, body="busy s3cr3t-key")])) as server:
        ended = run(server, tmp_path / "calls")
    first, second = kept(tmp_path / "calls", ended.run_id)
    assert [first["attempt"], second["attempt"]] == [1, 2]
    assert first["sync_id"] == "s" and first["run_id"] == ended.run_id and first["operation"] == "added"
    assert [row["outcome"] for row in first["rows"]] == ["retryable", "retryable"]
    assert [row["outcome"] for row in second["rows"]] == ["succeeded", "succeeded"]
    (exchange,) = first["exchanges"]
    assert exchange["method"] == "POST" and exchange["url"] == f"{server.url}/rows?of=s"
    assert exchange["status"] == 503 and exchange["response_body"] == "busy …"
    assert json.loads(exchange["request_body"])[0]["id"] == 1
    assert exchange["request_headers"]["X-Api-Key"] == "…" and exchange["request_headers"]["X-Trace"] == "t"
    text = (tmp_path / "calls" / f"{ended.run_id}.jsonl").read_text("utf-8")
    assert "s3cr3t" not in text
    assert (tmp_path / "calls" / f"{ended.run_id}.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_call_without_an_answer_is_kept(tmp_path: Path) -> None:
    with FaultServer(script=in_turn([Fault(reset="after")])) as server:
        ended = run(server, tmp_path)
    exchange = kept(tmp_path, ended.run_id)[0]["exchanges"][0]
    assert exchange["status"] is None and exchange["error"]


def test_a_rows_calls(tmp_path: Path) -> None:
    with FaultServer() as server:
        ended = run(server, tmp_path, batch_rows=1)
    assert len(kept(tmp_path, ended.run_id)) == 2
    (call,) = kept(tmp_path, ended.run_id, "2")
    assert [row["row_id"] for row in call["rows"]] == ["2"]
    assert kept(tmp_path, ended.run_id, "3") == []


def test_redacted_columns_appear_nowhere(tmp_path: Path) -> None:
    with FaultServer(script=in_turn([Fault(status=400, body='no Ada "é" here')])) as server:
        ended = run(server, tmp_path, redact=["name"])
    (call,) = kept(tmp_path, ended.run_id)
    assert {row["fields"]["name"] for row in call["rows"]} == {"…"}
    assert call["rows"][0]["reason"] == "status 400: no … here"
    text = (tmp_path / f"{ended.run_id}.jsonl").read_text("utf-8")
    assert "Ada" not in text and "Bob" not in text and "é" not in text
    body = json.loads(call["exchanges"][0]["request_body"])
    assert body == [{"id": 1, "name": "…"}, {"id": 2, "name": "…"}]


PROFILE = {"mail": "a&b@é.org", "n": [12345.50, "<x y>"], "o": {"k": "line\nbreak"}}
AT = datetime(2024, 1, 2, 3, 4, 5, 600000, tzinfo=timezone.utc)
HIDDEN = {
    "name": 'O\'Brien & "Søn"',
    "at": AT,
    "price": Decimal("1234567.8900"),
    "profile": json.dumps(PROFILE),
    "tags": ["t-one", "t-two"],
    "raw": b"\x01\x02\x03\x04",
}
HIDING = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("price", pa.decimal128(20, 4)),
        tagged("profile", "json"),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("raw", pa.binary()),
    ]
)
VALUES = "{{ row.name }} {{ row.at }} {{ row.price }} {{ row.profile }} {{ row.profile.n[0] }} {{ row.tags }}"
SPELLINGS = {
    "columns": Request(),
    "one column": Request(body=JsonColumn("profile")),
    "a form": Request(body=Form()),
    "a form of templates": Request(body=Form({"a": VALUES + "{{ row.profile.o.k }}"}), batch=False),
    "JSON": Request(body=Json('{"a": "' + VALUES + '", "b": {{ row.profile | json }}}'), batch=False),
    "XML": Request(body=Xml("<p>" + VALUES + "{{ row.profile.n[1] }}</p>"), batch=False),
    "a URL": Request(
        url="/{{ row.name }}/{{ row.raw }}?a={{ row.profile }}&b={{ row.at }}&c={{ row.profile.mail }}",
        batch=False,
    ),
    "base64": Request(
        headers={"X-A": "{{ row.name | b64_encode }} {{ row.profile.mail | b64_encode }}"}, batch=False
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_redacted_value_is_known_in_every_spelling(tmp_path: Path, name: str) -> None:
    columns = tuple(HIDING.names)
    context = make_context(HIDING, mode="insert", columns=columns, run_id="01J9Z3M5T8Q2W4E6R8T0Y1V3J5")
    sync = wcdc.Sync(
        id="s",
        model=wcdc.Model("t", table="t", primary_key="id"),
        destination=lambda batch: None,
        mappings={each: each for each in columns},
        redact=list(HIDDEN),
    )
    batch = make_batch(context, [(1, *HIDDEN.values())])
    log = RequestLog(replace(sync, request_log=tmp_path), context)
    with FaultServer() as server:
        writer = HttpRequest(server.url, added=SPELLINGS[name]).open(context)
        with recorded(wanted=True) as exchanges:
            assert not writer.write(batch)
        writer.close()
    log.keep(batch, {0: rejected(f"no {AT} {AT.isoformat()} {exchanges[0].request_body}")}, exchanges, 0.1)
    log.close()
    (call,) = kept(tmp_path, context.run_id)
    text = json.dumps([call["exchanges"], call["rows"]], ensure_ascii=False)
    assert "…" in text
    leaves = (
        "Brien",
        "Søn",
        "org",
        "03:04",
        "03%3A04",
        "1234567",
        "12345.5",
        "mail",
        "line",
        "t-one",
        "AQIDBA",
        "x y",
    )
    assert not [leaf for leaf in leaves if leaf in text], text


def test_a_redacted_value_that_an_answer_cuts_off_is_known_by_its_beginning(tmp_path: Path) -> None:
    answer = "x" * 490 + "confidential"
    source = duckdb.connect()
    source.execute("create table t as select 1 as id, 'confidential' as name")
    with FaultServer(script=lambda number, path, body: Fault(status=400, body=answer)) as server:
        ended = run(server, tmp_path, source, redact=["name"])
    (call,) = kept(tmp_path, ended.run_id)
    assert call["rows"][0]["reason"] == "status 400: " + "x" * 490 + "…"
    assert "conf" not in (tmp_path / f"{ended.run_id}.jsonl").read_text("utf-8")


def test_old_logs_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    old = tmp_path / "01J9Z3M5T8Q2W4E6R8T0Y1V3J5.jsonl"
    for path in (old, tmp_path / "notes.jsonl"):
        path.write_text("{}")
        os.utime(path, (time.time() - 8 * 86400,) * 2)
    with FaultServer() as server:
        ended = run(server, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{ended.run_id}.jsonl", "notes.jsonl"]
    )


def test_a_log_that_cannot_be_written_harms_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with FaultServer() as server:
        assert run(server, tmp_path / "file").status == "success"
    assert "request log can't be written" in caplog.text


def test_rows_that_utf8_cannot_hold_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Their call was made: what it brought counts. PostgreSQL's json may hold a lone surrogate."""
    names = ("id", "profile")
    schema = pa.schema([pa.field("id", pa.int64()), tagged("profile", "json")])
    context = make_context(schema, columns=names, run_id="01J9Z3M5T8Q2W4E6R8T0Y1V3J5")
    batch = make_batch(context, [(1, '{"a": "\\ud800"}')])
    for redact in ([], ["profile"]):
        sync = wcdc.Sync(
            id="s",
            model=wcdc.Model("t", table="t", primary_key="id"),
            destination=lambda batch: None,
            mappings={name: name for name in names},
            redact=redact,
        )
        log = RequestLog(replace(sync, request_log=tmp_path), context)
        log.keep(batch, {}, [], 0.1)
        log.close()
    assert len(kept(tmp_path, context.run_id)) == 2
    assert "request log" not in caplog.text


def test_values_that_are_not_what_their_column_says_are_logged(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            tagged("profile", "json"),
            pa.field("at", pa.date32()),
            tagged("n", "decimal"),
        ]
    )
    context = make_context(schema, columns=tuple(schema.names), run_id="01J9Z3M5T8Q2W4E6R8T0Y1V3J5")
    batch = make_batch(context, [(1, "{oops", -999_999, "x1"), (2, "[" * 5000, None, None)])
    for redact in ([], ["profile", "at", "n"]):
        sync = wcdc.Sync(
            id="s",
            model=wcdc.Model("t", table="t", primary_key="id"),
            destination=lambda batch: None,
            mappings={name: name for name in schema.names},
            redact=redact,
        )
        log = RequestLog(replace(sync, request_log=tmp_path), context)
        log.keep(batch, {0: rejected("not {oops or x1")}, [], 0.1)
        log.close()
    first, second = kept(tmp_path, context.run_id)
    assert first["rows"][0]["fields"]["profile"] == "{oops"
    assert second["rows"][0]["fields"]["profile"] == "…" and second["rows"][0]["reason"] == "not … or …"
    assert without_values(f"not {{oops or x1 of {iso_date(-999_999)}", batch) == "not … or … of …"


def test_functions_are_logged_without_requests(tmp_path: Path) -> None:
    @wcdc.destination
    def send(batch: Any) -> dict[str, str]:
        return {"2": "no"}

    source = duckdb.connect()
    source.execute("create table t as select * from (values (1, 'a'), (2, 'b')) v(id, name)")
    sync = wcdc.Sync(
        id="s",
        model=wcdc.Model("t", table="t", primary_key="id"),
        destination=send,
        request_log=str(tmp_path),
    )
    with wcdc.connect(source) as warehouse:
        ended = warehouse.run(sync)
    (call,) = kept(tmp_path, ended.run_id)
    assert call["exchanges"] == []
    assert [(row["row_id"], row["outcome"], row["reason"]) for row in call["rows"]] == [
        ("1", "succeeded", None),
        ("2", "rejected", "no"),
    ]


def test_the_command_shows_a_runs_calls(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as db:
        db.execute("create table t as select i as id, 'n' || i as name from range(3) r(i)")

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from warehouse_cdc.cli import main; main()", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin", "PYTHONPATH": ":".join(sys.path)},
            check=False,
        )

    with FaultServer(poison=lambda row: row["id"] == 1) as server:
        (tmp_path / "warehouse_cdc.yaml").write_text(
            f"""
sources: {{w: {{url: "duckdb:///w.duckdb"}}}}
models: {{t: {{table: t, primary_key: id}}}}
destinations: {{api: {{type: http, url: "{server.url}", added: {{url: /rows}}, changed: {{url: /rows}}}}}}
syncs: {{s: {{model: t, destination: api, request_log: calls, batch_rows: 1}}}}
"""
        )
        done = command("run", "s", "--json")
    run_id = json.loads(done.stdout)["run_id"]
    shown = command("debug", run_id, "1")
    assert shown.returncode == 0, shown.stderr
    assert "/rows → 422" in shown.stdout and "a row is refused" in shown.stdout and '"n2"' not in shown.stdout
    assert len(json.loads(command("debug", run_id, "--json").stdout)) == 3
    for name in ("r.csv", "r.json", "r.parquet"):
        written = command("rejections", "-o", name)
        assert written.returncode == 0 and (tmp_path / name).stat().st_size > 0, written.stderr
    (row,) = json.loads((tmp_path / "r.json").read_text())
    assert row["row_id"] == "1" and "a row is refused" in row["reason"]
    assert [row] == json.loads(command("rejections", "--json").stdout), "the same, wherever it is written"
    refused = command("rejections", "-o", "r.xls")
    assert refused.returncode != 0 and "error[output]" in refused.stderr
    missing = command("debug", "01J9Z3M5T8Q2W4E6R8T0Y1V3J5")
    assert missing.returncode != 0 and "error[request-log]" in missing.stderr


@pytest.mark.parametrize("parts", [0, 2])
def test_calls_are_kept_in_the_warehouse(parts: int) -> None:
    """Also those of an executor's tasks; long ones in pieces."""
    source = duckdb.connect()
    source.execute("create table t as select i as id, repeat('ü\"', 9000) as name from range(4) r(i)")
    model = wcdc.Model("t", table="t", primary_key="id")
    with FaultServer(script=in_turn([Fault(status=503)])) as server, wcdc.connect(source) as warehouse:
        destination = HttpRequest(server.url, added=Request(url="/rows"), changed=Request(url="/rows"))
        options: dict[str, Any] = {"batch_rows": 2, "chunk_rows": 2, "retry_wait": 0.01}
        sync = wcdc.Sync(id="s", model=model, destination=destination, request_log_table=True, **options)
        with ThreadPoolExecutor(2) as executor:
            scaled = {"executor": executor, "parts": parts} if parts else {}
            ended = warehouse.run(sync, **scaled)
        assert ended.status == "success"
        found = warehouse.calls(ended.run_id)
        assert found is not None and len(found) == len(server.calls)
        assert sorted(call["exchanges"][0]["status"] for call in found) == sorted(
            call.status for call in server.calls
        )
        assert all(len(row["fields"]["name"]) == 18_000 for call in found for row in call["rows"])
        of_row = warehouse.calls(ended.run_id.lower(), "3")
        assert of_row and all("3" in [row["row_id"] for row in call["rows"]] for call in of_row)
        assert warehouse.calls("01J9Z3M5T8Q2W4E6R8T0Y1V3J5") is None
        table = "hightouch_planner.wcdc_requests"
        source.execute(
            f"insert into {table} select * replace ('01J9Z3M5T8Q2W4E6R8T0Y1V3J5' as sync_run_id) from {table}"
        )
        assert warehouse.calls("01J9Z3M5T8Q2W4E6R8T0Y1V3J5") is not None
        source.execute("update t set name = 'x'")
        warehouse.run(sync)
        assert warehouse.calls("01J9Z3M5T8Q2W4E6R8T0Y1V3J5") is None, "too old"


def test_a_table_that_cannot_be_written_harms_no_run(caplog: pytest.LogCaptureFixture) -> None:
    source = duckdb.connect()
    source.execute("create table t as select 1 as id")
    source.execute(
        "create schema hightouch_planner; create table hightouch_planner.wcdc_requests (other int)"
    )
    sync = wcdc.Sync(
        id="s",
        model=wcdc.Model("t", table="t", primary_key="id"),
        destination=lambda batch: None,
        request_log_table=True,
    )
    with wcdc.connect(source) as warehouse:
        assert warehouse.run(sync).status == "success"
    assert caplog.text.count("request log can't be written") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a/b", "a\\/b"),
        ("a&b", "a\\u0026b"),
        ("Zoë", "Zo\\u00EB"),
        ("O'Brien", "O&#39;Brien"),
        ("a/b=c", "a%2fb%3dc"),
    ],
)
def test_spellings_of_other_writers_are_known(text: str, shown: str) -> None:
    assert shown in spelled(text)
