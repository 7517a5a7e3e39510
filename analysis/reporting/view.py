"""Which part of a table a page shows: a plane, at fixed values of the other axes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.reporting.tuning_sentences import tuning_note
from analysis.stats.paired_gap import check_optimizers
from analysis.stats.tuning import BY_DEFAULT, Tuning
from analysis.tables.axes import (
    condition,
    is_determined_by,
    plane,
    problem_axes,
    require_columns,
    require_different,
    sorted_unique,
    swept,
    training_axes,
)
from analysis.tables.columns import kind_label
from analysis.tables.labels import format_number
from sweep.schema import KINDS
from sweep.wording import first_upper


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
        facet: Another column that may vary.
        tuning: How step sizes are chosen.
        choices: The step sizes that were chosen, a table of `Tuning.choices`.
        compared: The column whose values are compared with each other.
    """

    runs: pd.DataFrame
    x: str | None
    y: str | None
    notes: tuple[str, ...]
    fixed: Mapping[str, Any]
    all_runs: pd.DataFrame
    facet: str | None = None
    tuning: Tuning = BY_DEFAULT
    choices: pd.DataFrame = field(default_factory=pd.DataFrame)
    compared: str = "optimizer"

    @property
    def keys(self) -> list[str]:
        """The axes that there are."""
        return [key for key in (self.x, self.y) if key is not None]

    @property
    def pairing_axes(self) -> tuple[str, ...]:
        """The axes that belong to the training: runs are paired at each of their values."""
        keys = [key for key in (*self.keys, self.facet) if key not in (None, self.compared)]
        # An optimizer with an l2 of its own has problems of its own, and is no axis of them.
        is_problem_axis = {
            key: key != "optimizer" and is_determined_by(self.runs, key, ["problem"])
            for key in keys
        }
        return tuple(key for key in keys if not is_problem_axis[key])

    @property
    def fixed_condition(self) -> str:
        """The pandas query that selects the values at which columns are held."""
        return " and ".join(self._held_condition(name) for name in self.fixed)

    def varied_by_some(self, name: str) -> list[str]:
        """The optimizers that vary a column, if others do not; none if all or no others do."""
        counts = self.all_runs.groupby("optimizer")[name].nunique()
        varying = counts.index[counts > 1]
        return list(map(str, varying)) if 0 < len(varying) < len(counts) else []

    def _held_condition(self, name: str) -> str:
        """The query for one column, with the optimizer where these are held at several values."""
        if self.runs[name].nunique(dropna=False) == 1:
            return condition(name, self.runs[name].iloc[0])
        parts = self.runs.drop_duplicates(["optimizer", name])
        both = zip(parts["optimizer"], parts[name], strict=True)
        return " or ".join(
            f"({condition('optimizer', optimizer)} and {condition(name, value)})"
            for optimizer, value in both
        ).join("()")

    def slices(self, max_values: int = 8) -> Iterator[tuple[str, Any, View]]:
        """The same plane at every value of every fixed numeric column.

        Columns with more than `max_values` values are left out, and those that only some
        optimizers vary. Yields the column, its value, and the view there.
        """
        shared = [name for name in self.fixed if not self.varied_by_some(name)]
        for name in shared:
            held = [(column, value) for column, value in self.fixed.items() if column != name]
            runs = _select(self.all_runs, held)
            values = list(sorted_unique(runs, name))
            if not 1 < len(values) <= max_values or isinstance(values[0], str):
                continue
            for value in values:
                fixed = {**self.fixed, name: value}
                part = self.tuning(_select(runs, [(name, value)]), self.keys)
                yield name, value, View(part, self.x, self.y, (), fixed, self.all_runs)


