"""Paired differences: the same problem, the hyperparameter that a learner without test data would choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import PairedGap
from sweep.errors import SweepError


def test_the_difference_is_one_line_of_pandas(make: Any):
    runs = make.runs(make.plane(make.planted))
    gap = PairedGap("adam", "gd")(runs)
    wide = runs.pivot(index="problem", columns="optimizer", values="test_error")
    pd.testing.assert_series_equal(
        gap.set_index("problem")["difference"], wide["adam"] - wide["gd"], check_names=False
    )


def test_each_problem_has_one_row_with_what_was_swept(make: Any):
    gap = PairedGap("adam", "gd")(make.runs(make.plane(make.planted)))
    swept = ["seed", "snr", "feature_noise", "noise"]
    assert list(gap.columns) == ["problem", *swept, "a", "b", "difference", "trial_a", "trial_b"]
    assert gap["problem"].is_unique and len(gap) == 24
    last = gap[(gap["snr"] == 0.1) & (gap["feature_noise"] == 0.1) & (gap["seed"] == 3)].iloc[0]
    assert last["a"] == 0.03 + 0.006 + 0.5 and last["b"] == 0.03
    assert last["trial_a"] == 30 and last["trial_b"] == 31
    assert gap.attrs["unpaired"] == 0 and gap.attrs["nonfinite"] == 0


@pytest.fixture
def rates(make: Any) -> pd.DataFrame:
    """Two step sizes each. The one that trains best tests worst, so that a choice by the test would be seen."""
    losses = {("adam", 1e-3): 0.1, ("adam", 1e-2): 0.2, ("gd", 0.1): 0.3, ("gd", 1.0): 0.05}
    errors = {("adam", 1e-3): 0.6, ("adam", 1e-2): 0.0, ("gd", 0.1): 0.0, ("gd", 1.0): 0.2}
    return make.runs(
        make.row(
            10 * seed + i,
            seed,
            name,
            seed=seed,
            lr=lr,
            train_loss=losses[name, lr],
            test_error=errors[name, lr],
        )
        for seed in range(3)
        for i, (name, lr) in enumerate(losses)
    )


def test_hyperparameters_are_tuned_by_the_training_loss(rates: pd.DataFrame):
    gap = PairedGap("adam", "gd")(rates)
    assert gap["difference"].tolist() == pytest.approx([0.4] * 3)
    assert gap["trial_a"].tolist() == [0, 10, 20] and gap["trial_b"].tolist() == [3, 13, 23]
    assert gap.attrs["tuned"] == ["lr"] and "lr" not in gap


@pytest.mark.parametrize(
    "column", ["test_error", "test_loss", "generalization_gap", "feature", "seed"]
)
def test_never_by_what_only_the_test_shows(column: str, rates: pd.DataFrame):
    with pytest.raises(SweepError, match=f"must not be chosen by '{column}'"):
        PairedGap("adam", "gd", tune=column)
    with pytest.raises(SweepError, match="must not be chosen"):
        analysis.tuned(rates, column)


def test_a_diverged_run_is_chosen_only_if_all_diverged(rates: pd.DataFrame):
    rates.loc[rates["lr"] == 1e-3, "status"] = "nonfinite"
    rates.loc[(rates["optimizer"] == "gd") & (rates["seed"] == 1), "status"] = "nonfinite"
    gap = PairedGap("adam", "gd")(rates)
    assert gap["trial_a"].tolist() == [1, 11, 21]
    assert gap["difference"].isna().tolist() == [False, True, False]
    assert gap.attrs["nonfinite"] == 1


def test_ties_go_to_the_smaller_trial(rates: pd.DataFrame):
    rates["train_loss"] = 0.0
    assert PairedGap("adam", "gd")(rates)["trial_a"].tolist() == [0, 10, 20]


def test_pairs_can_be_made_at_each_value_of_a_hyperparameter(rates: pd.DataFrame):
    rates["batch_size"] = np.where(rates["lr"].isin([1e-3, 0.1]), 2, 100)
    gap = PairedGap("adam", "gd", by=("batch_size",))(rates)
    assert gap.groupby("batch_size")["difference"].first().to_dict() == pytest.approx(
        {2: 0.6, 100: -0.2}
    )
    assert len(gap) == 6


def test_what_is_not_paired_is_not_chosen_away(rates: pd.DataFrame):
    """Batch sizes are studied, so the gap must not silently take the one that fits best."""
    both = pd.concat([rates.assign(batch_size=2), rates.assign(trial=rates["trial"] + 100)])
    with pytest.raises(SweepError, match=r"differ in batch_size.*by=.*--tune-over batch_size"):
        PairedGap("adam", "gd")(both)
    assert len(PairedGap("adam", "gd", over=("batch_size",))(both)) == 3
    assert len(PairedGap("adam", "gd", by=("batch_size",))(both)) == 6


def test_any_column_can_be_paired(make: Any):
    """Batches against each other, for each optimizer; and objectives, on the same data and weights."""
    rows = [
        make.row(
            100 * seed + 10 * k + batch,
            1000 * (objective == "square") + seed,
            name,
            seed=seed,
            batch_size=batch,
            objective=objective,
            test_error=0.1 * k + 0.01 * batch + 0.001 * seed + 0.3 * (objective == "square"),
        )
        for seed in range(3)
        for k, (name, objective) in enumerate(
            [("adam", "logistic"), ("gd", "logistic"), ("adam", "square"), ("gd", "square")]
        )
        for batch in (2, 5)
    ]
    runs = make.runs(rows)
    logistic = runs[runs["objective"] == "logistic"]
    batches = PairedGap(2, 5, of="batch_size", by=("optimizer",))(logistic)
    assert batches["difference"].tolist() == pytest.approx([-0.03] * 6)
    losses = PairedGap("square", "logistic", of="objective", by=("optimizer", "batch_size"))(runs)
    assert losses["difference"].tolist() == pytest.approx([0.5] * 12) and len(losses) == 12
    assert losses.attrs["unpaired"] == 0 and losses.attrs["pair"] == ("square", "logistic")
    assert analysis.pairs(runs, "batch_size") == [(5, 2)]
    with pytest.raises(SweepError, match="No run has the objective 'hinge'"):
        PairedGap("hinge", "logistic", of="objective")(runs)


def test_an_axis_of_one_side_is_an_axis_of_the_difference(make: Any):
    """Each l2 of Adam against the AdamW without any, on the same data: problems that differ by l2."""
    rows = [
        make.row(10 * seed + k, 10 * seed + k, name, seed=seed, l2=l2, test_error=error + seed)
        for seed in range(2)
        for k, (name, l2, error) in enumerate(
            [("adam", 1e-5, 0.1), ("adam", 1e-3, 0.3), ("adamw", 0.0, 0.2)]
        )
    ]
    gap = PairedGap("adam", "adamw")(make.runs(rows))
    assert gap.groupby("l2")["difference"].unique().map(list).to_dict() == {
        1e-5: pytest.approx([-0.1, -0.1]),
        1e-3: pytest.approx([0.1, 0.1]),
    }
    assert gap.attrs["unpaired"] == 0 and gap["seed"].tolist() == [0, 0, 1, 1]
    # An l2 that both have is compared with itself alone.
    shared = [{**row, "trial": 5, "optimizer": "adamw"} for row in rows[1:2]]
    gap = PairedGap("adam", "adamw")(make.runs([*rows[:2], *shared]))
    assert gap["l2"].tolist() == [1e-3] and gap.attrs["unpaired"] == 1


def test_problems_with_one_of_the_two_are_counted(make: Any):
    rows = make.plane(make.planted)
    gap = PairedGap("adam", "gd")(make.runs(rows[:-3]))
    assert len(gap) == 22 and gap.attrs["unpaired"] == 1
    apart = [{**row, "problem": row["problem"] + 1000 * (row["optimizer"] == "gd")} for row in rows]
    gap = PairedGap("adam", "gd")(make.runs(apart))
    assert gap.empty and gap.attrs["unpaired"] == 48


def test_what_is_missing_is_named(make: Any):
    runs = make.runs(make.plane(make.planted))
    with pytest.raises(SweepError, match="No run has the optimizer 'lion'"):
        PairedGap("lion", "gd")(runs)
    with pytest.raises(SweepError, match="Did you mean test_error"):
        PairedGap("adam", "gd", value="testerror")(runs)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["gd", "adam"], [("adam", "gd")]),
        (["sgd", "adam", "adamw"], [("adam", "sgd"), ("adamw", "sgd")]),
        (["adamw", "adam"], [("adam", "adamw")]),
        (["adam"], []),
    ],
)
def test_a_reader_wants_differences_from_gradient_descent(
    names: list[str], expected: list[tuple[str, str]]
):
    assert analysis.pairs(pd.DataFrame({"optimizer": names})) == expected
