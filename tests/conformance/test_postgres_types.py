"""PostgreSQL: types whose names begin like others', settings that print names otherwise, limits of a page."""

from __future__ import annotations

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PostgresEngine, Recorder, sync_of


@pytest.mark.parametrize(
    "value", ["'{}'::jsonb", "'2020-01-01'::date", "'\\x00'::bytea", "'2020-01-01'::date AS d, 1"]
)
def test_a_setting_that_quotes_names_makes_no_row_changed(
    postgres: PostgresEngine, crm: Recorder, value: str
) -> None:
    """D5: nor does any other of the session's."""
    sync = sync_of(crm, f"SELECT 1 AS id, {value} AS v")
    postgres.connect().run(sync)
    crm.take()
    postgres.execute(f"ALTER DATABASE {postgres.database} SET quote_all_identifiers = on")
    postgres.detach()
    postgres.connect().run(sync)
    assert crm.take() == set()


def test_a_setting_that_quotes_names_takes_no_key_away(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute(f"ALTER DATABASE {postgres.database} SET quote_all_identifiers = on")
    run = postgres.connect().run(sync_of(crm, "SELECT '2020-01-01'::date AS id"))
    assert run.status == "success"


@pytest.mark.parametrize("base", ["date", "int", "numeric"])
def test_a_range_whose_name_begins_like_a_type(postgres: PostgresEngine, crm: Recorder, base: str) -> None:
    postgres.execute(f"CREATE TYPE {base}_span AS RANGE (subtype = {base})")
    run = postgres.connect().run(sync_of(crm, f"SELECT 1 AS id, 'empty'::{base}_span AS v"))
    assert run.status == "success" and crm.held["1"]["v"] == "empty"


def test_a_key_of_padded_text_without_a_length(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute("CREATE TABLE people (code char(3))", "INSERT INTO people VALUES ('a'), (NULL)")
    postgres.connect().run(sync_of(crm, "SELECT coalesce(code, 'none') AS id FROM people"))
    assert crm.take() == {("added", "a"), ("added", "none")}


def test_an_instant_that_arrow_can_not_hold_is_an_error_of_ours(
    postgres: PostgresEngine, crm: Recorder
) -> None:
    """Also where few rows are read, by a cursor."""
    with pytest.raises(wcdc.QueryError, match="later than"):
        postgres.connect().run(sync_of(crm, "SELECT 1 AS id, '294276-12-31'::timestamp AS v"))


@pytest.mark.parametrize(
    "value",
    ["""ARRAY['{"a": "\\u0000"}'::json]""", """ROW('{"a": "\\u0000"}'::json, 1)"""],
)
def test_json_with_an_escaped_nul_inside_of_another_value(
    postgres: PostgresEngine, crm: Recorder, value: str
) -> None:
    """Its text counts, as that of a column of JSON."""
    warehouse, sql = postgres.connect(), f"SELECT 1 AS id, {value} AS v"
    assert warehouse.run(sync_of(crm, sql)).status == "success"
    assert "\\u0000" in crm.held["1"]["v"]
    crm.take()
    warehouse.run(sync_of(crm, sql))
    assert crm.take() == set()


@pytest.mark.parametrize(
    ("columns", "kind", "value"),
    [(240, "varchar", "'abcdefghijklmnopq'"), (260, "uuid", "gen_random_uuid()"), (500, "bigint", "1234567")],
)
def test_a_changed_row_that_fits_into_no_page_is_an_error_that_says_so(
    postgres: PostgresEngine, crm: Recorder, columns: int, kind: str, value: str
) -> None:
    """It has new and former values; with fewer columns, the next run goes on."""
    names = [f"c{number}" for number in range(columns)]
    postgres.execute(
        f"CREATE TABLE people (id INTEGER, {', '.join(f'{name} {kind}' for name in names)})",
        f"INSERT INTO people SELECT i, {', '.join([value] * columns)} FROM generate_series(1, 2) r (i)",
    )
    warehouse = postgres.connect()
    assert warehouse.run(sync_of(crm)).status == "success"
    crm.take()
    postgres.execute("UPDATE people SET c0 = NULL WHERE id = 1")
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm))
    assert caught.value.code == "row-too-wide" and crm.take() == set()
    fewer = {name: name for name in ("id", "c0", "c1")}
    assert warehouse.run(sync_of(crm, mappings=fewer)).status == "success"
    assert crm.held["1"]["c0"] is None
