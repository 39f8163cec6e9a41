"""An HTTP server that keeps a table of rows, and fails as it is told: on a real socket, by its own clock."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one call.

    Attributes:
        status: Answer with this status; None answers as usual.
        headers: Of that answer.
        body: Of that answer.
        applied: Whether the call takes effect all the same.
        reset: Cut the connection: ``before`` the call has an effect, ``after`` it (if ``applied``), or in the
            ``middle`` of the answer.
        stall: Seconds to wait before the answer.
        drip: Seconds between two bytes of the answer.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    applied: bool = False
    reset: str | None = None
    stall: float = 0.0
    drip: float = 0.0


@dataclass(frozen=True)
class Call:
    """A call that arrived.

    Attributes:
        at: When its request line was read, by the monotonic clock.
        method: Its method.
        path: Its path with the query.
        headers: Its headers, with names in lower case.
        body: Its body.
        applied: Whether it took effect.
        status: How it was answered; None if it wasn't.
        header_lines: Its headers as they came.
    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    applied: bool
    status: int | None
    header_lines: Sequence[tuple[str, str]] = ()

    @property
    def rows(self) -> list[Any]:
        """The rows in its JSON body."""
        found = json.loads(self.body or b"null")
        return found if isinstance(found, list) else [] if found is None else [found]


Script = Callable[[int, str, bytes], Fault | None]
"""Number of the call (from 0), its path and body, to what goes wrong with it."""


class FaultServer:
    """A table behind HTTP.

    ``POST /rows`` and ``PUT /rows`` upsert the JSON object or array of objects in the body, ``POST /remove``
    and ``DELETE /rows`` remove them, by the field ``key``; ``DELETE /rows/KEY`` removes one. All other paths
    are taken without effect. Calls are atomic. A call with an ``Idempotency-Key`` that took effect before has
    no second effect.

    Args:
        key: The field that identifies a row.
        script: What goes wrong with each call.
        poison: Rows that make the server refuse their whole call with status 422.
        tls: The server's TLS context.

    Attributes:
        table: What it holds, by key.
        effects: How many times a row was applied, by (operation, key).
        calls: What arrived, in order.
        under_way: Calls that are being answered, or were given up and would be.
        most_at_once: The most calls that were under way at once.
    """

    def __init__(
        self,
        *,
        key: str = "id",
        script: Script | None = None,
        poison: Callable[[Any], bool] = lambda row: False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.key = key
        self.script: Script = script or (lambda number, path, body: None)
        self.poison = poison
        self.table: dict[Any, Any] = {}
        self.effects: dict[tuple[str, Any], int] = {}
        self.calls: list[Call] = []
        self.most_at_once = 0
        self._seen: set[str] = set()
        self._number = 0
        self.under_way = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultServer:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop; connections that are open are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def most_in(self, seconds: float, weigh: Callable[[Call], int] = lambda call: 1) -> int:
        """The most calls that arrived in any such time, or what they weigh."""
        arrived = sorted((call.at, weigh(call)) for call in self.calls)
        most = total = first = 0
        for at, weight in arrived:
            total += weight
            while at - arrived[first][0] >= seconds:
                total -= arrived[first][1]
                first += 1
            most = max(most, total)
        return most

    # -- one call -------------------------------------------------------------------------------------

    def _arrived(self, path: str, body: bytes) -> Fault | None:
        with self._lock:
            number, self._number = self._number, self._number + 1
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        return self.script(number, path, body)

    def _note(self, call: Call) -> None:
        with self._lock:
            self.calls.append(call)

    def _ended(self) -> None:
        with self._lock:
            self.under_way -= 1

    def _apply(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str, bool]:
        """Status, body of the answer, and whether the call took effect."""
        removes = method == "DELETE" or path.startswith("/remove")
        parts = path.partition("?")[0].strip("/").split("/")
        if parts[0] not in ("rows", "remove"):
            return 200, "{}", True
        try:
            given = json.loads(body) if body else []
        except ValueError:
            return 400, "no JSON", False
        rows = given if isinstance(given, list) else [given]
        if method == "DELETE" and len(parts) == 2:
            rows = [{self.key: unquote(parts[1])}]
        if any(self.poison(row) for row in rows):
            return 422, "a row is refused", False
        token = headers.get("idempotency-key")
        with self._lock:
            if token is None or token not in self._seen:
                for row in rows:
                    self._change(row, removes)
                self._seen.add(token or "")
        return 200, "{}", True

    def _change(self, row: Any, removes: bool) -> None:
        key = row[self.key]
        operation = "removed" if removes else "written"
        self.effects[operation, key] = self.effects.get((operation, key), 0) + 1
        if removes:
            for held in [each for each in self.table if str(each) == str(key)]:
                del self.table[held]
        else:
            self.table[key] = row


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients cut are no news."""


def _handler(owner: FaultServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: ``calls`` holds what arrived."""

        def _call(self) -> None:
            at = time.monotonic()
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length") or 0))
            fault = owner._arrived(self.path, body) or Fault()
            answer: tuple[int, str] = (fault.status or 200, fault.body)
            applied = False
            try:
                if fault.reset != "before" and (
                    fault.applied or (fault.status is None and fault.reset is None)
                ):
                    code, text, applied = owner._apply(self.command, self.path, headers, body)
                    if fault.status is None:
                        answer = (code, text)
                time.sleep(fault.stall)
                cut = fault.reset in ("before", "after")
                status = None if cut else answer[0]
                lines = tuple(self.headers.items())
                owner._note(Call(at, self.command, self.path, headers, body, applied, status, lines))
                if cut:
                    self._cut()
                else:
                    self._answer(*answer, fault)
            finally:
                owner._ended()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _call  # noqa: N815

        def _answer(self, status: int, text: str, fault: Fault) -> None:
            data = text.encode()
            self.send_response(status)
            for name, value in fault.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault.reset == "middle":
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                self._cut()
            elif fault.drip:
                for byte in data:
                    time.sleep(fault.drip)
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
            else:
                self.wfile.write(data)

        def _cut(self) -> None:
            """Reset the connection."""
            self.close_connection = True
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

    return Handler


def in_turn(faults: Sequence[Fault | None]) -> Script:
    """A script: one fault after the other, then none."""
    return lambda number, path, body: faults[number] if number < len(faults) else None
