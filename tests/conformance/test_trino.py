"""What is Trino's own: types and equality, claims under fire, long statements, errors."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_promises
from tests.conformance.helpers import AUDIT, PLANNER, Child, Recorder, counted, ids, sync_of, until
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.golden.test_golden import CASES, compiled
from warehouse_cdc.compile import layout
from warehouse_cdc.sources import source_of

pytestmark = pytest.mark.trino

LEASE = {"lease_seconds": 12.0, "lease_margin": 1.0}
"""A statement may take a second on a busy machine: a shorter lease would be lost by itself."""

SAME: dict[str, tuple[str, list[list[str]]]] = {
    "tinyint": ("tinyint", [["1"], ["-128"]]),
    "bigint": ("bigint", [["9007199254740993"], ["9007199254740992"], ["0", "-0"]]),
    "decimal": ("decimal(20, 6)", [["1", "1.0", "1.000000"], ["1.000001"], ["0", "-0.0"], ["-1"], ["100"]]),
    "double": (
        "double",
        [
            ["nan()", "-nan()"],
            ["-0e0", "0e0"],
            ["infinity()"],
            ["-infinity()"],
            ["0.1e0"],
            ["0.30000000000000004e0"],
        ],
    ),
    "real": ("real", [["nan()"], ["-0e0", "0e0"], ["REAL '0.1'"], ["REAL '0.2'"]]),
    "boolean": ("boolean", [["true"], ["false"]]),
    "varchar": (
        "varchar",
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
        ],
    ),
    "char": ("char(4)", [["'a'", "'a  '"], ["'A'"], ["' a'"], ["''", "'    '"]]),
    "date": ("date", [["DATE '2024-02-29'"], ["DATE '2024-03-01'"]]),
    "time": ("time(6)", [["TIME '10:00:00'", "TIME '10:00'"], ["TIME '10:00:00.000001'"]]),
    "fine time": ("time(9)", [["TIME '10:00:00'"], ["TIME '10:00:00.000000001'"]]),
    "zoned time": ("time(6) with time zone", [["TIME '10:00:00+02:00'"], ["TIME '10:00:00+03:00'"]]),
    "timestamp": (
        "timestamp(6)",
        [
            ["TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMP '2024-01-01'"],
            ["TIMESTAMP '2024-01-01 00:00:00.000001'"],
        ],
    ),
    "fine timestamp": (
        "timestamp(9)",
        [["TIMESTAMP '2024-01-01 00:00:00'"], ["TIMESTAMP '2024-01-01 00:00:00.000000001'"]],
    ),
    "timestamptz": (
        "timestamp(6) with time zone",
        [
            ["TIMESTAMP '2024-01-01 12:00:00 UTC'", "TIMESTAMP '2024-01-01 14:00:00 +02:00'"],
            ["TIMESTAMP '2024-01-01 12:00:00 +01:00'"],
        ],
    ),
    "uuid": (
        "uuid",
        [
            ["UUID '6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "UUID '6f9619ff-8b86-d011-b42d-00cf4fc964ff'"],
            ["UUID '6f9619ff-8b86-d011-b42d-00cf4fc964fe'"],
        ],
    ),
    "varbinary": ("varbinary", [["X'61'"], ["X'41'"], ["X''"], ["X'6120'"], ["X'ff'"]]),
    "json": (
        "json",
        [
            ["""JSON '{"a":1,"b":[1,2]}'""", """JSON '{ "b": [1, 2], "a": 1 }'"""],
            ["""JSON '{"a":1,"b":[2,1]}'"""],
            ["""JSON '{"a":1,"b":[1,2],"c":null}'"""],
            ["""JSON '{"a":"1","b":[1,2]}'"""],
            ["JSON 'null'"],
            ["""JSON '"null"'"""],
            ["JSON '[]'", "JSON '[ ]'"],
            ["JSON '{}'"],
            ["JSON '12345678901234567890'"],
            ["JSON '12345678901234567891'"],
        ],
    ),
    "array": (
        "array(varchar)",
        [
            ["ARRAY['a', 'b']"],
            ["ARRAY['b', 'a']"],
            ["ARRAY['a,b']"],
            ["ARRAY['a', NULL]"],
            ["ARRAY[]"],
            ["ARRAY['null']"],
        ],
    ),
    "map": (
        "map(integer, timestamp(3) with time zone)",
        [
            [
                "MAP(ARRAY[1], ARRAY[TIMESTAMP '2024-01-01 12:00 UTC'])",
                "MAP(ARRAY[1], ARRAY[TIMESTAMP '2024-01-01 13:00 +01:00'])",
            ],
            ["MAP(ARRAY[2], ARRAY[TIMESTAMP '2024-01-01 12:00 UTC'])"],
            ["MAP(ARRAY[1], ARRAY[NULL])"],
            ["MAP()"],
        ],
    ),
    "row": (
        'row(a integer, "B c" array(row(x uuid, y double)))',
        [
            ["ROW(1, ARRAY[ROW(NULL, -0e0)])", "ROW(1, ARRAY[ROW(NULL, 0e0)])"],
            ["ROW(1, ARRAY[])"],
            ["ROW(1, NULL)"],
            ["ROW(NULL, NULL)"],
            ["ROW(1, ARRAY[ROW(UUID '6f9619ff-8b86-d011-b42d-00cf4fc964fe', 0e0)])"],
        ],
    ),
    "interval": (
        "interval day to second",
        [["INTERVAL '1' DAY", "INTERVAL '24' HOUR"], ["INTERVAL '2' DAY"]],
    ),
    "ipaddress": ("ipaddress", [["IPADDRESS '10.0.0.1'"], ["IPADDRESS '10.0.0.2'"]]),
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


def show(engine: TrinoEngine, *, after: bool) -> None:
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
        parts.append(f"SELECT CAST(id AS varchar) AS id, {columns} FROM (VALUES {values}) t (id, v)")
    engine.execute(f"CREATE OR REPLACE VIEW {MODELS}.people AS {' UNION ALL '.join(parts)}")


def test_d5_equal_values_are_equal_and_different_ones_differ(
    trino: TrinoEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by value, as after an upgrade, then by fingerprint, on the way back."""
    warehouse, sync = trino.connect(changelog=False, snapshot=False), sync_of(crm)
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    show(trino, after=False)
    assert warehouse.run(sync).status == "success"
    assert len(crm.take()) == len(PAIRS)
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    differ = {label for label, _place, _old, _new, same in PAIRS if not same}
    what = {label: (old, new) for label, _place, old, new, _same in PAIRS}
    for after in (True, False):
        show(trino, after=after)
        warehouse.run(sync)
        sent = {row_id for _operation, row_id in crm.take()}
        wrong = [(label, *what[label], "sent" if label in sent else "not sent") for label in sent ^ differ]
        assert not wrong


