"""From a declared model to one checked SELECT; the same rules in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import warehouse_cdc as wcdc
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import DIALECTS, Dialect, get_dialect


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return get_dialect(request.param)


def model(sql: str, **options: str) -> wcdc.Model:
    return wcdc.Model("m", sql=sql, primary_key="id", **options)


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as id",
        "SELECT * FROM a JOIN b USING (id)",
        "with a as (select 1 as id) select * from a",
        "with recursive a(id) as (select 1 union all select id + 1 from a where id < 5) select * from a",
        "select 1 as id union select 2 intersect select 3",
        "(select 1 as id) union all (select 2)",
        "(select 1 as id)",
        "select * from t -- a comment",
        "/* a; comment */ select * from t /* ; */",
        "select ';' as id, '--' as a, '/*' as b, '{{ x }}' as c",
        'select "a;b" as id from "t--x"',
        "\n\n  select 1 as id\n\n",
    ],
)
def test_a_select_is_taken_as_it_was_written(dialect: Dialect, sql: str) -> None:
    if dialect.name == "bigquery":  # it has no other set operations
        sql = sql.replace("union select", "union all select").replace("intersect", "intersect distinct")
    if "recursive" in sql and not dialect.recursion_inside:
        with pytest.raises(wcdc.ModelError) as caught:
            read_model(model(sql), dialect)
        assert caught.value.code == "model-recursive-cte"
        return
    assert read_model(model(sql), dialect).sql == sql


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("select 1 as id;", "select 1 as id"),
        ("select 1 as id ; ;; -- x", "select 1 as id "),
        ("select ';' as id;", "select ';' as id"),
    ],
)
def test_a_final_semicolon_is_cut_off(dialect: Dialect, sql: str, wanted: str) -> None:
    assert read_model(model(sql), dialect).sql == wanted


REFUSED = {
    "insert into t values (1)": ("model-not-select", 1, 1),
    "  update t set a = 1": ("model-not-select", 1, 3),
    "delete from t": ("model-not-select", 1, 1),
    "merge into t using s on t.id = s.id when matched then delete": ("model-not-select", 1, 1),
    "create view v as select 1": ("model-not-select", 1, 1),
    "alter table t add column a int": ("model-not-select", 1, 1),
    "drop table t": ("model-not-select", 1, 1),
    "explain select 1": ("model-not-select", 1, 1),
    "vacuum": ("model-not-select", 1, 1),
    "begin": ("model-not-select", 1, 1),
    "select 1 as id; select 2": ("model-statements", 1, 17),
    "select 1 as id;\n\n;delete from t": ("model-statements", 3, 2),
    "with a as (insert into t select 1 returning *) select * from a": ("model-writes", 1, 12),
    "with a as (update t set x = 1 returning *)\nselect * from a": ("model-writes", 1, 12),
    "select * into x from t": ("model-writes", 1, 10),
    "select * from t for update": ("model-writes", 1, 17),
    "select * from {{ source('a', 'b') }}": ("model-template", 1, 15),
    "values (1), (2)": ("model-not-select", 1, 1),
    "{% set x = 1 %} select 1": ("model-template", 1, 1),
    "select * from": ("model-syntax", None, None),
    "select * from t where": ("model-syntax", None, None),
    "select * from t where (a = 1": ("model-syntax", None, None),
    "select 'unclosed": ("model-syntax", None, None),
    "/* only a comment */": ("model-empty", None, None),
    "t": (None, None, None),
    "1 + 1": (None, None, None),
    "lorem ipsum dolor": (None, None, None),
}


@pytest.mark.parametrize("sql", REFUSED)
def test_anything_else_is_refused_with_its_place(dialect: Dialect, sql: str) -> None:
    code, line, column = REFUSED[sql]
    if dialect.name in ("bigquery", "redshift") and sql.startswith("values"):
        code, line, column = "model-syntax", None, None  # it has no such statement
    if dialect.sqlglot in ("tsql", "fabric") and ("insert into t select" in sql or "for update" in sql):
        code, line, column = "model-syntax", None, None
    if dialect.sqlglot == "snowflake" and "returning" in sql:
        code, line, column = "model-syntax", None, None  # it has no such clause
    with pytest.raises(wcdc.ModelError) as caught:
        read_model(model(sql), dialect)
    error = caught.value
    assert error.code.startswith("model-") and error.hint
    if code is not None:
        assert (error.code, error.line, error.column) == (code, line or error.line, column or error.column)


def test_the_excerpt_points_at_the_place(dialect: Dialect) -> None:
    sql = "select 1 as id\n" + " " * 200 + "; drop table t"
    with pytest.raises(wcdc.ModelError) as caught:
        read_model(model(sql), dialect)
    shown, caret = caught.value.excerpt.splitlines()
    assert len(shown) <= 120 and shown[caret.index("^") :].startswith("drop")


@pytest.mark.parametrize(
    "name", ["t", "s.t", "c.s.t", "p.c.s.t", '"My Schema"."My Table"', '"a.b"', " t ", '"sel""ect"']
)
def test_a_table_becomes_a_select(dialect: Dialect, name: str) -> None:
    if dialect.quote("x") == "`x`":
        name = name.replace('"sel""ect"', '`sel"ect`')
    query = read_model(wcdc.Model("m", table=name, primary_key="id"), dialect)
    assert query.sql == f"SELECT * FROM {name.strip()}"


@pytest.mark.parametrize(
    "name",
    [
        "t x",
        "t, u",
        "t join u on true",
        "t where 1 = 1",
        "(select 1)",
        "t; drop table t",
        "t union select 1",
        "t limit 1",
        "f()",
        "generate_series(1, 2)",
        "t for update",
        ".",
        "-- x",
    ],
)
def test_what_is_more_than_a_table_is_refused(dialect: Dialect, name: str) -> None:
    with pytest.raises(wcdc.ModelError) as caught:
        read_model(wcdc.Model("m", table=name, primary_key="id"), dialect)
    assert caught.value.code == "model-table"


@pytest.mark.parametrize(
    ("written_in", "sql", "expected"),
    [
        ("mysql", "select `id`, ifnull(a, 0) as a from t", "COALESCE(a, 0)"),
        ("tsql", "select top 5 [id] from t", "LIMIT 5"),
        ("bigquery", "select id from `p.d.t`", "FROM"),
        ("snowflake", "select id, iff(a, 1, 2) as b from t", "CASE WHEN"),
    ],
)
def test_another_dialect_is_transpiled(dialect: Dialect, written_in: str, sql: str, expected: str) -> None:
    query = read_model(model(sql, dialect=written_in), dialect)
    if written_in == dialect.sqlglot:
        assert query.sql == sql
        return
    others = {"CASE WHEN": ["IF(a, 1, 2)", "IIF(", "IFF("], "LIMIT 5": ["TOP 5"]}
    assert any(each.lower() in query.sql.lower() for each in (expected, *others.get(expected, [])))
    assert not ({"`", "["} - {dialect.quote("x")[0]}) & set(query.sql)
    assert read_model(model(query.sql), dialect).sql == query.sql


@given(text=st.text(max_size=40))
def test_any_text_is_a_select_or_a_model_error(text: str) -> None:
    for name in DIALECTS:
        try:
            query = read_model(wcdc.Model("m", sql=f"x{text}", primary_key="id"), get_dialect(name))
        except wcdc.ModelError as error:
            assert error.code.startswith("model-")
        else:
            assert query.sql


@given(text=st.text(st.characters(exclude_characters="\0"), max_size=30))
def test_any_literal_survives(text: str) -> None:
    for name in DIALECTS:
        dialect = get_dialect(name)
        sql = f"select 1 as id, {dialect.literal(text)} as v"
        assert read_model(wcdc.Model("m", sql=sql, primary_key="id"), dialect).sql == sql
