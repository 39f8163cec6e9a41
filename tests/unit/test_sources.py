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


def test_an_athena_url_has_a_region_for_a_host_and_keys_for_a_user() -> None:
    found = source_of(
        "athena://KEY:a%2Fb%2Bc@eu-west-1/Cat/shop?state=s3://b/p%20q&workgroup=w&output=s3://r/"
    )
    assert found == wcdc.sources.Athena(
        region="eu-west-1",
        access_key_id="KEY",
        secret_access_key="a/b+c",
        catalog="Cat",
        database="shop",
        state="s3://b/p q",
        workgroup="w",
        output="s3://r/",
    )
    assert "a/b+c" not in repr(found)
    least = source_of("athena://?state=s3://b/p")
    assert isinstance(least, wcdc.sources.Athena) and (least.region, least.workgroup) == (None, "primary")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("athena://eu-west-1/", "connect-url"),
        ("athena://eu-west-1:443/?state=s3://b/p", "connect-url"),
        ("athena://eu-west-1/?state=s3://b/p&bucket=x", "connect-url"),
        ("athena://eu-west-1/?state=/tmp/x", "source-field"),
        ("athena://eu-west-1/?state=s3://b/p/q&output=s3://b/p", "source-field"),
    ],
)
def test_what_an_athena_url_lacks_or_has_too_much(url: str, code: str) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        source_of(url)
    assert caught.value.code == code and caught.value.hint


def test_results_next_to_the_state_are_no_mistake() -> None:
    assert wcdc.sources.Athena(state="s3://b/cdc2", output="s3://b/cdc").state == "s3://b/cdc2"
