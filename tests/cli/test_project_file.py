"""What a good project file becomes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import warehouse_cdc as wcdc
from tests.cli import fake_engine
from tests.cli.conftest import project_of
from warehouse_cdc.errors import ConfigError
from warehouse_cdc.project import Project, ProjectError, find_project, load_project
from warehouse_cdc.sources import DuckDB, Postgres

YAML = """\
# a comment
sources:
  shop:
    url: postgresql://app:${SHOP_PASSWORD}@db.example.com:5432/shop?application_name=x
    planner_schema: plans
    snapshot: false
    retention_days: ${DAYS:-30}
    lease_seconds: 90
  local: {url: "duckdb:///data/local.duckdb"}
models:
  customers:
    source: shop
    sql: |
      select id, email, '$$5' as price
      from ${SCHEMA:-sales}.customers
    primary_key: [id, region]
  orders: {source: local, file: models/orders.sql, primary_key: id, dialect: duckdb, id: m-7}
destinations:
  nowhere:
    type: python
    function: null_destination:null
syncs:
  "customers to nowhere":
    model: customers
    destination: nowhere
    mode: upsert
    on_removed: delete
    mappings: {id: id, on: off, "yes": no}
    match: {id: id}
    max_removed: off
    max_rejected: 1000
    retry_wait: 1
    require_rows: false
    changelog: ${LOG}
  orders:
    model: orders
    destination: nowhere
    mode: insert
    max_removed: 0.25
"""

TOML = """\
# a comment
[sources.shop]
url = "postgresql://app:${SHOP_PASSWORD}@db.example.com:5432/shop?application_name=x"
planner_schema = "plans"
snapshot = false
retention_days = "${DAYS:-30}"
lease_seconds = 90

[sources]
local = {url = "duckdb:///data/local.duckdb"}

[models.customers]
source = "shop"
sql = '''
select id, email, '$$5' as price
from ${SCHEMA:-sales}.customers
'''
primary_key = ["id", "region"]

[models]
orders = {source = "local", file = "models/orders.sql", primary_key = "id", dialect = "duckdb", id = "m-7"}

[destinations]
nowhere.type = "python"
nowhere.function = "null_destination:null"

[syncs."customers to nowhere"]
model = "customers"
destination = "nowhere"
mode = "upsert"
on_removed = "delete"
mappings = {id = "id", on = "off", "yes" = "no"}
match.id = "id"
max_removed = "off"
max_rejected = 1000
retry_wait = 1
require_rows = false
changelog = "${LOG}"

