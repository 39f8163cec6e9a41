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

REDSHIFTS_FUNCTIONS = (
    "CREATE TYPE super AS (value jsonb)",
    "CREATE FUNCTION as_super(text) RETURNS super LANGUAGE sql STRICT RETURN ROW(to_jsonb($1))::super",
    "CREATE FUNCTION as_super(varchar) RETURNS super LANGUAGE sql STRICT RETURN ROW(to_jsonb($1))::super",
    "CREATE CAST (text AS super) WITH FUNCTION as_super(text)",
    "CREATE CAST (varchar AS super) WITH FUNCTION as_super(varchar)",
    "CREATE FUNCTION json_parse(text) RETURNS super LANGUAGE sql STRICT RETURN ROW($1::jsonb)::super",
    "CREATE FUNCTION super_text(super) RETURNS text LANGUAGE sql STRICT RETURN (($1).value)::text",
    "CREATE FUNCTION sha2(text, integer) RETURNS text LANGUAGE sql STRICT "
    "RETURN encode(sha256(convert_to($1, 'UTF8')), 'hex')",
    "CREATE FUNCTION farmfingerprint64(text) RETURNS bigint LANGUAGE sql STRICT "
    "RETURN hashtextextended($1, 1)",
    "CREATE FUNCTION fnv_hash(anyelement) RETURNS bigint LANGUAGE sql STRICT "
    "AS $$ SELECT hashtextextended($1::text, 2) $$",
    "CREATE FUNCTION getdate() RETURNS timestamp LANGUAGE sql RETURN clock_timestamp()::timestamp",
)
"""What Redshift's statements need to run on PostgreSQL; its hashes are others, and its ``=`` minds spaces."""


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
