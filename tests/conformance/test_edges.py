"""Sessions, threads and sizes at the edges: given connections, failures while rows are read, long keys."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import sqlglot
from psycopg.types.string import TextLoader

import warehouse_cdc as wcdc
from tests.conformance.helpers import (
    AUDIT,
    PLANNER,
    Child,
    Engine,
    PostgresEngine,
    Recorder,
    sync_of,
    until,
)
from tests.conformance.test_deltas import hundred
from warehouse_cdc.compile.determinism import tables_of
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.errors import ConnectionLostError
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.warehouses.duckdb import DuckDBConnection


def test_a_long_text_key_can_be_audited(engine: Engine, crm: Recorder) -> None:
    """D1/D25: a text key is itself, byte for byte, and every row of the model is in the snapshot."""
    engine.table("id TEXT, v INTEGER", f"('{secrets.token_hex(5000)}', 1)", "('b', 2)")
    warehouse, sync = engine.connect(), sync_of(crm)
    for _repeat in range(2):
        assert warehouse.run(sync).status == "success"
    assert len(engine.audit("sync_snapshot")) == 2


def fails_while_spooling(engine: Engine, crm: Recorder, patch: pytest.MonkeyPatch, rows: int) -> Any:
    """A run whose local disk is full; its exception is kept, as a logger or a future would keep it."""
    crm.holds_rows = False
    engine.execute(
        "CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id, CAST(i AS INTEGER) AS v "
        f"FROM generate_series(1, {rows}) r(i)"
    )

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    patch.setattr("warehouse_cdc.engine.spool.LIMIT", 0)
    patch.setattr("warehouse_cdc.engine.spool.Spool._spill", full)
    patch.setattr("warehouse_cdc.warehouses.postgres.COPY_ROWS", 10**9)  # as with a SQLAlchemy engine
    with pytest.raises(OSError) as caught:
        engine.connect().run(sync_of(crm))
    return caught


@pytest.mark.parametrize("rows", [100, 100_000])
def test_a_failure_while_rows_are_spooled_leaves_no_thread(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    before = set(threading.enumerate())
    caught = fails_while_spooling(engine, crm, monkeypatch, rows)
    left = [thread for thread in threading.enumerate() if thread.name.startswith("wcdc-read")]
    assert caught.value.errno == 28 and not set(left) - before


def test_a_run_that_fails_while_rows_are_spooled_is_closed(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    fails_while_spooling(engine, crm, monkeypatch, 100_000)
    assert not [record.message for record in caplog.records if "could not be closed" in record.message]


def test_a_second_signal_stops_a_run_that_is_reading(postgres: Engine, crm: Recorder, tmp_path: Path) -> None:
    """D20: a second signal stops at once."""
    hundred(postgres)
    child = Child(
        postgres,
        tmp_path / "sent",
        """
        def stop(step, moment):
            if step.value == "read" and moment == "before":
                open(log, "a").close()
                while not os.path.exists(log + ".go"):
                    time.sleep(0.05)
        try:
            wcdc.connect(url, lease_seconds=70).run(sync_of(note), observer=stop)
        except KeyboardInterrupt:
            print("stopped")
        """,
    )
    until(lambda: (tmp_path / "sent").exists(), 30)
    raw = postgres.raw()
    raw.autocommit = False
    raw.execute(f"LOCK TABLE {postgres.plan_table()} IN ACCESS EXCLUSIVE MODE")
    Path(str(tmp_path / "sent") + ".go").touch()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    until(lambda: postgres.query(waiting)[0][0], 20)
    child.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    child.process.send_signal(signal.SIGTERM)
    try:
        code, output = child.wait(15)
    finally:
        raw.rollback()
        raw.close()
    assert (code, output) == (0, "stopped\n")


@pytest.mark.parametrize("kind", ["NUMERIC(20, 0)", "BIGINT"])
def test_an_unknown_operation_keeps_its_key_over_a_change_of_type(
    engine: Engine, crm: Recorder, kind: str
) -> None:
    """D18: the key is reused while the outcome is unknown and the values are the same."""
    engine.table("id INTEGER, v INTEGER", "(1, 10)", "(2, 20)")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1)

    def lost(batch: Any) -> None:
        raise RuntimeError("gone")

    crm.during = lost
    warehouse.run(sync)
    first = dict(crm.keys)
    crm.during = None
    crm.batches.clear()
    engine.execute(f"ALTER TABLE people ALTER COLUMN v TYPE {kind}")
    warehouse.run(sync)
    assert crm.keys == first


def test_rows_that_a_policy_shows_at_random_are_evaluated_once(postgres: Engine, crm: Recorder) -> None:
    """D28: a model is read twice only if that is provably alike; row security is part of what is read."""
    hundred(postgres)
    postgres.execute(
        "ALTER TABLE people ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY sometimes ON people USING (random() < 0.9)",
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON people TO reader",
        f"GRANT CREATE, USAGE ON SCHEMA {PLANNER}, {AUDIT} TO reader",
    )
    try:
        url = postgres.url.replace("postgres@", "reader@")
        warehouse = wcdc.connect(url, compaction=100.0)
        steps: list[str] = []
        sync = sync_of(crm)
        warehouse.run(sync)
        warehouse.run(sync, observer=lambda step, _moment: steps.append(step.value))
        warehouse.close()
        assert "write_plan" in steps and "copy_model" in steps
    finally:
        postgres.execute("DROP OWNED BY reader", "DROP ROLE reader")


def test_many_rows_are_read_with_the_rights_of_the_given_connection(postgres: Engine, crm: Recorder) -> None:
    """A given psycopg connection may have taken a role that its sign-in doesn't inherit."""
    crm.holds_rows = False
    postgres.execute(
        "CREATE TABLE people AS SELECT i AS id, i AS v FROM generate_series(1, 20000) r(i)",
        "CREATE ROLE keeper",
        "CREATE ROLE visitor LOGIN NOINHERIT IN ROLE keeper",
        "GRANT SELECT ON people TO keeper",
        f"GRANT CREATE, USAGE ON SCHEMA {PLANNER}, {AUDIT} TO keeper",
    )
    try:
        connection = psycopg.connect(postgres.url.replace("postgres@", "visitor@"), autocommit=True)
        connection.execute("SET ROLE keeper")
        warehouse = wcdc.connect(connection)
        try:
            assert warehouse.run(sync_of(crm)).status == "success"
        finally:
            warehouse.close()
            connection.close()
    finally:
        postgres.execute("DROP OWNED BY keeper", "DROP OWNED BY visitor", "DROP ROLE visitor, keeper")


