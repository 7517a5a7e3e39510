"""How two columns of the runs rise together: rank correlations over seeds, within cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from analysis.tables.axes import (
    finite_values,
    require_columns,
    require_different,
    require_one_run_per_seed,
    sorted_unique,
)
from sweep.errors import SweepError

Floats = NDArray[np.float64]

MIN_SEEDS = 3
"""Of two seeds the rank correlation is always -1 or 1."""

BLOCK = 4_000_000
"""Most numbers in memory for the resamples of one cell."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of `value` and `other` over the seeds of a cell.

    A cell is one value of `x`, `y` and `facet`, any of which may be None. Correlations over all
    runs of a grid mix what its axes do to both columns with what they have to do with each other;
    within a cell only the seed differs. The number of a facet is the mean over its cells.

    The interval is Student's in Fisher's z, with the deviation over `resamples` of the seeds: they
    are drawn for all cells together, since cells share their data and initial weights. Few seeds
    may agree by chance, and so may all of their resamples: the deviation is at least that of
    Bonett and Wright (Psychometrika 65 (2000), 23-28) for as many cells that share nothing. It is
    an interval for the mean correlation of so many seeds; that of many more is a little larger in
    size (for 8 seeds 0.94 in place of 0.90).
    """

    other: str
    value: str = "test_error"
    x: str | None = None
    y: str | None = None
    facet: str | None = "optimizer"
    confidence: float = 0.95
    resamples: int = 1000

    @property
    def keys(self) -> list[str]:
        """The columns that make a cell."""
        return [key for key in (self.facet, self.x, self.y) if key is not None]

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: `correlation` within cells, `low`, `high`, and `over_all_runs`.

        `cells` of them have a correlation, `constant` ones do not, because one of the columns is
        the same for all of their seeds, or they have fewer than three. `runs` have both columns.
        `correlation` is NaN where no cell has one.

        Raises:
            SweepError: A column is missing, an id or no number, both are the same, something other
                than the seed varies within a cell, or no run has both.
        """
        table = self.points(runs)
        seeds = np.unique(table["seed"])
        random = np.random.default_rng(0)
        shares = np.full(len(seeds), 1 / len(seeds))
        draws = random.multinomial(len(seeds), shares, self.resamples).astype(float)
        weights = np.concatenate([np.ones((1, len(seeds))), draws])
        names = list(sorted_unique(table, self.facet)) if self.facet else [None]
        parts = [table if name is None else table[table[self.facet] == name] for name in names]
        rows = [self._row(part, seeds, weights) for part in parts]
        result = pd.DataFrame(rows)
        if self.facet:
            result.insert(0, self.facet, names)
        result.attrs = {**runs.attrs, "value": self.value, "other": self.other}
        result.attrs |= {"facet": self.facet, "confidence": self.confidence}
        return result

    def points(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a run that has both columns: the keys, `seed`, `value` and `other`.

        Raises SweepError as a call does.
        """
        if self.other == self.value:
            raise SweepError(f"{self.value} cannot be related to itself. Name another column.")
        require_columns(runs, [*self.keys, self.value, self.other, "seed"])
        require_different(self.keys)
        require_one_run_per_seed(runs, self.keys)
        columns = {name: finite_values(runs, name) for name in (self.value, self.other)}
        table = runs[[*self.keys, "seed"]].assign(**columns).dropna(subset=list(columns))
        if table.empty:
            raise SweepError(f"No run has a finite {self.value} and a finite {self.other}.")
        table.attrs = {**runs.attrs, "value": self.value, "other": self.other, "facet": self.facet}
        return table

    def _row(self, part: pd.DataFrame, seeds: NDArray, weights: Floats) -> dict[str, float]:
        """The numbers of one facet."""
        axes = [key for key in (self.x, self.y) if key is not None]
        groups = [cell for _, cell in part.groupby(axes, dropna=False)] if axes else [part]
        cells = [self._resampled(cell, seeds, weights) for cell in groups]
        usable = [cell for cell in cells if np.isfinite(cell[0])]
        fewest = min((len(cell) for cell in groups if len(cell) >= MIN_SEEDS), default=0)
        row = {"correlation": np.nan, "low": np.nan, "high": np.nan}
        if usable:
            means = _mean_of_finite(usable)
            low, high = fisher_interval(means, fewest, len(usable), self.confidence)
            row = {"correlation": means[0], "low": low, "high": high}
        everything = np.ones((1, len(part)))
        overall = rank_correlations(part[self.value], part[self.other], everything)[0]
        counts = {"cells": len(usable), "constant": len(cells) - len(usable)}
        return {**row, "over_all_runs": overall, **counts, "runs": len(part), "seeds": len(seeds)}

    def _resampled(self, cell: pd.DataFrame, seeds: NDArray, weights: Floats) -> Floats:
        """The correlation in a cell, as it is and in each resample (R,)."""
        if len(cell) < MIN_SEEDS:
            return np.full(len(weights), np.nan)
        own = weights[:, np.searchsorted(seeds, cell["seed"])]
        return rank_correlations(cell[self.value], cell[self.other], own)


def fisher_interval(
    means: Floats, seeds: int, cells: int, confidence: float
) -> tuple[float, float]:
    """The interval of a mean correlation (R,), the first of which is of the seeds as they are.

    Args:
        means: The mean over cells, then that of each resample of the seeds.
        seeds: How many seeds a cell has.
        cells: How many cells there are.
        confidence: The level of the interval.
    """
    # One exchange of neighbouring ranks from perfect agreement, whose z would be infinite.
    largest = 1 - 12 / (seeds * (seeds**2 - 1))
    z = np.arctanh(np.clip(means, -largest, largest))
    deviation = np.nanstd(z[1:], ddof=1) * np.sqrt(seeds / (seeds - 1))
    if seeds <= MIN_SEEDS:
        return -1.0, 1.0
    alone = np.sqrt((1 + means[0] ** 2 / 2) / (seeds - 3) / cells)
    half = stdtrit(seeds - 1, (1 + confidence) / 2) * max(deviation, alone)
    low, high = np.tanh(z[0] - half), np.tanh(z[0] + half)
    # A mean beyond `largest` is in its interval, too.
    return float(min(low, means[0])), float(max(high, means[0]))


def rank_correlations(
    first: Sequence[float] | pd.Series, second: Sequence[float] | pd.Series, weights: Floats
) -> Floats:
    """Spearman's correlation of two columns (N,) where each row counts `weights` (R, N) times.

    Tied values have their mean rank, as in scipy.stats.spearmanr. Returns (R,) correlations, NaN
    where a column is constant.
    """
    step = max(1, BLOCK // max(1, weights.shape[1]))
    # The ranks of very many rows are too much memory for all resamples at once.
    blocks = [weights[start : start + step] for start in range(0, len(weights), step)]
    columns = [np.asarray(column, float) for column in (first, second)]
    return np.concatenate([_block_correlations(columns, block) for block in blocks])


def _block_correlations(columns: list[Floats], weights: Floats) -> Floats:
    """As rank_correlations, for some of the rows of weights."""
    total = weights.sum(axis=1, keepdims=True)
    centred = []
    for column in columns:
        ranks = _mean_ranks(column, weights)
        mean = (weights * ranks).sum(axis=1, keepdims=True) / np.maximum(total, 1)
        centred.append(ranks - mean)
    first, second = centred
    covariance = (weights * first * second).sum(axis=1)
    spread = np.sqrt((weights * first**2).sum(axis=1) * (weights * second**2).sum(axis=1))
    return np.divide(covariance, spread, out=np.full(len(weights), np.nan), where=spread > 1e-9)


def _mean_ranks(column: Floats, weights: Floats) -> Floats:
    """Mean ranks (R, N) of the values of a column (N,) that occur `weights` (R, N) times each."""
    values, places = np.unique(column, return_inverse=True)
    counts = np.zeros((len(weights), len(values)))
    np.add.at(counts.T, places, weights.T)
    below = np.cumsum(counts, axis=1) - counts
    return (below + (counts + 1) / 2)[:, places]


def _mean_of_finite(cells: list[Floats]) -> Floats:
    """The mean over cells (R,) without those that a resample leaves constant."""
    stacked = np.stack(cells)
    finite = np.isfinite(stacked)
    count = finite.sum(axis=0)
    sums = np.where(finite, stacked, 0.0).sum(axis=0)
    return np.divide(sums, count, out=np.full(sums.shape, np.nan), where=count > 0)
