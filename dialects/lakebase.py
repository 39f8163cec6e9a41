"""Lakebase: PostgreSQL as it is; only its sign-in, by tokens that expire, is its own."""

from __future__ import annotations

from warehouse_cdc.dialects.postgres import Postgres


class Lakebase(Postgres):
    """Lakebase 1.0 and later."""

    name = "lakebase"
