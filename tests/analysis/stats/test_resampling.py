"""Resamples of seeds: what makes their percentiles Student's interval, and what is drawn within gaps."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.stats.crossing import monotone_crossing, monotone_crossings
from analysis.stats.mean_intervals import half_width
from analysis.stats.resampling import expand, expansion, interval


@pytest.mark.parametrize("seeds", [2, 4, 16, 1000])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_expanded_percentiles_of_a_mean_are_students_interval(
    seeds: int, confidence: float
) -> None:
    """The means of resamples have the variance (n - 1) / n s^2 / n, here as a normal distribution."""
    spread = np.sqrt((seeds - 1) / seeds / seeds)
    means = spread * np.random.default_rng(0).normal(size=400_000)
    resampled = expand(np.append(0.0, means), expansion(seeds, confidence), -np.inf, np.inf)[1:]
    low, high = interval(resampled, seeds, confidence)
    expected = float(half_width(1.0, seeds, confidence))
    assert (-low, high) == pytest.approx((expected, expected), rel=0.02)


def test_what_is_expanded_beyond_the_grid_is_at_infinity() -> None:
    places = np.array([1.0, 0.5, 1.5, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(
        expand(places, 3.0, 0.0, 2.6), [1, -np.inf, 2.5, np.inf, -np.inf, np.nan]
    )
    beyond = np.array([np.inf, 0.5])
    np.testing.assert_array_equal(expand(beyond, 3.0, 0.0, 2.0), beyond)


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(interval(np.ones(9), 1, 0.95)).all()
    assert np.isnan(interval(np.full(9, np.nan), 4, 0.95)).all()


def test_a_regression_at_the_level_has_a_first_and_a_last_crossing() -> None:
    """Also where single means are off it but their pooled mean is not."""
    x, counts = np.arange(6.0), np.ones(6)
    for row in ([1, 0.25, 0.25, 0.25, 0, 0], [1, 0, 0.5, 0.25, 0, 0], [1, 0.25, 0, 0.5, 0, 0]):
        first, last = monotone_crossings(x, np.array(row, float), counts, 0.25)
        assert (first, last) == (1, 3)
        assert monotone_crossing(x, np.array(row, float), counts, 0.25) == 2
    for row, end in (([1, 0.25, 0.25], np.inf), ([0, 0, 0], -np.inf)):
        found = monotone_crossings(x[:3], np.array(row, float), counts[:3], 0.25)
        assert found == (end, end)
