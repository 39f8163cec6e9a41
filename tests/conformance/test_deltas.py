"""Plans of differences: what they hold, when a full plan is written, and that nothing is missed."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import PLANNER, Engine, PulledEngine, Recorder, TablesEngine, sync_of
from tests.conformance.statement_counts import statements_of


def plans(engine: Engine) -> dict[str, int]:
    """Each plan table with its number of rows, oldest first."""
    names = sorted(name for name in engine.own_tables() if name.endswith("_plan"))
    table = engine.dialect.table
    return {name: engine.query(f"SELECT count(*) FROM {table(PLANNER, name)}")[0][0] for name in names}


def hundred(engine: Engine) -> None:
    engine.execute(
        "DROP TABLE IF EXISTS people",
        "CREATE TABLE people AS SELECT CAST(i AS INTEGER) AS id, CAST(i * 10 AS INTEGER) AS v "
        f"FROM {engine.series(1, 100)} r(i)",
    )


def test_a_run_without_a_change_writes_no_table(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    before = engine.own_tables()
    for _repeat in range(3):
        run = warehouse.run(sync)
        assert run.status == "success" and run.rejections().to_pylist() == []
    assert engine.own_tables() == before
    assert [row["num_planned_add"] for row in engine.runs()] == [100, 0, 0, 0]


def test_a_plan_holds_what_differs_from_the_last_full_one(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.take()
    engine.execute("UPDATE people SET v = 0 WHERE id = 1", "INSERT INTO people VALUES (101, 1)")
    engine.execute("DELETE FROM people WHERE id = 2")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1"), ("added", "101"), ("removed", "2")}
    assert list(plans(engine).values()) == [100, 3]
    engine.execute("UPDATE people SET v = 0 WHERE id = 3")
    warehouse.run(sync)
    assert crm.take() == {("changed", "3")}
    assert list(plans(engine).values()) == [100, 3, 4]
    warehouse.run(sync)
    assert list(plans(engine).values()) == [100, 4], "the one between is garbage"


def test_rows_that_go_back_to_what_the_full_plan_holds_are_changes(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    warehouse.run(sync)
    engine.execute("UPDATE people SET v = 0 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    engine.execute("INSERT INTO people VALUES (101, 1)")
    warehouse.run(sync)
    crm.take()
    engine.execute("UPDATE people SET v = 10 WHERE id = 1", "INSERT INTO people VALUES (2, 20)")
    engine.execute("DELETE FROM people WHERE id = 101")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1"), ("added", "2"), ("removed", "101")}
    warehouse.run(sync)
    assert crm.take() == set()
    assert {row_id: row["v"] for row_id, row in crm.held.items()} == {str(i): i * 10 for i in range(1, 101)}


def test_a_full_plan_is_written_once_the_differences_add_up(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(compaction=0.5), sync_of(crm)
    warehouse.run(sync)
    sizes = []
    for number in range(1, 9):
        engine.execute(f"UPDATE people SET v = -1 WHERE id BETWEEN {number * 5} AND {number * 5 + 4}")
        warehouse.run(sync)
        assert len(crm.take()) == (105 if number == 1 else 5)
        sizes.append(list(plans(engine).values())[-1])
    assert sizes[:3] == [5, 10, 15] and 100 in sizes
    assert sum(sizes) < 8 * 100 * 0.6


@pytest.mark.parametrize("share", [-1.0, -0.1])
def test_a_negative_share_is_refused(engine: Engine, share: float) -> None:
    with pytest.raises(wcdc.ConfigError):
        engine.connect(compaction=share)


def test_what_a_full_plan_left_undone_follows_in_the_next(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    crm.refuse = {"7": "no", "8": "no"}
    engine.execute("INSERT INTO people VALUES (9, 0)")
    warehouse.run(sync)
    crm.take()
    engine.execute("DELETE FROM people WHERE id = 8", "DELETE FROM people WHERE id = 9 AND v = 0")
    crm.refuse = {}
    warehouse.run(sync)
    assert crm.take() == {("added", "7"), ("added", "9")}
    warehouse.run(sync)
    assert crm.take() == set()


MODELS = {
    "window": "SELECT id, v, row_number() OVER (PARTITION BY id ORDER BY v) AS n FROM people",
    "limit": "SELECT id, v FROM people ORDER BY id LIMIT 1000",
    "aggregate": "SELECT id, sum(v) AS v FROM people GROUP BY id",
    "view": "SELECT * FROM people_view",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_may_not_be_read_twice_is_copied_first(engine: Engine, crm: Recorder, name: str) -> None:
    hundred(engine)
    engine.execute("CREATE VIEW people_view AS SELECT id, v FROM people")
    warehouse = engine.connect()
    model = wcdc.Model("people", sql=MODELS[name], primary_key="id")
    sync = wcdc.Sync(id="copied", model=model, destination=crm, on_removed="delete")
    steps: list[str] = []
    warehouse.run(sync)
    crm.take()
    engine.execute("UPDATE people SET v = 0 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    warehouse.run(sync, observer=lambda step, _moment: steps.append(step.value))
    assert "copy_model" in steps
    assert crm.take() == {("changed", "1"), ("removed", "2")}
    assert list(plans(engine).values()) == [100, 2]
    assert not [name for name in engine.own_tables() if name.endswith(("_model", "_touched"))]


def test_a_random_model_is_consistent_within_a_run(engine: Engine) -> None:
    hundred(engine)
    held: dict[str, Any] = {}

    def destination(batch: wcdc.destinations.Batch) -> None:
        held.update({row["id"]: row["r"] for row in batch.rows})

    model = wcdc.Model("people", sql="SELECT id, random() AS r FROM people", primary_key="id")
    sync = wcdc.Sync(id="random", model=model, destination=destination, on_removed="delete")
    warehouse = engine.connect(compaction=100.0)
    for _repeat in range(3):
        warehouse.run(sync)
        plan = engine.plan_table()
        rows = engine.query(f"SELECT v_1, v_2 FROM {plan} WHERE op IN ('added', 'changed')")
        assert rows and all(held[key] == value for key, value in rows)


def test_state_of_an_earlier_version_is_read(engine: Engine, crm: Recorder) -> None:
    """Its plans had every column filled in, the key of an attempt among them, and no hash of a full plan."""
    if not engine.capabilities.transactional_ddl:
        pytest.skip("earlier versions knew warehouses with transactions alone")
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    crm.refuse = {"5": "no"}
    warehouse.run(sync)
    crm.take()
    crm.refuse = {}
    plan = engine.plan_table()
    key_run = plan.split("_")[-2].upper()
    text, number = engine.dialect.text_type, engine.dialect.hash_type
    former = {
        **dict.fromkeys(("was", "was_version", "key_run", "key_of", "try_run", "try_of"), text),
        **{"pending": "BOOLEAN", "confirmed": "BOOLEAN", "was_hash": number},
        **{"tries": "INTEGER", "failed_since": engine.dialect.timestamp_type},
        **dict.fromkeys(("p_1", "p_2"), "INTEGER"),
    }
    engine.execute(
        *(f"ALTER TABLE {plan} ADD COLUMN {name} {kind}" for name, kind in former.items()),
        f"UPDATE {plan} SET was = 'absent', pending = FALSE, copies = 1, confirmed = FALSE, "
        f"key_run = '{key_run}', key_of = op || ':' || CAST(hash AS {engine.dialect.text_type}) || ':x'",
    )
    for generation, entry, text in engine.query(
        f"SELECT generation, entry, data FROM {PLANNER}.wcdc_journal WHERE data <> '{{}}'"
    ):
        data = json.loads(text)
        data["format"] = 1
        for name in ("base", "delta_rows", "kept", "former_plan", "settles", "checksum", "lean"):
            data.pop(name, None)
        text = json.dumps(data).replace("'", "''")
        engine.execute(
            f"UPDATE {PLANNER}.wcdc_journal SET data = '{text}' "
            f"WHERE generation = {generation} AND entry = {entry}"
        )
    engine.execute("UPDATE people SET v = 0 WHERE id = 1", "DELETE FROM people WHERE id = 2")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1"), ("removed", "2"), ("added", "5")}
    warehouse.run(sync)
    assert crm.take() == set()


@pytest.mark.parametrize("on_duplicate", ["reject", "keep_one"])
def test_keys_that_are_repeated_with_equal_values_are_noticed(
    engine: Engine, crm: Recorder, on_duplicate: str
) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm, on_duplicate=on_duplicate)
    warehouse.run(sync)
    crm.take()
    engine.execute("INSERT INTO people VALUES (5, 50), (5, 50), (6, 60)")
    for _repeat in range(2):
        run = warehouse.run(sync)
        failed, dropped = (2, 0) if on_duplicate == "reject" else (0, 3)
        assert (run.counts["changed"].failed, run.duplicates_dropped) == (failed, dropped)
        assert crm.take() == set()
    hundred(engine)
    run = warehouse.run(sync)
    assert run.status == "success" and crm.take() == set()


def test_repeated_keys_are_noticed_whatever_the_plan_before_holds(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    crm.refuse = {"7": "no"}
    warehouse.run(sync)
    engine.execute("INSERT INTO people VALUES (7, 70), (8, 80)")
    for _repeat in range(2):
        run = warehouse.run(sync)
        assert (run.counts["added"].failed, run.counts["changed"].failed) == (1, 1)
    engine.execute("INSERT INTO people VALUES (9, 90)")
    run = warehouse.run(sync)
    assert (run.counts["added"].failed, run.counts["changed"].failed) == (1, 2)


def idle(engine: Engine, crm: Recorder) -> tuple[Any, Any]:
    """A sync whose last run found nothing to do: the next one compares a checksum first."""
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm)
    for _repeat in range(2):
        warehouse.run(sync)
    crm.take()
    return warehouse, sync


def test_after_a_run_without_a_change_one_scan_tells_that_nothing_changed(
    engine: Engine, crm: Recorder
) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm, snapshot=False)
    warehouse.run(sync)
    crm.take()
    seen: list[str] = []
    for _repeat in range(2):
        seen.clear()
        run = warehouse.run(sync, observer=lambda step, moment: seen.append(step.value))
        assert not crm.take() and run.null_key_rows == 0
    assert "write_plan" not in seen
    engine.execute("INSERT INTO people VALUES (NULL, 1)")
    run = warehouse.run(sync)
    assert not crm.take() and run.null_key_rows == 1


def test_where_counters_tell_of_a_change_the_model_is_not_scanned_in_vain(
    engine: Engine, crm: Recorder
) -> None:
    if not engine.capabilities.change_hints:
        pytest.skip("the warehouse has no counters of changes")
    engine.counted = True
    warehouse, sync = idle(engine, crm)
    sent = warehouse.run(sync).statements
    engine.execute("UPDATE people SET v = v + 1 WHERE id = 1", "UPDATE people SET v = v - 1 WHERE id = 1")
    assert warehouse.run(sync).statements > sent  # joins at once, and finds nothing
    engine.execute("UPDATE people SET v = 0 WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1")}


def test_counters_that_are_wrong_hide_no_change(
    engine: Engine, crm: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, sync = idle(engine, crm)
    for hint in ("always the same", "always the same", uuid.uuid4().hex):
        for owner in ("base.Connection", "postgres.PostgresConnection"):
            monkeypatch.setattr(f"warehouse_cdc.warehouses.{owner}.change_hint", lambda *_, hint=hint: hint)
        engine.execute("UPDATE people SET v = v + 1 WHERE id = 1")
        warehouse.run(sync)
        assert crm.take() == {("changed", "1")}
        warehouse.run(sync)
        assert not crm.take()


CHANGES = {
    "one value": ("UPDATE people SET v = v + 1 WHERE id = 1",),
    "values change places": ("UPDATE people SET v = CASE id WHEN 1 THEN 20 ELSE 10 END WHERE id IN (1, 2)",),
    "keys change places": ("UPDATE people SET id = 3 - id WHERE id IN (1, 2)",),
    "one row for another": ("DELETE FROM people WHERE id = 1", "INSERT INTO people VALUES (101, 10)"),
    "two rows for another twice": (
        "DELETE FROM people WHERE id IN (1, 2)",
        "INSERT INTO people VALUES (101, 10), (101, 10)",
    ),
    "a value for NULL": ("UPDATE people SET v = NULL WHERE id = 1",),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_checksum_misses_no_change(engine: Engine, crm: Recorder, change: str) -> None:
    warehouse, sync = idle(engine, crm)
    engine.execute(*CHANGES[change])
    run = warehouse.run(sync)
    assert crm.take() or run.rejections().to_pylist()


def test_repeated_rows_that_were_dropped_leave_no_checksum(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm, on_duplicate="keep_one")
    engine.execute("INSERT INTO people VALUES (101, 7), (101, 7)")
    for _repeat in range(3):
        run = warehouse.run(sync)
    assert run.duplicates_dropped == 1
    crm.take()
    engine.execute("UPDATE people SET v = 8 WHERE id = 101")
    warehouse.run(sync)
    assert crm.take() == {("changed", "101")}


def test_a_checksum_of_another_mapping_is_not_used(engine: Engine, crm: Recorder) -> None:
    warehouse, sync = idle(engine, crm)
    warehouse.run(sync_of(crm, mappings={"w": "v"}))
    assert len(crm.take()) == 100
    warehouse.run(sync)
    assert len(crm.take()) == 100


def documented(engine: Engine) -> dict[str, int]:
    """Statements by kind of run, from the documentation's table."""
    page = Path(wcdc.__file__).parents[1] / "docs" / "performance.md"
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in page.read_text(encoding="utf-8").split("## Statements")[1].split("\n## ")[0].splitlines()
        if line.startswith("|")
    ]
    name = engine.name.partition("_")[0]  # whatever version or table format it has
    column = rows[0].index({"databricks": "spark"}.get(name, name))
    return {row[0]: int(row[column]) for row in rows[2:] if row[column].isdigit()}


