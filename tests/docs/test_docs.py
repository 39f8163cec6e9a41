"""What the documentation shows works: its Python runs, its projects load, its names exist."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

import warehouse_cdc as wcdc
from tests.docs.codes import error_codes
from tests.docs.pages import ROOT, Block, blocks, cited_tests, pages
from warehouse_cdc.cli import app
from warehouse_cdc.dialects import DIALECTS, get_dialect
from warehouse_cdc.dialects.capabilities import DialectCapabilities
from warehouse_cdc.project import load_project
from warehouse_cdc.sources import SOURCES, Source
from warehouse_cdc.sync import MODES
from warehouse_cdc.typed import fields_of

ERRORS = ROOT / "docs" / "errors"
SHELL_PAGES = (ROOT / "README.md", ROOT / "docs" / "tutorial.md")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def pages_with(language: str) -> list[Path]:
    return [page for page in pages() if any(block.runs for block in blocks(page, language))]


@pytest.mark.duckdb
@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    """A page's blocks, pasted one after the other into one fresh interpreter in an empty folder."""
    script = tmp_path / "page.py"
    script.write_text(_script([block for block in blocks(page, "python") if block.runs]), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, f"{page}\n{ended.stdout}{ended.stderr}"


@pytest.mark.crash
def test_the_destination_that_is_shown_passes_the_suite(tmp_path: Path) -> None:
    """As its page says: by pytest, in a module of its own."""
    page = ROOT / "docs" / "destinations" / "writing-your-own.md"
    (tmp_path / "test_shelf.py").write_text(_script(blocks(page, "python")), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shelf.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed and int(passed[1]) >= 10, ended.stdout


def _script(parts: list[Block]) -> str:
    return "\n".join(f"# {name_of(block.page)}:{block.line}\n{block.text}" for block in parts)


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, "python")], ids=name_of)
def test_python_that_is_not_run_parses(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(block.text, f"{name_of(page)}:{block.line}")


@pytest.mark.duckdb
@pytest.mark.parametrize("page", SHELL_PAGES, ids=name_of)
def test_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ``warehouse-cdc`` lines of the page's shell blocks, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    lines = [
        line.removeprefix("$ ")
        for block in blocks(page, "console")
        if block.runs
        for line in block.text.splitlines()
        if line.startswith(("$ warehouse-cdc", "$ cd "))
    ]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        if program == "cd":
            monkeypatch.chdir(arguments[0])
            continue
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}\n{result.output}"


@pytest.mark.duckdb
def test_audit_queries_run() -> None:
    """The queries that docs/audit.md shows, after a run with a rejected row."""
    with duckdb.connect() as connection, wcdc.connect(connection) as warehouse:
        connection.execute("create table customers as select range as id, 'a' as email from range(3)")
        model = wcdc.Model("customers", table="customers", primary_key="id")
        sync = wcdc.Sync(id="customers-to-crm", model=model, destination=lambda batch: {"1": "no"})
        assert warehouse.run(sync).status == "warning"
        queries = blocks(ROOT / "docs" / "audit.md", "sql")
        found = [connection.sql(query.text).to_arrow_table().num_rows for query in queries]
    assert found == [1, 0, 1, 2, 0]


PROJECTS = [block for page in pages() for block in blocks(page, "yaml") + blocks(page, "toml") if block.runs]


@pytest.mark.parametrize("block", PROJECTS, ids=lambda block: f"{name_of(block.page)}:{block.line}")
def test_projects_load(block: Block, tmp_path: Path) -> None:
    """Each project file that is shown declares what it says."""
    file = tmp_path / f"warehouse_cdc.{block.language}"
    file.write_text(block.text, encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "customers.sql").write_text("select 1 as id")
    (tmp_path / "shop_destinations.py").write_text("def send(batch): ...")
    names = dict.fromkeys(re.findall(r"\$\{(\w+)", block.text), "postgresql://user:secret@localhost/shop")
    loaded = load_project(file, environ=names)
    assert loaded.syncs or loaded.sources


def test_every_error_code_has_a_page() -> None:
    shown = {page.stem for page in ERRORS.glob("*.md")} - {"index"}
    assert error_codes() - shown == set(), "codes without a page under docs/errors"
    assert shown - error_codes() == set(), "pages of codes that no error has"


def test_every_error_page_is_in_the_index() -> None:
    index = (ERRORS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[`[\w-]+`\]\(([\w-]+)\.md\) \|", index, re.MULTILINE)
    assert sorted(listed) == sorted({page.stem for page in ERRORS.glob("*.md")} - {"index"})


@pytest.mark.parametrize(
    "page", sorted(set(ERRORS.glob("*.md")) - {ERRORS / "index.md"}), ids=lambda page: page.stem
)
def test_error_pages_tell_cause_and_cure(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert text.count("**Cause.**") == text.count("**Cure.**") == 1


def test_cited_tests_exist() -> None:
    cited = list(cited_tests())
    assert cited
    defined: dict[str, str] = {}
    for page, file, function in cited:
        if file not in defined:
            path = ROOT / file
            assert path.is_file(), f"{name_of(page)} cites {file}"
            defined[file] = path.read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", defined[file], re.MULTILINE), (
            f"{name_of(page)} cites {file}::{function}"
        )


def test_capabilities_table_is_what_the_dialects_declare() -> None:
    """docs/warehouses/index.md has a row per dialect and a column per declared capability."""
    text = (ROOT / "docs" / "warehouses" / "index.md").read_text(encoding="utf-8")
    table = text[text.index("| warehouse | `snapshots` |") :].split("\n\n")[0]
    head, _rule, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()
    ]
    names = {title: title.lower().replace(" ", "_").replace("postgresql", "postgres") for title, *_ in rows}
    assert set(names.values()) == set(DIALECTS)
    assert {cell.strip("`") for cell in head[1:]} == {field.name for field in fields(DialectCapabilities)}
    for title, *shown in rows:
        declared = get_dialect(names[title]).capabilities
        flags = [getattr(declared, cell.strip("`")) for cell in head[1:]]
        assert shown == ["yes" if flag else "no" for flag in flags], title
        assert f"- `{head[1].strip('`')}`: " in text


@pytest.mark.parametrize("kind", dict.fromkeys(SOURCES.values()), ids=lambda kind: kind.__name__)
def test_every_option_of_a_source_is_on_its_page(kind: type[Source]) -> None:
    """In a table there, or in that of a page whose options it links to; so are set-up, costs and tests."""
    folder = ROOT / "docs" / "warehouses"
    text = (folder / f"{str(kind.dialect).replace('_', '-')}.md").read_text(encoding="utf-8")
    for title in ("(Setup|Grants)", "What a run costs", "(Tested|What was tested)"):
        assert re.search(rf"^## {title}$", text, re.MULTILINE), title
    for linked in re.findall(r"\]\(([\w-]+\.md)#(?:options|connection)\)", text):
        text += (folder / linked).read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE))))
    assert set(fields_of(kind)) - named == set()


def test_modes_are_those_of_the_code() -> None:
    """docs/concepts.md has a row for each mode."""
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    section = text.split("\n## Modes\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(MODES)


def test_the_public_names_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in re.findall(r"\bwcdc\.(\w+)", text):
        assert hasattr(wcdc, name), name
