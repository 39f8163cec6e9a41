"""What Spark and Databricks have in common: single statements, on Delta tables.

Each statement is alone, so runs are recorded in tables.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import pyarrow as pa

from warehouse_cdc.dialects import ColumnType, Spark
from warehouse_cdc.dialects.spark import decimal_digits
from warehouse_cdc.errors import (
    ConnectionLostError,
    PermissionDeniedError,
    QueryError,
    WarehouseError,
)
from warehouse_cdc.warehouses.alone import AloneConnection
from warehouse_cdc.warehouses.base import ESCAPED, Work, redacted, schema_missing, unquoted

_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "binary": pa.binary(),
}
_INTEGERS = {"TINYINT": pa.int8(), "SMALLINT": pa.int16(), "BIGINT": pa.int64()}


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type of a stored type."""
    if kind.kind == "integer":
        return _INTEGERS.get(kind.name, pa.int32())
    if kind.kind == "float":
        return pa.float32() if kind.name == "FLOAT" else pa.float64()
    if kind.kind == "decimal":
        return pa.decimal128(*decimal_digits(kind))
    return _ARROW[kind.kind]


def typed(table: pa.Table, kinds: Sequence[ColumnType | None]) -> pa.Table:
    """A result with the types that are promised."""
    columns = [
        column.cast(arrow_type(kind)) if kind is not None else column
        for column, kind in zip(table.columns, kinds, strict=True)
    ]
    return pa.table(columns, names=table.column_names)


class LeftoverError(QueryError):
    """A table can't be created because there are files where it would be.

    Attributes:
        location: Where.
    """

    def __init__(self, location: str, *, sql: str) -> None:
        """Keep the place."""
        self.location = location
        super().__init__(
            f"A table can't be created: there are files in {location} already.",
            sql=sql,
            hint="A process ended while it created the table. If this comes again, delete the folder.",
        )


class DeltaConnection(AloneConnection):
    """A session whose statements are sent one by one."""

    insert_bytes = 200_000  # Spark's parser reads them in a second or two

    dialect: Spark

    @abstractmethod
    def _sent(self, sql: str) -> AbstractContextManager[Any]:
        """Send a statement, for the block that reads its result."""

    def execute(self, sql: str, *, work: Work = "") -> None:
        """Run a statement; again if another one was faster, for then it has done nothing.

        After a table's creation that failed so, the next attempt finds the other one's table.
        """

        def send() -> None:
            try:
                with self._sent(sql):
                    pass
            except LeftoverError as error:
                self._register(sql, error.location)
                raise

        def wait(error: QueryError) -> float:
            return 0.4 if isinstance(error, LeftoverError) or error.code == "query-conflict" else 0.0

        self._repeated(send, wait)

    def _register(self, create: str, location: str) -> None:
        """Tell the catalog of what a process has created that died too soon: then it can be looked at."""
        table = _CREATED.match(create)
        if table is not None:
            with (
                suppress(WarehouseError),
                self._sent(f"CREATE TABLE {table[1]}\nUSING DELTA LOCATION {self.dialect.literal(location)}"),
            ):
                pass

    def arrow_types(self, kinds: Sequence[ColumnType]) -> list[pa.DataType]:
        """By kind."""
        return [arrow_type(kind) for kind in kinds]

    def tables(self, *schemas: str) -> set[tuple[str, str]]:
        """One statement for each schema; views are among them."""
        found, missing = set(), []
        for schema in schemas:
            try:
                rows = self.query(f"SHOW TABLES IN {self.dialect.schema(schema)}")
            except QueryError as error:
                if " refused a statement (SCHEMA_NOT_FOUND" not in error.message:
                    raise
                missing.append(schema)
            else:
                found |= {(schema, str(name)) for _namespace, name, temporary in rows if not temporary}
        if missing:
            raise schema_missing(missing)
        return found

    def engine_version(self) -> str:
        """The same for all versions: xxHash64 is defined by its specification."""
        return "xxhash64"


# -- errors ---------------------------------------------------------------------------------------