def test_the_documented_number_of_statements(engine: Engine, crm: Recorder) -> None:
    if isinstance(engine, (TablesEngine, PulledEngine)):
        pytest.skip("the page has numbers for warehouses")
    engine.counted = True
    assert statements_of(engine, sync_of(crm)) == documented(engine)


def test_a_copy_that_keep_one_prefers_is_noticed_beside_a_delta(engine: Engine, crm: Recorder) -> None:
    hundred(engine)
    warehouse, sync = engine.connect(), sync_of(crm, on_duplicate="keep_one")
    warehouse.run(sync)
    engine.execute("UPDATE people SET v = 60 WHERE id = 5")
    warehouse.run(sync)
    crm.take()
    engine.execute("INSERT INTO people VALUES (5, 50)")
    run = warehouse.run(sync)
    assert run.duplicates_dropped == 1
    assert crm.take() == {("changed", "5")} and crm.held["5"]["v"] == 50


def steps_of(engine: Engine, sync: wcdc.Sync, table: str = "people") -> list[str]:
    """The steps of the second of two runs, where counters don't speak for a checksum."""
    seen: list[str] = []
    warehouse = engine.connect()
    warehouse.run(sync)
    engine.execute(f"UPDATE {table} SET id = id")
    warehouse.run(sync, observer=lambda step, moment: seen.append(step.value))
    return seen


