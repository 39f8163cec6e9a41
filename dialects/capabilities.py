"""What a dialect's engine can do, declared; the engine and the tests ask here, never for names."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DialectCapabilities:
    """Capabilities of one kind of warehouse.

    Attributes:
        transactional_ddl: Transactions can be relied on and hold DDL: runs are recorded in rows
            that a lease fences. Otherwise in tables that only one run can create.
        snapshots: All statements of a transaction can read one snapshot.
        exclusive_process: One process at a time can write, so a lease of another process is over.
        creates_schemas: The engine makes its two schemas itself, without a setup step.
        json_key_order: JSON objects compare without regard to the order of their keys.
        column_case: Columns whose names differ only by case can be told apart.
        change_hints: Counters tell which tables are likely to have changed (not surely, in either direction).
        row_level_dml: Single rows can be updated and deleted, which the snapshot and retention need.
    """

    transactional_ddl: bool
    snapshots: bool
    exclusive_process: bool
    creates_schemas: bool
    json_key_order: bool
    column_case: bool
    change_hints: bool
    row_level_dml: bool = True
