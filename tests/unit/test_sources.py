"""How warehouses are reached: from URLs, fields and project files, without any secret in sight."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy

import warehouse_cdc as wcdc
from warehouse_cdc import sources
from warehouse_cdc.project import ProjectError, load_project
from warehouse_cdc.sources import SOURCES, Source, source_of
from warehouse_cdc.typed import fields_of
from warehouse_cdc.warehouses.duckdb import DuckDBConnection

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
    assert source_of("trino://a%40b:p%2Fw@host:8080/lake/sales%20eu?http_scheme=https") == wcdc.sources.Trino(
        host="host",
        port=8080,
        user="a@b",
        password="p/w",
        catalog="lake",
        schema="sales eu",
        http_scheme="https",
    )


def test_a_project_file_takes_nested_credentials(tmp_path: Path) -> None:
    (tmp_path / "warehouse_cdc.yaml").write_text(
        "sources:\n  lake:\n    {type: bigquery, project: p, location: EU, credentials_info: "
        "{type: external_account, credential_source: {file: /token}}}\n"
    )
    source = load_project(tmp_path).sources["lake"].target
    assert isinstance(source, wcdc.sources.BigQuery) and source.credentials_info is not None
    assert source.credentials_info["credential_source"] == {"file": "/token"}


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sources.Trino(host="h", user="u", catalog="c", http_scheme="ftp"),
            "http_scheme must be one of",
        ),
        (
            lambda: sources.Trino(host="h", user="u", catalog="c", connector="mysql"),
            "connector must be one of",
        ),
        (lambda: sources.Trino(host="h", user="u", catalog="c", port="x"), "port must be a whole number"),
        (lambda: sources.Trino(host="h", user="u", catalog="c", port=0), "port must be between"),
        (lambda: sources.Trino(host="https://h", user="u", catalog="c"), "host must be the server's name"),
        (
            lambda: sources.Trino(host="h", user="u", catalog="c", password="p", http_scheme="http"),
            "password needs http_scheme https",
        ),
        (lambda: sources.Trino(host="h", user="u", catalog="c", password="пароль"), "password .* Latin-1"),
        (lambda: sources.Athena(state="s3://"), "state must be a location"),
        (lambda: sources.Athena(state="s3://b/p", access_key_id="k"), "come together"),
        (lambda: sources.Athena(state="s3://b/p", session_token="t"), "session_token needs"),
        (lambda: sources.Athena(state="s3://b/p", external_id="e"), "external_id needs role_arn"),
        (lambda: sources.Athena(state="s3://b/p", endpoint="vpce.example.com"), "endpoint must be a URL"),
        (lambda: sources.Lakebase(host="h", token="t"), "token must be a function"),
        (lambda: sources.Synapse(host="h,1", database="d", user="u", password="p"), "server's name alone"),
        (
            lambda: sources.Synapse(host="h", database="d", user="u", password="p", request_timeout=-1),
            "can't be negative",
        ),
    ],
)
def test_bad_values_are_refused_before_anything_is_opened(make: Callable[[], Source], message: str) -> None:
    with pytest.raises(wcdc.ConfigError, match=message) as caught:
        make()
    assert caught.value.code == "source-field"


@pytest.mark.parametrize("secret", ["ab+cd/ef==", "a&b=c#d%41"])
def test_an_athena_url_keeps_every_character_of_a_secret(secret: str) -> None:
    found = source_of(f"athena://KEY:{quote(secret, safe='+')}@eu-west-1/?state=s3://b/p")
    assert isinstance(found, sources.Athena) and found.secret_access_key == secret


def test_a_snowflake_url_keeps_its_port() -> None:
    found = source_of("snowflake://u:p@acc:8443/db")
    assert isinstance(found, sources.Snowflake) and (found.account, found.port) == ("acc", 8443)


def test_settings_that_may_hold_tokens_are_not_shown() -> None:
    assert "hunter2" not in repr(sources.DuckDB(file="md:x", config={"motherduck_token": "hunter2"}))
    assert repr(sources.DuckDB(file="md:x?motherduck_token=hunter2")) == "DuckDB(file='md:x')"
    assert repr(sources.DuckDB(file=Path("what?.duckdb"))) == "DuckDB(file='what?.duckdb')"
    with pytest.raises(wcdc.ConfigError) as caught:
        sources.Database(url="user:hunter2@host/database").open()
    assert "hunter2" not in str(caught.value)
    parameters = {"fs.secret": "hunter2"}
    made = sources.Databricks(host="h", http_path="/p", access_token="t", session_configuration=parameters)
    assert "hunter2" not in repr(made)


def test_a_file_that_duckdb_refuses_is_no_way_to_read_its_settings(tmp_path: Path) -> None:
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(f"duckdb:///{tmp_path}/x.duckdb?threads={'hunter2'.upper()}")
    assert "HUNTER2" not in "".join(traceback.format_exception(caught.value))


def test_a_driver_whose_package_is_not_there_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another distribution may have made the first of its packages."""
    monkeypatch.setattr(sources.BigQuery, "driver", "warehouse_cdc.nothing.of_the_kind")
    with pytest.raises(wcdc.ConfigError) as caught:
        sources.BigQuery(project="p", location="EU").open()
    assert caught.value.code == "missing-extra" and "[bigquery]" in caught.value.hint


