"""What the engine promises, one promise a test, on every engine. D1 to D30 are the contract's decisions."""

from __future__ import annotations

import signal
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import (
    AUDIT,
    PLANNER,
    Child,
    DuckDBEngine,
    Engine,
    PostgresEngine,
    Recorder,
    TablesEngine,
    counted,
    ids,
    sync_of,
    until,
)
from warehouse_cdc.destinations import unknown

SOON_OVER = {"lease_seconds": 2.0, "lease_margin": 0.1}
"""A lease that a killed process doesn't hold for long."""


def people(engine: Engine, *rows: str) -> None:
    """A table of (id, email, ltv)."""
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", *rows)


def hundred_thousand(engine: Engine) -> None:
    series = "range(1, 100001) r(i)" if engine.name == "duckdb" else "generate_series(1, 100000) r(i)"
    engine.execute(f"CREATE TABLE people AS SELECT i AS id, 'p' || i AS email, i % 97 AS ltv FROM {series}")


# -- what is sent, and what isn't ------------------------------------------------------------------


def test_a_run_without_a_change_sends_nothing(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, NULL, 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    assert counted(warehouse.run(sync)) == {"added": (2, 2, 2, 0, 0)}
    assert crm.take() == ids("added", 1, 2)
    assert crm.held == {"1": {"id": 1, "email": "a", "ltv": 10}, "2": {"id": 2, "email": None, "ltv": 20}}
    run = warehouse.run(sync)
    assert (run.status, counted(run), crm.take()) == ("success", {}, set())


def test_only_what_changed_is_sent(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "UPDATE people SET email = NULL WHERE id = 1",
        "DELETE FROM people WHERE id = 2",
        "INSERT INTO people VALUES (4, 'd', 40)",
    )
    run = warehouse.run(sync)
    assert crm.take() == ids("changed", 1) | ids("removed", 2) | ids("added", 4)
    assert counted(run) == {op: (1, 1, 1, 0, 0) for op in ("removed", "changed", "added")}
    assert {row_id: row["email"] for row_id, row in crm.held.items()} == {"1": None, "3": "c", "4": "d"}


def test_a_plan_of_several_parts_and_statements_is_read_as_one(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that don't fit into one part, or into one result, each come once and in their chunk."""
    warehouse = engine.connect()
    monkeypatch.setattr("warehouse_cdc.engine.delivery.PART_ROWS", 40)
    monkeypatch.setattr(type(warehouse._connection), "result_rows", 200)
    people(engine, *(f"({number}, 'p{number}', 0)" for number in range(300)))
    sync = sync_of(crm, chunk_rows=20)
    assert counted(warehouse.run(sync)) == {"added": (300, 300, 300, 0, 0)}
    assert [len(batch) for batch in crm.batches] == [20] * 15
    assert crm.take() == ids("added", *range(300))
    engine.execute("UPDATE people SET ltv = 1 WHERE id < 100", "DELETE FROM people WHERE id >= 200")
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("changed", *range(100)) | ids("removed", *range(200, 300))
    assert crm.held == {str(i): {"id": i, "email": f"p{i}", "ltv": int(i < 100)} for i in range(200)}


def test_one_row_rejected_for_ever_among_100_000_costs_one_row(engine: Engine, crm: Recorder) -> None:
    hundred_thousand(engine)
    warehouse, sync = engine.connect(), sync_of(crm, batch_rows=20_000, chunk_rows=50_000)
    crm.refuse, crm.holds_rows = {"777": "never"}, False
    run = warehouse.run(sync)
    assert (run.status, counted(run)) == ("warning", {"added": (100_000, 100_000, 99_999, 1, 0)})
    assert len(crm.take()) == 100_000
    for _repeat in range(2):
        run = warehouse.run(sync)
        assert (run.status, counted(run)) == ("warning", {"added": (1, 1, 0, 1, 0)})
        assert crm.take() == ids("added", 777)
    engine.execute(
        "UPDATE people SET ltv = -1 WHERE id IN (5, 777, 99999)",
        "DELETE FROM people WHERE id = 6",
        "INSERT INTO people VALUES (100001, 'new', 0)",
    )
    warehouse.run(sync)
    assert crm.take() == ids("added", 777, 100001) | ids("changed", 5, 99999) | ids("removed", 6)
    crm.refuse, crm.holds_rows = {}, True
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("added", 777)
    assert crm.held["777"]["ltv"] == -1 and len(crm.held) == 100_000


@pytest.mark.crash
def test_d17_killed_after_75_percent_the_next_run_sends_the_rest_and_at_most_one_chunk(
    engine: Engine, crm: Recorder, tmp_path: Path
) -> None:
    hundred_thousand(engine)
    chunk = 5_000
    child = Child(
        engine,
        tmp_path / "sent",
        """
        count = 0
        def send(batch):
            global count
            note(batch)
            count += len(batch)
            if count >= 75_000:
                die()
        sizes = {"chunk_rows": values["chunk"], "batch_rows": 1_000, "batch_timeout": 1.5}
        sync = sync_of(send, on_removed="delete", **sizes)
        wcdc.connect(url, lease_seconds=2.0).run(sync)
        """,
        chunk=chunk,
    )
    child.killed()
    before = {(operation, row_id): key for operation, row_id, key in child.sent}
    assert len(child.sent) == len(before) >= 75_000
    crm.holds_rows = False
    warehouse = engine.connect(**SOON_OVER)
    sync = sync_of(crm, chunk_rows=chunk, batch_rows=1_000, batch_timeout=1.5)
    run = warehouse.run(sync, wait=20)
    after, keys = set(crm.sent), crm.keys
    twice = after & set(before)
    assert (run.status, crm.take()) == ("success", after)
    assert after | set(before) == ids("added", *range(1, 100_001)), "no operation is lost"
    assert 0 < len(twice) <= chunk, "only what was in flight is sent again"
    assert all(keys[operation] == before[operation] for operation in twice), "D18: under the same keys"
    closed, ended = engine.runs()
    assert (closed["sync_run_id"], closed["status"], closed["error"]) == (run.closed, "failed", "interrupted")
    assert closed["num_planned_add"] == 100_000 and ended["num_planned_add"] == len(after)
    in_flight = 100_000 - len(after) + closed["num_failed_add"]
    assert closed["num_attempted_add"] == in_flight and closed["num_failed_add"] <= chunk
    warehouse.run(sync)
    assert crm.take() == set()


def test_a_new_model_column_that_nothing_uses_changes_nothing(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse = engine.connect()
    mapped = sync_of(crm, mappings={"mail": "email"})
    warehouse.run(mapped)
    crm.take()
    engine.execute(
        "ALTER TABLE people ADD COLUMN city VARCHAR(20)", "UPDATE people SET city = 'Rome', ltv = 0"
    )
    assert counted(warehouse.run(mapped)) == {}
    assert crm.take() == set()


def test_d4_a_destination_of_whole_rows_compares_every_column(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute("ALTER TABLE people ADD COLUMN city VARCHAR(20)")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1, 2)
    assert crm.held["1"] == {"id": 1, "email": "a", "ltv": 10, "city": None}
    engine.table(
        "city VARCHAR(20), ltv INTEGER, email VARCHAR(50), id INTEGER",
        "(NULL, 10, 'a', 1)",
        "('Oslo', 20, 'b', 2)",
    )
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2), "columns correspond by name, never by position"


def test_d6_integer_to_numeric_with_equal_values_sends_nothing_and_says_so(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', NULL)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute("ALTER TABLE people ALTER COLUMN ltv TYPE NUMERIC(12, 2)")
    assert any("ltv" in note for note in warehouse.plan(sync).notes)
    run = warehouse.run(sync)
    assert (run.status, crm.take()) == ("success", set())
    assert any("ltv" in note and "compared by value" in note for note in run.notes)
    engine.execute("UPDATE people SET ltv = 30.5 WHERE id = 3")
    run = warehouse.run(sync)
    assert (crm.take(), run.notes) == (ids("changed", 3), [])
    assert float(crm.held["3"]["ltv"]) == 30.5
    engine.execute(
        "ALTER TABLE people ALTER COLUMN ltv TYPE NUMERIC(20, 4)", "DELETE FROM people WHERE id = 1"
    )
    warehouse.run(sync)
    assert crm.take() == ids("removed", 1), "and what really changed is sent in the run of the change"


def test_d6_a_change_in_the_run_of_a_type_change_is_found(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', NULL)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "ALTER TABLE people ALTER COLUMN ltv TYPE NUMERIC(12, 2)",
        "UPDATE people SET ltv = 10.01 WHERE id = 1",
        "UPDATE people SET ltv = 0 WHERE id = 2",
    )
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1, 2)


def test_d1_an_integer_key_that_becomes_text_is_the_same_row(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, mode="insert", mappings={"mail": "email"})
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "ALTER TABLE people ALTER COLUMN id TYPE VARCHAR(20)", "INSERT INTO people VALUES ('3', 'c', 0)"
    )
    warehouse.run(sync)
    assert crm.take() == ids("added", 3)


# -- keys ------------------------------------------------------------------------------------------


def test_d2_rows_with_a_null_key_are_ignored_and_counted(engine: Engine, crm: Recorder) -> None:
    engine.table(
        "a INTEGER, b VARCHAR(9), v INTEGER",
        "(1, 'x', 1)",
        "(NULL, 'x', 2)",
        "(1, NULL, 3)",
        "(NULL, NULL, 4)",
    )
    warehouse, sync = engine.connect(), sync_of(crm, key=["a", "b"])
    assert warehouse.plan(sync).null_key_rows == 3
    run = warehouse.run(sync)
    assert (run.null_key_rows, run.status, counted(run)) == (3, "success", {"added": (1, 1, 1, 0, 0)})
    assert crm.take() == ids("added", '["1","x"]')
    assert [row["row_id"] for row in engine.audit("sync_snapshot")] == ['["1","x"]']
    engine.execute("UPDATE people SET a = NULL")
    warehouse.run(sync)
    assert crm.take() == ids("removed", '["1","x"]'), "a row that lost its key has left the model"


def test_d3_all_copies_of_a_duplicate_key_are_rejected_and_its_state_stays(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "INSERT INTO people VALUES (2, 'z', 0), (2, 'b', 20), (3, 'c', 30), (9, 'n', 1), (9, 'm', 2)"
    )
    assert warehouse.plan(sync).duplicate_keys == 3
    for _repeat in range(2):
        run = warehouse.run(sync)
        assert crm.take() == set()
        assert run.status == "warning"
        assert counted(run) == {"changed": (2, 2, 0, 2, 0), "added": (1, 1, 0, 1, 0)}
        reasons = {(r["op"], r["row_id"]): r["reason"] for r in run.rejections().to_pylist()}
        assert reasons == {
            ("changed", "2"): "duplicate primary key (3 rows)",
            ("changed", "3"): "duplicate primary key (2 rows)",
            ("added", "9"): "duplicate primary key (2 rows)",
        }
    engine.execute(
        "DELETE FROM people WHERE email IN ('z', 'm') OR id = 3", "UPDATE people SET ltv = 5 WHERE id = 2"
    )
    engine.execute("DELETE FROM people WHERE id = 2", "INSERT INTO people VALUES (2, 'b', 20), (3, 'c', 31)")
    run = warehouse.run(sync)
    assert crm.take() == ids("changed", 3) | ids("added", 9), "2 is as it was delivered"
    assert warehouse.rejections(sync).to_pylist() == []


def test_d3_a_duplicate_that_leaves_the_model_is_removed_with_the_delivered_values(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.execute("UPDATE people SET email = 'new' WHERE id = 2", "INSERT INTO people VALUES (2, 'x', 1)")
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id = 2")
    crm.take()
    warehouse.run(sync)
    assert crm.take() == ids("removed", 2) and crm.held.keys() == {"1"}
    engine.execute("INSERT INTO people VALUES (7, 'x', 1), (7, 'y', 1)")
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id = 7")
    assert counted(warehouse.run(sync)) == {}, "a duplicate that never was delivered needs no removal"


def test_d3_a_removed_row_keeps_the_values_that_were_delivered(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.execute("UPDATE people SET email = 'new' WHERE id = 2", "INSERT INTO people VALUES (2, 'x', 1)")
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id = 2")
    crm.take()
    warehouse.run(sync)
    assert crm.rows == [{"id": 2, "email": "b", "ltv": 20}], "D9"


def test_d3_keep_one_keeps_the_first_copy_in_canonical_order(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'b', 1)", "(1, 'a', 9)", "(1, 'a', 10)", "(2, 'x', 1)")
    warehouse, sync = engine.connect(), sync_of(crm, on_duplicate="keep_one")
    run = warehouse.run(sync)
    assert (run.status, run.duplicates_dropped, counted(run)) == ("success", 2, {"added": (2, 2, 2, 0, 0)})
    assert crm.take() == ids("added", 1, 2)
    assert crm.held["1"] == {"id": 1, "email": "a", "ltv": 10}, "'10' sorts before '9'"
    run = warehouse.run(sync)
    assert (crm.take(), run.duplicates_dropped) == (set(), 2)
    engine.execute("DELETE FROM people WHERE email = 'a'")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1) and crm.held["1"]["email"] == "b"


def test_d1_composite_keys_keep_their_parts_apart(engine: Engine, crm: Recorder) -> None:
    engine.table(
        "a VARCHAR(9), b VARCHAR(9)",
        "('a', 'b,c')",
        "('a,b', 'c')",
        "('a\",\"b', 'c')",
        "('', 'a')",
        "('a', '')",
    )
    warehouse, sync = engine.connect(), sync_of(crm, key=["a", "b"])
    warehouse.run(sync)
    wanted = ('["a","b,c"]', '["a,b","c"]', '["a\\",\\"b","c"]', '["","a"]', '["a",""]')
    assert crm.take() == ids("added", *wanted)
    engine.execute("DELETE FROM people WHERE b = 'b,c'")
    warehouse.run(sync)
    assert crm.take() == ids("removed", '["a","b,c"]')


def test_d8_other_key_columns_are_refused_until_a_resync_or_a_reset(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse = engine.connect()
    warehouse.run(sync_of(crm))
    crm.take()
    other = sync_of(crm, key="email")
    for call in (warehouse.run, warehouse.plan):
        with pytest.raises(wcdc.StateError) as caught:
            call(other)
        assert caught.value.code == "state-primary-key" and "resync" in caught.value.hint
    assert crm.take() == set()
    assert warehouse.run(sync_of(crm)).status == "success", "the old key still works"
    assert crm.take() == set()
    warehouse.full_resync(other)
    assert crm.take() == ids("added", "a", "b")
    warehouse.reset_cdc(sync_of(crm))
    warehouse.run(sync_of(crm))
    assert crm.take() == set()


# -- equality --------------------------------------------------------------------------------------


def test_d5_values_that_are_equal_are_not_changes(engine: Engine, crm: Recorder) -> None:
    engine.table(
        "id INTEGER, j JSON, f DOUBLE PRECISION, n NUMERIC(12, 4), t TIMESTAMP WITH TIME ZONE",
        """(1, '{"a": 1, "b": {"x": [1, 2], "y": null}}', '-0.0', 1.0, '2024-06-01 12:00:00+00')""",
        """(2, NULL, 'NaN', NULL, NULL)""",
    )
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        """UPDATE people SET j = '{"b":{"y":null,"x":[1,2]},   "a":1}', f = '0.0', n = 1.0000,
        t = '2024-06-01 14:00:00+02' WHERE id = 1""",
        "UPDATE people SET f = CAST('NaN' AS DOUBLE PRECISION) + 1 WHERE id = 2",
    )
    assert counted(warehouse.run(sync)) == {}
    for change in (
        """j = '{"b":{"y":null,"x":[2,1]},"a":1}'""",
        """j = '{"b":{"y":0,"x":[2,1]},"a":1}'""",
        "f = '0.5'",
        "f = 'NaN'",
        "f = NULL",
        "n = 1.0001",
        "t = '2024-06-01 14:00:00+03'",
        "t = NULL",
    ):
        engine.execute(f"UPDATE people SET {change} WHERE id = 1")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1), change


def test_d5_text_compares_byte_for_byte(engine: Engine, crm: Recorder) -> None:
    engine.table("id INTEGER, name VARCHAR(50)", "(1, 'Zoë')")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    for text in ("zoë", "zoë ", "zoe\u0308 ", "", " "):
        engine.execute(f"UPDATE people SET name = '{text}'")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1), repr(text)
        assert crm.held["1"]["name"] == text


