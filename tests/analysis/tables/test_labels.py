"""Numbers with their nouns and verbs, and conditions as users write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.refinement.rounds import _widths
from analysis.tables.axes import condition
from analysis.tables.labels import completeness_sentence


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
