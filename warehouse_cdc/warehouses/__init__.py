"""Connections: one module per driver, loaded when it is used."""
