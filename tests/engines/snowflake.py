"""An emulator of Snowflake for tests: fakesnow's server, mended by ``snowflake_shim.py``, on this machine.

Half a gigabyte, kept in the cache folder: what it needs doesn't go together with what the project needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from tests.engines.base import Unavailable, cache, free_port, stop

REQUIREMENTS = (
    "fakesnow[server]==0.12.1",
    # Its server is made of parts of this connector, which later ones don't have.
    "snowflake-connector-python[pandas]==4.8.1",
    "SQLAlchemy<2.1",
)
SHIM = Path(__file__).parent / "snowflake_shim.py"


def assemble() -> Path:
    """The folder of the emulator's environment, which is made if it isn't there.

    Raises:
        Unavailable: Its packages can't be installed.
    """
    home = cache() / f"fakesnow-0.12.1-py{sys.version_info.major}{sys.version_info.minor}"
    if (home / "made").exists():
        return home
    cache().mkdir(parents=True, exist_ok=True)
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", *REQUIREMENTS]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        shutil.rmtree(home, ignore_errors=True)
        raise Unavailable(f"fakesnow could not be installed:\n{(done.stdout + done.stderr)[-2000:]}")
    (home / "made").touch()
    return home


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a database, as ``connect`` takes it; it ends with the block.

    ``WCDC_TEST_SNOWFLAKE_URL`` names an emulator that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    if url := os.environ.get("WCDC_TEST_SNOWFLAKE_URL"):
        yield url
        return
    python = assemble() / "bin" / "python"
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [python, "-I", SHIM, str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(process, port)
            yield f"snowflake://test:secret@emulator/DB/MODELS?host=127.0.0.1&port={port}&protocol=http"
        except _Failed:
            log.seek(0)
            raise RuntimeError(
                "fakesnow did not start:\n" + log.read().decode(errors="replace")[-4000:]
            ) from None
        finally:
            stop(process)


class _Failed(Exception):
    """It has ended, or never listens."""


def _wait(process: subprocess.Popen[bytes], port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise _Failed
