"""Moving a pulled sync's state into the warehouse loses nothing, however odd the state is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy

import warehouse_cdc as wcdc
from tests.conformance.helpers import PostgresEngine, Recorder, TablesEngine, postgres_engine, sync_of
from warehouse_cdc.engine.lease import Lease
from warehouse_cdc.engine.transitions import Step
from warehouse_cdc.pull.adopt import _Move

pytestmark = pytest.mark.postgres
SHORT = {"lease_seconds": 1.0, "lease_margin": 0.2}


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


def pull(target: PostgresEngine, state: Path, sync: wcdc.Sync, driver: str = "") -> None:
    """By the library's driver, or by an Engine with another one."""
    where: Any = target.url
    if driver:
        where = sqlalchemy.create_engine(target.url.replace("postgresql://", f"postgresql+{driver}://"))
    with wcdc.connect(where, state=state) as pulled:
        pulled.run(sync)
    if driver:
        where.dispose()


def move(target: PostgresEngine, state: Path, sync: wcdc.Sync) -> dict[str, int]:
    """Move a sync; what its next run plans."""
    with target.connect() as warehouse:
        warehouse.adopt(sync, state)
        return planned(warehouse.run(sync))


def adopted_tables(target: PostgresEngine) -> list[str]:
    """Where a state waits that is being moved."""
    return [name for _schema, name in target.tables() if name.endswith("_adopted")]


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
    sync = sync_of(crm, batch_timeout=0.5)
    pull(target, state, sync)
    crm.take()

    class Killed(BaseException):
        pass

    where = Step.CLAIM

    def kill(step: Step, moment: str) -> None:
        if (step, moment) == (where, "before"):
            raise Killed

    with target.connect() as warehouse, pytest.raises(Killed):
        warehouse.adopt(sync, state, observer=kill)
    pull(target, state, sync)
    where = Step.WRITE_PLAN

    with target.connect(**SHORT) as warehouse, pytest.raises(Killed):
        warehouse.adopt(sync, state, observer=kill)
    time.sleep(SHORT["lease_seconds"] + SHORT["lease_margin"])
    for attempt in ("run", "plan"):
        with (
            target.connect(**SHORT) as warehouse,
            pytest.raises(wcdc.StateError, match="on its way") as caught,
        ):
            getattr(warehouse, attempt)(sync)
        assert caught.value.code == "state-moved" and not crm.take()
    assert adopted_tables(target)
    with wcdc.connect(target.url, state=state) as pulled, pytest.raises(wcdc.StateError, match="being moved"):
        pulled.run(sync)
    assert move(target, state, sync) == {} and not adopted_tables(target)


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


