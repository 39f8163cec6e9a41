"""Names of files: templates with placeholders, and values made safe for paths."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath
from urllib.parse import quote

from warehouse_cdc.destinations.base import RunContext
from warehouse_cdc.errors import ConfigError

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MAX_VALUE = 80
_TIME_PARTS = ({"YYYY", "YY"}, {"MM"}, {"DD"}, {"HH"}, {"mm"}, {"ss"}, {"ms"})


def _unix_ms(moment: datetime) -> int:
    since = moment.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


_TIMES: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda at: f"{at.year:04d}",
    "YY": lambda at: f"{at.year % 100:02d}",
    "MM": lambda at: f"{at.month:02d}",
    "DD": lambda at: f"{at.day:02d}",
    "HH": lambda at: f"{at.hour:02d}",
    "mm": lambda at: f"{at.minute:02d}",
    "ss": lambda at: f"{at.second:02d}",
    "ms": lambda at: f"{at.microsecond // 1000:03d}",
    "X": lambda at: str(_unix_ms(at) // 1000),
    "x": lambda at: str(_unix_ms(at)),
}
_IDS: dict[str, Callable[[RunContext, str], str]] = {
    "model.id": lambda context, operation: context.model_id,
    "model.name": lambda context, operation: context.model_name,
    "sync.id": lambda context, operation: context.sync_id,
    "sync.run.id": lambda context, operation: context.run_id,
    "operation": lambda context, operation: operation,
}
PLACEHOLDERS = (*_IDS, *_TIMES)


def safe(value: str) -> str:
    """A value as part of a file name: no separators, not hidden, at most 80 characters; injective.

    Everything but ASCII letters, digits and ``_.-`` is percent-encoded, and so is a first dot. A longer
    value is cut, and ends in ``~`` and its SHA-256's first 32 digits; a short one never contains ``~``.
    """
    encoded = quote(value, safe="", errors="surrogatepass").replace("~", "%7E")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) <= _MAX_VALUE:
        return encoded
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"{encoded[: _MAX_VALUE - 33]}~{digest}"


@dataclass(frozen=True)
class NameTemplate:
    """A file name with placeholders, relative to the destination's directory.

    Placeholders: ``{model.id}``, ``{model.name}``, ``{sync.id}``, ``{sync.run.id}``, ``{operation}``
    (``added``, ``changed``, ``removed``), and of the run's start in UTC: ``{YYYY}``, ``{YY}``, ``{MM}``,
    ``{DD}``, ``{HH}``, ``{mm}``, ``{ss}``, ``{ms}``, ``{X}`` (Unix seconds), ``{x}`` (Unix milliseconds).

    Raises:
        ConfigError: A placeholder is unknown, or the name leaves the directory.
    """

    text: str

    def __post_init__(self) -> None:
        """Check the placeholders and the path."""
        strangers = [name for name in self._used if name not in PLACEHOLDERS]
        rest = _PLACEHOLDER.sub("", self.text)
        if strangers or "{" in rest or "}" in rest:
            shown = f"{{{strangers[0]}}}" if strangers else "a single brace"
            raise ConfigError(
                f"File name {self.text!r}: {shown} is not a placeholder.",
                code="file-name",
                hint="Placeholders: " + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS),
            )
        self._check_path()

    def _check_path(self) -> None:
        parts = self.text.split("/")
        if (
            any(not part or part in (".", "..") for part in parts)
            or parts[-1].startswith(".")
            or any(character in self.text for character in "\0\\:")
        ):
            raise ConfigError(
                f"File name {self.text!r} must be a relative path inside the directory, and not hidden.",
                code="file-name",
                hint="Use / between folders; no empty parts, no '.', '..', backslash or colon.",
            )

    @property
    def _used(self) -> list[str]:
        return _PLACEHOLDER.findall(self.text)

    @property
    def unique_per_run(self) -> bool:
        """Whether two runs of a sync never share a name."""
        used = set(self._used)
        if "sync.run.id" in used or "x" in used or {"X", "ms"} <= used:
            return True
        return all(part & used for part in _TIME_PARTS)

    @property
    def tells_operation(self) -> bool:
        """Whether each operation has its own name."""
        return "operation" in self._used

    def path(self, context: RunContext, operation: str) -> PurePosixPath:
        """The file of an operation of a run, relative to the directory."""
        at = context.started_at
        at = at.replace(tzinfo=timezone.utc) if at.tzinfo is None else at.astimezone(timezone.utc)

        def fill(match: re.Match[str]) -> str:
            name = match.group(1)
            return _TIMES[name](at) if name in _TIMES else safe(_IDS[name](context, operation))

        return PurePosixPath(_PLACEHOLDER.sub(fill, self.text))

    def check(self, context: RunContext) -> None:
        """Look whether the names of a run can't overwrite one another or those of other runs.

        Raises:
            ConfigError: They can.
        """
        if context.mode != "all" and not self.unique_per_run:
            raise ConfigError(
                f"File name {self.text!r}: in mode {context.mode!r} each run writes new files, so the name "
                "must differ from run to run.",
                code="file-name",
                hint="Add {sync.run.id}, or {x}, or the time down to {ms}.",
            )
        if (context.mode == "diff" or len(context.operations) > 1) and not self.tells_operation:
            raise ConfigError(
                f"File name {self.text!r}: mode {context.mode!r} writes a file per operation, so the name "
                "must tell it.",
                code="file-name",
                hint="Add {operation}.",
            )
