"""Models of every shape, over one table of ids, texts and numbers, in each dialect's SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from warehouse_cdc.dialects import Dialect

HOSTILE = (
    *("[first] key", 'second "key"', "it's", "back`tick", "back\\slash", "dot.ted", "select", "CamelCase"),
    *("naïve 名", "per%cent %s", ":name", "{{ braces }}", "semi;colon", "-- dashes", "/* stars"),
)
"""Names of columns that only quotes make names."""
NO_RECURSION = frozenset({"bigquery", "fabric", "redshift", "synapse"})
"""Dialects without recursive CTEs inside of another query."""
_T_SQL = frozenset({"fabric", "synapse"})


@dataclass(frozen=True)
class Shape:
    """A model.

    Attributes:
        sql: Its SQL.
        key: Its key.
        columns: Its other columns.
    """

    sql: str
    key: tuple[str, ...] = ("id",)
    columns: tuple[str, ...] = ("email", "ltv")


def _hostile(dialect: Dialect, table: str) -> Shape:
    """Names that the warehouse can't have are left out."""
    names = [name for name in HOSTILE if dialect.can_name(name)]
    sources = ["id", "email", *["ltv"] * (len(names) - 2)]
    columns = [f"{of} as {dialect.quote(name)}" for of, name in zip(sources, names, strict=True)]
    if dialect.name == "redshift":  # even in quotes
        names = [name.lower() for name in names]
    return Shape(f"select {', '.join(columns)} from {table}", tuple(names[:2]), tuple(names[2:]))


def _columns(dialect: Dialect, of: str = "") -> str:
    return ", ".join(f"{of}{name} as {dialect.quote(name)}" for name in ("id", "email", "ltv"))


def _ctes(dialect: Dialect, table: str) -> Shape:
    return Shape(f"""-- a model; with 'comments' "of" every `kind
with everyone as (
  select id, email, ltv from {table} -- all of them; no WHERE
), /* ; */ few as (
  select /*+ a hint */ id, email, ltv from everyone where id > 0 -- don't stop here
)
select {_columns(dialect)} from few -- no line ends this""")


def _recursive(dialect: Dialect, table: str) -> Shape:
    return Shape(f"""with recursive n (i) as (
  select 1 union all select i + 1 from n where i < 9
)
select {_columns(dialect, "p.")} from {table} p join n on n.i = p.id""")


def _union(dialect: Dialect, table: str) -> Shape:
    return Shape(f"""select {_columns(dialect)} from {table} where id < 2
union all
(select {_columns(dialect)} from {table} where id >= 2)
order by 1 desc""")


def _first(dialect: Dialect, table: str) -> Shape:
    top, limit = (" top 9", "") if dialect.name in _T_SQL else ("", "\nlimit 9")
    return Shape(f"select{top} {_columns(dialect)} from {table}\norder by id{limit}")


SHAPES: dict[str, Callable[[Dialect, str], Shape]] = {
    "hostile_names": _hostile,
    "ctes_and_comments": _ctes,
    "recursive_cte": _recursive,
    "union_in_order": _union,
    "first_rows_in_order": _first,
}


def has(dialect: str, shape: str) -> bool:
    """Whether a dialect has such models."""
    return shape != "recursive_cte" or dialect not in NO_RECURSION


NESTED = {
    "duckdb": {"stops": "STRUCT(a INTEGER, b VARCHAR)[]", "marks": "MAP(VARCHAR, INTEGER)", "extra": "JSON"},
    **dict.fromkeys(
        ("postgres", "greenplum", "lakebase"), {"stops": "JSONB[]", "marks": "INTEGER[][]", "extra": "JSON"}
    ),
    "redshift": {"stops": "SUPER", "extra": "SUPER"},
    **dict.fromkeys(("snowflake",), {"stops": "ARRAY", "marks": "OBJECT", "extra": "VARIANT"}),
    "snowflake_iceberg": {"stops": "ARRAY(OBJECT(a INT, b VARCHAR))", "marks": "MAP(VARCHAR, INT)"},
    **dict.fromkeys(
        ("trino", "athena"),
        {"stops": "ARRAY(ROW(a INTEGER, b VARCHAR))", "marks": "MAP(VARCHAR, INTEGER)", "extra": "JSON"},
    ),
    "bigquery": {"stops": "ARRAY<STRUCT<a INT64, b STRING>>", "extra": "JSON"},
    **dict.fromkeys(
        ("spark", "databricks"),
        {"stops": "ARRAY<STRUCT<a: INT, b: STRING>>", "marks": "MAP<STRING, INT>", "extra": "VARIANT"},
    ),
}
"""Columns of nested types, in the dialects that have such."""
