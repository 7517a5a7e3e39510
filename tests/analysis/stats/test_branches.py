"""Rows that cross several times: every crossing against brute force, and intervals by their coverage."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.stats.boundary import Boundary, followed_rows
from analysis.stats.branches import Row, settled_stretches
from sweep.errors import SweepError

HIGH, LOW = 0.9, 0.0
SHARE = (HIGH - 0.25) / (HIGH - LOW)
"""Where between a high and a low mean the level 1/4 is."""


def runs_of(rows: Any, seeds: int = 4, x: Any = None) -> pd.DataFrame:
    """Runs with these values: (rows, x) for all seeds alike, or (seeds, rows, x)."""
    values = np.asarray(rows, float)
    if values.ndim < 3:
        values = np.broadcast_to(np.atleast_2d(values), (seeds, *np.atleast_2d(values).shape))
    s, i, j = (each.ravel() for each in np.indices(values.shape))
    xs = np.arange(values.shape[2], dtype=float) if x is None else np.asarray(x)
    runs = {"seed": s, "n": i + 1, "snr": xs[j], "test_error": values.ravel()}
    return pd.DataFrame(runs).assign(optimizer="gd", trial=np.arange(len(s)))


def crossings(row: Any, **more: Any) -> list[tuple[str, float]]:
    """Branch and place of each crossing of a single row."""
    table = Boundary("snr", "n", resamples=50, **more)(runs_of(row))
    return list(zip(table["branch"], table["at"], strict=True))


@pytest.mark.parametrize("rising", [False, True])
def test_without_noise_every_change_of_side_is_a_crossing(rising: bool) -> None:
    """All patterns of six cells, in one plane whose trend is given by 70 other rows."""
    patterns = np.array(list(product([LOW, HIGH], repeat=6)))
    trend = np.sort(np.tile([HIGH, HIGH, HIGH, LOW, LOW, LOW], (70, 1)))[:, :: 1 if rising else -1]
    table = Boundary("snr", "n", resamples=50)(runs_of(np.vstack([patterns, trend])))
    for n, pattern in enumerate(patterns, 1):
        found = table[table["n"] == n]
        changes = np.flatnonzero(np.diff(pattern))
        assert (found["crossings"] == len(changes)).all() and (found["unsettled"] == 0).all()
        if not len(changes):
            (row,) = found.to_dict("records")
            side = "above" if pattern[0] else "below"
            assert (row["branch"], row["side"]) == ("none", side)
            assert row["at"] == (np.inf if (side == "above") is not rising else -np.inf)
            continue
        falls = pattern[changes] == HIGH
        np.testing.assert_allclose(found["at"], changes + np.where(falls, SHARE, 1 - SHARE))
        assert [name.startswith("falling") for name in found["branch"]] == falls.tolist()
        assert found["branch"].is_unique and (found["side"] == "both").all()
        inside = found["low"].between(changes, found["at"]) & found["high"].between(
            found["at"], changes + 1
        )
        assert inside.all() and (found["monotone"] == (len(changes) == 1)).all()


def test_branches_are_counted_from_the_low_end_of_the_trend() -> None:
    row = [HIGH, LOW, HIGH, LOW, HIGH, LOW]
    names = [name for name, _ in crossings(row)]
    assert names == ["falling 3", "rising 2", "falling 2", "rising", "falling"]
    mirrored = [name for name, _ in crossings(row[::-1])]
    assert mirrored == ["rising", "falling", "rising 2", "falling 2", "rising 3"]


def test_a_peak_of_one_cell_has_two_crossings_one_step_apart() -> None:
    assert crossings([LOW, LOW, LOW, HIGH, LOW, LOW]) == [
        ("rising", pytest.approx(3 - SHARE)),
        ("falling", pytest.approx(3 + SHARE)),
    ]
    found = Boundary("snr")(runs_of([LOW, LOW, LOW, HIGH, LOW, LOW]))
    assert found["low"].between(2, 2.1).iloc[0] and found["high"].between(2.9, 3).iloc[0]
    assert found["low"].between(3, 3.1).iloc[1] and found["high"].between(3.9, 4).iloc[1]


def test_a_row_at_the_level_crosses_in_the_middle_of_it() -> None:
    """Anywhere on the plateau is a crossing; a row that only touches the level has none."""
    found = Boundary("snr")(runs_of([0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.0])).iloc[0]
    assert found["at"] == 3.5 and 2 <= found["low"] < 2.2 and 4.8 < found["high"] <= 5
    found = Boundary("snr")(runs_of([0.0, 0.0, 0.25, 0.25, 0.25, 0.5, 0.5])).iloc[0]
    assert (found["branch"], found["at"]) == ("rising", 3)
    for touching, side in (([0.5, 0.25, 0.25, 0.5], "above"), ([0, 0.25, 0.25, 0], "below")):
        (row,) = Boundary("snr")(runs_of(touching)).to_dict("records")
        assert (row["branch"], row["crossings"], row["side"]) == ("none", 0, side)


def test_a_row_against_the_trend_rises() -> None:
    falling = np.tile([HIGH, HIGH, LOW, LOW], (3, 1))
    table = Boundary("snr", "n", resamples=50)(runs_of([*falling, falling[0][::-1]]))
    assert table["branch"].tolist() == ["falling"] * 3 + ["rising"]
    followed = followed_rows(table)
    assert followed["at"].isna().tolist() == [False] * 3 + [True]
    assert followed["branch"].isna().tolist() == [False] * 3 + [True]


def test_one_seed_shows_all_changes_and_no_interval() -> None:
    found = Boundary("snr")(runs_of([HIGH, LOW, HIGH, LOW], seeds=1))
    assert found["branch"].tolist() == ["falling 2", "rising", "falling"]
    assert found[["low", "high"]].isna().all(axis=None)


def test_what_seeds_do_not_settle_is_counted() -> None:
    """Three of ten seeds raise one cell of a row that is otherwise below the level."""
    values = np.zeros((10, 1, 6))
    values[:3, 0, 3] = HIGH
    (row,) = Boundary("snr")(runs_of(values)).to_dict("records")
    assert (row["branch"], row["side"], row["unsettled"]) == ("none", "below", 2)


def test_a_row_may_bend_without_a_second_crossing() -> None:
    """The mean rises from 1/2 to 0.9 before it falls: one crossing, and no monotone row."""
    (row,) = Boundary("snr")(runs_of([0.5, HIGH, HIGH, LOW])).to_dict("records")
    assert (row["branch"], row["crossings"], row["monotone"]) == ("falling", 1, False)
    (row,) = Boundary("snr")(runs_of([HIGH, 0.5, 0.5, LOW])).to_dict("records")
    assert row["monotone"]


def test_a_logistic_curve_crosses_once_and_says_where_the_row_does_not() -> None:
    table = Boundary("snr", "n", fit="logistic", resamples=50)(
        runs_of([[LOW, HIGH, HIGH, HIGH, LOW, LOW], [HIGH, HIGH, HIGH, LOW, LOW, LOW]])
    )
    assert len(table) == 2 and table["crossings"].tolist() == [2, 1]
    assert set(table["branch"]) == {"falling"} and table["monotone"].tolist() == [False, True]


def test_exponents_follow_the_branch_that_is_named() -> None:
    """A ridge between x = n^(1/2) and x = 8 n^-1/4, without noise, on a fine logarithmic axis."""
    x, n = np.geomspace(0.25, 32, 57), np.array([1, 2, 4, 8])
    left, right = n[:, None] ** 0.5, 8 * n[:, None] ** -0.25
    rows = 0.25 + 0.2 * np.minimum(np.log(x / left), np.log(right / x))
    runs = runs_of(rows, x=x).assign(n=lambda runs: n[runs["n"] - 1])
    table = Boundary("snr", "n", resamples=50)(runs)
    both = table.pivot(index="n", columns="branch", values="at")
    np.testing.assert_allclose(both["rising"], left[:, 0])
    np.testing.assert_allclose(both["falling"], right[:, 0])
    for branch, slope in (("rising", 0.5), ("falling", -0.25)):
        boundary = Boundary("snr", "n", resamples=50, branch=branch)
        found = boundary.exponent(runs).iloc[0]
        assert found["slope"] == pytest.approx(slope) and found["branch"] == branch
        assert boundary.follow(runs)["at"].tolist() == both[branch].tolist()


def test_a_branch_that_is_not_there_is_refused() -> None:
    runs = runs_of([LOW, HIGH, LOW])
    with pytest.raises(SweepError, match=r"no branch 'falling 2'.*falling, rising"):
        Boundary("snr", branch="falling 2").follow(runs)
    for name in ("up", "falling 1", "falling2", ""):
        with pytest.raises(SweepError, match="Name falling or rising"):
            Boundary("snr", branch=name)(runs)


X = np.arange(20.0)
LAWS = ("bernoulli", "three modes", "gaussian")


def fall(x: np.ndarray, at: np.ndarray, width: float = 0.8) -> np.ndarray:
    """From 1 to 0 around `at`."""
    return 1 / (1 + np.exp((x - at) / width))


def planted(kind: str, rows: int, random: np.random.Generator) -> tuple[np.ndarray, list[Any]]:
    """Means (rows, x) between 0.03 and 0.97, and their places of mean 1/2, by ascending x."""

    def place(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, (rows, 1))

    if kind == "one":
        at = [place(8, 12)]
        mean = fall(X, at[0])
    elif kind == "two":
        at = [place(4, 6), place(12, 15)]
        mean = fall(X, at[1]) - fall(X, at[0])
    elif kind == "three":
        at = [place(3, 4.5), place(8.5, 10), place(14, 16)]
        mean = fall(X, at[0]) + fall(X, at[2]) - fall(X, at[1])
    elif kind == "narrow":
        at = [place(8, 9), place(9, 10)]
        mean = ((at[0] < X) & (at[1] > X)).astype(float)
    else:
        at = [place(9, 9)]
        mean = np.where(X < 6, 1, np.where(X > 12, 0, 0.5)) + 0 * at[0]
    return 0.03 + 0.94 * mean, [each[:, 0] for each in at]


def draw(law: str, mean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Values with these means, those of three modes times 0.96."""
    if law == "gaussian":
        return mean + random.normal(0, 0.1, mean.shape)
    trials = 1 if law == "bernoulli" else 2
    return random.binomial(trials, mean) * (1.0 if law == "bernoulli" else 0.48)


