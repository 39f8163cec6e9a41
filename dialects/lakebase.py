"""Lakebase: PostgreSQL as it is, with sign-in by tokens that expire (``warehouses.lakebase``)."""

from __future__ import annotations

from warehouse_cdc.dialects.postgres import Postgres


class Lakebase(Postgres):
    """Lakebase 1.0 and later."""

    name = "lakebase"
