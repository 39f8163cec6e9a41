"""Large batches on PostgreSQL: copied, and nothing else about them differs from small ones."""

from __future__ import annotations

import contextlib
import random
import re
import time
import traceback
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from tests.destinations.databases import PostgresDatabase
from tests.destinations.proxy import COMMIT, Proxy
from tests.destinations.support import make_batch, make_context, reasons, send
from tests.destinations.test_postgres import settle
from warehouse_cdc.destinations import Batch, SqlTable, postgres_copy, sqlalchemy_table
from warehouse_cdc.destinations.postgres_copy import COPY_ROWS
from warehouse_cdc.errors import DestinationError
from warehouse_cdc.mapping.values import tagged

SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string())])
MANY = COPY_ROWS
ROWS = [(number, f"u{number}") for number in range(MANY)]
TEMPORARY = "pg_temp.wcdc_rows"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that rows were copied into, in order; "refused" where the server refused a row."""
    tables: list[str] = []
    real = sqlalchemy_table.copy

    def copy(connection: sa.Connection, table: str, *rest: Any) -> None:
        tables.append(table.rpartition(".")[2].strip('"') if table != TEMPORARY else table)
        try:
            real(connection, table, *rest)
        except sa.exc.SQLAlchemyError:
            tables[-1] = "refused"
            raise

    monkeypatch.setattr(sqlalchemy_table, "copy", copy)
    return tables


@pytest.fixture
def users(postgres: PostgresDatabase) -> PostgresDatabase:
    postgres.run("CREATE TABLE users (id bigint PRIMARY KEY, email text, note text DEFAULT 'kept')")
    return postgres


def content(database: PostgresDatabase, table: str = "users") -> list[tuple[Any, ...]]:
    return database.rows(f"SELECT id, email FROM {table} ORDER BY id, email")


@contextlib.contextmanager
def without_copy() -> Iterator[None]:
    """A block in which every batch is too small to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlalchemy_table, "COPY_ROWS", 10**9)
        yield


# -- modes, each sent twice -----------------------------------------------------------------------


