"""What holds on both databases."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.destinations.databases import Database, DuckDatabase
from tests.destinations.support import make_batch, make_context, reasons, send
from warehouse_cdc.destinations import SqlTable
from warehouse_cdc.errors import ConfigError, DestinationError, UnsupportedError
from warehouse_cdc.mapping.values import tagged

SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string()), ("score", pa.int64())])
LATER = "01J9Z3M5T8Q2W4E6R8T0Y1U3I6"


def users(database: Database, key: str = "PRIMARY KEY") -> None:
    database.run(f"CREATE TABLE users (id bigint {key}, email text, score int, note text DEFAULT 'kept')")


def content(database: Database) -> list[tuple[Any, ...]]:
    return database.rows("SELECT id, email, score FROM users ORDER BY id, email")


# -- modes, each sent twice -----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["PRIMARY KEY", ""])
def test_insert_adds_what_is_not_there(database: Database, key: str) -> None:
    users(database, key)
    database.run("INSERT INTO users (id, email, score) VALUES (1, 'old', 1)")
    context = make_context(SCHEMA, mode="insert")
    for _ in range(2):
        rows = [(1, "new", 2), (2, "b", 3), (2, "twice", 3), (3, None, None)]
        assert send(database.table("users"), context, rows) == {}
        assert content(database) == [(1, "old", 1), (2, "b", 3), (3, None, None)]
    assert database.rows("SELECT DISTINCT note FROM users") == [("kept",)]


def test_upsert_adds_and_changes(database: Database) -> None:
    users(database)
    database.run("INSERT INTO users VALUES (1, 'old', 1, 'mine')")
    context = make_context(SCHEMA, mode="upsert")
    for _ in range(2):
        assert send(database.table("users"), context, [(1, "new", 2), (2, "b", 3)]) == {}
        assert content(database) == [(1, "new", 2), (2, "b", 3)]
    assert database.rows("SELECT note FROM users ORDER BY id") == [("mine",), ("kept",)]
    assert send(database.table("users"), context, [(2, None, 9)], "changed") == {}
    assert content(database)[1] == (2, None, 9)


def test_upsert_of_repeated_match_values_keeps_one(database: Database) -> None:
    users(database)
    assert send(database.table("users"), make_context(SCHEMA), [(1, "a", 1), (1, "b", 2), (2, "c", 3)]) == {}
    (first, second) = content(database)
    assert first in [(1, "a", 1), (1, "b", 2)] and second == (2, "c", 3)


def test_upsert_of_nothing_but_the_match(database: Database) -> None:
    users(database)
    schema = pa.schema([("id", pa.int64())])
    for _ in range(2):
        assert send(database.table("users"), make_context(schema), [(1,), (2,)]) == {}
    assert database.rows("SELECT id, note FROM users ORDER BY id") == [(1, "kept"), (2, "kept")]


def test_update_changes_only_what_is_there(database: Database) -> None:
    users(database, "")
    database.run("INSERT INTO users (id, email, score) VALUES (1, 'a', 1), (3, 'c', 3), (3, 'cc', 3)")
    context = make_context(SCHEMA, mode="update")
    for _ in range(2):
        rows = [(1, "x", 5), (2, "y", 6), (3, "z", 7), (1, "x", 5)]
        assert send(database.table("users"), context, rows) == {1: "no record matches"}
        assert content(database) == [(1, "x", 5), (3, "z", 7), (3, "z", 7)]


def test_clear(database: Database) -> None:
    users(database)
    database.run("INSERT INTO users VALUES (1, 'a', 1, 'mine'), (2, 'b', 2, 'kept')")
    context = make_context(SCHEMA, on_removed="clear")
    for _ in range(2):
        assert send(database.table("users"), context, [(1, "a", 1), (9, "x", 0)], "removed") == {}
        assert content(database) == [(1, None, None), (2, "b", 2)]
    assert database.rows("SELECT note FROM users WHERE id = 1") == [("mine",)]
    only_key = make_context(pa.schema([("id", pa.int64())]), on_removed="clear")
    assert send(database.table("users"), only_key, [(2,)], "removed") == {}


# -- mirror ---------------------------------------------------------------------------------------


def test_mirror(database: Database) -> None:
    users(database)
    database.run("INSERT INTO users VALUES (1, 'old', 1, 'mine'), (5, 'e', 5, 'kept')")
    context = make_context(SCHEMA, mode="mirror")
    table = database.table("users")
    assert table.publishes("mirror") and not table.publishes("upsert")
    table.check(context)
    writer = table.open(context)
    assert len(database.tables()) == 2
    assert writer.write(make_batch(context, [(1, "new", 1), (2, "b", 2)], ids=["1", "2"])) == {}
    assert reasons(writer, make_batch(context, [(3, "c", 3), (1, "again", 4)], ids=["3", "1b"])).keys() == {1}
    assert content(database) == [(1, "old", 1), (5, "e", 5)]
    assert table.published(context, "added") is False
    writer.publish("added")
    assert content(database) == [(1, "new", 1), (2, "b", 2), (3, "c", 3)]
    assert table.published(context, "added") is True
    writer.publish("added")
    assert len(content(database)) == 3
    writer.close()
    assert database.tables() == ["users"]
    assert table.published(context, "added") is None
    assert database.rows("SELECT DISTINCT note FROM users") == [("kept",)]
    assert send(table, make_context(SCHEMA), [(3, "still upserts", 3)]) == {}


def test_mirror_drops_leftovers_of_its_own_sync(database: Database) -> None:
    users(database)
    database.run("CREATE TABLE users__wcdc_mine (id int)")
    crashed = [
        database.table("users").open(make_context(SCHEMA, mode="mirror", sync_id=sync)) for sync in "ab"
    ]
    assert len(database.tables()) == 4
    database.table("users").open(make_context(SCHEMA, mode="mirror", sync_id="a", run_id=LATER)).close()
    assert len(database.tables()) == 3 and "users__wcdc_mine" in database.tables()
    crashed[1].close()
    with pytest.raises(DestinationError):
        crashed[0].publish("added")  # its staging table is gone
    assert content(database) == []


def test_mirror_refuses_a_table_that_others_refer_to(database: Database) -> None:
    users(database)
    database.run("CREATE TABLE orders (id int PRIMARY KEY, user_id bigint REFERENCES users (id))")
    with pytest.raises(ConfigError, match="orders") as caught:
        database.table("users").check(make_context(SCHEMA, mode="mirror"))
    assert caught.value.code == "mirror-referenced"


def test_mirror_of_a_long_name(database: Database) -> None:
    name = "ü" * 30
    database.run(f'CREATE TABLE "{name}" (id bigint PRIMARY KEY, email text, score int)')
    writer = database.table(f'"{name}"').open(make_context(SCHEMA, mode="mirror"))
    writer.write(make_batch(writer._context, [(1, "a", 1)]))  # type: ignore[attr-defined]
    writer.publish("added")
    writer.close()
    assert database.rows(f'SELECT id FROM "{name}"') == [(1,)]


# -- rows that are refused ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["insert", "upsert", "archive", "mirror"])
def test_bad_rows_cost_only_themselves(database: Database, mode: str) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, email varchar, score int CHECK (score >= 0))")
    rows = [(number, f"u{number}", number) for number in range(100)]
    rows[17] = (17, "bad", -1)
    rows[50] = (50, "too large", 2**40)
    rows[99] = (99, "bad", -5)
    found = send(database.table("users"), make_context(SCHEMA, mode=mode), rows)
    assert found.keys() == {17, 50, 99}
    assert all(found.values())
    if mode != "mirror":
        assert [row[0] for row in content(database)] == [at for at in range(100) if at not in found]


def test_bad_rows_of_an_update(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, email varchar, score int CHECK (score >= 0))")
    database.run("INSERT INTO users (id, email, score) VALUES (0, 'a', 0), (1, 'b', 0), (2, 'c', 0)")
    found = send(
        database.table("users"),
        make_context(SCHEMA, mode="update"),
        [(0, "x", 1), (1, "y", -1), (7, "z", 1), (2, "w", 2)],
    )
    assert found.keys() == {1, 2} and found[2] == "no record matches"
    assert content(database) == [(0, "x", 1), (1, "b", 0), (2, "w", 2)]


def test_every_row_is_bad(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, score int)")
    rows = [(number, None, 1) for number in range(20)]
    assert len(send(database.table("users"), make_context(SCHEMA), rows)) == 20
    assert content(database) == []


def test_a_value_that_is_unique_elsewhere(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, email text UNIQUE, score int)")
    database.run("INSERT INTO users (id, email, score) VALUES (1, 'a', 1)")
    for mode in ("upsert", "insert"):
        found = send(database.table("users"), make_context(SCHEMA, mode=mode), [(2, "a", 2), (3, "c", 3)])
        assert found.keys() == {0}
        assert content(database) == [(1, "a", 1), (3, "c", 3)]


@pytest.mark.parametrize(
    ("mode", "operation"),
    [("insert", "added"), ("upsert", "added"), ("update", "changed"), ("upsert", "removed")],
)
def test_null_in_a_match_field(database: Database, mode: str, operation: str) -> None:
    users(database)
    context = make_context(SCHEMA, mode=mode, on_removed="delete" if operation == "removed" else "nothing")
    database.run("INSERT INTO users (id, email, score) VALUES (1, 'a', 1)")
    found = send(database.table("users"), context, [(None, "x", 1), (1, "b", 2)], operation)
    # There never was a record for it, so that one is removed.
    assert found == ({} if operation == "removed" else {0: "the match field 'id' is NULL"})
    assert content(database) == (
        []
        if operation == "removed"
        else [(1, "a" if mode == "insert" else "b", 1 if mode == "insert" else 2)]
    )


def test_an_empty_batch(database: Database) -> None:
    users(database)
    assert send(database.table("users"), make_context(SCHEMA), []) == {}


# -- check ----------------------------------------------------------------------------------------


def refusal(database: Database, name: str = "users", **changes: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        database.table(name).check(make_context(SCHEMA, **changes))
    with pytest.raises(ConfigError):
        database.table(name).open(make_context(SCHEMA, **changes))
    return caught.value


def test_check_finds_the_table(database: Database) -> None:
    error = refusal(database, "nosuch")
    assert error.code == "unknown-table" and "nosuch" in error.message


def test_check_finds_the_fields(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, e_mail text)")
    error = refusal(database)
    assert error.code == "unknown-field"
    assert "'email'" in error.message and "'score'" in error.message and "'e_mail'" in error.hint


def test_check_finds_fields_that_need_a_value(database: Database) -> None:
    database.run(
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, score int, "
        "a int NOT NULL, b int NOT NULL DEFAULT 1)"
    )
    for mode in ("insert", "upsert", "archive", "mirror"):
        error = refusal(database, mode=mode)
        assert error.code == "required-field" and "'a'" in error.message and "'b'" not in error.message
    database.table("users").check(make_context(SCHEMA, mode="update"))


def test_check_finds_generated_fields(database: Database) -> None:
    stored = "STORED" if database.name == "postgresql" else ""
    database.run(
        "CREATE TABLE users (id bigint PRIMARY KEY, email text, "
        f"score bigint GENERATED ALWAYS AS (id + 1) {stored})"
    )
    assert refusal(database).code == "generated-field"


@pytest.mark.parametrize("key", ["", "PRIMARY KEY (id, email)", "UNIQUE (email)"])
def test_upsert_needs_a_unique_key_on_the_match(database: Database, key: str) -> None:
    database.run(f"CREATE TABLE users (id bigint, email text, score int{', ' + key if key else ''})")
    error = refusal(database)
    assert error.code == "no-unique-key" and "CREATE UNIQUE INDEX" in error.hint
    database.run(error.hint.partition(";")[0])
    assert send(database.table("users"), make_context(SCHEMA), [(1, "a", 1)]) == {}


def test_a_composite_match_in_any_order(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint, email text, score int, UNIQUE (email, id))")
    context = make_context(SCHEMA, match=("id", "email"))
    for score in (1, 2):
        assert send(database.table("users"), context, [(1, "a", score), (1, "b", score)]) == {}
    assert content(database) == [(1, "a", 2), (1, "b", 2)]


def test_clear_needs_fields_that_take_null(database: Database) -> None:
    database.run("CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, score int)")
    assert refusal(database, on_removed="clear").code == "clear-not-null"


def test_update_needs_something_to_update(database: Database) -> None:
    users(database)
    with pytest.raises(ConfigError, match="update"):
        database.table("users").check(make_context(pa.schema([("id", pa.int64())]), mode="update"))


# -- names and values -----------------------------------------------------------------------------

HOSTILE = [
    "select",
    'quo"te',
    "a b",
    "100%s",
    ":bind",
    "::x",
    "x:y",
    "back\\:slash",
    "%(a)s",
    "{b}",
    "ü",
    "?",
    "a'b",
    "$1",
]


def test_hostile_names(database: Database) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    table = 'ta":ble %s.x'
    columns = ", ".join(f"{quoted(name)} text" for name in HOSTILE)
    database.run(f"CREATE TABLE {quoted(table)} ({columns}, PRIMARY KEY ({quoted(HOSTILE[0])}))")
    schema = pa.schema([(name, pa.string()) for name in HOSTILE])
    target = database.table(quoted(table))
    row = tuple(f"{name} value" for name in HOSTILE)
    for mode in ("insert", "upsert", "update", "archive", "mirror"):
        context = make_context(schema, mode=mode)
        if mode == "archive":
            database.run(f"DELETE FROM {quoted(table)}")
        target.check(context)
        writer = target.open(context)
        assert writer.write(make_batch(context, [row])) == {}
        if mode == "mirror":
            writer.publish("added")
        writer.close()
        assert database.rows(f"SELECT * FROM {quoted(table)}") == [row]
    for on_removed, left in (("clear", [(row[0], *[None] * (len(row) - 1))]), ("delete", [])):
        assert send(target, make_context(schema, on_removed=on_removed), [row], "removed") == {}
        assert database.rows(f"SELECT * FROM {quoted(table)}") == left


VALUES: list[tuple[str, str, Any, list[Any]]] = [
    ("text", "text", pa.string(), ["", " a ", "x'\"\\n\n", "{1}", "null", "ü😀", "\\u0000", None]),
    ("bigint", "bigint", pa.int64(), [2**63 - 1, -(2**63), 0, None]),
    ("boolean", "boolean", pa.bool_(), [True, False, None]),
    (
        "numeric(38, 5)",
        "decimal(38, 5)",
        pa.decimal128(38, 5),
        [Decimal("9" * 33 + ".12345"), Decimal("-0.00001")],
    ),
    (
        "double precision",
        "double",
        pa.float64(),
        [1e308, 5e-324, 0.1, -0.0, float("inf"), float("-inf"), None],
    ),
    ("bytea", "blob", pa.binary(), [b"", b"\0\xff\\x", None]),
]


@pytest.mark.parametrize(("postgres_type", "duckdb_type", "kind", "values"), VALUES)
def test_values(
    database: Database, postgres_type: str, duckdb_type: str, kind: pa.DataType, values: list[Any]
) -> None:
    sql_type = postgres_type if database.name == "postgresql" else duckdb_type
    database.run(f"CREATE TABLE v (id bigint PRIMARY KEY, x {sql_type})")
    schema = pa.schema([("id", pa.int64()), ("x", kind)])
    assert send(database.table("v"), make_context(schema), list(enumerate(values))) == {}
    read = [row[0] for row in database.rows("SELECT x FROM v ORDER BY id")]
    assert list(map(repr, map(plain, read))) == list(map(repr, values))


def plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


def test_nan(database: Database) -> None:
    database.run("CREATE TABLE v (id bigint PRIMARY KEY, x double precision)")
    schema = pa.schema([("id", pa.int64()), ("x", pa.float64())])
    assert send(database.table("v"), make_context(schema), [(1, float("nan"))]) == {}
    assert database.rows("SELECT CAST(x AS text) FROM v")[0][0].lower() == "nan"


def test_times(database: Database) -> None:
    database.run(
        "CREATE TABLE v (id bigint PRIMARY KEY, z timestamp with time zone, n timestamp, d date, t time, "
        "zn timestamp, nz timestamp with time zone, zt text)"
    )
    zoned, naive = pa.timestamp("us", "America/New_York"), pa.timestamp("us")
    kinds = [pa.int64(), zoned, naive, pa.date32(), pa.time64("us"), zoned, naive, zoned]
    schema = pa.schema(list(zip(["id", "z", "n", "d", "t", "zn", "nz", "zt"], kinds, strict=True)))
    at = 1709802306_078900
    late, early = 253402300800_000000 + 3_600_000000, -62167219200_000000 + 1
    rows = [(1, at, at, 19789, 1_000001, at, at, at), (2, late, late, 2932897, None, late, late, at)]
    rows += [(3, early, early, -719528, 0, early, early, at), (4, *[None] * 7)]
    assert send(database.table("v"), make_context(schema), rows) == {}
    micros_of = "EXTRACT(epoch FROM {}) * 1000000" if database.name == "postgresql" else "epoch_us({})"
    columns = ", ".join(f"CAST({micros_of.format(name)} AS bigint)" for name in ("z", "n", "zn", "nz"))
    read = database.rows(f"SELECT {columns} FROM v WHERE id < 4 ORDER BY id")
    for (_, micros, *_rest), found in zip(rows, read, strict=False):
        assert found == (micros,) * 4
    days = "d - DATE '1970-01-01'"
    assert database.rows(f"SELECT {days} FROM v ORDER BY id") == [(19789,), (2932897,), (-719528,), (None,)]
    assert database.rows("SELECT CAST(t AS text) FROM v WHERE id = 1") == [("00:00:01.000001",)]
    ((text,),) = database.rows("SELECT zt FROM v WHERE id = 1")
    assert text.replace("T", " ").startswith("2024-03-07 09:05:06.0789")


def test_json_and_arrays(database: Database) -> None:
    postgres = database.name == "postgresql"
    json_type = "jsonb" if postgres else "json"
    database.run(
        f"CREATE TABLE v (id bigint PRIMARY KEY, tagged {json_type}, plain {json_type}, nested {json_type}, "
        "list text[], tagged_list bigint[], text text)"
    )
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            tagged("tagged", "json"),
            pa.field("plain", pa.string()),
            pa.field("nested", pa.struct([("a", pa.int32()), ("b", pa.list_(pa.string()))])),
            pa.field("list", pa.list_(pa.string())),
            tagged("tagged_list", "json"),
            tagged("text", "json"),
        ]
    )
    rows = [
        (
            1,
            '{"a": 1.0000000000000000000001}',
            "[1]",
            {"a": 1, "b": ["x", None]},
            ["a", "", None, '"'],
            "[1, 2]",
            "[3]",
        ),
        (2, '"text"', "{}", None, [], "null", None),
        (3, None, "not json", None, None, None, None),
        (4, '{"a"', "{}", None, None, None, None),
        (5, "1}, {", "{}", None, None, "1}, {", None),
    ]
    found = send(database.table("v"), make_context(schema), rows)
    assert found.keys() == {2, 3, 4}
    as_text = "tagged::text, plain::text, nested::text" if postgres else "tagged, plain, nested"
    first, second = database.rows(f"SELECT {as_text}, list, tagged_list, text FROM v ORDER BY id")
    # DuckDB keeps the text, PostgreSQL the number.
    assert first[0].replace(" ", "") == '{"a":1.0000000000000000000001}'
    assert first[2].replace(" ", "") == '{"a":1,"b":["x",null]}'
    assert first[1:2] + first[3:] == ("[1]", ["a", "", None, '"'], [1, 2], "[3]")
    assert second[:2] == ('"text"', "{}") and second[3] == [] and second[4] is None


def test_unbounded_decimals(database: Database) -> None:
    unbounded = "numeric" if database.name == "postgresql" else "decimal(38, 10)"
    database.run(f"CREATE TABLE v (id bigint PRIMARY KEY, d {unbounded}, n int, t text)")
    schema = pa.schema([pa.field("id", pa.int64()), *(tagged(name, "decimal") for name in "dnt")])
    rows = [(1, "12345678901234567890.0123456789", "2.0", "1.50"), (2, "1", "many", "2")]
    assert send(database.table("v"), make_context(schema), rows).keys() == {1}
    assert database.rows("SELECT d, n, t FROM v") == [(Decimal(rows[0][1]), 2, "1.50")]


def test_numbers_between_types(database: Database) -> None:
    database.run("CREATE TABLE v (id bigint PRIMARY KEY, a int, b text, c double precision, d bigint)")
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("a", pa.float64()),
            ("b", pa.int64()),
            ("c", pa.decimal128(5, 2)),
            ("d", pa.string()),
        ]
    )
    rows = [(1, 2.0, 7, Decimal("1.50"), "12"), (2, float("nan"), 7, None, "12"), (3, 1.0, 7, None, "twelve")]
    assert send(database.table("v"), make_context(schema), rows).keys() == {1, 2}
    assert database.rows("SELECT a, b, c, d FROM v") == [(2, "7", 1.5, 12)]


def test_large_text(database: Database) -> None:
    users(database)
    rows = [(number, str(number) * 12_000_000, 1) for number in range(1, 5)]
    assert send(database.table("users"), make_context(SCHEMA), rows) == {}
    assert database.rows("SELECT length(email) FROM users") == [(12_000_000,)] * 4


# -- concurrency and declaration ------------------------------------------------------------------


def test_several_threads(database: Database) -> None:
    users(database)
    context = make_context(SCHEMA)
    writer = database.table("users").open(context)
    batches = [
        make_batch(context, [(base + at, f"u{at}", at) for at in range(100)]) for base in range(0, 2000, 100)
    ]
    failures: list[Any] = []

    def work(mine: list[Any]) -> None:
        try:
            failures.extend(outcome for batch in mine for outcome in [writer.write(batch)] if outcome)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(batches[index::8],)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert failures == [] and database.rows("SELECT count(*), count(DISTINCT id) FROM users") == [
        (2000, 2000)
    ]


def test_create(database: Database) -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("i", pa.uint16()),
            pa.field("u", pa.uint64()),
            pa.field("f", pa.float32()),
            pa.field("n", pa.decimal128(10, 2)),
            pa.field("b", pa.binary()),
            pa.field("at", pa.timestamp("us", "UTC")),
            pa.field("d", pa.date32()),
            tagged("j", "json"),
            tagged("digits", "decimal"),
            pa.field("l", pa.list_(pa.int32())),
            pa.field("s", pa.struct([("a", pa.int32())])),
        ]
    )
    context = make_context(schema)
    row = ("k", 65535, 2**64 - 1, 0.5, Decimal("1.50"), b"x", 0, 0, "{}", "1.5", [1], {"a": 1})
    table = database.table("made", create=True)
    table.check(context)
    assert database.tables() == []
    for _ in range(2):
        assert send(table, context, [row]) == {}
    assert database.rows("SELECT id, i, u, n FROM made") == [("k", 65535, 2**64 - 1, Decimal("1.50"))]


def test_create_needs_the_schema(database: Database) -> None:
    where = database.url if database.name == "postgresql" else database.connection
    table = SqlTable(where, "nosuch.users", create=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="schema"):
        table.check(make_context(SCHEMA))


@pytest.mark.parametrize("name", ["", ".", "a.", ".a", 'a."b', '"a"b', "a.b.c.d", "a\0b", '""'])
def test_bad_table_names(database: Database, name: str) -> None:
    where = database.url if database.name == "postgresql" else database.connection
    with pytest.raises(ConfigError):
        SqlTable(where, name)  # type: ignore[arg-type]


def test_names_show_no_secrets() -> None:
    table = SqlTable("postgresql://me:hunter2@db.internal:5432/crm", "public.users")
    assert table.name == "postgresql: public.users"
    assert repr(table) == "SqlTable(postgresql: public.users)"
    assert SqlTable("duckdb:///x.duckdb", "t").name == "duckdb: t"


@pytest.mark.parametrize(
    "where", ["mysql://me:hunter2@h/d", "sqlite:///x", "postgresql+asyncpg://me:hunter2@h/d"]
)
def test_other_databases(where: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        SqlTable(where, "t")
    assert "hunter2" not in str(caught.value) and "psycopg" in caught.value.hint + "psycopg"


@pytest.mark.parametrize(
    "where", ["", "hunter2", "postgresql//me:hunter2@h", "duckdb://", "duckdb:///", 5, None]
)
def test_urls_that_cannot_be_read(where: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        SqlTable(where, "t")
    assert "hunter2" not in str(caught.value)


# -- DuckDB alone ---------------------------------------------------------------------------------


@pytest.fixture
def duck(tmp_path: Any) -> Any:
    made = DuckDatabase(tmp_path)
    yield made
    made.close()


def test_duckdb_names_ignore_case(duck: DuckDatabase) -> None:
    duck.run("CREATE TABLE Users (ID bigint PRIMARY KEY, Email text, SCORE int)")
    assert send(duck.table("USERS"), make_context(SCHEMA), [(1, "a", 1)]) == {}
    assert content(duck) == [(1, "a", 1)]
    twice = pa.schema([("id", pa.int64()), ("ID", pa.int64())])
    with pytest.raises(ConfigError, match="case"):
        duck.table("users").check(make_context(twice))


def test_duckdb_connections_with_another_current_schema(duck: DuckDatabase) -> None:
    duck.run("CREATE SCHEMA s")
    duck.run("CREATE TABLE s.users (id bigint PRIMARY KEY, email text, score int)")
    for name in ("s.users", "destination.s.users"):
        assert send(SqlTable(duck.connection, name), make_context(SCHEMA), [(1, "a", 1)]) == {}
    duck.run("USE s")
    assert send(SqlTable(duck.connection, "users"), make_context(SCHEMA), [(2, "b", 2)]) == {}
    assert [row[0] for row in content(duck)] == [1, 2]
    duck.run("SELECT 1")  # the connection is still the caller's


def test_duckdb_file_that_does_not_exist(tmp_path: Any) -> None:
    table = SqlTable(f"duckdb:///{tmp_path}/no.duckdb", "users")
    with pytest.raises(ConfigError, match="doesn't exist"):
        table.check(make_context(SCHEMA))
    assert list(tmp_path.iterdir()) == []


def test_duckdb_session_time_zone_does_not_matter(duck: DuckDatabase) -> None:
    duck.run("SET TimeZone = 'Asia/Tokyo'")
    duck.run("CREATE TABLE v (id bigint PRIMARY KEY, a timestamp, b timestamptz)")
    schema = pa.schema([("id", pa.int64()), ("a", pa.timestamp("us", "UTC")), ("b", pa.timestamp("us"))])
    assert send(SqlTable(duck.connection, "v"), make_context(schema), [(1, 0, 0)]) == {}
    assert duck.rows("SELECT epoch_us(a), epoch_us(b) FROM v") == [(0, 0)]


def test_duckdb_transactions_that_meet_are_retryable(duck: DuckDatabase) -> None:
    users(duck)
    duck.run("INSERT INTO users (id, email, score) VALUES (1, 'a', 1)")
    context = make_context(SCHEMA)
    writer = SqlTable(duck.connection, "users").open(context)
    other = duck.connection.cursor()
    other.execute("BEGIN")
    other.execute("UPDATE users SET email = 'theirs' WHERE id = 1")
    with pytest.raises(DestinationError) as caught:
        writer.write(make_batch(context, [(1, "mine", 1)]))
    assert caught.value.retryable and not caught.value.outcome_unknown
    other.execute("COMMIT")
    assert writer.write(make_batch(context, [(1, "mine", 1)])) == {}
    assert content(duck) == [(1, "mine", 1)]


def test_duckdb_file_that_another_process_holds(tmp_path: Any) -> None:
    import subprocess
    import sys

    path = tmp_path / "held.duckdb"
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(path)!r}); c.execute('create table users (id int)'); "
        "print('up', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"up\n"
        with pytest.raises(DestinationError, match="Another process") as caught:
            SqlTable(f"duckdb:///{path}", "users").check(make_context(SCHEMA))
        assert caught.value.retryable
    finally:
        holder.kill()
        holder.communicate()


def test_duckdb_batch_that_takes_too_long(duck: DuckDatabase) -> None:
    duck.run("CREATE TABLE v (id bigint PRIMARY KEY)")
    context = make_context(pa.schema([("id", pa.int64())]), batch_timeout=0.000001)
    writer = SqlTable(duck.connection, "v").open(context)
    outcomes = writer.write(make_batch(context, [(1,)]))
    assert outcomes[0].status == "retryable"
    assert duck.rows("SELECT * FROM v") == []
