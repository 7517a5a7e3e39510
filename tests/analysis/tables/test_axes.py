"""Which columns vary, which make a plane, which values count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reporting.view import make_view
from analysis.tables.axes import filter_rows, finite_values, is_determined_by, require_columns
from sweep.errors import SweepError


def runs_of(
    make: Any, points: list[dict[str, Any]], optimizers: tuple[str, ...] = ("adam", "gd")
) -> pd.DataFrame:
    pairs = [(problem, name) for problem in range(len(points)) for name in optimizers]
    return make.runs(
        make.row(i, p, name, test_error=0.1, **points[p]) for i, (p, name) in enumerate(pairs)
    )


def test_constants_of_an_optimizer_are_no_axes(make: Any):
    runs = make.runs(make.plane(make.planted))
    assert runs["lr"].nunique() == 2
    assert analysis.swept(runs) == ["snr", "noise", "feature_noise"]
    assert analysis.training_axes(runs) == []


def test_of_columns_that_stand_for_each_other_one_is_taken(make: Any):
    runs = make.runs(make.plane(make.planted))
    assert analysis.problem_axes(runs) == ["snr", "feature_noise", "noise"]
    assert analysis.plane(runs) == ("snr", "feature_noise")
    assert analysis.plane(runs, y="snr") == ("feature_noise", "snr")
    assert analysis.plane(runs, x="feature_noise") == ("feature_noise", "snr")


def test_a_plane_is_what_was_crossed_not_what_follows_from_it(make: Any):
    """As in the figure of the ReLU paper: signal and d are crossed, and snr differs from cell to cell."""
    crossed = [
        {"noise": float(s), "d": d, "snr": s / d**0.5}
        for s in (1, 2, 3, 4)
        for d in (100, 200, 300, 400)
    ]
    assert analysis.plane(runs_of(make, crossed)) == ("noise", "d")


def test_columns_that_vary_together_make_no_plane(make: Any):
    zipped = [{"n": n, "d": 10 * n, "seed": seed} for n in (10, 20, 40) for seed in range(2)]
    assert analysis.plane(runs_of(make, zipped)) == ("n", None)
    assert analysis.plane(runs_of(make, [{"seed": seed} for seed in range(3)])) == (None, None)


def test_a_seed_of_first_weights_repeats_where_it_goes_with_the_seed_and_is_an_axis_elsewhere(
    make: Any,
):
    """Crossed with the seed, cells of both together would count a data set several times."""
    runs = runs_of(make, [{"n": n, "seed": seed} for n in (10, 20) for seed in range(3)])
    assert analysis.swept(runs.assign(init_seed=runs["seed"] + 100)) == ["n"]
    assert analysis.swept(runs.assign(init_seed=runs["problem"] // 3)) == ["n", "init_seed"]


def test_training_is_an_axis_where_the_problem_has_none(make: Any):
    rows = [
        make.row(i, i // 2, "adam", batch_size=(2, 100)[i % 2], seed=i // 2, test_error=0.1)
        for i in range(6)
    ]
    assert analysis.plane(make.runs(rows)) == ("batch_size", None)
    assert analysis.training_axes(make.runs(rows)) == ["batch_size"]


def test_determined_counts_missing_as_a_value():
    table = pd.DataFrame({"a": [1, 1, 2], "b": [np.nan, np.nan, 1.0], "c": [np.nan, 1.0, 1.0]})
    assert is_determined_by(table, "b", ["a"]) and not is_determined_by(table, "c", ["a"])
    assert is_determined_by(table, "a", ["a"]) and not is_determined_by(table, "a", [])


def test_a_diverged_run_has_no_error(make: Any):
    rows = [
        make.row(0, 0, "gd", test_error=0.0, status="nonfinite"),
        make.row(1, 1, "gd", test_error=float("inf")),
    ]
    assert finite_values(make.runs(rows), "test_error").isna().all()


def test_bad_names_and_conditions_are_sentences(make: Any):
    runs = make.runs(make.plane(make.planted))
    with pytest.raises(SweepError, match="Did you mean sparsity"):
        require_columns(runs, ["sparsty"])
    with pytest.raises(SweepError, match="Available columns: trial"):
        require_columns(runs, ["zzz"])
    with pytest.raises(SweepError, match="cannot be evaluated"):
        filter_rows(runs, "snr ==")
    with pytest.raises(SweepError, match="No row satisfies"):
        filter_rows(runs, "snr > 100")
    assert len(filter_rows(runs, "snr > 0.5 and optimizer == 'gd'")) == 8


def test_a_view_keeps_other_axes_at_one_value_and_says_so(make: Any):
    points = [
        {"snr": snr, "n": n, "feature_noise": alpha}
        for snr in (0.1, 1.0)
        for n in (10, 20)
        for alpha in (0.1, 0.2, 0.3)
    ]
    shown = make_view(runs_of(make, points))
    assert (shown.x, shown.y, shown.pairing_axes) == ("snr", "n", ())
    assert shown.runs["feature_noise"].unique().tolist() == [0.2]
    assert shown.notes == ("Shown at feature_noise = 0.2, one of 3 values that were run.",)


def test_a_view_of_kinds_keeps_the_most_frequent(make: Any):
    points = [{"snr": snr} for snr in (0.1, 0.3, 1.0)] + [
        {"model": "linear", "snr": 1.0, "power": None}
    ]
    shown = make_view(runs_of(make, points))
    assert shown.runs["model"].unique().tolist() == ["cnn"] and shown.x == "snr"
    assert shown.notes == ("Shown at model = cnn, one of 2 values that were run.",)


def test_a_view_tunes_step_sizes_and_says_how(make: Any):
    rows = make.plane(make.planted)
    slow = [
        {**row, "trial": row["trial"] + 1000, "lr": row["lr"] / 10, "train_loss": 0.5}
        for row in rows
    ]
    shown = make_view(make.runs([*rows, *slow]))
    assert shown.runs["trial"].max() < 1000 and (shown.x, shown.y) == ("snr", "feature_noise")
    assert shown.notes == (
        "lr was chosen: for each optimizer and cell the value with the smallest mean over its seeds "
        "of the train loss (Adam over lr = 0.0001, 0.001; gradient descent over lr = 0.01, 0.1). A run that "
        "diverged counts as worse than any other. Test data played no part in the choice.",
    )
