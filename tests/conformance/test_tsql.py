"""What is T-SQL's own, on DuckDB under a collation that ignores case: keys, texts, models, what is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import warehouse_cdc as wcdc
from tests import script_dom
from tests.conformance.helpers import Recorder, counted, ids, sync_of
from tests.conformance.test_equality_matrix import test_d5_the_matrix_has_one_outcome as check_matrix
from tests.conformance.test_moving_to_servers import (
    test_what_is_moved_is_not_sent_and_what_is_due_is as check_move,
)
from tests.conformance.tsql_engine import TSQLEngine, opened
from warehouse_cdc.compile import layout
from warehouse_cdc.dialects import ColumnType

pytestmark = pytest.mark.tsql


@pytest.fixture(params=["fabric", "synapse"])
def tsql(request: pytest.FixtureRequest) -> Iterator[TSQLEngine]:
    with opened("", request.param) as engine:
        yield engine


def test_keys_that_differ_by_case_are_different_rows(tsql: TSQLEngine, crm: Recorder) -> None:
    tsql.table("id text, v integer", "('a', 1)", "('A', 1)", "('b', 1)")
    assert tsql.query("SELECT count(DISTINCT id) FROM people") == [(2,)], "the collation is what it should be"
    warehouse, sync = tsql.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    assert crm.take() == ids("added", "a", "A", "b")
    tsql.execute("UPDATE people SET v = 2 WHERE id COLLATE \"binary\" = 'A'")
    warehouse.run(sync)
    assert crm.take() == ids("changed", "A")
    tsql.execute("DELETE FROM people WHERE id COLLATE \"binary\" = 'a'")
    warehouse.run(sync)
    assert crm.take() == ids("removed", "a")
    snapshot = {row["row_id"]: row["fields"]["v"] for row in tsql.audit("sync_snapshot")}
    assert snapshot == {"A": 2, "b": 1}


def test_a_text_that_changes_by_case_is_changed(tsql: TSQLEngine, crm: Recorder) -> None:
    """By fingerprint, and by value as after an upgrade."""
    tsql.table("id integer, v text", "(1, 'a')", "(2, 'é')", "(3, NULL)", "(4, '')")
    warehouse, sync = tsql.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    for encoding in (layout.FINGERPRINT_ENCODING, layout.FINGERPRINT_ENCODING + 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layout, "FINGERPRINT_ENCODING", encoding)
            upper = "CASE WHEN v COLLATE \"binary\" = 'a' THEN 'A' ELSE 'a' END"
            tsql.execute(f"UPDATE people SET v = {upper} WHERE id = 1")
            tsql.execute("UPDATE people SET v = CASE WHEN v IS NULL THEN '' END WHERE id = 3")
            warehouse.run(sync)
            assert crm.take() == ids("changed", 1, 3)


def test_syncs_whose_ids_differ_by_case_keep_apart(tsql: TSQLEngine, crm: Recorder) -> None:
    tsql.table("id integer, v integer", "(1, 1)", "(2, 2)")
    warehouse = tsql.connect()
    syncs = [sync_of(crm, id=name) for name in ("people", "People")]
    for sync in syncs:
        assert warehouse.run(sync).status == "success"
    tsql.execute("UPDATE people SET v = 5", "DELETE FROM people WHERE id = 2")
    warehouse.run(syncs[0])
    found = {(row["sync_id"], row["row_id"], row["fields"]["v"]) for row in tsql.audit("sync_snapshot")}
    assert found == {("people", "1", 5), ("People", "1", 1), ("People", "2", 2)}
    assert [len(warehouse.history(sync).to_pylist()) for sync in syncs] == [2, 1]
    assert len(warehouse.history(syncs[0], limit=1).to_pylist()) == 1


def test_a_model_with_ctes_and_an_order(tsql: TSQLEngine, crm: Recorder) -> None:
    tsql.table("id integer, v integer", "(1, 1)", "(2, 2)", "(3, 2)")
    sql = """with -- a
        few (id, v) as (select top 2 id, v from people order by id desc), more as (select id, v from few)
        select id, v from more order by v, id"""
    warehouse, sync = tsql.connect(), sync_of(crm, sql=sql)
    plan = warehouse.plan(sync)
    assert plan.counts["added"] == 2 and plan.preview().column("row_id").to_pylist() == ["2", "3"]
    assert not script_dom.parsed("fabricdw", plan.sql())
    warehouse.run(sync)
    assert crm.take() == ids("added", 2, 3)
    tsql.execute("DELETE FROM people WHERE id = 3")
    plan = warehouse.plan(sync)
    assert plan.counts == {"added": 1, "changed": 0, "removed": 1}
    assert plan.preview(1).num_rows == 1
    findings = warehouse.check(sync)
    assert [finding.name for finding in findings if not finding.ok] == (
        ["isolation"] if tsql.name == "synapse" else []
    )


def test_everything_that_is_sent_is_t_sql_that_the_warehouse_takes(tsql: TSQLEngine, crm: Recorder) -> None:
    """Also what is in no golden file: the ledger, rejections, a dry run, retention, setup and check."""
    rows = ("(1, 'eu', 1.5)", "(2, 'us', NULL)", "(2, 'us', 3)", "(NULL, 'x', 1)")
    tsql.table("id integer, region text, v decimal(9, 2)", *rows)
    warehouse, sync = tsql.connect(retention_days=1), sync_of(crm, key=["region", "id"])
    crm.refuse = {'["eu","1"]': "no \" ' \\ \n"}
    warehouse.setup("somebody")
    assert counted(warehouse.run(sync)) == {"added": (2, 2, 0, 2, 0)}
    assert {row["reason"] for row in warehouse.rejections(sync).to_pylist()} == {
        "no \" ' \\ \n",
        "duplicate primary key (2 rows)",
    }
    crm.refuse = {}
    tsql.execute("DELETE FROM people WHERE v = 3", "UPDATE people SET region = 'x''y' WHERE id IS NULL")
    assert counted(warehouse.run(sync)) == {"added": (2, 2, 2, 0, 0)}
    warehouse.run(sync)
    tsql.execute("UPDATE people SET v = 7 WHERE id = 1")
    warehouse.plan(sync).preview()
    warehouse.run(sync)
    warehouse.full_resync(sync)
    warehouse.reset_cdc(sync)
    warehouse.check(sync)
    version = "2019" if tsql.name == "synapse" else "fabricdw"
    for sql in dict.fromkeys(tsql.sent):
        plain = sql.partition("*/ ")[2] if sql.startswith("/*") else sql
        said = script_dom.parsed(version, sql) or script_dom.refused(
            tsql.name, plain.partition("\nOPTION")[0]
        )
        assert not said, f"{said}\n{sql}"


def test_one_of_two_claims_wins(tsql: TSQLEngine, crm: Recorder) -> None:
    tsql.table("id integer", "(1)")
    other = tsql.connect()

    def meanwhile(_batch: object) -> None:
        with pytest.raises(wcdc.SyncInProgressError):
            other.run(sync_of(Recorder()))

    crm.during = meanwhile
    assert tsql.connect().run(sync_of(crm)).status == "success"
    assert other.run(sync_of(crm)).status == "success"


KEYS = {
    "bigint": [("-9223372036854775808", "-9223372036854775808"), ("0", "0")],
    "bit": [("TRUE", "true"), ("FALSE", "false")],
    "uniqueidentifier": [
        ("CAST('6F9619FF-8B86-D011-B42D-00CF4FC964FF' AS UUID)", "6f9619ff-8b86-d011-b42d-00cf4fc964ff")
    ],
    "decimal(20, 6)": [("CAST(1.5 AS DECIMAL(20, 6))", "1.5"), ("CAST(100 AS DECIMAL(20, 6))", "100")]
    + [("CAST(0 AS DECIMAL(20, 6))", "0"), ("CAST(-0.000001 AS DECIMAL(20, 6))", "-0.000001")],
    "decimal(20, 0)": [("CAST(100 AS DECIMAL(20, 0))", "100")],
    "date": [("DATE '2024-02-29'", "2024-02-29"), ("DATE '1582-10-10'", "1582-10-10")],
    "datetime2(3)": [("TIMESTAMP '2024-02-29 23:59:59.9'", "2024-02-29T23:59:59.900000Z")],
    "nvarchar(max)": [
        ("'a''b\"c\\d/'", "a'b\"c\\d/"),
        ("' x '", " x "),
        ("''", ""),
        ("'a' || chr(1) || chr(9) || chr(10) || chr(31)", "a\x01\t\n\x1f"),
        ("'\\u0041\\\\\"'", '\\u0041\\\\"'),
        ("'e\u0301😀'", "e\u0301😀"),
    ],
}


@pytest.mark.parametrize("kind", KEYS)
def test_d1_the_canonical_text_of_keys(tsql: TSQLEngine, kind: str) -> None:
    """Alone, and as a part of a composite key."""
    dialect = tsql.dialect
    value, stored = dialect.stored("k", dialect.column_type(kind))
    single = dialect.row_id([dialect.canonical_text("s", stored)])
    composite = dialect.row_id([dialect.canonical_text("s", stored), "'7'"])
    session = tsql.session().cursor()
    for literal, text in KEYS[kind]:
        tsql.execute(f"CREATE OR REPLACE VIEW v AS SELECT {literal} AS k")
        session.execute(f"SELECT {single} AS a, {composite} AS b FROM (SELECT {value} AS s FROM v) x")
        ((alone, part),) = session.fetchall()
        assert alone == text
        assert part == json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":"))


PAIRS = [
    ("text", "'a'", "'A'", False),
    ("text", "'a'", "'a '", False),
    ("text", "'é'", "'e\u0301'", False),
    ("text", "''", "NULL", False),
    ("text", "','", "'1:,'", False),
    ("text", "NULL", "NULL", True),
    ("float", "0e0", "-0e0", True),
    ("float", "0.1e0", "0.10000000000000002e0", False),
    ("decimal", "CAST(1 AS DECIMAL(9, 2))", "CAST(1.00 AS DECIMAL(9, 2))", True),
    ("decimal", "CAST(1 AS DECIMAL(9, 2))", "CAST(1.01 AS DECIMAL(9, 2))", False),
    ("boolean", "CAST(0 AS BIT)", "NULL", False),
    ("binary", "from_hex('61')", "from_hex('6100')", False),
    ("binary", "from_hex('')", "from_hex('00')", False),
    ("timestamp", "CAST('2024-01-01' AS TIMESTAMP)", "CAST('2024-01-01 00:00:00' AS TIMESTAMP)", True),
    (
        "timestamp",
        "CAST('2024-01-01' AS TIMESTAMP)",
        "CAST('2024-01-01 00:00:00.000001' AS TIMESTAMP)",
        False,
    ),
]


def test_d5_and_d6_by_value_and_by_hash(tsql: TSQLEngine) -> None:
    dialect, session = tsql.dialect, tsql.session().cursor()
    names = {"text": dialect.text_type, "float": "FLOAT", "decimal": "DECIMAL(9, 2)", "boolean": "BIT"}
    names |= {"binary": "VARBINARY(MAX)", "timestamp": f"DATETIME2({dialect.fraction})"}  # type: ignore[attr-defined]
    for kind, left, right, same in PAIRS:
        of = ColumnType(names[kind], kind)
        sides = [dialect.comparable(side, of) for side in ("l", "r")]
        hashes = [dialect.fingerprint([(side, of)]) for side in ("l", "r")]
        tsql.execute(
            f"CREATE OR REPLACE VIEW v AS SELECT {left.replace('AS BIT', 'AS BOOLEAN')} AS l, {right} AS r"
        )
        differ, alike = dialect.flag(dialect.differs(*sides)), dialect.flag(" = ".join(hashes))
        session.execute(f"SELECT {differ} AS d, {alike} AS h FROM v")
        assert session.fetchall() == [(not same, same)], (kind, left, right)


def test_fingerprints_keep_values_apart(tsql: TSQLEngine) -> None:
    dialect, session = tsql.dialect, tsql.session().cursor()
    text = ColumnType(dialect.text_type, "text")
    number = ColumnType("BIGINT", "integer")
    rows = ["'a', NULL, 1", "NULL, 'a', 1", "'a', '', 1", "'', 'a', 1", "'a|', 'b', 1", "'a', '|b', 1"]
    rows += [
        "'1:a', '', 1",
        "'', '1:a', 1",
        "NULL, NULL, NULL",
        "NULL, NULL, 0",
        "',', NULL, 1",
        "'A', NULL, 1",
    ]
    tsql.execute(
        "CREATE TABLE rows (a VARCHAR, b VARCHAR, n BIGINT)",
        *(f"INSERT INTO rows VALUES ({row})" for row in rows),
    )
    session.execute(f"SELECT {dialect.fingerprint([('a', text), ('b', text), ('n', number)])} AS h FROM rows")
    assert len({row[0] for row in session.fetchall()}) == len(rows)


def test_fabrics_types_have_the_outcomes_of_the_matrix(
    crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other tests of the matrix run with Synapse's."""
    with opened("", "fabric") as engine:
        check_matrix(engine, crm, monkeypatch)


