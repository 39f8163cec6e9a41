"""Moving a pulled sync's state into the warehouse loses nothing, however odd the state is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PostgresEngine, Recorder, TablesEngine, postgres_engine, sync_of
from warehouse_cdc.engine.transitions import Step

pytestmark = pytest.mark.postgres


@pytest.fixture(params=["postgres", "tables"])
def target(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[PostgresEngine]:
    """A warehouse that was only read so far, with and without transactions."""
    kind = PostgresEngine if request.param == "postgres" else TablesEngine
    with postgres_engine(postgres_url, kind) as engine:
        yield engine


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "s.duckdb"


def planned(run: wcdc.Run) -> dict[str, int]:
    assert run.status == "success"
    return {operation: count.planned for operation, count in run.counts.items() if count.planned}


def pull(target: PostgresEngine, state: Path, sync: wcdc.Sync) -> None:
    with wcdc.connect(target.url, state=state) as pulled:
        pulled.run(sync)


def move(target: PostgresEngine, state: Path, sync: wcdc.Sync) -> dict[str, int]:
    """Move a sync; what its next run plans."""
    with target.connect() as warehouse:
        warehouse.adopt(sync, state)
        return planned(warehouse.run(sync))


def applied_but_lost(crm: Recorder) -> None:
    """From now on, the destination does as it is told, and its answers are lost."""

    def during(batch: Any) -> None:
        crm.held.update(zip(batch.row_ids, batch.rows, strict=True))
        raise RuntimeError

    crm.during = during


def test_a_failed_change_stays_due_even_if_the_value_returns(
    target: PostgresEngine, crm: Recorder, state: Path
) -> None:
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)", "(3, 3)")
    sync = sync_of(crm)
    pull(target, state, sync)
    target.execute("UPDATE people SET v = 20 WHERE id = 2", "DELETE FROM people WHERE id = 3")
    crm.refuse = {"2": "no", "3": "no"}
    pull(target, state, sync)
    crm.refuse = {}
    target.execute("UPDATE people SET v = 2 WHERE id = 2")
    assert move(target, state, sync) == {"changed": 1, "removed": 1}
    with target.connect() as warehouse:
        assert planned(warehouse.run(sync)) == {}


@pytest.mark.parametrize("known", ["nothing", "the rows"])
def test_unknown_outcomes_have_to_be_settled_first(
    target: PostgresEngine, crm: Recorder, state: Path, known: str
) -> None:
    """An addition whose answer was lost is at the destination: forgotten, it would stay there."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm, max_attempts=1)
    if known == "the rows":
        pull(target, state, sync)
        target.execute("UPDATE people SET v = 20 WHERE id = 2")
    applied_but_lost(crm)
    pull(target, state, sync)
    crm.during = None
    with target.connect() as warehouse, pytest.raises(wcdc.StateError) as caught:
        warehouse.adopt(sync, state)
    assert caught.value.code == "state-unsettled"
    pull(target, state, sync)
    assert move(target, state, sync) == {}


@pytest.mark.parametrize("mappings", [{"renamed": "v"}, {"a": "v", "w": "w"}])
def test_a_mapping_that_was_edited_is_still_due(
    postgres: PostgresEngine, crm: Recorder, state: Path, mappings: dict[str, str]
) -> None:
    """D7, also where the new column has no value."""
    postgres.table("id bigint, v integer, w integer", "(1, 1, NULL)", "(2, 2, 5)")
    pull(postgres, state, sync_of(crm, mappings={"a": "v"}))
    assert move(postgres, state, sync_of(crm, mappings=mappings)) == {"changed": 2}


