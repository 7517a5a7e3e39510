"""Censored times: against scipy, published data, binomial shares, and exponential times with a known median."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import analysis
from analysis.figures.survival import survival_figure
from analysis.stats.kaplan_meier import product_limit, wilson_interval
from analysis.stats.survival import FitTime, SignFlips
from sweep.errors import SweepError

REMISSION = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
"""Weeks under 6-mercaptopurine (Freireich et al. 1963), the example of the textbooks."""


def runs_of(*cells: list[tuple[float | None, str, int]], **columns: Any) -> pd.DataFrame:
    """Runs of gd from (fit_step, status, steps), one list a value of snr."""
    rows = [
        {"snr": float(x), "seed": seed, "fit_step": fit, "status": status, "steps": steps}
        for x, cell in enumerate(cells)
        for seed, (fit, status, steps) in enumerate(cell)
    ]
    table = pd.DataFrame(rows).assign(optimizer="gd", **columns)
    return table.assign(trial=np.arange(len(table)), fit_step=table["fit_step"].astype(float))


def exponential(
    seeds: int, replicates: int, random: np.random.Generator, capped: bool
) -> pd.DataFrame:
    """Cells of exponential fit times with mean 1, of which 40 % are hidden: by one cap, or by a limit of each run."""
    times = random.exponential(1, (replicates, seeds))
    limits = np.full(times.shape, -np.log(0.4)) if capped else random.exponential(1.5, times.shape)
    columns = {
        "snr": np.repeat(np.arange(replicates), seeds),
        "seed": np.tile(np.arange(seeds), replicates),
    }
    columns |= {
        "fit_step": np.where(times <= limits, times, np.nan).ravel(),
        "steps": limits.ravel(),
    }
    return pd.DataFrame(columns).assign(
        optimizer="gd", status="out_of_steps", trial=np.arange(times.size)
    )


def curves_of(*trials: tuple[str, str, dict[int, float]]) -> pd.DataFrame:
    """Curves of `feature` from (optimizer, status, values by step)."""
    rows = [
        {
            "trial": i,
            "problem": i,
            "seed": i,
            "optimizer": who,
            "status": status,
            "step": step,
            "feature": value,
        }
        for i, (who, status, values) in enumerate(trials)
        for step, value in values.items()
    ]
    return pd.DataFrame(rows)


def test_the_estimator_and_its_interval_are_those_of_scipy(rng: np.random.Generator) -> None:
    """Tied times, censored ones, and runs that are at risk for ever."""
    for seeds in (2, 7, 10, 40):
        step, event = rng.integers(0, 12, seeds).astype(float), rng.random(seeds) < 0.6
        step[~event & (rng.random(seeds) < 0.5)] = np.inf
        found = product_limit(pd.DataFrame({"cell": 0, "step": step, "event": event}), 0.9)
        known = stats.ecdf(
            stats.CensoredData.right_censored(np.where(np.isinf(step), 1e9, step), ~event)
        ).sf
        np.testing.assert_allclose(
            found["survival"], known.evaluate(found["step"]), rtol=0, atol=1e-12
        )
        inside = found[found["survival"].between(1e-9, 1 - 1e-9)]
        with warnings.catch_warnings(action="ignore"):  # on points where the interval is undefined
            band = known.confidence_interval(0.9, method="log-log")
        np.testing.assert_allclose(
            inside["low"], band.low.evaluate(inside["step"]), rtol=0, atol=1e-12
        )
        np.testing.assert_allclose(
            inside["high"], band.high.evaluate(inside["step"]), rtol=0, atol=1e-12
        )


def test_where_all_or_none_have_ended_the_interval_is_the_exact_binomial_one() -> None:
    """Four runs end in two steps; six of another cell are censored before any ends."""
    step, event = [1.0] * 3 + [2.0] + [2.0] * 6, [True] * 4 + [False] * 6
    found = product_limit(
        pd.DataFrame({"cell": [0] * 4 + [1] * 6, "step": step, "event": event}), 0.9
    )
    found = found[found["step"] == 2]
    every, none = (
        stats.binomtest(k, n).proportion_ci(0.9, method="exact") for k, n in ((0, 4), (6, 6))
    )
    np.testing.assert_allclose(found["low"], [every.low, none.low])
    np.testing.assert_allclose(found["high"], [every.high, none.high])


def test_each_cell_stands_for_itself(rng: np.random.Generator) -> None:
    runs = exponential(9, 5, rng, capped=False)
    apart = [FitTime("snr")(runs[runs["snr"] == x]) for x in range(5)]
    pd.testing.assert_frame_equal(FitTime("snr")(runs), pd.concat(apart, ignore_index=True))


def test_remission_times_have_the_published_curve_and_median() -> None:
    runs = runs_of(
        [(t if e else None, "out_of_steps", t) for t, e in zip(REMISSION, RELAPSED, strict=True)]
    )
    shares = FitTime(None).shares(runs).set_index("step")["share"]
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert (1 - shares[list(published)]).round(3).to_dict() == published
    found = FitTime(None)(runs).iloc[0]
    assert (found["median"], found["low"], found["high"]) == (23, 13, np.inf)


def test_a_diverged_run_stays_at_risk_by_hand() -> None:
    """Survival 5/6 after step 1, times 3/4 at step 3 (the diverged run is one of four), times 2/3 at step 4."""
    told = [
        (1, "out_of_steps", 9),
        (None, "out_of_steps", 2),
        (3, "out_of_steps", 9),
        (4, "converged", 9),
    ]
    runs = runs_of([*told, (None, "out_of_steps", 5), (None, "nonfinite", 2)])
    shares = FitTime(None).shares(runs)
    assert shares["step"].tolist() == [1, 2, 3, 4, 5] and (shares["count"] == 6).all()
    np.testing.assert_allclose(1 - shares["share"], [5 / 6, 5 / 6, 5 / 8, 5 / 12, 5 / 12])
    known = stats.ecdf(stats.CensoredData([1, 3, 4], right=[2, 5, 9])).cdf
    with warnings.catch_warnings(action="ignore"):
        band = known.confidence_interval(method="log-log")
    np.testing.assert_allclose(shares["low"], band.low.evaluate(shares["step"]))
    np.testing.assert_allclose(shares["high"], band.high.evaluate(shares["step"]))
    assert FitTime(None)(runs).loc[0, "median"] == 4


def test_up_to_the_cap_the_share_is_the_plain_count(rng: np.random.Generator) -> None:
    """The cumulative incidence: runs that diverge, or stop at their target, before others fit censor nothing."""
    ends = rng.choice(["fit", "nonfinite", "converged", "out_of_steps"], 60)
    steps = np.where(ends == "out_of_steps", 50, rng.integers(1, 50, 60))
    runs = runs_of(
        [
            (s, "out_of_steps", 50) if e == "fit" else (None, e, int(s))
            for e, s in zip(ends, steps, strict=True)
        ]
    )
    shares = FitTime(None).shares(runs)
    assert shares["step"].iloc[-1] == 50
    np.testing.assert_allclose(
        shares["share"], [(runs["fit_step"] <= t).mean() for t in shares["step"]]
    )


@pytest.mark.parametrize("seeds", [5, 6, 14, 22])
def test_without_censoring_the_median_is_that_of_numpy(
    seeds: int, rng: np.random.Generator
) -> None:
    """Runs that never fit count as infinity."""
    times = rng.integers(1, 20, (300, seeds)).astype(float)
    times[rng.random(times.shape) < 0.3] = np.inf
    cells = [
        [(t, "out_of_steps", 20) if np.isfinite(t) else (None, "nonfinite", 3) for t in row]
        for row in times
    ]
    found = FitTime("snr")(runs_of(*cells))
    np.testing.assert_array_equal(found["median"], np.median(times, axis=1))


@pytest.mark.parametrize("capped", [True, False])
def test_the_median_of_censored_times_is_not_biased(capped: bool, rng: np.random.Generator) -> None:
    """Half of 2,000 medians lie below the truth, within four standard errors; nearly all of those of the fits alone."""
    runs = exponential(20, 2000, rng, capped)
    assert runs["fit_step"].isna().mean() == pytest.approx(0.4, abs=0.01)
    error = np.sqrt(0.25 / 2000)
    assert abs((FitTime("snr")(runs)["median"] < np.log(2)).mean() - 0.5) < 4 * error
    assert (runs.groupby("snr")["fit_step"].median() < np.log(2)).mean() > 0.9


@pytest.mark.parametrize("seeds", [10, 20])
@pytest.mark.parametrize("capped", [True, False])
def test_intervals_cover_the_median(seeds: int, capped: bool, rng: np.random.Generator) -> None:
    """95 % intervals of 2,000 cells. Below one cap they are order statistics, whose levels are those of a binomial."""
    found = FitTime("snr")(exponential(seeds, 2000, rng, capped))
    covered = ((found["low"] <= np.log(2)) & (np.log(2) <= found["high"])).mean()
    assert 0.90 <= covered <= (0.98 if capped else 0.97)


def test_every_status_has_a_home(make: Any) -> None:
    """Also on a store's schema: what fits and diverges later has fitted, what found no memory is missing."""
    ends = [
        ("out_of_steps", 10),
        ("out_of_steps", None),
        ("nonfinite", None),
        ("nonfinite", 5),
        ("converged", 7),
    ]
    ends += [("converged", None), ("out_of_memory", None)]
    rows = [
        make.row(i, i, "gd", seed=i, snr=1.0, status=s, fit_step=f) for i, (s, f) in enumerate(ends)
    ]
    rows += [make.row(9, 9, "gd", seed=0, snr=2.0, fit_step=3)]
    found = FitTime("snr")(make.runs(rows)).set_index("snr")
    names = ["runs", "fitted", "capped", "diverged", "converged", "unfinished"]
    assert found.loc[1.0, names].tolist() == [6, 3, 1, 1, 1, 1]
    assert found.loc[2.0, names].tolist() == [1, 1, 0, 0, 0, 6]
    assert found["censored"].tolist() == [0.5, 0.0]
    assert (
        found.attrs["x"] == "snr"
        and found.attrs["facet"] == "optimizer"
        and found.attrs["level"] == 0.95
    )


