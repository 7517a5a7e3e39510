"""Properties of a table of runs: which columns vary, which span a plane, which values count."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd

from analysis.tables.columns import column_info, observable_names
from sweep.errors import SweepError
from sweep.schema import FIXED, KINDS
from sweep.status import Status

DERIVED = frozenset({"a", "b", "difference", "trial_a", "trial_b", "collapsed"})
"""Columns of a paired table that are neither axes nor ids of the store."""

IDS = frozenset({"problem", "trial", "trial_a", "trial_b"})
"""Columns whose numbers are names: a mean of them says nothing."""

PREFERRED_AXES = ("snr", "n", "d", "feature_noise", "sparsity", "power", "width", "flip")
"""Axes that a figure takes first, in this order."""

SECONDARY_AXES = ("signal", "noise", "batch_size", "max_steps", "epochs")
"""Axes that a figure takes last, because they usually vary only along with another one."""

HORIZONTAL_AXES = ("snr", "signal", "noise")
"""Axes drawn horizontally: the strength of the signal, along which a phase boundary is crossed."""

ASSIGNMENT = re.compile(r"""('[^']*'|"[^"]*")|(?<![=!<>])=(?!=)""")
"""A quoted word, or a single equals sign, which pandas takes for an assignment."""

STEP_SIZE = "step size"
"""The label by which a field is declared a step size."""

FULL_SHARE = 0.5
"""Two axes span a plane if at least this share of the combinations of their values was run."""


def swept(runs: pd.DataFrame) -> list[str]:
    """Columns that the sweep varies, in the order of the table.

    Excluded are ids, outcomes and observables, `seed` and a seed of initial weights that goes with
    it (a repetition), `optimizer` (what is compared), and columns that are constant for each
    optimizer, such as its learning rate.
    """
    groups = ["optimizer"] if "optimizer" in runs else []
    skipped = (FIXED - set(KINDS)) | DERIVED | {"optimizer", *observable_names()}
    if "init_seed" in runs and "seed" in runs and is_determined_by(runs, "init_seed", ["seed"]):
        skipped |= {"init_seed"}
    names = [str(name) for name in runs if name not in skipped]
    varying = [name for name in names if _varies(runs[name])]
    return [name for name in varying if not is_determined_by(runs, name, groups)]


def problem_axes(runs: pd.DataFrame) -> list[str]:
    """The swept columns that belong to the problem, not to its training, in plotting order."""
    return [name for name in _ordered(swept(runs)) if is_determined_by(runs, name, ["problem"])]


def training_axes(runs: pd.DataFrame) -> list[str]:
    """The swept columns that differ between runs of one problem and optimizer, such as `lr`."""
    keys = ["problem", "optimizer"]
    return [name for name in _ordered(swept(runs)) if not is_determined_by(runs, name, keys)]


def step_sizes(runs: pd.DataFrame) -> list[str]:
    """The training axes that are step sizes, and not the consequence of another axis.

    A step size is `lr`, or a field of an optimizer or a schedule whose label is "step size".
    """
    axes = training_axes(runs)
    names = [name for name in axes if name == "lr" or column_info(name).label == STEP_SIZE]
    # Where batch and step size vary together, a choice of the one would be a choice of the other.
    others = ["problem", "optimizer", *(name for name in axes if name not in names)]
    return [name for name in names if not is_determined_by(runs, name, others)]


def shared_training_axes(runs: pd.DataFrame) -> list[str]:
    """The training axes other than step sizes that every optimizer varies."""
    names = [name for name in training_axes(runs) if name not in step_sizes(runs)]
    parts = [part for _, part in runs.groupby("optimizer")]
    return [name for name in names if all(_varies(part[name]) for part in parts)]


