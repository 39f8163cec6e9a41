"""Traces and metrics by OpenTelemetry's API: nothing without it, and nothing but calls without an SDK.

A run is a span, ``warehouse_cdc.run``, and each of its steps one below it, ``warehouse_cdc.<step>``.
Operations are counted by what became of them, so are calls of destinations. No attribute holds a row's value
or key.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import TracebackType
from typing import Any

from warehouse_cdc.engine.result import Run
from warehouse_cdc.engine.transitions import Observer, Step

metrics: Any = None
trace: Any = None
with suppress(ModuleNotFoundError):
    from opentelemetry import metrics, trace

NAME = "warehouse_cdc"


class Telemetry:
    """One run's span and numbers; a context manager around it."""

    def __init__(self, sync_id: str, kind: str) -> None:
        """Prepare; the span begins with the context."""
        self._about = {"sync.id": sync_id, "sync.kind": kind}
        self._spans: dict[tuple[int, Step], Any] = {}
        self._span: Any = None
        self._began = 0.0

    def __enter__(self) -> Telemetry:
        """Begin the run's span."""
        self._began = time.monotonic()
        if trace is not None:
            self._span = trace.get_tracer(NAME).start_span(f"{NAME}.run", attributes=self._about)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End it, and steps that were not finished."""
        if self._span is None:
            return
        for span in self._spans.values():
            span.set_status(trace.StatusCode.ERROR)
            span.end()
        if kind is not None:
            # Not the error's own words: they may hold more than a code.
            self._span.set_attribute("error.type", getattr(error, "code", None) or kind.__name__)
            self._span.set_status(trace.StatusCode.ERROR)
        self._span.end()

    def observer(self, inner: Observer) -> Observer:
        """An observer that makes a span of each step."""
        if trace is None:
            return inner

        tracer = trace.get_tracer(NAME)

        def observe(step: Step, moment: str) -> None:
            place = (threading.get_ident(), step)
            if moment == "before":
                parent = None if self._span is None else trace.set_span_in_context(self._span)
                self._spans[place] = tracer.start_span(f"{NAME}.{step.value}", parent)
            inner(step, moment)
            if moment == "after" and (span := self._spans.pop(place, None)) is not None:
                span.end()

        return observe

    def ended(self, run: Run) -> None:
        """Tell how the run ended."""
        if self._span is not None:
            self._span.set_attributes({"run.id": run.run_id, "run.status": run.status})
            if run.status in ("failed", "cancelled"):
                self._span.set_status(trace.StatusCode.ERROR)
        if metrics is None:
            return
        tell = _instruments(metrics.get_meter)
        for operation, counts in run.counts.items():
            for outcome in ("succeeded", "failed", "aborted"):
                if number := getattr(counts, outcome):
                    about = {**self._about, "operation": operation, "outcome": outcome}
                    tell["operations"].add(number, about)
        seconds = time.monotonic() - self._began
        tell["run.duration"].record(seconds, {**self._about, "run.status": run.status})
        tell["statements"].add(run.statements, self._about)


@cache
def _instruments(get_meter: Callable[[str], Any]) -> dict[str, Any]:
    """The instruments of a meter, made once: a meter keeps each that it makes."""
    meter = get_meter(NAME)
    counters = {
        "operations": ("{operation}", "Operations by their outcome"),
        "statements": ("{statement}", "Statements of the warehouse"),
    }
    histograms = {
        "run.duration": ("s", "Time of a run"),
        "call.duration": ("s", "Time of a destination's call"),
        "call.rows": ("{row}", "Rows of a destination's call"),
    }
    made = {name: meter.create_counter(f"{NAME}.{name}", *about) for name, about in counters.items()}
    return made | {
        name: meter.create_histogram(f"{NAME}.{name}", *about) for name, about in histograms.items()
    }


def called(sync_id: str, operation: str, rows: int, outcome: str, seconds: float, *, again: bool) -> None:
    """Count a call of a destination.

    Args:
        sync_id: The sync.
        operation: What happened to its rows.
        rows: Their number.
        outcome: ``succeeded``, or how it failed as a whole, or ``rejections``.
        seconds: How long it took.
        again: Whether its rows had been sent before in this run.
    """
    if metrics is None:
        return
    tell = _instruments(metrics.get_meter)
    about = {"sync.id": sync_id, "operation": operation, "outcome": outcome, "repeated": again}
    tell["call.duration"].record(seconds, about)
    tell["call.rows"].record(rows, about)
