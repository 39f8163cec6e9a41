"""What is Snowflake's own: types and equality, claims under fire, sign-in, errors; on its emulator."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import endless
from tests.conformance.helpers import AUDIT, PLANNER, Child, Recorder, counted, ids, sync_of, until
from tests.conformance.snowflake_engine import SnowflakeEngine
from tests.conformance.test_moving_to_servers import (
    test_what_is_moved_is_not_sent_and_what_is_due_is as check_move,
)
from tests.golden.test_golden import CASES, compiled
from warehouse_cdc.compile import layout

pytestmark = pytest.mark.snowflake

LEASE = {"lease_seconds": 12.0, "lease_margin": 1.0}

SAME: dict[str, tuple[str, list[list[str]]]] = {
    "integer": ("INTEGER", [["9007199254740993"], ["9007199254740992"], ["0", "-0"]]),
    "short": ("NUMBER(4, 0)", [["1"], ["-128"]]),
    "decimal": ("NUMBER(20, 6)", [["1", "1.0", "1.000000"], ["1.000001"], ["0", "-0.0"], ["-1"], ["100"]]),
    "float": (
        "FLOAT",
        [
            ["'NaN'"],
            ["'-0.0'", "0"],
            ["'inf'"],
            ["'-inf'"],
            ["0.1"],
            ["'0.30000000000000004'"],
            ["'0.3'"],
            ["'1e300'"],
            ["1e15", "1000000000000000"],
        ],
    ),
    "boolean": ("BOOLEAN", [["TRUE"], ["FALSE"]]),
    "varchar": (
        "VARCHAR",
        [
            *(
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
            ),
            *(["'😀'"], [r"'a\\b'"], [r"'\n'"], ["'it''s'"]),
        ],
    ),
    "char": ("CHAR(4)", [["'a'"], ["'a  '"], ["'A'"], ["''"]]),
    "date": ("DATE", [["'2024-02-29'"], ["'2024-03-01'"], ["'0001-01-01'"], ["'9999-12-31'"]]),
    "time": ("TIME(6)", [["'10:00:00'", "'10:00'"], ["'10:00:00.000001'"]]),
    "timestamp": (
        "TIMESTAMP_NTZ(9)",
        [["'2024-01-01 00:00:00'", "'2024-01-01'"], ["'2024-01-01 00:00:00.000001'"], ["'9999-12-31'"]],
    ),
    "instant": (
        "TIMESTAMP_LTZ(9)",
        [["'2024-01-01 12:00:00+00:00'", "'2024-01-01 14:00:00+02:00'"], ["'2024-01-01 12:00:00+01:00'"]],
    ),
    "zoned": (
        "TIMESTAMP_TZ(3)",
        [["'2024-01-01 12:00:00+00:00'", "'2024-01-01 14:00:00+02:00'"], ["'2024-01-01 12:00:00+01:00'"]],
    ),
    "binary": (
        "BINARY",
        [["TO_BINARY('61', 'HEX')"], ["TO_BINARY('41', 'HEX')"], ["TO_BINARY('6120', 'HEX')"]],
    ),
    "variant": (
        "VARIANT",
        [
            ["""PARSE_JSON('{"a":1,"b":[1,2]}')""", """PARSE_JSON('{ "b": [1, 2], "a": 1 }')"""],
            ["""PARSE_JSON('{"a":1,"b":[2,1]}')"""],
            ["""PARSE_JSON('{"a":1,"b":[1,2],"c":null}')"""],
            ["""PARSE_JSON('{"a":"1","b":[1,2]}')"""],
            ["PARSE_JSON('null')"],
            ["""PARSE_JSON('"null"')"""],
            ["PARSE_JSON('[]')", "PARSE_JSON('[ ]')"],
            ["PARSE_JSON('{}')"],
        ],
    ),
    "object": (
        "VARIANT",
        [
            ["OBJECT_CONSTRUCT('a', 1, 'b', 'x')", "OBJECT_CONSTRUCT('b', 'x', 'a', 1)"],
            ["OBJECT_CONSTRUCT('a', 1)", "OBJECT_CONSTRUCT('a', 1, 'b', NULL)"],
            ["OBJECT_CONSTRUCT_KEEP_NULL('a', 1, 'b', NULL)"],
        ],
    ),
    "array": (
        "VARIANT",
        [
            ['PARSE_JSON(\'["a","b"]\')'],
            ['PARSE_JSON(\'["b","a"]\')'],
            ["PARSE_JSON('[\"a,b\"]')"],
            ["PARSE_JSON('[\"a\",null]')"],
        ],
    ),
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


def show(engine: SnowflakeEngine, *, after: bool) -> None:
    """Make the table of all pairs: a column for each type, which is NULL in the rows of the others."""
    kinds = [kind for kind, _classes in SAME.values()]
    columns = ", ".join(f"v{place} {kind}" for place, kind in enumerate(kinds))
    engine.table(f"id VARCHAR, {columns}")
    for number, kind in enumerate(kinds):
        rows = " UNION ALL ".join(
            f"SELECT '{label}', CAST({new if after else old} AS {kind})"
            for label, place, old, new, _same in PAIRS
            if place == number
        )
        engine.execute(f'INSERT INTO people ("id", "v{number}") {rows}')


def test_d5_equal_values_are_equal_and_different_ones_differ(
    snowflake: SnowflakeEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by value, as after an upgrade, then by fingerprint, on the way back."""
    warehouse, sync = snowflake.connect(changelog=False, snapshot=False), sync_of(crm)
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    show(snowflake, after=False)
    assert warehouse.run(sync).status == "success"
    assert len(crm.take()) == len(PAIRS)
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    differ = {label for label, _place, _old, _new, same in PAIRS if not same}
    what = {label: (old, new) for label, _place, old, new, _same in PAIRS}
    for after in (True, False):
        show(snowflake, after=after)
        warehouse.run(sync)
        sent = {row_id for _operation, row_id in crm.take()}
        wrong = [(label, *what[label], "sent" if label in sent else "not sent") for label in sent ^ differ]
        assert not wrong