def test_upsert(users: PostgresDatabase, copied: list[str]) -> None:
    context = make_context(SCHEMA)
    writer = users.table("users").open(context)
    assert writer.write(make_batch(context, ROWS)) == {}
    assert copied == ["users"] and content(users) == ROWS
    # A repeat, as after an answer that was lost; from then on the table is known to have records.
    assert writer.write(make_batch(context, [(number, "again") for number, _email in ROWS])) == {}
    assert copied == ["users", "refused", TEMPORARY]
    more = [(number + MANY // 2, "more") for number in range(MANY)]
    assert writer.write(make_batch(context, more)) == {}
    assert copied[3:] == [TEMPORARY]
    changed = [(number, "changed") for number in range(MANY)]
    assert writer.write(make_batch(context, changed, "changed")) == {}
    assert copied[4:] == [TEMPORARY]
    assert content(users) == [*changed, *more[MANY // 2 :]]
    assert users.rows("SELECT DISTINCT note FROM users") == [("kept",)]
    writer.close()


def test_upsert_of_repeated_match_values_keeps_one_and_rejects_none(
    users: PostgresDatabase, copied: list[str]
) -> None:
    assert send(users.table("users"), make_context(SCHEMA), [*ROWS, (7, "twice")]) == {}
    assert copied == ["refused", TEMPORARY]
    assert [row[0] for row in content(users)] == list(range(MANY))


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_insert(postgres: PostgresDatabase, copied: list[str], key: str) -> None:
    postgres.run(f"CREATE TABLE users (id bigint {key}, email text)")
    context = make_context(SCHEMA, mode="insert")
    assert send(postgres.table("users"), context, ROWS) == {}
    assert copied == (["users"] if key else [TEMPORARY])
    del copied[:]
    more = [*((number, "again") for number in range(MANY)), (MANY, "b"), (MANY, "twice")]
    assert send(postgres.table("users"), context, more) == {}
    assert copied == (["refused", TEMPORARY] if key else [TEMPORARY])
    assert content(postgres) == [*ROWS, (MANY, "b")]


def test_archive(postgres: PostgresDatabase, copied: list[str]) -> None:
    postgres.run("CREATE TABLE users (id bigint, email text)")
    for times in (1, 2):
        assert send(postgres.table("users"), make_context(SCHEMA, mode="archive"), ROWS) == {}
        assert content(postgres) == [row for row in ROWS for _ in range(times)]
    assert copied == ["users", "users"]


def test_mirror(users: PostgresDatabase, copied: list[str]) -> None:
    users.run("INSERT INTO users VALUES (1, 'old'), (-1, 'gone')")
    context = make_context(SCHEMA, mode="mirror")
    writer = users.table("users").open(context)
    assert writer.write(make_batch(context, ROWS)) == {}
    assert len(copied) == 1 and copied[0].startswith("users__wcdc_")
    # A match value twice in one table: the rows differ, so it isn't a repeat.
    more = [(number + MANY - 1, "x") for number in range(MANY)]
    other = make_batch(context, more, ids=[f"x{number}" for number in range(MANY)])
    assert reasons(writer, other).keys() == {0}
    writer.publish("added")
    writer.close()
    assert content(users) == [*ROWS, *more[1:]]


def test_update(postgres: PostgresDatabase, copied: list[str]) -> None:
    postgres.run("CREATE TABLE users (id bigint, email text)")
    postgres.run(f"INSERT INTO users SELECT i, 'old' FROM generate_series(0, {MANY}) i")
    postgres.run("DELETE FROM users WHERE id IN (5, 17)")
    context = make_context(SCHEMA, mode="update")
    for _ in range(2):
        # A record is matched by two rows: both are applied, as is either order.
        found = send(postgres.table("users"), context, [*ROWS, (8, "u8"), (-1, "nobody")], "changed")
        assert found == dict.fromkeys((5, 17, MANY + 1), "no record matches")
        assert content(postgres) == [row for row in [*ROWS, (MANY, "old")] if row[0] not in (5, 17)]
    assert copied == [TEMPORARY, TEMPORARY]


def test_delete_and_clear(users: PostgresDatabase, copied: list[str]) -> None:
    users.run(f"INSERT INTO users SELECT i, 'old' FROM generate_series(0, {MANY}) i")
    removed = [(number + 1, "whatever") for number in range(MANY)]
    for _ in range(2):
        assert send(users.table("users"), make_context(SCHEMA, on_removed="clear"), removed, "removed") == {}
        assert content(users) == [(0, "old"), *((number + 1, None) for number in range(MANY))]
    for _ in range(2):
        assert send(users.table("users"), make_context(SCHEMA, on_removed="delete"), removed, "removed") == {}
        assert content(users) == [(0, "old")]
    assert copied == [TEMPORARY] * 4


def test_upsert_of_nothing_but_the_match(users: PostgresDatabase, copied: list[str]) -> None:
    context = make_context(pa.schema([("id", pa.int64())]))
    for _ in range(2):
        assert send(users.table("users"), context, [(number,) for number in range(MANY)]) == {}
    assert copied == ["users", "refused", TEMPORARY]
    assert users.rows("SELECT count(*), min(note) FROM users") == [(MANY, "kept")]


def test_a_small_batch_and_a_repeated_one_are_not_copied(users: PostgresDatabase, copied: list[str]) -> None:
    context = make_context(SCHEMA)
    writer = users.table("users").open(context)
    assert writer.write(make_batch(context, ROWS[1:])) == {}
    again = make_batch(context, ROWS).take(range(MANY), attempt=2)
    assert writer.write(again) == {}
    assert copied == [] and content(users) == ROWS
    writer.close()


# -- the same rows either way ---------------------------------------------------------------------

TEXTS = [
    "\n\\.\n", "", " ", "a", '"', '""', "'", ",", "\\", "\\.", "\\N", "NULL", "null", "\n", "\r", "\r\n",
    "\t", "a\nb", 'x"y,z\n', "ü€😀", "\u2028", "\ufeff", "\x01\x7f", "\\u0000", "{1}", "x" * 100_000,
]  # fmt: skip
DOCUMENTS = [
    "{}", "[]", "null", "1.50", '"text"', '""', '{"b": 1, "a": [1, 2.0, null]}', '{"a": "\\n\\"\\\\ ü"}',
    '"\\ud83d\\ude00"', "123456789012345678901234567890.10", ' {"spaced" :  true }\n', '{"a":1,"a":2}',
]  # fmt: skip
FLOATS = [
    0.0,
    -0.0,
    1.0,
    0.1,
    -1e-7,
    1e22,
    100000.0,
    1.5e300,
    5e-324,
    float("nan"),
    float("inf"),
    -float("inf"),
]
NARROW = [0.0, -0.0, 0.1, 1e-7, 3.4e38, 16777216.0, float("nan"), float("inf")]
UUID = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"
PAIR = pa.struct([("a", pa.int32()), ("b", pa.string())])
DAY = 86_400
SECONDS = [0, -1, 1, 951_782_400, -62_135_596_800, 253_402_300_799]
LONG = [253_402_300_800, -62_135_596_801, -62_200_000_000, 2**43]
DECIMALS = ["0", "1.50", "-12345678901234567890.1234567", "0.0000001", "99999999"]

CASES: list[tuple[str, Any, list[Any], str]] = [
    ("bigint", pa.int64(), [0, -(2**63), 2**63 - 1], "direct"),
    ("smallint", pa.int8(), [0, -128, 127], "direct"),
    ("numeric", pa.uint64(), [0, 2**64 - 1], "direct"),
    ("text", pa.int32(), [0, -5], "direct"),
    ("jsonb", pa.int32(), [0, -5], "direct"),
    ("boolean", pa.bool_(), [True, False], "direct"),
    ("text", pa.bool_(), [True, False], "direct"),
    ("json", pa.bool_(), [True, False], "direct"),
    ("double precision", pa.float64(), FLOATS, "direct"),
    ("double precision", pa.float32(), NARROW, "direct"),
    ("real", pa.float32(), NARROW, "direct"),
    ("real", pa.float64(), [0.0, 0.1, 1 / 3, -0.0, float("nan")], "direct"),
    ("numeric", pa.float64(), FLOATS, "direct"),
    ("numeric(9,2)", pa.float64(), [0.0, 1.005, -2.675, 100000.0, float("nan")], "direct"),
    ("text", pa.float64(), FLOATS, "direct"),
    ("jsonb", pa.float64(), FLOATS, "direct"),
    ("int", pa.float64(), [0.0, 1.0, 2.5, 3.5, -0.5, 100000.0], "temporary"),
    ("int", pa.decimal128(9, 1), [Decimal("2.5"), Decimal("-0.5"), Decimal("7.0")], "temporary"),
    ("bigint", pa.decimal128(38, 0), [Decimal(2**63 - 1), Decimal(0), Decimal(-7)], "direct"),
    ("numeric", pa.decimal128(38, 7), [Decimal(text) for text in DECIMALS], "direct"),
    ("numeric(38,7)", pa.decimal256(60, 7), [Decimal(text) for text in DECIMALS], "direct"),
    ("double precision", pa.decimal128(38, 7), [Decimal(text) for text in DECIMALS], "direct"),
    ("text", pa.decimal128(38, 7), [Decimal(text) for text in DECIMALS], "direct"),
    ("jsonb", pa.decimal128(38, 7), [Decimal(text) for text in DECIMALS], "direct"),
    ("numeric", "decimal", [*DECIMALS, "NaN", "1E+30", "1e-30", "-0"], "direct"),
    ("bigint", "decimal", ["0", "1.5", "-2.5", "1E3"], "temporary"),
    ("text", "decimal", [*DECIMALS, "NaN"], "direct"),
    ("text", pa.string(), TEXTS, "direct"),
    ("text", pa.large_string(), TEXTS, "direct"),
    ("varchar", pa.string(), TEXTS, "direct"),
    ("char(6)", pa.string(), ["", "ab", "ab  ", "abcdef      "], "direct"),
    ("varchar(3)", pa.string(), ["", "ab", "abc   "], "direct"),
    ("bigint", pa.string(), ["0", " 7 ", "-5"], "direct"),
    ("timestamptz", pa.string(), ["2024-02-29 12:00+05", "infinity", "0044-03-15 BC"], "direct"),
    ("int[]", pa.string(), ["{1,2}", "{}", "{NULL}"], "direct"),
    ("pair", pa.string(), ['(1,"x y")', "(,)"], "direct"),
    ("mood", pa.string(), ["ok", "bad"], "direct"),
    ("inet", pa.string(), ["10.0.0.1/8", "::1"], "direct"),
    ("bytea", pa.string(), ["\\x00ff", "abc", "\\\\"], "direct"),
    ("price", pa.decimal128(8, 2), [Decimal("1.50"), Decimal("0.01")], "direct"),
    ("text", pa.dictionary(pa.int32(), pa.string()), TEXTS, "direct"),
    ("jsonb", "json", DOCUMENTS, "direct"),
    ("json", "json", DOCUMENTS, "direct"),
    ("text", "json", DOCUMENTS, "direct"),
    ("jsonb", pa.string(), DOCUMENTS, "direct"),
    ("jsonb[]", "json", ['[{"a": 1}, null]', "[]"], "none"),
    ("pair", "json", ['{"a": 1, "b": "x"}'], "none"),
    ("uuid", pa.string(), [UUID, UUID.lower(), f"{{{UUID}}}", UUID.replace("-", "")], "direct"),
    ("uuid", pa.binary(16), [bytes(16), bytes(range(16))], "direct"),
    ("bytea", pa.binary(), [b"", b"\0", bytes(range(256)), b'"\n\\.\n'], "direct"),
    ("text", pa.binary(), [b"", b"\0a", b"abc"], "direct"),
    ("jsonb", pa.binary(), [b"", b"\0a", b"abc"], "direct"),
    ("bytea[]", pa.list_(pa.binary()), [[b"\0a", None], []], "none"),
    ("int[]", pa.list_(pa.int64()), [[1, None], []], "none"),
    ("text", pa.list_(pa.string()), [["a", None, '"'], []], "direct"),
    ("jsonb", pa.list_(pa.float64()), [[0.1, float("nan"), None], []], "direct"),
    ("json", PAIR, [{"a": 1, "b": 'x"\n'}, {"a": None, "b": ""}], "direct"),
    ("pair", PAIR, [{"a": 1, "b": "x y"}], "none"),
    ("date", pa.date32(), [second // DAY for second in SECONDS], "direct"),
    ("date", pa.date32(), [2_932_897, -719_163, -719_900, 5_000_000], "direct"),
    ("text", pa.date32(), [second // DAY for second in (*SECONDS, *LONG[:2])], "direct"),
    ("jsonb", pa.date32(), [second // DAY for second in SECONDS], "direct"),
    ("date", pa.date64(), [second // DAY * DAY * 1000 for second in SECONDS], "direct"),
    ("timestamp", pa.timestamp("s"), SECONDS, "direct"),
    ("timestamp", pa.timestamp("ms"), [second * 1000 + 7 for second in SECONDS], "direct"),
    ("timestamp", pa.timestamp("us"), [second * 10**6 + 123_456 for second in SECONDS], "direct"),
    ("timestamp", pa.timestamp("ns"), [1_001, 1_499, 1_500, 2_500, -1, -1_501], "direct"),
    ("timestamp", pa.timestamp("us", "UTC"), [second * 10**6 + 1 for second in SECONDS], "direct"),
    ("timestamp", pa.timestamp("s"), LONG, "direct"),
    ("timestamptz", pa.timestamp("us"), [second * 10**6 + 1 for second in SECONDS], "direct"),
    ("timestamptz", pa.timestamp("us", "UTC"), [second * 10**6 + 1 for second in SECONDS], "direct"),
    ("timestamptz", pa.timestamp("ns", "Asia/Kolkata"), [0, 1_500, -1], "direct"),
    ("timestamptz", pa.timestamp("s", "UTC"), LONG, "direct"),
    ("date", pa.timestamp("us", "UTC"), [second * 10**6 for second in SECONDS], "direct"),
    ("timestamptz", pa.date32(), [0, 1, -1], "direct"),
    ("text", pa.timestamp("us"), [second * 10**6 + 1 for second in SECONDS], "direct"),
    ("json", pa.timestamp("us", "UTC"), [second * 10**6 + 1 for second in SECONDS], "direct"),
    ("time", pa.time64("us"), [0, 1, DAY * 10**6 - 1], "direct"),
    ("time", pa.time32("s"), [0, 1, DAY - 1], "direct"),
    ("interval", pa.duration("us"), [0, -90_000_000, 1], "direct"),
    ("interval", pa.month_day_nano_interval(), [pa.MonthDayNano([14, 3, 5_500_000_000])], "direct"),
    ("text", pa.null(), [None], "direct"),
]  # fmt: skip


@pytest.mark.parametrize(("sql_type", "kind", "values", "way"), CASES)
def test_values(
    postgres: PostgresDatabase, copied: list[str], sql_type: str, kind: Any, values: list[Any], way: str
) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('ok', 'bad')")
    postgres.run("CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0)")
    postgres.run("CREATE TYPE pair AS (a int, b text)")
    postgres.run("SET extra_float_digits = 3")
    field = tagged("x", kind) if isinstance(kind, str) else pa.field("x", kind)
    schema = pa.schema([pa.field("id", pa.int64()), field])
    context, found = make_context(schema), {}
    first = [(number, [*values, None][number % (len(values) + 1)]) for number in range(MANY)]
    second = [(number, value) for (number, _), (_, value) in zip(first, [*first[1:], first[0]], strict=True)]
    for table in ("copies", "statements"):
        postgres.run(f"CREATE TABLE {table} (id bigint PRIMARY KEY, x {sql_type})")
        # No value may depend on the session's zone.
        url = f"{postgres.url}?options=-ctimezone%3DAsia/Kolkata"
        writer = SqlTable(url, f"{postgres.schema}.{table}").open(context)
        for rows, operation in ((first, "added"), (second, "changed")):
            with without_copy() if table == "statements" else contextlib.nullcontext():
                assert reasons(writer, make_batch(context, rows, operation)) == {}
            found[table, operation] = postgres.rows(f"SELECT id, x::text, x IS NULL FROM {table} ORDER BY id")
        writer.close()
    for operation in ("added", "changed"):
        assert found["copies", operation] == found["statements", operation]
        assert sum(row[2] for row in found["copies", operation]) < MANY or values == [None]
    expected = {"direct": ["copies", TEMPORARY], "temporary": [TEMPORARY] * 2, "none": []}
    assert copied == expected[way]


@pytest.mark.parametrize("seed", range(4))
def test_many_columns_of_many_types(postgres: PostgresDatabase, copied: list[str], seed: int) -> None:
    dice = random.Random(seed)
    own = ("mood", "price", "pair")
    columns = [case for case in CASES if case[3] == "direct" and case[0] not in own and len(case[2]) > 1]
    columns = dice.sample(columns, 25)
    fields = [
        tagged(f"c{at}", kind) if isinstance(kind, str) else pa.field(f"c{at}", kind)
        for at, (_type, kind, _values, _way) in enumerate(columns)
    ]
    context = make_context(pa.schema([pa.field("id", pa.int64()), *fields]))
    pools = [
        [None, *(value for value in values if value != TEXTS[-1])] for _type, _kind, values, _way in columns
    ]
    rows = [(number, *map(dice.choice, pools)) for number in range(MANY)]
    for table in ("copies", "statements"):
        definitions = ", ".join(f"c{at} {case[0]}" for at, case in enumerate(columns))
        postgres.run(f"CREATE TABLE {table} (id bigint PRIMARY KEY, {definitions})")
        with without_copy() if table == "statements" else contextlib.nullcontext():
            assert send(postgres.table(table), context, rows) == {}
    assert copied == ["copies"]
    texts = ", ".join(f"c{at}::text" for at in range(len(columns)))
    shown = [
        postgres.rows(f"SELECT id, {texts} FROM {table} ORDER BY id") for table in ("copies", "statements")
    ]
    assert shown[0] == shown[1] and len(shown[0]) == MANY


def test_a_batch_in_several_pieces(users: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_copy, "_PIECE", 1000)
    context = make_context(SCHEMA)
    batch = make_batch(context, ROWS)
    writer = users.table("users").open(context)
    slots = writer._statements.fields("upsert")  # type: ignore[attr-defined]
    pieces = postgres_copy.csv_pieces(batch, slots, (), {})
    assert pieces is not None and len(pieces) > 5
    for operation in ("added", "changed"):
        assert writer.write(make_batch(context, ROWS, operation)) == {}
        assert content(users) == ROWS
    # A row that is refused in the last piece takes the pieces before it back.
    more = [*((MANY + number, "x") for number in range(MANY)), (9999, "\0")]
    assert reasons(writer, make_batch(context, more)).keys() == {MANY}
    assert content(users) == [*ROWS, *more[:-1]]
    writer.close()


def test_another_encoding_of_the_client(users: PostgresDatabase, copied: list[str]) -> None:
    table = SqlTable(f"{users.url}?client_encoding=latin1", f"{users.schema}.users")
    rows = [(number, f"ü{number}") for number in range(MANY)]
    assert send(table, make_context(SCHEMA), rows) == {}
    assert copied == ["users"] and content(users) == rows


def test_names_that_need_quotes(postgres: PostgresDatabase, copied: list[str]) -> None:
    name = 'a"b %s :x'
    quoted = '"' + name.replace('"', '""') + '"'
    postgres.run(f"CREATE TABLE users (id bigint PRIMARY KEY, {quoted} text)")
    context = make_context(pa.schema([("id", pa.int64()), (name, pa.string())]))
    for operation in ("added", "changed"):
        assert send(postgres.table("users"), context, ROWS, operation) == {}
        assert postgres.rows(f"SELECT id, {quoted} FROM users ORDER BY id") == ROWS
    assert copied == ["users", TEMPORARY]


# -- rows that are refused ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["insert", "upsert", "archive", "mirror", "update"])
def test_bad_rows_cost_only_themselves(postgres: PostgresDatabase, copied: list[str], mode: str) -> None:
    schema = pa.schema([("id", pa.int64()), ("email", pa.string()), ("score", pa.int64())])
    context = make_context(schema, mode=mode)
    rows: list[tuple[Any, ...]] = [(number, f"u{number}", number) for number in range(MANY)]
    rows[3] = (3, "bad", -1)
    rows[50] = (50, "too large", 2**40)
    rows[77] = (77, "nul \0", 1)
    rows[78] = (78, "x" * 21, 1)
    rows[100] = (None, "no key", 1)
    rows[MANY - 1] = (MANY - 1, "u1", 5)
    found = []
    for table in ("copies", "statements"):
        postgres.run(
            f"CREATE TABLE {table} (id bigint PRIMARY KEY, email varchar(20) CONSTRAINT e_{table} UNIQUE, "
            "score int CONSTRAINT positive CHECK (score >= 0))"
        )
        if mode == "update":
            postgres.run(f"INSERT INTO {table} SELECT i, 'old' || i, 0 FROM generate_series(0, 1000) i")
        with without_copy() if table == "statements" else contextlib.nullcontext():
            refused = send(postgres.table(table), context, rows)
        found.append(
            {at: re.sub(f"{table}(__wcdc_[0-9a-f]*_[0-9a-f]*)?", "…", told) for at, told in refused.items()}
        )
        assert found[-1].keys() == {3, 50, 77, 78, 100, MANY - 1}
    assert found[0] == found[1]
    columns = "id, email, score"
    assert postgres.rows(f"SELECT {columns} FROM copies EXCEPT SELECT {columns} FROM statements") == []
    if mode != "mirror":
        written = postgres.rows("SELECT count(*) FROM copies WHERE email LIKE 'u%'")
        assert (
            written == postgres.rows("SELECT count(*) FROM statements WHERE email LIKE 'u%'") == [(MANY - 6,)]
        )


def test_a_refused_value_among_records_of_the_table(users: PostgresDatabase, copied: list[str]) -> None:
    users.run("ALTER TABLE users ADD CHECK (email <> 'bad')")
    users.run("INSERT INTO users VALUES (1, 'old')")
    context = make_context(SCHEMA)
    writer = users.table("users").open(context)
    assert writer.write(make_batch(context, ROWS)) == {}
    assert reasons(writer, make_batch(context, [*ROWS[:-1], (MANY, "bad")])).keys() == {MANY - 1}
    writer.close()
    assert copied == ["refused", TEMPORARY, TEMPORARY]
    assert content(users) == ROWS


@pytest.mark.parametrize("operation", ["added", "changed", "removed"])
def test_null_in_a_match_field(users: PostgresDatabase, copied: list[str], operation: str) -> None:
    users.run("INSERT INTO users VALUES (0, 'old')")
    context = make_context(SCHEMA, on_removed="delete")
    found = send(users.table("users"), context, [(None, "x"), *ROWS], operation)
    assert found == ({} if operation == "removed" else {0: "the match field 'id' is NULL"})
    assert content(users) == ([] if operation == "removed" else ROWS) and copied == []


def test_a_removed_row_with_a_former_type(users: PostgresDatabase, copied: list[str]) -> None:
    users.run("INSERT INTO users VALUES (7, 'old'), (9999, 'stays')")
    context = make_context(SCHEMA, on_removed="delete")
    batch = make_batch(context, ROWS, "removed")
    texts = batch.arrow.column("id").cast(pa.string())
    former = batch.arrow.set_column(0, pa.field("id", pa.string()), texts)
    writer = users.table("users").open(context)
    other = Batch(context, "removed", former, batch.row_ids, batch.key_runs)
    assert writer.write(other) == {}
    writer.close()
    assert copied == [] and content(users) == [(9999, "stays")]


def test_triggers_and_deferred_constraints(users: PostgresDatabase, copied: list[str]) -> None:
    users.run(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.id = 2 THEN RAISE 'no twos'; END IF; NEW.email = upper(NEW.email); RETURN NEW; END $$"
    )
    users.run("CREATE TRIGGER shout BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION shout()")
    users.run("ALTER TABLE users ADD parent bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED")
    schema = pa.schema([("id", pa.int64()), ("email", pa.string()), ("parent", pa.int64())])
    # Children before their parents, which COPY takes as any statement does.
    later = [(1000 + number, "a", 1001 + number if number < MANY - 1 else None) for number in range(MANY)]
    assert send(users.table("users"), make_context(schema), later) == {}
    assert copied == ["users"]
    rows = [(number, "a", None) for number in range(MANY)]
    rows[450] = (450, "orphan", 9999)
    assert send(users.table("users"), make_context(schema), rows) == {
        2: "no twos",
        450: 'insert or update on table "users" violates foreign key constraint "users_parent_fkey"',
    }
    assert copied == ["users", "refused"]
    assert users.rows("SELECT count(*), min(email), max(email) FROM users") == [(2 * MANY - 2, "A", "A")]


# -- tables and users that COPY doesn't suit ------------------------------------------------------


def test_views_rules_and_row_security(users: PostgresDatabase, copied: list[str]) -> None:
    users.run("CREATE VIEW seen AS SELECT id, email FROM users")
    assert send(users.table("seen"), make_context(SCHEMA, mode="insert"), ROWS) == {}
    assert copied == [TEMPORARY] and content(users) == ROWS
    users.run("CREATE TABLE ruled (id bigint PRIMARY KEY, email text)")
    users.run("CREATE RULE away AS ON INSERT TO ruled WHERE NEW.id < 100 DO INSTEAD NOTHING")
    assert send(users.table("ruled"), make_context(SCHEMA, mode="archive"), ROWS) == {}
    assert content(users, "ruled") == ROWS[100:]
    users.run("DROP ROLE IF EXISTS copier")
    users.run("CREATE ROLE copier LOGIN")
    users.run("CREATE TABLE secured (id bigint PRIMARY KEY, email text)")
    users.run("ALTER TABLE secured ENABLE ROW LEVEL SECURITY")
    users.run("CREATE POLICY even ON secured USING (true) WITH CHECK (id >= 0)")
    users.run(f"GRANT USAGE ON SCHEMA {users.schema} TO copier")
    users.run("GRANT SELECT, INSERT, UPDATE ON secured TO copier")
    table = SqlTable(users.url.replace("postgres@", "copier@", 1), f"{users.schema}.secured")
    assert send(table, make_context(SCHEMA), ROWS) == {}
    assert content(users, "secured") == ROWS
    assert "secured" not in copied and "ruled" not in copied
    users.run("DROP OWNED BY copier")
    users.run("DROP ROLE copier")


def test_a_user_without_temporary_tables(users: PostgresDatabase, copied: list[str]) -> None:
    users.run("DROP ROLE IF EXISTS copier")
    users.run("CREATE ROLE copier LOGIN")
    users.run(f"GRANT USAGE ON SCHEMA {users.schema} TO copier")
    users.run("GRANT INSERT (id, email), SELECT, UPDATE, DELETE ON users TO copier")
    users.run("REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC")
    try:
        table = SqlTable(users.url.replace("postgres@", "copier@", 1), f"{users.schema}.users")
        context = make_context(SCHEMA, on_removed="delete")
        for operation in ("added", "added", "changed"):
            assert send(table, context, ROWS, operation) == {}
            assert content(users) == ROWS
        assert copied == ["users", "refused"]
        assert send(table, context, ROWS, "removed") == {} and content(users) == []
    finally:
        users.run("GRANT TEMPORARY ON DATABASE postgres TO PUBLIC")
        users.run("DROP OWNED BY copier")
        users.run("DROP ROLE copier")


def test_partitions(postgres: PostgresDatabase, copied: list[str]) -> None:
    postgres.run("CREATE TABLE users (id bigint PRIMARY KEY, email text) PARTITION BY RANGE (id)")
    postgres.run(f"CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO ({MANY - 1})")
    assert send(postgres.table("users"), make_context(SCHEMA), ROWS).keys() == {MANY - 1}
    assert send(postgres.table("users"), make_context(SCHEMA, mode="insert"), ROWS[:-1]) == {}
    assert copied == ["refused"] and content(postgres) == ROWS[:-1]
    postgres.run("TRUNCATE users")
    assert send(postgres.table("users"), make_context(SCHEMA), [*ROWS[1:-1], (0, "u0"), (0, "twice")]) == {}
    assert copied == ["refused", "refused", TEMPORARY] and len(content(postgres)) == MANY - 1
    postgres.run("TRUNCATE users")
    postgres.run(f"CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM ({MANY - 1}) TO (9999)")
    assert send(postgres.table("users"), make_context(SCHEMA), ROWS) == {}
    assert copied[3:] == ["users"] and content(postgres) == ROWS


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("options", [{}, {"isolation_level": "AUTOCOMMIT"}])
def test_engines_of_the_caller(
    users: PostgresDatabase, copied: list[str], driver: str, options: dict[str, Any]
) -> None:
    pytest.importorskip(driver)
    engine = sa.create_engine(users.url.replace("postgresql:", f"postgresql+{driver}:"), **options)
    table = SqlTable(engine, f"{users.schema}.users")
    for operation in ("added", "changed"):
        assert send(table, make_context(SCHEMA), [*ROWS, (9999, "100 % ü")], operation) == {}
    assert copied == ["users", TEMPORARY] and content(users) == [*ROWS, (9999, "100 % ü")]
    more = [(MANY + number, "x") for number in range(MANY)]
    more[9] = (9, "\0")
    assert send(table, make_context(SCHEMA), more).keys() == {9}
    assert len(content(users)) == 2 * MANY
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


# -- connections that break -----------------------------------------------------------------------


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("operation", ["added", "changed"])
@pytest.mark.parametrize("text", [b"COPY ", b"u497", COMMIT])
def test_connection_lost(
    users: PostgresDatabase, copied: list[str], driver: str, operation: str, text: bytes
) -> None:
    pytest.importorskip(driver)
    context = make_context(SCHEMA)
    with Proxy(users.url, text, "drop") as proxy:
        proxy.armed = False
        url = proxy.url.replace("postgresql:", f"postgresql+{driver}:")
        writer = SqlTable(url, f"{users.schema}.users").open(context)
        proxy.armed = True
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS, operation))
        assert caught.value.retryable and caught.value.outcome_unknown is (text == COMMIT)
        assert len(copied) == 1, "the batch must not be sent another way"
        assert "u497" not in "".join(traceback.format_exception(caught.value))
        settle(users, [])
        # The same writer goes on with another connection.
        assert writer.write(make_batch(context, ROWS, operation)) == {}
        assert content(users) == ROWS
        writer.close()


@pytest.mark.parametrize("mode", ["insert", "upsert", "mirror"])
def test_connection_lost_after_the_commit(users: PostgresDatabase, mode: str) -> None:
    context = make_context(SCHEMA, mode=mode)
    with Proxy(users.url, COMMIT, "lose") as proxy:
        proxy.armed = False
        writer = SqlTable(proxy.url, f"{users.schema}.users").open(context)
        proxy.armed = True
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
        assert caught.value.outcome_unknown
        if mode != "mirror":
            settle(users, ROWS)
        assert writer.write(make_batch(context, ROWS).take(range(MANY), attempt=2)) == {}
        if mode == "mirror":
            writer.publish("added")
        writer.close()
    assert content(users) == ROWS


@pytest.mark.parametrize("text", [b"COPY ", COMMIT])
def test_a_server_that_does_not_answer(users: PostgresDatabase, text: bytes) -> None:
    context = make_context(SCHEMA, batch_timeout=3.0)
    with Proxy(users.url, text, "hang") as proxy:
        proxy.armed = False
        writer = SqlTable(proxy.url, f"{users.schema}.users").open(context)
        proxy.armed = True
        began = time.monotonic()
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
        assert time.monotonic() - began < 3.0
        assert caught.value.retryable and caught.value.outcome_unknown is (text == COMMIT)
        writer.close()


def test_a_right_that_is_taken_away(users: PostgresDatabase) -> None:
    users.run("DROP ROLE IF EXISTS copier")
    users.run("CREATE ROLE copier LOGIN")
    users.run(f"GRANT USAGE ON SCHEMA {users.schema} TO copier")
    users.run("GRANT INSERT, SELECT, UPDATE ON users TO copier")
    context = make_context(SCHEMA)
    table = SqlTable(users.url.replace("postgres@", "copier@", 1), f"{users.schema}.users")
    writer = table.open(context)
    users.run("REVOKE INSERT ON users FROM copier")
    with pytest.raises(DestinationError) as caught:
        writer.write(make_batch(context, ROWS))
    assert caught.value.code == "permission-denied" and not caught.value.retryable
    writer.close()
    users.run("DROP OWNED BY copier")
    users.run("DROP ROLE copier")
