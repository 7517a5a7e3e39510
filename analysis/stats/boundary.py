"""Where a value crosses a level: the boundary of a phase, with intervals over seeds, and the power law that it follows.

Nothing is smoothed before the crossing is looked for. The fit of a row is monotone, or a penalised logistic curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.crossing import logistic_crossing, monotone_crossing
from analysis.stats.intervals import percentile_interval
from analysis.tables.axes import finite_values, require_columns, require_one_run_per_seed, sorted_unique
from sweep.errors import SweepError

Floats = NDArray[np.float64]

FITS = {"monotone": monotone_crossing, "logistic": logistic_crossing}


@dataclass(frozen=True)
class Boundary:
    """The x at which `value` crosses `level`, for each y and facet.

    `fit` is `monotone`, the isotonic regression of the cell means, or `logistic`: the x at which half of the runs are
    beyond the level, by Firth's penalised likelihood, which is finite where the two sides are separated perfectly.
    x is interpolated in its logarithm where all of it is positive and it is not evenly spaced.

    Intervals come from `resamples` of the seeds: a seed has the same data and first weights in all cells, so cells of
    one seed are drawn together. They are percentile intervals at `confidence`, expanded for few seeds (Hesterberg,
    The American Statistician 69 (2015), 371-386, Section 3.2). Where more than half of the change of a row lies between
    two neighbouring x, the seeds say nothing of where between them it is: each resample then draws the crossing there
    evenly, so that the interval has the spacing of the grid in it.
    """

    x: str
    y: str | None = None
    value: str = "test_error"
    level: float = 0.25
    facet: str | None = None
    fit: Literal["monotone", "logistic"] = "monotone"
    confidence: float = 0.95
    resamples: int = 1000

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet and y: `at`, `low`, `high`, and `seeds`, how many have a run in the row.

        Where all cells of a row are on one side, `at` is -inf or inf, and so may be the ends of the interval; NaN where
        the row has no run. `attrs` say x, y, facet, level and value. Raises SweepError where something else than the
        seed varies within a cell.
        """
        rows = []
        for name, cube in self._cubes(runs):
            at, drawn = self._crossings(cube)
            for place, (y, seeds) in enumerate(zip(cube.ys, cube.seeds_of_rows, strict=True)):
                keys = {key: each for key, each in ((self.facet, name), (self.y, y)) if key is not None}
                low, high = percentile_interval(drawn[:, place], seeds, self.confidence)
                rows.append({**keys, "at": at[place], "low": low, "high": high, "seeds": seeds})
        table = pd.DataFrame(rows)
        table.attrs = {**runs.attrs, "x": self.x, "y": self.y, "facet": self.facet, "value": self.value}
        table.attrs |= {"level": self.level, "confidence": self.confidence}
        return table

    def exponent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: the `slope` of log x against log y along the boundary, `low`, `high`, `rows`, `seeds`.

        By least squares over the `rows` whose crossing lies within the grid and above 0, in each resample anew. NaN
        where there are fewer than three such rows. Raises SweepError where there is no y, or y is not positive.
        """
        if self.y is None:
            raise SweepError("An exponent wants a second axis. Give y.")
        found = []
        for name, cube in self._cubes(runs):
            if min(cube.ys) <= 0:
                raise SweepError(f"An exponent wants {self.y} above 0. Keep such runs with a condition.")
            at, drawn = self._crossings(cube)
            slopes = _slopes(np.log(np.asarray(cube.ys, float)), np.concatenate([at[None], drawn]))
            low, high = percentile_interval(slopes[1:], cube.seeds, self.confidence)
            inside = int((np.isfinite(at) & (at > 0)).sum())
            key = {} if self.facet is None else {self.facet: name}
            found.append({**key, "slope": slopes[0], "low": low, "high": high, "rows": inside, "seeds": cube.seeds})
        return pd.DataFrame(found)

    def _cubes(self, runs: pd.DataFrame) -> list[tuple[object, SeedCube]]:
        keys = [key for key in (self.facet, self.y, self.x) if key is not None]
        require_columns(runs, [*keys, self.value, "seed"])
        require_one_run_per_seed(runs, keys)
        table = runs.assign(_value=finite_values(runs, self.value)).dropna(subset=["_value"])
        if table.empty:
            raise SweepError(f"No run has a finite {self.value}.")
        names = list(sorted_unique(table, self.facet)) if self.facet else [None]
        parts = [table if name is None else table[table[self.facet] == name] for name in names]
        return [(name, SeedCube.of(part, self.x, self.y)) for name, part in zip(names, parts, strict=True)]

    def _crossings(self, cube: SeedCube) -> tuple[Floats, Floats]:
        """Crossing of each row (rows,), and of each resample of the seeds (resamples, rows)."""
        random = np.random.default_rng(0)
        drawn = random.multinomial(cube.seeds, np.full(cube.seeds, 1 / cube.seeds), self.resamples)
        weights = np.concatenate([np.ones((1, cube.seeds)), drawn])
        beyond = cube.values > self.level if self.fit == "logistic" else cube.values
        values: Floats = np.where(cube.there, beyond, 0.0)
        there: Floats = cube.there.astype(float)
        level = 0.5 if self.fit == "logistic" else self.level
        turn = slice(None, None, -1 if _rises(cube) else 1)  # the fits look for a value that falls
        found = np.full((len(weights), len(cube.ys)), np.nan)
        for row in range(len(cube.ys)):  # each over its own x: rows that were refined have few in common
            here = np.flatnonzero(cube.there[:, row].any(axis=0))[turn]
            if len(here):
                x, sums, counts = cube.positions[here], weights @ values[:, row, here], weights @ there[:, row, here]
                crossing = FITS[self.fit](x, sums, counts, level)
                crossing[1:] = _between(crossing[1:], x, sums[1:], counts[1:], random)
                found[:, row] = (
                    np.where(np.isfinite(crossing), np.exp(crossing), crossing) if cube.logarithmic else crossing
                )
        return found[0], found[1:]


@dataclass(frozen=True)
class SeedCube:
    """Values by seed, y and x; `there` says which runs there are. `positions` are the x where one interpolates."""

    xs: list[float]
    ys: list[float]
    values: Floats
    there: NDArray[np.bool_]
    logarithmic: bool

    @classmethod
    def of(cls, table: pd.DataFrame, x: str, y: str | None) -> SeedCube:
        """From a table of runs, one for each seed in a cell."""
        xs, ys = _numbers(table, x), _numbers(table, y) if y else [0.0]
        seeds = _numbers(table, "seed")
        values = np.full((len(seeds), len(ys), len(xs)), np.nan)
        place = [
            np.searchsorted(seeds, table["seed"]),
            np.searchsorted(ys, table[y]) if y else 0,
            np.searchsorted(xs, table[x]),
        ]
        values[tuple(place)] = table["_value"]
        steps = np.diff(np.asarray(xs, float))
        even = len(xs) > 2 and np.ptp(steps) <= 1e-6 * steps.mean()
        return cls(xs, ys, values, ~np.isnan(values), bool(min(xs) > 0 and not even))

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.values)

    @property
    def seeds_of_rows(self) -> list[int]:
        """How many of them have a run in each row."""
        return self.there.any(axis=2).sum(axis=0).tolist()

    @property
    def positions(self) -> Floats:
        """x, or its logarithm."""
        xs = np.asarray(self.xs, float)
        return np.log(xs) if self.logarithmic else xs


def _between(crossing: Floats, x: Floats, sums: Floats, counts: Floats, random: np.random.Generator) -> Floats:
    """Crossings (many, rows), drawn anew between their neighbours where more than half of the change lies there."""
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    x, means = (x[::-1], means[..., ::-1]) if x[0] > x[-1] else (x, means)
    there, place = ~np.isnan(means), np.arange(len(x))
    before = there & (x <= crossing[..., None])
    left = np.where(before, place, -1).max(axis=-1)
    right = np.where(there & ~before, place, len(x)).min(axis=-1)
    inside = np.isfinite(crossing) & (left >= 0) & (right < len(x))
    left, right = (np.where(inside, each, 0) for each in (left, right))
    ends = [np.take_along_axis(means, each[..., None], axis=-1)[..., 0] for each in (left, right)]
    change = np.where(there, means, -np.inf).max(axis=-1) - np.where(there, means, np.inf).min(axis=-1)
    coarse = inside & (np.abs(ends[0] - ends[1]) > change / 2)
    return np.where(coarse, random.uniform(x[left], x[right]), crossing)


def _numbers(table: pd.DataFrame, name: str) -> list[float]:
    """The distinct values of a column, ascending. Raises SweepError where they are no numbers."""
    if table[name].dtype.kind not in "iuf":
        raise SweepError(f"{name} is no number, so nothing can cross a level along it. Take another axis.")
    return [float(each) for each in np.unique(table[name].dropna())]


def _rises(cube: SeedCube) -> bool:
    """Does the value rise along the rows, on the whole: from the first to the last x that each has runs at?"""
    rise = 0.0
    for values, there in zip(cube.values.swapaxes(0, 1), cube.there.swapaxes(0, 1), strict=True):
        here = np.flatnonzero(there.any(axis=0))
        rise += np.nanmean(values[:, here[-1]]) - np.nanmean(values[:, here[0]]) if len(here) else 0.0
    return bool(rise > 0)


def _slopes(y: Floats, at: Floats) -> Floats:
    """Least-squares slope of log x against log y for each of several boundaries (many, rows)."""
    inside = np.isfinite(at) & (at > 0)
    count = inside.sum(axis=1)
    x = np.log(np.where(inside, at, 1.0))
    centred = np.where(inside, y - (inside * y).sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None], 0.0)
    spread = (centred**2).sum(axis=1)
    slope = (centred * x).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    return np.where((count >= 3) & (spread > 0), slope, np.nan)
