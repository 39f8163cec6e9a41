"""Synapse and Fabric by Microsoft's driver.

Each statement commits by itself: runs are recorded in tables. Results are Arrow batches of the driver's
making. The driver tells no numbers of errors, so they are known by their texts.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, cast

import msal
import mssql_python
import pyarrow as pa
from mssql_python import Error as DriverError
from mssql_python.exceptions import ConnectionStringParseError
from sqlglot import exp

from warehouse_cdc.dialects import ColumnType, get_dialect
from warehouse_cdc.dialects.tsql import TSQL, decimal_digits
from warehouse_cdc.errors import (
    ConfigError,
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    StateError,
    WarehouseError,
)
from warehouse_cdc.sources.tsql import Synapse as SynapseSource
from warehouse_cdc.warehouses.base import Connection, Work, redacted

if TYPE_CHECKING:
    from warehouse_cdc.sources.tsql import _TSQL as Source

_session: Any = mssql_python.connect
"""Opens a session; its types are too narrow for a dictionary of attributes."""
ACCESS_TOKEN = 1256
"""The attribute of a session that holds its token."""
SCOPE = "https://database.windows.net/.default"
_AUTHORITY = "https://login.microsoftonline.com/"
INSERTED = 100
"""Rows of one INSERT, each a SELECT of its own."""
LABEL = 255
"""Characters of a statement's label."""
_ATTEMPTS = 6
"""How often a statement is sent that the warehouse was too busy for, or whose rows another one changed."""
_LABELLED = re.compile(r"(WITH|SELECT|INSERT|UPDATE|DELETE)\b|CREATE TABLE \S+\s+WITH \([^)]*\) AS\b")
_NAMES = {
    **dict.fromkeys(("user id", "user"), "uid"),
    **{"password": "pwd", "initial catalog": "database", "data source": "server"},
}
_ADO = frozenset(
    {"connect timeout", "connection timeout", "multipleactiveresultsets", "persist security info", "pooling"}
)
"""Names in a connection string that say nothing to this driver."""

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
    opener = _opener(source)
    kind = SynapseConnection if isinstance(source, SynapseSource) else TSQLConnection
    return kind(opener(), opener, cast(TSQL, get_dialect(source.dialect)))


def _opener(source: Source) -> Callable[[], Any]:
    """What opens sessions of the driver."""
    tokens = _tokens(source)
    given = _arguments(source)

    def session() -> Any:
        attributes = {} if tokens is None else {ACCESS_TOKEN: _token_attribute(tokens())}
        try:
            connection = _session(**given, autocommit=True, attrs_before=attributes)
        except ConnectionStringParseError:
            raise ConfigError(
                "The connection string can't be read.",
                code="source-field",
                hint="Server=server;Database=database;User Id=username;Password=password;Encrypt=yes",
            ) from None
        except DriverError as error:
            raise _mapped(error, "") from None
        connection.timeout = source.request_timeout or 0
        return connection

    return session


def _arguments(source: Source) -> dict[str, Any]:
    """The place and the login, by the driver's names."""
    if isinstance(source, SynapseSource) and source.connection_string is not None:
        return {"connection_str": _by_drivers_names(source.connection_string)}
    found: dict[str, Any] = {
        "server": f"tcp:{source.host},{source.port}",
        "database": source.database,
        "encrypt": "yes",
        "trustservercertificate": "yes" if source.trust_server_certificate else "no",
    }
    if isinstance(source, SynapseSource) and source.user:
        found |= {"uid": source.user, "pwd": source.password}
    return found


def _by_drivers_names(connection_string: str) -> str:
    """A connection string with the names that the driver knows, and its words for yes and no."""
    parts = []
    for part in re.findall(r"(?:[^;{]|\{(?:[^}]|\}\})*\})+", connection_string):
        name, equals, value = part.partition("=")
        plain = name.strip().lower()
        if plain in _ADO:
            continue
        if plain == "authentication":
            value = value.replace(" ", "").strip("'\"")
        if plain in ("encrypt", "trustservercertificate"):
            value = {"true": "yes", "false": "no"}.get(value.strip().lower(), value)
        parts.append(f"{_NAMES.get(plain, name.strip())}{equals}{value}")
    return ";".join(parts)


