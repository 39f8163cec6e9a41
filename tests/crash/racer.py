"""A process that runs a sync whenever a line of JSON tells it to, and says what became of it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.crash.world import Recorder, World, make_sync
from warehouse_cdc.destinations import Batch
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.errors import CdcError

ROOT = Path(__file__).parents[2]


def _say(**message: Any) -> None:
    print(json.dumps(message), flush=True)


class _Held(Recorder):
    """Sends nothing before it is released."""

    sent = False

    def __call__(self, batch: Batch) -> dict[str, str]:
        if not self.sent:
            self.sent = True
            assert json.loads(sys.stdin.readline()) == {"release": True}
        return super().__call__(batch)


def _meet(start: float) -> None:
    """Both processes see the same clock: they go on at the same moment."""
    while time.monotonic() < start:
        pass


def main(world: World) -> None:
    with world.connect() as warehouse:
        _say(ready=True)
        while line := sys.stdin.readline():
            order = json.loads(line)
            held = _Held(world)

            def observer(step: Step, moment: str, order: dict[str, Any] = order) -> None:
                if (step, moment) == (Step.CLAIM, "before") and order["meet"] == "claim":
                    _meet(order["start"] + 0.05)

            if order["meet"] == "start":
                _meet(order["start"])
            try:
                run = warehouse.run(make_sync(world, destination=held), observer=observer)
            except CdcError as error:
                _say(error=type(error).__name__, sent=held.sent)
            else:
                _say(run=run.run_id, status=run.status)


if __name__ == "__main__":
    main(World(**json.loads(sys.argv[1])))
