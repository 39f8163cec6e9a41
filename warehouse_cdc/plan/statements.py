"""The statements of a run, as text, from a sync's layout: no connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from warehouse_cdc.compile.layout import Column, Layout
from warehouse_cdc.compile.templates import render
from warehouse_cdc.dialects import Dialect
from warehouse_cdc.plan.names import JOURNAL, LEASES, REQUESTS, table_name
from warehouse_cdc.plan.record import PlanColumn, PlanRecord
from warehouse_cdc.plan.state import Finished, Prior, audited, former_nulls, rows_of, values_differ
from warehouse_cdc.sync import MODES, Sync

GIVEN_UP = {"quarantine": "quarantined", "drop": "dropped"}
"""What the plan calls rows that a policy keeps from being sent."""
AUDIT_TABLES = ("sync_changelog", "sync_snapshot", "sync_runs")


@dataclass(frozen=True)
class Schemas:
    """Names of the two schemas."""

    planner: str = "hightouch_planner"
    audit: str = "hightouch_audit"


@dataclass(frozen=True)
class Statements:
    """Builds the statements of one sync's runs in one dialect."""

    dialect: Dialect
    schemas: Schemas
    sync_id: str

    def planner(self, name: str) -> str:
        """A table of the planner schema, qualified and quoted."""
        return self.dialect.table(self.schemas.planner, name)

    def audit(self, name: str) -> str:
        """A table of the audit schema, qualified and quoted."""
        return self.dialect.table(self.schemas.audit, name)

    @property
    def of_sync(self) -> str:
        """The condition that finds the sync's rows in a table of all syncs."""
        return self.dialect.is_text("sync_id", self.dialect.literal(self.sync_id))

    def render(self, statement: str, **context: Any) -> str:
        """Render a template in this dialect."""
        return render(statement, self.dialect, **context)

    # -- the plan ---------------------------------------------------------------------------------

    def plan(
        self,
        sync: Sync,
        layout: Layout,
        model_sql: str,
        kind: str,
        prior: Prior | None,
        keys: str | None = None,
        *,
        refusals: bool = False,
        released: tuple[str, ...] | None = None,
    ) -> str:
        """The SELECT that makes a plan.

        Args:
            sync: The sync.
            layout: Its layout.
            model_sql: The model.
            kind: As in PlanRecord.
            prior: The state to compare with.
            keys: The table of the keys to look at (``keys``), for a plan of differences.
            refusals: As of ``PlanRecord``.
            released: Rows that are sent however often they were refused; none named are all, None is none.
        """
        literal, is_text = self.dialect.literal, self.dialect.is_text
        chosen = (
            None if released is None else " OR ".join(is_text("row_id", literal(each)) for each in released)
        )
        return self.render(
            "plan",
            model_sql=model_sql,
            **self._read_model(layout),
            bucket=self.dialect.bucket("row_id"),
            prior=prior,
            kind=kind,
            keys=None if keys is None else self.planner(keys),
            mapping_version=layout.mapping_version,
            sends_changed=sync.traits.changed,
            plans_removed=sync.traits.removed != "never",
            values_differ=values_differ(self.dialect, layout, prior) if prior else "",
            refusals=refusals,
            given_up=GIVEN_UP.get(sync.on_rejected) if released != () else None,
            rejected_runs=sync.rejected_runs,
            released=chosen,
        )

    def held(self, sync: Sync, layout: Layout, columns: Sequence[PlanColumn], copy: str) -> str:
        """The SELECT of a plan of what is at the destination, without the model.

        Args:
            sync: The sync.
            layout: Its layout.
            columns: The plan's columns.
            copy: The table that has it (``create_copy``).
        """
        told = {"was", "pending", "was_hash", "was_version", "confirmed"}
        told.update(column.previous for column in layout.columns)
        former = former_nulls(self.dialect, columns)
        return self.render(
            "held",
            **self._read_model(layout),
            copy=self.planner(copy),
            bucket=self.dialect.bucket("row_id"),
            due="changed" if sync.traits.changed else "kept",
            former={name: null for name, null in former.items() if name not in told},
        )

    def _read_model(self, layout: Layout) -> dict[str, Any]:
        """What templates need to make stored values, row ids and fingerprints of a model's rows."""
        dialect = self.dialect
        columns, key = (
            [(column.value, column.stored) for column in part] for part in (layout.columns, layout.key)
        )
        return {
            "columns": layout.columns,
            "key": layout.key,
            "row_id": dialect.row_id([dialect.canonical_text(*part) for part in key]),
            "fingerprint": dialect.fingerprint(columns, key),
        }

    def touched(self, layout: Layout, model_sql: str, prior: Prior) -> str:
        """The SELECT of the keys whose rows the model and the last full plan don't have alike."""
        base_table = prior.base.plan_table
        return self.render("touched", model_sql=model_sql, **self._read_model(layout), base_table=base_table)

    def keys(self, layout: Layout, model_sql: str, prior: Prior, touched: str, *, repeated: bool) -> str:
        """The SELECT of the keys that a plan of differences looks at.

        Args:
            layout: The sync's layout.
            model_sql: The model.
            prior: The state.
            touched: The table with the rows of ``touched``.
            repeated: The model has keys that occur more than once.
        """
        return self.render(
            "keys",
            model_sql=model_sql,
            **self._read_model(layout),
            prior=prior,
            touched=self.planner(touched),
            repeated=repeated,
        )

    def differences(self, touched: str, prior: Prior) -> str:
        """Counts of the touched keys: all, missing from the model, new to it, not explained by the delta.

        And the checksums of their hashes in the model and in the full plan.
        """
        delta = None if prior.delta is None else prior.delta.plan_table
        return self.render("differences", touched=self.planner(touched), delta=delta)

    def counts(self, layout: Layout, model_sql: str, *, checksum: bool) -> str:
        """The model's rows, those with a key, and if asked what tells them from any others."""
        return self.render(
            "counts",
            model_sql=model_sql,
            **self._read_model(layout),
            checksum=checksum,
        )

    def copy_of_model(self, layout: Layout, model_sql: str) -> str:
        """The SELECT of the model's compared columns as plans store them."""
        values = ", ".join(f"{column.expression} AS {column.value}" for column in layout.columns)
        return f"SELECT {values} FROM (\n{model_sql}\n) wcdc_model"

    def create_as(self, name: str, select: str, *, scratch: bool = False, key: str = "row_id") -> str:
        """CREATE TABLE in the planner schema from a SELECT.

        Args:
            name: The table.
            select: Its rows.
            scratch: It needn't survive the run.
            key: The column that its rows are looked up by; empty if there is none.
        """
        return self._create(name, select, kind=self.dialect.scratch if scratch else "", key=key, order="")

    def create_plan(self, name: str, select: str) -> str:
        """CREATE TABLE of a plan, whose rows are read by operation and bucket."""
        return self._create(name, select, kind="", key="row_id", order="op, bucket")

    def _create(self, name: str, select: str, **how: str) -> str:
        return self.render("create_table_as", table=self.planner(name), select=select, **how)

    def stage(self, name: str, new_name: str) -> list[str]:
        """Give a table of the planner schema another name."""
        return self.dialect.stage(self.schemas.planner, name, new_name)

    def drop(self, name: str) -> str:
        """Drop a table of the planner schema."""
        return self.dialect.drop(self.schemas.planner, name)

    def resolve(
        self,
        staged: str,
        layout: Layout,
        previous: dict[str, Any],
        *,
        keep_one: bool,
        lean: bool,
        refusals: bool = False,
    ) -> str:
        """The SELECT that leaves one row per key of a staged plan.

        Args:
            staged: The table or CTE that holds the rows, qualified.
            layout: The sync's layout.
            previous: The type of each column's previous value, by column name.
            keep_one: Keep the first copy instead of refusing all.
            lean: As of ``PlanRecord``.
            refusals: As of ``PlanRecord``.
        """
        order = ", ".join(
            self.dialect.nulls_first(self.dialect.canonical_text(column.value, column.stored))
            for column in layout.columns
        )
        return self.render(
            "resolve",
            staged=staged,
            columns=[_Resolved.of(self.dialect, column, previous[column.name]) for column in layout.columns],
            canonical_order=order,
            keep_one=keep_one,
            lean=lean,
            refusals=refusals,
        )

    def duplicates(self, layout: Layout, table: str) -> str:
        """A count of the model's rows beyond the first of each key."""
        key = self.dialect.row_hash("row_id")
        if len(layout.key) == 1:
            key = self.dialect.exact(layout.key[0].value, layout.key[0].stored)
        return self.render("duplicates", table=self.planner(table), key=key)

    def rows(self, table: str, columns: Sequence[PlanColumn], *, lean: bool) -> str:
        """A plan's rows with all the columns that a plan may have."""
        return rows_of(self.dialect, self.planner(table), columns, lean=lean)

    def summary(self, rows: str, *, by_bucket: bool = True) -> str:
        """Counts and checksums of hashes by what counts of a plan are made of."""
        return self.render("summary", rows=rows, bucket="bucket" if by_bucket else "0")

    def read(self, run_id: str, record: PlanRecord, operation: str, low: int | None, high: int | None) -> str:
        """The operations of a range of buckets, or all of a kind, with the values to send; in any order."""
        return self.render(
            "read",
            table=self.planner(record.plan_table),
            run_id=self.dialect.literal(run_id),
            lean=record.lean,
            operation=operation,
            low=low,
            high=high,
            columns=[
                {"number": number, "sql": sql} for number, sql, _tag in self.read_columns(record, operation)
            ],
        )

    def read_columns(self, record: PlanRecord, operation: str) -> list[tuple[int, str, str | None]]:
        """Number, expression and tag of each value that is read for an operation."""
        found = []
        for column in record.columns:
            if operation == "removed":
                sql, tag = self.dialect.transport(f"p_{column.number}", column.previous)
            else:
                sql, tag = self.dialect.transport(f"v_{column.number}", column.value)
            found.append((column.number, sql, tag))
        return found

    # -- tables -----------------------------------------------------------------------------------

    def create_rejections(self, name: str) -> str:
        """The table of a run's rejections."""
        return self._plain_table(name, self._rejection_columns(), "row_id")

    def create_copy(self, name: str, layout: Layout) -> str:
        """The table in which a state waits that is being moved here, as texts."""
        columns = {f"c_{column.number}": self.dialect.text_type for column in layout.columns}
        return self._plain_table(name, {**columns, "due": "INTEGER"}, "")

    def create_requests(self) -> str:
        """The table of the calls that runs have made."""
        text = self.dialect.text_type
        columns = {"sync_id": text, "sync_run_id": text, "call_id": text, "piece": "INTEGER", "content": text}
        return self._plain_table(REQUESTS, columns, "call_id")

    def _plain_table(self, name: str, columns: dict[str, str], key: str) -> str:
        return self.render("plain_table", table=self.planner(name), columns=columns, key=key)

    def rejection_nulls(self) -> str:
        """The columns of such a table, as NULLs."""
        return ", ".join(
            f"{self.dialect.null(kind)} AS {name}" for name, kind in self._rejection_columns().items()
        )

    def _rejection_columns(self) -> dict[str, str]:
        text, time = self.dialect.text_type, self.dialect.timestamp_type
        return {
            **{"row_id": text, "op": text, "chunk": "INTEGER", "outcome": text, "reason": text},
            **{"permanent": self.dialect.boolean_type, "attempts": "INTEGER"},
            **{"first_failed_at": time, "last_failed_at": time},
        }

    def create_shared(self) -> dict[tuple[str, str], list[str]]:
        """Every table that all syncs share: (schema, name) to the statements that make it."""
        planner, audit = self.schemas.planner, self.schemas.audit
        made = {}
        if self.dialect.capabilities.transactional_ddl:
            made[planner, JOURNAL] = [self.render("journal_table", table=self.planner(JOURNAL))]
            made[planner, LEASES] = [self.render("leases_table", table=self.planner(LEASES))]
        for name in AUDIT_TABLES:
            template = f"{name.removeprefix('sync_')}_table" if name != "sync_runs" else "sync_runs_table"
            made[audit, name] = [self.render(template, table=self.audit(name))]
        index = self.dialect.snapshot_index(self.audit("sync_snapshot"))
        if index is not None:
            made[audit, "sync_snapshot"].append(index)
        return made

    # -- audit ------------------------------------------------------------------------------------

    def changelog(self, plan: Finished, *, again: bool) -> str:
        """Write a run's changelog; ``again`` if it may have been written before."""
        part = audited(self.dialect, self.schemas.planner, plan)
        return self._audit("changelog", "sync_changelog", plan.run_id, part=part, again=again)

    def snapshot(self, plan: Finished) -> list[str]:
        """Bring the snapshot to what a run left: drop what differs, insert what is missing."""
        record, table = plan.record, "sync_snapshot"
        if not record.plan_table:
            return [self._settle(plan, former=record.former_plan)] if record.settles else []
        part = audited(self.dialect, self.schemas.planner, plan)
        if record.base is not None:
            candidates = "p.row_id IS NOT NULL"
            if record.former_plan:
                former, exact = self.planner(record.former_plan), self.dialect.exact
                candidates = (
                    f"(p.op <> 'unchanged' OR {exact('p.row_id')} IN "
                    f"(SELECT {exact('q.row_id')} FROM {former} q WHERE q.op NOT IN ('unchanged', 'gone')))"
                )
        else:
            narrow = not record.compare_fields and MODES[record.mode].changed
            candidates = "narrow" if narrow else "all"
        # Once after a full plan, which may have filled the table: from then on little of it changes at once.
        columns = ("sync_id", "row_id", "op_type")
        due = record.base is not None and not record.former_plan
        statistics = self.dialect.analyze(self.audit(table), columns) if due else None
        return [
            *([statistics] if statistics is not None else []),
            *([self._settle(plan, touched=part.plan_table)] if record.settles else []),
            self._audit("snapshot_delete", table, plan.run_id, part=part, candidates=candidates),
            self._audit("snapshot_insert", table, plan.run_id, part=part, candidates=candidates),
        ]

    def _settle(self, plan: Finished, *, touched: str | None = None, former: str = "") -> str:
        former = self.planner(former) if former else ""
        context = {"touched": touched, "former": former, "failures": bool(plan.record.policy)}
        return self._audit("snapshot_settle", "sync_snapshot", plan.run_id, **context)

    def _audit(self, template: str, table: str, run_id: str, **context: Any) -> str:
        literal = self.dialect.literal
        return self.render(
            template,
            table=self.audit(table),
            sync_id=literal(self.sync_id),
            run_id=literal(run_id),
            **context,
        )

    def scratch_tables(self, run_id: str) -> tuple[str, str, str]:
        """Names of tables that a run drops itself: the model's rows, keys that differ, keys to look at."""
        model, touched, keys = (
            table_name(self.sync_id, run_id, what) for what in ("model", "touched", "keys")
        )
        return model, touched, keys

    def run_tables(self, run_id: str) -> tuple[str, str, str]:
        """Names of a run's plan, rejections and staged tables."""
        plan, rejections, staged = (
            table_name(self.sync_id, run_id, what) for what in ("plan", "rejections", "staged")
        )
        return plan, rejections, staged


@dataclass(frozen=True)
class _Resolved:
    """A column in the resolve template."""

    value: str
    previous: str
    resolved_previous: str

    @classmethod
    def of(cls, dialect: Dialect, column: Column, previous: Any) -> _Resolved:
        same = f"CASE WHEN op = 'unchanged' THEN {dialect.converted(column.value, column.stored, previous)}"
        if column.stored != previous and previous.kind != "text":
            same = f"CASE WHEN op = 'unchanged' THEN {dialect.cast(column.value, previous.name)}"
        kept = f"CASE WHEN wcdc_copies > 1 THEN {same} ELSE {column.previous} END ELSE {column.previous} END"
        return cls(column.value, column.previous, kept)
