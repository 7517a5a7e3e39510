"""The product-limit estimator of Kaplan and Meier, with its medians and intervals.

Only the budget of steps censors. A run that ended itself, because it diverged or reached its
target, never has the event: its time is infinite and it stays at risk (Fine and Gray, Journal of
the American Statistical Association 94 (1999), 496-509), so that 1 - survival is the cumulative
incidence. Censoring such runs would assume that they would have gone on like the rest, which
overstates the incidence (Putter, Fiocco and Geskus, Statistics in Medicine 26 (2007), 2389-2430).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from sweep.status import Status

Floats = NDArray[np.float64]

SELF_ENDED = (Status.NONFINITE.label, Status.CONVERGED.label)
"""Runs that ended themselves. What they have not done by then they never do."""

TOLERANCE = 1e-9
"""A survival this close to 1/2 counts as 1/2: it is a product of rounded fractions."""


def event_times(event_step: pd.Series, last_step: pd.Series, status: pd.Series) -> pd.DataFrame:
    """The time of each run: the step of its event, or the step at which it was censored.

    Args:
        event_step: The step of the event, NaN where there was none.
        last_step: The last step of the run.
        status: The labels of Status.

    Returns:
        One row a run: `status`, `step` (inf where the event never happens) and `event`, a boolean.
    """
    event = event_step.notna()
    censored_at = last_step.astype(float).where(~status.isin(SELF_ENDED), np.inf)
    step = event_step.where(event, censored_at)
    return pd.DataFrame({"status": status, "step": step, "event": event})


def product_limit(times: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """The estimator of each cell (Kaplan and Meier, JASA 53 (1958), 457-481).

    The interval is symmetric in log(-log(survival)) with Greenwood's variance, as in
    scipy.stats.ecdf. That is undefined where survival is 0 or 1. There it is the exact binomial
    interval for at_risk / survival runs, both taken before the step: the effective sample size of
    Peto (Dorey and Korn, Statistics in Medicine 6 (1987), 679-687).

    Args:
        times: One row a run: `cell`, `step` (inf: never) and whether it ended in an `event`.
        confidence: The level of the interval.

    Returns:
        One row a cell and finite step: `cell`, `step`, `at_risk`, `events`, `censored` (at that
        step), `survival`, `low`, `high`.
    """
    curve = times.groupby(["cell", "step"])["event"].agg(events="sum", _ended="size").reset_index()
    ended = curve.groupby("cell")["_ended"]
    at_risk = ended.transform("sum") - ended.cumsum() + curve["_ended"]
    stay = (at_risk - curve["events"]) / at_risk
    with np.errstate(divide="ignore"):
        terms = curve["events"] / (at_risk * (at_risk - curve["events"]))
        variance = terms.groupby(curve["cell"]).cumsum()
    survival = stay.groupby(curve["cell"]).cumprod()
    effective = at_risk / survival.groupby(curve["cell"]).shift(fill_value=1.0)
    low, high = _survival_interval(
        survival.to_numpy(), variance.to_numpy(), effective.to_numpy(), confidence
    )
    censored = curve["_ended"] - curve["events"]
    curve = curve.assign(at_risk=at_risk, censored=censored, survival=survival, low=low, high=high)
    return curve[np.isfinite(curve["step"])].drop(columns="_ended").reset_index(drop=True)


def median_times(times: pd.DataFrame, cells: int, confidence: float) -> pd.DataFrame:
    """The median time of each cell, with its interval.

    Args:
        times: As for `product_limit`, with cells numbered from 0.
        cells: The number of cells.
        confidence: The level of the interval.

    Returns:
        One row a cell: `median`, `low`, `high` and `runs`, NaN but for `runs` where there are none.
    """
    curve = product_limit(times, confidence)
    runs = times.groupby("cell").size().reindex(range(cells), fill_value=0)
    low = _first_step(curve, curve["low"] <= 0.5, cells)
    cap = curve[curve["censored"] > 0].groupby("cell")["step"].max()
    cap = cap.reindex(range(cells), fill_value=np.inf)
    # Without a crossing the median is still known to lie beyond the last censored step.
    medians = pd.DataFrame(
        {"median": _median_step(curve, cells), "low": low.where(np.isfinite(low), cap)}
    )
    medians["high"] = _first_step(curve, curve["high"] <= 0.5, cells)
    # Even the interval from the smallest value on covers the median with probability 1 - 0.5**runs.
    medians[["low", "high"]] = medians[["low", "high"]].where(0.5**runs <= 1 - confidence)
    return medians.where(runs > 0).assign(runs=runs)


def earlier_medians(times: pd.DataFrame) -> pd.Series:
    """The median of each cell with each event moved to the record before it, its weight unchanged.

    `times` has the column `before` as well: the last record before the event. Never after the
    median itself.
    """
    curve = product_limit(times)
    drop = curve.groupby("cell")["survival"].shift(fill_value=1.0) - curve["survival"]
    weight = drop / curve["events"].where(curve["events"] > 0)
    weights = curve.assign(weight=weight)[["cell", "step", "weight"]]
    events = times.loc[times["event"], ["cell", "step", "before"]]
    events = events.merge(weights, on=["cell", "step"])
    moved = events.groupby(["cell", "before"])["weight"].sum()
    moved = moved.rename_axis(["cell", "step"]).reset_index()
    moved["survival"] = 1 - moved.groupby("cell")["weight"].cumsum()
    return _median_step(moved, times["cell"].nunique())


def wilson_interval(
    count: pd.Series, total: pd.Series, confidence: float = 0.95
) -> tuple[pd.Series, pd.Series]:
    """Wilson's interval of a share (JASA 22 (1927), 209-212).

    Args:
        count: The number of successes.
        total: The number of runs.
        confidence: The level of the interval.

    Returns:
        Its low and high ends.
    """
    share, z2 = count / total, ndtri((1 + confidence) / 2) ** 2 / total
    centre = (share + z2 / 2) / (1 + z2)
    half = (z2 * share * (1 - share) + z2**2 / 4) ** 0.5 / (1 + z2)
    return (centre - half).clip(lower=0), (centre + half).clip(upper=1)


def _survival_interval(
    survival: Floats, variance: Floats, effective: Floats, confidence: float
) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = ndtri((1 + confidence) / 2) * np.sqrt(variance) / np.log(survival)
        low, high = survival ** np.exp(-shift), survival ** np.exp(shift)
    exact = ((1 - confidence) / 2) ** (1 / effective)
    all_survive, none_survive = survival == 1, survival == 0
    low = np.where(all_survive, exact, np.where(none_survive, 0.0, low))
    high = np.where(all_survive, 1.0, np.where(none_survive, 1 - exact, high))
    return low, high


def _median_step(curve: pd.DataFrame, cells: int) -> pd.Series:
    """The middle of the steps at which survival is 1/2, else the first step below.

    Without censoring this is numpy's median.
    """
    reached = _first_step(curve, curve["survival"] <= 0.5 + TOLERANCE, cells)
    return (reached + _first_step(curve, curve["survival"] < 0.5 - TOLERANCE, cells)) / 2


def _first_step(curve: pd.DataFrame, condition: pd.Series, cells: int) -> pd.Series:
    """The first step of each cell at which a condition holds, inf where there is none."""
    steps = curve[condition].groupby("cell")["step"].min()
    return steps.reindex(range(cells), fill_value=np.inf)
