"""Intervals of fitted parameters, from resamples of the seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]


def percentile_interval(resampled: Floats, seeds: int, confidence: float) -> tuple[Floats, Floats]:
    """The percentile interval over resamples, expanded for few seeds.

    Hesterberg, The American Statistician 69 (2015), 371-386, Section 3.2: Student's quantile and
    the factor sqrt(seeds / (seeds - 1)) compensate for the narrowness of resamples.

    Args:
        resampled: (R, ...) the parameter in each resample; NaN ones are ignored.
        seeds: The number of seeds that were resampled.
        confidence: The level of the interval.

    Returns:
        Its low and high ends (...), NaN with one seed, or where all resamples are NaN.
    """
    if seeds < 2 or np.isnan(resampled).all():
        # [()] turns an array without axes into a number, as nanquantile returns it.
        missing = np.full(resampled.shape[1:], np.nan)[()]
        return missing, missing
    tail = ndtr(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, (1 - confidence) / 2))
    low, high = np.nanquantile(resampled, (tail, 1 - tail), axis=0, method="nearest")
    return low, high
