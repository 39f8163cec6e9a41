"""Any Python callable as a destination."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

from warehouse_cdc.destinations.base import (
    Batch,
    Capabilities,
    Destination,
    Outcome,
    Outcomes,
    RunContext,
    Writer,
    rejected,
)
from warehouse_cdc.errors import ConfigError, DestinationError
from warehouse_cdc.limits import windows

MODES = ("insert", "update", "upsert", "archive")
ON_REMOVED = ("clear", "delete")

_HINT = (
    "Return None if every row succeeded; or a dictionary from row_id to the reason, with the rows that "
    "failed; or a list with one entry per row: None, a reason or an Outcome."
)


class FunctionDestination(Destination):
    """A function that gets each batch.

    The function is called with a :class:`~warehouse_cdc.destinations.Batch` and tells what became of its
    rows by what it returns:

    * None: every row succeeded;
    * a mapping of ``row_id`` to a reason (text: the row is rejected) or an ``Outcome``: these rows
      didn't succeed, the others did;
    * a sequence with one entry per row: None (succeeded), a reason or an ``Outcome``.

    A :class:`~warehouse_cdc.errors.DestinationError` that it raises speaks for the whole batch. After any
    other exception, and after an answer that can't be understood, every row's outcome is unknown.

    Args:
        function: The callable. It is called from several threads if ``concurrency`` is above 1.
        batch_size: Rows in one call, unless the sync says otherwise.
        concurrency: Calls under way at once, unless the sync says otherwise.
        modes: The sync modes that it serves.
        on_removed: What it does with removed rows: ``clear``, ``delete``.
        split_retries: Whether a batch that it refuses as a whole, having applied none of it, comes again in
            halves.
        rate: Calls in any window of time, unless the sync says otherwise: ``"100/second"``.
        row_rate: The same for rows.
        name: What audit tables show; the function's name by default.

    Raises:
        ConfigError: The function isn't a plain callable, or an option is out of range.
    """

    def __init__(
        self,
        function: Callable[[Batch], Any],
        *,
        batch_size: int = 1000,
        concurrency: int = 1,
        modes: Iterable[str] = MODES,
        on_removed: Iterable[str] = ON_REMOVED,
        split_retries: bool = False,
        rate: str | None = None,
        row_rate: str | None = None,
        name: str | None = None,
    ) -> None:
        _check_callable(function)
        windows(rate, row_rate)
        given: Any = (("batch_size", batch_size), ("concurrency", concurrency))
        for label, number in given:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(
                    f"destination: {label} must be a whole number of at least 1.", code="destination-option"
                )
        if name is not None and not str(name).strip():
            raise ConfigError("destination: name must be text.", code="destination-option")
        self.function = function
        self._name = name or _name_of(function)
        self._capabilities = Capabilities(
            modes=_choices("modes", modes, MODES, needed=True),
            on_removed=_choices("on_removed", on_removed, ON_REMOVED),
            batch_rows=batch_size,
            concurrency=concurrency,
            max_concurrency=max(64, concurrency),
            split_retries=split_retries,
            rate=rate,
            row_rate=row_rate,
        )
        functools.update_wrapper(self, function, updated=())

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel with the function, which pickle finds below the name that was decorated."""
        name = getattr(self, "__qualname__", "")
        if getattr(sys.modules.get(self.__module__), name, None) is self:
            self.function.__qualname__ = f"{name}.function"
        return super().__reduce_ex__(protocol)

    def __call__(self, batch: Batch) -> Any:
        """Call the function itself."""
        return self.function(batch)

    def __repr__(self) -> str:
        """Show the function's name."""
        return f"FunctionDestination({self._name})"

    @property
    def name(self) -> str:
        """The function's name, or the one that was given."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What the declaration says."""
        return self._capabilities

    def open(self, context: RunContext) -> Writer:
        """A writer that calls the function."""
        return _FunctionWriter(self.function, self._name)


@overload
def destination(function: Callable[[Batch], Any], /) -> FunctionDestination: ...


