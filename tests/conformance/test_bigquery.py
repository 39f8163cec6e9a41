"""What is BigQuery's own: GoogleSQL's verdict on statements, types and equality; jobs; claims under fire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timezone
from decimal import Decimal
from math import isnan
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance import endless
from tests.conformance import test_trino as on_trino
from tests.conformance.bigquery_engine import MODELS, BigQueryEngine, opened
from tests.conformance.helpers import AUDIT, PLANNER, Recorder, ids, sync_of
from tests.engines.googlesql import GoogleSQL, Refused, googlesql
from tests.golden.test_golden import CASES, SHAPED, compiled, more, schema_of
from tests.models import NESTED
from warehouse_cdc.dialects import get_dialect

pytestmark = pytest.mark.bigquery

BIGQUERY = get_dialect("bigquery")


@pytest.fixture(scope="module")
def analyzer(server_of: Callable[[str], str]) -> Iterator[GoogleSQL]:
    """GoogleSQL's analyzer and reference evaluator."""
    server_of("bigquery")  # skips where it can't be had
    with googlesql() as found:
        yield found


@pytest.fixture
def lake(server_of: Callable[[str], str]) -> Iterator[BigQueryEngine]:
    """Empty data sets on the emulator."""
    with opened(server_of("bigquery")) as engine:
        yield engine


# -- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*CASES, *(p.values[0] for p in SHAPED if p.values[1] == "bigquery")])
def test_every_golden_statement_is_analyzed(analyzer: GoogleSQL, case: str) -> None:
    """Against the catalog that the statements before it have made."""
    analyzer.forget()
    people = schema_of("bigquery", NESTED)["sales.people"]
    columns = ", ".join(f"{name} {kind}" for name, kind in people.items())
    analyzer.analyze(f"CREATE TABLE sales.people ({columns})")
    for label, sql in compiled(case, "bigquery").statements.items():
        try:
            analyzer.analyze(sql)
        except Refused as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error


def test_every_golden_statement_that_is_not_listed_is_analyzed(analyzer: GoogleSQL) -> None:
    analyzer.forget()
    columns = ", ".join(f"{name} {kind}" for name, kind in schema_of("bigquery")["sales.people"].items())
    listed = compiled("upsert_every_type", "bigquery").statements
    made = {label: sql for label, sql in listed.items() if label.startswith("create_sync_")}
    analyzer.analyze(f"CREATE TABLE sales.people ({columns})")
    for label, sql in {**made, **more("bigquery")}.items():
        try:
            analyzer.analyze(sql)
        except Refused as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT NOW()",
        "SELECT 1 = '1'",
        "SELECT JSON '1' = JSON '1'",
        "SELECT hash FROM (SELECT 1 AS `hash`)",
        "SELECT 1 WHERE TRUE",
        "SELECT x FROM nowhere",
        "DELETE FROM sales.people",
    ],
)
def test_the_analyzer_refuses_what_the_service_does(analyzer: GoogleSQL, sql: str) -> None:
    analyzer.forget()
    analyzer.analyze("CREATE TABLE sales.people (id INT64)")
    with pytest.raises(Refused):
        analyzer.analyze(sql)


# -- values ---------------------------------------------------------------------------------------

