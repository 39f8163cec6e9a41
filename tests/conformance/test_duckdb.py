"""DuckDB's own ways: collations, the current database, and settings of a session or file."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, DuckDBEngine, Recorder, sync_of


def test_text_in_a_list_of_a_collated_column_compares_byte_for_byte(
    duck: DuckDBEngine, crm: Recorder
) -> None:
    """D5: not by the column's collation."""
    duck.execute(
        "CREATE TABLE tags (id INTEGER, tag VARCHAR COLLATE NOCASE)", "INSERT INTO tags VALUES (1, 'vip')"
    )
    warehouse = duck.connect()
    sync = sync_of(crm, "SELECT id, list(tag ORDER BY tag) AS tags FROM tags GROUP BY id")
    warehouse.run(sync)
    assert crm.held["1"]["tags"] == ["vip"]
    crm.take()
    duck.execute("UPDATE tags SET tag = 'VIP'")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{'a': 'x'}", "{'a': 'X'}"),
        ("['x']", "['X']"),
        ("""'{"k": "x"}'::JSON""", """'{"k": "X"}'::JSON"""),
        ("""'{"k": "x"}'::JSON""", """'{"K": "x"}'::JSON"""),
        ("'x'::mood", "'X'::mood"),
    ],
)
def test_values_compare_byte_for_byte_under_a_default_collation(
    tmp_path: Path, crm: Recorder, old: str, new: str
) -> None:
    """D5: not by that one either."""
    with wcdc.connect(f"duckdb:///{tmp_path / 'x.duckdb'}?default_collation=nocase") as warehouse:
        db = warehouse._connection.parent
        db.execute("CREATE TYPE mood AS ENUM ('x', 'X')")
        db.execute(f"CREATE TABLE people AS SELECT 1 AS id, {old} AS v")
        warehouse.run(sync_of(crm))
        crm.take()
        db.execute(f"CREATE OR REPLACE TABLE people AS SELECT 1 AS id, {new} AS v")
        warehouse.run(sync_of(crm))
        assert crm.take() == {("changed", "1")}


@pytest.mark.parametrize("value", ["[{}]", "{{'a': {}}}", "MAP {{'k': {}}}"])
def test_d5_zeros_inside_of_other_values_are_one(duck: DuckDBEngine, crm: Recorder, value: str) -> None:
    warehouse = duck.connect()
    for zero in ("'0'::DOUBLE", "'-0'::DOUBLE"):
        warehouse.run(sync_of(crm, f"SELECT 1 AS id, {value.format(zero)} AS v"))
    assert crm.sent == [("added", "1")]
    for other in ("'-0.05'::DOUBLE", "'0.05'::DOUBLE"):
        warehouse.run(sync_of(crm, f"SELECT 1 AS id, {value.format(other)} AS v"))
    assert crm.sent[1:] == [("changed", "1")] * 2


def test_composite_keys_that_differ_by_case_under_a_default_collation(tmp_path: Path, crm: Recorder) -> None:
    """D1, D3: these are two keys."""
    with wcdc.connect(f"duckdb:///{tmp_path / 'x.duckdb'}?default_collation=nocase") as warehouse:
        sync = sync_of(crm, "SELECT * FROM (VALUES ('a', 1), ('A', 1)) t (id, k)", ["id", "k"])
        run = warehouse.run(sync)
        assert warehouse.rejections(sync).to_pylist() == []
        assert run.status == "success"
        assert crm.take() == {("added", '["a","1"]'), ("added", '["A","1"]')}


def test_the_state_is_in_the_current_database_of_a_given_connection(tmp_path: Path) -> None:
    sent = []
    for _process in range(2):
        db = duckdb.connect()
        db.execute(f"ATTACH '{tmp_path / 'shop.duckdb'}' AS shop")
        db.execute("USE shop")
        db.execute("CREATE TABLE IF NOT EXISTS people AS SELECT 1 AS id")
        assert db.execute("SELECT current_database()").fetchall() == [("shop",)]
        crm = Recorder()
        with wcdc.connect(db) as warehouse:
            warehouse.run(sync_of(crm, "SELECT * FROM shop.people"))
        sent.append(crm.take())
        db.close()
    assert sent == [{("added", "1")}, set()], "the state was in the other database, in memory"


def test_names_of_a_model_are_looked_up_where_the_given_connection_is(tmp_path: Path, crm: Recorder) -> None:
    db = duckdb.connect()
    db.execute(f"ATTACH '{tmp_path / 'shop.duckdb'}' AS shop")
    db.execute("USE shop")
    db.execute("CREATE TABLE people AS SELECT 1 AS id")
    with wcdc.connect(db) as warehouse:
        assert warehouse.run(sync_of(crm)).status == "success"


