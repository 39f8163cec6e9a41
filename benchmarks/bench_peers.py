"""What the same job costs with other tools, on the same data in the same run.

    python -m benchmarks.bench_peers [--size laptop] [--rows 1000000] [--engine duckdb] [--repeat 3]
        [--peer drt-core ...] [--kind "1 % changed" ...] [--upgrade] [--install]

Each tool is installed once, in its newest release (again with --upgrade), into an environment of its own in
the user's cache folder, and each measurement is a process of that environment's interpreter. The time is the
tool's own work, after imports, as its user would see it; the destination does nothing but count. Each tool
gets a fresh copy of the table, so that none works on what another one left. The scripts in peers/ say which
settings are used.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.bench_runs import COLUMNS, ROWS, SERIES, execute, warehouse_url

SCRIPTS = Path(__file__).parent / "peers"
TABLE = "bench_peer"
BEFORE = "bench_before"
CHANGES = {"0.1 % changed": 1000, "1 % changed": 100, "10 % changed": 10}  # one row in how many
KINDS = ("first", "no change", *CHANGES)
# What tools report about their users is off.
QUIET = {
    "DO_NOT_TRACK": "1",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "true",
}
INSTALL_SECONDS = 900
RUN_SECONDS = 3600


@dataclass(frozen=True)
class Peer:
    """A tool, or a hand-written stand-in for a kind of tools."""

    name: str
    script: str
    does: str
    packages: tuple[str, ...] = ()  # none: runs in this interpreter
    diff_only: bool = False  # compares two tables; has no state and no first run
    sends_everything: bool = False
    needs_schemas: tuple[str, ...] = ()  # made before its first run
    leaves_schemas: tuple[str, ...] = ()  # dropped after its last run
    logs: bool = True  # our own: write changelog and snapshot beside sync_runs


OWN = Peer(
    "warehouse-cdc",
    "own_runs.py",
    "whole run, in-warehouse diff and audit tables",
    needs_schemas=("hightouch_planner", "hightouch_audit"),
    leaves_schemas=("hightouch_planner", "hightouch_audit"),
)
OWN_RUNS_ONLY = Peer(
    "warehouse-cdc, sync_runs only",
    "own_runs.py",
    "whole run, in-warehouse diff, without changelog and snapshot",
    needs_schemas=OWN.needs_schemas,
    leaves_schemas=OWN.leaves_schemas,
    logs=False,
)
PEERS = (
    Peer(
        "drt-core",
        "drt_runs.py",
        "whole run, in-warehouse diff",
        ("drt-core[postgres,duckdb]",),
        leaves_schemas=("_drt",),
    ),
    Peer(
        "reladiff",
        "reladiff_runs.py",
        "diff only, against a copy",
        ("reladiff[duckdb,postgresql]",),
        diff_only=True,
    ),
    Peer(
        "sqlmesh",
        "sqlmesh_runs.py",
        "diff only, against a copy; finds counts and a sample",
        ("sqlmesh[duckdb]", "psycopg2-binary"),
        diff_only=True,
        leaves_schemas=("sqlmesh_temp",),
    ),
    Peer(
        "dlt",
        "dlt_runs.py",
        "whole run, sends everything",
        ("dlt[duckdb,parquet,postgres,sql-database]", "connectorx"),
        sends_everything=True,
    ),
    Peer("pull-everything", "pull_runs.py", "whole run, hashes compared in the client"),
)
BY_NAME = {peer.name: peer for peer in (OWN, OWN_RUNS_ONLY, *PEERS)}


class Failed(Exception):
    """A tool that can't be installed, or a run that ended badly."""


def call(command: list[Any], seconds: float, **options: Any) -> str:
    """The output of a command; the end of its complaint if it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=seconds,
            **options,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no end after {seconds:,.0f} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode:
        complaint = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise Failed(complaint[-1][:300] if complaint else f"exit code {done.returncode}")
    output: str = done.stdout
    return output


def cache_folder() -> Path:
    """Where the tools' environments are."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warehouse-cdc" / "peers"


