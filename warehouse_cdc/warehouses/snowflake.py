"""Snowflake by its own connector.

Each statement is alone: statements that make tables commit by themselves, so runs are recorded in tables.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from os import fspath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from snowflake import connector

from warehouse_cdc.dialects import ColumnType, Dialect, Snowflake
from warehouse_cdc.dialects.snowflake import digits_of
from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    UnsupportedError,
    WarehouseError,
)
from warehouse_cdc.warehouses.alone import AloneConnection
from warehouse_cdc.warehouses.base import (
    NAMED,
    Work,
    end_all,
    fresh_token,
    literals,
    redacted,
    schema_missing,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from warehouse_cdc.sources.snowflake import Snowflake as Source

_VERSION = int(connector.__version__.partition(".")[0])
_CUT = {"force_microsecond_precision": True} if _VERSION >= 5 else {}
"""Otherwise nanoseconds before 1678 and after 2262 can't be read."""
_LITERAL = literals(r"'(?:[^'\\]|\\.|'')*'|\$\$.*?\$\$", rf"{NAMED}|//[^\n]*")
_SESSION = {"TIMEZONE": "UTC", "TIMESTAMP_INPUT_FORMAT": "AUTO", "DATE_INPUT_FORMAT": "AUTO"}
"""Parameters of every statement, also in sessions that are somebody else's: they outlive no statement."""
_OVER = "'SUCCESS', 'FAILED_WITH_ERROR', 'FAILED_WITH_INCIDENT'"
"""What the history says of statements that have ended."""
_CODES = dict(
    enumerate(
        (
            *("NUMBER", "FLOAT", "VARCHAR", "DATE", "TIMESTAMP_NTZ", "VARIANT"),
            *("TIMESTAMP_LTZ", "TIMESTAMP_TZ", "TIMESTAMP_NTZ", "OBJECT", "ARRAY", "BINARY"),
            *("TIME", "BOOLEAN", "GEOGRAPHY", "GEOMETRY", "VECTOR", "MAP"),
        )
    )
)
"""The connector's numbers of types."""
_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type in which a stored type arrives."""
    if kind.kind in ("integer", "decimal"):
        precision, scale = digits_of(kind)
        return pa.int64() if scale == 0 and precision <= 18 else pa.decimal128(precision, scale)
    return _ARROW[kind.kind]


def _array(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """A column as the connector returns it, in an Arrow type; finer times are cut."""
    if pa.types.is_timestamp(wanted):
        values = values.cast(pa.timestamp(wanted.unit, values.type.tz), safe=False)
        if wanted.tz is not None and values.type.tz is None:
            return pc.assume_timezone(values, wanted.tz)
    return values.cast(wanted, safe=not pa.types.is_temporal(wanted))


def arguments_of(source: Source) -> dict[str, Any]:
    """What the connector is told, but for a token that has yet to be asked for.

    Raises:
        ConfigError: The private key can't be read (code ``source-field``).
    """
    fields = ("account", "user", "database", "schema", "warehouse", "role", "password", "host", "port")
    session = {**_SESSION, "ABORT_DETACHED_QUERY": True}
    if source.statement_timeout is not None:
        session["STATEMENT_TIMEOUT_IN_SECONDS"] = source.statement_timeout
    arguments: dict[str, Any] = {
        **{name: value for name in fields if (value := getattr(source, name)) is not None},
        "protocol": source.protocol,
        "autocommit": True,
        "application": "warehouse_cdc",
        "arrow_number_to_decimal": True,
        "client_session_keep_alive": True,
        "session_parameters": session,
    }
    if source.private_key is not None or source.private_key_file is not None:
        arguments |= {"authenticator": "SNOWFLAKE_JWT", "private_key": _private_key(source)}
    elif source.access_token is not None:
        arguments |= {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": source.access_token}
    elif source.workload_identity is not None:
        arguments |= {"authenticator": "WORKLOAD_IDENTITY"}
        arguments["workload_identity_provider"] = source.workload_identity
    elif source.token is not None:
        arguments["authenticator"] = "OAUTH"
    if _VERSION >= 5:
        arguments["enable_server_session_keep_alive_auto_detection"] = False  # what the next one defaults to
    more = dict(source.options)
    arguments["session_parameters"] |= more.pop("session_parameters", {})
    return {**arguments, **more}


def _private_key(source: Source) -> bytes:
    """The key in the form that all versions of the connector take."""
    passphrase = source.private_key_passphrase
    try:
        if source.private_key_file is None:
            text = (source.private_key or "").encode()
        else:
            with open(fspath(source.private_key_file), "rb") as file:
                text = file.read()
        key = serialization.load_pem_private_key(text, None if passphrase is None else passphrase.encode())
    except OSError as error:
        raise ConfigError(
            f"Snowflake: the private key can't be read ({type(error).__name__}).", code="source-field"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            "Snowflake: the private key isn't PEM, or the passphrase isn't its own.",
            code="source-field",
            hint="A file that openssl pkcs8 -topk8 made, and private_key_passphrase if it is encrypted.",
        ) from None
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def open_snowflake(source: Source) -> SnowflakeConnection:
    """Connect.

    Raises:
        ConfigError: The private key can't be read.
        ConnectionLostError: Snowflake can't be reached or refuses the sign-in.
    """
    arguments, token = arguments_of(source), source.token

    def opener() -> Any:
        fresh = {} if token is None else {"token": fresh_token(token) if callable(token) else token}
        return connector.connect(**arguments, **fresh)

    warehouses = (source.warehouse, source.interactive_warehouse)
    spoken, name = source.spoken(), source.database
    spoken.catalog = name[1:-1].replace('""', '"') if name.startswith('"') else name.upper()
    return SnowflakeConnection(spoken, opener, warehouses=warehouses)


def from_engine(engine: Engine) -> SnowflakeConnection:
    """Connections of a SQLAlchemy engine's own making, taken out of its pool.

    Raises:
        ConnectionLostError: It can't connect.
    """

    def opener() -> Any:
        try:
            pooled = engine.raw_connection()
        except Exception as error:
            raise ConnectionLostError(f"The Engine can't connect ({type(error).__name__}).") from None
        connection: Any = pooled.driver_connection
        pooled.detach()
        connection.autocommit(True)
        return connection

    return SnowflakeConnection(Snowflake(), opener)


def adopt(connection: Any) -> SnowflakeConnection:
    """Use a connection of the connector's, which stays its owner's.

    Raises:
        UnsupportedError: It isn't one, or doesn't commit each statement.
    """
    if not isinstance(connection, connector.SnowflakeConnection):
        raise UnsupportedError(
            f"A {type(connection).__name__} is no connection of snowflake.connector.", code="connect-target"
        )
    adopted = SnowflakeConnection(Snowflake(), lambda: connection, owned=False)
    ((_name, value, *_rest),) = adopted.query("SHOW PARAMETERS LIKE 'AUTOCOMMIT' IN SESSION")
    if str(value).lower() != "true":
        adopted.close()
        raise UnsupportedError(
            "The connection doesn't commit each statement.",
            code="connect-target",
            hint="Call its autocommit(True) before, or pass a source or a URL.",
        )
    return adopted


class SnowflakeConnection(AloneConnection):
    """A session."""

    insert_bytes = 900_000  # a statement may have a megabyte
    insert_rows = 10_000  # Snowflake takes 16,384 in a list

    def __init__(
        self,
        dialect: Dialect,
        opener: Callable[[], Any],
        *,
        owned: bool = True,
        warehouses: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """Open it.

        Args:
            dialect: What is spoken.
            opener: Returns the connector's connection.
            owned: Each connection is a session of its own, which ends with it. Otherwise all share one.
            warehouses: For batches and for what somebody waits for.
        """
        super().__init__()
        self.dialect = dialect
        self._opener = opener
        self._owned = owned
        self._warehouses = warehouses
        self._lost = False
        self._under_way = False
        try:
            self._connection = opener()
        except connector.errors.Error as error:
            raise _mapped(error, "") from None
        # Also where the connection is not of our making: else decimals become floats.
        self._decimals = bool(self._connection.arrow_number_to_decimal)
        self._keep_decimals(True)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._cursor(sql) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again, if it was refused because too many wait for the table already."""
        before = self._connection.schema if sql.startswith("CREATE SCHEMA") else None
        self._repeated(lambda: self._run(sql), lambda error: 1.0 if error.code == "query-conflict" else 0.0)
        if before is not None:
            # Snowflake has made the new one the session's.
            self.execute(f"USE SCHEMA {self.dialect.quote(before)}")

    def _run(self, sql: str) -> None:
        with self._cursor(sql):
            pass

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[Any]:
        """Send a statement; it is cancelled if nobody waits for its end."""
        self._sending()
        try:
            with self._connection.cursor() as cursor:
                self._under_way = True
                try:
                    self._send(cursor, sql)
                finally:
                    self._under_way = False
                yield cursor
        except connector.errors.Error as error:
            raise self._failed(error, sql) from None

    def _failed(self, error: Exception, sql: str) -> WarehouseError:
        mapped = _mapped(error, sql)
        self._lost = self._lost or isinstance(mapped, ConnectionLostError)
        return mapped

    def _send(self, cursor: Any, sql: str) -> None:
        """Run a statement in a thread, because the connector listens to no signal as it waits."""
        arguments = {"_statement_params": {**_SESSION, "QUERY_TAG": self._tag()}}
        if threading.current_thread() is not threading.main_thread():
            cursor.execute(sql, **arguments)
            return
        failed: list[BaseException] = []

        def run() -> None:
            try:
                cursor.execute(sql, **arguments)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            thread.join()
        except BaseException:
            self._cancel()
            thread.join(10)
            raise
        if failed:
            raise failed[0]

    def _tag(self) -> str:
        """What the statement is for, as the query history shows it; at most 2,000 characters fit."""
        named = {"app": "warehouse-cdc", "stage": self.labels.stage, "run": self.labels.run}
        named["sync"] = self.labels.sync[:500]
        return json.dumps({name: text for name, text in named.items() if text}, ensure_ascii=False)

    def _cancel(self) -> None:
        """End what this session runs, from another one; what the session's owner runs is not ours to end."""
        if not self._owned:
            return
        with suppress(Exception):  # what went wrong before matters more
            other = self._opener()
            try:
                with other.cursor() as cursor:
                    cursor.execute(f"SELECT SYSTEM$CANCEL_ALL_QUERIES({int(self._connection.session_id)})")
            finally:
                other.close()

    def cancel_statement(self) -> None:
        """End it from another session."""
        super().cancel_statement()
        if self._under_way:
            self._cancel()

    def end_statements(self, run_id: str) -> bool:
        """Cancel them, by their tag: a user sees and cancels the statements of their own without a grant."""
        tagged = self.dialect.literal(f'"run": {json.dumps(run_id)}')
        look = (
            "SELECT query_id FROM TABLE(information_schema.query_history_by_user(RESULT_LIMIT => 10000)) "
            f"WHERE CONTAINS(query_tag, {tagged}) AND execution_status NOT IN ({_OVER})"
        )

        return end_all(
            run_id,
            lambda: [str(query_id) for (query_id,) in self.query(look)],
            lambda query_id: self.query(f"SELECT SYSTEM$CANCEL_QUERY({self.dialect.literal(query_id)})"),
        )

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The server's Arrow, part by part."""
        with self._cursor(sql) as cursor:
            for table in cursor.fetch_arrow_batches(**_CUT):
                names = [name.lower() for name in table.column_names]
                try:
                    arrays = [
                        values if kind is None else _array(values, arrow_type(kind))
                        for values, kind in zip(table.columns, kinds, strict=True)
                    ]
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    raise QueryError(
                        "A value doesn't fit into an Arrow column of its type.",
                        sql=_shown(sql),
                    ) from None
                yield from pa.Table.from_arrays(arrays, names).to_batches(max_chunksize=batch_rows)

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def _literal(self, value: Any) -> str:
        if isinstance(value, datetime):
            value = value.astimezone(timezone.utc).isoformat(" ", "microseconds")
        return super()._literal(value)

    def _column(self, name: str) -> str:
        return name

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The query's columns, which the server names without running it."""
        self._sending()
        try:
            with self._connection.cursor() as cursor:
                columns = cursor.describe(sql) or []
        except connector.errors.Error as error:
            raise self._failed(error, sql) from None
        return [(str(column.name), _type_name(column)) for column in columns]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in the database's information schema; only names that the engine could have made."""
        named = {_folded(self.dialect, schema): schema for schema in schemas}
        wanted = ", ".join(self.dialect.literal(name) for name in named)
        rows = self.query(
            f"SELECT schema_name, NULL FROM information_schema.schemata WHERE schema_name IN ({wanted}) "
            "UNION ALL SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema IN ({wanted}) AND table_type = 'BASE TABLE'"
        )
        if missing := sorted(set(schemas) - {named[row[0]] for row in rows}):
            raise schema_missing(missing)
        found = ((named[schema], str(name)) for schema, name in rows if name is not None)
        return {
            (schema, name.lower()) for schema, name in found if _folded(self.dialect, name.lower()) == name
        }

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """Use the warehouse for what somebody waits for, if there is one."""
        batch, other = self._warehouses
        if batch is None or other is None:
            yield
            return
        self._use(other)
        try:
            yield
        finally:
            self._use(batch)

    def _use(self, warehouse: str) -> None:
        self.execute(f"USE WAREHOUSE {self.dialect.quote(_folded(self.dialect, warehouse))}")

    def engine_version(self) -> str:
        """The same for all versions: MD5 is defined by its specification."""
        return "md5"

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._lost or bool(self._connection.is_closed())

    def clone(self) -> SnowflakeConnection:
        """Another session; or the same one, if it is somebody else's: it takes many cursors."""
        return SnowflakeConnection(self.dialect, self._opener, owned=self._owned, warehouses=self._warehouses)

    def close(self) -> None:
        """End the session; if it isn't ours, leave it as it was."""
        if self._owned:
            self._connection.close()
        else:
            self._keep_decimals(self._decimals)

    def _keep_decimals(self, value: bool) -> None:
        setattr(self._connection, f"arrow_number_to_decimal{'' if _VERSION >= 5 else '_setter'}", value)


