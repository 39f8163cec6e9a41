"""What is BigQuery's own: GoogleSQL's verdict on statements, types and equality; jobs; claims under fire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.engines.googlesql import GoogleSQL, Refused, googlesql
from tests.golden.test_golden import CASES, compiled, schema_of
from warehouse_cdc.dialects import get_dialect

pytestmark = pytest.mark.bigquery

BIGQUERY = get_dialect("bigquery")


@pytest.fixture(scope="module")
def analyzer(server_of: Callable[[str], str]) -> Iterator[GoogleSQL]:
    """GoogleSQL's analyzer and reference evaluator."""
    server_of("bigquery")  # skips where it can't be had
    with googlesql() as found:
        yield found


# -- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_every_golden_statement_is_analyzed(analyzer: GoogleSQL, case: str) -> None:
    """Against the catalog that the statements before it have made."""
    analyzer.forget()
    columns = ", ".join(f"{name} {kind}" for name, kind in schema_of("bigquery")["sales.people"].items())
    analyzer.analyze(f"CREATE TABLE sales.people ({columns})")
    for label, sql in compiled(case, "bigquery").statements.items():
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
            ["(1, [], 1.0, NULL)"],
            ["(1, [], 1.0, JSON 'null')"],
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
    found = analyzer.evaluate(
        f"SELECT {single}, {composite} FROM (SELECT n, {expression} AS s FROM ({rows}) x) y ORDER BY n"
    )
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