def test_a_complete_table_lacks_nothing() -> None:
    runs = runs_of([(1, "out_of_steps", 9)] * 3, [(1, "out_of_steps", 9)] * 2)
    assert FitTime("snr")(runs)["unfinished"].tolist() == [0, 1]
    runs.attrs["complete"] = True
    assert FitTime("snr")(runs)["unfinished"].tolist() == [0, 0]


def test_a_median_behind_the_cap_is_at_least_the_cap() -> None:
    never, capped = (None, "nonfinite", 3), (None, "out_of_steps", 100)
    few = [(40, "out_of_steps", 100)] * 2
    found = FitTime("snr")(
        runs_of([capped] * 10, [never] * 10, [*few, *[capped] * 14], [(9, "converged", 9)] * 10)
    )
    assert found["median"].tolist() == [np.inf, np.inf, np.inf, 9]
    assert found["low"].tolist() == [100, np.inf, 100, 9]
    assert found["high"].tolist() == [np.inf, np.inf, np.inf, 9]
    assert found["censored"].tolist() == [1, 1, 14 / 16, 0]


def test_few_runs_have_no_interval_and_none_no_median() -> None:
    """From the first fit on, the median lies with chance 1 - 2^-n: below 0.95 for four runs."""
    lost = (None, "out_of_memory", 0)
    found = FitTime("snr")(runs_of([(k, "out_of_steps", 9) for k in range(4)], [lost] * 4))
    assert (
        found["median"].tolist()[0] == 1.5
        and np.isnan(found["median"][1])
        and np.isnan(found["censored"][1])
    )
    assert found[["low", "high"]].isna().all().all() and found["unfinished"].tolist() == [0, 4]
    unsure = FitTime("snr", confidence=0.8)(runs_of([(k, "out_of_steps", 9) for k in range(4)]))
    assert unsure[["low", "high"]].notna().all().all()


