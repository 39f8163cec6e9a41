"""T-SQL as the conformance tests see it: on DuckDB, through a driver that translates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import duckdb

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, PLANNER, DuckDBEngine, RecordsInTables
from tests.conformance.spelling import TYPES, Spelling
from tests.tsql_on_duckdb import Session, prepare
from warehouse_cdc.dialects import ColumnType, get_dialect
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.warehouse import Warehouse

GAPS: dict[str, str] = {
    "test_what_an_engine_does_not_have_it_does_not_have": "DuckDB, which runs it, has such types",
}
"""Tests that fail on it, with the reason; one that passes is an error."""


class TSQLEngine(RecordsInTables):
    """A database in memory; what the library sends is T-SQL, what the tests send is DuckDB's.

    Attributes:
        sent: Every statement of the library.
    """

    binary = "BLOB"
    spelling = Spelling(
        types={"binary": "BLOB"},
        values={"binary": lambda digits: f"unhex('{digits}')"},
        absent=dict.fromkeys(
            [
                *("interval", "json", "struct", "map of integer"),
                *(kind for kind in TYPES if kind.startswith("array of ")),
            ],
            "T-SQL has no such type",
        ),
        differs=DuckDBEngine.spelling.differs,
        literal=get_dialect("duckdb").literal,
    )

    def __init__(self, name: str = "synapse") -> None:
        super().__init__(name, "")
        self._own = duckdb.connect()
        prepare(self._own, name)
        self.sent: list[str] = []

    def connect(self, **options: Any) -> wcdc.Warehouse:
        from warehouse_cdc.warehouses.tsql import SynapseConnection, TSQLConnection

        kind: Any = SynapseConnection if self.name == "synapse" else TSQLConnection
        connection = kind(self.session(), self.session, self.dialect)
        schemas = Schemas(options.pop("planner_schema", PLANNER), options.pop("audit_schema", AUDIT))
        settings = Settings(schemas, **options)
        warehouse = Warehouse(connection, settings, owned=True)
        self._warehouses.append(warehouse)
        return warehouse

    def session(self) -> Session:
        return Session(self._own, self.sent)

    def execute(self, *statements: str) -> None:
        for sql in statements:
            self._own.execute(sql)

    def records(self, sql: str) -> list[dict[str, Any]]:
        found = self._own.sql(sql.replace("[", '"').replace("]", '"')).to_arrow_table().to_pylist()
        return [{name: _in_utc(value) for name, value in row.items()} for row in found]

    def column_type(self, value: str) -> ColumnType:
        self.execute(f"CREATE OR REPLACE VIEW wcdc_value AS SELECT {value} AS k")
        return self._described("SELECT k FROM wcdc_value")

    def over(self, rows: str, select: str) -> list[tuple[Any, ...]]:
        self.execute(f"CREATE OR REPLACE VIEW wcdc_rows AS SELECT * FROM {rows}")
        cursor = self.session().cursor()
        cursor.execute(select.replace("ROWS", "wcdc_rows"))
        return cursor.fetchall()

    def raw(self) -> Any:
        return self._own.cursor()

    def close(self) -> None:
        self.detach()
        self._own.close()


def _in_utc(value: Any) -> Any:
    """A value; times without a zone are in UTC."""
    return value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value


@contextlib.contextmanager
def opened(server: str = "", name: str = "synapse") -> Iterator[TSQLEngine]:
    """With empty schemas."""
    engine = TSQLEngine(name)
    try:
        with engine.connect() as warehouse:
            warehouse.setup("syncs")
        engine.sent.clear()
        yield engine
    finally:
        engine.close()
