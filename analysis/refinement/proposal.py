"""Where further runs say most of a boundary: new seeds beside each crossing, and new cells in gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.boundary import Boundary
from analysis.tables.axes import finite_values
from sweep.errors import SweepError

LEAST = 4
"""Fewest new seeds of a round."""

PRIOR = 16
"""How many seeds the mean of all rows counts as, where the spread between the seeds of one row is guessed."""

GAP = 1 / 3
"""Two neighbouring cells with more than this share of the change of their row between them are a gap."""


@dataclass(frozen=True)
class Refinement:
    """The points, `runs` runs of them at most, that reduce the uncertainty of a boundary most.

    Cells of a row with the same data and first weights err together, so a row is limited by its number of seeds, and
    old seeds say little new: a round takes new ones, the same in all of its cells. A row gets the two cells next to
    its crossing; cells between two that have more seeds than they would lead the fit astray. Only a gap, where seeds
    do not say where in it the crossing is, gets two new cells that part it in three.

    Rows are taken in the order of what a cell gains, as many as reduce the summed squared widths of the intervals
    most. Where most of those are gaps, few seeds will do, and the other runs are left for later rounds.
    """

    boundary: Boundary
    runs: int = 1024

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """New points: columns y (where the boundary has one), x and `seed`; none where nothing is left to gain.

        A row whose boundary lies outside of the grid gets none. All facets are run at the points of each, so that
        pairs stay pairs. Raises SweepError where `runs` are too few for one row, and as the boundary does.
        """
        rows = self._rows(runs)
        keys = [key for key in (self.boundary.y, self.boundary.x) if key is not None]
        each = int(runs.groupby([*keys, "seed"]).size().max())
        chosen, seeds = _choose(rows, self.runs // each)
        if rows and not chosen:
            cure = f"Give at least {LEAST * each * min(len(row.cells) for row in rows)}"
            raise SweepError(
                f"{self.runs} runs are too few for a single row and {LEAST} seeds. {cure}."
            )
        first = int(runs["seed"].max()) + 1
        places = sorted((row.y, x)[-len(keys) :] for row in chosen for x in row.cells)
        points = [(*place, first + seed) for place in places for seed in range(seeds)]
        return pd.DataFrame(points, columns=[*keys, "seed"]).astype(
            {key: runs[key].dtype for key in keys}
        )

    def _rows(self, runs: pd.DataFrame) -> list[_Row]:
        """What each row with a crossing wants, best first."""
        b, axis, needs = self.boundary, _Axis.of(runs, self.boundary.x), {}
        names = [key for key in (b.facet, b.y) if key is not None]
        values = runs.assign(_value=finite_values(runs, b.value)).groupby([*names, b.x])["_value"]
        cells = values.agg(["mean", "count"]).query("count > 0").reset_index()
        for one in b(runs).to_dict("records"):
            own = (
                cells[np.logical_and.reduce([cells[name] == one[name] for name in names])]
                if names
                else cells
            )
            if np.isfinite(one["at"]) and (need := axis.need(one, own)):
                needs.setdefault(one.get(b.y), []).append(need)
        mean = _mean_spread(need for own in needs.values() for need in own)
        rows = [_Row.of(y, [need.tempered(mean) for need in own]) for y, own in needs.items()]
        return sorted(rows, key=lambda row: -row.gain(LEAST) / len(row.cells))


@dataclass(frozen=True)
class _Need:
    """The two cells that a crossing wants, the seeds that both have (none in a gap), and its squared width."""

    cells: tuple[Any, ...]
    seeds: int
    square: float

    def tempered(self, mean: float) -> _Need:
        """With the spread between seeds drawn towards that of all rows: two seeds that agree say little of it."""
        if not self.seeds:
            return self
        spread = (self.square * self.seeds**2 + mean * PRIOR) / (self.seeds + PRIOR)
        return replace(self, square=spread / self.seeds)


@dataclass(frozen=True)
class _Row:
    """The cells of one y for all of its facets, with their needs."""

    y: Any
    cells: tuple[Any, ...]
    needs: list[_Need]

    @classmethod
    def of(cls, y: Any, needs: list[_Need]) -> _Row:
        return cls(y, tuple(sorted({x for need in needs for x in need.cells})), needs)

    def gain(self, seeds: int) -> float:
        """By how much so many seeds reduce the squared widths: a variance falls as one over the number of seeds."""
        return sum(need.square * seeds / (need.seeds + seeds) for need in self.needs)


@dataclass(frozen=True)
class _Axis:
    """An axis: in the logarithm where all of it is positive, of whole numbers where it has such."""

    x: str
    logarithmic: bool
    whole: bool

    @classmethod
    def of(cls, runs: pd.DataFrame, x: str) -> _Axis:
        return cls(x, bool((runs[x] > 0).all()), runs[x].dtype.kind in "iu")

    def need(self, one: Mapping[Any, Any], cells: pd.DataFrame) -> _Need | None:
        """What a crossing wants, given means and counts of the cells of its row; None where nothing is to gain."""
        xs, means = cells[self.x].to_numpy(), cells["mean"].to_numpy()
        right = int(np.clip(np.searchsorted(xs, one["at"], "right"), 1, len(xs) - 1))
        ends = slice(right - 1, right + 1)
        gap = self._square(xs[ends])
        if abs(np.diff(means[ends]).item()) > GAP * np.ptp(means) and (
            between := self._thirds(*xs[ends].tolist())
        ):
            return _Need(between, 0, gap)
        square = self._square(np.clip([one["low"], one["high"]], xs[0], xs[-1]))
        seeds = int(cells["count"].to_numpy()[ends].min())
        return (
            _Need(tuple(xs[ends].tolist()), seeds, gap if np.isnan(square) else square)
            if square != 0
            else None
        )

    def _square(self, ends: Any) -> float:
        return float(np.diff(np.log(ends) if self.logarithmic else ends).item() ** 2)

    def _thirds(self, left: Any, right: Any) -> tuple[Any, ...]:
        """Two cells that part a gap in three, as far as there are numbers of 12 digits, or whole ones, in it."""
        cut = (np.geomspace if self.logarithmic else np.linspace)(left, right, 4)[1:3].tolist()
        found = {round(x) if self.whole else float(f"{x:.12g}") for x in cut}
        return tuple(sorted(x for x in found if left < x < right))


def _mean_spread(needs: Iterable[_Need]) -> float:
    """The mean over rows of the squared width that one seed would leave."""
    spreads = [need.square * need.seeds for need in needs if need.seeds]
    return float(np.mean(spreads)) if spreads else 0.0


def _choose(rows: list[_Row], budget: int) -> tuple[list[_Row], int]:
    """The first few rows and a number of seeds, with the largest gain that so many runs of one facet can make."""
    most, best, cells = 0.0, (0, 0), 0
    squares = [(need.square, not need.seeds) for row in rows for need in row.needs]
    gaps = sum(square for square, gap in squares if gap) > sum(square for square, _ in squares) / 2
    for count, row in enumerate(rows, 1):
        cells += len(row.cells)
        seeds = min(budget // cells, LEAST) if gaps else budget // cells
        gain = sum(each.gain(seeds) for each in rows[:count])
        if seeds >= LEAST and gain > most:
            most, best = gain, (count, seeds)
    return rows[: best[0]], best[1]
