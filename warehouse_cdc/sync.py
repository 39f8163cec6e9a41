"""What a user declares as a sync: a model, a destination and how they correspond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.limits import Window, windows
from warehouse_cdc.model import Model

if TYPE_CHECKING:
    from warehouse_cdc.destinations.base import Destination

OPERATIONS = ("removed", "changed", "added")
"""The operations, in the order in which they are sent (D14)."""


@dataclass(frozen=True)
class Mode:
    """What a sync mode does with each operation (the table of modes in docs/concepts.md).

    Attributes:
        cdc: Whether rows are compared with the last delivered state.
        changed: Whether changed rows are sent.
        removed: ``"never"``, ``"on_removed"`` (the sync's setting decides) or ``"always"``.
        replaces: Whether a run replaces all that the destination held.
    """

    cdc: bool
    changed: bool = False
    removed: str = "never"
    replaces: bool = False


MODES: Mapping[str, Mode] = {
    "insert": Mode(cdc=True),
    "update": Mode(cdc=True, changed=True, removed="on_removed"),
    "upsert": Mode(cdc=True, changed=True, removed="on_removed"),
    "diff": Mode(cdc=True, changed=True, removed="always"),
    "archive": Mode(cdc=False),
    "all": Mode(cdc=False, replaces=True),
    "mirror": Mode(cdc=False, replaces=True),
    "snapshot": Mode(cdc=False),
}

ON_REMOVED = ("nothing", "clear", "delete")


@dataclass(frozen=True, kw_only=True)
class Sync:
    """One model sent to one destination, in one mode.

    Args:
        id: A stable name. State and audit rows belong to it: another id is another sync.
        model: What to send.
        destination: A destination, or any callable (wrapped by ``warehouse_cdc.destination``).
        mode: ``insert``, ``update``, ``upsert``, ``diff``, ``archive``, ``all``, ``mirror`` or ``snapshot``;
            the destination says which it supports.
        on_removed: What happens at the destination to a row that left the model:
            ``nothing``, ``clear`` (its mapped fields) or ``delete``.
        mappings: Destination field to model column. Without it, every column under its own name.
        match: Model column to destination field that identifies the record there; by default the
            primary key under its own name.
        on_rejected: What becomes of added and changed rows that the destination has rejected in
            ``rejected_runs`` runs, with the same values each time: ``retry`` them for ever, ``quarantine``
            them until they are released or change, or ``drop`` them until they change.
        rejected_runs: See ``on_rejected``.
        on_duplicate: ``reject`` all copies of a duplicate key, or ``keep_one``, the first in canonical order.
        max_removed: Guard: the most rows that may newly leave the model in one run, as a count (int) or
            as a share of the state (float, 0 to 1, applied once the state has 100 rows); None is off.
        require_rows: Guard: stop if the model returns no row while the state holds some.
        skip_initial: Take the model's rows as delivered in the first run.
        max_rejected: Stop the run (the rest is aborted) when more rows than this were rejected; None is off.
        batch_rows: Rows in one call of the destination; the destination's own default if None.
        concurrency: Calls under way at once; the destination's own default if None.
        chunk_rows: Rows between two checkpoints: the most that a crash can send twice.
        max_attempts: Attempts to send a row in one run.
        retry_budget: Repeated calls in one run, over all rows; None is no limit.
        split_retries: Send the halves of a batch that was refused as a whole, and theirs, until each row has
            an outcome of its own; the destination's own default if None.
        breaker: Stop the run when so many calls in a row failed as a whole, to the last attempt; None is off.
        rate: Calls in any window of time: ``"100/second"``, ``"5 per 10 minutes"``, or several,
            ``"10/second; 500/minute"``; the destination's own default if None.
        row_rate: The same for rows.
        share_rate: A name: syncs of one process that give the same name and rates keep to them together.
        order_by: A model column: rows with the same value of it are never under way at once, and go in order.
        retry_wait: Seconds of the first pause between attempts; it doubles, with jitter.
        retry_wait_max: Seconds that no such pause exceeds.
        retry_after_max: Seconds that a destination may ask to wait; the run stops if it asks for more.
        batch_timeout: Seconds that one call may take; shorter than the lease.
        job_timeout: Seconds that a job may take, where the destination works by jobs; the run stops then.
        poll_wait: Seconds before a job is asked for the first time; they double, up to 30 s.
        request_log: A folder that keeps each call with its rows and answer, a file a run; None keeps nothing.
        request_log_table: Keep the same in a table of the planner schema, ``wcdc_requests``.
        request_log_days: Days that files and rows are kept.
        redact: Model columns whose values the request log doesn't show.
        changelog: Write ``sync_changelog``; the warehouse's setting if None.
        snapshot: Write ``sync_snapshot``; the warehouse's setting if None.
        sync_runs: Write ``sync_runs``; the warehouse's setting if None.

    Raises:
        ConfigError: A value is out of range, or the destination doesn't support the combination.
    """

    id: str
    model: Model
    destination: Destination
    mode: str = "upsert"
    on_removed: str = "nothing"
    mappings: Mapping[str, str] | None = None
    match: Mapping[str, str] | None = None
    on_duplicate: str = "reject"
    on_rejected: str = "retry"
    rejected_runs: int = 3
    max_removed: int | float | None = 0.5
    require_rows: bool = True
    skip_initial: bool = False
    max_rejected: int | None = None
    batch_rows: int | None = None
    concurrency: int | None = None
    chunk_rows: int = 10_000
    max_attempts: int = 5
    retry_budget: int | None = None
    split_retries: bool | None = None
    breaker: int | None = 20
    rate: str | None = None
    row_rate: str | None = None
    share_rate: str | None = None
    order_by: str | None = None
    retry_wait: float = 0.5
    retry_wait_max: float = 30.0
    retry_after_max: float = 300.0
    batch_timeout: float = 30.0
    job_timeout: float = 3600.0
    poll_wait: float = 1.0
    request_log: str | PathLike[str] | None = None
    request_log_table: bool = False
    request_log_days: float = 7.0
    redact: Sequence[str] = ()
    changelog: bool | None = None
    snapshot: bool | None = None
    sync_runs: bool | None = None

    def __post_init__(self) -> None:
        """Check every value, and the combination against the destination's capabilities."""
        from warehouse_cdc.destinations.base import as_destination

        if not isinstance(self.id, str) or not self.id.strip() or len(self.id) > 200 or "\0" in self.id:
            raise ConfigError("A sync needs an id of 1 to 200 characters.", code="sync-id")
        if not isinstance(self.model, Model):
            raise ConfigError(f"Sync {self.id!r}: model must be a Model.", code="sync-model")
        object.__setattr__(self, "destination", as_destination(self.destination))
        self._check_choices()
        self._check_numbers()
        self._check_rates()
        self._check_fields()

    @property
    def traits(self) -> Mode:
        """What the sync's mode does with each operation."""
        return MODES[self.mode]

    @property
    def at_once(self) -> int:
        """How many calls may be under way at once."""
        able = self.destination.capabilities
        return min(self.concurrency or able.concurrency, able.max_concurrency)

    @property
    def sends_removed(self) -> bool:
        """Whether a removed row makes a call to the destination."""
        removed = self.traits.removed
        return removed == "always" or (removed == "on_removed" and self.on_removed != "nothing")

    @property
    def splits(self) -> bool:
        """Whether the halves of a batch that was refused as a whole are sent again."""
        default = self.destination.capabilities.split_retries
        return default if self.split_retries is None else self.split_retries

    @property
    def policy(self) -> str:
        """What is done with rows that are rejected again and again, as text; empty if nothing is."""
        if self.on_rejected == "retry" or not self.traits.cdc:
            return ""
        return f"{self.on_rejected} after {self.rejected_runs}"

    @property
    def rates(self) -> tuple[Window, ...]:
        """The windows of time that its calls and rows keep to."""
        able = self.destination.capabilities
        return windows(self.rate or able.rate, self.row_rate or able.row_rate)

    def _check_choices(self) -> None:
        able = self.destination.capabilities
        for label, value, known in (
            ("mode", self.mode, tuple(MODES)),
            ("on_removed", self.on_removed, ON_REMOVED),
            ("on_duplicate", self.on_duplicate, ("reject", "keep_one")),
            ("on_rejected", self.on_rejected, ("retry", "quarantine", "drop")),
        ):
            if value not in known:
                raise ConfigError(
                    f"Sync {self.id!r}: {label} {value!r} is unknown.",
                    code=f"sync-{label.replace('_', '-')}",
                    hint=f"One of {', '.join(known)}.",
                )
        if self.mode not in able.modes:
            raise ConfigError(
                f"Sync {self.id!r}: {self.destination.name} does not support mode {self.mode!r}.",
                code="sync-mode",
                hint=f"It supports {', '.join(sorted(able.modes))}.",
            )
        if able.jobs and self.destination.publishes(self.mode):
            raise ConfigError(
                f"Sync {self.id!r}: {self.destination.name} can't both work by jobs and publish.",
                code="sync-destination",
            )
        if self.traits.removed != "on_removed" and self.on_removed != "nothing":
            raise ConfigError(
                f"Sync {self.id!r}: on_removed has no meaning in mode {self.mode!r}.", code="sync-on-removed"
            )
        if self.on_removed != "nothing" and self.on_removed not in able.on_removed:
            raise ConfigError(
                f"Sync {self.id!r}: {self.destination.name} does not support on_removed={self.on_removed!r}.",
                code="sync-on-removed",
                hint=f"It supports {', '.join(sorted(able.on_removed | {'nothing'}))}.",
            )

    def _check_numbers(self) -> None:
        def number(label: str, low: float, *, whole: bool = True, optional: bool = False) -> None:
            value: Any = getattr(self, label)
            if value is None and optional:
                return
            kinds = (int,) if whole else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not value >= low:
                raise ConfigError(
                    f"Sync {self.id!r}: {label} must be {'a whole number' if whole else 'a number'} "
                    f"of at least {low:g}.",
                    code="sync-number",
                )

        number("chunk_rows", 1)
        number("rejected_runs", 1)
        number("max_attempts", 1)
        number("batch_rows", 1, optional=True)
        number("concurrency", 1, optional=True)
        number("max_rejected", 0, optional=True)
        number("retry_budget", 0, optional=True)
        number("breaker", 1, optional=True)
        number("max_removed", 0, whole=False, optional=True)
        number("retry_wait", 0, whole=False)
        number("retry_wait_max", 0, whole=False)
        number("retry_after_max", 0, whole=False)
        number("batch_timeout", 0.001, whole=False)
        number("job_timeout", 0.001, whole=False)
        number("poll_wait", 0.001, whole=False)
        number("request_log_days", 0, whole=False)
        if isinstance(self.max_removed, float) and self.max_removed > 1:
            raise ConfigError(
                f"Sync {self.id!r}: max_removed as a float is a share of the state, from 0 to 1.",
                code="sync-number",
                hint="Give a count of rows as an int.",
            )

    def _check_rates(self) -> None:
        try:
            found = self.rates
        except ConfigError as error:
            raise ConfigError(
                f"Sync {self.id!r}: {error.message}", code=error.code, hint=error.hint
            ) from None
        if self.share_rate is not None and not (
            isinstance(self.share_rate, str) and self.share_rate and found
        ):
            raise ConfigError(f"Sync {self.id!r}: share_rate is the name of a rate.", code="sync-rate")

    def _check_fields(self) -> None:
        if not isinstance(self.redact, list | tuple) or not all(isinstance(n, str) for n in self.redact):
            raise ConfigError(
                f"Sync {self.id!r}: redact must be a list of column names.", code="sync-mappings"
            )
        if self.request_log is not None and not isinstance(self.request_log, str | PathLike):
            raise ConfigError(f"Sync {self.id!r}: request_log must be a folder.", code="request-log")
        for label in ("mappings", "match"):
            pairs = getattr(self, label)
            if pairs is None:
                continue
            if not isinstance(pairs, Mapping) or not all(
                isinstance(text, str) and text for pair in pairs.items() for text in pair
            ):
                way = "destination fields to model columns"
                if label == "match":
                    way = "model columns to destination fields"
                raise ConfigError(f"Sync {self.id!r}: {label} must map {way}.", code=f"sync-{label}")
            if label == "match" and len(set(pairs.values())) != len(pairs):
                raise ConfigError(
                    f"Sync {self.id!r}: {label} names a destination field twice.", code=f"sync-{label}"
                )
            object.__setattr__(self, label, dict(pairs))
        if self.match is not None and not self.match:
            raise ConfigError(f"Sync {self.id!r}: match names no field.", code="sync-match")
        if self.mappings is None and not self.destination.capabilities.whole_rows:
            raise ConfigError(
                f"Sync {self.id!r}: {self.destination.name} needs mappings.", code="sync-mappings"
            )
