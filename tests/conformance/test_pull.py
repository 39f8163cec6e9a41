"""Sources that are only read: their rows come to DuckDB, and the destination converges all the same."""

from __future__ import annotations

import socket
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

import adbc_driver_postgresql.dbapi as adbc_dbapi
import duckdb
import pyarrow as pa
import pytest
import sqlalchemy

import warehouse_cdc as wcdc
from tests.conformance.helpers import (
    DuckDBEngine,
    PostgresEngine,
    Recorder,
    TablesEngine,
    postgres_engine,
    sync_of,
    until,
)
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.pull.base import type_of
from warehouse_cdc.pull.database import DatabaseOrigin, _Read, arrays_of
from warehouse_cdc.warehouses.duckdb import DuckDBConnection

SHORT = {"lease_seconds": 2.0, "lease_margin": 0.5}
NOON = datetime(2024, 1, 1, 12)
PEOPLE = "SELECT id, name, score FROM people"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Any]:
    connection = sqlite3.connect(tmp_path / "shop.sqlite", isolation_level=None)
    connection.execute("CREATE TABLE people (id INTEGER, name TEXT, score)")
    connection.execute("INSERT INTO people VALUES (1, 'Ada', 1.5), (2, 'Grace', NULL), (3, NULL, 3)")
    yield connection
    connection.close()


@pytest.fixture
def shop(sqlite: Any, tmp_path: Path) -> Iterator[wcdc.Warehouse]:
    with wcdc.connect(f"sqlite:///{tmp_path}/shop.sqlite", state=tmp_path / "state.duckdb") as warehouse:
        yield warehouse


def planned(run: wcdc.Run) -> dict[str, int]:
    assert run.status == "success"
    return {operation: count.planned for operation, count in run.counts.items()}


def people(crm: Recorder, sql: str = PEOPLE, **options: Any) -> wcdc.Sync:
    model = wcdc.Model("people", sql=sql, primary_key="id")
    return wcdc.Sync(
        **{"id": "people", "model": model, "destination": crm, "mode": "upsert", "on_removed": "delete"}
        | options
    )


def test_any_database_of_sqlalchemy(sqlite: Any, shop: wcdc.Warehouse, crm: Recorder) -> None:
    sync = people(crm)
    assert planned(shop.run(sync)) == {"added": 3, "changed": 0, "removed": 0}
    assert [row["score"] for row in crm.rows] == [1.5, None, 3.0]
    assert planned(shop.run(sync)) == {"added": 0, "changed": 0, "removed": 0}
    sqlite.execute("UPDATE people SET name = 'Grace H.' WHERE id = 2")
    sqlite.execute("DELETE FROM people WHERE id = 1")
    sqlite.execute("INSERT INTO people VALUES (4, '%s :x ?', 0)")
    assert shop.plan(sync).counts == {"added": 1, "changed": 1, "removed": 1}
    assert planned(shop.run(sync)) == {"added": 1, "changed": 1, "removed": 1}
    assert {row["id"] for row in crm.held.values()} == {2, 3, 4}
    assert shop.history(sync).arrow["status"].to_pylist() == ["succeeded"] * 3
    assert all(finding.ok for finding in shop.check(sync))


@pytest.mark.parametrize("model", [{"table": "people"}, {"sql": "SELECT id, name FROM people"}])
def test_a_database_whose_sql_nobody_knows(
    sqlite: Any, crm: Recorder, tmp_path: Path, model: dict[str, str]
) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/shop.sqlite")
    engine.dialect.name = "vertica"
    with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
        sync = people(crm, model=wcdc.Model("people", primary_key="id", **model))
        assert planned(warehouse.run(sync))["added"] == 3
        with pytest.raises(wcdc.ModelError, match=r"can't be parsed: ") as caught:
            warehouse.run(people(crm, "SELECT id FROM WHERE"))
        assert caught.value.code == "model-syntax"
        with pytest.raises(wcdc.ModelError, match="can't be read as nosuch SQL"):
            unknown = wcdc.Model("people", table="people", primary_key="id", dialect="nosuch")
            warehouse.run(people(crm, model=unknown))
    engine.dispose()


