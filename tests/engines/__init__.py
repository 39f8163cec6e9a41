"""Real engines for tests, assembled once into a cache outside of the tree."""
