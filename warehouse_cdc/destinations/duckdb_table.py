"""A DuckDB table as a destination, without SQLAlchemy: batches are read as Arrow.

Each batch is one transaction. DuckDB has no savepoints: if it refuses a batch because of a value, the
batch is halved, each half in a transaction of its own, until every row is told.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import duckdb
import pyarrow as pa

from warehouse_cdc.destinations.base import Batch, Outcome, Outcomes, RunContext, Writer, rejected, retryable
from warehouse_cdc.destinations.tables import LOADING, MATCHING, PUBLISHED, Table, quote, staging_name
from warehouse_cdc.errors import CdcError, DestinationError
from warehouse_cdc.mapping.values import kind_of

VIEW = "wcdc_batch"
_ROW_ERRORS = (
    duckdb.IntegrityError,
    duckdb.DataError,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
)
_MAX_REASON = 500
_NESTED = ("]", ")")
_ZONED = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


class RowsRefused(Exception):
    """DuckDB refused a statement because of the values in it; nothing of it was applied."""

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason
        self.cause = cause


@contextlib.contextmanager
def transaction(
    connection: duckdb.DuckDBPyConnection, seconds: float | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor with a transaction of its own, which commits at the end of the block.

    Args:
        connection: The database.
        seconds: The time after which DuckDB is interrupted.

    Raises:
        RowsRefused: A statement refused values; rolled back.
        DestinationError: Anything else; ``outcome_unknown`` only if the commit itself broke.
    """
    committing = False
    try:
        cursor = connection.cursor()
    except duckdb.Error as error:
        raise translate(error, committing=False) from None
    alarm = None if seconds is None else threading.Timer(seconds, cursor.interrupt)
    if alarm is not None:
        alarm.daemon = True
        alarm.start()
    try:
        cursor.execute("BEGIN TRANSACTION")
        try:
            yield cursor
            committing = True
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                cursor.execute("ROLLBACK")
            raise
    except duckdb.Error as error:
        # Not chained: DuckDB's messages carry row values.
        raise translate(error, committing=committing) from None
    finally:
        if alarm is not None:
            alarm.cancel()
            alarm.join()
        cursor.close()


def translate(error: duckdb.Error, *, committing: bool) -> Exception:
    """The error to raise instead of DuckDB's."""
    text = str(error).splitlines()[0] if str(error) else ""
    kind, _, reason = text.partition(": ")
    shown = type(error).__name__
    if isinstance(error, _ROW_ERRORS):
        return RowsRefused((reason or kind)[:_MAX_REASON], shown)
    if isinstance(error, (duckdb.TransactionException, duckdb.InterruptException)):
        # Two transactions met, or time was over: DuckDB rolled this one back.
        return DestinationError(f"DuckDB gave the transaction up ({shown}).", code="destination-database")
    locked = isinstance(error, duckdb.IOException) and "lock" in text.lower()
    if locked:
        return DestinationError(
            "Another process holds the DuckDB file.",
            code="destination-locked",
            hint="Only one process at a time can write a DuckDB file: close the other one.",
        )
    named = isinstance(error, (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException))
    detail = f": {reason[:_MAX_REASON]}" if named else ""
    return DestinationError(
        f"DuckDB failed ({shown}){detail}.",
        code="destination-database",
        outcome_unknown=committing,
        retryable=isinstance(error, duckdb.OutOfMemoryException),
    )


