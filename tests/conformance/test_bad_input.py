"""Bad input: a typed error with a hint, nothing written, nothing sent. Hostile but legal input works."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import (
    AUDIT,
    PLANNER,
    SHARED,
    Child,
    DuckDBEngine,
    Engine,
    PostgresEngine,
    Recorder,
    counted,
    ids,
    sync_of,
)
from warehouse_cdc.plan.names import ledger_table

ROWS = ("(1, 'a', 10)", "(2, 'b', 20)")


@pytest.fixture
def shop(engine: Engine) -> Engine:
    """A warehouse with a small table."""
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", *ROWS)
    return engine


def refused(
    engine: Engine, kind: type[wcdc.CdcError], code: str, call: Callable[[], Any], *, hint: bool = True
) -> Any:
    """The error of a call that must write nothing at all."""
    before = engine.footprint()
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert type(error) is kind and error.code == code, (type(error), error.code, str(error))
    assert bool(error.hint) or not hint, f"no hint: {error}"
    assert engine.footprint() == before, "something was written"
    return error


# -- models that are no SELECT ---------------------------------------------------------------------

NOT_A_SELECT = {
    "insert": ("insert into people values (9, 'x', 0)", "model-not-select", 1, 1),
    "update": ("update people set ltv = 0", "model-not-select", 1, 1),
    "delete": ("\n\n  delete from people", "model-not-select", 3, 3),
    "create table": ("create table stolen as select * from people", "model-not-select", 1, 1),
    "drop": ("drop table people", "model-not-select", 1, 1),
    "truncate": ("truncate table people", "model-not-select", 1, 1),
    "call": ("call something()", "model-not-select", 1, 1),
    "grant": ("grant all on people to public", "model-not-select", 1, 1),
    "copy": ("copy people to '/tmp/stolen'", "model-not-select", 1, 1),
    "set": ("set timezone = 'UTC'", "model-not-select", 1, 1),
    "two statements": ("select * from people;\n drop table people", "model-statements", 2, 2),
    "three statements": ("select 1 as id; ; select 2 as id", "model-statements", 1, 19),
    "dml in a cte": (
        "with gone as (\n  delete from people returning *\n) select * from gone",
        "model-writes",
        2,
        3,
    ),
    "insert in a cte": (
        "with n as (insert into people values (9, 'x', 0) returning *) select * from n",
        "model-writes",
        1,
        12,
    ),
    "select into": ("select *\ninto stolen from people", "model-writes", 2, 1),
    "for update": ("select * from people\nfor update", "model-writes", 2, 1),
    "for share in a subquery": ("select * from (select * from people for share) x", "model-writes", 1, 37),
    "syntax error": ("select id,\n  email frm people", "model-syntax", None, None),
    "unclosed": ("select (id from people", "model-syntax", None, None),
    "unclosed string": ("select 'x from people", "model-syntax", None, None),
    "dbt ref": ("select *\nfrom {{ ref('people') }}", "model-template", 2, 6),
    "dbt block": ("{% if true %} select * from people {% endif %}", "model-template", 1, 1),
    "only a comment": ("-- nothing\n", "model-empty", None, None),
    "only semicolons": (";;", None, None, None),
    "prose": ("give me all people", None, None, None),
    "a number": ("42", None, None, None),
}


@pytest.mark.parametrize("case", NOT_A_SELECT)
def test_a_model_that_is_not_one_select(shop: Engine, crm: Recorder, case: str) -> None:
    sql, code, line, column = NOT_A_SELECT[case]
    warehouse, people = shop.connect(), shop.query("SELECT * FROM people ORDER BY id")
    sync = sync_of(crm, sql)
    before = shop.footprint()
    for call in (warehouse.run, warehouse.plan, warehouse.full_resync, warehouse.reset_cdc):
        with pytest.raises(wcdc.ModelError) as caught:
            call(sync)
        error = caught.value
        assert error.code.startswith("model-") and error.hint
        if code is not None:
            assert error.code == code
        if line is not None:
            assert (error.line, error.column) == (line, column)
            assert f"line {line}, column {column}" in str(error)
            assert error.excerpt.splitlines()[0].strip() in sql
            assert error.excerpt.splitlines()[1].index("^") == column - 1
    assert shop.footprint() == before and crm.sent == []
    assert shop.query("SELECT * FROM people ORDER BY id") == people


def test_a_syntax_error_is_shown_where_it_is(shop: Engine, crm: Recorder) -> None:
    sql = "select id,\n  email\nfrom people\nwhere ltv = = 3"
    error = refused(shop, wcdc.ModelError, "model-syntax", lambda: shop.connect().run(sync_of(crm, sql)))
    assert error.line == 4 and error.column is not None and "where ltv" in error.excerpt


# -- models that don't fit -------------------------------------------------------------------------

MISFITS: dict[str, tuple[dict[str, Any], type[wcdc.CdcError], str]] = {
    "unknown column in the model": ({"sql": "select id, phone from people"}, wcdc.QueryError, "query"),
    "unknown table": ({"sql": "select * from nobody"}, wcdc.QueryError, "query"),
    "unknown schema": ({"sql": "select * from nowhere.people"}, wcdc.QueryError, "query"),
    "unknown function": ({"sql": "select id, frobnicate(ltv) as x from people"}, wcdc.QueryError, "query"),
    "unknown mapped column": ({"mappings": {"phone": "phone"}}, wcdc.ConfigError, "unknown-field"),
    "unknown matched column": (
        {"mappings": {"m": "email"}, "match": {"mail": "m"}},
        wcdc.ConfigError,
        "unknown-field",
    ),
    "unknown key column": ({"key": "uid"}, wcdc.ConfigError, "unknown-field"),
    "key of other case": ({"key": "ID"}, wcdc.ConfigError, "unknown-field"),
    "one unknown key part": ({"key": ["id", "uid"]}, wcdc.ConfigError, "unknown-field"),
    "real key": ({"sql": "select cast(1 as real) as id"}, wcdc.ModelError, "model-key-type"),
    "double key": ({"sql": "select cast(1 as double precision) as id"}, wcdc.ModelError, "model-key-type"),
    "float in a composite key": (
        {"sql": "select 1 as id, cast(1 as double precision) as b", "key": ["id", "b"]},
        wcdc.ModelError,
        "model-key-type",
    ),
    "json key": ({"sql": "select cast('1' as json) as id"}, wcdc.ModelError, "model-key-type"),
    "array key": ({"sql": "select array[1, 2] as id"}, wcdc.ModelError, "model-key-type"),
    "time key": ({"sql": "select cast('10:00' as time) as id"}, wcdc.ModelError, "model-key-type"),
    "interval key": ({"sql": "select interval '1' day as id"}, wcdc.ModelError, "model-key-type"),
    "binary key": (
        {"sql": "select b as id from (select cast('a' as {binary}) as b) x"},
        wcdc.ModelError,
        "model-key-type",
    ),
    "one field from two columns": (
        {"mappings": {"id": "email"}},
        wcdc.ConfigError,
        "sync-mappings",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_sync_that_does_not_fit_its_model(shop: Engine, crm: Recorder, case: str) -> None:
    options, kind, code = MISFITS[case]
    options = dict(options)
    if "sql" in options:
        options["sql"] = options["sql"].format(binary=shop.binary)
    sync = sync_of(crm, **options)
    warehouse = shop.connect()
    for call in (warehouse.run, warehouse.plan):
        error = refused(
            shop,
            kind,
            code,
            functools.partial(call, sync),
            hint=kind is not wcdc.QueryError and code != "sync-mappings",
        )
    assert crm.sent == []
    if code == "unknown-field":
        assert any(repr(name) in error.message for name in ("phone", "mail", "uid", "ID"))
    findings = [finding for finding in warehouse.check(sync) if not finding.ok]
    assert findings and findings[0].name == "model people"


def test_the_columns_of_a_model_must_have_different_names(shop: Engine, crm: Recorder) -> None:
    sql = "select id, email, ltv as email from people"
    sync = sync_of(crm, sql)
    error = refused(shop, wcdc.ModelError, "model-ambiguous-column", lambda: shop.connect().run(sync))
    assert "'email'" in error.message and "alias" in error.hint
    unused = sync_of(crm, "select id, ltv, email, email from people", mappings={"ltv": "ltv"})
    assert shop.connect().plan(unused).counts["added"] == 2, "a column that nothing uses may be ambiguous"


# -- declarations ----------------------------------------------------------------------------------

MODEL = wcdc.Model("people", table="people", primary_key="id")


def send(_batch: Any) -> None:
    """A destination."""


async def send_later(_batch: Any) -> None:
    """No destination."""


def send_in_steps(_batch: Any) -> Any:
    yield None


def sync(**options: Any) -> Callable[[], Any]:
    return lambda: wcdc.Sync(**{"id": "s", "model": MODEL, "destination": send, **options})


def model(*args: Any, **options: Any) -> Callable[[], Any]:
    return lambda: wcdc.Model(*args, **options)


DECLARATIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "both sql and table": (model("m", sql="select 1", table="t", primary_key="id"), "model-source"),
    "neither sql nor table": (model("m", primary_key="id"), "model-source"),
    "empty sql": (model("m", sql="  \n", primary_key="id"), "model-source"),
    "empty table": (model("m", table="", primary_key="id"), "model-source"),
    "no name": (model("", table="t", primary_key="id"), "model-name"),
    "no key": (model("m", table="t"), "model-primary-key"),
    "empty key": (model("m", table="t", primary_key=[""]), "model-primary-key"),
    "key twice": (model("m", table="t", primary_key=["a", "a"]), "model-primary-key"),
    "missing file": (model("m", file="no/such/file.sql", primary_key="id"), "model-file"),
    "no sync id": (sync(id=""), "sync-id"),
    "NUL in the sync id": (sync(id="a\0b"), "sync-id"),
    "endless sync id": (sync(id="x" * 201), "sync-id"),
    "no model": (sync(model="people"), "sync-model"),
    "unknown mode": (sync(mode="merge"), "sync-mode"),
    "mode that a function can't": (sync(mode="mirror"), "sync-mode"),
    "mode that files can't": (sync(mode="upsert", destination=wcdc.destinations.Csv("files")), "sync-mode"),
    "unknown on_removed": (sync(on_removed="archive"), "sync-on-removed"),
    "on_removed in insert mode": (sync(mode="insert", on_removed="delete"), "sync-on-removed"),
    "on_removed that the destination can't": (
        sync(destination=wcdc.destination(on_removed=[])(send), on_removed="delete"),
        "sync-on-removed",
    ),
    "unknown on_duplicate": (sync(on_duplicate="keep_all"), "sync-on-duplicate"),
    "no destination": (sync(destination="https://crm"), "sync-destination"),
    "coroutine function": (sync(destination=send_later), "destination-function"),
    "generator function": (sync(destination=send_in_steps), "destination-function"),
    "class": (sync(destination=dict), "destination-function"),
    "hidden coroutine": (sync(destination=functools.partial(send_later)), "destination-function"),
    "chunk_rows 0": (sync(chunk_rows=0), "sync-number"),
    "chunk_rows float": (sync(chunk_rows=1.5), "sync-number"),
    "chunk_rows text": (sync(chunk_rows="10"), "sync-number"),
    "batch_rows bool": (sync(batch_rows=True), "sync-number"),
    "max_attempts 0": (sync(max_attempts=0), "sync-number"),
    "concurrency 0": (sync(concurrency=0), "sync-number"),
    "max_rejected -1": (sync(max_rejected=-1), "sync-number"),
    "max_removed 1.5": (sync(max_removed=1.5), "sync-number"),
    "max_removed -1": (sync(max_removed=-1), "sync-number"),
    "max_removed nan": (sync(max_removed=float("nan")), "sync-number"),
    "retry_wait -1": (sync(retry_wait=-1), "sync-number"),
    "batch_timeout 0": (sync(batch_timeout=0), "sync-number"),
    "mappings list": (sync(mappings=["email"]), "sync-mappings"),
    "mappings to nothing": (sync(mappings={"email": ""}), "sync-mappings"),
    "match nothing": (sync(match={}), "sync-match"),
    "match one field twice": (sync(match={"a": "x", "b": "x"}), "sync-match"),
    "batch_size 0": (lambda: wcdc.destination(batch_size=0)(send), "destination-option"),
    "modes unknown": (lambda: wcdc.destination(modes=["merge"])(send), "destination-option"),
    "equal schemas": (
        lambda: wcdc.connect("duckdb:///:memory:", planner_schema="x", audit_schema="x"),
        "settings",
    ),
    "lease 0": (lambda: wcdc.connect("duckdb:///:memory:", lease_seconds=0), "settings"),
    "margin -1": (lambda: wcdc.connect("duckdb:///:memory:", lease_margin=-1), "settings"),
    "retention 0": (lambda: wcdc.connect("duckdb:///:memory:", retention_days=0), "settings"),
}


@pytest.mark.parametrize("case", DECLARATIONS)
def test_a_wrong_declaration_is_refused_at_once(case: str) -> None:
    declare, code = DECLARATIONS[case]
    with pytest.raises(wcdc.ConfigError) as caught:
        declare()
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError) and caught.value.message.endswith((".", ")", "…"))


def test_a_batch_may_not_outlive_the_lease(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(lease_seconds=10), sync_of(crm, batch_timeout=10)
    for call in (warehouse.run, warehouse.plan):
        error = refused(shop, wcdc.ConfigError, "sync-batch-timeout", functools.partial(call, sync))
        assert "lease_seconds" in error.hint


def test_a_model_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "model.sql"
    path.write_bytes(b"select '\xff\xfe'")
    with pytest.raises(wcdc.ConfigError) as caught:
        wcdc.Model("m", file=path, primary_key="id")
    assert caught.value.code == "model-file" and "model.sql" in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "people p",
        "people, people x",
        "(select 1)",
        "people where 1=1",
        "people; drop table people",
        "a.b.c.d.e.f",
        "people -- x\n union select 1",
    ],
)
def test_a_table_name_that_is_more_than_a_name(shop: Engine, crm: Recorder, name: str) -> None:
    warehouse = shop.connect()
    sync = wcdc.Sync(id="s", model=wcdc.Model("people", table=name, primary_key="id"), destination=crm)
    before = shop.footprint()
    with pytest.raises((wcdc.ModelError, wcdc.QueryError)):
        warehouse.run(sync)
    assert shop.footprint() == before and crm.sent == []
    assert shop.query("SELECT count(*) FROM people") == [(2,)]


# -- connections -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "kind", "code"),
    [
        ("oracle://host/db", wcdc.UnsupportedError, "connect-url"),
        ("shop.duckdb", wcdc.UnsupportedError, "connect-url"),
        ("", wcdc.UnsupportedError, "connect-url"),
        ("trino://test@127.0.0.1/", wcdc.ConfigError, "connect-url"),
        ("trino://127.0.0.1/iceberg", wcdc.ConfigError, "connect-url"),
        ("trino://u@host:port/iceberg", wcdc.ConfigError, "connect-url"),
        ("trino://u@host/iceberg/s/more", wcdc.ConfigError, "connect-url"),
        ("trino://u:hunter2@host/iceberg?nonsense=1", wcdc.ConfigError, "connect-url"),
        ("trino://u:hunter2@host/iceberg?http_scheme=ftp", wcdc.ConfigError, "connect-url"),
        (42, wcdc.UnsupportedError, "connect-target"),
        (None, wcdc.UnsupportedError, "connect-target"),
        ("duckdb:////no/such/folder/x.duckdb", wcdc.ConnectionLostError, "connection-lost"),
        ("postgresql://127.0.0.1:1/nobody", wcdc.ConnectionLostError, "connection-lost"),
        ("postgresql://user:hunter2@127.0.0.1:1/nobody", wcdc.ConnectionLostError, "connection-lost"),
        ("postgresql://u:hunter2@host:port/db?nonsense=1", wcdc.ConnectionLostError, "connection-lost"),
    ],
)
def test_a_target_that_is_no_warehouse(target: Any, kind: type[wcdc.CdcError], code: str) -> None:
    with pytest.raises(kind) as caught:
        wcdc.connect(target)
    error: BaseException | None = caught.value
    assert caught.value.code == code and caught.value.hint
    while error is not None:
        assert "hunter2" not in str(error) + repr(error)
        error = error.__cause__


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_text("this is not a database, but long enough to look at " * 99)
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(f"duckdb:///{tmp_path}/x.duckdb")
    assert caught.value.hint


@pytest.mark.crash
def test_a_file_that_another_process_holds(duck: DuckDBEngine, tmp_path: Path) -> None:
    duck.table("id INTEGER", "(1)")
    child = Child(
        duck,
        tmp_path / "log",
        """
        warehouse = wcdc.connect(url)
        print("open", flush=True)
        sys.stdin.read() if False else time.sleep(30)
        """,
    )
    try:
        assert child.process.stdout is not None and child.process.stdout.readline() == "open\n"
        with pytest.raises(wcdc.WarehouseLockedError) as caught:
            wcdc.connect(duck.url)
        assert caught.value.code == "warehouse-locked" and caught.value.retryable
        assert "process" in caught.value.hint
    finally:
        child.process.kill()
        child.process.wait()


def test_a_connection_that_is_closed(shop: Engine, crm: Recorder) -> None:
    raw = shop.raw()
    raw.close()
    with pytest.raises(wcdc.ConnectionLostError):
        wcdc.connect(raw)
    warehouse = shop.connect()
    warehouse.close()
    refused(
        shop, wcdc.ConnectionLostError, "connection-lost", lambda: warehouse.run(sync_of(crm)), hint=False
    )
    assert crm.sent == []


def test_what_else_a_driver_has_is_no_connection(shop: Engine) -> None:
    with shop.raw() as raw:
        with pytest.raises(wcdc.UnsupportedError, match="can't be used") as caught:
            wcdc.connect(raw.sql("SELECT 1") if shop.name == "duckdb" else raw.cursor())
        assert caught.value.code == "connect-target" and caught.value.hint


def test_a_connection_inside_a_transaction(postgres: PostgresEngine) -> None:
    import psycopg

    with psycopg.connect(postgres.url) as raw:
        raw.execute("SELECT 1")
        with pytest.raises(wcdc.QueryError) as caught:
            wcdc.connect(raw)
        assert "transaction" in caught.value.message and caught.value.hint


def test_a_wrong_password(postgres: PostgresEngine) -> None:
    """The test server may trust everybody: then an unknown user is what it can refuse."""
    import psycopg

    host = postgres.url.rsplit("@", 1)[1]
    url = f"postgresql://nobody_at_all:hunter2@{host}"
    with pytest.raises(psycopg.Error):
        psycopg.connect(url)
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(url)
    assert caught.value.hint and "hunter2" not in repr(caught.value)


@pytest.mark.crash
def test_a_missing_extra_names_the_pip_line(duck: DuckDBEngine, tmp_path: Path) -> None:
    child = Child(
        duck,
        tmp_path / "log",
        """
        from importlib.machinery import PathFinder
        find = PathFinder.find_spec

        def without_psycopg(name, *rest):
            return None if name.split(".")[0] == "psycopg" else find(name, *rest)

        PathFinder.find_spec = without_psycopg
        try:
            wcdc.connect("postgresql://localhost/x")
        except wcdc.ConfigError as error:
            print(error.code, error.hint)
        """,
    )
    assert child.wait() == (0, "missing-extra pip install 'warehouse-cdc[postgres]'\n")


def test_one_warehouse_object_runs_one_thing_at_a_time(shop: Engine, crm: Recorder) -> None:
    warehouse, errors = shop.connect(), []

    def again(_batch: Any) -> None:
        try:
            warehouse.run(sync_of(Recorder(), id="another"))
        except wcdc.StateError as error:
            errors.append(error.hint)

    crm.during = again
    assert warehouse.run(sync_of(crm)).status == "success"
    assert len(errors) == 1 and "connect" in errors[0]


def test_two_warehouse_objects_run_two_syncs_at_once(shop: Engine, crm: Recorder) -> None:
    other, statuses = Recorder(), []
    second = shop.connect()

    def meanwhile(_batch: Any) -> None:
        thread = threading.Thread(
            target=lambda: statuses.append(second.run(sync_of(other, id="another")).status)
        )
        thread.start()
        thread.join(30)

    crm.during = meanwhile
    assert shop.connect().run(sync_of(crm)).status == "success" and statuses == ["success"]
    assert crm.take() == other.take() == ids("added", 1, 2)


# -- foreign things in the two schemas -------------------------------------------------------------


def test_foreign_objects_in_the_two_schemas_stay_as_they_are(shop: Engine, crm: Recorder) -> None:
    shop.execute(
        f"CREATE SCHEMA IF NOT EXISTS {PLANNER}",
        f"CREATE SCHEMA IF NOT EXISTS {AUDIT}",
        f"CREATE TABLE {PLANNER}.people AS SELECT 1 AS x",
        f"CREATE VIEW {PLANNER}.people_sync_view AS SELECT 2 AS x",
        f"CREATE TABLE {AUDIT}.notes AS SELECT 3 AS x",
        f'CREATE TABLE {PLANNER}."O\'Brien ""quoted""" AS SELECT 4 AS x',
    )
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    warehouse.full_resync(sync)
    warehouse.reset_cdc(sync)
    warehouse.run(sync)
    for name, value in ((f"{PLANNER}.people", 1), (f"{PLANNER}.people_sync_view", 2), (f"{AUDIT}.notes", 3)):
        assert shop.query(f"SELECT x FROM {name}") == [(value,)]
    assert shop.query(f'SELECT x FROM {PLANNER}."O\'Brien ""quoted"""') == [(4,)]


