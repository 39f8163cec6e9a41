"""A Presto server for tests: assembled from its published jars, started on this machine, stopped.

It takes half a gigabyte of the cache folder, a JDK of a certain age, and Maven for the first time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.engines.base import cache, free_port, stop
from tests.engines.trino import fetch, jdk, wait

VERSION = "0.287"
"""The last version whose plugins are published."""
JAVA = (17, 21)
"""It wants to be able to look into itself more than later ones allow."""
_OPENED = (
    *("java.io", "java.lang", "java.lang.invoke", "java.lang.reflect", "java.net", "java.nio"),
    *("java.security", "java.util", "java.util.concurrent", "sun.nio.ch"),
)
_ASM = [f"org.ow2.asm:{name}:9.7" for name in ("asm", "asm-analysis", "asm-tree", "asm-util")]
"""Its own version of them can't read what later Javas compile."""

_CATALOG = """
connector.name=iceberg
iceberg.catalog.type=HIVE
iceberg.file-format=PARQUET
hive.metastore=file
hive.metastore.catalog.dir=file://{warehouse}
"""
_CONFIG = """
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery-server.enabled=true
discovery.uri=http://127.0.0.1:{port}
query.max-memory=400MB
query.max-memory-per-node=400MB
query.max-total-memory-per-node=500MB
"""


def assemble() -> Path:
    """The folder of the server, which is made if it isn't there.

    Raises:
        Unavailable: No JDK, no Maven, or the jars can't be fetched.
    """
    home = cache() / f"presto-{VERSION}"
    if home.exists():
        return home
    jdk("Presto", *JAVA)
    cache().mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="presto-", dir=cache()))
    try:
        for folder, name in (("lib", "main"), ("plugin/iceberg", "iceberg")):
            fetch(made / "server" / folder, f"com.facebook.presto:presto-{name}:{VERSION}", *_ASM)
        (made / "server").rename(home)  # only whole servers are ever there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server's Iceberg catalog, as ``connect`` takes it; it ends with the block.

    ``WCDC_TEST_PRESTO_URL`` names one that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    if url := os.environ.get("WCDC_TEST_PRESTO_URL"):
        yield url
        return
    java, home = jdk("Presto", *JAVA), assemble()
    folder = Path(tempfile.mkdtemp(prefix="wcdc-presto-"))
    process = None
    try:
        port = free_port()
        process = _start(java, home, folder, port)
        wait(process, port, "iceberg", folder / "server.log", "Presto")
        yield f"presto://test@127.0.0.1:{port}/iceberg?http_scheme=http"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(java: Path, home: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    catalogs, warehouse = folder / "catalog", folder / "warehouse"
    for made in (catalogs, warehouse, folder / "data"):
        made.mkdir()
    (catalogs / "iceberg.properties").write_text(_CATALOG.format(warehouse=warehouse))
    (folder / "config.properties").write_text(_CONFIG.format(port=port))
    settings = {
        "node.environment": "test",
        "node.id": "test",
        "node.bind-ip": "127.0.0.1",
        "node.internal-address": "127.0.0.1",
        "node.data-dir": folder / "data",
        "catalog.config-dir": catalogs,
        "plugin.dir": home / "plugin",
        "config": folder / "config.properties",
        "java.security.manager": "allow",
        "jdk.attach.allowAttachSelf": "true",
    }
    command = [
        str(java / "bin" / "java"),
        *("-Xmx1G", "-XX:TieredStopAtLevel=1"),
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *(f"-D{name}={value}" for name, value in settings.items()),
        *("-cp", str(home / "lib" / "*"), "com.facebook.presto.server.PrestoServer"),
    ]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
