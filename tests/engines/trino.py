"""Trino servers for tests: assembled from their published jars, started on this machine, stopped.

They take less than a gigabyte of the cache folder, a JDK that is new enough, and Maven for the first time.
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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.engines.base import Unavailable, cache, free_port, stop

JAVA = 25
"""The oldest Java that both versions run on."""


@dataclass(frozen=True)
class Release:
    """A version of Trino.

    Attributes:
        version: Its number.
        plugins: Connector to the class that has it.
        catalogs: Catalog to its properties; in braces are a folder, and where PostgreSQL is. The first one is
            that of the tests.
    """

    version: str
    plugins: Mapping[str, str]
    catalogs: Mapping[str, str]


NEWEST = Release(
    "483",
    {
        "iceberg": "io.trino.plugin.iceberg.IcebergPlugin",
        "memory": "io.trino.plugin.memory.MemoryPlugin",
        "hive": "io.trino.plugin.hive.HivePlugin",
    },
    {
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
        "hive": """
connector.name=hive
hive.metastore=file
hive.metastore.catalog.dir=local:///hive
fs.native-local.enabled=true
local.location={warehouse}
hive.security=allow-all
""",
    },
)
WITH_POSTGRES = Release(
    "449",
    {"postgresql": "io.trino.plugin.postgresql.PostgreSqlPlugin"},
    {
        "postgresql": """
