"""Files in a directory: each operation's rows become visible at once, or not at all.

A run writes into hidden temporary files of the same directory; publishing one flushes it to the disk and
renames it. Readers never see half a file, and an interrupted run leaves nothing but a temporary, which
the sync's next run removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Destination,
    Outcomes,
    RunContext,
    Writer,
    rejected,
)
from warehouse_cdc.destinations.file_names import NameTemplate, safe
from warehouse_cdc.errors import ConfigError, DestinationError

_TEMPORARY = ".wcdc~{sync}~{run}~{operation}.tmp"
_MAX_NAME = 255


class Unit(ABC):
    """The file of one operation while it is written."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Create the temporary file."""
        self.path = path
        self.schema = schema
        self.rows = 0
        self.broken = False

    @abstractmethod
    def add(self, table: pa.Table) -> dict[int, str]:
        """Write rows.

        Returns:
            The reason of each row that the format can't hold, by position; those aren't written.

        Raises:
            OSError: None of the rows was written.
        """

    @abstractmethod
    def finish(self) -> None:
        """Write what is left, force it to the disk and close."""

    @abstractmethod
    def discard(self) -> None:
        """Close without more ado."""


class FileDestination(Destination):
    """Base of the file formats.

    Args:
        directory: Where the files go; created when the first run opens it, with its parents.
        name: Template of the file's name, which may contain folders; see
            :class:`~warehouse_cdc.destinations.file_names.NameTemplate`. By default
            ``{sync.id}_{sync.run.id}_{operation}`` with the format's extension, and ``{sync.id}`` with it
            in mode ``all``, where every run replaces the file.
        skip_empty: Publish no file for an operation without rows. Otherwise it gets an empty one.

    Raises:
        ConfigError: The name is unusable.
    """

    extension = ""
    label = "files"

    def __init__(
        self, directory: str | os.PathLike[str], name: str | None = None, *, skip_empty: bool = False
    ) -> None:
        given: Any = directory
        if not isinstance(given, (str, os.PathLike)) or not os.fspath(given):
            raise ConfigError(f"{type(self).__name__}: directory must be a path.", code="file-directory")
        self.directory = Path(directory)
        self.template = None if name is None else NameTemplate(name)
        self.skip_empty = skip_empty

    def __repr__(self) -> str:
        """Show where the files go."""
        name = "" if self.template is None else f", {self.template.text!r}"
        return f"{type(self).__name__}({str(self.directory)!r}{name})"

    @property
    def name(self) -> str:
        """The format and the directory."""
        return f"{self.label}: {self.directory}"

    @property
    def capabilities(self) -> Capabilities:
        """Files are written one batch at a time, and published whole."""
        return Capabilities(
            modes=frozenset({"insert", "all", "snapshot", "diff"}),
            batch_rows=10_000,
            concurrency=1,
            max_concurrency=1,
        )

    def publishes(self, mode: str) -> bool:
        """Nothing is visible before it is published, whatever the mode."""
        return True

    @abstractmethod
    def unit(self, path: Path, schema: pa.Schema) -> Unit:
        """Start a file of the format."""

    def name_template(self, context: RunContext) -> NameTemplate:
        """The template in use, which depends on the mode if none was given."""
        if self.template is not None:
            return self.template
        stem = "{sync.id}" if context.mode == "all" else "{sync.id}_{sync.run.id}_{operation}"
        return NameTemplate(stem + self.extension)

    def path(self, context: RunContext, operation: str) -> Path:
        """The file that an operation of a run is published as."""
        return self.directory / self.name_template(context).path(context, operation)

    def check(self, context: RunContext) -> None:
        """Look whether the names are safe and the directory is one that can be written.

        Raises:
            ConfigError: A run's file could overwrite another's, or the directory can't be used.
        """
        self.name_template(context).check(context)
        for operation in context.operations:
            target = self.path(context, operation)
            if any(len(os.fsencode(part)) > _MAX_NAME for part in target.parts):
                raise ConfigError(
                    f"{target} has a part of more than {_MAX_NAME} bytes.",
                    code="file-name",
                    hint="Use fewer placeholders in one part of the name.",
                )
            if target.is_dir():
                raise ConfigError(f"{target} is a directory, not a file.", code="file-name")
        existing = self.directory
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise ConfigError(
                f"{existing} is not a directory that this process may write to.",
                code="file-directory",
                hint="Give another directory, or the right to write there.",
            )

    def open(self, context: RunContext) -> Writer:
        """A writer for one run; removes what interrupted runs of the sync left behind."""
        self.name_template(context).check(context)
        return FileWriter(self, context)

    def published(self, context: RunContext, operation: str) -> bool | None:
        """Whether an operation's file took its place.

        None if its name doesn't tell the run, and where neither it nor the run's own temporary file is
        there: somebody may have fetched it.
        """
        template = self.name_template(context)
        if not template.unique_per_run:
            return None
        try:
            if self.path(context, operation).is_file():
                return True
            return False if (self.directory / _temporary(context, operation)).is_file() else None
        except OSError:
            return None


