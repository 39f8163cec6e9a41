"""What must hold after any run, and the bookkeeping of a chain of runs that were killed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import warehouse_cdc as wcdc
from tests.conformance.helpers import LEDGER
from tests.crash.points import STEPS
from tests.crash.world import CHUNK_ROWS, WAIT, Sent, Values, World, make_sync
from warehouse_cdc.engine.table_ledger import BEAT, EXPIRED
from warehouse_cdc.engine.transitions import Step

_SAVED = tempfile.TemporaryDirectory(prefix="wcdc-crash-")
SHORT = {"added": "add", "changed": "change", "removed": "remove"}


def run_here(world: World, scenario: str = "plain", **options: Any) -> wcdc.Run:
    """Run the sync in this process; a foreign lease is waited for."""
    with world.connect() as warehouse:
        return warehouse.run(make_sync(world, scenario), wait=WAIT * world.patience, **options)


@dataclass(frozen=True)
class Logged:
    """A row of sync_runs."""

    run: str
    status: str
    error: str | None
    numbers: dict[str, int]


Outcome = tuple[str, str, str | None]
"""Operation, status and reason."""

SIGNS = (BEAT, EXPIRED)
NUMBERS = [f"num_{m}_{o}" for m in ("planned", "attempted", "succeeded", "failed") for o in SHORT.values()]


class Seen:
    """What the engine's tables hold, read at once.

    Attributes:
        runs: Rows of sync_runs by run id, in order.
        changes: Run id to row id to what the changelog says.
        snapshot: Row id to what the snapshot says, and its fields.
        journal: The journal's entries, in order, but for signs of life: a late one is nobody's concern.
        leases: The rows of the leases.
        tables: Names of the tables in the planner schema.
    """

    def __init__(self, world: World) -> None:
        audit, planner = world.audit, world.planner
        with world.database() as run:
            logged = run(f"SELECT sync_run_id, status, error, {', '.join(NUMBERS)} FROM {audit}.sync_runs")
            changes = run(
                f"SELECT sync_run_id, row_id, op_type, status, failure_reason FROM {audit}.sync_changelog"
            )
            snapshot = run(
                f"SELECT row_id, op_type, status, failure_reason, fields FROM {audit}.sync_snapshot"
            )
            self.tables = world.listed()
            ledger = {name for name in self.tables if LEDGER.search(name)} | {"wcdc_journal"} & self.tables
            logs = {name for name in self.tables if world.tables and name.endswith("_rejections")}
            self.journal = [
                row
                for name in {*ledger, *logs}
                for row in run(
                    f"SELECT generation, entry, run_id, event, data FROM {planner}.{name} "
                    "WHERE event IS NOT NULL"
                )
                if row[3] not in SIGNS
            ]
            self.journal.sort(key=lambda row: row[:2])
            if world.tables:
                self.leases = sorted(name for name in ledger if not name.endswith("_beats"))
                self.tables -= ledger
            else:
                self.leases = run(f"SELECT generation, run_id, owner FROM {planner}.wcdc_leases")
        rows = {row[0]: Logged(*row[:3], dict(zip(NUMBERS, row[3:], strict=True))) for row in sorted(logged)}
        assert len(rows) == len(logged), "a run is in sync_runs twice"
        self.runs: dict[str, Logged] = rows
        self.changes: dict[str, dict[str, Outcome]] = {}
        for run_id, row_id, *outcome in changes:
            of_run = self.changes.setdefault(run_id, {})
            assert row_id not in of_run, "a row is in a run's changelog twice"
            of_run[row_id] = tuple(outcome)  # type: ignore[assignment]
        self.snapshot = {
            row[0]: (row[1:4], json.loads(row[4]) if isinstance(row[4], str) else row[4]) for row in snapshot
        }
        assert len(self.snapshot) == len(snapshot), "a row is in the snapshot twice"

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)


def check_settled(world: World, run_id: str) -> Seen:
    """What holds after a run has ended: audit tables, planner tables, lease."""
    seen = Seen(world)
    assert set(seen.changes) <= set(seen.runs)
    assert max(seen.runs) == run_id
    for run in seen.runs.values():
        rows = seen.changes.get(run.run, {})
        counts = Counter((operation, status) for operation, status, _reason in rows.values())
        for operation, short in SHORT.items():
            succeeded, failed = counts[operation, "succeeded"], counts[operation, "failed"]
            aborted = counts[operation, "aborted"]
            numbers = [
                run.numbers[f"num_{m}_{short}"] for m in ("planned", "attempted", "succeeded", "failed")
            ]
            assert numbers == [succeeded + failed + aborted, succeeded + failed, succeeded, failed]
    _check_snapshot(seen, world.model(), seen.changes.get(run_id, {}))
    _check_planner(seen, run_id)
    return seen


def _check_snapshot(seen: Seen, model: dict[str, list[Values]], changes: dict[str, Outcome]) -> None:
    expected = {row_id: changes.get(row_id, ("unchanged", "succeeded", None)) for row_id in model}
    expected |= {r: c for r, c in changes.items() if c[0] == "removed" and c[1] != "succeeded"}
    assert {row_id: outcome for row_id, (outcome, _fields) in seen.snapshot.items()} == expected
    for row_id, (_outcome, fields) in seen.snapshot.items():
        assert row_id not in model or fields in model[row_id]


def _check_planner(seen: Seen, run_id: str) -> None:
    """The full plan's pair and the two newest, and nothing else but the shared tables; the lease is free."""
    committed = [row[0] for row in seen.journal if row[3] == "committed"]
    assert [row[2] for row in seen.journal if row[0] == committed[-1]][-1] == run_id
    plans = {row[0]: json.loads(row[4]) for row in seen.journal if row[3] == "planned"}
    written = [number for number in committed if plans[number]["plan_table"]]
    needed = {*written[-2:], plans[written[-1]]["base"] or written[-1]}
    pairs = {plans[number][f"{what}_table"] for number in needed for what in ("plan", "rejections")}
    if seen.tables & {"wcdc_leases"}:
        assert seen.tables == {"wcdc_journal", "wcdc_leases"} | pairs
        assert [row[1:] for row in seen.leases] == [(None, None)]
    else:
        assert seen.tables == pairs
        assert seen.leases[-1].endswith(("_end", "_done")), "nobody holds the sync"
    entries = [row[:2] for row in seen.journal]
    assert len(set(entries)) == len(entries)