class DuckDBWriter(Writer):
    """Writes batches to a table. Calls from several threads take turns.

    Args:
        connection: The database.
        owned: Whether the connection ends with the writer.
        context: The run.
        table: The target.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, context: RunContext, table: Table, *, owned: bool
    ) -> None:
        self._connection = connection
        self._owned = owned
        self._context = context
        self._table = table
        self._target = table.sql
        self._lock = threading.Lock()
        self._values: dict[str, str] = {}

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch in one transaction."""
        kind = self._kind(batch.operation)
        if kind == "nothing":
            return {}
        removes = batch.operation == "removed"
        without = self._without_key(batch) if kind in MATCHING or removes else {}
        columns = [batch.arrow.column(index) for index in range(len(self._context.schema))]
        names = [f"c{index}" for index in range(len(columns))]
        rows = pa.table([*columns, pa.array(range(len(batch)), pa.int32())], names=[*names, "i"])
        if without:
            rows = rows.filter(pa.array([position not in without for position in range(len(batch))]))
        # No record was ever written for a row without a match value, so none is there to remove.
        outcomes = {} if removes else without
        # Over before the engine gives up, so that it learns what became of the rows.
        deadline = time.monotonic() + 0.9 * self._context.batch_timeout
        with self._lock:
            # A removed row may still have the type that it was delivered with.
            self._values = {
                field.name: value_sql(f"v.c{index}", field, self._table.columns[field.name].type)
                for index, field in enumerate(batch.arrow.schema)
            }
            outcomes.update(self._apply(kind, rows, deadline))
        return outcomes

    def close(self) -> None:
        """Close the connection, if it is ours."""
        if self._owned:
            self._connection.close()

    def _kind(self, operation: str) -> str:
        if operation != "removed":
            return self._context.mode
        if self._context.on_removed == "clear" and set(self._context.fields) <= set(self._context.match):
            return "nothing"
        return self._context.on_removed

    def _without_key(self, batch: Batch) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for name in self._context.match:
            column = batch.arrow.column(self._context.schema.get_field_index(name))
            if column.null_count:
                reason = f"the match field {name!r} is NULL"
                empty = column.is_null().to_pylist()
                outcomes.update(
                    {at: rejected(reason, permanent=True) for at, null in enumerate(empty) if null}
                )
        return outcomes

    def _apply(self, kind: str, rows: pa.Table, deadline: float) -> dict[int, Outcome]:
        if not len(rows):
            return {}
        left = deadline - time.monotonic()
        if left <= 0:
            return {at: retryable("not tried: the batch ran out of time") for at in rows["i"].to_pylist()}
        try:
            with transaction(self._connection, left) as cursor:
                cursor.register(VIEW, rows)
                without = self._misses(cursor) if kind == "update" else []
                cursor.execute(self._statement(kind))
            return {position: rejected("no record matches") for position in without}
        except RowsRefused as refusal:
            if len(rows) == 1:
                return {rows["i"][0].as_py(): rejected(refusal.reason)}
        middle = len(rows) // 2
        outcomes = self._apply(kind, rows.slice(0, middle), deadline)
        outcomes.update(self._apply(kind, rows.slice(middle), deadline))
        return outcomes

    def _misses(self, cursor: duckdb.DuckDBPyConnection) -> list[int]:
        same = f"SELECT 1 FROM {self._target} t WHERE {self._matches()}"
        found = cursor.execute(f"SELECT v.i FROM {VIEW} v WHERE NOT EXISTS ({same})")
        return [row[0] for row in found.fetchall()]

    def _statement(self, kind: str) -> str:
        others = [name for name in self._context.fields if name not in self._context.match]
        if kind == "delete":
            return f"DELETE FROM {self._target} AS t USING {VIEW} AS v WHERE {self._matches()}"
        if kind in ("update", "clear"):
            new: Mapping[str, str] = self._values if kind == "update" else dict.fromkeys(others, "NULL")
            changes = ", ".join(f"{self._column(name)} = {new[name]}" for name in others)
            return f"UPDATE {self._target} AS t SET {changes} FROM {VIEW} AS v WHERE {self._matches()}"
        columns = ", ".join(map(self._column, self._context.fields))
        values = ", ".join(self._values[name] for name in self._context.fields)
        insert = f"INSERT INTO {self._target} ({columns}) SELECT {values} FROM {VIEW} v"
        if kind in ("archive", "mirror"):
            return f"{insert} ORDER BY v.i"
        keys = ", ".join(map(self._column, self._context.match))
        if kind == "upsert" and others:
            changes = ", ".join(f"{self._column(name)} = excluded.{self._column(name)}" for name in others)
            return f"{insert} ORDER BY v.i ON CONFLICT ({keys}) DO UPDATE SET {changes}"
        if self._table.is_unique(self._context.match):
            return f"{insert} ORDER BY v.i ON CONFLICT ({keys}) DO NOTHING"
        new_keys = ", ".join(self._values[name] for name in self._context.match)
        return (
            f"{insert} WHERE NOT EXISTS (SELECT 1 FROM {self._target} t WHERE {self._matches()}) "
            f"QUALIFY row_number() OVER (PARTITION BY {new_keys} ORDER BY v.i) = 1 ORDER BY v.i"
        )

    def _matches(self) -> str:
        return " AND ".join(f"t.{self._column(name)} = {self._values[name]}" for name in self._context.match)

    def _column(self, name: str) -> str:
        return quote(self._table.columns[name].name)


class DuckDBMirrorWriter(DuckDBWriter):
    """Loads a staging table, and publishes it by replacing the target's rows in one transaction."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        context: RunContext,
        table: Table,
        *,
        owned: bool,
        beside: str,
        leftovers: Sequence[str],
        constraints: Sequence[str],
    ) -> None:
        super().__init__(connection, context, table, owned=owned)
        self._target = beside + quote(staging_name(context, table))
        columns = [table.columns[name] for name in context.fields]
        parts = [f"{quote(it.name)} {it.type}{'' if it.nullable else ' NOT NULL'}" for it in columns]
        with transaction(connection) as cursor:
            for name in leftovers:
                cursor.execute(f"DROP TABLE IF EXISTS {beside}{quote(name)}")
            cursor.execute(f"CREATE TABLE {self._target} ({', '.join([*parts, *constraints])})")
            cursor.execute(f"COMMENT ON TABLE {self._target} IS '{LOADING}'")

    def publish(self, operation: str) -> None:
        """Replace the target's rows by those of the staging table."""
        columns = ", ".join(map(self._column, self._context.fields))
        try:
            with self._lock, transaction(self._connection) as cursor:
                cursor.execute(f"DELETE FROM {self._table.sql}")
                cursor.execute(
                    f"INSERT INTO {self._table.sql} ({columns}) SELECT {columns} FROM {self._target}"
                )
                cursor.execute(f"COMMENT ON TABLE {self._target} IS '{PUBLISHED}'")
        except RowsRefused as refusal:
            raise DestinationError(
                f"{self._table.sql} refused the new rows as a whole ({refusal.cause}); "
                "the old ones are still there.",
                code="mirror-refused",
                retryable=False,
            ) from None

    def close(self) -> None:
        """Drop the staging table. If that fails, the sync's next run does it."""
        with contextlib.suppress(CdcError), self._lock, transaction(self._connection) as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self._target}")
        super().close()


def value_sql(column: str, field: pa.Field, target: str) -> str:
    """The expression that makes a value of the target's type."""
    kind, tag, upper = field.type, kind_of(field), target.upper()
    if tag == "json" and upper.endswith(_NESTED) and not upper.startswith("DECIMAL"):
        column = f"CAST({column} AS JSON)"
    if pa.types.is_timestamp(kind):
        if kind.tz is not None and upper not in _ZONED:
            column = f"timezone('UTC', {column})"  # the instant's UTC clock, whatever the session's zone
            if upper == "VARCHAR":
                return f"CAST({column} AS VARCHAR) || '+00'"
        elif kind.tz is None and upper in _ZONED:
            column = f"timezone('UTC', {column})"
    return f"CAST({column} AS {target})"
