"""Finite-size scaling: planted exponents are found, and held by the intervals as often as these say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.figures.collapse import collapse_figure
from analysis.stats.collapse import Collapse
from sweep.errors import SweepError

X, N, A = np.geomspace(0.1, 10, 12), np.geomspace(10, 160, 5), 1 / 3


def planted(seed: int, seeds: int = 10, noise: float = 0.08, binary: bool = False) -> pd.DataFrame:
    """Errors that are one curve in snr n^(1/3), each seed a little off in all its cells; `binary`: 0 or 1/2."""
    random = np.random.default_rng(seed)
    s, n, x = (each.ravel() for each in np.meshgrid(np.arange(seeds), N, X, indexing="ij"))
    share = 1 / (1 + (x * n**A / 3) ** 3)
    own = (
        random.normal(0, 0.4 * noise, seeds)[s] + random.normal(0, noise, s.size) if noise else 0.0
    )
    value = 0.5 * (random.random(s.size) < share) if binary else 0.5 * share + own
    columns = {
        "seed": s,
        "n": n,
        "snr": x,
        "test_error": value,
        "optimizer": "gd",
        "trial": np.arange(s.size),
    }
    return pd.DataFrame(columns)


def test_a_perfect_collapse_is_found() -> None:
    found = Collapse("snr", "n", resamples=5)(planted(0, seeds=3, noise=0)).iloc[0]
    assert found["exponent"] == pytest.approx(A, abs=0.01)


def test_straight_lines_between_points_are_exact_for_straight_curves() -> None:
    """And one seed is enough for an exponent, which then has no interval."""
    runs = planted(0, seeds=1).assign(
        test_error=lambda runs: np.log(runs["snr"]) + A * np.log(runs["n"])
    )
    found = Collapse("snr", "n", resamples=5)(runs).iloc[0]
    assert found["exponent"] == pytest.approx(A, abs=1e-4)
    assert found[["low", "high", "quality"]].astype(float).isna().all()


def test_sizes_close_to_each_other_do_not_outvote_one_that_is_far() -> None:
    """Two of three sizes are nearly one, and collapse with any exponent."""
    sizes = dict(zip(N[:3], (10.0, 10.5, 160.0), strict=True))
    runs = planted(0).assign(n=lambda runs: runs["n"].map(sizes)).dropna()
    share = 1 / (1 + (runs["snr"] * runs["n"] ** A / 3) ** 3)
    runs["test_error"] = 0.5 * share + np.random.default_rng(0).normal(0, 0.05, len(runs))
    found = Collapse("snr", "n", resamples=100)(runs).iloc[0]
    assert found["low"] < A < found["high"] < found["low"] + 0.3


def test_the_quality_is_one_for_noise_and_large_without_scaling() -> None:
    found = [Collapse("snr", "n", resamples=2)(planted(seed, 20)).iloc[0] for seed in range(10)]
    assert 0.7 < np.mean([each["quality"] for each in found]) < 1.3
    assert min(each["quality_unscaled"] for each in found) > 3


@pytest.mark.parametrize("binary", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("sweeps", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_intervals_hold_a_planted_exponent(sweeps: int, binary: bool) -> None:
    """95 % intervals over 200 planted sweeps: 90 to 97 % of them hold the truth; a few tell less."""
    scaling = Collapse("snr", "n", resamples=50 if sweeps < 200 else 300)
    found = pd.concat([scaling(planted(seed, binary=binary)) for seed in range(sweeps)])
    held = np.mean(found["low"].le(A) & found["high"].ge(A))
    assert (0.83 if sweeps < 200 else 0.90) <= held <= (1.0 if sweeps < 200 else 0.975)


def test_curves_that_get_steeper() -> None:
    """value = g((log x + a log n - c) n^b), sizes relative to their geometric mean."""
    runs = planted(0, 8)
    u = (np.log(runs["snr"]) + 0.2 * np.log(runs["n"] / 40)) * (runs["n"] / 40) ** 0.3
    runs["test_error"] = 0.5 / (1 + np.exp(2 * u)) + np.random.default_rng(0).normal(
        0, 0.02, len(runs)
    )
    found = Collapse("snr", "n", width=True, resamples=20)(runs).iloc[0]
    assert found["exponent"] == pytest.approx(0.2, abs=0.05) and found["width"] == pytest.approx(
        0.3, abs=0.1
    )
    assert found["quality"] < Collapse("snr", "n", resamples=2)(runs).iloc[0]["quality"]


UNSCALABLE = {
    "one size": lambda runs: runs[runs["n"] == N[0]],
    "one x": lambda runs: runs[runs["snr"] == X[3]],
    "no x in common, whatever the exponent": lambda runs: runs.assign(
        snr=runs["snr"] * np.exp(runs["n"])
    ),
    "plateaus of noise": lambda runs: runs.assign(
        test_error=np.random.default_rng(0).normal(0.5, 0.1, len(runs))
    ),
    "nothing but a constant": lambda runs: runs.assign(test_error=0.5),
    "no value in common": lambda runs: runs.assign(
        test_error=runs["test_error"] - runs["n"].map(np.log)
    ),
    "one size that moves": lambda runs: runs.assign(
        test_error=runs["test_error"].where(runs["n"] == N[2], 0.5)
    ),
}


@pytest.mark.parametrize("width", [False, True])
@pytest.mark.parametrize("why", UNSCALABLE)
def test_what_has_no_exponent_is_not_given_one(why: str, width: bool) -> None:
    scaling = Collapse("snr", "n", width=width, resamples=20)
    runs = UNSCALABLE[why](planted(0))
    found = scaling(runs)
    unknown = [name for name in found if name not in ("quality_unscaled", "sizes", "seeds")]
    assert found[unknown].isna().all(axis=None) and found["seeds"].tolist() == [10]
    assert scaling.collapsed(runs, found)["scaled"].isna().all()


def test_each_facet_has_its_own_exponent_and_curves() -> None:
    runs = pd.concat(
        [planted(0), planted(1).assign(optimizer="adam", snr=lambda table: table["snr"] * 2)]
    )
    scaling = Collapse("snr", "n", facet="optimizer", resamples=20)
    found = scaling(runs)
    curves, exponents = scaling.collapsed(runs, found), found.set_index("optimizer")["exponent"]
    for name, own in curves.groupby("optimizer"):
        np.testing.assert_allclose(own["scaled"], own["snr"] * own["n"] ** exponents[name])
    panels = collapse_figure(curves).axes
    assert [len(ax.containers) for ax in panels] == [len(N)] * 4


@pytest.mark.parametrize(
    ("change", "said"),
    [({"snr": -1.0}, "above 0"), ({"width": [1, 2, 3, 4, 5, 6, 7]}, "average over width")],
)
def test_what_cannot_be_scaled_is_told(change: dict[str, object], said: str) -> None:
    runs = planted(0)
    values = {name: np.resize(value, len(runs)) for name, value in change.items()}
    with pytest.raises(SweepError, match=said):
        Collapse("snr", "n")(runs.assign(**values))
