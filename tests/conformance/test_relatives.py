"""PostgreSQL's relatives, each on a PostgreSQL server that stands in for it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PostgresEngine, Recorder, counted, ids, postgres_engine, sync_of, until
from tests.conformance.test_moving_to_servers import (
    test_what_is_moved_is_not_sent_and_what_is_due_is as check_move,
)
from tests.stand_ins import (
    REDSHIFTS_FUNCTIONS,
    RedshiftOnPostgres,
    as_postgres,
    connect_greenplum,
    connect_redshift,
)
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.warehouses import base
from warehouse_cdc.warehouses.base import Labels

NAMES = ("lakebase", "greenplum", "redshift")
COLUMNS = "id text, name text, ltv numeric(12, 2), score double precision, seen timestamptz"


class Relative(PostgresEngine):
    """A PostgreSQL server that stands in for a relative."""

    kin = ""

    def connect(self, **options: Any) -> wcdc.Warehouse:
        if self.kin == "lakebase":
            made = wcdc.connect(self.url.replace("postgresql://", "lakebase://"), **options)
        else:
            made = (connect_greenplum if self.kin == "greenplum" else connect_redshift)(self.url, **options)
        self._warehouses.append(made)
        return made

    def fields(self) -> dict[str, Any]:
        """The snapshot's fields by row id."""
        text = "super_text(fields)" if self.kin == "redshift" else "fields::text"
        return {
            row_id: json.loads(value)
            for row_id, value in self.query(f"SELECT row_id, {text} FROM hightouch_audit.sync_snapshot")
        }


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in NAMES])
def relative(request: pytest.FixtureRequest) -> Iterator[Relative]:
    with postgres_engine(request.getfixturevalue("postgres_url"), Relative) as engine:
        assert isinstance(engine, Relative)
        engine.kin = request.param
        if request.param == "redshift":
            engine.execute(*REDSHIFTS_FUNCTIONS)
            lacks = dict.fromkeys(("uuid", "json", "array of integer", "struct"), "Redshift has no such type")
            engine.spelling = replace(engine.spelling, absent=lacks)
        yield engine


def test_runs_send_what_changed(relative: Relative, crm: Recorder) -> None:
    relative.table(
        COLUMNS,
        "('a', 'A', 1.50, 'NaN', '2024-01-01 10:00+00')",
        "('a ', 'trailing space', 1, -0.0, NULL)",
        "('b', '', NULL, NULL, NULL)",
        "('c\"\\', 'it''s', 0, 1e300, '2024-01-01')",
        "('d', 'D', 0, 0, NULL)",
        "('d', 'E', 0, 0, NULL)",
        "(NULL, 'nobody', 0, 0, NULL)",
    )
    sync = sync_of(crm)
    with relative.connect() as warehouse:
        assert warehouse.dialect == relative.kin
        assert warehouse.plan(sync).counts["added"] == 4
        assert counted(warehouse.run(sync))["added"] == (5, 5, 4, 1, 0)
        assert crm.take() == ids("added", "a", "a ", "b", 'c"\\')
        assert [row["name"] for row in crm.held.values() if row["id"] == "a "] == ["trailing space"]
        assert {row["reason"] for row in warehouse.rejections(sync).to_pylist()} == {
            "duplicate primary key (2 rows)"
        }
        relative.execute(
            "DELETE FROM people WHERE id = 'd' AND name = 'E'",
            "DELETE FROM people WHERE id = 'b'",
            "UPDATE people SET name = name || ' ' WHERE id = 'a'",
            "UPDATE people SET score = 0 WHERE id = 'a '",
            "INSERT INTO people VALUES ('e', NULL, NULL, NULL, NULL), ('e ', NULL, NULL, NULL, NULL)",
        )
        assert warehouse.plan(sync).preview().num_rows == 5
        warehouse.run(sync)
        assert crm.take() == ids("added", "d", "e", "e ") | ids("changed", "a") | ids("removed", "b")
        for _again in range(3):
            assert counted(warehouse.run(sync)) == {}
        relative.execute("UPDATE people SET ltv = 2.00 WHERE id = 'a '")
        crm.refuse["a "] = "no"
        assert warehouse.run(sync).status == "warning"
        del crm.refuse["a "]
        crm.take()
        warehouse.run(sync)
        assert crm.take() == ids("changed", "a ")
        warehouse.full_resync(sync)
        assert crm.take() == ids("added", "a", "a ", 'c"\\', "d", "e", "e ")
    rows = relative.query("SELECT row_id, op_type, status FROM hightouch_audit.sync_snapshot")
    assert sorted(row[0] for row in rows) == ["a", "a ", 'c"\\', "d", "e", "e "]
    fields = relative.fields()
    assert fields["a"]["name"] == "A " and fields["a"]["ltv"] == 1.5 and fields["a"]["score"] == "NaN"
    assert fields['c"\\']["name"] == "it's" and fields["e"]["name"] is None