def test_of_two_moves_at_once_one_wins(target: PostgresEngine, crm: Recorder, state: Path) -> None:
    """The other one leaves it alone: what is copied, and the word that the sync isn't pulled any more."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm)
    pull(target, state, sync)
    crm.take()
    tried: list[str] = []

    def move_meanwhile(step: Step, moment: str) -> None:
        if (step, moment) == (Step.WRITE_PLAN, "before"):
            with target.connect() as other, pytest.raises(wcdc.SyncInProgressError):
                other.adopt(sync, state)
            with wcdc.connect(target.url, state=state) as pulled, pytest.raises(wcdc.StateError) as caught:
                pulled.run(sync)
            tried.append(caught.value.code)

    with target.connect() as warehouse:
        run = warehouse.adopt(sync, state, observer=move_meanwhile)
        assert run is not None and run.status == "success" and tried == ["state-moved"]
        assert planned(warehouse.run(sync)) == {} and not crm.take()
        assert warehouse.adopt(sync, state) is None
    assert not adopted_tables(target)


def test_moves_that_race(target: PostgresEngine, crm: Recorder, state: Path) -> None:
    """Whichever comes second waits, and finds it done."""
    rows = ", ".join(f"({number}, {number})" for number in range(1, 3001))
    target.table("id bigint, v integer", rows)
    sync = sync_of(crm)
    pull(target, state, sync)
    crm.take()

    def adopt(_number: int) -> bool:
        with target.connect() as warehouse:
            return warehouse.adopt(sync, state, wait=60) is not None

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(adopt, range(3))) == [False, False, True]
    with target.connect() as warehouse:
        assert planned(warehouse.run(sync)) == {} and not crm.take()
    assert not adopted_tables(target)


def test_a_move_that_lost_its_lease_harms_no_other(
    target: PostgresEngine, crm: Recorder, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was paused while it copied; another one has copied and committed meanwhile."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm, batch_timeout=0.5)
    pull(target, state, sync)
    fill = _Move._fill

    def paused(move: _Move, lease: Lease, *args: str) -> None:
        monkeypatch.undo()
        time.sleep(SHORT["lease_seconds"] + SHORT["lease_margin"])
        with target.connect(**SHORT) as other:
            assert other.adopt(sync, state) is not None
        fill(move, lease, *args)

    monkeypatch.setattr(_Move, "_fill", paused)
    monkeypatch.setattr(Lease, "keep", lambda lease: None)
    with target.connect(**SHORT) as warehouse, pytest.raises(wcdc.LeaseLostError):
        warehouse.adopt(sync, state)
    crm.take()
    with target.connect() as warehouse:
        assert warehouse.adopt(sync, state) is None
        assert planned(warehouse.run(sync)) == {} and not crm.take()
    assert not adopted_tables(target)


def test_a_move_that_is_cancelled_or_fails_can_be_pulled_again(
    target: PostgresEngine, crm: Recorder, state: Path
) -> None:
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm)
    pull(target, state, sync)
    with target.connect() as warehouse:

        def cancel(step: Step, _moment: str) -> None:
            if step is Step.COLLECT:
                warehouse.cancel()

        run = warehouse.adopt(sync, state, observer=cancel)
        assert run is not None and run.status == "cancelled"
    target.execute("INSERT INTO people VALUES (3, 3)")
    pull(target, state, sync)
    assert crm.take() == {("added", "1"), ("added", "2"), ("added", "3")} and not adopted_tables(target)
    with target.connect() as warehouse, pytest.raises(wcdc.StateError, match="primary key"):
        warehouse.adopt(sync_of(crm, key="v"), state)
    pull(target, state, sync)
    assert move(target, state, sync) == {}


@pytest.mark.parametrize("step", [Step.WRITE_PLAN, Step.DELIVERED])
def test_a_move_that_fails_otherwise_runs_somewhere(
    target: PostgresEngine, crm: Recorder, state: Path, step: Step
) -> None:
    """Before it has a plan nothing has changed; with one, it is finished by calling it again."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)")
    sync = sync_of(crm)
    pull(target, state, sync)
    crm.take()

    def fail(now: Step, moment: str) -> None:
        if (now, moment) == (step, "before"):
            raise AttributeError("a defect")

    with target.connect() as warehouse, pytest.raises(AttributeError):
        warehouse.adopt(sync, state, observer=fail)
    if step is Step.WRITE_PLAN:
        pull(target, state, sync)
        assert not adopted_tables(target)
    else:
        with wcdc.connect(target.url, state=state) as pulled, pytest.raises(wcdc.StateError):
            pulled.run(sync)
    with target.connect() as warehouse:
        warehouse.adopt(sync, state)
        assert planned(warehouse.run(sync)) == {} and not crm.take()
    assert not adopted_tables(target)


def test_the_snapshot_shows_what_is_due(target: PostgresEngine, crm: Recorder, state: Path) -> None:
    """D25: rows whose removal has not succeeded, and the values that were delivered last."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)", "(3, 3)")
    sync = sync_of(crm)
    pull(target, state, sync)
    target.execute("UPDATE people SET v = 20 WHERE id = 2", "DELETE FROM people WHERE id = 3")
    crm.refuse = {"2": "no", "3": "no"}
    pull(target, state, sync)
    with target.connect() as warehouse:
        warehouse.adopt(sync, state)
        shown = {
            row["row_id"]: (row["op_type"], row["status"], row["fields"]["v"])
            for row in target.audit("sync_snapshot")
        }
        assert shown == {
            "1": ("unchanged", "succeeded", 1),
            "2": ("changed", "aborted", 2),
            "3": ("removed", "aborted", 3),
        }
        crm.refuse = {}
        assert planned(warehouse.run(sync)) == {"changed": 1, "removed": 1}
        assert planned(warehouse.run(sync)) == {}
    shown = {row["row_id"]: (row["op_type"], row["fields"]["v"]) for row in target.audit("sync_snapshot")}
    assert shown == {"1": ("unchanged", 1), "2": ("unchanged", 20)}


@pytest.mark.parametrize("on_removed", ["delete", "nothing"])
def test_pending_removals_count_as_such(
    target: PostgresEngine, crm: Recorder, state: Path, on_removed: str
) -> None:
    """D16 counts rows that newly leave; D11 takes them off where they aren't removed any more."""
    target.table("id bigint, v integer", "(1, 1)", "(2, 2)", "(3, 3)")
    sync = sync_of(crm, max_removed=0)
    pull(target, state, sync)
    target.execute("DELETE FROM people WHERE id > 1")
    crm.refuse = {"2": "no", "3": "no"}
    with wcdc.connect(target.url, state=state) as pulled:
        pulled.run(sync, allow_removed=True)
    crm.refuse = {}
    target.execute("INSERT INTO people VALUES (3, 3)")
    expected = {"changed": 1, "removed": 1} if on_removed == "delete" else {"added": 1}
    assert move(target, state, sync_of(crm, max_removed=0, on_removed=on_removed)) == expected
    with target.connect() as warehouse:
        assert planned(warehouse.run(sync)) == {}


