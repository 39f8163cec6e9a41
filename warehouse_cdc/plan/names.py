"""Names of the tables that the engine makes for a sync."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set

JOURNAL = "wcdc_journal"
LEASES = "wcdc_leases"
REQUESTS = "wcdc_requests"

_PLAIN = re.compile(r"[a-z][a-z0-9_]{0,23}")
_HASHED = re.compile(r".*_[0-9a-f]{8}")
_RUN = "[0-7][0-9a-hjkmnp-tv-z]{25}"
_GENERATION = "[0-9]{12}"
_WHAT = "(plan|rejections|staged|model|touched|keys|adopted)"
_LEDGER = "(beats|claim|done|end)"


def slug(sync_id: str) -> str:
    """The sync's part of a table name: at most 24 characters, hardly ever the same for different ids."""
    if _PLAIN.fullmatch(sync_id) and not _HASHED.fullmatch(sync_id):
        return sync_id
    digest = hashlib.sha256(sync_id.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9]+", "_", sync_id.lower()).strip("_")[:14].strip("_")
    return f"{readable}_{digest}" if readable[:1].isalpha() else f"s_{readable[:12]}_{digest}"


def table_name(sync_id: str, run_id: str, what: str) -> str:
    """The name of a run's table: what it is for, is one of ``_WHAT``."""
    return f"{slug(sync_id)}_{run_id.lower()}_{what}"


def ledger_table(sync_id: str, generation: int, what: str) -> str:
    """The name of a table of a ledger of tables: ``beats``, ``claim``, ``done`` or ``end``."""
    return f"{slug(sync_id)}_{generation:012d}_{what}"


def owned(sync_id: str, tables: Set[str]) -> set[str]:
    """Those of the tables that the engine made for this sync's runs."""
    pattern = re.compile(f"{re.escape(slug(sync_id))}_{_RUN}_{_WHAT}")
    return {table for table in tables if pattern.fullmatch(table)}


def adopted(sync_id: str, tables: Set[str]) -> set[str]:
    """Those of the tables in which a state waits that is being moved here."""
    return {table for table in owned(sync_id, tables) if table.endswith("_adopted")}


def in_ledger(sync_id: str, tables: Set[str]) -> dict[str, int]:
    """Those of the tables that are the sync's ledger, with their generations."""
    pattern = re.compile(f"{re.escape(slug(sync_id))}_({_GENERATION})_{_LEDGER}")
    found = ((table, pattern.fullmatch(table)) for table in tables)
    return {table: int(match[1]) for table, match in found if match}
