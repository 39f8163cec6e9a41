"""What Trino and its relatives have in common on the client's side: values, and names of errors."""

from __future__ import annotations

import pyarrow as pa

from warehouse_cdc.dialects import ColumnType
from warehouse_cdc.dialects.trino import decimal_digits

NAMES_ONLY = frozenset(
    {
        *(
            "TABLE_NOT_FOUND",
            "COLUMN_NOT_FOUND",
            "SCHEMA_NOT_FOUND",
            "CATALOG_NOT_FOUND",
            "PERMISSION_DENIED",
        ),
        *("TABLE_ALREADY_EXISTS", "FUNCTION_NOT_FOUND", "TYPE_MISMATCH", "TYPE_NOT_FOUND", "NOT_SUPPORTED"),
        *("AMBIGUOUS_NAME", "DUPLICATE_COLUMN_NAME", "MISSING_SCHEMA_NAME"),
    }
)
"""Errors whose message names objects, never row values."""
CONFLICTS = frozenset({"ICEBERG_COMMIT_ERROR", "TRANSACTION_CONFLICT"})
"""Errors of statements that another one was faster than."""

_ARROW: dict[str, pa.DataType] = {
    "text": pa.string(),
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
        return pa.int64() if kind.name == "BIGINT" else pa.int32()
    if kind.kind == "float":
        return pa.float32() if kind.name == "REAL" else pa.float64()
    if kind.kind == "decimal":
        return pa.decimal128(*decimal_digits(kind))
    return _ARROW[kind.kind]
