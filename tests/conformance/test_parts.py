"""Scaling out: chunks that the tasks of an executor send beside each other."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dask
import duckdb
import pytest
from distributed import Client, LocalCluster

import warehouse_cdc as wcdc
from warehouse_cdc.destinations import Batch, Csv, HttpRequest
from warehouse_cdc.destinations.http import Request
from warehouse_cdc.limits import limiter
from warehouse_cdc.testing import Fault, FaultServer

ROWS = 400


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with some_processes() as executor:
        yield executor


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as executor:
        yield executor


def some_processes() -> AbstractContextManager[Executor]:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@contextmanager
def a_cluster() -> Iterator[Executor]:
    """A scheduler and two workers that are processes; a task isn't tried again when its worker dies."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor(pure=False)


def model_of(rows: int) -> duckdb.DuckDBPyConnection:
    source = duckdb.connect()
    source.execute(f"create table t as select i as id, i % 7 as value from range({rows}) r(i)")
    return source


def sync_to(url: str, **options: Any) -> wcdc.Sync:
    write = Request(url="/rows")
    destination = HttpRequest(
        url, added=write, changed=write, removed=Request(url="/remove"), concurrency=8, rate=None
    )
    values: dict[str, Any] = {"chunk_rows": 20, "batch_rows": 5, "retry_wait": 0.01, "batch_timeout": 5.0}
    return wcdc.Sync(
        id="s",
        model=wcdc.Model("t", table="t", primary_key="id"),
        destination=destination,
        on_removed="delete",
        max_removed=None,
        **{**values, **options},
    )


def test_processes_send_everything_once_and_operations_in_order(processes: Executor) -> None:
    source = model_of(ROWS)
    with FaultServer() as server, wcdc.connect(source) as warehouse:
        run = warehouse.run(sync_to(server.url), executor=processes, parts=2)
        assert run.status == "success" and run.counts["added"].succeeded == ROWS
        assert server.effects == {("written", number): 1 for number in range(ROWS)}
        source.execute("update t set value = 99 where id < 100")
        source.execute("delete from t where id >= 300")
        source.execute("insert into t select i, 0 from range(1000, 1100) r(i)")
        begun = len(server.calls)
        run = warehouse.run(sync_to(server.url), executor=processes, parts=2)
        kinds = [_kind(call.path, call.rows) for call in server.calls[begun:]]
        assert run.status == "success" and len(server.calls) == begun + 60
        assert kinds == sorted(kinds, key=["removed", "changed", "added"].index), (
            "a barrier between operations"
        )
        assert {key: row["value"] for key, row in server.table.items()} == dict(
            source.execute("select id, value from t").fetchall()
        )
        assert warehouse.run(sync_to(server.url), executor=processes, parts=2).status == "success"
        assert len(server.calls) == begun + 60


def _kind(path: str, rows: list[Any]) -> str:
    return "removed" if path == "/remove" else "added" if rows[0]["id"] >= 1000 else "changed"


def test_parts_share_rate_and_concurrency(threads: Executor) -> None:
    source = model_of(100)
    with FaultServer(script=lambda *call: Fault(stall=0.01, applied=True)) as server:
        sync = sync_to(server.url, rate="20 per 1 second", concurrency=4)
        with wcdc.connect(source) as warehouse:
            assert warehouse.run(sync, executor=threads, parts=3).status == "success"
            source.execute("update t set value = value + 1")
            assert warehouse.run(sync, executor=threads, parts=3).status == "success"
            source.execute("update t set value = value + 1")
            assert warehouse.run(sync).status == "success", "alone, with what the parts have used"
        assert server.most_in(1.0) <= 20
        assert server.most_at_once <= 4