KEYS: dict[str, list[tuple[str, str]]] = {
    "INTEGER": [("0", "0"), ("-1", "-1"), ("9223372036854775807", "9223372036854775807")],
    "BOOLEAN": [("TRUE", "true"), ("FALSE", "false")],
    "NUMBER(20, 6)": [("1.50", "1.5"), ("100", "100"), ("0.000001", "0.000001"), ("-0.0", "0")],
    "NUMBER(10, 0)": [("100", "100"), ("-10", "-10")],
    "DATE": [("'2024-02-29'", "2024-02-29"), ("'0001-01-01'", "0001-01-01")],
    "TIMESTAMP_NTZ(3)": [("'2024-02-29 23:59:59.9'", "2024-02-29T23:59:59.900000Z")],
    "TIMESTAMP_TZ(9)": [("'2024-03-31 02:30:00.000001+05:45'", "2024-03-30T20:45:00.000001Z")],
    "TIMESTAMP_LTZ(9)": [("'2024-03-31 02:30:00+02:00'", "2024-03-31T00:30:00.000000Z")],
    "VARCHAR": [
        ("'a''b\"c\\\\d'", "a'b\"c\\d"),
        ("' x '", " x "),
        ("''", ""),
        ("'a\\n'", "a\n"),
        ("'e\u0301😀'", "e\u0301😀"),
    ],
}


def test_d1_the_canonical_text_of_keys(snowflake: SnowflakeEngine) -> None:
    """Alone, and as a part of a composite key."""
    dialect = snowflake.dialect
    for kind, values in KEYS.items():
        expression, stored = dialect.stored("k", dialect.column_type(kind))
        rows = " UNION ALL ".join(
            f"SELECT {place} AS n, CAST({literal} AS {kind}) AS k"
            for place, (literal, _text) in enumerate(values)
        )
        single = dialect.row_id([dialect.canonical_text("s", stored)])
        composite = dialect.row_id([dialect.canonical_text("s", stored), "'7'"])
        found = snowflake.query(
            f"SELECT {single}, {composite} FROM (SELECT n, {expression} AS s FROM ({rows}) t) u ORDER BY n"
        )
        texts = [text for _literal, text in values]
        assert [row[0] for row in found] == texts, kind
        assert [row[1] for row in found] == [
            json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in texts
        ]


