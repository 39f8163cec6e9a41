"""Every statement of some syncs, offline, in each dialect: pinned, parsed again and executed.

``WCDC_UPDATE_GOLDEN=1 pytest tests/golden`` writes the files anew; look at the difference before you keep it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlglot

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine, duckdb_engine, postgres_engine
from tests.golden.more import statements_of
from tests.models import HOSTILE, NESTED, SHAPES, Shape, has
from tests.parsers import PARSERS, Refused
from tests.stand_ins import REDSHIFTS_FUNCTIONS, as_postgres, without_distribution
from warehouse_cdc.dialects import DIALECTS, get_dialect

HERE = Path(__file__).parent
UPDATE = os.environ.get("WCDC_UPDATE_GOLDEN") == "1"

SCHEMA = {
    "sales.people": {
        "id": "bigint",
        "region": "text",
        "email": "text",
        "ltv": "numeric(12, 2)",
        "score": "double precision",
        "active": "boolean",
        "born": "date",
        "seen": "timestamp",
        "visited": "timestamp with time zone",
        "extra": "json",
        "token": "uuid",
    }
}


BIGQUERYS_TYPES = {
    "text": "STRING",
    "uuid": "STRING",
    "double precision": "FLOAT64",
    "timestamp": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
}
"""Types that BigQuery has under other names, or not."""


def send(_batch: Any) -> None:
    """A destination."""


def _sync(sql: str | None = None, key: Any = "id", **options: Any) -> wcdc.Sync:
    table = None if sql else "sales.people"
    model = wcdc.Model("people", sql=sql, table=table, primary_key=key)
    return wcdc.Sync(
        **{"id": "people", "model": model, "destination": wcdc.destination(name="crm")(send), **options}
    )


CASES = {
    "upsert_mapped": _sync(
        "select id, lower(email) as email, ltv from sales.people where active",
        on_removed="delete",
        mappings={"mail": "email", "lifetime value": "ltv"},
    ),
    "upsert_every_type": _sync(),
    "composite_key_keep_one": _sync(
        key=["region", "id"],
        id="It's a sync",
        on_duplicate="keep_one",
        mappings={"score": "score"},
        match={"email": "mail"},
    ),
    "quarantine": _sync(on_rejected="quarantine", request_log_table=True, mappings={"mail": "email"}),
    "insert": _sync(mode="insert", mappings={"born": "born"}),
    "archive": _sync(mode="archive", mappings={"token": "token"}),
    "diff": _sync(mode="diff", destination=wcdc.destinations.JsonLines("files"), mappings={"extra": "extra"}),
}

SERVERLESS = (
    *("athena", "bigquery", "databricks", "fabric", "presto", "snowflake"),
    *("snowflake_iceberg", "spark", "synapse", "trino"),
)
"""Dialects whose statements run elsewhere: here, they need no server."""

PAIRS = [
    pytest.param(case, name, marks=[] if name in SERVERLESS else getattr(pytest.mark, name))
    for case in CASES
    for name in sorted(DIALECTS)
]


_T_SQL = {"ltv": "decimal(12, 2)", "score": "float", "active": "bit", "token": "uniqueidentifier"}
TSQL = {
    "synapse": {
        **{**_T_SQL, "region": "nvarchar(20)", "email": "varchar(100)"},
        **{"seen": "datetime2", "visited": "datetimeoffset", "extra": "varbinary(20)"},
    },
    "fabric": {
        **{**_T_SQL, "region": "varchar(20)", "email": "varchar(max)"},
        **{"seen": "datetime2(6)", "visited": "datetime2(3)", "extra": "varbinary(20)"},
    },
}
"""Their types, where they are others."""
MODEL_OF_TSQL = """\
with active (id, email, ltv) as (
  select id, lower(email), ltv from sales.people where active = 1 -- a bit
)
select id, email, ltv from active order by id"""
"""What can't stand inside of another query as it is."""


def schema_of(dialect: str, more: Mapping[str, Mapping[str, str]] = {}) -> dict[str, dict[str, str]]:  # noqa: B006
    """The model's table; some have other names for types, or none.

    Args:
        dialect: The dialect.
        more: Dialect to more columns.
    """
    people = {**SCHEMA["sales.people"], **TSQL.get(dialect, {}), **more.get(dialect, {})}
    if dialect in TSQL:
        return {"sales.people": people}
    if dialect == "redshift":
        people = {**people, "extra": "super", "token": "varchar(36)"}
    if dialect == "bigquery":
        people = {name: BIGQUERYS_TYPES.get(kind, kind) for name, kind in people.items()}
    if dialect.startswith("snowflake"):
        people = {**people, "extra": "variant", "token": "varchar(36)"}
    if dialect in ("spark", "databricks"):
        people = {**people, "seen": "timestamp_ntz", "extra": "variant", "token": "string"}
    return {"sales.people": people}


