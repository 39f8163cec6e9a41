"""The way of a newcomer, on the real engine: init, plan, run, edit, run again."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from tests.cli.conftest import child_environment
from warehouse_cdc.cli import app

PROGRAM = "import sys; sys.argv[0] = 'warehouse-cdc'; from warehouse_cdc.cli import main; main()"

DESTINATION = """
import pathlib, time
from warehouse_cdc import destination

@destination(batch_size=1)
def picky(batch):
    refused = {"gold"} if pathlib.Path("no_gold").exists() else set()
    return ["no gold" if row["tier"] in refused else None for row in batch.rows]

@destination(batch_size=1)
def slow(batch):
    with open("sent", "a") as file:
        file.write(batch.row_ids[0] + "\\n")
    time.sleep(0.5)
"""


@pytest.fixture
def call(folder: Path) -> Callable[..., str]:
    """Runs the real command line in this process; what it wrote to stdout."""

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == code, result.output
        return result.stdout

    return run


@pytest.fixture
def shop(folder: Path, call: Callable[..., str]) -> Path:
    """What ``init`` writes, with two more syncs."""
    call("init")
    (folder / "shop_destination.py").write_text(DESTINATION)
    sys.modules.pop("shop_destination", None)
    project = folder / "warehouse_cdc.yaml"
    more = "  {0}: {{type: python, function: 'shop_destination:{0}'}}\n"
    text = project.read_text().replace("\nsyncs:", more.format("picky") + more.format("slow") + "\nsyncs:")
    for name in ("picky", "slow"):
        text += f"  {name}: {{model: customers, destination: {name}, on_removed: delete}}\n"
    project.write_text(text)
    return folder


def counts(line: str) -> dict[str, int]:
    return {operation: each["succeeded"] for operation, each in json.loads(line)["counts"].items()}


def test_init_then_run(tmp_path: Path) -> None:
    def run(folder: Path, *arguments: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=folder,
            env=child_environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    shop = tmp_path / "shop"
    run(tmp_path, "init", "shop")
    plan = json.loads(run(shop, "plan", "--json"))
    assert (plan["counts"]["added"], len(plan["rows"])) == (5, 5)
    assert not (shop / "out").exists()

    assert run(shop, "run").startswith("customers-to-files: success")
    [file] = (shop / "out").iterdir()
    sent = [json.loads(line) for line in file.open()]
    assert sorted(each["email"].split("@")[0] for each in sent) == [
        "ada",
        "barbara",
        "donald",
        "edsger",
        "grace",
    ]

    model = shop / "models" / "customers.sql"
    kept = [
        line for line in model.read_text().replace("'silver'", "'gold'").splitlines() if "barbara" not in line
    ]
    model.write_text(
        "\n".join(kept).replace("(5, 'donald", "(6, 'alan@example.com', 'gold', 1),\n(5, 'donald")
    )
    second = run(tmp_path, "run", "--json", "-p", "shop")  # from another folder
    assert counts(second) == {"added": 1, "changed": 1, "removed": 1}
    assert len(list((shop / "out").iterdir())) == 4


def test_the_other_commands(shop: Path, call: Callable[..., str]) -> None:
    sync = "customers-to-files"
    assert "hightouch_planner" in call("setup", "--apply")
    assert "MISSING" not in call("check")
    assert call("history", sync) == f"{sync} has not run yet.\n"
    assert counts(call("reset", sync, "--yes", "--json")) == {"added": 0, "changed": 0, "removed": 0}
    assert counts(call("run", sync, "--json"))["added"] == 0
    assert counts(call("resync", sync, "--yes", "--json"))["added"] == 5
    history = json.loads(call("history", sync, "--json"))
    assert [each["num_succeeded_add"] for each in history] == [5, 0, 0]
    assert call("history", sync, "--limit", "2").count("succeeded") == 2
    assert json.loads(call("rejections", sync, "--json")) == []


def test_compile_needs_no_connection(shop: Path, call: Callable[..., str]) -> None:
    (shop / "models" / "customers.sql").write_text("select id, email from customers")
    (shop / "schema.yaml").write_text("customers: {id: bigint, email: text}")
    for dialect in ("duckdb", "postgres"):
        text = call("compile", "picky", "--dialect", dialect, "--schema", "schema.yaml")
        assert "hightouch_planner" in text
    call("compile", "picky", "--schema", "schema.yaml", "--output", "sql")
    assert len(list((shop / "sql").glob("*.sql"))) > 5
    call("compile", "picky", "--dialect", "klingon", code=2)
    assert not (shop / "warehouse.duckdb").exists()


def test_rejected_rows(shop: Path, call: Callable[..., str]) -> None:
    (shop / "no_gold").touch()
    assert "warehouse-cdc rejections picky" in call("run", "picky", code=3)
    rejections = json.loads(call("rejections", "picky", "--json"))
    assert [(each["row_id"], each["reason"]) for each in rejections] == [("1", "no gold"), ("4", "no gold")]
    (shop / "no_gold").unlink()
    assert counts(call("run", "picky", "--json"))["added"] == 2
    assert "rejected no rows" in call("rejections", "picky")


def test_guards(shop: Path, call: Callable[..., str]) -> None:
    call("run", "picky")
    model = shop / "models" / "customers.sql"
    model.write_text(model.read_text() + "where id < 0")
    assert "a guard would stop it" in call("plan", "picky")
    call("run", "picky", code=1)
    call("run", "picky", "--allow-empty", "--allow-removed")


def test_what_the_engine_refuses(shop: Path, call: Callable[..., str]) -> None:
    for bad in ("drop table x", "select 1 as id; select 2 as id", "select 1 as other", "selec 1 as id"):
        (shop / "models" / "customers.sql").write_text(bad)
        call("run", "customers-to-files", code=2)
        call("plan", "customers-to-files", code=2)
    assert not (shop / "out").exists()


def test_interrupt_from_the_keyboard(shop: Path, call: Callable[..., str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "slow", "picky"],
        cwd=shop,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (shop / "sent").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    written, told = process.communicate(timeout=300)
    assert process.returncode == 1, written + told
    assert written.startswith("slow: cancelled")
    assert "error[run-cancelled]: slow" in told
    assert "Not run: picky." in told
    assert "Traceback" not in told
    aborted = re.search(r"added +5 +(\d) +(\d) +0 +(\d)", written)
    assert aborted is not None
    assert int(aborted[1]) + int(aborted[3]) == 5
    assert counts(call("run", "slow", "--json"))["added"] == int(aborted[3])


def test_a_sync_is_pulled_and_then_moved(folder: Path, call: Callable[..., str]) -> None:
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute("CREATE TABLE customers AS SELECT range AS id, 1 AS v FROM range(3)")
    project = """
