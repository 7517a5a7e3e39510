"""Boundaries: crossings against other implementations, intervals by their coverage of planted boundaries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import isotonic_regression, minimize

from analysis.stats.boundary import Boundary
from analysis.stats.crossing import logistic_crossing, monotone_crossing
from sweep.errors import SweepError

SLOW = pytest.param("logistic", True, 16, marks=pytest.mark.slow)
X = np.geomspace(0.1, 10, 12)
N = np.geomspace(10, 320, 6)
SLOPE = -0.5


def planted(seed: int, seeds: int = 10, binary: bool = False) -> tuple[pd.DataFrame, np.ndarray]:
    """Runs whose error falls from 1/2 to 0 around x = c n^-1/2, each seed a little off in all its cells; the boundary.

    `binary`: each run errs by 1/2 or not at all.
    """
    random = np.random.default_rng(seed)
    boundary = random.uniform(0.9, 1.1) * (N / 60) ** SLOPE
    own = random.normal(0, 0.025, seeds)
    s, y, x = (
        each.ravel()
        for each in np.meshgrid(np.arange(seeds), np.arange(6), np.arange(12), indexing="ij")
    )
    share = 1 / (1 + (X[x] / boundary[y]) ** 2)
    value = (
        0.5 * (random.random(s.size) < share)
        if binary
        else 0.5 * share + own[s] + random.normal(0, 0.08, s.size)
    )
    columns = {
        "seed": s,
        "n": N[y],
        "snr": X[x],
        "test_error": value,
        "optimizer": "gd",
        "trial": np.arange(s.size),
    }
    return pd.DataFrame(columns), boundary


def by_scipy(x: np.ndarray, means: np.ndarray, counts: np.ndarray, level: float) -> float:
    """The crossing of scipy's isotonic regression."""
    there = counts > 0
    x, fit = x[there], isotonic_regression(means[there], weights=counts[there], increasing=False).x
    if fit[0] < level or fit[-1] >= level:
        return np.inf if fit[-1] >= level else -np.inf
    left = int(np.flatnonzero(fit >= level)[-1])
    return float(
        x[left] + (fit[left] - level) / (fit[left] - fit[left + 1]) * (x[left + 1] - x[left])
    )


def test_the_monotone_crossing_is_that_of_the_isotonic_regression() -> None:
    random = np.random.default_rng(0)
    x = np.sort(random.random(9))
    counts = random.integers(0, 4, (300, 9)).astype(float)
    means = 0.5 - 0.6 * x + random.normal(0, 0.2, (300, 9))
    found = monotone_crossing(x, means * counts, counts, 0.25)
    for row in np.flatnonzero(counts.sum(axis=1) > 0):
        assert found[row] == pytest.approx(by_scipy(x, means[row], counts[row], 0.25)), row
    assert np.isnan(monotone_crossing(x, np.zeros(9), np.zeros(9), 0.25))


def test_the_logistic_fit_is_the_maximum_of_the_penalised_likelihood() -> None:
    random = np.random.default_rng(1)
    x, counts = np.linspace(-1, 1, 7), np.full(7, 6.0)
    sums = random.binomial(6, 1 / (1 + np.exp(3 * x))).astype(float)

    def loss(beta: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-beta[0] - beta[1] * x))
        design = np.stack([np.ones(7), x], axis=1)
        information = design.T @ (design * (counts * p * (1 - p))[:, None])
        likelihood = sums @ np.log(p) + (counts - sums) @ np.log1p(-p)
        return float(-likelihood - 0.5 * np.linalg.slogdet(information)[1])

    best = minimize(loss, [0.0, -1.0], tol=1e-10).x
    crossing = logistic_crossing(x, sums[None], counts[None], 0.5)
    assert crossing == pytest.approx(-best[0] / best[1], abs=1e-4)


def test_perfect_separation_is_a_crossing_in_the_gap() -> None:
    """A plain likelihood has no maximum there."""
    x, counts = np.arange(6.0), np.full(6, 5.0)
    for cut in range(1, 6):
        sums = np.where(np.arange(6) < cut, 5.0, 0.0)
        assert cut - 1 < logistic_crossing(x, sums[None], counts[None], 0.5) < cut


