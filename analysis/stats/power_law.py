"""The index of a theory as a power law: exactly, or not at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.theories import Theory
from sweep.errors import SweepError

Floats = NDArray[np.float64]

TOLERANCE = 1e-6
"""How far rounding may move a logarithm, of an index or of a prediction."""


def log_line(theory: Theory, x: str, log_x: Floats, log_index: Floats) -> tuple[float, float]:
    """Intercept and slope of log index against log x, NaN where there is one point only.

    Args:
        theory: The theory whose index it is, for the messages.
        x: The name of the axis, for the messages.
        log_x: (N,) logarithms of the axis.
        log_index: (N,) logarithms of the index.

    Raises:
        SweepError: The points are not on a line, or the line is level.
    """
    if len(log_x) < 2:
        return np.nan, np.nan
    design = np.stack([np.ones_like(log_x), log_x], axis=1)
    line = np.linalg.lstsq(design, log_index)[0]
    if np.abs(design @ line - log_index).max() > TOLERANCE:
        raise SweepError(
            f"{theory.title}: the left side is no power of {x}, so its level set is not known. "
            "Take another axis for x."
        )
    if abs(line[1]) <= TOLERANCE:
        raise SweepError(
            f"{theory.title} does not depend on {x}, so it says nothing of a boundary there. "
            f"Take one of the columns it depends on as x: {', '.join(theory.columns)}."
        )
    return float(line[0]), float(line[1])


def level_set_slope(x: pd.Series, y: pd.Series, index: pd.Series) -> float:
    """Slope of log x against log y along a level set of an index.

    Args:
        x: (N,) the horizontal axis.
        y: (N,) the vertical axis.
        index: (N,) the index at these points.

    Returns:
        The slope, NaN where the index is no power law of x and y, or does not depend on x.
    """
    # An index beyond the range of numbers is infinite, and has no logarithm to fit.
    usable = (x > 0) & (y > 0) & (index > 0) & np.isfinite(index)
    design = np.log(np.stack([np.full(usable.sum(), np.e), x[usable], y[usable]], axis=1))
    target = np.log(index[usable].to_numpy(float))
    fit, _, rank, _ = np.linalg.lstsq(design, target)
    exact = rank == 3 and np.abs(design @ fit - target).max() <= TOLERANCE
    # An index that does not depend on x has no slope against it, only one of rounding errors.
    known = exact and abs(fit[1]) > TOLERANCE
    return round(float(-fit[2] / fit[1]), 9) + 0.0 if known else np.nan
