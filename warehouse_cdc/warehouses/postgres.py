"""PostgreSQL by psycopg 3.

Nothing here depends on the session: settings are made for one transaction at a time, nothing is prepared
and no cursor outlives its transaction, so a pooler in transaction mode may stand between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import errors as pg
from psycopg.adapt import AdaptersMap, Buffer, Loader
from psycopg.pq import Format
from psycopg.rows import TupleRow, tuple_row
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType, Postgres
from warehouse_cdc.errors import (
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    UnsupportedError,
    WarehouseError,
)
from warehouse_cdc.warehouses.base import (
    STANDARD,
    Connection,
    Work,
    fresh_token,
    redacted,
    schema_missing,
    unquoted,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SESSION = {
    **{"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "extra_float_digits": "1"},
    **{"bytea_output": "hex", "xmloption": "content", "standard_conforming_strings": "on"},
    **{"client_encoding": "UTF8", "quote_all_identifiers": "off"},
}
_SETTINGS = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _SESSION.items())
_SET = ", ".join(f"set_config('{name}', '{value}', TRUE)" for name, value in _SESSION.items())
"""The same, for a session that takes one statement at a time."""
_LOOKUP_MEMORY = 64 * 2**20
_READING = {"client_encoding": ("UTF8", "UNICODE"), "standard_conforming_strings": ("on",)}
"""What settings of the session must be, by any name, for a statement to be read as it is written."""
_PLANNER: dict[Work, dict[str, str]] = {
    "": {},
    # Otherwise the cost of passing rows on keeps the planner from workers.
    "scan": {"parallel_tuple_cost": "'0'"},
    # Otherwise what it thinks of disks makes it read the whole table, and the rows looked for go to disk.
    "lookup": {
        "random_page_cost": "'1.1'",
        "work_mem": f"greatest(pg_size_bytes(current_setting('work_mem')), {_LOOKUP_MEMORY}) / 1024 || 'kB'",
    },
}
"""Settings of the server's planner: name to the value's expression."""
COPY_ROWS = 20_000
"""From so many rows on, a session of its own is worth its start."""
_EPOCH_DAYS = 10_957
_EPOCH_MICROS = 946_684_800_000_000


class _Days(Loader):
    """A date as days since 1970; infinities keep their extreme values."""

    format = Format.BINARY
    extremes: ClassVar[tuple[int, ...]] = (2**31 - 1, -(2**31))
    shift: ClassVar[int] = _EPOCH_DAYS

    def load(self, data: Buffer) -> int:
        value = int.from_bytes(data, "big", signed=True)
        return value if value in self.extremes else value + self.shift


class _Micros(_Days):
    """A timestamp as microseconds since 1970."""

    extremes = (2**63 - 1, -(2**63))
    shift = _EPOCH_MICROS


class _TimeMicros(_Days):
    """A time of day as microseconds."""

    shift = 0


class _Instant(Loader):
    """An instant as ``_SETTINGS`` make the server print it; psycopg's own loader goes by the session's."""

    def load(self, data: Buffer) -> datetime:
        """Read it."""
        whole, _point, fraction = bytes(data).decode().removesuffix("+00").partition(".")
        try:
            moment = datetime.fromisoformat(whole)
        except ValueError:
            raise psycopg.DataError("An instant is outside of Python's years.") from None
        return moment.replace(microsecond=int(fraction.ljust(6, "0")), tzinfo=timezone.utc)


def _adapters(loaders: Mapping[str, type[Loader]]) -> AdaptersMap:
    """The driver's own adapters, and these loaders."""
    adapters = AdaptersMap(psycopg.adapters)
    for name, loader in loaders.items():
        adapters.register_loader(name, loader)
    return adapters


class PlainCursor(psycopg.Cursor[TupleRow]):
    """A cursor for which the adapters of a given connection don't count."""

    adapters = _adapters({"timestamptz": _Instant})


class _Stream(psycopg.ServerCursor[TupleRow]):
    """The same, on the server, for values in binary format."""

    adapters = _adapters({"date": _Days, "timestamp": _Micros, "timestamptz": _Micros, "time": _TimeMicros})


