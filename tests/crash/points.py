"""Every moment of a run at which a process may be killed or paused, from the engine's own list of steps."""

from __future__ import annotations

from typing import Any

import pytest

from warehouse_cdc.engine.transitions import Step

STEPS = list(Step)
SCENARIO = {Step.COPY_MODEL: "copied", Step.REJECTIONS: "files", Step.PUBLISH: "files", Step.JOB: "jobs"}
"""What reaches a step, if not the plain scenario."""
NTH = {Step.READ: 2, Step.JOB: 9, Step.SEND: 6, Step.CHECKPOINT: 3, Step.REJECTIONS: 2, Step.PUBLISH: 2}
"""Which occurrence, of a step that occurs several times: one in the middle of delivery."""
CLOSING = (Step.CLAIM, Step.CLOSE, Step.CHANGELOG, Step.SNAPSHOT, Step.SYNC_RUNS, Step.COMMIT)
"""What a run that closes an interrupted one does first."""

UNFENCED = {
    Step.CLAIM,
    Step.COPY_MODEL,
    Step.WRITE_PLAN,
    Step.RESOLVE,
    Step.READ,
    Step.SEND,
    Step.PUBLISH,
}
"""Steps that write nothing but garbage, or nothing in the warehouse; all others must hold the lease's row."""
PLAIN_STATEMENTS = {Step.COPY_MODEL, Step.READ, Step.SEND, Step.PUBLISH}
"""Steps without a transaction of several statements."""


def moments(step: Step) -> list[str]:
    """The moments of a step, in order; a step that is added later is taken for a fenced one."""
    inside = ["locked"] if step not in UNFENCED else []
    inside += ["committing"] if step not in PLAIN_STATEMENTS else []
    return ["before", *inside, *(["checked"] if step == Step.SEND else []), "after"]


def points(*steps: Step, only: tuple[str, ...] = ()) -> list[Any]:
    """Parameters: each step with each of its moments, or some of them."""
    return [
        pytest.param(step, moment, id=f"{step.value}-{moment}")
        for step in steps
        for moment in moments(step)
        if not only or moment in only
    ]