@pytest.mark.parametrize("number", [0, 1])
def test_a_foreign_object_under_a_name_that_the_engine_needs(
    shop: Engine, crm: Recorder, number: int
) -> None:
    names = ["wcdc_journal", "wcdc_leases"]
    if not shop.capabilities.transactional_ddl:
        names = [ledger_table("people-sync", 1, what) for what in ("claim", "end")]
    name = names[number]
    shop.execute(f"CREATE SCHEMA IF NOT EXISTS {PLANNER}", f"CREATE VIEW {PLANNER}.{name} AS SELECT 1 AS x")
    with pytest.raises(wcdc.CdcError):
        shop.connect().run(sync_of(crm))
    assert (crm.sent == [] or name.endswith("_end")) and name not in shop.own_tables() - {name}
    assert shop.query(f"SELECT x FROM {PLANNER}.{name}") == [(1,)]


def test_a_failing_plan_leaves_nothing_but_a_failed_run(shop: Engine, crm: Recorder) -> None:
    warehouse, good = shop.connect(), sync_of(crm)
    warehouse.run(good)
    crm.take()
    bad = sync_of(
        crm, "select id, email, 10 / (ltv - ltv) as ltv from people where ltv < 100 or ltv / (id - id) > 0"
    )
    bad = sync_of(crm, "select id, email, cast(email as integer) as ltv from people")
    tables = shop.own_tables()
    with pytest.raises(wcdc.WarehouseError) as caught:
        warehouse.run(bad)
    assert "'a'" not in str(caught.value) and '"a"' not in str(caught.value), "no row value"
    assert crm.sent == [] and shop.own_tables() == tables
    row = shop.runs()[-1]
    assert row["status"] == "failed" and row["error"]
    assert not any(value for key, value in row.items() if key.startswith("num_"))
    assert counted(warehouse.run(good)) == {} and crm.take() == set(), "the state is as it was"


