"""Bad project files: each is refused with the line, and never with a value from the environment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from warehouse_cdc.project import ProjectError, load_project

ENVIRONMENT = {
    "SECRET": "hunter2-hunter2",
    "SHORT": "abc",
    "URL": "mysql://hunter2:p%40ss@hunter2/hunter2?a=hunter2",
    "NUMBER": "many",
}

GOOD = """\
sources:
  shop: {url: 'duckdb:///shop.duckdb'}
models:
  people: {table: people, primary_key: id}
destinations:
  nowhere: {type: python, function: 'null_destination:null'}
syncs:
"""  # 7 lines

GOOD_TOML = """\
sources.shop.url = "duckdb:///shop.duckdb"
models.people = {table = "people", primary_key = "id"}
destinations.nowhere = {type = "python", function = "null_destination:null"}
"""  # 3 lines


def problems_of(folder: Path, text: str | bytes, suffix: str = "yaml") -> list[tuple[int | None, str]]:
    """Each problem's line and its message with its hint."""
    file = folder / f"bad.{suffix}"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProjectError) as caught:
        load_project("bad." + suffix, environ=ENVIRONMENT)
    error = caught.value
    for secret in ("hunter2", "p%40ss", "p@ss"):
        assert secret not in str(error) + repr(error) + repr(error.problems)
    for problem in error.problems:
        assert problem.line is None or f"bad.{suffix}:{problem.line}" in str(error)
    return [(problem.line, f"{problem.message} {problem.hint}".strip()) for problem in error.problems]


SYNTAX = [
    ("sources:\n  a: [1, 2\nmodels: {}", 3, "can't be parsed"),
    ("sources:\n\turl: x", 2, "tabs"),
    ("sources:\n  a: b: c", 2, "mapping values are not allowed"),
    ("sources: *nothing", 1, "undefined alias"),
    ("sources: {}\n---\nmodels: {}", 2, "a second one starts"),
    ("- sources\n- models", 1, "must hold a mapping"),
    ("sources:\n  a: {url: ${SECRET}}", 2, "Quote text with ${...} inside of { }"),
    ("just text", 1, "must hold a mapping"),
    ("sources: {}\nmodels: {}\nsources: {}", 3, "sources is given twice (first on line 1)"),
    ("sources:\n  a: &a\n    b: *a", 2, "refers to the value that it is in"),
    ("sources:\n  ? [a, b]\n  : c", 2, "A key must be text"),
    ("sources:\n  a: !!python/name:os.system x", 2, "Tags are not supported"),
    ("sources:\n  a: !env SECRET", 2, "Tags are not supported"),
    ("sources:\n  a: !!int x", 2, "not of the type that its tag names"),
    ("sources:\n  a: {<<: text}", 2, "merge key"),
    ("sources:\n  a: '\x00'", 2, "control character"),
    (b"sources:\n  a: \xff\xfe", 2, "not UTF-8"),
]


@pytest.mark.parametrize(("text", "line", "message"), SYNTAX)
def test_yaml_syntax(folder: Path, text: str | bytes, line: int, message: str) -> None:
    [(found, shown)] = problems_of(folder, text)
    assert (found, message in shown) == (line, True), shown


