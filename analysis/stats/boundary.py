"""Where a value crosses a level: the boundary of a phase, and the power law that it follows.

Nothing is smoothed before crossings are looked for. The fit of a row is monotone between its
changes of direction, or one penalised logistic curve; intervals are over seeds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.branches import BRANCH_NAME, FALLING, NONE, RISING, Row
from analysis.stats.resampling import Resamples, interval
from analysis.stats.row_crossings import RowCrossings
from analysis.stats.seed_cube import SeedCube, cubes_by_facet, runs_with_values
from sweep.errors import SweepError

Floats = NDArray[np.float64]

MAX_DRAWS, MIN_RESAMPLES = 10_000_000, 50
"""Most seeds drawn in all resamples together, as long as there are enough resamples."""


@dataclass(frozen=True)
class Boundary:
    """The x at which `value` crosses `level`, for each y and facet: all of them, by branch.

    `fit` is `monotone`, the isotonic regression of the cell means, or `logistic`: the x at which
    half of the runs are beyond the level, by Firth's penalised likelihood, which is finite where
    the two sides are separated perfectly. x is interpolated in its logarithm where all of it is
    positive and it is not evenly spaced.

    A row may cross several times. Its stretches above and below the level count where the seeds
    settle their side, by 2.5 standard errors; between the middles of neighbouring ones the
    regression is monotone. The crossings in one direction make a branch, `falling` or `rising`
    along x; where a row has several, they are counted from the low end of the trend: `falling 2`
    is one further away. A logistic curve has one crossing by its definition, with the trend.

    Exponents, theories and refinements follow one branch: `branch`, or else the one in the
    direction in which the value of the facet changes from the first to the last x.

    Intervals come from `resamples` of the seeds: a seed has the same data and first weights in all
    cells, so cells of one seed are drawn together. They are percentile intervals at `confidence`,
    expanded for few seeds (Hesterberg, The American Statistician 69 (2015), 371-386, Section 3.2).
    Where more than half of the change of a row lies between two neighbouring x, the seeds do not
    say where between them the crossing is: each resample then draws it there uniformly, so that the
    interval reflects the spacing of the grid. So it does between several x at the very level.
    """

    x: str
    y: str | None = None
    value: str = "test_error"
    level: float = 0.25
    facet: str | None = None
    fit: Literal["monotone", "logistic"] = "monotone"
    confidence: float = 0.95
    resamples: int = 1000
    branch: str | None = None

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row for each facet, y and crossing: `branch`, `at`, `low`, `high`, and on the row:

        `seeds`, how many have a run in it; `side`, on which of the level all of it lies, `above`
        (or at it) or `below`, and `both` where it crosses; `crossings`, how often it does;
        `unsettled`, how many further changes of side its means have that the seeds do not settle;
        `monotone`, whether it is, as far as the seeds tell; `followed`, whether this is the branch
        that is followed.

        Where a row crosses nowhere, its branch is `none` and `at` is inf or -inf, the end of x
        beyond which the trend would cross; ends of intervals are infinite where the seeds do not
        exclude that. `at` is NaN where the row has no run. `attrs` hold x, y, facet, level and
        value.

        Raises:
            SweepError: Something other than the seed varies within a cell.
        """
        rows = []
        for name, cube in self._cubes(runs):
            followed = self._followed(cube)
            for y, row in zip(cube.ys, self._rows(cube), strict=True):
                records = row.records(followed, self.confidence)
                rows += [{**self._keys(name, y), **record} for record in records]
        table = pd.DataFrame(rows)
        axes = {"x": self.x, "y": self.y, "facet": self.facet, "value": self.value}
        table.attrs = {**runs.attrs, **axes, "level": self.level, "confidence": self.confidence}
        return table

    def follow(self, runs: pd.DataFrame) -> pd.DataFrame:
        """The rows of the table on the branch that is followed: see `followed_rows`.

        Raises:
            SweepError: As above, or no row has the `branch`.
        """
        table = self(runs)
        if self.branch is not None and not table["followed"].any():
            there = ", ".join(sorted(set(table["branch"]) - {NONE})) or "none"
            raise SweepError(
                f"{self.value} crosses {self.level:g} on no branch {self.branch!r}. There is "
                f"{there}; name another branch, or leave it out."
            )
        return followed_rows(table)

    def exponent(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a facet: the `slope` of log x against log y along its `branch`, with interval.

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
            branch = self._followed(cube)
            places = np.stack([row.places(branch) for row in self._rows(cube)], axis=1)
            slopes = _slopes(np.log(np.asarray(cube.ys, float)), places)
            low, high = interval(slopes[1:], cube.seeds, self.confidence)
            row: dict[str, object] = {} if self.facet is None else {self.facet: name}
            row |= {"branch": branch, "slope": slopes[0], "low": low, "high": high}
            row |= {"rows": int((np.isfinite(places[0]) & (places[0] > 0)).sum())}
            rows.append({**row, "seeds": cube.seeds})
        return pd.DataFrame(rows)

    def _keys(self, facet: object, y: float) -> dict[str, object]:
        """The values that identify a row of the table, by column."""
        keys = {self.facet: facet, self.y: y}
        return {column: value for column, value in keys.items() if column is not None}

    def _cubes(self, runs: pd.DataFrame) -> list[tuple[object, SeedCube]]:
        """The values over seeds, y and x, for each facet."""
        if self.branch is not None and not re.fullmatch(BRANCH_NAME, self.branch):
            raise SweepError(
                f"There is no branch {self.branch!r}. Name falling or rising, or a further one "
                "such as 'falling 2'."
            )
        keys = [key for key in (self.facet, self.y, self.x) if key is not None]
        table = runs_with_values(runs, keys, self.value)
        return cubes_by_facet(table, self.x, self.y, self.facet)

    def _followed(self, cube: SeedCube) -> str:
        """The branch that is followed in one facet."""
        return self.branch or (RISING if cube.rises() else FALLING)

    def _rows(self, cube: SeedCube) -> Iterator[RowCrossings]:
        """What was found in each row, in units of x."""
        random = np.random.default_rng(0)
        shares = np.full(cube.seeds, 1 / cube.seeds)
        # Of very many seeds fewer resamples fit into memory, and their intervals are narrow.
        count = min(self.resamples, max(MIN_RESAMPLES, MAX_DRAWS // cube.seeds))
        draws = random.multinomial(cube.seeds, shares, count)
        weights = np.concatenate([np.ones((1, cube.seeds)), draws.astype(float)])
        resamples = Resamples(weights, self.fit, self.confidence, random)
        rises = cube.rises()
        for index in range(len(cube.ys)):
            # Each row over its own x: refined rows have few x in common.
            columns = np.flatnonzero(cube.present[:, index].any(axis=0))
            row = self._row(cube.values[:, index, columns])
            found = RowCrossings.of(row, cube.positions[columns], resamples, rises)
            yield found.in_units_of_x() if cube.logarithmic else found

    def _row(self, values: Floats) -> Row:
        """What is fitted to values (S, X), and the level that it crosses."""
        if self.fit == "logistic":
            return Row(np.where(np.isnan(values), np.nan, values > self.level), 0.5)
        return Row(values, self.level)


def followed_rows(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each facet and y of a table of Boundary: that on the branch that is followed.

    Where a row has other crossings only, its branch, `at`, `low` and `high` are missing.
    """
    keys = [key for key in (table.attrs["facet"], table.attrs["y"]) if key is not None]
    # Without keys there is only one row.
    groups = [table[key] for key in keys] or [pd.Series(0, table.index)]
    followed = table["followed"]
    elsewhere = ~followed.groupby(groups, dropna=False).transform("any")
    first = ~pd.concat(groups, axis=1).duplicated()
    chosen = table[followed | (elsewhere & first)].copy()
    missing = ~chosen["followed"]
    chosen.loc[missing, "branch"] = None
    chosen.loc[missing, ["at", "low", "high"]] = np.nan
    return chosen.reset_index(drop=True)


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
