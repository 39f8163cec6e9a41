"""An emulator of BigQuery's service, which runs GoogleSQL by translating it for DuckDB."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.engines.base import Unavailable, cache, free_port, stop
from tests.engines.googlesql import assemble as assemble_analyzer
from tests.engines.googlesql import install

DUCKDB = "1.5.5"
EXTENSIONS = ("icu", "ducklake", "spatial")
PACKAGES = (
    "local-bigquery==0.3.2",
    f"duckdb=={DUCKDB}",
    f"duckdb-extensions=={DUCKDB}",
    *(f"duckdb-extension-{name}=={DUCKDB}" for name in EXTENSIONS),
)
PYTHON = (3, 13)
"""The oldest Python that it runs on."""
SERVER = Path(__file__).with_name("bigquery_server.py")
PROJECT = "local"
_IMPORT = """
import sys, duckdb
from duckdb_extensions import import_extension
for name in sys.argv[1:]:
    import_extension(name, con=duckdb.connect())
"""


def interpreter() -> str:
    """A Python that is new enough.

    Raises:
        Unavailable: There is none.
    """
    named = [sys.executable, *(shutil.which(f"python3.{minor}") for minor in range(PYTHON[1], 16))]
    kept = sorted(map(str, Path.home().glob(".pyenv/versions/3.*/bin/python")), reverse=True)
    check = f"import sys; sys.exit(sys.version_info < {PYTHON})"
    for python in [*filter(None, named), *kept]:
        if subprocess.run([python, "-c", check], capture_output=True).returncode == 0:
            return python
    raise Unavailable("The emulator needs Python 3.13 or later.")


def assemble() -> Path:
    """The folder of the emulator, which is made if it isn't there; and the analyzer's.

    Raises:
        Unavailable: There is no Python for it, or the packages can't be fetched.
    """
    assemble_analyzer()
    home = cache() / PACKAGES[0].replace("==", "-")
    if not (home / "installed").exists():
        install(home, PACKAGES, interpreter())
    ready = home / "extensions"
    if not ready.exists():
        done = subprocess.run(
            [home / "bin" / "python", "-c", _IMPORT, *EXTENSIONS],
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Unavailable(f"DuckDB's extensions could not be installed:\n{done.stderr[-2000:]}")
        ready.touch()
    return home


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of an emulator, as ``connect`` takes it; it ends with the block.

    Raises:
        Unavailable: This machine can't run it.
    """
    home = assemble()
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="wcdc-bigquery-", dir=where))
    process = None
    try:
        port, grpc_port = free_port(), free_port()
        command = [home / "bin" / "python", SERVER, "--host", "127.0.0.1", "--project", PROJECT]
        ports = ["--port", str(port), "--grpc-port", str(grpc_port), "--data-dir", str(folder / "data")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *ports],
                env={**os.environ, "HOME": str(home)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait(process, port, folder / "log")
        yield (
            f"bigquery://{PROJECT}?location=US&api_endpoint=http://127.0.0.1:{port}"
            f"&storage_endpoint=http://127.0.0.1:{grpc_port}"
        )
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    address = f"http://127.0.0.1:{port}/bigquery/v2/projects/{PROJECT}/datasets"
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError):
            urllib.request.urlopen(address, timeout=10).close()
            return
        time.sleep(0.1)
    raise RuntimeError("The emulator did not start:\n" + log.read_text(errors="replace")[-4000:])