def test_a_cell_without_a_value_on_an_axis_keeps_its_runs() -> None:
    runs = runs_of([(2, "out_of_steps", 9)] * 5, [(4, "out_of_steps", 9)] * 5).replace(
        {"snr": {0.0: np.nan}}
    )
    found = FitTime("snr", facet=None)(runs)
    assert found["snr"].fillna(-1).tolist() == [1, -1] and found["median"].tolist() == [4, 2]


def test_fit_times_refuse_mixtures() -> None:
    cell = [(1, "out_of_steps", 9)] * 2
    with pytest.raises(SweepError, match="average over width"):
        FitTime("snr")(pd.concat([runs_of(cell, width=1), runs_of(cell, width=2)]))
    with pytest.raises(SweepError, match="no column 'fit_step'"):
        FitTime("snr")(runs_of(cell).drop(columns="fit_step"))


def test_flips_by_hand() -> None:
    """Of six runs two flip, one of them back; one starts below, one diverges, two are censored: at 100 and at 3."""
    curves = curves_of(
        ("adam", "out_of_steps", {0: 0.1, 1: 0.2, 3: 0.0, 10: -0.5, 100: -1.0}),
        ("adam", "out_of_steps", {0: 0.1, 1: 0.2, 3: 0.1, 10: -0.5, 100: 0.5}),
        ("adam", "out_of_steps", {0: -0.1, 1: -0.2, 10: -0.1, 100: -0.5}),
        ("adam", "nonfinite", {0: 0.1, 1: 0.2, 3: np.nan}),
        ("adam", "out_of_steps", {0: 0.1, 1: 0.2, 3: 0.4}),
        ("gd", "out_of_steps", {0: 0.1, 1: 0.2, 100: 0.4}),
    )
    found = SignFlips()(curves).set_index("optimizer")
    assert found.loc["adam", ["runs", "flipped", "stayed", "share"]].tolist() == [5, 2, 1, 0.4]
    assert found.loc["gd", ["runs", "flipped", "stayed", "share"]].tolist() == [1, 0, 0, 0]
    assert found.loc["gd", ["median", "after"]].tolist() == [np.inf, np.inf]
    assert found.loc["adam", "median"] == np.inf  # survival 4/5 after step 3, times 2/3 at step 10
    assert found.attrs["of"] == "feature" and found.attrs["below"] == 0.0
    assert SignFlips(below=0.3)(curves)["flipped"].sum() == 0


