"""Which part of a table a page shows: a plane, at fixed values of the other axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.stats.paired_gap import check_optimizers, tuned
from analysis.tables.axes import (
    is_determined_by,
    plane,
    problem_axes,
    require_columns,
    require_different,
    sorted_unique,
    swept,
    training_axes,
)
from analysis.tables.labels import axis_label, format_number
from sweep.schema import KINDS


@dataclass(frozen=True)
class View:
    """The runs that a page shows, reduced to at most two axes.

    Attributes:
        runs: The runs that are shown.
        x: Horizontal axis, None where nothing varies.
        y: Vertical axis, None where fewer than two axes vary.
        notes: Sentences about what was left out.
        fixed: Columns that are held at one value, with that value.
        all_runs: The runs before anything was left out.
    """

    runs: pd.DataFrame
    x: str | None
    y: str | None
    notes: tuple[str, ...]
    fixed: Mapping[str, Any]
    all_runs: pd.DataFrame

    @property
    def keys(self) -> list[str]:
        """The axes that there are."""
        return [key for key in (self.x, self.y) if key is not None]

    @property
    def pairing_axes(self) -> tuple[str, ...]:
        """The axes that belong to the training: runs are paired at each of their values."""
        is_problem_axis = {key: is_determined_by(self.runs, key, ["problem"]) for key in self.keys}
        return tuple(key for key in self.keys if not is_problem_axis[key])

    def slices(self, max_values: int = 8) -> Iterator[tuple[str, Any, View]]:
        """The same plane at every value of every fixed numeric column.

        Columns with more than `max_values` values are left out. Yields the column, its value, and
        the view there.
        """
        for name in self.fixed:
            held = [(column, value) for column, value in self.fixed.items() if column != name]
            runs = _select(self.all_runs, held)
            values = list(sorted_unique(runs, name))
            if not 1 < len(values) <= max_values or isinstance(values[0], str):
                continue
            for value in values:
                fixed = {**self.fixed, name: value}
                part = tuned(_select(runs, [(name, value)]), by=self.keys)
                yield name, value, View(part, self.x, self.y, (), fixed, self.all_runs)


def make_view(
    runs: pd.DataFrame,
    x: str | None = None,
    y: str | None = None,
    facet: str | None = None,
    tune: str = "train_loss",
) -> View:
    """Reduce a table to one plane without averaging over anything but seeds.

    A column that is no axis is held at its most frequent value, at the middle one of several.
    Hyperparameters are those of the best run of each problem and optimizer.

    Args:
        runs: A table of runs.
        x: Horizontal axis; by default chosen from the columns that vary.
        y: Vertical axis; likewise.
        facet: Another column that may vary.
        tune: The column that the best run minimizes.

    Raises SweepError on a name that is no column or given twice, and on more optimizers than can be compared.
    """
    check_optimizers(runs)
    notes: list[str] = []
    fixed: dict[str, Any] = {}
    kinds = [name for name in KINDS if name != "optimizer"]
    part = _fix(runs, [name for name in swept(runs) if name in kinds], [], notes, fixed)
    require_columns(part, [name for name in (x, y, facet) if name is not None])
    require_different([name for name in (x, y, facet) if name is not None])
    # The axes are chosen within one facet: what only differs between facets is no axis.
    panel = part if facet in (None, "optimizer") else _fix(part, [facet], [], [], {})
    x, y = plane(panel, x, y)
    keys = [key for key in (x, y, facet) if key is not None]
    hyperparameters = [name for name in training_axes(part) if name not in keys]
    rest = [name for name in swept(part) if name not in hyperparameters]
    names = [name for name in (*problem_axes(part), *rest) if name not in keys]
    part = _fix(part, names, keys, notes, fixed)
    # again, as fewer hyperparameters may vary among the runs that are left
    hyperparameters = [name for name in training_axes(part) if name not in keys]
    if hyperparameters:
        part = tuned(part, tune, keys)
        notes.append(
            f"Over {', '.join(hyperparameters)}, the run with the smallest {axis_label(tune)} is "
            "shown for each problem and optimizer; test data played no part in the choice."
        )
    return View(part, x, y, tuple(notes), fixed, runs)


def _fix(
    runs: pd.DataFrame,
    names: list[str],
    keys: list[str],
    notes: list[str],
    fixed: dict[str, Any],
) -> pd.DataFrame:
    """Hold columns at one value where they vary within a cell; adds to `notes` and `fixed`."""
    for name in names:
        if not is_determined_by(runs, name, ["optimizer", *keys]):
            value, count = _typical_value(runs, name), runs[name].nunique(dropna=False)
            runs = _select(runs, [(name, value)])
            fixed[name] = value
            notes.append(
                f"Shown at {name} = {format_number(value)}, one of {count} values that were run."
            )
    return runs


def _select(runs: pd.DataFrame, conditions: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """The runs in which columns have given values; None selects missing ones."""
    for name, value in conditions:
        runs = runs[runs[name].isna() if value is None else runs[name] == value]
    return runs


def _typical_value(runs: pd.DataFrame, name: str) -> Any:
    """The most frequent value, the middle one of several; None if most are missing."""
    counts = runs[name].value_counts()
    if counts.empty or runs[name].isna().sum() > counts.max():
        return None
    modes = counts.index[counts == counts.max()]
    frequent = list(sorted_unique(runs[runs[name].isin(modes)], name))
    return frequent[len(frequent) // 2]
