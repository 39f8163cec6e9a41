"""Which syncs were moved into the warehouse: those aren't pulled any more."""

from __future__ import annotations

import time
from collections.abc import Set

from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.errors import StateError, WarehouseError
from warehouse_cdc.plan.names import adopted
from warehouse_cdc.plan.statements import Schemas, Statements
from warehouse_cdc.warehouses.base import Connection

ATTEMPTS = 40
"""How often something is noted again that another thread of this process notes at the same time."""
MOVED = "wcdc_moved"
"""In the file that had the state: the syncs that were moved, and whether that is done."""


def refuse_moved(connection: Connection, statements: Statements) -> None:
    """Look whether a sync may still be pulled.

    Raises:
        StateError: Its state was moved into the warehouse, or is on its way.
    """
    done = is_moved(connection, statements)
    if done is None:
        return
    raise StateError(
        f"Sync {statements.sync_id!r} was moved into the warehouse."
        if done
        else f"Sync {statements.sync_id!r} is being moved into the warehouse.",
        code="state-moved",
        hint="Run it without state=." if done else "Finish that: call adopt() again.",
    )


def is_moved(kept: Connection, statements: Statements) -> bool | None:
    """Whether a sync's move is done; None if there was none."""
    planner = statements.schemas.planner
    if (planner, MOVED) not in kept.tables(planner):
        return None
    rows = kept.query(f"SELECT done FROM {statements.planner(MOVED)} WHERE {statements.of_sync}")
    return bool(rows[0][0]) if rows else None


def note(kept: Connection, statements: Statements, *, done: bool | None) -> None:
    """Say how far a move is; None for not begun."""
    table, sync = statements.planner(MOVED), kept.dialect.literal(statements.sync_id)
    for last in (*[False] * ATTEMPTS, True):
        try:
            with kept.transaction():
                kept.execute(f"CREATE TABLE IF NOT EXISTS {table} (sync_id VARCHAR, done BOOLEAN)")
                kept.execute(f"DELETE FROM {table} WHERE {statements.of_sync}")
                if done is not None:
                    kept.execute(f"INSERT INTO {table} VALUES ({sync}, {kept.dialect.literal(done)})")
        except WarehouseError as error:
            if last or error.code != "query-conflict":
                raise
            time.sleep(0.05)  # another thread notes the same, or another sync's
        else:
            return


def refuse_second_state(connection: Connection, statements: Statements) -> None:
    """Look whether the warehouse has a state of a sync that has none here, as far as that can be seen.

    Its schemas may have the usual names where those of the file have others.

    Raises:
        StateError: It has: without it, everything would be sent again.
    """
    origin = connection.origin
    if origin is None:
        return
    if all(_has_none(origin, statements, schemas) for schemas in {statements.schemas, Schemas()}):
        return
    raise StateError(
        f"Sync {statements.sync_id!r} has a state in the warehouse; it can't be moved back.",
        code="state-moved",
        hint="Run it without state=, or give the sync another id to start afresh.",
    )


def _has_none(origin: Connection, statements: Statements, schemas: Schemas) -> bool:
    """Whether no state of a sync can be seen in these schemas of the warehouse."""
    try:
        return ledger_of(origin, Statements(origin.dialect, schemas, statements.sync_id)).look().state is None
    except WarehouseError:
        return True
    except StateError as error:
        if error.code != "schema-missing":
            raise
        return True


def refuse_unfinished(sync_id: str, tables: Set[str]) -> None:
    """Look whether a state was on its way here when its move was interrupted.

    Args:
        sync_id: The sync, which has no state here.
        tables: The names of the planner schema's tables.

    Raises:
        StateError: It was: a first run would send everything again.
    """
    if adopted(sync_id, tables):
        raise StateError(
            f"Sync {sync_id!r} is on its way into the warehouse.",
            code="state-moved",
            hint="Move it again, with the same file. A full resync or a reset would start it afresh.",
        )
