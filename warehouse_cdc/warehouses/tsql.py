"""Synapse and Fabric by Microsoft's driver.

Each statement commits by itself: runs are recorded in tables. Results are Arrow batches of the driver's
making.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
from mssql_python import Error as DriverError

from warehouse_cdc.dialects import ColumnType, get_dialect
from warehouse_cdc.dialects.tsql import TSQL, decimal_digits
from warehouse_cdc.errors import ConnectionLostError, PermissionDeniedError, QueryError, WarehouseError
from warehouse_cdc.sources.tsql import Synapse as SynapseSource
from warehouse_cdc.warehouses.alone import AloneConnection, wait_of_conflict
from warehouse_cdc.warehouses.base import Work, end_all, redacted, schema_missing
from warehouse_cdc.warehouses.tsql_errors import LITERAL, mapped
from warehouse_cdc.warehouses.tsql_session import opener_of

if TYPE_CHECKING:
    from warehouse_cdc.sources.tsql import _TSQL as Source

INSERTED = 100
"""Rows of one INSERT, each a SELECT of its own."""
LABEL = 255
"""Characters of a statement's label."""
_LABELLED = re.compile(r"(WITH|SELECT|INSERT|UPDATE|DELETE)\b|CREATE TABLE \S+\s+WITH \([^)]*\) AS\b")
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}


def arrow_type(kind: ColumnType | None) -> pa.DataType:
    """The Arrow type of a stored type."""
    if kind is None:
        return pa.string()
    if kind.kind == "integer":
        return pa.int64() if kind.name == "BIGINT" else pa.int32()
    if kind.kind == "float":
        return pa.float32() if kind.name == "REAL" else pa.float64()
    if kind.kind == "decimal":
        return pa.decimal128(*decimal_digits(kind))
    return _ARROW[kind.kind]