connector.name=postgresql
connection-url=jdbc:postgresql://{postgres}
connection-user=postgres
connection-password=
postgresql.array-mapping=AS_ARRAY
"""
    },
)
"""The last version whose PostgreSQL plugin was published as a jar."""

_CONFIG = """
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
query.max-memory=400MB
query.max-memory-per-node=400MB
query.max-history=20
query.min-expire-age=1m
"""
_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>jars</artifactId><version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""
_DEPENDENCY = """<dependency>
    <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
  </dependency>"""
_MAIN = """public class Main {{
    public static void main(String[] arguments) {{
        new io.trino.server.Server().start("{version}");
    }}
}}
"""


def jdk(server: str = "Trino", oldest: int = JAVA, newest: int = 99) -> Path:
    """The home of a JDK that a server runs on.

    Args:
        server: What it is for.
        oldest: The oldest version that will do.
        newest: The newest one.

    Raises:
        Unavailable: There is none.
    """
    named = [os.environ[name] for name in ("JAVA_HOME", f"JAVA_HOME_{oldest}_X64") if os.environ.get(name)]
    patterns = ("/usr/lib/jvm/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home", "/opt/java/*")
    found = [match for pattern in patterns for match in sorted(Path("/").glob(pattern[1:]))]
    for home in [*map(Path, named), *found, *Path.home().glob(".sdkman/candidates/java/*")]:
        release = home / "release"
        if not (home / "bin" / "java").exists() or not release.exists():
            continue
        version = re.search(r'JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"))
        if version is not None and oldest <= int(version[1]) <= newest:
            return home
    wanted = f"JDK {oldest} or later" if newest == 99 else f"a JDK from {oldest} to {newest}"
    raise Unavailable(f"{server} needs {wanted}: install one, or name it in JAVA_HOME.")


def assemble() -> Path:
    """The folder of the newest version; those of all are made if they aren't there.

    Raises:
        Unavailable: No JDK, no Maven, or the jars can't be fetched.
    """
    return [_assembled(release) for release in (WITH_POSTGRES, NEWEST)][-1]


def _assembled(release: Release) -> Path:
    home = cache() / f"trino-{release.version}"
    missing = [name for name in release.plugins if not (home / "plugin" / name).exists()]
    if not missing:
        return home
    java = jdk()
    cache().mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="trino-", dir=cache()))
    try:
        if not home.exists():
            fetch(made / "server" / "lib", f"io.trino:trino-main:{release.version}")
            source = made / "Main.java"
            source.write_text(_MAIN.format(version=release.version), encoding="utf-8")
            classpath, classes = str(made / "server" / "lib" / "*"), made / "server" / "classes"
            command = [java / "bin" / "javac", "-cp", classpath, "-d", classes, source]
            subprocess.run(command, check=True, capture_output=True)
            (made / "server" / "plugin").mkdir()
            (made / "server").rename(home)  # only whole parts are ever there
        for name in missing:
            fetch(made / name, f"io.trino:trino-{name}:{release.version}")
            with zipfile.ZipFile(made / name / "services.jar", "w") as services:
                services.writestr("META-INF/services/io.trino.spi.Plugin", release.plugins[name] + "\n")
            (made / name).rename(home / "plugin" / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


def fetch(folder: Path, *artifacts: str) -> None:
    """Copy artifacts into a folder, with everything that they need at run time.

    Args:
        folder: The folder.
        artifacts: Group, name and version of each.

    Raises:
        Unavailable: There is no Maven, or they can't be fetched.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("Maven (mvn) is needed to fetch jars.")
    with tempfile.TemporaryDirectory() as project:
        pom = Path(project) / "pom.xml"
        needed = "".join(_DEPENDENCY.format(*artifact.split(":")) for artifact in artifacts)
        pom.write_text(_POM.format(dependencies=needed), encoding="utf-8")
        command = [maven, "-B", "-q", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime"]
        done = subprocess.run([*command, f"-DoutputDirectory={folder}"], capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr)[-2000:]
        raise Unavailable(f"{', '.join(artifacts)} could not be fetched:\n{said}")


_running: list[str] = []
"""The server that this process has started."""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The address of a server's Iceberg catalog, as ``connect`` takes it; it ends with the block.

    One that this process has started is shared; ``WCDC_TEST_TRINO_URL`` names one that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    url = os.environ.get("WCDC_TEST_TRINO_URL") or next(iter(_running), None)
    if url is not None:
        yield url
        return
    with _server(NEWEST) as url:
        _running.append(url)
        try:
            yield url
        finally:
            _running.clear()


@contextlib.contextmanager
def on_postgres(postgres_url: str) -> Iterator[str]:
    """The address of a server's PostgreSQL catalog; it ends with the block.

    Args:
        postgres_url: The database that the catalog shows, as its superuser.

    Raises:
        Unavailable: This machine can't run it.
    """
    parts = urlsplit(postgres_url)
    with _server(WITH_POSTGRES, f"{parts.hostname}:{parts.port}{parts.path}") as url:
        yield url


@contextlib.contextmanager
def _server(release: Release, postgres: str = "") -> Iterator[str]:
    java, home = jdk(), _assembled(release)
    folder = Path(tempfile.mkdtemp(prefix="wcdc-trino-"))
    catalog = next(iter(release.catalogs))
    process = None
    try:
        port = free_port()
        process = _start(java, home, folder, port, release.catalogs, postgres)
        wait(process, port, catalog, folder / "server.log")
        yield f"trino://test@127.0.0.1:{port}/{catalog}?http_scheme=http"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    java: Path, home: Path, folder: Path, port: int, catalogs: Mapping[str, str], postgres: str
) -> subprocess.Popen[bytes]:
    described, warehouse = folder / "catalog", folder / "warehouse"
    for made in (described, warehouse, folder / "data"):
        made.mkdir()
    for name, properties in catalogs.items():
        filled = properties.format(warehouse=warehouse, postgres=postgres)
        (described / f"{name}.properties").write_text(filled)
    (folder / "config.properties").write_text(_CONFIG.format(port=port))
    settings = {
        "node.environment": "test",
        "node.bind-ip": "127.0.0.1",
        "node.internal-address": "127.0.0.1",
        "node.data-dir": folder / "data",
        "catalog.config-dir": described,
        "plugin.dir": home / "plugin",
        "config": folder / "config.properties",
    }
    command = [
        str(java / "bin" / "java"),
        # Without the second compiler, which is for longer lives than a test run's, it is up sooner.
        *("-Xmx2G", "-XX:TieredStopAtLevel=1"),
        *("--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"),
        "--add-modules=jdk.incubator.vector",
        *(f"-D{name}={value}" for name, value in settings.items()),
        *("-cp", os.pathsep.join([str(home / "classes"), str(home / "lib" / "*")]), "Main"),
    ]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def wait(
    process: subprocess.Popen[bytes],
    port: int,
    catalog: str,
    log: Path,
    server: str = "Trino",
    seconds: float = 180,
) -> None:
    """Until a real table scan answers: the server says that it is up before it can run a query."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, urllib.error.URLError):
            if _answers(port, catalog, server):
                return
        time.sleep(0.3)
    raise RuntimeError(f"{server} did not start:\n" + log.read_text(errors="replace")[-4000:])


def _answers(port: int, catalog: str, server: str) -> bool:
    headers = {f"X-{server}-User": "test", f"X-{server}-Catalog": catalog}
    sql = b"SELECT count(*) FROM information_schema.schemata"
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
