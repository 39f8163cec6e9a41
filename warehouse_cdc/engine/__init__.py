"""A run: its journal, lease, transitions, recovery and delivery."""