def _tokens(source: Source) -> Callable[[], str] | None:
    """What gives the token of a new session; None where a login signs in."""
    if source.token is not None:
        return source.token
    if source.tenant_id is None:
        return None
    credential: Any = source.client_secret
    if source.certificate_thumbprint:
        thumbprint = source.certificate_thumbprint.replace(":", "").replace(" ", "")
        credential = {"private_key": source.key_text(), "thumbprint": thumbprint}
    return _principal(source.client_id or "", source.tenant_id, credential)


def _principal(client_id: str, tenant_id: str, credential: Any) -> Callable[[], str]:
    """The tokens of a service principal; the client keeps one as long as it is valid."""
    clients: list[Any] = []

    def token() -> str:
        try:
            if not clients:
                clients.append(
                    msal.ConfidentialClientApplication(
                        client_id, client_credential=credential, authority=_AUTHORITY + tenant_id
                    )
                )
            answer = clients[0].acquire_token_for_client([SCOPE])
        except Exception as error:
            raise ConnectionLostError(
                f"The service principal can't sign in ({type(error).__name__}).",
                hint="Check tenant_id, the certificate's key, and the way to login.microsoftonline.com.",
            ) from None
        if "access_token" not in answer:
            raise ConnectionLostError(
                f"Microsoft Entra ID refused the service principal ({answer.get('error', 'no reason')}).",
                hint="Check tenant_id, client_id, and the secret or certificate and when it expires.",
                retryable=False,
            )
        return str(answer["access_token"])

    return token


def _token_attribute(token: str) -> bytes:
    """A token as the driver takes it: its length, and its characters of two bytes."""
    encoded = token.encode("utf-16-le")
    return len(encoded).to_bytes(4, "little") + encoded


class TSQLConnection(Connection):
    """A session of the driver."""

    def __init__(self, connection: Any, opener: Callable[[], Any], dialect: TSQL) -> None:
        """Take a session, and what opens another one."""
        self.dialect = dialect
        self.statements = 0
        self._connection = connection
        self._opener = opener
        self._spoken = dialect
        self._lost = False

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything; moments are in UTC."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self._cursor(sql) as cursor:
                    return (
                        [tuple(map(_aware, row)) for row in cursor.fetchall()] if cursor.description else []
                    )
            except QueryError as error:
                if attempt == _ATTEMPTS or not _repeatable(error, sql):
                    raise
                time.sleep(random.uniform(0, _WAITS[error.code] * 2**attempt))
        raise AssertionError("unreachable")

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement."""
        self.query(sql)

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[Any]:
        """Send a statement, which is over when the block is."""
        self.statements += 1
        try:
            cursor = self._connection.cursor()
            try:
                cursor.execute(self._labelled(sql))
                yield cursor
            finally:
                cursor.close()
        except DriverError as error:
            mapped = _mapped(error, sql)
            self._lost = self._lost or isinstance(mapped, ConnectionLostError)
            raise mapped from None

    def _labelled(self, sql: str) -> str:
        """A statement that says what it is for."""
        return self.labels.comment() + sql

    @contextmanager
    def transaction(
        self,
        *,
        idle_timeout: float | None = None,
        lock_timeout: float | None = None,
        snapshot: bool = False,
    ) -> Iterator[None]:
        """Nothing: every statement commits by itself."""
        yield

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 20_000,
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
        kinds = [self._type_of(field.type) for field in rows.schema]
        for start in range(0, rows.num_rows, INSERTED):
            records = rows.slice(start, INSERTED).to_pylist()
            selects = (
                "SELECT "
                + ", ".join(self._value(v, kind) for v, kind in zip(row.values(), kinds, strict=True))
                for row in records
            )
            self.execute(head + "\nUNION ALL ".join(selects))

    def _type_of(self, kind: pa.DataType) -> str:
        if pa.types.is_timestamp(kind):
            return self._spoken.timestamp_type
        if pa.types.is_boolean(kind):
            return self._spoken.boolean_type
        return "BIGINT" if pa.types.is_integer(kind) else self._spoken.text_type

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
            raise StateError(
                f"The schema {' and the schema '.join(map(repr, missing))} doesn't exist.",
                code="schema-missing",
                hint="An administrator runs what `warehouse-cdc setup` prints, once.",
            )
        return {(named[str(schema).lower()], str(name)) for schema, name in rows if name is not None}

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """Not asked: without snapshots, a model is copied before it is compared."""
        return None

    def engine_version(self) -> str:
        """The same for all versions: SHA-256 is a standard."""
        return "sha256"

    @property
    def closed(self) -> bool:
        """Whether the session was closed or has broken."""
        return self._lost or bool(self._connection.closed)

    def clone(self) -> TSQLConnection:
        """Another session of the same kind."""
        return type(self)(self._opener(), self._opener, self._spoken)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


class SynapseConnection(TSQLConnection):
    """A session of a dedicated SQL pool."""

    def _labelled(self, sql: str) -> str:
        """By its label, where it can have one."""
        comment = self.labels.comment()
        if not comment or not _LABELLED.match(sql):
            return comment + sql
        text = comment.removeprefix("/* ").removesuffix(" */ ")[:LABEL]
        return f"{sql}\nOPTION (LABEL = N'{text}')"

    def findings(self) -> list[tuple[str, bool, str, str]]:
        """Whether readers see what isn't committed."""
        select = "SELECT DB_NAME(), is_read_committed_snapshot_on FROM sys.databases WHERE name = DB_NAME()"
        found = []
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


