"""Where rows go: functions, files, tables and HTTP endpoints, and the contract that they keep."""

from typing import TYPE_CHECKING, Any

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Destination,
    JobWriter,
    Outcome,
    RunContext,
    Writer,
    rejected,
    retryable,
    unknown,
)
from warehouse_cdc.destinations.file_formats import Csv, JsonLines, Parquet
from warehouse_cdc.destinations.function import FunctionDestination, destination
from warehouse_cdc.destinations.sql_table import SqlTable

if TYPE_CHECKING:
    from warehouse_cdc.destinations.http import HttpFunction, HttpRequest, JsonRpc

__all__ = [
    "Batch",
    "Capabilities",
    "Csv",
    "Destination",
    "FunctionDestination",
    "HttpFunction",
    "HttpRequest",
    "JobWriter",
    "JsonLines",
    "JsonRpc",
    "Outcome",
    "Parquet",
    "RunContext",
    "SqlTable",
    "Writer",
    "destination",
    "rejected",
    "retryable",
    "unknown",
]


def __getattr__(name: str) -> Any:
    """HTTP destinations are imported when they are used: they need packages of their own."""
    if name in ("HttpFunction", "HttpRequest", "JsonRpc"):
        from warehouse_cdc.destinations import http

        return getattr(http, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