def test_a_pulled_sync_is_moved(relative: Relative, crm: Recorder, tmp_path: Path) -> None:
    check_move(relative, crm, tmp_path)


def test_a_row_that_changes_back_and_rows_that_change_places_are_found(
    relative: Relative, crm: Recorder
) -> None:
    relative.table("id bigint, name text", *(f"({number}, 'n{number}')" for number in range(50)))
    sync = sync_of(crm)
    with relative.connect() as warehouse:
        warehouse.run(sync)
        warehouse.run(sync)
        crm.take()
        relative.execute("UPDATE people SET name = CASE id WHEN 1 THEN 'n2' ELSE 'n1' END WHERE id IN (1, 2)")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1, 2)
        relative.execute("UPDATE people SET name = 'n' || id WHERE id IN (1, 2)")
        warehouse.run(sync)
        assert crm.take() == ids("changed", 1, 2)


@pytest.mark.redshift
def test_statements_of_a_dead_run_are_ended(
    postgres: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "SETTLE_SECONDS", 0)
    postgres.execute(*REDSHIFTS_FUNCTIONS)
    with (
        connect_redshift(postgres.url) as warehouse,
        psycopg.connect(postgres.url) as dead,
        psycopg.connect(postgres.url) as other,
        ThreadPoolExecutor() as pool,
    ):
        connection = warehouse._connection
        connection.labels = Labels("people", "NOW", "claim")
        slow = [
            pool.submit(session.execute, f"/* warehouse-cdc sync=a run={run} stage=b */ SELECT pg_sleep({n})")
            for session, run, n in ((dead, "DEAD", 60), (other, "DEADER", 3))
        ]
        asleep = "SELECT 1 FROM sys_query_history WHERE query_text ~ 'pg_sleep\\('"
        until(lambda: len(postgres.query(asleep)) == 2)
        assert connection.end_statements("DEAD")
        assert not connection.end_statements("DEAD")
        with pytest.raises(psycopg.OperationalError):
            slow[0].result()
        slow[1].result()


@pytest.mark.redshift
def test_d24_fields_are_cut_so_that_they_stay_valid_and_short(postgres: PostgresEngine) -> None:
    postgres.execute(*REDSHIFTS_FUNCTIONS)
    redshift = get_dialect("redshift")
    text, number = redshift.column_type(redshift.text_type), redshift.column_type("bigint")
    stored_json = redshift.stored("x", redshift.column_type("super"))[1]
    kinds = {"a": text, "b": text, "j": stored_json, "n": number}
    sql = redshift.json_object([(name, name, kind) for name, kind in kinds.items()])

    def made(a: str, b: str, j: str) -> str:
        values = f"repeat('{a}', 1)::text AS a, {b}::text AS b, {j}::text AS j, 7::bigint AS n"
        ((found,),) = postgres.query(as_postgres(f"SELECT JSON_SERIALIZE({sql}) FROM (SELECT {values}) x"))
        return str(found)

    small = json.loads(made("x", "'y'", "'[1, 2]'"))
    assert small == {"a": "x", "b": "y", "j": [1, 2], "n": 7}
    for filler in ("x", '"', "\x01", "é", "\\"):
        literal = f"repeat('{filler}', 32000)"
        long = made("x", literal, "'[1, 2]'")
        value = json.loads(long)
        assert len(long.encode()) <= 65_535 and value["n"] == 7 and value["j"] == [1, 2]
        assert value["b"] and set(value["b"]) == {filler}
        assert (len(value["b"]) < 32_000) == (filler == "\x01"), "nothing is cut that fits"
    both = json.loads(made("x", "repeat('y', 40000)", "'[' || repeat('1,', 20000) || '1]'"))
    assert both["j"].startswith("[1,1,") and len(both["b"]) > 1000


