"""Crossings in every resample of the seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from analysis.stats.branches import Row, Window, branch_names
from analysis.stats.crossing import logistic_crossing, monotone_crossings

Floats = NDArray[np.float64]

FITS = ("monotone", "logistic")
"""What can be fitted to a row."""


class Crossing(NamedTuple):
    """A crossing of a row: its branch, its place, and that in each resample (R,)."""

    branch: str
    at: float
    resampled: Floats


@dataclass(frozen=True)
class Resamples:
    """Resamples of the seeds, and how a crossing is found in each.

    Attributes:
        weights: (R + 1, S) how often each has each seed; the first is the sample itself.
        fit: `monotone` or `logistic`.
        confidence: Level of the intervals to come.
        random: The source of the draws where resamples do not say where a crossing is.
    """

    weights: Floats
    fit: Literal["monotone", "logistic"]
    confidence: float
    random: np.random.Generator

    def crossings(
        self, row: Row, x: Floats, windows: list[Window], rises: bool
    ) -> Iterator[Crossing]:
        """The crossings of a row, one in each window.

        Args:
            row: The row (S, X).
            x: (X,) its positions, ascending.
            windows: Its windows.
            rises: Whether the value rises along x on the whole.
        """
        present = ~np.isnan(row.values)
        sums = self.weights @ np.where(present, row.values, 0.0)
        counts = self.weights @ present.astype(float)
        names = branch_names([window.falls for window in windows], rises)
        for name, window in zip(names, windows, strict=True):
            columns = window.columns()
            cells = x[columns], sums[:, columns], counts[:, columns]
            at = self._in_window(*cells, row.level, expansion(row.seeds, self.confidence))
            # Where a resample lacks the stretch between two crossings, both are in its middle.
            low = x[window.first] if window.first > 0 else -np.inf
            high = x[window.last] if window.last < len(x) - 1 else np.inf
            at = np.clip(at, low, high)
            yield Crossing(name, float(at[0]), at[1:])

    def _in_window(
        self, x: Floats, sums: Floats, counts: Floats, level: float, expansion: float
    ) -> Floats:
        """The one crossing (R + 1,) of values that fall in the order of x."""
        if self.fit == "logistic":
            first = last = logistic_crossing(x, sums, counts, level)
        else:
            first, last = monotone_crossings(x, sums, counts, level)
        flat = np.isfinite(first) & (first != last)
        middle = np.where(flat, (first + np.where(flat, last, 0.0)) / 2, last)
        # What is drawn has the spread that it should have; only that between seeds is expanded.
        offset = np.where(flat, self._between(first, last, flat) - middle, 0.0)
        place = expand(middle, expansion, x.min(), x.max()) + offset
        left, right, steep = steep_gaps(middle + offset, x, sums, counts)
        place = np.where(steep, self._between(left, right, steep), place)
        place[0] = middle[0]
        return place

    def _between(self, left: Floats, right: Floats, where: NDArray[np.bool_]) -> Floats:
        """Places (R + 1,) drawn uniformly between two, 0 elsewhere."""
        # Draws for all resamples, needed or not, keep the stream of random numbers aligned.
        share = self.random.random(len(left))
        start, end = np.where(where, left, 0.0), np.where(where, right, 0.0)
        return start + share * (end - start)


def expand(places: Floats, expansion: float, lowest: float, highest: float) -> Floats:
    """Places (R + 1,) further from the first by a factor; infinite beyond the ends of the grid."""
    finite = np.isfinite(places) & np.isfinite(places[0])
    near = np.where(finite, places, 0.0)
    further = np.where(finite, near[0] + expansion * (near - near[0]), places)
    further = np.where(further > highest, np.inf, further)
    return np.where(further < lowest, -np.inf, further)


def expansion(seeds: int, confidence: float) -> float:
    """By what resamples of few seeds are too close to each other for intervals of their percentiles.

    The quotient of Student's and the normal quantile, times sqrt(seeds / (seeds - 1)): for a mean,
    percentiles of resamples expanded so are Student's interval (Hesterberg, The American
    Statistician 69 (2015), 371-386, Section 3.2, who moves the percentiles instead; those of four
    seeds cannot be beyond the values of single seeds, which cover in 7 of 8 cases).
    """
    if seeds < 2:
        return 1.0
    tail = (1 - confidence) / 2
    return float(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, tail) / ndtri(tail))


def interval(resampled: Floats, seeds: int, confidence: float) -> tuple[float, float]:
    """Percentiles of expanded resamples (R,), NaN with one seed or where all are NaN."""
    if seeds < 2 or np.isnan(resampled).all():
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(resampled, (tail, 1 - tail), method="nearest")
    return float(low), float(high)


def steep_gaps(
    at: Floats, x: Floats, sums: Floats, counts: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The gaps between points in which crossings lie, and which have most of a row's change.

    Args:
        at: (R,) one crossing for each resample.
        x: (X,) the positions of the cells, ascending or descending.
        sums: (R, X) sums of the values of each cell.
        counts: (R, X) numbers of runs in each cell.

    Returns:
        The left and the right end of each gap (R,), and whether more than half of the change of
        its row lies within.
    """
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    if x[0] > x[-1]:
        x, means = x[::-1], means[..., ::-1]
    present, indices = ~np.isnan(means), np.arange(len(x))
    before = present & (x <= at[..., None])
    left = np.where(before, indices, -1).max(axis=-1)
    right = np.where(present & ~before, indices, len(x)).min(axis=-1)
    inside = np.isfinite(at) & (left >= 0) & (right < len(x))
    left, right = np.where(inside, left, 0), np.where(inside, right, 0)
    left_mean = np.take_along_axis(means, left[..., None], axis=-1)[..., 0]
    right_mean = np.take_along_axis(means, right[..., None], axis=-1)[..., 0]
    high = np.where(present, means, -np.inf).max(axis=-1)
    low = np.where(present, means, np.inf).min(axis=-1)
    steep = inside & (np.abs(left_mean - right_mean) > (high - low) / 2)
    return x[left], x[right], steep