KEYS: dict[str, list[tuple[str, str]]] = {
    "integer": [("0", "0"), ("-1", "-1")],
    "bigint": [("9223372036854775807", "9223372036854775807")],
    "boolean": [("true", "true"), ("false", "false")],
    "uuid": [("UUID '6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "6f9619ff-8b86-d011-b42d-00cf4fc964ff")],
    "decimal(20, 6)": [("1.50", "1.5"), ("100", "100"), ("0.000001", "0.000001"), ("-0.0", "0")],
    "decimal(20, 0)": [("100", "100"), ("-10", "-10")],
    "date": [("DATE '2024-02-29'", "2024-02-29"), ("DATE '0001-01-01'", "0001-01-01")],
    "timestamp(3)": [("TIMESTAMP '2024-02-29 23:59:59.9'", "2024-02-29T23:59:59.900000Z")],
    "timestamp(9)": [
        ("TIMESTAMP '2024-02-29 00:00:00'", "2024-02-29T00:00:00.000000Z"),
        ("TIMESTAMP '2024-02-29 00:00:00.00000012'", "2024-02-29T00:00:00.00000012Z"),
    ],
    "timestamp(6) with time zone": [
        ("TIMESTAMP '2024-03-31 02:30:00.000001 +05:45'", "2024-03-30T20:45:00.000001Z")
    ],
    "varchar": [
        ("'a''b\"c\\d'", "a'b\"c\\d"),
        ("' x '", " x "),
        ("''", ""),
        ("'a' || chr(1) || chr(10)", "a\x01\n"),
        ("'e\u0301😀'", "e\u0301😀"),
    ],
    "char(5)": [("'ab'", "ab")],
}


def test_d1_the_canonical_text_of_keys(trino: TrinoEngine, crm: Recorder) -> None:
    """Alone, and as a part of a composite key."""
    dialect = trino.dialect
    for kind, values in KEYS.items():
        expression, stored = dialect.stored("k", dialect.column_type(kind))
        rows = ", ".join(
            f"({place}, CAST({literal} AS {kind}))" for place, (literal, _text) in enumerate(values)
        )
        single = dialect.row_id([dialect.canonical_text("s", stored)])
        composite = dialect.row_id([dialect.canonical_text("s", stored), "'7'"])
        found = trino.query(
            f"SELECT {single}, {composite} FROM (SELECT n, {expression} AS s FROM (VALUES {rows}) t (n, k)) "
            "ORDER BY n"
        )
        texts = [text for _literal, text in values]
        assert [row[0] for row in found] == texts, kind
        assert [row[1] for row in found] == [
            json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in texts
        ]


def test_values_reach_the_destination_and_the_audit_tables(trino: TrinoEngine, crm: Recorder) -> None:
    trino.execute(
        f"""CREATE VIEW {MODELS}.people AS SELECT 1 AS id, CAST(1.50 AS decimal(10, 2)) AS d, nan() AS f,
        REAL '0.5' AS r, true AS b, DATE '2024-02-29' AS day, TIME '10:00:00.000001' AS t,
        TIMESTAMP '2024-01-01 10:00:00.000001' AS at,
        TIMESTAMP '2024-01-01 12:00:00 +02:00' AS seen, X'00ff' AS raw, JSON '{{"b":[1.50],"a":null}}' AS doc,
        MAP(ARRAY['k'], ARRAY[ARRAY[1, NULL]]) AS m, CAST('x' AS char(3)) AS c, 'q"' AS s,
        TIMESTAMP '2024-01-01 10:00:00.000000001' AS nanos, CAST(NULL AS varchar) AS nothing"""
    )
    warehouse, sync = trino.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "r": 0.5,
        "b": True,
        "day": date(2024, 2, 29),
        "t": time(10, 0, 0, 1),
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "doc": {"a": None, "b": [1.5]},
        "m": {"k": [1, None]},
        "c": "x",
        "s": 'q"',
        "nanos": "2024-01-01T10:00:00.000000001Z",
        "nothing": None,
    }
    (logged,) = trino.audit("sync_changelog")
    fields = logged["fields"]
    assert list(fields)[0] == "id" and set(fields) == set(row) | {"f"}
    assert (fields["d"], fields["f"], fields["doc"], fields["s"]) == (1.5, "NaN", row["doc"], 'q"')
    assert (fields["seen"], fields["raw"], fields["nothing"]) == ("2024-01-01T10:00:00.000000Z", "00ff", None)
    preview = warehouse.plan(sync).preview()
    assert preview.num_rows == 0 and preview.schema.field("d").type == pa.decimal128(10, 2)


@pytest.mark.crash
def test_d17_a_killed_run_is_closed_and_continued(trino: TrinoEngine, crm: Recorder, tmp_path: Path) -> None:
    trino.execute(f"CREATE TABLE people AS SELECT i AS id, i % 7 AS v FROM {trino.series(1, 1000)} r(i)")
    child = Child(
        trino,
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
    warehouse, sync = trino.connect(**LEASE), sync_of(crm, chunk_rows=250, batch_rows=50, batch_timeout=5)
    with pytest.raises(wcdc.SyncInProgressError):
        warehouse.run(sync)
    run = warehouse.run(sync, wait=60)
    keys, after = crm.keys, crm.take()
    assert run.status == "success" and run.closed
    assert after | set(before) == ids("added", *range(1, 1001)), "no operation is lost"
    twice = after & set(before)
    assert 0 < len(twice) <= 300, "only what was in flight is sent again: a chunk of about 250"
    assert all(keys[operation] == before[operation] for operation in twice), "D18: under the same keys"
    closed, ended = trino.runs()
    assert (closed["sync_run_id"], closed["status"], closed["error"]) == (run.closed, "failed", "interrupted")
    assert ended["num_planned_add"] == len(after)
    assert counted(warehouse.run(sync)) == {}
    assert {row["op_type"] for row in trino.audit("sync_snapshot")} == {"unchanged"}


SLOW_CHANGELOG = """
        from warehouse_cdc.warehouses.base import Connection
        kind = type(wcdc.connect(url)._connection)
        send_statement = kind.query if kind.__name__ == "TrinoConnection" else kind._execute
        def slowly(self, sql):
            if sql.startswith('INSERT INTO "hightouch_audit"."sync_changelog"'):
                head, select = sql.split("\\n", 1)
                numbers = ", ".join(f"UNNEST(sequence(1, 10000)) {name}" for name in ("a(i)", "b(j)", "c(k)"))
                many = f"(SELECT count(*) FROM {numbers} WHERE i * j % 7 = k)"
                sql = f"{head} SELECT * FROM ({select}) x WHERE {many} > 0"
            return send_statement(self, sql)
        setattr(kind, send_statement.__name__, slowly)
        wcdc.connect(url, lease_seconds=values["seconds"]).run(sync_of(note, batch_timeout=5))
"""
"""A run whose changelog takes longer to write than any test lasts."""


@pytest.mark.crash
def test_the_statement_that_a_killed_run_left_running_is_ended_before_its_run_is_closed(
    trino: TrinoEngine, crm: Recorder, tmp_path: Path
) -> None:
    trino.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
    child = Child(trino, tmp_path / "sent", SLOW_CHANGELOG, seconds=LEASE["lease_seconds"])
    listed = (
        "SELECT query_id, source, state FROM system.runtime.queries WHERE source LIKE 'warehouse-cdc/%' "
        "AND query LIKE 'INSERT INTO \"hightouch_audit\".\"sync_changelog\"%' AND state = 'RUNNING'"
    )
    until(lambda: trino.query(listed), 60)
    ((query_id, source, _state),) = trino.query(listed)
    child.process.kill()
    child.killed()
    assert trino.query(listed), "its statement outlives it"
    run = trino.connect(**LEASE).run(sync_of(crm, batch_timeout=5), wait=60)
    assert run.closed and source == f"warehouse-cdc/{run.closed}"
    ended = f"SELECT state, error_code FROM system.runtime.queries WHERE query_id = '{query_id}'"
    assert trino.query(ended) == [("FAILED", "ADMINISTRATIVELY_KILLED")]
    logged = [(row["sync_run_id"], row["row_id"], row["status"]) for row in trino.audit("sync_changelog")]
    assert sorted(logged) == [(run.closed, "1", "succeeded"), (run.closed, "2", "succeeded")]
    assert [row["status"] for row in trino.runs()] == ["succeeded", "succeeded"]
    assert crm.take() == set(), "all of it was delivered"


def test_d20_cancel_stops_the_statement_that_plans(trino: TrinoEngine, crm: Recorder) -> None:
    test_promises.test_d20_cancel_stops_the_statement_that_plans(trino, crm)


def test_of_two_processes_that_start_at_once_one_runs(trino: TrinoEngine, tmp_path: Path) -> None:
    """The winner sends nothing before the loser has given up."""
    trino.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
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
    children = [Child(trino, folder / f"sent{number}", body, **names) for number in range(2)]
    until(lambda: len(list(tmp_path.glob("ready*"))) == 2, 60)
    Path(names["start"]).touch()
    until(lambda: any(child.process.poll() is not None for child in children), 60)
    Path(names["go"]).touch()
    assert sorted(child.wait()[1].strip() for child in children) == ["lost", "success"]
    assert sorted(len(child.sent) for child in children) == [0, 2]
    (claim,) = [name for name in trino.ledger_tables() if "_claim" in name]
    assert trino.query(f"SELECT count(*) FROM {claim}") == [(1,)]
    assert [row["num_succeeded_add"] for row in trino.runs()] == [2]


def test_long_inserts_are_cut_and_the_last_row_comes_last(
    trino: TrinoEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.warehouses import trino as module

    monkeypatch.setattr(module, "STATEMENT_LENGTH", 400)
    connection = module.open_trino(source_of(trino.url))
    text = "it's \x01 \\ 😀 \ud800"
    rows = pa.table(
        {
            "a": pa.array(range(20), pa.int64()),
            "b": pa.array([None, *["x" * 50] * 18, "last"]),
            "c": pa.array([datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)] * 20, pa.timestamp("us", "UTC")),
        }
    )
    trino.execute(f"CREATE TABLE {PLANNER}.t (a BIGINT, b VARCHAR, c TIMESTAMP(6) WITH TIME ZONE)")
    before = connection.statements
    sent: list[str] = []
    query = connection.query
    monkeypatch.setattr(connection, "query", lambda sql: (sent.append(sql), query(sql))[1])
    connection.insert(PLANNER, "t", rows)
    assert 3 < connection.statements - before == len(sent)
    assert "last" in sent[-1] and all(len(sql) < 500 for sql in sent)
    found = trino.query(f"SELECT a, b, c FROM {PLANNER}.t ORDER BY a")
    assert [row[:2] for row in found] == list(zip(range(20), rows.column("b").to_pylist(), strict=True))
    assert {row[2].astimezone(timezone.utc).microsecond for row in found} == {1}
    connection.insert(PLANNER, "t", pa.table({"b": [text.encode("utf-8", "replace").decode()]}))
    assert trino.query(f"SELECT b FROM {PLANNER}.t WHERE a IS NULL") == [(text.replace("\ud800", "?"),)]
    connection.close()


def test_errors_say_what_and_which_query_but_no_values(trino: TrinoEngine, crm: Recorder) -> None:
    trino.table("id INTEGER, v VARCHAR", "(1, 'secret')")
    warehouse = trino.connect()
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id, CAST(v AS INTEGER) AS v FROM people"))
    assert caught.value.query_id and "INVALID_CAST_ARGUMENT" in caught.value.message
    assert "secret" not in str(caught.value) + caught.value.sql
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id FROM nowhere WHERE v = 'secret'"))
    assert "nowhere" in caught.value.message and "secret" not in str(caught.value) + caught.value.sql
    trino.execute(f"DROP SCHEMA {AUDIT} CASCADE")
    with pytest.raises(wcdc.StateError) as missing:
        warehouse.run(sync_of(crm))
    assert missing.value.code == "schema-missing" and AUDIT in missing.value.message
    warehouse.setup()
    assert all(finding.ok for finding in warehouse.check(sync_of(crm)))


def test_a_url_that_leads_nowhere() -> None:
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect("trino://test:secret@127.0.0.1:1/iceberg")
    assert caught.value.hint and "secret" not in str(caught.value)


def make_people(engine: TrinoEngine) -> None:
    """The table of the golden statements."""
    engine.execute(
        "DROP SCHEMA IF EXISTS sales CASCADE",
        "CREATE SCHEMA sales",
        """CREATE VIEW sales.people AS SELECT * FROM (VALUES
        (BIGINT '1', 'eu', 'A@x', DECIMAL '0000000001.50', nan(), true, DATE '2000-01-01',
        TIMESTAMP '2024-01-01 10:00', TIMESTAMP '2024-01-01 10:00 UTC', JSON '{"a": 1}',
        UUID '6f9619ff-8b86-d011-b42d-00cf4fc964ff'),
        (2, 'us', NULL, NULL, NULL, true, NULL, NULL, NULL, NULL, NULL),
        (3, NULL, '', 0, 0e0, NULL, NULL, NULL, NULL, JSON '[]', NULL)
        ) t (id, region, email, ltv, score, active, born, seen, visited, extra, token)""",
    )


@pytest.mark.parametrize("case", CASES)
def test_every_golden_statement_runs_in_the_order_in_which_runs_send_them(
    trino: TrinoEngine, case: str
) -> None:
    make_people(trino)
    for label, sql in compiled(case, "trino").statements.items():
        try:
            trino.execute(sql)
        except Exception as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    assert len([name for name in trino.own_tables() if name.endswith("_plan")]) == 2
    assert trino.audit("sync_snapshot")
    trino.execute("DROP SCHEMA sales CASCADE")
