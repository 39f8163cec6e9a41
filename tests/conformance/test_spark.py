"""What is Spark's own: types and equality, claims under fire, sessions, long statements, errors."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from datetime import date, datetime, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_promises
from tests.conformance.helpers import AUDIT, PLANNER, ROOT, Child, Recorder, counted, ids, sync_of, until
from tests.conformance.spark_engine import MODELS, SparkEngine, stopped_from_another_thread
from tests.engines import spark as assembled
from tests.golden.test_golden import CASES, compiled, pinned
from warehouse_cdc.compile import layout

pytestmark = pytest.mark.spark

ALL = os.environ.get("WCDC_TEST_SPARK") == "all"
LEASE = {"lease_seconds": 30.0, "lease_margin": 1.0}
"""A statement may take seconds on a busy machine: a shorter lease would be lost by itself."""

SAME: dict[str, tuple[str, list[list[str]]]] = {
    "tinyint": ("tinyint", [["1"], ["-128"]]),
    "bigint": ("bigint", [["9007199254740993"], ["9007199254740992"], ["0", "-0"]]),
    "decimal": ("decimal(20, 6)", [["1", "1.0", "1.000000"], ["1.000001"], ["0", "-0.0"], ["-1"], ["100"]]),
    "double": (
        "double",
        [
            ["'NaN'", "-double('NaN')"],
            ["'-0.0'", "0e0"],
            ["'Infinity'"],
            ["'-Infinity'"],
            ["0.1e0"],
            ["0.30000000000000004e0"],
            ["1e10"],
        ],
    ),
    "float": ("float", [["'NaN'"], ["'-0.0'", "0"], ["'0.1'"], ["'0.2'"]]),
    "boolean": ("boolean", [["true"], ["false"]]),
    "string": (
        "string",
        [
            ["'a'"],
            ["'A'"],
            ["'a '"],
            ["''"],
            ["' '"],
            ["'é'"],
            ["'e\u0301'"],
            ["','"],
            ["'1:a'"],
            ["'NULL'"],
            ["'😀'"],
            [r"'a\\'"],
        ],
    ),
    "collated": ("string collate UTF8_LCASE", [["'a'"], ["'A'"], ["'a '"]]),
    "date": ("date", [["DATE '2024-02-29'"], ["DATE '2024-03-01'"], ["DATE '0001-01-01'"]]),
    "timestamp_ntz": (
        "timestamp_ntz",
        [
            ["TIMESTAMP_NTZ '2024-01-01 00:00:00'", "TIMESTAMP_NTZ '2024-01-01'"],
            ["TIMESTAMP_NTZ '2024-01-01 00:00:00.000001'"],
            ["TIMESTAMP_NTZ '2024-03-10 02:30:00'"],
            ["TIMESTAMP_NTZ '2024-03-10 03:30:00'"],
        ],
    ),
    "timestamp": (
        "timestamp",
        [
            ["TIMESTAMP '2024-01-01 12:00:00Z'", "TIMESTAMP '2024-01-01 14:00:00+02:00'"],
            ["TIMESTAMP '2024-01-01 12:00:00+01:00'"],
            ["TIMESTAMP '2024-11-03 05:30:00Z'"],
            ["TIMESTAMP '2024-11-03 06:30:00Z'"],
        ],
    ),
    "binary": ("binary", [["X'61'"], ["X'41'"], ["X''"], ["X'6120'"], ["X'ff'"]]),
    "variant": (
        "variant",
        [
            ["""parse_json('{"a":1,"b":[1,2]}')""", """parse_json('{ "b": [1, 2], "a": 1 }')"""],
            ["""parse_json('{"a":1,"b":[2,1]}')"""],
            ["""parse_json('{"a":1,"b":[1,2],"c":null}')"""],
            ["""parse_json('{"a":"1","b":[1,2]}')"""],
            ["parse_json('null')"],
            ["""parse_json('"null"')"""],
            ["parse_json('[]')", "parse_json('[ ]')"],
            ["parse_json('1.10')", "parse_json('1.1')"],
            ["TIMESTAMP '2024-01-01 12:00:00Z'::variant", "TIMESTAMP '2024-01-01 14:00:00+02:00'::variant"],
        ],
    ),
    "array": (
        "array<string>",
        [
            ["array('a', 'b')"],
            ["array('b', 'a')"],
            ["array('a, b')"],
            ["array('a', NULL)"],
            ["array()"],
            ["array('null')"],
        ],
    ),
    "map": (
        "map<int, timestamp>",
        [
            ["map(1, TIMESTAMP '2024-01-01 12:00:00Z')", "map(1, TIMESTAMP '2024-01-01 13:00:00+01:00')"],
            ["map(2, TIMESTAMP '2024-01-01 12:00:00Z')"],
            ["map(1, NULL)"],
            ["map()"],
            [
                "map(1, NULL, 10, TIMESTAMP '2024-01-01 12:00:00Z')",
                "map(10, TIMESTAMP '2024-01-01 12:00:00Z', 1, NULL)",
            ],
        ],
    ),
    "struct": (
        "struct<a:int,`B c`:array<struct<x:variant,y:double>>>",
        [
            ["struct(1, array(struct(NULL, double('-0.0'))))", "struct(1, array(struct(NULL, 0e0)))"],
            ["struct(1, array())"],
            ["struct(1, NULL)"],
            ["struct(NULL, NULL)"],
            ["struct(1, array(struct(parse_json('[1]'), 0e0)))"],
        ],
    ),
    "interval": (
        "interval day to second",
        [["INTERVAL '1' DAY", "INTERVAL '24' HOUR"], ["INTERVAL '2' DAY"]],
    ),
    "void": ("void", []),
}
"""Name to a type and classes of equal values."""

PAIRS = [
    (f"{name} {place}", number, before, after, old == new)
    for number, (name, (_kind, classes)) in enumerate(SAME.items())
    for place, (old, before, new, after) in enumerate(
        (old, before, new, after)
        for old, ones in enumerate([["NULL"], *classes])
        for before in ones
        for new, others in enumerate([["NULL"], *classes])
        for after in others
    )
]
"""Every ordered pair of values of each type: an id, the type's place, both, and whether they are equal."""


