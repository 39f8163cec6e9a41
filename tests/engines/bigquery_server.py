"""The emulator, in its own environment, without some of what it gets wrong and the service doesn't."""

from __future__ import annotations

import dataclasses
from typing import Any

from local_bigquery.catalog import options
from local_bigquery.cli import main
from local_bigquery.engine import database
from local_bigquery.sql import rules
from sqlglot import exp


def expiration_may_be_null() -> None:
    """A table can be told not to expire."""
    option = options.TABLE_OPTIONS["expiration_timestamp"]

    def parse(node: exp.Expression, evaluate: Any) -> Any:
        return None if isinstance(node, exp.Null) else option.parse(node, evaluate)

    options.TABLE_OPTIONS["expiration_timestamp"] = dataclasses.replace(option, parse=parse)


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


def tables_are_kept_in_memory() -> None:
    """A statement writes no files: that takes most of its time."""

    def attach(connection: Any, project: str) -> None:
        connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {database.quote(project)}")
        database._attached.add(project)

    database._attach = attach
    database.projects = lambda: sorted(database._attached)


if __name__ == "__main__":
    expiration_may_be_null()
    tables_stay_in_their_data_set()
    tables_are_kept_in_memory()
    main()
