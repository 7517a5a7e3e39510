"""On which side of a level each stretch of a row lies, as far as seeds settle it, and the branches
that the crossings between them lie on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FALLING, RISING, NONE = "falling", "rising", "none"
"""The directions in which a value crosses a level along ascending x; the branch of no crossing."""

BRANCH_NAME = rf"({FALLING}|{RISING})( [2-9]| [1-9]\d+)?"
"""What the name of a branch looks like."""

SIDE_EVIDENCE = 2.5
"""Standard errors that settle on which side of the level a stretch lies.

A row that seems to cross again has three stretches that must have them: rarely by chance.
"""

CHANGE_EVIDENCE = 3.5
"""Standard errors that settle that a value changed: of many pairs of x, some differ by chance."""

ROUNDING = 1e-12
"""What rounding may change in a value, as a share of the largest."""


@dataclass(frozen=True)
class Row:
    """Values (S, X) by seed and x, NaN where there is no run, and the level that they cross.

    Every x has a run.
    """

    values: Floats
    level: float

    @property
    def seeds(self) -> int:
        """The number of seeds that have a run in the row."""
        return int((~np.isnan(self.values)).any(axis=1).sum())

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """The number of runs of each x (X,)."""
        return (~np.isnan(self.values)).sum(axis=0)

    @cached_property
    def means(self) -> Floats:
        """The mean of each x (X,)."""
        return np.nansum(self.values, axis=0) / self.counts

    @cached_property
    def variances(self) -> Floats:
        """The variance between the seeds of each x (X,), at least that pooled over all x.

        Few seeds may agree by chance. Without two seeds at any x nothing is known of it.
        """
        squares = np.nansum((self.values - self.means) ** 2, axis=0)
        freedom = np.maximum(self.counts - 1, 0)
        pooled = squares.sum() / max(freedom.sum(), 1)
        own = np.divide(squares, freedom, out=np.zeros(len(squares)), where=freedom > 0)
        scale = np.abs(self.values[~np.isnan(self.values)]).max() + abs(self.level)
        return np.maximum(own, max(pooled, (ROUNDING * scale) ** 2))

    @property
    def is_monotone(self) -> bool:
        """Whether no two of its means show a rise where two others show a fall."""
        changes = self.means - self.means[:, None]
        errors = self.variances / self.counts
        scores = changes / np.sqrt(errors + errors[:, None])
        later = np.triu_indices(len(self.means), 1)
        rises, falls = scores[later].max(initial=0), scores[later].min(initial=0)
        return bool(min(rises, -falls) < CHANGE_EVIDENCE)


class Stretch(NamedTuple):
    """Neighbouring x on one side of the level: the columns from `start` to before `end`."""

    start: int
    end: int
    above: bool


class Window(NamedTuple):
    """The columns of a row, `first` to `last`, between which it crosses once, and how."""

    first: int
    last: int
    falls: bool

    def columns(self) -> NDArray[np.intp]:
        """The columns in the order in which the value falls."""
        ascending = np.arange(self.first, self.last + 1)
        return ascending if self.falls else ascending[::-1]


def settled_stretches(row: Row, rises: bool) -> list[Stretch]:
    """The stretches of a row whose sides its seeds settle.

    The stretches of the means are merged, the least certain first, until each of them has
    neighbours that together lie SIDE_EVIDENCE standard errors on its side. The stretch of low
    values at the end to which the trend leads is exempt: there a row may end in any case.

    Args:
        row: The row.
        rises: Whether the value rises along x on the whole; otherwise it falls.
    """
    parts = stretches_of_means(row)
    known: dict[Stretch, float] = {}
    while len(parts) > 1:
        known |= {part: _evidence(row, part) for part in parts if part not in known}
        evidence = [known[part] for part in parts]
        low_end = 0 if rises else -1
        if not parts[low_end].above:
            evidence[low_end] = np.inf
        least = int(np.argmin(evidence))
        if evidence[least] >= SIDE_EVIDENCE:
            break
        parts = _merged(parts, least)
    return parts


def stretches_of_means(row: Row) -> list[Stretch]:
    """The stretches of the means as they are. What is at the level counts as above it."""
    above = row.means >= row.level
    edges = [0, *(np.flatnonzero(np.diff(above)) + 1).tolist(), len(above)]
    return [Stretch(start, end, bool(above[start])) for start, end in pairwise(edges)]


def row_windows(row: Row, parts: list[Stretch], rises: bool) -> list[Window]:
    """The windows of the crossings of a row, by ascending x.

    Neighbouring windows meet in the middle of the stretch between their crossings. A row that
    crosses once with the trend, or never, is one window.

    Args:
        row: The row.
        parts: Its stretches.
        rises: Whether the value rises along x on the whole.
    """
    last = len(row.means) - 1
    falls = [before.above for before, _ in pairwise(parts)]
    if falls in ([], [not rises]):
        return [Window(0, last, not rises)]
    edges = [0, *(_centre(row, part) for part in parts[1:-1]), last]
    return [Window(*ends, fall) for ends, fall in zip(pairwise(edges), falls, strict=True)]


def branch_names(falls: list[bool], rises: bool) -> list[str]:
    """The names of the branches that the crossings of a row lie on, by ascending x.

    Of several in one direction, the one nearest to the low end of the trend has no number, the
    next one has number 2: the branches of a row are those of a row with fewer crossings, and more.

    Args:
        falls: Whether the value falls at each crossing.
        rises: Whether the value rises along x on the whole.
    """
    from_low_end = slice(None, None, 1 if rises else -1)
    names: list[str] = []
    for index, fall in enumerate(falls[from_low_end]):
        number = falls[from_low_end][: index + 1].count(fall)
        direction = FALLING if fall else RISING
        names.append(direction if number == 1 else f"{direction} {number}")
    return names[from_low_end]


def _centre(row: Row, part: Stretch) -> int:
    """The column in the middle of a stretch, by how far the means lie on its side."""
    excess = row.means[part.start : part.end] - row.level
    beyond = np.cumsum(np.maximum(excess if part.above else -excess, 0))
    return part.start + int(np.searchsorted(beyond, beyond[-1] / 2))


def _evidence(row: Row, part: Stretch) -> float:
    """How many standard errors a stretch lies on its side of the level, where that is surest."""
    columns = slice(part.start, part.end)
    values = row.values[:, columns] - row.level
    sums = _sums_within(np.nan_to_num(values))
    seeds = (_sums_within(~np.isnan(values)) > 0).sum(axis=0)
    total = sums.sum(axis=0)
    # Cells of one seed may err together.
    squares = (sums**2).sum(axis=0) - total**2 / seeds
    together = squares * seeds / np.maximum(seeds - 1, 1)
    apart = _sums_within(row.counts[columns] * row.variances[columns])
    scores = total / np.sqrt(np.maximum(together, apart))
    return float(scores.max() if part.above else -scores.min())


def _sums_within(values: NDArray[Any]) -> Floats:
    """Sums over all ranges of neighbours (..., X (X + 1) / 2) of values (..., X)."""
    zero = np.zeros((*values.shape[:-1], 1))
    totals = np.concatenate([zero, np.cumsum(values, axis=-1)], axis=-1)
    start, end = np.triu_indices(values.shape[-1] + 1, 1)
    return totals[..., end] - totals[..., start]


def _merged(parts: list[Stretch], index: int) -> list[Stretch]:
    """The stretches after one of them went over to the side of its neighbours."""
    first, last = max(index - 1, 0), min(index + 1, len(parts) - 1)
    whole = Stretch(parts[first].start, parts[last].end, not parts[index].above)
    return [*parts[:first], whole, *parts[last + 1 :]]
