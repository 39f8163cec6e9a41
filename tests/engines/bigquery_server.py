"""The emulator, in its own environment, without some of what it gets wrong and the service doesn't."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from local_bigquery.cli import main
from local_bigquery.engine import database
from local_bigquery.errors import BigQueryError
from local_bigquery.sql import rules
from local_bigquery.sql.rules.typing import BYTES, DECIMALS, TEXT, kind
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


def escapes_are_read_once() -> None:
    """The parser has read them already."""
    rules.NODE_RULES.remove(rules.strings.string_escapes)


def decimals_have_no_zeros_at_the_end() -> None:
    """As text."""

    def cast(node: exp.Expression, context: Any) -> exp.Expression:
        if not (isinstance(node, exp.Cast) and node.to.this in TEXT and kind(node.this) in DECIMALS):
            return node
        return exp.func("rtrim", exp.func("rtrim", node, exp.Literal.string("0")), exp.Literal.string("."))

    rules.NODE_RULES.append(cast)


def years_have_four_digits() -> None:
    """In formatted dates."""
    element, lengths = rules.datetime._element, {"%F": 10, "%Y": 4}

    def padded(piece: str, *about: Any) -> exp.Expression:
        text = element(piece, *about)
        return rules.datetime.call("lpad", text, lengths[piece], "0") if piece in lengths else text

    rules.datetime._element = padded


def json_has_its_keys_in_order() -> None:
    """As the service keeps values of that type; a struct keeps the order of its fields."""
    connect = database._connect

    @functools.cache
    def connected() -> Any:
        connection = connect()
        connection.create_function("wcdc_ordered", _ordered, ["VARCHAR"], "VARCHAR")
        (file,) = (path for path in database.FUNCTIONS if path.name == "json.sql")
        text = re.search(r"CREATE MACRO to_json_string.*?;", file.read_text(), re.DOTALL)[0]
        text = text.replace("CREATE MACRO ", "CREATE OR REPLACE MACRO bq.main.")
        plain = "coalesce(to_json(x)::VARCHAR, 'null')"
        connection.execute(
            text.replace(plain, f"CASE WHEN typeof(x) = 'JSON' THEN wcdc_ordered({plain}) ELSE {plain} END")
        )
        return connection

    database._connect = connected


class _Number(float):
    """A number that keeps its digits."""

    text: str

    def __new__(cls, text: str) -> _Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _ordered(text: str) -> str:
    return _printed(json.loads(text, parse_int=_Number, parse_float=_Number))


def _printed(value: Any) -> str:
    if isinstance(value, dict):
        names = {name: json.dumps(name, ensure_ascii=False) for name in sorted(value)}
        return "{" + ",".join(f"{shown}:{_printed(value[name])}" for name, shown in names.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_printed, value)) + "]"
    return value.text if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


def types_are_those_of_the_service() -> None:
    """Neither identifiers nor short floats nor maps."""
    unknown = {exp.DataType.Type.UUID, exp.DataType.Type.FLOAT, exp.DataType.Type.MAP}

    def check(tree: exp.Expression, context: Any) -> exp.Expression:
        for node in tree.find_all(exp.Cast):
            if node.to.this in unknown:
                raise BigQueryError("invalidQuery", f"Type not found: {node.to.this.value}")
        return tree

    rules.STATEMENT_RULES.insert(0, check)


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
    escapes_are_read_once()
    decimals_have_no_zeros_at_the_end()
    years_have_four_digits()
    json_has_its_keys_in_order()
    types_are_those_of_the_service()
    tables_are_kept_in_memory()
    main()
