"""Benchmarks of the engine beside honest baselines: `python -m tests.benchmarks`."""
