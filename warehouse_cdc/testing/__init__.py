"""For tests of destinations: a suite that all of them must pass, and a server that fails as it is told."""

from typing import TYPE_CHECKING, Any

from warehouse_cdc.errors import ConfigError
from warehouse_cdc.testing.fault_server import Call, Fault, FaultServer, in_turn

if TYPE_CHECKING:
    from warehouse_cdc.testing.conformance import DestinationConformance

__all__ = ["Call", "DestinationConformance", "Fault", "FaultServer", "in_turn"]


def __getattr__(name: str) -> Any:
    """The suite is imported when it is used: it needs pytest and hypothesis."""
    if name != "DestinationConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        import pytest

        pytest.register_assert_rewrite("warehouse_cdc.testing.conformance", "warehouse_cdc.testing.trial")
        from warehouse_cdc.testing.conformance import DestinationConformance
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The suite for destinations needs {error.name}.",
            code="missing-extra",
            hint='pip install "warehouse-cdc[testing]"',
        ) from error
    return DestinationConformance
