"""What an error of PostgreSQL, or of the way to it, means for the rows that were sent.

The classes of SQLSTATE codes are those of the PostgreSQL manual, appendix A. Messages never contain the
server's DETAIL or CONTEXT, nor a statement's parameters: those hold row values.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import exc

from warehouse_cdc.errors import AuthenticationError, DestinationError

_ROW_CLASSES = frozenset({"21", "22", "23", "38", "39", "44", "P0"})
_ROW_CODES = frozenset({"0A000", "54000"})
_RETRYABLE_CLASSES = frozenset({"08", "40", "53", "55", "57", "58"})
_RETRYABLE_CODES = frozenset({"25006", "25P03"})
_LOST_CLASSES = frozenset({"08", "25", "57", "58"})
_CONFLICT = "23505"
_ANSWERED = "57014"
"""A cancelled statement: the server says that it was rolled back, also while it committed."""

_LOGIN = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role \".*\" does not exist|"
    r"is not permitted to log in|certificate",
    re.IGNORECASE,
)
_MAX_REASON = 500


class RowsRefused(Exception):
    """The server refused a statement because of the values in it; nothing of it was applied.

    Attributes:
        reason: The server's primary message, for the row's outcome.
        cause: The same without anything that might be a value, for the message of an error.
        conflict: Whether a unique key was there already.
    """

    def __init__(self, reason: str, cause: str, *, conflict: bool) -> None:
        super().__init__(cause)
        self.reason = reason
        self.cause = cause
        self.conflict = conflict


def translate(error: exc.SQLAlchemyError, stage: str) -> Exception:
    """The error to raise instead of SQLAlchemy's.

    Args:
        error: What SQLAlchemy raised.
        stage: ``connect``, ``execute`` or ``commit``: what was under way.

    Returns:
        :class:`RowsRefused` if the rows are to blame, else a ``DestinationError``.
    """
    if not isinstance(error, exc.DBAPIError) or error.orig is None:
        if isinstance(error, exc.TimeoutError):
            return DestinationError("No connection of the pool became free in time.", code="destination-busy")
        return DestinationError(
            f"SQLAlchemy failed: {type(error).__name__}.", code="destination-database", retryable=False
        )
    state = sqlstate(error.orig)
    if stage == "connect":
        return _connect_failure(error.orig, state)
    if stage == "commit" and state != _ANSWERED and (state is None or state[:2] in _LOST_CLASSES):
        return DestinationError(
            "The connection broke while the transaction was being committed.",
            status=state,
            code="destination-commit",
            outcome_unknown=True,
        )
    if state is None:
        return _without_state(error)
    return _with_state(error.orig, state)


def sqlstate(error: Any) -> str | None:
    """The SQLSTATE code of a driver's error, or None if the server didn't send one."""
    for name in ("sqlstate", "pgcode"):
        code = getattr(error, name, None)
        if isinstance(code, str):
            return code
    fields = error.args[0] if getattr(error, "args", None) else None
    code = fields.get("C") if isinstance(fields, dict) else None
    return code if isinstance(code, str) else None


def primary_message(error: Any) -> str:
    """The server's primary message, without detail and context."""
    text = getattr(getattr(error, "diag", None), "message_primary", None)
    if not isinstance(text, str):
        fields = error.args[0] if getattr(error, "args", None) else None
        text = fields.get("M") if isinstance(fields, dict) else None
    if not isinstance(text, str):
        return f"refused by the database (SQLSTATE {sqlstate(error)})"
    return text if len(text) <= _MAX_REASON else text[:_MAX_REASON] + "…"


def _with_state(error: Any, state: str) -> Exception:
    if state[:2] in _ROW_CLASSES or state in _ROW_CODES:
        constraint = getattr(getattr(error, "diag", None), "constraint_name", None)
        return RowsRefused(
            primary_message(error),
            f"SQLSTATE {state}" + (f", constraint {constraint!r}" if constraint else ""),
            conflict=state == _CONFLICT,
        )
    message = f"PostgreSQL: {primary_message(error)} (SQLSTATE {state})."
    if state[:2] == "28":
        return AuthenticationError("PostgreSQL refused the login.", status=state)
    if state[:2] in _RETRYABLE_CLASSES or state in _RETRYABLE_CODES:
        return DestinationError(message, status=state, code="destination-database", retryable=True)
    if state == "42501":
        return DestinationError(
            message,
            status=state,
            code="permission-denied",
            hint="Grant the destination's user what the statement needs.",
            retryable=False,
        )
    return DestinationError(message, status=state, code="destination-database", retryable=False)


def _without_state(error: exc.DBAPIError) -> DestinationError:
    lost = error.connection_invalidated or isinstance(error, (exc.OperationalError, exc.InterfaceError))
    if lost:
        return DestinationError(
            "The connection to PostgreSQL broke before the transaction was committed.",
            code="destination-connection",
        )
    return DestinationError(
        f"The driver refused the statement: {type(error.orig).__name__}.",
        code="destination-database",
        retryable=False,
    )


def _connect_failure(error: Any, state: str | None) -> DestinationError:
    text = str(error)
    if (state or "")[:2] == "28" or _LOGIN.search(text):
        return AuthenticationError(
            "PostgreSQL refused the login.", hint="Check the URL's user and password, and pg_hba.conf."
        )
    # libpq's message names host and port before "failed:"; what follows tells the cause.
    first = text.splitlines()[0] if text else type(error).__name__
    cause = first.rpartition("failed: ")[2].strip() or type(error).__name__
    missing = state == "3D000" or re.search(r"database \".*\" does not exist", text) is not None
    return DestinationError(
        f"PostgreSQL can't be reached: {cause[:_MAX_REASON]}.",
        status=state,
        code="destination-unreachable",
        retryable=not missing,
    )
