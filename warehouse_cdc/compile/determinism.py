"""Whether a model may be read twice in one snapshot: only if both reads surely agree (the contract's D28)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

_SAFE: tuple[type[exp.Expr], ...] = (
    # what a query is made of
    exp.Select,
    exp.From,
    exp.Join,
    exp.Where,
    exp.With,
    exp.CTE,
    exp.Subquery,
    exp.Table,
    exp.TableAlias,
    exp.Alias,
    exp.Column,
    exp.Identifier,
    exp.Star,
    exp.Paren,
    exp.Tuple,
    # values
    exp.Literal,
    exp.Null,
    exp.Boolean,
    exp.DataType,
    exp.DataTypeParam,
    exp.Cast,
    exp.TryCast,
    exp.Interval,
    exp.Var,
    # logic and comparison
    exp.Connector,
    exp.Predicate,
    exp.Not,
    exp.Case,
    exp.If,
    exp.Coalesce,
    exp.Nullif,
    exp.Greatest,
    exp.Least,
    # arithmetic and text
    exp.Add,
    exp.Sub,
    exp.Mul,
    exp.Div,
    exp.IntDiv,
    exp.Mod,
    exp.Neg,
    exp.Abs,
    exp.Round,
    exp.Floor,
    exp.Ceil,
    exp.Upper,
    exp.Lower,
    exp.Trim,
    exp.Length,
    exp.Substring,
    exp.Replace,
    exp.Concat,
    exp.DPipe,
    exp.MD5,
    exp.SHA,
    exp.SHA2,
    exp.Extract,
    exp.Left,
    exp.Right,
    exp.SplitPart,
    exp.StrPosition,
)
"""What may stand in such a model. Left out, beside the clock, random numbers and the unknown: LIMIT,
samples, windows, aggregates and DISTINCT, whose result may depend on the order in which rows come."""


_KEYWORDS = frozenset(
    {
        *("current_catalog", "current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "localtime", "localtimestamp", "session_user"),
        *("system_user", "user"),
    }
)
"""What stands without parentheses where a column could, and is none."""

_TIMES = (exp.DType.DATE, exp.DType.TIME, exp.DType.TIMETZ, *exp.DataType.TEMPORAL_TYPES)


def reads_alike(tree: exp.Query) -> bool:
    """Whether two reads of a query in one snapshot return the same rows, if its tables and columns do.

    Args:
        tree: The parsed model.
    """
    return all(isinstance(node, _SAFE) for node in tree.walk()) and all(
        isinstance(table.this, exp.Identifier) for table in tree.find_all(exp.Table)
    )


def tables_of(tree: exp.Query) -> list[exp.Table]:
    """The tables that a query reads, without its own CTEs where they hide one, each once."""
    found = (
        source
        for scope in traverse_scope(tree)
        for source in scope.sources.values()
        if isinstance(source, exp.Table)
    )
    return list({(bare := _bare(table)).sql(): bare for table in found}.values())


def names_columns(tree: exp.Query, tables: Sequence[exp.Table], columns: Sequence[frozenset[str]]) -> bool:
    """Whether everything that reads like a column is one: not a function called by a dot, nor a keyword.

    Args:
        tree: The parsed model.
        tables: Its tables.
        columns: The names of each table's columns, in lower case.
    """
    by_table = {table.sql(): names for table, names in zip(tables, columns, strict=True)}
    known = frozenset().union(*columns, (alias.alias.lower() for alias in tree.find_all(exp.Alias)))
    known |= {name.name.lower() for alias in tree.find_all(exp.TableAlias) for name in alias.columns}
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and column.name.lower() not in by_table[_bare(source).sql()]:
                return False
    return all(
        column.name.lower() in known and (column.this.quoted or column.name.lower() not in _KEYWORDS)
        for column in tree.find_all(exp.Column)
        if isinstance(column.this, exp.Identifier)
    )


def ignores_the_clock(tree: exp.Query) -> bool:
    """Whether no text becomes a time, as ``'now'`` may."""
    for cast in tree.find_all(exp.Cast):
        written = cast.this.name[:1] if isinstance(cast.this, exp.Literal) else ""
        if cast.to.this in _TIMES and not written.isdigit():
            return False
    return True


def _bare(table: exp.Table) -> exp.Table:
    return exp.Table(this=table.this, db=table.args.get("db"), catalog=table.args.get("catalog"))
