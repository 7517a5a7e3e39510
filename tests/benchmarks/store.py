"""A million rows of runs: written as a sweep writes them, and loaded into pandas by another process."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from sweep import grid, schema
from sweep.store import Store, Writer

ROWS, BATCH = 1_000_000, 500
GRID = """
name: store
seed: {range: [0, 20000]}
data: {kind: signal_noise, n: 20, d: 100, signal: {lin: [0, 10, 50]}, noise: 1}
model: {kind: cnn}
optimizer: {kind: gd, lr: 0.1}
train: {steps: 100}
record: {points: 0}
"""
LOAD = """
import json, sys, time
import pandas
import analysis
folder, began = sys.argv[1], time.perf_counter()
rows = len(analysis.load(folder))
loaded = time.perf_counter()
plain = len(pandas.read_parquet(f"{folder}/runs"))
print(json.dumps({"rows": rows, "plain": plain, "load": loaded - began, "pandas": time.perf_counter() - loaded}))
"""


def batches() -> list[dict[str, Any]]:
    """Rows as they come from the engine, BATCH trials at a time."""
    (block,) = grid.parse_grid(GRID).blocks
    random = np.random.default_rng(0)
    found = []
    for rows in block.rows(BATCH):
        trial, problem = block.ids(rows)
        observed = {name: random.random(len(rows)) for name in schema.STANDARD_OBSERVABLES}
        outcome = {
            "status": np.full(len(rows), "out_of_steps", object),
            "steps": np.full(len(rows), 100),
            "fit_step": np.ma.array(np.full(len(rows), 100), mask=random.random(len(rows)) < 0.5),
        }
        found.append(
            {"trial": trial, "problem": problem, **block.columns(rows), **outcome, **observed}
        )
    return found


def run(rounds: int) -> list[dict[str, Any]]:
    """Write and load."""
    parsed, rows = grid.parse_grid(GRID), batches()
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder) / "store")
            manifest = {"name": "store", "schema": schema.VERSION, "info": {"trials": parsed.size}}
            store.open(manifest, parsed.text)
            began = time.perf_counter()
            with Writer(
                store, schema.runs(parsed.columns), schema.curves(), {"shard": "0/1"}
            ) as writer:
                for each in rows:
                    writer.add("bucket", 1, each)
            written = time.perf_counter()
            ask = [sys.executable, "-c", LOAD, str(store.folder)]
            read = json.loads(
                subprocess.run(ask, capture_output=True, text=True, check=True).stdout
            )
            assert read.pop("plain") == read["rows"] == ROWS
            mib = sum(path.stat().st_size for path in store.folder.rglob("*.parquet")) / 2**20
            found.append({"write": written - began, "mib": mib, **read})
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    median = {
        name: statistics.median(each[name] for each in found)
        for name in ("write", "load", "pandas", "mib")
    }
    return [
        "| rows | written, rows/s | analysis.load, seconds | pandas.read_parquet, seconds | MiB |",
        "|---|---|---|---|---|",
        f"| {ROWS:,} | {ROWS / median['write']:,.0f} | {median['load']:.2f} | {median['pandas']:.2f} "
        f"| {median['mib']:.0f} |",
    ]
