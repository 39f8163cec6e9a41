"""When a run need not compare: nothing is due, and the warehouse can tell that nothing changed."""

from __future__ import annotations

import hashlib

from warehouse_cdc.compile.determinism import ignores_the_clock, names_columns, reads_alike, tables_of
from warehouse_cdc.compile.layout import Layout
from warehouse_cdc.compile.parse import ModelQuery
from warehouse_cdc.engine.journal import History
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.record import PlanRecord
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection


def resting(history: History, layout: Layout, sync: Sync, settings: Settings) -> PlanRecord | None:
    """The last run's plan, if the same rows of the model would leave a run nothing to do."""
    last, state = history.last_plan, history.state_plan
    if last is None or state is None or not (sync.traits.cdc and last.cdc and state.at_rest):
        return None
    now = (layout.mapping_version, layout.fingerprint_version, sync.mode, layout.primary_key)
    if now != (last.mapping_version, last.fingerprint_version, last.mode, last.primary_key):
        return None
    refuses = last.dropped_rows > 0 and sync.on_duplicate != "keep_one"
    new_snapshot = "sync_snapshot" in set(settings.logs(sync)) - set(last.logs)
    return None if refuses or new_snapshot or settings.compaction == 0 else last


def reads_rows_only(connection: Connection, query: ModelQuery) -> bool:
    """Whether the model's result depends on nothing but rows of tables, so that all reads are alike (D28)."""
    if not reads_alike(query.tree):
        return False
    tables = tables_of(query.tree)
    columns = connection.columns_of(tables)
    return columns is not None and names_columns(query.tree, tables, columns)


def source_version(connection: Connection, settings: Settings, query: ModelQuery) -> str:
    """What changes with the model's text and whenever its tables may have; empty if that can't be told."""
    tables = tables_of(query.tree) if settings.skip else []
    version = connection.version_of(tables) if tables else None
    if version is None or not (ignores_the_clock(query.tree) and reads_rows_only(connection, query)):
        return ""
    return hashlib.sha256(f"{version}\n{query.sql}".encode()).hexdigest()


def can_skip(last: PlanRecord | None, version: str) -> bool:
    """Whether nothing can have changed since the run of ``last`` began to read the model."""
    return last is not None and version != "" and last.source_version == version
