"""From a declared model to one checked SELECT in the warehouse's dialect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError, UnsupportedError
from sqlglot.tokenizer_core import Token, TokenType

from warehouse_cdc.errors import ModelError
from warehouse_cdc.model import Model

_WRITES: dict[type, str] = {
    exp.Insert: "INSERT",
    exp.Update: "UPDATE",
    exp.Delete: "DELETE",
    exp.Merge: "MERGE",
    exp.Create: "CREATE",
    exp.Drop: "DROP",
    exp.Command: "",
    exp.Into: "INTO",
    exp.Lock: "FOR",
}
_COMMENTS = re.compile(r"(?P<template>\{#)|--[^\n]*|/\*.*?\*/|#[^\n]*|//[^\n]*", re.DOTALL)
"""What there is between tokens, beside spaces."""
_ONE_SELECT = "A model is one SELECT (CTEs and set operations included)."


class Spoken(Protocol):
    """What a model's SQL is written in: a dialect of ours, or what sqlglot knows of another one."""

    @property
    def sqlglot(self) -> str:
        """The dialect's name in sqlglot; empty for what all have in common."""

    def embeddable(self, sql: str, tree: exp.Query) -> str:
        """A query as it can stand inside of another one."""


@dataclass(frozen=True)
class ModelQuery:
    """A model's SELECT.

    Attributes:
        sql: The statement, as written if it is in the warehouse's own dialect; without a final semicolon.
        tree: The parsed statement.
    """

    sql: str
    tree: exp.Query


def read_model(model: Model, dialect: Spoken) -> ModelQuery:
    """Parse and check a model.

    Raises:
        ModelError: It isn't exactly one SELECT; with line and column in the model's SQL.
    """
    written_in = model.dialect or dialect.sqlglot
    if model.table is not None:
        sql = f"SELECT * FROM {_table(model.table, written_in)}"
    else:
        sql = model.source_sql or ""
    try:
        tokens = sqlglot.tokenize(sql, read=written_in)
    except (TokenError, ValueError) as error:
        raise ModelError(
            f"Model {model.name!r} can't be read{_as(written_in)}.", code="model-syntax", hint=_ONE_SELECT
        ) from error
    _refuse_jinja(model, sql, tokens)
    sql = _one_statement(model, sql, tokens)
    tree = _parse(model, sql, written_in)
    _refuse_writes(model, sql, tree, tokens)
    if written_in != dialect.sqlglot:
        sql = _transpiled(model, tree, dialect.sqlglot)
    return ModelQuery(dialect.embeddable(sql, tree), tree)


def _transpiled(model: Model, tree: exp.Query, dialect: str) -> str:
    """The query in another dialect; refused where it is known to mean something else there."""
    why = "WITH TIES or PERCENT would be lost."
    try:
        sql = tree.sql(dialect=dialect, pretty=True, comments=False, unsupported_level=ErrorLevel.RAISE)
        if _limits(tree) == _limits(sqlglot.parse_one(sql, read=dialect)):
            return sql
    except UnsupportedError as error:
        why = str(error)
    except (SqlglotError, RecursionError):
        why = "its translation can't be read."
    raise ModelError(
        f"Model {model.name!r} can't be written{_as(dialect)}: {why}",
        code="model-dialect",
        hint="Write it in the warehouse's own dialect, or put it into a view and use table=.",
    )


def _limits(tree: exp.Expr) -> list[tuple[bool, bool]]:
    """Whether each limit is one of percents, and whether it takes more rows than it says."""
    found = (node.args.get("limit_options") for node in tree.find_all(exp.Limit, exp.Fetch))
    return sorted((bool(o and o.args.get("percent")), bool(o and o.args.get("with_ties"))) for o in found)


def _table(name: str, dialect: str) -> str:
    try:
        table = sqlglot.parse_one(f"SELECT * FROM {name}", read=dialect)
    except (SqlglotError, ValueError) as error:
        raise ModelError(
            f"The table name {name!r} can't be read{_as(dialect)}.", code="model-table"
        ) from error
    tables = list(table.find_all(exp.Table))
    named = len(tables) == 1 and all(isinstance(part, exp.Identifier) for part in tables[0].parts)
    set_parts = {part for part, value in table.args.items() if value}
    if (
        not (isinstance(table, exp.Select) and named)
        or set_parts - {"kind", "expressions", "from", "from_"}
        or tables[0].alias
    ):
        raise ModelError(
            f"{name!r} isn't the name of a table.", code="model-table", hint="Give sql= for a query."
        )
    return name.strip()


