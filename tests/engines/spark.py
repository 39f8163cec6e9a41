"""A Spark server for tests: assembled from its published parts, with Delta Lake; started here, stopped.

Nearly a gigabyte is kept in the cache folder. Needs a JDK that is new enough, and Maven for the first time.
Tests speak to it over Spark Connect; ``python()`` is an interpreter in which a session can be made.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import site
import socket
import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines.base import Unavailable, cache, free_port, stop

JAVA = 17
"""The oldest Java that the versions run on."""
PYTHON = "pyarrow", "pandas", "grpcio", "grpcio-status", "googleapis-common-protos", "zstandard"
"""What pyspark imports beside itself for Arrow and for Spark Connect."""


@dataclass(frozen=True)
class Edition:
    """A version of Spark with what makes its tables.

    Attributes:
        version: Of Spark.
        jars: Coordinates of what is put on its class path.
        settings: Those of the format; ``{folder}`` is where it may keep tables.
    """

    version: str
    jars: tuple[str, ...]
    settings: Mapping[str, str] = field(hash=False)


DELTA = Edition(
    "4.2.0",
    ("io.delta:delta-spark_4.2_2.13:4.4.0", "io.delta:delta-storage:4.4.0"),
    {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.databricks.delta.stats.collect": "false",
        # Of 10,000 tables, dropped ones among them, it would fill the memory.
        "spark.databricks.delta.delta.log.cacheSize": "40",
    },
)

SETTINGS = {
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.timeType.enabled": "true",
    # Sessions remember the files of tables that have no log of them; tests make such tables again.
    "spark.sql.filesourceTableRelationCacheSize": "0",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "WARN",
    # Small tables: many tasks and compiled code would only take time.
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Hadoop starts a process to set the permissions of each file that it makes.
    "spark.hadoop.fs.file.impl": "NoPermissions",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "NoPermissions$Abstract",
    "spark.sql.adaptive.enabled": "false",
}

_FILES = """
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;

public class NoPermissions extends RawLocalFileSystem {
    @Override
    public void setPermission(Path path, FsPermission permission) {}

    @Override
    public String getScheme() {
        return "file";
    }

    public static class Abstract extends DelegateToFileSystem {
        public Abstract(URI uri, Configuration settings) throws Exception {
            super(uri, new NoPermissions(), settings, "file", false);
        }
    }
}
"""


def jdk() -> Path:
    """The home of a JDK that is new enough.

    Raises:
        Unavailable: There is none.
    """
    named = [os.environ[name] for name in ("JAVA_HOME", f"JAVA_HOME_{JAVA}_X64") if os.environ.get(name)]
    patterns = ("usr/lib/jvm/*", "Library/Java/JavaVirtualMachines/*/Contents/Home", "opt/java/*")
    found = [match for pattern in patterns for match in sorted(Path("/").glob(pattern))]
    for home in [*map(Path, named), *found, *Path.home().glob(".sdkman/candidates/java/*")]:
        release = home / "release"
        if not (home / "bin" / "javac").exists() or not release.exists():
            continue
        version = re.search(r'JAVA_VERSION="(\d+)', release.read_text(encoding="utf-8"))
        if version is not None and int(version[1]) >= JAVA:
            return home
    raise Unavailable(f"Spark needs JDK {JAVA} or later: install one, or name it in JAVA_HOME.")


def assemble(edition: Edition = DELTA) -> Path:
    """The folder of the server, which is made if it isn't there.

    Raises:
        Unavailable: No JDK, no Maven, or the parts can't be fetched.
    """
    home = cache() / f"spark-{edition.version}"
    if home.exists():
        return home
    jdk()
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("Maven (mvn) is needed to fetch jars.")
    cache().mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix="spark-", dir=cache()))
    try:
        for artifact in edition.jars:
            _run(
                artifact,
                maven,
                "-B",
                "-q",
                "dependency:copy",
                f"-Dartifact={artifact}",
                f"-DoutputDirectory={made / 'jars'}",
            )
        venv.create(made / "venv", with_pip=True, symlinks=True)
        _run(
            "pyspark",
            made / "venv/bin/python",
            "-m",
            "pip",
            "install",
            "--quiet",
            f"pyspark=={edition.version}",
            *PYTHON,
        )
        source = made / "NoPermissions.java"
        source.write_text(_FILES, encoding="utf-8")
        (classes,) = (made / "venv" / "lib").glob("python*/site-packages/pyspark/jars")
        _run(
            "NoPermissions",
            jdk() / "bin" / "javac",
            "--release",
            str(JAVA),
            "-nowarn",
            "-cp",
            f"{classes}/*",
            "-d",
            made / "classes",
            source,
        )
        _run(
            "NoPermissions",
            jdk() / "bin" / "jar",
            "cf",
            made / "jars" / "files.jar",
            "-C",
            made / "classes",
            ".",
        )
        made.rename(home)  # only a whole one is ever there
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return home


def _run(what: str, *command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{what} could not be fetched:\n{(done.stdout + done.stderr)[-2000:]}")


def python() -> Path:
    """The interpreter that has pyspark."""
    return assemble() / "venv" / "bin" / "python"


def path() -> list[str]:
    """Where that interpreter finds its own packages first, then those of this one."""
    (own,) = (assemble() / "venv" / "lib").glob("python*/site-packages")
    return [str(own), *site.getsitepackages()]


def settings(folder: Path, edition: Edition = DELTA) -> dict[str, str]:
    """Of a session that keeps its tables in a folder."""
    jars = sorted((assemble(edition) / "jars").glob("*.jar"))
    options = "-XX:TieredStopAtLevel=1 -Dderby.system.home=" + str(folder)
    return {
        **SETTINGS,
        **{name: value.format(folder=folder) for name, value in edition.settings.items()},
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
        "spark.driver.extraJavaOptions": options,
    }


def environment(edition: Edition = DELTA) -> dict[str, str]:
    """Of the process that starts Spark."""
    (home,) = (assemble(edition) / "venv" / "lib").glob("python*/site-packages/pyspark")
    # The client of this process tells its children of itself there.
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("SPARK_")}
    return {**inherited, "SPARK_HOME": str(home), "JAVA_HOME": str(jdk()), "SPARK_LOCAL_IP": "127.0.0.1"}


@contextlib.contextmanager
def server(edition: Edition = DELTA, given: str = "WCDC_TEST_SPARK_URL") -> Iterator[str]:
    """The address of a Spark Connect server; it ends with the block.

    Args:
        edition: Which one.
        given: The variable of the environment that names one that runs already.

    Raises:
        Unavailable: This machine can't run it.
    """
    if url := os.environ.get(given):
        yield url
        return
    assemble(edition)
    folder = Path(tempfile.mkdtemp(prefix="wcdc-spark-"))
    process = None
    try:
        port = free_port()
        process = _start(folder, port, edition)
        _wait(process, port, folder / "server.log")
        yield f"sc://127.0.0.1:{port}"
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, port: int, edition: Edition) -> subprocess.Popen[bytes]:
    around = environment(edition)
    options = {**settings(folder, edition), "spark.connect.grpc.binding.port": str(port)}
    command = [
        f"{around['SPARK_HOME']}/bin/spark-submit",
        *("--class", "org.apache.spark.sql.connect.service.SparkConnectServer"),
        *("--master", "local[2]", "--driver-memory", "1g"),
        *(word for name, value in options.items() for word in ("--conf", f"{name}={value}")),
        "spark-internal",
    ]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=folder, env=around, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _wait(process: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 180) -> None:
    """Until it listens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise RuntimeError("Spark did not start:\n" + log.read_text(errors="replace")[-4000:])
