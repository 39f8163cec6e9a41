"""How many statements runs send, by kind of run: for the page that says so, and for the benchmark."""

from __future__ import annotations

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine


def statements_of(engine: Engine, sync: wcdc.Sync) -> dict[str, int]:
    """Kind of run to statements, over a table of a hundred rows."""
    _make_people(engine, first=10)
    warehouse = engine.connect()
    found = {"first": warehouse.run(sync).statements}
    found["unchanged, after a run that sent something"] = warehouse.run(sync).statements
    found["unchanged, after a run that sent nothing"] = warehouse.run(sync).statements
    _make_people(engine, first=0)
    found["1 % changed"] = warehouse.run(sync).statements
    _make_people(engine, first=1, without=2, last=101)
    found["all three operations"] = warehouse.run(sync).statements
    return found


def _make_people(engine: Engine, *, first: int, without: int = 0, last: int = 100) -> None:
    """Make the table (again), since not every engine has UPDATE: the value of row 1 is given."""
    engine.execute(
        "DROP TABLE IF EXISTS people",
        "CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id, "
        f"CAST(CASE WHEN i = 1 THEN {first} ELSE i * 10 END AS INTEGER) AS v "
        f"FROM {engine.series(1, last)} r(i) WHERE i <> {without}",
    )