def test_one_rejected_row_is_the_only_one(processes: Executor) -> None:
    with FaultServer(poison=lambda row: row["id"] == 7) as server, wcdc.connect(model_of(100)) as warehouse:
        sync = sync_to(server.url, split_retries=True)
        run = warehouse.run(sync, executor=processes, parts=2)
        assert run.status == "warning" and run.counts["added"].failed == 1
        assert run.rejections().arrow.column("row_id").to_pylist() == ["7"]
        server.poison = lambda row: False
        begun = len(server.calls)
        run = warehouse.run(sync, executor=processes, parts=2)
        assert run.status == "success" and [call.rows for call in server.calls[begun:]] == [
            [{"id": 7, "value": 0}]
        ]


def test_too_many_rejected_rows_stop_all_parts(threads: Executor) -> None:
    with FaultServer(poison=lambda row: True) as server, wcdc.connect(model_of(ROWS)) as warehouse:
        run = warehouse.run(sync_to(server.url, max_rejected=3), executor=threads, parts=2)
        assert run.status == "failed" and run.error == "more than 3 rows were rejected (max_rejected)"
        counts = run.counts["added"]
        assert counts.planned == ROWS and 3 < counts.failed <= 2 * 8 * 5 and counts.succeeded == 0


def test_a_cancelled_run_sends_what_is_under_way_and_nothing_else(threads: Executor) -> None:
    with FaultServer(script=lambda *call: Fault(stall=0.05, applied=True)) as server:
        with wcdc.connect(model_of(ROWS)) as warehouse:
            threading.Timer(0.5, warehouse.cancel).start()
            run = warehouse.run(sync_to(server.url, concurrency=2, chunk_rows=100), executor=threads, parts=2)
            assert run.status == "cancelled"
            counts = run.counts["added"]
            assert counts.succeeded == len(server.table) and counts.failed == 0
            assert counts.aborted == ROWS - len(server.table)
            assert warehouse.run(sync_to(server.url)).status == "success"
        assert server.effects == {("written", number): 1 for number in range(ROWS)}


