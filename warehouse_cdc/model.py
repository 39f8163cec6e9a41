"""What a user declares as a model: a query with a primary key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from warehouse_cdc.errors import ConfigError


@dataclass(frozen=True)
class Model:
    """One SELECT, table or compiled dbt model, with its primary key.

    Args:
        name: The model's name, as audit tables show it.
        sql: One SELECT statement (CTEs and set operations included).
        table: A table or view, dotted (``schema.table``), as SQL would name it.
        file: A file that holds one SELECT, for example ``target/compiled/.../customers.sql`` of dbt.
        primary_key: The column, or the columns in order, that identify a row.
        id: The model's id in audit tables; its name by default.
        dialect: The dialect of ``sql``; the warehouse's own by default. Another one is transpiled.

    Raises:
        ConfigError: Not exactly one of ``sql``, ``table``, ``file``; no primary key; an unreadable file.

    >>> Model("customers", sql="select id, email from customers", primary_key="id").primary_key
    ('id',)
    """

    name: str
    sql: str | None = None
    table: str | None = None
    file: str | Path | None = None
    primary_key: Sequence[str] = ()
    id: str = ""
    dialect: str | None = None
    source_sql: str | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check the declaration and read the file, if any."""
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigError("A model needs a name.", code="model-name")
        given = [name for name in ("sql", "table", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(
                f"Model {self.name!r} needs exactly one of sql, table and file; it has {len(given)}.",
                code="model-source",
            )
        key = (self.primary_key,) if isinstance(self.primary_key, str) else tuple(self.primary_key)
        if not key or any(not isinstance(part, str) or not part for part in key):
            raise ConfigError(
                f"Model {self.name!r} needs a primary key: the name of a column, or a list of them.",
                code="model-primary-key",
            )
        if len(set(key)) != len(key):
            raise ConfigError(
                f"Model {self.name!r} names a primary key column twice.", code="model-primary-key"
            )
        object.__setattr__(self, "primary_key", key)
        if not self.id:
            object.__setattr__(self, "id", self.name)
        object.__setattr__(self, "source_sql", self._read() if self.file is not None else self.sql)
        for label, text in (("sql", self.source_sql), ("table", self.table)):
            if text is not None and (not isinstance(text, str) or not text.strip()):
                raise ConfigError(f"Model {self.name!r} has an empty {label}.", code="model-source")

    def _read(self) -> str:
        path = Path(str(self.file))
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"Model {self.name!r}: its file can't be read as UTF-8 text ({type(error).__name__}).",
                code="model-file",
                hint=f"Check the path {path}. A dbt model must be compiled first (dbt compile).",
            ) from error
