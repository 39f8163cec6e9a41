"""Every command in this process, on the stand-in engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli import fake_engine
from tests.cli.conftest import project_of
from warehouse_cdc.cli import app


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Calls the command line with these arguments."""
    fake_engine.install(lambda *args: monkeypatch.setattr(*args, raising=False))
    fake_engine.CALLS.clear()
    return lambda *arguments, **options: CliRunner().invoke(app, list(arguments), **options)


def calls(name: str) -> list[dict[str, object]]:
    return [values for called, values in fake_engine.CALLS if called == name]


@pytest.mark.parametrize(
    ("sync", "code"),
    [
        ("good", 0),
        ("rejecting", 3),
        ("failing", 1),
        ("stopped", 1),
        ("guarded", 1),
        ("busy", 1),
        ("bug", 1),
        ("model-error", 2),
        ("config-error", 2),
        ("nothing", 2),
    ],
)
def test_exit_codes(many: Path, call: Callable[..., Result], sync: str, code: int) -> None:
    assert call("run", sync).exit_code == code


@pytest.mark.parametrize(
    ("syncs", "code"),
    [
        (["good", "new"], 0),
        (["good", "rejecting"], 3),
        (["rejecting", "failing", "good"], 1),
        (["rejecting", "model-error"], 2),
        (["model-error", "busy", "rejecting"], 1),
    ],
)
def test_the_worst_of_several_counts(
    many: Path, call: Callable[..., Result], syncs: list[str], code: int
) -> None:
    assert call("run", *syncs).exit_code == code
    assert [each["sync"] for each in calls("run")] == syncs  # an error doesn't keep the next from running


def test_run_all_runs_in_order_until_cancelled(many: Path, call: Callable[..., Result]) -> None:
    result = call("run", "--all")
    assert result.exit_code == 1
    ran = [each["sync"] for each in calls("run")]
    assert ran == ["good", "new", "bad", "rejecting", "failing", "stopped"]
    assert "Not run: model-error, config-error, guarded, busy, bug." in result.stderr


def test_a_sync_runs_once_though_named_twice(many: Path, call: Callable[..., Result]) -> None:
    call("run", "good", "new", "good")
    assert [each["sync"] for each in calls("run")] == ["good", "new"]


def test_which_sync(many: Path, call: Callable[..., Result]) -> None:
    for command in ("run", "plan", "history", "rejections", "compile", "resync", "reset"):
        result = call(command)
        assert result.exit_code == 2
        assert "error[project-sync]: The project has 11 syncs." in result.stderr
        assert "Name one" in result.stderr
    assert call("run", "--all", "good").exit_code == 2
    assert "Did you mean rejecting?" in call("run", "rejectin").stderr


def test_the_only_sync_need_not_be_named(one: Path, call: Callable[..., Result]) -> None:
    for command in ("run", "plan", "history", "rejections", "compile", "check"):
        assert call(command).exit_code == 0, command
    for command in ("resync", "reset"):
        assert call(command, "--yes").exit_code == 0, command
    assert len(calls("connect")) == len(calls("close")) == 7


def test_a_project_without_syncs(folder: Path, call: Callable[..., Result]) -> None:
    (folder / "warehouse_cdc.yaml").write_text(project_of())
    for arguments in (["run"], ["run", "--all"], ["plan"]):
        result = call(*arguments)
        assert (result.exit_code, "has 0 syncs" in result.stderr) == (2, True)
    assert call("check").exit_code == 0  # the source is looked at all the same


def test_run_options_reach_the_engine(one: Path, call: Callable[..., Result]) -> None:
    call("run", "--wait", "7.5", "--allow-removed", "--allow-empty")
    [options] = calls("run")
    options.pop("progress")
    assert options == {"sync": "good", "wait": 7.5, "allow_removed": True, "allow_empty": True}
    call("resync", "-y", "--allow-empty")
    assert calls("full_resync")[0]["allow_empty"] is True
    call("reset", "-y", "--wait", "3")
    assert calls("reset_cdc") == [{"sync": "good", "wait": 3.0, "allow_empty": False}]
    assert call("run", "--wait", "-1").exit_code == 2


def test_run_output(many: Path, call: Callable[..., Result]) -> None:
    result = call("run", "rejecting")
    assert result.stdout.splitlines() == [
        "rejecting: warning in 1.2 s (run 01J0000000000000000000000A)",
        "operation  planned  attempted  succeeded  failed  aborted",
        "added        1,000      1,000        997       3        0",
        "changed          1          1          1       0        0",
        "removed          0          0          0       0        0",
        "  note: columns changed",
        "  4 rows without a primary key were ignored",
        "  'warehouse-cdc rejections rejecting' shows why 3 failed",
    ]
    assert result.stderr.splitlines()[:3] == [
        "rejecting: starting",
        "rejecting: comparing the model with what was delivered",
        "rejecting: sending added: 0 of 1,000, 0 failed",
    ]