def show(engine: SparkEngine, *, after: bool) -> None:
    """Make the view of all pairs: a column for each type, which is NULL in the rows of the others."""
    kinds = [kind for kind, _classes in SAME.values()]
    parts = []
    for number, kind in enumerate(kinds):
        values = ", ".join(
            f"('{label}', CAST({new if after else old} AS {kind}))"
            for label, place, old, new, _same in PAIRS
            if place == number
        )
        columns = ", ".join(
            f"v AS v{place}" if place == number else f"CAST(NULL AS {other}) AS v{place}"
            for place, other in enumerate(kinds)
        )
        parts.append(f"SELECT id, {columns} FROM VALUES {values} t (id, v)")
    engine.execute(f"CREATE OR REPLACE VIEW {MODELS}.people AS {' UNION ALL '.join(parts)}")


@pytest.mark.skipif(not ALL, reason="the equality matrix has most of it")
def test_d5_equal_values_are_equal_and_different_ones_differ(
    spark: SparkEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by value, as after an upgrade, then by fingerprint, on the way back, in another time zone."""
    warehouse, sync = spark.connect(changelog=False, snapshot=False), sync_of(crm)
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    show(spark, after=False)
    assert warehouse.run(sync).status == "success"
    assert len(crm.take()) == len(PAIRS)
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    differ = {label for label, _place, _old, _new, same in PAIRS if not same}
    what = {label: (old, new) for label, _place, old, new, _same in PAIRS}
    for after in (True, False):
        show(spark, after=after)
        with spark.connect(changelog=False, snapshot=False) as other:
            set_zone(other, "America/New_York" if after else "UTC")
            run = other.run(sync)
        assert run.status == "success", run.error
        sent = {row_id for _operation, row_id in crm.take()}
        wrong = [(label, *what[label], "sent" if label in sent else "not sent") for label in sent ^ differ]
        assert not wrong


def set_zone(warehouse: wcdc.Warehouse, zone: str) -> None:
    warehouse._connection._session.conf.set("spark.sql.session.timeZone", zone)  # type: ignore[attr-defined]


KEYS: dict[str, list[tuple[str, str]]] = {
    "int": [("0", "0"), ("-1", "-1")],
    "bigint": [("9223372036854775807", "9223372036854775807")],
    "boolean": [("true", "true"), ("false", "false")],
    "decimal(20, 10)": [("1.50", "1.5"), ("100", "100"), ("0.0000000001", "0.0000000001"), ("-0.0", "0")],
    "decimal(20, 0)": [("100", "100"), ("-10", "-10")],
    "date": [("DATE '2024-02-29'", "2024-02-29"), ("DATE '0001-01-01'", "0001-01-01")],
    "timestamp_ntz": [
        ("TIMESTAMP_NTZ '2024-02-29 23:59:59.9'", "2024-02-29T23:59:59.900000Z"),
        ("TIMESTAMP_NTZ '2024-03-10 02:30:00'", "2024-03-10T02:30:00.000000Z"),
    ],
    "timestamp": [
        ("TIMESTAMP '2024-03-31 02:30:00.000001+05:45'", "2024-03-30T20:45:00.000001Z"),
        ("TIMESTAMP '2024-11-03 06:30:00Z'", "2024-11-03T06:30:00.000000Z"),
        ("TIMESTAMP '1500-01-01 00:00:00Z'", "1500-01-01T00:00:00.000000Z"),
        ("TIMESTAMP '9999-12-31 23:59:59.999999Z'", "9999-12-31T23:59:59.999999Z"),
    ],
    "string": [
        (r"'a\'b\"c\\d'", "a'b\"c\\d"),
        ("' x '", " x "),
        ("''", ""),
        (r"'a\u0001\n\u001f\\u001FÄ'", "a\x01\n\x1f\\u001FÄ"),
        ("'e\u0301😀'", "e\u0301😀"),
        ("'null'", "null"),
    ],
}


def test_d1_the_canonical_text_of_keys(spark: SparkEngine) -> None:
    """Alone, and as a part of a composite key, whatever the session's time zone."""
    dialect = spark.dialect
    spark.execute("SET TIME ZONE 'America/New_York'")
    for kind, values in KEYS.items():
        expression, stored = dialect.stored("k", dialect.column_type(kind))
        rows = ", ".join(
            f"({place}, CAST({literal} AS {kind}))" for place, (literal, _text) in enumerate(values)
        )
        single = dialect.row_id([dialect.canonical_text("s", stored)])
        composite = dialect.row_id([dialect.canonical_text("s", stored), "'7'"])
        found = spark.query(
            f"SELECT {single} AS a, {composite} AS b FROM "
            f"(SELECT n, {expression} AS s FROM (VALUES {rows}) t (n, k)) ORDER BY n"
        )
        texts = [text for _literal, text in values]
        assert [row[0] for row in found] == texts, kind
        assert [row[1] for row in found] == [
            json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in texts
        ]


def test_values_reach_the_destination_and_the_audit_tables(spark: SparkEngine, crm: Recorder) -> None:
    """Also of a table: its CHAR is padded, and its names need quotes."""
    spark.execute(
        """CREATE TABLE people (id INT, d DECIMAL(10, 2), f DOUBLE, r FLOAT, b BOOLEAN, day DATE,
        at TIMESTAMP_NTZ, seen TIMESTAMP, raw BINARY, doc VARIANT, m MAP<STRING, ARRAY<INT>>, c CHAR(3),
        `s ,;{}()=\"` STRING, t TINYINT, nothing STRING) USING DELTA
        TBLPROPERTIES ('delta.columnMapping.mode' = 'name')""",
        """INSERT INTO people SELECT 1, 1.50, double('NaN'), 0.5, true, DATE '2024-02-29',
        TIMESTAMP_NTZ '2024-01-01 10:00:00.000001', TIMESTAMP '2024-01-01 12:00:00+02:00', X'00ff',
        parse_json('{"b":[1.50],"a":null}'), map('k', array(1, NULL)), 'x', 'q\"', 3, NULL""",
    )
    warehouse, sync = spark.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "r": 0.5,
        "b": True,
        "day": date(2024, 2, 29),
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "doc": {"a": None, "b": [1.5]},
        "m": {"k": [1, None]},
        "c": "x",
        's ,;{}()="': 'q"',
        "t": 3,
        "nothing": None,
    }
    (logged,) = spark.audit("sync_changelog")
    fields = logged["fields"]
    assert list(fields)[0] == "id" and set(fields) == set(row) | {"f"}
    assert (fields["d"], fields["f"], fields["doc"], fields["c"]) == (1.5, "NaN", row["doc"], "x")
    assert (fields["seen"], fields["raw"], fields["nothing"]) == ("2024-01-01T10:00:00.000000Z", "00ff", None)
    preview = warehouse.plan(sync).preview()
    assert preview.num_rows == 0 and preview.schema.field("d").type == pa.decimal128(10, 2)