def test_values_reach_the_destination_and_the_audit_tables(snowflake: SnowflakeEngine, crm: Recorder) -> None:
    snowflake.table(
        "id INTEGER, d NUMBER(10, 2), f FLOAT, b BOOLEAN, day DATE, t TIME(6), at TIMESTAMP_NTZ(9), "
        "seen TIMESTAMP_TZ(9), raw BINARY, doc VARIANT, s VARCHAR, long INTEGER, nothing VARCHAR"
    )
    snowflake.execute(
        """INSERT INTO people SELECT 1, 1.50, 'NaN'::FLOAT, TRUE, '2024-02-29', '10:00:00.000001',
        '2024-01-01 10:00:00.000001', '2024-01-01 12:00:00+02:00'::TIMESTAMP_TZ, TO_BINARY('00ff', 'HEX'),
        PARSE_JSON('{"b":[1.5],"a":null}'), 'q"', 9007199254740993, NULL"""
    )
    warehouse, sync = snowflake.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f")) and type(row["id"]) is int
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "b": True,
        "day": date(2024, 2, 29),
        "t": time(10, 0, 0, 1),
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "doc": {"a": None, "b": [1.5]},
        "s": 'q"',
        "long": 9007199254740993,
        "nothing": None,
    }
    (logged,) = snowflake.audit("sync_changelog")
    fields = logged["fields"]
    assert list(fields)[0] == "id" and set(fields) == set(row) | {"f"}
    assert (fields["d"], fields["f"], fields["doc"], fields["s"]) == (1.5, "NaN", row["doc"], 'q"')
    assert (fields["seen"], fields["raw"], fields["nothing"]) == ("2024-01-01T10:00:00.000000Z", "00ff", None)
    assert fields["long"] == 9007199254740993
    preview = warehouse.plan(sync).preview()
    assert preview.num_rows == 0 and preview.schema.field("d").type == pa.decimal128(10, 2)


def test_names_are_upper_case_unless_quoted(snowflake: SnowflakeEngine, crm: Recorder) -> None:
    """What is read without quotes is found without quotes, and models' columns keep their case."""
    snowflake._own.cursor().execute('CREATE TABLE people (id INTEGER, "Id Two" VARCHAR)')
    snowflake._own.cursor().execute("INSERT INTO people VALUES (1, 'a')")
    sync = sync_of(crm, key="ID", mappings={"two": "Id Two"})
    warehouse = snowflake.connect()
    assert warehouse.run(sync).status == "success"
    assert crm.rows == [{"ID": 1, "two": "a"}]
    names = snowflake.query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('HIGHTOUCH_AUDIT', "
        "'HIGHTOUCH_PLANNER')"
    )
    assert names and all(name.isupper() for (name,) in names)
    columns = snowflake._own.cursor().execute("SELECT * FROM hightouch_audit.sync_changelog").description
    assert [column.name for column in columns] == [
        *("SYNC_ID", "SYNC_RUN_ID", "OP_TYPE", "ROW_ID", "STATUS", "FAILURE_REASON", "FIELDS")
    ]
    with pytest.raises(wcdc.ConfigError) as caught:
        warehouse.run(sync_of(crm, id="other", key="id"))
    assert "'ID'" in caught.value.hint


