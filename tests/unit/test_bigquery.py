"""What BigQuery's client is made to ask for, without a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("google.cloud.bigquery")
import requests  # noqa: E402
from google.api_core import exceptions as api  # noqa: E402
from google.auth.credentials import AnonymousCredentials  # noqa: E402
from google.cloud import bigquery  # noqa: E402
from requests.adapters import HTTPAdapter  # noqa: E402

import warehouse_cdc as wcdc  # noqa: E402
from warehouse_cdc.dialects import get_dialect  # noqa: E402
from warehouse_cdc.engine.checks import check  # noqa: E402
from warehouse_cdc.engine.interruption import Interrupted, interruptible  # noqa: E402
from warehouse_cdc.engine.settings import Settings  # noqa: E402
from warehouse_cdc.plan.statements import Schemas  # noqa: E402
from warehouse_cdc.sources import BigQuery  # noqa: E402
from warehouse_cdc.warehouses import bigquery as module  # noqa: E402
from warehouse_cdc.warehouses.bigquery import BigQueryConnection  # noqa: E402


class Service(HTTPAdapter):
    """Answers each request at once, and keeps for how long it would have been waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Any] = []

    def send(self, request: Any, *, timeout: Any = None, **_how: Any) -> requests.Response:  # type: ignore[override]
        self.waits.append(timeout)
        answer: dict[str, Any] = {"tables": []}
        if request.method == "POST":
            sent = json.loads(request.body)
            place = {"projectId": "p", "datasetId": "d", "tableId": "t"}
            sent["configuration"]["query"]["destinationTable"] = place
            state = "RUNNING" if "slow" in sent["configuration"]["query"]["query"] else "DONE"
            answer = {**sent, "status": {"state": state}, "statistics": {}}
        elif "/queries/" in request.url:
            place = {"projectId": "p", "jobId": "x", "location": "EU"}
            answer = {"jobComplete": True, "totalRows": "0", "schema": {"fields": []}, "jobReference": place}
        elif "/jobs/" in request.url:
            place = {"projectId": "p", "jobId": "x", "location": "EU"}
            answer = {"jobReference": place, "status": {"state": "DONE"}, "configuration": {"query": {}}}
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.headers["content-type"] = "application/json"
        response._content = json.dumps(answer).encode()
        return response


@pytest.mark.parametrize(
    "ask",
    [
        lambda each: each.execute("CREATE TABLE d.t AS SELECT 1"),
        lambda each: each.execute("CREATE TABLE d.slow AS SELECT 1"),
        lambda each: each.query("SELECT 1"),
        lambda each: each.estimate("SELECT 1"),
        lambda each: each.tables("d"),
    ],
)
def test_no_answer_is_waited_for_for_ever(ask: Callable[[BigQueryConnection], Any]) -> None:
    service = Service()
    client = bigquery.Client(project="p", location="EU", credentials=AnonymousCredentials())
    client._http.mount("https://", service)
    ask(BigQueryConnection(client, BigQuery(project="p", location="EU")))
    assert service.waits and all(service.waits), service.waits


def test_tables_of_state_outlive_a_default_of_their_data_set() -> None:
    """CREATE TABLE ignores options whose value is NULL."""
    dialect = get_dialect("bigquery")
    assert "INTERVAL 36500 DAY" in dialect.distribution("row_id")
    assert "NULL" not in dialect.distribution("row_id")


@pytest.mark.parametrize(
    "message", ["Bad int64 value: could not serialize hunter2", "Bad int64 value: hunter2 at [1:1]"]
)
def test_a_value_does_not_choose_what_an_error_means(message: str) -> None:
    found = {"reason": "invalidQuery", "message": message}
    error = module._mapped_reason(found, "SELECT 1", "job")
    assert error.code == "query" and "hunter2" not in str(error) and not module._passes(found)


def test_what_the_analyzer_says_is_shown_without_literals() -> None:
    said = "Unrecognized name: emial; 'it's hunter2' at [1:8]"
    error = module._mapped_reason({"reason": "invalidQuery", "message": said}, "SELECT 1", None)
    assert "emial; … at [1:8]" in error.message


def test_a_cancelled_run_does_not_wait_to_send_a_job_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client: Any = SimpleNamespace(cancel_job=lambda *_job, **_how: None)
    connection = BigQueryConnection(client, BigQuery(project="p", location="EU"))
    failed = SimpleNamespace(state="DONE", error_result={"reason": "backendError", "message": ""})
    sent: list[str] = []
    monkeypatch.setattr(connection, "_sent", lambda sql, _name: (sent.append(sql), failed)[1])
    monkeypatch.setattr("random.uniform", lambda *_between: 2)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.execute("SELECT 1")
    assert len(sent) == 1


def test_a_job_whose_answer_failed_is_not_sent_as_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may still run."""
    connection = BigQueryConnection(SimpleNamespace(), BigQuery(project="p", location="EU"))  # type: ignore[arg-type]
    sent: list[str] = []

    def fail(sql: str, _name: str) -> Any:
        sent.append(sql)
        raise api.InternalServerError("", errors=[{"reason": "backendError", "message": ""}])

    monkeypatch.setattr(connection, "_sent", fail)
    with pytest.raises(wcdc.WarehouseError):
        connection.execute("INSERT INTO t VALUES (1)")
    assert len(sent) == 1


def test_check_names_the_role_without_which_no_statement_runs() -> None:
    class Denying(Service):
        def send(self, request: Any, **how: Any) -> requests.Response:  # type: ignore[override]
            response = super().send(request, **how)
            if request.method == "POST":
                error = {"reason": "accessDenied", "message": "bigquery.jobs.create"}
                response.status_code = 403
                response._content = json.dumps({"error": {"code": 403, "errors": [error]}}).encode()
            return response

    client = bigquery.Client(project="p", location="EU", credentials=AnonymousCredentials())
    client._http.mount("https://", Denying())
    connection = BigQueryConnection(client, BigQuery(project="p", location="EU"))
    (finding,) = check(connection, Settings(Schemas()))
    assert not finding.ok and "jobs.create" in finding.detail and "roles/bigquery.jobUser" in finding.fix
