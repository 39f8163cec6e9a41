"""The public surface, pinned, and what importing it costs."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import warehouse_cdc as wcdc
from warehouse_cdc.warehouses.delta import LeftoverError

ROOT = Path(__file__).resolve().parents[2]

NAMES = [
    "AuthenticationError", "CdcError", "Compiled", "ConfigError", "ConnectionLostError", "Counts",
    "DestinationError", "DryRun", "Finding", "GuardError", "LeaseLostError", "Model", "ModelError",
    "PayloadTooLargeError",
    "PermissionDeniedError", "Progress", "QueryError", "RateLimitedError", "Run", "StateError",
    "StateVersionError", "Sync", "SyncInProgressError", "Table", "UnsupportedError", "Warehouse",
    "WarehouseError", "WarehouseLockedError", "compile", "connect", "destination", "destinations", "sources",
]  # fmt: skip

DESTINATIONS = [
    "Batch", "Capabilities", "Csv", "Destination", "FunctionDestination", "HttpFunction", "HttpRequest",
    "JobWriter", "JsonLines", "JsonRpc", "Outcome", "Parquet", "RunContext", "SqlTable", "Writer",
    "destination", "rejected", "retryable", "unknown",
]  # fmt: skip

TREE = {
    "CdcError": "Exception",
    "ConfigError": "CdcError",
    "ModelError": "CdcError",
    "UnsupportedError": "CdcError",
    "WarehouseError": "CdcError",
    "QueryError": "WarehouseError",
    "ConnectionLostError": "WarehouseError",
    "WarehouseLockedError": "WarehouseError",
    "PermissionDeniedError": "WarehouseError",
    "DestinationError": "CdcError",
    "AuthenticationError": "DestinationError",
    "PayloadTooLargeError": "DestinationError",
    "RateLimitedError": "DestinationError",
    "GuardError": "CdcError",
    "StateError": "CdcError",
    "SyncInProgressError": "StateError",
    "LeaseLostError": "StateError",
    "StateVersionError": "StateError",
}


def test_the_public_names() -> None:
    assert sorted(wcdc.__all__) == NAMES
    assert all(hasattr(wcdc, name) for name in NAMES)
    assert sorted(wcdc.destinations.__all__) == DESTINATIONS


def test_the_error_tree() -> None:
    errors = {
        name: value.__bases__[0].__name__
        for name, value in vars(wcdc).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert errors == TREE
    assert issubclass(wcdc.ConfigError, ValueError)
    shown = inspect.getdoc(inspect.getmodule(wcdc.CdcError)) or ""
    assert all(name in shown for name in TREE), "the module's docstring shows the tree"


def test_every_error_has_a_code_and_shows_its_hint() -> None:
    codes = set()
    for name in TREE:
        kind = getattr(wcdc, name)
        extra = {"guard": "max_removed", "seen": 1, "limit": 0} if name == "GuardError" else {}
        error = kind("What happened.", hint="What to do.", **extra)
        assert str(error).startswith("What happened.") and str(error).endswith("hint: What to do.")
        assert error.code and error.hint == "What to do." and isinstance(error.retryable, bool)
        codes.add(error.code)
    assert len(codes) == len(TREE)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        (
            "run",
            [
                "sync",
                "wait",
                "allow_removed",
                "allow_empty",
                "progress",
                "observer",
                "executor",
                "parts",
                "release",
            ],
        ),
        ("full_resync", ["sync", "wait", "allow_empty", "progress", "observer", "executor", "parts"]),
        ("reset_cdc", ["sync", "wait", "allow_empty", "progress", "observer"]),
        ("plan", ["sync"]),
        ("history", ["sync", "limit"]),
        ("rejections", ["sync"]),
        ("check", ["sync"]),
        ("setup_sql", ["principal"]),
        ("setup", ["principal"]),
        ("cancel", []),
        ("close", []),
    ],
)
def test_the_methods_of_a_warehouse(name: str, parameters: list[str]) -> None:
    signature = inspect.signature(getattr(wcdc.Warehouse, name))
    assert list(signature.parameters)[1:] == parameters
    assert (getattr(wcdc.Warehouse, name).__doc__ or "").strip()


def test_the_arguments_of_a_declaration() -> None:
    model = inspect.signature(wcdc.Model).parameters
    assert list(model) == ["name", "sql", "table", "file", "primary_key", "id", "dialect"]
    sync = inspect.signature(wcdc.Sync).parameters
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in sync.values())
    assert [name for name, p in sync.items() if p.default is p.empty] == ["id", "model", "destination"]
    assert {name: sync[name].default for name in ("mode", "on_removed", "max_removed", "require_rows")} == {
        "mode": "upsert",
        "on_removed": "nothing",
        "max_removed": 0.5,
        "require_rows": True,
    }


DRIVERS = (
    "psycopg",
    "snowflake",
    "databricks",
    "google.cloud",
    "trino",
    "boto3",
    "pyspark",
    "mssql_python",
    "pandas",
    "polars",
)


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, check=True
    )
    return set(json.loads(done.stdout))


def test_importing_the_library_loads_no_driver() -> None:
    modules = loaded_by("import warehouse_cdc")
    assert not [
        name for name in modules if name in DRIVERS or name.startswith(tuple(d + "." for d in DRIVERS))
    ]
    assert not [name for name in modules if name.split(".")[0] in ("typer", "rich", "yaml", "pytest")]


def test_compiling_for_postgres_loads_no_driver() -> None:
    modules = loaded_by(
        "import warehouse_cdc as w\n"
        "m = w.Model('m', table='t', primary_key='id')\n"
        "w.compile(w.Sync(id='s', model=m, destination=print), 'postgres', {'t': {'id': 'int'}})"
    )
    assert "psycopg" not in modules


def test_the_package_is_typed_and_has_a_version() -> None:
    assert (Path(inspect.getfile(wcdc)).parent / "py.typed").exists()
    assert wcdc.__version__.count(".") >= 2


def test_errors_travel_between_processes_whole() -> None:
    errors = [
        wcdc.GuardError("It would.", guard="max_removed", seen=9, limit=1, hint="Look."),
        wcdc.ModelError("No.", line=1, column=2, excerpt="SELEC\n ^", code="model-syntax"),
        wcdc.SyncInProgressError("Busy.", expires_in=3.0),
        wcdc.QueryError("Refused.", sql="SELECT '…'", query_id="q", code="query-busy", retryable=True),
        LeftoverError("/table", sql="CREATE TABLE t"),
    ]
    for error in errors:
        found = pickle.loads(pickle.dumps(error))
        assert type(found) is type(error)
        assert (str(found), vars(found)) == (str(error), vars(error))
