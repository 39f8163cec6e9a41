"""One history of runs gives the same operations, row ids, counts and fields on every engine.

The model's rows are made by a formula of their number and the run's, in SQL and here; what each run must do
with them says the contract as a plain-Python model (``tests.property.oracle``).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conformance.helpers import AUDIT, Engine, Recorder, sync_of
from tests.conformance.on_servers import ON_SERVERS
from tests.property.oracle import Held, Setup, counts, plan, remembered, settle

ASKED = os.environ.get("WCDC_TEST_HISTORY", "")
FULL = (20_000, 30)
ROWS, RUNS = FULL if ASKED == "all" else (2_000, 12)
ON_SERVER = (20_000, 6)
"""Rows and runs where statements take their time; an engine's module may have others, as ``HISTORY``."""


def length_of(engine: Engine) -> tuple[int, int]:
    """Rows and runs of the history."""
    if engine.name not in ON_SERVERS:
        return ROWS, RUNS
    return getattr(ON_SERVERS[engine.name], "HISTORY", {}).get(ASKED, FULL if ASKED == "all" else ON_SERVER)


MODEL = """
SELECT CASE WHEN MOD(i + n, 401) = 0 THEN NULL ELSE i END AS {id},
    CASE MOD(i + n - MOD(n + i, 13), 3) WHEN 0 THEN NULL WHEN 1 THEN 'é' ELSE 'a ' END AS {name},
    MOD(i * 31 + n + MOD(i, 29) - MOD(n + MOD(i, 29), 29), 1000) AS {v}
FROM numbers CROSS JOIN moment
WHERE MOD(i + 17 * n - MOD(17 * n, 51), 20) <> 0 AND (copy = 1 OR (MOD(i, 997) = 5 AND MOD(n, 4) > 1))
"""
"""Its columns are quoted: names mean the same on engines that fold the others to upper case."""


def rows_of(size: int, n: int) -> list[dict[str, Any]]:
    """The model's rows in a run."""
    found = []
    for i in range(1, size + 1):
        if (i + 17 * n - 17 * n % 51) % 20 == 0:
            continue
        row = {
            "id": None if (i + n) % 401 == 0 else i,
            "name": (None, "é", "a ")[(i + n - (n + i) % 13) % 3],
            "v": (i * 31 + n + i % 29 - (n + i % 29) % 29) % 1000,
        }
        found += [row] * (2 if i % 997 == 5 and n % 4 > 1 else 1)
    return found


@pytest.mark.slow
def test_one_history_gives_the_same_answers(engine: Engine, crm: Recorder) -> None:
    size, runs = length_of(engine)
    engine.execute(
        "CREATE TABLE numbers AS SELECT CAST(a + 200 * b AS INTEGER) AS i, CAST(c AS INTEGER) AS copy "
        f"FROM {engine.series(1, 200)} x(a) CROSS JOIN {engine.series(0, size // 200 - 1)} y(b) "
        f"CROSS JOIN {engine.series(1, 2)} z(c)",
        "CREATE TABLE moment (n INTEGER)",
        "INSERT INTO moment VALUES (0)",
    )
    model = MODEL.format(**{name: engine.dialect.quote(name) for name in ("id", "name", "v")})
    warehouse = engine.connect()
    state: dict[str, Held] = {}
    version: str | None = None
    kinds: set[str] = set()
    for n in range(1, runs + 1):
        engine.execute(f"UPDATE moment SET n = {n}")
        crm.refuse = {str(i): "no" for i in range(1, size + 1) if (i + n) % 101 == 0}
        setup = Setup(fields=("name", "v") if n <= runs - 2 else ("v",))
        sync = sync_of(crm, model, mappings={f"to_{name}": name for name in setup.fields}, max_attempts=1)
        resync = n == runs // 2
        run = (warehouse.full_resync if resync else warehouse.run)(sync)
        made = plan(
            rows_of(size, n),
            remembered(state, version, setup),
            setup,
            run.run_id,
            "resync" if resync else "run",
        )
        outcomes = {row_id: "failed" if row_id in crm.refuse else "succeeded" for row_id in made.operations}
        assert crm.take() == {(operation.kind, row_id) for row_id, operation in made.operations.items()}, n
        found = {kind: (c.planned, c.attempted, c.succeeded, c.failed) for kind, c in run.counts.items()}
        assert found == counts(made, outcomes), n
        kinds |= {kind for kind, numbers in found.items() if numbers[3]}
        logged = {
            row["row_id"]: (row["op_type"], row["status"], row["fields"])
            for row in engine.audit(f"sync_changelog WHERE sync_run_id = '{run.run_id}'", "row_id")
        }
        wanted = {}
        for row_id, operation in made.operations.items():
            values = operation.new or (operation.held.values if operation.held else {})
            shown = {name: values[name] for name in ("id", *setup.fields)}
            wanted[row_id] = (operation.kind, outcomes[row_id], shown)
        for row_id, values in made.duplicate_values.items():
            shown = {name: values[name] for name in ("id", *setup.fields)}
            wanted[row_id] = ("changed" if row_id in made.before else "added", "failed", shown)
        assert logged == wanted, n
        state, version = settle(made, outcomes), setup.version
    assert kinds == {"added", "changed", "removed"}, "each kind of operation is refused somewhere"
    assert len(engine.query(f"SELECT row_id FROM {AUDIT}.sync_snapshot")) >= len(state)
