"""What is made of Athena's answers, without Athena."""

from __future__ import annotations

import io
import threading
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from ulid import ULID

import warehouse_cdc as wcdc
from warehouse_cdc.engine.interruption import Interrupted, interruptible
from warehouse_cdc.warehouses import alone

module = pytest.importorskip("warehouse_cdc.warehouses.athena")
SOURCE = wcdc.sources.Athena(state="s3://bucket/cdc", region="eu-west-1")


def test_a_row_whose_only_value_is_null_is_a_row() -> None:
    body = io.BytesIO(b'"a"\n"1"\n\n""\n\n')
    batches = list(module._read(body, 1))
    assert [value for batch in batches for value in batch.column(0).to_pylist()] == ["1", None, "", None]


def test_a_role_without_anything_to_assume_it_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.session.Session.get_credentials", lambda _session: None)
    source = wcdc.sources.Athena(
        state="s3://bucket/cdc", region="eu-west-1", role_arn="arn:aws:iam::1:role/r"
    )
    with pytest.raises(wcdc.ConnectionLostError, match="NoCredentialsError"):
        source.open()


def test_a_statement_that_is_left_out_of_an_answer_is_asked_for_alone() -> None:
    """Otherwise what a dead run left running might be overlooked."""
    run_id = str(ULID())
    status = {"State": "RUNNING", "SubmissionDateTime": datetime.now(timezone.utc) - timedelta(hours=9)}
    execution: dict[str, Any] = {"QueryExecutionId": "left", "Status": status}
    execution["Query"] = f"-- warehouse-cdc sync=s run={run_id} stage=plan\nSELECT 1"
    stopped: list[str] = []

    def stop(QueryExecutionId: str) -> None:
        stopped.append(QueryExecutionId)
        status["State"] = "CANCELLED"

    unprocessed = {"QueryExecutions": [], "UnprocessedQueryExecutionIds": [{"QueryExecutionId": "left"}]}
    pages = SimpleNamespace(paginate=lambda **_of: [{"QueryExecutionIds": ["left"]}])
    client = SimpleNamespace(
        get_paginator=lambda _name: pages,
        batch_get_query_execution=lambda **_ids: unprocessed,
        get_query_execution=lambda **_id: {"QueryExecution": execution},
        stop_query_execution=stop,
    )
    assert module.AthenaConnection(SOURCE, client, None)._stopped(run_id) and stopped == ["left"]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("INVALID_CAST_ARGUMENT: Cannot cast 'not authorized' to INT", wcdc.QueryError),
        ("GENERIC_USER_ERROR: AccessDenied", wcdc.QueryError),
        ("GENERIC_INTERNAL_ERROR: no 'AccessDenied'", wcdc.QueryError),
        ("PERMISSION_DENIED: Access Denied: Cannot select", wcdc.PermissionDeniedError),
        ("HIVE_METASTORE_ERROR: Insufficient Lake Formation permission(s) on t", wcdc.PermissionDeniedError),
        ("FAILED: Execution Error: AccessDeniedException", wcdc.PermissionDeniedError),
        (
            "User: arn:aws:iam::1:user/u is not authorized to perform: glue:GetTable",
            wcdc.PermissionDeniedError,
        ),
    ],
)
def test_a_value_does_not_choose_what_an_error_means(reason: str, kind: type[Exception]) -> None:
    execution = {"QueryExecutionId": "q", "Status": {"State": "FAILED", "StateChangeReason": reason}}
    assert type(module._failed(execution, "SELECT 1")) is kind


def test_a_cancelled_run_does_not_wait_for_a_full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "QUEUE_SECONDS", 2.0)
    sent: list[Any] = []

    def full(**request: Any) -> None:
        sent.append(request)
        raise module.ClientError({"Error": {"Code": "TooManyRequestsException"}}, "StartQueryExecution")

    connection = module.AthenaConnection(SOURCE, SimpleNamespace(start_query_execution=full), None)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted), interruptible(connection, cancelled):
        connection.execute("CREATE TABLE x AS SELECT 1")
    assert len(sent) == 1
