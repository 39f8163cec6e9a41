"""What is Databricks' own: its connector's sessions, results, errors and cancelled statements."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pyarrow as pa
import pytest

import warehouse_cdc as wcdc
from tests.conformance.databricks_engine import DatabricksEngine
from tests.conformance.helpers import PLANNER, Recorder, counted, sync_of
from tests.conformance.spark_engine import ENDLESS, stopped_from_another_thread
from tests.engines.databricks import TOKEN, WAREHOUSES
from warehouse_cdc.dialects import get_dialect

pytestmark = pytest.mark.databricks


def test_sessions_tags_and_errors(databricks: DatabricksEngine, crm: Recorder) -> None:
    """Both warehouses, and names that are qualified by a catalog."""
    service, batch, hasty = databricks.service, f"{WAREHOUSES}test", f"{WAREHOUSES}hasty"
    databricks.execute(
        "CREATE TABLE people AS SELECT col AS id, struct(col AS a, 'x' AS b) AS s, 1.50BD AS d, "
        "TIMESTAMP '2024-01-01 00:00:00Z' AS at FROM (SELECT explode(sequence(1, 30)))"
    )
    first, opened = len(service.statements), len(service.sessions)
    url = f"{databricks.url}&interactive_http_path={hasty}"
    with wcdc.connect(url, planner_schema=f"spark_catalog.{PLANNER}") as warehouse:
        assert counted(warehouse.run(sync_of(crm))) == {"added": (30, 30, 30, 0, 0)}
        sent = service.statements[first:]
        assert {path for path, _sql, _more in sent} == {batch}
        databricks.execute("DELETE FROM people WHERE id = 1", "UPDATE people SET d = 2 WHERE id = 2")
        assert warehouse.plan(sync_of(crm)).counts["removed"] == 1
        assert {path for path, sql, _more in service.statements if "DESCRIBE QUERY" in sql} == {batch, hasty}
        with pytest.raises(wcdc.QueryError) as caught:
            warehouse.run(sync_of(crm, "SELECT id FROM nowhere WHERE id = 'hunter2'"))
        assert caught.value.query_id and "`nowhere`" in caught.value.message
        assert "hunter2" not in str(caught.value) + (caught.value.sql or "")
    assert crm.held["3"]["s"] == {"a": 3, "b": "x"} and crm.held["3"]["d"] == pytest.approx(1.5)
    assert crm.held["3"]["at"] == datetime(2024, 1, 1, tzinfo=timezone.utc)
    parameters = {path: found for path, found in service.sessions[opened:]}
    assert parameters.keys() == {batch, hasty}
    assert all(found["ANSI_MODE"] == "true" and found["TIMEZONE"] == "UTC" for found in parameters.values())
    made = next(more for _path, sql, more in sent if "CLUSTER BY (op, bucket)" in sql)
    assert "warehouse_cdc_sync:people-sync" in made["query_tags"] and "warehouse_cdc_stage" in str(made)


def test_results_come_page_by_page_with_their_types(databricks: DatabricksEngine) -> None:
    connection = databricks.connect()._connection
    kinds = [get_dialect("databricks").column_type(name) for name in ("INT", "DECIMAL(20, 3)", "TIMESTAMP")]
    found = list(
        connection.stream(
            "SELECT CAST(id AS INT) AS n, CAST(id AS DECIMAL(20, 3)) / 8 AS d, timestamp_seconds(id) AS at "
            "FROM range(12000) ORDER BY id",
            [kinds[0], get_dialect("databricks").column_type("DECIMAL(24, 7)"), kinds[2]],
            4_000,
        )
    )
    assert len(found) >= 3 and all(batch.num_rows <= 4_000 for batch in found)
    table = pa.Table.from_batches(found)
    assert table.column("n").to_pylist() == list(range(12_000))
    assert str(table.column("d")[1].as_py()) == "0.1250000"
    assert table.column("at")[11_999].as_py() == datetime.fromtimestamp(11_999, timezone.utc)
    assert connection.query("SELECT 1 WHERE false") == []


def test_a_statement_that_nobody_waits_for_is_cancelled(databricks: DatabricksEngine) -> None:
    """As when a signal stops the process while it reads."""
    stream = databricks.connect()._connection.stream("SELECT id FROM range(12000)", [None], 1_000)
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)
    assert databricks.service.cancelled[-1] == "SELECT id FROM range(12000)"


def test_d20_a_statement_can_be_stopped_from_another_thread(databricks: DatabricksEngine) -> None:
    stopped_from_another_thread(databricks)
    assert ENDLESS in databricks.service.cancelled


def test_a_wrong_token_is_refused_and_never_shown(databricks: DatabricksEngine) -> None:
    with pytest.raises(wcdc.ConnectionLostError) as caught:
        wcdc.connect(databricks.url.replace(TOKEN, "hunter2"))
    assert "HTTP 401" in caught.value.message and "hunter2" not in json.dumps(str(caught.value))
