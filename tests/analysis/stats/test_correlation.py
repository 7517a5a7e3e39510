"""Rank correlations within cells, against scipy and planted tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from analysis.reporting.correlation_sections import correlation_sections
from analysis.reporting.view import make_view
from analysis.stats.correlation import Correlation, fisher_interval, rank_correlations
from analysis.tables import columns
from analysis.tables.labels import format_interval
from sweep.errors import SweepError
from sweep.schema import ColumnInfo


def test_a_weighted_row_counts_as_often_as_it_says(rng: np.random.Generator):
    """Against scipy on the repeated rows, with ties in one column."""
    first, second = rng.integers(0, 4, 9).astype(float), rng.normal(size=9)
    weights = rng.multinomial(9, np.full(9, 1 / 9), 20).astype(float)
    found = rank_correlations(first, second, weights)
    for drawn, correlation in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(9), drawn.astype(int))
        expected = spearmanr(first[rows], second[rows]).statistic
        assert correlation == pytest.approx(expected, abs=1e-12)


def test_a_constant_column_has_no_correlation():
    assert np.isnan(rank_correlations([1, 1, 1], [1, 2, 3], np.ones((1, 3)))).all()


def runs(make: Any, other: Any, seeds: int = 6) -> pd.DataFrame:
    """A plane whose error grows with the seed, and whose weight norm is other(optimizer, snr, alpha, seed)."""
    table = make.runs(make.plane(lambda *at: 0.1 + 0.02 * at[3], seeds=seeds))
    cells = zip(
        table["optimizer"], table["snr"], table["feature_noise"], table["seed"], strict=True
    )
    return table.assign(weight_norm=[other(*cell) for cell in cells])


def test_within_cells_the_axes_of_the_grid_play_no_part(make: Any):
    """Over all runs the norm falls with the error of snr, within a cell it rises with the error of a seed."""

    def other(optimizer: str, snr: float, alpha: float, seed: int) -> float:
        return seed if optimizer == "adam" else -seed

    table = runs(make, other)
    table["test_error"] += 1 / table["snr"]
    table["weight_norm"] -= 100 / table["snr"]
    found = Correlation("weight_norm", x="snr", y="feature_noise")(table).set_index("optimizer")
    assert found["correlation"].to_dict() == {"adam": 1.0, "gd": -1.0}
    assert found["cells"].eq(6).all() and found["constant"].eq(0).all()
    for name, part in table.groupby("optimizer"):
        expected = spearmanr(part["weight_norm"], part["test_error"]).statistic
        assert found.loc[name, "over_all_runs"] == pytest.approx(expected)
        assert expected < 0


def test_the_mean_is_over_the_cells_that_vary(make: Any, rng: np.random.Generator):
    def other(optimizer: str, snr: float, alpha: float, seed: int) -> float:
        return 1.0 if snr == 0.1 else rng.normal()

    table = runs(make, other, seeds=8)
    found = Correlation("weight_norm", x="snr", y="feature_noise")(table).set_index("optimizer")
    varied = table[table["snr"] > 0.1]
    for name, part in varied.groupby("optimizer"):
        cells = part.groupby(["snr", "feature_noise"])
        expected = [
            spearmanr(cell["weight_norm"], cell["test_error"]).statistic for _, cell in cells
        ]
        row = found.loc[name]
        assert row["correlation"] == pytest.approx(np.mean(expected))
        assert (row["cells"], row["constant"], row["seeds"]) == (4, 2, 8)
        assert row["low"] < row["correlation"] < row["high"]


def test_few_seeds_that_agree_by_chance_are_not_certain():
    """Of four seeds the order agrees by chance in 1 of 24; of three the interval says nothing."""
    perfect = np.ones(200)
    low, high = fisher_interval(perfect, seeds=4, cells=1, confidence=0.95)
    assert low < 0 and high == 1
    assert fisher_interval(perfect, seeds=3, cells=1, confidence=0.95) == (-1.0, 1.0)
    low, _ = fisher_interval(perfect, seeds=16, cells=1, confidence=0.95)
    assert 0.9 < low < 1


def test_no_cell_has_a_correlation(make: Any):
    table = runs(make, lambda *_: 1.0)
    found = Correlation("weight_norm", x="snr", y="feature_noise")(table)
    assert found[["correlation", "low", "high"]].isna().all(axis=None)
    assert found["cells"].eq(0).all() and found["constant"].eq(6).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"other": "test_error"}, "test_error cannot be related to itself"),
        ({"other": "weight_nrom"}, "Did you mean weight_norm"),
        ({"other": "trial"}, "trial is an id"),
        ({"other": "weight_norm", "x": None}, "average over snr"),
        ({"other": "margin_l2"}, "No run has a finite test_error and a finite margin_l2"),
    ],
)
def test_what_cannot_be_related_is_refused(make: Any, settings: dict[str, Any], said: str):
    table = runs(make, lambda *at: at[3])
    with pytest.raises(SweepError, match=said):
        Correlation(**{"x": "snr", "y": "feature_noise", **settings})(table)


@pytest.mark.thorough
@pytest.mark.parametrize(("seeds", "cells"), [(8, 1), (8, 12), (16, 12)])
def test_the_interval_covers_the_correlation_of_so_many_seeds(
    seeds: int, cells: int, rng: np.random.Generator
):
    """Cells that share half of their variance through their seeds; Gaussian with r = 0.6."""

    def draw(cells: int, shared: float) -> np.ndarray:
        common, own = rng.normal(size=(2, 1, seeds)), rng.normal(size=(2, cells, seeds))
        first, second = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
        return np.stack([first, 0.6 * first + 0.8 * second], axis=1)

    once = np.ones((1, seeds))
    expected = np.mean([rank_correlations(*cell, once) for cell in draw(4000, 0.0)])
    covered = 0
    for _ in range(150):
        draws = rng.multinomial(seeds, np.full(seeds, 1 / seeds), 200)
        weights = np.concatenate([once, draws])
        means = np.mean([rank_correlations(*cell, weights) for cell in draw(cells, 0.5)], axis=0)
        low, high = fisher_interval(means, seeds, cells, 0.95)
        covered += low <= expected <= high
    # three standard errors of 150 draws below 95 %
    assert covered >= 150 * 0.95 - 3 * np.sqrt(150 * 0.95 * 0.05)


def test_the_page_relates_the_error_to_a_measure_that_was_taken(
    make: Any, monkeypatch: pytest.MonkeyPatch
):
    """An observable of a plugin, here; a column that no store describes would be an axis."""
    info = ColumnInfo("largest eigenvalue of the Hessian", scale="log", part="observable")
    monkeypatch.setitem(columns._COLUMNS, "sharpness", info)
    plain = runs(make, lambda *at: at[3])
    assert not list(correlation_sections(make_view(plain), 0.95))
    table = plain.assign(sharpness=10.0 ** plain["weight_norm"])
    (section,) = correlation_sections(make_view(table), 0.95)
    assert section.name == "relation-sharpness" and section.title == "Test error and sharpness"
    assert section.sentences[0] == (
        "Adam: within a cell, seeds with a larger sharpness have a larger test error; mean rank "
        f"correlation {format_interval(*section.table.iloc[0][['correlation', 'low', 'high']], '+')}"
        " over 6 cells. Over all 36 runs it is 1."
    )
    assert section.figure is not None
    ax = section.figure.axes[0]
    assert ax.get_xscale() == "log"
    assert [len(each.get_offsets()) for each in ax.collections] == [36, 36]
