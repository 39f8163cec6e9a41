"""What becomes of rows that a destination rejects again and again: retried, quarantined or dropped."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine, Recorder, ids, sync_of
from warehouse_cdc.destinations import unknown
from warehouse_cdc.errors import AuthenticationError, DestinationError

ROWS = ["(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)"]


@pytest.fixture(params=[0.0, 100.0], ids=["full", "differences"])
def compaction(request: pytest.FixtureRequest) -> float:
    return float(request.param)


def begin(engine: Engine, crm: Recorder, compaction: float, **options: Any) -> tuple[Any, wcdc.Sync]:
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", *ROWS)
    sync = sync_of(crm, **{"on_rejected": "quarantine", "rejected_runs": 2, **options})
    return engine.connect(compaction=compaction), sync


def snapshot(engine: Engine) -> dict[str, tuple[str, str, str | None]]:
    rows = engine.audit("sync_snapshot")
    return {row["row_id"]: (row["op_type"], row["status"], row["failure_reason"]) for row in rows}


def rejected(warehouse: Any, sync: wcdc.Sync) -> list[tuple[str, str, str]]:
    rows = warehouse.rejections(sync).arrow.to_pylist()
    return [(row["row_id"], row["op"], row["reason"]) for row in rows]


def test_a_row_is_quarantined_after_so_many_runs(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction)
    crm.refuse = {"2": "no"}
    for _run in range(2):
        assert warehouse.run(sync).status == "warning"
        assert ("added", "2") in crm.take()
    for _run in range(3):
        run = warehouse.run(sync)
        assert crm.take() == set() and run.status == "success"
        assert run.counts["added"].planned == 0
        assert rejected(warehouse, sync) == [("2", "added", "quarantined: no")]
        if engine.capabilities.row_level_dml:
            assert snapshot(engine)["2"] == ("added", "failed", "quarantined: no")
    engine.execute("insert into people values (4, 'd', 40)")
    run = warehouse.run(sync)
    assert crm.take() == ids("added", 4) and any("wait to be released" in note for note in run.notes)
    assert rejected(warehouse, sync) == [("2", "added", "quarantined: no")]


def test_a_quarantined_row_that_changes_is_sent_again(
    engine: Engine, crm: Recorder, compaction: float
) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    warehouse.run(sync)
    crm.take()
    engine.execute("update people set email = 'better' where id = 2")
    assert warehouse.run(sync).status == "warning" and crm.take() == ids("added", 2)
    assert warehouse.run(sync).status == "success" and crm.take() == set()
    crm.refuse = {}
    engine.execute("update people set email = 'best' where id = 2")
    assert warehouse.run(sync).status == "success" and crm.take() == ids("added", 2)
    assert rejected(warehouse, sync) == []
    assert warehouse.run(sync).status == "success" and crm.take() == set()


def test_a_change_that_is_refused_is_quarantined_and_its_removal_is_not(
    engine: Engine, crm: Recorder, compaction: float
) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    warehouse.run(sync)
    engine.execute("update people set ltv = 21 where id = 2")
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    crm.take()
    warehouse.run(sync)
    assert crm.take() == set() and rejected(warehouse, sync) == [("2", "changed", "quarantined: no")]
    engine.execute("delete from people where id = 2")
    for _run in range(3):
        warehouse.run(sync)
        assert crm.take() == ids("removed", 2), "a removal is tried for ever"
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == ids("removed", 2) and set(crm.held) == {"1", "3"}


def test_released_rows_are_sent_once_more(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    crm.refuse = {"1": "no", "2": "no"}
    warehouse.run(sync)
    warehouse.run(sync)
    crm.take()
    warehouse.run(sync, release=["2"])
    assert crm.take() == ids("added", 2)
    warehouse.run(sync)
    assert crm.take() == set()
    crm.refuse = {}
    warehouse.run(sync, release=True)
    assert crm.take() == ids("added", 1, 2)
    assert rejected(warehouse, sync) == [] and set(crm.held) == {"1", "2", "3"}


def test_dropped_rows_are_not_listed(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction, on_rejected="drop", rejected_runs=1)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    crm.take()
    for _run in range(2):
        warehouse.run(sync)
        assert crm.take() == set() and rejected(warehouse, sync) == []
        if engine.capabilities.row_level_dml:
            assert snapshot(engine)["2"] == ("unchanged", "succeeded", None)
    engine.execute("update people set ltv = 22 where id = 2")
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == ids("added", 2)


def test_only_the_same_values_count_and_unknown_outcomes_do_not(
    engine: Engine, crm: Recorder, compaction: float
) -> None:
    warehouse, sync = begin(engine, crm, compaction, max_attempts=1)
    crm.refuse = {"2": "no"}
    for number in range(3):
        engine.execute(f"update people set ltv = {number} where id = 2")
        warehouse.run(sync)
        assert ("added", "2") in crm.take()
    crm.refuse = {"2": unknown("lost")}
    for _run in range(3):
        warehouse.run(sync)
        assert crm.take() == ids("added", 2)


def test_another_policy_counts_from_the_next_run(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction, on_rejected="retry")
    crm.refuse = {"2": "no"}
    for _run in range(3):
        warehouse.run(sync)
        crm.take()
    strict = sync_of(crm, on_rejected="quarantine", rejected_runs=1)
    warehouse.run(strict)
    assert crm.take() == set(), "it was refused in the run before"
    warehouse.run(sync)
    assert crm.take() == ids("added", 2)
    warehouse.run(strict)
    warehouse.full_resync(strict)
    assert ("added", "2") in crm.take(), "a resync forgets"


def test_duplicates_and_keys_that_come_and_go(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    warehouse.run(sync)
    crm.take()
    engine.execute("insert into people values (2, 'other', 1)")
    warehouse.run(sync)
    assert crm.take() == set()
    engine.execute("delete from people where id = 2")
    warehouse.run(sync)
    assert crm.take() == set(), "it never was there"
    engine.execute("insert into people values (2, 'b', 20)")
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == ids("added", 2)


def test_a_dry_run_tells(engine: Engine, crm: Recorder, compaction: float) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    plan = warehouse.plan(sync)
    assert plan.counts["added"] == 0 and any("1 rejected rows" in note for note in plan.notes)


@pytest.mark.parametrize(
    "error",
    [
        AuthenticationError("401"),
        DestinationError("down", retryable=True),
        DestinationError("404", retryable=False),
    ],
)
def test_an_outage_is_no_refusal_of_a_row(
    engine: Engine, crm: Recorder, compaction: float, error: DestinationError
) -> None:
    warehouse, sync = begin(engine, crm, compaction, on_rejected="drop", rejected_runs=2, max_attempts=1)
    down = [True]

    def fail(batch: Any) -> None:
        if down[0]:
            raise error

    crm.during = fail
    for _run in range(3):
        warehouse.run(sync)
        crm.take()
    down[0] = False
    assert warehouse.run(sync).status == "success" and set(crm.held) == {"1", "2", "3"}


def test_a_run_with_nothing_to_do_leaves_what_waits_as_it_is(engine: Engine, crm: Recorder) -> None:
    warehouse, sync = begin(engine, crm, 100.0, rejected_runs=1)
    crm.refuse = {"2": "no"}
    warehouse.run(sync)
    engine.execute("insert into people values (4, 'd', 40)")
    for _run in range(3):
        warehouse.run(sync)
        if engine.capabilities.row_level_dml:
            assert snapshot(engine)["2"] == ("added", "failed", "quarantined: no")
            assert snapshot(engine)["4"][1] == "succeeded"


def test_a_release_that_was_stopped_is_not_forgotten(
    engine: Engine, crm: Recorder, compaction: float
) -> None:
    warehouse, sync = begin(engine, crm, compaction, rejected_runs=1)
    crm.refuse = dict.fromkeys("123", "no")
    warehouse.run(sync)
    warehouse.run(sync)
    crm.take()
    crm.refuse = {}

    def cancel(step: Any, moment: str) -> None:
        if (step.value, moment) == ("read", "before"):
            warehouse.cancel()

    assert warehouse.run(sync, release=["1", "3"], observer=cancel).counts["added"].aborted == 2
    warehouse.run(sync)
    assert crm.take() == ids("added", 1, 3)
    warehouse.run(sync, release=[])
    assert crm.take() == set()
    warehouse.run(sync, release="2")
    assert crm.take() == ids("added", 2)


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 4), st.integers(0, 2), max_size=3),
        st.sets(st.integers(1, 4), max_size=2),
        st.sets(st.integers(1, 4), max_size=3),
        st.sampled_from([None, None, None, (), ("1",), ("1", "2")]),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(STEPS, st.sampled_from([0.0, 1.0, 100.0]), st.sampled_from(["quarantine", "drop"]), st.integers(1, 3))
@pytest.mark.duckdb
def test_random_histories_agree_with_a_model(steps: Any, compaction: float, policy: str, runs: int) -> None:
    """Rows are added, changed, removed, refused and released; the model is a dictionary a row."""
    source, crm = duckdb.connect(), Recorder()
    source.execute("create table people (id integer, ltv integer)")
    model: dict[int, int] = {}
    held: dict[int, int] = {}  # key to value, at the destination
    stale: set[int] = set()  # of these, those whose change or removal was refused
    refused: dict[int, tuple[Any, int]] = {}  # key to what was refused last, and in how many runs
    with wcdc.connect(source, compaction=compaction) as warehouse:
        sync = sync_of(crm, on_rejected=policy, rejected_runs=runs)
        for writes, removes, refuse, release in steps:
            model |= writes
            for key in removes:
                model.pop(key, None)
            source.execute("delete from people")
            for pair in model.items():
                source.execute("insert into people values (?, ?)", pair)
            crm.refuse = {str(key): "no" for key in refuse}
            warehouse.run(sync, release=False if release is None else release or True)
            expected = set()
            for key in sorted({*model, *held}):
                value = model.get(key)
                if value is None:
                    operation = "removed"
                elif key not in held:
                    operation = "added"
                elif key in stale or held[key] != value:
                    operation = "changed"
                else:
                    continue
                what, times = refused.get(key, (None, 0))
                released = release is not None and (release == () or str(key) in release)
                if what == (operation, value) and times >= runs and operation != "removed":
                    if not released:
                        continue
                    times = 0  # it begins afresh
                expected.add((operation, str(key)))
                if key in refuse:
                    refused[key] = ((operation, value), times + 1 if what == (operation, value) else 1)
                    stale |= {key} & set(held)
                elif value is None:
                    del held[key]
                    stale.discard(key)
                    refused.pop(key, None)
                else:
                    held[key] = value
                    stale.discard(key)
                    refused.pop(key, None)
            assert crm.take() == expected
            assert {key: row["ltv"] for key, row in crm.held.items()} == {str(k): v for k, v in held.items()}
            for key in [key for key in refused if key not in model and key not in held]:
                del refused[key]