def _folded(dialect: Dialect, name: str) -> str:
    assert isinstance(dialect, Snowflake)
    return dialect.folded(name)


def _type_name(column: Any) -> str:
    """A column's type as the connector describes it."""
    name = _CODES.get(column.type_code, f"TYPE {column.type_code}")
    if name == "NUMBER":
        return f"NUMBER({column.precision or 38}, {column.scale or 0})"
    if name.startswith("TIME"):
        return f"{name}({9 if column.scale is None else column.scale})"
    return name


def _shown(sql: str) -> str:
    return redacted(sql, literal=_LITERAL)


_NAMES_ONLY = frozenset({606, 904, 2002, 2003, 2043, 3001, 90105, 90106})
"""Numbers of errors whose message names objects, never row values or literals."""
_WAITERS = 625
_ENDED = frozenset({390104, 390111, 390112, 390114, 250002})
"""The session is over, or its token."""
_NOT_CONNECTED = 250001
"""What the connector says of a sign-in, also of the one by which it would renew a session."""
_HINTS = {
    606: "Give the source a warehouse, or the user a default one, and the role USAGE on it.",
    604: "Somebody ended it, or a resource monitor did.",
    630: "Raise statement_timeout, or the limit of the account, user or warehouse.",
    _WAITERS: "Run fewer syncs at once.",
}