@overload
def destination(
    *,
    batch_size: int = ...,
    concurrency: int = ...,
    modes: Iterable[str] = ...,
    on_removed: Iterable[str] = ...,
    split_retries: bool = ...,
    rate: str | None = ...,
    row_rate: str | None = ...,
    name: str | None = ...,
) -> Callable[[Callable[[Batch], Any]], FunctionDestination]: ...


def destination(function: Callable[[Batch], Any] | None = None, /, **options: Any) -> Any:
    """Make a destination of a function; usable bare or with the options of :class:`FunctionDestination`.

    >>> @destination(batch_size=500)
    ... def send(batch):
    ...     return {row_id: "no e-mail" for row_id, row in zip(batch.row_ids, batch.rows) if not row["email"]}
    >>> send
    FunctionDestination(send)
    """
    if function is not None:
        return FunctionDestination(function)
    return functools.partial(FunctionDestination, **options)


class _FunctionWriter(Writer):
    """Calls the function and reads its answer."""

    def __init__(self, function: Callable[[Batch], Any], name: str) -> None:
        self._function = function
        self._name = name

    def write(self, batch: Batch) -> Outcomes:
        """Send a batch to the function."""
        answer = self._function(batch)
        if answer is None:
            return {}
        if isinstance(answer, Mapping):
            return self._of_mapping(answer, batch)
        if isinstance(answer, Sequence) and not isinstance(answer, (str, bytes, bytearray)):
            return self._of_sequence(answer, batch)
        if inspect.iscoroutine(answer):
            answer.close()
        raise self._misunderstood(f"it returned a {type(answer).__name__}")

    def _of_mapping(self, answer: Mapping[Any, Any], batch: Batch) -> Outcomes:
        positions = {row_id: position for position, row_id in enumerate(batch.row_ids)}
        strangers = sum(1 for row_id in answer if row_id not in positions)
        if strangers:
            raise self._misunderstood(f"{strangers} of its row ids are not in the batch")
        pairs = ((positions[row_id], entry) for row_id, entry in answer.items())
        return {position: self._outcome(entry) for position, entry in pairs if entry is not None}

    def _of_sequence(self, answer: Sequence[Any], batch: Batch) -> Outcomes:
        if len(answer) != len(batch):
            raise self._misunderstood(f"it returned {len(answer)} entries for {len(batch)} rows")
        return {position: self._outcome(entry) for position, entry in enumerate(answer) if entry is not None}

    def _outcome(self, entry: Any) -> Outcome:
        if isinstance(entry, str):
            return rejected(entry or "rejected")
        if isinstance(entry, Outcome) and entry.status in ("retryable", "rejected", "unknown"):
            return entry
        raise self._misunderstood(f"an entry is a {type(entry).__name__}")

    def _misunderstood(self, what: str) -> DestinationError:
        return DestinationError(
            f"The answer of {self._name} can't be understood: {what}.",
            code="destination-answer",
            hint=_HINT,
            outcome_unknown=True,
            retryable=False,
        )


def _check_callable(function: Any) -> None:
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(
            "A destination function must be a callable that takes a batch.",
            code="destination-function",
            hint="A destination class must be instantiated first." if inspect.isclass(function) else "",
        )
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    call = getattr(type(bare), "__call__", None)  # noqa: B004
    for candidate in (bare, call):
        if inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate):
            raise ConfigError(
                f"{_name_of(function)} is a coroutine function; a destination function must be a plain one.",
                code="destination-function",
                hint="Wrap it: call asyncio.run(...) inside a plain function.",
            )
        if inspect.isgeneratorfunction(candidate):
            raise ConfigError(
                f"{_name_of(function)} is a generator function, which would never run.",
                code="destination-function",
                hint="Return a list instead of yielding.",
            )


def _name_of(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None) or type(function).__name__
    return "lambda" if name == "<lambda>" else str(name)


def _choices(
    label: str, given: Iterable[str], known: tuple[str, ...], *, needed: bool = False
) -> frozenset[str]:
    chosen = frozenset([given] if isinstance(given, str) else given)
    strangers = sorted(str(choice) for choice in chosen - set(known))
    if strangers or (needed and not chosen):
        raise ConfigError(
            f"destination: {label} can't be {', '.join(strangers) or 'empty'}.",
            code="destination-option",
            hint=f"Any of {', '.join(known)}.",
        )
    return chosen
