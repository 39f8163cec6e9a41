"""T-SQL queries as text: CTEs and orders are found by tokens, so that the rest stays as it was written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import sqlglot
from sqlglot.tokenizer_core import Token, TokenType

from warehouse_cdc.errors import ModelError


def without_order(sql: str, dialect: str) -> str:
    """A query without what orders its result.

    Args:
        sql: A query whose own clauses end with ORDER BY.
        dialect: Whose tokens it has.
    """
    depth, start = 0, len(sql)
    for token in sqlglot.tokenize(sql, read=dialect):
        depth += _turn(token)
        if depth == 0 and token.token_type == TokenType.ORDER_BY:
            start = token.start
    return sql[:start].rstrip()


def hoisted(sql: str, dialect: str) -> str:
    """A statement whose CTEs all stand at the beginning of its query.

    A CTE that stood inside of another one comes right before it, so that each follows those that it reads.

    Args:
        sql: The statement.
        dialect: Whose tokens it has.

    Raises:
        ModelError: Two of them have the same name.
    """
    if not re.search(r"\bWITH\b", sql, re.IGNORECASE):
        return sql
    reader = _Reader(sql, sqlglot.tokenize(sql, read=dialect))
    query = reader.query(0, len(reader.tokens), 0, len(sql))
    if not reader.nested:
        return sql
    names = [name.lower() for name, _text in query.ctes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ModelError(
            f"The model has two CTEs named {twice[0]!r}, which would come to stand in one list.",
            code="model-ctes",
            hint="Give one of them another name.",
        )
    head, tail = query.text[: query.place], query.text[query.place :]
    ctes = ",\n".join(text for _name, text in query.ctes)
    return f"{head}WITH {ctes}\n{tail.lstrip()}"


@dataclass
class _Query:
    """A part of a statement without its CTEs.

    Attributes:
        text: What is left.
        ctes: Name and text of each.
        place: Where in the text they may stand.
    """

    text: str = ""
    ctes: list[tuple[str, str]] = field(default_factory=list)
    place: int = 0


class _Reader:
    """Takes a statement's CTEs out."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.nested = False
        self._ends: dict[int, int] = {}
        opened: list[int] = []
        for number, token in enumerate(tokens):
            if token.token_type == TokenType.L_PAREN:
                opened.append(number)
            elif token.token_type == TokenType.R_PAREN and opened:
                self._ends[opened.pop()] = number

    def query(self, first: int, last: int, start: int, end: int) -> _Query:
        """Read the tokens ``first`` to ``last``, which are the text from ``start`` to ``end``."""
        found, at, number, placed = _Query(), start, first, False
        while number < last:
            token = self.tokens[number]
            if self._begins_ctes(number):
                found.text += self.sql[at : token.start]
                found.place, placed = len(found.text), True
                number = self._ctes(number + 1, found)
                at = self.tokens[number].start if number < last else end
                continue
            if token.token_type == TokenType.SELECT and not placed:
                found.place, placed = len(found.text) + token.start - at, True
            if token.token_type == TokenType.L_PAREN and number in self._ends:
                close = self._ends[number]
                inner = self.query(number + 1, close, token.end + 1, self.tokens[close].start)
                self.nested = self.nested or bool(inner.ctes)
                found.ctes += inner.ctes
                found.text += self.sql[at : token.end + 1] + inner.text
                at, number = self.tokens[close].start, close
            number += 1
        found.text += self.sql[at:end]
        return found

    def _begins_ctes(self, number: int) -> bool:
        """Whether a token is the WITH of a query, not of a table's properties."""
        following = self.tokens[number + 1 : number + 2]
        return (
            self.tokens[number].token_type == TokenType.WITH
            and bool(following)
            and following[0].token_type != TokenType.L_PAREN
        )

    def _ctes(self, number: int, found: _Query) -> int:
        """Take a list of CTEs; returns where the query goes on."""
        while True:
            name, head = self.tokens[number], number
            while self.tokens[number].token_type != TokenType.ALIAS:
                number += 1
            opened = number + 1
            close = self._ends[opened]
            inner = self.query(opened + 1, close, self.tokens[opened].end + 1, self.tokens[close].start)
            self.nested = self.nested or bool(inner.ctes)
            text = self.sql[self.tokens[head].start : self.tokens[opened].end + 1] + inner.text + ")"
            found.ctes += [*inner.ctes, (name.text, text)]
            number = close + 1
            if number >= len(self.tokens) or self.tokens[number].token_type != TokenType.COMMA:
                return number
            number += 1


def _turn(token: Token) -> int:
    return {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
