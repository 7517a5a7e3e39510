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
    deviation = np.std([0.0, 0.01, 0.02, 0.03], ddof=1)
    assert found["mean"] == pytest.approx(0.015)
    assert found["high"] - found["mean"] == pytest.approx(3.182446305 * deviation / 2, rel=1e-9)


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
    """Two seeds at the ends of what is possible: Student's interval would go far beyond."""
    top = min(high, 1.0)
    runs = make.runs([make.row(s, s, "gd", seed=s, **{value: (low, top)[s]}) for s in range(2)])
    found = Cells(None, None, value)(runs).iloc[0]
    assert found["low"] == low and (found["high"] == high or found["high"] > 1)


def test_the_interval_of_a_difference_ends_where_differences_do(make: Any):
    rows = [
        make.row(2 * s + k, s, name, seed=s, test_error=float(s * k))
        for s in range(2)
        for k, name in enumerate(("gd", "adam"))
    ]
    found = Cells(None, None, "difference")(PairedGap("adam", "gd")(make.runs(rows))).iloc[0]
    assert (found["mean"], found["low"], found["high"]) == (0.5, -1.0, 1.0)
