"""A plan as a pure value: names, state and statements; no connection."""
