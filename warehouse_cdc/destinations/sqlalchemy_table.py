"""A PostgreSQL table as a destination, reached through SQLAlchemy.

Each batch is one transaction. A large one is copied: into the table itself if its rows should all be new
there, else into a temporary table, from which one statement takes them. A batch that can't be copied, or
of which the server refuses a row so, goes in one statement. If that is refused because of a value, it is
repeated on halves, under savepoints, until every row is told: the good ones are applied, the others carry
the server's message.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from warehouse_cdc.destinations.base import Batch, Outcome, Outcomes, RunContext, Writer, rejected, retryable
from warehouse_cdc.destinations.postgres_copy import COPY_ROWS, copy, csv_pieces
from warehouse_cdc.destinations.postgres_errors import RowsRefused, translate
from warehouse_cdc.destinations.postgres_sql import TEMPORARY, Row, Slot, Statements, encode_rows, slots_of
from warehouse_cdc.destinations.tables import INSERTING, MATCHING, Table
from warehouse_cdc.errors import DestinationError

MAX_CONNECTIONS = 16
_SLICE = 32 * 1024 * 1024
_LIMITS = sa.text(
    "SELECT set_config('statement_timeout', :limit, true), "
    "set_config('idle_in_transaction_session_timeout', :limit, true)"
)
_IMMEDIATE = sa.text("SET CONSTRAINTS ALL IMMEDIATE")


@dataclass(frozen=True)
class Ways:
    """How rows may reach a table, beside statements that carry them.

    Attributes:
        direct: Whether COPY into the table does what INSERT does there.
        temporary: Whether the user may make temporary tables.
    """

    direct: bool
    temporary: bool


class Database:
    """Connections to one database, with errors that tell what became of the transaction.

    Args:
        engine: Where connections come from.
        owned: Whether the engine was made here, and ends with :meth:`close`.
    """

    def __init__(self, engine: sa.Engine, *, owned: bool) -> None:
        # Whatever the engine's default is: no autocommit, and no failures of serialization.
        self._engine = engine.execution_options(isolation_level="READ COMMITTED")
        self._owned = owned
        self.copies = engine.dialect.driver in ("psycopg", "psycopg2")

    @contextlib.contextmanager
    def transaction(self, deadline: float | None = None) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block.

        Args:
            deadline: When all of it must be over (``time.monotonic``): a little earlier the server cancels
                the statement, and then the connection is cut.

        Raises:
            RowsRefused: A statement, or a constraint at the end, refused values; rolled back.
            DestinationError: Anything else; ``outcome_unknown`` only if it broke while committing.
        """
        stage = "connect"
        try:
            with self._engine.connect() as connection:
                stage = "execute"
                seconds = None if deadline is None else _left(deadline)
                with _cut_after(connection, seconds):
                    if seconds is not None:
                        # The server gives up a little before the connection is cut.
                        connection.execute(_LIMITS, {"limit": f"{max(1, int(seconds * 900))}ms"})
                    yield connection
                    stage = "commit"
                    connection.commit()
        except sa.exc.SQLAlchemyError as error:
            # Not chained: the driver's error and the statement's carry row values.
            raise translate(error, stage) from None

    def close(self) -> None:
        """Close the idle connections, if they are ours."""
        if self._owned:
            self._engine.dispose()


