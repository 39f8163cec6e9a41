"""A Spark server whose tables are Apache Iceberg's.

It is of an older version: Iceberg has published nothing for Spark 4.2 so far, and what is for 4.1 fails there
(``SparkView can not implement View, because it is not an interface``).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tests.engines import spark

CATALOG = "ice"
ICEBERG = spark.Edition(
    "4.1.4",
    ("org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0", "com.h2database:h2:2.3.232"),
    {
        f"spark.sql.catalog.{CATALOG}": "org.apache.iceberg.spark.SparkCatalog",
        f"spark.sql.catalog.{CATALOG}.type": "jdbc",  # one of folders alone can't rename
        f"spark.sql.catalog.{CATALOG}.uri": "jdbc:h2:{folder}/catalog",
        f"spark.sql.catalog.{CATALOG}.warehouse": "{folder}/iceberg",
        f"spark.sql.catalog.{CATALOG}.cache-enabled": "false",
    },
)


def assemble() -> Path:
    """The folder of the server, which is made if it isn't there."""
    return spark.assemble(ICEBERG)


def server() -> AbstractContextManager[str]:
    """The address of a Spark Connect server; it ends with the block."""
    return spark.server(ICEBERG, "WCDC_TEST_SPARK_ICEBERG_URL")