def test_a_pulled_sync_is_moved_into_fabric(crm: Recorder, tmp_path: Path) -> None:
    with opened("", "fabric") as engine:
        check_move(engine, crm, tmp_path)


def test_values_reach_the_destination_and_the_audit_tables(tsql: TSQLEngine, crm: Recorder) -> None:
    tsql.table(
        "id integer, b boolean, d decimal(10, 2), f double, day date, seen timestamp, raw blob, s text, "
        "nothing text",
        "(1, TRUE, 1.50, 0.1, '2024-02-29', '2024-01-01 10:00:00.000001', from_hex('00ff'), 'q\"\n/', NULL)",
    )
    warehouse, sync = tsql.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = crm.held["1"]
    assert (row["b"], row["d"], row["f"], row["raw"]) == (True, Decimal("1.50"), 0.1, b"\0\xff")
    assert row["seen"].isoformat() == "2024-01-01T10:00:00.000001" and row["day"].isoformat() == "2024-02-29"
    (logged,) = tsql.audit("sync_changelog")
    assert logged["fields"] == {
        **{"id": 1, "b": True, "d": 1.5, "day": "2024-02-29", "f": 0.1, "nothing": None},
        **{"raw": "00ff", "s": 'q"\n/', "seen": "2024-01-01T10:00:00.000001Z"},
    }
