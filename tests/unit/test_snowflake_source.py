"""How Snowflake is named: fields that go together, URLs, project files; no driver is needed for that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.project import load_project


def test_urls() -> None:
    found = wcdc.sources.source_of(
        "snowflake://syncs:p%40ss@org-acc/SHOP/SALES?warehouse=W&role=R&interactive_warehouse=I"
    )
    assert found == wcdc.sources.Snowflake(
        account="org-acc",
        user="syncs",
        password="p@ss",
        database="SHOP",
        schema="SALES",
        warehouse="W",
        role="R",
        interactive_warehouse="I",
    )
    lake = wcdc.sources.source_of("snowflake-iceberg://u:p@org-acc/D?external_volume=v&base_location=b")
    assert isinstance(lake, wcdc.sources.SnowflakeIceberg)
    assert (lake.external_volume, lake.base_location) == ("v", "b")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "u", "password": "secret", "token": "secret"},
        {"password": "secret"},
        {"user": "u", "private_key_passphrase": "secret", "password": "secret"},
        {"workload_identity": "OIDC"},
        {"user": "u", "password": "secret", "interactive_warehouse": "I"},
        {"user": "u", "password": "secret", "account": "org-acc.snowflakecomputing.com"},
    ],
)
def test_fields_that_do_not_go_together(fields: dict[str, Any]) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        wcdc.sources.Snowflake(**{"account": "org-acc", "database": "D", **fields})
    assert caught.value.code == "source-field" and "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["snowflake://u:secret@/D", "snowflake://u:secret@acc", "snowflake://u:secret@acc/D?nope=1"]
)
def test_urls_that_lead_nowhere(url: str) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        wcdc.connect(url)
    assert caught.value.code == "connect-url" and "secret" not in str(caught.value)


def test_a_project_file_takes_the_same_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setenv("PORT", "8443")
    (tmp_path / "warehouse_cdc.yaml").write_text(
        """
sources:
  plain: {type: snowflake, account: org-acc, database: D, user: u, private_key_file: key.p8, role: R}
  lake: {type: snowflake-iceberg, account: org-acc, database: D, token: "${TOKEN}", port: "${PORT}",
         external_volume: V, base_location: cdc}
models: {}
destinations: {}
syncs: {}
"""
    )
    project = load_project(tmp_path / "warehouse_cdc.yaml")
    assert project.sources["plain"].target == wcdc.sources.Snowflake(
        account="org-acc", database="D", user="u", private_key_file=str(tmp_path / "key.p8"), role="R"
    )
    lake = project.sources["lake"].target
    assert lake == wcdc.sources.SnowflakeIceberg(
        account="org-acc", database="D", token="secret", port=8443, external_volume="V", base_location="cdc"
    )
    assert "secret" not in repr(lake)


def test_what_check_says_of_reading_names_the_role() -> None:
    grant = get_dialect("snowflake").read_grant("syncs")
    assert grant.startswith(
        'GRANT SELECT ON TABLE <each of the model\'s tables> TO ROLE "SYNCS"; GRANT USAGE'
    )