def test_destination_answers_that_make_no_sense(shop: Engine, crm: Recorder) -> None:
    for number, answer in enumerate(["done", 42, [None], {"999": "no"}, [1, 2], {"1": 3.5}]):
        crm.during = lambda _batch, answer=answer: answer
        run = shop.connect().run(sync_of(crm, id=f"s{number}", max_attempts=1))
        assert run.counts["added"].failed == 2
        assert all("outcome unknown" in r["reason"] for r in run.rejections().to_pylist()), answer


# -- hostile but legal -----------------------------------------------------------------------------

HOSTILE = [
    "it's",
    "''",
    '"double"',
    "back\\slash",
    "\\'; DROP TABLE people; --",
    "100%",
    "%s %(x)s %%",
    ":name :1 ?",
    "{{ jinja }} {% raw %} {# x #}",
    "${ENV}",
    "$$dollar$$",
    "a\nb\r\nc\td",
    "\x01\x1f\x7f\x80\u2028",
    "😀👨‍👩‍👧",
    "e\u0301 \u202e rtl \ufeff",
    "|,;\x1f\x1e",
    "NULL",
    "",
    " lead and trail ",
    "/* comment */ -- x",
]


def test_hostile_text_arrives_to_the_last_byte(engine: Engine, crm: Recorder) -> None:
    texts = [*HOSTILE, *(["nul\0inside", "\0"] if engine.name == "duckdb" else [])]
    engine.table("id VARCHAR, v VARCHAR")
    with engine.raw() as raw:
        mark = "?" if engine.name == "duckdb" else "%s"
        for text in texts:
            raw.execute(f"INSERT INTO people VALUES ({mark}, {mark})", [text, text])
    warehouse, sync = engine.connect(), sync_of(crm)
    run = warehouse.run(sync)
    assert (run.status, run.counts["added"].succeeded) == ("success", len(texts))
    assert crm.held == {text: {"id": text, "v": text} for text in texts}
    assert {row["row_id"]: row["fields"] for row in engine.audit("sync_changelog")} == crm.held
    crm.take()
    assert counted(warehouse.run(sync)) == {}
    crm.refuse = dict.fromkeys(texts, 'it\'s "refused": 100% {{ no }} \\')
    engine.execute("UPDATE people SET v = v || 'x'")
    run = warehouse.run(sync)
    assert run.counts["changed"].failed == len(texts)
    assert {r["row_id"]: r["reason"] for r in run.rejections().to_pylist()} == crm.refuse
    crm.refuse = {}
    engine.execute("DELETE FROM people")
    crm.take()
    warehouse.run(sync)
    assert crm.take() == ids("removed", *texts) and crm.held == {}