class PostgresWriter(Writer):
    """Writes batches to a table. Several threads may call it: each call takes its own connection."""

    def __init__(self, database: Database, context: RunContext, table: Table, ways: Ways) -> None:
        self._database = database
        self._context = context
        slots = slots_of(context, table)
        self._statements = Statements(context, table, slots)
        self._built = {kind: self._statements.build(kind) for kind in self._kinds()}
        self._from_temporary = Statements(context, table, slots, temporary=True)
        self._target = table.sql
        self._unique = table.is_unique(context.match)
        self._direct = ways.direct and database.copies
        self._temporary = ways.temporary and database.copies

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch in one transaction."""
        # Over before the engine gives up, so that it learns what became of the rows.
        deadline = time.monotonic() + 0.9 * self._context.batch_timeout
        kind = self._kind(batch.operation)
        if kind == "nothing":
            return {}
        match = self._context.match if kind in MATCHING or batch.operation == "removed" else ()
        # A batch that comes again is told row by row: copying has failed once.
        if len(batch) >= COPY_ROWS and batch.attempt == 1:
            copied = self._copy(batch, kind, match, deadline)
            if copied is not None:
                return copied
        rows, outcomes = encode_rows(batch, self._statements.fields(kind), match, self._extra(batch))
        if not rows:
            return outcomes
        try:
            with self._database.transaction(deadline) as connection:
                without = self._apply(connection, kind, rows)
            outcomes.update({position: rejected("no record matches") for position in without})
        except RowsRefused as refusal:
            if len(rows) == 1:
                outcomes[rows[0].position] = rejected(refusal.reason)
            else:
                outcomes.update(self._sort_out(kind, rows, deadline))
        return outcomes

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _kinds(self) -> set[str]:
        kinds = {self._kind(operation) for operation in self._context.operations}
        return kinds - {"nothing"}

    def _kind(self, operation: str) -> str:
        """What an operation does in this run: the name of its statement."""
        if operation != "removed":
            return self._context.mode
        if self._context.on_removed == "clear" and set(self._context.fields) <= set(self._context.match):
            return "nothing"
        return self._context.on_removed

    def _extra(self, batch: Batch) -> Mapping[str, Sequence[str]]:
        """More columns that the statement wants: texts that need no escape."""
        return {}

    def _copy(
        self, batch: Batch, kind: str, match: Sequence[str], deadline: float
    ) -> dict[int, Outcome] | None:
        """Copy a batch in one transaction; None if nothing of it was applied."""
        slots = self._statements.fields(kind)
        new = batch.operation == "added" and kind in INSERTING
        conflicts = kind in ("insert", "upsert")
        as_is = not any(slot.converted for slot in slots) and (self._unique or not conflicts)
        try:
            if self._direct and new and as_is:
                return self._append(batch, slots, match, deadline)
        except RowsRefused as refusal:
            if not (conflicts and refusal.conflict):
                return None
            self._direct = False  # the table has records of its own: more of them will follow
        try:
            return self._through_temporary(batch, kind, match, deadline) if self._temporary else None
        except RowsRefused:
            return None

    def _append(
        self, batch: Batch, slots: Sequence[Slot], match: Sequence[str], deadline: float
    ) -> dict[int, Outcome] | None:
        """Copy a batch into the target."""
        extra = {name: pa.array(texts, pa.string()) for name, texts in self._extra(batch).items()}
        pieces = csv_pieces(batch, slots, match, extra)
        if pieces is None:
            return None
        with self._database.transaction(deadline) as connection:
            copy(connection, self._target, [*(slot.name for slot in slots), *extra], pieces)
        return {}

    def _through_temporary(
        self, batch: Batch, kind: str, match: Sequence[str], deadline: float
    ) -> dict[int, Outcome] | None:
        """Copy a batch into a temporary table, and apply it from there."""
        statements, slots = self._from_temporary, self._statements.fields(kind)
        pieces = csv_pieces(batch, slots, match, {"i": pa.array(range(len(batch)), pa.int32())})
        if pieces is None:
            return None
        with self._database.transaction(deadline) as connection:
            connection.execute(statements.create(kind))
            copy(connection, TEMPORARY, [*(f"c{number}" for number in range(len(slots))), "i"], pieces)
            found = connection.execute(statements.build(kind))
            if kind != "update":
                return {}
            hit = set(found.scalars())
            left = [position for position in range(len(batch)) if position not in hit]
            rows, outcomes = encode_rows(batch.take(left), slots, match, {})
            missed = self._update(connection, rows)
        outcomes.update({position: rejected("no record matches") for position in missed})
        return {left[position]: outcome for position, outcome in outcomes.items()}

    def _apply(self, connection: sa.Connection, kind: str, rows: Sequence[Row]) -> list[int]:
        """Send rows; the positions of those that no record matches (update only)."""
        without: list[int] = []
        for part in _slices(rows):
            if kind == "update":
                without += self._update(connection, part)
            else:
                connection.execute(self._built[kind], {"rows": _payload(part)})
        return without

    def _update(self, connection: sa.Connection, rows: Sequence[Row]) -> list[int]:
        # Of several rows that match one record, an UPDATE applies one; the next round takes the next.
        left = list(rows)
        while left:
            found = connection.execute(self._built["update"], {"rows": _payload(left)})
            hit = set(found.scalars())
            if not hit:
                break
            left = [row for row in left if row.position not in hit]
        return [row.position for row in left]

    def _sort_out(self, kind: str, rows: Sequence[Row], deadline: float) -> dict[int, Outcome]:
        """Apply what can be applied, and tell why of the rest."""
        try:
            with self._database.transaction(deadline) as connection:
                # Each row must answer for itself before the next one is tried.
                connection.execute(_IMMEDIATE)
                middle = len(rows) // 2
                outcomes = self._halve(connection, kind, rows[:middle], deadline)
                outcomes.update(self._halve(connection, kind, rows[middle:], deadline))
            return outcomes
        except RowsRefused as refusal:
            raise DestinationError(
                f"PostgreSQL refused the whole batch when it was committed ({refusal.cause}).",
                code="destination-database",
                retryable=False,
            ) from None

    def _halve(
        self, connection: sa.Connection, kind: str, rows: Sequence[Row], deadline: float
    ) -> dict[int, Outcome]:
        # Stops early enough to commit what has been done.
        if time.monotonic() > deadline - 0.3 * self._context.batch_timeout:
            return {row.position: retryable("not tried: the batch ran out of time") for row in rows}
        try:
            with connection.begin_nested():
                without = self._apply(connection, kind, rows)
            return {position: rejected("no record matches") for position in without}
        except sa.exc.DBAPIError as error:
            refusal = translate(error, "execute")
            if not isinstance(refusal, RowsRefused):
                raise refusal from None
            if len(rows) == 1:
                return {rows[0].position: rejected(refusal.reason)}
        middle = len(rows) // 2
        outcomes = self._halve(connection, kind, rows[:middle], deadline)
        outcomes.update(self._halve(connection, kind, rows[middle:], deadline))
        return outcomes


def _left(deadline: float) -> float:
    """The seconds until a deadline.

    Raises:
        DestinationError: There are none.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise DestinationError("No time was left to send the batch.", code="destination-timeout")
    return left


def _payload(rows: Sequence[Row]) -> str:
    return "[" + ",".join(row.text for row in rows) + "]"


def _slices(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Runs of rows that make a parameter of a bearable size."""
    start = size = 0
    for index, row in enumerate(rows):
        if index > start and size + len(row.text) > _SLICE:
            yield rows[start:index]
            start, size = index, 0
        size += len(row.text)
    yield rows[start:]


@contextlib.contextmanager
def _cut_after(connection: sa.Connection, seconds: float | None) -> Iterator[None]:
    """Cut the connection when the time is over: a server that no longer answers can't hold a worker."""
    fileno: Any = getattr(connection.connection.dbapi_connection, "fileno", None)
    if seconds is None or fileno is None or os.name == "nt":
        yield
        return
    # A duplicate, so that the number can't come to mean another file meanwhile.
    twin = socket.socket(fileno=os.dup(fileno()))
    cut = threading.Timer(seconds, _shut, (twin,))
    cut.daemon = True
    cut.start()
    try:
        yield
    finally:
        cut.cancel()
        cut.join()
        twin.close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
