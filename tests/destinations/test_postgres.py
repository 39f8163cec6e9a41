"""What only PostgreSQL has: sessions that break, deferred constraints, rights, its own types."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from tests.destinations.databases import PostgresDatabase
from tests.destinations.proxy import COMMIT, Proxy
from tests.destinations.support import make_batch, make_context, send
from warehouse_cdc.destinations import SqlTable
from warehouse_cdc.errors import AuthenticationError, ConfigError, DestinationError
from warehouse_cdc.mapping.values import tagged

SCHEMA = pa.schema([("id", pa.int64()), ("email", pa.string())])
ROWS = [(1, "a"), (2, "b")]


@pytest.fixture
def users(postgres: PostgresDatabase) -> PostgresDatabase:
    postgres.run("CREATE TABLE users (id bigint PRIMARY KEY, email text)")
    return postgres


def content(database: PostgresDatabase) -> list[tuple[Any, ...]]:
    return database.rows("SELECT id, email FROM users ORDER BY id")


def settle(database: PostgresDatabase, expected: list[tuple[Any, ...]]) -> None:
    """The server may need a moment to finish a transaction whose client is gone."""
    until = time.monotonic() + 5
    while content(database) != expected and time.monotonic() < until:
        time.sleep(0.02)
    assert content(database) == expected


def failure(database: PostgresDatabase, url: str | None = None, **changes: Any) -> DestinationError:
    """The error of writing two rows through another way to the server."""
    context = make_context(SCHEMA, **changes)
    writer = SqlTable(url or database.url, f"{database.schema}.users").open(context)
    try:
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
    finally:
        writer.close()
    return caught.value


# -- connections that break -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["insert", "upsert"])
@pytest.mark.parametrize(("action", "written"), [("drop", []), ("lose", ROWS)])
def test_connection_lost_while_committing(
    users: PostgresDatabase, mode: str, action: str, written: list[tuple[Any, ...]]
) -> None:
    context = make_context(SCHEMA, mode=mode)
    with Proxy(users.url, COMMIT, action) as proxy:
        proxy.armed = False
        writer = SqlTable(proxy.url, f"{users.schema}.users").open(context)
        proxy.armed = True
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
        assert caught.value.outcome_unknown and caught.value.retryable
        settle(users, written)
        # The same writer goes on with another connection, and a repeat changes nothing.
        assert writer.write(make_batch(context, ROWS)) == {}
        assert content(users) == ROWS
        writer.close()


def test_connection_lost_before_committing(users: PostgresDatabase) -> None:
    with Proxy(users.url, b"json_to_recordset", "drop") as proxy:
        error = failure(users, proxy.url)
    assert error.retryable and not error.outcome_unknown
    assert content(users) == []


def test_mirror_whose_swap_is_lost(users: PostgresDatabase) -> None:
    users.run("INSERT INTO users VALUES (9, 'old')")
    context = make_context(SCHEMA, mode="mirror")
    with Proxy(users.url, COMMIT, "lose") as proxy:
        proxy.armed = False
        table = SqlTable(proxy.url, f"{users.schema}.users")
        writer = table.open(context)
        writer.write(make_batch(context, ROWS))
        proxy.armed = True
        with pytest.raises(DestinationError) as caught:
            writer.publish("added")
        assert caught.value.outcome_unknown
        settle(users, ROWS)
        assert table.published(context, "added") is True
        writer.close()


def test_mirror_whose_batch_is_sent_again_loads_it_once(users: PostgresDatabase) -> None:
    users.run("ALTER TABLE users DROP CONSTRAINT users_pkey")
    context = make_context(SCHEMA, mode="mirror")
    with Proxy(users.url, COMMIT, "lose") as proxy:
        proxy.armed = False
        writer = SqlTable(proxy.url, f"{users.schema}.users").open(context)
        proxy.armed = True
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
        assert caught.value.outcome_unknown
        assert writer.write(make_batch(context, ROWS)) == {}
        writer.publish("added")
        writer.close()
    assert content(users) == ROWS


@pytest.mark.parametrize("text", [b"json_to_recordset", COMMIT])
def test_a_server_that_does_not_answer(users: PostgresDatabase, text: bytes) -> None:
    context = make_context(SCHEMA, batch_timeout=1.0)
    with Proxy(users.url, text, "hang") as proxy:
        proxy.armed = False
        writer = SqlTable(proxy.url, f"{users.schema}.users").open(context)
        proxy.armed = True
        began = time.monotonic()
        with pytest.raises(DestinationError) as caught:
            writer.write(make_batch(context, ROWS))
        assert time.monotonic() - began < 1.0
        assert caught.value.retryable and caught.value.outcome_unknown is (text == COMMIT)
        # The server ends the session that its client left in a transaction; then a repeat gets through.
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with contextlib.suppress(DestinationError):
                assert writer.write(make_batch(context, ROWS)) == {}
                break
        assert content(users) == ROWS
        writer.close()


@pytest.mark.parametrize("moment", ["statement", "commit"])
def test_a_backend_that_is_terminated(users: PostgresDatabase, moment: str) -> None:
    users.run(
        "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$"
    )
    deferred = "CONSTRAINT TRIGGER doze AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED"
    trigger = deferred if moment == "commit" else "TRIGGER doze BEFORE INSERT ON users"
    users.run(f"CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION doze()")
    found: list[DestinationError] = []
    worker = threading.Thread(target=lambda: found.append(failure(users)))
    worker.start()
    wanted = "COMMIT" if moment == "commit" else "%json_to_recordset%"
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE wait_event = 'PgSleep' AND query LIKE '{wanted}'"
    )
    until = time.monotonic() + 10
    while not users.rows(kill) and time.monotonic() < until:
        time.sleep(0.02)
    worker.join()
    (error,) = found
    assert error.retryable and error.outcome_unknown is (moment == "commit")
    assert content(users) == []


def test_a_lock_that_is_held_too_long(users: PostgresDatabase) -> None:
    with psycopg.connect(users.url) as other:
        other.execute(f"LOCK TABLE {users.schema}.users")
        began = time.monotonic()
        error = failure(users, batch_timeout=1.0)
        assert time.monotonic() - began < 1.0
    assert error.retryable and not error.outcome_unknown and error.status == "57014"
    assert content(users) == []


def test_a_deadlock_is_retryable(users: PostgresDatabase) -> None:
    users.run("INSERT INTO users VALUES (1, 'x'), (2, 'y')")
    found: list[DestinationError] = []
    with psycopg.connect(users.url) as other:
        other.execute("SET deadlock_timeout = '10s'")
        other.execute(f"UPDATE {users.schema}.users SET email = 'theirs' WHERE id = 2")
        worker = threading.Thread(target=lambda: found.append(failure(users)))
        worker.start()
        waiting = (
            "SELECT 1 FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock' AND query LIKE '%json_to_recordset%'"
        )
        while not users.rows(waiting):
            time.sleep(0.01)
        other.execute(f"UPDATE {users.schema}.users SET email = 'theirs' WHERE id = 1")
        worker.join()
    assert found[0].status == "40P01" and found[0].retryable and not found[0].outcome_unknown


def test_nothing_stays_open_between_batches(users: PostgresDatabase) -> None:
    context = make_context(SCHEMA)
    writer = users.table("users").open(context)
    writer.write(make_batch(context, ROWS))
    activity = "SELECT state FROM pg_stat_activity WHERE application_name = 'warehouse-cdc'"
    assert {row[0] for row in users.rows(activity)} <= {"idle"}
    writer.close()


# -- ways in --------------------------------------------------------------------------------------


def test_wrong_login(users: PostgresDatabase) -> None:
    url = users.url.replace("postgres@", "nobody_here:hunter2@", 1)
    table = SqlTable(url, f"{users.schema}.users")
    with pytest.raises(AuthenticationError) as caught:
        table.check(make_context(SCHEMA))
    shown = "".join(traceback.format_exception(caught.value)) + repr(table)
    assert "hunter2" not in shown and not caught.value.retryable


def test_nobody_listens(users: PostgresDatabase) -> None:
    port = sa.make_url(users.url).port
    table = SqlTable(users.url.replace(f":{port}/", ":1/"), "users")
    with pytest.raises(DestinationError, match="can't be reached") as caught:
        table.check(make_context(SCHEMA))
    assert caught.value.retryable and not isinstance(caught.value, AuthenticationError)


def test_no_such_database(users: PostgresDatabase) -> None:
    with pytest.raises(DestinationError) as caught:
        SqlTable(users.url + "_no", "users").check(make_context(SCHEMA))
    assert not caught.value.retryable


def test_too_many_connections(users: PostgresDatabase) -> None:
    users.run("DROP ROLE IF EXISTS crowded")
    users.run("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    with pytest.raises(DestinationError) as caught:
        SqlTable(users.url.replace("postgres@", "crowded@", 1), "users").check(make_context(SCHEMA))
    assert caught.value.retryable and not isinstance(caught.value, AuthenticationError)


def test_missing_driver() -> None:
    table = SqlTable("postgresql+pg8000://h/d", "t")
    with pytest.raises(ConfigError) as caught:
        table.check(make_context(SCHEMA))
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize(
    "options", [{}, {"isolation_level": "AUTOCOMMIT"}, {"isolation_level": "SERIALIZABLE"}]
)
def test_an_engine_of_the_caller(users: PostgresDatabase, options: dict[str, Any]) -> None:
    engine = sa.create_engine(users.url.replace("postgresql:", "postgresql+psycopg:"), **options)
    table = SqlTable(engine, f"{users.schema}.users")
    assert send(table, make_context(SCHEMA), [*ROWS, (3, "\0")]) == {
        2: "text with a NUL character, which PostgreSQL can't store"
    }
    assert content(users) == ROWS
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    engine.dispose()


def test_postgres_scheme(users: PostgresDatabase) -> None:
    url = users.url.replace("postgresql://", "postgres://")
    assert send(SqlTable(url, f"{users.schema}.users"), make_context(SCHEMA), ROWS) == {}


def test_rights(users: PostgresDatabase) -> None:
    users.run("DROP ROLE IF EXISTS clerk")
    users.run("CREATE ROLE clerk LOGIN")
    users.run(f"GRANT USAGE ON SCHEMA {users.schema} TO clerk")
    table = SqlTable(users.url.replace("postgres@", "clerk@", 1), f"{users.schema}.users")

    def lacking(**changes: Any) -> str:
        with pytest.raises(ConfigError) as caught:
            table.check(make_context(SCHEMA, **changes))
        assert caught.value.code == "permission-denied"
        return caught.value.message.rpartition("lacks ")[2]

    assert lacking(mode="upsert") == "INSERT, SELECT, UPDATE."
    users.run("GRANT INSERT, SELECT (id, email), UPDATE (email) ON users TO clerk")
    assert lacking(mode="upsert", on_removed="delete") == "DELETE."
    assert send(table, make_context(SCHEMA), ROWS) == {}
    assert send(table, make_context(SCHEMA, mode="archive"), [(3, "c")]) == {}
    users.run("GRANT DELETE ON users TO clerk")
    assert send(table, make_context(SCHEMA, on_removed="delete"), ROWS, "removed") == {}
    assert content(users) == [(3, "c")]
    assert "beside it" in lacking(mode="mirror")
    context = make_context(SCHEMA)
    writer = table.open(context)
    users.run("REVOKE INSERT ON users FROM clerk")
    with pytest.raises(DestinationError) as caught:
        writer.write(make_batch(context, ROWS))
    assert caught.value.code == "permission-denied" and not caught.value.retryable
    writer.close()
    users.run("DROP OWNED BY clerk")
    users.run("DROP ROLE clerk")


# -- rows that are refused ------------------------------------------------------------------------


def test_reasons_hold_no_detail(users: PostgresDatabase) -> None:
    users.run("ALTER TABLE users ADD UNIQUE (email)")
    users.run("INSERT INTO users VALUES (9, 'secret')")
    found = send(users.table("users"), make_context(SCHEMA), [(1, "secret"), (2, "b")])
    assert found == {0: 'duplicate key value violates unique constraint "users_email_key"'}


def test_triggers_that_object(users: PostgresDatabase) -> None:
    users.run(
        "CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.id = 2 THEN RAISE 'no %s, please', 'twos'; END IF; RETURN NEW; END $$".replace(
            "%s", "%"
        )
    )
    users.run("CREATE TRIGGER object BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION object()")
    assert send(users.table("users"), make_context(SCHEMA), [*ROWS, (3, "c")]) == {1: "no twos, please"}
    assert content(users) == [(1, "a"), (3, "c")]


def test_deferred_constraints(users: PostgresDatabase) -> None:
    users.run("ALTER TABLE users ADD parent bigint REFERENCES users DEFERRABLE INITIALLY DEFERRED")
    schema = pa.schema([("id", pa.int64()), ("parent", pa.int64())])
    context = make_context(schema)
    # A child before its parent, in one batch, and in a later batch a child without one.
    assert send(users.table("users"), context, [(1, 2), (2, None)]) == {}
    found = send(users.table("users"), context, [(3, 1), (4, 99), (5, 2)])
    assert found.keys() == {1} and "foreign key" in found[1]
    assert [row[0] for row in content(users)] == [1, 2, 3, 5]


def test_a_deferrable_key_decides_no_conflict(postgres: PostgresDatabase) -> None:
    postgres.run("CREATE TABLE users (id bigint PRIMARY KEY DEFERRABLE, email text)")
    with pytest.raises(ConfigError) as caught:
        postgres.table("users").check(make_context(SCHEMA))
    assert caught.value.code == "no-unique-key"
    for _ in range(2):
        assert send(postgres.table("users"), make_context(SCHEMA, mode="insert"), ROWS) == {}
    assert content(postgres) == ROWS


def test_sorting_out_ends_in_time(users: PostgresDatabase) -> None:
    users.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.02); IF NEW.id = 31 THEN RAISE 'bad'; END IF; RETURN NEW; END $$"
    )
    users.run("CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION slow()")
    context = make_context(SCHEMA, batch_timeout=3.0)
    writer = users.table("users").open(context)
    left = list(range(64))
    statuses: set[str] = set()
    while statuses != {"rejected"}:
        began = time.monotonic()
        outcomes = writer.write(make_batch(context, [(number, "x") for number in left]))
        assert time.monotonic() - began < 3.0
        statuses = {outcome.status for outcome in outcomes.values()}
        assert len(outcomes) < len(left) or statuses == {"rejected"}, "no progress"
        left = [number for at, number in enumerate(left) if at in outcomes]
    assert left == [31]
    assert len(content(users)) == 63
    writer.close()


def test_mirror_refused_as_a_whole(users: PostgresDatabase) -> None:
    users.run("CREATE TABLE towns (id bigint PRIMARY KEY)")
    users.run("ALTER TABLE users ADD town bigint REFERENCES towns")
    users.run("INSERT INTO users VALUES (9, 'old')")
    schema = pa.schema([("id", pa.int64()), ("town", pa.int64())])
    context = make_context(schema, mode="mirror")
    writer = users.table("users").open(context)
    assert writer.write(make_batch(context, [(1, 5)])) == {}
    with pytest.raises(DestinationError) as caught:
        writer.publish("added")
    assert caught.value.code == "mirror-refused" and not caught.value.outcome_unknown
    writer.close()
    assert content(users) == [(9, "old")]


def test_mirror_whose_staging_table_lost_rows(users: PostgresDatabase) -> None:
    users.run("INSERT INTO users VALUES (9, 'old')")
    context = make_context(SCHEMA, mode="mirror")
    writer = users.table("users").open(context)
    writer.write(make_batch(context, ROWS))
    (staging,) = [name for name in users.tables() if name != "users"]
    users.run(f"TRUNCATE {staging}")  # as a crash of the server does to an unlogged table
    with pytest.raises(DestinationError) as caught:
        writer.publish("added")
    assert caught.value.code == "mirror-incomplete"
    writer.close()
    assert content(users) == [(9, "old")]


# -- names, types, kinds of table -----------------------------------------------------------------


def test_names_that_differ_only_by_case(postgres: PostgresDatabase) -> None:
    postgres.run('CREATE TABLE "Users" (id bigint PRIMARY KEY, "ID" text, "Id" text)')
    schema = pa.schema([("id", pa.int64()), ("ID", pa.string()), ("Id", pa.string())])
    assert send(postgres.table("Users"), make_context(schema), [(1, "a", "b")]) == {}
    assert postgres.rows('SELECT id, "ID", "Id" FROM "Users"') == [(1, "a", "b")]
    with pytest.raises(ConfigError, match="no table"):
        postgres.table("users").check(make_context(schema))


def test_nul_characters(postgres: PostgresDatabase) -> None:
    postgres.run("CREATE TABLE v (id bigint PRIMARY KEY, t text, j jsonb, k json, a text[])")
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("t", pa.string()),
            tagged("j", "json"),
            tagged("k", "json"),
            pa.field("a", pa.list_(pa.string())),
        ]
    )
    rows = [
        (1, "a\0b", None, None, None),
        (2, "\\u0000", '"\\\\u0000"', '"\\u0000"', ["\\u0000"]),
        (3, None, '"\\u0000"', None, None),
        (4, None, None, None, ["x\0"]),
        (5, "fine", None, None, None),
    ]
    found = send(postgres.table("v"), make_context(schema), rows)
    assert found.keys() == {0, 2, 3} and "NUL" in found[0]
    assert postgres.rows("SELECT id, t, a FROM v ORDER BY id") == [
        (2, "\\u0000", ["\\u0000"]),
        (5, "fine", None),
    ]


TYPES: list[tuple[str, pa.DataType, Any, str]] = [
    ("uuid", pa.string(), "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("uuid", pa.binary(16), bytes(16), "00000000-0000-0000-0000-000000000000"),
    ("inet", pa.string(), "10.0.0.1/8", "10.0.0.1/8"),
    (
        "interval",
        pa.month_day_nano_interval(),
        pa.MonthDayNano([14, 3, 5_500_000_000]),
        "1 year 2 mons 3 days 00:00:05.5",
    ),
    ("interval", pa.duration("us"), -90_000_000, "-00:01:30"),
    ("numeric(5,2)", pa.float64(), 1.005, "1.01"),
    ("numeric(5,2)", pa.float64(), float("nan"), "NaN"),
    ("char(4)", pa.string(), "ab", "ab"),
    ("bit(3)", pa.string(), "101", "101"),
    ("bytea[]", pa.list_(pa.binary()), [b"\0a"], '{"\\\\x0061"}'),
    ("text", pa.list_(pa.int64()), [1, 2], "[1,2]"),
    ("text", pa.binary(), b"ab", "YWI="),
    ("text", pa.float64(), 1e22, "1e+22"),
    ("int[]", pa.string(), "{1,2}", "{1,2}"),
    ("int[][]", pa.list_(pa.list_(pa.int32())), [[1], [2]], "{{1},{2}}"),
    ("jsonb[]", pa.list_(pa.struct([("a", pa.int32())])), [{"a": 1}], '{"{\\"a\\": 1}"}'),
    ("jsonb", pa.float64(), 0.1, "0.1"),
    ("json", pa.map_(pa.string(), pa.int32()), [("a", 1)], '{"a":1}'),
    ("date", pa.timestamp("us", "UTC"), 0, "1970-01-01"),
    ("timestamp", pa.timestamp("ns"), 1_001, "1970-01-01 00:00:00.000001"),
    ("tsvector", pa.string(), "a b", "'a' 'b'"),
    ("mood", pa.string(), "ok", "ok"),
    ("price", pa.decimal128(8, 2), "1.50", "1.50"),
    ("pair", pa.struct([("a", pa.int32()), ("b", pa.string())]), {"a": 1, "b": "x y"}, '(1,"x y")'),
    ("oid", pa.int64(), 5, "5"),
    ("money", pa.string(), "1.50", "$1.50"),
]


@pytest.mark.parametrize(("sql_type", "kind", "value", "shown"), TYPES)
def test_types(postgres: PostgresDatabase, sql_type: str, kind: pa.DataType, value: Any, shown: str) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('ok', 'bad')")
    postgres.run("CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0)")
    postgres.run("CREATE TYPE pair AS (a int, b text)")
    postgres.run("SET lc_monetary = 'C'")
    postgres.run(f"CREATE TABLE v (id bigint PRIMARY KEY, x {sql_type})")
    schema = pa.schema([("id", pa.int64()), ("x", kind)])
    if pa.types.is_decimal(kind):
        value = pa.scalar(value).cast(kind).as_py()
    assert send(postgres.table("v"), make_context(schema), [(1, value), (2, None)]) == {}
    found = postgres.rows("SELECT x::text FROM v WHERE id = 1")[0][0]
    assert found.removeprefix("$") == shown.removeprefix("$")
    # The types also serve to find the record again.
    if sql_type not in ("json", "jsonb[]"):
        postgres.run("DELETE FROM v WHERE id = 2")
        context = make_context(schema, match=("x",), mode="update", on_removed="delete")
        assert send(postgres.table("v"), context, [(7, value)], "changed") == {}
        if sql_type != "numeric(5,2)" or value == value:
            assert postgres.rows("SELECT id FROM v") == [(7,)]


@pytest.mark.parametrize(
    ("sql_type", "kind", "value"),
    [
        ("varchar(3)", pa.string(), "abcd"),
        ("numeric(3,1)", pa.int64(), 1000),
        ("mood", pa.string(), "great"),
        ("price", pa.int64(), -1),
        ("int", pa.float64(), float("nan")),
        ("smallint", pa.int64(), 40000),
        ("int[]", pa.list_(pa.string()), ["x"]),
        ("date", pa.int64(), 5),
        ("timestamp", pa.timestamp("s"), 2**62),
        ("bytea", pa.string(), "\\xzz"),
    ],
)
def test_values_that_a_type_cannot_take(
    postgres: PostgresDatabase, sql_type: str, kind: pa.DataType, value: Any
) -> None:
    postgres.run("CREATE TYPE mood AS ENUM ('ok', 'bad')")
    postgres.run("CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE > 0)")
    postgres.run(f"CREATE TABLE v (id bigint PRIMARY KEY, x {sql_type})")
    schema = pa.schema([("id", pa.int64()), ("x", kind)])
    assert send(postgres.table("v"), make_context(schema), [(1, value), (2, None)]).keys() == {0}
    assert postgres.rows("SELECT * FROM v") == [(2, None)]


def test_views_and_partitions(users: PostgresDatabase) -> None:
    users.run("CREATE VIEW seen AS SELECT id, email FROM users")
    assert send(users.table("seen"), make_context(SCHEMA, mode="insert"), ROWS) == {}
    assert send(users.table("seen"), make_context(SCHEMA, mode="update"), [(1, "x")], "changed") == {}
    assert content(users) == [(1, "x"), (2, "b")]
    users.run("CREATE TABLE parts (id bigint PRIMARY KEY, email text) PARTITION BY RANGE (id)")
    users.run("CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10)")
    assert send(users.table("parts"), make_context(SCHEMA), [*ROWS, (50, "x")]).keys() == {2}
    context = make_context(SCHEMA, mode="mirror")
    writer = users.table("parts").open(context)
    writer.write(make_batch(context, ROWS))
    writer.publish("added")
    writer.close()
    assert users.rows("SELECT * FROM parts ORDER BY id") == ROWS
    users.run("CREATE MATERIALIZED VIEW frozen AS SELECT * FROM users")
    with pytest.raises(ConfigError, match="not a table"):
        users.table("frozen").check(make_context(SCHEMA))


def test_mirror_with_identity_and_generated_columns(postgres: PostgresDatabase) -> None:
    postgres.run(
        "CREATE TABLE users (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, id bigint UNIQUE, "
        "email text NOT NULL, up text GENERATED ALWAYS AS (upper(email)) STORED)"
    )
    context = make_context(SCHEMA, mode="mirror")
    writer = postgres.table("users").open(context)
    assert writer.write(make_batch(context, [*ROWS, (3, None)])).keys() == {2}
    writer.publish("added")
    writer.close()
    assert postgres.rows("SELECT id, email, up FROM users ORDER BY id") == [(1, "a", "A"), (2, "b", "B")]


def test_tables_are_found_by_the_search_path(users: PostgresDatabase) -> None:
    url = f"{users.url}?options=-csearch_path%3D{users.schema}"
    assert send(SqlTable(url, "users"), make_context(SCHEMA), ROWS) == {}
    assert content(users) == ROWS


def test_many_rows_and_columns(postgres: PostgresDatabase) -> None:
    names = [f"c{number}" for number in range(100)]
    postgres.run(f"CREATE TABLE wide (id bigint PRIMARY KEY, {', '.join(f'{name} int' for name in names)})")
    schema = pa.schema([("id", pa.int64()), *((name, pa.int64()) for name in names)])
    rows = [(number, *range(100)) for number in range(3000)]  # 303,000 values, past what a statement may bind
    assert send(postgres.table("wide"), make_context(schema), rows) == {}
    assert postgres.rows("SELECT count(*), sum(c99) FROM wide") == [(3000, 99 * 3000)]
