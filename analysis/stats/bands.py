"""Observables over steps with bands over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.stats.cells import Cells
from analysis.tables.axes import numbers, require_columns
from sweep.errors import SweepError
from sweep.status import Status

FIGURE = ("feature", "noise_min")
"""Feature learning and noise memorization as the core paper draws them: the weakest class, the
weakest point."""


@dataclass(frozen=True)
class Bands:
    """Mean of `values` over seeds at each step, for each value of `facet`, with intervals at
    `level`.

    A run that has ended keeps its last value, so that the mean is over the same runs at all steps;
    a diverged one is counted as nonfinite after its last finite value. An observable that was not
    recorded at a step is taken from before.
    """

    values: tuple[str, ...] = FIGURE
    facet: str = "optimizer"
    level: float = 0.95

    def __call__(self, curves: pd.DataFrame) -> pd.DataFrame:
        """One row an observable, facet and step: `observable`, the facet, `step`, and the columns
        of Cells.

        Raises SweepError where something other than the seed varies within a facet, or an
        observable
        has no values.
        """
        require_columns(curves, ["trial", "step", "status", self.facet, *self.values])
        bands = [self._band(curves, value).assign(observable=value) for value in self.values]
        table = pd.concat(bands, ignore_index=True)
        table.attrs = {
            **curves.attrs,
            "x": "step",
            "y": None,
            "facet": self.facet,
            "level": self.level,
        }
        return table

    def _band(self, curves: pd.DataFrame, value: str) -> pd.DataFrame:
        records = curves[np.isfinite(numbers(curves, value))]
        if records.empty:
            raise SweepError(
                f"The curves have no values of {value!r}. Choose an observable that this sweep has."
            )
        filled = pd.concat(
            [_fill_forward(part, value) for _, part in records.groupby(self.facet)],
            ignore_index=True,
        )
        filled.attrs = dict(curves.attrs)
        return Cells("step", None, value, self.facet, self.level)(filled)


def _fill_forward(records: pd.DataFrame, value: str) -> pd.DataFrame:
    """Rows of all trials at common steps, each with its last value before or at the step."""
    last = records.groupby("trial")["step"].max()
    trials = records.drop_duplicates("trial").drop(columns=["step", value])
    grid = trials.merge(
        pd.DataFrame({"step": _common_steps(records, last)}), how="cross"
    ).sort_values("step")
    filled = pd.merge_asof(
        grid, records[["trial", "step", value]].sort_values("step"), on="step", by="trial"
    )
    started = filled["step"] >= filled["trial"].map(records.groupby("trial")["step"].min())
    nonfinite = filled["status"] == Status.NONFINITE.label
    # A diverged run has no value after its last finite one: carrying that on would hide it.
    diverged = nonfinite & (filled["step"] > filled["trial"].map(last))
    filled[value] = filled[value].where(~diverged)
    return filled[started].drop(columns="status")


def _common_steps(records: pd.DataFrame, last: pd.Series) -> list[int]:
    """Steps that at least half of the trials still running recorded, and the last one.

    The step at which a single trial ended is not a common step: no other trial has a record near
    it.
    """
    recorded = records.groupby("step")["trial"].nunique()
    running = np.array([(last >= step).sum() for step in recorded.index])
    common = (2 * recorded.to_numpy() >= running) | (recorded.index == last.max())
    return recorded.index[common].tolist()