def sync_for(case: str, dialect: str) -> wcdc.Sync:
    """The sync; on Snowflake, columns without quotes have names in upper case."""
    sync = CASES[case]
    if dialect in TSQL and sync.model.sql:
        return replace(sync, model=replace(sync.model, sql=MODEL_OF_TSQL))
    if not dialect.startswith("snowflake"):
        return sync
    key = tuple(name.upper() for name in sync.model.primary_key)
    mappings = sync.mappings and {field: column.upper() for field, column in sync.mappings.items()}
    match = sync.match and {column.upper(): field for column, field in sync.match.items()}
    return replace(sync, model=replace(sync.model, primary_key=key), mappings=mappings, match=match)


@cache
def compiled(case: str, dialect: str) -> wcdc.Compiled:
    """A case, or the sync of a model of a shape."""
    if case in CASES:
        return wcdc.compile(sync_for(case, dialect), dialect=dialect, schema=schema_of(dialect))
    return wcdc.compile(shaped(case, dialect)[1], dialect=dialect, schema=schema_of(dialect, NESTED))


def shaped(shape: str, name: str) -> tuple[Shape, wcdc.Sync]:
    """A model of a shape, and a sync of it."""
    dialect = get_dialect(name)
    if shape == "nested":
        columns = ("id", *NESTED[name])
        listed = ", ".join(f"{column} as {dialect.quote(column)}" for column in columns)
        model = Shape(f"select {listed} from sales.people", columns=columns[1:])
    else:
        model = SHAPES[shape](dialect, "sales.people")
    return model, _sync(model.sql, list(model.key), mappings={f"to {name}": name for name in model.columns})


def embedded(shape: str, name: str) -> dict[str, str]:
    """The statements that differ from those of the other cases: those with the model, and with its names."""
    wanted = ["first_plan", "copy_model"]
    if shape in ("hostile_names", "nested"):
        wanted.append("first_changelog")
    found = compiled(shape, name).statements
    return {label: found[label] for label in wanted if label in found}


@cache
def more(name: str) -> dict[str, str]:
    """The statements that ``compile`` doesn't list, of the sync with a column of every type."""
    case = "upsert_every_type"
    return statements_of(sync_for(case, name), compiled(case, name).layout, name)


def pinned(name: str) -> dict[tuple[str, str], str]:
    """(case, label) to each statement of a dialect's golden files."""
    shapes = [shape for shape, of in (pair.values for pair in SHAPED) if of == name]
    return {("more", label): sql for label, sql in more(name).items()} | {
        (case, label): sql
        for case in (*CASES, *shapes)
        for label, sql in (compiled(case, name).statements if case in CASES else embedded(case, name)).items()
    }


SHAPED = [
    pytest.param(shape, name, marks=[] if name in SERVERLESS else getattr(pytest.mark, name))
    for shape in (*SHAPES, "nested")
    for name in sorted(DIALECTS)
    if (name in NESTED if shape == "nested" else has(name, shape))
]


NAMES = [
    pytest.param(name, marks=[] if name in SERVERLESS else getattr(pytest.mark, name))
    for name in sorted(DIALECTS)
]


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_the_statements_are_the_golden_ones(case: str, name: str) -> None:
    path = HERE / f"{case}.{name}.sql"
    sql = compiled(case, name).sql()
    if UPDATE:
        path.write_text(sql, encoding="utf-8")
    assert sql == path.read_text(encoding="utf-8"), "see this module's docstring"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_listed_is_as_the_golden_files_say(name: str) -> None:
    path = HERE / f"more.{name}.sql"
    sql = "\n\n".join(f"-- {label}\n{text};" for label, text in more(name).items()) + "\n"
    if UPDATE:
        path.write_text(sql, encoding="utf-8")
    assert sql == path.read_text(encoding="utf-8"), "see this module's docstring"


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in HERE.glob("*.sql")} == {
        *(f"more.{name}.sql" for name in DIALECTS),
        *(f"{c}.{name}.sql" for c in CASES for name in DIALECTS),
        *(f"{shape}.{name}.sql" for shape, name in (pair.values for pair in SHAPED)),
    }