@pytest.mark.crash
@pytest.mark.skipif(not ALL, reason="test_kill_on_servers kills one")
def test_d17_a_killed_run_is_closed_and_continued(spark: SparkEngine, crm: Recorder, tmp_path: Path) -> None:
    spark.execute(f"CREATE TABLE people AS SELECT col AS id, col % 7 AS v FROM {spark.series(1, 1000)}")
    child = Child(
        spark,
        tmp_path / "sent",
        """
        def send(batch):
            note(batch)
            with open(log) as file:
                if len(file.readlines()) >= 600:
                    die()
        sync = sync_of(send, on_removed="delete", chunk_rows=250, batch_rows=50, batch_timeout=5)
        wcdc.connect(url, lease_seconds=values["seconds"]).run(sync)
        """,
        seconds=LEASE["lease_seconds"],
    )
    assert child.wait(300)[0] == -9
    before = {(operation, row_id): key for operation, row_id, key in child.sent}
    warehouse, sync = spark.connect(**LEASE), sync_of(crm, chunk_rows=250, batch_rows=50, batch_timeout=5)
    with pytest.raises(wcdc.SyncInProgressError):
        warehouse.run(sync)
    run = warehouse.run(sync, wait=120)
    keys, after = crm.keys, crm.take()
    assert run.status == "success" and run.closed
    assert after | set(before) == ids("added", *range(1, 1001)), "no operation is lost"
    twice = after & set(before)
    assert 0 < len(twice) <= 300, "only what was in flight is sent again: a chunk of about 250"
    assert all(keys[operation] == before[operation] for operation in twice), "D18: under the same keys"
    closed, ended = spark.runs()
    assert (closed["sync_run_id"], closed["status"], closed["error"]) == (run.closed, "failed", "interrupted")
    assert ended["num_planned_add"] == len(after)
    assert counted(warehouse.run(sync)) == {}
    assert {row["op_type"] for row in spark.audit("sync_snapshot")} == {"unchanged"}


