"""Cells against hand-computed numbers and scipy, and what they refuse to average."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import Cells, PairedGap, tuned
from sweep.errors import SweepError


def cell(cells: pd.DataFrame, **keys: Any) -> pd.Series:
    return cells.loc[
        np.logical_and.reduce([cells[key] == value for key, value in keys.items()])
    ].iloc[0]


def test_the_interval_is_the_paired_t_interval(make: Any):
    runs = make.runs(make.plane(make.planted))
    cells = Cells("snr", "feature_noise", "difference", level=0.9)(PairedGap("adam", "gd")(runs))
    here = runs[(runs["snr"] == 0.1) & (runs["feature_noise"] == 0.2)].pivot(
        index="seed", columns="optimizer"
    )
    expected = stats.ttest_rel(
        here["test_error"]["adam"], here["test_error"]["gd"]
    ).confidence_interval(0.9)
    found = cell(cells, snr=0.1, feature_noise=0.2)
    assert found["mean"] == pytest.approx(0.503)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected))
    assert found["count"] == 4 and len(cells) == 6


def test_pairing_narrows_the_interval(make: Any):
    """The planted seeds move both optimizers by the same amount, which a difference of means would count twice."""
    runs = make.runs(make.plane(make.planted))
    paired = Cells("snr", "feature_noise", "difference")(PairedGap("adam", "gd")(runs))
    apart = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    assert (paired["high"] - paired["low"]).max() < 0.25 * (apart["high"] - apart["low"]).min()


def test_means_by_hand(make: Any):
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(
        make.runs(make.plane(make.planted))
    )
    found = cell(cells, optimizer="gd", snr=1.0, feature_noise=0.1)
    assert found["mean"] == pytest.approx(0.015)
    clear = cell(cells, optimizer="adam", snr=0.1, feature_noise=0.1)
    deviation = np.std([0.5, 0.512, 0.524, 0.536], ddof=1)
    assert clear["high"] - clear["mean"] == pytest.approx(3.182446305 * deviation / 2, rel=1e-9)


def test_intervals_cover_the_truth(rng: np.random.Generator):
    """2000 cells of 5 normal seeds: 95 % of the intervals hold the planted mean, within 4 standard errors."""
    table = pd.DataFrame({"x": np.repeat(np.arange(2000), 5), "seed": np.tile(np.arange(5), 2000)})
    table["test_error"] = rng.normal(0.3, 0.1, len(table))
    cells = Cells("x")(table)
    covered = ((cells["low"] <= 0.3) & (cells["high"] >= 0.3)).mean()
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2000)


def test_one_seed_has_no_interval(make: Any):
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(
        make.runs(make.plane(make.planted, seeds=1))
    )
    assert cells["low"].isna().all() and cells["high"].isna().all() and cells["mean"].notna().all()


def test_diverged_runs_are_counted_and_in_no_mean(make: Any):
    rows = make.plane(make.planted)
    for row in rows[
        :4
    ]:  # both optimizers, seeds 0 and 1 of the first cell; their test error of 0 is no number
        row.update(status="nonfinite", test_error=0.0)
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(make.runs(rows))
    found = cell(cells, optimizer="gd", snr=0.1, feature_noise=0.1)
    assert found["mean"] == pytest.approx(0.025) and found["count"] == 2
    assert found["nonfinite"] == 2 and not found["incomplete"]


@pytest.mark.parametrize("complete", [True, False, None])
def test_cells_with_fewer_runs_are_marked_unless_the_grid_has_no_more(
    make: Any, complete: bool | None
):
    runs = make.runs(make.plane(make.planted)[:-2])
    runs.attrs["complete"] = complete
    cells = Cells("snr", "feature_noise", "test_error", "optimizer")(runs)
    short = cells[cells["count"] == 3]
    assert len(short) == 2 and (short["expected"] == (3 if complete else 4)).all()
    assert short["incomplete"].all() == (not complete) and cells["incomplete"].sum() == (
        0 if complete else 2
    )


def test_nothing_but_the_seed_is_averaged(make: Any):
    runs = make.runs(make.plane(make.planted))
    with pytest.raises(
        SweepError,
        match=r"average over feature_noise, not only over seeds.*--where 'feature_noise == 0.1'",
    ):
        Cells("snr", None, "test_error", "optimizer")(runs)
    with pytest.raises(SweepError, match="average over optimizer"):
        Cells("snr", "feature_noise")(runs)
    assert (
        len(Cells("snr", None, "test_error", "optimizer")(runs[runs["feature_noise"] == 0.1])) == 6
    )


def test_seeds_that_differ_from_cell_to_cell_do_not_hide_a_mixture(make: Any):
    rows = [
        make.row(i, i, "gd", n=10 * (1 + i % 2), seed=i, snr=1.0, test_error=0.1) for i in range(4)
    ]
    with pytest.raises(SweepError, match="average over n"):
        Cells("snr")(make.runs(rows))


def test_chosen_hyperparameters_are_no_mixture(make: Any):
    rows = [
        make.row(
            2 * s + k,
            s,
            "gd",
            seed=s,
            snr=1.0,
            lr=lr,
            train_loss=abs(k - s % 2),
            test_error=0.1 * k,
        )
        for s in range(4)
        for k, lr in enumerate((0.1, 1.0))
    ]
    runs = make.runs(rows)
    with pytest.raises(SweepError, match=r"average over lr.*tuned\(runs\)"):
        Cells("snr")(runs)
    cells = Cells("snr")(tuned(runs, per="seed"))
    assert cells["mean"].item() == pytest.approx(0.05) and cells["count"].item() == 4


def test_a_single_cell_has_no_keys(make: Any):
    runs = make.runs(make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    cells = Cells(None, None, "difference")(PairedGap("adam", "gd")(runs))
    assert list(cells.columns) == [
        "mean",
        "low",
        "high",
        "count",
        "nonfinite",
        "expected",
        "incomplete",
        "modes",
        "interval",
        "p_map",
    ]
    assert len(cells) == 1 and cells["mean"].item() == pytest.approx(0.503)


def test_missing_keys_make_a_cell_of_their_own(make: Any):
    rows = [
        make.row(i, i, "gd", seed=i % 2, batch_size=(None, 2)[i // 2], test_error=0.1)
        for i in range(4)
    ]
    assert len(Cells("batch_size")(make.runs(rows))) == 2


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [("test_error", 0.0, 1.0), ("generalization_gap", -1.0, 1.0), ("train_loss", 0.0, np.inf)],
)
def test_intervals_end_where_values_do(make: Any, value: str, low: float, high: float):
    """Seeds at the ends of what is possible: Student's interval would go far beyond."""
    top = min(high, 1.0)
    ends = ({"train_error": 0.1, value: low}, {"train_error": 0.1, value: top})
    runs = make.runs([make.row(s, s, "gd", seed=s, **ends[s]) for s in range(2)])
    found = Cells(None, None, value)(runs).iloc[0]
    assert low <= found["low"] < found["mean"] < found["high"] and (found["high"] <= high)
    if value == "train_loss":
        assert found["low"] == low and found["interval"] == "student"
        return
    # one of two: p^2 + p (1 - p) = 0.025
    ends = low + (top - low) * np.array([0.025, 0.975])
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=0.01)