SAME: dict[str, tuple[str, list[list[str]]]] = {
    "integer": ("INT64", [["9007199254740993"], ["9007199254740992"], ["0", "-0"], ["-9223372036854775808"]]),
    "numeric": (
        "NUMERIC",
        [["1", "1.0", "1.000000000"], ["1.000000001"], ["0", "-0.0"], ["-1"], ["100"], ["0.1"]],
    ),
    "bignumeric": (
        "BIGNUMERIC",
        [
            ["1", "1.00"],
            ["0", "-0.0"],
            ["BIGNUMERIC '578960446186580977117854925043439539266'"],
            ["BIGNUMERIC '578960446186580977117854925043439539265'"],
            ["BIGNUMERIC '0.00000000000000000000000000000000000001'"],
        ],
    ),
    "float": (
        "FLOAT64",
        [
            ["CAST('nan' AS FLOAT64)", "-CAST('nan' AS FLOAT64)"],
            ["0e0", "-1 * 0e0", "0e0 / -1e0"],
            ["CAST('inf' AS FLOAT64)"],
            ["CAST('-inf' AS FLOAT64)"],
            ["0.1"],
            ["0.1 + 0.2"],
            ["0.3"],
            ["1e18", "1000000000000000000e0"],
            ["1e308"],
            ["5e-324"],
            ["9007199254740992e0"],
            ["9007199254740994e0"],
        ],
    ),
    "boolean": ("BOOL", [["TRUE"], ["FALSE"]]),
    "string": (
        "STRING",
        [
            *(
                [text]
                for text in ("'a'", "'A'", "'a '", "''", "' '", "'é'", "','", "'1:a'", "'NULL'", "'😀'")
            ),
            ["'e\\u0301'"],
            ["'a\\x00b'"],
            ["'a\\\\'"],
            ["'a\\n'"],
            ["r'a\\n'"],
        ],
    ),
    "bytes": ("BYTES", [["b'a'"], ["b'A'"], ["b''"], ["b'a '"], ["b'\\xff'"]]),
    "date": (
        "DATE",
        [["DATE '2024-02-29'"], ["DATE '0001-01-01'"], ["DATE '9999-12-31'"], ["DATE '1582-10-10'"]],
    ),
    "time": (
        "TIME",
        [["TIME '10:00:00'", "TIME '10:00:00.000'"], ["TIME '10:00:00.000001'"], ["TIME '00:00:00'"]],
    ),
    "datetime": (
        "DATETIME",
        [
            ["DATETIME '2024-01-01 00:00:00'", "DATETIME '2024-01-01T00:00:00.000'"],
            ["DATETIME '2024-01-01 00:00:00.000001'"],
            ["DATETIME '0001-01-01 00:00:00'"],
        ],
    ),
    "timestamp": (
        "TIMESTAMP",
        [
            ["TIMESTAMP '2024-01-01 12:00:00+00'", "TIMESTAMP '2024-01-01 14:00:00+02:00'"],
            ["TIMESTAMP '2024-01-01 12:00:00+01'"],
            ["TIMESTAMP '0001-01-01 00:00:00+00'"],
            ["TIMESTAMP '9999-12-31 23:59:59.999999+00'"],
        ],
    ),
    "json": (
        "JSON",
        [
            ["""JSON '{"a":1,"b":[1,2]}'""", """JSON '{ "b": [1, 2], "a": 1 }'"""],
            ["""JSON '{"a":1,"b":[2,1]}'"""],
            ["""JSON '{"a":1,"b":[1,2],"c":null}'"""],
            ["""JSON '{"a":"1","b":[1,2]}'"""],
            ["JSON 'null'"],
            ["""JSON '"null"'"""],
            ["JSON '[]'", "JSON '[ ]'"],
            ["JSON '{}'"],
            ["JSON '12345678901234567890'"],
            ["JSON '1234567890123456789'"],
        ],
    ),
    "array": (
        "ARRAY<STRING>",
        [["['a', 'b']"], ["['b', 'a']"], ["['a,b']"], ["['null']"], ["['a', '']"], ["['\"a\"']"]],
    ),
    "struct": (
        "STRUCT<a INT64, `B c` ARRAY<STRUCT<x TIMESTAMP, y FLOAT64>>, d NUMERIC, e JSON>",
        [
            [
                "(1, [(TIMESTAMP '2024-01-01 12:00:00+00', -1 * 0e0)], 1.0, JSON '{\"b\":1,\"a\":2}')",
                "(1, [(TIMESTAMP '2024-01-01 13:00:00+01', 0e0)], 1.00, JSON '{\"a\":2, \"b\":1}')",
            ],
            ["(1, [(TIMESTAMP '2024-01-01 12:00:00+00', 0e0)], 1.1, JSON '{\"b\":1,\"a\":2}')"],
            ["(1, [(CAST(NULL AS TIMESTAMP), CAST('nan' AS FLOAT64))], 1.0, NULL)"],
            ["(1, [], 1.0, NULL)", "(1, [], 1.0, JSON 'null')"],
            ["(NULL, [], NULL, NULL)"],
        ],
    ),
    "unnamed struct": ("STRUCT<INT64, STRING>", [["(1, 'a')"], ["(1, 'b')"], ["(NULL, NULL)"]]),
    "range": (
        "RANGE<DATE>",
        [
            ["RANGE(DATE '2024-01-01', NULL)"],
            ["RANGE(NULL, DATE '2024-01-01')"],
            ["RANGE(DATE '2024-01-01', DATE '2024-01-02')"],
        ],
    ),
    "interval": ("INTERVAL", [["INTERVAL 1 DAY"], ["INTERVAL 2 DAY"], ["INTERVAL 1 MONTH"]]),
}
"""Name to a type and classes of equal values."""


