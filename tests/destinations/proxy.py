"""TCP proxies in front of a server that fail at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

COMMIT = b"COMMIT\0"


class Proxy:
    """Forwards bytes until a client's message contains a text; then it does as told.

    Args:
        url: The server's URL.
        text: What to wait for.
        action: ``drop`` cuts both sides before the message reaches the server, ``lose`` after the server
            has it but before its answer reaches the client, ``hang`` holds the message back for good.
    """

    def __init__(self, url: str, text: bytes, action: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname, parts.port)
        self._text, self._action = text, action
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.armed = True
        port = self._listener.getsockname()[1]
        self.url = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._server)  # type: ignore[arg-type]
                self._open += [client, server]
                for args in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._forward, args=args, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, watch: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if watch and self.armed and self._text in data:
                    self.armed = False
                    self._fail(source, target, data)
                    return
                target.sendall(data)
        _close(source)
        _close(target)

    def _fail(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        if self._action == "hang":
            return
        if self._action == "lose":
            _close(client)
            server.sendall(data)
            with contextlib.suppress(OSError):
                server.recv(1)  # until the server has answered, or its answer was taken
        else:
            _close(client)
        _close(server)


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class StatementProxy:
    """Forwards to a server until its clients have sent so many statements; then it does as told, once.

    Args:
        server: Its host and port.
        counted: Tells, for what a client sends on one connection, how many statements each part of it begins.

    Attributes:
        port: Where clients connect.
        seen: Statements so far.
        done: Whether it has failed as told.
    """

    def __init__(self, server: tuple[str, int], counted: Callable[[], Callable[[bytes], int]]) -> None:
        self._server, self._counted = server, counted
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.arm(0, "")
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, number: int, action: str, seconds: float = 0.0) -> None:
        """Count from now on.

        Args:
            number: The statement to fail at; 0 is none.
            action: ``drop`` it, ``lose`` its answer, make its answer ``late``, or be ``down`` from then on.
            seconds: How late.
        """
        with self._lock:
            self._number, self._action, self._seconds = number, action, seconds
            self.seen, self.done = 0, False

    def __enter__(self) -> StatementProxy:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._server)
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open += [client, server]
                ends = (client, server, [0.0], threading.Event())
                threading.Thread(target=self._send, args=ends, daemon=True).start()
                threading.Thread(target=self._answer, args=ends, daemon=True).start()

    def _is_due(self, statements: int) -> bool:
        with self._lock:
            self.seen += statements
            if self.done and self._action == "down":
                return True
            if not statements or self.done or not 0 < self._number <= self.seen:
                return False
            self.done = True
            return True

    def _send(
        self, client: socket.socket, server: socket.socket, late: list[float], answered: threading.Event
    ) -> None:
        count = self._counted()
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._is_due(count(data)):
                    if self._action == "late":
                        late[0] = self._seconds
                    else:
                        late[0] = -1.0
                        _close(client)
                        if self._action == "lose":
                            server.sendall(data)
                            answered.wait(10)
                        break
                server.sendall(data)
        _close(client)
        _close(server)

    def _answer(
        self, client: socket.socket, server: socket.socket, late: list[float], answered: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if late[0] < 0:
                    answered.set()
                    return  # the other thread cuts the connection
                if late[0]:
                    time.sleep(late[0])
                    late[0] = 0.0
                client.sendall(data)
        _close(client)
        _close(server)


def postgres_statements() -> Callable[[bytes], int]:
    """Counts queries, and the ends of extended ones, in what a PostgreSQL client sends on a connection."""
    left = bytearray()
    started = False

    def count(data: bytes) -> int:
        nonlocal started
        left.extend(data)
        found = 0
        while True:
            head = 1 if started else 0
            if len(left) < head + 4:
                return found
            size = head + int.from_bytes(left[head : head + 4], "big")
            if len(left) < size:
                return found
            if started:
                found += left[:1] in (b"Q", b"S")
            else:
                started = left[4:8] == (196608).to_bytes(4, "big")
            del left[:size]

    return count


def http_requests(verb: bytes) -> Callable[[bytes], int]:
    """Counts requests of a kind, of which one is sent at a time on a connection."""
    return lambda data: int(data.startswith(verb))
