"""Progressive data expansion written out in numpy, with additions as the released notebook makes them and at random.

Case 1 of arXiv 2306.04949, eight seeds. The notebook of github.com/uclaml/PDE adds points of the majority of class -1
alone, Algorithm 1 of the paper draws from all that are left. Accuracies in % on 10,000 fresh points, and of the minority.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.systems import spread

SEEDS, POINTS, FILTERS, D = 8, 10_000, 20, 50
LR, MOMENTUM, WARMUP, EVERY = 0.03, 0.9, 801, 101
ADDITIONS = {
    "class -1 alone, as in the notebook": (100, 100, 100, 50, 50, 25, 25),
    "at random": (64,) * 7,
}
SECOND = np.repeat(np.array([1, -1], np.float32), FILTERS)


class Sample(NamedTuple):
    """Patches (n, 3, d), labels and spurious attributes."""

    x: np.ndarray
    y: np.ndarray
    a: np.ndarray


def sample(random: np.random.Generator) -> Sample:
    """Points of case 1."""
    y = random.choice([-1.0, 1.0], POINTS)
    a = np.where(random.random(POINTS) < 0.98, y, -y)
    x = np.zeros((POINTS, 3, D), np.float32)
    x[:, 0, 0], x[:, 1, 1] = 0.2 * y, a
    x[:, 2] = random.standard_normal((POINTS, D)) / 8
    return Sample(x, y, a)


def responses(params: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """Pre-activations (n, 3, filters)."""
    weights, bias = params
    return x @ weights.T + bias


def step(params: list[np.ndarray], speed: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> None:
    """One update of momentum, in place."""
    z = responses(params, x)
    margin = y * ((z**3).sum(axis=1) @ SECOND)
    slope = -y * np.exp(-np.logaddexp(0, margin)) / len(y)
    inner = (3 * z**2 * SECOND * slope[:, None, None]).reshape(-1, len(SECOND))
    gradients = inner.T @ x.reshape(-1, D), inner.sum(axis=0)
    for each, velocity, gradient in zip(params, speed, gradients, strict=True):
        velocity *= MOMENTUM
        velocity += gradient
        each -= LR * velocity


def accuracy(params: list[np.ndarray], points: Sample) -> tuple[float, float]:
    """Of all points, and of the minority, in %."""
    right = points.y * ((responses(params, points.x) ** 3).sum(axis=1) @ SECOND) > 0
    return 100 * right.mean(), 100 * right[points.a != points.y].mean()


def train(seed: int) -> dict[str, tuple[float, float]]:
    """Accuracies after the warm-up, and after each kind of expansion that goes on from it."""
    random = np.random.default_rng(seed)
    points, fresh = sample(random), sample(random)
    cells = [np.flatnonzero((points.y == y) & (points.a == a)) for y in (-1, 1) for a in (-1, 1)]
    warm = np.concatenate([cell[: min(map(len, cells))] for cell in cells])
    shapes = (2 * FILTERS, D), (2 * FILTERS,)
    params = [(0.1 * random.uniform(-1, 1, shape) / D**0.5).astype(np.float32) for shape in shapes]
    speed = [np.zeros_like(each) for each in params]
    for _ in range(WARMUP):
        step(params, speed, points.x[warm], points.y[warm])
    found = {"warm-up alone": accuracy(params, fresh)}
    left = np.setdiff1d(np.arange(POINTS), warm)
    for (how, additions), order in zip(
        ADDITIONS.items(), (left[points.y[left] < 0], left), strict=True
    ):
        weights, velocity = [each.copy() for each in params], [each.copy() for each in speed]
        for total in np.cumsum(additions):
            rows = np.concatenate([warm, order[:total]])
            x, y = points.x[rows], points.y[rows]
            for _ in range(EVERY):
                step(weights, velocity, x, y)
        found[how] = accuracy(weights, fresh)
    return found


def run(_rounds: int) -> list[dict[str, Any]]:
    """All seeds."""
    return [train(seed) for seed in range(SEEDS)]


def table(found: list[dict[str, Any]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| | test accuracy, % | minority accuracy, % |", "|---|---|---|"]
    for way in found[0]:
        test, minority = np.array([each[way] for each in found]).T
        lines.append(f"| {way} | {spread(test)} | {spread(minority)} |")
    return lines
