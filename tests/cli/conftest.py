"""Fixtures for the project file and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

DESTINATIONS = """
from warehouse_cdc.destinations.base import Capabilities, Destination, Writer

class Null(Destination):
    name = "null"
    capabilities = Capabilities(
        modes=frozenset({"insert", "update", "upsert", "all"}), on_removed=frozenset({"delete"})
    )
    def open(self, context):
        raise NotImplementedError

null = Null()
number = 5
"""

SYNC_IDS = ["good", "new", "bad", "rejecting", "failing", "stopped", "model-error", "config-error"]
SYNC_IDS += ["guarded", "busy", "bug"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with a module of destinations."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "null_destination.py").write_text(DESTINATIONS)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("null_destination", None)
    return tmp_path


def project_of(*sync_ids: str) -> str:
    """A YAML project with syncs of these ids, all alike."""
    syncs = "".join(f"  {each}: {{model: people, destination: nowhere}}\n" for each in sync_ids)
    return f"""\
sources:
  shop: {{url: 'duckdb:///shop.duckdb', planner_schema: plans}}
models:
  people: {{table: people, primary_key: id}}
destinations:
  nowhere: {{type: python, function: 'null_destination:null'}}
syncs:
{syncs}"""


@pytest.fixture
def many(folder: Path) -> Path:
    """A project with one sync for each of the stand-in engine's behaviours."""
    (folder / "warehouse_cdc.yaml").write_text(project_of(*SYNC_IDS))
    return folder


@pytest.fixture
def one(folder: Path) -> Path:
    """A project with one sync."""
    (folder / "warehouse_cdc.yaml").write_text(project_of("good"))
    return folder


@pytest.fixture
def command_line(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line on the stand-in engine in a process of its own."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(HERE / "fake_engine.py"), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            **{"stdin": subprocess.DEVNULL, "env": child_environment(), **options},
        )

    return call


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a child that imports this checkout."""
    path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "120", "TERM": "xterm", **more}
