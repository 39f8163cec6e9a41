"""What is declared: guards, settings, models of other dialects, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import warehouse_cdc as wcdc
from tests.conformance.helpers import DuckDBEngine, Engine, Recorder, sync_of
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import get_dialect


@pytest.mark.parametrize("share", [0.29, 0.57])
def test_d16_a_share_that_is_reached_stops_nothing(engine: Engine, crm: Recorder, share: float) -> None:
    """Its nearest binary number may be a little less."""
    engine.execute("CREATE TABLE people AS SELECT i AS id FROM generate_series(1, 100) r (i)")
    warehouse, sync = engine.connect(), sync_of(crm, max_removed=share)
    warehouse.run(sync)
    engine.execute(f"DELETE FROM people WHERE id <= {round(share * 100)}")
    assert warehouse.run(sync).counts["removed"].succeeded == round(share * 100)
    engine.execute("DELETE FROM people", "INSERT INTO people SELECT i FROM generate_series(1, 100) r (i)")
    warehouse.run(sync)
    engine.execute(f"DELETE FROM people WHERE id <= {round(share * 100) + 1}")
    with pytest.raises(wcdc.GuardError):
        warehouse.run(sync)


def test_a_template_that_is_only_a_comment_is_refused(engine: Engine, crm: Recorder) -> None:
    engine.execute("CREATE TABLE people AS SELECT 1 AS id")
    for sql in ("{# who pays #} SELECT * FROM people", "SELECT * FROM people {# who pays #}"):
        with pytest.raises(wcdc.ModelError) as caught:
            engine.connect().run(sync_of(crm, sql))
        assert caught.value.code == "model-template"
    sql = "SELECT * -- {# of them\nFROM people WHERE '{#' <> '#}' /* {# all */"
    assert engine.connect().run(sync_of(crm, sql)).status == "success"


def test_a_file_with_a_byte_order_mark(duck: DuckDBEngine, crm: Recorder, tmp_path: Path) -> None:
    """As editors on Windows write it."""
    path = tmp_path / "model.sql"
    path.write_text("SELECT 1 AS id", encoding="utf-8-sig")
    model = wcdc.Model("people", file=path, primary_key="id")
    assert duck.connect().run(wcdc.Sync(id="x", model=model, destination=crm)).status == "success"


@pytest.mark.parametrize(
    "settings",
    [
        {"retention_days": float("nan")},
        {"retention_days": "7"},
        {"lease_seconds": float("nan")},
        {"lease_seconds": float("inf")},
        {"lease_seconds": None},
        {"lease_margin": float("nan")},
        {"compaction": None},
        {"planner_schema": 3},
        {"planner_schema": ["hightouch_planner"]},
    ],
)
def test_a_setting_that_is_no_such_number_or_name_is_refused(
    duck: DuckDBEngine, settings: dict[str, Any]
) -> None:
    with pytest.raises(wcdc.ConfigError):
        duck.connect(**settings)


@pytest.mark.parametrize(
    ("sql", "target"),
    [
        ("SELECT id FROM people ORDER BY score FETCH FIRST 1 ROWS WITH TIES", "duckdb"),
        ("SELECT id FROM people ORDER BY score FETCH FIRST 1 ROWS WITH TIES", "redshift"),
        ("SELECT id, coalesce(email, E'none\\n') AS email FROM people", "trino"),
        ("SELECT id, coalesce(email, E'none\\n') AS email FROM people", "synapse"),
        ("SELECT id, sum(v) OVER (ORDER BY v ROWS 1 PRECEDING EXCLUDE TIES) AS s FROM people", "spark"),
        ("SELECT id FROM people TABLESAMPLE SYSTEM (10)", "redshift"),
    ],
)
def test_what_a_translation_leaves_out_is_refused(sql: str, target: str) -> None:
    """What would be left runs and means something else, or doesn't run."""
    model = wcdc.Model("people", sql=sql, primary_key="id", dialect="postgres")
    with pytest.raises(wcdc.ModelError) as caught:
        read_model(model, get_dialect(target))
    assert caught.value.code == "model-dialect"
