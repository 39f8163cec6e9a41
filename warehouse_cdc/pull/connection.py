"""A DuckDB file that holds the state of syncs whose models are elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import duckdb
from sqlglot import exp

from warehouse_cdc.compile.parse import Spoken
from warehouse_cdc.errors import ConfigError, QueryError, UnsupportedError
from warehouse_cdc.pull.adbc import AdbcOrigin
from warehouse_cdc.pull.base import Origin
from warehouse_cdc.pull.database import DatabaseOrigin, engine_of
from warehouse_cdc.pull.postgres import PostgresOrigin
from warehouse_cdc.pull.warehouse import WarehouseOrigin
from warehouse_cdc.sources import SOURCES, Database, DuckDB, Source, open_target, source_of
from warehouse_cdc.warehouses.base import Connection, Labels
from warehouse_cdc.warehouses.duckdb import DuckDBConnection

_PREVIEW = "temp.main.wcdc_pulled"
"""Where rows are that nobody keeps."""


def open_pulled(target: Any, state: str | PathLike[str] | Source) -> PulledConnection:
    """Connect to what is pulled from, and to the DuckDB file of its state.

    Args:
        target: As of ``connect``, or a URL or Engine of any database that SQLAlchemy reads, or
            an ADBC connection.
        state: A path, a ``duckdb://`` URL or a source object.

    Raises:
        ConfigError: The state isn't for DuckDB, or a driver isn't installed.
        UnsupportedError: The target is nothing that can be read.
        WarehouseError: One of them can't be reached.
    """
    kept = kept_in(state)
    origin = _origin(target)
    try:
        held = kept.open()
        assert isinstance(held, DuckDBConnection)
        held.check_place()
    except BaseException:
        origin.close()
        raise
    return PulledConnection(held.parent, origin, owned=True)


def kept_in(state: str | PathLike[str] | Source) -> DuckDB:
    """The DuckDB file that a state is kept in.

    Raises:
        ConfigError: It isn't one.
    """
    kept: Source | None = None
    if isinstance(state, Source):
        kept = state
    elif isinstance(state, str) and "://" in state:
        kept = source_of(state)
    elif isinstance(state, (str, PathLike)):
        kept = DuckDB(file=state)
    if not isinstance(kept, DuckDB):
        raise ConfigError(
            "state must be a DuckDB file.", code="settings", hint='For example state="syncs.duckdb".'
        )
    return kept


def _origin(target: Any) -> Origin:
    scheme = target.partition("://")[0].partition("+")[0].lower() if isinstance(target, str) else ""
    if isinstance(target, str) and scheme not in SOURCES:
        target = Database(url=target)
    if isinstance(target, Database):
        return _of_engine(engine_of(target.url), owned=True)
    try:
        connection, owned = open_target(target)
    except UnsupportedError:
        if hasattr(target, "raw_connection"):
            return _of_engine(target, owned=False)
        if hasattr(target, "adbc_get_info"):
            return AdbcOrigin(target)
        raise
    return WarehouseOrigin(connection, owned=owned)


def _of_engine(engine: Any, *, owned: bool) -> Origin:
    kind = PostgresOrigin if engine.dialect.name == "postgresql" else DatabaseOrigin
    return kind(engine, owned=owned)


class PulledConnection(DuckDBConnection):
    """A session of the state's file, to which models' rows are brought before they are compared."""

    loads = True

    def __init__(self, parent: duckdb.DuckDBPyConnection, origin: Origin, *, owned: bool = False) -> None:
        """Open a cursor of the file; the origin is closed with it."""
        super().__init__(parent, owned=owned)
        self._origin = origin
        self._described: dict[str, list[tuple[str, str]]] = {}
        self._labels = Labels()

    @property
    def labels(self) -> Labels:
        """What the next statements are for; those of the origin say it."""
        return self._labels

    @labels.setter
    def labels(self, labels: Labels) -> None:
        self._labels = labels
        self._origin.label(labels)

    @property
    def origin(self) -> Connection | None:
        """The warehouse that is pulled from, if it is one."""
        return self._origin.connection

    @property
    def spoken(self) -> Spoken:
        """What the origin speaks."""
        return self._origin.spoken

    def describe(self, sql: str) -> list[tuple[str, str]]:
        """Ask the origin."""
        self._described = {sql: self._origin.describe(sql)}
        return self._described[sql]

    def load(self, sql: str, columns: Sequence[str], table: str = "") -> str:
        """Bring the rows of the query that was described last."""
        kinds = dict(self._described[sql])
        quote, where = self.dialect.quote, table or _PREVIEW
        definitions = ", ".join(f"{quote(name)} {kinds[name]}" for name in columns)
        values = ", ".join(f"CAST({quote(name)} AS {kinds[name]})" for name in columns)
        with self.transaction():
            self.execute(f"CREATE {'' if table else 'OR REPLACE TEMP '}TABLE {where} ({definitions})")
            for batch in self._origin.rows(sql, columns):
                self._sending()
                try:  # a registered view would keep all batches until the transaction ends
                    self._cursor.from_arrow(batch).project(values).insert_into(where)
                except duckdb.Error:
                    raise QueryError(
                        "A value of the model doesn't fit into the DuckDB type of its column.",
                        sql=f"INSERT INTO {where} SELECT {values}",
                        hint="Cast the column to text in the model.",
                    ) from None
        return f"SELECT * FROM {where}"

    def probe(self, sql: str) -> None:
        """Ask the origin."""
        self._origin.probe(sql)

    def version_of(self, tables: Sequence[exp.Table]) -> str | None:
        """Ask the origin."""
        return self._origin.version_of(tables)

    def columns_of(self, tables: Sequence[exp.Table]) -> list[frozenset[str]] | None:
        """None: they aren't here."""
        return None

    def cancel_statement(self) -> None:
        """Stop whichever is under way."""
        self._origin.cancel_statement()
        super().cancel_statement()

    def close(self) -> None:
        """Close both."""
        super().close()
        self._origin.close()
