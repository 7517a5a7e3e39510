"""Where further runs narrow a boundary most: new seeds beside each crossing, new cells in gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.boundary import Boundary
from analysis.stats.tuning import BY_DEFAULT, Tuning
from analysis.tables.axes import finite_values
from analysis.tables.labels import counted
from sweep.errors import SweepError

MIN_SEEDS = 4
"""Fewest new seeds of a round."""

PRIOR_SEEDS = 16
"""Weight, in seeds, of the mean spread of all rows in the estimated spread of one row."""

GAP_SHARE = 1 / 3
"""Neighbouring cells form a gap if more of the range of their row's means lies between them."""


@dataclass(frozen=True)
class Refinement:
    """Proposes the points, at most `runs` runs, that reduce the uncertainty of a boundary most.

    The cells of a row share data and initial weights, so their errors are correlated: the precision
    of a row is limited by its number of seeds, and repeating old seeds adds little. A round
    therefore uses new seeds, the same in all of its cells. A row gets the two cells next to its
    crossing; cells between two that have more seeds than they do would mislead the fit. Only a gap,
    within which no number of seeds locates the crossing, gets two new cells that divide it in
    three.

    Rows are taken by gain per cell, as many as reduce the sum of the squared interval widths most.
    If gaps make up most of that sum, a few seeds suffice, and the other runs are left for later
    rounds.

    Args:
        boundary: the boundary to refine.
        runs: the budget of one round, in runs.
        tuning: how step sizes are chosen; the boundary is that of the chosen runs.
    """

    boundary: Boundary
    runs: int = 1024
    tuning: Tuning = BY_DEFAULT

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """New points: columns y (where the boundary has one), x and `seed`; empty if none helps.

        A row whose boundary lies outside of the grid gets none, nor does one that does not cross on
        the branch that the boundary follows. All facets are run at all points,
        so that runs stay paired, with all hyperparameters, so that the best can be chosen. Raises
        SweepError if the budget is too small for a single row, and as the boundary does.
        """
        rows = self._rows(self.best_runs(runs))
        keys = [key for key in (self.boundary.y, self.boundary.x) if key is not None]
        # One point makes a run for each facet and value of the hyperparameters.
        runs_per_point = int(runs.groupby([*keys, "seed"]).size().max())
        chosen, seeds = _choose_rows(rows, self.runs // runs_per_point)
        if rows and not chosen:
            needed = MIN_SEEDS * runs_per_point * min(len(row.cells) for row in rows)
            raise SweepError(
                f"{counted(self.runs, 'run')} {'is' if self.runs == 1 else 'are'} too few for a single "
                f"row and {MIN_SEEDS} seeds. Give at least {needed}."
            )
        first = int(runs["seed"].max()) + 1
        cells = sorted((row.y, x)[-len(keys) :] for row in chosen for x in row.cells)
        points = [(*cell, first + seed) for cell in cells for seed in range(seeds)]
        dtypes = {key: runs[key].dtype for key in keys}
        return pd.DataFrame(points, columns=[*keys, "seed"]).astype(dtypes)

    def best_runs(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The runs at the step sizes that are chosen for each optimizer and cell."""
        boundary = self.boundary
        axes = [key for key in (boundary.facet, boundary.y, boundary.x) if key is not None]
        # Without these columns no two rows are known to be runs of one problem.
        if not {"problem", "optimizer"} <= set(runs.columns):
            return runs
        return self.tuning(runs, axes)

    def _rows(self, runs: pd.DataFrame) -> list[_Row]:
        """The rows with a crossing, largest gain per cell first."""
        crossings = self._crossings(runs)
        mean = _mean_spread(crossing for row in crossings.values() for crossing in row)
        rows = [
            _Row.of(y, [crossing.shrunk(mean) for crossing in row]) for y, row in crossings.items()
        ]
        return sorted(rows, key=lambda row: -row.gain(MIN_SEEDS) / len(row.cells))

    def _crossings(self, runs: pd.DataFrame) -> dict[Any, list[_Crossing]]:
        """The crossings that can be refined, those of all facets by the y of their row."""
        boundary = self.boundary
        # Only along numbers is there a boundary, so that the rest may rely on them.
        estimates = boundary.follow(runs).to_dict("records")
        axis = _Axis.of(runs, boundary.x)
        names = [key for key in (boundary.facet, boundary.y) if key is not None]
        values = runs.assign(_value=finite_values(runs, boundary.value))
        groups = values.groupby([*names, boundary.x])["_value"]
        cells = groups.agg(["mean", "count"]).query("count > 0").reset_index()
        crossings: dict[Any, list[_Crossing]] = {}
        for estimate in estimates:
            if not np.isfinite(estimate["at"]):
                continue
            row_cells = cells
            for name in names:
                row_cells = row_cells[row_cells[name] == estimate[name]]
            crossing = axis.plan_crossing(estimate, row_cells)
            if crossing is not None:
                crossings.setdefault(estimate.get(boundary.y), []).append(crossing)
        return crossings


@dataclass(frozen=True)
class _Crossing:
    """The two cells to run for a crossing, the seeds that both have (0 in a gap), squared width."""

    cells: tuple[Any, ...]
    seeds: int
    squared_width: float

    def shrunk(self, mean_spread: float) -> _Crossing:
        """With the spread of its seeds shrunk towards the mean spread of all rows."""
        if not self.seeds:
            return self
        # Two seeds that happen to agree are no evidence of a small spread.
        spread = self.squared_width * self.seeds**2 + mean_spread * PRIOR_SEEDS
        spread /= self.seeds + PRIOR_SEEDS
        return replace(self, squared_width=spread / self.seeds)


@dataclass(frozen=True)
class _Row:
    """The cells to run at one y, and the crossings of all facets there."""

    y: Any
    cells: tuple[Any, ...]
    crossings: list[_Crossing]

    @classmethod
    def of(cls, y: Any, crossings: list[_Crossing]) -> _Row:
        """The row that has the cells of all these crossings."""
        cells = {x for crossing in crossings for x in crossing.cells}
        return cls(y, tuple(sorted(cells)), crossings)

    def gain(self, seeds: int) -> float:
        """By how much `seeds` new seeds reduce the sum of the squared widths."""
        # A variance falls as one over the number of seeds: w n / (n + m) is left of w.
        return sum(
            crossing.squared_width * seeds / (crossing.seeds + seeds) for crossing in self.crossings
        )


@dataclass(frozen=True)
class _Axis:
    """The axis x: logarithmic if all of its values are positive, whole if they are integers."""

    x: str
    logarithmic: bool
    whole: bool

    @classmethod
    def of(cls, runs: pd.DataFrame, x: str) -> _Axis:
        """The axis of a column of the runs."""
        return cls(x, bool((runs[x] > 0).all()), runs[x].dtype.kind in "iu")

    def plan_crossing(self, estimate: Mapping[Any, Any], cells: pd.DataFrame) -> _Crossing | None:
        """The cells to run for a crossing, None if nothing is left to gain.

        Args:
            estimate: where the row crosses the level, with its interval: `at`, `low`, `high`.
            cells: the cells of the row, ascending in x, with `mean` and `count`.
        """
        xs, means = cells[self.x].to_numpy(), cells["mean"].to_numpy()
        right = int(np.clip(np.searchsorted(xs, estimate["at"], "right"), 1, len(xs) - 1))
        neighbours = slice(right - 1, right + 1)
        cell_square = self._squared_width(xs[neighbours])
        if abs(np.diff(means[neighbours]).item()) > GAP_SHARE * np.ptp(means):
            between = self._thirds(*xs[neighbours].tolist())
            if between:
                return _Crossing(between, 0, cell_square)
        square = self._squared_width(np.clip([estimate["low"], estimate["high"]], xs[0], xs[-1]))
        if square == 0:
            return None
        seeds = int(cells["count"].to_numpy()[neighbours].min())
        square = cell_square if np.isnan(square) else square
        return _Crossing(tuple(xs[neighbours].tolist()), seeds, square)

    def _squared_width(self, ends: Any) -> float:
        """The squared distance of two positions, in log x on a logarithmic axis."""
        return float(np.diff(np.log(ends) if self.logarithmic else ends).item() ** 2)

    def _thirds(self, low: Any, high: Any) -> tuple[Any, ...]:
        """The cells that divide a gap in three: two, or fewer where rounding leaves no room."""
        spaced = np.geomspace if self.logarithmic else np.linspace
        inner = spaced(low, high, 4)[1:3].tolist()
        rounded = {round(x) if self.whole else float(f"{x:.12g}") for x in inner}
        return tuple(sorted(x for x in rounded if low < x < high))


def _mean_spread(crossings: Iterable[_Crossing]) -> float:
    """The mean over crossings of the squared width that a single seed would leave."""
    spreads = [crossing.squared_width * crossing.seeds for crossing in crossings if crossing.seeds]
    return float(np.mean(spreads)) if spreads else 0.0


def _choose_rows(rows: list[_Row], budget: int) -> tuple[list[_Row], int]:
    """How many of the first rows to run, at how many seeds, for the largest gain.

    Args:
        rows: all rows, best first.
        budget: the largest number of points.

    Returns:
        The rows and the number of seeds, none and 0 where the budget does not suffice for a row.
    """
    crossings = [crossing for row in rows for crossing in row.crossings]
    gap_total = sum(crossing.squared_width for crossing in crossings if not crossing.seeds)
    mostly_gaps = gap_total > sum(crossing.squared_width for crossing in crossings) / 2
    best_gain, best, cells = 0.0, (0, 0), 0
    for count, row in enumerate(rows, 1):
        cells += len(row.cells)
        seeds = budget // cells
        if seeds < MIN_SEEDS:
            break
        if mostly_gaps:
            seeds = MIN_SEEDS
        gain = sum(chosen.gain(seeds) for chosen in rows[:count])
        if gain > best_gain:
            best_gain, best = gain, (count, seeds)
    return rows[: best[0]], best[1]
