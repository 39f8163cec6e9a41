"""What is Trino's own: types and equality, claims under fire, long statements, errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_promises
from tests.conformance.equality_matrix import CHANGED, SAME, Case
from tests.conformance.helpers import AUDIT, PLANNER, Child, Engine, Recorder, counted, ids, sync_of, until
from tests.conformance.test_equality_matrix import check_both_ways
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.golden.test_golden import CASES, compiled
from warehouse_cdc.sources import source_of

pytestmark = pytest.mark.trino

LEASE = {"lease_seconds": 12.0, "lease_margin": 1.0}
"""A statement may take a second on a busy machine: a shorter lease would be lost by itself."""

A_UUID = "UUID '6f9619ff-8b86-d011-b42d-00cf4fc964fe'"
OWN = [
    Case("tinyint", "1", "-128", CHANGED),
    Case("tinyint", "1", "1", SAME),
    Case("time(9)", "10:00:00", "10:00:00.000000001", CHANGED),
    Case("time(9)", "10:00:00", "10:00:00.000", SAME),
    Case("time(6) with time zone", "10:00:00+02:00", "10:00:00+03:00", CHANGED),
    Case("timestamp(9)", "2024-01-01 00:00:00", "2024-01-01 00:00:00.000000001", CHANGED),
    Case("timestamp(3) with time zone", "2024-01-01 12:00 UTC", "2024-01-01 14:00 +02:00", SAME),
    Case("ipaddress", "10.0.0.1", "10.0.0.2", CHANGED),
    Case("ipaddress", "10.0.0.1", "::ffff:10.0.0.1", SAME),
    Case("double", "nan()", "-nan()", SAME),
    Case("interval day to second", "INTERVAL '1' DAY", "INTERVAL '24' HOUR", SAME),
    Case("interval day to second", "INTERVAL '1' DAY", "INTERVAL '2' DAY", CHANGED),
    Case(
        "map(integer, timestamp(3) with time zone)",
        "MAP(ARRAY[1], ARRAY[TIMESTAMP '2024-01-01 12:00 UTC'])",
        "MAP(ARRAY[1], ARRAY[TIMESTAMP '2024-01-01 13:00 +01:00'])",
        SAME,
    ),
    Case("map(integer, timestamp(3) with time zone)", "MAP(ARRAY[1], ARRAY[NULL])", "MAP()", CHANGED),
    *(
        Case('row(a integer, "B c" array(row(x uuid, y double)))', old, new, changed)
        for old, new, changed in (
            ("ROW(1, ARRAY[ROW(NULL, -0e0)])", "ROW(1, ARRAY[ROW(NULL, 0e0)])", SAME),
            ("ROW(1, ARRAY[])", "ROW(1, NULL)", CHANGED),
            ("ROW(1, NULL)", "ROW(NULL, NULL)", CHANGED),
            ("ROW(1, ARRAY[ROW(NULL, 0e0)])", f"ROW(1, ARRAY[ROW({A_UUID}, 0e0)])", CHANGED),
        )
    ),
]
"""Types that no other engine has, beyond the equality matrix; values that are no texts are expressions."""


def test_d5_types_of_its_own(trino: TrinoEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {case.kind: str for case in OWN if case.kind.startswith(("double", "interval", "map", "row"))}
    monkeypatch.setattr(trino, "spelling", replace(trino.spelling, values=values), raising=False)
    check_both_ways(trino, crm, OWN, monkeypatch)


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
    if trino.capabilities.row_level_dml:
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

    monkeypatch.setattr(module.TrinoConnection, "insert_bytes", 400)
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


def make_people(engine: Engine) -> None:
    """The table of the golden statements."""
    engine.execute(
        "CREATE SCHEMA IF NOT EXISTS sales",
        """CREATE OR REPLACE VIEW sales.people AS SELECT * FROM (VALUES
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
