"""What a step costs in each coordinate system as the dimension grows, on one core, compilation left out."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from sweep import grid
from sweep.engine import programs
from sweep.planning import plan
from tests.benchmarks.teams import race


@dataclass(frozen=True)
class Case:
    """Steps of one training."""

    coordinates: str
    optimizer: str
    n: int
    d: int
    steps: int

    @property
    def grid(self) -> str:
        """The grid file of the case."""
        gaussian = f"{{kind: signal_noise, n: {self.n}, d: {self.d}, signal: 2, noise: 1}}"
        sparse = f"{{kind: feature_noise, n: {self.n}, d: {self.d}, sparsity: 32, noise: 0.1, feature_noise: 0.2}}"
        lr = {"gd": 0.02, "adam": 5e-5}[self.optimizer]
        return f"""
name: coordinates
data: {gaussian if self.optimizer == "gd" else sparse}
model: {{kind: cnn, width: 20, power: 3, init_scale: "=0.1/sqrt(d)"}}
optimizer: {{kind: {self.optimizer}, lr: {lr}}}
train: {{steps: {self.steps}}}
coordinates: {self.coordinates}
test_points: 1000
record: {{points: 0}}
"""


CASES = (
    Case("ambient", "gd", 40, 2000, 2000),
    Case("span", "gd", 40, 2000, 2000),
    Case("gram", "gd", 40, 10**3, 2000),
    Case("gram", "gd", 40, 10**9, 2000),
    Case("ambient", "adam", 30, 10**4, 100),
    Case("support", "adam", 30, 10**4, 1000),
    Case("support", "adam", 30, 10**6, 1000),
)


def steps(number: int, index: int, count: int) -> Callable[[], Any]:
    """All steps of a training, on one core."""
    return _lanes(number, "advance")


def whole(number: int, index: int, count: int) -> Callable[[], Any]:
    """A training from its draws to its measurement, on one core."""
    return _lanes(number, "all")


def _lanes(number: int, what: str) -> Callable[[], Any]:
    (bucket,) = plan.make_plan(grid.parse_grid(CASES[number].grid), plan.Host("cpu", 1)).buckets
    trials, due = bucket.trials(), np.ones(1, bool)
    compiled = programs.compiled_programs(1, 1000)
    filled = compiled.fill(compiled.empty(trials), trials, due)

    def run() -> Any:
        lanes = (
            compiled.fill(compiled.empty(trials), trials, due)
            if what == "all"
            else jax.tree.map(np.copy, filled)
        )
        lanes, told = compiled.advance(lanes, np.int32(CASES[number].steps))
        if what == "all":
            jax.block_until_ready(compiled.measure(lanes, due, None, np.zeros(1, np.int32)))
        jax.block_until_ready(told)
        return {
            "bytes": sum(leaf.nbytes for leaf in jax.tree.leaves(lanes) if hasattr(leaf, "nbytes"))
        }

    return run


CONTENDERS = {"steps": steps, "whole": whole}


def run(rounds: int) -> list[dict[str, Any]]:
    """Time all cases, each in rounds of its own processes, one after the other."""
    found = []
    for number, case in enumerate(CASES):
        seconds, first = race(__name__, number, dict.fromkeys(CONTENDERS, 1), rounds)
        found.append({"case": vars(case), "seconds": seconds, **first["steps"][0]})
    return found


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| coordinates | optimizer | n, d | microseconds a step | whole training, ms | MiB a lane |",
        "|---|---|---|---|---|---|",
    ]
    for each in found:
        case = Case(**each["case"])
        step, whole = (statistics.median(each["seconds"][name]) for name in ("steps", "whole"))
        lines.append(
            f"| {case.coordinates} | {case.optimizer} | {case.n}, {case.d:,} | {step / case.steps * 1e6:.1f} "
            f"| {whole * 1e3:.1f} ({case.steps:,} steps) | {each['bytes'] / 2**20:.2f} |"
        )
    return lines
