"""The command line: ``warehouse-cdc``."""

from __future__ import annotations

from warehouse_cdc.cli.app import app, main

__all__ = ["app", "main"]
