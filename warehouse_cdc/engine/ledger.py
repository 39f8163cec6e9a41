"""The ledger of a sync: which runs there were, how each ended, and whose turn it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from warehouse_cdc.engine.journal import Generation, History
from warehouse_cdc.engine.lease import Clock, Lease
from warehouse_cdc.errors import StateError
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.warehouses.base import Connection


@dataclass(frozen=True)
class Listing:
    """The planner schema's tables.

    Attributes:
        names: Their names.
        asked: What the clock showed before they were listed.
    """

    names: frozenset[str]
    asked: tuple[float, float]


class Ledger(ABC):
    """The only pointer to a sync's state; a run writes to it through its lease."""

    def __init__(self, connection: Connection, statements: Statements) -> None:
        """Use ``ledger_of``."""
        self.connection = connection
        self.statements = statements

    @abstractmethod
    def load(self) -> History:
        """The generations that it remembers."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything was ever written to it; what it needs may not be there yet."""

    def look(self) -> History:
        """As ``load``, also before the first run."""
        return self.load() if self.exists() else History(())

    def listing(self) -> Listing:
        """List the planner schema's tables."""
        asked = Clock().now()
        found = self.connection.tables(self.statements.schemas.planner)
        return Listing(frozenset(name for _schema, name in found), asked)

    def begin(self) -> tuple[History, Listing]:
        """What it remembers, and the planner schema's tables, once the sync is claimed."""
        return self.load(), self.listing()

    @abstractmethod
    def forget(self, needed: list[Generation], listed: Listing) -> list[str]:
        """The statements that make it forget the generations that nobody needs.

        Args:
            needed: Those of the state.
            listed: The planner schema's tables.
        """

    def check(self, history: History, present: set[str]) -> None:
        """Look whether it has lost something.

        Args:
            history: What it remembers of other runs than the one under way.
            present: The sync's tables.

        Raises:
            StateError: It has (D30), and ``claim`` could not see it.
        """
        return None

    @abstractmethod
    def claim(
        self, seconds: float, margin: float, *, afresh: bool = False, listed: Listing | None = None
    ) -> Lease:
        """Take the sync's next generation.

        Args:
            seconds: How long the lease lasts unless extended.
            margin: Seconds after a foreign lease's expiry before it may be taken over.
            afresh: Go on even if the ledger has lost something.
            listed: The planner schema's tables, if they were listed a moment ago.

        Raises:
            SyncInProgressError: Another run holds the sync.
            StateError: The ledger was emptied or restored by hand, or its tables' names are another sync's.
        """


def other_sync(sync_id: str, other: str) -> StateError:
    """The error of a sync whose tables would have the names of another one's."""
    return StateError(
        f"Sync {sync_id!r} would have tables of the same names as sync {other!r}.",
        code="state-other-sync",
        hint="Give one of them another id: the new one, so that no state is lost.",
    )


def ledger_of(connection: Connection, statements: Statements) -> Ledger:
    """The kind of ledger that fits the warehouse."""
    from warehouse_cdc.engine.row_ledger import RowLedger
    from warehouse_cdc.engine.table_ledger import TableLedger

    relies = statements.dialect.capabilities.transactional_ddl
    return RowLedger(connection, statements) if relies else TableLedger(connection, statements)
