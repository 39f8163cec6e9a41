"""Connections that are cut before or during any statement of a run, and answers that come too late.

After each fault, a run without one converges: the destination has what the model has, nothing is lost, no
run is committed twice, and the audit tables add up.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import count, product
from typing import Any
from urllib.parse import urlsplit

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import (
    PLANNER,
    Engine,
    PostgresEngine,
    Recorder,
    TablesEngine,
    postgres_engine,
    sync_of,
)
from tests.conformance.trino_engine import TrinoEngine
from tests.destinations.proxy import StatementProxy, http_requests, postgres_statements
from warehouse_cdc.warehouses.trino import _session as trino_session

ALL = os.environ.get("WCDC_TEST_FAULTS") == "all"
"""Fail at every statement, not at a sample."""
ROWS = 40
SHORT_LEASE = 1.0
CUT = ("drop", "lose")
TRINO = [
    ("POST", 3, "lose"),
    ("GET", 9, "down"),
    ("POST", 12, "late"),
    ("POST", 18, "down"),
    ("GET", 30, "late"),
    ("GET", 60, "down"),
]
"""What its client repeats, and what it can't."""
PATIENCE = 3.0
"""Seconds that Trino's client waits for an answer, in these tests."""


class World:
    """A model that changes before each run, and what runs made of it so far."""

    def __init__(self, engine: Engine, proxy: StatementProxy, chunk_rows: int = 4) -> None:
        self.engine, self.proxy = engine, proxy
        self.crm = Recorder()
        self.sync = sync_of(self.crm, "SELECT id, v FROM people", chunk_rows=chunk_rows, batch_rows=4)
        self.round = 0
        values = ", ".join(f"({number}, 0)" for number in range(1, ROWS + 1))
        engine.execute("CREATE TABLE people (id INTEGER, v INTEGER)", f"INSERT INTO people VALUES {values}")
        engine.connect().run(self.sync)

    @property
    def url(self) -> str:
        """Through the proxy."""
        parts = urlsplit(self.engine.url)
        return self.engine.url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{self.proxy.port}")

    def change(self) -> None:
        """Rows leave, change and come."""
        self.round += 1
        gone, back = self.round * 3 % ROWS + 1, (self.round * 3 - 3) % ROWS + 1
        self.engine.execute(
            f"DELETE FROM people WHERE id IN ({gone}, {1000 + self.round})",
            f"UPDATE people SET v = {self.round} WHERE id % 9 = {self.round % 9}",
            f"INSERT INTO people VALUES ({1001 + self.round}, 0)"
            + (f", ({back}, {self.round})" if self.round > 1 else ""),
        )

    def connect(self, url: str, **options: Any) -> wcdc.Warehouse:
        if isinstance(self.engine, TablesEngine):
            from tests.stand_ins import connect_without_transactions

            return connect_without_transactions(url, **options)
        return wcdc.connect(url, **options)

    def fail(self, number: int, action: str, seconds: float = 0.0, **options: Any) -> bool:
        """One run with a fault; False if it ended before that."""
        self.change()
        self.crm.batches.clear()
        with self.connect(self.url, **options) as warehouse:
            self.proxy.arm(number, action, seconds)
            try:
                warehouse.run(self.sync)
            except wcdc.CdcError:
                pass
            finally:
                failed = self.proxy.done
                self.proxy.arm(0, "")
        for thread in threading.enumerate():
            if thread.name == "wcdc-lease":  # its last sign of life may be on its way
                thread.join(60)
                assert not thread.is_alive(), "the lease is still extended"
        return failed

    def expire(self) -> None:
        """The lease of the run that lost its connection runs out."""
        ledger = [name for s, name in self.engine.tables() if s == PLANNER]
        hour = "INTERVAL '1' HOUR"
        if "wcdc_leases" in ledger:
            self.engine.execute(f"UPDATE {PLANNER}.wcdc_leases SET expires_at = expires_at - {hour}")
        claims = sorted(name for name in ledger if name.endswith("_claim"))
        for name in claims[-1:] + [name for name in ledger if name.endswith("_beats")]:
            table = self.engine.dialect.table(PLANNER, name)
            self.engine.execute(f"UPDATE {table} SET recorded_at = recorded_at - {hour}")

    def converge(self, *, quiet: bool = True) -> None:
        """A run without a fault, and what holds after it; also that another has nothing to send."""
        self.expire()
        warehouse = self.connect(self.engine.url)
        with warehouse:
            try:
                run = warehouse.run(self.sync, wait=20)
            except wcdc.SyncInProgressError:  # the claim whose answer was lost was made a moment later
                self.expire()
                run = warehouse.run(self.sync, wait=20)
            assert run.status == "success"
            self.crm.batches.clear()
            assert not quiet or warehouse.run(self.sync).status == "success"
        assert not self.crm.batches, "nothing is left to send"
        model = {row_id: v for row_id, v in self.engine.query("SELECT id, v FROM people")}
        assert {int(row_id): row["v"] for row_id, row in self.crm.held.items()} == model
        self.adds_up(model)

    def adds_up(self, model: dict[int, int]) -> None:
        """D22 to D25 for all runs so far."""
        runs = self.engine.runs()
        twice = [run for run, n in Counter(row["sync_run_id"] for row in runs).items() if n > 1]
        assert not twice, "a run is in sync_runs twice"
        logged = self.engine.audit("sync_changelog")
        changes = Counter((row["sync_run_id"], row["op_type"], row["status"]) for row in logged)
        keys = Counter((row["sync_run_id"], row["row_id"]) for row in logged)
        assert not [key for key, n in keys.items() if n > 1], "an operation is in the changelog twice"
        for row, (op, short) in product(
            runs, (("added", "add"), ("changed", "change"), ("removed", "remove"))
        ):
            of_run = {s: changes[row["sync_run_id"], op, s] for s in ("succeeded", "failed", "aborted")}
            assert row[f"num_planned_{short}"] == sum(of_run.values())
            assert row[f"num_succeeded_{short}"] == of_run["succeeded"]
            assert row[f"num_failed_{short}"] == of_run["failed"]
        shown = {row["row_id"]: row for row in self.engine.audit("sync_snapshot")}
        assert shown.keys() == {str(row_id) for row_id in model}
        assert all(shown[str(row_id)]["fields"]["v"] == v for row_id, v in model.items())
        journal = " UNION ALL ".join(
            f"SELECT generation, entry, event FROM {table}" for table in self.engine.journal_tables()
        )
        entries = Counter(
            (generation, entry)
            for generation, entry, event in self.engine.query(journal)
            if event in ("claimed", "planned", "committed", "failed")
        )
        assert not [key for key, n in entries.items() if n > 1], "an entry is in the journal twice"