@pytest.mark.redshift
def test_query_groups_tell_runs_from_what_somebody_waits_for(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.execute(*REDSHIFTS_FUNCTIONS)
    postgres.table("id bigint", "(1)")
    with connect_redshift(postgres.url) as warehouse:
        connection = warehouse._connection
        assert isinstance(connection, RedshiftOnPostgres)
        warehouse.plan(sync_of(crm))
        warehouse.run(sync_of(crm))
        sent, group, plans = connection.sent, "", {}
        for sql in sent:
            if "SET query_group TO" in sql:
                group = sql.rsplit("'", 2)[1]
            elif "wcdc_joined" in sql:
                plans.setdefault(group, []).append(sql.split()[0])
        assert set(plans["ht_interactive"]) == {"SELECT"} and plans["ht_batch"] == ["CREATE"]
        assert group == "ht_batch"


@pytest.mark.lakebase
def test_each_session_asks_for_a_token_of_its_own(postgres: PostgresEngine, crm: Recorder) -> None:
    postgres.table("id bigint", "(1)")
    tokens: list[str] = []

    def token() -> str:
        tokens.append(f"token-{len(tokens)}")
        return tokens[-1]

    source = wcdc.sources.Lakebase.from_url(postgres.url, token=token)
    with wcdc.connect(source) as warehouse:
        assert tokens == ["token-0"]
        assert warehouse.run(sync_of(crm)).status == "success"
        assert len(tokens) > 1, "the session that extends the lease"


@pytest.mark.lakebase
def test_a_function_that_fails_to_give_a_token(postgres: PostgresEngine, crm: Recorder) -> None:
    """Its message may hold a secret; and the sync isn't held by a run that had no second session."""
    postgres.table("id bigint", "(1)")
    answers: list[Any] = ["a", KeyError("hunter2"), KeyError("hunter2"), *"b" * 20]

    def token() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = wcdc.sources.Lakebase.from_url(postgres.url, token=token)
    with wcdc.connect(source) as warehouse:
        for _ in range(2):
            with pytest.raises(wcdc.ConnectionLostError) as caught:
                warehouse.run(sync_of(crm))
            assert caught.value.code == "source-token" and caught.value.retryable
            assert "hunter2" not in "".join(traceback.format_exception(caught.value))
        assert warehouse.run(sync_of(crm)).status == "success"
    for wrong in (None, b"hunter2", ""):
        answers.insert(0, wrong)
        with pytest.raises(wcdc.ConnectionLostError, match="returned") as caught:
            wcdc.connect(source)
        assert not caught.value.retryable and "hunter2" not in str(caught.value)


@pytest.mark.redshift
@pytest.mark.parametrize("moment", ["10000-01-01 00:00:00+00", "0044-03-15 00:00:00+00 BC"])
def test_instants_that_python_lacks_are_errors_without_values(
    postgres: PostgresEngine, crm: Recorder, moment: str
) -> None:
    postgres.execute(*REDSHIFTS_FUNCTIONS)
    postgres.table("id INTEGER, seen TIMESTAMPTZ", f"(1, '{moment}')")
    with connect_redshift(postgres.url) as warehouse, pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm))
    assert moment[:5] not in "".join(traceback.format_exception(caught.value))


def test_redshift_has_its_own_port_and_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(conninfo: str, **_options: Any) -> Any:
        asked.append(psycopg.conninfo.conninfo_to_dict(conninfo))
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(psycopg, "connect", connect)
    for url in ("redshift://u:p@h/d", "redshift://u:p@h:5555/d"):
        with pytest.raises(wcdc.ConnectionLostError):
            wcdc.connect(url)
    assert [each["port"] for each in asked] == ["5439", "5555"]
    assert {each["client_encoding"] for each in asked} == {"UTF8"}


@pytest.mark.parametrize("relative", [pytest.param("redshift", marks=pytest.mark.redshift)], indirect=True)
@pytest.mark.parametrize(
    ("before", "after", "value", "other"),
    [
        ("numeric(20, 15)", "numeric(20, 12)", "0.000000000007", "0.5"),
        ("numeric(38, 0)", "numeric(36, 0)", "12345678901234567890123456789000", "2"),
        ("numeric(38, 0)", "numeric(38, 20)", "12345678901234567", "0.5"),
        ("integer", "bigint", "7", "2"),
    ],
)
def test_a_removal_has_the_digits_that_were_delivered_though_the_type_changed(
    relative: Relative, crm: Recorder, before: str, after: str, value: str, other: str
) -> None:
    """D6 and D9; a refused row makes a plan that isn't settled."""
    rows = [f"({n}, {value})" for n in range(1, 40)]
    relative.table(f"id integer, n {before}", *rows)
    warehouse, sync = relative.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    relative.table(f"id integer, n {after}", *rows[:-1], f"(39, {other})")
    crm.refuse = {"39": "no"}
    warehouse.run(sync)
    crm.refuse = {}
    assert warehouse.run(sync).status == "success"
    delivered = Decimal(crm.held["7"]["n"])
    crm.batches.clear()
    relative.execute("DELETE FROM people WHERE id = 7")
    assert warehouse.run(sync).status == "success"
    sent = [(batch.operation, Decimal(batch.rows[0]["n"])) for batch in crm.batches]
    assert sent == [("removed", delivered)]
