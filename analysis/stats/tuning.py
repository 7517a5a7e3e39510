"""The choice of step sizes, without a look at test data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.core.groupby import DataFrameGroupBy

from analysis.tables.axes import (
    finite_values,
    is_determined_by,
    problem_axes,
    require_columns,
    step_sizes,
    swept,
    training_axes,
)
from sweep.errors import SweepError

CRITERIA = (
    "validation_error",
    "validation_loss",
    "train_loss",
    "train_error",
    "grad_norm",
    "fit_step",
    "steps",
)
"""Columns that a choice may go by: what is known without test data. Less is better."""

FINER = {"validation_error": "validation_loss", "train_error": "train_loss"}
"""What decides between values that are equal by a criterion; after that, the smaller value wins."""

PER = ("cell", "seed")
"""What one value is chosen for: all seeds of an optimizer and cell, or each seed."""


@dataclass(frozen=True)
class Tuning:
    """Chooses one step size for each optimizer and cell: the one with the least mean criterion.

    The mean is over the seeds of the cell. A run that diverged, or that is missing, counts as worse
    than any other: a value with fewer of them wins whatever its mean is. What varies beside the step
    sizes and `over` makes a cell, so nothing that a sweep studies is chosen away.

    Args:
        by: The column to minimize; `validation_error` where it was measured, else `train_loss`.
        over: Columns that are chosen over, beside step sizes.
        per: "cell", or "seed" to choose for each seed by itself.

    Raises SweepError on a column that depends on test data, and on another `per`.
    """

    by: str = ""
    over: tuple[str, ...] = ()
    per: str = "cell"

    def __post_init__(self) -> None:
        if self.by:
            check_criterion(self.by)
        if self.per not in PER:
            raise SweepError(f"Nothing is chosen per {self.per!r}. Choose {' or '.join(PER)}.")

    def criterion(self, runs: pd.DataFrame) -> str:
        """The column that is minimized. Raises SweepError where it was not measured."""
        validated = "validation_error" in runs and runs["validation_error"].notna().any()
        if self.by.startswith("validation") and not validated:
            raise SweepError(
                f"{self.by} was not measured. Set validation_points in a grid of another name, or "
                "choose by train_loss."
            )
        return self.by or ("validation_error" if validated else "train_loss")

    def columns(self, runs: pd.DataFrame, axes: Sequence[str] = ()) -> list[str]:
        """What is chosen over: the step sizes that vary and `over`, but for the columns `axes`."""
        require_columns(runs, self.over)
        named = [name for name in self.over if runs[name].nunique(dropna=False) > 1]
        return [name for name in dict.fromkeys((*step_sizes(runs), *named)) if name not in axes]

    def __call__(self, runs: pd.DataFrame, axes: Sequence[str] = ()) -> pd.DataFrame:
        """The runs at the chosen values. `attrs["tuned"]` lists the columns that were chosen over.

        Args:
            runs: A table of runs.
            axes: Columns that are not chosen over, since a figure or a pairing has them.
        """
        columns = self.columns(runs, axes)
        best = runs
        if columns:
            keys = _cell_columns(runs, columns)
            ranked = self._ranked(runs, keys, columns)
            groups = [*keys, *(["seed"] if self.per == "seed" else [])]
            best = runs.iloc[_best_rows(ranked, groups, columns)]
        best.attrs = {**runs.attrs, "tuned": [*runs.attrs.get("tuned", ()), *columns]}
        return best

    def choices(self, runs: pd.DataFrame, axes: Sequence[str] = ()) -> pd.DataFrame:
        """What was chosen: a row for each optimizer and cell (and seed).

        Columns: `optimizer` and what makes the cell, the columns that were chosen over, `tried`
        (how many values), `criterion` (the mean of the chosen one), `lost` (its runs that diverged
        or are missing), and `edge`: the columns of which it is the smallest or largest value that
        was tried there. Empty where nothing was chosen.
        """
        columns = self.columns(runs, axes)
        if not columns:
            return pd.DataFrame()
        keys = _cell_columns(runs, columns)
        ranked = self._ranked(runs, keys, columns)
        groups = [*keys, *(["seed"] if self.per == "seed" else [])]
        table = ranked.drop_duplicates(groups)
        tried = ranked.drop_duplicates([*groups, *columns]).groupby(groups, dropna=False)
        table = table.assign(
            tried=tried["_trial"].transform("size"),
            edge=_edges(table, tried, columns),
        )
        table = table[table["tried"] > 1].rename(columns={"_mean": "criterion", "_lost": "lost"})
        named = [*groups, *columns, "tried", "criterion", "lost", "edge"]
        table = table[named].sort_values(groups, ignore_index=True)
        table.attrs = {"criterion": self.criterion(runs), "columns": columns, "keys": groups}
        return table

    def _ranked(self, runs: pd.DataFrame, keys: list[str], columns: list[str]) -> pd.DataFrame:
        """The runs by position, with the means of their candidates, the best of a cell first."""
        criterion = self.criterion(runs)
        finer = FINER.get(criterion, criterion)
        runs = runs.reset_index(drop=True)
        table = runs[[*keys, *columns, "seed"]].assign(
            _value=finite_values(runs, criterion),
            _finer=finite_values(runs, finer if finer in runs else criterion),
            _trial=runs["trial"],
        )
        # A sum must not depend on the order of the rows.
        table = table.sort_values(["seed", "_trial"])
        seed = ["seed"] if self.per == "seed" else []
        candidates = table.groupby([*keys, *columns, *seed], dropna=False)
        cells = table.groupby([*keys, *seed], dropna=False)
        found = candidates["_value"].transform("count")
        table = table.assign(
            _mean=candidates["_value"].transform("mean"),
            _finer=candidates["_finer"].transform("mean"),
            _lost=(cells["seed"].transform("nunique") - found).clip(lower=0),
        )
        return table.sort_values(["_lost", "_mean", "_finer", *columns, "_trial"], kind="stable")


BY_DEFAULT = Tuning()
"""One step size for each optimizer and cell."""


def tuned(
    runs: pd.DataFrame,
    tune: str = "",
    by: Sequence[str] = (),
    over: Sequence[str] = (),
    per: str = "cell",
) -> pd.DataFrame:
    """The runs at the step sizes that `Tuning` chooses.

    Args:
        runs: A table of runs.
        tune: The column to minimize; `validation_error` where it was measured, else `train_loss`.
        by: Columns that are not chosen over.
        over: Columns that are chosen over, beside step sizes.
        per: "cell" or "seed".
    """
    return Tuning(tune, tuple(over), per)(runs, by)


def check_criterion(name: str) -> None:
    """Raises SweepError where nothing must be chosen by this column."""
    if name not in CRITERIA:
        what = (
            f"A hyperparameter must not be chosen by {name!r}, which is not known before the test"
        )
        raise SweepError(f"{what}. Choose by {', '.join(CRITERIA[:-1])} or {CRITERIA[-1]}.")


def _cell_columns(runs: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """The columns that make a cell: the optimizer, and what varies beside the chosen columns.

    One that follows from the others, as the noise does from snr, is left out.
    """
    kept = ["optimizer"]
    for name in dict.fromkeys((*problem_axes(runs), *training_axes(runs), *swept(runs))):
        if name not in columns and not is_determined_by(runs, name, kept):
            kept.append(name)
    return kept


def _best_rows(ranked: pd.DataFrame, groups: list[str], columns: list[str]) -> NDArray[np.int64]:
    """The positions of the rows of the best candidate of each group, ascending."""
    best = ranked.drop_duplicates(groups)[[*groups, *columns]]
    rows = ranked[[*groups, *columns]].reset_index(names="_row")
    return np.sort(rows.merge(best, on=[*groups, *columns])["_row"].to_numpy())


def _edges(table: pd.DataFrame, tried: DataFrameGroupBy, columns: Sequence[str]) -> list[str]:
    """For each row, which of its numbers are the smallest or the largest of those tried there."""
    ends = {
        name: (tried[name].transform("min"), tried[name].transform("max"))
        for name in columns
        if table[name].dtype.kind in "iuf"
    }
    texts = []
    for row in table.index:
        words = []
        for name, (low, high) in ends.items():
            value = table.at[row, name]
            if low[row] < high[row] and value in (low[row], high[row]):
                words.append(f"{'smallest' if value == low[row] else 'largest'} {name}")
        texts.append(", ".join(words))
    return texts
