"""The archives hold what they should, and each form of the package works away from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_SUFFIXES = {".py", ".j2", ".typed"}

pytestmark = pytest.mark.xdist_group("packaging")  # one worker, so that the archives are built once


def run(*command: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files_under(folder: Path, prefix: str) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in SHIPPED_SUFFIXES:
            yield f"{prefix}/{path.relative_to(folder).as_posix()}"


def source_files() -> set[str]:
    """What the package consists of, by its path inside the wheel."""
    links = ("warehouse_cdc/dialects/", "warehouse_cdc/sql_templates/")
    package = {n for n in files_under(ROOT / "warehouse_cdc", "warehouse_cdc") if not n.startswith(links)}
    dialects = files_under(ROOT / "dialects", "warehouse_cdc/dialects")
    templates = files_under(ROOT / "sql_templates", "warehouse_cdc/sql_templates")
    return package | set(dialects) | set(templates)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source archive of the repository, and a wheel built from that archive alone."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def sdist_names(dist: Path) -> set[str]:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        return {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in tar.getnames()}


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (archive,) = dist.glob("*.whl")
    return archive


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The form, and the interpreter of a fresh environment with the package and our dependencies."""
    home = tmp_path_factory.mktemp(request.param) / "env"
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # A folder named in a .pth file is searched, but not the .pth files in it: ours leads to the repository.
    here = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (site / "dependencies.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    # Our own install of the package is seen as well: hence --ignore-installed.
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed")
    what = ("--editable", ROOT) if request.param == "editable" else (request.getfixturevalue("wheel"),)
    run(python, *pip, *what, cwd=home)
    return request.param, python


def test_wheel_has_one_top_level_package(wheel_names: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel_names}
    (info,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {"warehouse_cdc", info}
    assert f"{info}/licenses/LICENSE" in wheel_names


def test_wheel_has_every_file_of_the_package_once(wheel_names: list[str]) -> None:
    shipped = [n for n in wheel_names if not n.split("/")[0].endswith(".dist-info")]
    assert len(shipped) == len(set(shipped))
    assert {n for n in shipped if PurePosixPath(n).suffix in SHIPPED_SUFFIXES} == source_files()
    assert {"warehouse_cdc/__init__.py", "warehouse_cdc/py.typed"} <= set(shipped)
    assert "warehouse_cdc/dialects/__init__.py" in shipped
    assert any(n.startswith("warehouse_cdc/sql_templates/") for n in shipped)


def test_sdist_has_the_sources_where_they_are(sdist_names: set[str]) -> None:
    assert {"pyproject.toml", "README.md", "LICENSE", "dialects/__init__.py"} <= sdist_names
    assert not [
        n for n in sdist_names if n.startswith(("warehouse_cdc/dialects", "warehouse_cdc/sql_templates"))
    ]
    assert not [n for n in sdist_names if "__pycache__" in n or n.startswith((".venv/", ".git/"))]


PROBE = """
import importlib.resources, importlib.util, json
import jinja2, warehouse_cdc, warehouse_cdc.dialects

def walk(node, prefix=""):
    for child in node.iterdir():
        if child.is_dir():
            yield from walk(child, f"{prefix}{child.name}/")
        else:
            yield f"{prefix}{child.name}", child.read_text(encoding="utf-8")

try:
    import dialects
except ImportError as error:
    refused = str(error)
else:
    refused = ""
print(json.dumps({
    "package": warehouse_cdc.__file__,
    "dialects": warehouse_cdc.dialects.__file__,
    "templates": dict(walk(importlib.resources.files("warehouse_cdc") / "sql_templates")),
    "jinja": jinja2.PackageLoader("warehouse_cdc", "sql_templates").list_templates(),
    "refused": refused,
}))
"""


def test_installed_package_works_away_from_the_repository(
    installed: tuple[str, Path], tmp_path: Path
) -> None:
    form, python = installed
    found = json.loads(run(python, "-I", "-c", PROBE, cwd=tmp_path))

    home = ROOT if form == "editable" else python.parents[1]
    assert Path(found["package"]).is_relative_to(home)
    assert Path(found["dialects"]) == Path(found["package"]).parent / "dialects" / "__init__.py"
    templates = {
        path.relative_to(ROOT / "sql_templates").as_posix(): path.read_text(encoding="utf-8")
        for path in (ROOT / "sql_templates").rglob("*")
        if path.is_file()
    }
    assert templates and found["templates"] == templates
    assert set(found["jinja"]) == set(templates)
    if form == "editable":
        assert "warehouse_cdc.dialects" in found["refused"]
    else:
        assert found["refused"] == "No module named 'dialects'"


def test_dialects_are_refused_under_their_folder_name(tmp_path: Path) -> None:
    script = "try:\n import dialects\nexcept ImportError as error:\n print(error)"
    assert "warehouse_cdc.dialects" in run(sys.executable, "-c", script, cwd=ROOT)


def test_links_are_relative_and_stay_in_the_repository() -> None:
    for name in ("dialects", "sql_templates"):
        assert os.readlink(ROOT / "warehouse_cdc" / name) == f"../{name}"
