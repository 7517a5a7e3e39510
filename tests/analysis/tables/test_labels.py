"""Numbers with their nouns and verbs, and conditions as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.refinement.rounds import _widths
from analysis.tables.axes import condition
from analysis.tables.collapsed import collapsed, pairs_collapsed
from analysis.tables.labels import completeness_sentence, error_sentences, gap_sentences


@pytest.mark.parametrize(
    ("rows", "attrs", "said"),
    [
        (1, {"trials": 1, "complete": True}, "Complete: the only trial has finished."),
        (2, {"trials": 2, "complete": True}, "Complete: all 2 trials have finished."),
        (1, {"trials": 2, "complete": False}, "1 of 2 trials is missing. The results below may "),
        (1, {"trials": 3, "complete": False}, "2 of 3 trials are missing. The results below may "),
        (1, {}, "1 trial has finished; the store does not"),
        (2, {}, "2 trials have finished; the store does not"),
    ],
)
def test_verbs_agree_with_the_number_of_trials(rows: int, attrs: dict[str, Any], said: str):
    runs = pd.DataFrame({"trial": range(rows)})
    runs.attrs.update(attrs)
    assert said in completeness_sentence(runs)


def test_nouns_and_verbs_agree_with_counts():
    rows = pd.DataFrame({"at": [1.0, np.inf], "low": [0.5, 0.5], "high": [2.0, 2.0]})
    assert _widths(rows).startswith("1 of 2 rows crosses within the grid")
    assert _widths(rows[:1]).startswith("1 of 1 row crosses within the grid")
    assert _widths(rows[1:]) == "0 of 1 row crosses within the grid"


@pytest.mark.parametrize(
    "value", [20, np.int64(20), 0.1, np.float64(1e-5), "gd", "a'b", True, None]
)
def test_a_condition_selects_the_value_that_it_names(value: object):
    table = pd.DataFrame({"x": [value, "other" if isinstance(value, str) else 7]})
    assert table.query(condition("x", value)).index.tolist() == [0]


def error_cells(**columns: Any) -> pd.DataFrame:
    """Cells of Adam's and GD's error over snr, as Cells leaves them."""
    cells = pd.DataFrame(
        {
            "optimizer": ["adam"] * 2 + ["gd"] * 2,
            "snr": [0.1, 1.0] * 2,
            "mean": [1.0, 0.0, 0.5, 0.0],
        }
    ).assign(low=0.0, high=1.0, count=8, nonfinite=0, incomplete=False, **columns)
    cells.attrs = {"x": "snr", "y": None, "facet": "optimizer", "of": "test_error"}
    cells.attrs |= {"column": "test_error", "level": 0.95}
    return cells


def test_nothing_is_said_to_be_learned_where_networks_collapsed():
    """An error of 1 in most networks of one cell, all of whose points are ties."""
    told = error_sentences(error_cells(collapsed=[0.75, 0.25, 0.0, 0.0]))
    assert told[1:] == [
        "Most networks of Adam collapsed in 1 cell (snr = 0.1): their outputs are exactly 0 on most "
        "points, and ties count as errors, so an error near 1 there says nothing of what was learned."
    ]
    assert not any("opposite" in sentence for sentence in told)
    assert len(error_sentences(error_cells())) == 1
    assert len(error_sentences(error_cells(collapsed=0.5))) == 1


def test_collapsed_networks_are_known_by_ties_or_by_their_norm():
    runs = pd.DataFrame({"test_ties": [1.0, 0.4, None, None], "weight_norm": [0.0, 0.0, 0.0, 1.0]})
    assert collapsed(runs).tolist() == [True, False, True, False]
    assert collapsed(runs[["weight_norm"]]).tolist() == [True, True, True, False]
    assert not collapsed(pd.DataFrame({"trial": [1, 2]})).any()
    paired = pd.DataFrame({"trial_a": [0, 1], "trial_b": [3, 2]})
    known = runs.assign(trial=range(4))
    assert pairs_collapsed(paired, known).tolist() == [True, True]
    assert pairs_collapsed(paired, known[2:]).tolist() == [False, True]


def gap_cells(seeds: int, p_map: list[float], interval: str = "student") -> pd.DataFrame:
    """Three cells of a difference, of which two are certain on their own."""
    cells = pd.DataFrame({"snr": [0.1, 0.3, 1.0], "mean": [0.5, -0.2, 0.0], "p_map": p_map})
    cells = cells.assign(
        low=[0.4, -0.3, -0.1], high=[0.6, -0.1, 0.1], count=seeds, nonfinite=0, incomplete=False
    )
    cells["interval"] = interval
    cells.attrs = {"x": "snr", "y": None, "facet": None, "of": "test_error", "level": 0.95}
    cells.attrs |= {"pair": ("adam", "gd"), "column": "difference", "fewest_seeds": 6}
    cells.attrs |= {"map_seeds": seeds, "map_cells": 3}
    return cells


def test_differences_are_counted_over_the_whole_map_first():
    told = gap_sentences(gap_cells(8, [0.01, 0.06, 1.0]))[1]
    assert told == (
        "With a family-wise error of 5 % over all 3 cells, the two differ in 1: above 0 in 1 and "
        "below 0 in none; the 95 % interval of a cell on its own lies above 0 in 1 and below 0 in 1."
    )
    told = gap_sentences(gap_cells(8, [0.01, 0.02, 1.0], "mid-p"))[1]
    assert "in 2: above 0 in 1 and below 0 in 1 (snr = 0.3); the 95 % interval of a cell on" in told
    assert "on its own, which allows for modes that none of its seeds showed, lies above" in told


def test_few_seeds_are_said_to_mark_nothing():
    told = gap_sentences(gap_cells(4, [0.125, 0.25, 1.0]))[1]
    assert told.startswith(
        "With 4 seeds no cell can be marked at a family-wise error of 5 % over the map, which takes "
        "6. Of 3 cells, the 95 % interval of a cell on its own lies above 0 in 1 and below 0 in 1."
    )
