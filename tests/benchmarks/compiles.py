"""Seconds of compilation in the first run of a sweep, and in a second run in a new store."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GRID = """
name: compiles
seed: {range: [0, 4]}
data: {kind: feature_noise, n: [20, 60], d: 200, sparsity: 20, noise: 0.1}
model: {kind: cnn, width: [5, 20], power: 3}
optimizer: [{kind: gd, lr: 0.02}, {kind: adam, lr: 5.0e-5}, {kind: lion, lr: 5.0e-5}]
train: {steps: 100000, target_loss: 0.5}
test_points: 500
"""
RUN = """
import json, sys, time
import jax
spent = {}
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: spent.update({event: spent.get(event, 0.0) + seconds})
)
from sweep.run import sweep
began = time.perf_counter()
sweep(sys.argv[1], sys.argv[2], workers=1, quiet=True)
print(json.dumps({"spent": spent, "seconds": time.perf_counter() - began}))
"""
COMPILING = "/jax/core/compile/backend_compile_duration"
TRACING = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
)


def run(rounds: int) -> list[dict[str, Any]]:
    """A cold run with an empty cache of its own, then a warm one, in fresh processes."""
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "grid.yaml").write_text(GRID)
            environment = {**os.environ, "XDG_CACHE_HOME": name}
            environment.pop("JAX_COMPILATION_CACHE_DIR", None)
            answers = {}
            for run in ("cold", "warm"):
                ask = [sys.executable, "-c", RUN, str(folder / "grid.yaml"), str(folder / run)]
                answer = subprocess.run(
                    ask, env=environment, capture_output=True, text=True, check=True
                )
                told = json.loads(answer.stdout)
                answers[run] = {
                    "compiling": told["spent"].get(COMPILING, 0.0),
                    "tracing": sum(told["spent"].get(event, 0.0) for event in TRACING),
                    "all": told["seconds"],
                }
            found.append(answers)
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| run | compiling, s | tracing and lowering, s | all, s |", "|---|---|---|---|"]
    for run in ("cold", "warm"):
        median = {
            key: statistics.median(each[run][key] for each in found)
            for key in ("compiling", "tracing", "all")
        }
        lines.append(
            f"| {run} | {median['compiling']:.2f} | {median['tracing']:.2f} | {median['all']:.1f} |"
        )
    return lines
