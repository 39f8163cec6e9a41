"""A PostgreSQL table: finding it, checking it, and opening writers on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from warehouse_cdc.destinations.base import RunContext, Writer
from warehouse_cdc.destinations.postgres_errors import RowsRefused
from warehouse_cdc.destinations.postgres_mirror import MirrorWriter, was_published
from warehouse_cdc.destinations.sqlalchemy_table import MAX_CONNECTIONS, Database, PostgresWriter, Ways
from warehouse_cdc.destinations.table_types import create_table
from warehouse_cdc.destinations.tables import Column, Table, check_table, quote, staging_name
from warehouse_cdc.errors import ConfigError, DestinationError, UnsupportedError

_FIND = sa.text(
    "SELECT c.oid, n.oid AS schema_oid, n.nspname AS schema_name, c.relname AS table_name, "
    "c.relkind::text AS kind, "
    # COPY applies no rules and no row-level security, and refuses most views.
    "c.relkind IN ('r', 'p') AND NOT c.relhasrules AND NOT row_security_active(c.oid) AS direct, "
    "has_database_privilege(current_database(), 'TEMP') AS temporary FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(:name)"
)
_COLUMNS = sa.text(
    "SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, "
    "NOT (a.attnotnull OR t.typnotnull) AS nullable, "
    "(a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL) AS has_default, "
    "(a.attgenerated <> '' OR a.attidentity = 'a') AS generated, "
    "CASE b.typcategory WHEN 'A' THEN 'array' WHEN 'C' THEN 'composite' ELSE b.typname::text END AS kind "
    "FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
    "JOIN pg_catalog.pg_type b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END "
    "WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
# A deferrable constraint can't decide a conflict, nor can a partial index or one on expressions.
_UNIQUE = sa.text(
    "SELECT array_agg(a.attname::text) FROM pg_catalog.pg_index i "
    "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position) "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
    "WHERE i.indrelid = :oid AND i.indisunique AND i.indisvalid AND i.indimmediate "
    "AND i.indpred IS NULL AND i.indexprs IS NULL AND k.position <= i.indnkeyatts GROUP BY i.indexrelid"
)
_REFERRING = sa.text(
    "SELECT conrelid::regclass::text FROM pg_catalog.pg_constraint "
    "WHERE contype = 'f' AND confrelid = :oid AND conrelid <> :oid ORDER BY 1"
)
_RIGHTS = {"SELECT": "any_column", "INSERT": "any_column", "UPDATE": "any_column", "DELETE": "table"}
_NEEDED = {
    "insert": {"SELECT", "INSERT"},
    "archive": {"INSERT"},
    "update": {"SELECT", "UPDATE"},
    "upsert": {"SELECT", "INSERT", "UPDATE"},
    "mirror": {"SELECT", "INSERT", "DELETE"},
}
_CONNECT = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


@dataclass(frozen=True)
class _Found:
    """Where the table is in the catalog."""

    oid: int
    schema_oid: int
    schema: str
    name: str
    ways: Ways

    @property
    def sql(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


class PostgresTarget:
    """A table on PostgreSQL.

    Args:
        where: A SQLAlchemy URL or engine.
        parts: The table's name, with or without its schema.
        create: Whether a missing table is created when a run starts.
    """

    max_concurrency = MAX_CONNECTIONS

    def __init__(self, where: sa.URL | sa.Engine, parts: tuple[str, ...], *, create: bool) -> None:
        if len(parts) > 2:
            raise ConfigError(
                "SqlTable: on PostgreSQL a table's name has at most two parts, schema.table.",
                code="table-name",
            )
        dialect = where.get_backend_name() if isinstance(where, sa.URL) else where.dialect.name
        if dialect not in ("postgresql", "postgres"):
            raise UnsupportedError(
                f"SqlTable does not support {dialect}.",
                code="destination-dialect",
                hint="It supports PostgreSQL (postgresql://…) and DuckDB (duckdb:///…).",
            )
        if _is_async(where):
            raise UnsupportedError(
                "SqlTable needs a synchronous driver.",
                code="destination-dialect",
                hint="Use postgresql+psycopg://… with create_engine.",
            )
        self._where = _with_driver(where) if isinstance(where, sa.URL) else where
        self._parts = parts
        self._create = create

    def check(self, context: RunContext) -> None:
        """Look whether the table can take the sync."""
        with self._transaction() as connection:
            found = self._find(connection)
            if found is None:
                self._check_missing(connection)
                return
            table = _reflect(connection, found)
            check_table(table, context)
            self._check_rights(connection, found, context)
            if context.mode == "mirror":
                self._check_mirror(connection, found)

    def open(self, context: RunContext) -> Writer:
        """A writer for one run."""
        database = self._database()
        try:
            with database.transaction() as connection:
                found = self._find(connection)
                if found is None:
                    self._check_missing(connection)
                    connection.execute(create_table(".".join(map(quote, self._parts)), context, "postgres"))
                    found = self._find(connection)
                if found is None:
                    raise DestinationError("The table was created, but can't be found.", retryable=False)
                table = _reflect(connection, found)
                check_table(table, context)
            if context.mode == "mirror":
                return MirrorWriter(database, context, table, found.schema)
            return PostgresWriter(database, context, table, found.ways)
        except BaseException:
            database.close()
            raise

    def published(self, context: RunContext, operation: str) -> bool | None:
        """Whether a mirror's swap took effect, as far as its staging table still tells."""
        if context.mode != "mirror":
            return None
        with self._transaction() as connection:
            found = self._find(connection)
            if found is None:
                return None
            return was_published(connection, found.schema, staging_name(context, _reflect(connection, found)))

    def _database(self) -> Database:
        if isinstance(self._where, sa.URL):
            return Database(_engine(self._where), owned=True)
        return Database(self._where, owned=False)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        database = self._database()
        try:
            with database.transaction() as connection:
                yield connection
        except RowsRefused as refusal:  # a name that the server can't read
            raise DestinationError(
                f"PostgreSQL refused a query on its catalog ({refusal.cause}).", retryable=False
            ) from None
        finally:
            database.close()

    def _find(self, connection: sa.Connection) -> _Found | None:
        name = ".".join(map(quote, self._parts))
        row = connection.execute(_FIND, {"name": name}).one_or_none()
        if row is None:
            return None
        if row.kind not in ("r", "p", "f", "v"):
            raise ConfigError(f"{name} is not a table.", code="unknown-table")
        ways = Ways(direct=row.direct, temporary=row.temporary)
        return _Found(row.oid, row.schema_oid, row.schema_name, row.table_name, ways)

    def _check_missing(self, connection: sa.Connection) -> None:
        """Raise unless the table may be created."""
        name = ".".join(map(quote, self._parts))
        if not self._create:
            raise ConfigError(
                f"There is no table {name}, or its user may not see it.",
                code="unknown-table",
                hint="Names are case-sensitive. Create it first, or give create=True.",
            )
        schema = self._parts[0] if len(self._parts) == 2 else None
        known = sa.text(
            "SELECT coalesce(CAST(:name AS text), current_schema()) IN (SELECT nspname FROM pg_namespace)"
        )
        if not connection.execute(known, {"name": schema}).scalar():
            raise ConfigError(f"There is no schema for table {name}.", code="unknown-table")

    def _check_rights(self, connection: sa.Connection, found: _Found, context: RunContext) -> None:
        needed = set(_NEEDED[context.mode])
        needed |= {"delete": {"SELECT", "DELETE"}, "clear": {"SELECT", "UPDATE"}}.get(
            context.on_removed, set()
        )
        missing = [
            right
            for right in sorted(needed)
            if not connection.execute(
                sa.text(f"SELECT has_{_RIGHTS[right]}_privilege(CAST(:oid AS oid), :right)"),
                {"oid": found.oid, "right": right},
            ).scalar()
        ]
        if missing:
            raise ConfigError(
                f"{found.sql}: the destination's user lacks {', '.join(missing)}.",
                code="permission-denied",
                hint=f"GRANT {', '.join(missing)} ON {found.sql} TO …",
            )

    def _check_mirror(self, connection: sa.Connection, found: _Found) -> None:
        children = connection.execute(_REFERRING, {"oid": found.oid}).scalars().all()
        if children:
            raise ConfigError(
                f"{found.sql}: mode 'mirror' empties and refills the table, but {', '.join(children)} "
                "refers to it.",
                code="mirror-referenced",
                hint="Use mode 'upsert' with on_removed='delete'.",
            )
        able = sa.text("SELECT has_schema_privilege(CAST(:oid AS oid), 'CREATE')")
        if not connection.execute(able, {"oid": found.schema_oid}).scalar():
            raise ConfigError(
                f"{found.sql}: mode 'mirror' loads a table beside it, which its user may not create.",
                code="permission-denied",
                hint=f"GRANT CREATE ON SCHEMA {quote(found.schema)} TO …",
            )


