"""The colour scale of a phase diagram."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps

from analysis.tables.columns import column_info
from analysis.tables.labels import format_number

SIGNED = ("difference",)
"""Columns of the analysis itself whose sign matters; observables declare theirs."""

CHANCE = 0.55
"""If no mean error exceeds this, about that of guessing, the scale ends at 0.5."""


class ColorScale(NamedTuple):
    """A colour map and the values at its two ends."""

    cmap: str
    low: float
    high: float

    @property
    def signed(self) -> bool:
        """Whether the scale is a diverging one."""
        return self.low < 0

    def format_mean(self, mean: float) -> str:
        """A value as the text of a cell, with its sign on a diverging scale."""
        if abs(mean) >= 10:
            return format_number(mean)
        return f"{mean:+.2f}" if self.signed else f"{mean:.2f}"

    def dark(self, means: np.ndarray) -> np.ndarray:
        """Where the colour of a value is so dark that marks on it must be light."""
        rgb = colormaps[self.cmap]((means - self.low) / (self.high - self.low))[..., :3]
        # weights of the luma of Rec. 601: brightness as the eye sees it
        return (rgb @ (0.299, 0.587, 0.114) < 0.45) & ~np.isnan(means)


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
    return ColorScale("cividis", 0.0, limit)