def test_what_is_no_state_of_the_sync(postgres: PostgresEngine, crm: Recorder, state: Path) -> None:
    """Modes without CDC keep none (D13), and that of another primary key is refused (D8)."""
    postgres.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    pull(postgres, state, sync_of(crm, mode="archive"))
    pull(postgres, state, sync_of(crm, id="other"))
    for sync, code in (
        (sync_of(crm), "state-no-run"),
        (sync_of(crm, id="other", key="v"), "state-primary-key"),
    ):
        with postgres.connect() as warehouse, pytest.raises(wcdc.StateError) as caught:
            warehouse.adopt(sync, state)
        assert caught.value.code == code
    pull(postgres, state, sync_of(crm, id="other"))


def test_a_run_that_has_begun_is_no_longer_pulled(
    postgres: PostgresEngine, crm: Recorder, state: Path
) -> None:
    """Its rows would be at the destination and in no state."""
    postgres.table("id bigint, v integer", "(1, 1)")
    sync = sync_of(crm)
    pull(postgres, state, sync)
    postgres.execute("INSERT INTO people VALUES (2, 2)")

    def move_meanwhile(step: Step, moment: str) -> None:
        if (step, moment) == (Step.CLAIM, "before"):
            with postgres.connect() as warehouse:
                warehouse.adopt(sync, state)

    with wcdc.connect(postgres.url, state=state) as pulled, pytest.raises(wcdc.StateError) as caught:
        pulled.run(sync, observer=move_meanwhile)
    assert caught.value.code == "state-moved"
    with postgres.connect() as warehouse:
        assert planned(warehouse.run(sync)) == {"added": 1}


def test_rows_that_were_read_before_another_run_are_read_again(tmp_path: Path, crm: Recorder) -> None:
    """Otherwise older values would overwrite newer ones."""
    shop = sqlite3.connect(tmp_path / "shop.sqlite", isolation_level=None)
    shop.execute("CREATE TABLE people (id INTEGER, v TEXT)")
    shop.execute("INSERT INTO people VALUES (1, 'old'), (2, 'x')")
    url, state, sync = f"sqlite:///{tmp_path}/shop.sqlite", tmp_path / "s.duckdb", sync_of(crm)

    def run_meanwhile(step: Step, moment: str) -> None:
        if (step, moment) == (Step.CLAIM, "before"):
            shop.execute("UPDATE people SET v = 'new' WHERE id = 1")
            shop.execute("DELETE FROM people WHERE id = 2")
            with wcdc.connect(url, state=state) as other:
                assert planned(other.run(sync)) == {"changed": 1, "removed": 1}

    with wcdc.connect(url, state=state) as pulled:
        pulled.run(sync)
        assert planned(pulled.run(sync, observer=run_meanwhile)) == {}
    assert crm.held == {"1": {"id": 1, "v": "new"}}
    shop.close()


def test_a_move_that_was_interrupted_is_finished_before_a_run(
    target: PostgresEngine, crm: Recorder, state: Path
) -> None:
    """A first run would send again what the destination has."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm)
    pull(target, state, sync)
    crm.take()

    class Killed(BaseException):
        pass

    def kill(step: Step, moment: str) -> None:
        if (step, moment) == (Step.CLAIM, "before"):
            raise Killed

    with target.connect() as warehouse, pytest.raises(Killed):
        warehouse.adopt(sync, state, observer=kill)
    with target.connect() as warehouse, pytest.raises(wcdc.StateError, match="on its way") as caught:
        warehouse.run(sync)
    assert caught.value.code == "state-moved" and not crm.take()
    assert move(target, state, sync) == {}


def test_a_state_of_another_version_counts_as_one(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path
) -> None:
    """Pulling the sync beside it would send everything again."""
    postgres.table("id bigint, v integer", "(1, 1)")
    sync = sync_of(crm)
    with postgres.connect() as warehouse:
        warehouse.run(sync)
    crm.take()
    postgres.execute(
        """UPDATE hightouch_planner.wcdc_journal SET data = replace(data, '"format": ', '"format": 9')"""
    )
    with (
        wcdc.connect(postgres.url, state=tmp_path / "new.duckdb") as pulled,
        pytest.raises(wcdc.StateVersionError),
    ):
        pulled.run(sync)
    assert not crm.take()
