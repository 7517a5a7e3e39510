"""Bands over steps: the same runs at all steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import Bands
from sweep.errors import SweepError


def curves_of(*trials: dict[int, float | None], status: tuple[str, ...] = ()) -> pd.DataFrame:
    words = status or ("out_of_steps",) * len(trials)
    rows = [
        {
            "trial": i,
            "problem": i,
            "seed": i,
            "optimizer": "gd",
            "status": words[i],
            "step": step,
            "feature": value,
        }
        for i, records in enumerate(trials)
        for step, value in records.items()
    ]
    return pd.DataFrame(rows).astype({"feature": float})


def feature(curves: pd.DataFrame) -> pd.DataFrame:
    return Bands(("feature",))(curves).set_index("step")


def test_bands_of_a_store(store: Path):
    curves = analysis.load_curves(store).query("snr == 0.1 and feature_noise == 0.1")
    bands = Bands()(curves)
    last = bands[bands["step"] == 100].set_index(["observable", "optimizer"])["mean"]
    assert last.to_dict() == {
        ("feature", "adam"): -0.2,
        ("feature", "gd"): 1.0,
        ("noise_min", "adam"): 0.5,
        ("noise_min", "gd"): 0.5,
    }
    assert (bands["count"] == 4).all() and len(bands) == 2 * 2 * 4


def test_more_than_one_cell_is_refused(store: Path):
    with pytest.raises(SweepError, match="average over snr"):
        Bands()(analysis.load_curves(store))


def test_an_ended_run_keeps_its_last_value():
    bands = feature(
        curves_of({1: 0.0, 10: 2.0}, {1: 0.0, 10: 4.0, 100: 6.0}, {1: 0.0, 10: 4.0, 100: 6.0})
    )
    assert bands.loc[100, "mean"] == pytest.approx((2 + 6 + 6) / 3) and (bands["count"] == 3).all()


def test_the_step_at_which_one_run_ends_is_no_common_step():
    bands = feature(curves_of({1: 0.0, 7: 2.0}, {1: 0.0, 10: 4.0}, {1: 0.0, 10: 6.0}))
    assert bands.index.tolist() == [1, 10]
    assert bands.loc[10, "mean"] == pytest.approx(4.0)


def test_the_very_last_step_is_shown():
    bands = feature(curves_of({1: 0.0, 10: 1.0}, {1: 0.0, 10: 1.0}, {1: 0.0, 10: 1.0, 13: 4.0}))
    assert bands.index.tolist() == [1, 10, 13] and bands.loc[13, "mean"] == pytest.approx(2.0)


def test_a_diverged_run_is_counted_from_its_end_on():
    words = ("nonfinite", "out_of_steps", "out_of_steps")
    curves = curves_of(
        {1: 0.0, 10: None}, {1: 2.0, 10: 4.0, 100: 8.0}, {1: 2.0, 10: 4.0, 100: 8.0}, status=words
    )
    bands = feature(curves)
    assert bands["nonfinite"].tolist() == [0, 1, 1] and bands["count"].tolist() == [3, 2, 2]
    assert bands["mean"].tolist() == pytest.approx([4 / 3, 4.0, 8.0])


def test_an_observable_that_is_recorded_less_often_is_no_divergence():
    curves = curves_of({1: None, 10: 1.0}, {1: None, 10: 3.0})
    bands = feature(curves)
    assert (
        bands.index.tolist() == [10]
        and bands.loc[10, "nonfinite"] == 0
        and bands.loc[10, "mean"] == 2.0
    )


def test_an_observable_without_values_is_refused():
    curves = curves_of({1: None})
    with pytest.raises(SweepError, match="no values of 'feature'"):
        Bands(("feature",))(curves)


def test_bands_are_t_intervals():
    bands = feature(curves_of({1: 1.0}, {1: 2.0}, {1: 3.0}))
    assert bands.loc[1, "high"] == pytest.approx(2.0 + 4.30265273 / np.sqrt(3))