def stored(value: str, kind: str) -> tuple[str, Any]:
    """A value as a plan holds it."""
    return BIGQUERY.stored(value, BIGQUERY.column_type(kind))


@pytest.mark.parametrize("name", SAME)
def test_d5_equal_values_are_equal_and_different_ones_differ(analyzer: GoogleSQL, name: str) -> None:
    """By value and by fingerprint, every pair of values and NULL, as GoogleSQL evaluates it."""
    kind, classes = SAME[name]
    values = [(number, value) for number, ones in enumerate([["NULL"], *classes]) for value in ones]
    expression, held = stored("v", kind)
    rows = " UNION ALL ".join(
        f"SELECT {place} AS n, CAST({value} AS {kind}) AS v" for place, (_class, value) in enumerate(values)
    )
    differs = BIGQUERY.differs(BIGQUERY.comparable("l.s", held), BIGQUERY.comparable("r.s", held))
    left, right = (BIGQUERY.fingerprint([(f"{side}.s", held)]) for side in "lr")
    texts = [BIGQUERY.canonical_text(f"{side}.s", held) for side in "lr"]
    found = analyzer.evaluate(
        f"WITH stored AS (SELECT n, {expression} AS s FROM ({rows}) x) SELECT l.n, r.n, {differs}, "
        f"{left} <> {right}, {texts[0]} IS DISTINCT FROM {texts[1]} FROM stored l CROSS JOIN stored r"
    )
    assert len(found) == len(values) ** 2
    for one, other, by_value, by_hash, by_text in found:
        wanted = values[one][0] != values[other][0]
        assert [by_value, by_hash, by_text] == [wanted] * 3, (values[one], values[other])


KEYS: dict[str, list[tuple[str, str]]] = {
    "INT64": [("0", "0"), ("-1", "-1"), ("9223372036854775807", "9223372036854775807")],
    "BOOL": [("true", "true"), ("false", "false")],
    "NUMERIC": [("1.50", "1.5"), ("100", "100"), ("0.000001", "0.000001"), ("-0.0", "0"), ("-10", "-10")],
    "BIGNUMERIC": [("1.50", "1.5"), ("1e20", "100000000000000000000"), ("-0.0", "0")],
    "DATE": [("DATE '2024-02-29'", "2024-02-29"), ("DATE '0001-01-01'", "0001-01-01")],
    "DATETIME": [
        ("DATETIME '2024-02-29 23:59:59.9'", "2024-02-29T23:59:59.900000Z"),
        ("DATETIME '0001-01-01'", "0001-01-01T00:00:00.000000Z"),
    ],
    "TIMESTAMP": [
        ("TIMESTAMP '2024-03-31 02:30:00.000001+05:45'", "2024-03-30T20:45:00.000001Z"),
        ("TIMESTAMP '9999-12-31 23:59:59.999999+00'", "9999-12-31T23:59:59.999999Z"),
    ],
    "STRING": [
        ("'a\\'b\"c\\\\d'", "a'b\"c\\d"),
        ("' x '", " x "),
        ("''", ""),
        ("'a\\x01\\n'", "a\x01\n"),
        ("'\\u2028\\u2029\\\\u2028\\x0b'", "\u2028\u2029\\u2028\x0b"),
        ("'e\u0301😀'", "e\u0301😀"),
    ],
}


