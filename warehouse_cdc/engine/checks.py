"""Looking whether a run has what it needs, and what to do where it hasn't."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

from warehouse_cdc.audit.tables import oldest_run
from warehouse_cdc.compile.layout import lay_out
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.dialects import get_dialect
from warehouse_cdc.engine.dry_run import history_of
from warehouse_cdc.engine.journal import next_run_id
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.engine.store import verify, verify_rows
from warehouse_cdc.errors import CdcError, PermissionDeniedError, QueryError, WarehouseError
from warehouse_cdc.plan.names import REQUESTS, owned
from warehouse_cdc.plan.statements import AUDIT_TABLES, Schemas, Statements
from warehouse_cdc.sync import Sync
from warehouse_cdc.warehouses.base import Connection

PROBE = "wcdc_check"


@dataclass(frozen=True)
class Finding:
    """One thing that a run needs.

    Attributes:
        name: What was looked at.
        ok: Whether it is there.
        detail: What was found.
        fix: What to run where it isn't, or an empty string.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""


def check(connection: Connection, settings: Settings, sync: Sync | None = None) -> list[Finding]:
    """Look at the schemas and the tables in them, and at a sync's model, state and destination."""
    dialect = connection.dialect
    try:
        user = connection.user()
    except CdcError as error:
        return [Finding("connection", False, error.message, error.hint)]
    found = []
    present: dict[str, Set[str]] = {}
    for schema in (settings.schemas.planner, settings.schemas.audit):
        try:
            present[schema] = _try_schema(connection, schema)
        except PermissionDeniedError as error:
            grant = "; ".join(dialect.grants(schema, user)) or error.hint
            detail = f"{user or 'the user'} may not create tables in it"
            found.append(Finding(f"schema {schema}", False, detail, grant))
        except CdcError as error:
            fix = dialect.make_schema(schema) if error.code == "schema-missing" else error.hint
            found.append(Finding(f"schema {schema}", False, error.message, fix))
        else:
            found.append(Finding(f"schema {schema}", True, "tables can be made and dropped"))
    found += _check_tables(connection, settings, sync, user, present)
    found += [Finding(*each) for each in connection.findings()]
    if sync is not None:
        if (names := present.get(settings.schemas.planner)) is not None:
            found += _check_state(connection, settings, sync, user, owned(sync.id, names))
        found += _check_sync(connection, settings, sync)
    return found


def _try_schema(connection: Connection, schema: str) -> Set[str]:
    """Make a table and drop it, and those of checks that were killed a day ago or longer.

    Returns:
        The names of its tables.
    """
    connection.make_schemas(schema)
    names = {name for _schema, name in connection.tables(schema)}
    statements = Statements(connection.dialect, Schemas(schema, schema), PROBE)
    for name in names:
        if name.startswith(PROBE) and name < f"{PROBE}_{oldest_run(1).lower()}":
            with suppress(WarehouseError):  # it may be somebody else's
                connection.execute(statements.drop(name))
    probe = f"{PROBE}_{next_run_id(None).lower()}"
    with connection.transaction():
        connection.execute(statements.create_as(probe, "SELECT 1 AS one", key=""))
        connection.execute(statements.drop(probe))
    return names


@cache
def _columns() -> dict[str, str]:
    """The columns of each table that syncs share, which are the same in every dialect."""
    statements = Statements(get_dialect("duckdb"), Schemas(), "")
    made = {name: sql for (_schema, name), (sql, *_index) in statements.create_shared().items()}
    made[REQUESTS] = statements.create_requests()
    trees = {name: sqlglot.parse_one(sql, read="duckdb") for name, sql in made.items()}
    return {
        name: ", ".join(column.name for column in tree.find_all(exp.ColumnDef))
        for name, tree in trees.items()
    }


def _check_tables(
    connection: Connection,
    settings: Settings,
    sync: Sync | None,
    user: str,
    present: dict[str, Set[str]],
) -> Iterator[Finding]:
    """What keeps a run from the tables that are there already and that syncs share."""
    dialect = connection.dialect
    unused: set[str] = set()
    if sync is not None:
        unused = {*AUDIT_TABLES} - {*settings.logs(sync)}
        unused |= set() if sync.request_log_table else {REQUESTS}
    for schema, names in present.items():
        for name in sorted((names & _columns().keys()) - unused):
            table, columns = dialect.table(schema, name), _columns()[name]
            nothing = f"SELECT {columns} FROM {table} WHERE 1 = 0"
            try:
                if dialect.capabilities.row_level_dml:
                    connection.execute(f"INSERT INTO {table} ({columns}) {nothing}")
                else:
                    connection.query(nothing)
            except PermissionDeniedError as error:
                grant = "; ".join(dialect.table_grants(schema, name, user)) or error.hint
                yield Finding(f"table {schema}.{name}", False, error.message, grant)
            except CdcError as error:
                other = "Rename it, or drop it: the next run makes one of its own."
                fix = error.hint or (other if isinstance(error, QueryError) else "")
                yield Finding(f"table {schema}.{name}", False, error.message, fix)


def _check_state(
    connection: Connection, settings: Settings, sync: Sync, user: str, mine: Set[str]
) -> Iterator[Finding]:
    """What keeps a run from the sync's state, which these tables hold."""
    dialect, planner = connection.dialect, settings.schemas.planner
    statements = Statements(dialect, settings.schemas, sync.id)
    try:
        history = history_of(connection, statements, [])
        if sync.traits.cdc and history.state_plan is not None and history.state_plan.record.cdc:
            verify(statements, history, {*mine})
            verify_rows(connection, statements, history)
    except PermissionDeniedError as error:
        grants = [grant for name in sorted(mine) for grant in dialect.table_grants(planner, name, user)]
        grant = "; ".join(dict.fromkeys(grants)) or error.hint
        yield Finding(f"state of {sync.id}", False, error.message, grant)
    except CdcError as error:
        yield Finding(f"state of {sync.id}", False, error.message, error.hint)


def _check_sync(connection: Connection, settings: Settings, sync: Sync) -> list[Finding]:
    dialect = connection.dialect
    name = f"model {sync.model.name}"
    try:
        settings.check_timeout(sync)
        settings.check_dialect(sync, dialect)
        query = read_model(sync.model, connection.spoken)
        layout = lay_out(sync, connection.describe(query.sql), dialect, connection.engine_version())
        connection.probe(query.sql)
    except PermissionDeniedError as error:
        return [Finding(name, False, error.message, _read_grant(connection) or error.hint)]
    except CdcError as error:
        return [Finding(name, False, error.message, error.hint)]
    compared = ", ".join(column.name for column in layout.columns)
    found = [Finding(name, True, f"compared columns: {compared}")]
    from warehouse_cdc.engine.run import Options, Runner

    try:
        Runner(connection, settings, sync, Options()).check_destination(layout)
    except CdcError as error:
        found.append(Finding(f"destination {sync.destination.name}", False, error.message, error.hint))
    else:
        found.append(Finding(f"destination {sync.destination.name}", True, "takes this sync"))
    return found


def _read_grant(connection: Connection) -> str:
    """What lets the model be read where it is; empty if that can't be told."""
    place = connection.origin if connection.loads else connection
    if place is None:
        return ""
    try:
        user = place.user()
    except CdcError:
        return ""
    return place.dialect.read_grant(user) if user else ""