def test_a_query_may_hold_whatever_drivers_take_for_parameters(
    sqlite: Any, shop: wcdc.Warehouse, crm: Recorder
) -> None:
    sql = "SELECT id, ':x %s %(y)s ?' AS name, id % 2 AS score FROM people WHERE name LIKE 'A%' OR id > 1"
    assert planned(shop.run(people(crm, sql)))["added"] == 3
    assert {row["name"] for row in crm.rows} == {":x %s %(y)s ?"}


def test_values_keep_their_types_whatever_the_rows_are(
    sqlite: Any, shop: wcdc.Warehouse, crm: Recorder
) -> None:
    """A column without any value, or with integers where floats were, is no other column."""
    sync = people(crm)
    shop.run(sync)
    sqlite.execute("UPDATE people SET score = 2 WHERE id = 1")
    sqlite.execute("UPDATE people SET score = 4 WHERE id = 3")
    assert planned(shop.run(sync)) == {"added": 0, "changed": 2, "removed": 0}
    sqlite.execute("UPDATE people SET score = 4.25 WHERE id = 3")
    assert planned(shop.run(sync)) == {"added": 0, "changed": 1, "removed": 0}


def test_more_rows_than_one_batch(sqlite: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse_cdc.pull.database.BATCH_ROWS", 2)
    crm = Recorder()
    sqlite.execute(
        "INSERT INTO people VALUES (4, 'x', 10000000000000000000000), (5, 'y', 'text'), (6, 'z', x'00ff')"
    )
    with wcdc.connect(f"sqlite:///{tmp_path}/shop.sqlite", state=tmp_path / "state.duckdb") as shop:
        shop.run(people(crm))
    assert [row["score"] for row in crm.rows] == ["1.5", None, "3", "1e+22", "text", "00ff"]


def test_wide_rows_come_in_small_batches_and_none_is_kept(
    sqlite: Any, shop: wcdc.Warehouse, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse_cdc.pull.database.BATCH_BYTES", 10_000)
    sqlite.executemany("INSERT INTO people VALUES (?, ?, 0)", [(i, f"{i:01000}") for i in range(4, 201)])
    rows, seen, alive = DatabaseOrigin.rows, [], []

    def watched(self: DatabaseOrigin, sql: str, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for batch in rows(self, sql, names):
            seen.append(weakref.ref(batch))
            alive.append(sum(each() is not None for each in seen))
            yield batch

    monkeypatch.setattr(DatabaseOrigin, "rows", watched)
    assert planned(shop.run(people(crm)))["added"] == 200
    assert len(seen) > 10 and max(alive) <= 2, "up to 100 rows first, then some ten"


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([1, None], "BIGINT", [1, None]),
        ([2**63, 1], "DECIMAL(38,0)", [Decimal(2**63), Decimal(1)]),
        ([Decimal("1.50"), 2], "DECIMAL(38,2)", [Decimal("1.50"), Decimal("2.00")]),
        ([Decimal("NaN"), Decimal("1")], "VARCHAR", ["NaN", "1"]),
        ([1, 2.5], "DOUBLE", [1.0, 2.5]),
        ([True, None], "BOOLEAN", [True, None]),
        ([True, 2], "BIGINT", [1, 2]),
        ([date(1500, 1, 1), None], "DATE", [date(1500, 1, 1), None]),
        (
            [date(2024, 1, 1), datetime(2024, 1, 1, 10)],
            "TIMESTAMP",
            [datetime(2024, 1, 1), datetime(2024, 1, 1, 10)],
        ),
        ([datetime(2024, 1, 1, tzinfo=timezone.utc)], "TIMESTAMP WITH TIME ZONE", None),
        ([b"\0", memoryview(b"\1")], "BLOB", [b"\0", b"\1"]),
        ([{"b": 1, "a": [Decimal("1.0")]}], "VARCHAR", ['{"a": ["1"], "b": 1}']),
        ([None, None], "VARCHAR", [None, None]),
        (["1", 1], "VARCHAR", ["1", "1"]),
    ],
)
def test_what_drivers_return(values: list[Any], kind: str, kept: list[Any] | None) -> None:
    read = _Read.of(iter([(["x"], [pa.string()], arrays_of([values]))]))
    with read.folder:
        assert [type_of(each) for each in read.types] == [kind]
        found = [value for table in read.tables() for value in table.column(0).to_pylist()]
    if kept is not None:
        assert found == kept


def read(*batches: list[Any]) -> tuple[str, list[Any]]:
    """The type that a column of these batches has, and its values."""
    found = _Read.of(iter([(["x"], [pa.string()], arrays_of([batch])) for batch in batches]))
    with found.folder:
        values = [value for table in found.tables() for value in table.column(0).to_pylist()]
        return type_of(found.types[0]), values


def test_no_digit_gets_lost_whatever_is_beside_a_value() -> None:
    long = 2**53 + 1
    assert read([long, 1.5]) == read([long], [1.5]) == ("VARCHAR", [str(long), "1.5"])
    assert read([2**53, 1.5])[0] == read([Decimal(2**53), 1.5])[0] == "DOUBLE"
    exact = Decimal(long) + Decimal("0.5")
    assert read([exact, 1.5]) == read([exact], [1.5]) == ("VARCHAR", [str(exact), "1.5"])
    assert read([Decimal("NaN"), Decimal("-Infinity"), 1.5])[0] == "DOUBLE"
    digits = "1.2345678901234567890123456789012345"
    assert read([Decimal("NaN"), Decimal(digits)])[1] == ["NaN", digits]
    wide = Decimal("1" * 45)
    for beside in (Decimal("1.5"), Decimal("2.255")):
        assert read([wide, Decimal("1.50"), beside])[1][:2] == read([wide], [Decimal("1.5")])[1]
    assert read([True], [2]) == ("BIGINT", [True, 2])


def test_zones_count_where_they_tell_and_only_there() -> None:
    east, west = (timezone(timedelta(hours=hours)) for hours in (2, -5))
    moments = [datetime(2024, 1, 1, 12, tzinfo=east), datetime(2024, 1, 1, 5, tzinfo=west)]
    assert read(moments) == read([moments[0]], [moments[1]])
    kind, (first, second) = read(moments)
    assert kind == "TIMESTAMP WITH TIME ZONE" and first == second
    assert read([moments[0], "x"])[1] == read([moments[1], "x"])[1]
    assert read([moments[0], NOON])[0] == read([NOON, moments[0]])[0] == "VARCHAR"
    assert read([time(10, tzinfo=east)])[1] != read([time(10, tzinfo=west)])[1]


def test_what_a_driver_can_not_read_is_an_error_of_ours(sqlite: Any, crm: Recorder, tmp_path: Path) -> None:
    sqlite.execute("CREATE TABLE days (id INTEGER, d date)")
    sqlite.execute("INSERT INTO days VALUES (1, '44 BC')")
    kinds = {"detect_types": sqlite3.PARSE_DECLTYPES}
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/shop.sqlite", connect_args=kinds)
    with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
        with pytest.raises(wcdc.QueryError) as caught:
            warehouse.run(people(crm, "SELECT id, d FROM days"))
        assert caught.value.hint and "44" not in str(caught.value)
        assert warehouse.history("people").arrow.num_rows == 0
    engine.dispose()


@pytest.mark.postgres
def test_values_are_those_that_the_warehouse_itself_would_compare(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    """Decimals by value, also in keys, and whatever the session's settings make of the rest (D5)."""
    postgres.table(
        "id numeric, n numeric, at timestamptz, i interval, f float8, d date, b bytea",
        "(1.10, 2.0, '2024-01-01 23:30+00', '1 month 2 days', 0.1::float8 + 0.2, '2024-02-01', '\\xff00')",
    )
    sync = sync_of(
        crm,
        sql="SELECT id, n, i, at::text AS a, array[at] AS l, tstzrange(at, NULL) AS r, f::text AS f, "
        "d::text AS d, b::text AS b, date_trunc('day', at) AS day FROM people",
    )
    other = {"TimeZone": "Asia/Tokyo", "DateStyle": "German", "IntervalStyle": "sql_standard"}
    other |= {"extra_float_digits": "0", "bytea_output": "escape"}
    with wcdc.connect(postgres.url, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync))["added"] == 1
    postgres.execute(
        "UPDATE people SET id = 1.1, n = 2.00",
        *(f"ALTER DATABASE {postgres.database} SET {name} = '{value}'" for name, value in other.items()),
    )
    with wcdc.connect(postgres.url, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync)) == {"added": 0, "changed": 0, "removed": 0}
    assert crm.sent == [("added", "1.1")]


