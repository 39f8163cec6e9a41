"""As ``test_kill``, on warehouses that are processes of their own: what they run, goes on without its client.

``WCDC_TEST_FAULTS=all`` kills at every point.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash import test_kill
from tests.crash.child import Nursery
from tests.crash.points import STEPS, points
from tests.crash.world import OPENED, World
from warehouse_cdc.engine.transitions import Step

pytestmark = pytest.mark.crash

SOME = {
    "bigquery": {(Step.CHECKPOINT, "before")},
    "snowflake": {
        (Step.WRITE_PLAN, "after"),
        (Step.JOURNAL_PLAN, "after"),
        (Step.SEND, "after"),
        (Step.CHECKPOINT, "before"),
        (Step.PUBLISH, "after"),
        (Step.CHANGELOG, "after"),
        (Step.COMMIT, "before"),
    },
    "spark": {(Step.CHECKPOINT, "before")},
}
"""The points that are tried unless all are asked for."""


def _points() -> list[Any]:
    everything = os.environ.get("WCDC_TEST_FAULTS") == "all"
    found = []
    for engine in OPENED:
        for point in points(*(step for step in STEPS if step != Step.CLOSE), only=("before", "after")):
            if everything or point.values in SOME[engine]:
                name = f"{engine}-{point.id}"
                found.append(pytest.param(engine, *point.values, id=name, marks=getattr(pytest.mark, engine)))
    return found


@pytest.mark.parametrize(("engine", "step", "moment"), _points())
def test_killed_at(
    make_world: Callable[[str], World], nursery: Nursery, engine: str, step: Step, moment: str
) -> None:
    test_kill.test_killed_at(make_world(engine), nursery, step, moment)
