"""Which interval a mean over seeds gets: Student's, or one that knows that seeds may split."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from analysis.stats.bounded_mean import bounded_intervals
from analysis.stats.modes import mode_numbers

Floats = NDArray[np.float64]

STUDENT, BOUNDED = "student", "mid-p"
"""Names of the two intervals, in the column `interval` of a table of Cells."""

CLEAR_OF_ENDS = 1.5
"""Student's interval requires a mean at least this many deviations away from what is possible."""


class ValueRange(NamedTuple):
    """The smallest and the largest possible value, infinite where there is none."""

    lowest: float = -np.inf
    highest: float = np.inf

    @property
    def bounded(self) -> bool:
        """Whether values end on both sides."""
        return bool(np.isfinite(self).all())


SPLIT_SHARE = 0.05
"""Outcomes of a facet may split everywhere if they do in this share of its cells."""

ROUNDING = 1e-9
"""Seeds that deviate by less agree."""


def half_width(deviation: ArrayLike, count: ArrayLike, level: float = 0.95) -> Floats:
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


def mean_intervals(
    cells: pd.DataFrame, seeds: pd.DataFrame, ends: ValueRange, level: float
) -> pd.DataFrame:
    """`low`, `high`, `interval` and `modes` of each cell.

    The interval is Student's where seeds vary continuously. Values with two ends get that of
    `bounded_intervals` where seeds may split into modes: where those of the cell do or those of
    SPLIT_SHARE of the cells of its facet, where all seeds of a cell agree, and where the mean is so
    near to an end that the seeds must be skewed. `modes` counts those of `mode_numbers`, 1 where
    values do not end on both sides.

    Args:
        cells: `mean`, `std`, `count` and `facet`, a number, of each cell 0, 1, ...
        seeds: `value` and `cell` of each finite run, ascending in both.
        ends: What values are possible.
        level: The level of the interval.
    """
    low, high = _clipped_student(cells, ends, level)
    has_interval = cells["count"] > 1
    modes = (cells["count"] > 0).astype(int)
    bounded = pd.Series(False, cells.index)
    if ends.bounded:
        numbers = mode_numbers(seeds["value"].to_numpy(float), seeds["cell"].to_numpy(int))
        modes = (1 + pd.Series(numbers).groupby(seeds["cell"].to_numpy()).max()).reindex(
            cells.index, fill_value=0
        )
        bounded = has_interval & (_may_split(cells, ends) | _facet_splits(cells, modes))
    for _, part in cells[bounded].groupby("count"):
        rows = seeds.loc[seeds["cell"].isin(part.index), "value"].to_numpy(float)
        ends_of_part = bounded_intervals(rows.reshape(len(part), -1), *ends, level)
        low[part.index], high[part.index] = ends_of_part
    # Where rounding passes the mean itself, the interval ends at the mean.
    low, high = np.minimum(low, cells["mean"]), np.maximum(high, cells["mean"])
    names = np.where(bounded, BOUNDED, np.where(has_interval, STUDENT, ""))
    return pd.DataFrame(
        {"low": low, "high": high, "modes": modes, "interval": names}, index=cells.index
    )


def _clipped_student(
    cells: pd.DataFrame, ends: ValueRange, level: float
) -> tuple[pd.Series, pd.Series]:
    half = half_width(cells["std"], cells["count"], level)
    low = (cells["mean"] - half).clip(lower=ends.lowest)
    return low, (cells["mean"] + half).clip(upper=ends.highest)


def _may_split(cells: pd.DataFrame, ends: ValueRange) -> pd.Series:
    """Whether the seeds of a cell agree, or their mean is near to an end for how they vary."""
    room = np.minimum(cells["mean"] - ends.lowest, ends.highest - cells["mean"])
    return (cells["std"] < ROUNDING) | (room < CLEAR_OF_ENDS * cells["std"])


def _facet_splits(cells: pd.DataFrame, modes: pd.Series) -> pd.Series:
    """Whether a cell's seeds split, or those of enough cells of its facet."""
    splits = modes > 1
    return splits | (splits.groupby(cells["facet"]).transform("mean") >= SPLIT_SHARE)
