"""What the commands write: results to stdout, everything else to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from warehouse_cdc.errors import CdcError

out = Console(highlight=False)
err = Console(highlight=False, stderr=True)
_WIDEST = 60
_STYLES = {
    "success": "green",
    "succeeded": "green",
    "ok": "green",
    "warning": "yellow",
    "failed": "red",
    "MISSING": "red",
}


def stdout_is_terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def stderr_is_terminal() -> bool:
    """Whether a person reads stderr."""
    return sys.stderr.isatty()


def clean(value: Any) -> str:
    """A value in one line, without characters that a terminal would obey."""
    text = "" if value is None else value if isinstance(value, str) else str(value)
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def show(text: str = "", style: str = "") -> None:
    """Write a line to stdout; plain if it isn't a terminal."""
    if stdout_is_terminal():
        out.print(Text(text, style=style), soft_wrap=True)
    else:
        typer.echo(text)


def tell(text: str, style: str = "") -> None:
    """Write a line to stderr; plain if it isn't a terminal."""
    if stderr_is_terminal():
        err.print(Text(text, style=style), soft_wrap=True)
    else:
        typer.echo(text, err=True)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Write a table to stdout: with lines on a terminal, else as aligned text with nothing cut off."""
    cells = [[clean(value) for value in row] for row in rows]
    if stdout_is_terminal():
        table = Table(header_style="bold")
        for column in columns:
            table.add_column(
                Text(clean(column)), justify="right" if column in right else "left", overflow="fold"
            )
        for row in cells:
            table.add_row(*(Text(_short(cell), style=_STYLES.get(cell, "")) for cell in row))
        out.print(table)
        return
    lines = [[clean(column) for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ]
        typer.echo("  ".join(padded).rstrip())


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Write a value as JSON to stdout."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    typer.echo(as_json(value, indent=indent, only_ascii=encoding != "utf8"))


def as_json(value: Any, *, indent: int | None = 2, only_ascii: bool = False) -> str:
    """A value as JSON."""
    return json.dumps(_plain(value), ensure_ascii=only_ascii, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: what JSON doesn't know becomes text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def tell_error(error: CdcError, about: str = "") -> None:
    """Write an error to stderr as one block: its code, the message, the hint."""
    head = f"error[{error.code}]: "
    message = (f"{about}: " if about else "") + error.message
    hint = [
        f"  hint: {line}" if not index else f"        {line}"
        for index, line in enumerate(error.hint.splitlines())
    ]
    if stderr_is_terminal():
        err.print(Text.assemble((head, "bold red"), _visible(message)), soft_wrap=True)
        for line in hint:
            err.print(Text(_visible(line), style="cyan"), soft_wrap=True)
    else:
        typer.echo("\n".join([head + _visible(message), *map(_visible, hint)]), err=True)


def _visible(text: str) -> str:
    return "\n".join(clean(line) for line in text.split("\n"))


def as_sql(statement: str) -> str:
    """A statement that can be pasted: it ends with a semicolon."""
    return statement.rstrip().rstrip(";") + ";"


def show_sql(text: str) -> None:
    """Write SQL to stdout: with colours on a terminal, else as it is."""
    if not stdout_is_terminal():
        typer.echo(text)
        return
    from rich.syntax import Syntax

    out.print(Syntax("", "sql", theme="ansi_dark").highlight(text), soft_wrap=True, end="")