def install(peer: Peer, *, upgrade: bool = False) -> tuple[Path, dict[str, str]]:
    """A tool's interpreter and the versions of what is installed there."""
    listing = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"
    )
    if not peer.packages:
        versions = json.loads(call([sys.executable, "-c", listing], 60))
        return Path(sys.executable), versions
    folder = cache_folder() / peer.name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed.json"
    asked = [*peer.packages, platform.python_version()]
    if stamp.exists() and not upgrade:
        kept = json.loads(stamp.read_text(encoding="utf-8"))
        if kept["asked"] == asked:
            return python, kept["versions"]
    if not (upgrade and stamp.exists()):
        shutil.rmtree(folder, ignore_errors=True)
        call([sys.executable, "-m", "venv", folder], INSTALL_SECONDS)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--upgrade"]
    call([*pip, *peer.packages], INSTALL_SECONDS)
    versions = json.loads(call([python, "-c", listing], 60))
    stamp.write_text(json.dumps({"asked": asked, "versions": versions}, indent=2) + "\n", encoding="utf-8")
    return python, versions


def version_of(peer: Peer, engine: str, versions: dict[str, str]) -> str:
    """The version that is measured: the tool's, or the driver's for what is hand-written."""
    if peer in (OWN, OWN_RUNS_ONLY):
        import warehouse_cdc

        return warehouse_cdc.__version__
    if not peer.packages:
        driver = {"duckdb": "duckdb", "postgres": "psycopg"}[engine]
        return f"{driver} {versions.get(driver, '?')}"
    return versions[peer.packages[0].split("[")[0]]


def make_source(engine: str, url: str, rows: int) -> None:
    """Make the source table of bench_runs unless it is there."""
    series = SERIES[engine].format(end=rows + 1, last=rows)
    execute(url, f"CREATE TABLE IF NOT EXISTS bench_source AS SELECT {COLUMNS} FROM {series}")