class FileWriter(Writer):
    """Writes one file per operation, and publishes it by renaming."""

    def __init__(self, destination: FileDestination, context: RunContext) -> None:
        self._destination = destination
        self._context = context
        self._lock = threading.Lock()
        self._units: dict[str, Unit] = {}
        self._published: set[str] = set()
        with _file_errors(f"{destination.directory} can't be prepared"):
            destination.directory.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()

    def write(self, batch: Batch) -> Outcomes:
        """Append a batch to its operation's temporary file."""
        with self._lock, _file_errors("the rows can't be written"):
            unit = self._unit(batch.operation)
            if unit.broken or batch.operation in self._published:
                raise self._broken(batch.operation)
            unit.broken = True  # a file that misses rows, or holds half of one, must not be published
            refused = unit.add(batch.arrow)
            unit.broken = False
            unit.rows += len(batch) - len(refused)
        return {position: rejected(reason, permanent=True) for position, reason in refused.items()}

    def publish(self, operation: str) -> None:
        """Give the operation's file its name."""
        if operation in self._published:
            return
        target = self._destination.path(self._context, operation)
        with self._lock, _file_errors("the file can't be published"):
            unit = self._unit(operation)
            if unit.broken:
                raise self._broken(operation)
            if not unit.rows and self._destination.skip_empty:
                return
            unit.broken = True  # until it is renamed: a second attempt must not publish a closed file
            unit.finish()
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(unit.path, target)
            del self._units[operation]
            self._published.add(operation)
        with _file_errors("the file's name may not survive a power loss", outcome_unknown=True):
            _sync_directory(target.parent)

    def close(self) -> None:
        """Remove the temporaries of what was not published."""
        with self._lock:
            for unit in self._units.values():
                with contextlib.suppress(OSError):
                    unit.discard()
                with contextlib.suppress(OSError):
                    unit.path.unlink(missing_ok=True)
            self._units.clear()

    def _unit(self, operation: str) -> Unit:
        unit = self._units.get(operation)
        if unit is None:
            path = self._destination.directory / _temporary(self._context, operation)
            unit = self._units[operation] = self._destination.unit(path, self._context.schema)
        return unit

    def _remove_leftovers(self) -> None:
        prefix = _temporary(self._context, "").split("~", 2)
        start = "~".join(prefix[:2]) + "~"
        for entry in os.scandir(self._destination.directory):
            if entry.name.startswith(start) and entry.name.endswith(".tmp") and entry.is_file():
                os.unlink(entry.path)

    def _broken(self, operation: str) -> DestinationError:
        return DestinationError(
            f"The file of the {operation} rows is damaged by an earlier error and will not be published.",
            code="file-write",
            retryable=False,
        )


def _temporary(context: RunContext, operation: str) -> str:
    # safe() may leave one "~" in a long id: take it out, it separates the parts here.
    sync, run = (safe(text).replace("~", "+") for text in (context.sync_id, context.run_id))
    return _TEMPORARY.format(sync=sync, run=run, operation=operation)


@contextlib.contextmanager
def _file_errors(what: str, *, outcome_unknown: bool = False) -> Iterator[None]:
    """Turn an operating system error into one that says whether something took effect."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DestinationError(
            f"{what[0].upper()}{what[1:]}: {error.strerror or type(error).__name__}.",
            code="file-write",
            hint="Free some space; the run can then be repeated: nothing was published." if full else "",
            outcome_unknown=outcome_unknown,
            retryable=False,
        ) from error


def _sync_directory(directory: Path) -> None:
    """Make a rename survive a power loss (where directories can be opened)."""
    flags: Any = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    descriptor = os.open(directory, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