def test_a_flip_lies_between_two_records() -> None:
    early, late = {0: 1.0, 10: 1.0, 30: 0.0, 100: -1.0}, {0: 1.0, 10: 1.0, 30: 1.0, 100: -1.0}
    own = {0: 1.0, 7: 1.0, 30: -1.0}
    found = SignFlips()(
        curves_of(*[("adam", "out_of_steps", each) for each in (early, own, own, late, early)])
    ).loc[0]
    assert (found["after"], found["median"], found["low"], found["high"]) == (10, 30, 30, np.inf)
    trials = [(who, "out_of_steps", each) for who in ("adam", "gd") for each in (early, late)]
    found = SignFlips()(curves_of(*trials))
    assert found[["after", "median"]].to_numpy().tolist() == [[20, 65], [20, 65]]
    assert SignFlips(facet=None)(curves_of(*trials[:2])).loc[0, ["after", "median"]].tolist() == [
        20,
        65,
    ]


def test_the_record_before_never_comes_after_the_median(rng: np.random.Generator) -> None:
    """Runs that end early would swap the two if the estimator were simply run on the earlier records."""
    ends = [
        ("gd", "out_of_steps", {50: 1.0, 100: -1.0}),
        ("gd", "out_of_steps", {50: 1.0, 70: 1.0}),
    ]
    assert SignFlips()(curves_of(*ends)).loc[0, ["after", "median"]].tolist() == [50, 100]
    for _ in range(25):
        trials = [
            ("gd", "out_of_steps", dict(zip(steps.tolist(), values, strict=True)))
            for steps in (np.unique(rng.integers(0, 40, 8)) for _ in range(6))
            for values in [np.where(np.arange(len(steps)) < rng.integers(2, 9), 1.0, -1.0)]
        ]
        found = SignFlips()(curves_of(*trials)).loc[0]
        assert found["after"] < found["median"] or found["median"] == np.inf


def test_flips_of_a_store(store: Any) -> None:
    """The planted feature grows for gd and falls to -0.2 for adam, from 0: which is no flip."""
    curves = analysis.load_curves(store).query("snr == 0.1 and feature_noise == 0.1")
    assert SignFlips()(curves)["flipped"].tolist() == [0, 0]
    lifted = curves.assign(feature=curves["feature"] + 0.1)
    lifted.attrs = curves.attrs
    assert SignFlips()(lifted)[["flipped", "median", "after"]].to_numpy().tolist() == [
        [4, 100, 10],
        [0, np.inf, np.inf],
    ]
    with pytest.raises(SweepError, match="average over snr"):
        SignFlips()(analysis.load_curves(store))
    with pytest.raises(SweepError, match="no values of 'margin_l2'"):
        SignFlips("margin_l2")(curves)


def test_the_interval_of_a_share_is_that_of_scipy() -> None:
    count, total = pd.Series([0, 3, 8, 8]), pd.Series([8, 8, 8, 100])
    low, high = wilson_interval(count, total, 0.9)
    for i in range(4):
        known = stats.binomtest(int(count[i]), int(total[i])).proportion_ci(0.9, method="wilson")
        assert (low[i], high[i]) == pytest.approx((known.low, known.high), abs=1e-12)


def test_the_figure_shows_the_table() -> None:
    runs = runs_of([(k, "out_of_steps", 9) for k in range(1, 6)], [(None, "out_of_steps", 9)] * 5)
    shares = FitTime("snr").shares(runs)
    figure = survival_figure(shares, "fits")
    first, second = (ax.get_lines()[0] for ax in figure.axes)
    np.testing.assert_allclose(np.asarray(first.get_ydata()), [0, 0.2, 0.4, 0.6, 0.8, 1])
    assert np.asarray(second.get_xdata()).tolist() == [0, 9] and figure.axes[
        1
    ].get_title().endswith("= 1")
    with pytest.raises(SweepError, match="Make it without y"):
        survival_figure(FitTime("snr", "seed").shares(runs))
