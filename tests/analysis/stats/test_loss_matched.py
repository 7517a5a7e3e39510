"""Runs matched at equal training loss: planted curves whose error is a function of the loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.stats.loss_matched import LossMatched
from sweep.errors import SweepError

STEPS = np.unique(np.geomspace(1, 1000, 40).astype(int))


def curve(
    optimizer: str, seed: int, rate: float, steps: np.ndarray = STEPS, gap: float = 0.0
) -> pd.DataFrame:
    """A loss that falls as 1 / (1 + rate step), and the error 0.1 + gap + seed / 100 - 0.05 log loss."""
    loss = 1 / (1 + rate * steps)
    return pd.DataFrame(
        {
            "trial": 10 * seed + (optimizer == "gd"),
            "problem": seed,
            "optimizer": optimizer,
            "seed": seed,
            "status": "out_of_steps",
            "step": steps,
            "lr": rate,
            "train_loss": loss,
            "test_error": 0.1 + gap + seed / 100 - 0.05 * np.log(loss),
        }
    )


def both(gap: float = 0.2, seeds: int = 4) -> pd.DataFrame:
    """Adam is a hundred times as fast and errs by `gap` more at any loss."""
    parts = [
        curve(name, seed, rate, gap=gap * (name == "adam"))
        for seed in range(seeds)
        for name, rate in (("adam", 1.0), ("gd", 0.01))
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_planted_error_is_found_at_each_loss() -> None:
    table = LossMatched()(both())
    expected = (
        0.1 + 0.015 - 0.05 * np.log(table["train_loss"]) + 0.2 * (table["optimizer"] == "adam")
    )
    np.testing.assert_allclose(table["mean"], expected, atol=1e-12)
    assert (table["count"] == 4).all() and (table["unreached"] == 0).all()
    # From where adam begins to where gd ends, in the middle of the runs.
    assert table["train_loss"].agg(["min", "max"]).tolist() == pytest.approx([1 / 11, 0.5])


def test_the_paired_difference_is_that_of_each_problem_where_seeds_move_both() -> None:
    table = LossMatched().difference(both(), "adam", "gd")
    np.testing.assert_allclose(table["mean"], 0.2, atol=1e-12)
    # Seeds that agree leave open what others would do.
    assert set(table["interval"]) == {"mid-p"}
    assert ((table["low"] < 0.2) & (table["high"] > 0.2)).all()
    assert (table["count"] == 4).all()


def test_equal_errors_at_equal_loss_differ_at_equal_steps() -> None:
    """The comparison that the figure is for: adam errs more at each step, and no more at any loss."""
    curves = both(gap=0.0)
    assert LossMatched().difference(curves, "adam", "gd")["mean"].abs().max() < 1e-12
    last = curves[curves["step"] == 1000].groupby("optimizer")["test_error"].mean()
    assert last["adam"] - last["gd"] > 0.2


def test_a_loss_that_rises_again_counts_from_its_first_record() -> None:
    steps = np.array([1, 2, 3, 4])
    own = curve("gd", 0, 1.0, steps).assign(
        train_loss=np.exp([0.0, -2.0, -1.0, -4.0]), test_error=[0.0, 0.2, 0.9, 0.4]
    )
    table = LossMatched(points=5)(own)
    # In between is linear in log loss: from (0, 0) over (-2, 0.2) to (-4, 0.4).
    np.testing.assert_allclose(np.log(table["train_loss"]), [-4, -3, -2, -1, 0], atol=1e-12)
    np.testing.assert_allclose(table["mean"], [0.4, 0.3, 0.2, 0.1, 0.0], atol=1e-12)
    assert table.attrs["spacing"] == pytest.approx(np.exp(2.0))


def test_runs_that_do_not_get_there_are_counted() -> None:
    curves = both()
    short = (curves["optimizer"] == "gd") & (curves["seed"] == 3) & (curves["step"] > 100)
    table = LossMatched()(curves[~short])
    last = table[table["train_loss"] == table["train_loss"].min()].set_index("optimizer")
    assert last["count"].to_dict() == {"adam": 4, "gd": 3}
    assert last["unreached"].to_dict() == {"adam": 0, "gd": 1}
    paired = LossMatched().difference(curves[~short], "adam", "gd")
    assert paired["count"].min() == 3 and paired["mean"].sub(0.2).abs().max() < 1e-12


def test_effective_time_is_the_learning_rate_times_steps() -> None:
    """Both are the same function of lr times step, so they agree wherever both have been."""
    table = LossMatched(along="time").difference(both(gap=0.0), "adam", "gd")
    assert table["time"].agg(["min", "max"]).tolist() == pytest.approx([1.0, 10.0])
    assert table["mean"].abs().max() < 0.01


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda curves: curves.assign(test_error=np.nan), "no test_error over steps"),
        (lambda curves: curves[curves["step"] == 1000], "no test_error over steps"),
        (lambda curves: curves.drop(columns="train_loss"), "train_loss"),
        (
            lambda curves: curves.assign(
                train_loss=curves["train_loss"] * np.where(curves["optimizer"] == "gd", 1e9, 1)
            ),
            "no train_loss in common",
        ),
        (
            lambda curves: pd.concat(
                [curves.assign(snr=1.0), curves.assign(snr=2.0, trial=curves["trial"] + 1000)]
            ),
            "average over snr",
        ),
    ],
)
def test_what_cannot_be_matched_is_told(change, said: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SweepError, match=said):
        LossMatched()(change(both()))