@pytest.mark.crash
def test_d17_a_killed_run_is_closed_and_continued(
    snowflake: SnowflakeEngine, crm: Recorder, tmp_path: Path
) -> None:
    snowflake.execute(
        f"CREATE TABLE people AS SELECT i AS id, i % 7 AS v FROM {snowflake.series(1, 1000)} r(i)"
    )
    child = Child(
        snowflake,
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
    child.killed()
    before = {(operation, row_id): key for operation, row_id, key in child.sent}
    warehouse, sync = snowflake.connect(**LEASE), sync_of(crm, chunk_rows=250, batch_rows=50, batch_timeout=5)
    with pytest.raises(wcdc.SyncInProgressError):
        warehouse.run(sync)
    run = warehouse.run(sync, wait=60)
    keys, after = crm.keys, crm.take()
    assert run.status == "success" and run.closed
    assert after | set(before) == ids("added", *range(1, 1001)), "no operation is lost"
    twice = after & set(before)
    assert 0 < len(twice) <= 300, "only what was in flight is sent again: a chunk of about 250"
    assert all(keys[operation] == before[operation] for operation in twice), "D18: under the same keys"
    closed, ended = snowflake.runs()
    assert (closed["sync_run_id"], closed["status"], closed["error"]) == (run.closed, "failed", "interrupted")
    assert ended["num_planned_add"] == len(after)
    assert counted(warehouse.run(sync)) == {}
    assert {row["op_type"] for row in snowflake.audit("sync_snapshot")} == {"unchanged"}


def test_d20_cancel_stops_the_statement_that_plans(
    snowflake: SnowflakeEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless.check_cancel(snowflake, crm, monkeypatch)


@pytest.mark.crash
def test_the_statement_that_a_killed_run_left_running_is_ended_before_its_run_is_closed(
    snowflake: SnowflakeEngine, crm: Recorder, tmp_path: Path
) -> None:
    history = "TABLE(information_schema.query_history_by_user(RESULT_LIMIT => 10000))"
    changelog = f'SELECT query_tag FROM {history} WHERE CONTAINS(query_tag, \'"stage": "changelog"\')'
    closed, ((tag,),) = endless.check_killed(snowflake, crm, tmp_path, lambda: snowflake.query(changelog))
    assert json.loads(tag)["run"] == closed


def test_of_two_processes_that_start_at_once_one_runs(snowflake: SnowflakeEngine, tmp_path: Path) -> None:
    """The winner sends nothing before the loser has given up."""
    snowflake.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
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
    children = [Child(snowflake, folder / f"sent{number}", body, **names) for number in range(2)]
    until(lambda: len(list(tmp_path.glob("ready*"))) == 2, 60)
    Path(names["start"]).touch()
    until(lambda: any(child.process.poll() is not None for child in children), 60)
    Path(names["go"]).touch()
    assert sorted(child.wait()[1].strip() for child in children) == ["lost", "success"]
    assert sorted(len(child.sent) for child in children) == [0, 2]
    (claim,) = [name for name in snowflake.ledger_tables() if "_CLAIM" in name]
    assert snowflake.query(f"SELECT count(*) FROM {claim}") == [(1,)]
    assert [row["num_succeeded_add"] for row in snowflake.runs()] == [2]


def test_long_inserts_are_cut_and_the_last_row_comes_last(
    snowflake: SnowflakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.warehouses import snowflake as module

    monkeypatch.setattr(module.SnowflakeConnection, "insert_bytes", 500)
    monkeypatch.setattr(module.SnowflakeConnection, "insert_rows", 5)
    text = "it's \x01 \\ \\' 😀 \n \ud800"
    rows = pa.table(
        {
            "a": pa.array(range(20), pa.int64()),
            "b": pa.array([None, *["x" * 50] * 18, "last"]),
            "c": pa.array([datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)] * 20, pa.timestamp("us", "UTC")),
        }
    )
    snowflake.execute(f"CREATE TABLE {PLANNER}.t (a BIGINT, b VARCHAR, c TIMESTAMP_LTZ(9))")
    connection = snowflake._connection
    sent: list[str] = []
    execute = connection.execute
    monkeypatch.setattr(connection, "execute", lambda sql: (sent.append(sql), execute(sql))[1])
    connection.insert(PLANNER, "t", rows)
    assert len(sent) >= 4 and "last" in sent[-1] and all(len(sql) < 700 for sql in sent)
    found = snowflake.query(f"SELECT a, b, c FROM {PLANNER}.t ORDER BY a")
    assert [row[:2] for row in found] == list(zip(range(20), rows.column("b").to_pylist(), strict=True))
    assert {row[2].astimezone(timezone.utc).microsecond for row in found} == {1}
    connection.insert(PLANNER, "t", pa.table({"b": [text.encode("utf-8", "replace").decode()]}))
    assert snowflake.query(f"SELECT b FROM {PLANNER}.t WHERE a IS NULL") == [(text.replace("\ud800", "?"),)]


def test_errors_say_what_and_which_statement_but_no_values(snowflake: SnowflakeEngine, crm: Recorder) -> None:
    snowflake.table("id INTEGER, v VARCHAR", "(1, 'secret')")
    warehouse = snowflake.connect()
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id, CAST(v AS INTEGER) AS v FROM people", mappings={"v": "V"}))
    assert "100035" in caught.value.message
    assert "secret" not in str(caught.value) + caught.value.sql
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, r"SELECT id FROM nowhere WHERE v = 'it\'s secret'"))
    assert "NOWHERE" in caught.value.message and "secret" not in str(caught.value) + caught.value.sql
    snowflake.execute(f"DROP SCHEMA {AUDIT} CASCADE")
    with pytest.raises(wcdc.StateError) as missing:
        warehouse.run(sync_of(crm))
    assert missing.value.code == "schema-missing" and AUDIT in missing.value.message
    warehouse.setup()
    assert all(finding.ok for finding in warehouse.check(sync_of(crm)))


