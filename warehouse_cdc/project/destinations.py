"""The destination types of a project file."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse_cdc.errors import CdcError, ConfigError

if TYPE_CHECKING:
    from warehouse_cdc.destinations.base import Destination

GROUP = "warehouse_cdc.destinations"
"""The group of entry points under which packages register classes of destinations."""

_OWN = {
    name: EntryPoint(name, f"warehouse_cdc.destinations:{kind}", GROUP)
    for name, kind in {
        "sql_table": "SqlTable",
        "jsonl": "JsonLines",
        "csv": "Csv",
        "parquet": "Parquet",
        "http": "HttpRequest",
        "http_function": "HttpFunction",
        "json_rpc": "JsonRpc",
    }.items()
}
OWN_TYPES = [*_OWN, "python"]
"""What ``type`` can be without other packages; none of those can take such a name."""


def destination_types() -> list[str]:
    """What ``type`` can be: this package's own types, and those that installed packages register."""
    return [*OWN_TYPES, *sorted({each.name for each in entry_points(group=GROUP)} - {*OWN_TYPES})]


def destination_class(kind: str) -> Callable[..., Destination]:
    """The class of a destination type other than ``python``; nothing but its own package is imported.

    Raises:
        ConfigError: A package that it needs is missing, or what is registered is no class of destinations.
    """
    registered = [_OWN[kind]] if kind in _OWN else list(entry_points(group=GROUP, name=kind))
    packages = " and ".join(sorted(each.dist.name for each in registered if each.dist))
    if len({each.value for each in registered}) > 1:
        raise _refused(f"The type {kind!r} comes from several packages: {packages}.", "Keep one of them.")
    of_package = f"The type {kind!r} of the package {packages}"
    try:
        found: Any = registered[0].load()
    except CdcError:
        raise
    except ModuleNotFoundError as error:
        hint = f"It needs {error.name}; install that in the same environment."
        raise _refused(f"{of_package} can't be imported: {error.name} was not found.", hint) from error
    except Exception as error:  # whatever the package's module does
        raise _refused(
            f"{of_package} can't be imported ({type(error).__name__}).", "-vv shows the traceback."
        ) from error
    from warehouse_cdc.destinations.base import Destination

    if not (inspect.isclass(found) and issubclass(found, Destination)):
        raise _refused(f"{of_package} is not a class of destinations: {registered[0].value}.")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise _refused(f"{of_package} is incomplete: {registered[0].value} has no {missing}.")
    return found


def _refused(message: str, hint: str = "Tell those who maintain it.") -> ConfigError:
    return ConfigError(message, code="destination-plugin", hint=hint)


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