def _blurred(engine: Engine) -> tuple[str, str]:
    """Types of text that ignore case: of a value, and of a key."""
    if engine.name == "duckdb":
        return "VARCHAR COLLATE NOCASE", "VARCHAR COLLATE NOCASE"
    try:
        engine.execute(
            "CREATE COLLATION blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:  # a server that was built without ICU
        engine.execute("CREATE EXTENSION citext")
        return "citext", "text"
    return "text COLLATE blurred", "text COLLATE blurred"


def test_d5_a_collation_that_ignores_case_hides_no_change_and_merges_no_key(
    engine: Engine, crm: Recorder
) -> None:
    blurred, key = _blurred(engine)
    engine.table(f"id {key}, name {blurred}", "('a', 'x')", "('A', 'y')", "('b', 'z')")
    assert engine.query("SELECT count(*) FROM people WHERE name = 'X'") == [(1,)], "the type is blurred"
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("added", "a", "A", "b")
    engine.execute("UPDATE people SET name = upper(name)")
    warehouse.run(sync)
    assert crm.take() == ids("changed", "a", "A", "b")
    engine.execute("DELETE FROM people WHERE name = 'x'")
    warehouse.run(sync)
    assert crm.take() == ids("removed", "a") and set(crm.held) == {"A", "b"}


def test_d5_the_padding_of_char_does_not_count_but_spaces_of_text_do(engine: Engine, crm: Recorder) -> None:
    engine.table("id CHAR(4), v CHAR(4), w VARCHAR(9)", "('a', 'x', 'x')")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    assert crm.take() == ids("added", "a")
    engine.execute(
        "ALTER TABLE people ALTER COLUMN id TYPE CHAR(9)", "ALTER TABLE people ALTER COLUMN v TYPE CHAR(9)"
    )
    warehouse.run(sync)
    assert crm.take() == set()
    engine.execute("UPDATE people SET w = 'x '")
    warehouse.run(sync)
    assert crm.take() == ids("changed", "a")


SESSIONS = {
    "duckdb": [
        "SET TimeZone = 'Asia/Kathmandu'",
        "SET default_null_order = 'nulls_first'",
        "SET default_collation = 'nocase'",
    ],
    "postgres": [
        "SET TimeZone = 'Asia/Kathmandu'",
        "SET DateStyle = 'German, DMY'",
        "SET IntervalStyle = 'sql_standard'",
        "SET extra_float_digits = -15",
        "SET bytea_output = 'escape'",
        "SET xmloption = 'document'",
        "SET lc_monetary = 'C'",
        "SET lc_numeric = 'C'",
    ],
}


def test_d5_the_session_never_makes_a_row_changed(engine: Engine, crm: Recorder) -> None:
    engine.table(
        f"""id TIMESTAMP WITH TIME ZONE, z TIMESTAMP WITH TIME ZONE, t TIMESTAMP, d DATE, c TIME,
        f DOUBLE PRECISION, n NUMERIC(9, 2), b {engine.binary}, i INTERVAL, x VARCHAR(9)""",
        """('2024-03-31 01:30:00+00', '2024-01-01 00:00:00+00', '2024-01-01', '2024-02-01', '10:00:00',
        0.1, 1234.5, 'ab', INTERVAL '1' DAY, 'a')""",
    )
    sql = "select *, cast(z as date) as zd, cast(z as varchar) as zt, cast(d as varchar) as dt from people"
    sync = sync_of(crm, sql)
    with engine.raw() as raw:
        warehouse = wcdc.connect(raw)
        warehouse.run(sync)
        assert crm.take() == ids("added", "2024-03-31T01:30:00.000000Z")
        rows = dict(crm.held)
        for setting in SESSIONS[engine.name]:
            raw.execute(setting)
            warehouse.close()
            warehouse = wcdc.connect(raw)
            assert counted(warehouse.run(sync)) == {}, setting
        warehouse.full_resync(sync)
        assert crm.held == rows, "and the values that are sent don't depend on it either"
        warehouse.close()


def test_the_callers_own_connection_is_left_as_it_was(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    with engine.raw() as raw:
        raw.execute("SET TimeZone = 'Asia/Kathmandu'")
        with wcdc.connect(raw) as warehouse:
            warehouse.run(sync_of(crm))
        show = "SELECT current_setting('TimeZone')"
        assert raw.execute(show).fetchall() == [("Asia/Kathmandu",)]
        assert raw.execute("SELECT count(*) FROM people").fetchall() == [(1,)]


# -- mappings --------------------------------------------------------------------------------------


def test_d7_a_mapped_column_that_is_gone_is_an_error_that_names_it(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm, mappings={"mail": "email"})
    warehouse.run(sync)
    crm.take()
    engine.execute("ALTER TABLE people RENAME COLUMN email TO e_mail")
    before = engine.footprint()
    for call in (warehouse.run, warehouse.plan, warehouse.full_resync, warehouse.reset_cdc):
        with pytest.raises(wcdc.ConfigError, match="unknown field name 'email'") as caught:
            call(sync)
        assert caught.value.code == "unknown-field" and "e_mail" in caught.value.hint
    assert (engine.footprint(), crm.take()) == (before, set())


def test_d7_editing_a_mapping_makes_every_delivered_row_changed(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse = engine.connect()
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    crm.take()
    edited = sync_of(crm, mappings={"e_mail": "email"})
    assert warehouse.plan(edited).counts["changed"] == 2
    warehouse.run(edited)
    assert crm.take() == ids("changed", 1, 2)
    assert crm.held["1"] == {"id": 1, "e_mail": "a"}
    warehouse.run(edited)
    assert crm.take() == set()
    warehouse.run(sync_of(crm, mappings={"e_mail": "email", "worth": "ltv"}))
    assert crm.take() == ids("changed", 1, 2), "more compared columns are a new mapping"


def test_d7_rows_that_a_mapping_edit_could_not_reach_follow_when_they_can(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse = engine.connect()
    old, new = sync_of(crm, mappings={"mail": "email"}), sync_of(crm, mappings={"e_mail": "email"})
    warehouse.run(old)
    crm.take()
    engine.execute("INSERT INTO people VALUES (2, 'b', 20)")
    crm.refuse = {"3": "not today"}
    warehouse.run(new)
    assert crm.take() == ids("changed", 1, 3)
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    crm.refuse = {}
    warehouse.run(new)
    assert crm.take() == ids("changed", 2, 3), "the duplicate and the rejected row"


def test_d7_insert_mode_plans_nothing_for_an_edit_and_upsert_finds_it_later(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse = engine.connect()
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    crm.take()
    edited: dict[str, Any] = {"mappings": {"e_mail": "email"}}
    engine.execute("INSERT INTO people VALUES (3, 'c', 30)")
    assert counted(warehouse.run(sync_of(crm, mode="insert", **edited))) == {"added": (1, 1, 1, 0, 0)}
    assert crm.take() == ids("added", 3)
    warehouse.run(sync_of(crm, **edited))
    assert crm.take() == ids("changed", 1, 2), "3 was delivered under the new mapping"


def test_d7_an_edit_that_is_undone_during_an_insert_spell_changes_nothing(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse = engine.connect()
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    warehouse.run(sync_of(crm, mode="insert", mappings={"e_mail": "email"}))
    crm.take()
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    assert crm.take() == set()


def test_d7_another_type_family_is_a_new_mapping_but_another_width_is_not(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, '1', 10)", "(2, NULL, 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "ALTER TABLE people ALTER COLUMN ltv TYPE BIGINT",
        "ALTER TABLE people ALTER COLUMN email TYPE VARCHAR(99)",
    )
    warehouse.run(sync)
    assert crm.take() == set()
    engine.execute("ALTER TABLE people ALTER COLUMN email TYPE INTEGER USING CAST(email AS INTEGER)")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1, 2)
    assert crm.held["1"]["email"] == 1
    engine.execute(
        "ALTER TABLE people ALTER COLUMN email TYPE VARCHAR(9) USING CAST(email AS VARCHAR(9))",
        "DELETE FROM people WHERE id = 1",
    )
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2) | ids("removed", 1)


# -- resync, reset, skip_initial -------------------------------------------------------------------


def test_d15_a_full_resync_sends_every_row_and_forgets_the_rest(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id = 3")
    crm.refuse = {"3": "locked"}
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id = 2")
    crm.take()
    run = warehouse.full_resync(sync)
    assert counted(run) == {"added": (1, 1, 1, 0, 0)}
    assert crm.take() == ids("added", 1)
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == set(), "removals and pending removals are dropped"


def test_d15_rows_that_a_stopped_resync_left_unsent_are_unconfirmed(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm, batch_rows=1, chunk_rows=1)
    warehouse.run(sync)
    crm.take()
    engine.execute("INSERT INTO people VALUES (4, 'd', 40)")
    crm.during = lambda _batch: warehouse.cancel()
    run = warehouse.full_resync(sync)
    crm.during = None
    ((_op, reached),) = crm.take()
    assert (run.status, counted(run)) == ("cancelled", {"added": (4, 1, 1, 0, 3)})
    engine.execute("DELETE FROM people")
    warehouse.run(sync)
    assert crm.take() == ids("removed", *({"1", "2", "3"} | {reached})), "4 can't be there unless it was sent"


def test_d15_a_resync_takes_effect_when_its_plan_is_journaled(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, require_rows=True)
    warehouse.run(sync)
    engine.execute("DELETE FROM people")
    crm.take()
    with pytest.raises(wcdc.GuardError):
        warehouse.full_resync(sync)
    engine.execute("INSERT INTO people VALUES (1, 'a', 10)")
    warehouse.run(sync)
    assert crm.take() == ids("removed", 2), "the state was not forgotten"


def test_d15_a_reset_takes_the_model_as_delivered(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)", "(4, 'd', 40)")
    warehouse, sync = engine.connect(), sync_of(crm)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    engine.execute(
        "UPDATE people SET ltv = 11 WHERE id = 1",
        "DELETE FROM people WHERE id = 3",
        "INSERT INTO people VALUES (5, 'e', 50), (4, 'dd', 41), (6, 'f', 60)",
    )
    crm.take()
    run = warehouse.reset_cdc(sync)
    assert (run.status, counted(run), crm.take()) == ("success", {}, set())
    assert run.rejections().to_pylist() == [] == warehouse.rejections(sync).to_pylist()
    row = engine.runs()[-1]
    assert row["status"] == "succeeded" and not any(v for k, v in row.items() if k.startswith("num_"))
    engine.execute("DELETE FROM people WHERE email = 'dd'", "UPDATE people SET ltv = 61 WHERE id = 6")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 6) | ids("added", 4), "a duplicated key counts as absent"


def test_d15_skip_initial_makes_the_first_run_a_reset(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, skip_initial=True)
    plan = warehouse.plan(sync)
    assert plan.counts == {"removed": 0, "changed": 0, "added": 0} and any(
        "skip_initial" in n for n in plan.notes
    )
    run = warehouse.run(sync)
    assert (crm.take(), counted(run)) == (set(), {}) and any("skip_initial" in note for note in run.notes)
    engine.execute("UPDATE people SET ltv = 0 WHERE id = 1", "INSERT INTO people VALUES (3, 'c', 0)")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1) | ids("added", 3)


# -- guards ----------------------------------------------------------------------------------------


def test_d16_max_removed_stops_the_run_before_anything_is_sent(engine: Engine, crm: Recorder) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(120)))
    warehouse, sync = engine.connect(), sync_of(crm, max_removed=0.5)
    warehouse.run(sync)
    crm.take()
    engine.execute("DELETE FROM people WHERE id >= 59", "UPDATE people SET ltv = 1 WHERE id = 1")
    (warning,) = warehouse.plan(sync).guards
    with pytest.raises(wcdc.GuardError) as caught:
        warehouse.run(sync)
    error = caught.value
    assert (error.guard, error.seen, error.limit, error.code) == ("max_removed", 61, 60, "guard-max-removed")
    assert "allow_removed" in error.hint and "61 of 120" in error.message == warning
    assert crm.take() == set() and engine.runs()[-1]["status"] == "failed"
    run = warehouse.run(sync, allow_removed=True)
    assert (run.status, run.counts["removed"].succeeded) == ("success", 61)
    assert crm.take() == ids("changed", 1) | ids("removed", *range(59, 120)), "the guard lost nothing"


def test_d16_max_removed_as_a_count_and_pending_retries_do_not_count(engine: Engine, crm: Recorder) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(6)))
    warehouse, sync = engine.connect(), sync_of(crm, max_removed=2)
    warehouse.run(sync)
    crm.refuse = {"0": "no", "1": "no"}
    engine.execute("DELETE FROM people WHERE id < 2")
    assert warehouse.run(sync).status == "warning"
    engine.execute("DELETE FROM people WHERE id < 4")
    assert counted(warehouse.run(sync)) == {"removed": (4, 4, 2, 2, 0)}
    engine.execute("DELETE FROM people")
    assert counted(warehouse.run(sync)) == {"removed": (4, 4, 2, 2, 0)}
    with pytest.raises(wcdc.GuardError):
        people(engine, "(7, 'p', 0)")
        warehouse.run(sync)
        people(engine)
        warehouse.run(sync_of(crm, max_removed=0))


