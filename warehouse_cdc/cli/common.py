"""What all commands share: the options -p and -v, errors and exit codes."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.logging import RichHandler

from warehouse_cdc.cli import output
from warehouse_cdc.errors import CdcError, ConfigError, ModelError, UnsupportedError
from warehouse_cdc.project import Project, load_project

SUCCESS, FAILED, USAGE, REJECTED = 0, 1, 2, 3
"""The exit codes."""

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project", "-p", show_default=False, help="The project file or its folder, if not the current one."
    ),
]
VerboseOption = Annotated[
    int,
    typer.Option("--verbose", "-v", count=True, show_default=False, help="Log what is done; -vv logs more."),
]
SyncArgument = Annotated[
    str | None,
    typer.Argument(metavar="SYNC", show_default=False, help="Its id; not needed if there is only one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Write JSON.")]
F = TypeVar("F", bound=Callable[..., Any])


class Settings:
    """The options that every command takes."""

    def __init__(self, file: Path | None, verbose: int) -> None:
        """Keep the options; the project is read when it is first asked for."""
        self.file = file
        self.verbose = verbose

    @cached_property
    def project(self) -> Project:
        """The project.

        Raises:
            ConfigError: It is missing or wrong.
        """
        return load_project(self.file)


def exit_code(error: CdcError) -> int:
    """The exit code for an error that stopped a command."""
    return USAGE if isinstance(error, ConfigError | ModelError | UnsupportedError) else FAILED


def worst(codes: list[int]) -> int:
    """The exit code for several syncs: failed, then wrongly declared, then rejected rows."""
    return next((code for code in (FAILED, USAGE, REJECTED) if code in codes), SUCCESS)


def command(app: typer.Typer, name: str) -> Callable[[F], F]:
    """Register a command: adds -p and -v, and turns errors into a message and an exit code.

    The function's first parameter is the :class:`Settings`; it may return an exit code.
    """

    def decorate(function: F) -> F:
        signature = inspect.signature(function, eval_str=True)
        parameters = list(signature.parameters.values())[1:]

        def wrapper(ctx: typer.Context, **options: Any) -> None:
            shared = ctx.find_root().obj or {}
            file, verbose = options.pop("project"), options.pop("verbose")
            settings = Settings(file or shared.get("project"), verbose + shared.get("verbose", 0))
            _configure_logging(settings.verbose)
            raise typer.Exit(_guarded(lambda: function(settings, **options), settings.verbose))

        keyword = inspect.Parameter.KEYWORD_ONLY
        extra = [
            inspect.Parameter("project", keyword, default=None, annotation=ProjectOption),
            inspect.Parameter("verbose", keyword, default=0, annotation=VerboseOption),
        ]
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        parameters = [context, *(each.replace(kind=keyword) for each in parameters), *extra]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {each.name: each.annotation for each in parameters}
        wrapper.__doc__ = function.__doc__
        wrapper.__name__ = function.__name__
        app.command(name)(wrapper)
        return function

    return decorate


def _guarded(call: Callable[[], int | None], verbose: int) -> int:
    """Run a command; the exit code."""
    try:
        return call() or SUCCESS
    except CdcError as error:
        tell_failure(error, verbose)
        return exit_code(error)
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except BrokenPipeError:  # the reader, for example head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # a bug, here or in a user's own code
        tell_failure(error, verbose)
        return FAILED


def tell_failure(error: Exception, verbose: int, about: str = "") -> None:
    """Write an error to stderr, with its traceback from -vv on."""
    if verbose > 1:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    output.tell_error(as_cdc_error(error, hint="" if verbose > 1 else "-vv shows the traceback."), about)


def as_cdc_error(error: Exception, hint: str = "") -> CdcError:
    """The error itself, or one that shows only the type of an unexpected one: its text may hold anything."""
    if isinstance(error, CdcError):
        return error
    return CdcError(f"Unexpected {type(error).__name__}.", code="internal", hint=hint)


def _configure_logging(verbose: int) -> None:
    if not verbose:
        return
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    if output.stderr_is_terminal():
        handler = RichHandler(console=output.err, show_path=False, markup=False)
    logger = logging.getLogger("warehouse_cdc")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