def test_ten_megabytes_of_text_arrive(engine: Engine, crm: Recorder) -> None:
    engine.table("id INTEGER, v VARCHAR")
    engine.execute(
        "INSERT INTO people SELECT 1, repeat('0123456789', 1000000)", "INSERT INTO people VALUES (2, 'x')"
    )
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    assert crm.held["1"]["v"] == "0123456789" * 1_000_000
    crm.take()
    engine.execute("UPDATE people SET v = v || '!' WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1) and crm.held["1"]["v"].endswith("9!")


NAMES = [
    "select",
    "order",
    "from",
    "user",
    "row_id",
    "op",
    "hash",
    "bucket",
    "v_1",
    "p_1",
    "was",
    "Mixed Case",
    'with "quotes"',
    "it's",
    "a.b",
    "semi;colon",
    "100%",
    ":bind",
    "{{ jinja }}",
    "日本語",
    "é",
    "tab\there",
    "-- x",
    "wcdc_model",
    "x",
    "m",
    "s",
    "in_model",
    "copies",
    "state",
]


def test_hostile_column_names(engine: Engine, crm: Recorder) -> None:
    quote = engine.dialect.quote
    columns = ", ".join(f"{quote(name)} INTEGER" for name in NAMES)
    engine.table(f"id INTEGER, {columns}", f"(1, {', '.join(str(n) for n in range(len(NAMES)))})")
    warehouse, sync = engine.connect(), sync_of(crm, mappings={name: name for name in NAMES})
    assert warehouse.plan(sync).counts["added"] == 1
    assert warehouse.plan(sync).preview().column_names[:3] == ["op", "row_id", "id"]
    assert warehouse.run(sync).status == "success"
    assert crm.held["1"] == {"id": 1, **{name: number for number, name in enumerate(NAMES)}}
    assert engine.audit("sync_snapshot")[0]["fields"] == crm.held["1"]
    for name in NAMES:
        engine.execute(f"UPDATE people SET {quote(name)} = -1")
    warehouse.run(sync)
    assert set(crm.held["1"].values()) == {1, -1}
    crm.batches.clear()
    engine.execute("DELETE FROM people")
    warehouse.run(sync)
    assert crm.take() == ids("removed", 1)


@pytest.mark.parametrize("key", ['with "quotes"', "row_id", "select", "日本語", "op"])
def test_hostile_key_names(engine: Engine, crm: Recorder, key: str) -> None:
    engine.table(f"{engine.dialect.quote(key)} INTEGER, v INTEGER", "(1, 1)", "(NULL, 2)", "(3, 3)", "(3, 4)")
    warehouse = engine.connect()
    run = warehouse.run(sync_of(crm, key=key))
    assert (run.null_key_rows, crm.take()) == (1, ids("added", 1))
    assert engine.runs()[0]["primary_key"] == key


def test_column_names_that_differ_only_by_case(engine: Engine, crm: Recorder) -> None:
    sql = 'select 1 as id, 2 as "Id", 3 as "ID", 4 as v'
    warehouse = engine.connect()
    if not engine.capabilities.column_case:
        for options in ({"key": "v"}, {"key": "Id", "mappings": {"v": "v"}}):
            sync = sync_of(crm, sql, **options)
            refused(engine, wcdc.ModelError, "model-ambiguous-column", functools.partial(warehouse.run, sync))
        warehouse.run(sync_of(crm, sql, key="v", mappings={}))
        assert crm.sent == [("added", "4")], "what is not used does no harm"
        return
    warehouse.run(sync_of(crm, sql))
    assert crm.held["1"] == {"id": 1, "Id": 2, "ID": 3, "v": 4}
    warehouse.run(sync_of(crm, sql, id="other", key="ID"))
    assert crm.held["3"] == {"id": 1, "Id": 2, "ID": 3, "v": 4}
    crm.take()
    warehouse.run(sync_of(crm, sql.replace('2 as "Id"', '9 as "Id"')))
    assert crm.take() == ids("changed", 1)


def test_two_hundred_columns(engine: Engine, crm: Recorder) -> None:
    names = [f"column_{number}" for number in range(200)]
    engine.table(
        "id INTEGER, " + ", ".join(f"{name} INTEGER" for name in names),
        f"(1, {', '.join('7' for _ in names)})",
        f"(2, {', '.join('NULL' for _ in names)})",
    )
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    assert crm.held["1"] == {"id": 1, **dict.fromkeys(names, 7)}
    assert engine.audit("sync_snapshot")[1]["fields"] == {"id": 2, **dict.fromkeys(names)}
    crm.take()
    engine.execute("UPDATE people SET column_199 = 8 WHERE id = 2")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 2)


