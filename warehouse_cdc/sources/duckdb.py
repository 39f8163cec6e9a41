"""DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl

from warehouse_cdc.sources.base import Source

if TYPE_CHECKING:
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True, kw_only=True)
class DuckDB(Source):
    """A DuckDB file, or a database in memory.

    Args:
        file: Its path; a database in memory if None.
        config: DuckDB's own settings.
    """

    schemes: ClassVar = ("duckdb",)
    example: ClassVar = "duckdb:///path/to/file.duckdb"
    dialect: ClassVar = "duckdb"
    driver: ClassVar = "duckdb"
    extra: ClassVar = ""
    modules: ClassVar = ("duckdb", "_duckdb")

    file: str | PathLike[str] | None = None
    config: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        """Show the file; of one at MotherDuck, nothing of its settings, which may be a token."""
        file = None if self.file is None else fspath(self.file)
        if file is not None and file.startswith(("md:", "motherduck:")):
            file = file.partition("?")[0]
        return f"{type(self).__name__}(file={file!r})"

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read ``duckdb:///path?setting=value``; the path as it is, relative after three slashes."""
        rest = url.partition("://")[2]
        path, _question, query = rest.removeprefix("/").partition("?")
        return cls(file=None if path in ("", ":memory:") else path, config=dict(parse_qsl(query)), **more)

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A connection of the driver's, which stays its owner's."""
        import duckdb

        from warehouse_cdc.warehouses.duckdb import adopted

        if not isinstance(connection, duckdb.DuckDBPyConnection):
            return super().adopt(connection)
        return adopted(connection)

    def _open(self) -> Connection:
        from warehouse_cdc.warehouses.duckdb import open_duckdb

        return open_duckdb(":memory:" if self.file is None else fspath(self.file), dict(self.config))
