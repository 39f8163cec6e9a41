"""Warehouses that lack something, made of one that has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg

from warehouse_cdc.dialects import Greenplum, Postgres
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.warehouse import Warehouse
from warehouse_cdc.warehouses.postgres import PostgresConnection, open_postgres
from warehouse_cdc.warehouses.redshift import RedshiftConnection, sign_in_to_redshift

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
    "CREATE FUNCTION to_varbyte(text, text) RETURNS bytea LANGUAGE sql STRICT RETURN decode($1, $2)",
    "CREATE FUNCTION from_varbyte(bytea, text) RETURNS text LANGUAGE sql STRICT RETURN encode($1, $2)",
    # It decodes by pairs of values, no digits.
    "CREATE FUNCTION decode(varchar, text) RETURNS bytea LANGUAGE sql AS $$ SELECT NULL::bytea $$",
    "CREATE FUNCTION getdate() RETURNS timestamp LANGUAGE sql RETURN clock_timestamp()::timestamp",
    "CREATE FUNCTION seconds_between(timestamptz, timestamptz) RETURNS bigint LANGUAGE sql "
    "RETURN extract(epoch FROM $2 - $1)::bigint",
    "CREATE VIEW sys_query_history AS SELECT pid AS session_id, query AS query_text, "
    "CASE state WHEN 'active' THEN 'running' ELSE 'success' END AS status FROM pg_stat_activity",
)
"""What Redshift's statements need to run on PostgreSQL; the hashes are others."""


def without_distribution(sql: str) -> str:
    """A statement for Greenplum or Synapse as others, and sqlglot, would have it."""
    sql = re.sub(r"\nWITH \(DISTRIBUTION = ROUND_ROBIN, HEAP\)", "", sql)
    return re.sub(r"\nDISTRIBUTED (BY \(\w+\)|RANDOMLY)$", "", sql)


def as_postgres(sql: str) -> str:
    """A statement for Greenplum or Redshift, without what PostgreSQL doesn't know or means otherwise."""
    sql = re.sub(r"\n(DIST|SORT)KEY \([\w, ]+\)", "", without_distribution(sql))
    for theirs, ours in (
        ("JSON_SERIALIZE(", "super_text("),
        ("DATEDIFF(second, ", "seconds_between("),
        ("SET query_group", "SET wcdc.query_group"),
    ):
        sql = sql.replace(theirs, ours)
    return sql


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


class GreenplumWithoutSegments(Greenplum):
    """Greenplum's statements for one server."""

    def distribution(self, column: str = "") -> str:
        return ""


class RedshiftOnPostgres(RedshiftConnection):
    """A session that speaks Redshift's SQL to PostgreSQL.

    Attributes:
        sent: What it has sent, as Redshift would have got it.
    """

    def __init__(self, url: str) -> None:
        self.sent: list[str] = []
        super().__init__(sign_in_to_redshift(url), lambda: RedshiftOnPostgres(url))

    def _framed(self, sql: str) -> str:
        self.sent.append(sql)
        return as_postgres(sql)


def connect_greenplum(url: str, **options: Any) -> Warehouse:
    """As ``warehouse_cdc.connect`` for a ``greenplum://`` URL."""
    connection = open_postgres(url, GreenplumWithoutSegments())
    return Warehouse(connection, Settings(Schemas(), **options), owned=True)


def connect_redshift(url: str, **options: Any) -> Warehouse:
    """As ``warehouse_cdc.connect`` for a ``redshift://`` URL."""
    return Warehouse(RedshiftOnPostgres(url), Settings(Schemas(), **options), owned=True)
