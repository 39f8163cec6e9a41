"""Statements from templates: looked up by dialect, then by its relatives, then the default."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from warehouse_cdc.dialects import Dialect


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("warehouse_cdc", "sql_templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=()),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def candidates(statement: str, dialect: Dialect) -> list[str]:
    """The template files that may hold a statement, nearest first."""
    return [f"{statement}/{name}.sql.j2" for name in dialect.lineage]


def render(statement: str, dialect: Dialect, **context: Any) -> str:
    """Render a statement.

    Args:
        statement: Name of the statement: a folder of templates.
        dialect: Where to run it.
        context: SQL text only: identifiers and literals are rendered by the dialect before.
    """
    template = _environment().select_template(candidates(statement, dialect))
    return dialect.finished(template.render(d=dialect, **context).strip())
