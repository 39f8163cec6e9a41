"""Templates: which exist for which dialect, and what they may contain."""

from __future__ import annotations

import re
from importlib.resources import files

import jinja2
import pytest

from warehouse_cdc.compile.templates import candidates, render
from warehouse_cdc.dialects import DIALECTS, get_dialect

FOLDER = files("warehouse_cdc") / "sql_templates"

TABLE: dict[str, list[str]] = {
    "changelog": ["default"],
    "changelog_table": ["athena", "bigquery", "default", "snowflake_iceberg"],
    "counts": ["default"],
    "create_table_as": [
        "athena",
        "bigquery",
        "databricks",
        "default",
        "redshift",
        "snowflake",
        "spark",
        "synapse",
    ],
    "delivered": ["default"],
    "differences": ["bigquery", "default", "redshift", "snowflake", "tsql"],
    "duplicates": ["default"],
    "held": ["default"],
    "journal_table": ["default"],
    "keys": ["default"],
    "leases_table": ["default", "duckdb"],
    "macros": ["athena", "audit", "model", "state"],
    "plan": ["default"],
    "read": ["default"],
    "plain_table": ["athena", "default", "snowflake_iceberg"],
    "resolve": ["default"],
    "snapshot_delete": ["bigquery", "default", "redshift", "snowflake", "spark", "tsql"],
    "snapshot_insert": ["default"],
    "snapshot_settle": ["bigquery", "default", "snowflake", "spark", "tsql"],
    "snapshot_table": ["athena", "bigquery", "default", "snowflake_iceberg"],
    "summary": ["default", "tsql"],
    "sync_runs_table": ["athena", "default", "snowflake_iceberg"],
    "touched": ["default"],
}
"""Statement to its templates: ``default``, and the dialects that differ; and the macros."""


def existing() -> dict[str, list[str]]:
    return {
        folder.name: sorted(entry.name.removesuffix(".sql.j2") for entry in folder.iterdir())
        for folder in FOLDER.iterdir()
        if folder.is_dir()
    }


def test_the_table_of_statements_and_dialects() -> None:
    assert existing() == TABLE


def test_every_template_is_a_default_a_dialect_or_a_macro() -> None:
    known = {parent for name in DIALECTS for parent in get_dialect(name).lineage}
    for statement, names in existing().items():
        if statement != "macros":
            assert "default" in names and set(names) <= known


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_the_lookup_goes_from_the_dialect_to_the_default(name: str) -> None:
    found = candidates("plan", get_dialect(name))
    assert found[0] == f"plan/{name}.sql.j2" and found[-1] == "plan/default.sql.j2"
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_an_undefined_name_is_an_error(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("create_table_as", get_dialect(name), table='"t"')
    with pytest.raises(jinja2.TemplatesNotFound):
        render("no_such_statement", get_dialect(name))


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_what_a_template_receives_is_not_a_template(name: str) -> None:
    select = "SELECT '{{ 7 * 7 }}{% raw %}<&>' AS x"
    how = {"kind": "", "key": "", "order": ""}
    assert select in render("create_table_as", get_dialect(name), table='"t"', select=select, **how)


def test_templates_ask_capabilities_never_names() -> None:
    for statement, names in existing().items():
        for name in names:
            text = (FOLDER / statement / f"{name}.sql.j2").read_text(encoding="utf-8")
            assert not re.search(
                r"\bd\.name|" + "|".join(f"['\"]{dialect}['\"]" for dialect in DIALECTS), text
            )


def test_the_state_is_read_through_one_macro() -> None:
    readers = [
        statement
        for statement, names in existing().items()
        for name in names
        if ".rejections_table" in (FOLDER / statement / f"{name}.sql.j2").read_text(encoding="utf-8")
    ]
    assert readers == ["macros"]