def test_a_temporary_table_of_a_given_connection(postgres: Engine, crm: Recorder) -> None:
    connection = postgres.raw()
    connection.execute("CREATE TEMP TABLE people AS SELECT i AS id, i AS v FROM generate_series(1, 100) r(i)")
    warehouse, sync = wcdc.connect(connection), sync_of(crm)
    warehouse.run(sync)
    connection.execute("UPDATE people SET v = 0 WHERE id = 1")
    crm.take()
    for expected in ({("changed", "1")}, set(), set()):
        warehouse.run(sync)
        assert crm.take() == expected
    warehouse.close()
    connection.close()


def test_nothing_is_prepared_in_a_given_session(postgres: PostgresEngine, crm: Recorder) -> None:
    """A pooler in transaction mode may stand in between."""
    hundred(postgres)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        before = connection.prepare_threshold
        with wcdc.connect(connection) as warehouse:
            for _ in range(12):
                postgres.execute("UPDATE people SET v = v + 100")
                warehouse.run(sync_of(crm))
        assert connection.prepare_threshold == before
        prepared = "SELECT statement FROM pg_prepared_statements"
        assert connection.execute(prepared, prepare=False).fetchall() == []


def test_loaders_of_a_given_connection_do_not_count(postgres: PostgresEngine, crm: Recorder) -> None:
    class Upper(TextLoader):
        def load(self, data: Any) -> str:
            return str(super().load(data)).upper()

    postgres.table("id BIGINT, v TEXT", "(1, 'x')")
    with psycopg.connect(postgres.url) as connection:
        for loader in (Upper, type("Binary", (Upper,), {"format": psycopg.pq.Format.BINARY})):
            connection.adapters.register_loader("text", loader)
        with wcdc.connect(connection) as warehouse:
            warehouse.run(sync_of(crm))
            assert (crm.take(), crm.held["1"]["v"]) == ({("added", "1")}, "x")
            warehouse.run(sync_of(crm))
            assert crm.take() == set()


@pytest.mark.parametrize("setting", ["client_encoding TO 'LATIN1'", "standard_conforming_strings TO off"])
def test_settings_of_a_given_session_never_make_a_row_changed(
    postgres: Engine, crm: Recorder, setting: str
) -> None:
    """D5: the session never makes a row changed. A message is parsed before the settings in it count."""
    hundred(postgres)
    sync = sync_of(crm, "SELECT id, v, 'é' AS x, 'a\\b' AS y FROM people")
    connection = postgres.raw()
    connection.execute(f"SET {setting}")
    warehouse = wcdc.connect(connection, compaction=100.0)
    warehouse.run(sync)
    sent = crm.held["1"]
    crm.take()
    postgres.execute("UPDATE people SET v = 0 WHERE id = 1")
    warehouse.run(sync)
    warehouse.close()
    connection.close()
    assert (sent["x"], sent["y"]) == ("é", "a\\b"), "text arrives to the last byte"
    assert crm.take() == {("changed", "1")}


