"""The commands that only look: ``check``, ``compile``, ``plan``, ``history``, ``rejections``, ``debug``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer

from warehouse_cdc.cli import output
from warehouse_cdc.cli.common import FAILED, SUCCESS, JsonOption, Settings, SyncArgument, command
from warehouse_cdc.engine.request_log import calls
from warehouse_cdc.errors import CdcError, ConfigError
from warehouse_cdc.mapping.values import to_rows
from warehouse_cdc.project import Project
from warehouse_cdc.project.document import read_document

if TYPE_CHECKING:
    from warehouse_cdc import DryRun

_OPERATIONS = (("added", "add"), ("changed", "change"), ("removed", "remove"))
LimitOption = Annotated[int, typer.Option(metavar="N", min=1, help="The most rows to show.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for function in (check, plan, history, rejections, debug):
        command(app, function.__name__)(function)
    command(app, "compile")(compile_sync)


def check(settings: Settings, sync: SyncArgument = None, as_json: JsonOption = False) -> int:
    """Look whether all is ready to run.

    Without SYNC, every source and every sync is looked at. The exit code is 1 if anything is missing.
    """
    project = settings.project
    findings: list[dict[str, Any]] = []
    for target in [project.sync(sync).id] if sync else list(project.syncs):
        findings += _check_one(project, target)
    if not sync:
        used = {project.source_of(each).name for each in project.syncs}
        for source in (each for each in project.sources if each not in used):
            findings += _check_one(project, None, source)
    if as_json:
        output.show_json(findings)
    else:
        rows = [
            (each["of"], each["check"], "ok" if each["ok"] else "MISSING", each["detail"])
            for each in findings
        ]
        output.show_table(["of", "check", "result", "detail"], rows)
        fixes = dict.fromkeys(each["fix"] for each in findings if not each["ok"] and each["fix"])
        if fixes:
            output.show()
            output.show("To fix:", "bold")
            for fix in fixes:
                output.show(fix)
    return SUCCESS if all(each["ok"] for each in findings) else FAILED


def _check_one(project: Project, sync_id: str | None, source: str | None = None) -> list[dict[str, Any]]:
    target = sync_id or source or ""
    try:
        if sync_id is None:
            with project.connect(source) as warehouse:
                found = warehouse.check()
        else:
            with project.warehouse_for(sync_id) as warehouse:
                found = warehouse.check(project.sync(sync_id))
    except CdcError as error:
        return [{"of": target, "check": error.code, "ok": False, "detail": error.message, "fix": error.hint}]
    return [
        {"of": target, "check": each.name, "ok": bool(each.ok), "detail": each.detail, "fix": each.fix}
        for each in found
    ]


def compile_sync(
    settings: Settings,
    sync: SyncArgument = None,
    dialect: Annotated[
        str | None, typer.Option(help="The SQL dialect, if not the source's.", show_default=False)
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML, JSON or TOML with the columns of the model's tables: {table: {column: type}}.",
            show_default=False,
        ),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write one file a statement there.")
    ] = None,
) -> None:
    """Print the SQL of a sync, without connecting."""
    from warehouse_cdc import compile as compile_statements

    chosen = settings.project.sync(sync)
    source = settings.project.source_of(chosen.id)
    compiled = compile_statements(
        chosen,
        dialect or source.dialect,
        {} if schema is None else _read_schema(schema),
        planner_schema=source.planner_schema,
        audit_schema=source.audit_schema,
    )
    if directory is None:
        output.show_sql(compiled.sql().rstrip())
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, statement in compiled.statements.items():
            (directory / f"{name}.sql").write_text(output.as_sql(statement) + "\n", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"The statements can't be written to {directory}: {reason}.", code="output"
        ) from error
    output.tell(f"Wrote {len(compiled.statements)} files to {directory}.")


def _read_schema(path: Path) -> dict[str, dict[str, str]]:
    content = read_document(path).data
    if not all(isinstance(columns, dict) for columns in content.values()):
        raise ConfigError(f"{path} must map tables to columns and their types.", code="schema-file")
    return {
        str(table): {str(column): str(kind) for column, kind in columns.items()}
        for table, columns in content.items()
    }


def plan(
    settings: Settings,
    sync: SyncArgument = None,
    rows: Annotated[
        int, typer.Option(metavar="N", min=0, help="Sample rows to show, with their values.")
    ] = 5,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would send.

    Counts, guards that would stop it and a few rows; nothing is sent or changed. The rows are shown with
    their values; --rows 0 leaves them out.
    """
    chosen = settings.project.sync(sync)
    with settings.project.warehouse_for(chosen.id) as warehouse:
        dry = warehouse.plan(chosen)
        sample = dry.preview(limit=rows) if rows else None
    content = [] if sample is None else to_rows(sample)
    if as_json:
        names = ("counts", "unchanged", "null_key_rows", "duplicate_keys", "guards", "notes")
        values = {name: getattr(dry, name) for name in names}
        output.show_json({"sync_id": chosen.id, **values, "rows": content})
        return
    _show_plan(dry, chosen.id)
    if content and sample is not None:
        output.show()
        output.show_table(sample.column_names, [list(row.values()) for row in content])


