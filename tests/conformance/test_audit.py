"""The audit tables (D22 to D27), on every engine."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ulid import ULID

import warehouse_cdc as wcdc
from tests.conformance.helpers import AUDIT, Engine, Recorder, counted, sync_of
from warehouse_cdc.destinations import unknown
from warehouse_cdc.engine.transitions import Step

LOG = ["sync_id", "sync_run_id", "op_type", "row_id", "status", "failure_reason", "fields"]
RUNS = [
    "sync_id", "sync_run_id", "primary_key", "destination", "model_name", "model_id", "status", "error",
    "started_at", "finished_at",
    "num_planned_add", "num_planned_change", "num_planned_remove",
    "num_attempted_add", "num_attempted_change", "num_attempted_remove",
    "num_succeeded_add", "num_succeeded_change", "num_succeeded_remove",
    "num_failed_add", "num_failed_change", "num_failed_remove",
]  # fmt: skip
SHORT = {"added": "add", "changed": "change", "removed": "remove"}


@pytest.fixture
def shop(engine: Engine) -> Engine:
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", "(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
    return engine


def snapshot(engine: Engine) -> dict[str, tuple[str, str, str]]:
    """Row id to (operation, status, run)."""
    rows = engine.audit("sync_snapshot")
    found = {row["row_id"]: (row["op_type"], row["status"], row["sync_run_id"]) for row in rows}
    assert len(found) == len(rows), "D25: one row per row id"
    return found


def logged(engine: Engine, run: wcdc.Run) -> set[tuple[str, str, str]]:
    """(operation, row id, status) of a run's changelog."""
    rows = [row for row in engine.audit("sync_changelog") if row["sync_run_id"] == run.run_id]
    found = {(row["op_type"], row["row_id"], row["status"]) for row in rows}
    assert len(found) == len(rows)
    return found


def check_arithmetic(engine: Engine) -> None:
    """D23, for each run, against the changelog."""
    for row in engine.runs():
        entries = Counter(
            (entry["op_type"], entry["status"])
            for entry in engine.audit("sync_changelog")
            if entry["sync_run_id"] == row["sync_run_id"]
        )
        for operation, short in SHORT.items():
            planned, attempted, succeeded, failed = (
                row[f"num_{measure}_{short}"] for measure in ("planned", "attempted", "succeeded", "failed")
            )
            assert attempted == succeeded + failed and planned >= attempted
            assert entries[operation, "succeeded"] == succeeded
            assert entries[operation, "failed"] == failed
            assert entries[operation, "aborted"] == planned - attempted


def test_the_columns_are_exactly_these_in_this_order(shop: Engine, crm: Recorder) -> None:
    shop.connect().run(sync_of(crm))
    for name, wanted in (("sync_changelog", LOG), ("sync_snapshot", LOG), ("sync_runs", RUNS)):
        columns = shop.query(
            "SELECT column_name, data_type FROM information_schema.columns "
            f"WHERE table_schema = '{AUDIT}' AND table_name = '{name}' ORDER BY ordinal_position"
        )
        assert [column for column, _type in columns] == wanted
        types = dict(columns)
        for column in wanted:
            if column == "fields":
                assert types[column].lower() == shop.dialect.json_type.lower(), "D24: raw"
            elif column.startswith("num_"):
                assert types[column].lower() == "bigint"
            elif column.endswith("_at"):
                assert types[column].lower() == "timestamp with time zone"
            else:
                assert types[column].lower() == shop.dialect.text_type.lower()


def test_what_a_run_says_of_itself(shop: Engine, crm: Recorder) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    model = wcdc.Model("People!", table="people", primary_key=["id", "email"], id="model-7")
    destination = wcdc.destination(name="my crm")(crm)
    run = shop.connect().run(wcdc.Sync(id="s", model=model, destination=destination))
    (row,) = shop.runs()
    assert (row["sync_id"], row["sync_run_id"], row["primary_key"]) == ("s", run.run_id, "id, email")
    assert (row["destination"], row["model_name"], row["model_id"]) == ("my crm", "People!", "model-7")
    assert (row["status"], row["error"]) == ("succeeded", None)
    assert (
        before < row["started_at"] <= row["finished_at"] < datetime.now(timezone.utc) + timedelta(seconds=1)
    )


