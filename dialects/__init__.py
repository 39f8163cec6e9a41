"""SQL dialects of the warehouses: text and types only, no connection.

Import this package as ``warehouse_cdc.dialects``. The folder stands at the top level of the repository so
that it is easy to find; under a second name its classes would exist twice and fail ``isinstance`` checks.
"""

if __name__ != "warehouse_cdc.dialects":
    raise ImportError(f"import this package as 'warehouse_cdc.dialects', not as {__name__!r}")

from warehouse_cdc.dialects.athena import Athena
from warehouse_cdc.dialects.base import BUCKETS, Dialect
from warehouse_cdc.dialects.bigquery import BigQuery
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.dialects.databricks import Databricks
from warehouse_cdc.dialects.duckdb import DuckDB
from warehouse_cdc.dialects.fabric import Fabric
from warehouse_cdc.dialects.greenplum import Greenplum
from warehouse_cdc.dialects.lakebase import Lakebase
from warehouse_cdc.dialects.postgres import Postgres
from warehouse_cdc.dialects.presto import Presto
from warehouse_cdc.dialects.redshift import Redshift
from warehouse_cdc.dialects.snowflake import Snowflake
from warehouse_cdc.dialects.snowflake_iceberg import SnowflakeIceberg
from warehouse_cdc.dialects.spark import Spark
from warehouse_cdc.dialects.spark_iceberg import SparkOnIceberg
from warehouse_cdc.dialects.synapse import Synapse
from warehouse_cdc.dialects.trino import Trino
from warehouse_cdc.dialects.trino_connectors import TrinoOnHive, TrinoOnPostgres
from warehouse_cdc.dialects.types import ColumnType
from warehouse_cdc.errors import UnsupportedError

DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect
    for dialect in (
        *(Athena, BigQuery, Databricks, DuckDB, Fabric, Greenplum, Lakebase, Postgres, Presto),
        *(Redshift, Snowflake, SnowflakeIceberg, Spark, Synapse, Trino),
    )
}


def get_dialect(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        UnsupportedError: There is none.
    """
    try:
        return DIALECTS[name]()
    except KeyError:
        known = ", ".join(sorted(DIALECTS))
        raise UnsupportedError(f"There is no dialect {name!r}.", hint=f"One of {known}.") from None


__all__ = [
    "BUCKETS",
    "DIALECTS",
    "Athena",
    "BigQuery",
    "ColumnType",
    "Databricks",
    "Dialect",
    "DialectCapabilities",
    "DuckDB",
    "Fabric",
    "Greenplum",
    "Lakebase",
    "Postgres",
    "Presto",
    "Redshift",
    "Snowflake",
    "SnowflakeIceberg",
    "Spark",
    "SparkOnIceberg",
    "Synapse",
    "Trino",
    "TrinoOnHive",
    "TrinoOnPostgres",
    "get_dialect",
]
