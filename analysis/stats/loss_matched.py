"""Optimizers at equal progress: a value against the training loss that runs have reached, or against
effective time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.cells import Cells
from analysis.tables.axes import numbers, require_columns
from sweep.errors import SweepError

Floats = NDArray[np.float64]

ALONG = ("train_loss", "time")
"""What runs can be matched by: the training loss, or the sum of learning rates over steps."""


@dataclass(frozen=True)
class LossMatched:
    """Mean of `value` over seeds where runs have made equal progress, for each value of `facet`.

    With `along` "train_loss" a run counts at a loss from the record at which it is first reached,
    with the value in between linear in log loss: optimizers that need different numbers of steps
    are compared at the same fit. With "time" it is linear in the log of lr times step, the time of
    the gradient flow that gradient descent follows; only for a constant learning rate, and for
    other optimizers in units of their own.

    Progress is matched at `points` values, evenly spaced in the logarithm, from where half of the
    runs of each facet have begun to where half of those of each have ended. Nothing is said of runs
    that do not get there: `unreached` counts them, and the mean is over the others. `attrs` say by
    which factor records are apart at most, `spacing`, in the median run of any facet.
    """

    value: str = "test_error"
    along: str = "train_loss"
    facet: str = "optimizer"
    level: float = 0.95
    points: int = 24

    def __call__(self, curves: pd.DataFrame) -> pd.DataFrame:
        """One row a facet and value of `along`: `mean`, `low`, `high`, `count`, `unreached`.

        Args:
            curves: Records over steps; with `along` "time" also the column `lr`.

        Raises:
            SweepError: Something other than the seed varies within a facet, a column is missing,
                its values were not recorded over steps, or the facets have no progress in common.
        """
        matched = self.runs(curves)
        return self._cells(matched, self.value, self.facet)

    def difference(self, curves: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
        """`value` of facet `a` minus that of `b` on the same problem, over the same progress.

        The mean is over problems that both have reached, with the paired interval. Raises as
        `__call__` does.
        """
        matched = self.runs(curves[curves[self.facet].isin([a, b])])
        # Several runs of one problem would be averaged without a word.
        self._cells(matched, self.value, self.facet)
        wide = matched.pivot(index=["problem", "seed", self.along], columns=self.facet)[self.value]
        missing = [name for name in (a, b) if name not in wide]
        if missing:
            raise SweepError(f"No run has the {self.facet} {missing[0]!r}. Compare two that ran.")
        paired = (wide[a] - wide[b]).rename("difference").reset_index()
        paired.attrs = {**matched.attrs, "pair": (a, b), "value": self.value}
        return self._cells(paired, "difference", None)

    def runs(self, curves: pd.DataFrame) -> pd.DataFrame:
        """The value of each run at each matched progress, NaN where the run does not get there."""
        records = self._records(curves)
        parts = [part for _, part in records.groupby("trial")]
        progress = self._common(records)
        tables = [
            part.iloc[[0] * len(progress)].assign(
                **{self.along: np.exp(progress), self.value: self._at(part, progress)}
            )
            for part in parts
        ]
        table = pd.concat(tables, ignore_index=True).drop(columns=["_progress", "step", "status"])
        # A loss falls, so its table begins with the largest one.
        if self.along == "train_loss":
            table[self.along] = np.exp(-np.tile(progress, len(parts)))
        table.attrs = {**curves.attrs, "spacing": self._spacing(records, progress)}
        return table

    def _records(self, curves: pd.DataFrame) -> pd.DataFrame:
        """The records at which a run makes progress, with the logarithm of that."""
        if self.along not in ALONG:
            raise SweepError(f"Runs are matched along {' or '.join(ALONG)}, not {self.along!r}.")
        source = "train_loss" if self.along == "train_loss" else "lr"
        require_columns(curves, ["trial", "problem", "seed", "step", "status", self.facet])
        require_columns(curves, [self.value, source])
        amount = numbers(curves, source)
        if self.along == "time":
            amount = amount * curves["step"]
        usable = (amount > 0) & np.isfinite(amount) & np.isfinite(numbers(curves, self.value))
        records = curves[usable].assign(_progress=np.log(amount[usable]))
        if self.along == "train_loss":
            records["_progress"] *= -1
        records = records.sort_values(["trial", "step"])
        # A loss that rises again adds no progress; equal ones were reached at the first of them.
        before = records.groupby("trial")["_progress"].cummax().groupby(records["trial"]).shift()
        records = records[before.isna() | (records["_progress"] > before)]
        if records.empty or records.groupby("trial")["step"].nunique().max() < 2:
            raise SweepError(
                f"The curves have no {self.value} over steps. Record it with "
                "`record: {points: 32, test: true}` in the grid."
            )
        return records

    def _common(self, records: pd.DataFrame) -> Floats:
        """The logarithms of the progress at which runs are matched, ascending."""
        progress = records.groupby([self.facet, "trial"])["_progress"]
        begin = progress.min().groupby(level=0).median().max()
        end = progress.max().groupby(level=0).median().min()
        if not begin < end:
            raise SweepError(
                f"The runs of these {self.facet}s have no {self.along} in common at which they "
                "could be compared. Train longer, or compare others."
            )
        return np.linspace(begin, end, self.points)

    def _spacing(self, records: pd.DataFrame, progress: Floats) -> float:
        """The factor between records in the widest gap of the median run of a facet."""
        end = records["_progress"]
        begin = end.groupby(records["trial"]).shift()
        gap = (end.clip(upper=progress[-1]) - begin.clip(lower=progress[0])).clip(lower=0)
        widest = gap.groupby([records[self.facet], records["trial"]]).max()
        return float(np.exp(widest.groupby(level=0).median().max()))

    def _at(self, records: pd.DataFrame, progress: Floats) -> Floats:
        """The value of one run at each progress."""
        own, values = records["_progress"].to_numpy(float), records[self.value].to_numpy(float)
        return np.interp(progress, own, values, left=np.nan, right=np.nan)

    def _cells(self, table: pd.DataFrame, value: str, facet: str | None) -> pd.DataFrame:
        cells = Cells(self.along, None, value, facet, self.level)(table)
        cells = cells.rename(columns={"nonfinite": "unreached"})
        cells.attrs |= {"along": self.along}
        return cells.drop(columns=["expected", "incomplete"])
