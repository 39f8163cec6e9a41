"""The sync modes: what each sends, on every engine, to functions, tables and files (D12 to D16)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import Engine, Recorder, counted, ids, sync_of

START = ("(1, 'a', 10)", "(2, 'b', 20)", "(3, 'c', 30)")
CHANGES = (
    "UPDATE people SET ltv = 11 WHERE id = 1",
    "DELETE FROM people WHERE id = 2",
    "INSERT INTO people VALUES (4, 'd', 40)",
)
CHANGED = {"added": "4", "changed": "1", "removed": "2"}


@pytest.fixture
def shop(engine: Engine) -> Engine:
    engine.table("id INTEGER, email VARCHAR(50), ltv INTEGER", *START)
    return engine


@pytest.fixture
def where(engine: Engine) -> Iterator[Any]:
    """The warehouse's own database as the destination's."""
    if engine.name == "postgres":
        yield engine.url
        return
    with engine.raw() as raw:
        yield raw


SENT: dict[tuple[str, str], set[str]] = {
    ("insert", "nothing"): {"added"},
    ("update", "nothing"): {"added", "changed"},
    ("update", "clear"): {"added", "changed", "removed"},
    ("update", "delete"): {"added", "changed", "removed"},
    ("upsert", "nothing"): {"added", "changed"},
    ("upsert", "clear"): {"added", "changed", "removed"},
    ("upsert", "delete"): {"added", "changed", "removed"},
}


@pytest.mark.parametrize(("mode", "on_removed"), SENT)
def test_what_each_mode_sends_to_a_function(shop: Engine, crm: Recorder, mode: str, on_removed: str) -> None:
    warehouse, sync = shop.connect(), sync_of(crm, mode=mode, on_removed=on_removed)
    warehouse.run(sync)
    assert crm.take() == ids("added", 1, 2, 3)
    shop.execute(*CHANGES)
    run = warehouse.run(sync)
    contexts = [batch.context for batch in crm.batches]
    assert all((c.mode, c.on_removed) == (mode, on_removed) for c in contexts)
    assert all(set(c.operations) == SENT[mode, on_removed] for c in contexts)
    assert crm.take() == {(op, CHANGED[op]) for op in SENT[mode, on_removed]}
    planned = {"added"} if mode == "insert" else {"added", "changed", "removed"}
    assert set(counted(run)) == planned, "D11, D13: a removal without a call counts, an ignored one doesn't"
    assert counted(warehouse.run(sync)) == {} and crm.take() == set()


def test_archive_sends_every_row_every_run(shop: Engine, crm: Recorder) -> None:
    warehouse, sync = shop.connect(), sync_of(crm, mode="archive")
    warehouse.run(sync)
    assert crm.take() == ids("added", 1, 2, 3)
    shop.execute(*CHANGES)
    assert counted(warehouse.run(sync)) == {"added": (3, 3, 3, 0, 0)}
    assert crm.take() == ids("added", 1, 3, 4)


@pytest.mark.parametrize("mode", ["insert", "update", "upsert", "archive"])
def test_d2_and_d3_hold_in_every_mode(shop: Engine, crm: Recorder, mode: str) -> None:
    shop.execute("INSERT INTO people VALUES (NULL, 'x', 0), (3, 'twin', 0)")
    run = shop.connect().run(sync_of(crm, mode=mode))
    assert (run.status, run.null_key_rows, counted(run)) == ("warning", 1, {"added": (3, 3, 2, 1, 0)})
    assert crm.take() == ids("added", 1, 2)
    assert [r["reason"] for r in run.rejections().to_pylist()] == ["duplicate primary key (2 rows)"]


@pytest.mark.parametrize("second", ["insert", "update", "upsert"])
@pytest.mark.parametrize("first", ["insert", "update", "upsert"])
def test_d13_modes_with_cdc_share_the_state(shop: Engine, crm: Recorder, first: str, second: str) -> None:
    warehouse = shop.connect()
    warehouse.run(sync_of(crm, mode=first))
    crm.take()
    shop.execute(*CHANGES)
    warehouse.run(sync_of(crm, mode=second))
    expected = ids("added", 4) if second == "insert" else {(op, CHANGED[op]) for op in CHANGED}
    assert crm.take() == expected


def test_d13_each_removal_that_insert_mode_ignores_is_forgotten_but_each_change_is_kept(
    shop: Engine, crm: Recorder
) -> None:
    warehouse = shop.connect()
    warehouse.run(sync_of(crm))
    crm.take()
    shop.execute(*CHANGES)
    warehouse.run(sync_of(crm, mode="insert"))
    crm.take()
    shop.execute("UPDATE people SET ltv = 10 WHERE id = 1")
    warehouse.run(sync_of(crm))
    assert crm.take() == set(), "the value that was delivered is back"
    shop.execute("UPDATE people SET ltv = 12 WHERE id = 1")
    warehouse.run(sync_of(crm))
    assert crm.take() == ids("changed", 1)


@pytest.mark.parametrize("call", ["full_resync", "reset_cdc"])
def test_a_mode_without_cdc_has_nothing_to_resync_or_reset(shop: Engine, crm: Recorder, call: str) -> None:
    warehouse, sync = shop.connect(), sync_of(crm, mode="archive")
    before = shop.footprint()
    with pytest.raises(wcdc.ConfigError) as caught:
        getattr(warehouse, call)(sync)
    assert caught.value.code == "sync-mode"
    assert shop.footprint() == before and crm.sent == []


# -- tables ----------------------------------------------------------------------------------------


def target(engine: Engine, order: str = "id") -> list[tuple[Any, ...]]:
    return engine.query(f"SELECT id, email, ltv FROM target ORDER BY {order}")


def people(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.query("SELECT id, email, ltv FROM people ORDER BY id")


def table_sync(where: Any, mode: str, **options: Any) -> wcdc.Sync:
    table = wcdc.destinations.SqlTable(where, "target")
    return sync_of(table, mode=mode, mappings={"email": "email", "ltv": "ltv"}, **options)


@pytest.fixture
def table(shop: Engine) -> Engine:
    shop.execute("CREATE TABLE target (id INTEGER PRIMARY KEY, email VARCHAR(50), ltv INTEGER)")
    return shop


def test_upsert_makes_a_table_equal_to_the_model(table: Engine, where: Any) -> None:
    warehouse, sync = table.connect(), table_sync(where, "upsert")
    assert warehouse.run(sync).status == "success"
    assert target(table) == people(table)
    table.execute(*CHANGES)
    assert warehouse.run(sync).status == "success"
    assert target(table) == people(table)
    table.execute("UPDATE target SET email = 'edited' WHERE id = 3")
    warehouse.run(sync)
    assert target(table)[1] == (3, "edited", 30), "the state is never read from the destination"
    warehouse.full_resync(sync)
    assert target(table) == people(table)


def test_upsert_clears_a_removed_row(table: Engine, where: Any) -> None:
    warehouse, sync = table.connect(), table_sync(where, "upsert", on_removed="clear")
    warehouse.run(sync)
    table.execute(*CHANGES)
    warehouse.run(sync)
    assert target(table) == [(1, "a", 11), (2, None, None), (3, "c", 30), (4, "d", 40)]


def test_insert_never_touches_what_is_there(table: Engine, where: Any) -> None:
    warehouse, sync = table.connect(), table_sync(where, "insert")
    table.execute("INSERT INTO target VALUES (3, 'own', 0)")
    warehouse.run(sync)
    table.execute(*CHANGES)
    warehouse.run(sync)
    assert target(table) == [(1, "a", 10), (2, "b", 20), (3, "own", 0), (4, "d", 40)]


def test_mirror_replaces_the_table_every_run(table: Engine, where: Any) -> None:
    warehouse, sync = table.connect(), table_sync(where, "mirror")
    table.execute("INSERT INTO target VALUES (99, 'stranger', 0)")
    assert counted(warehouse.run(sync)) == {"added": (3, 3, 3, 0, 0)}
    assert target(table) == people(table)
    table.execute(*CHANGES, "INSERT INTO target VALUES (98, 'stranger', 0)")
    warehouse.run(sync)
    assert target(table) == people(table)


def test_d16_a_mirror_of_an_empty_or_shrunken_model_is_guarded(table: Engine, where: Any) -> None:
    warehouse, sync = table.connect(), table_sync(where, "mirror", max_removed=1, require_rows=True)
    warehouse.run(sync)
    before = people(table)
    for change, guard, allowed in (
        ("DELETE FROM people WHERE id < 3", "max_removed", "allow_removed"),
        ("DELETE FROM people", "require_rows", "allow_empty"),
    ):
        table.execute(change)
        with pytest.raises(wcdc.GuardError) as caught:
            warehouse.run(sync)
        assert caught.value.guard == guard and allowed in caught.value.hint
        assert target(table) == before, "nothing was replaced"
    warehouse.run(sync, allow_empty=True, allow_removed=True)
    assert target(table) == []


def test_archive_appends_to_a_table(shop: Engine, where: Any) -> None:
    shop.execute("CREATE TABLE target (id INTEGER, email VARCHAR(50), ltv INTEGER)")
    warehouse, sync = shop.connect(), table_sync(where, "archive")
    warehouse.run(sync)
    warehouse.run(sync)
    assert target(shop) == sorted([*people(shop), *people(shop)])


def test_a_destination_that_does_not_fit_is_refused_before_anything_is_written(
    table: Engine, where: Any
) -> None:
    warehouse = table.connect()
    for destination, mappings in (("nowhere", {"email": "email"}), ("target", {"phone": "email"})):
        sync = sync_of(wcdc.destinations.SqlTable(where, destination), mappings=mappings)
        with pytest.raises(wcdc.ConfigError):
            warehouse.run(sync)
    assert table.tables() == set() and target(table) == []


# -- files -----------------------------------------------------------------------------------------


def lines(folder: Path, pattern: str = "*.jsonl") -> list[dict[str, Any]]:
    rows = [
        json.loads(line) for path in sorted(folder.glob(pattern)) for line in path.read_text().splitlines()
    ]
    return sorted(rows, key=lambda row: row["id"])


def test_all_replaces_the_file_every_run(shop: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    warehouse, sync = shop.connect(), sync_of(wcdc.destinations.JsonLines(folder), mode="all")
    warehouse.run(sync)
    shop.execute(*CHANGES)
    assert counted(warehouse.run(sync)) == {"added": (3, 3, 3, 0, 0)}
    assert [path.name for path in folder.iterdir()] == ["people-sync.jsonl"]
    assert [(row["id"], row["ltv"]) for row in lines(folder)] == [(1, 11), (3, 30), (4, 40)]
    with pytest.raises(wcdc.GuardError):
        shop.execute("DELETE FROM people")
        warehouse.run(sync_of(wcdc.destinations.JsonLines(folder), mode="all", require_rows=True))
    assert len(lines(folder)) == 3


def test_snapshot_writes_a_new_file_with_every_row(shop: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    warehouse, sync = shop.connect(), sync_of(wcdc.destinations.Csv(folder), mode="snapshot")
    runs = [warehouse.run(sync).run_id]
    shop.execute(*CHANGES)
    runs.append(warehouse.run(sync).run_id)
    found = {}
    for path in folder.iterdir():
        with path.open(newline="", encoding="utf-8") as file:
            found[path.name] = sorted(int(row["id"]) for row in csv.DictReader(file))
    assert found == {
        f"people-sync_{runs[0]}_added.csv": [1, 2, 3],
        f"people-sync_{runs[1]}_added.csv": [1, 3, 4],
    }


def test_diff_writes_three_files_a_run(shop: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    warehouse, sync = shop.connect(), sync_of(wcdc.destinations.JsonLines(folder), mode="diff")
    warehouse.run(sync)
    shop.execute(*CHANGES)
    run = warehouse.run(sync)
    assert counted(run) == {op: (1, 1, 1, 0, 0) for op in ("removed", "changed", "added")}
    for operation, row in (
        ("added", {"id": 4, "email": "d", "ltv": 40}),
        ("changed", {"id": 1, "email": "a", "ltv": 11}),
        ("removed", {"id": 2, "email": "b", "ltv": 20}),
    ):
        assert lines(folder, f"*{run.run_id}_{operation}.jsonl") == [row]
    run = warehouse.run(sync)
    assert lines(folder, f"*{run.run_id}_*.jsonl") == []


def test_insert_writes_new_rows_to_parquet(shop: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    sync = sync_of(wcdc.destinations.Parquet(folder, skip_empty=True), mode="insert")
    warehouse = shop.connect()
    warehouse.run(sync)
    shop.execute(*CHANGES)
    run = warehouse.run(sync)
    (path,) = folder.glob(f"*{run.run_id}*")
    assert pq.read_table(path).to_pylist() == [{"id": 4, "email": "d", "ltv": 40}]


# -- matching --------------------------------------------------------------------------------------


def test_records_may_match_on_something_else_than_the_key(shop: Engine, crm: Recorder) -> None:
    warehouse = shop.connect()
    sync = sync_of(crm, mappings={"worth": "ltv"}, match={"email": "email_address"})
    warehouse.run(sync)
    assert crm.held["1"] == {"email_address": "a", "worth": 10}
    assert crm.batches[0].context.match == ("email_address",)
    assert crm.batches[0].context.fields == ("email_address", "worth")
    crm.take()
    shop.execute("UPDATE people SET email = 'new' WHERE id = 1")
    warehouse.run(sync)
    assert crm.take() == ids("changed", 1), "D4: the matched column is compared"
    shop.execute("DELETE FROM people WHERE id = 1")
    crm.batches.clear()
    warehouse.run(sync)
    assert crm.rows == [{"email_address": "new", "worth": 10}], (
        "D9: a removal matches with the delivered values"
    )


def test_d9_a_removal_carries_the_values_last_delivered_not_the_last_seen(
    shop: Engine, crm: Recorder
) -> None:
    warehouse, sync = shop.connect(), sync_of(crm)
    warehouse.run(sync)
    crm.refuse = {"1": "no"}
    shop.execute("UPDATE people SET email = 'never delivered' WHERE id = 1")
    warehouse.run(sync)
    crm.refuse = {}
    shop.execute("DELETE FROM people WHERE id = 1")
    crm.batches.clear()
    warehouse.run(sync)
    assert crm.rows == [{"id": 1, "email": "a", "ltv": 10}]