def test_d22_and_d23_over_every_kind_of_outcome(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm, batch_rows=1, chunk_rows=1, max_attempts=1)
    crm.refuse = {"1": "bad", "2": unknown("lost")}
    run = warehouse.run(sync)
    assert logged(shop, run) == {
        ("added", "1", "failed"),
        ("added", "2", "failed"),
        ("added", "3", "succeeded"),
    }
    reasons = {row["row_id"]: row["failure_reason"] for row in shop.audit("sync_changelog")}
    assert reasons["1"] == "bad" and reasons["2"].startswith("outcome unknown") and reasons["3"] is None
    assert shop.runs()[-1]["status"] == "succeeded", "D22: a run with rejected rows succeeded"
    shop.execute("INSERT INTO people VALUES (3, 'twin', 0), (4, 'd', 40), (5, 'e', 50)")
    crm.refuse = {}
    crm.during = lambda _batch: warehouse.cancel()
    run = warehouse.run(sync)
    crm.during = None
    entries = logged(shop, run)
    assert ("changed", "3", "failed") in entries and Counter(status for _o, _r, status in entries) == {
        "failed": 1,
        "succeeded": 1,
        "aborted": 3,
    }
    assert counted(run) == {"added": (4, 1, 1, 0, 3), "changed": (1, 1, 0, 1, 0)}
    aborted = {row["failure_reason"] for row in shop.audit("sync_changelog") if row["status"] == "aborted"}
    assert aborted == {"not sent: cancelled"}
    shop.execute("DELETE FROM people WHERE id IN (1, 2, 3)", "UPDATE people SET ltv = 0")
    crm.refuse = {"3": "locked"}
    warehouse.run(sync)
    warehouse.full_resync(sync)
    shop.execute("DELETE FROM people")
    warehouse.run(sync)
    check_arithmetic(shop)
    assert {row["status"] for row in shop.runs()} == {"succeeded", "failed"}


