"""``run``, ``resync`` and ``reset``: the commands that change something."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from warehouse_cdc.cli import output
from warehouse_cdc.cli.common import (
    FAILED,
    REJECTED,
    SUCCESS,
    Settings,
    SyncArgument,
    as_cdc_error,
    command,
    exit_code,
    tell_failure,
    worst,
)
from warehouse_cdc.cli.progress import reporter
from warehouse_cdc.errors import CdcError, ConfigError

if TYPE_CHECKING:
    from warehouse_cdc import Run

_COUNTS = ("planned", "attempted", "succeeded", "failed", "aborted")
_ORDER = ("added", "changed", "removed")

WaitOption = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Wait for another run of the sync to end.")
]
AllowRemovedOption = Annotated[
    bool,
    typer.Option("--allow-removed", help="Go on though more rows left the model than max_removed allows."),
]
AllowEmptyOption = Annotated[
    bool, typer.Option("--allow-empty", help="Go on though the model returns no row.")
]
ProcessesOption = Annotated[
    int, typer.Option(metavar="N", min=1, help="Send from so many processes, chunks beside each other.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
RunJsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON object a run to stdout, and nothing else there.")
]


@dataclass(frozen=True)
class _Options:
    """How to run a sync."""

    wait: float
    allow_removed: bool
    allow_empty: bool
    as_json: bool
    processes: int = 1
    release: bool | tuple[str, ...] = False


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "run")(run)
    command(app, "release")(release)
    command(app, "resync")(resync)
    command(app, "reset")(reset)
    command(app, "adopt")(adopt)


def run(
    settings: Settings,
    syncs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYNC", show_default=False, help="Their ids; not needed if there is only one."
        ),
    ] = None,
    all_syncs: Annotated[
        bool, typer.Option("--all", help="Run every sync, in the order of the file.")
    ] = False,
    wait: WaitOption = 0.0,
    allow_removed: AllowRemovedOption = False,
    allow_empty: AllowEmptyOption = False,
    processes: ProcessesOption = 1,
    as_json: RunJsonOption = False,
) -> int:
    """Send what changed since the last run. No row values are shown or logged.

    Progress goes to stderr, results to stdout. Exit code 3 means that the destination rejected some rows.
    """
    project = settings.project
    if all_syncs and syncs:
        raise ConfigError("Give sync ids or --all, not both.", code="usage")
    if not all_syncs and not syncs and len(project.syncs) > 1:
        hint = f"Name one or more of {', '.join(project.syncs)}, or use --all."
        raise ConfigError(f"The project has {len(project.syncs)} syncs.", code="project-sync", hint=hint)
    wanted: list[str | None] = [*syncs] if syncs else [*project.syncs] or [None]
    chosen = list(dict.fromkeys(project.sync(each).id for each in wanted))
    options = _Options(wait, allow_removed, allow_empty, as_json, processes)
    codes: list[int] = []
    for position, sync_id in enumerate(chosen):
        code, status = _run_one(settings, sync_id, "run", options)
        codes.append(code)
        if status == "cancelled" and position + 1 < len(chosen):
            output.tell(f"Not run: {', '.join(chosen[position + 1 :])}.", "yellow")
            break
    return worst(codes)


def release(
    settings: Settings,
    sync: Annotated[str, typer.Argument(metavar="SYNC", show_default=False, help="Its id.")],
    rows: Annotated[
        list[str] | None,
        typer.Argument(metavar="ROW", show_default=False, help="Row ids; all rows if none is given."),
    ] = None,
    wait: WaitOption = 0.0,
    as_json: RunJsonOption = False,
) -> int:
    """Run a sync, and send rows that its on_rejected keeps back, too; `rejections` lists them."""
    sync_id = settings.project.sync(sync).id
    options = _Options(wait, False, False, as_json, release=tuple(rows) if rows else True)
    return _run_one(settings, sync_id, "run", options)[0]


def resync(
    settings: Settings,
    sync: SyncArgument = None,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    allow_empty: AllowEmptyOption = False,
    as_json: RunJsonOption = False,
) -> int:
    """Send every row again.

    Forgets what was delivered, so that every row is added, and removals that are still to be sent.
    """
    sync_id = settings.project.sync(sync).id
    _confirm(f"Send every row of {sync_id} again, and forget removals that are still to be sent?", yes)
    return _run_one(settings, sync_id, "full_resync", _Options(wait, True, allow_empty, as_json))[0]


def reset(
    settings: Settings,
    sync: SyncArgument = None,
    yes: YesOption = False,
    wait: WaitOption = 0.0,
    allow_empty: AllowEmptyOption = False,
    as_json: RunJsonOption = False,
) -> int:
    """Take the model's rows as delivered and send nothing."""
    sync_id = settings.project.sync(sync).id
    _confirm(f"Take all rows that {sync_id} has now as delivered, and forget its rejected rows?", yes)
    return _run_one(settings, sync_id, "reset_cdc", _Options(wait, True, allow_empty, as_json))[0]