def test_of_processes_that_start_at_once_one_runs(spark: SparkEngine, tmp_path: Path) -> None:
    """The winner sends nothing before the others have given up."""
    spark.table("id INTEGER, v STRING", "(1, 'a')", "(2, 'b')")
    body = """
        def send(batch):
            note(batch)
            while not os.path.exists(values["go"]):
                time.sleep(0.02)
        def observer(step, moment):
            if (step.value, moment) == ("claim", "before"):
                open(values["ready"] + str(os.getpid()), "w").close()
                while not os.path.exists(values["start"]):
                    pass
        with wcdc.connect(url) as warehouse:
            try:
                run = warehouse.run(sync_of(send, on_removed="delete"), observer=observer)
            except wcdc.SyncInProgressError:
                print("lost")
            else:
                print(run.status)
        """
    names = {name: str(tmp_path / name) for name in ("go", "start", "ready")}
    folder = tmp_path / "children"
    folder.mkdir()
    children = [Child(spark, folder / f"sent{number}", body, **names) for number in range(3)]
    until(lambda: len(list(tmp_path.glob("ready*"))) == 3, 120)
    Path(names["start"]).touch()
    until(lambda: sum(child.process.poll() is not None for child in children) == 2, 120)
    Path(names["go"]).touch()
    assert sorted(child.wait(120)[1].strip() for child in children) == ["lost", "lost", "success"]
    assert sorted(len(child.sent) for child in children) == [0, 0, 2]
    (claim,) = [name for name in spark.ledger_tables() if "_claim" in name]
    assert spark.query(f"SELECT count(*) AS n FROM {claim}") == [(1,)]
    assert [row["num_succeeded_add"] for row in spark.runs()] == [2]


def test_a_claim_that_its_run_could_not_tell_the_catalog_of_is_found(
    spark: SparkEngine, crm: Recorder
) -> None:
    """Spark writes a table first and names it then: a run may die between."""
    spark.table("id INTEGER", "(1)")
    sync = sync_of(crm, batch_timeout=5)
    with spark.connect(**LEASE) as warehouse:
        warehouse.run(sync)
    ended = next(name for name in spark.ledger_tables() if "_end" in name)
    (location,) = (
        Path(row["data_type"].removeprefix("file:"))
        for row in spark.records(f"DESCRIBE EXTENDED {ended}")
        if row["col_name"] == "Location"
    )
    spark.execute(f"ALTER TABLE {ended} RENAME TO {PLANNER}.kept")
    moved = location.with_name("kept")
    if not moved.exists():
        pytest.skip("this catalog names tables without moving them")
    shutil.copytree(moved, location)
    spark.execute(f"DROP TABLE {PLANNER}.kept")
    assert ended not in spark.ledger_tables()
    with spark.connect(**LEASE) as warehouse:
        run = warehouse.run(sync, wait=120)
    assert (run.status, crm.take()) == ("success", ids("added", 1))
    assert ended in spark.ledger_tables()