def test_d16_a_share_counts_from_100_rows_on(engine: Engine, crm: Recorder) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(99)))
    warehouse, sync = engine.connect(), sync_of(crm, max_removed=0.5)
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE id > 0")
    assert warehouse.run(sync).counts["removed"].succeeded == 98


def test_d16_an_empty_model_stops_the_run(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, require_rows=True)
    warehouse.run(sync)
    crm.take()
    people(engine, "(NULL, 'a', 10)")
    with pytest.raises(wcdc.GuardError) as caught:
        warehouse.run(sync)
    assert (caught.value.guard, caught.value.seen) == (
        "require_rows",
        0,
    ) and "allow_empty" in caught.value.hint
    assert crm.take() == set()
    warehouse.run(sync, allow_empty=True)
    assert crm.take() == ids("removed", 1, 2)


def test_d16_an_empty_model_is_fine_for_a_first_run(engine: Engine, crm: Recorder) -> None:
    people(engine)
    assert engine.connect().run(sync_of(crm, require_rows=True)).status == "success"


# -- outcomes --------------------------------------------------------------------------------------


def test_d10_an_addition_of_unknown_outcome_is_added_again_under_its_key(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)
    crm.refuse = {"1": unknown("no answer")}
    run = warehouse.run(sync)
    assert (run.status, counted(run)) == ("warning", {"added": (2, 2, 1, 1, 0)})
    assert "outcome unknown" in run.rejections().to_pylist()[0]["reason"]
    keys = crm.keys
    crm.take()
    warehouse.run(sync)
    assert crm.keys == {("added", "1"): keys["added", "1"]}, "D18"
    crm.take()
    engine.execute("DELETE FROM people WHERE id = 1")
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.rows == [{"id": 1, "email": "a", "ltv": 10}], "D9: the values last attempted"
    assert crm.take() == ids("removed", 1), "it may be there, so it must go"