@pytest.mark.parametrize("kind", KEYS)
def test_d1_the_canonical_text_of_keys(analyzer: GoogleSQL, kind: str) -> None:
    """Alone, and as a part of a composite key; NULL stays NULL."""
    texts: list[str | None] = [text for _literal, text in KEYS[kind]]
    literals = [*(literal for literal, _text in KEYS[kind]), "NULL"]
    expression, held = stored("k", kind)
    rows = " UNION ALL ".join(
        f"SELECT {place} AS n, CAST({literal} AS {kind}) AS k" for place, literal in enumerate(literals)
    )
    single = BIGQUERY.row_id([BIGQUERY.canonical_text("s", held)])
    composite = BIGQUERY.row_id([BIGQUERY.canonical_text("s", held), "'7'"])
    again = BIGQUERY.parsed(BIGQUERY.canonical_text("s", held), held)
    found = analyzer.evaluate(
        f"SELECT {single}, {composite}, {BIGQUERY.differs(again, 's')} "
        f"FROM (SELECT n, {expression} AS s FROM ({rows}) x) y ORDER BY n"
    )
    assert not any(row[2] for row in found), "a text can be read again"
    assert [row[0] for row in found] == [*texts, None]
    assert [row[1] for row in found] == [
        *(json.dumps([text, "7"], ensure_ascii=False, separators=(",", ":")) for text in texts),
        None,
    ]


def test_literals_mean_what_they_say(analyzer: GoogleSQL) -> None:
    every = "".join(map(chr, range(256))) + "é😀\u2028\ufeff"
    assert analyzer.evaluate(f"SELECT {BIGQUERY.literal(every)}") == [(every,)]


JSON: dict[str, tuple[str, Any]] = {
    "integer": ("CAST(9007199254740993 AS INT64)", 9007199254740993),
    "numeric": ("NUMERIC '1.50'", 1.5),
    "long numeric": ("NUMERIC '1234567890123456.789'", "1234567890123456.789"),
    "bignumeric": ("BIGNUMERIC '1e30'", "1" + "0" * 30),
    "float": ("0.1", 0.1),
    "whole float": ("2e0", 2),
    "large float": ("1e300", 1e300),
    "nan": ("CAST('nan' AS FLOAT64)", "NaN"),
    "infinity": ("CAST('-inf' AS FLOAT64)", "-Infinity"),
    "boolean": ("TRUE", True),
    "string": ("'\"\\\\\\n\\x01é😀</script>\\u2028'", '"\\\n\x01é😀</script>\u2028'),
    "bytes": ("b'\\x00\\xff'", "00ff"),
    "date": ("DATE '0001-01-01'", "0001-01-01"),
    "time": ("TIME '10:00:00.5'", "10:00:00.500000"),
    "datetime": ("DATETIME '2024-01-01 10:00:00'", "2024-01-01T10:00:00.000000Z"),
    "timestamp": ("TIMESTAMP '2024-01-01 10:00:00+02'", "2024-01-01T08:00:00.000000Z"),
    "json": ('JSON \'{"b":[1.50],"a":null}\'', {"a": None, "b": [1.5]}),
    "array": ("['a', 'b']", ["a", "b"]),
    "empty array": ("CAST([] AS ARRAY<DATE>)", []),
    "struct": (
        "STRUCT(1 AS a, [STRUCT(TIMESTAMP '2024-01-01 10:00:00+00' AS t, NUMERIC '0.10' AS n)] AS `b c`)",
        {"a": 1, "b c": [{"t": "2024-01-01T10:00:00.000000Z", "n": 0.1}]},
    ),
    "null": ("CAST(NULL AS STRING)", None),
}
KINDS = {
    "integer": "INT64",
    "long numeric": "NUMERIC",
    "whole float": "FLOAT64",
    "large float": "FLOAT64",
    "float": "FLOAT64",
    "nan": "FLOAT64",
    "infinity": "FLOAT64",
    "boolean": "BOOL",
    "array": "ARRAY<STRING>",
    "empty array": "ARRAY<DATE>",
    "struct": "STRUCT<a INT64, `b c` ARRAY<STRUCT<t TIMESTAMP, n NUMERIC>>>",
    "null": "STRING",
}


@pytest.mark.parametrize("name", JSON)
def test_d24_values_in_json(analyzer: GoogleSQL, name: str) -> None:
    value, wanted = JSON[name]
    expression, held = stored("v", KINDS.get(name, name.upper()))
    made = BIGQUERY.json_object([('a "b', "s", held)])
    ((found,),) = analyzer.evaluate(
        f"SELECT TO_JSON_STRING({made}) FROM (SELECT {expression} AS s FROM (SELECT {value} AS v) x) y"
    )
    assert json.loads(found) == {'a "b': wanted}