@pytest.mark.parametrize(("shape", "name"), SHAPED)
def test_models_of_every_shape_are_embedded_as_the_golden_files_say(shape: str, name: str) -> None:
    path = HERE / f"{shape}.{name}.sql"
    sql = "\n\n".join(f"-- {label}\n{text};" for label, text in embedded(shape, name).items()) + "\n"
    if UPDATE:
        path.write_text(sql, encoding="utf-8")
    assert sql == path.read_text(encoding="utf-8"), "see this module's docstring"


@pytest.mark.parametrize(("shape", "name"), SHAPED)
def test_models_of_every_shape_parse_again(shape: str, name: str) -> None:
    for label, sql in embedded(shape, name).items():
        parsed = sqlglot.parse(without_distribution(sql), read=get_dialect(name).sqlglot)
        assert len(parsed) == 1 and not isinstance(parsed[0], sqlglot.exp.Command), label


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_columns_have_the_names_that_results_have(name: str) -> None:
    """In the layout, from which fields are mapped, as in the JSON that the audit tables get."""
    dialect = get_dialect(name)
    shape, sync = shaped("hostile_names", name)
    found = wcdc.compile(sync, dialect=name, schema=schema_of(name))
    assert {column.name for column in found.layout.columns} == {*shape.key, *shape.columns}
    for hostile in set(HOSTILE) - {*shape.key, *shape.columns, "CamelCase"}:
        sql = f"select id as {dialect.quote('id')}, ltv as {dialect.quote(hostile)} from sales.people"
        with pytest.raises(wcdc.ModelError) as caught:
            wcdc.compile(_sync(sql), dialect=name, schema=schema_of(name))
        assert caught.value.code == "model-column-name" and caught.value.hint


@pytest.mark.parametrize("name", ["bigquery", "redshift"])
def test_recursion_is_refused_where_it_may_not_be_inside(name: str) -> None:
    sql = SHAPES["recursive_cte"](get_dialect(name), "sales.people").sql
    with pytest.raises(wcdc.ModelError) as caught:
        wcdc.compile(_sync(sql), dialect=name, schema=schema_of(name))
    assert caught.value.code == "model-recursive-cte" and caught.value.hint


def test_the_clause_that_only_greenplum_knows_is_at_the_end_of_every_table() -> None:
    for label, sql in compiled("upsert_mapped", "greenplum").statements.items():
        makes_table = re.match(r"CREATE (UNLOGGED )?TABLE", sql) is not None
        assert makes_table == (without_distribution(sql) != sql), label


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_every_statement_parses_again_in_its_dialect(case: str, name: str) -> None:
    spoken = get_dialect(name).sqlglot
    for label, sql in compiled(case, name).statements.items():
        if name in TSQL and re.match(r"IF|RENAME|EXEC", sql):
            continue  # only the independent parser knows these
        parsed = sqlglot.parse(without_distribution(sql), read=spoken)
        assert len(parsed) == 1 and parsed[0] is not None, label
        assert not isinstance(parsed[0], sqlglot.exp.Command), f"{label} was not understood"


SLOWLY_PARSED = ("snowflake", "snowflake_iceberg")
"""Their parser takes its time, and does so with the tests of their engine."""

PARSED = [
    pytest.param(case, name, marks=pytest.mark.snowflake if name in SLOWLY_PARSED else pair.marks)
    for pair in (*PAIRS, *SHAPED)
    for case, name in [pair.values]
    if name in PARSERS
]


@pytest.mark.parsers
@pytest.mark.parametrize(("case", "name"), PARSED)
def test_every_statement_is_understood_by_an_independent_parser(case: str, name: str) -> None:
    statements = compiled(case, name).statements if case in CASES else embedded(case, name)
    for label, sql in statements.items():
        try:
            PARSERS[name](sql)
        except Refused as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error


@pytest.mark.parsers
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.snowflake if name in SLOWLY_PARSED else pair.marks)
        for pair in NAMES
        for name in pair.values
        if name in PARSERS
    ],
)
def test_what_is_not_listed_is_understood_by_an_independent_parser(name: str) -> None:
    for label, sql in more(name).items():
        try:
            PARSERS[name](sql)
        except Refused as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_the_independent_parser_refuses_what_it_does_not_know(name: str) -> None:
    with pytest.raises(Refused):
        PARSERS[name]("UPDATE t SET WHERE")