def test_d23_retried_operations_count_again(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    crm.refuse = {"1": "bad"}
    for _repeat in range(3):
        warehouse.run(sync)
    assert [row["num_failed_add"] for row in shop.runs()] == [1, 1, 1]
    check_arithmetic(shop)


def test_d24_fields_are_the_compared_columns_raw(engine: Engine, crm: Recorder) -> None:
    engine.table(
        "id INTEGER, t VARCHAR(9), n NUMERIC(9, 2), b BOOLEAN, j JSON, f DOUBLE PRECISION, unused INTEGER",
        """(1, 'a', 1.5, TRUE, '{"x": [1, null]}', 0.25, 7)""",
        "(2, NULL, NULL, NULL, NULL, NULL, NULL)",
        "(3, '', 0, FALSE, '[]', 'NaN', 0)",
    )
    mappings = {f"{name}_field": name for name in ("t", "n", "b", "j", "f")}
    engine.connect().run(sync_of(crm, mappings=mappings))
    fields = {row["row_id"]: row["fields"] for row in engine.audit("sync_changelog")}
    assert fields["1"] == {"id": 1, "t": "a", "n": 1.5, "b": True, "j": {"x": [1, None]}, "f": 0.25}
    assert fields["2"] == {"id": 2, "t": None, "n": None, "b": None, "j": None, "f": None}
    assert (fields["3"]["t"], fields["3"]["j"], str(fields["3"]["f"]).lower()) == ("", [], "nan")
    assert fields == {row["row_id"]: row["fields"] for row in engine.audit("sync_snapshot")}


def test_d24_a_removed_row_shows_what_was_last_delivered(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.refuse = {"1": "no"}
    shop.execute("UPDATE people SET email = 'refused' WHERE id = 1")
    warehouse.run(sync)
    shop.execute("DELETE FROM people WHERE id = 1")
    run = warehouse.run(sync)
    crm.refuse = {}
    entry = next(row for row in shop.audit("sync_changelog") if row["sync_run_id"] == run.run_id)
    assert (entry["op_type"], entry["status"]) == ("removed", "failed")
    assert entry["fields"] == {"id": 1, "email": "a", "ltv": 10}
    assert warehouse.run(sync).status == "success"
    assert shop.audit("sync_changelog")[-1]["fields"] == {"id": 1, "email": "a", "ltv": 10}


def test_d25_the_snapshot_shows_the_model_and_pending_removals(shop: Engine, crm: Recorder) -> None:
    shop.execute("INSERT INTO people VALUES (NULL, 'x', 0)")
    warehouse, sync = shop.connect(), sync_of(crm)
    crm.refuse = {"2": "bad"}
    first = warehouse.run(sync).run_id
    assert snapshot(shop) == {
        "1": ("added", "succeeded", first),
        "2": ("added", "failed", first),
        "3": ("added", "succeeded", first),
    }
    crm.refuse = {"2": "bad", "3": "locked"}
    shop.execute("DELETE FROM people WHERE id = 3")
    second = warehouse.run(sync).run_id
    assert snapshot(shop) == {
        "1": ("unchanged", "succeeded", second),
        "2": ("added", "failed", first),
        "3": ("removed", "failed", second),
    }
    crm.refuse = {}
    third = warehouse.run(sync).run_id
    assert snapshot(shop) == {"1": ("unchanged", "succeeded", second), "2": ("added", "succeeded", third)}
    fourth = warehouse.run(sync).run_id
    fifth = warehouse.run(sync).run_id
    assert fourth < fifth
    assert snapshot(shop) == {
        "1": ("unchanged", "succeeded", second),
        "2": ("unchanged", "succeeded", fourth),
    }


def test_d25_only_rows_whose_content_differs_are_rewritten(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    second = warehouse.run(sync).run_id
    shop.execute("UPDATE people SET ltv = 0 WHERE id = 2")
    third = warehouse.run(sync).run_id
    assert {row_id: run for row_id, (_op, _status, run) in snapshot(shop).items()} == {
        "1": second,
        "2": third,
        "3": second,
    }
    assert [row["fields"]["ltv"] for row in shop.audit("sync_snapshot", "row_id")] == [10, 0, 30]
    crm.refuse = {"2": "first reason"}
    shop.execute("UPDATE people SET ltv = 1 WHERE id = 2")
    fourth = warehouse.run(sync).run_id
    assert warehouse.run(sync).run_id > fourth
    assert snapshot(shop)["2"] == ("changed", "failed", fourth), "the same failure is the same content"
    crm.refuse = {"2": "second reason"}
    last = warehouse.run(sync).run_id
    assert snapshot(shop)["2"] == ("changed", "failed", last)


def test_d25_the_snapshot_after_duplicates_an_insert_spell_a_resync_and_a_reset(
    shop: Engine, crm: Recorder
) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    shop.execute("INSERT INTO people VALUES (3, 'twin', 0), (9, 'x', 0), (9, 'y', 0)")
    warehouse.run(sync)
    states = {row_id: (op, status) for row_id, (op, status, _run) in snapshot(shop).items()}
    assert states["3"] == ("changed", "failed") and states["9"] == ("added", "failed")
    shop.execute("DELETE FROM people WHERE id IN (3, 9)", "UPDATE people SET ltv = 99 WHERE id = 1")
    warehouse.run(sync_of(crm, mode="insert"))
    states = {row_id: (op, status) for row_id, (op, status, _run) in snapshot(shop).items()}
    assert states == {"1": ("unchanged", "succeeded"), "2": ("unchanged", "succeeded")}
    delivered = next(row["fields"] for row in shop.audit("sync_snapshot") if row["row_id"] == "1")
    assert delivered["ltv"] == 10, "an ignored change is not delivered"
    resync = warehouse.full_resync(sync)
    assert set(snapshot(shop).values()) == {("added", "succeeded", resync.run_id)}
    warehouse.reset_cdc(sync)
    assert {(op, status) for op, status, _run in snapshot(shop).values()} == {("unchanged", "succeeded")}
    assert not logged(shop, warehouse.run(sync))
    check_arithmetic(shop)


def test_d25_a_new_column_reaches_the_snapshot_of_rows_that_are_not_sent(shop: Engine, crm: Recorder) -> None:
    warehouse = shop.connect()
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    warehouse.run(sync_of(crm, mappings={"mail": "email"}))
    warehouse.run(sync_of(crm, mappings={"mail": "email", "worth": "ltv"}))
    warehouse.run(sync_of(crm, mappings={"mail": "email", "worth": "ltv"}))
    assert [row["fields"] for row in shop.audit("sync_snapshot", "row_id")][0] == {
        "id": 1,
        "email": "a",
        "ltv": 10,
    }


def test_d26_modes_without_cdc_log_planned_adds_and_no_changelog(shop: Engine, crm: Recorder) -> None:
    warehouse = shop.connect()
    warehouse.run(sync_of(crm, mode="archive"))
    (row,) = shop.runs()
    assert (row["num_planned_add"], row["num_succeeded_add"], row["num_planned_change"]) == (3, 3, 0)
    assert shop.audit("sync_changelog") == []
    run = warehouse.run(sync_of(crm, mode="archive", changelog=True))
    assert logged(shop, run) == {("added", row_id, "succeeded") for row_id in ("1", "2", "3")}


@pytest.mark.parametrize("table", ["changelog", "snapshot", "sync_runs"])
def test_d27_each_log_has_a_switch_and_a_syncs_own_choice_wins(
    shop: Engine, crm: Recorder, table: str
) -> None:
    names = {name: f"sync_{name.removeprefix('sync_')}" for name in ("changelog", "snapshot", "sync_runs")}
    off, on = shop.connect(**{table: False}), shop.connect()
    off.run(sync_of(crm, id="a"))
    on.run(sync_of(crm, id="b", **{table: False}))
    off.run(sync_of(crm, id="c", **{table: True}))
    on.run(sync_of(crm, id="d"))
    for name, audit in names.items():
        written = {row["sync_id"] for row in shop.audit(audit, "sync_run_id")}
        assert written == ({"c", "d"} if name == table else {"a", "b", "c", "d"})


def test_d27_a_sync_with_every_log_off_still_works(shop: Engine, crm: Recorder) -> None:
    warehouse = shop.connect(changelog=False, snapshot=False, sync_runs=False)
    crm.refuse = {"1": "bad"}
    warehouse.run(sync_of(crm))
    run = warehouse.run(sync_of(crm))
    assert counted(run) == {"added": (1, 1, 0, 1, 0)} and len(run.rejections()) == 1
    assert not any(
        shop.audit(name, "sync_run_id") for name in ("sync_changelog", "sync_snapshot", "sync_runs")
    )


def test_d27_retention_prunes_this_syncs_old_rows_and_nothing_else(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(retention_days=7), sync_of(crm)
    warehouse.run(sync)
    now = datetime.now(timezone.utc)
    old, recent = (str(ULID.from_datetime(now - timedelta(days=days))) for days in (8, 6))
    for name in ("sync_changelog", "sync_runs"):
        for sync_id in ("people-sync", "another"):
            for run_id in (old, recent):
                shop.execute(
                    f"INSERT INTO {AUDIT}.{name} (sync_id, sync_run_id) VALUES ('{sync_id}', '{run_id}')"
                )
    shop.execute(f"UPDATE {AUDIT}.sync_snapshot SET sync_run_id = '{old}'")
    last = warehouse.run(sync)
    for name in ("sync_changelog", "sync_runs"):
        found = {(row["sync_id"], row["sync_run_id"]) for row in shop.audit(name, "sync_run_id")}
        assert ("people-sync", old) not in found
        assert found >= {("people-sync", recent), ("another", old), ("another", recent)}
    assert len(snapshot(shop)) == 3, "the snapshot is the present: it never is too old"
    assert counted(last) == {} and counted(warehouse.run(sync)) == {}, "pruning never harms later runs"
    assert len(warehouse.history(sync)) == 4


def test_d27_retention_is_off_by_default(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    ancient = str(ULID.from_datetime(datetime(2001, 1, 1, tzinfo=timezone.utc)))
    shop.execute(f"INSERT INTO {AUDIT}.sync_runs (sync_id, sync_run_id) VALUES ('people-sync', '{ancient}')")
    warehouse.run(sync)
    assert ancient in {row["sync_run_id"] for row in shop.runs()}


AUDITING = [Step.DELIVERED, Step.CHANGELOG, Step.SNAPSHOT, Step.SYNC_RUNS, Step.COMMIT]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", AUDITING, ids=lambda step: step.value)
def test_d17_audit_that_is_interrupted_is_finished_once(
    shop: Engine, crm: Recorder, step: Step, moment: str
) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    crm.refuse = {"2": "bad"}

    def fail(at: Step, when: str) -> None:
        if (at, when) == (step, moment):
            raise RuntimeError("the machine is tired")

    with pytest.raises(RuntimeError):
        warehouse.run(sync, observer=fail)
    assert len(crm.take()) == 3
    run = warehouse.run(sync)
    assert crm.take() == {("added", "2")}, "what was delivered is not sent again"
    first, second = shop.runs()
    assert (first["status"], first["num_succeeded_add"], first["num_failed_add"]) == ("succeeded", 2, 1)
    assert second["sync_run_id"] == run.run_id and len(shop.audit("sync_changelog")) == 4
    assert {row_id: (op, status) for row_id, (op, status, _run) in snapshot(shop).items()} == {
        "1": ("unchanged", "succeeded"),
        "2": ("added", "failed"),
        "3": ("unchanged", "succeeded"),
    }
    check_arithmetic(shop)


# -- what must not leak ----------------------------------------------------------------------------

SECRET = "sesame-hunter2"


def chained(error: BaseException | None) -> list[str]:
    texts = []
    while error is not None:
        texts += [str(error), repr(error), str(getattr(error, "sql", ""))]
        if isinstance(error, wcdc.CdcError):
            error = error.__cause__ if isinstance(error.__cause__, wcdc.CdcError) else None
        else:
            error = None
    return texts


BROKEN_MODELS = [
    "select id, cast(email as integer) as email from people",
    "select id, cast(email as date) as email from people",
    f"select id, email from people where email <> '{SECRET}' or cast(email as integer) > 0",
    f"select id, nonsense('{SECRET}') as email from people",
    f"select id, email from people where '{SECRET}' = nonsense",
]


@pytest.mark.parametrize("sql", BROKEN_MODELS)
def test_row_values_and_literals_are_in_no_error_log_or_run(
    engine: Engine, crm: Recorder, sql: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "warehouse_cdc")
    engine.table("id INTEGER, email VARCHAR(50)", f"(1, '{SECRET}')")
    warehouse, sync = engine.connect(), sync_of(crm, sql)
    with pytest.raises(wcdc.WarehouseError) as caught:
        warehouse.run(sync)
    found = [*chained(caught.value), caplog.text, repr(warehouse), repr(engine.footprint())]
    assert not any(SECRET in text for text in found)
    for finding in warehouse.check(sync):
        assert SECRET not in repr(finding)


def test_row_values_are_in_no_repr_log_or_run(
    engine: Engine, crm: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "warehouse_cdc")
    engine.table("id VARCHAR(50), email VARCHAR(50)", f"('{SECRET}', '{SECRET}')", f"('{SECRET}2', 'x')")
    warehouse, sync = engine.connect(), sync_of(crm, max_attempts=1, max_removed=0)
    shown: list[str] = []

    def fail(batch: Any) -> None:
        shown.extend([repr(batch), repr(batch.context)])
        raise ValueError(f"can't send {SECRET}")

    crm.during = fail
    run = warehouse.run(sync)
    shown += [repr(run), str(run), repr(run.rejections()), repr(warehouse.plan(sync)), repr(sync)]
    crm.during = None
    warehouse.run(sync)
    engine.execute("DELETE FROM people WHERE email = 'x'")
    with pytest.raises(wcdc.GuardError) as caught:
        warehouse.run(sync)
    shown += [*chained(caught.value), caplog.text]
    shown += [
        repr(engine.runs()),
        *map(repr, (engine.query(f"SELECT generation, data FROM {t}") for t in engine.journal_tables())),
    ]
    assert not any(SECRET in text for text in shown)
    assert SECRET in repr(engine.audit("sync_changelog")), "the changelog is where values belong"


def test_a_urls_password_is_in_no_repr_or_error(
    caplog: pytest.LogCaptureFixture, duck: Engine, crm: Recorder
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"postgresql://someone:{SECRET}@127.0.0.1:1/nothing"
    duck.table("id INTEGER", "(1)")
    table = wcdc.destinations.SqlTable(url, "target")
    warehouse, sync = duck.connect(), sync_of(table, mappings={"id": "id"})
    with pytest.raises(wcdc.CdcError) as caught:
        warehouse.run(sync)
    shown = [*chained(caught.value), caplog.text, repr(sync), repr(table), table.name, repr(duck.footprint())]
    shown += [repr(finding) for finding in warehouse.check(sync)]
    assert not any(SECRET in text for text in shown)
    assert duck.tables() == set()