def test_long_inserts_are_cut_and_the_last_row_comes_last(
    spark: SparkEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.warehouses import delta as module

    monkeypatch.setattr(module.DeltaConnection, "insert_bytes", 400)
    connection: Any = wcdc.sources.source_of(spark.url).open()
    set_text = "it's \x01 \\ \\' 😀 \n\t\" \x00"
    rows = pa.table(
        {
            "a": pa.array(range(10), pa.int64()),
            "b": pa.array([None, *["x" * 80] * 8, "last"]),
            "c": pa.array([datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)] * 10, pa.timestamp("us", "UTC")),
        }
    )
    spark.execute(f"CREATE TABLE {PLANNER}.t (a BIGINT, b STRING, c TIMESTAMP) USING DELTA")
    connection._session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    sent: list[str] = []
    execute = connection.execute
    monkeypatch.setattr(connection, "execute", lambda sql: (sent.append(sql), execute(sql))[1])
    connection.insert(PLANNER, "t", rows)
    assert len(sent) > 2
    assert "last" in sent[-1] and all(len(sql) < 500 for sql in sent)
    found = spark.query(f"SELECT a, b, c FROM {PLANNER}.t ORDER BY a")
    assert [row[:2] for row in found] == list(zip(range(10), rows.column("b").to_pylist(), strict=True))
    assert {row[2] for row in found} == {datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)}
    connection.insert(PLANNER, "t", pa.table({"b": [set_text]}))
    assert spark.query(f"SELECT b FROM {PLANNER}.t WHERE a IS NULL") == [(set_text,)]
    connection.close()


def test_errors_say_what_but_no_values(
    spark: SparkEngine, crm: Recorder, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "warehouse_cdc")
    spark.table("id INTEGER, v STRING", "(1, 'hunter2')")
    warehouse = spark.connect()
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id, CAST(v AS INTEGER) AS v FROM people"))
    assert "CAST_INVALID_INPUT" in caught.value.message
    for sql in (
        "SELECT id FROM nowhere WHERE v = 'hunter2'",
        'SELECT id FROM nowhere WHERE v = "hunter2"',
        r"SELECT id FROM nowhere WHERE v = 'it\'s hunter2' AND v <> 'x'",
    ):
        with pytest.raises(wcdc.QueryError) as caught:
            warehouse.run(sync_of(crm, sql))
        assert "nowhere" in caught.value.message
        assert "hunter2" not in str(caught.value) + (caught.value.sql or "")
    assert "hunter2" not in caplog.text + "".join(capfd.readouterr())
    spark.execute(f"DROP SCHEMA {AUDIT} CASCADE")
    with pytest.raises(wcdc.StateError) as missing:
        warehouse.run(sync_of(crm))
    assert missing.value.code == "schema-missing" and AUDIT in missing.value.message
    warehouse.setup()
    assert all(finding.ok for finding in warehouse.check(sync_of(crm)))


def test_a_session_of_ones_own_stays_open(spark: SparkEngine, crm: Recorder) -> None:
    """Its temporary views are models; its names may be qualified by a catalog."""
    session = spark.raw()
    session.sql("SELECT 1 AS id, 'a' AS v").createOrReplaceTempView("people")
    schemas = {"planner_schema": f"spark_catalog.{PLANNER}", "audit_schema": f"spark_catalog.{AUDIT}"}
    with wcdc.connect(session, **schemas) as warehouse:
        assert counted(warehouse.run(sync_of(crm))) == {"added": (1, 1, 1, 0, 0)}
    assert crm.held == {"1": {"id": 1, "v": "a"}}
    assert [row["status"] for row in spark.runs()] == ["succeeded"], "the session is open"
    session.conf.set("spark.sql.ansi.enabled", "false")
    with pytest.raises(wcdc.ConfigError) as caught:
        wcdc.connect(session)
    assert "spark.sql.ansi.enabled" in caught.value.hint


