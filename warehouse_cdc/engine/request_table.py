"""The request log in the warehouse: a table that all syncs share, with a call's line in pieces."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
from ulid import ULID

from warehouse_cdc.audit.tables import oldest_run
from warehouse_cdc.engine.request_log import of_row
from warehouse_cdc.errors import ConnectionLostError, WarehouseError
from warehouse_cdc.plan.names import REQUESTS
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection

_log = logging.getLogger("warehouse_cdc")
_PIECE = 16_000
"""Characters: no warehouse's text is shorter than these can be as bytes."""


class RequestTable:
    """Writes a run's calls; one that can't be written says so once, and harms nothing else."""

    def __init__(self, connection: Connection, statements: Statements, sync: Sync, run_id: str) -> None:
        """Make the table if it is missing, and delete the sync's calls that are too old."""
        self._connection = connection
        self._statements = statements
        self._run_id = run_id
        self._broken = False
        schema, where = statements.schemas.planner, statements.planner(REQUESTS)

        def prepare() -> None:
            if (schema, REQUESTS) not in connection.tables(schema):
                connection.execute(statements.create_requests())
            elif connection.dialect.capabilities.row_level_dml:
                literal = connection.dialect.literal
                mine = connection.dialect.is_text("sync_id", literal(sync.id))
                before = literal(oldest_run(sync.request_log_days))
                connection.execute(f"DELETE FROM {where} WHERE {mine} AND sync_run_id < {before}")

        self._try(prepare)

    def write(self, lines: Sequence[str]) -> None:
        """Insert some calls."""
        found = []
        for line in lines:
            call, text = str(ULID()), line.encode("utf-8", "backslashreplace").decode()
            for piece, start in enumerate(range(0, len(text), _PIECE)):
                found.append((call, piece, text[start : start + _PIECE]))
        if not found:
            return
        calls, pieces, texts = zip(*found, strict=True)
        rows = pa.table(
            {
                "sync_id": pa.repeat(self._statements.sync_id, len(found)),
                "sync_run_id": pa.repeat(self._run_id, len(found)),
                "call_id": pa.array(calls),
                "piece": pa.array(pieces, pa.int32()),
                "content": pa.array(texts),
            }
        )

        def insert() -> None:
            with self._connection.transaction():
                self._connection.insert(self._statements.schemas.planner, REQUESTS, rows)

        self._try(insert)

    def _try(self, action: Any) -> None:
        if self._broken:
            return
        try:
            action()
        except ConnectionLostError:
            raise
        except WarehouseError as error:
            self._broken = True
            _log.warning("the request log can't be written (%s)", error.code)


def calls_in(
    connection: Connection, statements: Statements, run_id: str, row_id: str | None = None
) -> Iterator[dict[str, Any]] | None:
    """The calls of a run, or those that a row was in; None if the warehouse has no log of that run."""
    schema, where = statements.schemas.planner, statements.planner(REQUESTS)
    if (schema, REQUESTS) not in connection.tables(schema):
        return None
    run = connection.dialect.literal(run_id.upper())
    rows = connection.query(f"SELECT call_id, piece, content FROM {where} WHERE sync_run_id = {run}")
    grouped = groupby(sorted((str(c), int(p), str(t)) for c, p, t in rows), key=lambda row: row[0])
    lines = ["".join(text for _call, _piece, text in pieces) for _call, pieces in grouped]
    return of_row(lines, row_id) if lines else None
