"""Values of runs by seed, y and x: what boundaries and collapses resample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.tables.axes import (
    finite_values,
    require_columns,
    require_different,
    require_one_run_per_seed,
    sorted_unique,
)
from sweep.errors import SweepError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedCube:
    """Values (S, Y, X) by seed, y and x; `present` says which runs there are.

    `logarithmic` says whether one interpolates in log x.
    """

    xs: list[float]
    ys: list[float]
    values: Floats
    present: NDArray[np.bool_]
    logarithmic: bool

    @classmethod
    def of(cls, table: pd.DataFrame, x: str, y: str | None) -> SeedCube:
        """From the values `_value` of runs, one for each seed in a cell.

        Args:
            table: Rows of `runs_with_values`.
            x: The column along which a value crosses a level.
            y: The column that distinguishes rows, if any.
        """
        xs, ys = _sorted_numbers(table, x), _sorted_numbers(table, y) if y else [0.0]
        seeds = _sorted_numbers(table, "seed")
        values = np.full((len(seeds), len(ys), len(xs)), np.nan)
        indices = (
            np.searchsorted(seeds, table["seed"]),
            np.searchsorted(ys, table[y]) if y else 0,
            np.searchsorted(xs, table[x]),
        )
        values[indices] = table["_value"]
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
        return self.present.any(axis=2).sum(axis=0).tolist()

    @property
    def positions(self) -> Floats:
        """x, or its logarithm (X,): where one interpolates."""
        xs = np.asarray(self.xs, float)
        return np.log(xs) if self.logarithmic else xs

    def rises(self) -> bool:
        """Whether the value rises from the first to the last x of its rows, on the whole."""
        rise = 0.0
        rows = zip(self.values.swapaxes(0, 1), self.present.swapaxes(0, 1), strict=True)
        for values, present in rows:
            columns = np.flatnonzero(present.any(axis=0))
            if len(columns):
                rise += np.nanmean(values[:, columns[-1]]) - np.nanmean(values[:, columns[0]])
        return bool(rise > 0)


def runs_with_values(runs: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """The runs with a finite value, in the new column `_value`.

    Args:
        runs: One row a run.
        keys: The columns that make a cell.
        value: The column of the values.

    Raises:
        SweepError: A column is missing, or its value in some run; something other than the seed
            varies within a cell, or no value is finite.
    """
    require_columns(runs, [*keys, value, "seed"])
    require_different(keys)
    for name in keys:
        if runs[name].isna().any():
            raise SweepError(
                f"Some runs have no {name}. Choose another axis, or select the runs that have it "
                "by a condition."
            )
    require_one_run_per_seed(runs, keys)
    table = runs.assign(_value=finite_values(runs, value)).dropna(subset=["_value"])
    if table.empty:
        raise SweepError(f"No run has a finite {value}.")
    return table


def cubes_by_facet(
    table: pd.DataFrame, x: str, y: str | None, facet: str | None
) -> list[tuple[object, SeedCube]]:
    """The facets of a table in order, each with its cube.

    Args:
        table: Rows of `runs_with_values`.
        x: The column along which a value crosses a level.
        y: The column that distinguishes rows, if any.
        facet: The column of the facets; without one the only facet is None.
    """
    if facet is None:
        return [(None, SeedCube.of(table, x, y))]
    names = sorted_unique(table, facet)
    return [(name, SeedCube.of(table[table[facet] == name], x, y)) for name in names]


def _sorted_numbers(table: pd.DataFrame, name: str) -> list[float]:
    """The distinct values of a column, ascending. Raises SweepError where they are no numbers."""
    if table[name].dtype.kind not in "iuf":
        raise SweepError(
            f"{name} is not numeric, so nothing can cross a level along it. Take another axis."
        )
    return [float(number) for number in np.unique(table[name].dropna())]
