"""Logistic fits reach the maximum of the penalised likelihood, or say that they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from analysis.stats import firth
from analysis.stats.crossing import logistic_crossing, logistic_fit


def loss(beta: np.ndarray, z: np.ndarray, successes: np.ndarray, counts: np.ndarray) -> float:
    """Minus the penalised log-likelihood, written with matrices."""
    logit = beta[0] + beta[1] * z
    log_share, log_rest = -np.logaddexp(0, -logit), -np.logaddexp(0, logit)
    design = np.stack([np.ones_like(z), z - z.mean()], axis=1)
    information = design.T @ (design * (counts * np.exp(log_share + log_rest))[:, None])
    sign, penalty = np.linalg.slogdet(information)
    likelihood = successes @ log_share + (counts - successes) @ log_rest
    return float(-likelihood - penalty / 2) if sign > 0 else 1e9


def random_row(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of which some lie close together, as refinement adds them, and shares of any slope."""
    z = np.sort(random.uniform(-1, 1, random.integers(3, 10)))
    near = z[len(z) // 2] + 10.0 ** -random.integers(0, 5) * random.random(3)
    z = np.sort(np.concatenate([z, near]))
    z = (z - z.mean()) / np.ptp(z)
    counts = random.integers(1, 9, len(z)).astype(float)
    steepness, at = 10.0 ** random.uniform(0, 5), random.choice(z) + random.normal(0, 0.01)
    share = 1 / (1 + np.exp(np.clip(steepness * (z - at), -500, 500)))
    return z, random.binomial(counts.astype(int), share).astype(float), counts


def test_random_rows_reach_the_maximum_of_an_optimizer_with_many_starts() -> None:
    """By Nelder and Mead, which needs no derivative."""
    random = np.random.default_rng(0)
    for index in range(40):
        row = z, successes, counts = random_row(random)
        found = logistic_fit(z, successes[None], counts[None], 0.5)[0]
        starts = [
            (-slope * m, slope) for slope in (-3.0, -300.0) for m in np.quantile(z, (0.3, 0.6))
        ]
        exact = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 2000}
        truths = [
            minimize(loss, start, row, method="Nelder-Mead", options=exact) for start in starts
        ]
        assert loss(found, *row) <= min(truth.fun for truth in truths) + 1e-7, index


def test_the_gradient_vanishes_in_random_rows() -> None:
    random = np.random.default_rng(1)
    for index in range(150):
        row = z, successes, counts = random_row(random)
        found = logistic_fit(z, successes[None], counts[None], 0.5)[0]
        # Distances in units of the curve: a step of the logit at both ends of the points.
        for direction in ([1.0, 0.0], [0.0, 1.0]):
            step = 1e-4 * np.array(direction) * max(1.0, abs(found[1]) / 10)
            here, left, right = (loss(found + k * step, *row) for k in (0, -1, 1))
            assert here <= min(left, right) + 1e-9, index


def test_a_refined_row_crosses_between_the_runs_that_differ() -> None:
    x = np.geomspace(0.25, 8, 8)
    gap = np.log(x[3:5])
    for _ in range(3):
        thirds = np.linspace(*gap, 4)
        x, gap = np.sort([*x, *np.exp(thirds[1:3])]), thirds[2:]
    x, edge = np.log(x), gap[0]
    counts, sums = np.full((1, len(x)), 8.0), np.where(x < edge - 1e-9, 8.0, 0.0)[None]
    below = x[x < edge - 1e-9].max()
    assert below < logistic_crossing(x, sums, counts, 0.5)[0] < edge


def test_a_fit_that_does_not_converge_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firth, "MAX_STEPS", 2)
    x, counts = np.arange(6.0), np.full((1, 6), 5.0)
    sums = np.where(np.arange(6) < 3, 5.0, 0.0)[None]
    assert np.isnan(logistic_crossing(x, sums, counts, 0.5)).all()


def test_rows_without_a_curve() -> None:
    """No runs: nothing. All at one position, or all alike: beyond the points."""
    x = np.arange(4.0)
    counts = np.array([[0, 0, 0, 0], [0, 3, 0, 0], [0, 3, 0, 0], [3, 3, 3, 3], [3, 3, 3, 3.0]])
    sums = np.array([[0, 0, 0, 0], [0, 3, 0, 0], [0, 1, 0, 0], [3, 3, 3, 3], [0, 0, 0, 0.0]])
    expected = [np.nan, np.inf, -np.inf, np.inf, -np.inf]
    np.testing.assert_array_equal(logistic_crossing(x, sums, counts, 0.5), expected)
