"""D6: the fingerprint is injective up to the hash itself, and D5: it agrees with the equality of values.

Hypothesis makes tuples that are close to one another; the engine hashes all of them in one statement.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.helpers import Engine, duckdb_engine, postgres_engine
from tests.stand_ins import REDSHIFTS_FUNCTIONS
from warehouse_cdc.dialects import BUCKETS, get_dialect

TEXTS = [
    "",
    " ",
    "a",
    "A",
    "a ",
    "ab",
    "b",
    "|",
    "a|b",
    "b|c",
    "c",
    ",",
    "a,b",
    "NULL",
    "null",
    "\\N",
    "\\",
    '"',
    "'",
    "é",
    "e\u0301",
]
NUMBERS = [0, 1, -1, 10, 2**31 - 1, -(2**31)]
FLOATS = [0.0, -0.0, 1.0, 0.1, -1.5, math.inf, -math.inf, math.nan, 1e300]

text = st.none() | st.sampled_from(TEXTS) | st.text(st.sampled_from('ab|,"\\ '), max_size=3)
number = st.none() | st.sampled_from(NUMBERS)
floating = st.none() | st.sampled_from(FLOATS)
row = st.tuples(text, text, text, number, floating)
TYPES = ("text", "text", "text", "integer", "float")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=getattr(pytest.mark, name))
        for name in ("duckdb", "postgres", "postgres_old", "greenplum", "redshift")
    ],
)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if request.param == "duckdb":
        folder: Path = tmp_path_factory.mktemp("property")
        with duckdb_engine(folder) as duck:
            yield duck
    else:
        old = request.param == "postgres_old"
        server = request.getfixturevalue("server_of")(request.param) if old else None
        with postgres_engine(server or request.getfixturevalue("postgres_url")) as postgres:
            # Greenplum's hash is made of functions that PostgreSQL has too; Redshift's gets others instead.
            postgres.dialect = get_dialect("postgres" if old else request.param)
            if request.param == "redshift":
                postgres.execute(*REDSHIFTS_FUNCTIONS)
            yield postgres


def equal(left: Any, right: Any) -> bool:
    """D5 in Python."""
    if left is None or right is None:
        return left is right
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    return bool(left == right)


def _double(engine: Engine) -> str:
    """The type's name as the engine itself prints it."""
    engine.execute("CREATE TABLE IF NOT EXISTS doubles (d DOUBLE PRECISION)")
    return str(
        engine.query("SELECT data_type FROM information_schema.columns WHERE table_name = 'doubles'")[0][0]
    )


def sql_of(engine: Engine, value: Any, kind: str) -> str:
    literal = engine.dialect.literal
    name = {"text": engine.dialect.text_type, "integer": "INTEGER", "float": "DOUBLE PRECISION"}[kind]
    return f"CAST({literal(str(value) if value is not None else None)} AS {name})"


def fingerprints(engine: Engine, rows: list[tuple[Any, ...]], kinds: tuple[str, ...]) -> list[int]:
    """The hashes of rows, made as a plan makes them."""
    dialect = engine.dialect
    names = {"text": dialect.text_type, "integer": "INTEGER", "float": _double(engine)}
    columns, expressions = [], []
    for place, kind in enumerate(kinds):
        expression, stored = dialect.stored(f"c{place}", dialect.column_type(names[kind]))
        expressions.append(f"{expression} AS v{place}")
        columns.append((f"v{place}", stored))
    values = ", ".join(
        f"({number}, {', '.join(sql_of(engine, v, kind) for v, kind in zip(row, kinds, strict=True))})"
        for number, row in enumerate(rows)
    )
    heads = ", ".join(f"c{place}" for place in range(len(kinds)))
    sql = (
        f"SELECT {dialect.fingerprint(columns)} FROM (SELECT place, {', '.join(expressions)} "
        f"FROM (VALUES {values}) r(place, {heads})) s ORDER BY place"
    )
    return [int(hashed) for (hashed,) in engine.query(sql)]


def check(engine: Engine, rows: list[tuple[Any, ...]], kinds: tuple[str, ...]) -> None:
    hashed = list(zip(rows, fingerprints(engine, rows, kinds), strict=True))
    for (left, one), (right, other) in itertools.combinations(hashed, 2):
        same = all(map(equal, left, right))
        assert (one == other) == same, (left, right)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=st.lists(row, min_size=20, max_size=60))
def test_d6_fingerprints_are_equal_exactly_where_the_rows_are(
    engine: Engine, rows: list[tuple[Any, ...]]
) -> None:
    check(engine, rows, TYPES)


def test_d6_nulls_separators_and_empty_texts_are_kept_apart(engine: Engine) -> None:
    values = [None, "", "a", "a|b", "|", "b", "c", "NULL", '"', "a,", ","]
    check(engine, list(itertools.product(values, repeat=2)), ("text", "text"))


def test_d6_every_pair_of_numbers_and_floats(engine: Engine) -> None:
    check(engine, list(itertools.product([None, *NUMBERS], [None, *FLOATS])), ("integer", "float"))


def test_d6_long_texts_that_differ_in_one_place(engine: Engine) -> None:
    base = "x" * 1000
    rows = [(base[:place] + "y" + base[place + 1 :],) for place in range(0, 1000, 37)]
    check(engine, [*rows, (base,), (base + "x",), (base + " ",)], ("text",))


def test_d6_more_columns_than_a_function_takes_arguments(engine: Engine) -> None:
    rows = [
        tuple(number if place == column else 0 for place in range(250))
        for column in (0, 99, 100, 249)
        for number in (1, 2)
    ]
    check(engine, rows, ("integer",) * 250)


def test_d14_buckets_are_in_range_and_spread(engine: Engine) -> None:
    dialect = engine.dialect
    series = "range(20000) r(i)" if engine.name == "duckdb" else "generate_series(0, 19999) r(i)"
    row_id = f"CAST(i AS {dialect.text_type})"
    buckets = f"SELECT {dialect.bucket(row_id)} AS b FROM {series}"
    ((low, high, distinct),) = engine.query(f"SELECT min(b), max(b), count(DISTINCT b) FROM ({buckets}) x")
    assert low >= 0 and high < BUCKETS and distinct > 9_000