@contextmanager
def copied_source(engine: str, url: str, peer: Peer, versions: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A copy of bench_source that is this tool's alone: the URL to it, and a folder for the tool's files."""
    if engine == "postgres":
        clean = [f"DROP TABLE IF EXISTS {table}" for table in (TABLE, BEFORE)]
        clean += [f"DROP SCHEMA IF EXISTS {schema} CASCADE" for schema in peer.leaves_schemas]
        execute(url, *clean, f"CREATE TABLE {TABLE} AS SELECT * FROM bench_source")
        execute(url, *(f"CREATE SCHEMA {schema}" for schema in peer.needs_schemas))
        execute(url, f"VACUUM ANALYZE {TABLE}", "CHECKPOINT")
        try:
            with tempfile.TemporaryDirectory() as folder:
                yield url, folder
        finally:
            execute(url, *clean)
        return
    import duckdb

    source = Path(url.removeprefix("duckdb:///"))
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        # A tool that asks for an older DuckDB gets a file that this one can read.
        theirs, ours = (
            tuple(int(part) for part in version.split(".")[:2])
            for version in (versions.get("duckdb", duckdb.__version__), duckdb.__version__)
        )
        storage = f" (STORAGE_VERSION 'v{theirs[0]}.{theirs[1]}.0')" if theirs < ours else ""
        copy = Path(folder) / "peer.duckdb"
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH '{source}' AS source (READ_ONLY)")
            connection.execute(f"ATTACH '{copy}' AS copy{storage}")
            connection.execute(f"CREATE TABLE copy.{TABLE} AS SELECT * FROM source.bench_source")
        to_copy = f"duckdb:///{copy}"
        execute(to_copy, *(f"CREATE SCHEMA {schema}" for schema in peer.needs_schemas))
        yield to_copy, folder


def prepare(peer: Peer, engine: str, url: str, kind: str, number: int) -> None:
    """Bring the table into the state that the kind of run is about."""
    if peer.diff_only:
        execute(url, f"DROP TABLE IF EXISTS {BEFORE}", f"CREATE TABLE {BEFORE} AS SELECT * FROM {TABLE}")
        if engine == "postgres":
            execute(url, f"VACUUM ANALYZE {BEFORE}")
    if kind in CHANGES:
        one_in = CHANGES[kind]
        execute(url, f"UPDATE {TABLE} SET points = points + 1 WHERE id % {one_in} = {number % one_in}")


def expected_rows(peer: Peer, kind: str, rows: int, number: int) -> int:
    """How many rows a right run sends."""
    if kind == "first" or peer.sends_everything:
        return rows
    if kind == "no change":
        return 0
    one_in = CHANGES[kind]
    return len(range(number % one_in or one_in, rows + 1, one_in))


def run_child(peer: Peer, python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """One measurement, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | QUIET
    if not peer.packages:
        environment["PYTHONPATH"] = str(SCRIPTS.parent.parent)
    output = call(
        [python, SCRIPTS / peer.script, json.dumps(job)], RUN_SECONDS, cwd=job["folder"], env=environment
    )
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def job_of(peer: Peer, engine: str, url: str, folder: str) -> dict[str, Any]:
    """What the scripts of peers/ are told."""
    job = {"engine": engine, "url": url, "table": TABLE, "before": BEFORE, "folder": folder}
    return {**job, "logs": peer.logs, "columns": re.findall(r" AS (\w+)(?=, |$)", COLUMNS)}


def runs_of(
    peer: Peer, engine: str, url: str, rows: int, kinds: Iterable[str], number: int, upgrade: bool
) -> list[dict[str, Any]]:
    """All runs of one tool; one row for each kind, whatever happens."""
    kinds = tuple(kinds)
    base = {"peer": peer.name, "version": "", "engine": engine}
    nothing = {"seconds": None, "rows_sent": None}
    found: dict[str, dict[str, Any]] = {}
    wrong = ""
    try:
        python, versions = install(peer, upgrade=upgrade)
        base["version"] = version_of(peer, engine, versions)
        with copied_source(engine, url, peer, versions) as (copy, folder):
            job = job_of(peer, engine, copy, folder)
            # A run after the first one needs one, asked for or not.
            steps = kinds if peer.diff_only or "first" in kinds else ("first", *kinds)
            for kind in sorted(steps, key=KINDS.index):
                if peer.diff_only and kind == "first":
                    note = "not supported: compares two tables, so it has no first run"
                    found[kind] = {**nothing, "note": note}
                    continue
                prepare(peer, engine, copy, kind, number)
                result = run_child(peer, python, job)
                if "unsupported" in result:
                    wrong = f"not supported: {result['unsupported']}"
                    break
                expected = expected_rows(peer, kind, rows, number)
                note = peer.does
                if result["rows_sent"] != expected:
                    note += f"; WRONG: {expected:,} rows were to be found"
                if peer is OWN and kind == "first":
                    # The run after it rewrites the snapshot: every row goes from added to unchanged.
                    settled = run_child(peer, python, job)
                    note += f"; the run after it settles the snapshot in {settled['seconds']:.1f} s"
                found[kind] = {"seconds": result["seconds"], "rows_sent": result["rows_sent"], "note": note}
    except Failed as error:
        wrong = f"not supported: {'a run fails' if base['version'] else 'installation fails'}: {error}"
    return [{**base, "kind": kind, **found.get(kind, {**nothing, "note": wrong})} for kind in kinds]


def peer_runs(
    engine: str,
    url: str,
    rows: int,
    kinds: Iterable[str] = KINDS,
    *,
    peers: Iterable[str | Peer] = PEERS,
    number: int = 0,
    upgrade: bool = False,
) -> list[dict[str, Any]]:
    """Run other tools on a copy of the table bench_source, which is made if it isn't there and never changed.

    Args:
        engine: duckdb or postgres.
        url: The warehouse. For DuckDB a file that no process has open for writing.
        rows: How many rows bench_source has.
        kinds: Which of KINDS.
        peers: Tools, or their names.
        number: Which rows change; any number.
        upgrade: Install the tools again.

    Returns:
        One row for each tool and kind: peer, version, engine, kind, seconds, rows_sent, note. Where the note
        begins with "not supported:", seconds and rows_sent are None.
    """
    make_source(engine, url, rows)
    chosen = [BY_NAME[peer] if isinstance(peer, str) else peer for peer in peers]
    kinds = tuple(kinds)
    return [row for peer in chosen for row in runs_of(peer, engine, url, rows, kinds, number, upgrade)]


def asked_of(row: dict[str, Any]) -> dict[str, float]:
    """How much longer than ours a tool's run is to take at least; nothing is asked of some.

    A first run is compared with one that writes sync_runs alone, as no tool keeps a row for each row it sent;
    the other runs with all three audit tables.
    """
    if row["peer"] in (OWN.name, OWN_RUNS_ONLY.name):
        return {}
    if row["peer"] == "pull-everything":
        return {"at_least": 20.0} if row["kind"] == "0.1 % changed" else {}
    if row["engine"] == "duckdb":
        return {"at_least": 1.0}
    if row["peer"] == "drt-core":
        return {"at_least": 1.5 if row["kind"] == "first" else 8.0}
    return {}


def summarize(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians by engine, tool and kind, and how much longer a tool takes than ours in the same repetition."""
    seconds = {(one["engine"], one["kind"], one["number"], one["peer"]): one["seconds"] for one in found}

    def times(one: dict[str, Any], own: str) -> float | None:
        ours = seconds.get((one["engine"], one["kind"], one["number"], own))
        return one["seconds"] / ours if one["seconds"] and ours else None

    compared = [
        {**one, "times_own": times(one, OWN.name), "times_runs_only": times(one, OWN_RUNS_ONLY.name)}
        for one in found
    ]
    rows = []
    for row in report.medians(compared, ("engine", "peer", "kind")):
        key = (row["engine"], row["peer"], row["kind"])
        same = [one for one in found if (one["engine"], one["peer"], one["kind"]) == key]
        odd = next((one for one in same if one["seconds"] is None or "WRONG" in one["note"]), same[-1])
        row |= {"rows_sent": odd["rows_sent"], "note": odd["note"]}
        ratio = row["times_runs_only" if row["kind"] == "first" else "times_own"]
        unable = row["seconds"] is None
        rows.append({**row, **report.judged(ratio, **({} if unable else asked_of(row)))})
    return rows


SHOWN = (
    ("engine", "engine"),
    ("tool", "peer"),
    ("run", "kind"),
    ("seconds", "seconds"),
    ("times ours", "times_own"),
    ("times ours, sync_runs only", "times_runs_only"),
    ("rows sent", "rows_sent"),
    ("asked", "asked"),
    ("met", "met"),
)


def show(rows: list[dict[str, Any]], title: str) -> None:
    """Print the figures, and below them what each tool does or why it has none."""
    report.show(rows, title, SHOWN)
    notes: dict[str, list[str]] = {}
    for row in rows:
        kinds = notes.setdefault(f"{row['engine']}, {row['peer']} {row['version']}: {row['note']}", [])
        kinds.append(row["kind"])
    for note, kinds in notes.items():
        Console().print(f"{note} ({', '.join(kinds)})", markup=False, highlight=False)


def upgrade_all(peers: Iterable[Peer]) -> None:
    """Install the newest releases; a tool that can't be installed says so in its rows."""
    for peer in peers:
        try:
            _python, found = install(peer, upgrade=True)
        except Failed as error:
            print(f"{peer.name}: installation fails: {error}")
        else:
            if peer.packages:
                print(peer.name, found[peer.packages[0].split("[")[0]])


def main() -> None:
    """Measure, print a table and keep the figures."""
    parser = report.parser(__doc__, ROWS, "peers")
    parser.add_argument("--peer", action="append", choices=tuple(BY_NAME))
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--upgrade", action="store_true", help="install the newest releases again")
    parser.add_argument("--install", action="store_true", help="do that and nothing else")
    options = report.parse(parser, ROWS)
    peers = [BY_NAME[name] for name in options.peer or BY_NAME]
    if options.upgrade or options.install:
        upgrade_all(peers)
    if options.install:
        return
    found: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for engine in options.engine:
        with warehouse_url(engine) as url:
            for number in range(options.repeat):
                done = peer_runs(engine, url, options.rows, options.kind or KINDS, peers=peers, number=number)
                found += [{**one, "number": number} for one in done]
                rows = summarize(found)
                report.write(options.output, rows, rows=options.rows, repeat=options.repeat)
    show(rows, f"{options.rows:,} rows × 10 columns, medians of {options.repeat}")


if __name__ == "__main__":
    main()
