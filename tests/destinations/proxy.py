"""A TCP proxy in front of PostgreSQL that fails at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
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