SYNC_IDS = [
    "it's",
    'say "x"',
    "back\\slash",
    "semi;colon -- x",
    "100%s",
    "{{ x }}",
    "日本語😀",
    "with spaces\nand lines",
    "../../etc",
    "UPPER",
    "upper",
    "x" * 200,
    "x" * 199 + "y",
    "a_b",
    "a-b",
    "a.b",
    "select",
    "1",
    "wcdc_journal",
    "wcdc",
    "_",
    "é",
]


def test_sync_ids_with_every_kind_of_character(shop: Engine, crm: Recorder) -> None:
    warehouse = shop.connect(snapshot=False)
    for sync_id in SYNC_IDS:
        warehouse.run(sync_of(crm, id=sync_id))
        assert crm.take() == ids("added", 1, 2), sync_id
    shop.execute("UPDATE people SET ltv = 0 WHERE id = 1")
    for sync_id in SYNC_IDS:
        warehouse.run(sync_of(crm, id=sync_id))
        assert crm.take() == ids("changed", 1), sync_id
        assert len(warehouse.history(sync_id)) == 2
    assert len(shop.own_tables()) == 4 * len(SYNC_IDS), "no two syncs share a table"
    assert {row["sync_id"] for row in shop.runs()} == set(SYNC_IDS)


MODELS = {
    "final semicolon": "select * from people;",
    "semicolons and comments": "select * from people ; ; -- the end",
    "comment after the semicolon": "select * from people; -- done\n/* really */",
    "blank lines": "\n\n\nselect *\n\n\nfrom people\n\n\n",
    "trailing line comment": "select * from people -- all of them",
    "trailing block comment": "select * from people /* all ; of them */",
    "leading comments": "-- first\n/* second\n{{ not jinja }} */\nselect * from people",
    "cte": "with a as (select * from people), b as (select * from a) select * from b",
    "same cte names as the engine's": "with wcdc_model as (select * from people) select * from wcdc_model",
    "union": "select * from people where id = 1 union all select * from people where id = 2",
    "parentheses": "(select * from people)",
    "values": "select * from (values (1, 'a', 10), (2, 'b', 20)) v(id, email, ltv)",
    "order by and limit": "select * from people order by id desc limit 2",
    "semicolon in a literal": "select id, email, ltv from people where email <> ';'",
    "comment in a literal": "select id, email, ltv from people where email <> '-- x' and email <> '/*'",
    "newline in a literal": "select id, email, ltv from people where email <> 'a\nb\n\n  c'",
    "percent": "select id, email, ltv from people where email not like '%x%' and ltv % 10 = 0",
    "colon": "select id, email, ltv from people where email <> ':x' and id::bigint > 0",
    "jinja in a literal": "select * from people where email not in ('{{ x }}', '{% y %}', '{# z #}', '{{')",
    "quoted names": 'select "id", "email", "ltv" from "people"',
    "windows lines": "select *\r\nfrom people -- x\r\n",
    "window": "select id, email, ltv from (select *, rank() over (order by id) n from people) x where n < 9",
    "correlated": "select p.* from people p where exists (select 1 from people q where q.id = p.id)",
    "in upper case": "SELECT ID, EMAIL, LTV FROM PEOPLE",
}


