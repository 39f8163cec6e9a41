"""What the errors of Microsoft's driver mean: it tells no numbers, so they are known by their texts."""

from __future__ import annotations

import re

from mssql_python import Error as DriverError

from warehouse_cdc.errors import ConnectionLostError, PermissionDeniedError, QueryError, WarehouseError
from warehouse_cdc.warehouses.base import NAMED, literals, redacted, unquoted

_DENIED = re.compile(
    r"[\w ]*permission (was )?denied|(the )?user\b[^:(]* does not have permission|you do not have permission"
    r"|(cannot|the specified schema name) [^:(]* do not have permission",
    re.IGNORECASE,
)
"""What messages about grants begin with, which name objects, never row values."""
_LOST = re.compile(
    r"communication link|unable to establish|connection (failure|operation failed|does not exist|not open)"
    r"|closed connection|TCP Provider|is not currently available|forcibly closed"
    r"|cannot open (server|database)",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"login failed|invalid authorization", re.IGNORECASE)
_BUSY = re.compile(
    r"service is currently busy|Not enough resources to process|limit for the database is \d+ and has been"
    r"|has reached its quota|is being throttled",
    re.IGNORECASE,
)
_CONFLICT = re.compile(r"update conflict|was deadlocked", re.IGNORECASE)
LITERAL = literals(r"'(?:[^']|'')*'", rf"{NAMED}|\[(?:[^\]]|\]\])*\]")
_NAMES_ONLY = re.compile(
    r"invalid object name|there is already an object named|invalid column name|cannot find the object"
    r"|the specified schema name",
    re.IGNORECASE,
)
"""What messages begin with that name objects, never row values."""


def mapped(error: DriverError, sql: str) -> WarehouseError:
    """An error of the driver as ours.

    Args:
        error: The driver's.
        sql: The statement; empty while a session is opened.
    """
    shown = redacted(sql, literal=LITERAL)
    said = str(getattr(error, "ddbc_error", "") or "")
    detail = re.sub(r"^(\[[^\]]*\])*(\d+;)?", "", said).strip()
    text = unquoted(f"{getattr(error, 'driver_error', '')} {detail}", "'\"()")
    if _REFUSED.search(text):
        return ConnectionLostError(
            "The warehouse refused the sign-in.",
            sql=shown,
            hint="Check the login or the service principal, and that it is a user of this database.",
            retryable=False,
        )
    if _DENIED.match(detail):
        return PermissionDeniedError(
            f"The warehouse denied a statement: {detail}",
            sql=shown,
            hint="Run what `warehouse-cdc setup --principal USER` prints; models need SELECT.",
        )
    if _BUSY.search(text):
        return QueryError("The warehouse is too busy.", sql=shown, code="query-busy", retryable=True)
    if _CONFLICT.search(text):
        message = "The warehouse gave way to another statement."
        return QueryError(message, sql=shown, code="query-conflict", retryable=True)
    if "timeout expired" in text.lower() and sql:
        return QueryError(
            "A statement took longer than request_timeout.", sql=shown, hint="Raise request_timeout."
        )
    if not sql or _LOST.search(text):
        blocked = (
            " Does the server's firewall let this address in?" if "not allowed to access" in text else ""
        )
        return ConnectionLostError(
            f"The warehouse can't be reached.{blocked}",
            sql=shown,
            hint="Check host, port, database and firewall.",
        )
    kind = str(getattr(error, "driver_error", type(error).__name__))
    return QueryError(
        f"The warehouse refused a statement ({kind}){': ' + detail if _NAMES_ONLY.match(detail) else '.'}",
        sql=shown,
    )