sources: {shop: {url: 'duckdb:///shop.duckdb', state: syncs.duckdb}}
models: {customers: {table: customers, primary_key: id}}
destinations: {files: {type: jsonl, directory: out}}
syncs: {s: {model: customers, destination: files, mode: diff}}
"""
    file = folder / "warehouse_cdc.yaml"
    file.write_text(project)
    assert counts(call("run", "--json")) == {"added": 3, "changed": 0, "removed": 0}
    call("adopt", "--state", "syncs.duckdb", code=2)
    file.write_text(project.replace(", state: syncs.duckdb", ""))
    assert "success" in call("adopt", "--state", "syncs.duckdb")
    call("adopt", "--state", "syncs.duckdb")
    with duckdb.connect("shop.duckdb") as shop:
        shop.execute("UPDATE customers SET v = 2 WHERE id = 1")
    assert counts(call("run", "--json")) == {"added": 0, "changed": 1, "removed": 0}
    file.write_text(project)
    call("run", code=1)


def test_processes_send(shop: Path, call: Callable[..., str]) -> None:
    """A function in the project's folder reaches them."""
    with (shop / "shop_destination.py").open("a") as file:
        file.write(
            "\n@destination(concurrency=2)\n"
            "def wide(batch):\n"
            "    import os\n"
            "    path = pathlib.Path(f'{os.getpid()}-{batch.row_ids[0]}.sent')\n"
            "    path.write_text('\\n'.join(batch.row_ids))\n"
        )
    project = shop / "warehouse_cdc.yaml"
    text = project.read_text().replace(
        "\nsyncs:", "  wide: {type: python, function: 'shop_destination:wide'}\n\nsyncs:"
    )
    project.write_text(
        text + "  wide: {model: customers, destination: wide, on_removed: delete, chunk_rows: 1}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", "wide", "--processes", "2", "--json"],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    files = list(shop.glob("*.sent"))
    sent = [row_id for path in files for row_id in path.read_text().split("\n")]
    assert len(sent) == len(set(sent)) == counts(done.stdout)["added"] > 0
    assert call("run", "picky", "--processes", "2", code=2) == ""


def test_quarantined_rows_are_listed_and_released(shop: Path, call: Callable[..., str]) -> None:
    project = shop / "warehouse_cdc.yaml"
    one = "destination: picky, on_removed: delete"
    project.write_text(project.read_text().replace(one, one + ", on_rejected: quarantine, rejected_runs: 1"))
    (shop / "no_gold").touch()
    call("run", "picky", code=3)
    call("run", "picky")
    listed = json.loads(call("rejections", "picky", "--json"))
    assert listed and {row["reason"] for row in listed} == {"quarantined: no gold"}
    (shop / "no_gold").unlink()
    assert counts(call("run", "picky", "--json"))["added"] == 0
    assert counts(call("release", "picky", listed[0]["row_id"], "--json"))["added"] == 1
    assert counts(call("release", "picky", "--json"))["added"] == len(listed) - 1
    assert json.loads(call("rejections", "picky", "--json")) == []
