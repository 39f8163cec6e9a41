"""A driver that runs the T-SQL of our statements on DuckDB, under a collation that ignores case.

It knows what our statements use and no more. What it can't show: trailing spaces that ``=`` ignores,
conflicts of collations, types that are too narrow, and whatever the warehouses refuse although it is T-SQL.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import duckdb
import sqlglot
from mssql_python.exceptions import ProgrammingError
from sqlglot import exp

from tests.stand_ins import without_distribution

_SETUP = (
    "SET TimeZone = 'UTC'",
    "SET default_collation = 'nocase'",
    "CREATE SCHEMA sys",
    "CREATE VIEW sys.schemas AS SELECT schema_name AS name, oid AS schema_id FROM duckdb_schemas()",
    "CREATE VIEW sys.tables AS SELECT table_name AS name, schema_oid AS schema_id FROM duckdb_tables()",
    "CREATE TABLE sys.dm_pdw_exec_requests (session_id VARCHAR, label VARCHAR, status VARCHAR)",
    "CREATE VIEW sys.databases AS SELECT 'pool' AS name, FALSE AS is_read_committed_snapshot_on",
    "CREATE MACRO db_name() AS 'pool'",
    "CREATE MACRO hash_bytes(algorithm, x) AS sha256(x)",
    "CREATE MACRO hash_64(x) AS CAST(CAST(CAST('0x' || left(sha256(x), 16) AS UBIGINT) AS BIT) AS BIGINT)",
    "CREATE MACRO data_length(x) AS strlen(x)",
    "CREATE MACRO code_point(n) AS chr(n)",
    "CREATE MACRO utc_now() AS CAST(get_current_timestamp() AT TIME ZONE 'UTC' AS TIMESTAMP)",
    "CREATE MACRO seconds_between(a, b) AS date_diff('second', a, b)",
    "CREATE MACRO nanoseconds(x) AS microsecond(x) % 1000000 * 1000",
    "CREATE MACRO switch_offset(x, zone) AS x AT TIME ZONE 'UTC'",
    "CREATE MACRO convert_2(x) AS upper(hex(x))",
    "CREATE MACRO convert_3(x) AS printf('%.16e', x)",
    "CREATE MACRO convert_23(x) AS strftime(x, '%Y-%m-%d')",
    "CREATE MACRO convert_121(x) AS strftime(x, '%Y-%m-%d %H:%M:%S.%f') || {digit}",
)
_NAMES = {
    "CONVERT(": "TSQL_CONVERT(",
    "DATEPART(nanosecond, ": "NANOSECONDS(",
    "DATEDIFF(second, ": "SECONDS_BETWEEN(",
    "HASHBYTES(": "HASH_BYTES(",
    "DATALENGTH(": "DATA_LENGTH(",
    "SWITCHOFFSET(": "SWITCH_OFFSET(",
    "SYSUTCDATETIME()": "UTC_NOW()",
    " NCHAR(": " CODE_POINT(",
    " CHAR(": " CODE_POINT(",
}
_TYPES = {
    **dict.fromkeys(("NVARCHAR", "VARCHAR", "NCHAR", "CHAR"), "VARCHAR"),
    **{"VARBINARY": "BLOB", "BIT": "BOOLEAN", "DATETIME2": "TIMESTAMP", "FLOAT": "DOUBLE"},
}
_DESCRIBED = {
    "BIGINT": "bigint",
    "INTEGER": "int",
    "VARCHAR": "nvarchar(max)",
    "BOOLEAN": "bit",
    "DOUBLE": "float",
    "DATE": "date",
    "TIMESTAMP": "datetime2(7)",
    "TIMESTAMP WITH TIME ZONE": "datetimeoffset(7)",
    "BLOB": "varbinary(max)",
    "UUID": "uniqueidentifier",
}


sys.setrecursionlimit(max(sys.getrecursionlimit(), 5_000))
"""What quotes a text as JSON is some thirty calls, one inside of another."""


def translated(sql: str) -> str:
    """A statement of ours as DuckDB has it."""
    sql = re.sub(r"\(NVARCHAR\(\w+\), |\(VARCHAR\(\w+\), ", "('', ", sql)
    sql = re.sub(r"\nOPTION \(LABEL = '[^']*'\)$", "", without_distribution(sql))
    name = r"(\[(?:[^\]]|\]\])*\](?:\.\[(?:[^\]]|\]\])*\])?)"
    for pattern, ours in (
        (rf"RENAME OBJECT {name} TO {name}$", "ALTER TABLE {} RENAME TO {}"),
        (rf"EXEC sp_rename '{name}', '(.*)'$", 'ALTER TABLE {} RENAME TO "{}"'),
        (rf"IF NOT EXISTS .* BEGIN EXEC\('CREATE SCHEMA {name}'\); END$", "CREATE SCHEMA IF NOT EXISTS {}"),
    ):
        if found := re.search(pattern, sql):
            return ours.format(*(part.replace("[", '"').replace("]", '"') for part in found.groups()))
    if re.match(r"(--.*\n)?GRANT", sql):
        return "SELECT 1"
    for theirs, ours in _NAMES.items():
        sql = sql.replace(theirs, ours)
    tree = sqlglot.parse_one(sql, read="tsql")
    for hashed in list(tree.find_all(exp.Anonymous)):
        if hashed.name.upper() == "HASH_BYTES":
            _unwrap(hashed)
    for node in reversed(list(tree.walk())):  # what a node holds comes before it
        ours = _node(node)
        if ours is not node:
            node.replace(ours)
    return tree.sql("duckdb")


def _unwrap(hashed: exp.Expr) -> None:
    """Its casts: to a byte string, and that to an integer."""
    cast = hashed.parent
    assert isinstance(cast, exp.Cast)
    outer = cast.parent
    if isinstance(outer, exp.Cast) and outer.to.this == exp.DType.BIGINT:
        outer.replace(exp.Anonymous(this="HASH_64", expressions=[hashed.expressions[1].copy()]))
    else:
        cast.replace(hashed.copy())


def _node(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.National):
        return exp.Literal.string(node.name)
    if isinstance(node, exp.Collate):
        code_points = "BIN2" in node.expression.sql()
        return (
            exp.Collate(this=node.this, expression=exp.to_identifier("binary", quoted=True))
            if code_points
            else node.this
        )
    if isinstance(node, exp.DataType):
        name = node.sql("tsql").split("(")[0]
        return exp.DataType.build(_TYPES[name], dialect="duckdb") if name in _TYPES else node
    if isinstance(node, exp.Add) and _is_text(node):
        return exp.DPipe(this=node.this, expression=node.expression)
    if isinstance(node, exp.Div):
        return exp.IntDiv(this=node.this, expression=node.expression)
    if isinstance(node, exp.Anonymous) and node.name.upper() == "TSQL_CONVERT":
        kind, value, style = node.expressions
        reads = kind.name.upper() == "VARBINARY"
        return exp.Anonymous(this="UNHEX" if reads else f"CONVERT_{style.name}", expressions=[value])
    return node


def _is_text(node: exp.Expr) -> bool:
    """Whether a sum is of texts: all of ours that are have a literal among them."""
    return any(
        part.find(exp.National) or any(literal.is_string for literal in part.find_all(exp.Literal))
        for part in node.flatten()
        if not isinstance(part.unnest(), exp.Query)
    )


class Cursor:
    """What of a cursor our connection uses."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sent: list[str]) -> None:
        self._connection = connection
        self._sent = sent
        self._rows: list[Any] | duckdb.DuckDBPyRelation = []
        self.description: list[tuple[str]] | None = None

    def execute(self, sql: str) -> None:
        self._sent.append(sql)
        sql = re.sub(r"^/\*.*?\*/ ", "", sql)
        try:
            if described := re.fullmatch(r"EXEC sp_describe_first_result_set N'(.*)'", sql, re.DOTALL):
                self._describe(described[1].replace("''", "'"))
            elif re.match(r"(WITH|SELECT)\b", sql):
                self._rows = self._connection.sql(translated(sql))
                self.description = [(name,) for name in self._rows.columns]
            else:
                self._connection.execute(translated(sql))
        except duckdb.Error as error:
            exists = re.search(r'"(\S+)" already exists', str(error))
            text = (
                f"There is already an object named '{exists[1]}' in the database." if exists else str(error)
            )
            raise ProgrammingError(
                "Base table or view already exists", f"[Microsoft][SQL Server]{text}"
            ) from error

    def _describe(self, sql: str) -> None:
        rows = self._connection.execute(f"DESCRIBE {translated(sql)}").fetchall()
        self.description = [("is_hidden",), ("name",), ("system_type_name",)]
        self._rows = [(False, row[0], _DESCRIBED.get(row[1], row[1].lower())) for row in rows]

    def fetchall(self) -> list[Any]:
        return self._rows if isinstance(self._rows, list) else self._rows.fetchall()

    def arrow_reader(self, size: int) -> Any:
        assert not isinstance(self._rows, list)
        return self._rows.to_arrow_table().to_reader(size)

    def close(self) -> None:
        self._connection.close()


class Session:
    """What of a session our connection uses.

    Attributes:
        sent: Every statement, as it came.
    """

    def __init__(self, database: duckdb.DuckDBPyConnection, sent: list[str]) -> None:
        self._database = database
        self.sent = sent
        self.closed = False

    def cursor(self) -> Cursor:
        return Cursor(self._database.cursor(), self.sent)

    def close(self) -> None:
        self.closed = True


def prepare(database: duckdb.DuckDBPyConnection, dialect: str) -> None:
    """Make a database ready."""
    for sql in _SETUP:
        database.execute(sql.replace("{digit}", "'0'" if dialect == "synapse" else "''"))
