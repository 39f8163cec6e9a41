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
    ConfigError,
    ConnectionLostError,
    QueryError,
    StateError,
    UnsupportedError,
    WarehouseError,
    WarehouseLockedError,
)
from warehouse_cdc.warehouses.base import Connection, Work, redacted, unquoted


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


def adopted(parent: duckdb.DuckDBPyConnection) -> DuckDBConnection:
    """A cursor of somebody's connection, in the database and schema that it uses.

    Raises:
        ConfigError: Where that is can't be asked.
        ConnectionLostError: It is closed.
    """
    try:
        (path,) = parent.sql("SELECT current_setting('search_path')").fetchall()[0]
    except duckdb.ConnectionException:
        path = ""  # the cursor will tell
    except duckdb.Error as error:
        raise ConfigError(
            f"The DuckDB connection doesn't tell which database it uses ({type(error).__name__}).",
            code="connect-session",
            hint="Fetch what it has under way, and end its transaction.",
        ) from None
    return DuckDBConnection(parent, search_path=path)


class DuckDBConnection(Connection):
    """A cursor of a DuckDB database, with its session in UTC.

    Attributes:
        parent: The connection that the cursor is of.
    """

    def __init__(
        self, parent: duckdb.DuckDBPyConnection, *, owned: bool = False, search_path: str = ""
    ) -> None:
        """Open a cursor of a connection.

        Args:
            parent: The connection.
            owned: Close it with the cursor.
            search_path: Where names are looked up, which a cursor doesn't take over.
        """
        self._owned = owned
        self.dialect = DuckDB()
        self.statements = 0
        self.parent = parent
        self._search_path = search_path
        try:
            self._cursor = parent.cursor()
        except duckdb.Error as error:
            raise ConnectionLostError(f"The DuckDB connection is closed ({type(error).__name__}).") from error
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Set what the engine's statements rely on, for the cursor alone."""
        wanted = {**_SESSION, "search_path": self._search_path}
        settings = ", ".join(f"current_setting('{name}')" for name in wanted)
        select = f"SELECT {settings}"
        try:
            found = self._cursor.execute(select).fetchall()[0]
        except duckdb.Error as error:
            raise _mapped(error, select) from None
        for (name, value), now in zip(wanted.items(), found, strict=True):
            if now == value or not value:
                continue
            try:
                self._cursor.execute(f"SET SESSION {name} = {self.dialect.literal(value)}")
            except duckdb.Error as error:
                if now == f"Etc/{value}":  # the same zone, by a name that can't be changed
                    continue
                raise ConfigError(
                    f"DuckDB's setting {name} can't be {value!r} ({type(error).__name__}).",
                    code="connect-session",
                    hint="The cursor needs it. Lock the configuration after you have set it.",
                ) from None

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
        """Look in DuckDB's catalog; a missing schema, which a run makes, has none."""
        wanted = ", ".join(f"lower({self.dialect.literal(schema)})" for schema in schemas)
        rows = self.query(
            "SELECT lower(schema_name), table_name FROM duckdb_tables() "
            f"WHERE lower(schema_name) IN ({wanted}) AND database_name = current_database() AND NOT temporary"
        )
        asked = {schema.lower(): schema for schema in schemas}
        return {(asked[str(schema)], str(name)) for schema, name in rows}

    def make_schemas(self, *schemas: str) -> None:
        """There is no setup: whoever may write to the file may make them."""
        for schema in schemas:
            self._make(schema)

    def _make(self, schema: str) -> None:
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
        return DuckDBConnection(self.parent, search_path=self._search_path)

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


_SESSION = {"TimeZone": "UTC", "default_order": "ASCENDING", "default_null_order": "NULLS_LAST"}
"""Settings of the cursor."""
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
        unquoted(str(error).splitlines()[0], "'")
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
