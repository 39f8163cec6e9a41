"""An in-warehouse change-data-capture engine for reverse ETL.

>>> import warehouse_cdc as wcdc
>>> warehouse = wcdc.connect("duckdb:///:memory:")
"""

from warehouse_cdc import destinations, sources
from warehouse_cdc.destinations import destination
from warehouse_cdc.engine.checks import Finding
from warehouse_cdc.engine.dry_run import DryRun
from warehouse_cdc.engine.result import Counts, Progress, Run, Table
from warehouse_cdc.errors import (
    AuthenticationError,
    CdcError,
    ConfigError,
    ConnectionLostError,
    DestinationError,
    GuardError,
    LeaseLostError,
    ModelError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueryError,
    RateLimitedError,
    StateError,
    StateVersionError,
    SyncInProgressError,
    UnsupportedError,
    WarehouseError,
    WarehouseLockedError,
)
from warehouse_cdc.model import Model
from warehouse_cdc.plan.compiled import Compiled
from warehouse_cdc.plan.compiled import compile_sync as compile
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouse import Warehouse, connect

__version__ = "0.1.0.dev0"

__all__ = [
    "AuthenticationError",
    "CdcError",
    "Compiled",
    "ConfigError",
    "ConnectionLostError",
    "Counts",
    "DestinationError",
    "DryRun",
    "Finding",
    "GuardError",
    "LeaseLostError",
    "Model",
    "ModelError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "Progress",
    "QueryError",
    "RateLimitedError",
    "Run",
    "StateError",
    "StateVersionError",
    "Sync",
    "SyncInProgressError",
    "Table",
    "UnsupportedError",
    "Warehouse",
    "WarehouseError",
    "WarehouseLockedError",
    "compile",
    "connect",
    "destination",
    "destinations",
    "sources",
]
