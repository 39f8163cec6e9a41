"""The emulator, in its own environment, without some of what it gets wrong and the service doesn't."""

from __future__ import annotations

from typing import Any

from local_bigquery.cli import main
from local_bigquery.engine import database
from local_bigquery.sql import rules
from local_bigquery.sql.rules.typing import BYTES, TEXT, kind
from sqlglot import exp


def tables_stay_in_their_data_set() -> None:
    """A table's new name is no table to look for in the default data set."""
    place = rules.STATEMENT_RULES.index(rules.tables.qualify)

    def qualify(tree: exp.Expression, context: Any) -> exp.Expression:
        renames = list(tree.find_all(exp.AlterRename)) if isinstance(tree, exp.Alter) else []
        names = [rename.this for rename in renames]
        for rename in renames:
            rename.set("this", None)
        tree = rules.tables.qualify(tree, context)
        for rename, name in zip(renames, names, strict=True):
            rename.set("this", name)
        return tree

    rules.STATEMENT_RULES[place] = qualify


def bytes_are_utf_8() -> None:
    """Texts and bytes are cast into one another by their encoding, not by how they are shown."""

    def cast(node: exp.Expression, context: Any) -> exp.Expression:
        if not isinstance(node, exp.Cast) or node.to.this not in BYTES | TEXT:
            return node
        value, of_bytes = node.this, kind(node.this) in BYTES
        if node.to.this in BYTES:
            return node if of_bytes else exp.Anonymous(this="encode", expressions=[value])
        if isinstance(value, exp.Anonymous) and value.name == "encode":
            return exp.cast(value.expressions[0], "VARCHAR")
        return exp.Anonymous(this="decode", expressions=[value]) if of_bytes else node

    rules.NODE_RULES.append(cast)


def tables_are_kept_in_memory() -> None:
    """A statement writes no files: that takes most of its time."""

    def attach(connection: Any, project: str) -> None:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {database.quote(project)}")
        database._attached.add(project)

    database._attach = attach
    database.projects = lambda: sorted(database._attached)


if __name__ == "__main__":
    tables_stay_in_their_data_set()
    bytes_are_utf_8()
    tables_are_kept_in_memory()
    main()
