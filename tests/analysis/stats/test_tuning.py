"""Step sizes are chosen by what a learner sees, and nothing else that varies is chosen away."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis import Tuning
from analysis.stats.same_start import curves_by_start, same_start
from analysis.tables.axes import step_sizes
from sweep.errors import SweepError

RATES = (0.01, 0.1, 1.0)


@pytest.fixture
def runs(make: Any) -> pd.DataFrame:
    """Two optimizers, three step sizes, two n, two decays, five seeds; one run in ten diverged."""
    rng = np.random.default_rng(1)
    points = product(("adam", "gd"), RATES, (10, 20), (0.0, 0.1), range(5))
    rows = [
        make.row(
            place,
            100 * n + seed,
            name,
            seed=seed,
            n=n,
            lr=lr,
            weight_decay=decay,
            train_loss=rng.random(),
            train_error=rng.integers(3) / 10,
            status="nonfinite" if rng.random() < 0.1 else "out_of_steps",
            test_error=rng.random(),
        )
        for place, (name, lr, n, decay, seed) in enumerate(points)
    ]
    return make.runs(rows).sample(frac=1, random_state=0)


def brute_force(runs: pd.DataFrame, by: str, cell: list[str]) -> dict[Any, float]:
    """The best step size of each cell: fewest diverged, then the least mean, then the finer one."""
    best = {}
    for key, rows in runs.groupby(cell):
        scores = []
        for lr in RATES:
            part = rows[rows["lr"] == lr]
            fine = part[part["status"] != "nonfinite"]
            finer = fine["train_loss"].mean()
            scores.append((len(part) - len(fine), round(fine[by].mean(), 12), finer, lr))
        best[key] = min(scores)[3]
    return best


@pytest.mark.parametrize("by", ["train_loss", "train_error"])
def test_one_step_size_for_each_optimizer_and_cell(runs: pd.DataFrame, by: str):
    cell = ["optimizer", "n", "weight_decay"]
    chosen = Tuning(by)(runs)
    assert len(chosen) == 2 * 2 * 2 * 5 and chosen.attrs["tuned"] == ["lr"]
    found = chosen.groupby(cell)["lr"].agg(["nunique", "first"])
    assert (found["nunique"] == 1).all()
    expected = brute_force(runs, by, cell)
    assert found["first"].to_dict() == expected and len(set(expected.values())) > 1
    table = Tuning(by).choices(runs)
    assert table.set_index(cell)["lr"].to_dict() == expected
    ends = {0.01: "smallest lr", 0.1: "", 1.0: "largest lr"}
    assert table["edge"].tolist() == [ends[lr] for lr in table["lr"]]


def test_per_seed_each_seed_has_its_own(runs: pd.DataFrame):
    cell = ["optimizer", "n", "weight_decay", "seed"]
    chosen = Tuning("train_loss", per="seed")(runs)
    assert chosen.set_index(cell)["lr"].to_dict() == brute_force(runs, "train_loss", cell)
    assert len(Tuning(per="seed").choices(runs)) == 40


def test_what_is_named_is_chosen_over_too(runs: pd.DataFrame):
    chosen = Tuning(over=("weight_decay",))(runs)
    assert len(chosen) == 2 * 2 * 5 and chosen.attrs["tuned"] == ["lr", "weight_decay"]
    assert (chosen.groupby(["optimizer", "n"])[["lr", "weight_decay"]].nunique() == 1).all(
        axis=None
    )
    kept = Tuning(over=("weight_decay",))(runs, ["weight_decay"])
    assert kept["trial"].tolist() == Tuning()(runs)["trial"].tolist()


def test_the_validation_error_is_the_default_where_it_was_measured(runs: pd.DataFrame):
    assert Tuning().criterion(runs) == "train_loss"
    runs["validation_error"] = np.nan
    assert Tuning().criterion(runs) == "train_loss"
    with pytest.raises(SweepError, match="validation_error was not measured"):
        Tuning("validation_error")(runs)
    runs["validation_error"] = (runs["lr"] != 0.1) * 0.5
    runs["status"] = "out_of_steps"
    assert Tuning().criterion(runs) == "validation_error"
    assert set(Tuning()(runs)["lr"]) == {0.1} and set(Tuning("train_loss")(runs)["lr"]) != {0.1}


def test_a_missing_run_counts_as_a_diverged_one(runs: pd.DataFrame):
    """A sweep that is still running: two seeds of the best step size have not finished."""
    runs["status"], runs["train_loss"] = "out_of_steps", 1.0
    runs.loc[runs["lr"] == 0.1, "train_loss"] = 0.0
    assert set(Tuning()(runs)["lr"]) == {0.1}
    partial = runs[~((runs["lr"] == 0.1) & (runs["seed"] > 2))]
    assert set(Tuning()(partial)["lr"]) == {0.01}
    assert (Tuning().choices(partial)["lost"] == 0).all()


def test_a_step_size_that_follows_an_axis_is_not_chosen(make: Any):
    """Batch and step size were scaled together: a choice of the one would hide the other."""
    rows = [
        make.row(10 * seed + k, seed, "sgd", seed=seed, batch_size=batch, lr=lr)
        for seed in range(2)
        for k, (batch, lr) in enumerate([(2, 0.01), (20, 0.1)])
    ]
    scaled = make.runs(rows)
    assert step_sizes(scaled) == [] and len(analysis.tuned(scaled)) == 4
    crossed = make.runs(
        [*rows, *({**row, "lr": row["lr"] * 2, "trial": row["trial"] + 5} for row in rows)]
    )
    assert step_sizes(crossed) == ["lr"] and len(analysis.tuned(crossed)) == 4


def test_a_choice_by_validation_points_flatters_no_test_error(make: Any):
    """Ten step sizes of equal error: chosen by the test points themselves, it would look smaller."""
    rng = np.random.default_rng(0)
    cells, seeds, points, error = 300, 8, 500, 0.3
    rows = pd.DataFrame(
        product(range(cells), range(10), range(seeds)), columns=["n", "rate", "seed"]
    )
    rows = rows.assign(trial=rows.index, problem=rows["n"] * seeds + rows["seed"], optimizer="gd")
    rows = rows.assign(lr=2.0 ** rows["rate"]).drop(columns="rate")
    test, validation = rng.binomial(points, error, (2, len(rows))) / points
    runs = rows.assign(test_error=test, validation_error=validation)
    deviation = np.sqrt(error * (1 - error) / points / seeds / cells)
    honest = Tuning()(runs)["test_error"].mean()
    assert abs(honest - error) < 4 * deviation
    leaked = Tuning()(runs.assign(validation_error=test))["test_error"].mean()
    assert leaked < error - 15 * deviation


def test_by_and_per_are_checked():
    with pytest.raises(SweepError, match="must not be chosen by 'test_loss'"):
        Tuning("test_loss")
    with pytest.raises(SweepError, match="Choose cell or seed"):
        Tuning(per="lane")


def test_same_start_is_data_weights_and_seed(make: Any):
    """Objectives draw nothing; `gram` draws differently, and so does another size."""
    first = make.row(0, 0, "adam", seed=3, l2=0.1)
    others: list[dict[str, Any]] = [
        {"problem": 1, "l2": 0.2},
        {"problem": 2, "objective": "square"},
        {"optimizer": "gd", "lr": 3.0},
        {"problem": 3, "seed": 4},
        {"problem": 4, "width": 5},
        {"problem": 5, "n": 21},
        {"problem": 6, "coordinates": "gram"},
        {"coordinates": "span"},
    ]
    found = same_start(make.runs([first, *({**first, **other} for other in others)])).tolist()
    same = [start == found[0] for start in found[1:]]
    assert same == [True, True, True, False, False, False, False, True]


def test_objectives_within_objectives_begin_alike(make: Any):
    """The kind of a nested part belongs to the part around it, as its fields do."""
    plain = make.row(0, 0, "gd", seed=3, objective="logistic", objective_inner=None)
    noisy = {**plain, "problem": 1, "objective": "label_noise", "objective_inner": "logistic"}
    other = {**noisy, "problem": 2, "objective_inner": "square"}
    first, *rest = same_start(make.runs([plain, noisy, other])).tolist()
    assert rest == [first, first]


def test_curves_are_numbered_by_their_start(make: Any):
    """Where one optimizer alone has an l2 term, its problems are others and its data the same."""
    rows = [
        make.row(2 * seed + at, seed + 9 * at, optimizer, seed=seed, l2=0.1 * at)
        for seed in (0, 1)
        for at, optimizer in enumerate(("adamw", "adam"))
    ]
    runs = make.runs(rows)
    curves = runs[["trial", "problem"]].assign(step=0)
    assert curves["problem"].nunique() == 4
    found = curves_by_start(curves, runs).set_index("trial")["problem"]
    assert found.nunique() == 2
    assert all(found[2 * seed] == found[2 * seed + 1] for seed in (0, 1))