def _mapped(error: Exception, sql: str) -> WarehouseError:
    number = getattr(error, "errno", None)
    code = f"{number:06d}" if isinstance(number, int) and number >= 0 else type(error).__name__
    known: Mapping[str, Any] = {
        "sql": _shown(sql),
        "query_id": getattr(error, "sfqid", None),
    }
    if number in _ENDED or (sql and number == _NOT_CONNECTED):
        return ConnectionLostError(f"Snowflake ended the session ({code}).", **known)
    if isinstance(number, int) and number // 1000 in (390, 394, 395):
        return ConnectionLostError(
            f"Snowflake refused the sign-in ({code}).",
            **known,
            hint="Check user, role, and the key, token or password; service users can't use passwords.",
            retryable=False,
        )
    if not sql or isinstance(error, connector.errors.OperationalError):
        return ConnectionLostError(
            f"Snowflake can't be reached, or refuses the sign-in ({code}).",
            **known,
            hint="Check the account's identifier and the network, and how you sign in.",
        )
    text = str(getattr(error, "raw_msg", None) or "").strip()
    detail = f": {text}" if number in _NAMES_ONLY and text else "."
    if number == 3001 or getattr(error, "sqlstate", None) == "42501":
        return PermissionDeniedError(
            f"Snowflake denied a statement ({code}){detail}",
            **known,
            hint="The role must own the two schemas and read the model's tables: see `warehouse-cdc check`.",
        )
    return QueryError(
        f"Snowflake refused a statement ({code}){detail}",
        **known,
        hint=_HINTS.get(number or 0, ""),
        code="query-conflict" if number == _WAITERS else None,
        retryable=number == _WAITERS,
    )
