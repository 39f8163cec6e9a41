"""Warehouses that lack something, made of one that has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from warehouse_cdc.dialects import Postgres
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.warehouse import Warehouse
from warehouse_cdc.warehouses.postgres import PostgresConnection


class PostgresWithoutTransactions(Postgres):
    """As a cloud warehouse: each statement is alone, and runs are recorded in tables."""

    capabilities = replace(Postgres.capabilities, transactional_ddl=False, snapshots=False)


class WithoutTransactions(PostgresConnection):
    """A session in which every statement commits by itself."""

    def __init__(self, url: str) -> None:
        connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)
        super().__init__(connection, owned=True, opener=lambda: WithoutTransactions(url))
        self.dialect = PostgresWithoutTransactions()
        self._streaming = False

    @contextmanager
    def transaction(self, **options: Any) -> Iterator[None]:
        if self._streaming:
            with super().transaction(**options):
                yield
        else:
            yield

    def stream(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """A server-side cursor needs a transaction; it is the driver's affair, not the engine's."""
        self._streaming = True
        try:
            yield from super().stream(*arguments, **options)
        finally:
            self._streaming = False


def connect_without_transactions(
    url: str,
    planner_schema: str = "hightouch_planner",
    audit_schema: str = "hightouch_audit",
    **options: Any,
) -> Warehouse:
    """As ``warehouse_cdc.connect``."""
    settings = Settings(Schemas(planner_schema, audit_schema), **options)
    return Warehouse(WithoutTransactions(url), settings, owned=True)