def test_aliases_that_multiply(folder: Path) -> None:
    lines = ["sources:", "  a0: &a0 {x: 1, y: 2}"]
    lines += [f"  a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40)]
    [(_, shown)] = problems_of(folder, "\n".join(lines))
    assert "too many values" in shown


def test_nested_too_deeply(folder: Path) -> None:
    for suffix, text in (("yaml", "sources: " + "[" * 5000), ("toml", "sources = " + "[" * 5000)):
        [(_, shown)] = problems_of(folder, text, suffix)
        assert "nested too deeply" in shown or "can't be parsed" in shown


SYNTAX_TOML = [
    ("[sources]\nurl = ", 2, "can't be parsed"),
    ("[sources]\na = 1\nb = 2\na = 3", 4, "given twice"),
    ("[sources.a]\nx = 1\n[sources.b]\n[sources.a]", 4, "given twice"),
    ("sources = {a = 1, a = 2}", 1, "given twice"),
    ('[sources]\nurl = "unclosed', 2, "can't be parsed"),
    ("sources:\n  a: 1", 1, "can't be parsed"),
    ("[sources]\nurl = '''never\nclosed", 3, "can't be parsed"),
]


@pytest.mark.parametrize(("text", "line", "message"), SYNTAX_TOML)
def test_toml_syntax(folder: Path, text: str, line: int, message: str) -> None:
    [(found, shown)] = problems_of(folder, text, "toml")
    assert (found, message in shown) == (line, True), shown


SYNCS = [
    # the lines after GOOD, the line of the problem, what it says
    ("  a:\n    model: people\n    destination: nowhere\n    mdoe: insert\n", 11, "Did you mean mode?"),
    (
        "  a:\n    model: people\n    destination: nowhere\n    on-removed: delete\n",
        11,
        "Did you mean on_removed?",
    ),
    ("  a:\n    destination: nowhere\n", 8, "syncs.a needs 'model'"),
    ("  a:\n    model: peple\n    destination: nowhere\n", 9, "Did you mean people?"),
    ("  a:\n    model: people\n    destination: somewhere\n", 10, "Did you mean nowhere?"),
    ("  a:\n    model: ${SECRET}\n    destination: nowhere\n", 9, "names an unknown model."),
    ("  a:\n    model: [people]\n    destination: nowhere\n", 9, "must be text"),
    ("  a:\n    model: people\n    destination: nowhere\n    mode: upsrt\n", 11, "'upsrt' is unknown"),
    (
        "  a:\n    model: people\n    destination: nowhere\n    mode: ${SECRET}\n",
        11,
        "'${SECRET}' is unknown",
    ),
    (
        "  a:\n    model: people\n    destination: nowhere\n    mode: x${SHORT}\n",
        11,
        "'x${SHORT}' is unknown",
    ),
    ("  a:\n    model: people\n    destination: nowhere\n    mode: diff\n", 11, "It supports all, insert"),
    ("  a:\n    model: people\n    destination: nowhere\n    mode:\n", 11, "mode must be text"),
    ("  a:\n    on_removed: clear\n    model: people\n    destination: nowhere\n", 9, "on_removed='clear'"),
    ("  a:\n    max_attempts: 0\n    model: people\n    destination: nowhere\n", 9, "of at least 1"),
    (
        "  a:\n    max_attempts: 5.5\n    model: people\n    destination: nowhere\n",
        9,
        "must be a whole number",
    ),
    (
        "  a:\n    max_attempts: 1_000\n    model: people\n    destination: nowhere\n",
        9,
        "must be a whole number",
    ),
    (
        "  a:\n    max_attempts: ${NUMBER}\n    model: people\n    destination: nowhere\n",
        9,
        "must be a whole number",
    ),
    (
        "  a:\n    changelog: yes\n    model: people\n    destination: nowhere\n",
        9,
        "must be true or false or null",
    ),
    ("  a:\n    max_removed: half\n    model: people\n    destination: nowhere\n", 9, "a number or null"),
    ("  a:\n    max_removed: 1.5\n    model: people\n    destination: nowhere\n", 9, "a share of the state"),
    (
        "  a:\n    mappings: [id, email]\n    model: people\n    destination: nowhere\n",
        9,
        "a mapping of names to text",
    ),
    (
        "  a:\n    mappings: {id: 1}\n    model: people\n    destination: nowhere\n",
        9,
        "a mapping of names to text",
    ),
    (
        "  a:\n    match:\n      id: x\n      email: x\n    model: people\n    destination: nowhere\n",
        10,
        "twice",
    ),
    ("  a: people to nowhere\n", 8, "syncs.a must be a mapping"),
    ("  a:\n", 8, "syncs.a must be a mapping"),
    ("  ? ''\n  : {model: people, destination: nowhere}\n", 8, "needs an id"),
    (
        "  a: {model: people, destination: nowhere}\n  a: {model: people, destination: nowhere}\n",
        9,
        "given twice",
    ),
    ("  a:\n    model: people\n    destination: nowhere\n    mode: ${SECRETS}\n", 11, "SECRETS is not set"),
    (
        "  a:\n    model: people\n    destination: nowhere\n    mode: ${SECRET\n",
        11,
        "A reference is malformed",
    ),
    ("  a:\n    model: people\n    destination: nowhere\n    mode: ${1}\n", 11, "$$ for a dollar sign"),
]


@pytest.mark.parametrize(("text", "line", "message"), SYNCS)
def test_syncs(folder: Path, text: str, line: int, message: str) -> None:
    [(found, shown)] = problems_of(folder, GOOD + text)
    shown = re.sub(r" \(.*? of .*?\)", "", shown)
    assert (found, message in shown) == (line, True), shown


REST = [
    ("sourcse: {}", 1, "Did you mean sources?"),
    ("on: {}", 1, "Unknown section 'on'"),
    ("sources: []", 1, "sources must be a mapping"),
    ("sources:\n  a:\n    planner_schema: x", 2, "sources.a needs 'url'"),
    ("sources:\n  a:\n    url: shop.duckdb", 3, "That isn't a connection URL"),
    ("sources:\n  a:\n    url: ${SECRET}", 3, "That isn't a connection URL"),
    ("sources:\n  a:\n    url: duckdb://\n    password: hunter2", 4, "Unknown key 'password'"),
    ("sources:\n  a:\n    url: duckdb://\n    retention_days: 0", 4, "at least 1"),
    ("sources:\n  a:\n    url: duckdb://\n    audit_schema: ''", 4, "audit_schema is empty"),
    ("sources:\n  a:\n    url: duckdb://\n    audit_schema: 2024", 4, "must be text"),
    ("models:\n  a: {table: t, primary_key: id}", 2, "models.a needs 'source'"),
    ("models:\n  a:\n    source: x\n    table: t\n    primary_key: id", 3, "Declare it under sources"),
    ("sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    table: t", 3, "models.a needs 'primary_key'"),
    (
        "sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    table: t\n    primary_key: 5",
        5,
        "text or a list of text",
    ),
    (
        "sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    table: t\n    primary_key: []",
        5,
        "needs a primary key",
    ),
    (
        "sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    primary_key: id",
        3,
        "exactly one of sql, table and file",
    ),
    (
        "sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    primary_key: id\n    file: none.sql",
        5,
        "can't be read",
    ),
    ("sources: {x: {url: 'duckdb://'}}\nmodels:\n  a:\n    primary_key: id\n    sql: ''", 5, "empty sql"),
    (
        "sources: {x: {url: 'duckdb://'}}\nmodels:\n"
        "  a:\n    sql: |\n      x\n      ${NO}\n    primary_key: id",
        6,
        "NO is",
    ),
    ("destinations:\n  a: {directory: out}", 2, "type must be one of sql_table, jsonl"),
    ("destinations:\n  a:\n    type: json", 3, "Did you mean jsonl?"),
    ("destinations:\n  a:\n    type: ${SECRET}", 3, "unknown type."),
    ("destinations:\n  a:\n    type: 5", 3, "must be one of"),
    ("destinations:\n  a:\n    type: jsonl", 2, "needs 'directory'"),
    (
        "destinations:\n  a:\n    type: jsonl\n    directory: out\n    skip_emtpy: true",
        5,
        "Did you mean skip_empty?",
    ),
    ("destinations:\n  a:\n    type: jsonl\n    directory: [out]", 4, "must be text or a path"),
    ("destinations:\n  a:\n    type: jsonl\n    directory: out\n    skip_empty: yes", 5, "true or false"),
    ("destinations:\n  a:\n    type: jsonl\n    name: ../x\n    directory: out", 4, "'../x' must be"),
    ("destinations:\n  a:\n    type: csv\n    directory: out\n    delimiter: ':'", 5, "delimiter ':'"),
    ("destinations:\n  a:\n    type: csv\n    directory: out\n    delimiter: ${SHORT}", 5, "'${SHORT}'"),
    ("destinations:\n  a:\n    type: sql_table\n    table: t", 2, "needs 'url'"),
    ("destinations:\n  a:\n    type: sql_table\n    table: t\n    url: ${URL}", 5, ""),
    ("destinations:\n  a:\n    type: sql_table\n    url: duckdb:///x\n    table: 5", 5, "must be text"),
    ("destinations:\n  a:\n    type: sql_table\n    url: duckdb:///x\n    table: a.b.c.d.e", 5, ""),
    ("destinations:\n  a:\n    type: python", 2, "needs 'function'"),
    ("destinations:\n  a:\n    type: python\n    function: send", 4, "package.module:name"),
    ("destinations:\n  a:\n    type: python\n    function: null_destination:send", 4, "has no 'send'"),
    (
        "destinations:\n  a:\n    type: python\n    function: nul_destination:null",
        4,
        "nul_destination was not found",
    ),
    ("destinations:\n  a:\n    type: python\n    function: null_destination:number", 4, "a callable"),
    ("destinations:\n  a:\n    type: python\n    function: null_destination:Null", 4, "is a class"),
    (
        "destinations:\n  a:\n    type: python\n    function: failing_destination:x",
        4,
        "fails when it is imported",
    ),
    ("destinations:\n  a:\n    type: python\n    function: importing_destination:x", 4, "imports it"),
    (
        "destinations:\n  a:\n    type: python\n    function: null_destination:null\n    batch: 5",
        5,
        "Unknown key",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), REST)
def test_other_sections(folder: Path, text: str, line: int, message: str) -> None:
    (folder / "failing_destination.py").write_text("raise KeyError('hunter2')")
    (folder / "importing_destination.py").write_text("import no_such_package_anywhere")
    [(found, shown)] = problems_of(folder, text)
    assert (found, message in shown) == (line, True), shown


TOML = [
    ('[syncs.a]\nmodel = "people"\ndestination = "nowhere"\nmdoe = "insert"', 7, "Did you mean mode?"),
    ('[syncs.a]\nmodel = "people"\n# comment = 1\ndestination = "x]y"', 7, "unknown destination 'x]y'"),
    ('[syncs]\na = {model = "people", destination = "nowhere",\n  mode = "x"}', None, ""),
    ('syncs.a.model = "people"\nsyncs.a.destination = "nowhere"\nsyncs.a.mode = "x"', 6, "mode 'x'"),
    ('[syncs."a.b"]\nmodel = "people"\ndestination = "nowhere"\nmode = "${NO}"', 7, "NO is not set"),
    ('[[syncs]]\nmodel = "people"', 4, "syncs must be a mapping"),
    ('[syncs.a]\nmodel = "people"\ndestination = "nowhere"\nmax_removed = 2024-01-01', 7, "a number or null"),
    ('[syncs.a]\nmodel = "people"\n\n[syncs.a.mappings]\nid = "id"', 4, "syncs.a needs 'destination'"),
    ('[models.b]\nprimary_key = "id"\nsql = """\nselect 1\n  = [ # ${NO}\n"""', 8, "NO is not set"),
    (
        '[syncs.a]\nmodel = "people"\ndestination = "nowhere"\n[syncs.a.mappings]\nid = 5',
        7,
        "mapping of names",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), TOML)
def test_toml(folder: Path, text: str, line: int | None, message: str) -> None:
    [(found, shown)] = problems_of(folder, GOOD_TOML + text, "toml")
    if line is not None:  # whether an inline table may span lines depends on the parser's version
        assert (found, message in shown) == (line, True), shown


def test_all_problems_are_reported_together(folder: Path) -> None:
    text = """\
sources:
  shop: {url: x, retention: 5}
models:
  people: {source: shop, table: t, primary_key: id}
  peoples: {source: shopp, table: t, primary_key: id}
destinations:
  nowhere: {type: jsonn}
syncs:
  a: {model: people, destination: nowhere}
  b: {model: peple, destination: nowhere, mode: [x], mode: y}
  c: {model: "${NO}", destination: nowhere}
"""
    found = problems_of(folder, text)
    assert [line for line, _ in found] == [2, 5, 7, 10, 10, 11]
    assert [shown.split("Did you mean ")[1].split()[0] for line, shown in found if "Did" in shown] == [
        "retention_days?",
        "shop?",
        "jsonl?",
    ]


def test_one_problem_is_one_line_with_a_column(folder: Path) -> None:
    (folder / "bad.yaml").write_text(GOOD + "  a: {model: people, destination: nowhere, mode: upsrt}\n")
    with pytest.raises(ProjectError) as caught:
        load_project("bad.yaml")
    first, hint = str(caught.value).splitlines()
    assert first == "bad.yaml:8:50: Sync 'a': mode 'upsrt' is unknown."
    assert hint.startswith("  hint: One of insert, update")
    assert caught.value.code == "sync-mode"


def test_a_failing_import_is_chained(folder: Path) -> None:
    (folder / "failing_destination.py").write_text("raise KeyError('x')")
    (folder / "bad.yaml").write_text("destinations: {a: {type: python, function: 'failing_destination:x'}}")
    with pytest.raises(ProjectError) as caught:
        load_project("bad.yaml")
    assert isinstance(caught.value.__cause__, KeyError)