def test_the_interval_of_a_difference_ends_where_differences_do(make: Any):
    rows = [
        make.row(2 * s + k, s, name, seed=s, test_error=float(k))
        for s in range(2)
        for k, name in enumerate(("gd", "adam"))
    ]
    found = Cells(None, None, "difference")(PairedGap("adam", "gd")(make.runs(rows))).iloc[0]
    # two of two: (1 + p)^2 / 8 = 0.025 for p in [-1, 1]
    assert (found["mean"], found["high"]) == (1.0, 1.0)
    assert found["low"] == pytest.approx(2 * 0.05**0.5 - 1, abs=0.03)


def error_table(values: dict[str, list[float]], value: str = "test_error") -> pd.DataFrame:
    """One run a seed in each cell of x."""
    rows = [(x, seed, each) for x, cell in values.items() for seed, each in enumerate(cell)]
    return pd.DataFrame(rows, columns=["x", "seed", value])


def test_seeds_that_agree_have_an_interval():
    """None of n seeds failed: at most 1 - 0.05^(1/n) fail, half of the chance counted."""
    cells = Cells("x")(error_table({"a": [0.0] * 4, "b": [1.0] * 4, "c": [0.48] * 4}))
    none, all_failed, between = cells.to_dict("records")
    assert none["low"] == 0.0 and none["high"] == pytest.approx(1 - 0.05**0.25, abs=0.01)
    assert all_failed["high"] == 1.0 and all_failed["low"] == pytest.approx(0.05**0.25, abs=0.01)
    assert between["low"] < 0.25 and between["high"] > 0.7


def test_a_gap_to_no_training_error_is_not_negative():
    """Where all runs fit their training data, the gap is the test error and has its interval."""
    runs = error_table({"a": [0.0] * 4, "b": [0.0, 0.0, 0.0, 1.0]})
    runs = runs.assign(train_error=0.0, generalization_gap=runs["test_error"])
    ends = ["low", "high"]
    gap, error = (
        Cells("x", None, name)(runs)[ends] for name in ("generalization_gap", "test_error")
    )
    pd.testing.assert_frame_equal(gap, error)
    loose = Cells("x", None, "generalization_gap")(runs.assign(train_error=[0.1] + [0.0] * 7))
    assert (loose["low"] < 0).all()


def test_what_has_no_ends_keeps_students_interval():
    cells = Cells("x", None, "train_loss")(
        error_table({"a": [2.0] * 3, "b": [0.0, 0.0, 9.0]}, "train_loss")
    )
    assert cells["interval"].tolist() == ["student"] * 2 and cells["modes"].tolist() == [1, 1]
    assert cells["low"].tolist()[0] == cells["high"].tolist()[0] == 2.0


def test_where_seeds_split_in_a_facet_all_of_its_cells_allow_for_it():
    """Seeds near 0.5 in one cell may fail elsewhere in the same map, but not in another panel."""
    steady = [0.5, 0.51, 0.49, 0.52]
    runs = pd.concat(
        [
            error_table({"a": steady, "b": [0.0, 0.0, 0.0, 1.0]}).assign(optimizer="adam"),
            error_table({"a": steady, "b": steady}).assign(optimizer="gd"),
        ]
    )
    cells = Cells("x", None, "test_error", "optimizer")(runs)
    assert cells["interval"].tolist() == ["mid-p", "mid-p", "student", "student"]
    assert cells["modes"].tolist() == [1, 2, 1, 1]
    width = cells["high"] - cells["low"]
    assert width[0] > 0.4 > 0.1 > width[2]


def test_cells_without_values_have_no_interval():
    cells = Cells("x")(error_table({"a": [np.nan] * 3, "b": [0.1, np.nan, np.nan]}))
    assert cells["modes"].tolist() == [0, 1] and cells["interval"].tolist() == ["", ""]
    assert cells[["low", "high"]].isna().all(axis=None)
