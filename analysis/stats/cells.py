"""From runs to cells: means with intervals over seeds, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from analysis.tables.axes import (
    DERIVED,
    finite_values,
    require_columns,
    require_different,
    require_one_run_per_seed,
)


def half_width(deviation: ArrayLike, count: ArrayLike, level: float = 0.95) -> NDArray[np.float64]:
    """Half of Student's interval of a mean: t * deviation / sqrt(count), NaN below two values.

    Args:
        deviation: Sample standard deviations, of any shape.
        count: The number of values behind each deviation.
        level: The level of the interval.
    """
    # stdtrit is the quantile of Student's distribution; importing scipy.stats for it takes a second.
    deviation, count = np.asarray(deviation, float), np.asarray(count, float)
    enough = np.where(count > 1, count, np.nan)
    return stdtrit(enough - 1, (1 + level) / 2) * deviation / np.sqrt(enough)


@dataclass(frozen=True)
class Cells:
    """Mean of `value` over seeds in each cell of `x`, `y` and `facet`, any of which may be None.

    The interval is Student's at `level`; on a table of PairedGap it is the paired one. Nothing is
    smoothed, and nothing but the seed is averaged over.
    """

    x: str | None
    y: str | None = None
    value: str = "test_error"
    facet: str | None = None
    level: float = 0.95

    @property
    def keys(self) -> list[str]:
        """The columns that make a cell."""
        return [key for key in (self.facet, self.x, self.y) if key is not None]

    def __call__(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: its keys, `mean`, `low`, `high`, `count`, `nonfinite`, `expected`,
        `incomplete`.

        `count` runs are averaged, `nonfinite` ones are not. A cell is `incomplete` where it has
        fewer runs than `expected`: the largest number in any cell, unless the table is known to be
        complete. Raises SweepError where something else than the seed varies within a cell.
        """
        require_columns(table, [*self.keys, self.value])
        require_different(self.keys)
        require_one_run_per_seed(table, self.keys)
        # A key is grouped through a copy, so that a column can be a key and the value, or have any name.
        groups = table.assign(_value=finite_values(table, self.value)).groupby(
            self.keys or (lambda _: 0), dropna=False
        )
        cells = groups.agg(
            mean=("_value", "mean"),
            _std=("_value", "std"),
            count=("_value", "count"),
            _rows=("_value", "size"),
        )
        half = half_width(cells["_std"], cells["count"], self.level)
        lowest, highest = _value_range(self.value, table.attrs.get("value"))
        low = (cells["mean"] - half).clip(lower=lowest)
        high = (cells["mean"] + half).clip(upper=highest)
        # Where the clip passes the mean itself, as rounding may do, the interval ends at the mean.
        cells = cells.assign(
            low=np.minimum(low, cells["mean"]), high=np.maximum(high, cells["mean"])
        )
        cells["nonfinite"] = cells["_rows"] - cells["count"]
        # In a complete sweep cells may differ in their seeds on purpose.
        complete = table.attrs.get("complete") is True
        cells["expected"] = cells["_rows"] if complete else cells["_rows"].max()
        cells["incomplete"] = cells["_rows"] < cells["expected"]
        cells = cells.reset_index()[[*self.keys, *COLUMNS]]
        cells.attrs = {
            **table.attrs,
            "x": self.x,
            "y": self.y,
            "facet": self.facet,
            "level": self.level,
        }
        paired = self.value in DERIVED and table.attrs.get("value")
        cells.attrs |= {"of": paired or self.value, "column": self.value}
        return cells


VALUE_RANGES = {
    "test_error": (0.0, 1.0),
    "train_error": (0.0, 1.0),
    "generalization_gap": (-1.0, 1.0),
    "test_loss": (0.0, None),
    "train_loss": (0.0, None),
}
"""Smallest and largest value of a column. The interval of a mean ends there."""


def _value_range(value: str, paired: str | None) -> tuple[float | None, float | None]:
    """Where the values of a column end, or the differences of two of them where it is one."""
    if value not in DERIVED or paired is None:
        return VALUE_RANGES.get(value, (None, None))
    lowest, highest = VALUE_RANGES.get(paired, (None, None))
    if value != "difference":
        return lowest, highest
    if lowest is None or highest is None:
        return None, None
    return lowest - highest, highest - lowest


COLUMNS = ("mean", "low", "high", "count", "nonfinite", "expected", "incomplete")
"""What Cells computes of each cell."""