HIDDEN = {
    "a CTE of the same name": "WITH people AS (SELECT * FROM people) SELECT * FROM people",
    "a CTE of a subquery": (
        "SELECT p.id, p.v FROM people p "
        "JOIN (WITH people AS (SELECT 1 AS one) SELECT one FROM people) x ON x.one = 1"
    ),
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_view_that_a_cte_hides_is_copied(engine: Engine, crm: Recorder, how: str) -> None:
    hundred(engine)
    engine.execute("ALTER TABLE people RENAME TO persons", "CREATE VIEW people AS SELECT * FROM persons")
    assert "copy_model" in steps_of(engine, sync_of(crm, HIDDEN[how]), "persons")


@pytest.mark.parametrize("sql", ["SELECT id, user AS u FROM people", "SELECT id, v, p.v AS w FROM people p"])
def test_what_is_no_column_is_evaluated_once(engine: Engine, crm: Recorder, sql: str) -> None:
    hundred(engine)
    assert ("copy_model" in steps_of(engine, sync_of(crm, sql))) == (
        "user" in sql or not engine.capabilities.snapshots
    )


def test_a_function_that_is_called_by_a_dot_is_evaluated_once(postgres: Engine, crm: Recorder) -> None:
    hundred(postgres)
    postgres.execute("CREATE FUNCTION r(people) RETURNS float8 VOLATILE LANGUAGE sql AS 'SELECT random()'")
    assert "copy_model" in steps_of(postgres, sync_of(crm, "SELECT p.id, p.r FROM people p"))


def test_a_generated_column_is_evaluated_once(duck: Engine, crm: Recorder) -> None:
    duck.execute(
        "CREATE TABLE people (id INTEGER, r DOUBLE GENERATED ALWAYS AS (random()) VIRTUAL)",
        "INSERT INTO people SELECT i FROM range(400) r(i)",
    )
    assert "copy_model" in steps_of(duck, sync_of(crm, "SELECT id FROM people WHERE r < 0.9"))


def test_a_model_with_a_record_is_copied_in_a_form_that_can_be_stored(
    postgres: Engine, crm: Recorder
) -> None:
    hundred(postgres)
    warehouse, sync = postgres.connect(), sync_of(crm, "SELECT id, ROW(v, 1) AS r FROM people")
    warehouse.run(sync)
    crm.take()
    postgres.execute("UPDATE people SET v = 0 WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == {("changed", "1")}


def test_a_run_that_could_not_be_logged_gives_the_sync_back(postgres: Engine, crm: Recorder) -> None:
    hundred(postgres)
    warehouse, sync = postgres.connect(), sync_of(crm)
    warehouse.run(sync)
    broken: list[str] = []

    def drop(step: Any, moment: str) -> None:
        if (step.value, moment) == ("commit", "before") and not broken:
            broken.append(moment)
            postgres.execute("DROP TABLE hightouch_audit.sync_runs")

    with pytest.raises(wcdc.WarehouseError):
        warehouse.run(sync, observer=drop)
    assert warehouse.run(sync).status == "success"