def test_the_bucket_is_the_lower_bits_of_the_hash(analyzer: GoogleSQL) -> None:
    (found,) = analyzer.evaluate(
        f"SELECT {BIGQUERY.bucket('r')}, {BIGQUERY.row_hash('r')}, {BIGQUERY.bucket('NULL')}, "
        "FARM_FINGERPRINT('abc') FROM (SELECT 'x' AS r) x"
    )
    assert found[0] == found[1] & 16383 and 0 <= found[0] < 16384 and found[2:] == (None, 2640714258260161385)


# -- runs on the emulator ---------------------------------------------------------------------------


def test_values_reach_the_destination_and_the_audit_tables(lake: BigQueryEngine, crm: Recorder) -> None:
    lake.execute(
        f"""CREATE TABLE {MODELS}.people AS SELECT 1 AS id, NUMERIC '1.50' AS d, CAST('nan' AS FLOAT64) AS f,
        TRUE AS b, DATE '2024-02-29' AS day, TIME '10:00:00.000001' AS t,
        DATETIME '2024-01-01 10:00:00.000001' AS at, TIMESTAMP '2024-01-01 12:00:00+02:00' AS seen,
        b'\\x00a' AS raw, JSON '{{"a":null,"b":[1.5]}}' AS doc, ['x', 'y'] AS tags, 'q"' AS s,
        CAST(NULL AS STRING) AS nothing"""
    )
    warehouse, sync = lake.connect(), sync_of(crm)
    assert warehouse.run(sync).status == "success"
    row = dict(crm.held["1"])
    assert isnan(row.pop("f"))
    assert row == {
        "id": 1,
        "d": Decimal("1.5"),
        "b": True,
        "day": date(2024, 2, 29),
        "t": time(10, 0, 0, 1),
        "at": datetime(2024, 1, 1, 10, 0, 0, 1),
        "seen": datetime(2024, 1, 1, 10, tzinfo=timezone.utc),
        "raw": b"\x00a",
        "doc": {"a": None, "b": [1.5]},
        "tags": ["x", "y"],
        "s": 'q"',
        "nothing": None,
    }
    (logged,) = lake.audit("sync_changelog")
    fields = logged["fields"]
    assert set(fields) == set(row) | {"f"}
    assert (fields["d"], fields["doc"], fields["s"], fields["nothing"]) == (1.5, row["doc"], 'q"', None)
    assert fields["seen"] == "2024-01-01T10:00:00.000000Z"
    dry = warehouse.plan(sync)
    assert dry.preview().num_rows == 0
    assert (
        dry.estimated_bytes == 0 and "making the plan reads 0.000 GB" in dry.notes[-1]
    )  # all the emulator says


@pytest.mark.crash
def test_d17_a_killed_run_is_closed_and_continued(
    lake: BigQueryEngine, crm: Recorder, tmp_path: Path
) -> None:
    on_trino.test_d17_a_killed_run_is_closed_and_continued(lake, crm, tmp_path)