@pytest.mark.postgres
def test_cancelling_stops_the_statement_that_reads(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    sql = "SELECT g AS id, pg_sleep(5)::text AS v FROM generate_series(1, 6) g"
    with wcdc.connect(postgres.url, state=tmp_path / "s.duckdb") as warehouse:
        timer = threading.Timer(0.5, warehouse.cancel)
        timer.start()
        began = monotonic()
        assert warehouse.run(sync_of(crm, sql=sql)).status == "cancelled"
        assert monotonic() - began < 20 and crm.sent == []
        timer.join()


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) AS id, 1 AS v FROM c"


def cancelled(warehouse: wcdc.Warehouse, sync: wcdc.Sync) -> None:
    """Run a sync that doesn't end by itself, and cancel it."""
    timer = threading.Timer(0.5, warehouse.cancel)
    timer.start()
    began = monotonic()
    run = warehouse.run(sync)
    assert run.status == "cancelled" and monotonic() - began < 20
    timer.join()
    history = warehouse.history(sync).arrow
    assert (history["status"][0].as_py(), history["error"][0].as_py()) == ("failed", "cancelled")


def test_cancelling_stops_sqlite(sqlite: Any, shop: wcdc.Warehouse, crm: Recorder) -> None:
    cancelled(shop, people(crm, ENDLESS))
    assert planned(shop.run(people(crm)))["added"] == 3


