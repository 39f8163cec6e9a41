"""The destination types of a project file."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_cdc.errors import ConfigError

if TYPE_CHECKING:
    from warehouse_cdc.destinations.base import Destination

_CLASSES = {
    "sql_table": "SqlTable",
    "jsonl": "JsonLines",
    "csv": "Csv",
    "parquet": "Parquet",
    "http": "HttpRequest",
    "http_function": "HttpFunction",
    "json_rpc": "JsonRpc",
}
DESTINATION_TYPES = [*_CLASSES, "python"]
"""What ``type`` can be."""


def destination_class(kind: str) -> Callable[..., Destination]:
    """The class of a destination type other than ``python``.

    Raises:
        ConfigError: A package that it needs is missing.
    """
    found: Callable[..., Destination] = getattr(
        importlib.import_module("warehouse_cdc.destinations"), _CLASSES[kind]
    )
    return found


def load_function(reference: str, folder: Path) -> Destination:
    """The destination that ``package.module:name`` names; the project's folder is on ``sys.path``.

    Raises:
        ConfigError: It can't be imported, or is neither a destination nor callable.
    """
    from warehouse_cdc.destinations.base import Destination, as_destination

    module_name, colon, name = reference.partition(":")
    if not (
        colon and name and all(part.isidentifier() for part in (*module_name.split("."), *name.split(".")))
    ):
        raise ConfigError("The function must be given as package.module:name.", code="destination-function")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    value: Any = _module(module_name)
    for part in name.split("."):
        if not hasattr(value, part):
            raise ConfigError(
                f"The function's module {module_name} has no {part!r}.", code="destination-function"
            )
        value = getattr(value, part)
    if inspect.isclass(value) and issubclass(value, Destination):
        raise ConfigError(
            f"The function {name!r} is a class.",
            code="destination-function",
            hint="Name an instance of it, or a function that takes a batch.",
        )
    return as_destination(value)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        hint = "It is looked for in the project file's folder and among the installed packages."
        if missing != name and not name.startswith(f"{missing}."):
            hint = f"{name} imports it; install it in the same environment."
        raise ConfigError(
            f"The function's module {missing} was not found.", code="destination-function", hint=hint
        ) from error
    except Exception as error:  # whatever the user's module does
        raise ConfigError(
            f"The function's module {name} fails when it is imported ({type(error).__name__}).",
            code="destination-function",
            hint="-vv shows the traceback.",
        ) from error