def check_destination(world: World, before: dict[str, Values]) -> None:
    """Row by row as the model; what is refused or duplicated is as it was."""
    held = world.destination()
    expected = {}
    for row_id, copies in world.model().items():
        if len(copies) == 1 and not copies[0]["name"].startswith("refuse"):
            expected[row_id] = copies[0]
        elif row_id in before:
            expected[row_id] = before[row_id]
    assert held == expected


class Story:
    """A sync whose first run is done and whose rows have changed since: what the next runs owe."""

    def __init__(self, world: World, scenario: str = "plain") -> None:
        self.world = world
        self.scenario = scenario
        self._begin()
        self.before = world.destination()
        self.runs = set(Seen(world).runs)
        self._sent = len(world.sent())
        self._lines = len(world.lines())

    def _begin(self) -> None:
        """The first run, and the changes; on DuckDB a copy of those of an earlier test."""
        saved = Path(_SAVED.name) / self.scenario
        folder = Path(self.world.folder)
        if self.world.in_a_file and saved.exists():
            shutil.copytree(saved, folder, dirs_exist_ok=True)
            return
        first = run_here(self.world, self.scenario)
        assert first.status == "warning"
        check_settled(self.world, first.run_id)
        self.world.change()
        if self.world.in_a_file:
            shutil.copytree(folder, saved)

    @property
    def sent(self) -> list[Sent]:
        """What arrived after the first run."""
        return self.world.sent()[self._sent :]

    def due(self) -> tuple[set[tuple[str, str, str]], set[tuple[str, str, str]]]:
        """What must be sent: what is accepted, and what is refused."""
        accepted, refused = set(), set()
        model = self.world.model()
        for row_id, copies in model.items():
            if len(copies) > 1 or copies[0] == self.before.get(row_id):
                continue
            what = ("changed" if row_id in self.before else "added", row_id, json.dumps(copies[0]))
            (refused if copies[0]["name"].startswith("refuse") else accepted).add(what)
        for row_id in self.before.keys() - model.keys():
            accepted.add(("removed", row_id, json.dumps(self.before[row_id])))
        return accepted, refused

    def killed(self) -> tuple[list[Sent], list[Sent]]:
        """What the killed runs sent: what is checkpointed, and what was in flight."""
        if self.scenario == "files":
            return self.sent, []
        certain: list[Sent] = []
        flying: list[Sent] = []
        chunk: list[Sent] = []
        for line in self.world.lines()[self._lines :]:
            if "mark" in line:
                certain, chunk = certain + chunk, []
                continue
            rows = [Sent(*row) for row in line["rows"]]
            if chunk and chunk[-1].run != rows[0].run:
                flying, chunk = flying + chunk, []
            chunk += rows
        return certain, flying + chunk

    def check_convergence(
        self, certain: list[Sent], flying: list[Sent], *, exact: bool = True
    ) -> tuple[wcdc.Run, Seen]:
        """Run once more: everything arrives, and only what was in flight arrives twice.

        ``exact``: one run was killed, and the rows are as they were then.
        """
        accepted, refused = self.due()
        if exact:
            assert len(flying) <= CHUNK_ROWS
            assert len({sent.operation for sent in flying}) <= 1
        already = len(self.sent)
        run = run_here(self.world, self.scenario)
        assert run.status == "warning"
        repeated = self.sent[already:]
        whats = [sent.what for sent in repeated]
        assert len(whats) == len(set(whats)), "an operation was sent twice in one run"
        assert not {sent.what for sent in certain if sent.applied} & set(whats), "delivered rows were resent"
        arrived = {sent.what for sent in [*certain, *flying, *repeated] if sent.applied}
        assert arrived == accepted or (not exact and arrived > accepted)
        if self.scenario == "plain":
            assert {sent.what for sent in repeated if not sent.applied} == refused
        keys = {sent.what: sent.key for sent in flying}
        for sent in repeated:
            assert sent.key == keys.get(sent.what, sent.key), "another idempotency key"
        check_destination(self.world, self.before)
        return run, check_settled(self.world, run.run_id)

    def check_quiet(self, flying: list[Sent]) -> None:
        """The next run sends what is refused and nothing else, under the keys that it had in flight."""
        _accepted, refused = self.due()
        already = len(self.sent)
        run = run_here(self.world, self.scenario)
        again = self.sent[already:]
        assert sorted(sent.what for sent in again) == sorted(refused)
        keys = {sent.what: sent.key for sent in flying}
        for sent in again:
            assert sent.key == keys.get(sent.what, sent.key), "another idempotency key"
        check_settled(self.world, run.run_id)

    def check_healed(self) -> None:
        """Without refusals and duplicates, destination and model are equal, and nothing else was sent."""
        held = self.world.destination()
        self.world.heal()
        model = {row_id: copies[0] for row_id, copies in self.world.model().items()}
        already = len(self.sent)
        run = run_here(self.world, self.scenario)
        assert run.status == "success"
        again = [sent.row_id for sent in self.sent[already:]]
        assert sorted(again) == sorted(row_id for row_id in model if model[row_id] != held.get(row_id))
        assert self.world.destination() == model
        check_settled(self.world, run.run_id)

    def check_interrupted(self, seen: Seen, run: wcdc.Run, step: Step, moment: str) -> None:
        """How the audit tables show the killed run, by the moment at which it was killed."""
        new = [row for row in seen.runs.values() if row.run not in self.runs and row.run < run.run_id]
        done = moment == "after"
        if step == Step.CLAIM and not done:
            assert (new, run.closed) == ([], None)
            return
        (row,) = new
        if step == Step.COMMIT and done:
            assert (row.status, row.error, run.closed) == ("succeeded", None, None)
            return
        assert run.closed == row.run
        if STEPS.index(step) + done <= STEPS.index(Step.JOURNAL_PLAN):
            assert (row.status, row.error, set(row.numbers.values())) == ("failed", "interrupted", {0})
        elif STEPS.index(step) >= STEPS.index(Step.DELIVERED):
            assert (row.status, row.error) == ("succeeded", None)
        else:
            assert (row.status, row.error) == ("failed", "interrupted")

    def check_undelivered(self, rows: dict[str, Outcome], certain: list[Sent], flying: list[Sent]) -> None:
        """Each row of an interrupted run's changelog says what became of it."""
        for sent in certain:
            outcome = ("succeeded", None) if sent.applied else ("failed", "refused")
            assert rows[sent.row_id] == (sent.operation, *outcome)
        for sent in flying:
            operation, status, reason = rows[sent.row_id]
            assert (operation, status) == (sent.operation, "failed")
            assert (reason or "").startswith("outcome unknown")
        unknown = [row_id for row_id, row in rows.items() if (row[2] or "").startswith("outcome unknown")]
        assert {sent.row_id for sent in flying} <= set(unknown)
        assert len(unknown) <= CHUNK_ROWS
        accepted, refused = self.due()
        planned = {(operation, row_id) for operation, row_id, _values in accepted | refused}
        assert planned <= {(row[0], row_id) for row_id, row in rows.items()}
