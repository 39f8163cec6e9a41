"""What a warehouse object applies to all its syncs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from warehouse_cdc.dialects import Dialect
from warehouse_cdc.errors import ConfigError, UnsupportedError
from warehouse_cdc.plan.statements import AUDIT_TABLES, Schemas
from warehouse_cdc.sync import Sync


def _is_number(value: Any, *, least: float = -math.inf, above: float = -math.inf) -> bool:
    """Whether a value is a finite number within these bounds."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= least and value > above


@dataclass(frozen=True)
class Settings:
    """Settings of a warehouse.

    Attributes:
        schemas: Names of the planner and audit schemas.
        changelog: Write ``sync_changelog`` unless a sync says otherwise.
        snapshot: Write ``sync_snapshot`` unless a sync says otherwise.
        sync_runs: Write ``sync_runs`` unless a sync says otherwise.
        retention_days: Changelog and run rows older than this are deleted after a run; None keeps all.
        lease_seconds: How long a run's lease lasts unless extended.
        lease_margin: Seconds after a lease's expiry before another run may take over.
        compaction: A full plan is written once the plans of differences since the last one have as many rows
            as this share of it; 0 writes a full plan every run.
        skip: Don't read a model whose tables surely haven't changed since the last run.
    """

    schemas: Schemas
    changelog: bool = True
    snapshot: bool = True
    sync_runs: bool = True
    retention_days: float | None = None
    lease_seconds: float = 60.0
    lease_margin: float = 5.0
    compaction: float = 1.0
    skip: bool = True

    def __post_init__(self) -> None:
        """Check the numbers and names."""
        if not _is_number(self.lease_seconds, above=0) or not _is_number(self.lease_margin, least=0):
            raise ConfigError("lease_seconds must be above 0 and lease_margin at least 0.", code="settings")
        if not _is_number(self.compaction, least=0):
            raise ConfigError("compaction must be at least 0.", code="settings")
        if self.retention_days is not None and not _is_number(self.retention_days, above=0):
            raise ConfigError("retention_days must be above 0, or None.", code="settings")
        names = (self.schemas.planner, self.schemas.audit)
        if names[0] == names[1] or not all(isinstance(name, str) and name for name in names):
            raise ConfigError("The planner and the audit schema need two different names.", code="settings")

    def logs(self, sync: Sync) -> tuple[str, ...]:
        """The audit tables that a sync writes; a sync's own choice wins (D27).

        A mode without CDC writes no changelog unless the sync itself asks for it (D26).
        """
        chosen = {
            "sync_changelog": self.changelog and sync.traits.cdc
            if sync.changelog is None
            else sync.changelog,
            "sync_snapshot": self.snapshot if sync.snapshot is None else sync.snapshot,
            "sync_runs": self.sync_runs if sync.sync_runs is None else sync.sync_runs,
        }
        return tuple(name for name in AUDIT_TABLES if chosen[name])

    def check_dialect(self, sync: Sync, dialect: Dialect) -> None:
        """The snapshot and retention need rows that can be deleted.

        Raises:
            UnsupportedError: They can't be.
        """
        if dialect.capabilities.row_level_dml:
            return
        if "sync_snapshot" in self.logs(sync):
            raise UnsupportedError(
                f"Sync {sync.id!r}: single rows of this warehouse's tables can't be deleted, so there is no "
                "snapshot.",
                hint="Set snapshot=False, for the sync or the warehouse.",
            )
        if self.retention_days is not None:
            raise UnsupportedError(
                "Single rows of this warehouse's tables can't be deleted, so old audit rows stay.",
                hint="Leave retention_days out.",
            )

    def check_timeout(self, sync: Sync) -> None:
        """A batch must end before the lease can (the contract's step 1).

        Raises:
            ConfigError: Its time limit is too long.
        """
        if sync.batch_timeout >= self.lease_seconds:
            raise ConfigError(
                f"Sync {sync.id!r}: batch_timeout ({sync.batch_timeout:g} s) must be shorter than the lease "
                f"({self.lease_seconds:g} s).",
                code="sync-batch-timeout",
                hint="Lower batch_timeout or raise lease_seconds.",
            )
