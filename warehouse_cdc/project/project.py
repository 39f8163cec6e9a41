"""A loaded project: what the file declares, as the library's own objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.model import Model
from warehouse_cdc.sources.base import Source
from warehouse_cdc.sync import Sync
from warehouse_cdc.typed import nearest

if TYPE_CHECKING:
    from warehouse_cdc import Warehouse
    from warehouse_cdc.destinations.base import Destination


@dataclass(frozen=True, kw_only=True)
class DeclaredSource:
    """A warehouse and how to use it.

    Args:
        name: Its name in the project file.
        target: How it is reached.
        state: The DuckDB file for plans, state and audit tables, where the target is only read.
        planner_schema: The schema for the tables of plans and state.
        audit_schema: The schema for the audit tables.
        changelog: Write ``sync_changelog``.
        snapshot: Write ``sync_snapshot``.
        sync_runs: Write ``sync_runs``.
        retention_days: Days that audit rows are kept; for ever if None.
        lease_seconds: How long a run's lease lasts unless its process extends it.
        lease_margin: Seconds after a lease's expiry before another process may take the sync over.
        compaction: A full plan is written once the plans of differences add up to this share of the last.
        skip: Don't read models whose tables surely haven't changed since the last run.
    """

    name: str
    target: Source
    state: str | PathLike[str] | None = None
    planner_schema: str = "hightouch_planner"
    audit_schema: str = "hightouch_audit"
    changelog: bool = True
    snapshot: bool = True
    sync_runs: bool = True
    retention_days: int | None = None
    lease_seconds: float = 60.0
    lease_margin: float = 5.0
    compaction: float = 1.0
    skip: bool = True

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: A number is out of range, or a schema has no name.
        """
        for label in ("planner_schema", "audit_schema"):
            if not getattr(self, label).strip():
                raise ConfigError(f"Source {self.name!r}: {label} is empty.", code="source-schema")
        for label, low in (
            ("retention_days", 1),
            ("lease_seconds", 1),
            ("lease_margin", 0),
            ("compaction", 0),
        ):
            value = getattr(self, label)
            if value is not None and not value >= low:
                raise ConfigError(
                    f"Source {self.name!r}: {label} must be at least {low}.", code="source-number"
                )

    @property
    def dialect(self) -> str:
        """The SQL that is spoken there."""
        return self.target.dialect

    def connect(self) -> Warehouse:
        """Open the warehouse; a context manager.

        Raises:
            ConfigError: The driver is missing.
            WarehouseError: The connection can't be made.
        """
        from warehouse_cdc import connect

        settings = [each.name for each in fields(self) if each.name not in ("name", "target")]
        return connect(self.target, **{name: getattr(self, name) for name in settings})


@dataclass(frozen=True, kw_only=True, repr=False)
class Project:
    """What a project file declares, by name.

    Attributes:
        path: The file.
        sources: The warehouses.
        models: The models.
        model_sources: The name of each model's source, by the model's name.
        destinations: The destinations.
        syncs: The syncs, by id, in the order of the file.
    """

    path: Path
    sources: Mapping[str, DeclaredSource]
    models: Mapping[str, Model]
    model_sources: Mapping[str, str]
    destinations: Mapping[str, Destination]
    syncs: Mapping[str, Sync]

    def __repr__(self) -> str:
        """Show names only: URLs and options may hold secrets."""
        parts = ("sources", "models", "destinations", "syncs")
        return f"Project({', '.join(f'{part}={list(getattr(self, part))}' for part in parts)})"

    def source(self, name: str | None = None) -> DeclaredSource:
        """A source by its name; the only one if no name is given.

        Raises:
            ConfigError: There is no such source, or several and no name.
        """
        if name is None:
            if len(self.sources) == 1:
                return next(iter(self.sources.values()))
            raise ConfigError(
                f"The project has {len(self.sources)} sources.",
                code="project-source",
                hint=f"Name one of {', '.join(self.sources)}."
                if self.sources
                else "Declare one under sources.",
            )
        if name not in self.sources:
            hint = nearest(name, list(self.sources))
            raise ConfigError(f"The project has no source {name!r}.", code="project-source", hint=hint)
        return self.sources[name]

    def sync(self, sync_id: str | None = None) -> Sync:
        """A sync by its id; the only one if no id is given.

        Raises:
            ConfigError: There is no such sync, or several and no id.
        """
        if sync_id is None:
            if len(self.syncs) == 1:
                return next(iter(self.syncs.values()))
            raise ConfigError(
                f"The project has {len(self.syncs)} syncs.",
                code="project-sync",
                hint=f"Name one of {', '.join(self.syncs)}." if self.syncs else "Declare one under syncs.",
            )
        if sync_id not in self.syncs:
            hint = nearest(sync_id, list(self.syncs))
            raise ConfigError(f"The project has no sync {sync_id!r}.", code="project-sync", hint=hint)
        return self.syncs[sync_id]

    def source_of(self, sync_id: str) -> DeclaredSource:
        """The source of a sync's model."""
        return self.sources[self.model_sources[self.sync(sync_id).model.name]]

    def connect(self, source_name: str | None = None) -> Warehouse:
        """Open a source; see :meth:`DeclaredSource.connect`."""
        return self.source(source_name).connect()

    def warehouse_for(self, sync_id: str) -> Warehouse:
        """Open the source of a sync's model; see :meth:`DeclaredSource.connect`."""
        return self.source_of(sync_id).connect()
