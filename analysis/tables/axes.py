"""Questions to a table of runs: which columns vary, which of them make a good picture, which values count."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import pandas as pd

from analysis.tables.columns import observable_names
from sweep.errors import SweepError
from sweep.schema import FIXED, KINDS
from sweep.status import Status

DERIVED = frozenset({"a", "b", "difference", "trial_a", "trial_b"})
"""Columns of a paired table that are neither axes nor ids of the store."""

FIRST = ("snr", "n", "d", "feature_noise", "sparsity", "power", "width", "flip")
LAST = ("signal", "noise", "batch_size", "max_steps", "epochs")
"""Which axes a figure takes first, and which last, because others usually stand for them."""

ALONG = ("snr", "signal", "noise")
"""Axes that lie horizontally: the strength of a signal, along which a phase is crossed."""

FULL = 0.5
"""Two axes span a plane where at least this share of their combinations was run."""


def swept(runs: pd.DataFrame) -> list[str]:
    """Columns that the sweep varies, in the order of the table.

    Neither ids, outcomes and observables, nor `seed` (a repetition) and `optimizer` (what is compared), nor columns
    that are constant for each optimizer, such as a learning rate of its own.
    """
    given = ["optimizer"] if "optimizer" in runs else []
    skipped = (FIXED - set(KINDS)) | DERIVED | {"optimizer", *observable_names()}
    fields = [name for name in runs if name not in skipped]
    return [
        str(name)
        for name in fields
        if _varies(runs[name]) and not is_determined_by(runs, str(name), given)
    ]


def problem_axes(runs: pd.DataFrame) -> list[str]:
    """The swept columns that belong to the problem, not to how it is trained; in the order figures take them."""
    return [name for name in _ordered(swept(runs)) if is_determined_by(runs, name, ["problem"])]


def training_axes(runs: pd.DataFrame) -> list[str]:
    """The swept columns that differ between runs of one problem and optimizer: step sizes, batch sizes, ..."""
    return [
        name
        for name in _ordered(swept(runs))
        if not is_determined_by(runs, name, ["problem", "optimizer"])
    ]


def plane(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None
) -> tuple[str | None, str | None]:
    """The two numeric columns that make the best plane (x, y), or the best partner of one that is given.

    `snr` comes first if it varies; of columns that stand for each other (`snr` and `noise`) only one is taken. The
    strength of the signal lies horizontally, however it is given. Where no
    column of the problem varies, columns of the training (`batch_size`, `lr`) are taken. None where there is no other.
    """
    if x is not None and y is not None:
        return x, y
    names = _numeric(runs, problem_axes(runs)) or _numeric(runs, training_axes(runs))
    pairs = product([x] if x else names, [y] if y else names)
    fills = {(x, y): _fill(runs, x, y) for x, y in pairs if x != y}
    planes = {pair: fill for pair, fill in fills.items() if fill is not None}
    if not planes:
        return (x or next(iter(names), None), y)
    best = next(
        (pair for pair, fill in planes.items() if fill >= FULL), max(planes, key=planes.__getitem__)
    )
    return (
        (best[1], best[0])
        if x is None and y is None and best[1] in ALONG and best[0] not in ALONG
        else best
    )


def is_determined_by(table: pd.DataFrame, column: str, by: Sequence[str]) -> bool:
    """Whether `column` has one value wherever all of `by` have one value; missing values count as a value."""
    keys = [name for name in by if name != column]
    if len(keys) < len(by):
        return True
    return len(table[[*keys, column]].drop_duplicates()) <= max(
        len(table[keys].drop_duplicates()) if keys else 1, 1
    )


def finite_values(runs: pd.DataFrame, value: str) -> pd.Series:
    """`value` of each run as float, NaN where it is infinite or the run ended `nonfinite`.

    The error of a diverged run is no number: no comparison holds for NaN margins, so it would count as no error.
    """
    require_columns(runs, [value])
    values = runs[value].astype(float)
    values = values.where(values.abs() != float("inf"))
    return values.where(runs["status"] != Status.NONFINITE.label) if "status" in runs else values


def largest_cell(cells: pd.DataFrame) -> pd.Series:
    """The cell with the largest absolute mean, the first one where no cell has a mean."""
    return cells.iloc[int(cells["mean"].abs().fillna(-1).to_numpy(float).argmax())]


def filter_rows(table: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """The rows for which the pandas query `where` holds; all of them for None. Raises SweepError on a bad query."""
    if not where:
        return table
    try:
        kept = table.query(where)
    except (
        Exception
    ) as error:  # pandas raises whatever Python's parser and its own evaluator come upon
        reason = f"{type(error).__name__}: {error}"
        raise SweepError(
            f"The condition {where!r} cannot be evaluated ({reason}). Name columns of the runs."
        ) from error
    if kept.empty:
        raise SweepError(
            f"No row satisfies {where!r}. Compare floating-point columns with a tolerance or by < and >."
        )
    return kept


def require_one_run_per_seed(table: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raises SweepError where something else than the seed varies within a cell of some columns."""
    chosen = table.attrs.get("tuned", ())
    others = [
        name
        for name in swept(table)
        if name not in chosen and not is_determined_by(table, name, keys)
    ]
    if "optimizer" in table and not is_determined_by(table, "optimizer", keys):
        others = ["optimizer", *others]
    if others:
        names = ", ".join(others)
        cure = (
            f'Keep one value of each with where="{others[0]} == ...", make it an axis or the facet'
        )
        cure += (
            ", or choose the best run of each problem with tuned(runs) if it is a hyperparameter"
        )
        raise SweepError(f"The cells would average over {names}, not only over seeds. {cure}.")


def sorted_unique(table: pd.DataFrame, name: str) -> Iterator[object]:
    """The distinct values of a column, ascending, without missing ones."""
    yield from sorted(table[name].dropna().unique())


def require_columns(table: pd.DataFrame, names: Iterable[str]) -> None:
    """Raises SweepError on the first name that is no column, with the nearest ones."""
    for name in names:
        if name not in table:
            near = difflib.get_close_matches(name, list(map(str, table.columns)), n=3)
            hint = (
                f"Did you mean {' or '.join(near)}"
                if near
                else f"There are {', '.join(map(str, table.columns))}"
            )
            raise SweepError(f"The table has no column {name!r}. {hint}.")


def _varies(column: pd.Series) -> bool:
    return bool(len(column)) and column.nunique(dropna=False) > 1


def _ordered(names: Sequence[str]) -> list[str]:
    middle = [name for name in names if name not in FIRST and name not in LAST]
    return [name for name in (*FIRST, *middle, *LAST) if name in names]


def _numeric(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    return [name for name in names if runs[name].dtype.kind in "iuf"]


def _fill(runs: pd.DataFrame, x: str, y: str) -> float | None:
    """Share of the combinations of x and y that occur, None where one of them follows from the other."""
    pairs = runs[[x, y]].drop_duplicates()
    across, up = pairs[x].nunique(dropna=False), pairs[y].nunique(dropna=False)
    return None if len(pairs) <= max(across, up) else len(pairs) / (across * up)