_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "uuid": pa.string(),
    "decimal": pa.string(),
    "json": pa.string(),
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
        widths = {"smallint": pa.int16(), "integer": pa.int32(), "int": pa.int32()}
        return widths.get(kind.name.lower(), pa.int64())
    if kind.kind == "float":
        return pa.float32() if kind.name.lower() == "real" else pa.float64()
    return _ARROW[kind.kind]


_KEEPALIVES = {
    "keepalives_idle": "60",
    "keepalives_interval": "15",
    "keepalives_count": "4",
    "tcp_user_timeout": "120000",
}
"""libpq's parameters by which a server that went without a word is noticed within two minutes."""


_BATCH_BYTES = "adbc.postgresql.batch_size_hint_bytes"
"""The ADBC driver's option for how much of an answer makes a record batch."""


def _adbc_session(conninfo: str) -> Any:
    """A session of the ADBC driver; None if it isn't installed or can't connect as psycopg does."""
    try:
        import adbc_driver_postgresql.dbapi as adbc
    except ImportError:
        return None
    try:
        return adbc.connect(conninfo)
    except adbc.Error:
        return None


def _too_late() -> QueryError:
    return QueryError(
        "A timestamp is later than 64 bits of microseconds since 1970 can tell.",
        hint="Cast the column to text in the model, or cut such values.",
    )


