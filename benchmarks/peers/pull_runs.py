"""One run of an engine that pulls everything: read all rows, hash each, compare with the former hashes.

It is written to be quick: rows come by the driver's fastest way (DuckDB: Arrow batches; PostgreSQL: COPY,
whose lines are hashed as they are), each row costs one hash and one look-up, only rows that changed become
Python values, and the hashes are kept in a Parquet file on the local disk. It checks nothing and keeps no
history.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from peer_child import MODEL, duckdb_path, load_duckdb, main

BATCH = 100_000
Pulled = tuple[list[int], list[bytes], Any]


def from_duckdb(job: dict[str, Any]) -> Iterator[Pulled]:
    """Keys, each row as bytes, and a function that gives rows as values."""
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc

    with duckdb.connect(duckdb_path(job["url"]), read_only=True) as connection:
        for batch in connection.sql(MODEL.format(table=job["table"])).to_arrow_reader(BATCH):
            texts = [pc.cast(column, pa.string()) for column in batch.columns]
            lines = pc.binary_join_element_wise(
                *texts, "\x1f", null_handling="replace", null_replacement="\x00"
            )
            yield (
                batch.column("id").to_pylist(),
                lines.cast(pa.binary()).to_pylist(),
                lambda places, batch=batch: batch.take(pa.array(places, pa.int64())).to_pylist(),
            )


def from_postgres(job: dict[str, Any]) -> Iterator[Pulled]:
    """Keys, each row as bytes, and a function that gives rows as values."""
    import psycopg

    model = MODEL.format(table=job["table"])
    with psycopg.connect(job["url"]) as connection, connection.cursor() as cursor:
        names = [column.name for column in cursor.execute(f"{model} LIMIT 0").description or ()]
        key = names.index("id")

        def values(line: bytes) -> dict[str, str | None]:
            fields = line.decode().rstrip("\n").split("\t")
            return {
                name: None if field == "\\N" else field for name, field in zip(names, fields, strict=True)
            }

        def pulled(lines: list[bytes]) -> Pulled:
            keys = [int(line.split(b"\t", key + 1)[key]) for line in lines]
            return keys, lines, lambda places: [values(lines[place]) for place in places]

        lines: list[bytes] = []
        with cursor.copy(f"COPY ({model}) TO STDOUT") as copy:
            for line in copy:
                lines.append(bytes(line))
                if len(lines) == BATCH:
                    yield pulled(lines)
                    lines = []
        yield pulled(lines)


def sync(batches: Iterable[Pulled], state: Path) -> int:
    """Send what differs from the kept hashes, then keep the new ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    former: dict[int, bytes] = {}
    if state.exists():
        kept = pq.read_table(state)
        former = dict(zip(kept["id"].to_pylist(), kept["hash"].to_pylist(), strict=True))
    sent = 0

    def nowhere(rows: list[Any]) -> None:
        nonlocal sent
        sent += len(rows)

    all_keys: list[int] = []
    all_hashes: list[bytes] = []
    blake = hashlib.blake2b
    for keys, lines, rows in batches:
        hashes = [blake(line, digest_size=16).digest() for line in lines]
        places = [
            place
            for place, (key, digest) in enumerate(zip(keys, hashes, strict=True))
            if former.pop(key, None) != digest
        ]
        nowhere(rows(places))
        all_keys += keys
        all_hashes += hashes
    nowhere(list(former))  # what is left was removed
    new = pa.table({"id": pa.array(all_keys, pa.int64()), "hash": pa.array(all_hashes, pa.binary(16))})
    pq.write_table(new, state.with_suffix(".new"))
    state.with_suffix(".new").replace(state)
    return sent


def run(job: dict[str, Any]) -> dict[str, Any]:
    """One run."""
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    if job["engine"] == "postgres":
        import psycopg  # noqa: F401
    else:
        load_duckdb()
    pull = from_postgres if job["engine"] == "postgres" else from_duckdb
    began = time.perf_counter()
    sent = sync(pull(job), Path(job["folder"]) / "hashes.parquet")
    return {"seconds": time.perf_counter() - began, "rows_sent": sent}


if __name__ == "__main__":
    main(run)
