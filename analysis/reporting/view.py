"""What of a table one page shows: which plane, at which fixed values, at which hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.stats.paired_gap import tuned
from analysis.tables.axes import (
    is_determined_by,
    plane,
    problem_axes,
    require_columns,
    sorted_unique,
    swept,
    training_axes,
)
from analysis.tables.labels import axis_label, format_number
from sweep.schema import KINDS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class View:
    """The runs that a page shows, with axes `x` and `y` (None where nothing varies), and what was left out in words.

    `fixed` are the columns that are kept at one value, `whole` the runs before anything was left out. `by` are the axes
    that belong to the training: pairs are made at each of their values.
    """

    runs: pd.DataFrame
    x: str | None
    y: str | None
    notes: tuple[str, ...]
    fixed: Mapping[str, Any]
    whole: pd.DataFrame

    @property
    def keys(self) -> list[str]:
        """The axes there are."""
        return [key for key in (self.x, self.y) if key is not None]

    def elsewhere(self, most: int = 8) -> Iterator[tuple[str, Any, View]]:
        """The same plane at each value of each numeric column that is kept at one, where it has at most so many."""
        for name in self.fixed:
            others = [(other, value) for other, value in self.fixed.items() if other != name]
            near = _at(self.whole, others)
            values = list(sorted_unique(near, name))
            if 1 < len(values) <= most and not isinstance(values[0], str):
                for value in values:
                    runs = tuned(_at(near, [(name, value)]), by=self.keys)
                    yield name, value, View(runs, self.x, self.y, (), {**self.fixed, name: value}, self.whole)

    @property
    def by(self) -> tuple[str, ...]:
        """The axes that are not of the problem."""
        return tuple(key for key in self.keys if not is_determined_by(self.runs, key, ["problem"]))


def make_view(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None, facet: str | None = None, tune: str = "train_loss"
) -> View:
    """Reduce a table to one plane without averaging: other columns are kept at one value, hyperparameters tuned.

    A column is kept at its most frequent value, of equally frequent ones at the middle one. Hyperparameters are those
    of the run with the least `tune` of each problem and optimizer. `facet` is another column that may vary.
    Raises SweepError on a name that is no column.
    """
    notes: list[str] = []
    fixed: dict[str, Any] = {}
    kinds = [name for name in KINDS if name != "optimizer"]
    shown = _fix(runs, [name for name in swept(runs) if name in kinds], [], notes, fixed)
    require_columns(shown, [name for name in (x, y, facet) if name is not None])
    panel = shown if facet in (None, "optimizer") else _fix(shown, [facet], [], [], {})
    x, y = plane(panel, x, y)
    keys = [key for key in (x, y, facet) if key is not None]
    chosen = [name for name in training_axes(shown) if name not in keys]
    rest = [*problem_axes(shown), *(name for name in swept(shown) if name not in chosen)]
    shown = _fix(shown, [name for name in rest if name not in keys], keys, notes, fixed)
    if chosen := [name for name in training_axes(shown) if name not in keys]:
        shown = tuned(shown, tune, keys)
        what = f"for each problem and optimizer the run with the least {axis_label(tune)} is shown"
        notes.append(f"Over {', '.join(chosen)}, {what}; test data had no part in the choice.")
    return View(shown, x, y, tuple(notes), fixed, runs)


def _fix(
    runs: pd.DataFrame, names: list[str], keys: list[str], notes: list[str], fixed: dict[str, Any]
) -> pd.DataFrame:
    for name in names:
        if not is_determined_by(runs, name, ["optimizer", *keys]):
            value, count = _usual(runs, name), runs[name].nunique(dropna=False)
            runs = _at(runs, [(name, value)])
            fixed[name] = value
            notes.append(f"Shown at {name} = {format_number(value)}, one of {count} values that were run.")
    return runs


def _at(runs: pd.DataFrame, places: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """The runs with certain values of some columns."""
    for name, value in places:
        runs = runs[runs[name].isna() if value is None else runs[name] == value]
    return runs


def _usual(runs: pd.DataFrame, name: str) -> Any:
    """The most frequent value, the middle one of several; None for a missing one."""
    counts = runs[name].value_counts()
    if counts.empty or runs[name].isna().sum() > counts.max():
        return None
    frequent = list(sorted_unique(runs[runs[name].isin(counts.index[counts == counts.max()])], name))
    return frequent[len(frequent) // 2]
