"""Intervals of what is fitted, from resamples of the seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]


def percentile_interval(drawn: Floats, seeds: int, confidence: float) -> tuple[Floats, Floats]:
    """Both ends over the first axis, expanded for few seeds; NaN where there is one seed only, or nothing is known.

    A resample that is NaN says nothing.

    Hesterberg, The American Statistician 69 (2015), 371-386, Section 3.2: Student's quantile and the factor
    sqrt(seeds / (seeds - 1)) make up for the narrowness of resamples.
    """
    if seeds < 2 or np.isnan(drawn).all():
        nothing = np.full(drawn.shape[1:], np.nan)[()]  # a number where there is one row
        return nothing, nothing
    tail = ndtr(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, (1 - confidence) / 2))
    low, high = np.nanquantile(drawn, (tail, 1 - tail), axis=0, method="nearest")
    return low, high
