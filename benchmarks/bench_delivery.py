"""What delivery reaches: rows a second to a function that does nothing, and to a local HTTP server.

    python -m benchmarks.bench_delivery [--size laptop] [--repeat 3]

The bare client (httpx2, as many threads) sends the same rows to the same server, made into JSON from Python
objects that are there already; the engine's time is that of its whole delivery: reading the plan, JSON,
limits, outcomes, checkpoints.
The server is a process of its own that reads each request and answers ``{}``.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import report
from warehouse_cdc.engine.result import Progress

ROWS = {"small": 20_000, "laptop": 200_000, "full": 1_000_000}
BATCHES = {1: 40, 100: 1, 1000: 1}
"""Rows in a request to the part of the rows that is sent so."""
THREADS = 4
SHARE = 0.8
SHOWN = (
    ("to", "kind"),
    ("batch", "batch"),
    ("who", "peer"),
    ("seconds", "seconds"),
    ("rows/s", "rows_per_second"),
    *report.JUDGED,
)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read requests and answer them, as long as the client keeps the connection."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=1 << 26)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def sink() -> Iterator[str]:
    """The URL of a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_delivery", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def deliver(source: Path, destination: Any, rows: int, batch: int) -> float:
    """Seconds of a first run's delivery."""
    import warehouse_cdc as wcdc

    moments: dict[str, float] = {}

    def progress(at: Progress) -> None:
        moments.setdefault(at.phase, time.perf_counter())

    def observer(step: Any, moment: str) -> None:
        if (step.value, moment) == ("read", "before"):
            moments.setdefault("begun", time.perf_counter())

    sync = wcdc.Sync(
        id=f"bench_{time.monotonic_ns()}",
        model=wcdc.Model("m", sql=f"SELECT * FROM people WHERE id < {rows}", primary_key="id"),
        destination=destination,
        batch_rows=batch,
        concurrency=THREADS,
        changelog=False,
        snapshot=False,
        rate="1000000/second",
    )
    with wcdc.connect(f"duckdb:///{source}") as warehouse:
        run = warehouse.run(sync, progress=progress, observer=observer)
    assert run.status == "success", run.error
    return moments["reporting"] - moments["begun"]


def bare(url: str, batches: list[list[dict[str, Any]]]) -> float:
    """Seconds of the client alone, and of what makes JSON of rows."""
    import httpx2

    with httpx2.Client(base_url=url, headers={"Content-Type": "application/json"}) as client:

        def send(rows: list[dict[str, Any]]) -> None:
            assert client.post("/rows", content=json.dumps(rows).encode()).status_code == 200

        with ThreadPoolExecutor(THREADS) as pool:
            began = time.perf_counter()
            for _ in pool.map(send, batches):
                pass
            return time.perf_counter() - began


def batches_of(source: Path, rows: int, batch: int) -> list[list[dict[str, Any]]]:
    """The rows of each request, as Python objects."""
    import duckdb

    with duckdb.connect(str(source), read_only=True) as connection:
        found = connection.execute(f"SELECT * FROM people WHERE id < {rows}").fetchall()
        names = [column[0] for column in connection.description or ()]
    dicts = [dict(zip(names, row, strict=True)) for row in found]
    return [dicts[at : at + batch] for at in range(0, len(dicts), batch)]


def measure(source: Path, url: str, rows: int) -> Iterator[report.Row]:
    """One repetition."""
    import warehouse_cdc as wcdc
    from warehouse_cdc.destinations import HttpRequest
    from warehouse_cdc.destinations.http import Request

    for batch, part in BATCHES.items():
        size = rows // part
        nothing = wcdc.destination(name="nothing")(lambda rows_of_it: None)
        seconds = deliver(source, nothing, size, batch)
        yield {"kind": "a function that does nothing", "batch": batch, "peer": "warehouse_cdc"} | rated(
            seconds, size
        )
        alone = bare(url, batches_of(source, size, batch))
        yield {"kind": "HTTP", "batch": batch, "peer": "httpx2 alone"} | rated(alone, size)
        request = Request(url="/rows")
        seconds = deliver(source, HttpRequest(url, added=request, changed=request), size, batch)
        ratio = report.judged(round(alone / seconds, 3), at_least=SHARE)
        yield {"kind": "HTTP", "batch": batch, "peer": "warehouse_cdc", **rated(seconds, size), **ratio}


def rated(seconds: float, rows: int) -> report.Row:
    return {"seconds": round(seconds, 3), "rows_per_second": round(rows / seconds), "rows_sent": rows}


def main() -> None:
    made = report.parser(__doc__, ROWS, "delivery")
    made.add_argument("--serve", action="store_true", help="be the server")
    options = report.parse(made, ROWS)
    if options.serve:
        asyncio.run(_serve())
        return
    import duckdb

    with tempfile.TemporaryDirectory() as folder, sink() as url:
        source = Path(folder) / "source.duckdb"
        with duckdb.connect(str(source)) as connection:
            connection.execute(
                "CREATE TABLE people AS SELECT i AS id, 'name ' || i AS name, "
                "'p' || i || '@example.org' AS email, "
                f"i % 97 AS score, i % 2 = 0 AS active FROM range({options.rows}) r(i)"
            )
        found = [row for _ in range(options.repeat) for row in measure(source, url, options.rows)]
    rows = report.medians(found, ("kind", "batch", "peer"))
    for row in rows:
        if "limit" in row:
            row |= report.judged(row["ratio"], at_least=SHARE)
    report.show(rows, "Delivery", SHOWN)
    report.write(options.output, rows, size=options.size, rows=options.rows, threads=THREADS)


if __name__ == "__main__":
    main()