def test_a_driver_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_source: Source) -> None:
        raise ImportError("libltdl.so.7: cannot open shared object file")

    monkeypatch.setattr(sources.DuckDB, "_open", broken)
    with pytest.raises(wcdc.ConfigError, match="libltdl") as caught:
        sources.DuckDB().open()
    assert caught.value.code == "missing-extra"


@pytest.mark.parametrize(("url", "name"), [("trino://u@127.0.0.1:1/c", "trino"), ("sqlite://", "duckdb")])
def test_an_engine_that_may_hold_more_than_its_url_is_refused(url: str, name: str) -> None:
    """What it signs in with would be lost without a word."""
    engine = sqlalchemy.create_engine(url)
    engine.dialect.name = name
    with pytest.raises(wcdc.UnsupportedError, match=f"An Engine of {name}") as caught:
        wcdc.connect(engine)
    assert caught.value.code == "connect-target"


def test_a_database_that_other_processes_write_to_keeps_no_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(DuckDBConnection, "query", lambda *_: [("motherduck",)])
    for options in ({}, {"state": tmp_path / "state.duckdb"}):
        with pytest.raises(wcdc.UnsupportedError, match="motherduck") as caught:
            wcdc.connect("duckdb:///:memory:", **options)
        assert caught.value.code == "connect-target" and "state=" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "seconds"),
    [
        (sources.Postgres(host="h"), ("15", "60")),
        (
            sources.Postgres(host="h", parameters={"connect_timeout": "60", "keepalives_idle": "7"}),
            ("60", "7"),
        ),
        (source_of("postgresql://h/d?connect_timeout=61&keepalives_idle=8"), ("61", "8")),
    ],
)
def test_a_connections_own_time_limit_counts(
    source: Source, seconds: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg")
    seen: list[tuple[str, str]] = []

    def connect(conninfo: str, **_more: object) -> None:
        given = psycopg.conninfo.conninfo_to_dict(conninfo)
        seen.append((given["connect_timeout"], given["keepalives_idle"]))
        raise psycopg.OperationalError

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    with pytest.raises(wcdc.ConnectionLostError):
        source.open()
    assert seen == [seconds]


@pytest.mark.parametrize("scheme", [*SOURCES, "mysql+pymysql"])
def test_text_that_is_not_unicode_is_refused_before_a_driver_shows_it(scheme: str, tmp_path: Path) -> None:
    """As an environment variable in another encoding is."""
    for url in (f"{scheme}://u:hunter2\udcff@127.0.0.1:1/d", f"{scheme}://u:hunter2@127.0.0.1:1/d?x=\udcff"):
        for options in ({}, {"state": tmp_path / "s.duckdb"}):
            with pytest.raises(wcdc.CdcError) as caught:
                wcdc.connect(url, **options)  # type: ignore[arg-type]
            assert "hunter2" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
    for make in (
        lambda: sources.Synapse(host="h", database="d", user="u", password="hunter2\udcff"),
        lambda: sources.Postgres(host="h", parameters={"options": "hunter2\udcff"}),
    ):
        with pytest.raises(wcdc.ConfigError) as caught:
            make()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "snowflake://user@acc/DB?password=abc&s3cret",
        "snowflake://user@acc/DB?access_token=abc&s3cret=",
        "sc://host:15002/;use_ssl=true;token=abc;s3cret",
        "fabric://e.datawarehouse.fabric.microsoft.com/shop?client_secret=ab&s3cret~x",
    ],
)
def test_an_unknown_part_of_a_url_may_be_the_rest_of_a_secret(url: str) -> None:
    with pytest.raises(wcdc.ConfigError) as caught:
        source_of(url)
    assert caught.value.code == "connect-url" and "s3cret" not in str(caught.value)


def test_an_unknown_part_of_a_url_that_is_like_a_known_one() -> None:
    with pytest.raises(wcdc.ConfigError, match="unknown part. Did you mean warehouse"):
        source_of("snowflake://user@acc/DB?warehose=w")