def test_d10_a_change_of_unknown_outcome_is_sent_again(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)
    warehouse.run(sync)
    crm.refuse = {"1": unknown("no answer")}
    engine.execute("UPDATE people SET ltv = 11")
    warehouse.run(sync)
    engine.execute("UPDATE people SET ltv = 10")
    crm.take()
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1), "back to the delivered value, but 11 may be there"
    warehouse.run(sync)
    assert crm.take() == set()


def test_d10_a_removal_of_unknown_outcome(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)
    warehouse.run(sync)
    crm.refuse = {"1": unknown("no answer"), "2": unknown("no answer")}
    engine.execute("DELETE FROM people")
    warehouse.run(sync)
    crm.take()
    crm.refuse = {}
    engine.execute("INSERT INTO people VALUES (2, 'b', 20)")
    warehouse.run(sync)
    assert crm.take() == ids("removed", 1) | ids("added", 2), "2 may be gone: it is added again"


def test_d10_an_unknown_attempt_taints_a_later_refusal(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=2)
    answers = iter([unknown("no answer"), "refused"])
    crm.during = lambda _batch: [next(answers)]
    run = warehouse.run(sync)
    (rejection,) = run.rejections().to_pylist()
    assert (rejection["attempts"], rejection["reason"]) == (2, "outcome unknown: refused")
    engine.execute("DELETE FROM people")
    crm.during = None
    crm.batches.clear()
    warehouse.run(sync)
    assert crm.take() == ids("removed", 1)


