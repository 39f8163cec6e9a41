"""The ledger of warehouses whose transactions can't be relied on: tables that only one can create.

Generation *n* of a sync begins with the table ``<sync>_<n>_claim`` and ends with ``<sync>_<n>_end``. To
create a table is the one thing that warehouses do for exactly one of several that try: runs race for the
claim, and a run races with the one that closes it for the end. What a run knows of itself is in the table of
its rejections, one statement for each entry; ``<sync>_<n>_beats`` says that it is alive, and
``<sync>_<n>_done`` that the run that closed it has written its audit rows. All have the columns of the
journal. Nothing is ever updated or deleted; tables of old generations are dropped, the claim first, without
which the rest says nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from datetime import datetime, timezone

import pyarrow as pa

from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Clock, Lease, in_progress, owner
from warehouse_cdc.engine.ledger import Ledger, Listing, other_sync
from warehouse_cdc.errors import CdcError, QueryError, StateError, SyncInProgressError, WarehouseError
from warehouse_cdc.plan.names import in_ledger, ledger_table, owned
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.warehouses.base import Connection

COLUMNS = "generation, entry, run_id, event, recorded_at, data"
BEAT, EXPIRED = "beat", "expired"
_FORGET = 4
"""How many generations of no use are dropped together."""
_STALE = 10.0
"""Seconds after which a list of tables is too old to be relied on."""
_FRESH = 2 * _STALE
"""Seconds after its end before a generation is forgotten: no list that is relied on lacks it by then."""
_LOOKS = 5
"""How often tables are listed again because some have gone meanwhile."""
_AT_ONCE = 50
"""How many tables one statement reads: warehouses limit that, and there is no limit to runs that fail."""
LAST_ENTRY = 2_000_000_000
"""What ends a generation comes after all other entries of it; what closes it comes later."""


class TableLedger(Ledger):
    """Runs are tables."""

    _begun: tuple[journal.History, Listing]
    """What it remembers, and the tables that it knows that from, as of the claim."""
    _fresh: set[int]
    """Generations that had not ended then, or only a moment before."""

    def load(self) -> journal.History:
        """Read the tables of all generations by one statement."""
        return self._look(self.listing())[0]

    def begin(self) -> tuple[journal.History, Listing]:
        """As the claim has found it."""
        return self._begun

    def _look(self, listed: Listing) -> tuple[journal.History, Listing]:
        """What the listed tables tell; if some have gone meanwhile, what those tell that are left."""
        for _attempt in range(_LOOKS):
            try:
                return self._history(listed.names), listed
            except WarehouseError:
                # The run under way may have dropped what the list still had.
                before, listed = listed, self.listing()
                if listed.names == before.names:
                    raise
        return self._history(listed.names), listed

    def _history(self, present: Set[str]) -> journal.History:
        sync_id = self.statements.sync_id
        claims = {n for name, n in in_ledger(sync_id, present).items() if _is(name, "claim")}
        rows = self._entries([name for name in self._journals(present) if not _is(name, "beats")])
        claimed = {row[0]: row[5] for row in rows if row[3] == journal.CLAIMED and row[0] in claims}
        syncs = {number: json.loads(data).get("sync", sync_id) for number, data in claimed.items()}
        # Another sync with tables of the same names gives up as soon as it finds them taken.
        if syncs and (first := syncs[min(syncs)]) != sync_id:
            raise other_sync(sync_id, first)
        return journal.fold(row for row in rows if syncs.get(row[0]) == sync_id)

    def exists(self) -> bool:
        """Always: there is nothing that all syncs share."""
        return True

    def _journals(self, present: Set[str]) -> list[str]:
        """The tables that have entries."""
        sync_id = self.statements.sync_id
        runs = {name for name in owned(sync_id, present) if _is(name, "rejections")}
        return sorted({*runs, *in_ledger(sync_id, present)})

    def _entries(self, names: list[str]) -> list[journal.Row]:
        tables = [
            f"SELECT {COLUMNS} FROM {self.statements.planner(name)} WHERE event IS NOT NULL" for name in names
        ]
        rows = [
            row
            for start in range(0, len(tables), _AT_ONCE)
            for row in self.connection.query(" UNION ALL ".join(tables[start : start + _AT_ONCE]))
        ]
        found = [
            (int(n), int(entry), str(run_id), str(event), at, str(data))
            for n, entry, run_id, event, at, data in rows
        ]
        return sorted(found, key=lambda row: row[:2])

    def forget(self, needed: list[journal.Generation], listed: Listing) -> list[str]:
        """Drop the tables of other generations before the newest of these, or without a plan: claims first.

        Several generations at once, so that most runs drop nothing; and none that ended a moment ago: a run
        that has listed the tables before that generation began must find its claim taken.
        """
        kept = {generation.number for generation in needed}
        failed = {g.number for g in self._begun[0].generations if g.ended is not None and g.plan is None}
        names = in_ledger(self.statements.sync_id, listed.names)
        old = {
            name: number
            for name, number in names.items()
            if number not in kept | self._fresh and (number < max(kept, default=0) or number in failed)
        }
        if len(set(old.values())) < _FORGET:
            return []
        return [self.statements.drop(name) for name in sorted(old, key=lambda n: (not _is(n, "claim"), n))]

    def claim(
        self, seconds: float, margin: float, *, afresh: bool = False, listed: Listing | None = None
    ) -> Lease:
        """Create the next generation's table; the newest must have ended, or its lease be over.

        A list of tables from before does no harm: what it lacks is another run's claim of the same name. The
        tables are listed again once the claim is made where the newest generation had not ended, whose run
        may have gone on, and where the list is so old that the name may have been taken and forgotten since.
        """
        if listed is not None:
            with suppress(SyncInProgressError, QueryError):  # as it was then
                return self._claim(seconds, margin, listed)
        return self._claim(seconds, margin, self.listing())

    def _claim(self, seconds: float, margin: float, listed: Listing) -> TableLease:
        last_run = None
        while True:
            newest = max(in_ledger(self.statements.sync_id, listed.names).values(), default=0)
            over = not newest or ledger_table(self.statements.sync_id, newest, "end") in listed.names
            if not over:
                left = self._left(newest, listed.names) + margin
                if left > 0:
                    raise in_progress(self.statements, left)
            generation = journal.Generation(newest + 1, journal.next_run_id(last_run), journal.EPOCH)
            lease = TableLease(self.connection, self.statements, generation, seconds, Clock().now())
            try:
                last_run = self._begin(lease, listed if over else None)
            except BaseException:
                lease.let_go()
                raise
            if last_run is None:
                return lease
            lease.let_go()
            listed = self.listing()

    def _begin(self, lease: TableLease, listed: Listing | None) -> str | None:
        """Make the claim, and look around.

        Args:
            lease: Of the generation to claim.
            listed: The tables before, if only another claim can change what they say.

        Returns:
            None; or the id of a former run that comes later, since a clock stepped back (D19): then the
            claim was given up.

        Raises:
            SyncInProgressError: Another run has the sync.
            StateError: The tables of this name are another sync's.
        """
        generation, sync_id = lease.generation, self.statements.sync_id
        claim = ledger_table(sync_id, generation.number, "claim")
        data = json.dumps({"owner": owner(generation.run_id), "seconds": lease.seconds, "sync": sync_id})
        if lease.create("claim", generation, [(0, journal.CLAIMED, data)]) is not None:
            raise in_progress(self.statements, None)
        if listed is None or Clock().elapsed(listed.asked) >= _STALE:
            listed = self.listing()
        try:
            history, listed = self._look(Listing(listed.names | {claim}, listed.asked))
        except CdcError as error:
            with suppress(CdcError):
                if error.code == "state-other-sync":
                    self.connection.execute(self.statements.drop(claim))
                else:
                    self._give_back(lease)
            raise
        if max(in_ledger(sync_id, listed.names).values(), default=0) > generation.number:
            self.connection.execute(self.statements.drop(claim))  # long forgotten, and claimed once more
            raise in_progress(self.statements, None)
        own = history.last
        if own is None or own.run_id != generation.run_id:
            raise in_progress(self.statements, None)
        generation.started_at = own.started_at
        self._begun = history, listed
        self._fresh = {
            other.number
            for other in history.generations
            if other.ended is None or (own.started_at - other.recorded_at).total_seconds() < _FRESH
        }
        last = max((other.run_id for other in history.generations if other is not own), default="")
        if last < generation.run_id:
            return None
        self._give_back(lease)
        return last

    def _give_back(self, lease: TableLease) -> None:
        """End a generation that has done nothing."""
        ended = Ended("failed", "interrupted")
        lease.create("end", lease.generation, [(LAST_ENTRY, journal.FAILED, ended.to_json())])

    def check(self, history: journal.History, present: set[str]) -> None:
        """A plan that is newer than the state belongs to a generation that is not forgotten yet (D30)."""
        known = {self.statements.run_tables(generation.run_id)[0] for generation in history.generations}
        newest = "" if history.state is None else self.statements.run_tables(history.state.run_id)[0]
        if any(_is(name, "plan") and name > newest for name in present - known):
            raise StateError(
                f"Sync {self.statements.sync_id!r}: tables that say what its runs did are missing.",
                code="state-journal",
                hint="Restore the planner schema, or start afresh with a full resync or a reset.",
            )

    def _left(self, generation: int, present: Set[str]) -> float:
        """Seconds that a generation's lease lasts, by the warehouse's clock.

        Raises:
            StateError: It is another sync's, whose tables have these names.
        """
        names = (ledger_table(self.statements.sync_id, generation, what) for what in ("claim", "beats"))
        age = self.statements.dialect.seconds_since("recorded_at")
        sql = " UNION ALL ".join(
            f"SELECT entry, event, {age} AS age, data FROM {self.statements.planner(name)}"
            for name in names
            if name in present
        )
        signs = sorted(self.connection.query(sql), key=lambda sign: sign[0]) if sql else []
        if not signs:
            return -math.inf
        claim = json.loads(signs[0][3])
        seconds = float(claim["seconds"])
        if claim.get("sync", self.statements.sync_id) != self.statements.sync_id:
            self.load()  # it may be one that is about to give up
        _entry, event, since, _data = signs[-1]
        return -math.inf if event == EXPIRED else seconds - float(since)


class TableLease(Lease):
    """A lease that is a table."""

    _beats = 0

    @property
    def seconds(self) -> float:
        """How long it lasts unless extended."""
        return self._seconds

    @contextmanager
    def fenced(self, *, lock_timeout: float | None = None) -> Iterator[None]:
        """By the clock alone, before each statement: what a run that lost it has written is never read."""
        self.check()
        self._connection.guard = self.check
        try:
            yield
        finally:
            self._connection.guard = None

    def table(self, what: str, generation: journal.Generation) -> str:
        """A table of a generation, qualified."""
        return self._statements.planner(ledger_table(self._statements.sync_id, generation.number, what))

    def create(
        self, what: str, generation: journal.Generation, entries: list[tuple[int, str, str]]
    ) -> list[journal.Row] | None:
        """Create a table of a generation with its entries: the compare-and-set.

        Returns:
            None if this run has created it; what another run wrote if that was first.
        """
        name = ledger_table(self._statements.sync_id, generation.number, what)
        rows = " UNION ALL ".join(self._row(generation, *entry) for entry in entries)
        try:
            self._connection.execute(self._statements.create_as(name, rows, key=""))
        except WarehouseError:
            # It is there already, or it was created and the answer was lost: look who did.
            self._connection.guard = None
            connection = self._another(self._connection) if self._connection.closed else self._connection
            try:
                found = self._read(name, connection)
            finally:
                if connection is not self._connection:
                    connection.close()
            if not found:
                raise
            mine = [(entry, event, data) for _n, entry, _run, event, _at, data in found]
            return None if mine == entries else found
        return None

    def _read(self, name: str, connection: Connection) -> list[journal.Row]:
        ledger = TableLedger(connection, self._statements)
        return ledger._entries([name]) if name in ledger.listing().names else []

    def _row(self, generation: journal.Generation, entry: int, event: str, data: str) -> str:
        """An entry as a SELECT."""
        dialect = self._statements.dialect
        columns = {
            "generation": dialect.cast(str(generation.number), "BIGINT"),
            "entry": dialect.cast(str(entry), "INTEGER"),
            **{
                name: dialect.cast(dialect.literal(text), dialect.text_type)
                for name, text in (("run_id", generation.run_id), ("event", event))
            },
            "recorded_at": dialect.cast(dialect.now, dialect.timestamp_type),
            "data": dialect.cast(dialect.literal(data), dialect.text_type),
        }
        return "SELECT " + ", ".join(f"{sql} AS {name}" for name, sql in columns.items())

    # -- what its holder writes -------------------------------------------------------------------

    def plan(self, record: PlanRecord) -> None:
        """Create the table of its rejections, with this entry."""
        nulls = self._statements.rejection_nulls()
        row = self._row(self.generation, self.generation.entries, journal.PLANNED, record.to_json())
        select = f"SELECT {nulls}, {COLUMNS} FROM (\n{row}\n) wcdc_entry"
        self._connection.execute(self._statements.create_as(self._log, select))
        self.generation.entries += 1

    @property
    def _log(self) -> str:
        """The table of the run's rejections, which it also has where its plan needs none."""
        return self._statements.run_tables(self.generation.run_id)[1]

    def take(
        self, generation: journal.Generation, ended: Ended, rejections: pa.Table | None = None
    ) -> Ended | None:
        """Create the generation's end, before its own run can."""
        if rejections is not None:  # they carry this run's generation: no other end counts them
            log = self._statements.run_tables(generation.run_id)[1]
            self._connection.insert(self._statements.schemas.planner, log, rejections)
        before = self.create("end", generation, [(LAST_ENTRY, journal.DELIVERED, ended.to_json())])
        if before is None:
            return ended
        now = journal.fold(
            [(generation.number, 0, generation.run_id, journal.CLAIMED, generation.started_at, "{}"), *before]
        )
        (found,) = now.generations
        if found.ended is None:
            return found.progress
        generation.ended, generation.committed = found.ended, found.committed
        generation.plan = generation.plan or found.plan
        return None

    def note(self, event: str, ended: Ended, rejections: pa.Table | None = None) -> None:
        """Insert it after the rejections, in one statement where the warehouse can."""
        entry = pa.table(
            {
                "generation": pa.array([self.generation.number], pa.int64()),
                "entry": pa.array([self.generation.entries], pa.int32()),
                "run_id": [self.generation.run_id],
                "event": [event],
                "recorded_at": pa.array([datetime.now(timezone.utc)], pa.timestamp("us", tz="UTC")),
                "data": [ended.to_json()],
            }
        )
        rows = [entry] if rejections is None else [rejections, entry]
        self.reject(pa.concat_tables(rows, promote_options="default"))
        self.generation.entries += 1

    def reject(self, rejections: pa.Table) -> None:
        """Insert them."""
        self._connection.insert(self._statements.schemas.planner, self._log, rejections)

    def end(
        self,
        generation: journal.Generation,
        event: str,
        ended: Ended,
        *,
        record: PlanRecord | None = None,
        release: bool,
    ) -> None:
        """Create the end of this run, or say that the run that it closed is done."""
        own = generation is self.generation
        last, record = LAST_ENTRY if own else LAST_ENTRY + 2, record or generation.plan
        entries = [(last, event, ended.to_json())]
        if record is not None and event == journal.COMMITTED:
            # Here too: the table of its rejections may vanish, and the state must not with it.
            entries.insert(0, (last - 1, journal.PLANNED, record.to_json()))
        other = self.create("end" if own else "done", generation, entries)
        if own and other is not None:
            raise self._gone()

    def expire(self) -> None:
        """Say so, as the last sign of life."""
        self.check()
        self.let_go()
        self._beat(self._connection, EXPIRED)

    def _extend(self, connection: Connection) -> bool:
        if self._clock.elapsed(self._extended) >= self._seconds:
            return False  # another run may have read that it is over
        self._beat(connection, BEAT)
        present = TableLedger(connection, self._statements).listing().names
        ended = ledger_table(self._statements.sync_id, self.generation.number, "end")
        newest = max(in_ledger(self._statements.sync_id, present).values(), default=0)
        return ended not in present and newest <= self.generation.number

    def _beat(self, connection: Connection, event: str) -> None:
        name = ledger_table(self._statements.sync_id, self.generation.number, "beats")
        if not self._beats:
            row = self._row(self.generation, 1, event, "{}")
            try:
                connection.execute(self._statements.create_as(name, row, key=""))
            except WarehouseError:
                if not self._read(name, connection):
                    raise
            else:
                self._beats = 1
                return
            self._beats = 1  # the answer was lost, perhaps long ago
        self._beats += 1  # a number that is used once: what was recorded last must come last
        row = self._row(self.generation, self._beats, event, "{}")
        connection.execute(f"INSERT INTO {self._statements.planner(name)} ({COLUMNS}) {row}")


def _is(table: str, what: str) -> bool:
    return table.endswith(f"_{what}")