def test_schemas_of_other_names(postgres: PostgresEngine, crm: Recorder, state: Path) -> None:
    """In the warehouse, in the file, or in both."""
    postgres.table("id bigint, v integer", "(1, 1)")
    postgres.execute("CREATE SCHEMA plans", "CREATE SCHEMA logs")
    named = {"planner_schema": "plans", "audit_schema": "logs"}
    for number, (theirs, ours) in enumerate([({}, named), (named, {}), (named, named)]):
        sync = sync_of(crm, id=f"sync {number}")
        with wcdc.connect(postgres.url, state=state, **theirs) as pulled:  # type: ignore[arg-type]
            pulled.run(sync)
        with postgres.connect(**ours) as warehouse:
            warehouse.adopt(sync, state)
            assert planned(warehouse.run(sync)) == {}
        with wcdc.connect(postgres.url, state=state, **theirs) as pulled:  # type: ignore[arg-type]
            with pytest.raises(wcdc.StateError) as caught:
                pulled.run(sync)
            assert caught.value.code == "state-moved"
        crm.take()
    other = state.with_name("other.duckdb")
    with wcdc.connect(postgres.url, state=other, **named) as pulled:  # type: ignore[arg-type]
        with pytest.raises(wcdc.StateError) as caught:
            pulled.run(sync_of(crm, id="sync 1"))
        assert caught.value.code == "state-moved" and not crm.take()


@pytest.mark.parametrize("name", ["typo.duckdb", "duckdb://"])
def test_no_file_is_made_in_place_of_a_state(
    postgres: PostgresEngine, crm: Recorder, tmp_path: Path, name: str
) -> None:
    postgres.table("id bigint, v integer", "(1, 1)")
    where: Any = name if "://" in name else tmp_path / name
    with postgres.connect() as warehouse, pytest.raises(wcdc.StateError, match="no file") as caught:
        warehouse.adopt(sync_of(crm), where)
    assert caught.value.code == "state-no-run" and not list(tmp_path.iterdir())


ODD = "id bigint, m money, n numeric, w numeric(45, 2), d date, t timestamp, z timestamptz"
ODD_ROWS = (
    "(1, '12.34', 1.50, 1.5, '2024-02-29', '2024-02-29 10:00:00.123456', '2024-02-29 10:00:00.123456+02')",
    "(2, '-1,000.50', 1e40, 2, '0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00.5+00 BC')",
    "(3, NULL, 'NaN', NULL, 'infinity', 'infinity', 'infinity')",
    "(4, '0', -0.0, 0, '-infinity', '-infinity', '-infinity')",
    "(5, '1', 7, 7, '20000-01-01', '20000-01-01', '0001-12-31 00:00:00+00 BC')",
)


@pytest.mark.parametrize("driver", ["", "psycopg2"])
@pytest.mark.parametrize("mapped", [False, True])
def test_odd_values_are_the_same_before_and_after(
    target: PostgresEngine, crm: Recorder, state: Path, mapped: bool, driver: str
) -> None:
    """As numbers and moments, whatever there is no type for in the file (D5, D7)."""
    target.table(ODD, *ODD_ROWS)
    mappings = {name: name for name in "mnwdtz"} if mapped else None
    sync, direct = sync_of(crm, mappings=mappings), Recorder()
    pull(target, state, sync, driver)
    assert move(target, state, sync) == {}
    with target.connect() as warehouse:
        warehouse.run(sync_of(direct, id="direct", mappings=mappings))
        for name in "mnw":
            numbers = [{key: row[name] for key, row in held.items()} for held in (crm.held, direct.held)]
            assert repr(_plain(numbers[0])) == repr(_plain(numbers[1])), name
        target.execute("UPDATE people SET n = n + 1, d = '0043-03-15 BC' WHERE id = 2")
        assert planned(warehouse.run(sync)) == {"changed": 1}


MORE = "id char(5), r real, k time, zone timetz, i interval, g int4range, a numeric[], j json, ip inet, o oid"
MORE_ROWS = (
    "('ab', 0.1, '24:00:00', '10:00+02', '1 mon 2 days', '[1,5)', '{1.50}', '{\"b\": 1, \"a\": 2.0}', "
    "'10.0.0.1', 1)",
    "('cd ', 'NaN', '10:00:00.5', '11:00-05', '-1 day', 'empty', '{NaN}', '[1]', '10.0.0.0/8', 2)",
)


