"""The audit tables: changelog, snapshot and sync runs."""