@pytest.mark.parametrize("name", ["snowflake", "snowflake_iceberg"])
@pytest.mark.parametrize("case", CASES)
def test_every_golden_statement_runs_in_the_order_in_which_runs_send_them(
    snowflake: SnowflakeEngine, case: str, name: str
) -> None:
    snowflake.records("CREATE SCHEMA IF NOT EXISTS sales")
    snowflake.records(
        """CREATE OR REPLACE VIEW sales.people AS
        SELECT 1 AS id, 'eu' AS region, 'A@x' AS email, 1.50::NUMBER(12, 2) AS ltv, 'NaN'::FLOAT AS score,
        TRUE AS active, '2000-01-01'::DATE AS born, '2024-01-01 10:00'::TIMESTAMP_NTZ AS seen,
        '2024-01-01 10:00+00:00'::TIMESTAMP_TZ AS visited, PARSE_JSON('{"a": 1}') AS extra,
        '6f9619ff-8b86-d011-b42d-00cf4fc964ff' AS token
        UNION ALL SELECT 2, 'us', NULL, NULL, NULL, TRUE, NULL, NULL, NULL, NULL, NULL
        UNION ALL SELECT 3, NULL, '', 0, 0, NULL, NULL, NULL, NULL, PARSE_JSON('[]'), NULL"""
    )
    for label, sql in compiled(case, name).statements.items():
        try:
            snowflake.records(sql)
        except Exception as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    assert len([table for table in snowflake.own_tables() if table.endswith("_plan")]) == 2
    assert snowflake.audit("sync_snapshot")


def _with_iceberg(snowflake: SnowflakeEngine) -> str:
    """The URL of the same, with Iceberg tables."""
    url = snowflake.url.replace("snowflake:", "snowflake-iceberg:")
    return f"{url}&external_volume=lake&base_location=cdc/"


def test_a_pulled_sync_is_moved_into_iceberg(
    snowflake: SnowflakeEngine, crm: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where times of nine digits are kept as text."""
    monkeypatch.setattr(snowflake, "url", _with_iceberg(snowflake))
    check_move(snowflake, crm, tmp_path)


def test_iceberg_holds_the_state_and_loses_no_digit(snowflake: SnowflakeEngine, crm: Recorder) -> None:
    snowflake.table(
        "id INTEGER, at TIMESTAMP_NTZ(9), seen TIMESTAMP_TZ(6), t TIME(9), doc VARIANT, v FLOAT",
        "(1, '2024-01-01 10:00:00.000001', '2024-01-01 10:00:00+00:00', '10:00:00.000001', NULL, 0.1)",
        "(2, NULL, NULL, NULL, NULL, NULL)",
    )
    with wcdc.connect(_with_iceberg(snowflake)) as warehouse:
        sent: list[str] = []
        connection = warehouse._connection
        execute = connection.execute
        connection.execute = lambda sql, **how: (sent.append(sql), execute(sql, **how))[1]  # type: ignore[method-assign]
        sync = sync_of(crm)
        run = warehouse.run(sync)
        assert run.status == "success" and warehouse.dialect == "snowflake_iceberg"
        assert crm.held["1"] == {
            "id": 1,
            "at": datetime(2024, 1, 1, 10, 0, 0, 1),
            "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
            "t": time(10, 0, 0, 1),
            "doc": None,
            "v": 0.1,
        }
        made = [sql for sql in sent if sql.startswith("CREATE")]
        assert len(made) >= 6 and all("CREATE ICEBERG TABLE" in sql for sql in made)
        assert all("EXTERNAL_VOLUME = 'lake'\nCATALOG = 'SNOWFLAKE'" in sql for sql in made)
        assert any("BASE_LOCATION = 'cdc/HIGHTOUCH_AUDIT/SYNC_RUNS'" in sql for sql in made)
        crm.take()
        snowflake.execute("""UPDATE people SET "at" = '2024-01-01 10:00:00.000002' WHERE "id" = 1""")
        snowflake.execute("""DELETE FROM people WHERE "id" = 2""")
        warehouse.run(sync)
        assert crm.take() == {("changed", "1"), ("removed", "2")}
        warehouse.run(sync)
        assert crm.take() == set()
    (row,) = [row for row in snowflake.audit("sync_changelog") if row["op_type"] == "changed"]
    assert row["fields"]["at"] == "2024-01-01T10:00:00.000002Z"
    kinds = dict(
        snowflake.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'SYNC_CHANGELOG'"
        )
    )
    assert kinds["FIELDS"] == "TEXT"