@pytest.mark.parametrize("driver", ["", "psycopg2"])
def test_what_drivers_have_types_of_their_own_for(
    target: PostgresEngine, crm: Recorder, state: Path, driver: str
) -> None:
    """Padding, ranges, intervals: the same values as in the warehouse, and none is cut."""
    target.table(MORE, *MORE_ROWS)
    direct = Recorder()
    sql = "SELECT *, E'\\\\x00ff'::bytea AS bin, id = 'ab' AS yes, 'é%s' AS said, NULL AS nothing FROM people"
    sync = sync_of(crm, sql=sql)
    pull(target, state, sync, driver)
    pulled = {key: dict(row) for key, row in crm.held.items()}
    assert move(target, state, sync) == {}
    with target.connect() as warehouse:
        warehouse.run(sync_of(direct, id="direct", sql=sql))
    assert repr(sorted(pulled.items())) == repr(sorted(direct.held.items()))


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    """Decimals without zeros at their ends."""
    return {key: value if value is None else value.normalize() for key, value in numbers.items()}


def test_keys_before_the_first_year(target: PostgresEngine, crm: Recorder, state: Path) -> None:
    target.table("id date, at timestamptz", "('0044-03-15 BC', '0044-03-15 BC')", "('2024-01-01', NULL)")
    for key in ("id", "at"):
        sync = sync_of(crm, id=f"by {key}", key=key)
        pull(target, state, sync)
        assert move(target, state, sync) == {}


def test_long_integers_of_a_pulled_duckdb(tmp_path: Path, crm: Recorder) -> None:
    shop, state, sync = tmp_path / "shop.duckdb", tmp_path / "s.duckdb", sync_of(crm)
    with duckdb.connect(str(shop)) as raw:
        raw.execute("CREATE TABLE people (id HUGEINT, v HUGEINT, u UHUGEINT)")
        raw.execute(f"INSERT INTO people VALUES ({2**100}, {-(2**126)}, {2**127 + 1}), (2, NULL, 0)")
    with wcdc.connect(f"duckdb:///{shop}", state=state) as pulled:
        pulled.run(sync)
    rows = {key: dict(row) for key, row in crm.held.items()}
    assert rows[str(2**100)]["v"] == -(2**126) and rows[str(2**100)]["u"] == 2**127 + 1
    with wcdc.connect(f"duckdb:///{shop}") as warehouse:
        warehouse.adopt(sync, state)
        assert planned(warehouse.run(sync)) == {}
        crm.take()
        assert warehouse.full_resync(sync).counts["added"].planned == 2
    assert repr(sorted(crm.held.items())) == repr(sorted(rows.items()))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("MAP(VARCHAR, INTEGER)", ["MAP{'a': 1}", "MAP{'b': NULL}"]),
        ("STRUCT(m MAP(VARCHAR, DATE), l DATE[])", ["{'m': MAP{'a': DATE '2024-01-01'}, 'l': []}"]),
        ("INTEGER[][]", ["[[1], []]", "[NULL]"]),
        ("TIMESTAMP_NS", ["'2024-01-01 00:00:00.000000001'", "'infinity'"]),
        ("UNION(n INTEGER, s VARCHAR)", ["1", "'x'"]),
        ("DATE", ["'0044-03-15 (BC)'", "'-infinity'", "'0001-12-31 (BC)'"]),
    ],
)
def test_types_of_a_pulled_duckdb_are_the_same_there(
    tmp_path: Path, crm: Recorder, kind: str, values: list[str]
) -> None:
    shop, state, sync = tmp_path / "shop.duckdb", tmp_path / "s.duckdb", sync_of(crm)
    with duckdb.connect(str(shop)) as raw:
        raw.execute(f"CREATE TABLE people (id BIGINT, v {kind})")
        for number, value in enumerate([*values, "NULL"]):
            raw.execute(f"INSERT INTO people VALUES ({number}, {value})")
    with wcdc.connect(f"duckdb:///{shop}", state=state) as pulled:
        assert planned(pulled.run(sync)) == {"added": len(values) + 1}
    with wcdc.connect(f"duckdb:///{shop}") as warehouse:
        warehouse.adopt(sync, state)
        assert planned(warehouse.run(sync)) == {}


def test_check_and_dry_runs_know_what_was_moved(target: PostgresEngine, crm: Recorder, state: Path) -> None:
    target.table("id bigint, v integer", "(1, 1)")
    sync = sync_of(crm)
    pull(target, state, sync)
    move(target, state, sync)
    # What the stand-in records isn't what a connection to its server looks at.
    others = [] if isinstance(target, TablesEngine) else [state.with_name("another.duckdb")]
    for file in (state, *others):
        with wcdc.connect(target.url, state=file) as pulled:
            for act in (pulled.run, pulled.plan):
                with pytest.raises(wcdc.StateError) as caught:
                    act(sync)
                assert caught.value.code == "state-moved"
            (finding,) = [finding for finding in pulled.check(sync) if not finding.ok]
            assert finding.name == "state of people-sync" and finding.fix == caught.value.hint
