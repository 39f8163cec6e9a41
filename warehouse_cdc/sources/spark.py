"""Apache Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class Spark(Source):
    """A Spark Connect server whose tables are Delta's or Iceberg's.

    A ``SparkSession`` of one's own, with or without Spark Connect, is given to ``connect`` itself.

    Args:
        host: The server.
        port: Its port.
        user_id: Whom the session is for.
        token: A bearer token; needs ``use_ssl``.
        use_ssl: Encrypt.
        catalog: Where models look names up, and the two schemas are, unless these are qualified.
        schema: The schema that models' names without one are of.
        table_format: Of the tables in the two schemas; if None, that of the session's catalog.
    """

    schemes: ClassVar = ("sc", "spark")
    example: ClassVar = "sc://host:15002/catalog/schema?use_ssl=true&token=token"
    dialect: ClassVar = "spark"
    driver: ClassVar = "pyspark"
    extra: ClassVar = "spark"
    path: ClassVar = ("catalog", "schema")
    modules: ClassVar = ("pyspark",)

    host: str
    port: int = 15002
    user_id: str | None = None
    token: str | None = secret()
    use_ssl: bool = False
    catalog: str | None = None
    schema: str | None = None
    table_format: Literal["delta", "iceberg"] | None = None

    def __post_init__(self) -> None:
        """Refuse a token that would travel in the clear, and unknown formats."""
        super().__post_init__()
        if self.table_format not in (None, "delta", "iceberg"):
            raise self._refuse("table_format is delta or iceberg.")
        if self.token is not None and not self.use_ssl:
            raise self._refuse("token needs use_ssl.")

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read a URL; its parameters may also be written as Spark does, with semicolons."""
        place, _semicolon, parameters = url.partition(";")
        if parameters:
            url = f"{place}{'&' if '?' in place else '?'}{parameters.replace(';', '&')}"
        return super().from_url(url, **more)

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A session, which stays its owner's."""
        from warehouse_cdc.warehouses.spark import SparkConnection, is_session

        return SparkConnection(connection) if is_session(connection) else super().adopt(connection)

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.spark import open_spark

        return open_spark(self)
