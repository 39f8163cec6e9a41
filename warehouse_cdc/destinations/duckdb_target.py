"""A DuckDB table: finding it, checking it, and opening writers on it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

import duckdb

from warehouse_cdc.destinations.base import RunContext, Writer
from warehouse_cdc.destinations.duckdb_table import (
    DuckDBMirrorWriter,
    DuckDBWriter,
    RowsRefused,
    transaction,
    translate,
)
from warehouse_cdc.destinations.table_types import create_table_sql
from warehouse_cdc.destinations.tables import (
    PUBLISHED,
    Column,
    Table,
    check_table,
    quote,
    staging_name,
    staging_start,
)
from warehouse_cdc.errors import ConfigError, DestinationError

_PREFIX = "duckdb:///"


@dataclass(frozen=True)
class _Place:
    """A table's full name; whether it exists is another question."""

    database: str
    schema: str
    name: str

    @property
    def beside(self) -> str:
        """The quoted start of the names of its neighbours."""
        return f"{quote(self.database)}.{quote(self.schema)}."

    @property
    def sql(self) -> str:
        return self.beside + quote(self.name)


class DuckDBTarget:
    """A table on DuckDB.

    Args:
        where: A URL (``duckdb:///path``, with settings as its query) or a connection.
        parts: The table's name, with or without schema and database.
        create: Whether a missing table is created when a run starts.
    """

    max_concurrency = 16

    def __init__(
        self, where: str | duckdb.DuckDBPyConnection, parts: tuple[str, ...], *, create: bool
    ) -> None:
        if isinstance(where, str) and (not where.startswith(_PREFIX) or where.rstrip("/") == "duckdb:"):
            raise ConfigError(
                "SqlTable: a DuckDB URL is duckdb:///path.",
                code="destination-url",
                hint="An absolute path has four slashes: duckdb:////var/data/shop.duckdb.",
            )
        self._where = where
        self._parts = parts
        self._create = create

    def check(self, context: RunContext) -> None:
        """Look whether the table can take the sync."""
        with self._connected(must_exist=not self._create) as connection:
            if connection is None:
                return
            place = self._place(connection)
            table = self._reflect(connection, place, context)
            if table is None:
                self._check_missing(connection, place)
                return
            check_table(table, context)
            if context.mode == "mirror":
                _check_mirror(connection, place, table)

    def open(self, context: RunContext) -> Writer:
        """A writer for one run."""
        connection, owned = self._connect()
        try:
            place = self._place(connection)
            table = self._reflect(connection, place, context)
            if table is None:
                self._check_missing(connection, place)
                with transaction(connection) as cursor:
                    cursor.execute(create_table_sql(place.sql, context, "duckdb"))
                table = self._reflect(connection, place, context)
            if table is None:
                raise DestinationError("The table was created, but can't be found.", retryable=False)
            check_table(table, context)
            if context.mode != "mirror":
                return DuckDBWriter(connection, context, table, owned=owned)
            return DuckDBMirrorWriter(
                connection,
                context,
                table,
                owned=owned,
                beside=place.beside,
                leftovers=_leftovers(connection, place, staging_start(context, table)),
                constraints=_constraints(connection, place, table, context),
            )
        except BaseException:
            if owned:
                connection.close()
            raise

    def published(self, context: RunContext, operation: str) -> bool | None:
        """Whether a mirror's swap took effect, as far as its staging table still tells."""
        if context.mode != "mirror":
            return None
        with self._connected(must_exist=False) as connection:
            if connection is None:
                return None
            place = self._place(connection)
            table = self._reflect(connection, place, context)
            if table is None:
                return None
            staging = replace(place, name=staging_name(context, table))
            found = _catalog(connection, "duckdb_tables", staging)
            return found[0]["comment"] == PUBLISHED if found else None

    def _connect(self) -> tuple[duckdb.DuckDBPyConnection, bool]:
        if not isinstance(self._where, str):
            return self._where, False
        path, _, query = self._where[len(_PREFIX) :].partition("?")
        settings: dict[str, Any] = dict(parse_qsl(query))
        try:
            return duckdb.connect(unquote(path), config=settings), True
        except duckdb.Error as error:
            raise translate(error, committing=False) from None

    @contextlib.contextmanager
    def _connected(self, *, must_exist: bool) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection; None if the file doesn't exist, which looking at it must not change."""
        path = unquote(self._where[len(_PREFIX) :].partition("?")[0]) if isinstance(self._where, str) else ""
        if path and ":" not in path and not os.path.exists(path):
            if must_exist:
                raise ConfigError(
                    "The DuckDB file doesn't exist.",
                    code="unknown-table",
                    hint="Check the URL's path, or give create=True.",
                )
            yield None
            return
        connection, owned = self._connect()
        try:
            yield connection
        finally:
            if owned:
                connection.close()

    def _place(self, connection: duckdb.DuckDBPyConnection) -> _Place:
        database, schema = _query(connection, "SELECT current_database() AS d, current_schema() AS s")[
            0
        ].values()
        place = _Place(database, schema, self._parts[-1])
        if len(self._parts) == 3:
            return _Place(*self._parts)
        if len(self._parts) == 2:
            return replace(place, schema=self._parts[0])
        return place

    def _reflect(
        self, connection: duckdb.DuckDBPyConnection, place: _Place, context: RunContext
    ) -> Table | None:
        """Columns and unique keys; as DuckDB's names ignore case, columns go by the sync's spelling."""
        rows = _catalog(connection, "duckdb_columns", place)
        if not rows or not _catalog(connection, "duckdb_tables", place):
            return None
        spelling = {_lower(name): name for name in (*context.match, *context.fields)}
        if len(spelling) != len({*context.match, *context.fields}):
            raise ConfigError(
                f"{place.sql}: two fields differ only by case, which DuckDB ignores.", code="field-case"
            )
        names = {
            row["column_name"]: spelling.get(_lower(row["column_name"]), row["column_name"]) for row in rows
        }
        # Older versions of DuckDB don't tell: there a generated column looks like one with a default.
        suspects = [row["column_name"] for row in rows if row["column_default"] is not None]
        known = "is_generated" in rows[0]
        generated = set() if known else _generated(connection, place, suspects)
        columns = {
            names[row["column_name"]]: Column(
                name=row["column_name"],
                type=row["data_type"],
                nullable=bool(row["is_nullable"]),
                has_default=row["column_default"] is not None,
                generated=bool(row.get("is_generated", row["column_name"] in generated)),
            )
            for row in rows
        }
        keys = [key for key in _unique_keys(connection, place) if set(key) <= set(names)]
        unique = frozenset(frozenset(names[name] for name in key) for key in keys)
        return Table(place.name, place.sql, columns, unique)

    def _check_missing(self, connection: duckdb.DuckDBPyConnection, place: _Place) -> None:
        """Raise unless the table may be created."""
        if not self._create:
            raise ConfigError(
                f"There is no table {place.sql}.",
                code="unknown-table",
                hint="Create it first, or give create=True.",
            )
        schemas = _query(
            connection,
            "SELECT 1 AS one FROM duckdb_schemas() WHERE database_name = ? AND lower(schema_name) = lower(?)",
            [place.database, place.schema],
        )
        if not schemas:
            raise ConfigError(f"There is no schema for table {place.sql}.", code="unknown-table")


