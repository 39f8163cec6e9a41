"""Mirror mode on PostgreSQL: a staging table, and a swap of the content in one transaction.

The target itself stays, with its grants, indexes and readers: they see the old rows until the swap
commits, and the new ones after it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from warehouse_cdc.destinations.base import Batch, Outcomes, RunContext
from warehouse_cdc.destinations.postgres_errors import RowsRefused
from warehouse_cdc.destinations.postgres_sql import statement
from warehouse_cdc.destinations.sqlalchemy_table import Database, PostgresWriter, Ways
from warehouse_cdc.destinations.tables import (
    LOADING,
    PUBLISHED,
    Table,
    mark,
    quote,
    staging_name,
    staging_start,
)
from warehouse_cdc.errors import CdcError, DestinationError

_DROP_SECONDS = 30
_BESIDE = sa.text(
    "SELECT c.relname::text FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relkind = 'r' AND starts_with(c.relname::text, :start)"
)
_COMMENT = sa.text(
    "SELECT obj_description(c.oid, 'pg_class') FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :name"
)


def was_published(connection: sa.Connection, schema: str, name: str) -> bool | None:
    """What a staging table says of its run; None if it isn't there any more."""
    row = connection.execute(_COMMENT, {"schema": schema, "name": name}).one_or_none()
    return None if row is None else row[0] == PUBLISHED


class MirrorWriter(PostgresWriter):
    """Loads a staging table, and publishes it by replacing the target's rows."""

    def __init__(self, database: Database, context: RunContext, table: Table, schema: str) -> None:
        self._table = table
        self._row_key = _unused("wcdc_row", table)
        self._start = staging_start(context, table)
        self._schema = schema
        self._staging = f"{quote(schema)}.{quote(staging_name(context, table))}"
        self._loaded = 0
        self._lock = threading.Lock()
        super().__init__(database, context, table, Ways(direct=True, temporary=False))
        self._target = self._staging
        self._prepare()

    def write(self, batch: Batch) -> Outcomes:
        """Load a batch."""
        outcomes = super().write(batch)
        # A crash empties an unlogged table, and a failover may lose commits: publish counts again.
        with self._lock:
            self._loaded += len(batch) - len(outcomes)
        return outcomes

    def publish(self, operation: str) -> None:
        """Replace the target's rows by those of the staging table, in one transaction."""
        fields = ", ".join(map(quote, self._context.fields))
        target = self._table.sql
        try:
            with self._database.transaction() as connection:
                connection.execute(statement(f"LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE"))
                staged = connection.execute(statement(f"SELECT count(*) FROM {self._staging}")).scalar_one()
                if staged < self._loaded:
                    raise DestinationError(
                        f"The staging table holds {staged} rows of {self._loaded}: the server lost some.",
                        code="mirror-incomplete",
                        retryable=False,
                    )
                connection.execute(statement(f"DELETE FROM {target}"))
                connection.execute(
                    statement(f"INSERT INTO {target} ({fields}) SELECT {fields} FROM {self._staging}")
                )
                connection.execute(statement(f"COMMENT ON TABLE {self._staging} IS '{PUBLISHED}'"))
        except RowsRefused as refusal:
            raise DestinationError(
                f"{target} refused the new rows as a whole ({refusal.cause}); the old ones are still there.",
                code="mirror-refused",
                retryable=False,
            ) from None

    def close(self) -> None:
        """Drop the staging table. If that fails, the sync's next run does it."""
        limit = time.monotonic() + _DROP_SECONDS
        with contextlib.suppress(CdcError), self._database.transaction(limit) as connection:
            connection.execute(statement(f"DROP TABLE IF EXISTS {self._staging}"))
        super().close()

    def _kinds(self) -> set[str]:
        return set()

    def _kind(self, operation: str) -> str:
        return "mirror"

    def _extra(self, batch: Batch) -> Mapping[str, Sequence[str]]:
        # A batch that is sent again must not load its rows twice; text may be too long for an index.
        return {self._row_key: [mark(row_id, 32) for row_id in batch.row_ids]}

    def _prepare(self) -> None:
        with self._database.transaction() as connection:
            found = connection.execute(_BESIDE, {"schema": self._schema, "start": self._start})
            for name in found.scalars().all():
                connection.execute(statement(f"DROP TABLE IF EXISTS {quote(self._schema)}.{quote(name)}"))
            connection.execute(
                statement(
                    f"CREATE UNLOGGED TABLE {self._staging} (LIKE {self._table.sql} INCLUDING DEFAULTS "
                    "INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING INDEXES)"
                )
            )
            connection.execute(
                statement(f"ALTER TABLE {self._staging} ADD COLUMN {quote(self._row_key)} uuid UNIQUE")
            )
            connection.execute(statement(f"COMMENT ON TABLE {self._staging} IS '{LOADING}'"))
        self._built["mirror"] = self._statements.load(self._staging, self._row_key)


def _unused(name: str, table: Table) -> str:
    while name in table.columns:
        name += "_"
    return name
