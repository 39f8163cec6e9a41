"""Every statement of a sync's runs, without a connection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from warehouse_cdc.compile.determinism import reads_alike
from warehouse_cdc.compile.layout import Layout, lay_out
from warehouse_cdc.compile.offline import Schema, describe_offline
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.plan.names import table_name
from warehouse_cdc.plan.record import Chunk, Ended, PlanColumn, PlanRecord
from warehouse_cdc.plan.state import Finished, prior_state
from warehouse_cdc.plan.statements import AUDIT_TABLES, Schemas, Statements
from warehouse_cdc.sync import OPERATIONS, Sync

FIRST_RUN = "00000000000000000000000001"
NEXT_RUN = "00000000000000000000000002"


@dataclass(frozen=True)
class Compiled:
    """The statements of a sync, by name, with example run ids.

    Attributes:
        sync_id: The sync.
        dialect: The dialect's name.
        statements: Name to SQL, in the order in which runs send them.
        layout: The compared columns and versions.
    """

    sync_id: str
    dialect: str
    statements: dict[str, str]
    layout: Layout = field(repr=False)

    def sql(self) -> str:
        """All statements as one script, each under a comment with its name."""
        return "\n\n".join(f"-- {name}\n{sql};" for name, sql in self.statements.items()) + "\n"


def compile_sync(
    sync: Sync,
    dialect: str,
    schema: Schema,
    *,
    planner_schema: str = "hightouch_planner",
    audit_schema: str = "hightouch_audit",
) -> Compiled:
    """Compile a sync offline.

    Args:
        sync: The sync.
        dialect: A dialect's name, as ``postgres``: see ``warehouse_cdc.dialects.DIALECTS``.
        schema: Dotted table name to column name to type, for every table that the model reads.
        planner_schema: Name of the planner schema.
        audit_schema: Name of the audit schema.

    Raises:
        ModelError: The model is refused, or a type can't be derived from ``schema``.
        ConfigError: The sync doesn't fit the model.
        UnsupportedError: There is no such dialect.
    """
    spoken = get_dialect(dialect)
    query = read_model(sync.model, spoken)
    layout = lay_out(sync, describe_offline(sync.model, query, spoken, schema), spoken)
    build = Statements(spoken, Schemas(planner_schema, audit_schema), sync.id)
    columns = tuple(PlanColumn(c.name, c.number, c.stored, c.stored) for c in layout.columns)
    first = _example(sync, layout, columns, FIRST_RUN)
    record = replace(
        first,
        lean=not sync.traits.cdc,
        plan_table=table_name(sync.id, NEXT_RUN, "plan"),
        rejections_table=table_name(sync.id, NEXT_RUN, "rejections"),
        base=1 if sync.traits.cdc else None,
        compare_fields=False,
        settles=sync.traits.cdc,
        refusals=bool(sync.policy),
    )
    ended = Ended("success", delivered=len(OPERATIONS), rejections=1)
    plan, rejections, staged = build.run_tables(NEXT_RUN)
    copied, touched, keys = build.scratch_tables(NEXT_RUN)
    kind = "run" if sync.traits.cdc else "full"
    before, now = Finished(FIRST_RUN, first, ended), Finished(NEXT_RUN, record, ended)
    prior = prior_state(spoken, planner_schema, before, None, layout) if kind == "run" else None
    statements = {
        f"setup_{n}": sql for n, sql in enumerate(spoken.setup(planner_schema, audit_schema, None), 1)
    }
    for (_schema, name), (table, *index) in build.create_shared().items():
        statements[f"create_{name}"] = table
        if index:
            (statements[f"index_{name}"],) = index
    statements["first_plan"] = build.create_plan(
        first.plan_table, build.plan(sync, layout, query.sql, kind, None)
    )
    statements["first_rejections"] = build.create_rejections(first.rejections_table)
    statements["first_changelog"] = build.changelog(before, again=False)
    writes_snapshot = spoken.capabilities.row_level_dml
    for number, sql in enumerate(build.snapshot(before) if writes_snapshot else (), 1):
        statements[f"first_snapshot_{number}"] = sql
    model_sql, read = query.sql, layout
    if prior is not None:
        statements["checksum"] = build.counts(layout, model_sql, checksum=True)
        if not spoken.capabilities.snapshots or not reads_alike(query.tree):
            copy = build.copy_of_model(layout, model_sql)
            statements["copy_model"] = build.create_as(copied, copy, scratch=True, key="")
            model_sql, read = f"SELECT * FROM {build.planner(copied)}", layout.of_copy()
        select = build.touched(read, model_sql, prior)
        statements["touched"] = build.create_as(touched, select, scratch=True)
        statements["differences"] = build.differences(touched, prior)
        statements["counts"] = build.counts(read, model_sql, checksum=False)
        select = build.keys(read, model_sql, prior, touched, repeated=False)
        statements["keys"] = build.create_as(keys, select, scratch=True)
    select = build.plan(
        sync, read, model_sql, kind, prior, keys if prior is not None else None, refusals=record.refusals
    )
    statements["plan"] = build.create_plan(plan, select)
    statements["duplicates"] = build.duplicates(layout, plan)
    keep_one = sync.on_duplicate == "keep_one"
    resolved = build.resolve(
        build.planner(staged),
        layout,
        {c.name: c.previous for c in columns},
        keep_one=keep_one,
        lean=record.lean,
        refusals=record.refusals,
    )
    for number, sql in enumerate(build.stage(plan, staged)):
        statements["stage_duplicates" if not number else "drop_unstaged"] = sql
    statements["resolve_duplicates"] = build.create_plan(plan, resolved)
    statements["drop_staged"] = build.drop(staged)
    statements["summary"] = build.summary(build.rows(plan, columns, lean=record.lean))
    statements["create_rejections"] = build.create_rejections(rejections)
    for operation in ("added",) if record.lean else OPERATIONS:
        statements[f"read_{operation}"] = build.read(NEXT_RUN, record, operation, None, None)
    statements["changelog"] = build.changelog(now, again=False)
    for number, sql in enumerate(build.snapshot(now) if writes_snapshot else (), 1):
        statements[f"snapshot_{number}"] = sql
    return Compiled(sync.id, spoken.name, statements, layout)


def _example(sync: Sync, layout: Layout, columns: tuple[PlanColumn, ...], run_id: str) -> PlanRecord:
    return PlanRecord(
        kind="run" if sync.traits.cdc else "full",
        plan_table=table_name(sync.id, run_id, "plan"),
        rejections_table=table_name(sync.id, run_id, "rejections"),
        rows=0,
        columns=columns,
        primary_key=layout.primary_key,
        mapping_version=layout.mapping_version,
        fingerprint_version=layout.fingerprint_version,
        planned={},
        duplicates={},
        model_rows=0,
        state_rows=0,
        null_key_rows=0,
        dropped_rows=0,
        chunks=tuple(Chunk(operation, 0, 16_383, 0) for operation in OPERATIONS),
        auto_removed=not sync.sends_removed,
        publishes=sync.destination.publishes(sync.mode),
        mode=sync.mode,
        destination=sync.destination.name,
        model_name=sync.model.name,
        model_id=sync.model.id,
        logs=AUDIT_TABLES,
        compare_fields=True,
        kept=0,
        lean=True,
    )