@pytest.mark.parametrize("case", MODELS)
def test_unusual_but_legal_models(shop: Engine, crm: Recorder, case: str) -> None:
    warehouse, sync = shop.connect(), sync_of(crm, MODELS[case])
    assert warehouse.plan(sync).counts["added"] == 2
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("added", 1, 2)
    assert {k.lower(): v for k, v in crm.held["1"].items()} == {"id": 1, "email": "a", "ltv": 10}


def test_literals_with_newlines_and_quotes_reach_the_warehouse_unchanged(shop: Engine, crm: Recorder) -> None:
    sql = "select 1 as id, 'a\n\n  b -- x\n''q'' {{ j }} %s :y \\ ;' as v"
    warehouse = shop.connect()
    warehouse.run(sync_of(crm, sql))
    assert crm.held["1"]["v"] == "a\n\n  b -- x\n'q' {{ j }} %s :y \\ ;"


@pytest.mark.parametrize(
    "name", ["My Table", 'quo"ted', "select", "日本語", "semi;colon", "it's", "a.b", "{{ x }}"]
)
def test_tables_and_schemas_whose_names_need_quotes(engine: Engine, crm: Recorder, name: str) -> None:
    quote = engine.dialect.quote
    engine.execute(
        f"CREATE SCHEMA {quote(name)}",
        f"CREATE TABLE {quote(name)}.{quote(name)} AS SELECT 1 AS id, 'x' AS v",
    )
    model = wcdc.Model("people", table=f"{quote(name)}.{quote(name)}", primary_key="id")
    warehouse = engine.connect()
    sync = wcdc.Sync(id="s", model=model, destination=crm)
    warehouse.run(sync)
    warehouse.run(sync)
    assert crm.take() == ids("added", 1)


