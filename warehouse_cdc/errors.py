"""The errors that this library raises.

::

    CdcError (code, hint, retryable)
    ├─ ConfigError(ValueError)      a declaration is wrong; nothing was written or sent
    ├─ ModelError                   the model's SQL is refused: line, column, excerpt
    ├─ UnsupportedError             this dialect or destination can't do that
    ├─ WarehouseError               a statement failed: sql, query_id
    │  ├─ QueryError
    │  ├─ ConnectionLostError
    │  ├─ WarehouseLockedError      another process holds the database file
    │  └─ PermissionDeniedError     a grant is missing
    ├─ DestinationError             status, retry_after, outcome_unknown
    │  ├─ AuthenticationError
    │  ├─ RateLimitedError
    │  └─ PayloadTooLargeError
    ├─ GuardError                   a guard stopped the run before anything was sent
    └─ StateError                   the stored state can't be used as it is
       ├─ SyncInProgressError
       ├─ LeaseLostError
       └─ StateVersionError

Messages never contain row values or secrets. ``str(error)`` is the message, then the hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CdcError(Exception):
    """Base of all errors of this library.

    Attributes:
        code: A stable identifier, for example ``unknown-field``; ``docs/errors`` has a page for each.
        hint: What to do about it, or an empty string.
        retryable: Whether the same call may succeed later without a change.
    """

    default_code = "error"
    default_retryable = False

    def __init__(
        self, message: str, *, code: str | None = None, hint: str = "", retryable: bool | None = None
    ) -> None:
        """Keep the message, its code and the hint."""
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.retryable = self.default_retryable if retryable is None else retryable
        super().__init__(f"{message}\n  hint: {hint}" if hint else message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes an error stays what it is, also one that wants more than a message."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[CdcError], args: tuple[Any, ...], attributes: dict[str, Any]) -> CdcError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class ConfigError(CdcError, ValueError):
    """A declaration is wrong: bad value, unknown field, unsupported mode, missing extra."""

    default_code = "config"


class ModelError(CdcError):
    """The model's SQL is refused or can't be compiled.

    Attributes:
        line: 1-based line in the model's SQL, or None.
        column: 1-based column in that line, or None.
        excerpt: The line with a caret under the column, or an empty string.
    """

    default_code = "model"

    def __init__(
        self,
        message: str,
        *,
        line: int | None = None,
        column: int | None = None,
        excerpt: str = "",
        code: str | None = None,
        hint: str = "",
    ) -> None:
        """Keep where in the model's SQL the problem is."""
        self.line = line
        self.column = column
        self.excerpt = excerpt
        place = f" (line {line}, column {column})" if line is not None else ""
        shown = f"\n{excerpt}" if excerpt else ""
        super().__init__(f"{message}{place}{shown}", code=code, hint=hint)


class UnsupportedError(CdcError):
    """This dialect or destination can't do what was asked; the hint names what can."""

    default_code = "unsupported"


class WarehouseError(CdcError):
    """A statement failed in the warehouse.

    Attributes:
        sql: The statement, with literals redacted.
        query_id: The warehouse's own id of the query, or None.
    """

    default_code = "warehouse"

    def __init__(
        self,
        message: str,
        *,
        sql: str = "",
        query_id: str | None = None,
        code: str | None = None,
        hint: str = "",
        retryable: bool | None = None,
    ) -> None:
        """Keep the failed statement."""
        self.sql = sql
        self.query_id = query_id
        super().__init__(message, code=code, hint=hint, retryable=retryable)


class QueryError(WarehouseError):
    """The warehouse refused a statement."""

    default_code = "query"


class ConnectionLostError(WarehouseError):
    """The connection to the warehouse could not be made or broke."""

    default_code = "connection-lost"
    default_retryable = True


class WarehouseLockedError(WarehouseError):
    """Another process holds the warehouse's database file."""

    default_code = "warehouse-locked"
    default_retryable = True


class PermissionDeniedError(WarehouseError):
    """A grant is missing; the hint names it."""

    default_code = "permission-denied"


class DestinationError(CdcError):
    """A destination refused or failed a whole batch, or could not be reached.

    Attributes:
        status: The destination's own status code, or None.
        retry_after: Seconds that the destination asks to wait; None if it doesn't, or not in a number.
        outcome_unknown: Whether the write may have happened all the same.
        divisible: Whether nothing of it was applied and its halves may succeed, whatever the sync says.
        outcomes: Outcomes of rows that the error isn't about, by position: they weren't in the call.
    """

    default_code = "destination"
    default_retryable = True
    default_divisible = False

    def __init__(
        self,
        message: str,
        *,
        status: int | str | None = None,
        retry_after: float | None = None,
        outcome_unknown: bool = False,
        divisible: bool | None = None,
        outcomes: Mapping[int, Any] | None = None,
        code: str | None = None,
        hint: str = "",
        retryable: bool | None = None,
    ) -> None:
        """Keep what is known of the write's outcome."""
        self.outcomes = dict(outcomes or {})
        self.status = status
        self.retry_after = _seconds(retry_after)
        self.outcome_unknown = outcome_unknown
        self.divisible = self.default_divisible if divisible is None else divisible
        super().__init__(str(message), code=code, hint=hint, retryable=retryable)


def _seconds(given: Any) -> float | None:
    """What a destination asks to wait, which may come as a header's text; None if it is no number."""
    try:
        seconds = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds >= 0 else None


class AuthenticationError(DestinationError):
    """The destination refused the credentials; the run stops."""

    default_code = "authentication"
    default_retryable = False


class RateLimitedError(DestinationError):
    """The destination asks to slow down."""

    default_code = "rate-limited"


class PayloadTooLargeError(DestinationError):
    """The call has too many rows or bytes for the destination; nothing of it was applied."""

    default_code = "payload-too-large"
    default_retryable = False
    default_divisible = True


class GuardError(CdcError):
    """A guard stopped the run before anything was sent.

    Attributes:
        guard: The guard's name: ``max_removed`` or ``require_rows``.
        seen: The number of rows that it saw.
        limit: The number of rows that it allows.
    """

    default_code = "guard"

    def __init__(self, message: str, *, guard: str, seen: int, limit: int, hint: str = "") -> None:
        """Keep what the guard saw."""
        self.guard = guard
        self.seen = seen
        self.limit = limit
        super().__init__(message, code=f"guard-{guard.replace('_', '-')}", hint=hint)


class StateError(CdcError):
    """The state stored in the planner schema can't be used as it is."""

    default_code = "state"


class SyncInProgressError(StateError):
    """Another run holds the sync's lease.

    Attributes:
        expires_in: Seconds until the lease can be taken over, or None if it can't be told.
    """

    default_code = "sync-in-progress"
    default_retryable = True

    def __init__(self, message: str, *, expires_in: float | None = None, hint: str = "") -> None:
        """Keep when the lease may be taken over."""
        self.expires_in = expires_in
        super().__init__(message, hint=hint)


class LeaseLostError(StateError):
    """This run's lease was taken over by another run: it must not send or write any more."""

    default_code = "lease-lost"


class StateVersionError(StateError):
    """The state was written by a newer version of this library."""

    default_code = "state-version"


def told(error: Exception) -> str:
    """What may be said of an error in ``sync_runs``: a stranger's message may hold row values."""
    return error.message if isinstance(error, CdcError) else type(error).__name__
