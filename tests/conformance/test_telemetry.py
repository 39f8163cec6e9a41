"""Traces and metrics of runs, by OpenTelemetry's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import warehouse_cdc as wcdc
from warehouse_cdc.engine import telemetry


class Told:
    """What an SDK was told."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.meters = MeterProvider([self.reader])

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        data = self.reader.get_metrics_data()
        found = []
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        found += [(dict(point.attributes), point) for point in metric.data.data_points]
        return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """An SDK of this test's own: a process can set only one for good."""
    made = Told()
    monkeypatch.setattr(trace, "get_tracer", made.tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", made.meters.get_meter)
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def run(**options: Any) -> wcdc.Run:
    @wcdc.destination
    def send(batch: Any) -> dict[str, str]:
        return {"2": "no"}

    source = duckdb.connect()
    source.execute("create table t as select * from (values (1, 'secret-a'), (2, 'secret-b')) v(id, name)")
    model = wcdc.Model("t", table="t", primary_key="id")
    sync = wcdc.Sync(id="people", model=model, destination=send, **options)
    with wcdc.connect(source) as warehouse:
        return warehouse.run(sync)


def test_a_run_is_a_span_with_its_steps_below_it(told: Told) -> None:
    ended = run()
    spans = told.spans.get_finished_spans()
    (whole,) = [span for span in spans if span.name == "warehouse_cdc.run"]
    assert dict(whole.attributes or {}) == {
        "sync.id": "people",
        "sync.kind": "run",
        "run.id": ended.run_id,
        "run.status": "warning",
    }
    below = {span.name: span for span in spans if span is not whole}
    assert {"warehouse_cdc.claim", "warehouse_cdc.send", "warehouse_cdc.commit"} <= set(below)
    for span in below.values():
        assert span.parent is not None and span.parent.span_id == whole.context.span_id
        assert span.end_time is not None and whole.end_time is not None and span.end_time <= whole.end_time
    assert "secret" not in " ".join(span.to_json() for span in spans)


def test_operations_and_calls_are_counted(told: Told) -> None:
    run()
    operations = {
        (about["operation"], about["outcome"]): point.value
        for about, point in told.points("warehouse_cdc.operations")
    }
    assert operations == {("added", "succeeded"): 1, ("added", "failed"): 1}
    ((about, point),) = told.points("warehouse_cdc.call.rows")
    assert about == {"sync.id": "people", "operation": "added", "outcome": "rejections", "repeated": False}
    assert point.count == 1 and point.sum == 2
    ((about, point),) = told.points("warehouse_cdc.run.duration")
    assert about["run.status"] == "warning" and point.count == 1


def test_a_run_that_fails_ends_its_spans(told: Told) -> None:
    with pytest.raises(wcdc.GuardError):
        source = duckdb.connect()
        source.execute("create table t (id integer)")
        model = wcdc.Model("t", table="t", primary_key="id")

        @wcdc.destination
        def send(batch: Any) -> None:
            return None

        sync = wcdc.Sync(id="people", model=model, destination=send, on_removed="delete")
        with wcdc.connect(source) as warehouse:
            source.execute("insert into t values (1)")
            warehouse.run(sync)
            source.execute("delete from t")
            warehouse.run(sync)
    failed = [span for span in told.spans.get_finished_spans() if span.name == "warehouse_cdc.run"][-1]
    assert not failed.status.is_ok and (failed.attributes or {})["error.type"] == "guard-require-rows"


def test_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "trace", None)
    monkeypatch.setattr(telemetry, "metrics", None)
    assert run().status == "warning"
