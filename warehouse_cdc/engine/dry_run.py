"""What a run would do: evaluated in the warehouse, nothing written and nothing sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from warehouse_cdc.compile.layout import lay_out
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.engine import journal, planning
from warehouse_cdc.engine.ledger import ledger_of
from warehouse_cdc.engine.planner import tells_refusals
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import orphaned, own_tables, state_of, verify, verify_rows
from warehouse_cdc.engine.unchanged import can_skip, resting, source_version
from warehouse_cdc.errors import GuardError, StateError
from warehouse_cdc.plan.state import rows_of
from warehouse_cdc.plan.statements import Statements
from warehouse_cdc.pull.moved import refuse_moved, refuse_second_state, refuse_unfinished
from warehouse_cdc.sync import OPERATIONS, Sync
from warehouse_cdc.warehouses.base import Connection

_RUN = "00000000000000000000000000"


@dataclass(frozen=True)
class DryRun:
    """What the next run of a sync would send, as of now.

    Attributes:
        sync_id: The sync.
        counts: Operations by kind.
        unchanged: Rows that would not be sent.
        null_key_rows: Rows without a key, which are ignored.
        duplicate_keys: Keys that occur more than once.
        guards: What guards would say, if any would stop the run.
        notes: Anything else worth knowing.
        estimated_bytes: What making the plan reads, where the warehouse tells that beforehand.
    """

    sync_id: str
    counts: dict[str, int]
    unchanged: int
    null_key_rows: int
    duplicate_keys: int
    guards: list[str]
    notes: list[str]
    estimated_bytes: int | None
    _rows: str = field(repr=False)
    _sql: str = field(repr=False)
    _columns: tuple[tuple[str, int, Any, Any], ...] = field(repr=False)
    _connection: Connection = field(repr=False)

    def sql(self) -> str:
        """The statement that would make the plan."""
        return self._sql

    def preview(self, limit: int = 10) -> pa.Table:
        """Some of the operations: op, row_id and the model's columns; a removed row's last values."""
        dialect = self._connection.dialect
        values, kinds = [], []
        for name, number, new, old in self._columns:
            kind = dialect.common_type(new, old)
            new_sql = dialect.converted(f"v_{number}", new, kind)
            old_sql = dialect.converted(f"p_{number}", old, kind)
            value = f"CASE WHEN op = 'removed' THEN {old_sql} ELSE {new_sql} END"
            values.append(f"{dialect.transport(value, kind)[0]} AS {dialect.quote(name)}")
            kinds.append(kind)
        sql = (
            f"SELECT op, row_id, {', '.join(values)} FROM {self._rows} wcdc_preview "
            f"WHERE op IN ('added', 'changed', 'removed') ORDER BY 1, 2"
        )
        sql = dialect.finished(dialect.first_rows(sql, int(limit)))
        text = dialect.column_type(dialect.text_type)
        with self._connection.interactive():
            batches = list(self._connection.stream(sql, [text, text, *kinds]))
        if batches:
            return pa.Table.from_batches(batches)
        names = ["op", "row_id", *(name for name, *_rest in self._columns)]
        types = self._connection.arrow_types([text, text, *kinds])
        return pa.schema(list(zip(names, types, strict=True))).empty_table()


def dry_run(connection: Connection, settings: Settings, sync: Sync) -> DryRun:
    """Evaluate what the next run would do.

    Raises:
        ModelError: The model is refused.
        ConfigError: The sync doesn't fit the model.
        StateError: The stored state can't be used.
    """
    settings.check_timeout(sync)
    settings.check_dialect(sync, connection.dialect)
    dialect = connection.dialect
    statements = Statements(dialect, settings.schemas, sync.id)
    query = read_model(sync.model, connection.spoken)
    layout = lay_out(sync, connection.describe(query.sql), dialect, connection.engine_version())
    notes: list[str] = []
    history = history_of(connection, statements, notes)
    state, last = history.state, history.committed
    record = state.plan if state is not None else None
    kind = "run" if sync.traits.cdc else "full"
    first = record is None or not record.cdc
    if sync.traits.cdc and first and sync.skip_initial:
        kind = "reset"
        notes.append("the first run takes the model's rows as delivered (skip_initial)")
    prior = None
    if kind == "run" and state is not None and record is not None and record.cdc and state.ended is not None:
        if not planning.same_key(layout, record.primary_key):
            raise StateError(
                f"Sync {sync.id!r}: the primary key changed.",
                code="state-primary-key",
                hint="Start afresh with a full resync (sends every row) or a reset (sends nothing).",
            )
        verify(statements, history, own_tables(connection, statements))
        verify_rows(connection, statements, history)
        prior = state_of(dialect, settings.schemas.planner, history, layout)
        notes += planning.type_notes(layout, record)
        if record.mapping_version != layout.mapping_version:
            notes.append("the mapping changed: every delivered row counts as changed where the mode sends it")
    elif kind == "run":
        notes.append("first run with change data capture: every row is added")
    if kind == "run" and can_skip(
        resting(history, layout, sync, settings), source_version(connection, settings, query)
    ):
        notes.append("the model's tables have not changed since the last run: the next run skips them")
    columns = planning.plan_columns(layout, prior)
    model_sql = query.sql
    if connection.loads:
        model_sql = connection.load(query.sql, [column.name for column in layout.columns])
    refusals = tells_refusals(sync, kind, prior)
    select = statements.plan(sync, layout, model_sql, kind, prior, refusals=refusals)
    estimated = connection.estimate(select)
    if estimated is not None:
        notes.append(f"making the plan reads {estimated / 1e9:,.3f} GB, as the warehouse estimates")
    lean = prior is None
    resolved = statements.resolve(
        f"(\n{select}\n)",
        layout,
        {c.name: c.previous for c in columns},
        keep_one=sync.on_duplicate == "keep_one",
        lean=lean,
        refusals=refusals,
    )
    rows = rows_of(dialect, f"(\n{resolved}\n)", columns, lean=lean)
    summary = planning.summarize(connection.query(statements.summary(rows, by_bucket=False)))
    if summary.given_up:
        notes.append(f"{summary.given_up} rejected rows are not sent again: {sync.policy} runs")
    null_rows = f"SELECT count(*) FROM (\n{select}\n) x WHERE row_id IS NULL"
    ((null_keys,),) = connection.query(dialect.finished(null_rows))
    return DryRun(
        sync_id=sync.id,
        counts={operation: 0 if kind == "reset" else summary.planned[operation] for operation in OPERATIONS},
        unchanged=summary.unchanged,
        null_key_rows=null_keys,
        duplicate_keys=sum(summary.duplicates.values()),
        guards=_guards(sync, kind, summary, planning.rows_left(last.plan, last.ended) if last else 0),
        notes=notes,
        estimated_bytes=estimated,
        _rows=rows,
        _sql=statements.create_plan(statements.run_tables(_RUN)[0], select),
        _columns=tuple((c.name, c.number, c.value, c.previous) for c in columns),
        _connection=connection,
    )


def history_of(connection: Connection, statements: Statements, notes: list[str]) -> journal.History:
    """What the next run will find of those before it.

    Args:
        connection: Where the state is.
        statements: Those of the sync.
        notes: Runs that have not ended are told here.

    Raises:
        StateError: A run would refuse it.
    """
    if connection.loads:
        refuse_moved(connection, statements)
    ledger = ledger_of(connection, statements)
    history = ledger.look()
    present = own_tables(connection, statements)
    ledger.check(history, present)
    if history.state is None:
        if connection.loads:
            refuse_second_state(connection, statements)
        refuse_unfinished(statements.sync_id, present)
        orphaned(statements, history.generations, present)
    for generation in history.open:
        notes.append(f"run {generation.run_id} has not ended: this is what its predecessor left")
    return history


def _guards(sync: Sync, kind: str, summary: planning.Summary, rows_left: int) -> list[str]:
    try:
        planning.check_guards(sync, kind, summary, rows_left, allow_removed=False, allow_empty=False)
    except GuardError as error:
        return [error.message]
    return []
