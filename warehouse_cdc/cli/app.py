"""The command line's root."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from typing import Annotated

import typer

from warehouse_cdc.cli import inspecting, running, starting
from warehouse_cdc.cli.common import ProjectOption, VerboseOption

app = typer.Typer(
    name="warehouse-cdc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _module in (starting, running, inspecting):
    _module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"warehouse-cdc {version('warehouse-cdc')}")
        except PackageNotFoundError:
            from warehouse_cdc import __version__

            typer.echo(f"warehouse-cdc {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    project: ProjectOption = None,
    verbose: VerboseOption = 0,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Send what changed in a warehouse model to a destination, and keep an audit trail.

    Exit codes: 0 success, 1 failed, 2 wrong usage or configuration, 3 some rows were rejected.
    """
    ctx.obj = {"project": project, "verbose": verbose}


def main() -> None:
    """Entry point of the ``warehouse-cdc`` command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the encoding doesn't know must not end a run
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="warehouse-cdc")
