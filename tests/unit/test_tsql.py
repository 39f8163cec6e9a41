"""T-SQL without a warehouse: what becomes of models, texts, errors and sign-ins."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from mssql_python.exceptions import OperationalError, ProgrammingError

import warehouse_cdc as wcdc
from tests import script_dom
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import ColumnType, get_dialect
from warehouse_cdc.engine.interruption import Interrupted, interruptible
from warehouse_cdc.sources import Fabric, Synapse
from warehouse_cdc.warehouses import base, tsql, tsql_session
from warehouse_cdc.warehouses.base import Labels
from warehouse_cdc.warehouses.tsql_errors import mapped

NAMES = ("fabric", "synapse")
PLACE = {"host": "w.sql.azuresynapse.net", "database": "pool"}
PRINCIPAL = {"tenant_id": "t", "client_id": "c"}
SPREAD = "\nWITH (DISTRIBUTION = ROUND_ROBIN, HEAP)"
KEY = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"


def embedded(sql: str, name: str = "synapse") -> str:
    return read_model(wcdc.Model("m", sql=sql, primary_key="id"), get_dialect(name)).sql


# -- queries inside of queries -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select id from t order by id", "select id from t"),
        ("select id from t -- a\norder by id, [order by] desc", "select id from t -- a"),
        ("select 1 as id union all select 2 order by 1", "select 1 as id union all select 2"),
        ("with a as (select top 2 id from t order by x) select id from a order by id",
         "with a as (select top 2 id from t order by x) select id from a"),
        ("select top 3 id from t order by id", None),
        ("select id from t order by id offset 2 rows fetch next 2 rows only", None),
        ("select id, row_number() over (order by id) as n from t", None),
        ("select 'order by' as id", None),
    ],
)  # fmt: skip
def test_an_order_that_chooses_no_rows_is_left_out(name: str, sql: str, wanted: str | None) -> None:
    assert embedded(sql, name) == (wanted or sql)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        (
            "SELECT x FROM (WITH a AS (SELECT 1 AS x), b (x) AS (SELECT x FROM a) SELECT x FROM b) q",
            "WITH a AS (SELECT 1 AS x),\nb (x) AS (SELECT x FROM a)\nSELECT x FROM (SELECT x FROM b) q",
        ),
        (
            "WITH m AS (\nwith [a)] as (select 'with (' as x) select x from [a)]\n), n AS (SELECT 1 AS y) "
            "SELECT x FROM m",
            "WITH [a)] as (select 'with (' as x),\nm AS (\nselect x from [a)]\n),\nn AS (SELECT 1 AS y)\n"
            "SELECT x FROM m",
        ),
        (
            f"CREATE TABLE t{SPREAD} AS\nSELECT x FROM (WITH a AS (SELECT 1 AS x) SELECT x FROM a) q",
            f"CREATE TABLE t{SPREAD} AS\nWITH a AS (SELECT 1 AS x)\nSELECT x FROM (SELECT x FROM a) q",
        ),
        (
            "WITH o AS (SELECT 1 AS x), m AS (WITH i AS (SELECT x FROM o) SELECT x FROM i) SELECT x FROM m",
            "WITH o AS (SELECT 1 AS x),\ni AS (SELECT x FROM o),\nm AS (SELECT x FROM i)\nSELECT x FROM m",
        ),
        ("WITH a AS (SELECT 1 AS x) SELECT x FROM a", None),
        ("SELECT 'FROM (WITH a AS (SELECT 1))' AS x", None),
    ],
)  # fmt: skip
def test_ctes_come_to_the_beginning_behind_those_that_they_read(
    name: str, sql: str, wanted: str | None
) -> None:
    found = get_dialect(name).finished(sql)
    assert found == (wanted or sql)
    assert not script_dom.parsed("2019", found.replace("CREATE TABLE t", "CREATE TABLE [t]"))


def test_two_ctes_of_one_name_are_refused() -> None:
    sql = "WITH a AS (WITH A AS (SELECT 1 AS x) SELECT x FROM A) SELECT x FROM a"
    with pytest.raises(wcdc.ModelError) as caught:
        get_dialect("fabric").finished(sql)
    assert caught.value.code == "model-ctes" and caught.value.hint


@pytest.mark.parametrize(
    ("dialect", "sql", "said"),
    [
        ("synapse", "SELECT a = b AS x FROM t", "a condition as a value"),
        ("fabric", "SELECT NOT EXISTS(SELECT 1) AS x FROM t", "a condition as a value"),
        ("synapse", "SELECT CASE WHEN a = 1 THEN b = 2 ELSE 1 END AS x FROM t", "a condition as a value"),
        ("synapse", "SELECT CASE WHEN a THEN 1 END AS x FROM t", "a value as a condition"),
        ("fabric", "SELECT x FROM t WHERE f = 1 AND g", "a value as a condition"),
        ("fabric", "SELECT 1 AS x WHERE a IS DISTINCT FROM b", "IS DISTINCT FROM"),
        ("fabric", "SELECT x FROM (WITH c AS (SELECT 1 AS x) SELECT x FROM c) d", "a CTE inside"),
        ("synapse", "SELECT a FROM (SELECT a FROM t ORDER BY a) x", "an order inside"),
        ("synapse", "SELECT a INTO b FROM t", "SELECT INTO"),
        ("synapse", "CREATE TABLE [b] (x INT)", "without distribution"),
        ("synapse", "INSERT INTO t (a) VALUES (1), (2)", "several rows"),
        ("synapse", "SELECT a || b AS c FROM t", "||"),
        ("fabric", "SELECT CAST(a AS NVARCHAR(3)) AS c FROM t", "a national type"),
        ("fabric", "SELECT a FROM (SELECT TOP 3 a FROM t ORDER BY a) x", ""),
    ],
)
def test_the_rules_beside_the_parser_find_what_they_are_for(dialect: str, sql: str, said: str) -> None:
    found = script_dom.refused(dialect, sql)
    assert said in found and bool(said) == bool(found)


# -- texts and values --------------------------------------------------------------------------------


def test_literals() -> None:
    synapse, fabric = (get_dialect(name) for name in ("synapse", "fabric"))
    assert synapse.literal("it's") == "N'it''s'" and fabric.literal("it's") == "'it''s'"
    assert synapse.literal(True) == "CAST(1 AS BIT)" and synapse.literal(None) == "NULL"
    assert synapse.literal("a\0\ud800") == "N'a\ufffd?'"
    long = synapse.literal("x" * 4500)
    assert max(len(part) for part in long.split("'")) == 2000 and long.startswith("(CAST(N'x")
    assert not script_dom.parsed("2019", f"SELECT {long} AS a")


def test_names_are_in_brackets() -> None:
    assert get_dialect("fabric").table("a]b", "c.d") == "[a]]b].[c.d]"


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_texts_are_compared_by_forms_of_one_length(name: str) -> None:
    """``=`` ignores case and trailing spaces; on byte strings it ignores trailing zeros."""
    dialect = get_dialect(name)
    text, binary = ColumnType(dialect.text_type, "text"), ColumnType("VARBINARY(MAX)", "binary")
    form = "CAST(HASHBYTES('SHA2_256', x) AS VARBINARY(32))"
    assert dialect.exact("x") == dialect.exact("x", text) == dialect.exact("x", binary) == form
    assert dialect.comparable("x", text) == dialect.comparable("x", binary) == form
    assert dialect.exact("x", ColumnType("BIGINT", "integer")) == "x"
    assert dialect.same("a", "b").count("HASHBYTES") == 2
    assert "DATALENGTH" in dialect.is_text("a", "'b'") and "BIN2" in dialect.is_text("a", "'b'")


@pytest.mark.parametrize(
    "kind", ["integer", "decimal", "text", "boolean", "date", "timestamp", "timestamptz"]
)
def test_row_ids_of_every_kind_of_key_are_national_texts(kind: str) -> None:
    """The same text as VARCHAR has other bytes, and so another hash."""
    dialect = get_dialect("synapse")
    names = {"integer": "BIGINT", "decimal": "DECIMAL(9, 2)", "text": "NVARCHAR(MAX)", "boolean": "BIT"}
    names |= {"date": "DATE", "timestamp": "DATETIME2(7)", "timestamptz": "DATETIME2(7)"}
    text = dialect.canonical_text("v_1", ColumnType(names[kind], kind))
    assert "NVARCHAR" in text or "N'" in text or text == "v_1"


@pytest.mark.parametrize("name", NAMES)
def test_sums_of_texts_begin_with_one_of_any_length(name: str) -> None:
    dialect = get_dialect(name)
    assert dialect.joined("a", "b") == f"CAST(a AS {dialect.text_type}) + b"
    wide = [(f"c{n}", f"v_{n}", ColumnType("BIGINT", "integer")) for n in range(500)]
    for sql in (dialect.json_object(wide), dialect.fingerprint([each[1:] for each in wide])):
        assert sql.count("CONCAT(") > 2 and sql.count(f"AS {dialect.text_type})") >= sql.count("CONCAT(")
        assert not script_dom.parsed("2019", f"SELECT {sql} AS x FROM [t]")


def test_checksums_are_sums() -> None:
    dialect = get_dialect("synapse")
    assert dialect.combined([5, -7, None], without=[-7]) == 5 and dialect.combined([-1]) == 2**64 - 1


def test_setup_names_the_user_and_the_databases_own_right() -> None:
    found = get_dialect("fabric").setup("plans", "it's", "a]b")
    assert found[0].endswith("WHERE name = 'it''s') BEGIN EXEC('CREATE SCHEMA [it''s]'); END")
    assert found[2:] == [
        "GRANT CONTROL ON SCHEMA::[it's] TO [a]]b]",
        "GRANT CREATE TABLE TO [a]]b]",
        "GRANT CONTROL ON SCHEMA::[plans] TO [a]]b]",
    ]
    for sql in found:
        assert not script_dom.parsed("fabricdw", sql)
    assert len(get_dialect("synapse").setup("plans", "audit", "dbo")) == 2
    *_others, last = get_dialect("synapse").setup("plans", "audit", "a]b")
    assert last.startswith("-- ") and last.endswith("\nGRANT VIEW DATABASE STATE TO [a]]b]")
    assert not script_dom.parsed("2019", last)


# -- signing in --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Synapse, {**PLACE, "user": "u", "password": "p"}),
        (Synapse, {**PLACE, **PRINCIPAL, "client_secret": "s"}),
        (Synapse, {**PLACE, "token": lambda: "t"}),
        (Synapse, {"connection_string": "Server=s;Database=d;User Id=u;Password=p"}),
        (Fabric, {**PLACE, **PRINCIPAL, "client_secret": "s"}),
        (Fabric, {**PLACE, **PRINCIPAL, "certificate_thumbprint": "AB", "private_key": KEY}),
        (Fabric, {**PLACE, "token": lambda: "t"}),
    ],
)
def test_every_way_to_sign_in(kind: Any, fields: dict[str, Any]) -> None:
    assert "secret" not in repr(kind(**fields)) and KEY not in repr(kind(**fields))


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        (Synapse, PLACE, "one way to sign in: none is given"),
        (Synapse, {**PLACE, "user": "u"}, "come together"),
        (Synapse, {"host": "h", "user": "u", "password": "hunter2"}, "database must be given"),
        (Synapse, {**PLACE, "user": "u", "password": "hunter2", "token": lambda: "t"}, "one way"),
        (Synapse, {**PLACE, "connection_string": "PWD=hunter2"}, "without host"),
        (Synapse, {**PLACE, **PRINCIPAL}, "needs client_secret"),
        (Fabric, {**PLACE, "client_secret": "hunter2"}, "needs tenant_id"),
        (Fabric, {**PLACE, **PRINCIPAL, "certificate_thumbprint": "AB"}, "its key"),
        (Fabric, {**PLACE, **PRINCIPAL, "certificate_thumbprint": "AB", "private_key": "hunter2"}, "PEM"),
        (Fabric, {**PLACE, **PRINCIPAL, "client_secret": "hunter2", "private_key": "A"}, "not both"),
        (Fabric, {**PLACE, "host": "https://w/", "token": lambda: "t"}, "name alone"),
    ],
)  # fmt: skip
def test_fields_that_do_not_go_together(kind: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        kind(**fields)
    assert said in str(caught.value) and "hunter2" not in str(caught.value)
    assert caught.value.code == "source-field"


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "w-OnDemand.sql.azuresynapse.net", "database": "d", "user": "u", "password": "p"},
        {"connection_string": "Server=w-ondemand.sql.azuresynapse.net;User Id=u;Password=p"},
    ],
)
def test_serverless_pools_are_refused(fields: dict[str, str]) -> None:
    with pytest.raises(wcdc.UnsupportedError) as caught:
        Synapse(**fields)  # type: ignore[arg-type]
    assert caught.value.code == "serverless-pool"


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    source = Fabric(**PLACE, **PRINCIPAL, certificate_thumbprint="AB", private_key_file=file)
    with pytest.raises(wcdc.ConfigError):
        source.key_text()
    file.write_text("not a key")
    with pytest.raises(wcdc.ConfigError):
        source.key_text()
    file.write_text(KEY)
    assert source.key_text() == KEY


class Session:
    """A session of the driver that only remembers."""

    closed = False
    timeout = 0


def opened(source: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    given: dict[str, Any] = {}

    def session(**arguments: Any) -> Session:
        given.update(arguments)
        return Session()

    monkeypatch.setattr(tsql_session, "_session", session)
    return tsql.open_tsql(source), given


def test_what_the_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Synapse(**PLACE, user="u", password="p;{", request_timeout=30, trust_server_certificate=True)
    connection, given = opened(source, monkeypatch)
    assert given == {
        **{"server": "tcp:w.sql.azuresynapse.net,1433", "database": "pool", "encrypt": "yes"},
        **{"trustservercertificate": "yes", "uid": "u", "pwd": "p;{"},
        **{"autocommit": True, "attrs_before": {}},
    }
    assert connection._connection.timeout == 30 and connection.dialect.name == "synapse"


def test_a_connection_string_is_put_into_the_drivers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Server=tcp:s,1433;Initial Catalog=d;User ID=u;Password={a;b}}c};Encrypt=True;Connection Timeout=30;"
    )
    _connection, given = opened(Synapse(connection_string=text), monkeypatch)
    assert given["connection_str"] == "Server=tcp:s,1433;database=d;uid=u;pwd={a;b}}c};Encrypt=yes"


def test_a_token_is_asked_for_by_each_session(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["é1", "t2"])
    connection, given = opened(Fabric(**PLACE, token=lambda: next(tokens)), monkeypatch)
    assert given["attrs_before"] == {1256: b"\x04\0\0\0" + "é1".encode("utf-16-le")}
    connection.clone()
    assert given["attrs_before"] == {1256: b"\x04\0\0\0" + "t2".encode("utf-16-le")}
    with pytest.raises(wcdc.ConnectionLostError) as caught:  # there is no third one
        connection.clone()
    assert caught.value.code == "source-token"


@pytest.mark.parametrize("certificate", [False, True])
def test_a_service_principal_signs_in(monkeypatch: pytest.MonkeyPatch, certificate: bool) -> None:
    clients: list[tuple[Any, ...]] = []

    class Client:
        def __init__(self, client_id: str, *, client_credential: Any, authority: str) -> None:
            clients.append((client_id, client_credential, authority))

        def acquire_token_for_client(self, scopes: list[str]) -> dict[str, str]:
            assert scopes == ["https://database.windows.net/.default"]
            return {"access_token": "t"} if len(clients) == 1 else {"error": "invalid_client"}

    monkeypatch.setattr("msal.ConfidentialClientApplication", Client)
    key = {"certificate_thumbprint": "AB:CD", "private_key": KEY} if certificate else {"client_secret": "s"}
    source = Fabric(**PLACE, **PRINCIPAL, **key)  # type: ignore[arg-type]
    connection, given = opened(source, monkeypatch)
    assert given["attrs_before"][1256].endswith("t".encode("utf-16-le"))
    connection.clone()
    credential = {"private_key": KEY, "thumbprint": "ABCD"} if certificate else "s"
    assert clients == [("c", credential, "https://login.microsoftonline.com/t")]
    clients.append(())
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        connection.clone()
    assert "invalid_client" in str(caught.value) and not caught.value.retryable


DENIED, LOST, CODE = wcdc.PermissionDeniedError, wcdc.ConnectionLostError, "permission-denied"

# -- statements and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "labelled"),
    [
        ("SELECT 1 AS x", True),
        ("WITH a AS (SELECT 1 AS x) SELECT x FROM a", True),
        ("INSERT INTO [t] (a) SELECT 1", True),
        ("DELETE FROM [t] WHERE a = 1", True),
        ("CREATE TABLE [a].[b]\nWITH (DISTRIBUTION = ROUND_ROBIN, HEAP) AS\nSELECT 1 AS x", True),
        ("CREATE TABLE [a].[b] (x INT)\nWITH (DISTRIBUTION = ROUND_ROBIN, HEAP)", False),
        ("DROP TABLE [a].[b]", False),
        ("RENAME OBJECT [a].[b] TO [c]", False),
        ("EXEC sp_describe_first_result_set N'SELECT 1'", False),
    ],
)
def test_statements_say_what_they_are_for(sql: str, labelled: bool) -> None:
    synapse = tsql.SynapseConnection(Session(), Session, get_dialect("synapse"))  # type: ignore[arg-type]
    fabric = tsql.TSQLConnection(Session(), Session, get_dialect("fabric"))  # type: ignore[arg-type]
    assert synapse._labelled(sql) == fabric._labelled(sql) == sql
    for connection in (synapse, fabric):
        connection.labels = Labels("it's", "R" * 300, "plan")
    found = synapse._labelled(sql)
    assert ("OPTION (LABEL = 'warehouse-cdc run=RRR" in found) == labelled
    assert found.startswith("/* ") != labelled and fabric._labelled(sql).startswith("/* warehouse-cdc")
    assert not script_dom.parsed("2019", found)


@pytest.mark.parametrize(
    ("kind", "text", "wanted", "code", "shown"),
    [
        ("Base table or view not found", "Invalid object name 's.nope'.", wcdc.QueryError, "query", "s.nope"),
        ("Syntax error", "Conversion failed for the value 'hunter2'.", wcdc.QueryError, "query", ""),
        ("Syntax error", "The SELECT permission was denied on the object 'people'.", DENIED, CODE, "people"),
        ("Syntax error", "CREATE TABLE permission denied in database 'pool'.", DENIED, CODE, "pool"),
        ("Invalid authorization", "Login failed for user 'hunter2'.", LOST, "connection-lost", ""),
        ("General error", "The service is currently busy.", wcdc.QueryError, "query-busy", ""),
        ("General error", "The request limit for the database is 90 and has been reached.", wcdc.QueryError,
         "query-busy", ""),
        ("Serialization failure", "was deadlocked on lock resources", wcdc.QueryError, "query-conflict", ""),
        ("General error", "aborted due to update conflict.", wcdc.QueryError, "query-conflict", ""),
        ("Communication link failure", "TCP Provider: Error code 0x68", LOST, "connection-lost", ""),
        ("Timeout expired", "Query timeout expired", wcdc.QueryError, "query", "request_timeout"),
        ("Syntax error", "Cannot find the object 'x' because you do not have permissions.",
         DENIED, CODE, "'x'"),
        ("Syntax error", "110802;User does not have permission to perform this action.", DENIED, CODE, ""),
    ],
)  # fmt: skip
def test_errors_of_the_driver(kind: str, text: str, wanted: type[Exception], code: str, shown: str) -> None:
    error = mapped(ProgrammingError(kind, f"[Microsoft][SQL Server]{text}"), "SELECT 'hunter2'")
    assert type(error) is wanted and error.code == code
    assert shown in f"{error}" and "hunter2" not in f"{error} {error.sql}"


@pytest.mark.parametrize(
    "value",
    [
        *("permission denied: hunter2", "you do not have permission, hunter2", "invalid column name hunter2"),
        *("login failed, hunter2", "connection failure", "hunter2 is being throttled", "was deadlocked"),
        *("it's hunter2, isn't it: permission denied", "user hunter2' does not have permission"),
    ],
)
def test_a_value_does_not_choose_what_an_error_means(value: str) -> None:
    for text in (
        f"Conversion failed when converting the varchar value '{value}' to data type int.",
        f"1 rows rejected (of 1). Offending value: {value} (Column Conversion Error).",
    ):
        error = mapped(ProgrammingError("Syntax error", f"[Microsoft][SQL Server]{text}"), "SELECT 1")
        assert type(error) is wcdc.QueryError and error.code == "query" and "hunter2" not in f"{error}"


def test_a_firewall_is_named() -> None:
    text = "Cannot open server 'w'. Client with IP address '1.2.3.4' is not allowed to access the server."
    error = mapped(OperationalError("Connection operation failed", text), "")
    assert isinstance(error, wcdc.ConnectionLostError) and "firewall" in str(error)


class Busy:
    """A session that is too busy for so many statements."""

    closed = False

    def __init__(self, times: int, text: str) -> None:
        self.times = times
        self.text = text
        self.sent: list[str] = []

    def cursor(self) -> Busy:
        return self

    description: Any = None

    def execute(self, sql: str) -> None:
        self.sent.append(sql)
        if len(self.sent) <= self.times:
            raise OperationalError("General error", self.text)

    def fetchall(self) -> list[Any]:
        return [("n", "int", False)]

    def arrow_reader(self, _rows: int) -> Any:
        return pa.table({"n": pa.array([1], pa.int32())}).to_reader()

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("sql", "text", "sent"),
    [
        ("CREATE TABLE a", "The service is currently busy.", 3),
        ("DELETE FROM a", "aborted due to update conflict", 3),
        ("INSERT INTO a SELECT 1", "aborted due to update conflict", 1),
        ("DELETE FROM a", "Divide by zero error encountered.", 1),
    ],
)
def test_what_surely_did_nothing_is_sent_again(
    monkeypatch: pytest.MonkeyPatch, sql: str, text: str, sent: int
) -> None:
    session = Busy(2, text)
    connection = tsql.TSQLConnection(session, lambda: session, get_dialect("fabric"))  # type: ignore[arg-type]
    monkeypatch.setattr(connection._unwanted, "wait", lambda _seconds: False)
    if sent == 1:
        with pytest.raises(wcdc.QueryError):
            connection.execute(sql)
    else:
        connection.execute(sql)
    assert len(session.sent) == sent


def test_rows_and_descriptions_are_asked_for_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Busy(2, "The service is currently busy.")
    connection = tsql.TSQLConnection(session, lambda: session, get_dialect("fabric"))  # type: ignore[arg-type]
    monkeypatch.setattr(connection._unwanted, "wait", lambda _seconds: False)
    batches = connection.stream("SELECT 1 AS n", [ColumnType("INT", "integer")])
    assert [batch.num_rows for batch in batches] == [1] and len(session.sent) == 3
    session.sent, session.description = [], [("name",), ("system_type_name",), ("is_hidden",)]
    assert connection.describe("SELECT 1 AS n") == [("n", "int")] and len(session.sent) == 3


def test_what_waited_is_sent_only_if_it_still_may(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Busy(9, "The service is currently busy.")
    connection = tsql.TSQLConnection(session, lambda: session, get_dialect("fabric"))  # type: ignore[arg-type]
    monkeypatch.setattr(connection._unwanted, "wait", lambda _seconds: False)

    def guard() -> None:
        if session.sent:
            raise wcdc.LeaseLostError("It is over.")

    connection.guard = guard
    with pytest.raises(wcdc.LeaseLostError):
        connection.execute("CREATE TABLE a")
    assert len(session.sent) == 1


def test_a_cancelled_run_does_not_wait_for_a_busy_warehouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda *_between: 2)
    session, cancelled = Busy(9, "The service is currently busy."), threading.Event()
    connection = tsql.TSQLConnection(session, lambda: session, get_dialect("fabric"))  # type: ignore[arg-type]
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.execute("CREATE TABLE a")
    assert len(session.sent) == 1
    session.times = 0
    connection.execute("CREATE TABLE a")


# -- ending statements -------------------------------------------------------------------------------


class Pool:
    """A pool that has sessions with statements of a run, as far as its views and KILL tell.

    Attributes:
        running: Their ids.
        denied: A word of the statements that are refused.
        deaf: Whether KILL does nothing.
        sent: Every statement.
        during: Called by the statement that takes its time.
    """

    def __init__(self, *running: str) -> None:
        self.running = list(running)
        self.denied = "\0"
        self.deaf = False
        self.sent: list[str] = []
        self.during: Any = None
        self.connection = tsql.SynapseConnection(self.session(), self.session, get_dialect("synapse"))  # type: ignore[arg-type]

    def session(self) -> Session:
        session = Session()
        session.cursor = lambda: Answers(self)  # type: ignore[attr-defined]
        session.close = lambda: None  # type: ignore[attr-defined]
        return session


class Answers:
    description = ("session_id",)

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.rows: list[tuple[str]] = []

    def execute(self, sql: str) -> None:
        pool = self.pool
        pool.sent.append(sql)
        if pool.denied in sql:
            raise ProgrammingError("Syntax error", "permission was denied")
        if sql.startswith("KILL") and not pool.deaf:
            pool.running.remove(sql.split("'")[1])
        elif "dm_pdw_exec_requests" in sql:
            self.rows = [(session,) for session in pool.running]
        elif pool.during is not None:
            before = list(pool.running)
            pool.during()
            if pool.running != before:
                raise OperationalError("Communication link failure", "TCP Provider: Error code 0x68")

    def fetchall(self) -> list[tuple[str]]:
        return self.rows

    def close(self) -> None: ...


def test_statements_of_a_dead_run_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SETTLE_SECONDS", 0)
    pool = Pool("SID7", "SID9")
    assert pool.connection.end_statements("01ARZ3")
    assert [sql for sql in pool.sent if sql.startswith("KILL")] == ["KILL 'SID7'", "KILL 'SID9'"]
    assert "label LIKE 'warehouse-cdc run=01ARZ3 %'" in pool.sent[0]
    assert not any(script_dom.parsed("2019", sql) for sql in pool.sent)
    assert not pool.connection.end_statements("01ARZ3")


def test_statements_that_do_not_end_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "END_SECONDS", 0)
    pool = Pool("SID7")
    pool.deaf = True
    with pytest.raises(wcdc.QueryError) as caught:
        pool.connection.end_statements("01ARZ3")
    assert caught.value.query_id == "SID7" and caught.value.retryable and caught.value.hint


@pytest.mark.parametrize("denied", ["dm_pdw_exec_requests", "KILL"])
def test_who_may_not_end_statements_does_without(denied: str) -> None:
    pool = Pool("SID7")
    pool.denied = denied
    assert not pool.connection.end_statements("01ARZ3") and pool.running == ["SID7"]


def test_a_cancelled_runs_statement_is_stopped_and_the_connection_goes_on() -> None:
    pool = Pool("SID7")
    connection = pool.connection
    pool.during = connection.cancel_statement
    connection.execute("SELECT 1")  # not of a run
    connection.labels = Labels("people", "01ARZ3", "plan")
    with pytest.raises(wcdc.QueryError, match="stopped"):
        connection.execute("SELECT 2")
    assert not connection.closed and not pool.running
    connection.execute("SELECT 3")
    pool.running, pool.denied = ["SID7"], "KILL"
    connection.execute("SELECT 4")  # runs to its end
    pool.denied = "\0"

    def too_late() -> None:
        connection.cancel_statement()
        pool.running.append("SID7")

    pool.during = too_late
    connection.execute("SELECT 4")
    pool.during = lambda: pool.running.clear()
    with pytest.raises(wcdc.ConnectionLostError):
        connection.execute("SELECT 5")