def test_d20_a_statement_can_be_stopped_from_another_thread(spark: SparkEngine) -> None:
    stopped_from_another_thread(spark)


@pytest.mark.skipif(not ALL, reason="takes its time")
def test_d20_cancel_stops_the_statement_that_plans(spark: SparkEngine, crm: Recorder) -> None:
    test_promises.test_d20_cancel_stops_the_statement_that_plans(spark, crm)


def test_what_other_objects_of_pyspark_are_no_session(spark: SparkEngine) -> None:
    with pytest.raises(wcdc.UnsupportedError):
        wcdc.connect(spark.raw().sql("SELECT 1"))


CLASSIC = """
import logging, sys
from pathlib import Path
from pyspark.sql import SparkSession
import warehouse_cdc as wcdc
from tests.engines.spark import settings
builder = SparkSession.builder.master("local[1]")
for name, value in settings(Path(sys.argv[1])).items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
assert "connect" not in type(spark).__module__
spark.sql("CREATE TABLE people USING DELTA AS SELECT 1 AS id, TIMESTAMP '2024-01-01 00:00:00+00:00' AS at")
sent = []
with wcdc.connect(spark) as warehouse:
    warehouse.setup()
    sync = wcdc.Sync(id="people", model=wcdc.Model("people", table="people", primary_key="id"),
                     destination=lambda batch: sent.extend(batch.rows), on_removed="delete", max_removed=None)
    print(warehouse.run(sync).status)
    spark.sql("UPDATE people SET at = at + INTERVAL 1 SECOND")
    print(warehouse.run(sync).status, len(sent), sent[-1]["at"].isoformat())
    try:
        model = wcdc.Model("m", sql="SELECT x AS id FROM nowhere", primary_key="id")
        warehouse.run(wcdc.Sync(id="s", model=model, destination=print))
    except wcdc.QueryError as error:
        print(error.message)
print(spark.sql("SELECT count(*) FROM hightouch_audit.sync_runs").collect()[0][0])
spark.stop()
"""