def _show_plan(dry: DryRun, sync_id: str) -> None:
    output.show(f"{sync_id}: a run now would send", "bold")
    for operation, _ in _OPERATIONS:
        output.show(f"  {operation:<9} {dry.counts.get(operation, 0):>12,}")
    output.show(f"  unchanged {dry.unchanged:>12,}", "dim")
    if dry.null_key_rows:
        output.show(f"  {dry.null_key_rows:,} rows without a primary key would be ignored", "yellow")
    if dry.duplicate_keys:
        output.show(f"  {dry.duplicate_keys:,} primary keys occur more than once", "yellow")
    for guard in dry.guards:
        output.show(f"  a guard would stop it: {output.clean(guard)}", "bold red")
    for note in dry.notes:
        output.show(f"  note: {output.clean(note)}")


def history(
    settings: Settings, sync: SyncArgument = None, limit: LimitOption = 20, as_json: JsonOption = False
) -> None:
    """Show the runs of a sync, newest first.

    For each operation it shows how many succeeded of those planned. No row values are shown.
    """
    chosen = settings.project.sync(sync)
    with settings.project.warehouse_for(chosen.id) as warehouse:
        runs = to_rows(warehouse.history(chosen, limit=limit).arrow)
    if as_json:
        output.show_json(runs)
        return
    if not runs:
        output.show(f"{chosen.id} has not run yet.")
        return
    lines = []
    for each in runs:
        counts = [
            f"{each[f'num_succeeded_{op}'] or 0:,}/{each[f'num_planned_{op}'] or 0:,}"
            for _, op in _OPERATIONS
        ]
        started = each["started_at"]
        shown = started.strftime("%Y-%m-%d %H:%M:%S") if hasattr(started, "strftime") else started
        lines.append([shown, each["sync_run_id"], each["status"], *counts, each["error"]])
    operations = [operation for operation, _ in _OPERATIONS]
    output.show_table(["started_at", "run", "status", *operations, "error"], lines, right=operations)


def rejections(
    settings: Settings,
    sync: SyncArgument = None,
    limit: LimitOption = 100,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all: .csv, .json, .parquet."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rows that were rejected.

    These are the rows that the last ended run could not deliver, with their primary keys and the reasons in
    the destination's own words: both are data.
    """
    if file is not None and file.suffix not in _WRITERS:
        raise ConfigError(
            f"{file.name!r}: rejections can't be written in that format.",
            code="output",
            hint=f"End the file's name with {', '.join(_WRITERS)}.",
        )
    chosen = settings.project.sync(sync)
    with settings.project.warehouse_for(chosen.id) as warehouse:
        table = warehouse.rejections(chosen).arrow
    if file is not None:
        try:
            _WRITERS[file.suffix](table, file)
        except OSError as error:
            raise ConfigError(f"{file} can't be written ({type(error).__name__}).", code="output") from None
        output.tell(f"{table.num_rows:,} rows written to {file}.")
        return
    found = to_rows(table.slice(0, limit))
    if as_json:
        output.show_json(found)
        return
    if not found:
        output.show(f"The last run of {chosen.id} rejected no rows.")
        return
    output.show_table(table.column_names, [list(row.values()) for row in found], right=["attempts"])
    if table.num_rows > limit:
        output.tell(f"{table.num_rows - limit:,} more; --limit shows more of them.")


def _write_json(table: pa.Table, file: Path) -> None:
    file.write_text(output.as_json(to_rows(table)) + "\n", encoding="utf-8")


def _write_csv(table: pa.Table, file: Path) -> None:
    from pyarrow import csv

    csv.write_csv(table, file)


def _write_parquet(table: pa.Table, file: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(table, file)


_WRITERS = {".csv": _write_csv, ".json": _write_json, ".parquet": _write_parquet}


def debug(
    settings: Settings,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    row: Annotated[str | None, typer.Argument(metavar="ROW", help="A row's id.")] = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the calls that a run has made, or those that a row was in.

    The sync must have a request_log. It holds data, but no secrets and no redacted columns.
    """
    folders = {
        Path(sync.request_log) for sync in settings.project.syncs.values() if sync.request_log is not None
    }
    logs = [log for folder in sorted(folders) if (log := calls(folder, run, row)) is not None]
    if not logs:
        raise ConfigError(
            f"No request log has a run {run!r}.",
            code="request-log",
            hint="Give its sync a request_log, a folder; logs are kept for request_log_days.",
        )
    found = list(islice(chain.from_iterable(logs), limit))
    if as_json:
        output.show_json(found)
        return
    if not found:
        output.show("No call." if row is None else f"Row {row} was in no call.")
    for call in found:
        _show_call(call, row)


def _show_call(call: Mapping[str, Any], row: str | None) -> None:
    rows = call["rows"]
    title = (
        f"{call['at']}  {call['operation']}, {len(rows)} rows, attempt {call['attempt']}, {call['seconds']} s"
    )
    output.show(title, "bold")
    for exchange in call["exchanges"]:
        answer = exchange["status"] if exchange["status"] is not None else exchange["error"]
        output.show(f"{exchange['method']} {exchange['url']} → {answer} ({exchange['seconds']} s)")
        for head, body in (("request", exchange["request_body"]), ("answer", exchange["response_body"])):
            if body:
                output.show(f"{head}: {body}")
    shown = [each for each in rows if each["row_id"] == row] if row is not None else rows
    output.show_table(
        ["row_id", "outcome", "reason"], [(each["row_id"], each["outcome"], each["reason"]) for each in shown]
    )
