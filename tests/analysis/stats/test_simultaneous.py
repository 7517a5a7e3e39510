"""Marks of a whole map: the exact distribution by hand, and false marks where there is nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from analysis.stats import simultaneous
from analysis.stats.simultaneous import familywise_p_values, fewest_seeds


def by_hand(values: np.ndarray) -> list[float]:
    """Step-down maxT by its definition: all signs, Student's t by scipy, cell by cell."""
    seeds, cells = values.shape
    flipped = [values * np.array(signs)[:, None] for signs in product((1, -1), repeat=seeds)]
    with np.errstate(divide="ignore"):
        statistics = np.array([abs(stats.ttest_1samp(each, 0).statistic) for each in flipped])
    observed = statistics[0]
    order = sorted(range(cells), key=lambda cell: -observed[cell])
    found, last = [0.0] * cells, 0.0
    for rank, cell in enumerate(order):
        largest = statistics[:, order[rank:]].max(axis=1)
        last = max(last, float((largest >= observed[cell] * (1 - 1e-9)).mean()))
        found[cell] = last
    return found


def test_p_values_are_those_of_all_signs(rng: np.random.Generator) -> None:
    values = rng.normal([0.0, 1.0, 3.0], 1.0, (7, 3)) + rng.normal(size=(7, 1))
    assert familywise_p_values(values).tolist() == pytest.approx(by_hand(values))


def test_many_seeds_are_sampled(rng: np.random.Generator) -> None:
    """One cell of 16 seeds: the p-value of Student's test, to a few thousandths."""
    values = rng.normal(0.5, 1, (16, 1))
    expected = stats.ttest_1samp(values[:, 0], 0).pvalue
    assert familywise_p_values(values)[0] == pytest.approx(expected, abs=0.02)


def test_fewer_than_six_seeds_mark_nothing_at_5_percent() -> None:
    """All of them alike has the chance 2^(1 - seeds)."""
    for seeds in range(2, 9):
        smallest = familywise_p_values(np.ones((seeds, 2)))
        assert smallest.tolist() == [2.0 ** (1 - seeds)] * 2
    assert (fewest_seeds(0.05), fewest_seeds(0.1), fewest_seeds(0.5)) == (6, 5, 2)
    # as confidence 0.95 leaves it
    assert fewest_seeds(1 - 0.9375) == 5


def test_cells_of_few_seeds_hide_no_other_cell() -> None:
    """Two seeds that agree have an infinite t in half of all flips; nothing may be lost by that."""
    values = np.zeros((10, 3))
    values[:, 0], values[:2, 1] = 1 + np.arange(10) / 20, 1
    p_values = familywise_p_values(values)
    assert p_values[0] == 2.0**-9 and p_values[1] > 0.4 and p_values[2] == 1


def test_there_may_be_nothing() -> None:
    assert familywise_p_values(np.zeros((0, 2))).tolist() == [1, 1]
    assert familywise_p_values(np.zeros((3, 0))).tolist() == []


def null_map(rng: np.random.Generator, discrete: bool, missing: bool) -> np.ndarray:
    """(16 seeds, 98 cells) without any difference: most of a seed's luck is in all of its cells."""
    luck = rng.standard_t(4, (16, 1)) + 0.5 * rng.normal(size=(16, 98))
    values = np.where(abs(luck) > 1.5, np.sign(luck), 0.0) if discrete else luck
    return values * (rng.random(values.shape) < (0.7 if missing else 1))


@pytest.mark.thorough
@pytest.mark.parametrize(("discrete", "missing"), [(False, False), (True, False), (True, True)])
def test_maps_without_a_difference_are_marked_in_at_most_5_percent(
    discrete: bool, missing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And cell by cell many would be: 300 maps, within three errors of the simulation."""
    monkeypatch.setattr(simultaneous, "FLIPS", 499)
    rng, maps = np.random.default_rng(14), 300
    marked, alone = [], []
    for _ in range(maps):
        values = null_map(rng, discrete, missing)
        marked.append((familywise_p_values(values) <= 0.05).any())
        if not discrete:
            alone.append((stats.ttest_1samp(values, 0).pvalue <= 0.05).sum())
    assert np.mean(marked) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / maps)
    if not discrete:
        assert np.max(alone) > 40


def test_a_difference_in_some_cells_is_found(rng: np.random.Generator) -> None:
    """Half a map with an effect of three deviations is marked, the other half is not."""
    values = rng.normal(size=(16, 1)) + rng.normal(size=(16, 98))
    values[:, :49] += 3 * np.sqrt(2)
    marked = familywise_p_values(values) <= 0.05
    assert marked[:49].all() and not marked[49:].any()
