"""The demo and the benchmarks. They run from a checkout and aren't shipped."""