def _reflect(connection: sa.Connection, found: _Found) -> Table:
    """The table's columns and unique keys."""
    rows = connection.execute(_COLUMNS, {"oid": found.oid}).mappings()
    columns = {row["name"]: Column(**row) for row in rows}
    keys = connection.execute(_UNIQUE, {"oid": found.oid}).scalars()
    return Table(found.name, found.sql, columns, frozenset(frozenset(key) for key in keys))


def _is_async(where: sa.URL | sa.Engine) -> bool:
    if isinstance(where, sa.Engine):
        return bool(where.dialect.is_async)
    return where.get_driver_name() in ("asyncpg", "psycopg_async") if "+" in where.drivername else False


def _with_driver(url: sa.URL) -> sa.URL:
    """The URL with psycopg as its driver, unless it names one."""
    return url if "+" in url.drivername else url.set(drivername="postgresql+psycopg")


def _engine(url: sa.URL) -> sa.Engine:
    arguments: dict[str, Any] = {}
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        arguments = {**_CONNECT, "application_name": "warehouse-cdc"}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    if url.get_driver_name() == "psycopg":
        # Prepared statements don't survive a pooler that works by transaction.
        arguments["prepare_threshold"] = None
    try:
        return sa.create_engine(
            url,
            pool_size=MAX_CONNECTIONS,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,
            connect_args=arguments,
        )
    except (ImportError, sa.exc.NoSuchModuleError):
        raise ConfigError(
            f"The driver {url.get_driver_name()!r} for PostgreSQL is not installed.",
            code="missing-extra",
            hint='pip install "warehouse-cdc[postgres]"',
        ) from None
