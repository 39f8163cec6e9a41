"""How many statements runs send, by kind of run: for the page that says so, and for the benchmark."""

from __future__ import annotations

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine


def statements_of(engine: Engine, sync: wcdc.Sync) -> dict[str, int]:
    """Kind of run to statements, over a table of a hundred rows."""
    engine.execute(
        "CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id, CAST(i * 10 AS INTEGER) AS v "
        f"FROM {engine.series(1, 100)} r(i)"
    )
    warehouse = engine.connect()
    found = {"first": warehouse.run(sync).statements}
    found["no change, after a run that sent something"] = warehouse.run(sync).statements
    found["no change, after a run that sent nothing"] = warehouse.run(sync).statements
    engine.execute("UPDATE people SET v = 0 WHERE id = 1")
    found["one operation"] = warehouse.run(sync).statements
    engine.execute("UPDATE people SET v = 1 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    engine.execute("INSERT INTO people VALUES (101, 1)")
    found["all three operations"] = warehouse.run(sync).statements
    return found