def open_tsql(source: Source) -> TSQLConnection:
    """Connect.

    Raises:
        ConfigError: The connection string can't be read.
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    opener = opener_of(source)
    kind = SynapseConnection if isinstance(source, SynapseSource) else TSQLConnection
    return kind(opener(), opener, cast(TSQL, get_dialect(source.dialect)))


class TSQLConnection(AloneConnection):
    """A session of the driver."""

    dialect: TSQL

    def __init__(self, connection: Any, opener: Callable[[], Any], dialect: TSQL) -> None:
        """Take a session, and what opens another one."""
        super().__init__()
        self.dialect = dialect
        self._connection = connection
        self._opener = opener
        self._lost = False
        self._stopped = False

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything; moments are in UTC."""
        with self._cursor(sql) as cursor:
            return [tuple(map(_aware, row)) for row in cursor.fetchall()] if cursor.description else []

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement."""
        self.query(sql)

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[Any]:
        """Send a statement, which is over when the block is; again, if it did nothing."""
        with ExitStack() as sent:
            yield self._repeated(
                lambda: sent.enter_context(self._sent(sql)), lambda error: _wait_of(error, sql)
            )

    @contextmanager
    def _sent(self, sql: str) -> Iterator[Any]:
        """Send a statement once."""
        self._sending()
        self._stopped = False
        try:
            cursor = self._connection.cursor()
            try:
                cursor.execute(self._labelled(sql))
                yield cursor
            finally:
                cursor.close()
        except DriverError as error:
            ours = mapped(error, sql)
            if self._stopped:
                ours = QueryError("A statement was stopped.", sql=redacted(sql, literal=LITERAL))
                self._connection = self._opener()
            self._lost = self._lost or isinstance(ours, ConnectionLostError)
            raise ours from None

    def _labelled(self, sql: str) -> str:
        """A statement that says what it is for."""
        return self.labels.comment() + sql

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The driver's Arrow batches, in our types."""
        types = [arrow_type(kind) for kind in kinds]
        with self._cursor(sql) as cursor:
            reader = cursor.arrow_reader(batch_rows)
            try:
                for batch in reader:
                    arrays = [_as(array, wanted) for array, wanted in zip(batch.columns, types, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, batch.schema.names)
            finally:
                reader.close()

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """As many statements as it takes, in order: a dedicated pool takes no rows of VALUES."""
        names = ", ".join(self.dialect.quote(name) for name in rows.column_names)
        head = f"INSERT INTO {self.dialect.table(schema, table)} ({names})\n"
        kinds = [self._own_type(field.type) for field in rows.schema]
        for start in range(0, rows.num_rows, INSERTED):
            records = rows.slice(start, INSERTED).to_pylist()
            selects = (
                "SELECT "
                + ", ".join(self._value(v, kind) for v, kind in zip(row.values(), kinds, strict=True))
                for row in records
            )
            self.execute(head + "\nUNION ALL ".join(selects))

    def _value(self, value: Any, kind: str) -> str:
        if isinstance(value, datetime):
            return self.dialect.instant(value)
        return self.dialect.cast(self.dialect.literal(value), kind)

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The server's own description of the query's result."""
        text = sql.replace("'", "''")
        with self._cursor(f"EXEC sp_describe_first_result_set N'{text}'") as cursor:
            places = [column[0] for column in cursor.description or ()]
            name, kind, hidden = (places.index(n) for n in ("name", "system_type_name", "is_hidden"))
            rows = [row for row in cursor.fetchall() if not row[hidden]]
        return [(str(row[name] or ""), str(row[kind] or "other")) for row in rows]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in the catalog."""
        wanted = ", ".join(self.dialect.literal(schema) for schema in schemas)
        rows = self.query(
            "SELECT s.name, t.name FROM sys.schemas s LEFT JOIN sys.tables t ON t.schema_id = s.schema_id "
            f"WHERE s.name IN ({wanted})"
        )
        named = {schema.lower(): schema for schema in schemas}
        if missing := sorted(set(schemas) - {named.get(str(row[0]).lower()) for row in rows}):
            raise schema_missing(missing)
        return {(named[str(schema).lower()], str(name)) for schema, name in rows if name is not None}

    def engine_version(self) -> str:
        """The same for all versions: SHA-256 is a standard."""
        return "sha256"

    @property
    def closed(self) -> bool:
        """Whether the session was closed or has broken."""
        return self._lost or bool(self._connection.closed)

    def clone(self) -> TSQLConnection:
        """Another session of the same kind."""
        return type(self)(self._opener(), self._opener, self.dialect)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


class SynapseConnection(TSQLConnection):
    """A session of a dedicated SQL pool."""

    def _labelled(self, sql: str) -> str:
        """By its label, where it can have one; the run comes first, since a label has an end."""
        comment = self.labels.comment()
        if not comment or not _LABELLED.match(sql):
            return comment + sql
        first, *named = comment.removeprefix("/* ").removesuffix(" */ ").split(" ")
        named.sort(key=lambda part: not part.startswith("run="))
        return f"{sql}\nOPTION (LABEL = '{' '.join([first, *named])[:LABEL]}')"

    def cancel_statement(self) -> None:
        """End the session by another one, if its user may: the driver can't stop a statement."""
        super().cancel_statement()
        run_id = self.labels.run
        if not run_id:
            return
        with suppress(WarehouseError), closing(cast(SynapseConnection, self.clone())) as other:
            if sessions := other._running(run_id):
                self._stopped = True
                try:
                    for session in sessions:
                        other._kill(session)
                except WarehouseError:
                    self._stopped = False

    def end_statements(self, run_id: str) -> bool:
        """End their sessions, which their labels tell; nothing if the user may not see or end them."""
        try:
            return end_all(run_id, lambda: self._running(run_id), self._kill)
        except PermissionDeniedError:
            return False

    def _running(self, run_id: str) -> list[str]:
        """The sessions in which statements of a run are running or waiting."""
        rows = self.query(
            "SELECT DISTINCT session_id FROM sys.dm_pdw_exec_requests "
            f"WHERE label LIKE 'warehouse-cdc run={run_id} %' AND status IN ('Running', 'Suspended')"
        )
        return [str(session) for (session,) in rows]

    def _kill(self, session: str) -> None:
        self.query(f"KILL {self.dialect.literal(session).removeprefix('N')}")

    def findings(self) -> list[tuple[str, bool, str, str]]:
        """Whether a dead run's statements can be seen, and whether readers see what isn't committed."""
        seen, fix = "statements of a dead run can be seen", ""
        try:
            self._running("")
        except PermissionDeniedError:
            seen = "statements that a dead run left running can't be seen, and aren't ended"
            fix = f"GRANT VIEW DATABASE STATE TO {self.dialect.quote(self.user())}"
        found = [("statements", not fix, seen, fix)]
        select = "SELECT DB_NAME(), is_read_committed_snapshot_on FROM sys.databases WHERE name = DB_NAME()"
        for database, is_on in self.query(select):
            detail = "a statement sees what was committed when it began"
            fix = ""
            if not is_on:
                detail = "a model may see rows that others have not committed (READ UNCOMMITTED)"
                name = self.dialect.quote(str(database))
                fix = f"ALTER DATABASE {name} SET READ_COMMITTED_SNAPSHOT ON (in the database master)"
            found.append(("isolation", bool(is_on), detail, fix))
        return found


def _aware(value: Any) -> Any:
    """A value; moments of ours are in UTC."""
    plain = isinstance(value, datetime) and value.tzinfo is None
    return value.replace(tzinfo=timezone.utc) if plain else value


def _as(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column in our type; digits of a second that it can't hold are dropped."""
    return array if array.type == wanted else array.cast(wanted, safe=not pa.types.is_temporal(wanted))


def _wait_of(error: QueryError, sql: str) -> float:
    """Seconds before a statement is sent again: 0 if it isn't."""
    return 10.0 if error.code == "query-busy" else wait_of_conflict(error, sql)
