"""Steps until a run fits or flips, where some runs end before: the product-limit estimator, and medians with intervals.

Only the budget of steps censors. A run that ended itself, because it diverged or reached its target, never comes to it:
its time is infinite and it stays at risk (Fine and Gray, Journal of the American Statistical Association 94 (1999),
496-509), so that 1 - survival is the cumulative incidence. Censored, such runs would count as if they went on to do
what the others did, which overstates it (Putter, Fiocco and Geskus, Statistics in Medicine 26 (2007), 2389-2430).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.figures.style import count_sentence, finish_figure, in_style, new_figure
from analysis.stats.cells import Cells
from analysis.tables.axes import require_columns, require_one_run_per_seed, sorted_unique
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError
from sweep.status import Status

Floats = NDArray[np.float64]

NEVER = (Status.NONFINITE.label, Status.CONVERGED.label)
"""Runs that ended themselves. What they have not done by then they never do."""

UNTOLD = (Status.OUT_OF_MEMORY.label, Status.RUNNING.label)
"""Runs that are as good as missing."""

ROUNDING = 1e-9
"""A survival this near to 1/2 is 1/2: it is a product of fractions."""


@dataclass(frozen=True)
class FitTime:
    """The median step at which the training set is first fitted, in each cell of `x`, `y` and `facet`.

    Steps are those of `fit_step`: the first record without a training error. Without censoring the median is
    numpy's, with infinity for runs that never fit. Its interval holds the steps at which the log-log interval of the
    survival holds 1/2 (Brookmeyer and Crowley, Biometrics 38 (1982), 29-41).
    """

    x: str | None
    y: str | None = None
    facet: str | None = "optimizer"
    confidence: float = 0.95

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: its keys, `median`, `low`, `high`, counts of runs, and `censored`, the share without a fit.

        A median that the cap hides is inf, and `low` then at least the cap. Both ends are NaN below 5 runs (at 95 %),
        where not even all steps from the first fit on would hold the median often enough.
        `runs` is the sum of `fitted`, `capped` at max_steps, `diverged` and `converged`, the last three without a fit.
        `unfinished` is what lacks to the `expected` of Cells, runs out of memory included.
        Raises SweepError where something else than the seed varies within a cell.
        """
        cells, told = self._times(runs)
        late = told["status"].where(~told["event"], "fitted")
        homes = {"fitted": "fitted", "capped": Status.OUT_OF_STEPS.label}
        homes |= {"diverged": Status.NONFINITE.label, "converged": Status.CONVERGED.label}
        found = _medians(told, len(cells), self.confidence)
        for name, word in homes.items():
            found[name] = (late == word).groupby(told["cell"]).sum().reindex(found.index, fill_value=0)
        found["unfinished"] = cells["expected"] - found["runs"]
        found["censored"] = 1 - found["fitted"] / found["runs"]
        table = cells[self._cells.keys].join(found)
        table.attrs = cells.attrs
        return table

    def shares(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a cell and step at which a run fits or ends: the keys, `step`, `share`, `low`, `high`, `count`.

        `share` of the `count` runs of the cell fit by that step, with its interval. Raises SweepError as the call does.
        """
        cells, told = self._times(runs)
        curve = product_limit(told, self.confidence)
        count = curve["cell"].map(told.groupby("cell").size())
        share = {"share": 1 - curve["survival"], "low": 1 - curve["high"], "high": 1 - curve["low"], "count": count}
        keyed = cells[self._cells.keys].loc[curve["cell"]].reset_index(drop=True)
        table = keyed.join(curve[["step"]].assign(**share))
        table.attrs = cells.attrs
        return table

    @property
    def _cells(self) -> Cells:
        return Cells(self.x, self.y, "fit_step", self.facet, self.confidence)

    def _times(self, runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The table of Cells, and for each run that tells something its status, when it fits, whether, and its cell."""
        require_columns(runs, ["fit_step", "steps", "status"])
        cells = self._cells(runs)
        cells.attrs["column"] = "median"
        fits, codes = runs["fit_step"].astype(float), _codes(runs, self._cells.keys)
        times = _until(fits, runs["steps"], runs["status"]).assign(cell=codes)
        return cells, times[~times["status"].isin(UNTOLD)]


@dataclass(frozen=True)
class SignFlips:
    """How often and when `value` falls from above `below` to it or under it: Adam's flip of the learned feature.

    The core paper (arXiv 2108.11371) proves it for Adam. A run flips at the first record at which it is seen,
    so the flip lies between this step and the record before. One whose value is never above `below` does not flip.
    """

    value: str = "feature"
    below: float = 0.0
    facet: str | None = "optimizer"
    confidence: float = 0.95

    def __call__(self, curves: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: `runs`, `flipped`, `stayed`, `share`, `share_low`, `share_high`, `after`, `median`, ...

        `stayed` are the flipped runs whose last value is still not above; `share` is flipped / runs with Wilson's
        interval. `median` is the step of the flip among all runs, `low` and `high` its interval as in FitTime;
        `after` is the median with each flip moved to the record before. Raises SweepError where something else than
        the seed varies within a facet, or `value` has no values.
        """
        keys = [] if self.facet is None else [self.facet]
        require_columns(curves, ["trial", "step", "status", self.value, *keys])
        records = curves[np.isfinite(curves[self.value].astype(float))].sort_values(["trial", "step"])
        if records.empty:
            raise SweepError(f"The curves have no values of {self.value!r}. Choose an observable that this sweep has.")
        trials = records.drop_duplicates("trial")
        require_one_run_per_seed(trials, keys)
        times = self._flips(records).assign(cell=_codes(trials.set_index("trial"), keys))
        found = _medians(times, times["cell"].nunique(), self.confidence)
        cell = times.groupby("cell")
        found = found.assign(flipped=cell["event"].sum(), stayed=cell["stayed"].sum(), after=_moved(times))
        found["share"] = found["flipped"] / found["runs"]
        found["share_low"], found["share_high"] = wilson_interval(found["flipped"], found["runs"], self.confidence)
        table = trials.set_index(times["cell"].to_numpy())[keys]
        table = table[~table.index.duplicated()].join(found).sort_index()[[*keys, *FLIPS]]
        table.attrs = {**curves.attrs, "x": None, "y": None, "facet": self.facet, "level": self.confidence}
        table.attrs |= {"of": self.value, "column": "median", "below": self.below}
        return table

    def _flips(self, records: pd.DataFrame) -> pd.DataFrame:
        """For each trial when it flips, whether, the record `before`, and whether it `stayed`."""
        above = records[self.value] > self.below
        was = above.groupby(records["trial"]).shift(fill_value=False)
        flips = records.assign(_before=records.groupby("trial")["step"].shift())[was & ~above]
        first = flips.drop_duplicates("trial").set_index("trial")
        last = records.drop_duplicates("trial", keep="last").set_index("trial")
        times = _until(first["step"].reindex(last.index).astype(float), last["step"], last["status"])
        return times.assign(before=first["_before"], stayed=times["event"] & (last[self.value] <= self.below))


FLIPS = ("runs", "flipped", "stayed", "share", "share_low", "share_high", "after", "median", "low", "high")
"""What SignFlips computes of each facet."""


def product_limit(times: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Kaplan and Meier's estimator (Journal of the American Statistical Association 53 (1958), 457-481), cell by cell.

    `times` has one row a run: `cell`, `step` (inf: never) and whether it ended in an `event`. Returns one row a
    cell and finite step: `cell`, `step`, `at_risk`, `events`, `lost` (censored there), `survival`, `low`, `high`.

    The interval is symmetric in log(-log(survival)) with Greenwood's variance, as in scipy.stats.ecdf. That has no
    value where survival is 0 or 1. There it is the exact binomial one for as many runs as at_risk / survival before
    the step: the effective number of Peto (Dorey and Korn, Statistics in Medicine 6 (1987), 679-687).
    """
    curve = times.groupby(["cell", "step"])["event"].agg(events="sum", _ended="size").reset_index()
    ended = curve.groupby("cell")["_ended"]
    risk = ended.transform("sum") - ended.cumsum() + curve["_ended"]
    stay = (risk - curve["events"]) / risk
    with np.errstate(divide="ignore"):
        variance = (curve["events"] / (risk * (risk - curve["events"]))).groupby(curve["cell"]).cumsum()
    survival = stay.groupby(curve["cell"]).cumprod()
    effective = risk / survival.groupby(curve["cell"]).shift(fill_value=1.0)
    low, high = _band(survival.to_numpy(), variance.to_numpy(), effective.to_numpy(), confidence)
    curve = curve.assign(at_risk=risk, lost=curve["_ended"] - curve["events"], survival=survival, low=low, high=high)
    return curve[np.isfinite(curve["step"])].drop(columns="_ended").reset_index(drop=True)


def wilson_interval(count: pd.Series, total: pd.Series, confidence: float = 0.95) -> tuple[pd.Series, pd.Series]:
    """Wilson's interval of a share (Journal of the American Statistical Association 22 (1927), 209-212): low, high."""
    share, z2 = count / total, ndtri((1 + confidence) / 2) ** 2 / total
    centre = (share + z2 / 2) / (1 + z2)
    half = (z2 * share * (1 - share) + z2**2 / 4) ** 0.5 / (1 + z2)
    return (centre - half).clip(lower=0), (centre + half).clip(upper=1)


@in_style
def survival_figure(shares: pd.DataFrame, title: str = "") -> Figure:
    """Share of the runs that fit by each step, from the table of FitTime.shares: a step curve and band a facet.

    One panel a value of x. Raises SweepError on a table with y.
    """
    x, y, facet = (shares.attrs[key] for key in ("x", "y", "facet"))
    if y is not None:
        raise SweepError(
            f"The figure has a panel for each {axis_label(x)} and none for {axis_label(y)}. Make it without y."
        )
    panels = list(sorted_unique(shares, x)) if x else [None]
    names = list(sorted_unique(shares, facet)) if facet else [None]
    figure, axes = new_figure(len(panels), sharey=True)
    for ax, at in zip(axes, panels, strict=True):
        part = shares if at is None else shares[shares[x] == at]
        for i, (name, colour) in enumerate(zip(names, sns.color_palette("colorblind", len(names)), strict=True)):
            own = part if name is None else part[part[facet] == name]
            _stairs(ax, own, {"color": colour, "linestyle": ("-", "--", "-.", ":")[i % 4], "label": name})
        ax.set(title="" if at is None else f"{axis_label(x)} = {format_number(at)}", xlabel="step", ylim=(-0.02, 1.02))
        ax.set_ylabel("share of runs that fit" if ax.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
        ax.set_xlim(left=0)
        ax.minorticks_off()
    if facet:
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=min(len(names), 6))
    return finish_figure(
        figure, title, f"{count_sentence(shares)}; bands: {100 * shares.attrs['level']:g} % intervals of the share."
    )


def _stairs(ax: Axes, own: pd.DataFrame, style: dict) -> None:
    step, share = np.append(0.0, own["step"]), np.append(0.0, own["share"])
    ax.step(step, share, where="post", **style)
    ax.fill_between(own["step"], own["low"], own["high"], step="post", color=style["color"], alpha=0.2, linewidth=0)


def _codes(table: pd.DataFrame, keys: list[str]) -> pd.Series:
    """The place of each row's cell among all cells, sorted."""
    return table.groupby(keys, dropna=False).ngroup() if keys else pd.Series(0, table.index)


def _until(happened: pd.Series, last: pd.Series, status: pd.Series) -> pd.DataFrame:
    """For each run its status, the step at which it happened or after which one does not know, and which of the two."""
    event = happened.notna()
    seen = last.astype(float).where(~status.isin(NEVER), np.inf)
    return pd.DataFrame({"status": status, "step": happened.where(event, seen), "event": event})


def _band(survival: Floats, variance: Floats, effective: Floats, confidence: float) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = ndtri((1 + confidence) / 2) * np.sqrt(variance) / np.log(survival)
        low, high = survival ** np.exp(-shift), survival ** np.exp(shift)
    exact = ((1 - confidence) / 2) ** (1 / effective)
    none, every = survival == 1, survival == 0
    return np.where(none, exact, np.where(every, 0.0, low)), np.where(none, 1.0, np.where(every, 1 - exact, high))


def _medians(times: pd.DataFrame, cells: int, confidence: float) -> pd.DataFrame:
    """`median`, `low`, `high` and `runs` of each cell."""
    curve = product_limit(times, confidence)
    runs = times.groupby("cell").size().reindex(range(cells), fill_value=0)
    low = _first(curve, curve["low"] <= 0.5, cells)
    seen = curve[curve["lost"] > 0].groupby("cell")["step"].max().reindex(range(cells), fill_value=np.inf)
    found = pd.DataFrame({"median": _half(curve, cells), "low": low.where(np.isfinite(low), seen)})
    found["high"] = _first(curve, curve["high"] <= 0.5, cells)
    found[["low", "high"]] = found[["low", "high"]].where(0.5**runs <= 1 - confidence)
    return found.where(runs > 0).assign(runs=runs)


def _half(curve: pd.DataFrame, cells: int) -> pd.Series:
    """The middle of the steps at which survival is 1/2, else the first below: numpy's median without censoring."""
    reached = _first(curve, curve["survival"] <= 0.5 + ROUNDING, cells)
    return (reached + _first(curve, curve["survival"] < 0.5 - ROUNDING, cells)) / 2


def _first(curve: pd.DataFrame, hit: pd.Series, cells: int) -> pd.Series:
    """The first step of each cell for which something holds, inf where there is none."""
    return curve[hit].groupby("cell")["step"].min().reindex(range(cells), fill_value=np.inf)


def _moved(times: pd.DataFrame) -> pd.Series:
    """The median of each cell with each flip moved to the record before, its weight kept: never after the median."""
    curve = product_limit(times)
    drop = curve.groupby("cell")["survival"].shift(fill_value=1.0) - curve["survival"]
    weights = curve.assign(weight=drop / curve["events"].where(curve["events"] > 0))[["cell", "step", "weight"]]
    flips = times.loc[times["event"], ["cell", "step", "before"]].merge(weights, on=["cell", "step"])
    moved = flips.groupby(["cell", "before"])["weight"].sum().rename_axis(["cell", "step"]).reset_index()
    moved["survival"] = 1 - moved.groupby("cell")["weight"].cumsum()
    return _half(moved, times["cell"].nunique())
