"""What the engines' modules share."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path


class Unavailable(RuntimeError):
    """This machine can't run the engine; the message says why."""


def cache() -> Path:
    """Where assembled engines are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "warehouse-cdc" / "engines"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stop(process: subprocess.Popen[bytes] | None) -> None:
    """End a server, politely at first."""
    if process is None:
        return
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
