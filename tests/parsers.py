"""Parsers that know nothing of sqlglot: the second opinion on every statement."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from sqlfluff.core import FluffConfig, Linter


class Refused(Exception):
    """The parser doesn't understand a statement; the message says where."""


@lru_cache
def _linter(dialect: str) -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": dialect, "templater": "raw"}))


def by_sqlfluff(dialect: str, sql: str) -> None:
    parsed = _linter(dialect).parse_string(f"{sql};\n")
    if parsed.tree is None or parsed.violations:
        raise Refused(str(parsed.violations))


def by_trino(sql: str) -> None:
    """The grammar that Trino itself is made with."""
    import trino_query_parser

    try:
        trino_query_parser.parse_statement(sql)
    except trino_query_parser.TrinoSyntaxError as error:
        raise Refused(str(error)) from error


PARSERS: dict[str, Callable[[str], None]] = {
    "lakebase": partial(by_sqlfluff, "postgres"),
    "greenplum": partial(by_sqlfluff, "greenplum"),
    "redshift": partial(by_sqlfluff, "redshift"),
    "trino": by_trino,
}
"""A dialect that no engine of ``make test`` speaks, or only nearly, to its parser."""