def test_d20_cancel_stops_the_statement_that_plans(
    lake: BigQueryEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless.check_cancel(lake, crm, monkeypatch)


@pytest.mark.crash
def test_the_statement_that_a_killed_run_left_running_is_ended_before_its_run_is_closed(
    lake: BigQueryEngine, crm: Recorder, tmp_path: Path
) -> None:
    def running() -> list[Any]:
        jobs = lake._client.list_jobs(state_filter="running")
        return [job for job in jobs if job.labels.get("stage") == "changelog"]

    closed, (job,) = endless.check_killed(lake, crm, tmp_path, running)
    assert job.labels["run"] == closed.lower()
    job.reload()
    assert job.error_result["reason"] == "stopped"


def test_of_two_processes_that_start_at_once_one_runs(lake: BigQueryEngine, tmp_path: Path) -> None:
    on_trino.test_of_two_processes_that_start_at_once_one_runs(lake, tmp_path)


def test_a_lost_answer_is_asked_for_and_nothing_is_sent_twice(
    lake: BigQueryEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every job of two runs is started, and its first answer lost."""
    lake.table("id INTEGER, v VARCHAR", "(1, 'a')", "(2, 'b')")
    warehouse, sync = lake.connect(), sync_of(crm)
    http = warehouse._connection._client._connection
    api_request, started, lost = http.api_request, [], set()

    def lossy(**request: Any) -> Any:
        answer = api_request(**request)
        dry = request["method"] == "POST" and request["data"]["configuration"].get("dryRun")
        if request["method"] == "POST" and request["path"].endswith("/jobs") and not dry:
            job = request["data"]["jobReference"]["jobId"]
            started.append(job)
            if job not in lost:
                lost.add(job)
                raise ConnectionError("the answer is lost")
        return answer

    monkeypatch.setattr(http, "api_request", lossy)
    assert warehouse.run(sync).status == "success"
    lake.execute("UPDATE people SET v = 'c' WHERE id = 2", "DELETE FROM people WHERE id = 1")
    run = warehouse.run(sync)
    assert run.status == "success" and crm.held == {"2": {"id": 2, "v": "c"}}
    assert len(lost) > 30 and len(started) == len(lost), (
        "the second attempt was refused, since the job was there"
    )
    logged = [(row["op_type"], row["row_id"]) for row in lake.audit("sync_changelog")]
    assert sorted(logged) == [("added", "1"), ("added", "2"), ("changed", "2"), ("removed", "1")]
    assert len(lake.runs()) == 2


def test_jobs_have_labels_of_the_sync(lake: BigQueryEngine, crm: Recorder) -> None:
    lake.table("id INTEGER", "(1)")
    run = lake.connect().run(sync_of(crm, id="It's Ünlabelled" + "x" * 70))
    found = [job.labels for job in lake._client.list_jobs(max_results=20)]
    mine = [each for each in found if each.get("run") == run.run_id.lower()]
    assert {"changelog", "commit"} <= {each["stage"] for each in mine}
    assert {each["sync"] for each in mine} == {("it_s__nlabelled" + "x" * 70)[:63]}


@pytest.mark.parametrize("way", ["rest", "refused"])
def test_rows_come_by_rest_where_the_storage_api_is_not_granted(
    lake: BigQueryEngine, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from google.api_core.exceptions import Forbidden

    def refuse(**_arguments: Any) -> Any:
        raise Forbidden("bigquery.readsessions.create")

    connection = lake.connect()._connection
    kinds = [BIGQUERY.column_type(name) for name in ("INT64", "STRING", "TIMESTAMP", "BYTES", "TIME")]
    sql = (
        "SELECT i, CAST(i AS STRING) AS s, TIMESTAMP '2024-01-01 10:00:00.000001+00' AS t, b'\\xff' AS b, "
        "TIME '10:00:00' AS c FROM UNNEST(GENERATE_ARRAY(1, 25000)) i"
    )
    by_storage = pa.Table.from_batches(connection.stream(sql, kinds, 10_000))
    if way == "rest":
        connection._storage = False
    else:
        monkeypatch.setattr(connection, "_read_client", lambda: SimpleNamespace(create_read_session=refuse))
    batches = list(connection.stream(sql, kinds, 10_000))
    assert all(batch.num_rows <= 10_000 for batch in batches)
    by_rest = pa.Table.from_batches(batches)
    assert by_rest.sort_by("i").equals(by_storage.sort_by("i")) and by_rest.num_rows == 25_000
    assert ("readsessions" in caplog.text) == (way == "refused")


def test_long_inserts_are_cut_and_the_last_row_comes_last(
    lake: BigQueryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.warehouses import bigquery as module

    monkeypatch.setattr(module.BigQueryConnection, "insert_bytes", 400)
    connection = lake.connect()._connection
    moment = datetime(2024, 1, 1, 0, 0, 0, 1, timezone.utc)
    rows = pa.table(
        {
            "a": pa.array(range(20), pa.int64()),
            "b": pa.array([None, *["é" * 30] * 18, "it's \\ \n 😀"]),
            "c": pa.array([moment] * 20, pa.timestamp("us", "UTC")),
            "d": pa.array([True] * 20),
        }
    )
    lake.execute(f"CREATE TABLE {PLANNER}.t (a INT64, b STRING, c TIMESTAMP, d BOOL)")
    sent: list[str] = []
    execute = connection.execute
    monkeypatch.setattr(connection, "execute", lambda sql: (sent.append(sql), execute(sql))[1])
    connection.insert(PLANNER, "t", rows)
    assert len(sent) > 3 and "😀" in sent[-1] and all(len(sql.encode()) < 520 for sql in sent)
    found = lake.query(f"SELECT a, b, c, d FROM {PLANNER}.t ORDER BY a")
    assert found == list(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def test_errors_say_what_and_which_job_but_no_values(lake: BigQueryEngine, crm: Recorder) -> None:
    lake.table("id INTEGER, v VARCHAR", "(1, 'secret')")
    warehouse = lake.connect()
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id, CAST(v AS INT64) AS v FROM people"))
    assert caught.value.query_id and caught.value.query_id.startswith("wcdc_")
    assert "secret" not in str(caught.value) + caught.value.sql
    with pytest.raises(wcdc.QueryError) as caught:
        warehouse.run(sync_of(crm, "SELECT id FROM models.nowhere WHERE v = 'secret'"))
    assert "nowhere" in caught.value.message and "secret" not in str(caught.value) + caught.value.sql
    lake._client.delete_dataset(AUDIT, delete_contents=True)
    with pytest.raises(wcdc.StateError) as missing:
        warehouse.run(sync_of(crm))
    assert missing.value.code == "schema-missing" and AUDIT in missing.value.message
    for sql in warehouse.setup_sql("syncs@p.iam.gserviceaccount.com")[:2]:
        lake.execute(sql)
    assert all(finding.ok for finding in warehouse.check(sync_of(crm)))


def test_every_statement_of_runs_is_analyzed(
    lake: BigQueryEngine, analyzer: GoogleSQL, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that no golden file has: claims, ends, checkpoints, checks, what is read back."""
    from warehouse_cdc.warehouses.bigquery import BigQueryConnection

    sent: list[str] = []
    for name in ("_sent", "_dry"):
        method = getattr(BigQueryConnection, name)

        def recorded(self: Any, sql: str, *rest: Any, method: Any = method) -> Any:
            sent.append(sql)
            return method(self, sql, *rest)

        monkeypatch.setattr(BigQueryConnection, name, recorded)
    columns = "id INT64, v STRING, n NUMERIC"
    sent.append(f"CREATE TABLE people ({columns})")
    lake.execute(f"CREATE TABLE {MODELS}.people ({columns})")
    lake.execute(f"INSERT INTO {MODELS}.people VALUES (1, 'a', 1), (2, 'b', 2), (2, 'b', 2), (NULL, 'c', 3)")
    warehouse, sync = lake.connect(retention_days=1, compaction=5.0), sync_of(crm)
    warehouse.history(sync)
    crm.refuse = {"1": "no"}
    warehouse.run(sync)
    crm.refuse = {}
    warehouse.history(sync), warehouse.rejections(sync), warehouse.check(sync)
    lake.execute(
        f"DELETE FROM {MODELS}.people WHERE id = 2", f"INSERT INTO {MODELS}.people VALUES (3, 'd', 4)"
    )
    warehouse.plan(sync).preview()
    warehouse.run(sync)
    warehouse.run(sync)
    lake.execute(f"UPDATE {MODELS}.people SET v = 'e' WHERE id = 3")
    warehouse.run(sync)
    warehouse.full_resync(sync)
    analyzer.forget()
    refused = []
    for sql in dict.fromkeys(sent):
        try:
            analyzer.analyze(sql)
        except Refused as error:
            refused.append(f"{error}\n{sql}")
    assert not refused, "\n\n".join(refused)


# -- what needs no answer of a server ---------------------------------------------------------------


def job(error: dict[str, str] | None = None, state: str = "DONE") -> SimpleNamespace:
    return SimpleNamespace(job_id="x", state=state, error_result=error)


def test_a_job_that_failed_for_a_passing_reason_is_sent_again(
    lake: BigQueryEngine, monkeypatch: pytest.MonkeyPatch
) -> None:

    waits: list[float] = []
    connection = lake.connect()._connection
    monkeypatch.setattr(connection._unwanted, "wait", waits.append)
    sent: list[str] = []
    answers = [
        job({"reason": "rateLimitExceeded", "message": "Exceeded rate limits"}),
        job({"reason": "invalidQuery", "message": "Could not serialize access to table t"}),
        job(),
    ]
    monkeypatch.setattr(
        connection, "_sent", lambda _sql, name: (sent.append(name), answers[len(sent) - 1])[1]
    )
    connection.execute("DELETE FROM t WHERE TRUE")
    assert len(set(sent)) == 3 and 0 < waits[0] < waits[1]
    sent.clear()
    answers[:] = [job({"reason": "quotaExceeded", "message": "Quota exceeded: imports per table"})]
    with pytest.raises(wcdc.QueryError) as caught:
        connection.execute("SELECT 1")
    assert len(sent) == 1 and caught.value.retryable and "imports per table" in caught.value.message


def test_an_interrupt_cancels_the_job(lake: BigQueryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    from warehouse_cdc.warehouses import bigquery as module

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupt)
    connection = lake.connect()._connection
    running, cancelled = job(state="RUNNING"), []
    running.cancel = lambda **_options: cancelled.append(True)
    monkeypatch.setattr(connection, "_sent", lambda _sql, _name: running)
    with pytest.raises(KeyboardInterrupt):
        connection.execute("SELECT 1")
    assert cancelled


def test_setup_names_the_user_and_the_location(lake: BigQueryEngine) -> None:
    first, *_rest, last = get_dialect("bigquery").setup("other-project.plans", "audit", "a@b.example")
    assert "--member='user:a@b.example'" in first and "roles/bigquery.readSessionUser" in first
    assert last.endswith("ON SCHEMA `audit` TO 'user:a@b.example'")
    warehouse = lake.connect(planner_schema="other-project.plans")
    printed = warehouse.setup_sql("syncs@p.iam.gserviceaccount.com")
    assert "OPTIONS (location = 'US')" in printed[0] and "`other-project`.`plans`" in printed[1]
    assert "'serviceAccount:syncs@p.iam.gserviceaccount.com'" in printed[2]


def test_check_says_how_reading_is_granted(
    lake: BigQueryEngine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = lake.connect()

    def denied(_sql: str) -> Any:
        raise wcdc.PermissionDeniedError("BigQuery denied a statement.", sql="", query_id=None)

    monkeypatch.setattr(warehouse._connection, "describe", denied)
    monkeypatch.setattr(warehouse._connection, "user", lambda: "syncs@p.iam.gserviceaccount.com")
    (finding,) = [finding for finding in warehouse.check(sync_of(crm)) if not finding.ok]
    assert finding.fix == (
        "GRANT `roles/bigquery.dataViewer` ON SCHEMA <the model's data sets> "
        "TO 'serviceAccount:syncs@p.iam.gserviceaccount.com'"
    )


def test_a_client_of_ones_own_is_used_and_stays_open(lake: BigQueryEngine, crm: Recorder) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    lake.table("id INTEGER", "(1)")
    options = {"api_endpoint": lake._own._source.api_endpoint}
    client = bigquery.Client("local", AnonymousCredentials(), location="US", client_options=options)
    with wcdc.connect(client) as warehouse:
        assert warehouse._connection.query(f"SELECT id FROM {MODELS}.people") == [(1,)]
    assert list(client.query("SELECT 1").result())
    with pytest.raises(wcdc.ConfigError, match="location"):
        wcdc.connect(bigquery.Client("local", AnonymousCredentials(), client_options=options))


def test_a_namespace_of_an_iceberg_catalog_is_refused_with_the_way_out(
    lake: BigQueryEngine, crm: Recorder
) -> None:
    lake.table("id INTEGER", "(1)")
    with pytest.raises(wcdc.UnsupportedError) as caught:
        lake.connect(planner_schema="local.catalog.space").run(sync_of(crm))
    assert "pull" in caught.value.hint and crm.take() == ids("added")


def test_a_server_that_is_not_there() -> None:
    url = "bigquery://p?location=EU&api_endpoint=http://127.0.0.1:1"
    from warehouse_cdc.warehouses import bigquery as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_retry", module._retry.with_timeout(0.1))
        with pytest.raises(wcdc.ConnectionLostError) as caught:
            wcdc.connect(url)
    assert caught.value.retryable
