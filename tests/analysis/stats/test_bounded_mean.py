"""Intervals of bounded means against exact binomial ones, and their coverage over whole laws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq

from analysis import Cells
from analysis.stats.bounded_mean import bounded_intervals

SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)
Law = Callable[[np.random.Generator, float, tuple[int, int]], np.ndarray]


def mid_p(successes: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The mid-P interval of a share, by its definition: half of the chance of what was seen."""
    tail = (1 - level) / 2

    def upper(share: float) -> float:
        law = stats.binom(count, share)
        return law.cdf(successes - 1) + law.pmf(successes) / 2 - tail

    def lower(share: float) -> float:
        law = stats.binom(count, share)
        return law.sf(successes) + law.pmf(successes) / 2 - tail

    low = 0.0 if successes == 0 else brentq(lower, 1e-9, 1 - 1e-9)
    high = 1.0 if successes == count else brentq(upper, 1e-9, 1 - 1e-9)
    return low, high


@pytest.mark.parametrize("count", [2, 4, 16])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_outcomes_of_0_and_1_have_the_mid_p_interval(count: int, level: float) -> None:
    """But for the draws: its ends are where the exact tails are (1 - level) / 2, within 4 errors."""
    outcomes = (np.arange(count) < np.arange(count + 1)[:, None]).astype(float)
    low, high = bounded_intervals(outcomes, 0.0, 1.0, level)
    expected = np.array([mid_p(k, count, level) for k in range(count + 1)])
    np.testing.assert_allclose(low, expected[:, 0], atol=0.015)
    np.testing.assert_allclose(high, expected[:, 1], atol=0.015)
    assert low[0] == 0.0 and high[-1] == 1.0


def test_intervals_move_with_their_scale_and_mirror(rng: np.random.Generator) -> None:
    """Neither the order of seeds, nor the unit, nor the direction of the axis matters."""
    values = rng.random((5, 6))
    low, high = bounded_intervals(values, 0.0, 1.0)
    shuffled = bounded_intervals(rng.permuted(values, axis=1), 0.0, 1.0)
    np.testing.assert_array_equal(shuffled, (low, high))
    np.testing.assert_allclose(
        bounded_intervals(2 * values - 1, -1.0, 1.0), (2 * low - 1, 2 * high - 1)
    )
    mirrored = bounded_intervals(1 - values, 0.0, 1.0)
    # other draws, so only about
    np.testing.assert_allclose(mirrored, (1 - high, 1 - low), atol=0.02)


def test_many_seeds_have_the_normal_interval(rng: np.random.Generator) -> None:
    """Blocks of neighbours stand for 5,000 seeds; agreeing ones still leave 3 in 5,000 open."""
    values = rng.beta(2, 3, (1, 5000))
    low, high = bounded_intervals(values, 0.0, 1.0)
    half = 1.96 * values.std() / np.sqrt(5000)
    np.testing.assert_allclose((high - low) / 2, half, rtol=0.05)
    low, high = bounded_intervals(np.zeros((1, 5000)), 0.0, 1.0)
    assert low == 0 and high == pytest.approx(1 - 0.05 ** (1 / 5000), rel=0.1)


def two_points(rng: np.random.Generator, p: float, shape: tuple[int, int]) -> np.ndarray:
    return (rng.random(shape) < p).astype(float)


def three_points(rng: np.random.Generator, p: float, shape: tuple[int, int]) -> np.ndarray:
    """A share p of the seeds fails, by 0.48 or 0.96 alike often."""
    return two_points(rng, p, shape) * rng.choice([0.48, 0.96], shape)


def gaussian(rng: np.random.Generator, p: float, shape: tuple[int, int]) -> np.ndarray:
    """Five deviations from the nearer end."""
    return rng.normal(p, min(p, 1 - p) / 5, shape)


def beta(concentration: float) -> Law:
    def law(rng: np.random.Generator, p: float, shape: tuple[int, int]) -> np.ndarray:
        return rng.beta(concentration * p, concentration * (1 - p), shape)

    return law


MEANS = {three_points: 0.72}
"""Means of the laws as multiples of p, where they are not p itself."""


@pytest.mark.thorough
@pytest.mark.parametrize("seeds", [4, 8, 16])
@pytest.mark.parametrize("law", [two_points, three_points, gaussian, beta(2), beta(5), beta(20)])
def test_intervals_cover_means_of_split_and_of_continuous_seeds(law: Law, seeds: int) -> None:
    """At least 90 % at every p, and on average over p 90 to 98 % or, for four seeds, 99 %.

    At p = 0.05 four seeds agree in 81 % of all cells, so that no interval is below 98 % at every p.
    """
    rng, tables, covered = np.random.default_rng(seeds), 300, []
    for p in SHARES:
        values = law(rng, p, (tables, seeds))
        # each cell a facet of its own, so that none knows of another
        frame = pd.DataFrame({"cell": np.repeat(np.arange(tables), seeds)})
        frame["seed"], frame["test_error"] = np.tile(np.arange(seeds), tables), values.ravel()
        cells = Cells(None, None, "test_error", "cell")(frame)
        mean = MEANS.get(law, 1) * p
        covered.append(cells["low"].le(mean + 1e-9).mul(cells["high"].ge(mean - 1e-9)).mean())
    error = np.sqrt(0.9 * 0.1 / tables)
    assert min(covered) > 0.9 - 2 * error, dict(zip(SHARES, covered, strict=True))
    assert 0.9 < np.mean(covered) < (0.99 if seeds == 4 else 0.98) + error / 3


@pytest.mark.parametrize("seeds", [4, 16])
def test_intervals_cover_means_of_differences(seeds: int) -> None:
    """Differences of two errors, 0 but for a share p of -1 and a share 0.1 of +0.5."""
    rng, covered = np.random.default_rng(1), []
    for p in (0.05, 0.2, 0.4, 0.6):
        values = rng.choice([-1.0, 0.0, 0.5], (1000, seeds), p=(p, 0.9 - p, 0.1))
        low, high = bounded_intervals(values, -1.0, 1.0)
        covered.append(((low <= 0.05 - p) & (high >= 0.05 - p)).mean())
    assert min(covered) > 0.9 and (seeds == 4 or np.mean(covered) < 0.985)


def test_student_alone_covers_half_as_often() -> None:
    """What the interval is for: at p = 0.1, four seeds agree in two of three tables."""
    law = stats.binom(4, 0.1)
    means = np.arange(5) / 4
    half = stats.t.ppf(0.975, 3) * np.sqrt(means * (1 - means) * 4 / 3) / 2
    assert law.pmf(np.flatnonzero(abs(means - 0.1) <= half)).sum() == pytest.approx(0.34, abs=0.01)
    low, high = bounded_intervals((np.arange(4) < np.arange(5)[:, None]).astype(float), 0.0, 1.0)
    assert law.pmf(np.flatnonzero((low <= 0.1) & (high >= 0.1))).sum() > 0.94