def test_run_json(many: Path, call: Callable[..., Result]) -> None:
    result = call("run", "--json", "good", "rejecting", "failing", "config-error", "bug")
    good, rejecting, failing, config, bug = map(json.loads, result.stdout.splitlines())
    assert good["counts"]["added"] == {
        "planned": 1000,
        "attempted": 1000,
        "succeeded": 1000,
        "failed": 0,
        "aborted": 0,
    }
    assert (good["sync_id"], good["status"], good["seconds"], good["error"]) == (
        "good",
        "success",
        1.25,
        None,
    )
    assert (rejecting["status"], rejecting["notes"]) == ("warning", ["columns changed"])
    assert (failing["status"], failing["error"]) == ("failed", "destination unreachable")
    assert (config["status"], config["code"], config["run_id"]) == ("failed", "unknown-field", None)
    assert (bug["error"], bug["code"]) == ("Unexpected KeyError.", "internal")
    assert {"run_id", "sync_id", "status", "error", "counts", "notes", "seconds"} <= set(good)
    assert result.stderr.splitlines()[0] == "error[run-failed]: failing: destination unreachable"


def test_errors_are_one_block_on_stderr(many: Path, call: Callable[..., Result]) -> None:
    result = call("run", "guarded", "--json")
    assert result.stderr.splitlines() == [
        "error[guard-max-removed]: guarded: 80 of 100 rows left",
        "  hint: --allow-removed",
    ]
    result = call("run", "model-error", "--json")
    assert result.stderr.splitlines() == [
        "error[model]: model-error: Only one SELECT is allowed (line 2, column 1)",
        "drop table x",
        "^",
    ]


def test_unexpected_errors_show_no_values(many: Path, call: Callable[..., Result]) -> None:
    result = call("run", "bug")
    assert "error[internal]: bug: Unexpected KeyError." in result.stderr
    assert "secret row value" not in result.output + result.stderr
    assert "Traceback" not in result.stderr
    for arguments in (["-vv", "run", "bug"], ["run", "bug", "-v", "-v"], ["-v", "run", "-v", "bug"]):
        assert "Traceback" in call(*arguments).stderr


def test_confirmation(one: Path, call: Callable[..., Result]) -> None:
    for command, method in (("resync", "full_resync"), ("reset", "reset_cdc")):
        refused = call(command, input="n\n")
        assert (refused.exit_code, calls(method)) == (1, [])
        assert "Nothing was done." in refused.stderr
        assert refused.stdout == ""
        silent = call(command, input="")
        assert (silent.exit_code, calls(method)) == (2, [])
        assert "--yes" in silent.stderr
        assert call(command, input="y\n").exit_code == 0
        assert len(calls(method)) == 1


def test_plan(many: Path, call: Callable[..., Result]) -> None:
    lines = call("plan", "guarded").stdout.splitlines()
    assert lines[:5] == [
        "guarded: a run now would send",
        "  added            1,200",
        "  changed              1",
        "  removed              0",
        "  unchanged            7",
    ]
    assert "  a guard would stop it: 80 of 100 rows left the model" in lines
    assert "  note: columns changed" in lines
    assert lines[-2:] == [
        "added    1       ada@example.com        Ada    1.5",
        "changed  2       tab\\there \\x1b[31mred  Zoë 京  nan",  # nothing that a terminal obeys
    ]
    assert "ada@example.com" not in call("plan", "good", "--rows", "0").stdout
    assert call("plan", "good", "--rows", "1").stdout.splitlines()[-1].startswith("added")


def test_plan_json(many: Path, call: Callable[..., Result]) -> None:
    plan = json.loads(call("plan", "good", "--json").stdout)
    assert plan["counts"] == {"added": 1200, "changed": 1, "removed": 0}
    assert (plan["unchanged"], plan["guards"], plan["notes"]) == (7, [], ["columns changed"])
    assert plan["rows"][1]["email"] == "tab\there \x1b[31mred"
    assert plan["rows"][1]["score"] == "nan"  # JSON has no NaN


def test_history(many: Path, call: Callable[..., Result]) -> None:
    lines = call("history", "good", "--limit", "2").stdout.splitlines()
    assert len(lines) == 3
    assert lines[2].split() == [
        "2024-05-01",
        "12:00:00",
        f"01J{1:023}",
        "succeeded",
        *["1,001/1,001"] * 3,
    ]
    runs = json.loads(call("history", "good", "--json").stdout)
    assert len(runs) == 20
    assert runs[0]["started_at"] == "2024-05-01T12:00:00+00:00"
    assert call("history", "new").stdout == "new has not run yet.\n"
    assert call("history", "new", "--json").stdout == "[]\n"


def test_rejections(many: Path, call: Callable[..., Result]) -> None:
    result = call("rejections", "bad", "--limit", "2")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["row_id", "0", "1"]
    assert "\x1b" not in result.stdout
    assert "1 more" in result.stderr
    found = json.loads(call("rejections", "bad", "--json").stdout)
    assert [each["row_id"] for each in found] == ["0", "1", "2"]
    assert "rejected no rows" in call("rejections", "good").stdout


