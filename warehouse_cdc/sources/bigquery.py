"""Google BigQuery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class BigQuery(Source):
    """BigQuery; with the environment's own credentials if none are given.

    Args:
        project: The project that statements run in, and that pays for them.
        location: Where all the data sets are: ``EU``, ``US``, ``europe-west3`` ….
        dataset: Where models look for tables without a data set; ``project.dataset`` for another project's.
        credentials_file: A service account's key, or a configuration of workload identity.
        credentials_info: The content of such a file.
        impersonate: A service account that is acted for.
        maximum_bytes_billed: A statement that would be billed for more bytes fails before it runs.
        storage: Whether rows are read by the Storage Read API; by REST, more slowly, if not.
        api_endpoint: Another address of the service; without encryption, it gets no credentials.
        storage_endpoint: Another address of the Storage Read API; likewise.
    """

    schemes: ClassVar = ("bigquery",)
    example: ClassVar = "bigquery://project/dataset?location=EU&credentials_file=/path/key.json"
    dialect: ClassVar = "bigquery"
    driver: ClassVar = "google.cloud.bigquery"
    extra: ClassVar = "bigquery"
    path: ClassVar = ("project", "dataset")
    modules: ClassVar = ("google",)

    project: str
    location: str
    dataset: str | None = None
    credentials_file: str | PathLike[str] | None = None
    credentials_info: Mapping[str, Any] | None = secret()
    impersonate: str | None = None
    maximum_bytes_billed: int | None = None
    storage: bool = True
    api_endpoint: str | None = None
    storage_endpoint: str | None = None

    def __post_init__(self) -> None:
        """Refuse two sets of credentials."""
        super().__post_init__()
        if self.credentials_file is not None and self.credentials_info is not None:
            raise self._refuse("give credentials_file or credentials_info, not both.")

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read a URL, which has the project where others have a host."""
        return super().from_url(url.replace("://", ":///", 1), **more)

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.bigquery import open_bigquery

        return open_bigquery(self)

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A ``bigquery.Client``, which must know its location."""
        from google.cloud.bigquery import Client

        from warehouse_cdc.warehouses.bigquery import adopt_client

        return adopt_client(connection) if isinstance(connection, Client) else super().adopt(connection)
