"""Row identity (D1) and equality (D5, D6), type by type, on every engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality_matrix import KEYS
from tests.conformance.helpers import DuckDBEngine, Engine, PostgresEngine, Recorder, counted, ids, sync_of
from warehouse_cdc.compile import layout

# -- D1: canonical row ids -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, _value, _text in KEYS))
def test_d1_keys_of_every_type_are_row_ids_alone_and_together(
    engine: Engine, crm: Recorder, kind: str
) -> None:
    spell, literal = engine.spelling.value, engine.dialect.literal
    pairs = [(value, text) for each, value, text in KEYS if each == kind]
    engine.table(
        f"k {engine.spelling.type(kind)}, n INTEGER",
        *(f"({spell(literal, kind, value)}, {n})" for n, (value, _text) in enumerate(pairs)),
    )
    warehouse, sync = engine.connect(), sync_of(crm, key="k")
    warehouse.run(sync)
    assert crm.take() == ids("added", *(text for _value, text in pairs))
    assert counted(warehouse.run(sync)) == {}
    warehouse.run(sync_of(crm, key=["k", "n"], id="composite"))
    assert {tuple(json.loads(row_id)) for _operation, row_id in crm.take()} == {
        (text, str(n)) for n, (_value, text) in enumerate(pairs)
    }


def test_d1_composite_keys_are_json_arrays_for_any_text(engine: Engine, crm: Recorder) -> None:
    parts = ['"', "\\", "/,", "],[", "a\nb\t\r\b\f", "\x01\x1f\\u001F", "\x7f\x80", "é\u2028😀", "", "<&>'"]
    engine.table("a VARCHAR, b VARCHAR")
    mark = "?" if engine.name == "duckdb" else "%s"
    with engine.raw() as raw:
        for part in parts:
            raw.execute(f"INSERT INTO people VALUES ({mark}, {mark})", [part, "x"])
    engine.connect().run(sync_of(crm, key=["a", "b"]))
    assert {tuple(json.loads(row_id)) for _op, row_id in crm.sent} == {(part, "x") for part in parts}
    expected = {json.dumps([part, "x"], ensure_ascii=False, separators=(",", ":")) for part in parts}
    assert {row_id for _op, row_id in crm.sent} == expected, "the same bytes on every engine"


def test_d1_the_order_of_key_columns_is_the_users(engine: Engine, crm: Recorder) -> None:
    engine.table("a INTEGER, b INTEGER", "(1, 2)")
    engine.connect().run(sync_of(crm, key=["b", "a"]))
    assert crm.sent == [("added", '["2","1"]')]
    assert engine.runs()[0]["primary_key"] == "b, a"


def test_d1_a_key_that_changes_its_type_but_not_its_canonical_text_is_the_same_row(
    engine: Engine, crm: Recorder
) -> None:
    engine.table("id INTEGER, v INTEGER", "(1, 1)", "(20, 2)")
    warehouse, sync = engine.connect(), sync_of(crm, mode="insert", mappings={"v": "v"})
    warehouse.run(sync)
    crm.take()
    for kind in ("BIGINT", "NUMERIC(20, 2)", "VARCHAR(30)"):
        engine.execute(f"ALTER TABLE people ALTER COLUMN id TYPE {kind}")
        if kind.startswith("VARCHAR"):
            engine.execute("UPDATE people SET id = replace(id, '.00', '')")
        assert counted(warehouse.run(sync)) == {}, kind


# -- D5: types of which each engine has its own; the rest is in the equality matrix -------------------


def test_d5_arrays_structs_and_enumerations(engine: Engine, crm: Recorder) -> None:
    if engine.name == "duckdb":
        engine.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        struct, make = "STRUCT(a INTEGER, b VARCHAR)", "ROW(1, 'x')"
        other = "ROW(1, 'y')"
    else:
        engine.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TYPE pair AS (a INTEGER, b TEXT)")
        struct, make, other = "pair", "ROW(1, 'x')::pair", "ROW(1, 'y')::pair"
    engine.table(f"id INTEGER, m mood, p {struct}, l VARCHAR[]", f"(1, 'sad', {make}, ARRAY['a', NULL])")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    row = crm.held["1"]
    assert (row["m"], row["p"], row["l"]) == ("sad", {"a": 1, "b": "x"}, ["a", None])
    crm.take()
    assert counted(warehouse.run(sync)) == {}
    for change in ("m = 'happy'", f"p = {other}", "l = ARRAY[NULL, 'a']", "l = ARRAY['a']", "p = NULL"):
        engine.execute(f"UPDATE people SET {change}")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1), change


@pytest.mark.parametrize(
    ("kind", "old", "new", "changed"),
    [
        ("MAP(VARCHAR, INTEGER)", "MAP {'a': 1, 'b': NULL}", "MAP {'b': NULL, 'a': 1}", False),
        ("MAP(VARCHAR, INTEGER)", "MAP {'a': 1, 'b': 2}", "MAP {'a': 2, 'b': 1}", True),
        ("MAP(VARCHAR, INTEGER)[]", "[MAP {'a': 1}]", "[MAP {'a': 2}]", True),
        ("JSON", """'{"a": 1, "b": 3, "a": 2}'""", """'{"a": 2, "a": 1, "b": 3}'""", True),
        ("JSON", """'{"a": 1, "b": 3, "a": 2}'""", """'{"b": 3, "a": 1, "a": 2}'""", False),
    ],
)
def test_d5_the_order_of_entries_on_duckdb(
    duck: DuckDBEngine, crm: Recorder, kind: str, old: str, new: str, changed: bool
) -> None:
    duck.table(f"id INTEGER, v {kind}", f"(1, {old})")
    warehouse, sync = duck.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    duck.execute(f"UPDATE people SET v = {new}")
    for sent in ({("changed", "1")} if changed else set(), set()):
        warehouse.run(sync)
        assert crm.take() == sent


def test_d5_postgres_types_that_only_print(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.table(
        "id INTEGER, a INET, b MONEY, c BIT(4), d INT4RANGE, e TIMETZ, f POINT, g JSONB, h TEXT[]",
        "(1, '10.0.0.1', 12.50, B'1010', '[1,5)', '10:00+02', '(1,2)', '{\"b\":1,\"a\":2}', '{a,NULL}')",
    )
    warehouse, sync = postgres.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = crm.held["1"]
    assert (row["a"], str(row["b"]), row["c"], row["d"]) == ("10.0.0.1/32", "12.50", "1010", "[1,5)")
    assert (row["g"], row["h"]) == ({"a": 2, "b": 1}, ["a", None])
    crm.take()
    assert counted(warehouse.run(sync)) == {}
    for change in (
        "a = '10.0.0.2'",
        "b = 12.51",
        "c = B'1011'",
        "d = '[1,6)'",
        "e = '10:00+03'",
        "f = '(1,3)'",
    ):
        postgres.execute(f"UPDATE people SET {change}")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1), change


def test_d5_unbounded_numerics_keep_every_digit(postgres: PostgresEngine, crm: Recorder) -> None:
    digits = "123456789012345678901234567890.123456789012345678901234567890"
    postgres.table("id NUMERIC, v NUMERIC", f"({digits}, {digits})", "('NaN', 'NaN')")
    warehouse, sync = postgres.connect(), sync_of(crm)
    warehouse.run(sync)
    canonical = digits.rstrip("0")
    assert crm.take() == ids("added", canonical, "NaN") and str(crm.held[canonical]["v"]) == digits
    postgres.execute("UPDATE people SET v = v + 0.000000000000000000000000000001")
    warehouse.run(sync)
    assert crm.take() == ids("changed", canonical), "NaN + 1 is NaN"


# -- D6: versions of the fingerprint ---------------------------------------------------------------


def test_d6_another_encoding_is_no_mass_of_changes(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.table(
        "id INTEGER, v VARCHAR, f DOUBLE PRECISION, j JSON",
        """(1, 'a', 'NaN', '{"a": 1, "b": 2}')""",
        "(2, NULL, NULL, NULL)",
        "(3, 'c', 0.5, '[]')",
        "(4, 'd', 1, 'null')",
    )
    warehouse, sync = engine.connect(), sync_of(crm)
    crm.refuse = {"4": "no"}
    warehouse.run(sync)
    crm.take()
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", layout.FINGERPRINT_ENCODING + 1)
    engine.execute(
        "UPDATE people SET v = '' WHERE id = 2", """UPDATE people SET j = '{"b":2,"a":1}' WHERE id = 1"""
    )
    assert warehouse.plan(sync).counts == {"removed": 0, "changed": 1, "added": 1}
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2) | ids("added", 4)
    engine.execute("UPDATE people SET f = 0.25 WHERE id = 3")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 3) | ids("added", 4)


def test_d6_hashes_of_another_engine_version_are_not_trusted(engine: Engine, crm: Recorder) -> None:
    """The journal says that another version made the hashes, and they are all wrong."""
    engine.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    data = engine.journal("planned")[0][1]
    record: dict[str, Any] = json.loads(data)
    record["fingerprint_version"] = "0123456789abcdef"
    text = json.dumps(record).replace("'", "''")
    engine.edit_journal(f"data = '{text}'", "event = 'planned'")
    engine.execute(
        f"UPDATE {engine.plan_table()} SET hash = 1",
        "UPDATE people SET v = 'new' WHERE id = 2",
    )
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2)


def test_d6_a_newer_journal_is_refused(engine: Engine, crm: Recorder) -> None:
    import warehouse_cdc as wcdc

    engine.table("id INTEGER", "(1)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.edit_journal("""data = replace(data, '"format": 3', '"format": 99')""")
    with pytest.raises(wcdc.StateVersionError) as caught:
        warehouse.run(sync)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SMALLINT", "BIGINT"),
        ("INTEGER", "NUMERIC(12, 2)"),
        ("NUMERIC(12, 2)", "NUMERIC(18, 6)"),
        ("NUMERIC(12, 2)", "INTEGER"),
        ("INTEGER", "DOUBLE PRECISION"),
        ("REAL", "DOUBLE PRECISION"),
        ("DOUBLE PRECISION", "NUMERIC(12, 2)"),
        ("BIGINT", "NUMERIC(38, 10)"),
        ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
        ("VARCHAR(10)", "TEXT"),
        ("CHAR(10)", "VARCHAR(20)"),
    ],
)
def test_d6_a_type_that_changes_within_its_family_changes_nothing(
    engine: Engine, crm: Recorder, before: str, after: str
) -> None:
    """And the run after it, and one more change of type, find what really changed."""
    values = ("'2024-01-01 10:00:00'", "'2024-06-01'") if "TIME" in before else ("10", "25")
    if "CHAR" in before:
        values = ("'a'", "'b'")
    engine.table(f"id INTEGER, v {before}", f"(1, {values[0]})", f"(2, {values[0]})", "(3, NULL)")
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    zone = " USING v AT TIME ZONE 'UTC'" if "TIME" in before and engine.name == "postgres" else ""
    engine.execute(f"ALTER TABLE people ALTER COLUMN v TYPE {after}{zone}")
    run = warehouse.run(sync)
    assert (counted(run), crm.take()) == ({}, set())
    engine.execute(f"UPDATE people SET v = {values[1]} WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1)
    engine.execute(
        f"ALTER TABLE people ALTER COLUMN v TYPE {before}{zone}",
        f"UPDATE people SET v = {values[1]} WHERE id = 2",
    )
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2)
    engine.execute("DELETE FROM people WHERE id = 3")
    warehouse.run(sync)
    assert crm.take() == ids("removed", 3)
