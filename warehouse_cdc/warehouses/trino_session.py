"""What the sessions of Trino and Presto have in common, whichever client sends the statements.

Each statement is alone: their transactions hold one write at most, so runs are recorded in tables.
"""

from __future__ import annotations

import base64
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from warehouse_cdc.dialects import ColumnType, Trino
from warehouse_cdc.errors import ConnectionLostError, PermissionDeniedError, QueryError, WarehouseError
from warehouse_cdc.warehouses.alone import AloneConnection, wait_of_conflict
from warehouse_cdc.warehouses.base import Labels, Work, end_all, redacted, schema_missing
from warehouse_cdc.warehouses.trino_values import CONFLICTS, NAMES_ONLY, arrow_type

_QUEUE_FULL = "QUERY_QUEUE_FULL"


def _array(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    """A column as the server's JSON spells its values, in an Arrow type."""
    if pa.types.is_floating(wanted):
        return pa.array([float(v) if isinstance(v, str) else v for v in values], wanted)
    if pa.types.is_binary(wanted):
        return pa.array([None if v is None else base64.b64decode(v) for v in values], wanted)
    if pa.types.is_timestamp(wanted) and wanted.tz is not None:
        plain = [None if v is None else v.removesuffix(" UTC") for v in values]
        return pc.assume_timezone(pa.array(plain, pa.string()).cast(pa.timestamp(wanted.unit)), "UTC")
    if pa.types.is_time(wanted):
        moments = pc.binary_join_element_wise("1970-01-01", pa.array(values, pa.string()), " ")
        return moments.cast(pa.timestamp(wanted.unit)).cast(pa.int64()).cast(wanted)
    if pa.types.is_temporal(wanted) or pa.types.is_decimal(wanted):
        return pa.array(values, pa.string()).cast(wanted)
    return pa.array(values, wanted)


class TrinoSession(AloneConnection):
    """A session, which is nothing but what each request says of itself.

    Attributes:
        server: What the server is called.
    """

    insert_bytes = 900_000  # a statement may have a million characters
    dialect: Trino
    server: ClassVar[str]
    _failures: ClassVar[tuple[type[BaseException], ...]]
    """What its client raises."""

    def __init__(self, dialect: Trino) -> None:
        """Nothing is sent yet."""
        super().__init__()
        self.dialect = dialect
        self._under_way: Any = None
        self._stopped: Any = None

    @abstractmethod
    def _new_cursor(self, spelled: bool) -> Any:
        """A cursor for one statement.

        Args:
            spelled: Its values are to be as the server's JSON spells them.
        """

    @abstractmethod
    def _mapped(self, error: Any, sql: str) -> WarehouseError:
        """The error of ours for one of the client's."""

    def _unreachable(self, error: Exception, sql: str) -> WarehouseError:
        return ConnectionLostError(
            f"{self.server} can't be reached ({type(error).__name__}).",
            sql=redacted(sql),
            hint="Check host, port and scheme.",
        )

    def _refused_sign_in(self, sql: str) -> WarehouseError:
        return ConnectionLostError(
            f"{self.server} refused the sign-in.",
            sql=redacted(sql),
            hint="Check user and password.",
            retryable=False,
        )

    def _refused(self, error: Any, sql: str) -> WarehouseError:
        """The error of a statement that the server refused."""
        name, shown = str(error.error_name), redacted(sql)
        detail = f": {error.message}" if name in NAMES_ONLY else "."
        if name == "PERMISSION_DENIED":
            return PermissionDeniedError(
                f"{self.server} denied a statement{detail}",
                sql=shown,
                query_id=error.query_id,
                hint="The user needs to create, read, write and drop tables in the two schemas, and to read "
                "the model's tables: see `warehouse-cdc check`.",
            )
        if name == _QUEUE_FULL:
            return QueryError(
                f"{self.server}'s queue is full.",
                sql=shown,
                query_id=error.query_id,
                hint="Run fewer syncs at once, or raise the limit of the user's resource group.",
                code="query-busy",
                retryable=True,
            )
        conflict = name in CONFLICTS
        return QueryError(
            f"{self.server} refused a statement ({name}){detail}",
            sql=shown,
            query_id=error.query_id,
            code="query-conflict" if conflict else None,
            retryable=conflict,
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement and fetch everything."""
        with self._cursor(sql) as cursor:
            return [tuple(row) for row in cursor.fetchall()]

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again, if it can be repeated and another one was faster."""
        self._repeated(lambda: self.query(sql), lambda error: wait_of_conflict(error, sql))

    @contextmanager
    def _cursor(self, sql: str, *, spelled: bool = False) -> Iterator[Any]:
        """Send a statement, which is cancelled if nobody wants the rest of its result.

        Args:
            sql: The statement.
            spelled: Return values as the server's JSON spells them.
        """
        self._sending()
        self._unwanted.clear()
        self._under_way = cursor = self._new_cursor(spelled)
        try:
            self._begin(cursor, sql)
            yield cursor
            if self._stopped is cursor:  # of which the client itself says nothing
                raise QueryError("The statement was cancelled.", sql=redacted(sql), query_id=cursor.query_id)
        except self._failures as error:
            raise self._mapped(error, sql) from None
        except BaseException:
            with suppress(*self._failures):  # what went wrong matters more
                cursor.cancel()
            raise
        finally:
            self._under_way = None

    def _begin(self, cursor: Any, sql: str) -> None:
        """Send it, once the server's queue has a place."""
        self._queued(
            lambda: cursor.execute(sql),
            lambda error: getattr(error, "error_name", None) == _QUEUE_FULL,
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
        """The server's pages, made into Arrow."""
        types = [arrow_type(kind) for kind in kinds]
        with self._cursor(sql, spelled=True) as cursor:
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(batch_rows):
                columns = zip(*rows, strict=True)
                try:
                    arrays = [_array(c, t) for c, t in zip(columns, types, strict=True)]
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    raise QueryError(
                        "A value doesn't fit into an Arrow column of its type.",
                        sql=redacted(sql),
                        hint="Cast dates and times before the year 0 or after 9999 to text in the model.",
                    ) from None
                yield pa.RecordBatch.from_arrays(arrays, names)

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """The result's columns of the query without rows, which the server doesn't run."""
        with self._cursor(f"SELECT * FROM (\n{sql}\n) wcdc_described LIMIT 0") as cursor:
            cursor.fetchall()
            return [(str(column[0]), str(column[1])) for column in cursor.description]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """Look in the catalog's information schema."""
        wanted = ", ".join(self.dialect.literal(schema.lower()) for schema in schemas)
        rows = self.query(
            f"SELECT schema_name, NULL FROM information_schema.schemata WHERE schema_name IN ({wanted}) "
            "UNION ALL SELECT table_schema, table_name FROM information_schema.tables "
            f"WHERE table_schema IN ({wanted}) AND table_type = 'BASE TABLE'"
        )
        named = {schema.lower(): schema for schema in schemas}
        if missing := sorted(set(schemas) - {named[row[0]] for row in rows}):
            raise schema_missing(missing)
        return {(named[schema], str(name)) for schema, name in rows if name is not None}

    def cancel_statement(self) -> None:
        """Tell the server, by the cursor that waits for it."""
        super().cancel_statement()
        cursor = self._under_way
        if cursor is not None:
            self._stopped = cursor
            with suppress(*self._failures):  # it may be over already
                cursor.cancel()

    def end_statements(self, run_id: str) -> bool:
        """Kill them, by their source: the server doesn't list what else a session says of itself."""
        source = self.dialect.literal(source_of(run_id))
        running = (
            "SELECT query_id FROM system.runtime.queries "
            f"WHERE source = {source} AND state NOT IN ('FINISHED', 'FAILED')"
        )
        kill = "CALL system.runtime.kill_query({}, 'its run is over')"
        return end_all(
            run_id,
            lambda: [str(query_id) for (query_id,) in self.query(running)],
            lambda query_id: self.query(kill.format(self.dialect.literal(query_id))),
        )

    def engine_version(self) -> str:
        """The same for all versions: xxHash64 is defined by its specification."""
        return "xxhash64"

    @property
    def closed(self) -> bool:
        """There is no session that could end."""
        return False


def source_of(run_id: str) -> str:
    """What the server lists a run's statements by."""
    return f"warehouse-cdc/{run_id}" if run_id else "warehouse-cdc"


def tags_of(labels: Labels) -> list[str]:
    """Tags that say which sync and step a statement is for."""
    named = {"sync": labels.sync, "run": labels.run, "stage": labels.stage}
    return [f"{name}={quote(text, safe='')}" for name, text in named.items() if text]
