"""The statements of a run, as text, from a sync's layout: no connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from warehouse_cdc.compile.layout import Column, Layout
from warehouse_cdc.compile.templates import render
from warehouse_cdc.dialects import Dialect
from warehouse_cdc.plan.names import JOURNAL, LEASES, table_name
from warehouse_cdc.plan.record import Ended, PlanRecord
from warehouse_cdc.plan.state import Prior, audited, values_differ
from warehouse_cdc.sync import MODES, Sync

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

    def render(self, statement: str, **context: Any) -> str:
        """Render a template in this dialect."""
        return render(statement, self.dialect, **context)

    # -- the plan ---------------------------------------------------------------------------------

    def plan(
        self, sync: Sync, layout: Layout, model_sql: str, run_id: str, kind: str, prior: Prior | None
    ) -> str:
        """The SELECT that makes a plan; ``kind`` as in PlanRecord."""
        dialect = self.dialect
        kinds = [(column.value, column.stored) for column in layout.columns]
        key = [dialect.canonical_text(column.value, column.stored) for column in layout.key]
        return self.render(
            "plan",
            model_sql=model_sql,
            columns=layout.columns,
            row_id=dialect.row_id(key),
            fingerprint=dialect.fingerprint(kinds),
            bucket=dialect.bucket("row_id"),
            prior=prior,
            kind=kind,
            mapping_version=layout.mapping_version,
            run_id=dialect.literal(run_id),
            sends_changed=sync.traits.changed,
            plans_removed=sync.traits.removed != "never",
            values_differ=values_differ(dialect, layout, prior) if prior else "FALSE",
        )

    def create_as(self, name: str, select: str) -> str:
        """CREATE TABLE in the planner schema from a SELECT."""
        return self.render("create_table_as", table=self.planner(name), select=select)

    def rename(self, name: str, new_name: str) -> str:
        """Rename a table of the planner schema."""
        return f"ALTER TABLE {self.planner(name)} RENAME TO {self.dialect.quote(new_name)}"

    def drop(self, name: str) -> str:
        """Drop a table of the planner schema."""
        return f"DROP TABLE {self.planner(name)}"

    def resolve(self, staged: str, layout: Layout, previous: dict[str, Any], keep_one: bool) -> str:
        """The SELECT that leaves one row per key of a staged plan.

        Args:
            staged: The table or CTE that holds the rows, qualified.
            layout: The sync's layout.
            previous: The type of each column's previous value, by column name.
            keep_one: Keep the first copy instead of refusing all.
        """
        order = ", ".join(
            f"{self.dialect.canonical_text(column.value, column.stored)} NULLS FIRST"
            for column in layout.columns
        )
        return self.render(
            "resolve",
            staged=staged,
            columns=[_Resolved.of(self.dialect, column, previous[column.name]) for column in layout.columns],
            canonical_order=order,
            keep_one=keep_one,
        )

    def duplicates(self, table: str) -> str:
        """Counts of repeated keys, rows without a key, rows with one."""
        return self.render("duplicates", table=self.planner(table), row_hash=self.dialect.row_hash("row_id"))

    def summary(self, table: str, *, by_bucket: bool = True) -> str:
        """Counts by operation, former state, pending removal, duplicate and bucket."""
        return self.render("summary", table=table, bucket="bucket" if by_bucket else "0")

    def read(self, record: PlanRecord, operation: str, low: int, high: int) -> str:
        """The operations of a range of buckets, with the values to send, in order."""
        return self.render(
            "read",
            table=self.planner(record.plan_table),
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
        return self.render("rejections_table", table=self.planner(name))

    def create_shared(self) -> dict[tuple[str, str], str]:
        """Every table that all syncs share: (schema, name) to its CREATE TABLE."""
        planner, audit = self.schemas.planner, self.schemas.audit
        made = {
            (planner, JOURNAL): self.render("journal_table", table=self.planner(JOURNAL)),
            (planner, LEASES): self.render("leases_table", table=self.planner(LEASES)),
        }
        for name in AUDIT_TABLES:
            template = f"{name.removeprefix('sync_')}_table" if name != "sync_runs" else "sync_runs_table"
            made[audit, name] = self.render(template, table=self.audit(name))
        return made

    # -- audit ------------------------------------------------------------------------------------

    def changelog(self, run_id: str, record: PlanRecord, ended: Ended) -> str:
        """Write a run's changelog, once."""
        return self._audit("changelog", "sync_changelog", run_id, record, ended)

    def snapshot(self, run_id: str, record: PlanRecord, ended: Ended) -> list[str]:
        """Bring the snapshot to what a run left: drop what differs, insert what is missing."""
        return [
            self._audit("snapshot_delete", "sync_snapshot", run_id, record, ended),
            self._audit("snapshot_insert", "sync_snapshot", run_id, record, ended),
        ]

    def _audit(self, template: str, table: str, run_id: str, record: PlanRecord, ended: Ended) -> str:
        literal = self.dialect.literal
        return self.render(
            template,
            table=self.audit(table),
            sync_id=literal(self.sync_id),
            run_id=literal(run_id),
            audit=audited(self.dialect, self.schemas.planner, record, ended),
            compare_fields=record.compare_fields,
            narrow=not record.compare_fields and MODES[record.mode].changed,
        )

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
