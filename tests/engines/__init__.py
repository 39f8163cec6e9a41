"""Engines whose servers take their time: tests that need one run where its mark is asked for by name.

Each module has ``assemble()``, which fetches what the server is made of into a cache and says where that is,
and ``server()``, a context manager that yields the URL of a running one; both raise ``Unavailable`` with the
reason where a machine can't do it.
"""

from tests.engines import (
    athena,
    bigquery,
    databricks,
    postgres_old,
    presto,
    snowflake,
    spark,
    spark_iceberg,
    trino,
    tsql,
)
from tests.engines.base import Unavailable

ENGINES = {
    "athena": athena,
    "bigquery": bigquery,
    "databricks": databricks,
    "postgres_old": postgres_old,
    "presto": presto,
    "snowflake": snowflake,
    "spark": spark,
    "spark_iceberg": spark_iceberg,
    "trino": trino,
    "tsql": tsql,
}
"""The mark of an engine's tests to its module."""

BEHIND = {"athena": "trino", "databricks": "spark"}
"""Stand-ins to the engine that runs what they are sent, and whose server ``server`` takes."""

__all__ = ["BEHIND", "ENGINES", "Unavailable"]
