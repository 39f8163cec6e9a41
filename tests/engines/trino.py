"""A Trino server for tests: assembled from its published jars, started on this machine, stopped.

Half a gigabyte is kept in the cache folder. Needs a JDK that is new enough, and Maven for the first time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.engines.base import Unavailable, cache, free_port, stop

VERSION = "483"
JAVA = 25
"""The oldest Java that this version runs on."""

PLUGINS = {
    "iceberg": "io.trino.plugin.iceberg.IcebergPlugin",
    "memory": "io.trino.plugin.memory.MemoryPlugin",
}
CATALOGS = {
    # The file metastore is as atomic as the local file system; it says nothing about Hive's or Glue's.
    "iceberg": """
connector.name=iceberg
iceberg.catalog.type=TESTING_FILE_METASTORE
hive.metastore.catalog.dir=local:///iceberg
iceberg.unique-table-location=true
fs.native-local.enabled=true
local.location={warehouse}
""",
    "memory": "connector.name=memory\n",
}

_CONFIG = """
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
query.max-memory=400MB
query.max-memory-per-node=400MB
"""
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>{artifact}-jars</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>io.trino</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
  </dependency></dependencies>
</project>
"""
_MAIN = """public class Main {{
    public static void main(String[] arguments) {{
        new io.trino.server.Server().start("{version}");
    }}
}}
"""


def jdk() -> Path:
    """The home of a JDK that is new enough.

    Raises:
        Unavailable: There is none.
    """
    named = [os.environ[name] for name in ("JAVA_HOME", f"JAVA_HOME_{JAVA}_X64") if os.environ.get(name)]
    patterns = ("/usr/lib/jvm/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home", "/opt/java/*")
    found = [match for pattern in patterns for match in sorted(Path("/").glob(pattern[1:]))]
    for home in [*map(Path, named), *found, *Path.home().glob(".sdkman/candidates/java/*")]:
        release = home / "release"
        if not (home / "bin" / "javac").exists() or not release.exists():
            continue
        version = re.search(r'JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"))
        if version is not None and int(version[1]) >= JAVA:
            return home
    raise Unavailable(f"Trino {VERSION} needs JDK {JAVA} or later: install one, or name it in JAVA_HOME.")


def assemble() -> Path:
    """The folder of the server, which is made if it isn't there.

    Raises:
        Unavailable: No JDK, no Maven, or the jars can't be fetched.
    """
    home = cache() / f"trino-{VERSION}"
    if home.exists():
        return home
    java = jdk()
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("Maven (mvn) is needed to fetch Trino's jars.")
    cache().mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="trino-", dir=cache()))
    try:
        _fetch(maven, "trino-main", made / "lib")
        for name, plugin in PLUGINS.items():
            _fetch(maven, f"trino-{name}", made / "plugin" / name)
            with zipfile.ZipFile(made / "plugin" / name / "services.jar", "w") as services:
                services.writestr("META-INF/services/io.trino.spi.Plugin", plugin + "\n")
        source = made / "Main.java"
        source.write_text(_MAIN.format(version=VERSION), encoding="utf-8")
        classpath = str(made / "lib" / "*")
        subprocess.run(
            [java / "bin" / "javac", "-cp", classpath, "-d", made / "classes", source],
            check=True,
            capture_output=True,
        )
        made.rename(home)  # only a whole one is ever there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


def _fetch(maven: str, artifact: str, folder: Path) -> None:
    """An artifact with everything that it needs at run time."""
    with tempfile.TemporaryDirectory() as project:
        pom = Path(project) / "pom.xml"
        pom.write_text(_POM.format(artifact=artifact, version=VERSION), encoding="utf-8")
        command = [maven, "-B", "-q", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run([*command, f"-DoutputDirectory={folder}"], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{artifact} could not be fetched:\n{(done.stdout + done.stderr)[-2000:]}")


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server's Iceberg catalog, as ``connect`` takes it; it ends with the block.

    ``WCDC_TEST_TRINO_URL`` names one that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    if url := os.environ.get("WCDC_TEST_TRINO_URL"):
        yield url
        return
    java, home = jdk(), assemble()
    folder = Path(tempfile.mkdtemp(prefix="wcdc-trino-"))
    process = None
    try:
        port = free_port()
        process = _start(java, home, folder, port)
        _wait(process, port, folder / "server.log")
        yield f"trino://test@127.0.0.1:{port}/iceberg?http_scheme=http"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(java: Path, home: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    catalogs, warehouse = folder / "catalog", folder / "warehouse"
    for made in (catalogs, warehouse, folder / "data"):
        made.mkdir()
    for name, properties in CATALOGS.items():
        (catalogs / f"{name}.properties").write_text(properties.format(warehouse=warehouse))
    (folder / "config.properties").write_text(_CONFIG.format(port=port))
    settings = {
        "node.environment": "test",
        "node.bind-ip": "127.0.0.1",
        "node.internal-address": "127.0.0.1",
        "node.data-dir": folder / "data",
        "catalog.config-dir": catalogs,
        "plugin.dir": home / "plugin",
        "config": folder / "config.properties",
    }
    command = [
        str(java / "bin" / "java"),
        # Without the second compiler, which is for longer lives than a test run's, it is up sooner.
        *("-Xmx1G", "-XX:TieredStopAtLevel=1"),
        *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
        "--add-modules=jdk.incubator.vector",
        *(f"-D{name}={value}" for name, value in settings.items()),
        *("-cp", os.pathsep.join([str(home / "classes"), str(home / "lib" / "*")]), "Main"),
    ]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 180) -> None:
    """Until a real table scan answers: the server says that it is up before it can run a query."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            if _answers(port):
                return
        time.sleep(0.3)
    raise RuntimeError("Trino did not start:\n" + log.read_text(errors="replace")[-4000:])


def _answers(port: int) -> bool:
    headers = {"X-Trino-User": "test", "X-Trino-Catalog": "iceberg"}
    sql = b"SELECT count(*) FROM iceberg.information_schema.schemata"
    address = f"http://127.0.0.1:{port}/v1/statement"
    while True:
        request = urllib.request.Request(address, data=sql, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            found = json.load(answer)
        if "data" in found:
            return True
        if "nextUri" not in found:
            return False
        address, sql = found["nextUri"], None
