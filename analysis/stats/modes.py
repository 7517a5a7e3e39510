"""Seeds that split into modes: what share of them ends where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.stats.bounded_mean import bounded_intervals
from analysis.tables.axes import (
    finite_values,
    require_columns,
    require_different,
    require_one_run_per_seed,
)

GAP = 0.2
"""Modes lie at least this far apart: a fifth of the range of an error."""

GAP_TO_WIDTH = 4
"""Modes lie at least this many times as far apart as the widest of them is wide."""

MIN_SEEDS = 4
"""Fewer seeds show no modes: two of them always leave a gap."""


@dataclass(frozen=True)
class Modes:
    """The modes of `value` over the seeds of each cell of `x`, `y` and `facet`.

    At least MIN_SEEDS seeds split into modes where some of their sorted values lie GAP apart or
    more, and each such gap is at least GAP_TO_WIDTH times as wide as the widest mode. A mean over
    modes is the value of no seed.
    """

    x: str | None
    y: str | None = None
    value: str = "test_error"
    facet: str | None = None
    level: float = 0.95

    def __call__(self, table: pd.DataFrame) -> pd.DataFrame:
        """One row a mode of a cell: its keys, `mode`, `center`, `seeds`, `count`, `share`, `low`,
        `high`.

        Modes are numbered from 1, ascending in their mean `center`. `seeds` of the `count` finite
        runs are in the mode; `low` and `high` are the interval of their share at `level`. Raises
        SweepError where something else than the seed varies within a cell.
        """
        keys = [key for key in (self.facet, self.x, self.y) if key is not None]
        require_columns(table, [*keys, self.value])
        require_different(keys)
        require_one_run_per_seed(table, keys)
        runs = table.assign(_value=finite_values(table, self.value)).dropna(subset=["_value"])
        groups = runs.groupby(keys or (lambda _: 0), dropna=False)
        runs = runs.assign(_cell=groups.ngroup()).sort_values(["_cell", "_value"])
        values, cells = runs["_value"].to_numpy(float), runs["_cell"].to_numpy(int)
        runs["mode"] = 1 + mode_numbers(values, cells)
        by_mode = runs.groupby(["_cell", *keys, "mode"], dropna=False)["_value"]
        modes = by_mode.agg(center="mean", seeds="size").reset_index()
        modes["count"] = modes.groupby("_cell")["seeds"].transform("sum")
        modes["share"] = modes["seeds"] / modes["count"]
        modes["low"], modes["high"] = _share_intervals(modes, self.level)
        modes = modes[[*keys, "mode", "center", "seeds", "count", "share", "low", "high"]]
        axes = {"x": self.x, "y": self.y, "facet": self.facet, "level": self.level}
        modes.attrs = {**table.attrs, **axes, "column": self.value}
        modes.attrs["of"] = table.attrs.get("value") or self.value
        return modes


def split_modes(modes: pd.DataFrame) -> pd.DataFrame:
    """The modes of the cells that have several, from a table of Modes."""
    split = modes[modes["seeds"] < modes["count"]]
    split.attrs = modes.attrs
    return split


def mode_numbers(values: NDArray[np.float64], cells: NDArray[np.int_]) -> NDArray[np.int_]:
    """The mode of each value within its cell, numbered from 0.

    Args:
        values: (N,) Outcomes, ascending within each cell.
        cells: (N,) Numbers of their cells, ascending.
    """
    if not len(values):
        return np.zeros(0, int)
    step = np.diff(values, prepend=values[0])
    first = np.diff(cells, prepend=-1) != 0
    cut = ~first & (step >= GAP)
    starts = np.flatnonzero(first | cut)
    width = np.maximum.reduceat(values, starts) - np.minimum.reduceat(values, starts)
    widest, smallest = np.zeros(cells[-1] + 1), np.full(cells[-1] + 1, np.inf)
    np.maximum.at(widest, cells[starts], width)
    np.minimum.at(smallest, cells[cut], step[cut])
    apart = (smallest >= GAP_TO_WIDTH * widest) & (np.bincount(cells) >= MIN_SEEDS)
    cuts = np.cumsum(cut)
    # cuts up to the first value of each cell belong to the cells before
    before = cuts[first][np.cumsum(first) - 1]
    return np.where(apart[cells], cuts - before, 0)


def _share_intervals(modes: pd.DataFrame, level: float) -> tuple[pd.Series, pd.Series]:
    """The interval of each mode's share: that of the mean of outcomes 0 and 1."""
    low, high = pd.Series(np.nan, modes.index), pd.Series(np.nan, modes.index)
    for _, part in modes.groupby("count"):
        outcomes = (np.arange(part["count"].iloc[0]) < part["seeds"].to_numpy()[:, None]).astype(
            float
        )
        low[part.index], high[part.index] = bounded_intervals(outcomes, 0.0, 1.0, level)
    return low, high
