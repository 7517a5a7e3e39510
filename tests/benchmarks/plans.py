"""Seconds and memory to read and plan a grid of ten million points; planning trains nothing."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

GRID = """
name: ten
seed: {range: [0, 100000]}
data: {kind: signal_noise, n: 20, d: 100, signal: {lin: [0, 10, 50]}, noise: 1}
model: {kind: cnn, width: [5, 10]}
optimizer: {kind: gd, lr: 0.1}
train: {steps: 100}
"""
MEASURE = """
import json, resource, sys, time
from sweep import grid
from sweep.planning import plan
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, began = memory(), time.perf_counter()
found = plan.make(grid.parse(sys.stdin.read()), plan.Host("cpu", 2))
print(json.dumps({"points": found.left, "seconds": time.perf_counter() - began, "mib": memory(), "import_mib": before}))
"""


def run(rounds: int) -> list[dict[str, Any]]:
    """A fresh process for each round."""
    ask = [sys.executable, "-c", MEASURE]
    answers = [
        subprocess.run(ask, input=GRID, capture_output=True, text=True, check=True)
        for _ in range(rounds)
    ]
    return [json.loads(answer.stdout) for answer in answers]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    seconds = [each["seconds"] for each in found]
    return [
        "| points | seconds (range) | peak memory of the process | of which importing jax |",
        "|---|---|---|---|",
        f"| {found[0]['points']:,} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) "
        f"| {max(each['mib'] for each in found):.0f} MiB | {found[0]['import_mib']:.0f} MiB |",
    ]