def plane(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None
) -> tuple[str | None, str | None]:
    """The two numeric columns that span the best plane, or the best partner of a given one.

    `snr` comes first if it varies; of columns that determine each other (`snr` and `noise`) only
    one is taken. The strength of the signal is the horizontal axis, in whichever column it is.
    Where the problem has no second axis, columns of the training that every optimizer varies
    (`batch_size`) are taken, and step sizes only if nothing else varies.

    Args:
        runs: the runs, one a row.
        x: the column of the horizontal axis, None to choose it.
        y: the column of the vertical axis, None to choose it.

    Returns:
        The columns (x, y), None for an axis that no column suits.
    """
    if x is not None and y is not None:
        return x, y
    names = _axis_candidates(runs)
    planes = _planes(runs, names, x, y)
    if not planes and "optimizer" in runs:
        names = list(dict.fromkeys([*names, *_numeric(runs, shared_training_axes(runs))]))
        planes = _planes(runs, names, x, y)
    if not planes:
        return (x or next(iter(names), None), y)
    full = [pair for pair, share in planes.items() if share >= FULL_SHARE]
    # Pairs come in plotting order, so the first full one is the preferred one.
    across, up = full[0] if full else max(planes, key=planes.__getitem__)
    free = x is None and y is None
    if free and up in HORIZONTAL_AXES and across not in HORIZONTAL_AXES:
        return up, across
    return across, up


def _axis_candidates(runs: pd.DataFrame) -> list[str]:
    """The numeric columns of the problem; of the training where there are none of those."""
    training = training_axes(runs)
    steps = step_sizes(runs) if training else []
    studied = [name for name in training if name not in steps]
    choices = (problem_axes(runs), studied, steps)
    return next((found for names in choices if (found := _numeric(runs, names))), [])


def _planes(
    runs: pd.DataFrame, names: Sequence[str], x: str | None, y: str | None
) -> dict[tuple[str, str], float]:
    """The pairs of columns that span a plane, with the share of it that was run."""
    pairs = product([x] if x else names, [y] if y else names)
    shares = {(first, second): _share(runs, first, second) for first, second in pairs}
    return {pair: share for pair, share in shares.items() if share is not None}


def is_determined_by(table: pd.DataFrame, column: str, by: Sequence[str]) -> bool:
    """Whether rows that agree in the columns `by` agree in another column, too.

    Args:
        table: any table.
        column: the column that may follow from the others.
        by: the columns it may follow from; for none of them, whether the column is constant.

    Returns:
        The answer, where missing values count as one more value.
    """
    keys = [name for name in by if name != column]
    if len(keys) < len(by):
        return True
    groups = len(table[keys].drop_duplicates()) if keys else 1
    return len(table[[*keys, column]].drop_duplicates()) <= max(groups, 1)


def finite_values(runs: pd.DataFrame, value: str) -> pd.Series:
    """The column `value` as float, NaN where it is infinite or the run ended `nonfinite`.

    Raises SweepError where it is missing, an id, or holds anything but numbers.
    """
    if value in IDS:
        raise SweepError(f"{value} is an id. Choose a column of results, like test_error.")
    values = numbers(runs, value)
    values = values.where(values.abs() != float("inf"))
    if "status" not in runs:
        return values
    # A diverged run has NaN margins, of which none is <= 0: its recorded error of 0 is meaningless.
    return values.where(runs["status"] != Status.NONFINITE.label)


def numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as float. Raises SweepError where it is missing, or holds anything but numbers."""
    require_columns(table, [name])
    if table[name].dtype.kind in "Mm":
        raise _not_numeric(name)
    try:
        return table[name].astype(float)
    except (TypeError, ValueError) as error:
        raise _not_numeric(name) from error


def _not_numeric(name: str) -> SweepError:
    return SweepError(f"{name} does not hold numbers. Choose a column that does, like test_error.")


def largest_cell(cells: pd.DataFrame) -> pd.Series:
    """The cell with the largest absolute mean, the first one where no cell has a mean."""
    return cells.iloc[int(cells["mean"].abs().fillna(-1).to_numpy(float).argmax())]


def filter_rows(table: pd.DataFrame, where: str | None) -> pd.DataFrame:
    """The rows that satisfy the pandas query `where`, all rows for None.

    Raises SweepError if the query cannot be evaluated or no row satisfies it.
    """
    if not where:
        return table
    try:
        selected = table.eval(where)
    # pandas passes on whatever Python's parser and its own evaluator raise.
    except Exception as error:
        _refuse_assignment(where)
        reason = f"{type(error).__name__}: {error}"
        raise SweepError(
            f"The condition {where!r} cannot be evaluated ({reason}). Use columns of the runs."
        ) from error
    if isinstance(selected, pd.DataFrame):
        _refuse_assignment(where)
    # A column of numbers would select rows by their labels.
    if not isinstance(selected, pd.Series) or selected.dtype != bool:
        raise SweepError(f"{where!r} is not a condition. Compare columns, such as 'n == 200'.")
    rows = table[selected]
    if rows.empty:
        cure = "Compare floating-point columns with a tolerance or by < and >"
        raise SweepError(f"No row satisfies {where!r}. {cure}.")
    return rows


def _refuse_assignment(where: str) -> None:
    """Raises SweepError if a condition has `=` in place of `==`."""
    comparison = ASSIGNMENT.sub(lambda match: match[1] or "==", where)
    if comparison != where:
        raise SweepError(f"The condition {where!r} assigns a value. Write {comparison!r}.")


def condition(column: str, value: object) -> str:
    """The pandas query that selects one value of a column; None and NaN select missing ones."""
    if pd.isna(value):  # type: ignore[call-overload]
        return f"{column}.isna()"
    # The representation of a number of numpy names its type.
    return f"{column} == {(value.item() if isinstance(value, np.generic) else value)!r}"


def require_different(keys: Sequence[str]) -> None:
    """Raises SweepError where one column is more than one of x, y and facet."""
    if len(set(keys)) < len(keys):
        raise SweepError(f"x, y and facet are {', '.join(keys)}. Give them different columns.")


def require_one_run_per_seed(table: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raises SweepError if anything but the seed varies within a cell of the columns `keys`."""
    # Columns that tuning has settled may differ from problem to problem within a cell.
    tuned = table.attrs.get("tuned", ())
    candidates = ["optimizer"] if "optimizer" in table else []
    candidates += [name for name in swept(table) if name not in tuned]
    mixed = [name for name in candidates if not is_determined_by(table, name, keys)]
    if not mixed:
        return
    example = condition(mixed[0], table[mixed[0]].iloc[0])
    raise SweepError(
        f"The cells would average over {', '.join(mixed)}, not only over seeds. "
        f"Select one value of each, such as by --where {shlex.quote(example)}, in Python by "
        f"runs.query({example!r}), make it an axis or the facet, or, if it is a hyperparameter, "
        "choose the best run of each problem, in Python by tuned(runs)."
    )


def sorted_unique(table: pd.DataFrame, name: str) -> Iterator[object]:
    """The distinct values of a column, ascending, without missing ones."""
    yield from sorted(table[name].dropna().unique())


def require_columns(table: pd.DataFrame, names: Iterable[str]) -> None:
    """Raises SweepError on the first name that is not a column, suggesting similar ones."""
    columns = list(map(str, table.columns))
    for name in names:
        if name in table:
            continue
        similar = difflib.get_close_matches(name, columns, n=3)
        hint = f"Available columns: {', '.join(columns)}."
        if similar:
            hint = f"Did you mean {' or '.join(similar)}?"
        raise SweepError(f"The table has no column {name!r}. {hint}")


def _varies(column: pd.Series) -> bool:
    """Whether a column has more than one value, null included."""
    return bool(len(column)) and column.nunique(dropna=False) > 1


def _ordered(names: Sequence[str]) -> list[str]:
    """Axes in plotting order."""
    ranked = {*PREFERRED_AXES, *SECONDARY_AXES}
    unranked = [name for name in names if name not in ranked]
    return [name for name in (*PREFERRED_AXES, *unranked, *SECONDARY_AXES) if name in names]


def _numeric(runs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Those of the columns that hold numbers."""
    return [name for name in names if runs[name].dtype.kind in "iuf"]


def _share(runs: pd.DataFrame, x: str, y: str) -> float | None:
    """Share of the combinations of x and y that occur, None where one determines the other."""
    if x == y:
        return None
    pairs = runs[[x, y]].drop_duplicates()
    across, up = pairs[x].nunique(dropna=False), pairs[y].nunique(dropna=False)
    return None if len(pairs) <= max(across, up) else len(pairs) / (across * up)