@pytest.fixture(params=[pytest.param(e, marks=getattr(pytest.mark, e)) for e in ("postgres", "tables")])
def world(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[World]:
    parts = urlsplit(postgres_url)
    kind = TablesEngine if request.param == "tables" else PostgresEngine
    with (
        postgres_engine(postgres_url, kind) as engine,
        StatementProxy((str(parts.hostname), parts.port or 5432), postgres_statements) as proxy,
    ):
        yield World(engine, proxy)


@pytest.mark.parametrize("action", CUT)
def test_a_connection_that_is_cut(world: World, action: str) -> None:
    """Before the statement arrives, or after it was done and before its answer arrives."""
    points = count(1, 1 if ALL else 9) if action == "drop" else count(1 if ALL else 5, 1 if ALL else 9)
    failed = 0
    for number in points:
        if not world.fail(number, action):
            break
        failed += 1
        world.converge()
    assert failed > (30 if ALL else 3)


def test_an_answer_that_comes_after_the_lease(world: World) -> None:
    lease = {"lease_seconds": SHORT_LEASE, "lease_margin": 0.1}
    world.sync = sync_of(
        world.crm, "SELECT id, v FROM people", chunk_rows=4, batch_rows=4, batch_timeout=SHORT_LEASE / 2
    )
    for number in count(4, 3 if ALL else 16):
        if not world.fail(number, "late", SHORT_LEASE * 1.3, **lease):
            break
        world.converge()
    assert number > 16


@pytest.mark.trino
def test_trino_whose_connections_are_cut(trino: TrinoEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At requests that send statements, and at those that fetch their results; or whose answers are late."""
    impatient = partial(trino_session, request_timeout=PATIENCE)
    monkeypatch.setattr("warehouse_cdc.warehouses.trino._session", impatient)
    parts = urlsplit(trino.url)
    counted = {verb: partial(http_requests, f"{verb} ".encode()) for verb in ("POST", "GET")}
    server = (str(parts.hostname), parts.port or 8080)
    with StatementProxy(server, counted["POST"]) as posts, StatementProxy(server, counted["GET"]) as gets:
        world = World(trino, posts, chunk_rows=1000)
        for verb, number, action in TRINO:
            world.proxy = posts if verb == "POST" else gets
            assert world.fail(number, action, 2 * PATIENCE)
            world.converge(quiet=(verb, number, action) == TRINO[-1])
        world.proxy = posts
        for action in ("lose", "down", "late") if ALL else ():
            for number in count(1):
                if not world.fail(number, action, 2 * PATIENCE):
                    break
                world.converge(quiet=False)
            assert number > 20