def test_check(many: Path, call: Callable[..., Result]) -> None:
    result = call("check")
    assert result.exit_code == 1
    assert "bad           model           MISSING  no SELECT on customers" in result.stdout
    assert result.stdout.endswith("To fix:\ngrant select on customers to me\n")
    assert call("check", "good").exit_code == 0
    findings = json.loads(call("check", "bad", "--json").stdout)
    assert [each["ok"] for each in findings] == [True, False]


def test_check_reports_what_can_not_be_reached(
    one: Path, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse_cdc.errors import ConnectionLostError

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionLostError("The server does not answer", hint="Is it up?")

    monkeypatch.setattr("warehouse_cdc.connect", refuse)
    result = call("check")
    assert result.exit_code == 1
    assert "connection-lost" in result.stdout
    assert "Is it up?" in result.stdout


def test_setup(one: Path, call: Callable[..., Result]) -> None:
    result = call("setup", "--principal", "syncer")
    assert result.stdout == "create schema plans;\ngrant usage to syncer;\n"
    assert calls("setup") == []
    result = call("setup", "--apply", "--source", "shop")
    assert (result.exit_code, calls("setup")) == (0, [{"principal": None}])
    assert call("setup", "--source", "x").exit_code == 2


def test_compile(one: Path, call: Callable[..., Result]) -> None:
    result = call("compile")
    assert result.stdout == "select 1 -- good in duckdb;\nselect 2;\n"
    assert calls("compile") == [
        {"dialect": "duckdb", "schema": {}, "planner_schema": "plans", "audit_schema": "hightouch_audit"}
    ]
    assert calls("connect") == []
    (one / "schema.yaml").write_text("people: {id: bigint, on: text}")
    assert call("compile", "--dialect", "postgres", "--schema", "schema.yaml").exit_code == 0
    assert calls("compile")[1]["dialect"] == "postgres"
    assert calls("compile")[1]["schema"] == {"people": {"id": "bigint", "on": "text"}}
    for content in ("[people]", "a: b", "a: [", "\xff"):
        (one / "schema.yaml").write_text(content, encoding="latin-1")
        assert call("compile", "--schema", "schema.yaml").exit_code == 2
    result = call("compile", "good", "--output", "sql/new")
    assert (result.exit_code, result.stdout) == (0, "")
    assert {each.name for each in (one / "sql" / "new").iterdir()} == {"plan.sql", "counts.sql"}
    assert (one / "sql" / "new" / "counts.sql").read_text() == "select 2;\n"


def test_project_option_before_and_after_the_command(one: Path, call: Callable[..., Result]) -> None:
    (one / "elsewhere").mkdir()
    (one / "elsewhere" / "other.yaml").write_text(project_of("other"))
    (one / "null_destination.py").rename(one / "elsewhere" / "null_destination.py")
    assert "other: success" in call("run", "-p", "elsewhere/other.yaml").stdout
    assert "other: success" in call("-p", "elsewhere/other.yaml", "run").stdout
    assert "good: success" in call("-p", "elsewhere/other.yaml", "run", "--project", ".").stdout
    (one / "empty").mkdir()
    result = call("run", "-p", "empty")
    assert (result.exit_code, "error[project-file]: There is no project file" in result.stderr) == (2, True)


def test_project_errors_name_the_line(one: Path, call: Callable[..., Result]) -> None:
    (one / "warehouse_cdc.yaml").write_text(
        project_of("good") + "  bad: {model: peple, destination: nowhere}\n"
    )
    result = call("run")
    assert result.exit_code == 2
    assert result.stderr.startswith("error[unknown-model]: warehouse_cdc.yaml:9:16: syncs.bad.model names")
    assert "hint: Did you mean people?" in result.stderr


def test_init_writes_and_never_overwrites(folder: Path, call: Callable[..., Result]) -> None:
    (folder / "null_destination.py").unlink()
    result = call("init", "shop")
    assert result.exit_code == 0
    assert "cd shop && warehouse-cdc run" in result.stdout
    written = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
    assert written == ["shop/models/customers.sql", "shop/warehouse_cdc.yaml"]
    before = (folder / "shop" / "warehouse_cdc.yaml").read_text()
    result = call("init", "shop")
    assert (result.exit_code, "nothing was written" in result.stderr) == (2, True)
    assert (folder / "shop" / "warehouse_cdc.yaml").read_text() == before
    (folder / "warehouse_cdc.toml").write_text("")
    assert call("init").exit_code == 2
    assert not (folder / "models").exists()


def test_version_and_help(folder: Path, call: Callable[..., Result]) -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout.startswith("warehouse-cdc ")) == (0, True)
    assert "Exit codes: 0 success, 1 failed, 2 wrong usage" in call("--help").stdout
    names = [
        "init",
        "setup",
        "check",
        "compile",
        "plan",
        "run",
        "resync",
        "reset",
        "adopt",
        "history",
        "rejections",
    ]
    for name in names:
        assert f"\n  {name} " in call("--help").stdout
        assert call(name, "-h").exit_code == 0
    assert call("explode").exit_code == 2
    assert call("run", "--explode").exit_code == 2
