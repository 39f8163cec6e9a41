"""Row identity (D1) and equality (D5, D6), type by type, on every engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.helpers import Engine, PostgresEngine, Recorder, counted, ids, sync_of
from warehouse_cdc.compile import layout

# -- D1: canonical row ids -------------------------------------------------------------------------

KEYS: dict[str, tuple[str, dict[str, str]]] = {
    "smallint": ("SMALLINT", {"7": "7", "-32768": "-32768", "0": "0"}),
    "integer": ("INTEGER", {"42": "42", "-1": "-1", "0": "0"}),
    "bigint": (
        "BIGINT",
        {"9223372036854775807": "9223372036854775807", "-9223372036854775807": "-9223372036854775807"},
    ),
    "boolean": ("BOOLEAN", {"TRUE": "true", "FALSE": "false"}),
    "uuid": (
        "UUID",
        {"'6F9619FF-8B86-D011-B42D-00CF4FC964FF'": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"},
    ),
    "decimal": (
        "NUMERIC(20, 6)",
        {
            "1.50": "1.5",
            "100": "100",
            "0.000001": "0.000001",
            "-0.0": "0",
            "-12.340": "-12.34",
            "12345678901234": "12345678901234",
        },
    ),
    "whole decimal": ("NUMERIC(20, 0)", {"100": "100", "0": "0", "-10": "-10"}),
    "date": (
        "DATE",
        {"'2024-02-29'": "2024-02-29", "'0001-01-01'": "0001-01-01", "'9999-12-31'": "9999-12-31"},
    ),
    "timestamp": (
        "TIMESTAMP",
        {
            "'2024-02-29 12:30:00'": "2024-02-29T12:30:00.000000Z",
            "'2024-02-29 23:59:59.9'": "2024-02-29T23:59:59.900000Z",
            "'1969-12-31 23:59:59.999999'": "1969-12-31T23:59:59.999999Z",
            "'0001-01-01 00:00:00'": "0001-01-01T00:00:00.000000Z",
        },
    ),
    "timestamptz": (
        "TIMESTAMP WITH TIME ZONE",
        {
            "'2024-02-29 12:30:00+00'": "2024-02-29T12:30:00.000000Z",
            "'2024-03-31 02:30:00.000001+05:45'": "2024-03-30T20:45:00.000001Z",
            "'1969-12-31 23:00:00-02'": "1970-01-01T01:00:00.000000Z",
        },
    ),
    "text": (
        "VARCHAR",
        {
            "'1'": "1",
            "'01'": "01",
            "' x '": " x ",
            "''": "",
            "'\u00c9'": "\u00c9",
            "'E\u0301'": "E\u0301",
            "'a''b\"c\\d'": "a'b\"c\\d",
            "'😀'": "😀",
        },
    ),
    "char": ("CHAR(5)", {"'ab'": "ab", "'abcde'": "abcde"}),
}


@pytest.mark.parametrize("name", KEYS)
def test_d1_the_canonical_text_of_a_key_is_the_same_on_every_engine(
    engine: Engine, crm: Recorder, name: str
) -> None:
    kind, values = KEYS[name]
    engine.table(f"k {kind}", *(f"({literal})" for literal in values))
    warehouse, sync = engine.connect(), sync_of(crm, key="k")
    warehouse.run(sync)
    assert crm.take() == ids("added", *values.values())
    assert counted(warehouse.run(sync)) == {}


@pytest.mark.parametrize("name", KEYS)
def test_d1_a_part_of_a_composite_key_is_its_canonical_text(engine: Engine, crm: Recorder, name: str) -> None:
    kind, values = KEYS[name]
    engine.table(f"k {kind}, n INTEGER", *(f"({literal}, 7)" for literal in values))
    engine.connect().run(sync_of(crm, key=["k", "n"]))
    wanted = {json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in values.values()}
    assert crm.take() == ids("added", *wanted)


def test_d1_composite_keys_are_json_arrays_for_any_text(engine: Engine, crm: Recorder) -> None:
    parts = ['"', "\\", "/", ",", "],[", "a\nb\t\r\b\f", "\x01\x1f", "\x7f\x80", "é\u2028😀", "", "<&>'"]
    engine.table("a VARCHAR, b VARCHAR")
    mark = "?" if engine.name == "duckdb" else "%s"
    with engine.raw() as raw:
        for part in parts:
            raw.execute(f"INSERT INTO people VALUES ({mark}, {mark})", [part, "x"])
    engine.connect().run(sync_of(crm, key=["a", "b"]))
    assert {tuple(json.loads(row_id)) for _op, row_id in crm.sent} == {(part, "x") for part in parts}
    expected = {json.dumps([part, "x"], ensure_ascii=False, separators=(",", ":")) for part in parts}
    sent = {row_id.replace("\\u001F", "\\u001f") for _op, row_id in crm.sent}
    assert sent == expected, (
        "the same bytes on every engine, but for the case of a control character's digits"
    )


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


# -- D5: equality by type --------------------------------------------------------------------------

TYPES: dict[str, tuple[str, list[list[str]]]] = {
    "integer": ("INTEGER", [["1", "01"], ["-1"], ["0", "-0"]]),
    "bigint": ("BIGINT", [["9007199254740993"], ["9007199254740992"], ["0"]]),
    "decimal": (
        "NUMERIC(20, 6)",
        [["1", "1.0", "1.000000"], ["1.000001"], ["0", "-0.0"], ["-1"], ["-1.000001"], ["100"]],
    ),
    "double": (
        "DOUBLE PRECISION",
        [
            ["'NaN'", "'nan'"],
            ["'-0.0'", "'0'", "0.0"],
            ["'Infinity'"],
            ["'-Infinity'"],
            ["0.1", "1e-1"],
            ["0.30000000000000004"],
            ["0.3"],
        ],
    ),
    "real": ("REAL", [["'NaN'"], ["'-0.0'", "'0'"], ["0.1"], ["0.2"]]),
    "boolean": ("BOOLEAN", [["TRUE"], ["FALSE"]]),
    "text": (
        "VARCHAR",
        [
            ["'a'"],
            ["'A'"],
            ["'a '"],
            ["' a'"],
            ["''"],
            ["' '"],
            ["'é'"],
            ["'e\u0301'"],
            ["'NULL'"],
            ["'ß'"],
            ["'ss'"],
        ],
    ),
    "date": ("DATE", [["'2024-02-29'", "'2024-2-29'"], ["'2024-03-01'"]]),
    "time": ("TIME", [["'10:00:00'", "'10:00'", "'10:00:00.000'"], ["'10:00:00.000001'"]]),
    "timestamp": (
        "TIMESTAMP",
        [
            ["'2024-01-01 00:00:00'", "'2024-01-01'", "'2024-01-01T00:00:00.000'"],
            ["'2024-01-01 00:00:00.000001'"],
        ],
    ),
    "timestamptz": (
        "TIMESTAMP WITH TIME ZONE",
        [
            ["'2024-01-01 12:00:00+00'", "'2024-01-01 14:00:00+02'", "'2024-01-01 06:30:00-05:30'"],
            ["'2024-01-01 12:00:00+01'"],
        ],
    ),
    "uuid": (
        "UUID",
        [
            ["'6F9619FF-8B86-D011-B42D-00CF4FC964FF'", "'6f9619ff-8b86-d011-b42d-00cf4fc964ff'"],
            ["'6f9619ff-8b86-d011-b42d-00cf4fc964fe'"],
        ],
    ),
    "binary": ("{binary}", [["'a'"], ["'A'"], ["''"], ["'a '"]]),
    "json": (
        "JSON",
        [
            ["""'{"a":1,"b":[1,2]}'""", """'{"b": [1, 2], "a": 1}'""", """'{ "a":1.0,\n"b":[1,2] }'"""],
            ["""'{"a":1,"b":[2,1]}'"""],
            ["""'{"a":1,"b":[1,2],"c":null}'"""],
            ["""'{"a":"1","b":[1,2]}'"""],
            ["""'{"a":1,"b":{"0":1,"1":2}}'"""],
            ["'null'"],
            ["""'"null"'"""],
            ["'[]'", "'[ ]'"],
            ["'{}'", "'{ }'"],
            ["'[[]]'"],
            ["""'""'"""],
            ["'0'"],
            ["'false'"],
            ["""'{"a":-1,"b":[1,2]}'"""],
            ["""'{"a":{"b":1},"c":2}'"""],
            ["""'{"a":{"b":1,"c":2}}'"""],
            ["'[[1],2]'"],
            ["'[[1,2]]'"],
            ["'[1,2]'"],
            ["'[1,[2]]'"],
            ["""'{"a.b":1}'"""],
            ["""'{"a":{"b":1}}'"""],
            ["""'"\\u00e9"'""", """'"é"'"""],
            ["12345678901234567890"],
            ["12345678901234567891"],
            ["1234567890.12345678901"],
            ["1234567890.12345678902"],
        ],
    ),
    "nested array": (
        "INTEGER[][]",
        [
            ["ARRAY[ARRAY[1], ARRAY[2]]"],
            ["ARRAY[ARRAY[1, 2]]"],
            ["ARRAY[ARRAY[2, 1]]"],
            ["CAST(ARRAY[] AS INTEGER[][])"],
        ],
    ),
    "array": (
        "INTEGER[]",
        [["ARRAY[1, 2]"], ["ARRAY[2, 1]"], ["ARRAY[1, NULL]"], ["ARRAY[1]"], ["CAST(ARRAY[] AS INTEGER[])"]],
    ),
    "interval": ("INTERVAL", [["INTERVAL '1' DAY"], ["INTERVAL '2' DAY"], ["INTERVAL '1' SECOND"]]),
}


def _spelled(name: str, spelling: str) -> str:
    return f"'{spelling}'" if name == "json" and spelling[0].isdigit() else spelling


@pytest.mark.parametrize("name", TYPES)
def test_d5_spellings_of_one_value_are_equal_and_different_values_differ(
    engine: Engine, crm: Recorder, name: str
) -> None:
    """One row for each ordered pair of values: before, then after; exactly the right ones are changed."""
    kind, classes = TYPES[name]
    values = [("NULL", -1)]
    values += [(_spelled(name, s), number) for number, spellings in enumerate(classes) for s in spellings]
    pairs = [(before, after) for before in values for after in values]
    kind = kind.format(binary=engine.binary)
    engine.table(f"id INTEGER, v {kind}", *(f"({number}, {b})" for number, ((b, _c), _a) in enumerate(pairs)))
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    crm.take()
    engine.table(f"id INTEGER, v {kind}", *(f"({number}, {a})" for number, (_b, (a, _c)) in enumerate(pairs)))
    warehouse.run(sync)
    differ = {number for number, ((_b, c), (_a, d)) in enumerate(pairs) if c != d}
    sent = {int(row_id) for _operation, row_id in crm.take()}
    wrong = [(pairs[n][0][0], pairs[n][1][0], "sent" if n in sent else "not sent") for n in sent ^ differ]
    assert not wrong


@pytest.mark.parametrize("name", TYPES)
def test_d6_the_comparison_by_value_agrees_with_the_fingerprint(
    engine: Engine, crm: Recorder, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same pairs, but the fingerprint's version changes between the runs: values decide."""
    encoding = layout.FINGERPRINT_ENCODING
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding + 1)
    kind, classes = TYPES[name]
    values = [("NULL", -1)]
    values += [(_spelled(name, s), number) for number, spellings in enumerate(classes) for s in spellings]
    pairs = [(before, after) for before in values for after in values]
    kind = kind.format(binary=engine.binary)
    engine.table(f"id INTEGER, v {kind}", *(f"({number}, {b})" for number, ((b, _c), _a) in enumerate(pairs)))
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.table(f"id INTEGER, v {kind}", *(f"({number}, {a})" for number, (_b, (a, _c)) in enumerate(pairs)))
    monkeypatch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
    warehouse.run(sync)
    differ = {number for number, ((_b, c), (_a, d)) in enumerate(pairs) if c != d}
    sent = {int(row_id) for _operation, row_id in crm.take()}
    wrong = [(pairs[n][0][0], pairs[n][1][0], "sent" if n in sent else "not sent") for n in sent ^ differ]
    assert not wrong


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
    engine.edit_journal("""data = replace(data, '"format": 2', '"format": 99')""")
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
