"""How warehouses are reached: from URLs, fields and project files, without any secret in sight."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.project import ProjectError, load_project
from warehouse_cdc.sources import SOURCES, Source, source_of
from warehouse_cdc.typed import fields_of

SECRETS = ("password", "token", "secret", "passphrase", "private_key", "conninfo", "connection_string")
KINDS = sorted(set(SOURCES.values()), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_shown(kind: type[Source]) -> None:
    for each in fields(kind):
        if any(word in each.name for word in SECRETS) and not each.name.endswith("_file"):
            assert not each.repr, each.name


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_a_url_of_its_kind(kind: type[Source]) -> None:
    found = source_of(kind.example)
    assert type(found) is kind
    assert "password" not in repr(found)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_type_that_can_be_checked_and_is_described(kind: type[Source]) -> None:
    described = "".join(each.__doc__ or "" for each in kind.__mro__ if issubclass(each, Source))
    for name, field in fields_of(kind).items():
        assert field.hint is not object and str(field.hint) != "typing.Any", name
        assert f"{name}:" in described, name


def test_parts_of_a_url_are_decoded_and_converted() -> None:
    assert source_of("trino://a%40b:p%2Fw@host:8080/lake/sales%20eu?http_scheme=http") == wcdc.sources.Trino(
        host="host",
        port=8080,
        user="a@b",
        password="p/w",
        catalog="lake",
        schema="sales eu",
        http_scheme="http",
    )


def test_a_project_file_takes_the_same_fields(tmp_path: Path) -> None:
    (tmp_path / "warehouse_cdc.yaml").write_text(
        "sources:\n"
        "  lake: {type: trino, host: h, port: '${PORT}', user: u, catalog: c, verify: ca.pem, skip: false}\n"
        "  shop: {type: postgresql, database: shop, password: '${WORD}', parameters: {sslmode: require}}\n"
        "  own: {url: 'mysql+pymysql://u:${WORD}@h/d', state: state.duckdb}\n"
        "  file: {type: duckdb, file: shop.duckdb, config: {threads: '1'}}\n"
    )
    project = load_project(tmp_path, environ={"PORT": "8443", "WORD": "hunter2"})
    lake, shop, file = (project.source(name).target for name in ("lake", "shop", "file"))
    ca = str(tmp_path / "ca.pem")
    assert lake == wcdc.sources.Trino(host="h", port=8443, user="u", catalog="c", verify=ca)
    assert project.source("lake").skip is False
    assert isinstance(shop, wcdc.sources.Postgres)
    assert shop.options == {"sslmode": "require", "dbname": "shop", "password": "hunter2"}
    assert file == wcdc.sources.DuckDB(file=str(tmp_path / "shop.duckdb"), config={"threads": "1"})
    own = project.source("own")
    assert own.target == wcdc.sources.Database(url="mysql+pymysql://u:hunter2@h/d")
    assert own.state == str(tmp_path / "state.duckdb") and own.dialect == "mysql"
    assert "hunter2" not in repr(project.source("shop")) + repr(own)


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        ("{type: oracle}", "unknown type 'oracle'", "source-type"),
        ("{type: 5}", "must be one of", "project-type"),
        ("{type: trino, host: h, user: u}", "needs 'catalog'", "missing-key"),
        (
            "{type: trino, host: h, user: u, catalog: c, wharehouse: w}",
            "Unknown key 'wharehouse'",
            "unknown-key",
        ),
        ("{type: trino, host: h, user: u, catalog: c, port: x}", "must be a whole number", "project-type"),
        (
            "{type: trino, host: h, user: u, catalog: c, http_scheme: ftp}",
            "one of https, http",
            "project-type",
        ),
        ("{type: duckdb, url: 'duckdb://'}", "Unknown key 'url'", "unknown-key"),
        ("{type: lakebase, token: x}", "must be", "project-type"),
    ],
)
def test_fields_of_a_project_file_are_checked(tmp_path: Path, text: str, message: str, code: str) -> None:
    (tmp_path / "warehouse_cdc.yaml").write_text(f"sources: {{a: {text}}}")
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path, environ={})
    (problem,) = caught.value.problems
    assert message in problem.message and problem.code == code