def test_the_default_order_chooses_no_other_copy(tmp_path: Path) -> None:
    """D3: keep_one keeps the copy that sorts first, whatever the session's order."""
    path = tmp_path / "x.duckdb"
    sql = "SELECT * FROM (VALUES (1, 'a'), (1, 'b')) t (id, v)"
    for options in ("", "?default_order=DESC"):
        crm = Recorder()
        with wcdc.connect(f"duckdb:///{path}{options}") as warehouse:
            sync = sync_of(crm, sql, id=f"people{options}", on_duplicate="keep_one")
            warehouse.run(sync)
        assert crm.held["1"]["v"] == "a"


@pytest.mark.parametrize("zone", ["Etc/UTC", "UTC", "Europe/Berlin"])
def test_instants_have_one_zone_by_one_name(crm: Recorder, zone: str) -> None:
    """Whatever the machine calls its own."""
    with duckdb.connect() as db:
        db.execute(f"SET GLOBAL TimeZone = '{zone}'")
        wcdc.connect(db).run(sync_of(crm, "SELECT 1 AS id, TIMESTAMPTZ '2020-01-01 00:00:00+00' AS v"))
        assert str(crm.batches[0].arrow.schema.field("v").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(("zone", "works"), [("UTC", True), ("Etc/UTC", True), ("Europe/Berlin", False)])
def test_a_locked_configuration_will_do_or_the_error_names_the_setting(zone: str, works: bool) -> None:
    with duckdb.connect() as db:
        db.execute(f"SET GLOBAL TimeZone = '{zone}'")
        db.execute("SET GLOBAL lock_configuration = true")
        if works:
            wcdc.connect(db).close()
        else:
            with pytest.raises(wcdc.ConfigError, match="TimeZone"):
                wcdc.connect(db)


def test_schemas_are_found_whatever_the_case_of_their_names(duck: DuckDBEngine, crm: Recorder) -> None:
    duck.execute("CREATE SCHEMA Hightouch_Planner", "CREATE TABLE people AS SELECT 1 AS id")
    warehouse = duck.connect()
    warehouse.run(sync_of(crm))
    crm.take()
    warehouse.run(sync_of(crm))
    assert crm.take() == set()


def test_a_dry_run_writes_nothing_into_a_fresh_database(duck: DuckDBEngine, crm: Recorder) -> None:
    duck.execute("CREATE TABLE people AS SELECT 1 AS id")
    duck.connect().plan(sync_of(crm))
    schemas = duck.query("SELECT schema_name FROM duckdb_schemas() WHERE schema_name LIKE 'hightouch%'")
    assert schemas == []


def test_a_dry_run_needs_no_right_to_write(duck: DuckDBEngine, crm: Recorder) -> None:
    duck.execute("CREATE TABLE people AS SELECT 1 AS id")
    duck.detach()
    with wcdc.connect(f"{duck.url}?access_mode=READ_ONLY") as warehouse:
        assert warehouse.plan(sync_of(crm)).counts["added"] == 1


def test_a_refused_statement_shows_no_literal(duck: DuckDBEngine) -> None:
    with pytest.raises(wcdc.QueryError) as caught:
        duck.connect()._connection.query("SELECT 1 WHERE 'a' 'hunter2'")
    assert "hunter2" not in str(caught.value) + caught.value.sql


def test_a_dry_run_shows_integers_of_128_bits_after_a_change_of_type(
    duck: DuckDBEngine, crm: Recorder
) -> None:
    warehouse = duck.connect()
    warehouse.run(sync_of(crm, "SELECT 1 AS id, 5::HUGEINT AS v"))
    preview = warehouse.plan(sync_of(crm, f"SELECT 1 AS id, {2**128 - 1}::UHUGEINT AS v")).preview()
    assert preview.num_rows == 1


@pytest.mark.parametrize("value", ["['nan'::DOUBLE]", "{'a': 'inf'::DOUBLE}", "MAP {'k': 'nan'::DOUBLE}"])
def test_fields_are_json_whatever_floats_are_inside(duck: DuckDBEngine, crm: Recorder, value: str) -> None:
    """D24: JSON has no NaN: it is a string there."""
    duck.connect().run(sync_of(crm, f"SELECT 1 AS id, {value} AS v"))
    ((fields,),) = duck.query(f"SELECT CAST(fields AS VARCHAR) AS f FROM {AUDIT}.sync_changelog")

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} isn't JSON: {fields}")

    json.loads(fields, parse_constant=refuse)


@pytest.mark.parametrize(
    "value",
    [
        "[DATE '10000-01-01']",
        "{'d': DATE 'infinity'}",
        "[TIMESTAMPTZ 'infinity']",
        "MAP {DATE '10000-01-01': 1}",
    ],
)
def test_a_date_inside_a_nested_value_costs_no_other_row(
    duck: DuckDBEngine, crm: Recorder, value: str
) -> None:
    """It arrives as text, as in a column of its own."""
    nothing = f"CASE WHEN FALSE THEN {value} END"
    sql = f"SELECT 1 AS id, {value} AS v UNION ALL SELECT 2, {nothing}"
    warehouse = duck.connect()
    run = warehouse.run(sync_of(crm, sql))
    assert run.counts["added"].succeeded == 2