def test_d10_an_exception_of_the_destination_leaves_the_outcome_unknown(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)

    def broken(_batch: Any) -> None:
        raise RuntimeError("the pipe broke")

    crm.during = broken
    run = warehouse.run(sync)
    assert run.status == "warning"
    assert run.rejections().to_pylist()[0]["reason"] == "outcome unknown: RuntimeError in the destination"
    crm.during = None
    engine.execute("DELETE FROM people")
    crm.take()
    warehouse.run(sync)
    assert crm.take() == ids("removed", 1)


def test_d10_a_call_that_takes_too_long_has_an_unknown_outcome(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, batch_timeout=0.3, batch_rows=1)
    answered = threading.Event()
    crm.during = lambda batch: answered.wait(20) and None if batch.row_ids == ["1"] else None
    began = time.monotonic()
    run = warehouse.run(sync)
    assert time.monotonic() - began < 10 and run.status == "failed"
    answered.set()
    crm.during = None
    reasons = {r["row_id"]: r["reason"] for r in run.rejections().to_pylist()}
    assert "outcome unknown" in reasons["1"] and "0.3 s" in reasons["1"]
    until(lambda: len(crm.held) >= 1)
    engine.execute("DELETE FROM people")
    crm.batches.clear()
    warehouse.run(sync)
    assert ("removed", "1") in crm.take()


def test_d10_a_call_that_takes_too_long_ends_a_run_that_sends_in_order(engine: Engine, crm: Recorder) -> None:
    """What waits behind it in its lane was never sent."""
    people(engine, *(f"({number}, 'a', 10)" for number in range(1, 7)))
    warehouse = engine.connect()
    sync = sync_of(crm, batch_timeout=0.3, batch_rows=1, concurrency=1, order_by="email")
    answered = threading.Event()
    crm.during = lambda batch: answered.wait(20) and None
    began = time.monotonic()
    run = warehouse.run(sync)
    assert time.monotonic() - began < 10 and run.status == "failed"
    answered.set()
    counts = run.counts["added"]
    assert (counts.planned, counts.failed, counts.aborted) == (6, 1, 5)


def test_d11_a_failed_removal_is_retried_and_a_row_that_comes_back_is_changed(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.execute("DELETE FROM people")
    crm.refuse = {"1": "locked", "2": "locked"}
    for attempts in (1, 2):
        crm.batches.clear()
        run = warehouse.run(sync)
        assert crm.take() == ids("removed", 1, 2)
        assert {r["attempts"] for r in run.rejections().to_pylist()} == {attempts}
    engine.execute("INSERT INTO people VALUES (1, 'a', 10)")
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1) | ids("removed", 2)


def test_d11_with_on_removed_nothing_rows_leave_without_a_call(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, on_removed="nothing")
    warehouse.run(sync)
    crm.take()
    engine.execute("DELETE FROM people WHERE id = 1")
    run = warehouse.run(sync)
    assert (counted(run), crm.take()) == ({"removed": (1, 1, 1, 0, 0)}, set())
    assert [r["row_id"] for r in engine.audit("sync_changelog") if r["op_type"] == "removed"] == ["1"]
    assert counted(warehouse.run(sync)) == {}
    engine.execute("INSERT INTO people VALUES (1, 'a', 10)")
    warehouse.run(sync)
    assert crm.take() == ids("added", 1)


def test_a_failed_change_stays_due_even_if_the_value_returns(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.refuse = {"1": "no"}
    engine.execute("UPDATE people SET ltv = 11")
    warehouse.run(sync)
    engine.execute("UPDATE people SET ltv = 10")
    crm.take()
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1), "state table: a failed change is stale"


# -- modes -----------------------------------------------------------------------------------------


def test_d12_update_mode_sends_added_rows_as_updates(engine: Engine) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    engine.execute(
        "CREATE TABLE target (id INTEGER PRIMARY KEY, email VARCHAR(50))",
        "INSERT INTO target VALUES (1, 'old')",
    )
    with engine.raw() as raw:
        where = engine.url if engine.name == "postgres" else raw
        table = wcdc.destinations.SqlTable(where, "target")
        run = engine.connect().run(sync_of(table, mode="update", mappings={"email": "email"}))
    assert (run.status, counted(run)) == ("warning", {"added": (2, 2, 1, 1, 0)})
    assert engine.query("SELECT * FROM target") == [(1, "a")]
    assert [r["row_id"] for r in run.rejections().to_pylist()] == ["2"], (
        "an unknown record is that row's rejection"
    )