def _exact(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """A column in the wanted type, with infinite dates and times at their extremes.

    The driver shifts PostgreSQL's epoch, 2000, to 1970 and lets what doesn't fit wrap around.

    Raises:
        QueryError: An instant is later than Arrow's last one.
    """
    if not pa.types.is_temporal(wanted) or pa.types.is_time(wanted):
        return column if column.type == wanted else column.cast(wanted)
    bits, shift = (32, _EPOCH_DAYS) if pa.types.is_date(wanted) else (64, _EPOCH_MICROS)
    number = pa.int32() if bits == 32 else pa.int64()
    raw = column.view(number)
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    low = pc.less_equal(raw, pa.scalar(lowest + shift, number))
    if not pc.any(low).as_py():
        return raw.view(wanted)
    if pc.any(pc.less(raw, pa.scalar(lowest + shift - 1, number))).as_py():
        raise _too_late()
    ends = pc.if_else(
        pc.equal(raw, pa.scalar(lowest + shift, number)),
        pa.scalar(lowest, number),
        pa.scalar(highest, number),
    )
    return pc.if_else(low, ends, raw).view(wanted)


def open_postgres(
    conninfo: str,
    dialect: Postgres | None = None,
    *,
    options: Mapping[str, str] | None = None,
    token: Callable[[], str] | None = None,
) -> PostgresConnection:
    """Connect by a URL or a libpq connection string.

    Args:
        conninfo: Where to.
        dialect: What is spoken there, if it isn't PostgreSQL itself.
        options: More of libpq's parameters.
        token: Called for the password of each new session.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    given = dict(options or {})
    opener = None
    if token is not None:
        given["password"] = fresh_token(token)
        opener = partial(open_postgres, conninfo, dialect, options=options, token=token)
    connection = sign_in(conninfo, given)
    return PostgresConnection(connection, owned=True, opener=opener, dialect=dialect)


def sign_in(conninfo: str, options: Mapping[str, str]) -> psycopg.Connection[Any]:
    """A session of the driver.

    Args:
        conninfo: As of ``open_postgres``.
        options: More of libpq's parameters.

    Raises:
        ConnectionLostError: The server can't be reached or refuses the sign-in.
    """
    try:
        said = psycopg.conninfo.conninfo_to_dict(conninfo, **options)
        patience = {"connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", "15"), **_KEEPALIVES}
        unsaid = {name: value for name, value in patience.items() if name not in said}
        target = psycopg.conninfo.make_conninfo(conninfo, **unsaid, **options)
        return psycopg.connect(target, autocommit=True, prepare_threshold=None)
    except psycopg.ProgrammingError:
        raise ConnectionLostError(
            "The PostgreSQL connection string can't be read.",
            hint="postgresql://user:password@host:5432/database",
            retryable=False,
        ) from None
    except psycopg.Error as error:
        refused = "password" in str(error) or "authentication" in str(error)
        raise ConnectionLostError(
            "PostgreSQL refused the sign-in." if refused else "PostgreSQL can't be reached.",
            hint="Check user and password." if refused else "Check host, port and database.",
            retryable=not refused,
        ) from None


def from_engine(engine: Engine) -> PostgresConnection:
    """A connection of a SQLAlchemy engine's own making, taken out of its pool.

    Raises:
        UnsupportedError: The engine's driver isn't psycopg 3.
        ConnectionLostError: It can't connect.
    """
    if engine.driver != "psycopg":
        raise UnsupportedError(
            f"An Engine with the driver {engine.driver!r} can't be used.",
            code="connect-target",
            hint="Make it with postgresql+psycopg://, or pass the URL.",
        )
    try:
        pooled = engine.raw_connection()
    except Exception as error:
        raise ConnectionLostError(f"The Engine can't connect ({type(error).__name__}).") from None
    connection = pooled.driver_connection
    pooled.detach()
    assert isinstance(connection, psycopg.Connection)
    connection.rollback()
    return PostgresConnection(connection, owned=True, opener=lambda: from_engine(engine))


class PostgresConnection(Connection):
    """A psycopg connection in autocommit mode."""

    dialect: Postgres
    _literals = STANDARD

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        *,
        owned: bool,
        opener: Callable[[], PostgresConnection] | None = None,
        dialect: Postgres | None = None,
    ) -> None:
        """Take a connection.

        Args:
            connection: One that isn't owned is left open and gets its modes back.
            owned: Whether to close it.
            opener: Makes another one like it; by its own parameters if None.
            dialect: What is spoken there; PostgreSQL if None.
        """
        self._opener = opener
        self.dialect = Postgres() if dialect is None else dialect
        self.statements = 0
        self._connection = connection
        self._owned = owned
        self._in_transaction = False
        self._copying: Any = None
        self._was_autocommit = connection.autocommit
        if connection.closed:
            raise ConnectionLostError("The given PostgreSQL connection is closed.")
        info = connection.info
        self._conninfo = psycopg.conninfo.make_conninfo(info.dsn, password=info.password or None)
        if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            raise QueryError(
                "The given PostgreSQL connection is inside a transaction.",
                hint="Commit or roll back first, or pass a URL.",
            )
        connection.autocommit = True
        self._was_prepared_after, connection.prepare_threshold = connection.prepare_threshold, None
        self._former = self._read_statements_as_written()
        self._assumed: str | None = None

    def _read_statements_as_written(self) -> dict[str, str]:
        """Set what counts before a message is read, for the session; returns what was otherwise."""
        info = self._connection.info
        told = {name: info.parameter_status(name) for name in _READING}
        changed = {name: value for name, value in told.items() if value and value not in _READING[name]}
        for name in changed:
            with self._mapped(f"SET {name}"):
                self._connection.execute(f"SET {name} TO '{_READING[name][0]}'".encode())
        return changed

    @property
    def _role(self) -> str | None:
        """The role that a given session has taken on; new sessions don't have it."""
        if self._owned or self._assumed is not None:
            return self._assumed
        ((current, signed_in),) = self.query("SELECT current_user, session_user")
        return None if current == signed_in else str(current)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._cursor(sql) as cursor:
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement, with settings of the server's planner that fit what it does."""
        settings = _PLANNER[work]
        before = "".join(f"SELECT set_config('{name}', {value}, true); " for name, value in settings.items())
        after = "".join(f"; SET LOCAL {name} TO DEFAULT" for name in settings)
        with self._cursor(f"{before}{sql}{after}"):
            pass

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[PlainCursor]:
        """Send a statement and take the last result of the message."""
        self._sending()
        text = self.labels.comment() + self._framed(sql)
        with self._mapped(sql):
            cursor = PlainCursor(self._connection, row_factory=tuple_row)
            try:
                cursor.execute(text.encode())
                while cursor.nextset():
                    pass
                yield cursor
            finally:
                cursor.close()

    def _framed(self, sql: str) -> str:
        """The message that carries a statement: outside a transaction, with the settings before it."""
        return sql if self._in_transaction else f"{_SETTINGS}; {sql}"

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """A READ COMMITTED transaction, or a REPEATABLE READ one for a snapshot."""
        begin = f"BEGIN ISOLATION LEVEL {'REPEATABLE READ' if snapshot else 'READ COMMITTED'}; {_SETTINGS}"
        limits = {"idle_in_transaction_session_timeout": idle_timeout, "lock_timeout": lock_timeout}
        for name, seconds in limits.items():
            if seconds is not None:
                begin += f"; SET LOCAL {name} = {max(1, int(seconds * 1000))}"
        with self._in_transaction_of(begin):
            yield

    @contextmanager
    def _in_transaction_of(self, begin: str) -> Iterator[None]:
        """A transaction around the block that a message begins."""
        self._sending()
        with self._mapped("BEGIN"):
            self._connection.execute(begin.encode())
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self._in_transaction = False
            if not self._connection.closed:
                self._rollback()
            raise
        self._in_transaction = False
        self._sending()
        with self._mapped("COMMIT"):
            cursor = self._connection.execute(b"COMMIT")
        if cursor.statusmessage != "COMMIT":
            raise QueryError("PostgreSQL rolled the transaction back at its commit.", retryable=True)

    def _rollback(self) -> None:
        try:
            self._connection.execute(b"ROLLBACK")
        except psycopg.Error:
            # The server has rolled back already: it ended the session.
            self._connection.close()

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """Many rows by COPY in a session of the ADBC driver, if it is there; few by a server-side cursor.

        Both use PostgreSQL's binary format. The cursor has a transaction of its own.
        """
        types = [arrow_type(kind) for kind in kinds]
        if expected_rows >= COPY_ROWS and self._opener is None and self._role is None:
            session = _adbc_session(self._conninfo)
            if session is not None:
                self._sending()
                yield from self._copied(session, sql, types)
                return
        pa.array([])  # the first array imports pandas where it is installed: not inside the transaction
        with self.transaction(idle_timeout=idle_timeout), self._mapped(sql):
            self._sending()
            with _Stream(self._connection, "wcdc_stream", row_factory=tuple_row) as cursor:
                cursor.itersize = batch_rows
                cursor.execute(f"{self.labels.comment()}{sql}".encode(), binary=True)
                names = [column.name for column in cursor.description or ()]
                while rows := cursor.fetchmany(batch_rows):
                    columns = zip(*rows, strict=True)
                    try:
                        arrays = [pa.array(c, t) for c, t in zip(columns, types, strict=True)]
                    except OverflowError:
                        raise _too_late() from None
                    yield pa.RecordBatch.from_arrays(arrays, names)

    def _copied(self, session: Any, sql: str, types: Sequence[pa.DataType]) -> Iterator[pa.RecordBatch]:
        """A query's rows as the ADBC driver reads them, in exactly these types."""
        try:
            with session, session.cursor() as cursor:
                cursor.execute(f"SELECT {_SET}")
                cursor.fetchall()
                cursor.adbc_statement.set_options(**{_BATCH_BYTES: str(2 * 1024 * 1024)})
                self._copying = cursor
                cursor.execute(f"{self.labels.comment()}{sql}")
                for batch in cursor.fetch_record_batch():
                    columns = zip(batch.columns, types, strict=True)
                    yield pa.RecordBatch.from_arrays([_exact(c, t) for c, t in columns], batch.schema.names)
        except (session.Error, OSError) as error:
            # Not chained: the driver's message may hold row values.
            raise QueryError(
                f"PostgreSQL's rows could not be read ({type(error).__name__}).", sql=redacted(sql)
            ) from None
        finally:
            self._copying = None

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def insert(self, schema: str, table: str, rows: pa.Table) -> None:
        """One statement, whole in one message: COPY would keep the transaction's locks if this process stops.

        While the server waits for the rows of a COPY, no time limit of its own ends the transaction.
        """
        names = ", ".join(self.dialect.quote(name) for name in rows.column_names)
        target = self.dialect.table(schema, table)
        values = [{name: storable(value) for name, value in row.items()} for row in rows.to_pylist()]
        literal = self.dialect.literal(json.dumps(values, ensure_ascii=False))
        records = f"json_populate_recordset(NULL::{target}, {literal})"
        self.execute(f"INSERT INTO {target} ({names}) SELECT {names} FROM {records}")

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The server's own description of the query's result."""
        found = self._result_columns(sql)
        if not found:
            return []
        values = ", ".join(f"({place}, {oid}, {mod})" for place, (_name, oid, mod) in enumerate(found))
        # An enumeration's name says nothing of its kind: show it as text.
        types = self.query(
            "SELECT CASE WHEN t.typtype = 'e' THEN 'text' WHEN t.typtype = 'c' THEN 'record' "
            "ELSE format_type(w.oid, w.mod) END "
            f"FROM (VALUES {values}) w(place, oid, mod) JOIN pg_catalog.pg_type t ON t.oid = w.oid::oid "
            "ORDER BY w.place"
        )
        return [(name, str(row[0])) for (name, _oid, _mod), row in zip(found, types, strict=True)]

    def _result_columns(self, sql: str) -> list[tuple[str, int, int]]:
        """Name, type and type modifier of each column of a query, without running it."""
        with self._cursor(f"SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0") as cursor:
            result = cursor.pgresult
            if result is None:
                return []
            return [
                ((result.fname(index) or b"").decode(), result.ftype(index), result.fmod(index))
                for index in range(result.nfields)
            ]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in the catalog."""
        wanted = ", ".join(self.dialect.literal(schema) for schema in schemas)
        rows = self.query(
            "SELECT n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE') "
            "FROM pg_catalog.pg_namespace n "
            "LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') "
            f"WHERE n.nspname IN ({wanted})"
        )
        missing = sorted(set(schemas) - {str(row[0]) for row in rows})
        if missing:
            raise schema_missing(missing)
        if closed := sorted({str(row[0]) for row in rows if not row[2]}):
            # CREATE without USAGE would do until the first statement that reads: too late.
            text = f"permission denied for schema {closed[0]}"
            raise PermissionDeniedError(f"PostgreSQL denied a statement: {text}", hint=_grant_hint(text))
        return {(str(row[0]), str(row[1])) for row in rows if row[1] is not None}

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """Tables and materialized views without row security, none of whose partitions is a foreign table."""
        if not tables:
            return []
        looked_up = ", ".join(
            f"({place}, {self.dialect.literal(table.sql(dialect='postgres'))})"
            for place, table in enumerate(tables)
        )
        rows = self.query(
            "SELECT w.place, array_agg(lower(a.attname)) "
            f"FROM (VALUES {looked_up}) w(place, name) "
            "JOIN pg_catalog.pg_class c ON c.oid = to_regclass(w.name) "
            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE c.relkind IN ('m', 'r', 'p') AND (c.relkind = 'p' OR NOT c.relhassubclass) "
            "AND NOT c.relrowsecurity AND NOT EXISTS "
            "(SELECT 1 FROM pg_catalog.pg_partition_tree(c.oid) t "
            "JOIN pg_catalog.pg_class l ON l.oid = t.relid WHERE l.relkind = 'f') "
            "GROUP BY w.place ORDER BY w.place"
        )
        return [frozenset(names) for _place, names in rows] if len(rows) == len(tables) else None

    def change_hint(self, tables: Sequence[exp.Table]) -> str:
        """The statistics' counters of changed rows: they come late, and are lost in a crash."""
        plain = all(isinstance(table.this, exp.Identifier) for table in tables)
        if not tables or not plain or not self.dialect.capabilities.change_hints:
            return ""
        names = ", ".join(f"({self.dialect.literal(table.sql(dialect='postgres'))})" for table in tables)
        counters = ", ".join(
            f"pg_stat_get_tuples_{what}(c.oid)" for what in ("inserted", "updated", "deleted")
        )
        of_table = f"concat_ws('.', c.oid, c.relfilenode, {counters})"
        ((found, hint),) = self.query(
            f"SELECT count(*), string_agg({of_table}, ',' ORDER BY c.oid) "
            f"FROM (VALUES {names}) w(name) JOIN pg_catalog.pg_class c ON c.oid = to_regclass(w.name) "
            "WHERE c.relkind IN ('m', 'r') AND NOT c.relhassubclass"
        )
        return str(hint) if found == len(tables) else ""

    def cancel_statement(self) -> None:
        """Ask the server by a connection of its own."""
        if (copying := self._copying) is not None:
            with suppress(Exception):  # it may be over already, or closed
                copying.adbc_cancel()
            return
        with suppress(psycopg.Error):  # it may be over already
            getattr(self._connection, "cancel_safe", self._connection.cancel)()

    def engine_version(self) -> str:
        """The server's major version."""
        return str(self._connection.info.server_version // 10_000)

    @property
    def closed(self) -> bool:
        """Whether the session was closed, by either side."""
        return bool(self._connection.closed or self._connection.broken)

    def clone(self) -> PostgresConnection:
        """Another session with the same parameters."""
        made = open_postgres(self._conninfo, self.dialect) if self._opener is None else self._opener()
        if (role := self._role) is not None:
            made.execute(f"SET ROLE {self.dialect.quote(role)}")
            made._assumed = role
        return made

    def close(self) -> None:
        """Close the session, or give it back."""
        if self._owned:
            self._connection.close()
        elif not self._connection.closed:
            with suppress(psycopg.Error):  # it broke: there is nothing to give back
                for name, value in self._former.items():
                    self._connection.execute(f"SET {name} TO '{value}'".encode())
                self._connection.autocommit = self._was_autocommit
                self._connection.prepare_threshold = self._was_prepared_after

    @contextmanager
    def _mapped(self, sql: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            lost = self._connection.closed or self._connection.broken
            raise _mapped(error, redacted(sql, literal=self._literals), lost=lost) from None


_NAMES_ONLY = (
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.UndefinedFunction,
    pg.AmbiguousColumn,
    pg.SyntaxError,
    pg.DuplicateTable,
    pg.DatatypeMismatch,
    pg.InsufficientPrivilege,
    pg.GroupingError,
)
"""Errors whose message names objects, never row values."""


def _mapped(error: psycopg.Error, shown: str, *, lost: bool) -> WarehouseError:
    text = (error.diag.message_primary or "") if isinstance(error, _NAMES_ONLY) else ""
    if isinstance(error, pg.SyntaxError):
        text = unquoted(text)  # it quotes what is near, which may be a literal
    detail = f": {text}" if text else "."
    if isinstance(error, pg.InsufficientPrivilege):
        return PermissionDeniedError(
            f"PostgreSQL denied a statement{detail}", sql=shown, hint=_grant_hint(text)
        )
    if lost or isinstance(error, (pg.AdminShutdown, pg.IdleInTransactionSessionTimeout)):
        return ConnectionLostError("The connection to PostgreSQL was lost.", sql=shown)
    if isinstance(error, pg.ProgramLimitExceeded):
        return QueryError(
            "PostgreSQL refused a statement: something is larger than it can store (ProgramLimitExceeded).",
            sql=shown,
            code="row-too-wide",
            hint="If it is a row of a plan, which has new and former values: map fewer columns, or pack "
            "columns into a JSON object in the model.",
        )
    retryable = isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable))
    return QueryError(
        f"PostgreSQL refused a statement ({type(error).__name__}){detail}",
        sql=shown,
        code="query-conflict" if retryable else None,
        retryable=retryable,
    )


def storable(value: Any) -> Any:
    """As JSON may hold it for PostgreSQL: no NUL, no lone surrogate."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return value.isoformat() if isinstance(value, datetime) else value


def _grant_hint(message: str) -> str:
    if "for schema" in message:
        return (
            "The user needs CREATE and USAGE on the two schemas, and USAGE on the model's: "
            "see `warehouse-cdc check`."
        )
    return "The user needs SELECT on the model's tables, and own the engine's: see `warehouse-cdc check`."