def test_cancelling_stops_a_pulled_duckdb(duck: DuckDBEngine, crm: Recorder, tmp_path: Path) -> None:
    duck.table("id BIGINT, v INTEGER", "(1, 1)")
    slow = "SELECT count(*) AS id, 1 AS v FROM range(10000000000) a, range(10) b WHERE a.range % 7 = b.range"
    with wcdc.connect(duck.url, state=tmp_path / "s.duckdb") as warehouse:
        cancelled(warehouse, sync_of(crm, sql=slow))
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1


@pytest.mark.postgres
@pytest.mark.parametrize("sql", ["SELECT 1 AS id, pg_sleep(60)::text AS v", None])
def test_cancelling_stops_what_a_driver_of_sqlalchemy_reads(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path, sql: str | None
) -> None:
    """The statement itself, and between two batches of rows that don't end."""
    postgres.table("id bigint, v integer", "(1, 1)")
    engine = sqlalchemy.create_engine(postgres.url.replace("postgresql://", "postgresql+psycopg2://"))
    endless = "SELECT g AS id, 1 AS v FROM generate_series(1, 100000000000) g"
    with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
        cancelled(warehouse, sync_of(crm, sql=sql or endless))
        until(
            lambda: postgres.query("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'") == [(1,)]
        )
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1
    engine.dispose()


def test_cancelling_leaves_a_driver_behind_that_does_not_stop(crm: Recorder, tmp_path: Path) -> None:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg2://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/d"
        engine = sqlalchemy.create_engine(url)
        with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
            cancelled(warehouse, sync_of(crm))


def test_types_of_a_pulled_duckdb_file(duck: DuckDBEngine, crm: Recorder, tmp_path: Path) -> None:
    duck.table(
        "id BIGINT, t TIMESTAMP_NS, l DECIMAL(4, 1)[][]",
        "(1, '2024-01-01 00:00:00.000000001', [[1.5], [2]])",
    )
    with wcdc.connect(duck.url, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1
        for change in ("t = '2024-01-01 00:00:00.000000002'", "l = [[1.5, 2]]"):
            duck.execute(f"UPDATE people SET {change}")
            assert planned(warehouse.run(sync_of(crm)))["changed"] == 1
    duck.table("id DECIMAL(4, 1)[]", "([1.5])")
    with duck.connect() as warehouse, pytest.raises(wcdc.ModelError) as caught:
        warehouse.run(sync_of(crm))
    assert caught.value.code == "model-key-type"


def test_a_value_that_does_not_fit(
    duck: DuckDBEngine, crm: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse_cdc.pull.warehouse._kept", lambda *_types: "INTEGER")
    duck.table("id BIGINT, v VARCHAR", "(1, 'hunter2')")
    with wcdc.connect(duck.url, state=tmp_path / "s.duckdb") as warehouse:
        with pytest.raises(wcdc.QueryError, match="doesn't fit") as caught:
            warehouse.run(sync_of(crm))
        assert "hunter2" not in str(caught.value)
        duck.execute("UPDATE people SET v = '2'")
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1


def test_syncs_of_one_process_may_share_a_new_file(sqlite: Any, tmp_path: Path) -> None:
    def run(name: str) -> int:
        crm = Recorder()
        with wcdc.connect(f"sqlite:///{tmp_path}/shop.sqlite", state=tmp_path / "state.duckdb") as shop:
            assert shop.run(people(crm, id=name)).status == "success"
        return len(crm.sent)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(run, "abcdef")) == [3] * 6


@pytest.mark.postgres
def test_an_engine_whose_driver_the_library_does_not_use(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    postgres.table(
        "id bigint, n numeric, t timestamptz, j jsonb",
        "(1, 1.50, '2024-01-01 12:00+02', '{\"b\": 1, \"a\": 2}')",
        "(2, NULL, NULL, NULL)",
    )
    engine = sqlalchemy.create_engine(postgres.url.replace("postgresql://", "postgresql+psycopg2://"))
    with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync_of(crm)))["added"] == 2
        assert crm.rows[0]["n"] == Decimal("1.50") and crm.rows[0]["t"].utctimetuple().tm_hour == 10
        postgres.execute('UPDATE people SET j = \'{"a": 2, "b": 1}\', n = 1.5 WHERE id = 1')
        assert planned(warehouse.run(sync_of(crm))) == {"added": 0, "changed": 0, "removed": 0}
    engine.dispose()


