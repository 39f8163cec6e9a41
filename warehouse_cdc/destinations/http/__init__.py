"""HTTP endpoints as destinations, and what their requests are made of."""

from warehouse_cdc.errors import ConfigError

try:
    from warehouse_cdc.destinations.http.body import Body, Empty, Form, Json, JsonColumn, JsonColumns, Xml
    from warehouse_cdc.destinations.http.client import Tls
    from warehouse_cdc.destinations.http.oauth import OAuth2
    from warehouse_cdc.destinations.http.request import HttpRequest, Request
    from warehouse_cdc.destinations.http.service import HttpFunction, JsonRpc
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] not in ("authlib", "dateutil", "httpx2", "liquid"):
        raise
    raise ConfigError(
        f"HTTP destinations need the package that provides {error.name!r}.",
        code="missing-extra",
        hint="pip install 'warehouse-cdc[http]'",
    ) from None

__all__ = [
    "Body",
    "Empty",
    "Form",
    "HttpFunction",
    "HttpRequest",
    "Json",
    "JsonColumn",
    "JsonColumns",
    "JsonRpc",
    "OAuth2",
    "Request",
    "Tls",
    "Xml",
]
