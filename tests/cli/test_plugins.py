"""Types of destinations that other packages register: found, used, and harmless if they are broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.cli.conftest import child_environment
from warehouse_cdc.project import ProjectError, load_project

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
def site(tmp_path: Path) -> Path:
    """A folder of installed packages."""
    site = tmp_path / "site"
    types = {"acme": "Store", "half": "Half", "call": "function", "gone": "Gone", "csv": "Store"}
    install(site, "acme", STORE, **{kind: f"acme:{name}" for kind, name in types.items()})
    install(site, "sick", "raise RuntimeError('s3cr3t')", sick="sick:Store", twice="sick:Store")
    install(site, "needy", "import no_such_module", needy="needy:Store", twice="needy:Store")
    return site


def project(folder: Path, destination: str) -> Path:
    file = folder / "warehouse_cdc.yaml"
    file.write_text(
        "sources: {w: {url: 'duckdb:///w.duckdb'}}\n"
        "models: {t: {table: t, primary_key: id}}\n"
        f"destinations:\n  d: {destination}\n"
        "syncs: {s: {model: t, destination: d, mode: upsert}}\n"
    )
    return file


def run(folder: Path, site: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the folder's sync from elsewhere."""
    environment = child_environment(TOKEN="s3cr3t")
    environment["PYTHONPATH"] = os.pathsep.join([str(site), environment["PYTHONPATH"]])
    program = [sys.executable, "-c", "from warehouse_cdc.cli import main; main()"]
    return subprocess.run(
        [*program, "run", "s", "-p", str(folder), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_project_uses_a_registered_type_and_broken_ones_harm_nobody(tmp_path: Path, site: Path) -> None:
    project(tmp_path, "{type: acme, file: out.txt, token: '${TOKEN}'}")
    with duckdb.connect(str(tmp_path / "w.duckdb")) as db:
        db.execute("create table t as select range as id from range(3)")
    ended = run(tmp_path, site)
    assert ended.returncode == 0, ended.stderr
    assert sorted((tmp_path / "out.txt").read_text().split()) == ["0", "1", "2"]


def test_the_traceback_of_a_broken_package_is_shown_on_request(tmp_path: Path, site: Path) -> None:
    project(tmp_path, "{type: sick}")
    assert "RuntimeError" in run(tmp_path, site, "-vv").stderr


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
        ("{type: csv, file: x, token: x}", "unknown-key", "Unknown key 'file'"),
    ],
)
def test_what_is_wrong_is_named_with_its_package(
    tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch, destination: str, code: str, said: str
) -> None:
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    for name in ("acme", "needy", "sick"):  # of another test
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ProjectError) as caught:
        load_project(project(tmp_path, destination), environ={"TOKEN": "s3cr3t"})
    problems = caught.value.problems
    told = " ".join(f"{problem.message} {problem.hint}" for problem in problems)
    assert code in {problem.code for problem in problems} and said in told
    assert "s3cr3t" not in told
    assert ("must be installed in this environment" in told) == (code == "destination-type")