[syncs.orders]
model = "orders"
destination = "nowhere"
mode = "insert"
max_removed = 0.25
"""

ENVIRONMENT = {"SHOP_PASSWORD": "s3cret/word", "LOG": "true"}


@pytest.fixture(params=["yaml", "toml"])
def project(request: pytest.FixtureRequest, folder: Path) -> Project:
    (folder / "models").mkdir()
    (folder / "models" / "orders.sql").write_text("select ${id} from orders")
    (folder / f"warehouse_cdc.{request.param}").write_text(YAML if request.param == "yaml" else TOML)
    return load_project(environ=ENVIRONMENT)


def test_twins_make_the_same_objects(project: Project, folder: Path) -> None:
    shop, local = project.sources.values()
    assert isinstance(shop.target, Postgres) and isinstance(local.target, DuckDB)
    assert shop.target.conninfo == "postgresql://app:s3cret/word@db.example.com:5432/shop?application_name=x"
    assert (shop.planner_schema, shop.audit_schema) == ("plans", "hightouch_audit")
    assert (shop.changelog, shop.snapshot, shop.retention_days) == (True, False, 30)
    assert (shop.lease_seconds, shop.dialect) == (90, "postgres")
    assert (local.target.file, local.dialect) == (f"{folder}/data/local.duckdb", "duckdb")

    customers, orders = project.models["customers"], project.models["orders"]
    assert customers.sql == "select id, email, '$5' as price\nfrom sales.customers\n"
    assert tuple(customers.primary_key) == ("id", "region")
    assert orders.source_sql == "select ${id} from orders"  # files are not touched
    assert (orders.id, orders.dialect) == ("m-7", "duckdb")
    assert project.source_of("orders") is local

    sync = project.sync("customers to nowhere")
    assert (sync.mode, sync.on_removed, sync.max_removed, sync.max_rejected) == (
        "upsert",
        "delete",
        None,
        1000,
    )
    assert sync.mappings == {"id": "id", "on": "off", "yes": "no"}
    assert (sync.match, sync.require_rows, sync.changelog) == ({"id": "id"}, False, True)
    assert sync.destination is sys.modules["null_destination"].null
    assert project.sync("orders").max_removed == 0.25
    assert list(project.syncs) == ["customers to nowhere", "orders"]


def test_no_repr_shows_a_secret(project: Project) -> None:
    for shown in (repr(project), str(project), repr(project.sources), repr(project.source("shop"))):
        assert "s3cret" not in shown


def test_a_source_connects_with_its_options(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_engine.CALLS.clear()
    fake_engine.install(lambda *args: monkeypatch.setattr(*args, raising=False))
    project.warehouse_for("customers to nowhere")
    project.connect("local")
    (_, shop), (_, local) = fake_engine.CALLS
    assert shop.pop("target") is project.source("shop").target
    assert shop == {
        "state": None,
        "planner_schema": "plans",
        "audit_schema": "hightouch_audit",
        "changelog": True,
        "snapshot": False,
        "sync_runs": True,
        "retention_days": 30,
        "lease_seconds": 90,
        "lease_margin": 5.0,
        "compaction": 1.0,
        "skip": True,
    }
    assert local["target"] is project.source("local").target


def test_names_that_do_not_exist(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"no sync 'order'.*\n.*Did you mean orders\?"):
        project.sync("order")
    with pytest.raises(ConfigError, match=r"has 2 syncs.*\n.*customers to nowhere, orders"):
        project.sync()
    with pytest.raises(ConfigError, match=r"no source 'shoop'.*\n.*Did you mean shop\?"):
        project.connect("shoop")
    with pytest.raises(ConfigError, match="has 2 sources"):
        project.source()


def test_the_only_source_need_not_be_named(one: Path) -> None:
    project = load_project(one)
    assert project.source_of("good").name == "shop"
    assert project.sync().id == "good"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("duckdb:///:memory:", None),
        ("duckdb://", None),
        ("duckdb:////tmp/x.duckdb", "/tmp/x.duckdb"),
        ("duckdb:///md:shop", "md:shop"),
        ("duckdb:///x.duckdb?threads=1", "{folder}/x.duckdb"),
        ("duckdb:///../x.duckdb", "{folder}/../x.duckdb"),
    ],
)
def test_database_files_are_relative_to_the_project_file(
    folder: Path, url: str, expected: str | None
) -> None:
    (folder / "p").mkdir()
    (folder / "p" / "project.yaml").write_text(f"sources: {{a: {{url: '{url}'}}}}")
    loaded = load_project("p/project.yaml")
    target = loaded.source("a").target
    assert isinstance(target, DuckDB)
    assert target.file == (expected and expected.format(folder=folder / "p"))


def test_environment_of_the_process_is_the_default(one: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = project_of("good").replace("duckdb:///shop.duckdb", "${WCDC_TEST_URL}")
    (one / "warehouse_cdc.yaml").write_text(text)
    monkeypatch.setenv("WCDC_TEST_URL", "duckdb:////data/x.duckdb")
    assert load_project().source().target == DuckDB(file="/data/x.duckdb")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("${A}-${B}", "one-two"),
        ("$A $5 $", "$A $5 $"),
        ("$${A}", "${A}"),
        ("$$${A}", "$one"),
        ("${NOT_SET:-}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${NOT_SET:-a:b-c $x}", "a:b-c $x"),
        ("${C}", "${A}"),  # values are not looked at again
    ],
)
def test_references(folder: Path, text: str, expected: str) -> None:
    (folder / "p.yaml").write_text(f"sources: {{a: {{url: 'postgresql://{text}'}}}}")
    environment = {"A": "one", "B": "two", "EMPTY": "", "C": "${A}"}
    target = load_project("p.yaml", environ=environment).source().target
    assert isinstance(target, Postgres) and target.conninfo == f"postgresql://{expected}"


def test_references_are_not_replaced_in_keys(folder: Path) -> None:
    (folder / "p.yaml").write_text("sources: {'${A}': {url: 'duckdb://'}}")
    assert list(load_project("p.yaml", environ={"A": "b"}).sources) == ["${A}"]


def test_anchors_and_merge_keys(folder: Path) -> None:
    text = project_of() + (
        "  a: &a {model: people, destination: nowhere, max_attempts: 7, mode: insert}\n"
        "  b: {<<: *a, mode: upsert}\n"
        "  c: {max_attempts: 2, <<: [*a]}\n"
    )
    (folder / "warehouse_cdc.yml").write_text(text)
    syncs = load_project().syncs
    assert [(each.mode, each.max_attempts) for each in syncs.values()] == [
        ("insert", 7),
        ("upsert", 7),
        ("insert", 2),
    ]


def test_byte_order_mark_and_windows_line_ends(folder: Path) -> None:
    text = "\ufeff" + project_of("good").replace("\n", "\r\n") + "  bad: {}\r\n"
    (folder / "warehouse_cdc.yaml").write_bytes(text.encode())
    with pytest.raises(ProjectError) as caught:
        load_project()
    assert {problem.line for problem in caught.value.problems} == {len(text.splitlines())}


def test_finding_the_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no project file in the current folder.*\n.*warehouse-cdc init"):
        load_project()
    (folder / "warehouse_cdc.toml").write_text("")
    assert find_project() == Path("warehouse_cdc.toml")
    assert find_project(folder) == folder / "warehouse_cdc.toml"
    assert load_project().syncs == {}
    (folder / "warehouse_cdc.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"several project files.*warehouse_cdc.yaml, warehouse_cdc.toml"):
        load_project()
    with pytest.raises(ConfigError, match=r"nowhere.yaml: The file can't be read"):
        load_project("nowhere.yaml")


def test_the_types_of_destinations(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "warehouse_cdc.yaml").write_text(
        """\
destinations:
  a: {type: jsonl, directory: out, name: '{sync.id}', skip_empty: true}
  b: {type: csv, directory: /out}
  c: {type: parquet, directory: out}
  d: {type: sql_table, url: 'duckdb:///x.duckdb', create: true, table: people}
"""
    )
    destinations = load_project("sub").destinations
    assert [type(each).__name__ for each in destinations.values()] == [
        "JsonLines",
        "Csv",
        "Parquet",
        "SqlTable",
    ]
    assert str(folder / "sub" / "out") in repr(destinations["a"])
    assert "'/out'" in repr(destinations["b"])


def test_athena_has_a_state_of_its_own(tmp_path: Path) -> None:
    """Which is in S3; other sources are pulled from where they have one."""
    place = "s3://company-cdc/state"
    (tmp_path / "warehouse_cdc.yaml").write_text(
        f"sources: {{lake: {{type: athena, region: eu-west-1, state: '{place}', workgroup: syncs}}}}"
    )
    source = load_project(tmp_path).sources["lake"]
    assert source.target == wcdc.sources.Athena(region="eu-west-1", state=place, workgroup="syncs")
    assert source.state is None
