"""Databricks by its own SQL connector."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from os import fspath
from typing import Any

import pyarrow as pa
from databricks import sql as driver
from databricks.sql.client import Cursor
from databricks.sql.exc import RequestError

from warehouse_cdc.dialects import ColumnType, Databricks
from warehouse_cdc.errors import ConfigError, ConnectionLostError, QueryError, WarehouseError
from warehouse_cdc.sources.databricks import Databricks as Source
from warehouse_cdc.warehouses.base import ESCAPED, redacted
from warehouse_cdc.warehouses.delta import DeltaConnection, mapped, typed

_PROBE = "SELECT CAST(CAST(0.0000001 AS DECIMAL(20, 10)) AS STRING)"
"""In ANSI mode, a decimal prints as digits."""
_TAGS = "query_tags" in inspect.signature(Cursor.execute).parameters
"""Whether the connector's version sends tags with a statement."""


def open_databricks(source: Source) -> DatabricksConnection:
    """Connect.

    Raises:
        ConfigError: The session isn't in ANSI mode, or a package for the sign-in is missing.
        ConnectionLostError: The workspace can't be reached or refuses the sign-in.
    """
    connection = DatabricksConnection(source, _session(source, source.http_path))
    if connection.query(_PROBE) != [("0.0000001000",)]:
        connection.close()
        raise ConfigError(
            "The session isn't in ANSI mode: overflows and wrong casts would pass for values.",
            code="settings",
            hint="On a cluster, set spark.sql.ansi.enabled to true.",
        )
    return connection


def _session(source: Source, http_path: str) -> Any:
    arguments: dict[str, Any] = {
        "server_hostname": source.host,
        "_port": source.port,
        "http_path": http_path,
        "catalog": source.catalog,
        "schema": source.schema,
        "session_configuration": configuration(source),
        "user_agent_entry": "warehouse-cdc",
        "enable_telemetry": False,
        "_socket_timeout": source.socket_timeout,
        # The connector waits at least as long as its longest delay, which would be a minute.
        "_retry_delay_max": 10.0,
        "_retry_stop_after_attempts_count": 60,
        "_retry_stop_after_attempts_duration": source.retry_seconds,
        **_sign_in(source),
    }
    if source.ca_file is not None:
        arguments["_tls_trusted_ca_file"] = fspath(source.ca_file)
    try:
        return driver.connect(**arguments)
    except Exception as error:
        raise _refused(error) from None


def configuration(source: Source) -> dict[str, str]:
    """The session's parameters."""
    limit = {} if source.statement_timeout is None else {"STATEMENT_TIMEOUT": str(source.statement_timeout)}
    return {"ANSI_MODE": "true", "TIMEZONE": "UTC", **limit, **source.session_configuration}


def _sign_in(source: Source) -> dict[str, Any]:
    if source.access_token is not None:
        return {"access_token": source.access_token}
    try:
        from databricks.sdk.core import Config, oauth_service_principal
    except ImportError:
        raise ConfigError(
            "The package 'databricks-sdk' isn't installed, by which service principals sign in.",
            code="missing-extra",
            hint="pip install 'warehouse-cdc[databricks]'",
        ) from None

    def provider() -> Callable[[], dict[str, str]]:
        server = f"https://{source.host}:{source.port}"
        config = Config(
            host=server,
            client_id=source.client_id,
            client_secret=source.client_secret,
            auth_type="oauth-m2m",  # whatever else the environment or a profile would sign in with
        )
        headers: Callable[[], dict[str, str]] = oauth_service_principal(config)
        return headers

    return {"credentials_provider": provider}


def _refused(error: Exception, **of: Any) -> ConnectionLostError:
    """The error of a request that wasn't answered."""
    code = _http_code(error)
    if code in (401, 403):
        return ConnectionLostError(
            f"Databricks refused the sign-in (HTTP {code}).",
            hint="Check the token or the service principal's secret, and that it can use the warehouse.",
            retryable=False,
            **of,
        )
    return ConnectionLostError(
        f"Databricks can't be reached ({type(error).__name__}).",
        hint="Check host, port, http_path and the sign-in.",
        **of,
    )


def _http_code(error: Exception) -> int | None:
    code = (getattr(error, "context", None) or {}).get("http-code")
    return code if isinstance(code, int) else None


