"""PostgreSQL as a user who has exactly what the documentation asks for, and through a pooler."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER, PostgresEngine, Recorder, counted, ids
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.warehouses.postgres import PostgresConnection

pytestmark = pytest.mark.postgres
PASSWORD = "only-for-this-test"


class Member:
    """A user who owns nothing."""

    def __init__(self, engine: PostgresEngine, role: str) -> None:
        self.engine = engine
        self.role = role
        host = engine.url.rsplit("@", 1)[1]
        self.url = f"postgresql://{role}:{PASSWORD}@{host}"

    def grant(self, *without: str) -> None:
        """All that a run needs, but for these."""
        for name, sql in GRANTS.items():
            if name not in without:
                self.engine.execute(sql.format(role=self.role))


GRANTS = {
    "planner create": f"GRANT CREATE ON SCHEMA {PLANNER} TO {{role}}",
    "planner usage": f"GRANT USAGE ON SCHEMA {PLANNER} TO {{role}}",
    "audit create": f"GRANT CREATE ON SCHEMA {AUDIT} TO {{role}}",
    "audit usage": f"GRANT USAGE ON SCHEMA {AUDIT} TO {{role}}",
    "model usage": "GRANT USAGE ON SCHEMA sales TO {role}",
    "model select": "GRANT SELECT ON sales.people TO {role}",
}


@pytest.fixture
def member(postgres: PostgresEngine) -> Iterator[Member]:
    """A new user without any grant but to connect, beside a table of somebody else."""
    role = f"member_{uuid.uuid4().hex[:10]}"
    postgres.execute(
        "CREATE SCHEMA sales",
        "CREATE TABLE sales.people (id INTEGER, email TEXT, ltv INTEGER)",
        "INSERT INTO sales.people VALUES (1, 'a', 10), (2, 'b', 20)",
        f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'",
        f"REVOKE ALL ON DATABASE {postgres.database} FROM PUBLIC",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {postgres.database} TO {role}",
    )
    try:
        yield Member(postgres, role)
    finally:
        postgres.detach()
        postgres.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def sync_of(destination: Any, **options: Any) -> wcdc.Sync:
    model = wcdc.Model("people", table="sales.people", primary_key="id")
    options = {"on_removed": "delete", "max_removed": None, **options}
    return wcdc.Sync(id="people-sync", model=model, destination=destination, **options)


def test_the_three_grants_are_enough_for_everything(
    postgres: PostgresEngine, member: Member, crm: Recorder
) -> None:
    member.grant()
    sync = sync_of(crm)
    with wcdc.connect(member.url, retention_days=30) as warehouse:
        assert all(finding.ok for finding in warehouse.check(sync)), warehouse.check(sync)
        assert warehouse.plan(sync).counts["added"] == 2
        crm.refuse = {"2": "bad"}
        assert warehouse.run(sync).status == "warning"
        assert len(warehouse.rejections(sync)) == 1 and len(warehouse.history(sync)) == 1
        postgres.execute(
            "UPDATE sales.people SET ltv = 0 WHERE id = 1",
            "INSERT INTO sales.people VALUES (3, 'c', 30), (4, 'd', 40), (4, 'e', 50)",
        )
        crm.refuse = {}
        assert warehouse.run(sync).counts["added"].failed == 1
        postgres.execute("DELETE FROM sales.people WHERE id IN (1, 4)")
        assert warehouse.plan(sync).preview().num_rows == 1
        assert counted(warehouse.run(sync)) == {"removed": (1, 1, 1, 0, 0)}
        assert warehouse.full_resync(sync).status == "success"
        assert warehouse.reset_cdc(sync).status == "success"
        assert counted(warehouse.run(sync)) == {}
        assert warehouse.run(sync_of(crm, mode="archive", on_removed="nothing")).status == "success"
    assert set(crm.held) == {"2", "3"}
    owners = postgres.query(
        f"SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('{PLANNER}', '{AUDIT}')"
    )
    assert owners == [(member.role,)]


def test_what_setup_prints_is_what_is_needed(postgres: PostgresEngine, member: Member, crm: Recorder) -> None:
    postgres.execute(f"DROP SCHEMA {PLANNER}", f"DROP SCHEMA {AUDIT}")
    for sql in postgres.connect().setup_sql(member.role):
        postgres.execute(sql)
    for name in ("model usage", "model select"):
        postgres.execute(GRANTS[name].format(role=member.role))
    with wcdc.connect(member.url) as warehouse:
        assert warehouse.run(sync_of(crm)).status == "success"


def test_setup_run_by_an_administrator(postgres: PostgresEngine, member: Member, crm: Recorder) -> None:
    postgres.execute(f"DROP SCHEMA {PLANNER}", f"DROP SCHEMA {AUDIT}")
    member.grant("planner create", "planner usage", "audit create", "audit usage")
    with wcdc.connect(member.url) as warehouse:
        with pytest.raises(wcdc.PermissionDeniedError):
            warehouse.setup()
        postgres.connect().setup(member.role)
        assert warehouse.run(sync_of(crm)).status == "success"


@pytest.mark.parametrize("missing", GRANTS)
def test_check_names_each_grant_that_is_missing(
    postgres: PostgresEngine, member: Member, crm: Recorder, missing: str
) -> None:
    member.grant(missing)
    before = postgres.tables()
    with wcdc.connect(member.url) as warehouse:
        failed = [finding for finding in warehouse.check(sync_of(crm)) if not finding.ok]
        (finding,) = failed
        if missing.startswith("model"):
            assert finding.name == "model people" and "GRANT" in finding.fix and "SELECT" in finding.fix
        else:
            schema = PLANNER if missing.startswith("planner") else AUDIT
            assert finding.name == f"schema {schema}"
            assert finding.fix == f'GRANT CREATE, USAGE ON SCHEMA "{schema}" TO "{member.role}"'
            postgres.execute(finding.fix)
            assert all(finding.ok for finding in warehouse.check(sync_of(crm)))
    assert postgres.tables() == before, "looking leaves nothing behind"


def test_check_names_tables_that_another_user_made(
    postgres: PostgresEngine, member: Member, crm: Recorder
) -> None:
    """An administrator who tries a sync once leaves tables that nobody else may use."""
    member.grant()
    sync = sync_of(crm)
    postgres.connect().run(sync)
    with wcdc.connect(member.url) as warehouse:
        with pytest.raises(wcdc.PermissionDeniedError):
            warehouse.run(sync)
        failed = [finding for finding in warehouse.check(sync) if not finding.ok]
        assert [finding.name for finding in failed] == [
            f"table {PLANNER}.wcdc_journal",
            f"table {PLANNER}.wcdc_leases",
            *(f"table {AUDIT}.sync_{name}" for name in ("changelog", "runs", "snapshot")),
            "state of people-sync",
        ]
        for finding in failed:
            postgres.execute(*finding.fix.split("; "))
        assert all(finding.ok for finding in warehouse.check(sync))
        assert counted(warehouse.run(sync)) == {}


def test_check_names_tables_that_are_not_the_engines(
    postgres: PostgresEngine, member: Member, crm: Recorder
) -> None:
    member.grant()
    postgres.execute(
        *(f"CREATE TABLE {AUDIT}.{name} (sync_id TEXT)" for name in ("sync_runs", "sync_changelog")),
        *(f"ALTER TABLE {AUDIT}.{name} OWNER TO {member.role}" for name in ("sync_runs", "sync_changelog")),
    )
    with wcdc.connect(member.url) as warehouse:
        sync = sync_of(crm, changelog=False)
        (finding,) = [finding for finding in warehouse.check(sync) if not finding.ok]
        assert finding.name == f"table {AUDIT}.sync_runs" and "sync_run_id" in finding.detail
        assert "drop it" in finding.fix
        assert len([finding for finding in warehouse.check() if not finding.ok]) == 2
        postgres.execute(f"DROP TABLE {AUDIT}.sync_runs")
        assert all(finding.ok for finding in warehouse.check(sync))
        assert warehouse.run(sync).status == "success"


def test_check_names_the_user_that_a_pulled_model_is_read_by(
    postgres: PostgresEngine, member: Member, crm: Recorder, tmp_path: Path
) -> None:
    member.grant("model select")
    with wcdc.connect(member.url, state=tmp_path / "state.duckdb") as warehouse:
        (finding,) = [finding for finding in warehouse.check(sync_of(crm)) if not finding.ok]
    assert finding.fix == f'GRANT SELECT ON <the model\'s tables> TO "{member.role}"'


@pytest.mark.parametrize("missing", GRANTS)
def test_a_run_without_a_grant_is_a_typed_error_with_a_hint(
    postgres: PostgresEngine, member: Member, crm: Recorder, missing: str
) -> None:
    member.grant(missing)
    sync = sync_of(crm)
    with wcdc.connect(member.url) as warehouse:
        with pytest.raises((wcdc.PermissionDeniedError, wcdc.StateError)) as caught:
            warehouse.run(sync)
        assert caught.value.hint and crm.sent == []
        if missing.startswith("model"):
            assert "SELECT" in caught.value.hint or "USAGE" in caught.value.hint
            assert postgres.tables() == set(), "nothing was written"
        postgres.execute(GRANTS[missing].format(role=member.role))
        assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("added", 1, 2)


def test_a_grant_that_is_withdrawn_between_two_runs(
    postgres: PostgresEngine, member: Member, crm: Recorder
) -> None:
    member.grant()
    sync = sync_of(crm)
    with wcdc.connect(member.url) as warehouse:
        warehouse.run(sync)
        crm.take()
        before = postgres.footprint()
        postgres.execute(f"REVOKE SELECT ON sales.people FROM {member.role}")
        with pytest.raises(wcdc.PermissionDeniedError) as caught:
            warehouse.run(sync)
        assert "SELECT" in caught.value.hint and "people" in str(caught.value)
        assert postgres.footprint() == before
        member.grant()
        assert counted(warehouse.run(sync)) == {} and crm.take() == set()


# -- poolers ---------------------------------------------------------------------------------------


class Pooled(PostgresConnection):
    """What a pooler in transaction mode makes of a connection: each transaction has another session."""

    def __init__(self, url: str) -> None:
        self.sessions = [psycopg.connect(url, autocommit=True, prepare_threshold=None) for _ in range(3)]
        super().__init__(self.sessions[0], owned=True)
        self.turns = 0

    def _turn(self) -> None:
        self._connection.execute("DISCARD ALL")
        self.turns += 1
        self._connection = self.sessions[self.turns % len(self.sessions)]

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[Any]:
        with super()._cursor(sql) as cursor:
            yield cursor
        if not self._in_transaction:
            self._turn()

    @contextmanager
    def transaction(self, **options: Any) -> Iterator[None]:
        with super().transaction(**options):
            yield
        self._turn()

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def test_a_pooler_in_transaction_mode_may_stand_between(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute(
        "CREATE SCHEMA sales", "CREATE TABLE sales.people (id INTEGER, at TIMESTAMPTZ, b BYTEA, d DATE)"
    )
    postgres.execute(
        "INSERT INTO sales.people VALUES (1, '2024-01-01 00:00+02', 'x', '2024-01-01'), (2, NULL, NULL, NULL)"
    )
    postgres.execute(f"ALTER DATABASE {postgres.database} SET TimeZone = 'Asia/Tokyo'")
    connection = Pooled(postgres.url)
    settings = Settings(Schemas(PLANNER, AUDIT))
    with contextlib.closing(connection), wcdc.Warehouse(connection, settings, owned=False) as warehouse:
        sync = sync_of(crm)
        assert all(finding.ok for finding in warehouse.check(sync))
        assert warehouse.run(sync).status == "success"
        assert crm.held["1"]["at"].isoformat() == "2023-12-31T22:00:00+00:00"
        crm.take()
        postgres.execute(
            "UPDATE sales.people SET b = 'y' WHERE id = 2", "INSERT INTO sales.people VALUES (3), (4), (4)"
        )
        assert warehouse.plan(sync).counts == {"removed": 0, "changed": 1, "added": 1}
        assert warehouse.run(sync).status == "warning"
        assert crm.take() == ids("changed", 2) | ids("added", 3)
        assert len(warehouse.rejections(sync)) == 1 and len(warehouse.history(sync)) == 2
        assert warehouse.full_resync(sync).counts["added"].succeeded == 3
        assert connection.turns > 30


def test_nothing_is_prepared_and_no_setting_stays(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute("CREATE SCHEMA sales", "CREATE TABLE sales.people (id INTEGER, v TEXT)")
    postgres.execute("INSERT INTO sales.people SELECT i, 'x' FROM generate_series(1, 500) r(i)")
    names = "'TimeZone', 'DateStyle', 'IntervalStyle', 'extra_float_digits', 'bytea_output', 'search_path'"
    settings = f"SELECT name, setting FROM pg_settings WHERE name IN ({names}) ORDER BY name"
    with psycopg.connect(postgres.url, autocommit=True) as raw:
        raw.prepare_threshold = None
        before = raw.execute(settings).fetchall()
        with wcdc.connect(raw) as warehouse:
            for _repeat in range(8):
                warehouse.run(sync_of(crm, batch_rows=50, chunk_rows=100))
        assert raw.execute("SELECT count(*) FROM pg_prepared_statements").fetchall() == [(0,)]
        assert raw.execute("SELECT count(*) FROM pg_cursors").fetchall() == [(0,)]
        assert raw.execute(settings).fetchall() == before
        mine = "pid <> pg_backend_pid() AND datname = current_database()"
        assert raw.execute(
            f"SELECT count(*) FROM pg_stat_activity WHERE {mine} AND state LIKE 'idle in%'"
        ).fetchall() == [(0,)]