@pytest.mark.parametrize("case", CASES)
def test_what_trino_does_not_have_is_not_used(case: str) -> None:
    assert not re.search(r";|::|TEMPORARY|ON CONFLICT", compiled(case, "trino").sql().replace(";\n", "\n"))


@pytest.mark.redshift
@pytest.mark.parametrize("case", CASES)
def test_what_is_dubious_on_redshift_is_not_used(case: str) -> None:
    sql = "\n".join([compiled(case, "redshift").sql(), *more("redshift").values()])
    assert not re.search(r"DISTINCT FROM|SELECT DISTINCT|\bUNION\b(?! ALL)|::|MATERIALIZED|\bTEXT\b", sql)


@pytest.mark.parametrize(("case", "name"), [pair for pair in PAIRS if pair.values[1] not in SERVERLESS])
def test_every_statement_runs_in_the_order_in_which_runs_send_them(
    case: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if name == "duckdb":
        with duckdb_engine(tmp_path) as engine:
            _run_all(engine, case, name)
    else:
        with postgres_engine(request.getfixturevalue("postgres_url")) as engine:
            if name == "redshift":
                engine.execute(*REDSHIFTS_FUNCTIONS)
            _run_all(engine, case, name)


@pytest.mark.postgres_old
@pytest.mark.parametrize("case", CASES)
def test_every_statement_runs_on_an_old_postgres(case: str, server_of: Callable[[str], str]) -> None:
    with postgres_engine(server_of("postgres_old")) as engine:
        _run_all(engine, case, "postgres")


def _run_all(engine: Engine, case: str, name: str) -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind in schema_of(name)["sales.people"].items())
    engine.execute("CREATE SCHEMA sales", f"CREATE TABLE sales.people ({columns})")
    json = "json_parse" if name == "redshift" else ""
    engine.execute(
        f"""INSERT INTO sales.people VALUES
        (1, 'eu', 'A@x', 1.50, 'NaN', TRUE, '2000-01-01', '2024-01-01 10:00', '2024-01-01 10:00+00',
        {json}('{{"a": 1}}'), '6f9619ff-8b86-d011-b42d-00cf4fc964ff'),
        (2, 'us', NULL, NULL, NULL, TRUE, NULL, NULL, NULL, NULL, NULL),
        (3, NULL, '', 0, 0, NULL, NULL, NULL, NULL, {json}('[]'), NULL)"""
    )
    for label, sql in compiled(case, name).statements.items():
        try:
            engine.execute(as_postgres(sql))
        except Exception as error:
            raise AssertionError(f"{label}: {error}\n{sql}") from error
    plans = [name for name in engine.own_tables() if name.endswith("_plan")]
    assert len(plans) == 2 and not [name for name in engine.own_tables() if name.endswith("_staged")]
    assert engine.query("SELECT fields FROM hightouch_audit.sync_snapshot"), (
        "the second run's rows are in the snapshot"
    )


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_other_schema_names_are_used_everywhere(name: str) -> None:
    found = wcdc.compile(
        sync_for("upsert_mapped", name), name, schema_of(name), planner_schema="My Plans", audit_schema="it's"
    )
    assert "hightouch" not in found.sql().lower()
    dialect = get_dialect(name)
    assert dialect.table("My Plans", "people_")[:-1] in found.sql()
    assert dialect.table("it's", "sync_runs") in found.sql()


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_compiling_is_deterministic(name: str) -> None:
    assert compiled.__wrapped__("upsert_every_type", name).sql() == compiled("upsert_every_type", name).sql()


def test_an_unknown_dialect_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(wcdc.UnsupportedError) as caught:
        wcdc.compile(CASES["insert"], "oracle", SCHEMA)
    assert all(name in caught.value.hint for name in DIALECTS)


@pytest.mark.parametrize("name", ["redshift", "synapse", "fabric"])
def test_a_sync_is_told_from_one_whose_id_has_more_spaces(name: str) -> None:
    """Where = ignores spaces at the end, no statement goes by it alone."""
    exactly = {"redshift": "SHA2(", "synapse": "DATALENGTH(", "fabric": "DATALENGTH("}[name]
    for case, statements in [
        *((case, compiled(case, name).statements) for case in CASES),
        ("more", more(name)),
    ]:
        for label, sql in statements.items():
            for place in re.finditer(r"\b((?:\w+\.)?sync_id) = N?'", sql):
                assert f"{exactly}{place[1]}" in sql[place.start() : place.start() + 200], (case, label)
