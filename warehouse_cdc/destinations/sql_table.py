"""A table of a SQL database as a destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from warehouse_cdc.destinations.base import Capabilities, Destination, RunContext, Writer
from warehouse_cdc.destinations.tables import split_name
from warehouse_cdc.errors import ConfigError

if TYPE_CHECKING:
    import duckdb
    import sqlalchemy as sa


class Target(Protocol):
    """A table on one kind of database."""

    max_concurrency: int

    def check(self, context: RunContext) -> None:
        """See :meth:`Destination.check`."""

    def open(self, context: RunContext) -> Writer:
        """See :meth:`Destination.open`."""

    def published(self, context: RunContext, operation: str) -> bool | None:
        """See :meth:`Destination.published`."""


class SqlTable(Destination):
    """A table on PostgreSQL or DuckDB.

    What each mode does, and what happens if the same rows arrive twice:

    * ``insert`` adds rows whose match values aren't in the table yet; a repeat adds nothing.
    * ``update`` changes existing rows; a row that no record matches is rejected. Repeats are harmless.
    * ``upsert`` does both; it needs a primary key or unique constraint on exactly the match fields.
    * ``archive`` appends every row; a repeat appends it again.
    * ``mirror`` loads a staging table beside the target and then replaces the target's rows in one
      transaction. The target itself stays, with its grants and indexes.

    ``on_removed``: ``delete`` deletes the record, ``clear`` sets the fields that don't identify it to NULL. A
    record that isn't there is no error. A row with NULL in a match field is rejected where it must be
    matched.

    Values are converted to the types of the table's columns; a value that its column can't take rejects
    its row, with the database's own message, and no other. Text goes into a JSON column as JSON text.
    Timestamps without a zone are taken as UTC by columns with one.

    Names are taken byte for byte; PostgreSQL folds unquoted names to lower case, so ``create table Users``
    makes ``users``.

    Args:
        where: ``postgresql://user:password@host/database``, a SQLAlchemy ``Engine`` on PostgreSQL,
            ``duckdb:///path/to/file``, or a DuckDB connection.
        table: ``table`` or ``schema.table``; a part that contains a dot goes in double quotes.
        create: Create the table, if there is none, when a run starts: with the sync's fields, and the match
            fields as its primary key.

    Raises:
        ConfigError: The URL or the name can't be read, or the driver isn't installed.
        UnsupportedError: The database is another one.
    """

    def __init__(
        self,
        where: str | sa.URL | sa.Engine | duckdb.DuckDBPyConnection,
        table: str,
        *,
        create: bool = False,
    ) -> None:
        if not isinstance(table, str):
            raise ConfigError("SqlTable: table must be text.", code="table-name")
        parts = split_name(table)
        self._table = table
        self._label, self._target = _target(where, parts, create=create)

    def __repr__(self) -> str:
        """Show the kind of database and the table, not the URL."""
        return f"SqlTable({self.name})"

    @property
    def name(self) -> str:
        """The kind of database and the table: ``postgresql: schema.table``."""
        return f"{self._label}: {self._table}"

    @property
    def capabilities(self) -> Capabilities:
        """Modes of tables; in mode ``mirror``, the rows take effect when the writer publishes."""
        return Capabilities(
            modes=frozenset({"insert", "update", "upsert", "mirror", "archive"}),
            on_removed=frozenset({"clear", "delete"}),
            idempotent=frozenset({"insert", "update", "upsert"}),
            batch_rows=10_000,
            concurrency=1,
            max_concurrency=self._target.max_concurrency,
        )

    def publishes(self, mode: str) -> bool:
        """Whether nothing takes effect before the writer publishes: in mode ``mirror`` only."""
        return mode == "mirror"

    def check(self, context: RunContext) -> None:
        """Look whether the table has the fields and the constraints that the sync needs.

        Raises:
            ConfigError: It hasn't, or the user lacks a right.
            DestinationError: The database can't be reached or refuses the login.
        """
        self._target.check(context)

    def open(self, context: RunContext) -> Writer:
        """A writer for one run."""
        return self._target.open(context)

    def published(self, context: RunContext, operation: str) -> bool | None:
        """Whether an interrupted mirror took effect; None if that can't be told."""
        return self._target.published(context, operation)


def _target(where: Any, parts: tuple[str, ...], *, create: bool) -> tuple[str, Target]:
    if isinstance(where, str) and where.startswith("duckdb:"):
        from warehouse_cdc.destinations.duckdb_target import DuckDBTarget

        return "duckdb", DuckDBTarget(where, parts, create=create)
    if type(where).__name__ == "DuckDBPyConnection":
        from warehouse_cdc.destinations.duckdb_target import DuckDBTarget

        return "duckdb", DuckDBTarget(where, parts, create=create)

    import sqlalchemy as sa

    from warehouse_cdc.destinations.postgres_target import PostgresTarget

    if isinstance(where, str):
        try:
            where = sa.make_url(where)
        except (sa.exc.ArgumentError, ValueError):
            # Not chained: the driver's message may hold the URL, and that the password.
            raise ConfigError(
                "SqlTable: the URL can't be read.",
                code="destination-url",
                hint="Write postgresql://user:password@host:5432/database or duckdb:///path.",
            ) from None
    if not isinstance(where, (sa.URL, sa.Engine)):
        raise ConfigError(
            "SqlTable needs a URL, a SQLAlchemy Engine or a DuckDB connection.",
            code="destination-url",
            hint="An AsyncEngine doesn't do.",
        )
    return "postgresql", PostgresTarget(where, parts, create=create)
