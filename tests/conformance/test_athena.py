"""What is Athena's own: its API, DDL and results, what stays in S3, statements that are lost or too long."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import test_promises, test_trino
from tests.conformance.athena_engine import AthenaEngine, opened
from tests.conformance.helpers import AUDIT, PLANNER, Child, Recorder, ids, sync_of, until
from tests.conformance.test_trino import LEASE, MODELS, SLOW_CHANGELOG
from tests.engines.athena import OUTPUT, STATE
from tests.golden.test_golden import CASES, compiled

pytestmark = pytest.mark.athena


@pytest.fixture
def athena(server_of: Callable[[str], str]) -> Iterator[AthenaEngine]:
    """Empty schemas on Athena's stand-in."""
    with opened(server_of("athena")) as engine:
        yield engine


def sent(engine: AthenaEngine, beginning: str) -> list[str]:
    """Statements that begin so, without their comments."""
    texts = (each.sql.partition("\n")[2] for each in engine.behind.executions.values())
    return [text for text in texts if text.startswith(beginning)]


def test_values_reach_the_destination(athena: AthenaEngine, crm: Recorder) -> None:
    athena.execute(
        f"""CREATE VIEW {MODELS}.people AS SELECT 1 AS id, CAST(1.50 AS decimal(10, 2)) AS d, nan() AS f,
        REAL '0.1' AS r, 1e300 AS large, true AS b, DATE '2024-02-29' AS day, TIME '10:00:00.000001' AS t,
        TIMESTAMP '2024-01-01 10:00:00.000001' AS at, BIGINT '9223372036854775807' AS big,
        TIMESTAMP '2024-01-01 12:00:00.000001 +02:00' AS seen, X'00ff' AS raw, X'' AS none,
        JSON '{{"b":[1.50],"a":null}}' AS doc, 'q",' || chr(10) || '😀' AS s, '' AS empty,
        CAST(NULL AS varchar) AS nothing"""
    )
    assert athena.connect().run(sync_of(crm)).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row.pop("r") == pytest.approx(0.1)
    assert row == {
        "id": 1,
        "d": Decimal("1.50"),
        "large": 1e300,
        "b": True,
        "day": date(2024, 2, 29),
        "t": "10:00:00.000001",
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "big": 9223372036854775807,
        "seen": datetime(2024, 1, 1, 10, 0, 0, 1, tzinfo=timezone.utc),
        "raw": b"\x00\xff",
        "none": b"",
        "doc": {"a": None, "b": [1.5]},
        "s": 'q",\n😀',
        "empty": "",
        "nothing": None,
    }
    (logged,) = athena.audit("sync_changelog")
    assert logged["fields"]["seen"] == "2024-01-01T10:00:00.000001Z"


def test_what_runs_leave_in_s3(athena: AthenaEngine, crm: Recorder) -> None:
    """A folder for each table that is there, no two of them alike, and no results."""
    warehouse, sync = athena.connect(), sync_of(crm)
    for value in "abcd":
        athena.table("id INTEGER, v VARCHAR", f"(1, '{value}')", "(2, 'b')")
        warehouse.run(sync)
    folders = [key.rsplit("/", 3)[0] for key in athena.behind.keys(f"{STATE}/{PLANNER}")]
    there = [name for schema, name in athena.tables() if schema == PLANNER]
    assert sorted(folder.rsplit("/", 1)[1] for folder in folders) == sorted(there)
    assert athena.behind.keys(OUTPUT) == []
    made = [re.search(r"location = '([^']+)'", sql) for sql in sent(athena, "CREATE TABLE")]
    locations = Counter(each[1] for each in made if each is not None)
    assert len(locations) > 20 and max(locations.values()) == 1
    assert all(location.startswith(f"{STATE}/") for location in locations)


def test_requests_that_are_throttled_or_whose_answer_is_lost_are_sent_again_as_the_same(
    athena: AthenaEngine, crm: Recorder
) -> None:
    athena.table("id INTEGER, v VARCHAR", "(1, 'a')")
    warehouse = athena.connect()
    athena.behind.throttle, athena.behind.lose = 2, 2
    assert warehouse.run(sync_of(crm)).status == "success"
    assert (athena.behind.throttle, athena.behind.lose) == (0, 0)
    statements = Counter(sent(athena, "INSERT") + sent(athena, "CREATE"))
    assert max(statements.values()) == 1
    assert [row["row_id"] for row in athena.audit("sync_changelog")] == ["1"]


def test_every_statement_says_what_it_is_for(athena: AthenaEngine, crm: Recorder) -> None:
    athena.table("id INTEGER, v VARCHAR", "(1, 'a')")
    warehouse = athena.connect()
    before = len(athena.behind.executions)
    run = warehouse.run(sync_of(crm))
    executions = list(athena.behind.executions.values())[before:]
    comments = [each.sql.partition("\n")[0] for each in executions]
    assert all(comment.startswith("-- warehouse-cdc sync=people-sync ") for comment in comments)
    assert sum(f"run={run.run_id}" in comment for comment in comments) > 5
    assert any("stage=changelog" in comment for comment in comments)


