"""Microsoft's parser of T-SQL, and what it lets through although the warehouses refuse it."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from functools import lru_cache
from pathlib import Path

import sqlglot
from sqlglot import exp

from tests.stand_ins import without_distribution
from warehouse_cdc.dialects import get_dialect

PROGRAM = Path(sysconfig.get_path("scripts")) / "maxdop"

_WORDS = {
    r"\bIS (NOT )?DISTINCT FROM\b": "IS DISTINCT FROM",
    r"\|\|": "||",
    r"\b(TRUE|FALSE)\b": "a boolean literal",
    r"\bBOOLEAN\b": "a boolean type",
    r"\bN?TEXT\b": "a type that is none any more",
    r"\bLIMIT\b": "LIMIT",
    r"\bILIKE\b": "ILIKE",
    r"\bEXTRACT\b": "EXTRACT",
    r"\bUSING\b": "USING",
    r"\bGROUP BY \d": "numbers to group by",
    r"\bNULLS (FIRST|LAST)\b": "the place of NULLs",
    r"\bSTRING_ESCAPE\b": "STRING_ESCAPE",
    r"\bIF EXISTS\b": "IF EXISTS",
}
_FABRICS = {
    r"\bN(VAR)?CHAR\b": "a national type",
    r"\bN'": "a national literal",
    r"\bDATETIMEOFFSET\b": "DATETIMEOFFSET",
    r"\bDISTRIBUTION\b": "a distribution",
    r"\bTINYINT\b": "TINYINT",
}


@lru_cache
def parsed(version: str, sql: str) -> str:
    """What the parser says against a statement, or nothing."""
    ended = subprocess.run(
        [PROGRAM, "--parser-version", version], input=sql, capture_output=True, text=True, timeout=60
    )
    return ended.stderr.strip() or f"exit code {ended.returncode}" if ended.returncode else ""


@lru_cache
def refused(dialect: str, sql: str) -> str:
    """What a warehouse would say against a statement that the parser takes, or nothing."""
    plain = re.sub(r"'(?:[^']|'')*'|\[[^\]]*\]", "''", sql)
    its_own = dialect == "fabric" and not sql.startswith("EXEC")  # procedures take national texts
    words = {**_WORDS, **(_FABRICS if its_own else {})}
    for pattern, name in words.items():
        if re.search(pattern, plain, re.IGNORECASE):
            return name
    if dialect == "synapse" and plain.startswith("CREATE TABLE") and "DISTRIBUTION" not in plain:
        return "a table without distribution"
    if re.search(r"VALUES\s*\(.*\)\s*,\s*\(", plain, re.DOTALL):
        return "several rows of values"
    return _misplaced(_plain_json(dialect, sql))


def _plain_json(dialect: str, sql: str) -> str:
    """A statement without the many replacements that quote a text, which take their time to parse."""
    before, after = get_dialect(dialect).json_string("@").split("@")
    return sql.replace(before, "(").replace(after, ")")


def _misplaced(sql: str) -> str:
    """Conditions among values, and CTEs and orders inside of queries."""
    body = without_distribution(sql)
    if re.match(r"RENAME|EXEC|IF|(--.*\n)?GRANT", sql):
        return ""
    tree = sqlglot.parse_one(body, read="tsql")
    queries = (tree, tree.args.get("expression"))
    if any(each.parent not in queries for each in tree.find_all(exp.With)):
        return "a CTE inside of a query"
    if tree.find(exp.Into):
        return "SELECT INTO"
    for select in tree.find_all(exp.Select):
        for projection in select.expressions:
            if isinstance(projection.unalias(), (exp.Predicate, exp.Connector, exp.Not, exp.Exists)):
                return f"a condition as a value: {projection.sql('tsql')}"
        if select.args.get("order") and select is not tree and not select.args.get("limit"):
            return "an order inside of a query"
    for case in tree.find_all(exp.Case):
        values = [*(each.args["true"] for each in case.args["ifs"]), case.args.get("default")]
        for value in values:
            if isinstance(value, (exp.Predicate, exp.Connector, exp.Not)):
                return f"a condition as a value: {value.sql('tsql')}"
        if case.this is None:
            for each in case.args["ifs"]:
                if isinstance(each.this, (exp.Column, exp.Coalesce, exp.Cast)):
                    return f"a value as a condition: {each.this.sql('tsql')}"
    for condition in tree.find_all(exp.Where, exp.And, exp.Or, exp.Not):
        for part in condition.args.values():
            if isinstance(part, (exp.Column, exp.Coalesce, exp.Cast)):
                return f"a value as a condition: {part.sql('tsql')}"
    return ""
