"""Parsers that know nothing of sqlglot: the second opinion on every statement."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, partial

from sqlfluff.core import FluffConfig, Linter

from tests import script_dom


class Refused(Exception):
    """The parser doesn't understand a statement; the message says where."""


@lru_cache
def _linter(dialect: str) -> Linter:
    return Linter(config=FluffConfig(overrides={"dialect": dialect, "templater": "raw"}))


@cache
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


def by_script_dom(dialect: str, version: str, sql: str) -> None:
    """Microsoft's own, and what it lets through although the warehouse doesn't."""
    said = script_dom.parsed(version, sql) or script_dom.refused(dialect, sql)
    if said:
        raise Refused(said)


def by_athena(sql: str) -> None:
    """Hive's DDL by sqlfluff, which takes seconds for long statements; Trino's own grammar has the others."""
    if "`" in sql:
        by_sqlfluff("athena", sql)
    else:
        by_trino(sql)


PARSERS: dict[str, Callable[[str], None]] = {
    "lakebase": partial(by_sqlfluff, "postgres"),
    "greenplum": partial(by_sqlfluff, "greenplum"),
    "redshift": partial(by_sqlfluff, "redshift"),
    "snowflake": partial(by_sqlfluff, "snowflake"),
    "snowflake_iceberg": partial(by_sqlfluff, "snowflake"),
    "trino": by_trino,
    "presto": by_trino,
    # The grammar of 2019 takes less than a dedicated pool's database, where they differ.
    "synapse": partial(by_script_dom, "synapse", "2019"),
    "fabric": partial(by_script_dom, "fabric", "fabricdw"),
    "athena": by_athena,
}
"""A dialect that no engine of ``make test`` speaks, or only nearly, to its parser."""
