"""``init`` and ``setup``: the way to a first run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warehouse_cdc.cli import output
from warehouse_cdc.cli.common import Settings, command
from warehouse_cdc.errors import ConfigError
from warehouse_cdc.project.loader import FILE_NAMES

_PROJECT = """\
# A warehouse-cdc project. Relative paths are relative to this file.
# ${NAME} and ${NAME:-default} are replaced by environment variables; $$ is a dollar sign.

sources:
  warehouse:
    url: duckdb:///warehouse.duckdb     # or ${WAREHOUSE_URL}: keep passwords out of this file

models:
  customers:
    source: warehouse
    file: models/customers.sql          # or sql: select ..., or table: sales.customers
    primary_key: id

destinations:
  files:
    type: jsonl                         # or csv, parquet, sql_table, python
    directory: out
    skip_empty: true                    # no file where there is nothing to write

syncs:
  customers-to-files:
    model: customers
    destination: files
    mode: diff                          # each run writes what was added, changed and removed
"""

_MODEL = """\
-- Edit, add or remove a row, then run again: only the difference is sent.
select id, email, tier, lifetime_value
from (
    values
        (1, 'ada@example.com', 'gold', 1250.00),
        (2, 'grace@example.com', 'silver', 310.50),
        (3, 'edsger@example.com', 'bronze', 42.00),
        (4, 'barbara@example.com', 'gold', 987.25),
        (5, 'donald@example.com', 'bronze', 18.75)
) as customers (id, email, tier, lifetime_value)
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "init")(init)
    command(app, "setup")(setup)


def init(
    settings: Settings,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to write; made if missing.")
    ] = Path(),
) -> None:
    """Write a project that runs right away.

    It has one sync, from a DuckDB file of its own to JSON Lines files.
    """
    project, model = directory / FILE_NAMES[0], directory / "models" / "customers.sql"
    taken = [path for path in (*(directory / name for name in FILE_NAMES), model) if path.exists()]
    if taken:
        raise ConfigError(
            f"{taken[0]} exists; nothing was written.",
            code="init-exists",
            hint="Name another folder: init DIR.",
        )
    try:
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text(_MODEL, encoding="utf-8")
        project.write_text(_PROJECT, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"The project can't be written to {directory}: {error.strerror or type(error).__name__}.",
            code="init-write",
        ) from error
    output.show(f"Wrote {project} and {model}.")
    change = "" if directory == Path() else f"cd {directory} && "
    output.show(f"Next: {change}warehouse-cdc plan, then {change}warehouse-cdc run")


def setup(
    settings: Settings,
    source: Annotated[
        str | None, typer.Option(help="The source; not needed if there is only one.", show_default=False)
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option(help="The user or role that runs syncs, if not the connected one.", show_default=False),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Also run the statements.")] = False,
) -> None:
    """Print the grants that syncs need.

    The statements make the two schemas too; --apply runs them.
    """
    with settings.project.connect(source) as warehouse:
        statements = warehouse.setup_sql(principal)
        if statements:
            output.show_sql("\n".join(output.as_sql(statement) for statement in statements))
        if apply:
            warehouse.setup(principal)
            output.tell(f"Ran {len(statements)} statements.", "green")
