"""The model, its two syncs, and the PostgreSQL table that one of them fills."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg
from psycopg import sql

import warehouse_cdc as wcdc

TO_TABLE = "customers-to-postgres"
TO_FILES = "customers-to-files"

MODEL = """\
SELECT customer_id,
       count(*)    AS orders,
       sum(amount) AS spent,
       max(day)    AS last_order,
       CASE WHEN sum(amount) >= 500 THEN 'platinum'
            WHEN sum(amount) >= 100 THEN 'gold'
            WHEN sum(amount) >= 50  THEN 'silver'
            ELSE 'bronze' END AS tier
FROM shop.purchases, shop.clock
WHERE day <= today
GROUP BY customer_id, today
HAVING max(day) > today - 30"""

MAPPINGS = {"order_count": "orders", "lifetime_value": "spent", "last_order": "last_order", "tier": "tier"}


def model() -> wcdc.Model:
    """Customers who bought in the last 30 days."""
    return wcdc.Model("active customers", sql=MODEL, primary_key="customer_id")


def to_table(url: str, schema: str) -> wcdc.Sync:
    """The sync to PostgreSQL, where some of the columns have other names."""
    return wcdc.Sync(
        id=TO_TABLE,
        model=model(),
        destination=wcdc.destinations.SqlTable(url, f"{schema}.customers"),
        mode="upsert",
        on_removed="delete",
        match={"customer_id": "id"},
        mappings=MAPPINGS,
        batch_rows=500,
        chunk_rows=1000,  # the most that a crash can send twice
    )


def to_files(folder: Path) -> wcdc.Sync:
    """The sync to JSON Lines: three files a run, with whole rows."""
    return wcdc.Sync(id=TO_FILES, model=model(), destination=wcdc.destinations.JsonLines(folder), mode="diff")


def create_table(postgres: psycopg.Connection, schema: str) -> None:
    """The table, with a column that is too narrow for the best customers."""
    name = sql.Identifier(schema)
    postgres.execute(sql.SQL("CREATE SCHEMA {}").format(name))
    postgres.execute(
        sql.SQL(
            "CREATE TABLE {}.customers (id integer PRIMARY KEY, order_count integer NOT NULL, "
            "lifetime_value numeric(5, 2) NOT NULL, last_order date NOT NULL, tier text NOT NULL)"
        ).format(name)
    )


def widen_column(postgres: psycopg.Connection, schema: str) -> None:
    """Mend the table."""
    statement = "ALTER TABLE {}.customers ALTER COLUMN lifetime_value TYPE numeric(10, 2)"
    postgres.execute(sql.SQL(statement).format(sql.Identifier(schema)))


def tamper(postgres: psycopg.Connection, schema: str) -> None:
    """Change one row of the table and delete another, as somebody else might."""
    table = sql.SQL("{}.customers").format(sql.Identifier(schema))
    change = "UPDATE {0} SET order_count = order_count + 1 WHERE id = (SELECT min(id) FROM {0})"
    delete = "DELETE FROM {0} WHERE id = (SELECT max(id) FROM {0})"
    for statement in (change, delete):
        postgres.execute(sql.SQL(statement).format(table))


def drop_table(postgres: psycopg.Connection, schema: str) -> None:
    """Leave nothing behind on a server that stays; one that is gone has nothing left."""
    with contextlib.suppress(psycopg.Error):
        postgres.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
