"""The request log: which calls a run has made, with which rows, and what was answered."""

from __future__ import annotations

import heapq
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from warehouse_cdc.destinations.base import Batch, Outcomes, RunContext
from warehouse_cdc.destinations.exchanges import Exchange
from warehouse_cdc.destinations.spelling import HIDDEN, hiding, spellings
from warehouse_cdc.mapping.values import to_rows
from warehouse_cdc.sync import Sync

_log = logging.getLogger("warehouse_cdc")
_DAY = 86400.0
_RUN = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


class RequestLog:
    """One run's calls, a line of JSON each, in ``<folder>/<run>.jsonl``; used from several threads.

    A run that is sent in parts has a file for each, ``<run>.<part>.jsonl``, where that part's tasks run. With
    ``request_log_table`` the lines are also kept, until they are taken.

    A log that can't be written says so once, and harms nothing else.
    """

    def __init__(self, sync: Sync, context: RunContext, part: int | None = None) -> None:
        """Open the file, and delete files of this folder that are too old."""
        pairs = zip(context.columns, context.fields, strict=True)
        self._hidden = {field for column, field in pairs if column in sync.redact}
        self._lock = threading.Lock()
        self._file: Any = None
        self._lines: list[str] | None = [] if sync.request_log_table else None
        if sync.request_log is None:
            return
        folder = Path(sync.request_log)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            prune(folder, sync.request_log_days)
            path = folder / f"{context.run_id}{'' if part is None else f'.{part}'}.jsonl"
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(opened, "a", 1, "utf-8", "backslashreplace")
        except OSError as error:
            self._give_up(error)

    def keep(
        self,
        batch: Batch,
        outcomes: Outcomes,
        exchanges: Sequence[Exchange],
        seconds: float,
        rest: str | None = "succeeded",
    ) -> None:
        """Keep one call.

        Args:
            batch: Its rows.
            outcomes: What became of some of them.
            exchanges: What went over the wire.
            seconds: How long it took.
            rest: What became of the others; None if it said nothing of any row.
        """
        try:
            text = self._line(batch, outcomes, exchanges, seconds, rest)
            with self._lock:
                if self._file is not None:
                    self._file.write(text + "\n")
                if self._lines is not None:
                    self._lines.append(text)
        except Exception as error:  # the call was made: whatever goes wrong here must not hide its outcome
            self._give_up(error)

    def _line(
        self,
        batch: Batch,
        outcomes: Outcomes,
        exchanges: Sequence[Exchange],
        seconds: float,
        rest: str | None,
    ) -> str:
        hide = self._hiding(batch)
        rows = []
        told = () if rest is None else zip(batch.row_ids, to_rows(batch.arrow, strict=False), strict=True)
        for position, (row_id, row) in enumerate(told):
            outcome = outcomes.get(position)
            rows.append(
                {
                    "row_id": row_id,
                    "fields": {
                        name: HIDDEN if name in self._hidden else _each_text(value, hide)
                        for name, value in row.items()
                    },
                    "outcome": rest if outcome is None else outcome.status,
                    "reason": None if outcome is None else hide(outcome.reason),
                }
            )
        call = {
            "at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "sync_id": batch.context.sync_id,
            "run_id": batch.context.run_id,
            "operation": batch.operation,
            "attempt": batch.attempt,
            "seconds": round(seconds, 3),
            "rows": rows,
            "exchanges": [_each_text(asdict(exchange), hide) for exchange in exchanges],
        }
        return json.dumps(call, ensure_ascii=False, default=str)

    def _hiding(self, batch: Batch) -> Callable[[str], str]:
        """What takes the hidden columns' values out of a text."""
        schema = batch.arrow.schema
        hidden = [index for index, name in enumerate(schema.names) if name in self._hidden]
        found = (spellings(batch.arrow.column(index), schema.field(index)) for index in hidden)
        return hiding(set().union(*found))

    def take(self) -> list[str]:
        """The lines since the last time that they were taken."""
        with self._lock:
            lines = self._lines or []
            self._lines = None if self._lines is None else []
            return lines

    def _give_up(self, error: Exception) -> None:
        _log.warning("the request log can't be written (%s)", type(error).__name__)
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._file.close()
            self._file = None


def log_of(sync: Sync, context: RunContext, part: int | None = None) -> RequestLog | None:
    """A run's log, if the sync has one."""
    wanted = sync.request_log is not None or sync.request_log_table
    return RequestLog(sync, context, part) if wanted else None


def _each_text(value: Any, hide: Callable[[str], str]) -> Any:
    """A value with each of its texts changed."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        return {name: _each_text(item, hide) for name, item in value.items()}
    return [_each_text(item, hide) for item in value] if isinstance(value, list) else value


def prune(folder: Path, days: float) -> None:
    """Delete logs that nothing was written to for so many days."""
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):
            if (
                _RUN.fullmatch(path.name.partition(".")[0])
                and path.stat().st_mtime < time.time() - days * _DAY
            ):
                path.unlink()


def calls(folder: Path, run_id: str, row_id: str | None = None) -> Iterator[dict[str, Any]] | None:
    """The calls of a run, or those that a row was in; None if the folder has no log of that run."""
    run_id = run_id.upper()
    paths = [*folder.glob(f"{run_id}.jsonl"), *folder.glob(f"{run_id}.*.jsonl")]
    if not _RUN.fullmatch(run_id) or not paths:
        return None
    return heapq.merge(*(_read(path, row_id) for path in paths), key=lambda call: str(call["at"]))


def _read(path: Path, row_id: str | None) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from of_row(lines, row_id)


def of_row(lines: Iterable[str], row_id: str | None) -> Iterator[dict[str, Any]]:
    """The calls that lines hold, or those that a row was in."""
    for line in lines:
        with suppress(ValueError):  # the last line of a run that was killed
            call: dict[str, Any] = json.loads(line)
            if row_id is None or any(row["row_id"] == row_id for row in call["rows"]):
                yield call
