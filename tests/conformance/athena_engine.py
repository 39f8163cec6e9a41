"""Athena's stand-in as the conformance tests see it: they look at the server behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from tests.conformance.helpers import AUDIT, PLANNER
from tests.conformance.trino_engine import MODELS, TrinoEngine
from tests.engines.athena import Athena, behind
from warehouse_cdc.dialects import get_dialect

GAPS: dict[str, str] = {}
"""Tests that fail on it, with the reason; one that passes is an error."""


class AthenaEngine(TrinoEngine):
    """The stand-in with fresh schemas.

    Attributes:
        behind: What it remembers.
    """

    def __init__(self, server: str) -> None:
        self.behind: Athena = behind(server)
        super().__init__(self.behind.trino_url)
        self.name, self.url, self.dialect = "athena", server, get_dialect("athena")

    def audit(self, name: str, order: str = "sync_run_id, row_id") -> list[dict[str, Any]]:
        """Its tables hold no zones: times are UTC."""
        return [
            {
                column: value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value
                for column, value in row.items()
            }
            for row in super().audit(name, order)
        ]


@contextlib.contextmanager
def opened(server: str) -> Iterator[AthenaEngine]:
    """With empty schemas."""
    engine = AthenaEngine(server)
    try:
        for schema in (MODELS, PLANNER, AUDIT):
            engine.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        engine.execute(f"CREATE SCHEMA {MODELS}", *get_dialect("trino").setup(PLANNER, AUDIT, None))
        engine.behind.empty()
        yield engine
    finally:
        engine.close()
