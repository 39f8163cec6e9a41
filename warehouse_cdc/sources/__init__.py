"""How warehouses are reached: a class for each kind, with a field for all that its driver must know.

>>> import warehouse_cdc as wcdc
>>> source = wcdc.sources.Postgres(host="db.example.com", database="shop", user="syncs", password="secret")
>>> source
Postgres(host='db.example.com', port=None, database='shop', user='syncs')
"""

from __future__ import annotations

from typing import Any

from warehouse_cdc.errors import ConfigError, UnsupportedError
from warehouse_cdc.sources.athena import Athena
from warehouse_cdc.sources.base import Source, is_unicode
from warehouse_cdc.sources.bigquery import BigQuery
from warehouse_cdc.sources.database import Database
from warehouse_cdc.sources.databricks import Databricks
from warehouse_cdc.sources.duckdb import DuckDB
from warehouse_cdc.sources.postgres import Greenplum, Lakebase, Postgres, Redshift
from warehouse_cdc.sources.snowflake import Snowflake, SnowflakeIceberg
from warehouse_cdc.sources.spark import Spark
from warehouse_cdc.sources.trino import Presto, Trino
from warehouse_cdc.sources.tsql import Fabric, Synapse
from warehouse_cdc.warehouses.base import Connection

_CLASSES: tuple[type[Source], ...] = (
    *(DuckDB, Postgres, Greenplum, Lakebase, Redshift, Spark, Databricks),
    *(Athena, BigQuery, Fabric, Presto, Snowflake, SnowflakeIceberg, Synapse, Trino),
)
SOURCES: dict[str, type[Source]] = {scheme: kind for kind in _CLASSES for scheme in kind.schemes}
"""The scheme of a URL, or the ``type`` in a project file, to its class."""


def source_of(url: str) -> Source:
    """What a URL names.

    Raises:
        UnsupportedError: It isn't a URL of a known warehouse.
        ConfigError: A part of it is missing, unknown or of the wrong type.
    """
    if not is_unicode(url):
        raise ConfigError(
            "The URL must be text without lone surrogates.", code="connect-url", hint="Was it read as UTF-8?"
        )
    scheme, colon, rest = url.partition("://")
    name, _plus, _driver = scheme.lower().partition("+")
    if not colon or name not in SOURCES:
        raise UnsupportedError(
            f"There is no warehouse of kind {name!r}." if colon else "That isn't a connection URL.",
            code="connect-url",
            hint=", ".join(kind.example for kind in _CLASSES),
        )
    return SOURCES[name].from_url(f"{name}://{rest}")


def open_target(target: Any) -> tuple[Connection, bool]:
    """A connection to what ``connect`` was given, and whether it is ours to reopen.

    Raises:
        UnsupportedError: It is nothing that names a warehouse.
        ConfigError: Its driver isn't installed, or a part of a URL is wrong.
        ConnectionLostError: It can't be reached.
    """
    module = type(target).__module__.split(".")[0]
    if isinstance(target, str):
        target = source_of(target)
    if isinstance(target, Source):
        return target.open(), True
    if module == "sqlalchemy" and hasattr(target, "raw_connection"):
        for kind in _CLASSES:
            if kind.engine == target.dialect.name:
                return kind.from_engine(target), True
        # By its URL alone, what it signs in with might be lost.
        raise UnsupportedError(
            f"An Engine of {target.dialect.name} can't be used.",
            code="connect-target",
            hint="Pass the URL, or an object of warehouse_cdc.sources.",
        )
    for kind in _CLASSES:
        if module in kind.modules:
            return kind.adopt(target), False
    raise UnsupportedError(
        f"A {type(target).__name__} is no warehouse.",
        code="connect-target",
        hint="Pass a URL, an object of warehouse_cdc.sources, a SQLAlchemy Engine, or a driver's connection.",
    )


__all__ = [
    "SOURCES",
    "Athena",
    "BigQuery",
    "Databricks",
    "Database",
    "DuckDB",
    "Fabric",
    "Greenplum",
    "Lakebase",
    "Postgres",
    "Presto",
    "Redshift",
    "Snowflake",
    "SnowflakeIceberg",
    "Source",
    "Spark",
    "Synapse",
    "Trino",
    "open_target",
    "source_of",
]