def test_a_model_that_reads_from_a_function_has_no_counters(postgres: Engine, crm: Recorder) -> None:
    """Before version 16, PostgreSQL refuses to look for a table of such a name."""
    sql = "SELECT i AS id, i AS v FROM generate_series(1, 5) AS r(i)"
    warehouse = postgres.connect()
    connection = warehouse._connection
    before = connection.statements
    tables = tables_of(sqlglot.parse_one(sql, dialect="postgres"))
    assert tables and connection.change_hint(tables) == "" and connection.statements == before
    assert warehouse.run(sync_of(crm, sql)).status == "success"


@pytest.mark.parametrize(("columns", "fits"), [(791, True), (792, False)])
def test_a_model_with_too_many_columns_is_refused_before_anything_is_sent(
    postgres: Engine, crm: Recorder, columns: int, fits: bool
) -> None:
    """What can be run once can be run again, when plans hold each column twice."""
    names = [f"c{number}" for number in range(columns)]
    postgres.execute(
        f"CREATE TABLE people (id INTEGER, {', '.join(f'{name} INTEGER' for name in names)})",
        "INSERT INTO people (id, c0) VALUES (1, 1), (2, 2)",
    )
    warehouse, sync = postgres.connect(compaction=100.0, snapshot=False, changelog=False), sync_of(crm)
    if not fits:
        with pytest.raises(wcdc.ModelError) as caught:
            warehouse.run(sync)
        assert caught.value.code == "model-too-wide" and not crm.sent
        return
    warehouse.run(sync)
    crm.take()
    postgres.execute("UPDATE people SET c0 = 0 WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1")}


@pytest.mark.postgres
def test_a_broken_session_is_replaced_whatever_is_asked_next(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.table("id bigint", "(1)")
    sync = sync_of(crm)
    with wcdc.connect(postgres.url) as warehouse:
        warehouse.run(sync)
        for ask in (
            lambda: len(warehouse.history(sync)) == 1,
            lambda: len(warehouse.rejections(sync)) == 0,
            lambda: len(warehouse.setup_sql()) == 4,
            lambda: all(finding.ok for finding in warehouse.check(sync)),
        ):
            postgres.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            with contextlib.suppress(ConnectionLostError):
                ask()  # which notices it
            assert ask()


def test_check_asks_where_somebody_waits(crm: Recorder) -> None:
    class Warehouse(DuckDBConnection):
        asked = False

        @contextlib.contextmanager
        def interactive(self) -> Iterator[None]:
            self.asked = True
            yield

    connection = Warehouse(duckdb.connect())
    wcdc.Warehouse(connection, Settings(Schemas(PLANNER, AUDIT)), owned=False).check()
    assert connection.asked


def test_ids_of_syncs_whose_tables_would_have_the_same_names(engine: Engine) -> None:
    """The second would find tables that it takes for garbage: they are the first one's state."""
    engine.table("id BIGINT", "(1)")
    crm, other = Recorder(), Recorder()
    first, second = sync_of(crm, id="customers-to-crm 18026"), sync_of(other, id="customers-to-crm 73604")
    with engine.connect() as warehouse:
        warehouse.run(first)
        for act in (warehouse.run, warehouse.reset_cdc):
            with pytest.raises(wcdc.StateError, match="customers-to-crm 18026") as caught:
                act(second)
            assert caught.value.code == "state-other-sync" and not other.sent
        assert warehouse.run(first).counts["added"].planned == 0
        assert warehouse.run(sync_of(other, id="another")).counts["added"].planned == 1


@pytest.mark.postgres
def test_a_broken_session_of_the_lease_is_replaced_while_a_given_one_is_busy(
    postgres: PostgresEngine, crm: Recorder
) -> None:
    postgres.table("id bigint", "(1)")
    sync = sync_of(crm, "SELECT id, pg_sleep(4)::text AS slept FROM people", batch_timeout=1.0)
    killed = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE '%stage=lease%' AND pid <> pg_backend_pid()"
    )
    killer = threading.Thread(target=until, args=(lambda: postgres.query(killed),))
    with (
        psycopg.connect(postgres.url) as session,
        wcdc.connect(session, lease_seconds=2.0, lease_margin=0.1) as warehouse,
    ):
        killer.start()
        assert warehouse.run(sync).status == "success"
        killer.join()
    assert crm.take() == {("added", "1")}


@pytest.mark.postgres
@pytest.mark.parametrize("before", [True, False])
def test_a_given_session_that_broke_is_no_error_of_the_driver(postgres: PostgresEngine, before: bool) -> None:
    """Before its settings are read and changed, or when they are given back."""
    session = psycopg.connect(postgres.url, client_encoding="latin1")
    end = f"SELECT pg_terminate_backend({session.info.backend_pid})"
    if before:
        postgres.execute(end)
        with pytest.raises(wcdc.ConnectionLostError):
            wcdc.connect(session)
    else:
        warehouse = wcdc.connect(session)
        postgres.execute(end)
        warehouse.close()
    session.close()