def test_d13_what_insert_mode_ignores_is_found_by_a_later_upsert(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse = engine.connect()
    insert, upsert = sync_of(crm, mode="insert"), sync_of(crm)
    warehouse.run(insert)
    crm.take()
    engine.execute("UPDATE people SET ltv = 0 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    for _repeat in range(2):
        assert counted(warehouse.run(insert)) == {}
    assert [r["op_type"] for r in engine.audit("sync_changelog")] == ["added"] * 3
    warehouse.run(upsert)
    assert crm.take() == ids("changed", 1)
    engine.execute("INSERT INTO people VALUES (2, 'b', 20)")
    warehouse.run(upsert)
    assert crm.take() == ids("added", 2), "an ignored removal left the state"


def test_d13_a_mode_without_cdc_discards_the_state(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse = engine.connect()
    upsert, archive = sync_of(crm), sync_of(crm, mode="archive")
    warehouse.run(upsert)
    crm.take()
    for _repeat in range(2):
        assert counted(warehouse.run(archive)) == {"added": (2, 2, 2, 0, 0)}
        assert crm.take() == ids("added", 1, 2)
    plan = warehouse.plan(upsert)
    assert plan.counts["added"] == 2 and any("first run" in note for note in plan.notes)
    warehouse.run(upsert)
    assert crm.take() == ids("added", 1, 2)
    warehouse.run(upsert)
    assert crm.take() == set()


def test_d14_removed_then_changed_then_added_and_operations_never_overlap(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(40)))
    warehouse = engine.connect()
    sync = sync_of(crm, batch_rows=2, chunk_rows=8, concurrency=4)
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "DELETE FROM people WHERE id < 10",
        "UPDATE people SET ltv = 1 WHERE id >= 20",
        "INSERT INTO people SELECT id + 100, email, ltv FROM people WHERE id < 25",
    )
    calls: list[tuple[float, float, str]] = []

    def slowly(batch: Any) -> None:
        began = time.monotonic()
        time.sleep(0.01)
        calls.append((began, time.monotonic(), batch.operation))

    crm.during = slowly
    run = warehouse.run(sync)
    assert {op: c.succeeded for op, c in run.counts.items()} == {"removed": 10, "changed": 20, "added": 15}
    spans = {
        op: (min(b for b, _e, o in calls if o == op), max(e for _b, e, o in calls if o == op))
        for op in ("removed", "changed", "added")
    }
    assert spans["removed"][1] <= spans["changed"][0] and spans["changed"][1] <= spans["added"][0]
    assert any(b < other < e for b, e, _o in calls for other, _end, _op in calls), (
        "batches do run in parallel"
    )
    assert all(len(batch) <= 2 for batch in crm.batches)


def test_d14_a_unique_value_can_move_from_one_row_to_another(engine: Engine) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    engine.execute("CREATE TABLE target (id INTEGER PRIMARY KEY, email VARCHAR(50) UNIQUE)")
    with engine.raw() as raw:
        where = engine.url if engine.name == "postgres" else raw
        sync = sync_of(wcdc.destinations.SqlTable(where, "target"), mappings={"email": "email"})
        warehouse = engine.connect()
        warehouse.run(sync)
        engine.execute("DELETE FROM people WHERE id = 1", "INSERT INTO people VALUES (3, 'a', 0)")
        run = warehouse.run(sync)
        assert run.status == "success"
        assert sorted(engine.query("SELECT * FROM target")) == [(2, "b"), (3, "a")]


# -- keys and ids ----------------------------------------------------------------------------------


def test_d18_a_legitimate_repeat_has_a_new_key(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm)
    seen = []
    for step in ("", "DELETE FROM people", "INSERT INTO people VALUES (1, 'a', 10)", "DELETE FROM people"):
        if step:
            engine.execute(step)
        warehouse.run(sync)
        seen += list(crm.keys.items())
        crm.take()
    assert [operation for (operation, _id), _key in seen] == ["added", "removed", "added", "removed"]
    assert len({key for _operation, key in seen}) == 4


def test_d18_other_values_or_a_known_refusal_get_a_new_key(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)
    crm.refuse = {"1": unknown("no answer"), "2": unknown("no answer")}
    warehouse.run(sync)
    first = crm.keys
    engine.execute("UPDATE people SET ltv = 11 WHERE id = 1")
    warehouse.run(sync)
    second = crm.keys
    assert first["added", "1"] != second["added", "1"], "other values"
    assert first["added", "2"] == second["added", "2"], "the same operation, repeated"


def test_d18_keys_differ_between_syncs_and_rows(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, other = engine.connect(), Recorder()
    warehouse.run(sync_of(crm))
    warehouse.run(sync_of(other, id="another"))
    keys = [*crm.keys.values(), *other.keys.values()]
    assert len(set(keys)) == 4 and all(len(key) == 32 for key in keys)


def test_d19_run_ids_sort_by_time_even_if_the_clock_steps_back(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm)
    first = warehouse.run(sync).run_id
    from ulid import ULID

    from warehouse_cdc.engine import journal

    class LongAgo:
        from_str, from_int = ULID.from_str, ULID.from_int

        def __new__(cls) -> Any:
            return ULID.from_datetime(datetime(2001, 1, 1))

    monkeypatch.setattr(journal, "ULID", LongAgo)
    second, third = warehouse.run(sync).run_id, warehouse.run(sync).run_id
    assert first < second < third
    assert [row["sync_run_id"] for row in warehouse.history(sync).to_pylist()] == [third, second, first]


# -- stops -----------------------------------------------------------------------------------------


def test_d20_cancel_lets_the_batch_in_flight_finish_and_aborts_the_rest(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    warehouse, sync = engine.connect(), sync_of(crm, batch_rows=3, chunk_rows=9)

    def stop_at_the_second(_batch: Any) -> None:
        if len(crm.batches) == 2:
            canceller = threading.Thread(target=warehouse.cancel)
            canceller.start()
            canceller.join()

    crm.during = stop_at_the_second
    run = warehouse.run(sync)
    assert (run.status, run.error, counted(run)) == ("cancelled", "cancelled", {"added": (30, 6, 6, 0, 24)})
    first = crm.take()
    row = engine.runs()[-1]
    assert (row["status"], row["error"]) == ("failed", "cancelled")
    crm.during = None
    assert warehouse.run(sync).status == "success"
    second = crm.take()
    assert not first & second and first | second == ids("added", *range(30))


def endless(engine: Engine) -> str:
    """A model that takes longer to read than any test lasts."""
    numbers = ", ".join(f"{engine.series(1, 10_000)} {name}" for name in ("a(i)", "b(j)", "c(k)"))
    return (
        "SELECT p.id, p.email, n AS ltv FROM people p, "
        f"(SELECT count(*) AS n FROM {numbers} WHERE i * j % 7 = k % 11) x"
    )


def test_d20_cancel_stops_the_statement_that_plans(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    crm.take()
    canceller = threading.Timer(0.5, warehouse.cancel)
    began = time.monotonic()
    run = warehouse.run(
        sync_of(crm, endless(engine)), progress=lambda p: p.phase == "querying" and canceller.start()
    )
    assert time.monotonic() - began < 60, "it did not wait for the statement"
    assert (run.status, run.error, counted(run), len(run.rejections())) == ("cancelled", "cancelled", {}, 0)
    row = engine.runs()[-1]
    assert (row["sync_run_id"], row["status"], row["error"]) == (run.run_id, "failed", "cancelled")
    assert crm.take() == set()
    people(engine, "(1, 'a', 11)")
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("changed", 1), "its state is as it was"


@pytest.mark.crash
def test_d20_a_signal_stops_the_statement_that_plans(engine: Engine, tmp_path: Path) -> None:
    people(engine, "(1, 'a', 10)")
    child = Child(
        engine,
        tmp_path / "sent",
        """
        def stop(progress):
            if progress.phase == "querying":
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
        print(wcdc.connect(url).run(sync_of(note, values["sql"]), progress=stop).status)
        """,
        sql=endless(engine),
    )
    assert child.wait() == (0, "cancelled\n")
    assert child.sent == []


@pytest.mark.crash
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_d20_a_signal_cancels_the_run(engine: Engine, crm: Recorder, tmp_path: Path, number: int) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    child = Child(
        engine,
        tmp_path / "sent",
        """
        def send(batch):
            note(batch)
            os.kill(os.getpid(), values["signal"])
            time.sleep(0.3)
        run = wcdc.connect(url).run(sync_of(send, batch_rows=3, chunk_rows=9))
        print(run.status, run.counts["added"].succeeded, run.counts["added"].aborted)
        """,
        signal=int(number),
    )
    assert child.wait() == (0, "cancelled 3 27\n")
    engine.connect().run(sync_of(crm))
    assert len(crm.take()) == 27


@pytest.mark.crash
def test_d20_a_second_signal_stops_at_once(engine: Engine, crm: Recorder, tmp_path: Path) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(5)))
    child = Child(
        engine,
        tmp_path / "sent",
        """
        def send(batch):
            note(batch)
            time.sleep(60)
        try:
            wcdc.connect(url, lease_seconds=70).run(sync_of(send, batch_timeout=65))
        except KeyboardInterrupt:
            print("stopped")
        """,
    )
    until(lambda: child.sent, 30)
    child.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert child.process.poll() is None, "the first one waits for the batch in flight"
    child.process.send_signal(signal.SIGTERM)
    assert child.wait(15) == (0, "stopped\n")


def test_d21_refused_credentials_stop_the_run_and_the_rest_is_planned_again(
    engine: Engine, crm: Recorder
) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    warehouse, sync = engine.connect(), sync_of(crm, batch_rows=5, chunk_rows=10)

    def expire(_batch: Any) -> None:
        if len(crm.batches) == 3:
            raise wcdc.AuthenticationError("The token has expired.")

    crm.during = expire
    run = warehouse.run(sync)
    assert (run.status, run.error) == ("failed", "The token has expired.")
    succeeded, failed, aborted = (getattr(run.counts["added"], k) for k in ("succeeded", "failed", "aborted"))
    assert succeeded >= 5 and failed + aborted == 30 - succeeded and len(crm.batches) == 3
    assert engine.runs()[-1]["status"] == "failed"
    delivered = set(crm.held)
    crm.take()
    crm.during = None
    warehouse.run(sync)
    assert crm.take() == ids("added", *({str(i) for i in range(30)} - delivered))


def test_d21_too_many_rejected_rows_stop_the_run(engine: Engine, crm: Recorder) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    warehouse, sync = engine.connect(), sync_of(crm, batch_rows=2, chunk_rows=6, max_rejected=5)
    crm.refuse = {str(i): "no" for i in range(30)}
    run = warehouse.run(sync)
    assert run.status == "failed" and "max_rejected" in (run.error or "")
    counts = run.counts["added"]
    assert (counts.failed, counts.aborted) == (6, 24) and len(crm.take()) == 6
    crm.refuse = {}
    assert counted(warehouse.run(sync)) == {"added": (30, 30, 30, 0, 0)}


def test_d21_a_destination_that_cannot_be_opened_aborts_everything(engine: Engine) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse = engine.connect()

    class Closed(wcdc.destinations.FunctionDestination):
        def open(self, context: Any) -> Any:
            raise wcdc.DestinationError("The server is down.")

    recorder = Recorder()
    run = warehouse.run(sync_of(Closed(recorder)))
    assert (run.status, run.error, counted(run)) == (
        "failed",
        "The server is down.",
        {"added": (1, 0, 0, 0, 1)},
    )
    warehouse.run(sync_of(recorder))
    assert recorder.take() == ids("added", 1)


def test_retries_inside_a_run_succeed_in_the_end(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    from warehouse_cdc.destinations import retryable

    crm.during = lambda batch: (
        {"2": retryable("busy")} if batch.attempt < 3 and "2" in batch.row_ids else None
    )
    run = engine.connect().run(sync_of(crm))
    assert (run.status, counted(run)) == ("success", {"added": (2, 2, 2, 0, 0)})
    assert [sorted(batch.row_ids) for batch in crm.batches] == [["1", "2"], ["2"], ["2"]]
    keys = {batch.idempotency_keys[batch.row_ids.index("2")] for batch in crm.batches}
    assert len(keys) == 1, "D18"


# -- publication -----------------------------------------------------------------------------------


@pytest.mark.crash
def test_d29_files_of_a_killed_run_are_aborted_whole(engine: Engine, tmp_path: Path) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    folder = tmp_path / "files"
    body = """
        files = wcdc.destinations.JsonLines(values["folder"], skip_empty=True)
        sync = sync_of(files, mode="diff", batch_rows=5, chunk_rows=5, batch_timeout=1.5)
        count = 0
        def observe(step, moment):
            global count
            count += (step.value, moment) == tuple(values["at"])
            if count == values["nth"]:
                die()
        wcdc.connect(url, lease_seconds=2.0).run(sync, observer=observe)
    """
    Child(engine, tmp_path / "a", body, folder=str(folder), at=["send", "after"], nth=3).killed()
    assert not list(folder.glob("*.jsonl")), "half a file is never visible"
    sync = sync_of(wcdc.destinations.JsonLines(folder, skip_empty=True), mode="diff", batch_timeout=1.5)
    run = engine.connect(**SOON_OVER).run(sync, wait=20)
    assert counted(run) == {"added": (30, 30, 30, 0, 0)}
    closed = engine.runs()[0]
    assert (closed["error"], closed["num_planned_add"], closed["num_attempted_add"]) == ("interrupted", 30, 0)
    (added,) = folder.glob("*.jsonl")
    assert len(added.read_text().splitlines()) == 30


def test_d29_a_run_that_is_looked_at_later_started_when_it_says(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    engine.connect().run(sync_of(crm))
    ((recorded, _data),) = engine.journal("claimed")
    assert crm.batches[0].context.started_at == recorded == engine.runs()[0]["started_at"]


@pytest.mark.crash
def test_d29_a_file_that_was_published_before_the_kill_is_not_written_again(
    engine: Engine, tmp_path: Path
) -> None:
    people(engine, *(f"({i}, 'p', 0)" for i in range(30)))
    folder = tmp_path / "files"
    Child(
        engine,
        tmp_path / "a",
        """
        sync = sync_of(wcdc.destinations.JsonLines(values["folder"]), mode="insert", batch_timeout=1.5)
        def observe(step, moment):
            if step is Step.PUBLISH and moment == "after":
                die()
        wcdc.connect(url, lease_seconds=2.0).run(sync, observer=observe)
        """,
        folder=str(folder),
    ).killed()
    (added,) = folder.glob("*.jsonl")
    assert len(added.read_text().splitlines()) == 30
    sync = sync_of(wcdc.destinations.JsonLines(folder, skip_empty=True), mode="insert", batch_timeout=1.5)
    run = engine.connect(**SOON_OVER).run(sync, wait=20)
    assert counted(run) == {} and list(folder.glob("*.jsonl")) == [added]
    closed = engine.runs()[0]
    assert (closed["status"], closed["num_succeeded_add"]) == ("succeeded", 30), "D17: the run's true status"


# -- state that vanished ---------------------------------------------------------------------------


def _drop_plan(engine: Engine) -> None:
    engine.execute(f"DROP TABLE {engine.plan_table()}")


def _empty_plan(engine: Engine) -> None:
    engine.execute(f"DELETE FROM {engine.plan_table()}")


def _truncate_plan(engine: Engine) -> None:
    plan = engine.plan_table()
    engine.execute(f"DELETE FROM {plan} WHERE row_id = (SELECT max(row_id) FROM {plan})")


def _drop_rejections(engine: Engine) -> None:
    name = max(name for name in engine.own_tables() if name.endswith("_rejections"))
    engine.execute(f"DROP TABLE {engine.dialect.table(PLANNER, name)}")


def _empty_rejections(engine: Engine) -> None:
    name = max(name for name in engine.own_tables() if name.endswith("_rejections"))
    engine.execute(f"DELETE FROM {engine.dialect.table(PLANNER, name)}")


def _empty_journal(engine: Engine) -> None:
    if isinstance(engine, TablesEngine):
        engine.execute(*(f"DELETE FROM {table}" for table in engine.ledger_tables()))
        return
    engine.execute(f"DELETE FROM {PLANNER}.wcdc_journal")


def _drop_journal(engine: Engine) -> None:
    if isinstance(engine, TablesEngine):
        engine.execute(*(f"DROP TABLE {table}" for table in engine.ledger_tables()))
        return
    engine.execute(f"DROP TABLE {PLANNER}.wcdc_journal")


def _truncate_journal(engine: Engine) -> None:
    if isinstance(engine, TablesEngine):
        engine.execute(*(f"DROP TABLE {table}" for table in engine.ledger_tables()[-2:]))
        return
    engine.execute(
        f"DELETE FROM {PLANNER}.wcdc_journal WHERE generation = "
        f"(SELECT max(generation) FROM {PLANNER}.wcdc_journal)"
    )


def _drop_shared_tables(engine: Engine) -> None:
    if isinstance(engine, TablesEngine):
        engine.execute(f"DROP TABLE {engine.ledger_tables()[-2]}")  # the last claim
        return
    engine.execute(f"DROP TABLE {PLANNER}.wcdc_journal", f"DROP TABLE {PLANNER}.wcdc_leases")


def _empty_shared_tables(engine: Engine) -> None:
    if isinstance(engine, TablesEngine):
        engine.execute(f"DELETE FROM {engine.ledger_tables()[-2]}")
        return
    engine.execute(f"DELETE FROM {PLANNER}.wcdc_journal", f"DELETE FROM {PLANNER}.wcdc_leases")


DAMAGES = [
    _drop_plan,
    _empty_plan,
    _truncate_plan,
    _drop_rejections,
    _empty_rejections,
    _empty_journal,
    _drop_journal,
    _truncate_journal,
    _drop_shared_tables,
    _empty_shared_tables,
]


CURES = ("full_resync", "reset_cdc")
CURED = [(damage, CURES[number % 2]) for number, damage in enumerate(DAMAGES)]
CURED += [(_drop_plan, "reset_cdc"), (_empty_journal, "reset_cdc")]


@pytest.mark.parametrize(
    ("damage", "cure"), CURED, ids=lambda value: getattr(value, "__name__", value).strip("_")
)
def test_d30_state_that_vanished_stops_the_run_until_a_resync_or_a_reset(
    engine: Engine, crm: Recorder, damage: Any, cure: str
) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.refuse = {"3": "no"}
    engine.execute("UPDATE people SET ltv = 0 WHERE id = 3")
    warehouse.run(sync)
    crm.refuse = {}
    crm.take()
    damage(engine)
    for _repeat in range(2):
        with pytest.raises(wcdc.StateError) as caught:
            warehouse.run(sync)
        assert caught.value.code.startswith("state-")
        assert "resync" in caught.value.hint and "reset" in caught.value.hint
    assert crm.take() == set()
    run = getattr(warehouse, cure)(sync)
    assert run.status == "success"
    assert crm.take() == (ids("added", 1, 2, 3) if cure == "full_resync" else set())
    engine.execute("UPDATE people SET ltv = 1 WHERE id = 1")
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("changed", 1)


@pytest.mark.parametrize(
    "damage", [_drop_plan, _truncate_plan, _empty_journal], ids=lambda damage: damage.__name__.strip("_")
)
def test_d30_a_dry_run_sees_the_damage_too(engine: Engine, crm: Recorder, damage: Any) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    damage(engine)
    with pytest.raises(wcdc.StateError):
        warehouse.plan(sync)


def test_d28_the_model_is_evaluated_once_a_run(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    engine.execute("CREATE SEQUENCE ticks")
    warehouse, sync = engine.connect(), sync_of(crm, "select id, nextval('ticks') as tick from people")
    for number in range(3):
        warehouse.run(sync)
        assert sorted(row["tick"] for row in crm.held.values()) == [3 * number + n for n in (1, 2, 3)]
        fields = {row["row_id"]: row["fields"] for row in engine.audit("sync_snapshot")}
        assert fields == crm.held, "what was compared, sent and logged is one evaluation"
    engine.execute("DELETE FROM people WHERE id = 1")
    delivered = crm.held["1"]
    crm.batches.clear()
    warehouse.run(sync)
    assert delivered in crm.rows


# -- side effects ----------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_says_what_would_be_sent(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.plan(sync).counts == {"removed": 0, "changed": 0, "added": 3}
    assert engine.tables() == set() and crm.take() == set()
    warehouse.run(sync)
    crm.take()
    engine.execute(
        "UPDATE people SET ltv = 0 WHERE id = 1",
        "DELETE FROM people WHERE id = 2",
        "INSERT INTO people VALUES (4, 'd', 4)",
    )
    before = engine.footprint()
    plan = warehouse.plan(sync)
    assert (plan.counts, plan.unchanged) == ({"removed": 1, "changed": 1, "added": 1}, 1)
    preview = {(row["op"], row["row_id"], row["ltv"]) for row in plan.preview().to_pylist()}
    assert preview == {("removed", "2", 20), ("changed", "1", 0), ("added", "4", 4)}
    assert "people" in plan.sql() and plan.preview(1).num_rows == 1
    assert (engine.footprint(), crm.take()) == (before, set())
    warehouse.run(sync)
    assert crm.take() == ids("removed", 2) | ids("changed", 1) | ids("added", 4)


def test_two_pairs_of_tables_are_kept_and_nothing_foreign_is_touched(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    warehouse, sync = engine.connect(), sync_of(crm)
    foreign = [
        "other_01HZZZZZZZZZZZZZZZZZZZZZZZ_plan",
        "people-sync",
        "people_sync_plan",
        "my_notes",
        "people_sync_01hzzzzzzzzzzzzzzzzzzzzzzz_plan",
    ]
    for name in foreign:
        engine.execute(
            f"CREATE SCHEMA IF NOT EXISTS {PLANNER}", f'CREATE TABLE {PLANNER}."{name}" (x INTEGER)'
        )
    for step in range(5):
        engine.execute(f"UPDATE people SET ltv = {step}")
        warehouse.run(sync)
    own = engine.own_tables() - set(foreign)
    assert len(own) == 4 and {name.rsplit("_", 1)[1] for name in own} == {"plan", "rejections"}
    assert set(foreign) <= engine.own_tables()


def test_one_sync_never_touches_another(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)")
    warehouse, other = engine.connect(), Recorder()
    first, second = sync_of(crm, id="people"), sync_of(other, id="people_two")
    warehouse.run(first)
    warehouse.run(second)
    engine.execute("UPDATE people SET ltv = 0 WHERE id = 1")
    crm.take(), other.take()
    for _repeat in range(3):
        warehouse.run(first)
    assert crm.take() == ids("changed", 1)
    warehouse.full_resync(first)
    warehouse.run(second)
    assert other.take() == ids("changed", 1)
    assert {row["sync_id"] for row in engine.audit("sync_snapshot")} == {"people", "people_two"}
    assert len(engine.audit("sync_snapshot")) == 4


def test_one_sync_never_touches_another_under_any_collation(duck: DuckDBEngine, crm: Recorder) -> None:
    duck.table("id INTEGER, v TEXT", "(1, 'x')")
    duck.execute("SET GLOBAL default_collation = 'nocase'")
    warehouse, other = duck.connect(), Recorder()
    for each, name in ((crm, "people"), (other, "PEOPLE")):
        warehouse.run(sync_of(each, id=name))
        assert each.take() == {("added", "1")}
    warehouse.full_resync(sync_of(other, id="PEOPLE"))
    assert counted(warehouse.run(sync_of(crm, id="people"))) == {}
    assert {row["sync_id"] for row in duck.audit("sync_snapshot")} == {"people", "PEOPLE"}


def test_a_second_run_of_the_same_sync_is_refused_or_waits(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    first, second = engine.connect(), engine.connect()
    sync = sync_of(crm)
    inside, leave = threading.Event(), threading.Event()

    def hold(_batch: Any) -> None:
        inside.set()
        leave.wait(20)

    crm.during = hold
    runner = threading.Thread(target=lambda: first.run(sync))
    runner.start()
    try:
        assert inside.wait(20)
        before = engine.footprint()
        with pytest.raises(wcdc.SyncInProgressError) as caught:
            second.run(sync)
        assert caught.value.retryable and "wait" in caught.value.hint
        assert engine.footprint() == before
        crm.during = None
        threading.Timer(0.3, leave.set).start()
        assert second.run(sync, wait=20).status == "success"
    finally:
        leave.set()
        runner.join()
    assert crm.sent == [("added", "1")]


def test_history_and_rejections_read_back(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)", "(2, 'b', 20)", "(10, 'c', 30)", "(10, 'd', 30)", "(9, 'e', 40)")
    warehouse, sync = engine.connect(), sync_of(crm)
    assert len(warehouse.history(sync)) == 0
    with pytest.raises(wcdc.StateError) as caught:
        warehouse.rejections(sync)
    assert caught.value.code == "state-no-run"
    crm.refuse = {"9": "bad e-mail", "2": "bad e-mail"}
    runs = [warehouse.run(sync), warehouse.run(sync)]
    history = warehouse.history(sync).to_pylist()
    assert [row["sync_run_id"] for row in history] == [runs[1].run_id, runs[0].run_id]
    assert len(warehouse.history("people-sync", limit=1)) == 1
    found = warehouse.rejections("people-sync").to_pylist()
    assert [row["row_id"] for row in found] == ["10", "2", "9"], "in order, byte by byte"
    rejection = found[1]
    assert rejection["row_id"] == "2" and rejection["op"] == "added" and rejection["reason"] == "bad e-mail"
    assert rejection["attempts"] == 2 and rejection["first_failed_at"] < rejection["last_failed_at"]
    assert found == runs[1].rejections().to_pylist()
    wrong = [finding for finding in warehouse.check(sync) if not finding.ok]
    assert {finding.name for finding in wrong} <= {"isolation"}, "what the engine made itself will do"


def test_renaming_the_schemas(engine: Engine, crm: Recorder) -> None:
    people(engine, "(1, 'a', 10)")
    options = {"planner_schema": 'My "plans"', "audit_schema": "Audit.Trail"}
    setup = engine.connect(**options)
    for sql in setup.setup_sql():
        engine.execute(sql)
    setup.run(sync_of(crm))
    assert engine.tables() == set()
    assert engine.query('SELECT count(*) FROM "Audit.Trail".sync_runs') == [(1,)]
    tables = engine.query(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'My \"plans\"'"
    )
    assert tables[0][0] >= 4


def test_setup_makes_the_schemas_and_check_says_what_is_missing(
    postgres: PostgresEngine, crm: Recorder
) -> None:
    people(postgres, "(1, 'a', 10)")
    postgres.execute(f"DROP SCHEMA {PLANNER} CASCADE", f"DROP SCHEMA {AUDIT} CASCADE")
    warehouse, sync = postgres.connect(), sync_of(crm)
    with pytest.raises(wcdc.StateError) as caught:
        warehouse.run(sync)
    assert caught.value.code == "schema-missing" and "setup" in caught.value.hint
    assert all(f.fix.startswith("CREATE SCHEMA") for f in warehouse.check() if not f.ok)
    warehouse.setup()
    assert all(finding.ok for finding in warehouse.check(sync))
    assert warehouse.run(sync).status == "success"
