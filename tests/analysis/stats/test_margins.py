"""Maximum margins: closed forms and another solver, and what real trainings reach of them on the very same points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from typer.testing import CliRunner

import analysis
from analysis.reporting.margin_sections import margin_sections
from analysis.stats.margins import (
    GAP,
    Margin,
    Margins,
    NotSeparable,
    best_margins,
    max_margin_l2,
    max_margin_linf,
)
from sweep.data import Separable
from sweep.errors import SweepError
from sweep.run import app
from tests.shell import environment, jax_as_it_was, write_grid

GRID = """
name: margins
seed: {range: [0, 8]}
data: {kind: separable, n: 10, d: 20, labels: LABELS, margin: 0.1}
model: {kind: linear}
optimizer: [{kind: gd, lr: 0.5}ADAM]
train: {steps: STEPS}
test_points: 0
record: {points: 0}
"""
ADAM = ", {kind: adam, lr: 0.1, b2: 0.99, eps: [0, 1e-3], schedule: {kind: power, exponent: 0.5, shift: 2}}"


def sweep(folder: Path, dtype: str, labels: str, steps: str, adam: str = "") -> pd.DataFrame:
    """The runs of such a sweep, trained in this process."""
    grid = write_grid(
        folder, GRID.replace("LABELS", labels).replace("STEPS", steps).replace("ADAM", adam)
    )
    options = ["--out", str(folder / "store"), "--workers", "1", "--dtype", dtype]
    with jax_as_it_was():
        answer = CliRunner().invoke(app, [str(grid), *options])
    assert answer.exit_code == 0, answer.stderr
    return analysis.load(folder / "store")


@pytest.fixture(scope="module", autouse=True)
def _cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
        yield


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Trainings of one step and of 20,000 steps in double precision."""
    return sweep(tmp_path_factory.mktemp("free"), "float64", "free", "[1, 20000]", ADAM)


@pytest.fixture
def runs(both: pd.DataFrame) -> pd.DataFrame:
    """The long ones."""
    return both[both["max_steps"] > 1]


CLOSED = {
    "one point": (np.array([[3.0, 4.0]]), 5.0, 7.0),
    "two points": (np.array([[1.0, 1.0], [1.0, -1.0]]), 1.0, 1.0),
    "nearest on an edge": (np.array([[4.0, 0.0], [0.0, 2.0]]), 8 / np.sqrt(20), 2.0),
    "orthogonal points": (np.diag([1.0, 2.0, 4.0]), 1 / np.sqrt(1 + 1 / 4 + 1 / 16), 1.0),
    "simplex": (np.eye(7), 1 / np.sqrt(7), 1.0),
    "simplex, each corner twice": (np.vstack([np.eye(7), np.eye(7)]), 1 / np.sqrt(7), 1.0),
    "a point that holds nothing": (np.array([[1.0, 0.0], [9.0, 9.0]]), 1.0, 1.0),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("scale", [1.0, 1e-7, 1e7])
def test_margins_are_those_of_closed_forms(name: str, scale: float) -> None:
    """Of points on the axes: 1 / sqrt(sum 1 / a_i^2) and min a_i."""
    z, l2, linf = CLOSED[name]
    for found, want in ((max_margin_l2(scale * z), l2), (max_margin_linf(scale * z), linf)):
        assert found.value == pytest.approx(scale * want, rel=1e-12) and abs(found.gap) < 1e-12


def test_the_l2_margin_is_that_of_another_solver() -> None:
    """The support vector machine, min ||w||^2 with z w >= 1, by sequential quadratic programming."""
    z = np.random.default_rng(0).normal(size=(8, 12))
    free = {"type": "ineq", "fun": lambda w: z @ w - 1, "jac": lambda w: z}
    found = minimize(
        lambda w: w @ w / 2, z[0], jac=lambda w: w, constraints=free, tol=1e-14, method="SLSQP"
    ).x
    assert max_margin_l2(z).value == pytest.approx(1 / np.linalg.norm(found), rel=1e-8)


@pytest.mark.parametrize(
    ("solve", "norm", "dual"), [(max_margin_l2, 2, 2), (max_margin_linf, np.inf, 1)]
)
def test_each_margin_is_reached_and_is_the_least_that_can_be(
    solve: Callable[..., Margin], norm: float, dual: int
) -> None:
    """On 40 problems of any shape, a third of them badly scaled: reached by a unit vector, within 1e-9 of the bound."""
    random = np.random.default_rng(1)
    separable = 0
    for case in range(40):
        n, d = random.integers(1, 60, 2)
        z = random.normal(size=(n, d)) * (10 ** random.uniform(-2, 2, d) if case % 3 == 0 else 1)
        try:
            found = solve(z)
        except NotSeparable:
            assert n > d
            continue
        separable += 1
        assert np.linalg.norm(found.direction, norm) == pytest.approx(1) and found.gap <= GAP
        assert (z @ found.direction).min() == found.value
        assert found.value <= (1 + GAP) * min(
            np.linalg.norm(random.dirichlet(np.ones(n)) @ z, dual) for _ in range(20)
        )
    assert separable >= 20


@pytest.mark.parametrize("solve", [max_margin_l2, max_margin_linf])
@pytest.mark.parametrize(
    "z", [np.array([[1.0, 2.0], [-1.0, -2.0]]), np.array([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]])]
)
def test_what_no_plane_separates_is_said(solve: Callable[..., Margin], z: np.ndarray) -> None:
    with pytest.raises(NotSeparable, match="not linearly separable"):
        solve(z)


