"""Helpers for testing destinations: a server on a real socket that fails as it is told."""

from warehouse_cdc.testing.fault_server import Call, Fault, FaultServer, in_turn

__all__ = ["Call", "Fault", "FaultServer", "in_turn"]
