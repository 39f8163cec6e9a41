"""The way of a newcomer, on the real engine: init, plan, run, edit, run again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import warehouse_cdc
from tests.cli.conftest import child_environment

pytestmark = pytest.mark.skipif(not hasattr(warehouse_cdc, "connect"), reason="the engine has not arrived")


def warehouse_cdc_command(folder: Path, *arguments: str, code: int = 0) -> str:
    """Runs the real command line; what it wrote to stdout."""
    program = "import sys; sys.argv[0] = 'warehouse-cdc'; from warehouse_cdc.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def records(folder: Path) -> list[dict[str, object]]:
    """All rows of all files so far."""
    return [json.loads(line) for file in sorted((folder / "out").iterdir()) for line in file.open()]


def counts(line: str) -> dict[str, int]:
    return {operation: each["succeeded"] for operation, each in json.loads(line)["counts"].items()}


def test_init_then_run(tmp_path: Path) -> None:
    warehouse_cdc_command(tmp_path, "init", "shop")
    shop = tmp_path / "shop"
    plan = json.loads(warehouse_cdc_command(shop, "plan", "--json"))
    assert plan["counts"]["added"] == 5
    assert len(plan["rows"]) == 5
    assert not (shop / "out").exists() or not records(shop)

    first = warehouse_cdc_command(shop, "run")
    assert first.startswith("customers-to-files: success")
    assert sorted(each["email"] for each in records(shop))[0] == "ada@example.com"
    assert len(records(shop)) == 5

    model = shop / "models" / "customers.sql"
    text = model.read_text().replace("'silver'", "'gold'")
    kept = [line for line in text.splitlines() if "barbara" not in line]
    model.write_text(
        "\n".join(kept).replace("(5, 'donald", "(6, 'alan@example.com', 'gold', 1),\n(5, 'donald")
    )
    second = warehouse_cdc_command(tmp_path, "run", "--json", "-p", "shop")  # from another folder
    assert counts(second) == {"added": 1, "changed": 1, "removed": 1}
    assert counts(warehouse_cdc_command(shop, "run", "--json")) == {"added": 0, "changed": 0, "removed": 0}

    history = json.loads(warehouse_cdc_command(shop, "history", "--json"))
    assert [each["num_succeeded_add"] for each in history] == [0, 1, 5]
    assert warehouse_cdc_command(shop, "history").count("succeeded") == 3
    assert json.loads(warehouse_cdc_command(shop, "rejections", "--json")) == []


def test_the_other_commands(tmp_path: Path) -> None:
    warehouse_cdc_command(tmp_path, "init")
    assert "hightouch_planner" in warehouse_cdc_command(tmp_path, "setup", "--apply")
    assert "MISSING" not in warehouse_cdc_command(tmp_path, "check")
    assert counts(warehouse_cdc_command(tmp_path, "reset", "--yes", "--json")).get("added", 0) == 0
    assert counts(warehouse_cdc_command(tmp_path, "run", "--json"))["added"] == 0
    assert counts(warehouse_cdc_command(tmp_path, "resync", "--yes", "--json"))["added"] == 5
    assert "select" in warehouse_cdc_command(tmp_path, "compile").lower()
    warehouse_cdc_command(tmp_path, "compile", "--output", "sql")
    assert list((tmp_path / "sql").glob("*.sql"))


def test_what_the_engine_refuses(tmp_path: Path) -> None:
    warehouse_cdc_command(tmp_path, "init")
    model = tmp_path / "models" / "customers.sql"
    good = model.read_text()
    for bad in ("drop table x", "select 1 as id; select 2 as id", "select 1 as other", "selec 1 as id"):
        model.write_text(bad)
        warehouse_cdc_command(tmp_path, "run", code=2)
    assert not (tmp_path / "out").exists()
    model.write_text(good + "where id < 0")
    warehouse_cdc_command(tmp_path, "run")
