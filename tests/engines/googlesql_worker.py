"""What runs in ZetaSQL's own environment: a question a line, an answer a line, as JSON."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import wasmtime
import zetasql.core.wasm_client as client

CACHE = Path(os.environ["WCDC_ZETASQL_CACHE"])
_compile = wasmtime.Module.from_file


def _compiled(engine: Any, path: str) -> Any:
    """The compiled module, kept: it takes half a minute."""
    about = os.stat(path)
    name = hashlib.sha1(f"{path}{about.st_size}{about.st_mtime_ns}".encode()).hexdigest()
    kept = CACHE / f"{name}.cwasm"
    if not kept.exists():
        made = CACHE / f"{name}.{os.getpid()}"
        made.write_bytes(_compile(engine, path).serialize())
        made.replace(kept)
    return wasmtime.Module.deserialize_file(engine, str(kept))


client.Module.from_file = staticmethod(_compiled)

from zetasql.api import Analyzer, CatalogBuilder, PreparedQuery, TableBuilder  # noqa: E402
from zetasql.types import (  # noqa: E402
    AnalyzerOptions,
    LanguageFeature,
    LanguageOptions,
    ProductMode,
    SimpleCatalog,
    Type,
    TypeKind,
    ZetaSQLBuiltinFunctionOptions,
)

ALIASES = {
    **dict.fromkeys(("BIGINT", "INT", "INTEGER", "SMALLINT", "TINYINT", "BYTEINT"), TypeKind.TYPE_INT64),
    **{"DECIMAL": TypeKind.TYPE_NUMERIC, "BIGDECIMAL": TypeKind.TYPE_BIGNUMERIC},
}
"""Names that BigQuery documents beside those of GoogleSQL."""
UNKNOWN = {"FEATURE_JSON_TYPE_COMPARISON", "FEATURE_ARRAY_EQUALITY", "FEATURE_GROUP_BY_ARRAY"}
"""What GoogleSQL can do, but BigQuery is not documented to."""
STATEMENTS: list[Any] = []
"""Kinds of statements that are understood: all of them."""

language = LanguageOptions.maximum_features()
language.product_mode = ProductMode.PRODUCT_EXTERNAL
language.reserved_keywords = [*language.reserved_keywords, "QUALIFY"]
language.supported_statement_kinds = STATEMENTS
language.enabled_language_features = [
    *(each for each in language.enabled_language_features if LanguageFeature(each).name not in UNKNOWN),
    LanguageFeature.FEATURE_COLLATION_SUPPORT,
]
options = AnalyzerOptions(language_options=language, default_timezone="UTC")

Columns = list[tuple[str, Any]]
tables: dict[tuple[str, ...], Columns] = {}


def _catalog() -> SimpleCatalog:
    functions = ZetaSQLBuiltinFunctionOptions(language_options=language)
    root = CatalogBuilder("root").with_builtin_functions(functions).build()
    for name, kind in ALIASES.items():
        root.named_type.append(SimpleCatalog.NamedType(name=name, type=Type(type_kind=kind)))
    for path, columns in tables.items():
        at = root
        for part in path[:-1]:
            found = [catalog for catalog in at.catalog if catalog.name == part]
            if not found:
                found = [CatalogBuilder(part).build()]
                at.catalog.append(found[0])
            at = found[0]
        table = TableBuilder(path[-1])
        for name, kind in columns:
            table.add_column(name, kind)
        at.table.append(table.build())
    return root


def analyze(sql: str) -> str:
    """Analyze a statement and do to the tables what it does."""
    statement = Analyzer(options, _catalog()).analyze_statement(sql)
    kind = type(statement).__name__
    if kind in ("ResolvedCreateTableStmt", "ResolvedCreateTableAsSelectStmt", "ResolvedCreateViewStmt"):
        path = tuple(statement.name_path)
        if path in tables:
            raise ValueError(f"{path} exists")
        of = "output_column_list" if kind == "ResolvedCreateViewStmt" else "column_definition_list"
        columns = ((each.name, getattr(each, "column", each).type) for each in getattr(statement, of))
        tables[path] = list(columns)
    elif kind == "ResolvedDropStmt":
        del tables[tuple(statement.name_path)]
    elif kind == "ResolvedAlterTableStmt":
        path = tuple(statement.name_path)
        (action,) = statement.alter_action_list
        tables[(*path[:-1], *action.new_path)] = tables.pop(path)
    return kind


def evaluate(sql: str) -> list[list[Any]]:
    """A query's rows."""
    query = PreparedQuery.builder().set_sql(sql).set_analyzer_options(options).set_catalog(_catalog())
    with query.prepare() as prepared:
        rows = prepared.execute().content.table_data.row
    return [[_value(cell.to_proto()) for cell in row.cell] for row in rows]


def _value(cell: Any) -> Any:
    name = cell.WhichOneof("value")
    if name is None:
        return None
    if name in ("string_value", "int64_value", "bool_value", "double_value"):
        return getattr(cell, name)
    raise ValueError(f"cast it: {name}")


def main() -> None:
    """Answer until there are no more questions."""
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "evaluate" in question:
                answer = {"found": evaluate(question["evaluate"])}
            elif "analyze" in question:
                answer = {"found": analyze(question["analyze"])}
            else:
                tables.clear()
                answer = {"found": None}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