def make_view(
    runs: pd.DataFrame,
    x: str | None = None,
    y: str | None = None,
    facet: str | None = None,
    tuning: Tuning = BY_DEFAULT,
    compared: str = "optimizer",
) -> View:
    """Reduce a table to one plane without averaging over anything but seeds.

    A column that is no axis is held at its most frequent value, at the middle one of several. Step
    sizes, and what else `tuning` names, are those that were chosen for each optimizer and cell.

    Args:
        runs: A table of runs.
        x: Horizontal axis; by default chosen from the columns that vary.
        y: Vertical axis; likewise.
        facet: Another column that may vary.
        tuning: How step sizes are chosen.
        compared: The column whose values are compared with each other.

    Raises SweepError on a name that is no column or given twice, and on more optimizers than can be compared.
    """
    check_optimizers(runs)
    given = [name for name in (x, y, facet) if name is not None]
    require_columns(runs, [*given, compared])
    require_different(given)
    notes: list[str] = []
    fixed: dict[str, Any] = {}
    kept = list(dict.fromkeys([*given, compared]))
    kinds = [name for name in KINDS if name not in kept and runs[name].nunique(dropna=False) > 1]
    part = _fix(runs, kinds, kept, notes, fixed)
    # The axes are chosen within one facet: what only differs between facets is no axis.
    apart = [name for name in (facet, compared) if name not in (None, "optimizer", x, y)]
    panel = _fix(part, list(dict.fromkeys(apart)), [], [], {})
    x, y = plane(panel, x, y)
    keys = [key for key in (x, y, facet) if key is not None]
    chosen = tuning.columns(part, [*keys, compared])
    names = [*problem_axes(part), *training_axes(part), *swept(part)]
    held = [name for name in dict.fromkeys(names) if name not in (*keys, *chosen, compared)]
    part = _fix(part, held, list(dict.fromkeys([*keys, compared])), notes, fixed)
    # Fewer step sizes may vary among the runs that are left, and at fewer of their values.
    axes = [*keys, compared]
    choices = tuning.choices(part, axes)
    tuned = tuning(part, axes)
    if columns := tuning.columns(part, axes):
        notes.append(tuning_note(part, columns, tuning))
    return View(tuned, x, y, tuple(notes), fixed, runs, facet, tuning, choices, compared)


def _fix(
    runs: pd.DataFrame,
    names: list[str],
    keys: list[str],
    notes: list[str],
    fixed: dict[str, Any],
) -> pd.DataFrame:
    """Hold columns at one value where they vary within a cell; adds to `notes` and `fixed`."""
    for name in names:
        groups = keys if name == "optimizer" else ["optimizer", *keys]
        if not is_determined_by(runs, name, groups):
            value = _typical_value(runs, name)
            held = _select(runs, [(name, value)])
            notes += _held_notes(runs, held, name)
            runs, fixed[name] = held, value
    return runs


def _held_notes(runs: pd.DataFrame, held: pd.DataFrame, name: str) -> list[str]:
    """At which value a column is shown, and of how many; for each optimizer where they differ."""
    if held[name].nunique(dropna=False) == 1:
        value, count = held[name].iloc[0], runs[name].nunique(dropna=False)
        return [f"Shown at {name} = {format_number(value)}, one of {count} values that were run."]
    notes = []
    for optimizer, part in held.groupby("optimizer"):
        count = runs.loc[runs["optimizer"] == optimizer, name].nunique(dropna=False)
        if count > 1:
            value = format_number(part[name].iloc[0])
            label = first_upper(kind_label("optimizer", str(optimizer)))
            notes.append(f"{label} is shown at {name} = {value}, one of {count} values.")
    return notes


def _select(runs: pd.DataFrame, conditions: Iterable[tuple[str, Any]]) -> pd.DataFrame:
    """The runs in which columns have given values; None selects missing ones.

    Kinds that were never run at a value, such as an optimizer without the field, are taken at
    their own most frequent one.
    """
    for name, value in conditions:
        kinds = [kind for kind in KINDS if kind in runs and kind != name]
        selected = _equals(runs[name], value)
        for rows in runs.groupby(kinds, dropna=False).groups.values():
            if not selected[rows].any():
                selected[rows] = _equals(runs.loc[rows, name], _most_frequent(runs.loc[rows, name]))
        runs = runs[selected]
    return runs


def _equals(column: pd.Series, value: Any) -> pd.Series:
    return column.isna() if value is None else column == value


def _typical_value(runs: pd.DataFrame, name: str) -> Any:
    """The most frequent value, of those that all optimizers have if there are some."""
    parts = [part[name] for _, part in runs.groupby("optimizer")] if name != "optimizer" else []
    common = set.intersection(*(set(part.dropna().unique()) for part in parts)) if parts else set()
    column = runs[name]
    return _most_frequent(column[column.isin(common)] if common else column)


def _most_frequent(column: pd.Series) -> Any:
    """The most frequent value, the middle one of several; None if most are missing."""
    counts = column.value_counts()
    if counts.empty or column.isna().sum() > counts.max():
        return None
    modes = counts.index[counts == counts.max()]
    frequent = sorted(column[column.isin(modes)].unique())
    return frequent[len(frequent) // 2]
