"""Whether a model may be read twice in one snapshot: only if both reads surely agree (the contract's D28)."""

from __future__ import annotations

from sqlglot import exp

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


def reads_alike(tree: exp.Query) -> bool:
    """Whether two reads of a query in one snapshot return the same rows, if its tables do.

    Args:
        tree: The parsed model.
    """
    return all(isinstance(node, _SAFE) for node in tree.walk()) and all(
        isinstance(table.this, exp.Identifier) for table in tree.find_all(exp.Table)
    )


def tables_of(tree: exp.Query) -> list[exp.Table]:
    """The tables that a query reads, without its own CTEs, each once."""
    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    found: dict[str, exp.Table] = {}
    for table in tree.find_all(exp.Table):
        if table.args.get("db") is None and table.name in ctes:
            continue
        bare = exp.Table(this=table.this, db=table.args.get("db"), catalog=table.args.get("catalog"))
        found.setdefault(bare.sql(), bare)
    return list(found.values())