def run_classic(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in the interpreter that has all of pyspark, as a group of processes of its own."""
    try:
        interpreter = assembled.python()
    except assembled.Unavailable as reason:
        pytest.skip(str(reason))
    return subprocess.run(
        [interpreter, "-W", "ignore", "-c", script, str(folder), *arguments],
        env={**assembled.environment(), "PYTHONPATH": os.pathsep.join([str(ROOT), *assembled.path()])},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        start_new_session=True,
    )


def test_a_session_in_this_process(tmp_path: Path) -> None:
    """Without Spark Connect."""
    done = run_classic(CLASSIC, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        "success",
        "success 2 2024-01-01T00:00:01+00:00",
        "Spark refused a statement (TABLE_OR_VIEW_NOT_FOUND): `nowhere`",
        "2",
    ]


KILLED = """
import json, os, signal, sys
from pathlib import Path
from pyspark.sql import SparkSession
import warehouse_cdc as wcdc
from tests.engines.spark import settings
folder, log, at = Path(sys.argv[1]), Path(sys.argv[2]), tuple(sys.argv[3:])
builder = SparkSession.builder.master("local[1]")
for name, value in {**settings(folder), "spark.sql.catalogImplementation": "hive"}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
if at:
    spark.sql("CREATE TABLE people USING DELTA AS SELECT id, id % 3 AS v FROM range(40)")
def send(batch):
    with log.open("a") as file:
        for row_id, key in zip(batch.row_ids, batch.idempotency_keys):
            file.write(json.dumps([batch.operation, row_id, key]) + chr(10))
def observer(step, moment):
    if (step.value, moment) == at:
        os.killpg(0, signal.SIGKILL)
with wcdc.connect(spark, lease_seconds=30.0 if at else 120.0, lease_margin=1.0) as warehouse:
    if at:
        warehouse.setup()
    sync = wcdc.Sync(id="people", model=wcdc.Model("people", table="people", primary_key="id"),
                     destination=send, on_removed="delete", max_removed=None, chunk_rows=10, batch_rows=5,
                     batch_timeout=5)
    run = warehouse.run(sync, wait=120, observer=observer)
    print(run.status, sum(found.planned for found in warehouse.run(sync).counts.values()))
runs = spark.sql("SELECT sync_run_id, status, error FROM hightouch_audit.sync_runs ORDER BY 1").collect()
print(json.dumps([[row[0] == run.closed, row[1], row[2]] for row in runs]))
spark.stop()
"""


@pytest.mark.crash
@pytest.mark.skipif(not ALL, reason="starts Spark twice, and waits until a lease is over")
def test_a_process_that_is_killed_with_its_own_session(tmp_path: Path) -> None:
    """And with it Spark: a second process finds the tables in the metastore on disk, and goes on."""
    log = tmp_path / "sent"
    log.touch()

    def child(*at: str) -> subprocess.CompletedProcess[str]:
        return run_classic(KILLED, tmp_path, str(log), *at)

    assert child("send", "after").returncode == -9
    before = [json.loads(line) for line in log.read_text().splitlines()]
    done = child()
    assert done.returncode == 0, done.stderr[-3000:]
    first, runs = done.stdout.splitlines()
    sent = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(operation, row_id) for operation, row_id, _key in sent} == ids("added", *range(40))
    again = sent[len(before) :]
    assert len({row_id for _operation, row_id, _key in again}) == len(again)
    keys = {row_id: key for _operation, row_id, key in before}
    twice = [(row_id, key) for _operation, row_id, key in again if row_id in keys]
    assert len(twice) <= 20 and all(keys[row_id] == key for row_id, key in twice), (
        "D18: a chunk, under its keys"
    )
    assert first == "success 0"
    closed, *others = json.loads(runs)
    assert closed == [True, "failed", "interrupted"]
    assert [status for _closed, status, _error in others] == ["succeeded"] * len(others)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("sc://127.0.0.1:1/catalog", wcdc.ConnectionLostError),
        ("sc:///catalog", wcdc.ConfigError),
        ("sc://host:15002/;token=hunter2", wcdc.ConfigError),
        ("sc://host:15002/a/b/c", wcdc.ConfigError),
    ],
)
def test_urls_that_lead_nowhere(url: str, error: type[wcdc.CdcError]) -> None:
    with pytest.raises(error) as caught:
        wcdc.connect(url)
    assert caught.value.hint or "use_ssl" in caught.value.message
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["spark", "databricks"])
def test_spark_understands_every_golden_statement(spark: SparkEngine, name: str) -> None:
    """By its own parser: what it can't find is another matter. Only Databricks has GRANT."""
    from pyspark.errors import AnalysisException, ParseException

    statements = {sql: which for which, sql in pinned(name).items()}
    for sql, which in statements.items():
        try:
            spark.raw().sql(f"EXPLAIN {sql}")
            assert not sql.startswith("GRANT"), "Spark knows it now"
        except ParseException as error:
            if name == "databricks" and sql.startswith("GRANT"):
                continue
            raise AssertionError(f"{which}: {error}\n{sql}") from error
        except AnalysisException as error:
            assert error.getCondition() in ("TABLE_OR_VIEW_NOT_FOUND", "SCHEMA_NOT_FOUND"), which
    with pytest.raises(ParseException):
        spark.raw().sql("EXPLAIN CREATE TABLE t AS SELECT 1 DISTRIBUTED BY (x)")


EXECUTED = CASES if ALL else ("upsert_every_type",)


@pytest.mark.parametrize("case", EXECUTED)
def test_every_golden_statement_runs_in_the_order_in_which_runs_send_them(
    spark: SparkEngine, case: str
) -> None:
    spark.execute(
        "DROP SCHEMA IF EXISTS sales CASCADE",
        "CREATE SCHEMA sales",
        """CREATE VIEW sales.people AS SELECT * FROM VALUES
        (1L, 'eu', 'A@x', CAST(1.50 AS DECIMAL(12, 2)), double('NaN'), true, DATE '2000-01-01',
        TIMESTAMP_NTZ '2024-01-01 10:00:00', TIMESTAMP '2024-01-01 10:00:00Z', parse_json('{"a": 1}'), 'x'),
        (2L, 'us', NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL),
        (3L, NULL, '', 0, 0e0, NULL, NULL, NULL, NULL, parse_json('[]'), NULL)
        t (id, region, email, ltv, score, active, born, seen, visited, extra, token)""",
    )
    for label, sql in compiled(case, "spark").statements.items():
        try:
            spark.records(sql)
        except Exception as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    assert len([name for name in spark.own_tables() if name.endswith("_plan")]) == 2
    assert spark.audit("sync_snapshot")
    spark.execute("DROP SCHEMA sales CASCADE")
