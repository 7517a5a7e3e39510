"""What of a table one page shows: which plane, at which fixed values, at which hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis.pair import tuned
from analysis.tables import determined, levels, plane, problem_axes, require, swept, training_axes
from analysis.words import label, number
from sweep.schema import KINDS

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class View:
    """The runs that a page shows, with axes `x` and `y` (None where nothing varies), and what was left out in words.

    `by` are the axes that belong to the training: pairs are made at each of their values.
    """

    runs: pd.DataFrame
    x: str | None
    y: str | None
    notes: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        """The axes there are."""
        return [key for key in (self.x, self.y) if key is not None]

    @property
    def by(self) -> tuple[str, ...]:
        """The axes that are not of the problem."""
        return tuple(key for key in self.keys if not determined(self.runs, key, ["problem"]))


def view(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None, facet: str | None = None, tune: str = "train_loss"
) -> View:
    """Reduce a table to one plane without averaging: other columns are kept at one value, hyperparameters tuned.

    A column is kept at its most frequent value, of equally frequent ones at the middle one. Hyperparameters are those
    of the run with the least `tune` of each problem and optimizer. `facet` is another column that may vary.
    Raises SweepError on a name that is no column.
    """
    notes: list[str] = []
    kinds = [name for name in KINDS if name != "optimizer"]
    shown = _fix(runs, [name for name in swept(runs) if name in kinds], [], notes)
    require(shown, [name for name in (x, y, facet) if name is not None])
    panel = shown if facet in (None, "optimizer") else _fix(shown, [facet], [], [])
    x, y = plane(panel, x, y)
    keys = [key for key in (x, y, facet) if key is not None]
    chosen = [name for name in training_axes(shown) if name not in keys]
    rest = [*problem_axes(shown), *(name for name in swept(shown) if name not in chosen)]
    shown = _fix(shown, [name for name in rest if name not in keys], keys, notes)
    if chosen := [name for name in training_axes(shown) if name not in keys]:
        shown = tuned(shown, tune, keys)
        what = f"for each problem and optimizer the run with the least {label(tune)} is shown"
        notes.append(f"Over {', '.join(chosen)}, {what}; test data had no part in the choice.")
    return View(shown, x, y, tuple(notes))


def _fix(runs: pd.DataFrame, names: list[str], keys: list[str], notes: list[str]) -> pd.DataFrame:
    for name in names:
        if not determined(runs, name, ["optimizer", *keys]):
            value, count = _usual(runs, name), runs[name].nunique(dropna=False)
            runs = runs[runs[name].isna() if value is None else runs[name] == value]
            notes.append(f"Shown at {name} = {number(value)}, one of {count} values that were run.")
    return runs


def _usual(runs: pd.DataFrame, name: str) -> Any:
    """The most frequent value, the middle one of several; None for a missing one."""
    counts = runs[name].value_counts()
    if counts.empty or runs[name].isna().sum() > counts.max():
        return None
    frequent = list(levels(runs[runs[name].isin(counts.index[counts == counts.max()])], name))
    return frequent[len(frequent) // 2]
