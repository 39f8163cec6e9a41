"""Athena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from warehouse_cdc.sources.base import Source, secret

if TYPE_CHECKING:
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class Athena(Source):
    """Athena by the AWS SDK; what isn't given to sign in with is up to it: environment, profiles, roles.

    Args:
        region: The AWS region, if the SDK isn't to look for it.
        catalog: The data catalog of the two schemas; models look names up in it.
        database: The database that models' names without one are of.
        state: An S3 location, as ``s3://bucket/prefix``: the tables of state and audit are below it. Not that
            of query results, and without any rule by which objects expire.
        workgroup: Where statements run.
        output: An S3 location for query results, if the workgroup has none.
        access_key_id: A key to sign in with.
        secret_access_key: Its secret.
        session_token: Its token, if it is temporary.
        profile: A profile of the SDK's configuration files.
        role_arn: A role to assume.
        external_id: What the role's trust policy asks for.
        endpoint: Another address of Athena, such as that of a private VPC endpoint.
        s3_endpoint: Another address of S3.
    """

    schemes: ClassVar = ("athena",)
    example: ClassVar = "athena://eu-west-1/AwsDataCatalog/shop?state=s3://bucket/cdc&workgroup=syncs"
    dialect: ClassVar = "athena"
    driver: ClassVar = "boto3"
    extra: ClassVar = "athena"
    path: ClassVar = ("catalog", "database")

    state: str
    region: str | None = None
    catalog: str = "AwsDataCatalog"
    database: str = "default"
    workgroup: str = "primary"
    output: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = secret()
    session_token: str | None = secret()
    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = secret()
    endpoint: str | None = None
    s3_endpoint: str | None = None

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """As ``athena://access_key_id:secret_access_key@region/catalog/database?state=…``."""
        try:
            parts = urlsplit(url)
            named = {
                "access_key_id": parts.username,
                "secret_access_key": parts.password,
                "region": parts.hostname,
                "port": parts.port,
            }
        except ValueError:
            raise cls._unreadable("The URL can't be read.") from None
        given = [(name, unquote(str(text))) for name, text in named.items() if text]
        query = urlencode([*given, *parse_qsl(parts.query, keep_blank_values=True)])
        return super().from_url(f"athena://{parts.path}?{query}", **more)

    def __post_init__(self) -> None:
        """Look at the locations, and whether what signs in is complete.

        Raises:
            ConfigError: A location isn't of S3, the state is where results are, or something is missing.
        """
        super().__post_init__()
        for name, location in (("state", self.state), ("output", self.output)):
            if location is not None and not (location.startswith("s3://") and location[5:].strip("/")):
                raise self._refuse(f"{name} must be a location of S3.", f"{name}: s3://bucket/prefix")
        if self.output is not None and _folder(self.state).startswith(_folder(self.output)):
            raise self._refuse(
                "state is below output, where rules delete old results.", "Give each a prefix of its own."
            )

        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise self._refuse("access_key_id and secret_access_key come together.")
        if self.session_token is not None and self.access_key_id is None:
            raise self._refuse("session_token needs access_key_id and secret_access_key.")
        if self.external_id is not None and self.role_arn is None:
            raise self._refuse("external_id needs role_arn.")
        for name in ("endpoint", "s3_endpoint"):
            if not (getattr(self, name) or "https://").startswith(("https://", "http://")):
                raise self._refuse(f"{name} must be a URL.", f"{name}: https://host")

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.athena import open_athena

        return open_athena(self)


def _folder(location: str) -> str:
    return location.rstrip("/") + "/"