@pytest.mark.parametrize("fit", ["monotone", "logistic"])
def test_a_boundary_outside_of_the_grid_is_at_infinity(fit: str) -> None:
    runs, _ = planted(0)
    for value, end in ((0.5, np.inf), (0.0, -np.inf)):
        found = Boundary("snr", "n", fit=fit)(runs.assign(test_error=value))  # type: ignore[arg-type]
        assert (found[["at", "low", "high"]] == end).all().all()


@pytest.mark.parametrize("fit", ["monotone", pytest.param("logistic", marks=pytest.mark.thorough)])
def test_a_step_between_two_points_of_the_grid_may_be_anywhere_between_them(fit: str) -> None:
    """However many seeds agree. The exponent's interval is as wide as the steps allow, and holds the truth."""
    hits, slopes = [], []
    for seed in range(20):
        boundary = np.random.default_rng(seed).uniform(0.6, 1.7) * (N / 60) ** SLOPE
        runs, _ = planted(seed)
        runs["test_error"] = np.where(
            runs["snr"] < boundary[np.searchsorted(N, runs["n"])], 0.5, 0.0
        )
        found = Boundary("snr", "n", fit=fit, resamples=300)(runs)  # type: ignore[arg-type]
        gap = np.log(found["high"] / found["low"]) / np.log(X[1] / X[0])
        assert gap.between(0.85, 1).all()
        hits.append(found["low"].le(boundary) & found["high"].ge(boundary))
        slope = Boundary("snr", "n", fit=fit, resamples=300).exponent(runs).iloc[0]  # type: ignore[arg-type]
        slopes.append(slope["low"] <= SLOPE <= slope["high"])
    assert 0.90 <= np.mean(hits) <= 0.99 and np.mean(slopes) >= 0.75


def test_a_rising_value_crosses_where_its_mirror_image_falls() -> None:
    runs, _ = planted(3)
    fall = Boundary("snr", "n")(runs)
    rise = Boundary("snr", "n")(runs.assign(test_error=0.5 - runs["test_error"]))
    np.testing.assert_allclose(rise["at"], fall["at"])


@pytest.mark.parametrize(("fit", "binary", "seeds"), [("monotone", False, 10), SLOW])
def test_intervals_cover_a_planted_boundary_and_its_exponent(
    fit: str, binary: bool, seeds: int
) -> None:
    """95 % intervals over 200 planted sweeps: 90 to 97 % of them hold the truth."""
    boundary = Boundary("snr", "n", fit=fit, resamples=300)  # type: ignore[arg-type]
    hits, slopes = [], []
    for seed in range(200):
        runs, truth = planted(seed, seeds, binary)
        found = boundary(runs)
        hits.append(np.mean((found["low"] <= truth) & (truth <= found["high"])))
        slope = boundary.exponent(runs).iloc[0]
        slopes.append(slope["low"] <= SLOPE <= slope["high"])
    assert 0.90 <= np.mean(hits) <= 0.97
    assert 0.90 <= np.mean(slopes) <= 0.98


def test_what_would_be_averaged_over_is_named() -> None:
    runs, _ = planted(0)
    with pytest.raises(SweepError, match="average over width"):
        Boundary("snr", "n")(pd.concat([runs.assign(width=2), runs.assign(width=4)]))
    with pytest.raises(SweepError, match="second axis"):
        Boundary("snr").exponent(runs[runs["n"] == N[0]])


def test_an_axis_that_some_runs_do_not_have_is_an_error() -> None:
    runs = pd.DataFrame({"seed": [0, 1], "x": [1.0, 2.0], "y": [1.0, np.nan], "test_error": [0, 1]})
    runs = runs.assign(optimizer="adam", problem=[1, 2], trial=[1, 2], status="out_of_steps")
    with pytest.raises(SweepError, match="Some runs have no y"):
        Boundary("x", "y")(runs)
