"""The colour scale of a phase diagram."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import LogNorm, Normalize

from analysis.tables.columns import column_info
from analysis.tables.labels import format_number

SIGNED = ("difference",)
"""Columns of the analysis itself whose sign matters; observables declare theirs."""

COUNTS = ("fit_step", "steps")
"""Columns that count: they are written as whole numbers."""

LOGARITHMIC_RATIO = 10
"""Counts, and columns declared as logarithmic, have a logarithmic scale from this ratio on."""

CHANCE = 0.55
"""If no mean error exceeds this, about that of guessing, the scale ends at 0.5."""


class ColorScale(NamedTuple):
    """A colour map, the values at its two ends, and how the values between them are spaced."""

    cmap: str
    low: float
    high: float
    logarithmic: bool = False
    counts: bool = False

    @property
    def signed(self) -> bool:
        """Whether the scale is a diverging one."""
        return self.low < 0

    @property
    def norm(self) -> Normalize:
        """The place of values on the colour map."""
        return (LogNorm if self.logarithmic else Normalize)(self.low, self.high)

    def colors(self, values: np.ndarray) -> np.ndarray:
        """Red, green and blue of values (..., 3), between 0 and 1."""
        places = np.ma.filled(self.norm(np.ma.masked_invalid(values)), 0.0)
        return np.asarray(colormaps[self.cmap](places))[..., :3]

    def format_mean(self, mean: float) -> str:
        """A value as the text of a cell, with its sign on a diverging scale."""
        if self.counts and abs(mean) < 1e6:
            return f"{mean:.0f}"
        if abs(mean) >= 10 or (self.logarithmic and mean < 0.1):
            return format_number(mean, 3 if abs(mean) >= 10 else 1)
        return f"{mean:+.2f}" if self.signed else f"{mean:.2f}"

    def dark(self, means: np.ndarray) -> np.ndarray:
        """Where the colour of a value is so dark that marks on it must be light."""
        # weights of the luma of Rec. 601: brightness as the eye sees it
        return (self.colors(means) @ (0.299, 0.587, 0.114) < 0.45) & ~np.isnan(means)


def color_scale(cells: pd.DataFrame) -> ColorScale:
    """The scale of a table of Cells.

    The limits for errors are fixed, so that figures of the same kind can be compared.
    """
    value = cells.attrs["of"]
    largest = float(np.nanmax(cells["mean"].abs().to_numpy(float), initial=0)) or 1.0
    bounded = value.endswith("error") or value == "generalization_gap"
    limit = largest
    if bounded:
        limit = 0.5 if largest <= CHANCE else 1.0
    column = cells.attrs["column"]
    is_signed = column in SIGNED or column_info(column).sense == "signed"
    if is_signed or bool((cells["mean"] < 0).any()):
        return ColorScale("RdBu_r", -limit, limit)
    counts = value in COUNTS and column in (value, "mean", "median")
    positive = cells["mean"].replace(np.inf, np.nan).dropna()
    smallest = float(positive.min()) if len(positive) else 0.0
    spaced = counts or (column_info(value).scale == "log" and not bounded)
    if spaced and smallest > 0 and limit / smallest >= LOGARITHMIC_RATIO:
        return ColorScale("cividis", smallest, limit, logarithmic=True, counts=counts)
    return ColorScale("cividis", 0.0, limit, counts=counts)
