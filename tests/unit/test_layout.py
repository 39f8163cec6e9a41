"""What a sync compares and sends (D4), what is a new mapping (D7) or another fingerprint (D6); types."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.compile.layout import Layout, lay_out
from warehouse_cdc.compile.offline import describe_offline
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import DIALECTS, ColumnType, Dialect, get_dialect
from warehouse_cdc.dialects.types import FAMILIES, KEY_KINDS

DESCRIBED = [("id", "INTEGER"), ("email", "VARCHAR"), ("ltv", "DECIMAL(10,2)"), ("city", "VARCHAR")]


def send(_batch: Any) -> None:
    """A destination."""


def layout(
    described: Any = DESCRIBED, dialect: str = "duckdb", version: str = "1", key: Any = "id", **options: Any
) -> Layout:
    model = wcdc.Model("m", table="t", primary_key=key)
    sync = wcdc.Sync(id="s", model=model, destination=send, **options)
    return lay_out(sync, described, get_dialect(dialect), version)


def test_d4_without_mappings_every_column_is_compared_and_sent() -> None:
    found = layout()
    assert [column.name for column in found.columns] == ["id", "city", "email", "ltv"], (
        "the key, then by name"
    )
    assert [column.number for column in found.columns] == [1, 2, 3, 4]
    assert found.fields == (("id", "id"), ("email", "email"), ("ltv", "ltv"), ("city", "city"))
    assert found.match == (("id", "id"),)


def test_d4_with_mappings_only_what_is_used_is_compared() -> None:
    found = layout(mappings={"mail": "email", "e_mail": "email"})
    assert [column.name for column in found.columns] == ["id", "email"]
    assert found.fields == (("id", "id"), ("email", "mail"), ("email", "e_mail"))


def test_d4_the_matched_columns_are_compared_and_come_first() -> None:
    found = layout(mappings={"worth": "ltv"}, match={"email": "address", "city": "town"})
    assert [column.name for column in found.columns] == ["id", "city", "email", "ltv"]
    assert found.fields == (("email", "address"), ("city", "town"), ("ltv", "worth"))


def test_the_key_is_in_the_users_order() -> None:
    found = layout(key=["ltv", "id"])
    assert [column.name for column in found.key] == ["ltv", "id"]
    assert [column.name for column in found.columns][:2] == ["ltv", "id"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"mappings": {"x": "phone"}}, "unknown-field"),
        ({"mappings": {"x": "Email"}}, "unknown-field"),
        ({"match": {"phone": "x"}}, "unknown-field"),
        ({"key": "uid"}, "unknown-field"),
        ({"mappings": {"id": "email"}}, "sync-mappings"),
        ({"mappings": {"x": "email"}, "match": {"ltv": "x"}}, "sync-mappings"),
    ],
)
def test_what_does_not_fit(options: dict[str, Any], code: str) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        layout(**options)
    assert caught.value.code == code
    if options == {"mappings": {"x": "Email"}}:
        assert "'email'" in caught.value.hint


def test_a_column_that_is_used_must_be_unique() -> None:
    twice = [*DESCRIBED, ("email", "VARCHAR")]
    with pytest.raises(wcdc.ModelError) as caught:
        layout(twice)
    assert caught.value.code == "model-ambiguous-column"
    assert layout(twice, mappings={"worth": "ltv"}).fields == (("id", "id"), ("ltv", "worth"))


@pytest.mark.parametrize(
    "kind", ["FLOAT", "DOUBLE", "JSON", "TIME", "BLOB", "INTEGER[]", "STRUCT(a INTEGER)", "INTERVAL"]
)
def test_d1_types_that_are_no_key(kind: str) -> None:
    with pytest.raises(wcdc.ModelError) as caught:
        layout([("id", kind)])
    assert caught.value.code == "model-key-type" and "ast it to" in caught.value.hint


# -- D7: the mapping's version ---------------------------------------------------------------------

BASE: dict[str, Any] = {"mappings": {"mail": "email", "worth": "ltv"}}


def with_type(column: str, kind: str) -> list[tuple[str, str]]:
    return [(name, kind if name == column else old) for name, old in DESCRIBED]


@pytest.mark.parametrize(
    "same",
    [
        {"described": list(reversed(DESCRIBED))},
        {"described": [*DESCRIBED, ("new", "INTEGER")]},
        {"described": DESCRIBED[:3]},
        {"described": with_type("ltv", "BIGINT")},
        {"described": with_type("ltv", "DOUBLE")},
        {"described": with_type("ltv", "DECIMAL(30,9)")},
        {"mappings": {"worth": "ltv", "mail": "email"}},
        {"version": "2"},
        {"mode": "insert"},
        {"on_removed": "delete"},
        {"match": {"id": "id"}},
    ],
)
def test_d7_what_leaves_the_mappings_version(same: dict[str, Any]) -> None:
    assert layout(**{**BASE, **same}).mapping_version == layout(**BASE).mapping_version


@pytest.mark.parametrize(
    "other",
    [
        {"mappings": {"e_mail": "email", "worth": "ltv"}},
        {"mappings": {"mail": "email"}},
        {"mappings": {"mail": "email", "worth": "ltv", "town": "city"}},
        {"mappings": {"mail": "ltv", "worth": "email"}},
        {"match": {"id": "uid"}},
        {"match": {"email": "mail"}},
        {"described": with_type("ltv", "VARCHAR")},
        {"described": with_type("email", "DATE")},
        {"described": with_type("email", "BOOLEAN")},
        {"described": with_type("email", "JSON")},
        {"described": with_type("email", "BLOB")},
    ],
)
def test_d7_what_is_a_new_version(other: dict[str, Any]) -> None:
    assert layout(**{**BASE, **other}).mapping_version != layout(**BASE).mapping_version


def test_d6_the_fingerprints_version_follows_engine_dialect_columns_and_types() -> None:
    first = layout(**BASE).fingerprint_version
    assert layout(**BASE, described=[*DESCRIBED, ("new", "INTEGER")]).fingerprint_version == first
    others = [
        layout(**BASE, version="2"),
        layout(**BASE, described=with_type("ltv", "BIGINT")),
        layout(**BASE, described=with_type("ltv", "DECIMAL(11,2)")),
        layout(mappings={"mail": "email"}),
    ]
    assert first not in {other.fingerprint_version for other in others}


# -- types -----------------------------------------------------------------------------------------

PRINTED = {
    "duckdb": {
        "integer": ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "UBIGINT", "UHUGEINT"],
        "decimal": ["DECIMAL(18,3)", "DECIMAL(38,0)"],
        "float": ["FLOAT", "DOUBLE"],
        "text": ["VARCHAR"],
        "uuid": ["UUID"],
        "boolean": ["BOOLEAN"],
        "date": ["DATE"],
        "time": ["TIME"],
        "timestamp": ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"],
        "timestamptz": ["TIMESTAMP WITH TIME ZONE"],
        "binary": ["BLOB"],
        "json": ["JSON"],
        "nested": ["INTEGER[]", "VARCHAR[3]", "STRUCT(a INTEGER)", "MAP(VARCHAR, INTEGER)"],
        "other": ["INTERVAL", "ENUM('a', 'b')", "BIT", "TIME WITH TIME ZONE", "UNION(a INTEGER)"],
    },
    "postgres": {
        "integer": ["smallint", "integer", "bigint"],
        "decimal": ["numeric", "numeric(12,2)"],
        "float": ["real", "double precision"],
        "text": ["text", "character varying", "character varying(20)", "character(5)"],
        "uuid": ["uuid"],
        "boolean": ["boolean"],
        "date": ["date"],
        "time": ["time without time zone", "time(3) without time zone"],
        "timestamp": ["timestamp without time zone", "timestamp(3) without time zone"],
        "timestamptz": ["timestamp with time zone", "timestamp(0) with time zone"],
        "binary": ["bytea"],
        "json": ["json", "jsonb"],
        "nested": ["integer[]", "text[]", "record", "timestamp with time zone[]"],
        "money": ["money"],
        "other": [
            "interval", "inet", "cidr", "macaddr", "bit(4)", "bit varying", "xml", "tsvector", "point",
            "int4range", "daterange", "tstzrange", "datemultirange", "time with time zone", "oid", "name",
            '"char"', "jsonpath", "citext", "hstore", "textual", "booleanish", "uuidish", "pg_lsn",
        ],
    },
    "bigquery": {
        "integer": ["INT64", "INTEGER", "BIGINT", "INT"],
        "decimal": ["NUMERIC", "NUMERIC(12, 2)", "BIGNUMERIC", "BIGNUMERIC(60, 30)", "DECIMAL", "BIGDECIMAL"],
        "float": ["FLOAT64"],
        "text": ["STRING", "STRING(20)"],
        "boolean": ["BOOL", "BOOLEAN"],
        "date": ["DATE"],
        "time": ["TIME"],
        "timestamp": ["DATETIME"],
        "timestamptz": ["TIMESTAMP"],
        "binary": ["BYTES", "BYTES(16)"],
        "json": ["JSON"],
        "nested": ["ARRAY<INT64>", "STRUCT<a INT64, `b c` ARRAY<STRUCT<x JSON>>>", "STRUCT<INT64, STRING>"],
        "other": ["GEOGRAPHY", "INTERVAL", "RANGE<DATE>", "TIMESTAMP(12)"],
    },
    "spark": {
        "integer": ["tinyint", "smallint", "int", "bigint"],
        "decimal": ["decimal(12,2)", "DECIMAL(38, 0)"],
        "float": ["float", "double"],
        "text": ["string", "string collate UNICODE_CI", "varchar(20)", "char(5)"],
        "boolean": ["boolean"],
        "date": ["date"],
        "timestamp": ["timestamp_ntz"],
        "timestamptz": ["timestamp"],
        "binary": ["binary"],
        "json": ["variant"],
        "nested": ["array<int>", "map<string,array<variant>>", "struct<`a b`:int,c:timestamp_ntz>"],
        "other": ["void", "interval day to second", "interval month", "time(6)", "geometry(4326)"],
    },
    "databricks": {
        "integer": ["INT", "BIGINT"],
        "text": ["STRING", "STRING COLLATE UNICODE_CI"],
        "timestamp": ["TIMESTAMP_NTZ"],
        "timestamptz": ["TIMESTAMP"],
        "json": ["VARIANT"],
        "nested": ["STRUCT<a: INT>"],
        "other": ["VOID", "GEOGRAPHY(4326)"],
    },
    "trino": {
        "integer": ["tinyint", "smallint", "integer", "bigint"],
        "decimal": ["decimal(12, 2)", "decimal(38, 0)"],
        "float": ["real", "double"],
        "text": ["varchar", "varchar(20)", "char(5)"],
        "uuid": ["uuid"],
        "boolean": ["boolean"],
        "date": ["date"],
        "time": ["time(0)", "time(6)", "time(9)"],
        "timestamp": ["timestamp(3)", "timestamp(6)", "timestamp(12)", "TIMESTAMP"],
        "timestamptz": ["timestamp(3) with time zone", "timestamp(9) with time zone"],
        "binary": ["varbinary"],
        "json": ["json"],
        "nested": ["array(integer)", "map(varchar, uuid)", 'row(a integer, "b c" time(3) with time zone)'],
        "other": [
            "time(3) with time zone", "INTERVAL DAY TO SECOND", "INTERVAL YEAR TO MONTH", "ipaddress",
            "unknown", "HyperLogLog", "number",
        ],
    },
    "snowflake": {
        "integer": ["NUMBER(38, 0)", "NUMBER(4, 0)", "BIGINT", "INT", "DECIMAL"],
        "decimal": ["NUMBER(12, 2)", "DECIMAL(38, 37)"],
        "float": ["FLOAT", "DOUBLE", "REAL"],
        "text": ["VARCHAR", "VARCHAR(20)", "TEXT", "CHAR(5)"],
        "boolean": ["BOOLEAN"],
        "date": ["DATE"],
        "time": ["TIME(9)", "TIME(0)", "TIME"],
        "timestamp": ["TIMESTAMP_NTZ(9)", "TIMESTAMP_NTZ(3)", "TIMESTAMPNTZ", "DATETIME"],
        "timestamptz": ["TIMESTAMP_LTZ(9)", "TIMESTAMP_TZ(6)", "TIMESTAMP(3) WITH TIME ZONE"],
        "binary": ["BINARY", "VARBINARY"],
        "json": ["VARIANT", "JSON"],
        "nested": ["OBJECT", "ARRAY", "MAP(VARCHAR, NUMBER)", "VECTOR(FLOAT, 3)", "GEOGRAPHY", "GEOMETRY"],
        "other": ["FILE", "INTERVAL YEAR TO MONTH", "TYPE 21"],
    },
    "redshift": {
        "integer": ["smallint", "integer", "bigint"],
        "decimal": ["numeric(12,2)"],
        "float": ["real", "double precision"],
        "text": ["character varying(256)", "character(5)", "VARCHAR(65535)"],
        "boolean": ["boolean"],
        "date": ["date"],
        "time": ["time without time zone"],
        "timestamp": ["timestamp without time zone"],
        "timestamptz": ["timestamp with time zone"],
        "binary": ["varbyte", "binary varying(64)"],
        "json": ["super"],
        "other": ["geometry", "hllsketch", "interval day to second", "time with time zone"],
    },
    "synapse": {
        "integer": ["tinyint", "smallint", "int", "bigint"],
        "decimal": ["decimal(12,2)", "numeric(38,0)", "money", "smallmoney"],
        "float": ["real", "float"],
        "text": ["varchar(20)", "nvarchar(max)", "char(5)", "nchar(5)", "sysname"],
        "uuid": ["uniqueidentifier"],
        "boolean": ["bit"],
        "date": ["date"],
        "time": ["time(7)", "time(0)"],
        "timestamp": ["datetime", "smalldatetime", "datetime2(7)", "datetime2(0)"],
        "timestamptz": ["datetimeoffset(7)"],
        "binary": ["binary(8)", "varbinary(max)", "timestamp"],
        "other": ["xml", "sql_variant", "geography"],
    },
    "fabric": {
        "integer": ["smallint", "int", "bigint"],
        "decimal": ["decimal(12,2)"],
        "float": ["real", "float"],
        "text": ["varchar(20)", "varchar(max)", "char(5)"],
        "uuid": ["uniqueidentifier"],
        "boolean": ["bit"],
        "date": ["date"],
        "time": ["time(6)"],
        "timestamp": ["datetime2(6)"],
        "binary": ["varbinary(8)", "varbinary(max)"],
        "other": ["geography"],
    },
}  # fmt: skip
PRINTED |= {name: PRINTED["postgres"] for name in ("greenplum", "lakebase")}
PRINTED["snowflake_iceberg"] = PRINTED["snowflake"]
PRINTED["athena"] = PRINTED["trino"]
PRINTED["presto"] = {
    **PRINTED["trino"],
    "time": ["time"],
    "timestamp": ["timestamp"],
    "timestamptz": ["timestamp with time zone"],
    "nested": ["array(integer)", "map(varchar,uuid)", 'row("a" integer,"b c" timestamp with time zone)'],
    "other": ["time with time zone", "interval day to second", "ipaddress", "unknown", "HyperLogLog"],
}


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_types_as_the_engine_prints_them(name: str) -> None:
    dialect = get_dialect(name)
    for kind, names in PRINTED[name].items():
        for printed in names:
            assert dialect.column_type(printed).kind == kind, printed
    assert set(PRINTED[name]) <= set(FAMILIES) and set(FAMILIES) >= KEY_KINDS


AS_TEXT = {"json", "time", "timestamp"}
"""Families of which there are values that some dialect keeps as text, but which are more than that."""


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_is_stored_has_a_kind_that_travels(name: str) -> None:
    dialect = get_dialect(name)
    for names in PRINTED[name].values():
        for printed in names:
            _sql, stored = dialect.stored("x", dialect.column_type(printed))
            is_text = stored.name == dialect.text_type and FAMILIES[stored.kind] in AS_TEXT
            in_utc = stored.kind == "timestamptz" and stored.name.startswith("DATETIME2")
            assert stored.kind != "other"
            assert is_text or in_utc or dialect.column_type(stored.name).kind == stored.kind


def pairs(dialect: Dialect, name: str) -> list[tuple[ColumnType, ColumnType]]:
    names = [printed for names in PRINTED[name].values() for printed in names]
    stored = {dialect.stored("x", dialect.column_type(printed))[1] for printed in names}
    return [(left, right) for left in stored for right in stored]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_any_two_types_have_a_common_one(name: str) -> None:
    dialect = get_dialect(name)
    for left, right in pairs(dialect, name):
        common = dialect.common_type(left, right)
        assert common == dialect.common_type(right, left)
        assert left != right or common == left
        assert dialect.converted("x", left, common)
        if common.kind == "text":
            assert common.name == dialect.text_type or left.kind == right.kind == "text"


def places(kind: ColumnType) -> tuple[int, int]:
    """Digits before and after the point of a decimal whose name says so; of others, more than any has."""
    digits = [int(number) for number in re.findall(r"\d+", kind.name)]
    if kind.kind != "decimal" or len(digits) != 2:
        return 99, 99
    return digits[0] - digits[1], digits[1]


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_d6_what_two_decimals_have_in_common_keeps_all_their_digits(name: str) -> None:
    dialect = get_dialect(name)
    word = "NUMBER" if name.startswith("snowflake") else "NUMERIC" if name == "bigquery" else "DECIMAL"
    sizes = [(38, 0), (20, 15), (12, 2), (38, 20), (9, 9)]
    kinds = [dialect.column_type(f"{word}({precision},{scale})") for precision, scale in sizes]
    for left, right in product(kinds, kinds):
        common = places(dialect.common_type(left, right))
        assert all(common[i] >= max(places(left)[i], places(right)[i]) for i in (0, 1))


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        ("INTEGER", "DECIMAL(12,2)", "DECIMAL(12,2)"),
        ("BIGINT", "DECIMAL(12,2)", "DECIMAL(21,2)"),
        ("DECIMAL(12,2)", "DECIMAL(10,6)", "DECIMAL(16,6)"),
        ("DECIMAL(38,10)", "BIGINT", "DECIMAL(38,10)"),
        ("DECIMAL(38,0)", "DECIMAL(10,2)", "VARCHAR"),
        ("HUGEINT", "DECIMAL(10,2)", "VARCHAR"),
        ("INTEGER", "BIGINT", "HUGEINT"),
        ("UINTEGER", "DECIMAL(4,2)", "DECIMAL(13,2)"),
        ("DOUBLE", "DECIMAL(10,2)", "VARCHAR"),
    ],
)
def test_d6_numbers_of_duckdb_keep_all_their_digits(left: str, right: str, common: str) -> None:
    dialect = get_dialect("duckdb")
    assert dialect.common_type(dialect.column_type(left), dialect.column_type(right)).name == common


# -- offline ---------------------------------------------------------------------------------------

SCHEMA = {"sales.people": {"id": "bigint", "email": "text", "ltv": "numeric(10, 2)", "at": "timestamp"}}


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_columns_and_types_are_derived_offline(name: str) -> None:
    dialect = get_dialect(name)
    model = wcdc.Model(
        "m",
        sql="with p as (select * from sales.people) "
        "select id, upper(email) as mail, ltv * 2 as twice, count(*) over () as n from p",
        primary_key="id",
    )
    described = describe_offline(model, read_model(model, dialect), dialect, SCHEMA)
    # Snowflake's names are in upper case unless they are quoted.
    kinds = [(column.lower(), dialect.column_type(printed).kind) for column, printed in described]
    assert {column.isupper() for column, _printed in described} == {dialect.sqlglot == "snowflake"}
    assert kinds == [("id", "integer"), ("mail", "text"), ("twice", "decimal"), ("n", "integer")]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from elsewhere",
        "select phone as id from sales.people",
        "select f(id) as id from sales.people",
        "select null as id",
    ],
)
@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_cannot_be_derived_is_an_error_that_says_so(name: str, sql: str) -> None:
    dialect = get_dialect(name)
    model = wcdc.Model("m", sql=sql, primary_key="id")
    if name == "bigquery" and sql == "select null as id":
        return  # there it is an INT64
    with pytest.raises(wcdc.ModelError) as caught:
        describe_offline(model, read_model(model, dialect), dialect, SCHEMA)
    assert caught.value.code == "model-columns" and "schema" in caught.value.hint