def test_d10_an_unknown_attempt_of_an_earlier_task_stays_unknown(
    threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first task ends while the row waits to be tried again; the second is told no."""
    monkeypatch.setattr("warehouse_cdc.engine.parts.SLICE", 0.5)
    faults = {0: Fault(status=500, applied=True, stall=0.6), 1: Fault(status=400, body="no")}
    script = lambda number, *call: faults.get(number)  # noqa: E731
    with FaultServer(script=script) as server, wcdc.connect(model_of(1)) as warehouse:
        run = warehouse.run(sync_to(server.url, retry_wait=1.0), executor=threads, parts=1)
        (row,) = run.rejections().arrow.to_pylist()
        assert row["reason"].startswith("outcome unknown") and row["attempts"] == 2
        assert len(server.calls) == 2


def test_attempts_are_counted_over_tasks(threads: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warehouse_cdc.engine.parts.SLICE", 0.3)
    script = lambda *call: Fault(status=503)  # noqa: E731
    with FaultServer(script=script) as server, wcdc.connect(model_of(1)) as warehouse:
        sync = sync_to(server.url, retry_wait=0.4, max_attempts=3)
        run = warehouse.run(sync, executor=threads, parts=1)
        (row,) = run.rejections().arrow.to_pylist()
        assert row["attempts"] == 3 and len(server.calls) == 3


def test_tasks_shorter_than_a_call_still_class_every_row(
    threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has time for one call of a batch that is refused as a whole; the next goes on with its halves."""
    monkeypatch.setattr("warehouse_cdc.engine.parts.SLICE", 0.05)
    script = lambda *call: Fault(stall=0.1, applied=True)  # noqa: E731
    with FaultServer(script=script, poison=lambda row: row["id"] in (3, 12)) as server:
        with wcdc.connect(model_of(16)) as warehouse:
            sync = sync_to(server.url, split_retries=True, batch_rows=8, max_attempts=2, concurrency=1)
            run = warehouse.run(sync, executor=threads, parts=1)
            assert run.rejections().arrow.column("row_id").to_pylist() == ["12", "3"]
            assert len(server.calls) <= 2 * 15
        assert set(server.table) == set(range(16)) - {3, 12}


def test_what_may_have_been_applied_goes_again_as_it_went(
    threads: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warehouse_cdc.engine.parts.SLICE", 0.5)
    faults = {0: Fault(status=500, applied=True, stall=0.6), 1: Fault(status=400, body="no")}
    script = lambda number, *call: faults.get(number)  # noqa: E731
    with FaultServer(script=script) as server, wcdc.connect(model_of(4)) as warehouse:
        sync = sync_to(server.url, retry_wait=1.0, split_retries=True, batch_rows=4, concurrency=1)
        assert warehouse.run(sync, executor=threads, parts=1).counts["added"].failed == 4
        assert [len(call.rows) for call in server.calls] == [4, 4]


def test_the_usage_of_a_rate_does_not_grow_by_itself(threads: Executor) -> None:
    source = model_of(40)
    with FaultServer() as server, wcdc.connect(source) as warehouse:
        sync = sync_to(server.url, rate="200/hour")
        for _run in range(4):
            assert warehouse.run(sync, executor=threads, parts=4).status == "success"
            source.execute("update t set value = value + 1 where id < 10")
        (used,) = limiter("s", sync.rates).usage().windows
        assert sum(weight for _left, weight, _own in used) == len(server.calls)


def test_an_executor_that_is_shut_down_stops_the_run(threads: Executor) -> None:
    script = lambda *call: Fault(stall=0.1, applied=True)  # noqa: E731
    with FaultServer(script=script) as server, wcdc.connect(model_of(ROWS)) as warehouse:
        executor = ThreadPoolExecutor(1)
        threading.Timer(1.0, lambda: executor.shutdown(wait=False, cancel_futures=True)).start()
        run = warehouse.run(sync_to(server.url, concurrency=2), executor=executor, parts=2)
        assert run.status == "failed" and run.counts["added"].succeeded == len(server.table)


@wcdc.destination(concurrency=2, batch_size=5)
def dies(batch: Batch) -> None:
    """Takes rows into a folder, a file each; its process dies when it is told to."""
    folder = Path(os.environ["WCDC_TEST_FOLDER"])
    for row in batch.rows:
        with (folder / str(row["id"])).open("a") as file:
            file.write("x")
    if (folder / "die").exists():
        (folder / "die").unlink()
        os._exit(1)


@pytest.mark.parametrize("workers", [some_processes, a_cluster])
def test_d17_a_worker_that_dies_makes_its_rows_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: Callable[[], AbstractContextManager[Executor]]
) -> None:
    monkeypatch.setenv("WCDC_TEST_FOLDER", str(tmp_path))
    (tmp_path / "die").touch()
    sync = wcdc.Sync(
        id="s", model=wcdc.Model("t", table="t", primary_key="id"), destination=dies, chunk_rows=20
    )
    with wcdc.connect(model_of(ROWS)) as warehouse:
        with workers() as executor:
            run = warehouse.run(sync, executor=executor, parts=2)
        assert run.status == "failed" and "task was lost" in str(run.error)
        counts = run.counts["added"]
        most = 2 * 20 * 2  # a chunk is about that large
        assert 0 < counts.failed <= most and counts.planned == ROWS
        sent = sum(path.stat().st_size for path in tmp_path.iterdir())
        with workers() as executor:
            assert warehouse.run(sync, executor=executor, parts=2).status == "success"
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {str(number) for number in range(ROWS)}
    assert sum(sizes.values()) - ROWS <= min(most, sent)


COORDINATOR = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import warehouse_cdc as wcdc
    import warehouse_cdc.engine.parts as parts
    from tests.conformance.test_parts import sync_to

    if __name__ == "__main__":
        parts.SLICE = 2.0
        with wcdc.connect(sys.argv[1]) as warehouse:
            executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
            warehouse.run(sync_to(sys.argv[2], batch_timeout=1.0), executor=executor, parts=2)
"""


def test_d17_a_killed_coordinator_sends_twice_at_most_a_chunk_of_each_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: Executor
) -> None:
    """Its workers live a little longer: what they send after its death counts, too."""
    monkeypatch.setattr("warehouse_cdc.engine.run.SLICE", 2.0)
    path, script = tmp_path / "w.duckdb", tmp_path / "coordinator.py"
    script.write_text(textwrap.dedent(COORDINATOR))
    with duckdb.connect(path) as source:
        source.execute(f"create table t as select i as id, i % 7 as value from range({ROWS}) r(i)")
    enough = threading.Event()

    def slow(number: int, path: str, body: bytes) -> Fault | None:
        if number > 30:
            enough.set()
        return Fault(stall=0.05, applied=True)

    with FaultServer(script=slow) as server:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(
            [sys.executable, str(script), f"duckdb:///{path}", server.url],
            env=environment,
            start_new_session=True,
        )
        try:
            assert enough.wait(60)
            child.kill()  # it alone: its workers go on
            child.wait()
            with wcdc.connect(f"duckdb:///{path}") as warehouse:
                sync = sync_to(server.url, batch_timeout=1.0)
                run = warehouse.run(sync, executor=threads, parts=2)
                assert run.closed is not None
                while run.status != "success":
                    run = warehouse.run(sync, executor=threads, parts=2)
                history = warehouse.history(sync).arrow.to_pylist()
        finally:
            os.killpg(child.pid, signal.SIGKILL)
        assert {row["id"] for row in server.table.values()} == set(range(ROWS))
        bodies = [json.loads(call.body) for call in server.calls]
        sent = [row["id"] for rows in bodies for row in rows]
        interrupted = history[-1]
        assert interrupted["error"] == "interrupted"
        assert 0 < interrupted["num_failed_add"] <= 2 * 20 * 2
        assert len(sent) - ROWS <= interrupted["num_failed_add"]


def test_a_cluster_sends() -> None:
    with a_cluster() as executor, FaultServer() as server, wcdc.connect(model_of(ROWS)) as warehouse:
        run = warehouse.run(sync_to(server.url), executor=executor, parts=2)
        assert run.status == "success" and run.counts["added"].succeeded == ROWS
        assert server.effects == {("written", number): 1 for number in range(ROWS)}


@pytest.mark.parametrize(
    ("options", "parts", "says"),
    [
        ({}, 0, "at least 1"),
        ({"concurrency": 2}, 3, "concurrency is 2"),
        ({"order_by": "value"}, 2, "order_by"),
        ({"rate": "1/second"}, 2, "can't share a rate of 1"),
        ({"batch_timeout": 50.0}, 2, "more than half of the lease"),
    ],
)
def test_what_cannot_be_sent_in_parts_is_refused_before_anything_is_written(
    threads: Executor, options: dict[str, Any], parts: int, says: str
) -> None:
    source = model_of(1)
    with pytest.raises(wcdc.ConfigError, match=says), wcdc.connect(source) as warehouse:
        warehouse.run(sync_to("http://127.0.0.1:9", **options), executor=threads, parts=parts)
    assert source.execute("select count(*) from information_schema.tables").fetchone() == (1,)


def test_files_and_what_no_worker_can_load_are_refused(processes: Executor, tmp_path: Path) -> None:
    model = wcdc.Model("t", table="t", primary_key="id")
    files = wcdc.Sync(id="s", model=model, mode="snapshot", destination=Csv(tmp_path))
    here = wcdc.Sync(id="s", model=model, destination=wcdc.destination(concurrency=2)(lambda batch: None))
    with wcdc.connect(model_of(1)) as warehouse:
        with pytest.raises(wcdc.ConfigError, match="as a whole"):
            warehouse.run(files, executor=processes, parts=2)
        with pytest.raises(wcdc.ConfigError, match="picklable"):
            warehouse.run(here, executor=processes, parts=2)
