"""A service that works by jobs, on a real socket: it outlives its clients; and a destination that uses it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from warehouse_cdc.destinations import Batch, Capabilities, Destination, JobWriter, Outcome, RunContext
from warehouse_cdc.errors import (
    AuthenticationError,
    DestinationError,
    PayloadTooLargeError,
    RateLimitedError,
)

FAULTS = ("lost", "cut", "busy", "limited", "refused", "large", "stall", "garbage", "denied")
"""What may go wrong with a call: the answer is ``lost``, or the call ``cut`` off before it did anything."""
FATES = ("fails", "never", "unknown", "retry")
"""What may become of a job: it fails whole, never ends, or its rows are unknown or not applied."""


@dataclass
class Held:
    """A job that was accepted."""

    job_id: str
    body: dict[str, Any]
    due: float
    fate: str | None
    answer: dict[str, Any] | None = None
    polls: int = 0

    @property
    def operation(self) -> str:
        return str(self.body["operation"])

    @property
    def rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["rows"]
        return found


@dataclass
class JobService:
    """Accepts jobs, one for each id, and works on them for a while.

    Attributes:
        seconds: How long each takes.
        script: Kind of a call (``submit``, ``poll``, ``find``) and its number among those to what goes wrong.
        fate: Number of an accepted job, and its rows, to what becomes of it.
        refuses: Rows that it refuses by themselves.
        told: Called with a job once it has taken effect, and with the places of its refused rows.
        holds: Whether a job waits for ``release``.
        jobs: What it has accepted, by handle.
        effects: How often an (operation, row id) was applied.
        table: What it holds.
        asked: How many calls of each kind arrived.
        refused_ids: How often a job came whose id it had already.
        most: The most jobs that were under way at once.
        clashes: How often a job came while one under way had rows of the same lane.
    """

    seconds: float = 0.0
    script: Callable[[str, int], str | None] = lambda kind, number: None
    fate: Callable[[int, list[dict[str, Any]]], str | None] = lambda number, rows: None
    refuses: Callable[[dict[str, Any]], bool] = lambda values: False
    told: Callable[[Held, set[int]], None] = lambda job, refused: None
    holds: Callable[[Held], bool] = lambda job: False
    jobs: dict[str, Held] = field(default_factory=dict)
    effects: Counter[tuple[str, str]] = field(default_factory=Counter)
    table: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    refused_ids: int = 0
    most: int = 0
    clashes: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> JobService:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def under_way(self) -> int:
        """Jobs that aren't over."""
        with self._lock:
            self._work()
            return sum(job.answer is None for job in self.jobs.values())

    def release(self) -> None:
        """Let all jobs end that ever do."""
        self.holds = lambda job: False
        with self._lock:
            for job in self.jobs.values():
                job.due = 0.0
            self._work()

    # -- calls ----------------------------------------------------------------------------------------

    def call(self, kind: str, path: str, body: bytes) -> tuple[int | None, Any]:
        """Status and answer; None cuts the connection."""
        with self._lock:
            number, self.asked[kind] = self.asked[kind], self.asked[kind] + 1
        fault = self.script(kind, number)
        statuses = {"busy": 503, "limited": 429, "refused": 400, "large": 413, "denied": 401, "cut": None}
        if fault in statuses:
            return statuses[fault], {}
        if fault == "stall":
            time.sleep(0.6)
        with self._lock:
            self._work()
            answer = getattr(self, f"_{kind}")(path.rpartition("/")[2], body)
        if fault == "garbage":
            return 200, "nothing that anybody could read"
        return (None, {}) if fault == "lost" else answer

    def _submit(self, _name: str, body: bytes) -> tuple[int, Any]:
        given = json.loads(body)
        known = next((handle for handle, job in self.jobs.items() if job.job_id == given["id"]), None)
        if known is not None:
            self.refused_ids += 1
            return 200, {"handle": known}
        fate = self.fate(len(self.jobs), given["rows"])
        handle = f"handle-{len(self.jobs) + 1}"
        self.jobs[handle] = Held(given["id"], given, time.monotonic() + self.seconds, fate)
        under_way = [job for job in self.jobs.values() if job.answer is None]
        lanes = [{row["values"].get("lane", id(row)) for row in job.rows} for job in under_way]
        self.most = max(self.most, len(under_way))
        self.clashes += any(lanes[-1] & lane for lane in lanes[:-1])
        self._work()
        return 200, {"handle": handle}

    def _poll(self, handle: str, _body: bytes) -> tuple[int, Any]:
        job = self.jobs.get(handle)
        if job is None:
            return 410, {}
        job.polls += 1
        return 200, {"state": "running"} if job.answer is None else job.answer

    def _find(self, job_id: str, _body: bytes) -> tuple[int, Any]:
        known = next((handle for handle, job in self.jobs.items() if job.job_id == job_id), None)
        return 200, {"handle": known}

    def _work(self) -> None:
        """Jobs whose time has come take effect."""
        now = time.monotonic()
        for job in self.jobs.values():
            if job.answer is None and job.due <= now and job.fate != "never" and not self.holds(job):
                self._apply(job)

    def _apply(self, job: Held) -> None:
        if job.fate == "fails":
            job.answer = {"state": "failed"}
            return
        failures: dict[int, tuple[str, str]] = {}
        for at, row in enumerate(job.rows):
            if self.refuses(row["values"]):
                failures[at] = ("rejected", "refused")
            elif job.fate == "retry" and at % 2 == 0:
                failures[at] = ("retryable", "later")
        refused = set(failures)
        for at, row in enumerate(job.rows):
            if at in refused:
                continue
            self.effects[job.operation, row["row_id"]] += 1
            if job.operation == "removed":
                self.table.pop(row["row_id"], None)
            else:
                self.table[row["row_id"]] = row["values"]
            if job.fate == "unknown" and at % 2:
                failures[at] = ("unknown", "nobody knows")
        job.answer = {"state": "over", "failures": failures}
        self.told(job, refused)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients cut are no news."""


def _handler(service: JobService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

        def _call(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            kind = "submit" if self.command == "POST" else self.path.split("/")[1]
            status, answer = service.call(kind, self.path, body)
            if status is None:
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _call  # noqa: N815

    return Handler


# -- the destination ------------------------------------------------------------------------------


class Jobs(Destination):
    """Sends batches as jobs of a service.

    Args:
        url: The service.
        finds: Whether it can look for jobs by their ids.
        around: Called around each submission, with ``before`` and ``after``.
        options: Further capabilities.
    """

    def __init__(
        self,
        url: str,
        *,
        finds: bool = True,
        around: Callable[[str], None] = lambda moment: None,
        timeout: float = 5.0,
        name: str = "jobs",
        **options: Any,
    ) -> None:
        self.url = url
        self.finds = finds
        self.around = around
        self.timeout = timeout
        self._name = name
        self._options = options

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            **{
                "modes": frozenset({"upsert", "insert", "archive"}),
                "on_removed": frozenset({"delete"}),
                "jobs": True,
                **self._options,
            }
        )

    def open(self, context: RunContext) -> JobWriter:
        return _Jobs(self)


class _Jobs(JobWriter):
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._client = httpx2.Client(base_url=jobs.url, timeout=jobs.timeout)

    def close(self) -> None:
        self._client.close()

    def submit(self, batch: Batch, job_id: str) -> str:
        self._jobs.around("before")
        columns = zip(batch.row_ids, batch.idempotency_keys, batch.rows, strict=True)
        rows = [{"row_id": row_id, "key": key, "values": values} for row_id, key, values in columns]
        body = {"id": job_id, "run": batch.context.run_id, "operation": batch.operation, "rows": rows}
        found = self._call("POST", "/jobs", body)
        self._jobs.around("after")
        return str(found["handle"])

    def poll(self, batch: Batch, handle: str) -> dict[int, Outcome] | None:
        found = self._call("GET", f"/poll/{handle}")
        if found["state"] == "running":
            return None
        if found["state"] == "failed":
            raise DestinationError("the job failed", retryable=False)
        return {int(at): Outcome(*failure) for at, failure in found["failures"].items()}

    def find(self, batch: Batch, job_id: str) -> str | None:
        if not self._jobs.finds:
            return super().find(batch, job_id)
        handle: str | None = self._call("GET", f"/find/{job_id}")["handle"]
        return handle

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx2.ConnectError as error:
            raise DestinationError("unreachable") from error
        except httpx2.TransportError as error:
            raise DestinationError("no answer", outcome_unknown=True) from error
        if answer.status_code == 429:
            raise RateLimitedError("slow down", status=429, retry_after=0.01)
        if answer.status_code == 503:
            raise DestinationError("busy", status=503)
        if answer.status_code == 401:
            raise AuthenticationError("who are you", status=401)
        if answer.status_code == 413:
            raise PayloadTooLargeError("too large", status=413)
        if answer.status_code == 410:
            raise DestinationError("gone", status=410, outcome_unknown=True)
        if answer.status_code >= 400:
            raise DestinationError("refused", status=answer.status_code, retryable=False)
        return answer.json()
