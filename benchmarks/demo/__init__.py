"""``python -m benchmarks.demo``: ten weeks of a real shop, synced to PostgreSQL and to files."""