def adopt(
    settings: Settings,
    state: Annotated[
        Path, typer.Option(metavar="FILE", help="The DuckDB file that has its state.", show_default=False)
    ],
    sync: SyncArgument = None,
    wait: WaitOption = 0.0,
    as_json: RunJsonOption = False,
) -> int:
    """Move the state of a sync that was pulled so far into the warehouse, and send nothing."""
    chosen = settings.project.sync(sync)
    if settings.project.source_of(chosen.id).state is not None:
        hint = "Remove state from it first: the sync is to run in the warehouse."
        raise ConfigError("The source still has a state file.", code="usage", hint=hint)
    with settings.project.warehouse_for(chosen.id) as warehouse:
        ended = warehouse.adopt(chosen, state, wait=wait)
    if ended is None:
        output.tell(f"{chosen.id}: the state was moved before.")
        return SUCCESS
    _show_run(ended, as_json=as_json)
    return SUCCESS


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    # Not typer.confirm: it writes to stdout too, which belongs to the results.
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer:
        typer.echo(err=True)
        raise ConfigError("No answer could be read.", code="usage", hint="--yes answers beforehand.")
    if answer.strip().lower() not in ("y", "yes"):
        output.tell("Nothing was done.")
        raise typer.Exit(FAILED)


def _run_one(settings: Settings, sync_id: str, method: str, options: _Options) -> tuple[int, str]:
    """Run one sync; the exit code and the status. An error doesn't stop the syncs after it."""
    try:
        ended = _call(settings, sync_id, method, options)
    except Exception as error:
        tell_failure(error, settings.verbose, sync_id)
        failure = as_cdc_error(error)
        if options.as_json:
            values = {"run_id": None, "sync_id": sync_id, "status": "failed", "error": failure.message}
            output.show_json({**values, "code": failure.code, "hint": failure.hint}, indent=None)
        return exit_code(failure), "failed"
    _show_run(ended, as_json=options.as_json)
    return {"success": SUCCESS, "warning": REJECTED}.get(ended.status, FAILED), ended.status


def _call(settings: Settings, sync_id: str, method: str, options: _Options) -> Run:
    sync = settings.project.sync(sync_id)
    with settings.project.warehouse_for(sync_id) as warehouse:
        start: Callable[..., Run] = getattr(warehouse, method)
        more: dict[str, Any] = {"allow_removed": options.allow_removed} if method == "run" else {}
        with ExitStack() as stack:
            progress = stack.enter_context(reporter(sync_id, quiet=options.as_json))
            if options.processes > 1:
                workers = ProcessPoolExecutor(options.processes, mp_context=get_context("spawn"))
                more |= {"executor": stack.enter_context(workers), "parts": options.processes}
            if options.release:
                more["release"] = options.release
            return start(sync, wait=options.wait, allow_empty=options.allow_empty, progress=progress, **more)


def _counts(ended: Run) -> dict[str, dict[str, int]]:
    return {
        operation: {name: int(getattr(ended.counts[operation], name)) for name in _COUNTS}
        for operation in _ORDER
        if operation in ended.counts
    }


def _show_run(ended: Run, *, as_json: bool) -> None:
    counts = _counts(ended)
    if as_json:
        names = ("run_id", "sync_id", "status", "error", "null_key_rows", "duplicates_dropped", "seconds")
        values: dict[str, Any] = {name: getattr(ended, name) for name in names}
        output.show_json({**values, "counts": counts, "notes": list(ended.notes)}, indent=None)
    else:
        _show_summary(ended, counts)
    if ended.status not in ("success", "warning"):
        output.tell_error(
            CdcError(ended.error or f"The run was {ended.status}.", code=f"run-{ended.status}"), ended.sync_id
        )


def _show_summary(ended: Run, counts: dict[str, dict[str, int]]) -> None:
    style = {"success": "bold green", "warning": "bold yellow"}.get(ended.status, "bold red")
    output.show(f"{ended.sync_id}: {ended.status} in {ended.seconds:,.1f} s (run {ended.run_id})", style)
    if any(numbers["planned"] for numbers in counts.values()):
        rows = [
            [operation, *(f"{numbers[name]:,}" for name in _COUNTS)] for operation, numbers in counts.items()
        ]
        output.show_table(["operation", *_COUNTS], rows, right=_COUNTS)
    else:
        output.show("  nothing to send")
    for note in ended.notes:
        output.show(f"  note: {output.clean(note)}")
    if ended.null_key_rows:
        output.show(f"  {ended.null_key_rows:,} rows without a primary key were ignored", "yellow")
    if ended.duplicates_dropped:
        output.show(f"  {ended.duplicates_dropped:,} copies of duplicate keys were dropped", "yellow")
    failed = sum(numbers["failed"] for numbers in counts.values())
    if failed:
        output.show(f"  'warehouse-cdc rejections {ended.sync_id}' shows why {failed:,} failed", "yellow")
