"""Syncs of what can't be written to: models' rows come to an embedded DuckDB, where the engine runs."""
