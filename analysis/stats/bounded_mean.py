"""Intervals of a mean whose values lie between known ends: they never collapse."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MIN_DRAWS, TAIL_DRAWS = 5_000, 50
"""Fewest random weights, and fewest of them beyond each end of an interval."""

MAX_BLOCKS = 200
"""Values beyond this number are merged with their neighbours in size."""

CHUNK = 4_000_000
"""Most weighted means that are held at once."""


def bounded_intervals(
    values: Floats, lowest: float, highest: float, level: float = 0.95
) -> tuple[Floats, Floats]:
    """The interval of each row's mean, for values that lie between two ends.

    One value more, that was not seen and may be at either end, is added to the n of a row, and all
    get random weights, uniform on the simplex. The ends of the interval are quantiles of the
    weighted mean. With the further value at the worse end this is the bound of Gaffke (Comm. Stat.
    Theory Methods 34 (2005), 1877-1890), which is the exact interval of Clopper and Pearson where
    outcomes are 0 or 1; with either end half of the time it is the mid-P interval there
    (Lancaster, JASA 56 (1961), 223-234). How much seeds differ determines the width, so a share of
    wrong test points in each seed counts with both its stages, points and seeds.

    Args:
        values: (rows, n) outcomes, without missing ones.
        lowest: The smallest possible outcome.
        highest: The largest possible outcome.
        level: The level of the interval.

    Returns:
        The low and the high end (rows,).
    """
    # The order of seeds must not matter, and rows that agree are computed once: most are all 0.
    rows, place = np.unique(np.sort(values, axis=1), axis=0, return_inverse=True)
    blocks, sizes = _merged(rows)
    tail = (1 - level) / 2
    weights = _weights(sizes, max(MIN_DRAWS, int(np.ceil(TAIL_DRAWS / tail))))
    ends = np.empty((2, len(rows)))
    step = max(1, CHUNK // (2 * len(weights)))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        means = blocks[part] @ weights[:, :-1].T
        means = np.concatenate(
            [means + lowest * weights[:, -1], means + highest * weights[:, -1]], axis=1
        )
        ends[:, part] = np.quantile(means, (tail, 1 - tail), axis=1)
    low, high = np.clip(ends, lowest, highest)[:, place.ravel()]
    return low, high


def _merged(rows: Floats) -> tuple[Floats, tuple[int, ...]]:
    """Ascending values as means of at most MAX_BLOCKS blocks of neighbours, and their sizes."""
    count = rows.shape[1]
    starts = np.linspace(0, count, min(count, MAX_BLOCKS), endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, count))
    return np.add.reduceat(rows, starts, axis=1) / sizes, tuple(sizes.tolist())


@lru_cache(maxsize=64)
def _weights(sizes: tuple[int, ...], draws: int) -> Floats:
    """Random weights (draws, blocks + 1) of blocks of values and of one value more."""
    random = np.random.default_rng(0)
    parts = random.standard_gamma(np.array([*sizes, 1.0]), (draws, len(sizes) + 1))
    return parts / parts.sum(axis=1, keepdims=True)
