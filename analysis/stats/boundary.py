"""Where a value crosses a level: the boundary of a phase, and the power law that it follows.

Nothing is smoothed before the crossing is looked for. The fit of a row is monotone, or a penalised
logistic curve; intervals are over seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.crossing import logistic_crossing, monotone_crossing
from analysis.stats.intervals import percentile_interval
from analysis.stats.seed_cube import SeedCube, cubes_by_facet, runs_with_values
from sweep.errors import SweepError

Floats = NDArray[np.float64]

MAX_DRAWS, MIN_RESAMPLES = 10_000_000, 50
"""Most seeds drawn in all resamples together, as long as there are enough resamples."""

FITS = {"monotone": monotone_crossing, "logistic": logistic_crossing}


@dataclass(frozen=True)
class Boundary:
    """The x at which `value` crosses `level`, for each y and facet.

    `fit` is `monotone`, the isotonic regression of the cell means, or `logistic`: the x at which
    half of the runs are beyond the level, by Firth's penalised likelihood, which is finite where
    the two sides are separated perfectly. x is interpolated in its logarithm where all of it is
    positive and it is not evenly spaced.

    Intervals come from `resamples` of the seeds: a seed has the same data and first weights in all
    cells, so cells of one seed are drawn together. They are percentile intervals at `confidence`,
    expanded for few seeds (Hesterberg, The American Statistician 69 (2015), 371-386, Section 3.2).
    Where more than half of the change of a row lies between two neighbouring x, the seeds do not
    say where between them the crossing is: each resample then draws it there uniformly, so that the
    interval reflects the spacing of the grid.
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

        Where all cells of a row are on one side, `at` is -inf or inf, and so may be the ends of the
        interval; NaN where the row has no run. `attrs` hold x, y, facet, level and value.

        Raises:
            SweepError: Something other than the seed varies within a cell.
        """
        rows = []
        for name, cube in self._cubes(runs):
            at, resampled = self._crossings(cube)
            row_seeds = zip(cube.ys, cube.seeds_of_rows, strict=True)
            for index, (y, seeds) in enumerate(row_seeds):
                low, high = percentile_interval(resampled[:, index], seeds, self.confidence)
                interval = {"at": at[index], "low": low, "high": high, "seeds": seeds}
                rows.append({**self._keys(name, y), **interval})
        table = pd.DataFrame(rows)
        axes = {"x": self.x, "y": self.y, "facet": self.facet, "value": self.value}
        table.attrs = {**runs.attrs, **axes, "level": self.level, "confidence": self.confidence}
        return table

    def exponent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: the `slope` of log x against log y along the boundary, and its interval.

        By least squares over the `rows` whose crossing lies within the grid and above 0, anew in
        each resample of the `seeds`. `slope`, `low` and `high` are NaN where there are fewer than
        three such rows.

        Raises:
            SweepError: There is no y, or y is not positive.
        """
        if self.y is None:
            raise SweepError("An exponent requires a second axis. Give y.")
        rows = []
        for name, cube in self._cubes(runs):
            if min(cube.ys) <= 0:
                raise SweepError(
                    f"An exponent requires {self.y} above 0. Select such runs with a condition."
                )
            at, resampled = self._crossings(cube)
            log_y = np.log(np.asarray(cube.ys, float))
            slopes = _slopes(log_y, np.concatenate([at[None], resampled]))
            low, high = percentile_interval(slopes[1:], cube.seeds, self.confidence)
            row = {} if self.facet is None else {self.facet: name}
            row |= {"slope": slopes[0], "low": low, "high": high}
            row |= {"rows": int((np.isfinite(at) & (at > 0)).sum()), "seeds": cube.seeds}
            rows.append(row)
        return pd.DataFrame(rows)

    def _keys(self, facet: object, y: float) -> dict[str, object]:
        """The values that identify a row of the table, by column."""
        keys = {self.facet: facet, self.y: y}
        return {column: value for column, value in keys.items() if column is not None}

    def _cubes(self, runs: pd.DataFrame) -> list[tuple[object, SeedCube]]:
        """The values over seeds, y and x, for each facet."""
        keys = [key for key in (self.facet, self.y, self.x) if key is not None]
        table = runs_with_values(runs, keys, self.value)
        return cubes_by_facet(table, self.x, self.y, self.facet)

    def _crossings(self, cube: SeedCube) -> tuple[Floats, Floats]:
        """The crossing of each row (Y,), and of each resample of the seeds (resamples, Y)."""
        random = np.random.default_rng(0)
        shares = np.full(cube.seeds, 1 / cube.seeds)
        # Of very many seeds fewer resamples fit into memory, and their intervals are narrow.
        resamples = min(self.resamples, max(MIN_RESAMPLES, MAX_DRAWS // cube.seeds))
        draws = random.multinomial(cube.seeds, shares, resamples)
        weights = np.concatenate([np.ones((1, cube.seeds)), draws])
        values, level = self._targets(cube)
        present: Floats = cube.present.astype(float)
        # The fits expect a falling value, so a rising one is read from right to left.
        direction = slice(None, None, -1 if cube.rises() else 1)
        crossings = np.full((len(weights), len(cube.ys)), np.nan)
        for row in range(len(cube.ys)):
            # Each row over its own x: refined rows have few x in common.
            columns = np.flatnonzero(cube.present[:, row].any(axis=0))[direction]
            if not len(columns):
                continue
            x = cube.positions[columns]
            sums = weights @ values[:, row, columns]
            counts = weights @ present[:, row, columns]
            crossing = FITS[self.fit](x, sums, counts, level)
            crossing[1:] = _draw_within_gaps(crossing[1:], x, sums[1:], counts[1:], random)
            if cube.logarithmic:
                crossing = np.where(np.isfinite(crossing), np.exp(crossing), crossing)
            crossings[:, row] = crossing
        return crossings[0], crossings[1:]

    def _targets(self, cube: SeedCube) -> tuple[Floats, float]:
        """What to fit (seeds, y, x), 0 where there is no run, and the level that it crosses."""
        if self.fit == "logistic":
            return np.where(cube.present, cube.values > self.level, 0.0), 0.5
        return np.where(cube.present, cube.values, 0.0), self.level


def _draw_within_gaps(
    crossing: Floats, x: Floats, sums: Floats, counts: Floats, random: np.random.Generator
) -> Floats:
    """Crossings (R,), drawn anew within a gap that has more than half of the change of its row.

    Args:
        crossing: (R,) one crossing for each resample.
        x: (X,) the positions of the cells.
        sums: (R, X) sums of the values of each cell.
        counts: (R, X) numbers of runs in each cell.
        random: The source of the draws.
    """
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    if x[0] > x[-1]:
        x, means = x[::-1], means[..., ::-1]
    present, indices = ~np.isnan(means), np.arange(len(x))
    before = present & (x <= crossing[..., None])
    left = np.where(before, indices, -1).max(axis=-1)
    right = np.where(present & ~before, indices, len(x)).min(axis=-1)
    inside = np.isfinite(crossing) & (left >= 0) & (right < len(x))
    left, right = np.where(inside, left, 0), np.where(inside, right, 0)
    left_mean = np.take_along_axis(means, left[..., None], axis=-1)[..., 0]
    right_mean = np.take_along_axis(means, right[..., None], axis=-1)[..., 0]
    high = np.where(present, means, -np.inf).max(axis=-1)
    low = np.where(present, means, np.inf).min(axis=-1)
    coarse = inside & (np.abs(left_mean - right_mean) > (high - low) / 2)
    # Draws for all resamples, needed or not, keep the stream of random numbers aligned.
    return np.where(coarse, random.uniform(x[left], x[right]), crossing)


def _slopes(log_y: Floats, at: Floats) -> Floats:
    """Least-squares slopes (R,) of log x against log y (Y,) for several boundaries (R, Y)."""
    inside = np.isfinite(at) & (at > 0)
    count = inside.sum(axis=1)
    log_x = np.log(np.where(inside, at, 1.0))
    mean = (inside * log_y).sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
    centred = np.where(inside, log_y - mean, 0.0)
    spread = (centred**2).sum(axis=1)
    slope = (centred * log_x).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    return np.where((count >= 3) & (spread > 0), slope, np.nan)
