"""Steps until a run fits its training data or flips the sign of its feature, with intervals.

Some runs end before: see `kaplan_meier` for what counts as censored and what as never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.stats.cells import Cells
from analysis.stats.kaplan_meier import (
    earlier_medians,
    event_times,
    median_times,
    product_limit,
    wilson_interval,
)
from analysis.tables.axes import numbers, require_columns, require_one_run_per_seed
from sweep.errors import SweepError
from sweep.status import Status

UNFINISHED = (Status.OUT_OF_MEMORY.label, Status.RUNNING.label)
"""Runs that say nothing of when they would fit: they count as missing."""

FLIP_COLUMNS = (
    "runs",
    "flipped",
    "stayed",
    "share",
    "share_low",
    "share_high",
    "after",
    "median",
    "low",
    "high",
)
"""What SignFlips computes for each facet."""


@dataclass(frozen=True)
class FitTime:
    """The median step at which the training set is first fitted, in each cell of x, y and facet.

    Steps are those of `fit_step`: the first record without a training error. Without censoring the
    median is numpy's, with infinity for runs that never fit. Its interval holds the steps at which
    the log-log interval of the survival holds 1/2 (Brookmeyer and Crowley, Biometrics 38 (1982),
    29-41).
    """

    x: str | None
    y: str | None = None
    facet: str | None = "optimizer"
    confidence: float = 0.95

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: its keys, `median`, `low`, `high`, counts of runs, and `censored`.

        `censored` is the share of runs without a fit. A median that the cap hides is inf, and `low`
        is then at least the cap. Both ends are NaN below 5 runs (at 95 %), where even the interval
        from the first fit on would not cover the median often enough. `runs` is the sum of
        `fitted`, `capped` at max_steps, `diverged` and `converged`, the last three without a fit.
        `unfinished` is what is missing from the `expected` of Cells, including runs out of memory.

        Raises:
            SweepError: Something other than the seed varies within a cell.
        """
        cells, times = self._times(runs)
        outcome = times["status"].where(~times["event"], "fitted")
        outcomes = {
            "fitted": "fitted",
            "capped": Status.OUT_OF_STEPS.label,
            "diverged": Status.NONFINITE.label,
            "converged": Status.CONVERGED.label,
        }
        medians = median_times(times, len(cells), self.confidence)
        for name, label in outcomes.items():
            counts = (outcome == label).groupby(times["cell"]).sum()
            medians[name] = counts.reindex(medians.index, fill_value=0)
        medians["unfinished"] = cells["expected"] - medians["runs"]
        medians["censored"] = 1 - medians["fitted"] / medians["runs"]
        table = cells[self._cells.keys].join(medians)
        table.attrs = cells.attrs
        return table

    def shares(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a cell and step at which a run fits or ends, with the share that fits by then.

        Columns are the keys, `step`, `share` of the `count` runs of the cell, and `low`, `high`.

        Raises:
            SweepError: As for the call.
        """
        cells, times = self._times(runs)
        curve = product_limit(times, self.confidence)
        share = {
            "share": 1 - curve["survival"],
            "low": 1 - curve["high"],
            "high": 1 - curve["low"],
            "count": curve["cell"].map(times.groupby("cell").size()),
        }
        keyed = cells[self._cells.keys].loc[curve["cell"]].reset_index(drop=True)
        table = keyed.join(curve[["step"]].assign(**share))
        table.attrs = cells.attrs
        return table

    @property
    def _cells(self) -> Cells:
        return Cells(self.x, self.y, "fit_step", self.facet, self.confidence)

    def _times(self, runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The table of Cells, and the time of each finished run with the number of its `cell`."""
        require_columns(runs, ["fit_step", "steps", "status"])
        cells = self._cells(runs)
        cells.attrs["column"] = "median"
        fit_step = numbers(runs, "fit_step")
        times = event_times(fit_step, runs["steps"], runs["status"])
        times = times.assign(cell=_cell_numbers(runs, self._cells.keys))
        return cells, times[~times["status"].isin(UNFINISHED)]


@dataclass(frozen=True)
class SignFlips:
    """How often and when `value` falls from above `below` to it or under it.

    That is how Adam unlearns a feature, which the core paper (arXiv 2108.11371) proves. A run flips
    at the first record that shows it, so the flip lies between this step and the record before. A
    run whose value is never above `below` does not flip.
    """

    value: str = "feature"
    below: float = 0.0
    facet: str | None = "optimizer"
    confidence: float = 0.95

    def __call__(self, curves: pd.DataFrame) -> pd.DataFrame:
        """One row a facet, with the columns FLIP_COLUMNS.

        `stayed` are the flipped runs whose last value is still not above; `share` is flipped / runs
        with Wilson's interval. `median` is the step of the flip among all runs, `low` and `high`
        its interval as in FitTime; `after` is the median with each flip moved to the record before.

        Raises:
            SweepError: Something other than the seed varies within a facet, or `value` has no
                values.
        """
        keys = [] if self.facet is None else [self.facet]
        records = self._records(curves, keys)
        trials = records.drop_duplicates("trial")
        require_one_run_per_seed(trials, keys)
        times = self._flips(records).assign(cell=_cell_numbers(trials.set_index("trial"), keys))
        medians = median_times(times, times["cell"].nunique(), self.confidence)
        cell = times.groupby("cell")
        flips = medians.assign(
            flipped=cell["event"].sum(), stayed=cell["stayed"].sum(), after=earlier_medians(times)
        )
        flips["share"] = flips["flipped"] / flips["runs"]
        ends = wilson_interval(flips["flipped"], flips["runs"], self.confidence)
        flips["share_low"], flips["share_high"] = ends
        table = trials.set_index(times["cell"].to_numpy())[keys]
        table = table[~table.index.duplicated()].join(flips).sort_index()
        table = table[[*keys, *FLIP_COLUMNS]]
        table.attrs = {**curves.attrs, "x": None, "y": None, "facet": self.facet}
        table.attrs |= {"level": self.confidence, "of": self.value, "column": "median"}
        table.attrs |= {"below": self.below}
        return table

    def _records(self, curves: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
        """The records with a finite value, by trial and step."""
        require_columns(curves, ["trial", "step", "status", self.value, *keys])
        records = curves[np.isfinite(numbers(curves, self.value))]
        if records.empty:
            raise SweepError(
                f"The curves have no values of {self.value!r}. "
                "Choose an observable that this sweep has."
            )
        return records.sort_values(["trial", "step"])

    def _flips(self, records: pd.DataFrame) -> pd.DataFrame:
        """The time of each trial's flip, the record `before` it, and whether it `stayed`."""
        above = records[self.value] > self.below
        was_above = above.groupby(records["trial"]).shift(fill_value=False)
        flips = records.assign(_before=records.groupby("trial")["step"].shift())
        first = flips[was_above & ~above].drop_duplicates("trial").set_index("trial")
        last = records.drop_duplicates("trial", keep="last").set_index("trial")
        flip_step = first["step"].reindex(last.index).astype(float)
        times = event_times(flip_step, last["step"], last["status"])
        stayed = times["event"] & (last[self.value] <= self.below)
        return times.assign(before=first["_before"], stayed=stayed)


def _cell_numbers(table: pd.DataFrame, keys: list[str]) -> pd.Series:
    """The number of each row's cell among all cells, sorted."""
    if not keys:
        return pd.Series(0, table.index)
    return table.groupby(keys, dropna=False).ngroup()