NAMES = {
    "one": ["falling"],
    "two": ["rising", "falling"],
    "three": ["falling 2", "rising", "falling"],
    "narrow": ["rising", "falling"],
    "plateau": ["falling"],
}


def outcome(kind: str, law: str, seeds: int, rows: int = 100) -> tuple[float, float]:
    """How often a row has its crossings, no more and no fewer, and how often intervals then cover."""
    random = np.random.default_rng([len(kind), len(law), seeds])
    mean, truth = planted(kind, rows, random)
    values = draw(law, np.broadcast_to(mean, (seeds, *mean.shape)), random)
    level = 0.48 if law == "three modes" else 0.5
    table = Boundary("snr", "n", level=level, resamples=200)(runs_of(values))
    right = table.groupby("n")["branch"].agg(list).map(lambda names: names == NAMES[kind])
    covered = []
    for name, at in zip(NAMES[kind], truth, strict=True):
        found = table[table["branch"] == name].set_index("n").loc[right.index[right]]
        own = at[right.to_numpy()]
        covered.append(((found["low"] <= own) & (own <= found["high"])).mean())
    return float(right.mean()), float(np.mean(covered))


@pytest.mark.thorough
@pytest.mark.parametrize("kind", NAMES)
def test_crossings_are_found_and_their_intervals_cover(kind: str) -> None:
    """95 % intervals, by law and number of seeds: 90 to 98 % of them hold the truth, 3 % more or less.

    Of four seeds that err by all or nothing, some miss what they should see.
    """
    found = {(law, seeds): outcome(kind, law, seeds) for law in LAWS for seeds in (4, 8, 16)}
    print(kind, {key: tuple(np.round(each, 3)) for key, each in found.items()})
    for (law, seeds), (right, covered) in found.items():
        few = seeds == 4 and law != "gaussian"
        assert right >= (0.78 if few else 0.93), (law, seeds)
        assert (0.84 if kind == "plateau" else 0.87) <= covered <= 0.995, (law, seeds)
    assert 0.9 <= np.mean([covered for _, covered in found.values()]) <= 0.98


@pytest.mark.thorough
@pytest.mark.parametrize("law", LAWS)
def test_a_monotone_row_seldom_seems_to_cross_again(law: str) -> None:
    """Steep, slow and level rows, at 4, 8 and 16 seeds: in at most 4 of 100."""
    random = np.random.default_rng(0)
    level = 0.48 if law == "three modes" else 0.5
    for seeds in (4, 8, 16):
        for mean in (fall(X, 9.7, 0.3), fall(X, 9.2, 4.0), 0 * X + 0.4, 0 * X + 0.5):
            values = draw(law, np.broadcast_to(mean, (100, seeds, len(X))), random)
            again = [len(settled_stretches(Row(each, level), False)) > 2 for each in values]
            assert np.mean(again) <= 0.04, (seeds, mean[0])
