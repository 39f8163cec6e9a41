"""The oracle through a server that fails: whatever goes wrong, its table converges to the model.

The model is a dictionary; the server is real, on a real socket, and refuses, throttles, cuts connections,
answers too late and forgets to answer after the effect took place.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import warehouse_cdc as wcdc
from warehouse_cdc.destinations import HttpRequest
from warehouse_cdc.destinations.http import Empty, Request
from warehouse_cdc.testing import Fault, FaultServer

KEYS = range(12)

FAULTS = st.sampled_from(
    [
        None,
        Fault(status=400, body="bad"),
        Fault(status=500, applied=True),
        Fault(status=500),
        Fault(status=502, applied=True),
        Fault(status=503),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=413),
        Fault(status=408),
        Fault(reset="before"),
        Fault(reset="after", applied=True),
        Fault(reset="after"),
        Fault(status=200, reset="middle", body="x" * 50, applied=True),
        Fault(stall=0.6, applied=True),
    ]
)
STEP = st.fixed_dictionaries(
    {
        "write": st.dictionaries(st.sampled_from(KEYS), st.integers(0, 3), max_size=6),
        "remove": st.sets(st.sampled_from(KEYS), max_size=3),
        "faults": st.lists(FAULTS, max_size=6),
        "poison": st.sets(st.sampled_from(KEYS), max_size=2),
    }
)


class World:
    """A model, the server, and what the two should come to."""

    def __init__(
        self, server: FaultServer, *, single: bool, options: dict[str, Any], scaled: dict[str, Any]
    ) -> None:
        self.server = server
        self.scaled = scaled
        self.single = single
        self.model: dict[int, int] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.faults: list[Fault | None] = []
        self.poison: set[int] = set()
        server.script = self.script
        server.poison = lambda row: int(row["id"]) in self.poison
        self.source = duckdb.connect()
        self.source.execute("create table t (id integer, value integer)")
        self.warehouse = wcdc.connect(self.source)
        write = Request(url="/rows", batch=not single)
        remove = (
            Request("DELETE", "/rows/{{ row.id }}", Empty(), batch=False)
            if single
            else Request(url="/remove")
        )
        destination = HttpRequest(
            server.url,
            added=write,
            changed=write,
            removed=remove,
            timeout=0.4,
            read_timeout=0.4,
            rate="200/second",
        )
        values: dict[str, Any] = {
            "retry_wait": 0,
            "max_attempts": 2,
            "breaker": None,
            "chunk_rows": 4,
            **options,
        }
        self.sync = wcdc.Sync(
            id="s",
            model=wcdc.Model("t", table="t", primary_key="id"),
            destination=destination,
            on_removed="delete",
            max_removed=None,
            require_rows=False,
            **values,
        )

    def script(self, number: int, path: str, body: bytes) -> Fault | None:
        return self.faults.pop() if self.faults else None

    def step(self, step: dict[str, Any]) -> None:
        for key, value in step["write"].items():
            if self.model.get(key) != value:
                self.versions["written", str(key)] = self.versions.get(("written", str(key)), 0) + 1
            self.model[key] = value
        for key in step["remove"]:
            if self.model.pop(key, None) is not None:
                self.versions["removed", str(key)] = self.versions.get(("removed", str(key)), 0) + 1
        self.faults, self.poison = list(step["faults"]), set(step["poison"])
        self.run()

    def run(self) -> wcdc.Run:
        self.source.execute("delete from t")
        if self.model:
            self.source.executemany(
                "insert into t values (?, ?)", [list(each) for each in self.model.items()]
            )
        run = self.warehouse.run(self.sync, **self.scaled)
        for counts in run.counts.values():
            assert counts.planned == counts.attempted + counts.aborted
            assert counts.attempted == counts.succeeded + counts.failed
        return run

    @property
    def held(self) -> dict[int, int]:
        return {int(key): row["value"] for key, row in self.server.table.items()}


def converges(
    steps: list[dict[str, Any]], *, single: bool, scaled: dict[str, Any] | None = None, **options: Any
) -> World:
    with FaultServer() as server:
        world = World(server, single=single, options=options, scaled=scaled or {})
        for step in steps:
            world.step(step)
        world.faults, world.poison = [], set()
        assert world.run().status == "success"
        assert world.held == world.model
        calls = len(server.calls)
        assert world.run().status == "success" and len(server.calls) == calls, "nothing is left to send"
        assert server.most_in(1.0) <= 200
        return world


SETTINGS = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SETTINGS
@given(st.lists(STEP, min_size=1, max_size=4), st.integers(1, 4), st.booleans())
def test_batches_converge_whatever_goes_wrong(
    steps: list[dict[str, Any]], concurrency: int, split: bool
) -> None:
    world = converges(steps, single=False, batch_rows=3, concurrency=concurrency, split_retries=split)
    assert world.server.most_at_once <= concurrency + 1, "one that was given up may still be answered"


@SETTINGS
@given(st.lists(STEP, min_size=1, max_size=4), st.integers(1, 4))
def test_an_effect_happens_once_where_the_idempotency_key_is_honoured(
    steps: list[dict[str, Any]], concurrency: int
) -> None:
    world = converges(steps, single=True, concurrency=concurrency)
    for (operation, key), times in world.server.effects.items():
        assert times <= world.versions.get((operation, str(key)), 0), (operation, key)


@settings(SETTINGS, max_examples=8)
@given(st.lists(STEP, min_size=1, max_size=4), st.integers(1, 3), st.booleans(), st.booleans())
def test_parts_converge_whatever_goes_wrong(
    steps: list[dict[str, Any]], parts: int, single: bool, short: bool
) -> None:
    """Also where most retries are left to the next task."""
    with ThreadPoolExecutor(3) as executor, pytest.MonkeyPatch.context() as patch:
        patch.setattr("warehouse_cdc.engine.parts.SLICE", 0.05 if short else 15.0)
        scaled = {"executor": executor, "parts": parts}
        options: dict[str, Any] = {"batch_rows": 1 if single else 3, "concurrency": 4, "chunk_rows": 2}
        world = converges(steps, single=single, scaled=scaled, batch_timeout=0.5, retry_wait=0.03, **options)
    if single:
        for (operation, key), times in world.server.effects.items():
            assert times <= world.versions.get((operation, str(key)), 0), (operation, key)


def test_the_servers_log_is_what_was_sent() -> None:
    """The oracle would see nothing if the server took no notice."""
    step = {
        "write": {1: 1, 2: 2},
        "remove": set(),
        "faults": [Fault(status=500, applied=True)],
        "poison": set(),
    }
    world = converges([step], single=True)
    assert world.server.effects == {("written", 1): 1, ("written", 2): 1}
    assert len(world.server.calls) == 3
    assert sorted(json.loads(call.body)["id"] for call in world.server.calls)[0] == 1
