"""Slopes of level sets and lines of an index beside exact exponents and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress

from analysis.stats.power_law import level_set_slope, log_line
from analysis.stats.theories import THEORIES
from sweep.errors import SweepError

THEORY = THEORIES["gd_feature_noise"]


def axes(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of a plane of any scale; some axes span a percent only."""
    spans = 10.0 ** random.uniform(-2, 3, 2)
    low = 10.0 ** random.uniform(-8, 8, 2)
    x, y = (start * (1 + span * random.random(5)) for start, span in zip(low, spans, strict=True))
    return tuple(each.ravel() for each in np.meshgrid(x, y))  # type: ignore[return-value]


def test_the_slope_of_a_level_set_is_exact_at_any_scale() -> None:
    random = np.random.default_rng(0)
    for index in range(300):
        x, y = axes(random)
        p, q = random.choice([-1, 1], 2) * random.uniform(0.2, 4, 2)
        values = 10.0 ** random.uniform(-5, 5) * x**p * y**q
        found = level_set_slope(pd.Series(x), pd.Series(y), pd.Series(values))
        assert found == pytest.approx(-q / p, abs=1e-6, rel=1e-6), index


def test_what_is_no_power_law_has_no_slope() -> None:
    random = np.random.default_rng(1)
    for index in range(100):
        x, y = (random.uniform(1, 5, 12) for _ in range(2))
        for values in (x + y, x**2 * np.exp(0.1 * y), x * y ** np.log(y)):
            assert np.isnan(level_set_slope(*map(pd.Series, (x, y, values)))), index


def test_an_index_beyond_the_range_of_numbers_leaves_the_other_points() -> None:
    x = pd.Series([1.0, 2.0, 3.0, 1.0, 1e200])
    y = pd.Series([1.0, 1.0, 2.0, 3.0, 1e200])
    index = x**2 * y
    assert np.isinf(index.iloc[-1]) and level_set_slope(x, y, index) == pytest.approx(-0.5)


def test_a_theory_that_does_not_depend_on_x_has_no_slope() -> None:
    x, y = (pd.Series(each) for each in ([1.0, 2.0, 3.0, 1.0], [1.0, 1.0, 2.0, 3.0]))
    assert np.isnan(level_set_slope(x, y, y**2))


def test_lines_are_those_of_scipy_and_other_curves_are_refused() -> None:
    random = np.random.default_rng(2)
    for index in range(200):
        log_x = np.log(10.0 ** random.uniform(-6, 6)) + random.uniform(0.01, 5) * random.random(6)
        slope = random.choice([-1, 1]) * random.uniform(0.1, 5)
        values = random.normal(0, 5) + slope * log_x
        expected_slope, intercept = linregress(log_x, values)[:2]
        found = log_line(THEORY, "snr", log_x, values)
        assert found == pytest.approx((intercept, expected_slope), rel=1e-6), index
        bent = values + 1e-3 * (log_x - log_x.mean()) ** 2 / np.var(log_x)
        with pytest.raises(SweepError, match="no power of snr"):
            log_line(THEORY, "snr", log_x, bent)