@pytest.mark.parametrize(
    ("dtype", "digits"), [pytest.param("float32", 1e-5, marks=pytest.mark.slow), ("float64", 1e-12)]
)
def test_the_points_are_those_of_the_training(
    dtype: str, digits: float, both: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 0 the first step of gradient descent goes along the mean of y x, whose margins are known from the points."""
    drawn: list[np.ndarray] = []

    def keep(z: np.ndarray) -> Margin:
        drawn.append(z)
        return Margin(1.0, z[0], 0.0)

    runs = both if dtype == "float64" else sweep(tmp_path, dtype, "teacher", "1")
    monkeypatch.setattr("analysis.stats.margins.max_margin_l2", keep)
    best = best_margins(runs)
    first = (
        runs[(runs["optimizer"] == "gd") & (runs["max_steps"] == 1)]
        .set_index("problem")
        .loc[best["problem"]]
    )
    assert len(drawn) == 8 and drawn[0].shape == (10, 20)
    for z, row in zip(drawn, first.itertuples(), strict=True):
        w = z.mean(axis=0)
        assert row.margin_l2 == pytest.approx(
            (z @ w).min() / np.linalg.norm(w), rel=digits, abs=digits
        )
        assert row.margin_linf == pytest.approx(
            (z @ w).min() / np.abs(w).max(), rel=digits, abs=digits
        )


def test_no_optimizer_exceeds_the_best_margin_and_each_has_its_bias(runs: pd.DataFrame) -> None:
    best = best_margins(runs)
    assert list(best.columns) == ["problem", "seed", "best_l2", "best_linf"] and set(
        best["seed"]
    ) == set(range(8))
    joined = runs.merge(best, on="problem")
    assert (joined["margin_l2"] <= joined["best_l2"] * (1 + GAP)).all()
    assert (joined["margin_linf"] <= joined["best_linf"] * (1 + GAP)).all()
    table = Margins("eps")(runs, best).set_index(["optimizer", "eps"])
    assert len(table) == 3 and (table["count"] == 8).all()
    share = joined["margin_linf"] / joined["best_linf"]
    mine = share[(joined["optimizer"] == "adam") & (joined["eps"] == 0)]
    adam = table.loc[("adam", 0.0)]
    assert adam["linf"] == pytest.approx(mine.mean())
    assert adam["linf_high"] - adam["linf"] == pytest.approx(
        2.364624 * mine.std() / np.sqrt(8), rel=1e-6
    )
    assert table["lead"].to_numpy() == pytest.approx((table["linf"] - table["l2"]).to_numpy())
    assert (
        adam["bias"] == "linf" and table.loc[("adam", 1e-3), "bias"] == "l2"
    )  # below eps Adam is gradient descent
    assert table.loc["gd", "bias"].tolist() == ["l2"]


def test_a_problem_that_is_not_separable_has_no_best_margin(runs: pd.DataFrame) -> None:
    """Five points on a line."""
    best = best_margins(runs.assign(n=5, d=1).head(1))
    assert best[["best_l2", "best_linf"]].isna().all(axis=None)


def test_a_report_says_nothing_of_margins_where_no_plane_separates(runs: pd.DataFrame) -> None:
    """It ended with an error."""
    flat = runs.assign(n=5, d=1).head(1)
    assert list(margin_sections(Path(runs.attrs["folder"]), flat, 0.95)) == []


def test_what_cannot_be_drawn_again_is_said(runs: pd.DataFrame) -> None:
    with pytest.raises(SweepError, match="no points to separate"):
        best_margins(runs.assign(coordinates="gram"))
    with pytest.raises(SweepError, match="No run has the data separable"):
        best_margins(runs.assign(data="signal_noise"))
    unknown = runs.copy()
    unknown.attrs = {}
    with pytest.raises(SweepError, match="dtype"):
        best_margins(unknown)
    assert best_margins(unknown, "float64").equals(best_margins(runs))


def test_settings_of_the_reader_draw_no_other_points() -> None:
    """The sweep pinned them; this problem is described here, and needs no training."""
    row = {"problem": 1, "seed": 3, "data": "separable", "coordinates": "ambient"}
    part = Separable(n=4, d=6)
    row |= {name: getattr(part, name) for name in (field.name for field in fields(Separable))}
    frame, name = pd.DataFrame([row]), "jax_threefry_partitionable"
    expected = best_margins(frame, "float32")
    jax.config.update(name, False)
    try:
        assert best_margins(frame, "float32").equals(expected)
    finally:
        jax.config.update(name, True)