class DatabricksConnection(DeltaConnection):
    """A session of a SQL warehouse or cluster."""

    dialect: Databricks

    def __init__(self, source: Source, session: Any) -> None:
        """Take a session of the connector's.

        Args:
            source: Where it came from.
            session: It.
        """
        super().__init__()
        self.dialect = Databricks()
        self.dialect.catalog = source.catalog
        self._source = source
        self._session = session
        self._hurried: Any = None
        self._asked = False
        self._lost = False
        self._under_way: Any = None
        self._stopped: Any = None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._sent(sql) as cursor:
            if cursor.description is None:
                return []
            table = cursor.fetchall_arrow()
        return list(zip(*(column.to_pylist() for column in table.columns), strict=True))

    @contextmanager
    def _sent(self, sql: str) -> Iterator[Any]:
        """Send a statement, which is cancelled if nobody waits for it any more."""
        self._sending()
        cursor = None
        try:
            cursor = self._under_way = self._current().cursor()
            cursor.execute(self.labels.comment() + sql, **self._tags())
            if self._stopped is cursor:  # of which the connector itself says nothing
                raise self._cancelled(sql, cursor)
            yield cursor
        except WarehouseError:
            raise
        except Exception as error:
            if self._stopped is cursor is not None:
                raise self._cancelled(sql, cursor) from None
            raise self._mapped(error, sql, getattr(cursor, "query_id", None)) from None
        except BaseException:
            with suppress(Exception):  # what went wrong matters more
                if cursor is not None:
                    cursor.cancel()
            raise
        finally:
            self._under_way = None
            with suppress(Exception):  # it may be closed already
                if cursor is not None:
                    cursor.close()

    @staticmethod
    def _cancelled(sql: str, cursor: Any) -> QueryError:
        return QueryError(
            "The statement was cancelled.", sql=redacted(sql, literal=ESCAPED), query_id=cursor.query_id
        )

    def cancel_statement(self) -> None:
        """Tell the warehouse, by the cursor that waits for it."""
        super().cancel_statement()
        cursor = self._under_way
        if cursor is not None and cursor.query_id is not None:
            self._stopped = cursor
            with suppress(Exception):  # it may be over already
                cursor.cancel()

    def _current(self) -> Any:
        """The session that statements go to."""
        if not self._asked or self._source.interactive_http_path is None:
            return self._session
        if self._hurried is None:
            self._hurried = _session(self._source, self._source.interactive_http_path)
        return self._hurried

    def _tags(self) -> dict[str, Any]:
        """What the statement is for, for SQL warehouses: their history shows it."""
        labels = self.labels
        if not (_TAGS and labels.sync and "/warehouses/" in self._source.http_path):
            return {}
        named = {"warehouse_cdc_sync": labels.sync, "warehouse_cdc_run": labels.run}
        named["warehouse_cdc_stage"] = labels.stage
        return {"query_tags": {name: text for name, text in named.items() if text}}

    def _mapped(self, error: Exception, sql: str, query_id: str | None) -> WarehouseError:
        found = mapped(error, sql, "Databricks", query_id)
        if isinstance(error, (RequestError, OSError)):
            found = _refused(error, sql=found.sql, query_id=query_id)
        self._lost = self._lost or isinstance(found, ConnectionLostError)
        return found

    @contextmanager
    def interactive(self) -> Iterator[None]:
        """A block whose statements go to the warehouse for these."""
        before, self._asked = self._asked, True
        try:
            yield
        finally:
            self._asked = before

    def stream(
        self,
        sql: str,
        kinds: Sequence[ColumnType | None],
        batch_rows: int = 5_000,
        *,
        idle_timeout: float | None = None,
        expected_rows: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """The connector's Arrow batches."""
        with self._sent(sql) as cursor:
            while (table := cursor.fetchmany_arrow(batch_rows)).num_rows:
                yield from typed(table, kinds).combine_chunks().to_batches()

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """What the warehouse tells of the query, without running it."""
        rows = self.query(f"DESCRIBE QUERY {sql}")
        return [(str(name), str(kind)) for name, kind, *_comment in rows]

    @property
    def closed(self) -> bool:
        """Whether the session has ended."""
        return self._lost or not self._session.open

    def clone(self) -> DatabricksConnection:
        """Another session."""
        return DatabricksConnection(self._source, _session(self._source, self._source.http_path))

    def close(self) -> None:
        """End the sessions."""
        for session in (self._session, self._hurried):
            with suppress(Exception):  # it may be closed already
                if session is not None:
                    session.close()
