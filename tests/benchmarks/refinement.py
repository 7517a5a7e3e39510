"""A boundary refined with 15 % of the runs of a dense grid, beside that grid: 64 x values, 64 rows, 16 seeds.

Planted boundaries have smooth or steep transitions, in which seeds err together in all cells of a row. The sweep is
that of the two-layer ReLU CNN (arXiv 2303.04145, Section 6); its truth is a dense grid of other seeds. An error is the
root of the mean square over rows of log x at the boundary over the truth.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import analysis
from analysis.refinement.proposal import Refinement
from analysis.refinement.rounds import refine

ROWS, ACROSS, SEEDS, SHARE = 64, 64, 16, 0.15
DENSE = ROWS * ACROSS * SEEDS
LEVEL, START, FIRST, ROUNDS = 0.3, 8, 4, 6
"""A refinement starts from START x values at FIRST seeds."""

Y = np.geomspace(100, 1100, ROWS).round()
WORLDS = {"smooth": (0.45, 0.3, 0.01), "medium": (0.1, 0.15, 0.01), "steep": (0.05, 0.02, 0.05)}
"""Width of the transition in log x, how far seeds move it, and the noise of a run."""
REPLICATES = 20

GRID = """
name: relu
seed: {{range: [{first}, {last}]}}
data:
  {{kind: signal_noise, n: 20, d: {{range: [100, 1124, 16]}}, signal: {{log: [0.5, 10, {across}]}}, noise: 1,
  flip: 0.1, flip_test: true}}
model: {{kind: cnn, width: 10, power: 1, patches: sum, bias: true, init_scale: "=1/sqrt(3*d)"}}
objective: {{kind: logistic}}
optimizer: {{kind: gd, lr: 0.1}}
train: {{steps: 100}}
test_points: 1000
record: {{points: 0}}
coordinates: gram
"""
TRUTH = (1_000_000, 100)
"""First seed and number of seeds of the truth."""

Runs = Callable[[pd.DataFrame], pd.DataFrame]


def planted(replicate: int, world: str) -> tuple[np.ndarray, Runs]:
    """A boundary near x = c y^0.35, its logarithm by row, and the runs at any points (n, snr, seed)."""
    width, spread, noise = WORLDS[world]
    at = (
        0.35 * np.log(Y / 100)
        + np.log(1.5)
        + np.random.default_rng(replicate).uniform(-0.05, 0.05, ROWS)
    )

    def runs(points: pd.DataFrame) -> pd.DataFrame:
        value = np.empty(len(points))
        for seed, places in points.groupby("seed").indices.items():
            random = np.random.default_rng([replicate, int(seed)])  # type: ignore[call-overload]
            own = at + spread * (0.8 * random.normal() + 0.6 * random.normal(size=ROWS))
            part = points.iloc[places]
            distance = np.log(part["snr"].to_numpy()) - own[np.searchsorted(Y, part["n"])]
            value[places] = (
                0.1 + 0.4 / (1 + np.exp(distance / width)) + random.normal(0, noise, len(part))
            )
        return points.assign(test_error=value, optimizer="gd")

    return at, runs


def plane(across: int, seeds: int) -> pd.DataFrame:
    """All points of a grid."""
    x = np.geomspace(0.3, 10, across)
    s, i, j = (
        each.ravel() for each in np.meshgrid(np.arange(seeds), np.arange(ROWS), np.arange(across))
    )
    return pd.DataFrame({"n": Y[i], "snr": x[j], "seed": s})


def error(found: pd.DataFrame, truth: np.ndarray) -> float:
    """The root of the mean square of log boundary minus its truth."""
    return float(np.sqrt(np.mean((np.log(found["at"]) - truth) ** 2)))


def on_planted(replicate: int, world: str) -> dict[str, float]:
    """Errors of the dense grid and of the refinement, and the runs that it took."""
    truth, make = planted(replicate, world)
    boundary = analysis.Boundary("snr", "n", level=LEVEL, facet="optimizer", resamples=300)
    dense, runs = make(plane(ACROSS, SEEDS)), make(plane(START, FIRST))
    for turn in range(ROUNDS):
        left = int(SHARE * DENSE) - len(runs)
        points = Refinement(boundary, left // (ROUNDS - turn))(runs)
        runs = pd.concat([runs, make(points)], ignore_index=True)
    return {
        "dense": error(boundary.follow(dense), truth),
        "refined": error(boundary.follow(runs), truth),
        "runs": len(runs),
    }


def train(folder: Path, name: str, first: int, seeds: int, across: int) -> Path:
    """A sweep of the CNN."""
    path = folder / f"{name}.yaml"
    path.write_text(GRID.format(first=first, last=first + seeds, across=across), encoding="utf-8")
    ask = [sys.executable, "-m", "sweep.run", str(path), "--out", str(folder / name), "--quiet"]
    subprocess.run(ask, check=True, capture_output=True)
    return folder / name


def on_cnn(replicates: int) -> list[dict[str, float]]:
    """The same of the CNN, each replicate with seeds of its own."""
    boundary = analysis.Boundary("signal", "d", level=LEVEL, facet="optimizer", resamples=300)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        true_runs = analysis.load(train(folder, "truth", *TRUTH, ACROSS))
        truth = np.log(boundary.follow(true_runs)["at"].to_numpy())
        for k in range(replicates):
            dense = train(folder, f"dense-{k}", 1000 * k, SEEDS, ACROSS)
            start = train(folder, f"start-{k}", 1000 * k, FIRST, START)
            runs = analysis.load(start)
            for turn in range(ROUNDS):
                left = int(SHARE * DENSE) - len(runs)
                list(refine(start, Refinement(boundary, left // (ROUNDS - turn)), 1))
                runs = analysis.load(start, start.with_name(f"{start.name}-refined"))
            errors = {
                "dense": error(boundary.follow(analysis.load(dense)), truth),
                "refined": error(boundary.follow(runs), truth),
            }
            found.append({**errors, "runs": len(runs)})
    return found


def run(rounds: int) -> dict[str, list[dict[str, float]]]:
    """Planted boundaries, then the CNN with `rounds` replicates."""
    found = {
        world: [on_planted(replicate, world) for replicate in range(REPLICATES)] for world in WORLDS
    }
    return {**found, "two-layer CNN": on_cnn(rounds)}


def table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Lines of Markdown."""
    lines = [
        "| boundary | replicates | error of the dense grid | of the refinement | ratio | share of the runs |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        dense, refined = (
            float(np.sqrt(np.mean([one[key] ** 2 for one in each]))) for key in ("dense", "refined")
        )
        ratios = [one["refined"] / one["dense"] for one in each]
        share = max(one["runs"] for one in each) / DENSE
        lines.append(
            f"| {name} | {len(each)} | {dense:.4f} | {refined:.4f} | {refined / dense:.2f} "
            f"(each: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}) | {share:.1%} |"
        )
    return lines
