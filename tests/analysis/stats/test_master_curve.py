"""The distance from a master curve and its minimum, beside weighted lines by numpy and a fine grid."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.stats.collapse_search import candidates_along, exponent_grid, search
from analysis.stats.master_curve import ScaledCurves
from analysis.stats.seed_cube import SeedCube

Floats = np.ndarray


def random_curves(random: np.random.Generator) -> ScaledCurves:
    """Curves that fall, jump or peak, on regular or irregular x and sizes, with cells of fewer runs."""
    seeds, sizes, xs = (int(random.integers(*ends)) for ends in ((2, 9), (2, 5), (5, 11)))
    log_size = np.sort(np.log(random.uniform(5, 300, sizes)))
    log_x = np.linspace(-2, 2, xs) if random.random() < 0.5 else np.sort(random.uniform(-2, 2, xs))
    moved = log_x + random.normal(0, 0.3) * (log_size - log_size.mean())[:, None]
    steepness, noise = np.exp(random.uniform(0, 2.5)), np.exp(random.uniform(-6, -2))
    share = 1 / (1 + np.exp(steepness * moved))
    kind = random.integers(3)
    if kind == 0:
        values = 0.5 * (random.random((seeds, sizes, xs)) < share)
    else:
        curve = share if kind == 1 else np.exp(-steepness * moved**2)
        values = curve + random.normal(0, noise, (seeds, sizes, xs))
    present = random.random(values.shape) < random.choice([0.9, 1.1])
    present[0] = True
    return ScaledCurves.of(
        SeedCube(np.exp(log_x).tolist(), np.exp(log_size).tolist(), values, present, True)
    )


def distance_by_lines(curves: ScaledCurves, theta: Floats) -> tuple[float, int]:
    """The mean squared distance of the means and how many points have one, a line at a time."""
    a, b, c = theta
    u = (curves.log_x + a * curves.log_size - c) * np.exp(b * curves.log_size)
    squares = []
    for point, at in enumerate(u):
        near: list[int] = []
        for size in np.unique(curves.log_size):
            own = np.flatnonzero(curves.log_size == size)
            own = own[np.argsort(u[own])]
            if curves.log_size[point] != size and u[own[0]] <= at <= u[own[-1]]:
                right = min(max(int(np.searchsorted(u[own], at, side="right")), 1), len(own) - 1)
                near += own[[right - 1, right]].tolist()
        if near:
            # Weights of polyfit are reciprocals of standard errors, and those of a run are 1.
            line, covariance = np.polyfit(
                u[near] - at,
                curves.curves[0, near],
                1,
                w=np.sqrt(curves.count[near]),
                cov="unscaled",
            )
            error = 1 / curves.count[point] + covariance[1, 1]
            squares.append((curves.curves[0, point] - line[1]) ** 2 / error)
    return (float(np.mean(squares)) if squares else np.inf), len(squares)


def test_the_distance_is_that_of_weighted_lines() -> None:
    random, compared = np.random.default_rng(0), 0
    for _ in range(40):
        curves = random_curves(random)
        theta = random.normal(0, [0.3, 0.1, 0.3])
        distances, (count,) = curves.distances(theta[None], curves.curves[:1, None])
        if count > 0:
            expected, points = distance_by_lines(curves, theta)
            assert points == count
            assert (distances**2).sum() / count == pytest.approx(expected, rel=1e-6, abs=1e-12)
            compared += 1
    assert compared > 20


@pytest.mark.thorough
def test_the_search_ends_no_higher_than_a_fine_grid() -> None:
    """Of four resamples each of 25 sets of curves, whatever their kinks and jumps."""
    random, compared = np.random.default_rng(1), 0
    for index in range(25):
        curves = random_curves(random)
        seeds = curves.seeds
        draws = random.multinomial(seeds, np.full(seeds, 1 / seeds), 4).astype(float)
        weights = np.insert(draws, 0, 1.0, axis=1)
        grid, _ = exponent_grid(curves)
        fine = np.linspace(grid[0], grid[-1], 10 * len(grid))
        # Off the exponents at which points of different sizes coincide, where no side holds.
        fine = fine[:-1] + 0.38 * (fine[1] - fine[0])
        truth = curves.along(np.stack([fine, 0 * fine, 0 * fine], axis=1), weights).min(axis=1)
        if not np.isfinite(truth).all():
            continue
        candidates, steps = candidates_along(curves, grid)
        values = curves.along(candidates, weights)
        resampled = weights @ curves.curves
        theta = search(curves, candidates, steps, values, resampled, np.zeros(4))
        distances, count = curves.distances(theta, resampled[None])
        found = (distances[0] ** 2).sum(axis=1) / count
        assert (found <= 1.001 * truth + 1e-12).all(), index
        compared += 1
    assert compared > 18
