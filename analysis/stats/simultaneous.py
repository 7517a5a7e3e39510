"""What holds for all cells of a map at once, although they share their seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_EXACT_SEEDS, FLIPS = 12, 4095
"""Up to this number of seeds all signs are tried, beyond it this many random ones."""

CHUNK = 4_000_000
"""Most statistics that are held at once."""

ROUNDING = 1e-9
"""Statistics that differ by less are equal."""


def familywise_p_values(values: Floats) -> Floats:
    """For each cell the chance to see one as far from 0 anywhere, were there no difference at all.

    Seeds keep or change their sign in all cells together, which keeps what cells have in common,
    and the largest statistic is compared (step-down maxT of Westfall and Young, Resampling-Based
    Multiple Testing, 1993, Algorithm 4.1). It needs no more than that a difference and its negative
    are equally likely for a whole seed where there is none. The statistic is |sum| / root of the
    sum of squares: with n seeds it is sqrt(n t^2 / (n - 1 + t^2)) for Student's t, so it orders
    cells as t does and stays finite where all seeds agree.

    Args:
        values: (seeds, cells) Differences, 0 where a seed has none.

    Returns:
        (cells,) p-values: cells at most alpha are marked with a family-wise error of alpha.
    """
    norm = np.sqrt((values**2).sum(axis=0))
    scaled = values / np.where(norm > 0, norm, 1)
    order = np.argsort(-np.abs(scaled.sum(axis=0)), kind="stable")
    scaled = scaled[:, order]
    observed = np.abs(scaled.sum(axis=0))
    signs = _signs(len(values))
    exceeding = np.zeros(len(order))
    step = max(1, CHUNK // max(1, len(order)))
    for start in range(0, len(signs), step):
        statistics = np.abs(signs[start : start + step] @ scaled)
        # the largest among this cell and all that are nearer to 0
        largest = np.maximum.accumulate(statistics[:, ::-1], axis=1)[:, ::-1]
        exceeding += (largest >= observed - ROUNDING).sum(axis=0)
    p_values = np.empty(len(order))
    p_values[order] = np.maximum.accumulate(exceeding / len(signs))
    return p_values


def fewest_seeds(alpha: float) -> int:
    """The seeds without which no cell can be marked: all alike has a chance of 2^(1 - seeds)."""
    return int(np.ceil(1 - np.log2(alpha) - ROUNDING))


def _signs(seeds: int) -> Floats:
    """Signs of the seeds (flips, seeds), the first row unchanged."""
    if seeds <= MAX_EXACT_SEEDS:
        # The sign of the first seed makes no difference to an absolute value.
        flips = np.arange(2 ** max(seeds - 1, 0))
        return np.where(flips[:, None] >> np.arange(seeds) & 1, -1.0, 1.0)
    random = np.random.default_rng(0).choice([-1.0, 1.0], (FLIPS, seeds))
    return np.concatenate([np.ones((1, seeds)), random])
