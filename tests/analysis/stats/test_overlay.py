"""The constant and the line of a theory beside an optimizer and a root finder of scipy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from analysis.stats.boundary import Boundary
from analysis.stats.overlay import Overlay
from analysis.stats.theories import Theory

Index = Callable[[pd.DataFrame], pd.Series]


def planted(random: np.random.Generator) -> tuple[pd.DataFrame, Index]:
    """Errors of 1/2 that fall to 0 near a random power law, and its index with a factor of its own."""
    p, q, factor = random.uniform(0.3, 3), random.uniform(-2, 2), 10 ** random.uniform(-4, 4)
    x, y = np.geomspace(0.1, 10, 25), np.sort(random.uniform(10, 200, random.integers(2, 8)))
    boundary = random.normal(0, 0.3) - q / p * np.log(y / 50) + random.normal(0, 0.1, len(y))
    seed, row, column = (
        each.ravel() for each in np.meshgrid(np.arange(2), range(len(y)), range(25), indexing="ij")
    )
    error = 0.5 / (1 + np.exp(8 * (np.log(x[column]) - boundary[row])))
    columns = {"seed": seed, "n": y[row], "snr": x[column], "optimizer": "gd"}
    runs = pd.DataFrame({**columns, "test_error": error + 0.002 * seed, "trial": range(len(seed))})
    return runs, lambda table: factor * table["snr"] ** p * table["n"] ** q


def log_root(law: Index, n: float, log_index: float) -> float:
    """The logarithm of the snr at which the index is that, at this n."""

    def excess(z: float) -> float:
        return float(np.log(law(pd.DataFrame({"snr": [np.exp(z)], "n": [n]}))[0]) - log_index)

    return float(brentq(excess, -50, 50))  # type: ignore[arg-type]


def test_the_constant_has_the_least_sum_of_absolute_residuals() -> None:
    """A median: no constant on a fine grid does better; and at `predicted` the index is the constant."""
    random, rows = np.random.default_rng(0), 0
    for index in range(25):
        runs, law = planted(random)
        theory = Theory("planted", "planted", "this test", ("snr", "n"), law)
        boundary = Boundary("snr", "n", level=0.25, facet=None, resamples=10)
        table = Overlay(theory, boundary)(runs)
        inside = table[np.isfinite(table["at"])]
        log_index = np.log(law(inside.assign(snr=inside["at"])).to_numpy(float))
        np.testing.assert_allclose(np.log(inside["index"]), log_index, atol=1e-9)
        tried = np.linspace(log_index.min(), log_index.max(), 2001)[:, None]
        least = np.abs(log_index - tried).sum(axis=1).min()
        constant = np.log(inside["constant"].iloc[0])
        assert np.abs(log_index - constant).sum() <= least + 1e-9, index
        for n, predicted in zip(table["n"], table["predicted"], strict=True):
            root = log_root(law, n, constant)
            assert np.log(predicted) == pytest.approx(root, abs=1e-6), index
        rows += len(inside)
    assert rows > 70
