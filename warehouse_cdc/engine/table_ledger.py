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
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import pyarrow as pa

from warehouse_cdc.engine import journal
from warehouse_cdc.engine.lease import Clock, Lease, in_progress, owner
from warehouse_cdc.engine.ledger import Ledger
from warehouse_cdc.errors import StateError, WarehouseError
from warehouse_cdc.plan.names import in_ledger, ledger_table, owned
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.warehouses.base import Connection

COLUMNS = "generation, entry, run_id, event, recorded_at, data"
BEAT, EXPIRED = "beat", "expired"
_LOOKS = 5
"""How often tables are listed again because some have gone meanwhile."""
LAST_ENTRY = 2_000_000_000
"""What ends a generation comes after all other entries of it; what closes it comes later."""


class TableLedger(Ledger):
    """Runs are tables."""

    def load(self) -> journal.History:
        """Read the tables of all generations by one statement."""
        return self._look()[1]

    def _look(self) -> tuple[set[str], journal.History]:
        """The planner schema's tables, and what they tell."""
        present = self._present()
        for _attempt in range(_LOOKS):
            try:
                return present, self._history(present)
            except WarehouseError:
                # The run under way may have dropped what the list still had.
                before, present = present, self._present()
                if present == before:
                    raise
        return present, self._history(present)

    def _history(self, present: set[str]) -> journal.History:
        claims = {n for name, n in in_ledger(self.statements.sync_id, present).items() if _is(name, "claim")}
        rows = self._entries([name for name in self._journals(present) if not _is(name, "beats")])
        known = {row[0] for row in rows if row[3] == journal.CLAIMED} & claims
        return journal.fold(row for row in rows if row[0] in known)

    def exists(self) -> bool:
        """Always: there is nothing that all syncs share."""
        return True

    def _present(self) -> set[str]:
        planner = self.statements.schemas.planner
        return {name for _schema, name in self.connection.tables(planner)}

    def _journals(self, present: set[str]) -> list[str]:
        """The tables that have entries."""
        sync_id = self.statements.sync_id
        runs = {name for name in owned(sync_id, present) if _is(name, "rejections")}
        return sorted({*runs, *in_ledger(sync_id, present)})

    def _entries(self, names: list[str]) -> list[journal.Row]:
        if not names:
            return []
        tables = (
            f"SELECT {COLUMNS} FROM {self.statements.planner(name)} WHERE event IS NOT NULL" for name in names
        )
        rows = self.connection.query(" UNION ALL ".join(tables))
        found = [
            (int(n), int(entry), str(run_id), str(event), at, str(data))
            for n, entry, run_id, event, at, data in rows
        ]
        return sorted(found, key=lambda row: row[:2])

    def forget(self, needed: list[journal.Generation]) -> list[str]:
        """Drop the tables of other generations before the newest of these: claims first."""
        kept = {generation.number for generation in needed}
        names = in_ledger(self.statements.sync_id, self._present())
        old = [name for name, number in names.items() if number not in kept and number < max(kept, default=0)]
        return [self.statements.drop(name) for name in sorted(old, key=lambda n: (not _is(n, "claim"), n))]

    def claim(self, seconds: float, margin: float, *, afresh: bool = False) -> Lease:
        """Create the next generation's table; the newest must have ended, or its lease be over."""
        present, history = self._look()
        last = history.last
        if last is not None and last.ended is None:
            left = self._left(last) + margin
            if left > 0:
                raise in_progress(self.statements, left)
        number = 1 + max(in_ledger(self.statements.sync_id, present).values(), default=0)
        run_id = journal.next_run_id(None if last is None else last.run_id)
        generation = journal.Generation(number, run_id, journal.EPOCH)
        read = Clock().now()
        lease = TableLease(self.connection, self.statements, generation, seconds, read)
        data = json.dumps({"owner": owner(run_id), "seconds": seconds})
        try:
            made = lease.create("claim", generation, [(0, journal.CLAIMED, data)])
            if made is not None:
                raise in_progress(self.statements, None)
            ((generation.started_at,),) = self.connection.query(
                f"SELECT recorded_at FROM {lease.table('claim', generation)}"
            )
        except BaseException:
            lease.let_go()
            raise
        return lease

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

    def _left(self, generation: journal.Generation) -> float:
        """Seconds that a generation's lease lasts, by the warehouse's clock."""
        present, sync_id = self._present(), self.statements.sync_id
        names = (ledger_table(sync_id, generation.number, what) for what in ("claim", "beats"))
        age = self.statements.dialect.seconds_since("recorded_at")
        tables = (
            f"SELECT entry, event, {age} AS age, data FROM {self.statements.planner(name)}"
            for name in names
            if name in present
        )
        signs = sorted(self.connection.query(" UNION ALL ".join(tables)), key=lambda sign: sign[0])
        if not signs:
            return -math.inf
        seconds = float(json.loads(signs[0][3])["seconds"])
        _entry, event, since, _data = signs[-1]
        return -math.inf if event == EXPIRED else seconds - float(since)


class TableLease(Lease):
    """A lease that is a table."""

    _beats = 0

    @contextmanager
    def fenced(self, *, lock_timeout: float | None = None) -> Iterator[None]:
        """By the clock alone: what a run that lost the sync has written on its way is never read."""
        self.check()
        yield

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
            found = self._read(name)
            if not found:
                raise
            mine = [(entry, event, data) for _n, entry, _run, event, _at, data in found]
            return None if mine == entries else found
        return None

    def _read(self, name: str) -> list[journal.Row]:
        ledger = TableLedger(self._connection, self._statements)
        return ledger._entries([name]) if name in ledger._present() else []

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

    def take(self, generation: journal.Generation, ended: Ended) -> Ended | None:
        """Create the generation's end, before its own run can."""
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
        present = TableLedger(connection, self._statements)._present()
        ended = ledger_table(self._statements.sync_id, self.generation.number, "end")
        following = ledger_table(self._statements.sync_id, self.generation.number + 1, "claim")
        return not present & {ended, following}

    def _beat(self, connection: Connection, event: str) -> None:
        name = ledger_table(self._statements.sync_id, self.generation.number, "beats")
        row = self._row(self.generation, self._beats + 1, event, "{}")
        if self._beats:
            connection.execute(f"INSERT INTO {self._statements.planner(name)} ({COLUMNS}) {row}")
        else:
            connection.execute(self._statements.create_as(name, row, key=""))
        self._beats += 1


def _is(table: str, what: str) -> bool:
    return table.endswith(f"_{what}")