_CONFLICT = re.compile(
    r"Concurrent(Append|DeleteRead|DeleteDelete|Transaction|Write|Modification)\w*Exception"
    r"|(MetadataChanged|ProtocolChanged)Exception|DELTA_(CONCURRENT|METADATA_CHANGED|PROTOCOL_CHANGED)"
    r"|iceberg\.exceptions\.CommitFailedException|Found conflicting files that can contain"
)
_DENIED = re.compile(
    r"INSUFFICIENT_PERMISSIONS|PERMISSION_DENIED|UNAUTHORIZED_ACCESS|AccessControlException"
    r"|does not have \w+ priv"
)
_LOST = re.compile(
    r"StatusCode\.(UNAVAILABLE|UNAUTHENTICATED)|INVALID_HANDLE|Invalid SessionHandle"
    r"|SESSION_(NOT_FOUND|CLOSED|CHANGED)|NO_ACTIVE_SESSION|stopped SparkContext|SparkContext was shut down"
    r"|Py4JNetworkError|Connection refused"
)
_LEFTOVER = re.compile(r"location \('([^']+)'\)")
_CREATED = re.compile(r"CREATE TABLE ((?:`(?:[^`]|``)+`\.?)+)")
_CLASS = re.compile(
    r"(?:\A|^Caused by: )[\w.$]+: (?:Error running query: )?(?:\([\w.$]+\) )?"
    r"\[([A-Z][A-Z0-9_]+(?:\.[A-Z0-9_]+)?)\]",
    re.MULTILINE,
)
"""The class of an error, where a message begins: elsewhere, brackets may be a row's value."""
_VAGUE = frozenset({"INTERNAL_ERROR", "SPARK_JOB_CANCELLED", "TASK_WRITE_FAILED", "WRITING_JOB_ABORTED"})
"""Classes of errors that have another one for a cause, or say it in their text."""
_NAMES_FIRST = frozenset(
    {
        *("TABLE_OR_VIEW_NOT_FOUND", "TABLE_OR_VIEW_ALREADY_EXISTS", "SCHEMA_NOT_FOUND", "UNRESOLVED_COLUMN"),
        *("UNRESOLVED_ROUTINE", "ROUTINE_NOT_FOUND", "CATALOG_NOT_FOUND"),
    }
)
"""Classes of errors whose message begins with the name of an object, never with a row's value."""
_NAME = re.compile(r"`(?:[^`]|``)+`(?:\.`(?:[^`]|``)+`)*")


def mapped(error: Exception, sql: str, vendor: str = "Spark", query_id: str | None = None) -> WarehouseError:
    """A driver's error as one of this library's, without values and literals."""
    shown, text = redacted(sql, literal=ESCAPED), f"{type(error).__name__}: {error}"
    classes = list(_CLASS.finditer(text))
    known = next((found for found in classes if found[1] not in _VAGUE), None)
    condition = (known or classes[0])[1] if classes else type(error).__name__
    said = known[0] if known else unquoted(text)
    if _CONFLICT.search(said):
        return QueryError(
            f"{vendor} refused a statement: another one changed the same table.",
            sql=shown,
            query_id=query_id,
            code="query-conflict",
            retryable=True,
        )
    left = _LEFTOVER.search(text) if condition == "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION" else None
    if left is not None:
        return LeftoverError(left[1], sql=shown)
    if _LOST.search(said):
        return ConnectionLostError(
            f"The connection to {vendor} is lost or was refused ({type(error).__name__}).",
            sql=shown,
            query_id=query_id,
            hint="Check the address, the sign-in and whether the session or server has ended.",
        )
    if _DENIED.search(said):
        return PermissionDeniedError(
            f"{vendor} denied a statement ({condition}).",
            sql=shown,
            query_id=query_id,
            hint="The user needs to create, read, write and drop tables in the two schemas, and to read the "
            "model's tables: see `warehouse-cdc check`.",
        )
    names = _NAME.search(text) if condition.split(".")[0] in _NAMES_FIRST else None
    detail = f": {names[0]}" if names else "."
    return QueryError(f"{vendor} refused a statement ({condition}){detail}", sql=shown, query_id=query_id)
