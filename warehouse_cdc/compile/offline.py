"""A model's columns and types without a connection, from a declared schema."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from warehouse_cdc.compile.parse import ModelQuery
from warehouse_cdc.dialects import Dialect
from warehouse_cdc.errors import ModelError
from warehouse_cdc.model import Model

Schema = Mapping[str, Mapping[str, str]]
"""Dotted table name to column name to type."""


def describe_offline(
    model: Model, query: ModelQuery, dialect: Dialect, schema: Schema
) -> list[tuple[str, str]]:
    """The model's columns as (name, type), as sqlglot derives them.

    Raises:
        ModelError: A column can't be resolved or its type can't be derived.
    """
    read = model.dialect or dialect.sqlglot
    tables = MappingSchema(dialect=read)
    try:
        for table, columns in schema.items():
            tables.add_table(table, dict(columns), dialect=read, match_depth=False)
        tree = qualify(query.tree.copy(), schema=tables, dialect=read, quote_identifiers=False)
        annotate_types(tree, schema=tables, dialect=read)
    except SqlglotError as error:
        raise ModelError(
            f"Model {model.name!r}: its columns can't be derived offline.",
            code="model-columns",
            hint="Give schema={table: {column: type}} for every table that the model reads.",
        ) from error
    written = _written(query, dialect, schema)
    described = []
    for projection in getattr(tree, "selects", []):
        kind = projection.type
        name = written.get(projection.alias_or_name, projection.alias_or_name)
        if (
            name in ("", "*")
            or kind is None
            or kind.this in (exp.DataType.Type.UNKNOWN, exp.DataType.Type.NULL)
        ):
            raise ModelError(
                f"Model {model.name!r}: the type of column {name!r} can't be derived offline.",
                code="model-columns",
                hint="Add its table to schema=, or cast it in the model.",
            )
        described.append((name, kind.sql(dialect=dialect.sqlglot)))
    return described


def _written(query: ModelQuery, dialect: Dialect, schema: Schema) -> dict[str, str]:
    """Names in lower case, as columns are found, to how they are written, where results keep that."""
    if dialect.folds_names:
        return {}
    names = [name for columns in schema.values() for name in columns]
    return {name.lower(): name for name in (*names, *query.tree.named_selects)}
