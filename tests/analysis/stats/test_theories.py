"""Theories against closed forms of their own, on planted boundaries that follow them and on others that do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.reporting.overlay_sentences import overlay_sentences
from analysis.stats.boundary import Boundary
from analysis.stats.overlay import Overlay
from analysis.stats.theories import THEORIES, Theory, Within
from sweep.errors import SweepError

X = np.geomspace(0.1, 10, 21)
N = np.array([10, 14, 20, 28, 40, 57, 80])
GD = {"data": "feature_noise", "model": "cnn", "optimizer": "gd", "power": 3}


def plant(
    edge: Callable[[Any], Any],
    x: str = "snr",
    y: str = "n",
    xs: np.ndarray = X,
    ys: np.ndarray = N,
    rises: bool = False,
    spread: float = 0.0,
    seed: int = 0,
    **more: Any,
) -> pd.DataFrame:
    """Runs whose error is linear in log x around 1/4 at x = edge(y), which a straight line finds to the last digit.

    Eight seeds that lie evenly around it, each run off by `spread`. Functions in `more` make columns of others.
    """
    s, up, across = (each.ravel() for each in np.meshgrid(np.arange(8), ys, xs, indexing="ij"))
    slope = 0.2 if rises else -0.2
    error = 0.25 + slope * np.log(across / edge(up)) + 0.005 * (s - 3.5)
    error = error + np.random.default_rng(seed).normal(0, 1, s.size) * spread
    runs = pd.DataFrame(
        {
            "seed": s,
            x: across,
            y: up,
            "test_error": error,
            "trial": np.arange(s.size),
            "status": "ok",
        }
    )
    for name, value in {**GD, **more}.items():
        runs[name] = value(runs) if callable(value) else value
    return runs


@dataclass(frozen=True)
class Case:
    """A theory in two axes: where it puts the boundary for the constant 7, solved by hand, and its slope."""

    theory: str
    x: str
    y: str
    edge: Callable[[Any], Any]
    slope: float
    ys: np.ndarray = field(default_factory=lambda: N)
    rises: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


SIGNAL = {"data": "signal_noise"}
SPARSE = {"noise": lambda runs: 1 / (runs["snr"] * np.sqrt(runs["sparsity"]))}
RELU = {**SIGNAL, "power": 1, "noise": 0.5}
CASES = {
    "GD, q = 3": Case("gd_feature_noise", "snr", "n", lambda n: (7 / n) ** (1 / 3), -1 / 3),
    "GD in the other axis": Case(
        "gd_feature_noise", "n", "snr", lambda snr: 7 / snr**3, -3, np.geomspace(0.4, 2, 7)
    ),
    "benign, q = 3": Case(
        "benign_power", "snr", "n", lambda n: np.cbrt(7 / n), -1 / 3, more={**SIGNAL, "power": 3}
    ),
    "benign, q = 4": Case(
        "benign_power", "snr", "n", lambda n: (7 / n) ** 0.25, -1 / 4, more={**SIGNAL, "power": 4}
    ),
    "Adam, n does not matter": Case(
        "adam_feature_noise",
        "snr",
        "n",
        lambda n: 4 / 7 + 0 * n,
        0,
        more={"optimizer": "adam", "sparsity": 16, **SPARSE},
    ),
    "Adam over sparsity": Case(
        "adam_feature_noise",
        "snr",
        "sparsity",
        lambda s: np.sqrt(s) / 7,
        1 / 2,
        more={"optimizer": "adam", **SPARSE},
    ),
    "Adam over the noise": Case(
        "adam_feature_noise",
        "noise",
        "sparsity",
        lambda s: 7 / s,
        -1,
        N[:6],
        rises=True,
        more={"optimizer": "adam"},
    ),
    "ReLU over d": Case(
        "benign_relu",
        "signal",
        "d",
        lambda d: (7 * 0.5**4 * d / 20) ** 0.25,
        1 / 4,
        more={**RELU, "n": 20},
    ),
    "ReLU over n": Case(
        "benign_relu",
        "signal",
        "n",
        lambda n: (7 * 0.5**4 * 100 / n) ** 0.25,
        -1 / 4,
        more={**RELU, "d": 100},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_boundary_that_follows_the_theory_is_predicted_exactly(name: str) -> None:
    case = CASES[name]
    xs = np.geomspace(0.5, 2000, 31) if case.x == "n" else X
    runs = plant(case.edge, case.x, case.y, xs, case.ys, case.rises, **case.more)
    overlay = Overlay(
        THEORIES[case.theory], Boundary(case.x, case.y, facet="optimizer", resamples=200)
    )
    table = overlay(runs)
    np.testing.assert_allclose(table["predicted"], case.edge(case.ys), rtol=1e-9)
    np.testing.assert_allclose(table[["index", "constant"]], 7, rtol=1e-9)
    np.testing.assert_allclose(table["residual"], 0, atol=1e-9)
    assert (table["residual_low"] < 0).all() and (table["residual_high"] > 0).all()
    assert (table["apart"] == 0).all() and table["fails"].eq(False).all()
    slope = overlay.exponent(runs).iloc[0]
    assert slope["theory"] == pytest.approx(case.slope, abs=1e-9) and slope[
        "slope"
    ] == pytest.approx(case.slope)
    assert not slope["fails"]
    assert not overlay.cells(runs)["fails"].any()


def test_another_exponent_fails_where_it_should() -> None:
    """Planted x = n^-0.6; n snr^3 = const runs through its middle row and away from it on both sides."""
    runs = plant(lambda n: 4 * n**-0.6)
    overlay = Overlay(
        THEORIES["gd_feature_noise"], Boundary("snr", "n", facet="optimizer", resamples=200)
    )
    table = overlay(runs)
    expected = (-0.6 + 1 / 3) * np.log(N / 28)
    np.testing.assert_allclose(table["residual"], expected, atol=1e-9)
    np.testing.assert_allclose(table["constant"], 28 * (4 * 28**-0.6) ** 3)
    half = table["residual_high"] - table["residual"]
    assert (
        table["fails"].tolist() == (np.abs(expected) > half).tolist() and table["fails"].sum() >= 4
    )
    assert table["apart"].tolist() == [
        sum(a < x < b for x in X) for a, b in np.sort(table[["at", "predicted"]].to_numpy())
    ]
    slope = overlay.exponent(runs).iloc[0]
    assert (
        slope["fails"]
        and slope["slope"] == pytest.approx(-0.6)
        and slope["theory"] == pytest.approx(-1 / 3)
    )
    (said,) = overlay_sentences(table, overlay.exponent(runs))
    fails, close = table["fails"].sum(), (table["fails"] & (table["apart"] == 0)).sum()
    assert said.startswith(
        "Theory for gd, n snr^q = const: contradicted by the slope of log snr against log n (measured"
    )
    assert (
        f"theory -0.333); its line lies outside of the boundary's 95 % interval in {fails} of 7 rows (about"
        in said
    )
    assert said.endswith(f"; {close} of these by less than a step of the grid.")


def test_a_cell_fails_where_its_mean_is_surely_on_the_other_side() -> None:
    """Between the planted line and that of the theory, and nowhere else."""
    runs = plant(lambda n: 30 * n**-1.2)
    overlay = Overlay(
        THEORIES["gd_feature_noise"], Boundary("snr", "n", facet="optimizer", resamples=200)
    )
    cells = overlay(runs).merge(overlay.cells(runs), on=["optimizer", "n"], suffixes=("", "_cell"))
    np.testing.assert_allclose(cells["index_cell"], cells["n"] * cells["snr"] ** 3)
    assert (cells["expects"] == np.where(cells["snr"] > cells["predicted"], "below", "above")).all()
    between = (cells["snr"] - cells["at"]) * (cells["snr"] - cells["predicted"]) < 0
    sure = (cells["low_cell"] > 0.25) | (cells["high_cell"] < 0.25)
    assert cells["fails_cell"].isna().tolist() == (~sure).tolist()
    assert (
        cells.loc[sure, "fails_cell"].tolist() == between[sure].tolist()
        and between[sure].sum() >= 8
    )


@pytest.mark.slow
def test_a_true_theory_fails_about_as_often_as_the_confidence_says() -> None:
    """80 noisy sweeps: 1 to 6 % of rows at 95 %, the constant being fitted to the same rows; slopes 0 to 9 %."""
    overlay = Overlay(
        THEORIES["gd_feature_noise"], Boundary("snr", "n", facet="optimizer", resamples=200)
    )
    rows, slopes = [], []
    for seed in range(80):
        runs = plant(lambda n: (7 / n) ** (1 / 3), spread=0.05, seed=seed)
        rows.append(overlay(runs)["fails"].mean())
        slopes.append(overlay.exponent(runs)["fails"].mean())
    assert 0.01 <= np.mean(rows) <= 0.06
    assert np.mean(slopes) <= 0.09


def test_rows_without_a_crossing_never_agree() -> None:
    """Where the theory expects it beyond the grid nothing is known; where it expects it within the grid, it fails."""
    runs = plant(lambda n: (7 / n) ** (1 / 3))
    runs = runs[~((runs["n"] == 10) & (runs["snr"] > 0.8))]
    runs.loc[runs["n"] == 80, "test_error"] = 0.5
    overlay = Overlay(
        THEORIES["gd_feature_noise"], Boundary("snr", "n", facet="optimizer", resamples=100)
    )
    table = overlay(runs).set_index("n")
    assert table.loc[[10, 80], "at"].tolist() == [np.inf, np.inf]
    assert (
        table.loc[[10, 80], ["residual", "residual_low", "residual_high", "index"]]
        .isna()
        .all(axis=None)
    )
    np.testing.assert_allclose(table["predicted"], (7 / table.index) ** (1 / 3))
    assert pd.isna(table.loc[10, "fails"]) and table.loc[80, "fails"]
    assert table["fails"].drop([10, 80]).eq(False).all()
    assert "; 2 of 7 rows have no crossing within the grid" in overlay_sentences(overlay(runs))[0]


@pytest.mark.parametrize("branch", [None, "rising"])
def test_a_theory_is_about_the_branch_that_the_boundary_follows(branch: str | None) -> None:
    """A ridge between the line of the theory and a tenth of it; with n = 80 it begins on the ridge."""
    law, factor = (lambda n: (7 / n) ** (1 / 3)), 1 if branch is None else 10
    fall = plant(lambda n: factor * law(n), xs=np.geomspace(0.02, 10, 31))
    rise = plant(lambda n: factor * law(n) / 10, xs=np.geomspace(0.02, 10, 31), rises=True)
    runs = fall.assign(test_error=np.minimum(fall["test_error"], rise["test_error"]))
    runs.loc[runs["n"] == 80, "test_error"] = fall["test_error"]
    boundary = Boundary("snr", "n", facet="optimizer", resamples=100, branch=branch)
    overlay = Overlay(THEORIES["gd_feature_noise"], boundary)
    table = overlay(runs)
    assert table["n"].tolist() == N.tolist()
    np.testing.assert_allclose(table["predicted"], law(N), rtol=1e-9)
    crosses = table["branch"].eq(branch or "falling")
    assert crosses.tolist() == [True] * 6 + [branch is None]
    assert table["fails"][crosses].eq(False).all() and table["fails"][~crosses].isna().all()
    cells = overlay.cells(runs)
    assert not cells["fails"].any()
    limits = (law(cells["n"]) / 10, np.inf) if branch is None else (0, 10 * law(cells["n"]))
    # Beyond the other branch, and where a row has only that, the theory expects nothing.
    known = cells["snr"].gt(limits[0]) & cells["snr"].lt(limits[1])
    known = known | cells["n"].eq(80) if branch is None else known & cells["n"].ne(80)
    assert cells["expects"].notna().tolist() == known.tolist()
    (said,) = overlay_sentences(table)
    other = "; 1 of 7 rows have no crossing within the grid on its branch, 1 of them on others"
    assert (other in said) == (branch is not None)


def test_a_constant_fitted_to_one_row_says_nothing_of_it() -> None:
    runs = plant(lambda n: (7 / n) ** (1 / 3))
    overlay = Overlay(THEORIES["gd_feature_noise"], Boundary("snr", resamples=100))
    table = overlay(runs[runs["n"] == 20])
    assert (
        table["predicted"].item() == pytest.approx(table["at"].item())
        and table["fails"].isna().all()
    )
    assert overlay_sentences(table) == [
        "Theory, n snr^q = const: cannot be compared with any row of the boundary."
    ]


def test_without_an_interval_nothing_fails() -> None:
    runs = plant(lambda n: 4 * n**-0.6)
    runs = runs[runs["seed"] == 3]
    overlay = Overlay(THEORIES["gd_feature_noise"], Boundary("snr", "n"))
    table, slopes = overlay(runs), overlay.exponent(runs)
    assert (
        table["fails"].isna().all()
        and slopes["fails"].isna().all()
        and table["residual"].notna().all()
    )
    (said,) = overlay_sentences(table, slopes)
    assert (
        "cannot be judged by the slope" in said
        and "(measured -0.6 without an interval, theory -0.333)" in said
    )


def test_each_facet_has_its_constant_and_only_those_that_the_theory_is_about() -> None:
    parts = [plant(lambda n, q=q: (q / n) ** (1 / q), power=q) for q in (2, 3, 4)]
    runs = pd.concat([*parts, plant(lambda n: 1.0, power=1)], ignore_index=True)
    overlay = Overlay(
        THEORIES["gd_feature_noise"], Boundary("snr", "n", facet="power", resamples=100)
    )
    table = overlay(runs)
    np.testing.assert_allclose(table["constant"], table["power"])
    assert table["power"].unique().tolist() == [2, 3, 4]
    np.testing.assert_allclose(overlay.exponent(runs)["theory"], [-1 / 2, -1 / 3, -1 / 4])


def test_a_linear_axis_may_begin_at_zero() -> None:
    """Nothing is a power of 0: the law is that of the other values, and the cells at 0 are on the side of small x."""
    xs = np.linspace(0, 4, 41)
    runs = plant(lambda n: 2.0, xs=np.where(xs == 0, 0.01, xs))
    runs["snr"] = np.where(runs["snr"] == 0.01, 0.0, runs["snr"])
    theory = Theory("mine", "snr = const", "this test", ("snr",), lambda runs: runs["snr"])
    overlay = Overlay(theory, Boundary("snr", "n", resamples=100))
    np.testing.assert_allclose(overlay(runs)["predicted"], 2.0)
    cells = overlay.cells(runs)
    assert (cells.loc[cells["snr"] == 0, "expects"] == "above").all() and not cells["fails"].any()


@pytest.mark.parametrize(
    ("change", "theory", "said"),
    [
        ({"optimizer": "adam"}, "gd_feature_noise", "no claim about any optimizer here"),
        ({"power": 1}, "gd_feature_noise", "runs with data == 'feature_noise'"),
        ({"data": "signal_noise"}, "gd_feature_noise", "no claim"),
        (
            {"optimizer": "adam", "sparsity": 9, "noise": 0.1},
            "adam_feature_noise",
            "does not depend on snr",
        ),
        ({"n": lambda runs: 1 + runs["snr"], "d": N[0]}, "gd_feature_noise", "no power of snr"),
        (
            {"optimizer": "adamw", "weight_max": 1, "weight_decay": 1, "b1": 0, "b2": 0},
            "adamw_bound",
            "with Within",
        ),
    ],
)
def test_what_a_theory_cannot_say_is_told(change: dict[str, Any], theory: str, said: str) -> None:
    runs = plant(lambda n: 1.0, y="width", **{"n": 20, **change})
    with pytest.raises(SweepError, match=said):
        Overlay(THEORIES[theory], Boundary("snr", "width", facet="optimizer", resamples=10))(runs)


def test_an_index_that_differs_within_a_cell_has_no_level_set() -> None:
    theory = Theory(
        "mine",
        "snr seed = const",
        "this test",
        ("snr",),
        lambda runs: runs["snr"] * (1 + runs["seed"]),
    )
    with pytest.raises(SweepError, match="depends on something else than n, snr"):
        Overlay(theory, Boundary("snr", "n", resamples=10))(plant(lambda n: 1.0))


def test_a_theory_applies_where_all_runs_are_in_its_scope() -> None:
    runs = plant(lambda n: 1.0)
    theory = THEORIES["gd_feature_noise"]
    assert theory.applies(runs) and not theory.applies(runs.assign(model="linear"))
    assert not theory.applies(pd.concat([runs, runs.assign(power=1)]))
    assert not theory.applies(runs.assign(power=np.nan)) and not theory.applies(
        runs.drop(columns="power")
    )
    assert Theory("mine", "snr = const", "this test", ("snr",), lambda runs: runs["snr"]).applies(
        runs
    )


def test_a_bound_is_counted_in_each_cell() -> None:
    """|w| = 1 / decay exactly is within; runs that diverged are in no share."""
    rows = [
        {
            "optimizer": name,
            "weight_decay": decay,
            "seed": seed,
            "weight_max": largest / decay,
            "status": status,
        }
        for name, decay in (("adamw", 0.5), ("adamw", 0.25), ("adam", 0.5))
        for seed, (largest, status) in enumerate(
            [(0.5, "ok"), (1.0, "ok"), (1.25, "ok"), (9.0, "nonfinite")]
        )
    ]
    runs = pd.DataFrame(rows).assign(b1=0.9, b2=0.999)
    table = Within(THEORIES["adamw_bound"], "weight_decay")(runs)
    assert list(table.columns) == [
        "optimizer",
        "weight_decay",
        "share",
        "largest",
        "count",
        "nonfinite",
    ]
    assert table["optimizer"].tolist() == ["adamw", "adamw"] and table["weight_decay"].tolist() == [
        0.25,
        0.5,
    ]
    np.testing.assert_allclose(
        table[["share", "largest", "count", "nonfinite"]], [[2 / 3, 1.25, 3, 1]] * 2
    )
    with pytest.raises(SweepError, match="average over weight_decay"):
        Within(THEORIES["adamw_bound"])(runs)
    with pytest.raises(SweepError, match="bounds nothing"):
        Within(THEORIES["benign_relu"])(runs)
    with pytest.raises(SweepError, match="b1 <= b2"):
        Within(THEORIES["adamw_bound"], "weight_decay")(runs.assign(b1=1.0))


def test_every_theory_names_its_columns_and_its_paper() -> None:
    """The index and the scope need the named columns, and no others."""
    runs = plant(
        lambda n: 1.0, d=100, signal=1.0, noise=0.1, sparsity=10, weight_max=1.0, weight_decay=0.1
    )
    runs = runs.assign(b1=0.9, b2=0.99)
    for name, theory in THEORIES.items():
        known = runs[list(theory.columns)]
        assert theory.name == name and "arXiv" in theory.source and (theory.index(known) > 0).all()
        assert len(known.query(theory.scope)) in (0, len(runs))
