"""Where rows go: functions, files and tables, and the contract that they keep."""

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Destination,
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

__all__ = [
    "Batch",
    "Capabilities",
    "Csv",
    "Destination",
    "FunctionDestination",
    "JsonLines",
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