def _query(
    connection: duckdb.DuckDBPyConnection, sql: str, values: list[str] | None = None
) -> list[dict[str, Any]]:
    """The rows of a query on the catalog, as dictionaries."""
    try:
        # On the connection itself, not on a cursor: that one wouldn't know the current schema.
        found = connection.execute(sql, values or [])
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    except duckdb.Error as error:
        raised = translate(error, committing=False)
        if isinstance(raised, RowsRefused):
            raised = DestinationError(
                f"DuckDB refused a query on its catalog ({raised.cause}).", retryable=False
            )
        raise raised from None


def _catalog(connection: duckdb.DuckDBPyConnection, function: str, place: _Place) -> list[dict[str, Any]]:
    return _query(
        connection,
        f"SELECT * FROM {function}() WHERE lower(database_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?)",
        [place.database, place.schema, place.name],
    )


def _generated(connection: duckdb.DuckDBPyConnection, place: _Place, names: list[str]) -> set[str]:
    """The columns that DuckDB refuses to insert into."""
    found = set()
    for name in names:
        try:
            connection.execute(
                f"EXPLAIN INSERT INTO {place.sql} ({quote(name)}) SELECT NULL WHERE false"
            ).fetchall()
        except duckdb.BinderException:
            found.add(name)
        except duckdb.Error as error:
            raise translate(error, committing=False) from None
    return found


def _unique_keys(connection: duckdb.DuckDBPyConnection, place: _Place) -> list[list[str]]:
    keys = [
        row["constraint_column_names"]
        for row in _catalog(connection, "duckdb_constraints", place)
        if row["constraint_type"] in ("PRIMARY KEY", "UNIQUE")
    ]
    indexes = _query(
        connection,
        "SELECT CAST(expressions AS VARCHAR[]) AS columns FROM duckdb_indexes() "
        "WHERE is_unique AND lower(database_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(table_name) = lower(?)",
        [place.database, place.schema, place.name],
    )
    return keys + [[_unquoted(name) for name in row["columns"]] for row in indexes]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') and name.endswith('"') else name


def _lower(name: str) -> str:
    """A name as DuckDB compares it: only ASCII letters lose their case."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def _leftovers(connection: duckdb.DuckDBPyConnection, place: _Place, start: str) -> list[str]:
    rows = _query(
        connection,
        "SELECT table_name FROM duckdb_tables() WHERE lower(database_name) = lower(?) "
        "AND lower(schema_name) = lower(?) AND starts_with(table_name, ?)",
        [place.database, place.schema, start],
    )
    return [row["table_name"] for row in rows]


def _constraints(
    connection: duckdb.DuckDBPyConnection, place: _Place, table: Table, context: RunContext
) -> list[str]:
    """The target's constraints that a staging table can have, so that a bad row is told before the swap."""
    written = {table.columns[name].name for name in context.fields}
    return [
        row["constraint_text"]
        for row in _catalog(connection, "duckdb_constraints", place)
        if row["constraint_type"] in ("PRIMARY KEY", "UNIQUE", "CHECK")
        and set(row["constraint_column_names"]) <= written
    ]


def _check_mirror(connection: duckdb.DuckDBPyConnection, place: _Place, table: Table) -> None:
    rows = _query(
        connection,
        "SELECT DISTINCT table_name FROM duckdb_constraints() WHERE constraint_type = 'FOREIGN KEY' "
        "AND lower(database_name) = lower(?) AND lower(schema_name) = lower(?) "
        "AND lower(referenced_table) = lower(?) AND lower(table_name) <> lower(?)",
        [place.database, place.schema, place.name, place.name],
    )
    if rows:
        raise ConfigError(
            f"{table.sql}: mode 'mirror' empties and refills the table, but "
            f"{', '.join(repr(row['table_name']) for row in rows)} refers to it.",
            code="mirror-referenced",
            hint="Use mode 'upsert' with on_removed='delete'.",
        )