@pytest.fixture
def adbc(postgres: PostgresEngine, tmp_path: Path) -> Iterator[wcdc.Warehouse]:
    with adbc_dbapi.connect(postgres.url) as session, wcdc.connect(session, state=tmp_path / "s") as pulled:
        yield pulled


@pytest.mark.postgres
def test_any_database_of_adbc(postgres: PostgresEngine, adbc: wcdc.Warehouse, crm: Recorder) -> None:
    postgres.table(
        "id int, at timestamptz, j jsonb, u uuid, b bytea, n numeric, a int[], f real",
        "(1, '2024-01-01 12:00+02', '{\"a\": 2}', '6F9619FF-8B86-D011-B42D-00CF4FC964FF', '\\xff', 1.50, "
        "'{1}', 0.5)",
        "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    sync = sync_of(crm)
    assert planned(adbc.run(sync))["added"] == 2
    assert crm.rows[0] == {
        **{"id": 1, "at": datetime(2024, 1, 1, 10, tzinfo=timezone.utc), "j": {"a": 2}, "b": b"\xff"},
        **{"u": "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "n": "1.50", "a": "[1]", "f": 0.5},
    }
    assert set(crm.rows[1].values()) == {2, None}
    postgres.execute("UPDATE people SET f = 1 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    assert adbc.plan(sync).counts == {"added": 0, "changed": 1, "removed": 1}
    assert planned(adbc.run(sync)) == {"added": 0, "changed": 1, "removed": 1}
    assert all(finding.ok for finding in adbc.check(sync))
    with pytest.raises(wcdc.QueryError) as caught:
        adbc.run(sync_of(crm, "SELECT id, ('hunter2' || id)::int AS v FROM people"))
    assert "hunter2" not in str(caught.value)
    assert planned(adbc.run(sync)) == {"added": 0, "changed": 0, "removed": 0}


@pytest.mark.postgres
def test_cancelling_stops_what_an_adbc_driver_reads(adbc: wcdc.Warehouse, crm: Recorder) -> None:
    cancelled(adbc, sync_of(crm, "SELECT g AS id, 1 AS v FROM generate_series(1, 100000000000) g"))
    assert planned(adbc.run(sync_of(crm, "SELECT 1 AS id")))["added"] == 1


@pytest.mark.postgres
def test_domains_are_the_types_below_them(postgres: PostgresEngine, crm: Recorder, tmp_path: Path) -> None:
    postgres.execute(
        "CREATE TYPE mood AS ENUM ('ok')",
        *(
            f"CREATE DOMAIN {name} AS {of}"
            for name, of in (("pos", "int"), ("small", "pos"), ("flag", "bool"))
        ),
        *(f"CREATE DOMAIN {name} AS {of}" for name, of in (("day", "date"), ("felt", "mood"))),
    )
    postgres.table("id small, ok flag, d day, m felt", "(1, true, '2024-01-01', 'ok')")
    engine = sqlalchemy.create_engine(postgres.url.replace("postgresql://", "postgresql+psycopg2://"))
    with wcdc.connect(engine, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1
    engine.dispose()
    assert crm.rows == [{"id": 1, "ok": True, "d": date(2024, 1, 1), "m": "ok"}]


@pytest.mark.postgres
def test_a_role_that_may_only_read_is_enough(postgres: PostgresEngine, crm: Recorder, tmp_path: Path) -> None:
    postgres.table(
        "id bigint, at timestamptz, n numeric(10, 2), big numeric, u uuid, j jsonb, b bytea, d date, f float",
        "(1, '2024-01-01 12:00+02', 1.50, 1e50, '6F9619FF-8B86-D011-B42D-00CF4FC964FF', '{\"a\":1.0}', "
        "'\\x00ff', '0001-01-01', 'NaN')",
    )
    postgres.execute(
        "DROP ROLE IF EXISTS wcdc_reader",
        "CREATE ROLE wcdc_reader LOGIN PASSWORD 'hunter2'",
        "GRANT SELECT ON people TO wcdc_reader",
    )
    url = postgres.url.replace("postgres@", "wcdc_reader:hunter2@")
    before = postgres.query("SELECT count(*) FROM pg_class")
    with wcdc.connect(url, state=tmp_path / "s.duckdb") as warehouse:
        assert planned(warehouse.run(sync_of(crm)))["added"] == 1
        assert planned(warehouse.run(sync_of(crm))) == {"added": 0, "changed": 0, "removed": 0}
    (row,) = crm.rows
    assert row["at"] == datetime(2024, 1, 1, 10, tzinfo=timezone.utc)
    assert row["n"] == Decimal("1.50") and row["big"] == Decimal(10) ** 50
    assert row["b"] == b"\x00\xff" and row["d"] == date(1, 1, 1) and row["f"] != row["f"]
    assert row["j"] == {"a": 1.0}
    assert postgres.query("SELECT count(*) FROM pg_class") == before, "nothing was made there"
    postgres.execute("REVOKE ALL ON people FROM wcdc_reader", "DROP ROLE wcdc_reader")


def test_what_is_no_source(tmp_path: Path) -> None:
    state = tmp_path / "s.duckdb"
    for target, code in (
        ("nosuch://host/db", "connect-url"),
        ("no url", "connect-url"),
        (42, "connect-target"),
        ("oracle+oracledb://u:hunter2@h/d", "missing-extra"),
    ):
        with pytest.raises(wcdc.CdcError) as caught:
            wcdc.connect(target, state=state)
        assert caught.value.code == code and caught.value.hint and "hunter2" not in str(caught.value)
    for wrong in ("postgresql://u@h/d", wcdc.sources.Postgres(host="h"), 5):
        with pytest.raises(wcdc.ConfigError, match="DuckDB"):
            wcdc.connect("sqlite://", state=wrong)  # type: ignore[arg-type]


def test_errors_say_nothing_of_rows(sqlite: Any, shop: wcdc.Warehouse, crm: Recorder) -> None:
    with pytest.raises(wcdc.QueryError) as caught:
        shop.run(people(crm, "SELECT id, name, 'hunter2' AS score FROM nobody"))
    assert caught.value.code == "query" and "hunter2" not in str(caught.value)
    assert crm.sent == []


def test_nothing_is_left_of_what_was_read(
    sqlite: Any, tmp_path: Path, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spools))
    with wcdc.connect(f"sqlite:///{tmp_path}/shop.sqlite", state=tmp_path / "state.duckdb") as shop:
        shop.run(people(crm))
        assert not list(spools.iterdir())
        shop.check(people(crm))
    assert not list(spools.iterdir())


# -- moving the state into the warehouse ------------------------------------------------------------


def test_an_interrupt_that_comes_late_leaves_no_transaction_open() -> None:
    """A cancelled run interrupts both databases, of which one may be rolling back already."""
    connection = DuckDBConnection(duckdb.connect(), owned=True)
    cursor, late = connection._cursor, [duckdb.InterruptException("late")]

    class Interrupted:
        def execute(self, sql: str) -> Any:
            if sql == "ROLLBACK" and late:
                raise late.pop()
            return cursor.execute(sql)

    connection._cursor = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyError), connection.transaction():
        raise KeyError
    with connection.transaction():
        connection.execute("SELECT 1")
    connection.parent.close()


OF_SETTINGS = "id bigint, i interval, r tstzrange, a timestamptz[]"
OF_SETTINGS_VALUES = """
    (1, '1 day 02:00', '[2024-01-01 00:00+00,2024-01-02 00:00+00)', ARRAY['2024-01-01 12:00+00'::timestamptz])
"""


@pytest.mark.postgres
def test_values_are_those_of_no_setting_of_the_server(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    """Also where the driver with sessions of its own reads them."""
    postgres.table(OF_SETTINGS, OF_SETTINGS_VALUES)
    sync = sync_of(crm)
    url = f"{postgres.url}?options=-ctimezone%3DAmerica/New_York"
    with wcdc.connect(url, state=tmp_path / "s.duckdb") as pulled:
        assert planned(pulled.run(sync))["added"] == 1
    (row,) = crm.rows
    assert row["i"] == "P1DT2H" and row["a"] == ["2024-01-01T12:00:00+00:00"]
    assert row["r"] == '["2024-01-01 00:00:00+00","2024-01-02 00:00:00+00")'
    with wcdc.connect(url) as warehouse:
        warehouse.adopt(sync, tmp_path / "s.duckdb")
        assert planned(warehouse.run(sync)) == {"added": 0, "changed": 0, "removed": 0}


@pytest.mark.postgres
def test_a_given_session_reads_what_it_sees_itself(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    postgres.table("id bigint, place text", "(1, 'public')")
    with postgres.raw() as session:
        session.execute("CREATE TEMP TABLE people AS SELECT 1::bigint AS id, 'of the session' AS place")
        with wcdc.connect(session, state=tmp_path / "s.duckdb") as pulled:
            assert planned(pulled.run(sync_of(crm)))["added"] == 1
    assert [row["place"] for row in crm.rows] == ["of the session"]


@pytest.mark.postgres
def test_what_is_sent_to_the_origin_says_what_it_is_for(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    with wcdc.connect(postgres.url, state=tmp_path / "s.duckdb") as pulled:
        pulled.run(sync_of(crm, "select 1 as id, current_query() as sent"))
    (row,) = crm.rows
    assert "/* warehouse-cdc sync=people-sync run=0" in row["sent"]


@pytest.mark.postgres
def test_a_cancelled_run_stops_the_query_that_is_pulled(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    slow = "select g as id, pg_sleep(0.001) is null as x from generate_series(1, 60000) g"
    with wcdc.connect(postgres.url, state=tmp_path / "s.duckdb") as pulled:
        threading.Timer(1, pulled.cancel).start()
        began = monotonic()
        assert pulled.run(sync_of(crm, slow)).status == "cancelled"
        assert monotonic() - began < 20
    running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.001)%' AND state = 'active'"
    assert postgres.query(f"{running} AND pid <> pg_backend_pid()") == []


EVERY_TYPE = """
    id bigint, whole integer, n numeric(10, 2), big numeric, f double precision, r real, t text, ok boolean,
    d date, c time, at timestamp, atz timestamptz, b bytea, u uuid, j jsonb, a text[], plain json
"""
ROWS = (
    """(1, 7, 1.50, 1e50, 0.1, 0.1, 'a ''b'' é 😀', TRUE, '0001-01-01', '10:00:00.000001',
    '2024-01-01 10:00:00.5', '2024-01-01 12:00+02', '\\x00ff', '6F9619FF-8B86-D011-B42D-00CF4FC964FF',
    '{"b": 1.0, "a": [null]}', ARRAY['x', NULL], '{"k":  1}')""",
    "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    """(3, -1, 0, 0, '-0', 'NaN', '', FALSE, '9999-12-31', '00:00', '1500-01-01',
    '1969-12-31 23:59:59.999999+00', '', '00000000-0000-0000-0000-000000000000', '[]', '{}', '"text"')""",
)


@pytest.fixture(params=["postgres", "tables"])
def target(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[PostgresEngine]:
    """A warehouse that was only read so far, with and without transactions."""
    kind = PostgresEngine if request.param == "postgres" else TablesEngine
    with postgres_engine(postgres_url, kind) as engine:
        yield engine


@pytest.mark.postgres
def test_a_state_moves_with_every_type_and_nothing_is_sent(
    target: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    target.table(EVERY_TYPE, *ROWS)
    sync = sync_of(crm, on_removed="delete")
    with wcdc.connect(target.url, state=tmp_path / "s.duckdb") as pulled:
        assert planned(pulled.run(sync))["added"] == 3
    with target.connect() as warehouse:
        moved = warehouse.adopt(sync, tmp_path / "s.duckdb")
        assert moved is not None and moved.status == "success"
        sent = crm.sent
        assert planned(warehouse.run(sync)) == {"added": 0, "changed": 0, "removed": 0}
        assert crm.sent == sent
        assert warehouse.adopt(sync, tmp_path / "s.duckdb") is None, "it was moved before"
        target.execute(
            "UPDATE people SET plain = '{\"k\": 2}' WHERE id = 1", "DELETE FROM people WHERE id = 2"
        )
        assert planned(warehouse.run(sync)) == {"added": 0, "changed": 1, "removed": 1}
    assert not [name for _schema, name in target.tables() if "adopted" in name]


@pytest.mark.postgres
def test_what_changed_or_failed_before_the_move_is_sent_after_it(
    target: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)", "(3, 3)", "(4, 4)")
    sync = sync_of(crm, on_removed="delete")
    with wcdc.connect(target.url, state=tmp_path / "s.duckdb") as pulled:
        crm.refuse = {"4": "no"}
        pulled.run(sync)
        target.execute("UPDATE people SET v = 20 WHERE id = 2", "DELETE FROM people WHERE id = 3")
        crm.refuse = {"2": "no", "3": "no", "4": "no"}
        assert pulled.run(sync).status == "warning"
    crm.refuse = {}
    target.execute("UPDATE people SET v = 10 WHERE id = 1", "INSERT INTO people VALUES (5, 5)")
    with target.connect() as warehouse:
        warehouse.adopt(sync, tmp_path / "s.duckdb")
        assert planned(warehouse.run(sync)) == {"added": 2, "changed": 2, "removed": 1}
    assert {key: row["v"] for key, row in crm.held.items()} == {"1": 10, "2": 20, "4": 4, "5": 5}


@pytest.mark.postgres
def test_a_moved_sync_is_pulled_no_more(postgres: PostgresEngine, crm: Recorder, tmp_path: Path) -> None:
    postgres.table("id bigint, v integer", "(1, 1)")
    sync, state = sync_of(crm), tmp_path / "s.duckdb"
    with postgres.connect() as warehouse, pytest.raises(wcdc.StateError) as caught:
        warehouse.adopt(sync, state)
    assert caught.value.code == "state-no-run"
    with wcdc.connect(postgres.url, state=state) as pulled:
        pulled.run(sync)
    with postgres.connect() as warehouse:
        warehouse.adopt(sync, state)
    for file in (state, tmp_path / "another.duckdb"):
        with wcdc.connect(postgres.url, state=file) as pulled, pytest.raises(wcdc.StateError) as caught:
            pulled.run(sync)
        assert caught.value.code == "state-moved" and caught.value.hint
    with postgres.connect() as warehouse:
        warehouse.run(sync_of(crm, id="other"))
        with pytest.raises(wcdc.StateError) as caught:
            warehouse.adopt(sync_of(crm, id="other"), state)
        assert caught.value.code == "state-moved"


@pytest.mark.postgres
@pytest.mark.parametrize(
    "step", [Step.CLAIM, Step.WRITE_PLAN, Step.JOURNAL_PLAN, Step.DELIVERED, Step.COMMIT]
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupted_move_is_finished_by_calling_it_again(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path, step: Step, moment: str
) -> None:
    postgres.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync, state = sync_of(crm, batch_timeout=1.0), tmp_path / "s.duckdb"
    with wcdc.connect(postgres.url, state=state) as pulled:
        pulled.run(sync)

    def stop(at: Step, when: str) -> None:
        if (at, when) == (step, moment):
            raise KeyboardInterrupt

    postgres.execute("UPDATE people SET v = 20 WHERE id = 2")
    with postgres.connect(**SHORT) as warehouse, pytest.raises(KeyboardInterrupt):
        warehouse.adopt(sync, state, observer=stop)
    with wcdc.connect(postgres.url, state=state) as pulled:
        if step is Step.CLAIM:  # the file has not been touched
            assert pulled.plan(sync).counts["changed"] == 1
        else:
            with pytest.raises(wcdc.StateError, match="being moved"):
                pulled.run(sync)
    with postgres.connect(**SHORT) as warehouse:
        warehouse.adopt(sync, state, wait=20)
        assert planned(warehouse.run(sync)) == {"added": 0, "changed": 1, "removed": 0}