def test_statements_that_are_too_long_are_not_sent(
    athena: AthenaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.warehouses import athena as module

    connection = athena.connect()._connection
    before = len(athena.behind.executions)
    with pytest.raises(wcdc.QueryError) as caught:
        connection.query(f"SELECT '{'é' * 131_072}'")
    assert "262144" in caught.value.message and caught.value.hint and "é" not in str(caught.value)
    assert len(athena.behind.executions) == before
    monkeypatch.setattr(module.AthenaConnection, "insert_bytes", 400)
    times = pa.array([datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)] * 12, pa.timestamp("us", "UTC"))
    rows = pa.table({"a": pa.array(range(12), pa.int64()), "b": [None, *["é" * 30] * 10, "it's"], "c": times})
    athena.execute(f"CREATE TABLE {PLANNER}.t (a BIGINT, b VARCHAR, c TIMESTAMP(6))")
    connection.insert(PLANNER, "t", rows)
    inserts = [each.sql for each in athena.behind.executions.values()][before:]
    assert len(inserts) > 2 and all(len(sql.encode()) < 500 for sql in inserts) and "it''s" in inserts[-1]
    found = athena.query(f"SELECT a, b, c FROM {PLANNER}.t ORDER BY a")
    assert [row[:2] for row in found] == list(zip(range(12), rows.column("b").to_pylist(), strict=True))
    assert {row[2].microsecond for row in found} == {1}


def test_results_of_many_pages_and_rows(athena: AthenaEngine) -> None:
    connection = athena.connect()._connection
    rows = connection.query("SELECT x FROM UNNEST(sequence(1, 2500)) t (x) ORDER BY x")
    assert rows == [(number,) for number in range(1, 2501)]
    kinds = [athena.dialect.column_type("BIGINT")]
    batches = list(connection.stream("SELECT x FROM UNNEST(sequence(1, 2500)) t (x)", kinds, 1000))
    assert [batch.num_rows for batch in batches] == [1000, 1000, 500]
    assert list(connection.stream("SELECT 1 AS x WHERE FALSE", kinds)) == []
    for number in range(60):
        athena.execute(f"CREATE TABLE {PLANNER}.t{number} AS SELECT 1 AS one")
    assert len(connection.tables(PLANNER)) == 60


def test_errors_say_what_and_which_query_but_no_values(athena: AthenaEngine, crm: Recorder) -> None:
    athena.table("id INTEGER, v VARCHAR", "(1, 'secret')")
    warehouse = athena.connect()
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id, CAST(v AS INTEGER) AS v FROM people"))
    assert caught.value.query_id and "INVALID_CAST_ARGUMENT" in caught.value.message
    assert "secret" not in str(caught.value) + caught.value.sql
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id FROM nowhere WHERE v = 'secret'"))
    assert "nowhere" in caught.value.message and "secret" not in str(caught.value) + caught.value.sql
    athena.execute(f"DROP SCHEMA {AUDIT} CASCADE")
    with pytest.raises(wcdc.StateError) as missing:
        warehouse.run(sync_of(crm))
    assert missing.value.code == "schema-missing" and AUDIT in missing.value.message
    warehouse.setup()
    assert all(finding.ok for finding in warehouse.check(sync_of(crm))), warehouse.check(sync_of(crm))


def test_nobody_listens() -> None:
    url = f"athena://KEY:secret@eu-west-1/?state={STATE}&output={OUTPUT}&endpoint=http://127.0.0.1:1"
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(url)
    assert caught.value.hint and "secret" not in str(caught.value)


def test_d20_cancel_stops_the_statement_that_plans(athena: AthenaEngine, crm: Recorder) -> None:
    test_promises.test_d20_cancel_stops_the_statement_that_plans(athena, crm)
    assert "CANCELLED" in {each.state for each in athena.behind.executions.values()}


def test_of_two_processes_that_start_at_once_one_runs(athena: AthenaEngine, tmp_path: Path) -> None:
    test_trino.test_of_two_processes_that_start_at_once_one_runs(athena, tmp_path)


@pytest.mark.crash
def test_the_statement_that_a_killed_run_left_running_is_ended_before_its_run_is_closed(
    athena: AthenaEngine, crm: Recorder, tmp_path: Path
) -> None:
    athena.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
    child = Child(athena, tmp_path / "sent", SLOW_CHANGELOG, seconds=LEASE["lease_seconds"])
    executions = athena.behind.executions

    def slow() -> list[str]:
        return [
            each.id
            for each in list(executions.values())
            if each.state == "RUNNING" and "sync_changelog" in each.sql and " c(k)" in each.sql
        ]

    until(slow, 120)
    time.sleep(1)
    (query_id,) = slow()
    child.process.kill()
    child.killed()
    run = athena.connect(**LEASE).run(sync_of(crm, batch_timeout=5), wait=60)
    assert run.closed and executions[query_id].state == "CANCELLED"
    logged = [(row["sync_run_id"], row["row_id"], row["status"]) for row in athena.audit("sync_changelog")]
    assert sorted(logged) == [(run.closed, "1", "succeeded"), (run.closed, "2", "succeeded")]
    assert crm.take() == set(), "all of it was delivered"
    assert ids("added", 1, 2) == {(operation, row_id) for operation, row_id, _key in child.sent}


WHOLE = os.environ.get("WCDC_TEST_ATHENA") == "all"


@pytest.mark.parametrize("case", CASES if WHOLE else ["upsert_every_type"])
def test_every_golden_statement_runs_in_the_order_in_which_runs_send_them(
    athena: AthenaEngine, case: str
) -> None:
    test_trino.make_people(athena)
    connection = athena.connect()._connection
    for number, (label, sql) in enumerate(compiled(case, "athena").statements.items()):
        folder = rf"location = '\1{case}/{time.time_ns()}/{number}/'"
        try:
            connection.execute(re.sub(r"location = '([^']+)'", folder, sql))
        except wcdc.WarehouseError as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    assert len([name for name in athena.own_tables() if name.endswith("_plan")]) == 2
    assert athena.audit("sync_snapshot")
    athena.execute("DROP SCHEMA sales CASCADE")
