"""DuckDB by its own client."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType, DuckDB
from warehouse_cdc.errors import (
    ConnectionLostError,
    QueryError,
    StateError,
    UnsupportedError,
    WarehouseError,
    WarehouseLockedError,
)
from warehouse_cdc.warehouses.base import Connection, Work, redacted


def open_duckdb(path: str, config: dict[str, Any]) -> DuckDBConnection:
    """Open a database file, or ``:memory:``, with DuckDB's own settings.

    Raises:
        WarehouseLockedError: Another process holds the file.
        ConnectionLostError: It can't be opened.
    """
    try:
        return DuckDBConnection(duckdb.connect(path, config=config), owned=True)
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise WarehouseLockedError(
                "Another process holds this DuckDB file.",
                code="warehouse-locked",
                hint="DuckDB lets one process at a time open a file for writing: wait for it, or close it.",
            ) from None
        raise ConnectionLostError(
            f"The DuckDB file can't be opened ({type(error).__name__}).",
            hint="Check the path and its folder.",
        ) from None
    except duckdb.Error as error:
        raise ConnectionLostError(
            f"The DuckDB file can't be opened ({type(error).__name__}).",
            hint="Check that it is a DuckDB file of a version that the installed duckdb package reads, and "
            "that no connection of this process has it open with another configuration.",
        ) from None  # its message shows the settings, which may hold a token


class DuckDBConnection(Connection):
    """A cursor of a DuckDB database, with its session in UTC.

    Attributes:
        parent: The connection that the cursor is of.
    """

    def __init__(self, parent: duckdb.DuckDBPyConnection, *, owned: bool = False) -> None:
        """Open a cursor of a connection, which is closed with it if it is owned."""
        self._owned = owned
        self.dialect = DuckDB()
        self.statements = 0
        self.parent = parent
        try:
            self._cursor = parent.cursor()
            self._cursor.execute("SET TimeZone = 'UTC'")
        except duckdb.Error as error:
            raise ConnectionLostError(f"The DuckDB connection is closed ({type(error).__name__}).") from error

    def check_place(self) -> None:
        """Look whether one process at a time can write to the database, as leases of DuckDB rely on.

        Raises:
            UnsupportedError: Others can, too, as at MotherDuck.
        """
        databases = "duckdb_databases() WHERE database_name = current_database()"
        ((kind,),) = self.query(f"SELECT type FROM {databases}")
        if kind != "duckdb":
            self.close()
            raise UnsupportedError(
                f"A database of type {kind!r} can't keep the state: other processes may write to it, too.",
                code="connect-target",
                hint='Keep the state in a file: connect(…, state="syncs.duckdb").',
            )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        self._sending()
        try:
            found = self._cursor.sql(sql)
            if _PLAIN.issuperset(map(str, found.types)):
                return found.fetchall()
            # By way of Arrow: DuckDB's own fetch needs another package for timestamps with a zone.
            table: pa.Table = found.to_arrow_table()
        except duckdb.Error as error:
            raise _mapped(error, sql) from None
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement."""
        self._run(sql)

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """An optimistic transaction: a conflict raises a retryable QueryError."""
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # the failure has ended the transaction already
                try:
                    self._cursor.execute("ROLLBACK")
                except duckdb.InterruptException:  # which was meant for what failed
                    self._cursor.execute("ROLLBACK")
            raise
        self._run("COMMIT")

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 2_048,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """Record batches of DuckDB's own Arrow reader."""
        self._sending()
        try:
            reader = self._cursor.sql(sql).to_arrow_reader(batch_rows)
            try:
                yield from reader
            finally:
                reader.close()
        except duckdb.Error as error:
            raise _mapped(error, sql) from None

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """As DuckDB itself exports a NULL of each type."""
        nulls = [self.dialect.transport(self.dialect.null(kind.name), kind)[0] for kind in kinds]
        select = ", ".join(f"{sql} AS c_{number}" for number, sql in enumerate(nulls))
        reader = self._cursor.sql(f"SELECT {select}").to_arrow_reader(1)
        types = list(reader.schema.types)
        reader.close()
        return types

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """Insert by scanning the Arrow table in place."""
        names = ", ".join(self.dialect.quote(name) for name in rows.column_names)
        target = self.dialect.table(schema, table)
        self._cursor.register("wcdc_rows", rows)
        try:
            self._run(f"INSERT INTO {target} ({names}) SELECT {names} FROM wcdc_rows")
        finally:
            with suppress(duckdb.Error):  # a failed statement has ended the transaction
                self._cursor.unregister("wcdc_rows")

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """DESCRIBE, which binds the query without running it."""
        return [(str(row[0]), str(row[1])) for row in self.query(f"DESCRIBE\n{sql}")]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in DuckDB's catalog; a missing schema is made."""
        wanted = ", ".join(self.dialect.literal(schema) for schema in schemas)
        rows = self.query(
            "SELECT s.schema_name, t.table_name FROM duckdb_schemas() s LEFT JOIN duckdb_tables() t "
            "ON t.schema_oid = s.oid AND t.database_oid = s.database_oid AND NOT t.temporary "
            f"WHERE s.schema_name IN ({wanted}) AND s.database_name = current_database()"
        )
        for schema in sorted(set(schemas) - {str(row[0]) for row in rows}):
            self._create(schema)
        return {(str(schema), str(name)) for schema, name in rows if name is not None}

    def _create(self, schema: str) -> None:
        for last in (*[False] * _ATTEMPTS, True):
            try:
                self.execute(f"CREATE SCHEMA IF NOT EXISTS {self.dialect.quote(schema)}")
            except WarehouseError as error:
                if error.code == "query-conflict" and not last:
                    time.sleep(0.05)  # another run is making it, and hasn't committed yet
                    continue
                raise StateError(
                    f"The schema {schema!r} can't be made.",
                    code="schema-missing",
                    hint="Open the database for writing.",
                ) from error
            return

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """Base tables of the current database, found by DuckDB's own rules of names."""
        found = []
        for table in tables:
            where = [f"lower(t.table_name) = lower({self.dialect.literal(table.name)})"]
            if table.args.get("db") is None:
                where.append("t.schema_name = current_schema()")
            else:
                where.append(f"lower(t.schema_name) = lower({self.dialect.literal(table.db)})")
            # A generated column is evaluated as it is read.
            rows = self.query(
                "SELECT lower(c.column_name) FROM duckdb_tables() t JOIN duckdb_columns() c "
                "ON c.table_oid = t.table_oid AND c.database_oid = t.database_oid "
                f"WHERE {' AND '.join(where)} AND t.database_name = current_database() AND NOT t.temporary "
                "AND NOT contains(t.sql, 'GENERATED ALWAYS AS')"
            )
            if not rows or table.args.get("catalog") is not None:
                return None
            found.append(frozenset(str(row[0]) for row in rows))
        return found

    def cancel_statement(self) -> None:
        """Interrupt the cursor."""
        self._cursor.interrupt()

    def engine_version(self) -> str:
        """DuckDB's version: its hash function may change with it."""
        return str(duckdb.__version__)

    @property
    def closed(self) -> bool:
        """An embedded database doesn't go away."""
        return False

    def clone(self) -> DuckDBConnection:
        """Another cursor of the same database."""
        return DuckDBConnection(self.parent)

    def close(self) -> None:
        """Close the cursor, and the database if this opened it."""
        self._cursor.close()
        if self._owned:
            self.parent.close()

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        self._sending()
        try:
            return self._cursor.execute(sql)
        except duckdb.Error as error:
            raise _mapped(error, sql) from None


_PLAIN = frozenset({"BIGINT", "BOOLEAN", "INTEGER", "VARCHAR"})
"""Types whose values DuckDB's own fetch returns as Arrow does, in less time."""
_ATTEMPTS = 40
"""How often a schema is tried again that another run is making at the same time."""
_CONFLICTS = (duckdb.TransactionException, duckdb.ConstraintException)
"""Two transactions wrote the same row, or both inserted it: the leases' key is the only constraint here."""


def _mapped(error: duckdb.Error, sql: str) -> WarehouseError:
    """Map an error; only messages that can't hold row values are passed on."""
    kind = type(error).__name__
    text = (
        str(error).splitlines()[0]
        if isinstance(error, (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException))
        else ""
    )
    detail = f": {text}" if text else "."
    if isinstance(error, duckdb.ConnectionException):
        return ConnectionLostError(f"The DuckDB connection is gone ({kind}).", sql=redacted(sql))
    conflict = isinstance(error, _CONFLICTS)
    return QueryError(
        f"DuckDB refused a statement ({kind}){detail}",
        sql=redacted(sql),
        code="query-conflict" if conflict else None,
        retryable=conflict,
    )
