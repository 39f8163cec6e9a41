"""The command line in a process of its own: pipes, terminals and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import HERE, child_environment

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("sync", "code"), [("good", 0), ("failing", 1), ("config-error", 2), ("rejecting", 3), ("bug", 1)]
)
def test_exit_codes(many: Path, command_line: CommandLine, sync: str, code: int) -> None:
    ended = command_line("run", sync)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


def test_piped_output_is_plain(many: Path, command_line: CommandLine) -> None:
    for arguments in (["run", "rejecting"], ["plan", "good"], ["compile", "good"]):
        ended = command_line(*arguments)
        assert ended.stdout
        assert "\x1b" not in ended.stdout + ended.stderr
        assert not re.search("[━─│┃]", ended.stdout + ended.stderr)


def test_json_has_stdout_for_itself(many: Path, command_line: CommandLine) -> None:
    ended = command_line("run", "--json", "-v", "good", "failing", "bug")
    assert [json.loads(line)["status"] for line in ended.stdout.splitlines()] == [
        "success",
        "failed",
        "failed",
    ]


def test_output_of_other_encodings(many: Path, command_line: CommandLine) -> None:
    environment = child_environment(PYTHONIOENCODING="latin-1:strict", PYTHONUTF8="0")
    ended = command_line("plan", "good", env=environment, encoding="latin-1")
    assert (ended.returncode, "Zoë \\u4eac" in ended.stdout) == (0, True)
    ended = command_line("plan", "good", "--json", env=environment, encoding="latin-1")
    assert json.loads(ended.stdout)["rows"][1]["name"] == "Zoë 京"


def test_no_confirmation_without_a_person(many: Path, command_line: CommandLine) -> None:
    ended = command_line("resync", "good")
    assert ended.returncode == 2
    assert "--yes answers beforehand" in ended.stderr


def test_a_reader_that_leaves(many: Path, folder: Path) -> None:
    script = f"{sys.executable} {HERE / 'fake_engine.py'} history good --limit 20000 | head -n 1"
    ended = subprocess.run(
        ["sh", "-c", script], cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=300
    )
    assert ended.stdout.startswith("started_at")
    assert ended.stderr == ""


def on_terminal(folder: Path, *arguments: str, answer: bytes = b"", **variables: str) -> tuple[int, str]:
    """Runs the command line on a terminal; the exit code and everything that it wrote."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "fake_engine.py"), *arguments],
        cwd=folder,
        env=child_environment(**variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    if answer:
        os.write(ours, answer)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(timeout=300), written.decode()


def test_a_terminal_gets_a_progress_bar(many: Path, folder: Path) -> None:
    code, written = on_terminal(folder, "run", "rejecting", FAKE_PAUSE="0.25")
    assert code == 3
    assert re.search(r"1,000/1,000\S*\s+100 failed\S*\s+[\d,]+/s", written), written
    assert "━" in written  # the bar
    assert "rejecting: starting" not in written  # no plain lines
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert "rejecting: warning in 1.2 s" in plain
    assert re.search(r"│ added\s+│\s+1,000 │", plain)


def test_a_terminal_never_obeys_data(many: Path, folder: Path) -> None:
    _, written = on_terminal(folder, "plan", "good")
    assert "\\x1b[31mred" in written
    _, written = on_terminal(folder, "rejections", "bad")
    assert "\x1b[31m user" not in written


def test_a_terminal_gets_colours(many: Path, folder: Path) -> None:
    for arguments in (["compile", "good"], ["run", "config-error"]):
        _, written = on_terminal(folder, *arguments)
        assert "\x1b[" in written
    code, written = on_terminal(folder, "run", "good", NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[\d*;?3\dm", written)


def test_a_terminal_is_asked(many: Path, folder: Path) -> None:
    code, written = on_terminal(folder, "resync", "good", answer=b"y\n")
    assert (code, "[y/N]" in written) == (0, True)
    code, written = on_terminal(folder, "reset", "good", answer=b"\n")
    assert (code, "Nothing was done." in written) == (1, True)
