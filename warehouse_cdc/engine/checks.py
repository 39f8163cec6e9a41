"""Looking whether a run has what it needs, and what to do where it hasn't."""

from __future__ import annotations

from dataclasses import dataclass

from warehouse_cdc.compile.layout import lay_out
from warehouse_cdc.compile.parse import read_model
from warehouse_cdc.engine.settings import Settings
from warehouse_cdc.errors import CdcError, PermissionDeniedError
from warehouse_cdc.plan.statements import Schemas, Statements
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
    """Look at the schemas, and at a sync's model and destination."""
    dialect = connection.dialect
    user = connection.user()
    found = []
    for schema in (settings.schemas.planner, settings.schemas.audit):
        statements = Statements(dialect, Schemas(schema, schema), PROBE)
        try:
            connection.tables(schema)
            with connection.transaction():
                connection.execute(statements.create_as(PROBE, "SELECT 1 AS one", key=""))
                connection.execute(statements.drop(PROBE))
        except PermissionDeniedError as error:
            grant = "; ".join(dialect.grants(schema, user)) or error.hint
            detail = f"{user or 'the user'} may not create tables in it"
            found.append(Finding(f"schema {schema}", False, detail, grant))
        except CdcError as error:
            fix = dialect.make_schema(schema) if error.code == "schema-missing" else error.hint
            found.append(Finding(f"schema {schema}", False, error.message, fix))
        else:
            found.append(Finding(f"schema {schema}", True, "tables can be made and dropped"))
    found += [Finding(*each) for each in connection.findings()]
    if sync is not None:
        found += _check_sync(connection, settings, sync, user)
    return found


def _check_sync(connection: Connection, settings: Settings, sync: Sync, user: str) -> list[Finding]:
    dialect = connection.dialect
    name = f"model {sync.model.name}"
    try:
        settings.check_timeout(sync)
        settings.check_dialect(sync, dialect)
        query = read_model(sync.model, connection.spoken)
        layout = lay_out(sync, connection.describe(query.sql), dialect, connection.engine_version())
        connection.probe(query.sql)
    except PermissionDeniedError as error:
        fix = dialect.read_grant(user) if user else error.hint
        return [Finding(name, False, error.message, fix)]
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