def test_a_view_a_dbt_file_and_another_dialect_are_models_too(
    shop: Engine, crm: Recorder, tmp_path: Path
) -> None:
    shop.execute("CREATE VIEW recent AS SELECT * FROM people WHERE id > 1")
    compiled = tmp_path / "people.sql"
    compiled.write_text("-- compiled by dbt\nselect * from recent\n", encoding="utf-8")
    warehouse = shop.connect()
    for number, options in enumerate(
        (
            {"table": "recent"},
            {"file": compiled},
            {"sql": "SELECT TOP 1 * FROM [people] ORDER BY [id] DESC", "dialect": "tsql"},
        )
    ):
        model = wcdc.Model("m", primary_key="id", **options)
        warehouse.run(wcdc.Sync(id=f"s{number}", model=model, destination=crm))
        assert crm.take() == ids("added", 2), options
    assert shop.tables() >= {table for table in SHARED if table[0] == AUDIT}


def test_values_of_every_type_arrive_and_json_stays_json(engine: Engine, crm: Recorder) -> None:
    engine.table(
        "id INTEGER, big BIGINT, n NUMERIC(20, 4), f DOUBLE PRECISION, b BOOLEAN, d DATE, t TIMESTAMP, "
        f"j JSON, x {engine.binary}, u UUID",
        """(1, 9223372036854775807, 1234567890123456.7891, 'Infinity', TRUE, '0001-01-01',
        '9999-12-31 23:59:59.999999',
        '{"a": [1, null, "ü"], "n": 1234567890.5}', 'ab', '6F9619FF-8B86-D011-B42D-00CF4FC964FF')""",
    )
    warehouse, sync = engine.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = crm.held["1"]
    assert (row["big"], str(row["n"]), row["f"], row["b"]) == (
        9223372036854775807,
        "1234567890123456.7891",
        float("inf"),
        True,
    )
    assert (row["d"].isoformat(), row["t"].isoformat()) == ("0001-01-01", "9999-12-31T23:59:59.999999")
    assert (
        row["j"]["a"] == [1, None, "ü"]
        and row["x"] == b"ab"
        and row["u"] == "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    )
    assert json.loads(json.dumps(engine.audit("sync_snapshot")[0]["fields"]))["j"]["a"] == [1, None, "ü"]
