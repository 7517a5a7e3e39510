"""From runs to cells: means with intervals over seeds, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.mean_intervals import ValueRange, mean_intervals
from analysis.stats.simultaneous import familywise_p_values, fewest_seeds
from analysis.tables.axes import (
    DERIVED,
    finite_values,
    require_columns,
    require_different,
    require_one_run_per_seed,
)
from analysis.tables.collapsed import collapsed


@dataclass(frozen=True)
class Cells:
    """Mean of `value` over seeds in each cell of `x`, `y` and `facet`, any of which may be None.

    The interval at `level` is Student's, or one that does not collapse where the seeds of a bounded
    value may split into modes (see `mean_intervals`); on a table of PairedGap it is the paired one.
    Nothing is smoothed, and nothing but the seed is averaged over.
    """

    x: str | None
    y: str | None = None
    value: str = "test_error"
    facet: str | None = None
    level: float = 0.95

    @property
    def keys(self) -> list[str]:
        """The columns that make a cell."""
        return [key for key in (self.facet, self.x, self.y) if key is not None]

    def __call__(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row a cell: its keys, `mean`, `low`, `high`, `count`, `nonfinite`, `expected`,
        `incomplete`, `modes`, `interval`.

        `count` runs are averaged, `nonfinite` ones are not. A cell is `incomplete` where it has
        fewer runs than `expected`: the largest number in any cell, unless the table is known to be
        complete. `modes` is how many its seeds split into (see Modes), `interval` which one it
        has. Differences also have `p_map`, for marks that hold in the whole map (see
        `familywise_p_values`), and tables in which networks collapsed to zero `collapsed`, the
        share of runs that did. Raises SweepError where something else than the seed varies within a
        cell.
        """
        require_columns(table, [*self.keys, self.value])
        require_different(self.keys)
        require_one_run_per_seed(table, self.keys)
        # A key is grouped through a copy, so that a column can be a key and the value, or have any name.
        values = finite_values(table, self.value)
        groups = table.assign(_value=values).groupby(self.keys or (lambda _: 0), dropna=False)
        cells = groups.agg(
            mean=("_value", "mean"),
            _std=("_value", "std"),
            count=("_value", "count"),
            _rows=("_value", "size"),
        )
        runs = pd.DataFrame({"cell": groups.ngroup(), "value": values})
        # of whole seeds, where their signs are changed
        runs["seed"] = pd.factorize(table["seed"])[0] if "seed" in table else np.nan
        runs = runs.dropna(subset=["value"]).sort_values(["cell", "value"])
        cells = cells.assign(**self._intervals(cells, runs, _value_range(self.value, table)))
        further = self._further(table, runs, groups)
        cells["nonfinite"] = cells["_rows"] - cells["count"]
        # In a complete sweep cells may differ in their seeds on purpose.
        complete = table.attrs.get("complete") is True
        cells["expected"] = cells["_rows"] if complete else cells["_rows"].max()
        cells["incomplete"] = cells["_rows"] < cells["expected"]
        cells = cells.reset_index()[[*self.keys, *COLUMNS]].assign(**further)
        cells.attrs = {
            **table.attrs,
            "x": self.x,
            "y": self.y,
            "facet": self.facet,
            "level": self.level,
        }
        of = self.value in DERIVED and table.attrs.get("value")
        cells.attrs |= {"of": of or self.value, "column": self.value}
        cells.attrs |= {"map_seeds": runs["seed"].nunique(), "map_cells": len(cells)}
        cells.attrs["fewest_seeds"] = fewest_seeds(1 - self.level)
        return cells

    def _further(self, table: pd.DataFrame, runs: pd.DataFrame, groups: Any) -> dict[str, Any]:
        """Columns that some tables have: `p_map` of differences, `collapsed` where networks did."""
        further = {}
        if self.value == "difference" and "seed" in table:
            further["p_map"] = _map_p_values(runs, groups.ngroups)
        zero = table["collapsed"] if "collapsed" in table else collapsed(table)
        if zero.any():
            shares = zero.astype(float).groupby(groups.ngroup()).mean()
            further["collapsed"] = shares.to_numpy()
        return further

    def _intervals(
        self, cells: pd.DataFrame, runs: pd.DataFrame, ends: ValueRange
    ) -> dict[str, Any]:
        """Columns `low`, `high`, `modes` and `interval` of the cells."""
        facet = 0 if self.facet is None else cells.groupby(level=self.facet).ngroup().to_numpy()
        numbered = cells.reset_index(drop=True).rename(columns={"_std": "std"})
        numbered["facet"] = facet
        found = mean_intervals(numbered, runs, ends, self.level)
        return {str(name): found[name].to_numpy() for name in found}


def _map_p_values(runs: pd.DataFrame, cells: int) -> NDArray[np.float64]:
    """The p-value of each cell over all of them, from the differences of `runs`."""
    seeds = pd.factorize(runs["seed"])[0]
    values = np.zeros((seeds.max(initial=-1) + 1, cells))
    np.add.at(values, (seeds, runs["cell"]), runs["value"])
    return familywise_p_values(values)


VALUE_RANGES = {
    "test_error": ValueRange(0.0, 1.0),
    "train_error": ValueRange(0.0, 1.0),
    "validation_error": ValueRange(0.0, 1.0),
    "test_ties": ValueRange(0.0, 1.0),
    "generalization_gap": ValueRange(-1.0, 1.0),
    "test_loss": ValueRange(0.0),
    "train_loss": ValueRange(0.0),
    "validation_loss": ValueRange(0.0),
}
"""Smallest and largest value of a column. The interval of a mean ends there."""


def _value_range(value: str, table: pd.DataFrame) -> ValueRange:
    """Where the values of a column end, or the differences of two of them where it is one."""
    paired = table.attrs.get("value")
    if value not in DERIVED or paired is None:
        fits = "train_error" in table and bool((table["train_error"] == 0).all())
        # without any training error the gap is the test error
        of = "test_error" if value == "generalization_gap" and fits else value
        return VALUE_RANGES.get(of, ValueRange())
    ends = VALUE_RANGES.get(paired, ValueRange())
    if value != "difference":
        return ends
    return ValueRange(ends.lowest - ends.highest, ends.highest - ends.lowest)


COLUMNS = (
    "mean",
    "low",
    "high",
    "count",
    "nonfinite",
    "expected",
    "incomplete",
    "modes",
    "interval",
)
"""What Cells computes of each cell."""
