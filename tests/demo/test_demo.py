"""The demo as a stranger runs it, and that it notices what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from benchmarks.demo import data
from benchmarks.demo.compare import compare, file_rows
from benchmarks.demo.errors import DemoError
from benchmarks.demo.replay import Script
from benchmarks.demo.report import Report
from benchmarks.demo.syncs import TO_FILES

ROOT = Path(__file__).parents[2]
EXPECTED = {
    1: (2, Decimal("20.50"), date(1997, 3, 1), "bronze"),
    2: (9, Decimal("500.00"), date(1997, 3, 2), "platinum"),
    3: (1, Decimal("0.00"), date(1997, 3, 3), "bronze"),
}


def run_demo(*arguments: str, postgres_url: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WCDC_TEST_POSTGRES_URL": postgres_url, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "benchmarks.demo", "--weeks", "4", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.duckdb
@pytest.mark.postgres
def test_the_demo_ends_well(postgres_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    done = run_demo("--folder", str(folder), postgres_url=postgres_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    assert "\nOK: both destinations hold what the model says." in done.stdout
    assert "\x1b" not in done.stdout, "no colours into a pipe"
    lines = done.stdout.splitlines()
    assert max(map(len, lines[:-3])) <= 80  # but for the path of the folder
    for promised in ("CDNOW", "MIT licence", "numeric field overflow", "failed: interrupted"):
        assert promised in done.stdout
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as connection:
        counted = connection.execute(
            "SELECT sync_id, count(*), count(*) FILTER (status = 'failed'), "
            "sum(num_failed_add) > 0, sum(num_failed_change) > 0, sum(num_succeeded_remove) > 0 "
            "FROM hightouch_audit.sync_runs GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    assert counted == [
        ("customers-to-files", 4, 0, False, False, True),
        ("customers-to-postgres", 5, 1, True, True, True),
    ]


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.duckdb
@pytest.mark.postgres
def test_the_demo_notices_a_table_that_was_changed(postgres_url: str) -> None:
    done = run_demo("--tamper", postgres_url=postgres_url)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED: a destination differs from the model." in done.stdout
    assert "PostgreSQL table: missing: customer " in done.stdout
    assert "PostgreSQL table: different: customer " in done.stdout
    assert "\nOK" not in done.stdout


def test_a_folder_with_files_is_refused(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "precious").touch()
    done = run_demo("--folder", str(tmp_path), postgres_url=postgres_url)
    assert done.returncode == 1
    assert "isn't empty" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_the_opening_fits_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Report(Console(highlight=False)).opening(Script(60))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_data_set_is_whole() -> None:
    with duckdb.connect() as connection:
        assert data.load(connection) == (69_659, 23_570)
        found = connection.execute("SELECT min(day), max(day), sum(cds), sum(amount) FROM shop.purchases")
        assert found.fetchone() == (date(1997, 1, 1), data.LAST_DAY, 167_881, Decimal("2500315.63"))


def test_compare_finds_no_difference_where_there_is_none() -> None:
    assert not compare(EXPECTED, dict(EXPECTED)).differing


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("value", [None, 0, Decimal("20.51"), "Bronze", "bronze ", date(1997, 3, 2)])
def test_compare_sees_every_value(at: int, value: object) -> None:
    row = list(EXPECTED[1])
    row[at] = value
    assert compare(EXPECTED, {**EXPECTED, 1: tuple(row)}).different == [1]


def test_compare_sees_missing_and_extra_rows() -> None:
    found = compare(EXPECTED, {1: EXPECTED[1], 3: EXPECTED[3], 4: EXPECTED[2]})
    assert (found.missing, found.extra, found.different) == ([2], [4], [])
    assert found.differing == {2, 4}
    assert compare(EXPECTED, {}).missing == [1, 2, 3]


def write(folder: Path, run: str, **lines: str) -> None:
    for operation in ("removed", "changed", "added"):
        (folder / f"{TO_FILES}_{run}_{operation}.jsonl").write_text(lines.get(operation, ""))


ROW = '{"customer_id":1,"orders":2,"spent":20.50,"last_order":"1997-03-01","tier":"bronze"}\n'


def test_files_are_applied_in_order(tmp_path: Path) -> None:
    write(tmp_path, "01A", added=ROW + ROW.replace('d":1', 'd":2'))
    write(tmp_path, "01B", changed=ROW.replace("20.50", "31"), removed=ROW.replace('d":1', 'd":2'))
    write(tmp_path, "01C", removed=ROW, added=ROW)
    assert file_rows(tmp_path) == {1: EXPECTED[1]}


@pytest.mark.parametrize("operation", ["removed", "changed", "added"])
def test_files_that_contradict_each_other_are_noticed(tmp_path: Path, operation: str) -> None:
    write(tmp_path, "01A", added=ROW)
    write(tmp_path, "01B", **{operation: ROW if operation == "added" else ROW.replace('d":1', 'd":7')})
    with pytest.raises(DemoError, match="doesn't fit"):
        file_rows(tmp_path)
