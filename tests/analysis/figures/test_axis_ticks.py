"""Ticks as people count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.axis_ticks import is_logarithmic, number_ticks, round_numbers, value_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.5, 2, [0.5, 1, 2]),
        (0.5, 8, [0.5, 1, 2, 5]),
        (2, 100, [2, 5, 10, 20, 50, 100]),
        (0.01, 10, [0.01, 0.03, 0.1, 0.3, 1, 3, 10]),
        (1e-5, 1e5, [1e-4, 1e-2, 1, 1e2, 1e4]),
        (0.9, 1.3, [0.9, 1, 1.1, 1.2, 1.3]),
    ],
)
def test_a_logarithmic_axis_counts_in_round_numbers(low: float, high: float, expected: list[float]):
    assert round_numbers(low, high, logarithmic=True) == expected


@pytest.mark.parametrize("logarithmic", [False, True])
def test_round_numbers_lie_in_the_range_and_are_few(logarithmic: bool, rng: np.random.Generator):
    for low, factor in zip(
        10 ** rng.uniform(-8, 8, 300), 10 ** rng.uniform(0, 12, 300), strict=True
    ):
        for most in (3, 7):
            found = round_numbers(low, low * factor, logarithmic, most)
            assert len(found) <= most and found == sorted(set(found))
            high, room = low * factor, 1e-6 * (low if logarithmic else low * factor)
            assert all(low - room <= number <= high * 1.000001 for number in found)
            # two ticks tell the scale
            assert len(found) >= 2, (low, factor, most)


def test_labels_are_written_out():
    """Not 5 × 10⁻¹, as matplotlib has it."""
    ax = Figure().add_subplot()
    ax.set_xscale("log")
    ax.set_xlim(0.4, 3)
    number_ticks(ax.xaxis)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0.5", "1", "2"]
    assert not any(label.get_text() for label in ax.get_xticklabels(minor=True))


def test_few_values_of_a_sweep_are_ticks_themselves():
    ax = Figure().add_subplot()
    ax.plot([0, 0.74, 1.1], [0, 0, 0])
    value_ticks(ax.xaxis, [0, 0.74, 1.1])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.74", "1.1"]
    ax.set_xlim(0, 63)
    value_ticks(ax.xaxis, list(range(64)))
    assert [label.get_text() for label in ax.get_xticklabels()] == [
        "0",
        "10",
        "20",
        "30",
        "40",
        "50",
        "60",
    ]


@pytest.mark.parametrize(
    ("values", "expected"), [([1, 40], True), ([1, 5], False), ([0, 100], False), ([-1, 90], False)]
)
def test_positive_numbers_of_several_scales_have_a_logarithmic_axis(
    values: list[float], expected: bool
):
    assert is_logarithmic(pd.Series(values)) is expected
