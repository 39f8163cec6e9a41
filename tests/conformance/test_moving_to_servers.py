"""A pulled sync's state is moved into each engine with values of every type, and with all that is due."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import warehouse_cdc as wcdc
from tests.conformance.equality_matrix import MATRIX, Case
from tests.conformance.helpers import AUDIT, PLANNER, Engine, PulledEngine, Recorder, counted, sync_of
from tests.conformance.test_equality_matrix import show
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.plan.statements import Schemas
from warehouse_cdc.pull.connection import PulledConnection
from warehouse_cdc.pull.warehouse import WarehouseOrigin
from warehouse_cdc.warehouse import Warehouse

LOGS = {"changelog": False, "snapshot": False}
KINDS = {
    *(
        "integer",
        "bigint",
        "decimal(20, 6)",
        "decimal(38, 18)",
        "double",
        "real",
        "text",
        "char(4)",
        "boolean",
    ),
    *("date", "time", "timestamp", "timestamptz", "binary", "uuid", "json", "array of integer", "struct"),
}
"""Types of each family: as few as make the test short where statements are slow."""


def pulled(engine: Engine, state: Path) -> wcdc.Warehouse:
    """As ``connect(…, state=…)``, also where the engine has no URL."""
    origin = WarehouseOrigin(engine.connect()._connection, owned=False)
    connection = PulledConnection(duckdb.connect(str(state)), origin, owned=True)
    return Warehouse(connection, Settings(Schemas(PLANNER, AUDIT), **LOGS), owned=True)


def test_what_is_moved_is_not_sent_and_what_is_due_is(engine: Engine, crm: Recorder, tmp_path: Path) -> None:
    """A change and a removal that were refused are due, also after the value has returned; D16 knows it."""
    if isinstance(engine, PulledEngine):
        pytest.skip("nothing is moved into a file")
    engine.execute(*engine.spelling.before)
    cases = _few([case for case in MATRIX if case.kind in KINDS - engine.spelling.absent.keys()])
    back, new, last = (str(cases.index(case)) for case in (*_changing(cases), cases[-1]))
    sync, state = sync_of(crm, max_removed=0), tmp_path / "s.duckdb"
    show(engine, cases, after=False)
    with pulled(engine, state) as before:
        assert counted(before.run(sync))["added"][2] == len(cases)
        crm.refuse = {back: "no", last: "no"}
        edited = cases[:-1]
        edited[int(back)] = edited[int(back)]._replace(old=edited[int(back)].new)
        show(engine, edited, after=False)
        before.run(sync, allow_removed=True)
    crm.refuse = {}
    crm.take()
    edited = cases[:-1]
    edited[int(new)] = edited[int(new)]._replace(old=edited[int(new)].new)
    show(engine, edited, after=False)
    warehouse = engine.connect(**LOGS)
    assert warehouse.adopt(sync, state) is not None and not crm.take()
    warehouse.run(sync)
    assert crm.take() == {("changed", back), ("changed", new), ("removed", last)}


def _few(cases: list[Case]) -> list[Case]:
    """NULL and the first values of each kind, among them what isn't a finite number."""
    first: dict[str, dict[str | None, Case]] = {}
    for case in cases:
        first.setdefault(case.kind, {}).setdefault(case.old, case)
    return [
        case
        for values in first.values()
        for place, case in enumerate(values.values())
        if place < 4 or case.old is None
    ]


def _changing(cases: list[Case]) -> list[Case]:
    """Two that differ before and after."""
    return [case for case in cases if case.kind in ("integer", "bigint") and case.changed and case.old][:2]
