"""What is found in one row of a boundary: its crossings, or on which side of the level it lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.stats.branches import (
    NONE,
    Row,
    Window,
    row_windows,
    settled_stretches,
    stretches_of_means,
)
from analysis.stats.resampling import Crossing, Resamples, interval

Floats = NDArray[np.float64]

ABOVE, BELOW, BOTH = "above", "below", "both"
"""On which side of the level a row lies. What is at the level counts as above it."""


@dataclass(frozen=True)
class RowCrossings:
    """The crossings of one row.

    Attributes:
        found: The crossings by ascending x, or the one of the trend beyond the grid; with a
            `logistic` fit one, however many there are.
        changes: How many crossings there are.
        side: On which side of the level the row lies: `above`, `below` or `both`.
        unsettled: How many further changes of side the means have, which its seeds do not settle.
        monotone: Whether the row is, as far as seeds tell.
        seeds: How many seeds have a run in the row.
    """

    found: tuple[Crossing, ...]
    changes: int
    side: str
    unsettled: int
    monotone: bool
    seeds: int

    @classmethod
    def of(cls, row: Row, x: Floats, resamples: Resamples, rises: bool) -> RowCrossings:
        """The crossings of a row.

        Args:
            row: The row (S, X); X may be 0.
            x: (X,) its positions, ascending.
            resamples: The resamples of the seeds, and the fit.
            rises: Whether the value rises along x on the whole.
        """
        seeds = row.seeds
        if not len(x):
            nowhere = np.full(len(resamples.weights) - 1, np.nan)
            return cls((Crossing(NONE, np.nan, nowhere),), 0, NONE, 0, True, seeds)
        windows = row_windows(row, settled_stretches(row, rises), rises)
        # A logistic curve crosses once by its definition.
        once = [Window(0, len(x) - 1, not rises)] if resamples.fit == "logistic" else windows
        found = tuple(resamples.crossings(row, x, once, rises))
        finite = sum(np.isfinite(crossing.at) for crossing in found)
        changes = max(finite, len(windows) if len(windows) > 1 and once is not windows else 0)
        beyond_end = found[0].at == (-np.inf if rises else np.inf)
        side = BOTH if changes else ABOVE if beyond_end else BELOW
        unsettled = max(len(stretches_of_means(row)) - 1 - changes, 0)
        monotone = changes < 2 and row.is_monotone
        return cls(found, changes, side, unsettled, monotone, seeds)

    def in_units_of_x(self) -> RowCrossings:
        """The same where x was a logarithm."""
        found = (
            Crossing(crossing.branch, *map(_exponential, crossing[1:])) for crossing in self.found
        )
        return replace(self, found=tuple(found))

    def records(self, followed: str, confidence: float) -> Iterator[dict[str, Any]]:
        """The columns of each crossing.

        Args:
            followed: The branch that is followed.
            confidence: The level of the intervals.
        """
        for crossing in self.found:
            low, high = interval(crossing.resampled, self.seeds, confidence)
            yield {
                "branch": crossing.branch if self.changes else NONE,
                "at": crossing.at,
                "low": low,
                "high": high,
                "seeds": self.seeds,
                "side": self.side,
                "crossings": self.changes,
                "unsettled": self.unsettled,
                "monotone": self.monotone,
                "followed": crossing.branch == followed,
            }

    def places(self, branch: str) -> Floats:
        """The crossing on a branch (R + 1,), first that of the sample itself; NaN without one."""
        for crossing in self.found:
            if crossing.branch == branch:
                return np.concatenate([[crossing.at], crossing.resampled])
        return np.full(1 + len(self.found[0].resampled), np.nan)


def _exponential(position: Any) -> Any:
    """The x of a logarithm; what is infinite stays so on both sides."""
    # The exponential of minus infinity would be 0, a place on the axis.
    return np.where(np.isfinite(position), np.exp(position), position)[()]