_DENIED = re.compile(
    r"permission was denied|permission denied|does not have permission|do not have permission", re.IGNORECASE
)
_LOST = re.compile(
    r"communication link|unable to establish|connection (failure|operation failed|does not exist|not open)"
    r"|closed connection|TCP Provider|is not currently available|forcibly closed"
    r"|cannot open (server|database)",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"login failed|invalid authorization", re.IGNORECASE)
_BUSY = re.compile(
    r"service is currently busy|Not enough resources to process|limit for the database is \d+ and has been"
    r"|has reached its quota|is being throttled",
    re.IGNORECASE,
)
_CONFLICT = re.compile(r"update conflict|was deadlocked", re.IGNORECASE)
_NAMES_ONLY = re.compile(
    r"invalid object name|already an object named|invalid column name|cannot find the object"
    r"|specified schema name",
    re.IGNORECASE,
)
"""Messages that name objects, never row values."""
_WAITS = {"query-busy": 5.0, "query-conflict": 0.1}
"""Seconds of the first wait, by the error's code."""


def _repeatable(error: QueryError, sql: str) -> bool:
    """Whether a statement that failed did nothing and can be sent again."""
    conflict = error.code == "query-conflict" and sql.lstrip()[:6].upper() in ("DELETE", "UPDATE")
    return conflict or error.code == "query-busy"


def _mapped(error: DriverError, sql: str) -> WarehouseError:
    shown = redacted(sql)
    said = str(getattr(error, "ddbc_error", "") or "")
    text = f"{getattr(error, 'driver_error', '')} {said}"
    detail = re.sub(r"^(\[[^\]]*\])+", "", said).strip()
    if _REFUSED.search(text):
        return ConnectionLostError(
            "The warehouse refused the sign-in.",
            sql=shown,
            hint="Check the login or the service principal, and that it is a user of this database.",
            retryable=False,
        )
    if _DENIED.search(text):
        return PermissionDeniedError(
            f"The warehouse denied a statement: {detail}",
            sql=shown,
            hint="Run what `warehouse-cdc setup --principal USER` prints; models need SELECT.",
        )
    if _BUSY.search(text):
        return QueryError("The warehouse is too busy.", sql=shown, code="query-busy", retryable=True)
    if _CONFLICT.search(text):
        message = "The warehouse gave way to another statement."
        return QueryError(message, sql=shown, code="query-conflict", retryable=True)
    if "timeout expired" in text.lower() and sql:
        return QueryError(
            "A statement took longer than request_timeout.", sql=shown, hint="Raise request_timeout."
        )
    if not sql or _LOST.search(text):
        blocked = (
            " Does the server's firewall let this address in?" if "not allowed to access" in text else ""
        )
        return ConnectionLostError(
            f"The warehouse can't be reached.{blocked}",
            sql=shown,
            hint="Check host, port, database and firewall.",
        )
    kind = str(getattr(error, "driver_error", type(error).__name__))
    return QueryError(
        f"The warehouse refused a statement ({kind}){': ' + detail if _NAMES_ONLY.search(said) else '.'}",
        sql=shown,
    )
