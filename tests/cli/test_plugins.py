"""Types of destinations that other packages register: found, used, and harmless if they are broken."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.cli.conftest import child_environment

STORE = """
import os
from pathlib import Path

from warehouse_cdc.destinations import Capabilities, Destination, Writer
from warehouse_cdc.errors import ConfigError


class Store(Destination):
    capabilities = Capabilities(modes=frozenset({"upsert"}))
    name = "acme"

    def __init__(self, file: str | os.PathLike[str], *, token: str, limit: int = 3):
        if limit < 0:
            raise ConfigError("Store: limit is negative.", code="destination-option")
        if limit == 0:
            raise ValueError(token)
        self.file = Path(file)

    def open(self, context):
        return StoreWriter(self.file)


class StoreWriter(Writer):
    def __init__(self, file):
        self.file = file

    def write(self, batch):
        with self.file.open("a") as out:
            out.write("".join(f"{row['id']}\\n" for row in batch.rows))
        return {}


class Half(Destination):
    name = "half"


def function(): ...
"""

Installed = Callable[..., "subprocess.CompletedProcess[str]"]


def install(site: Path, name: str, code: str, **types: str) -> None:
    """What an installer leaves behind of a package with one module."""
    site.mkdir(exist_ok=True)
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    entries = "".join(f"{kind} = {value}\n" for kind, value in types.items())
    (info / "entry_points.txt").write_text(f"[warehouse_cdc.destinations]\n{entries}")


@pytest.fixture
def run(tmp_path: Path) -> Installed:
    """Run a project's sync with the packages of a folder; its destination as YAML."""
    site = tmp_path / "site"
    install(
        site,
        "acme",
        STORE,
        acme="acme:Store",
        half="acme:Half",
        call="acme:function",
        gone="acme:Gone",
        csv="acme:Store",
    )
    install(site, "sick", "raise RuntimeError('s3cr3t')", sick="sick:Store", twice="sick:Store")
    install(site, "needy", "import no_such_module", needy="needy:Store", twice="needy:Store")
    folder = tmp_path / "project"
    folder.mkdir()
    with duckdb.connect(str(folder / "w.duckdb")) as db:
        db.execute("create table t as select range as id from range(3)")

    def run(destination: str, *options: str) -> subprocess.CompletedProcess[str]:
        (folder / "warehouse_cdc.yaml").write_text(
            "sources: {w: {url: 'duckdb:///w.duckdb'}}\n"
            "models: {t: {table: t, primary_key: id}}\n"
            f"destinations:\n  d: {destination}\n"
            "syncs: {s: {model: t, destination: d, mode: upsert}}\n"
        )
        environment = child_environment(TOKEN="s3cr3t")
        environment["PYTHONPATH"] = os.pathsep.join([str(site), environment["PYTHONPATH"]])
        program = [sys.executable, "-c", "from warehouse_cdc.cli import main; main()"]
        return subprocess.run(
            [*program, "run", "s", "-p", "project", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def test_a_project_uses_a_registered_type_and_broken_ones_harm_nobody(run: Installed, tmp_path: Path) -> None:
    ended = run("{type: acme, file: out.txt, token: '${TOKEN}'}")
    assert ended.returncode == 0, ended.stderr
    assert sorted((tmp_path / "project" / "out.txt").read_text().split()) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("destination", "code", "said"),
    [
        ("{type: acmee, file: x, token: x}", "destination-type", "Did you mean acme?"),
        ("{type: other}", "destination-type", "json_rpc, python, acme, call, gone, half, needy, sick, twice"),
        ("{type: sick}", "destination-plugin", "the package sick can't be imported (RuntimeError)"),
        ("{type: needy}", "destination-plugin", "It needs no_such_module; install that"),
        ("{type: twice}", "destination-plugin", "comes from several packages: needy and sick"),
        ("{type: call}", "destination-plugin", "is not a class of destinations: acme:function"),
        ("{type: gone}", "destination-plugin", "can't be imported (AttributeError)"),
        ("{type: half}", "destination-plugin", "acme:Half has no capabilities, open"),
        ("{type: acme, token: x}", "missing-key", "needs 'file'"),
        ("{type: acme, file: x, token: x, limit: many}", "project-type", "limit must be a whole number"),
        ("{type: acme, file: x, token: x, limit: -1}", "destination-option", "limit is negative"),
        ("{type: acme, file: x, token: '${TOKEN}', limit: 0}", "destination-plugin", "(ValueError)"),
        ("{type: csv, file: x, token: x}", "project", "Unknown key 'file'"),
    ],
)
def test_what_is_wrong_is_named_with_its_package(
    run: Installed, destination: str, code: str, said: str
) -> None:
    ended = run(destination)
    assert ended.returncode == 2
    told = " ".join(ended.stderr.split())
    assert f"error[{code}]" in told and said in told
    assert "s3cr3t" not in told and "Traceback" not in told
    if code == "destination-type":
        assert "must be installed in this environment" in told


def test_the_traceback_of_a_broken_package_is_shown_on_request(run: Installed) -> None:
    assert "RuntimeError: s3cr3t" in run("{type: sick}", "-vv").stderr