def _as(dialect: str) -> str:
    return f" as {dialect} SQL" if dialect else ""


def _excerpt(sql: str, line: int, column: int) -> str:
    lines = sql.splitlines()
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    start = max(0, column - 60)
    return f"{text[start : start + 120]}\n{' ' * (column - 1 - start)}^" if text else ""


def _error(model: Model, message: str, sql: str, token: Token | None, code: str, hint: str) -> ModelError:
    line, column = (None, None) if token is None else _place(sql, token)
    excerpt = _excerpt(sql, line, column) if line is not None and column is not None else ""
    return ModelError(
        f"Model {model.name!r}: {message}", line=line, column=column, excerpt=excerpt, code=code, hint=hint
    )


def _place(sql: str, token: Token) -> tuple[int, int]:
    before = sql[: token.start]
    return before.count("\n") + 1, token.start - (before.rfind("\n") + 1) + 1


def _refuse_jinja(model: Model, sql: str, tokens: list[Token]) -> None:
    braces = (TokenType.BLOCK_START, TokenType.BLOCK_END)
    pairs = zip(tokens, tokens[1:], strict=False)
    marks = [one for one, two in pairs if one.token_type == two.token_type == TokenType.L_BRACE]
    marks += [token for token in tokens if token.token_type in braces]
    if marks or _has_template_comment(sql, tokens):
        raise _error(
            model,
            "it is a template, not SQL.",
            sql,
            marks[0] if marks else None,
            "model-template",
            "Compile it first (dbt compile) and give the file from target/compiled.",
        )


def _has_template_comment(sql: str, tokens: list[Token]) -> bool:
    """Whether there is one between the tokens: sqlglot takes a template's comments for its own."""
    starts = [0, *(token.end + 1 for token in tokens)]
    ends = [*(token.start for token in tokens), len(sql)]
    gaps = zip(starts, ends, strict=True)
    return any(found["template"] for gap in gaps for found in _COMMENTS.finditer(sql, *gap))


def _one_statement(model: Model, sql: str, tokens: list[Token]) -> str:
    if not tokens:
        raise ModelError(f"Model {model.name!r} is empty.", code="model-empty", hint=_ONE_SELECT)
    ends = [index for index, token in enumerate(tokens) if token.token_type == TokenType.SEMICOLON]
    if not ends:
        return sql
    after = [token for token in tokens[ends[0] :] if token.token_type != TokenType.SEMICOLON]
    if after:
        raise _error(model, "it has more than one statement.", sql, after[0], "model-statements", _ONE_SELECT)
    return sql[: tokens[ends[0]].start]


def _parse(model: Model, sql: str, dialect: str) -> exp.Query:
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        line, column = first.get("line"), first.get("col")
        raise ModelError(
            f"Model {model.name!r} can't be parsed{_as(dialect)}: {first.get('description', 'syntax error')}",
            line=line,
            column=column,
            excerpt=_excerpt(sql, line, column) if line and column else "",
            code="model-syntax",
            hint=_ONE_SELECT,
        ) from error
    except (SqlglotError, RecursionError) as error:
        raise ModelError(
            f"Model {model.name!r} can't be parsed{_as(dialect)}.", code="model-syntax", hint=_ONE_SELECT
        ) from error
    if not isinstance(tree, exp.Query) or isinstance(tree, exp.Table):
        token = sqlglot.tokenize(sql, read=dialect)[0]
        raise _error(
            model, f"it is {tree.key.upper()}, not a SELECT.", sql, token, "model-not-select", _ONE_SELECT
        )
    return tree


def _refuse_writes(model: Model, sql: str, tree: exp.Query, tokens: list[Token]) -> None:
    for node in tree.walk():
        word = _WRITES.get(type(node))
        if word is None:
            continue
        token = next((token for token in tokens if word and token.text.upper() == word), None)
        raise _error(
            model,
            f"it must only read, but it contains {word or 'a command'}.",
            sql,
            token,
            "model-writes",
            _ONE_SELECT,
        )
