"""Modes against groups that were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis import Modes
from analysis.reporting.mode_sections import mode_sections, mode_sentences
from analysis.stats.modes import mode_numbers, split_modes


def runs_of(cells: dict[float, list[float]], optimizer: str = "adam") -> pd.DataFrame:
    rows = [(x, seed, each) for x, cell in cells.items() for seed, each in enumerate(cell)]
    table = pd.DataFrame(rows, columns=["snr", "seed", "test_error"])
    return table.assign(optimizer=optimizer)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], [0, 0, 0, 0]),
        ([0.0, 0.0, 0.0, 1.0], [0, 0, 0, 1]),
        ([0.0, 0.02, 0.48, 0.5, 0.96, 0.97], [0, 0, 1, 1, 2, 2]),
        ([0.0, 0.0, 0.0, 0.19], [0, 0, 0, 0]),  # too near
        ([0.0, 0.08, 0.1, 0.4], [0, 0, 0, 0]),  # the gap is three times as wide as the group
        ([0.0, 0.05, 0.075, 0.4], [0, 0, 0, 1]),  # more than four times
        ([0.0, 0.0, 1.0], [0, 0, 0]),  # too few
        ([0.1, 0.2, 0.3, 0.4, 0.5], [0, 0, 0, 0, 0]),
        ([], []),
    ],
)
def test_modes_are_groups_with_clear_gaps(values: list[float], expected: list[int]) -> None:
    cells = np.zeros(len(values), int)
    assert mode_numbers(np.array(values), cells).tolist() == expected


def test_cells_are_looked_at_apart() -> None:
    """Cells without values in between, and one that splits after one that does not."""
    values = np.array([0.0, 0.1, 0.9, 0.95, 0.0, 0.0, 1.0, 1.0, 0.5])
    cells = np.array([0, 0, 0, 0, 3, 3, 3, 3, 5])
    assert mode_numbers(values, cells).tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0]


@pytest.mark.parametrize(("seeds", "deviation", "most"), [(4, 0.1, 0.05), (8, 0.15, 0.01)])
def test_gaussian_seeds_seldom_split(
    seeds: int, deviation: float, most: float, rng: np.random.Generator
) -> None:
    values = np.sort(rng.normal(0.5, deviation, (5000, seeds)), axis=1)
    numbers = mode_numbers(values.ravel(), np.repeat(np.arange(5000), seeds))
    assert numbers.reshape(values.shape).any(axis=1).mean() < most


def test_planted_modes_are_found_with_their_noise(rng: np.random.Generator) -> None:
    """Modes at 0, 0.48 and 0.96, each 0.02 wide, as 1,000 test points leave them."""
    chosen = rng.choice([0.0, 0.48, 0.96], (1000, 8))
    values = np.clip(chosen + rng.normal(0, 0.015, chosen.shape), 0, 1)
    values.sort(axis=1)
    numbers = mode_numbers(values.ravel(), np.repeat(np.arange(1000), 8)).reshape(values.shape)
    expected = [len(np.unique(each)) - 1 for each in chosen]
    assert (numbers.max(axis=1) == expected).mean() > 0.98


def test_shares_have_their_intervals() -> None:
    """3 of 8 seeds fail: the mid-P interval of 3 of 8, by the binomial law."""
    modes = Modes("snr", None, "test_error", "optimizer")(
        runs_of({0.1: [0.0] * 8, 1.0: [0.0, 0.48, 0.0, 0.48, 0.0, 0.48, 0.0, 0.0]})
    )
    assert modes["mode"].tolist() == [1, 1, 2] and modes["seeds"].tolist() == [8, 5, 3]
    assert modes["center"].tolist() == pytest.approx([0, 0, 0.48])
    failing = modes.iloc[2]
    assert (failing["count"], failing["share"]) == (8, 0.375)
    for end, tail in ((failing["low"], 0.975), (failing["high"], 0.025)):
        law = stats.binom(8, end)
        assert law.cdf(2) + law.pmf(3) / 2 == pytest.approx(tail, abs=0.01)
    assert split_modes(modes)["snr"].tolist() == [1.0, 1.0]


def test_a_sentence_tells_the_most_even_cell_of_each_optimizer() -> None:
    split = {0.1: [0.0] * 7 + [0.5], 1.0: [0.0] * 5 + [0.48] * 3, 3.0: [0.0] * 8}
    table = pd.concat([runs_of(split), runs_of({x: [0.1] * 8 for x in split}, "gd")])
    modes = Modes("snr", None, "test_error", "optimizer")(table)
    assert mode_sentences(modes) == [
        "In 2 cells the seeds of Adam split into modes, and the mean is the value of no seed: at "
        "snr = 1, for example, of 8 seeds the test error is near 0 in 5 and near 0.48 in 3."
    ]
    (section,) = mode_sections(modes)
    assert len(section.table) == 4 and "gd" not in set(section.table["optimizer"])
    assert not list(
        mode_sections(Modes("snr", None, "test_error", "optimizer")(runs_of({1.0: [0.0] * 4})))
    )


def test_a_single_cell_may_split() -> None:
    modes = Modes(None, None, "test_error", "optimizer")(runs_of({1.0: [0.0, 0.0, 0.5, 0.5]}))
    assert mode_sentences(modes) == [
        "The seeds of Adam split into modes: of 4 seeds the test error is near 0 in 2 and near 0.5 "
        "in 2."
    ]


def test_modes_are_public() -> None:
    assert analysis.Modes is Modes
