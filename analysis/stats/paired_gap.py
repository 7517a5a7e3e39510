"""Two optimizers, objectives or other values on the same data and initial weights."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.stats.same_start import same_start
from analysis.stats.tuning import Tuning
from analysis.tables.axes import (
    condition,
    finite_values,
    is_determined_by,
    problem_axes,
    require_columns,
    sorted_unique,
    training_axes,
)
from analysis.tables.columns import kind_label
from sweep.errors import SweepError
from sweep.schema import KINDS

MAX_OPTIMIZERS = 50
"""Most optimizers to compare: each has a panel, and each pair a section of the report."""

BASELINES = ("gd", "sgd", "momentum", "nesterov")
"""Optimizers that serve as the baseline, in order of preference."""


def check_optimizers(runs: pd.DataFrame) -> None:
    """Raises SweepError where there are more optimizers than can be compared."""
    _check_count(runs, "optimizer")


def _check_count(runs: pd.DataFrame, of: str) -> None:
    count = runs[of].nunique()
    if count > MAX_OPTIMIZERS:
        noun = "optimizers" if of == "optimizer" else f"values of {of}"
        example = "optimizer in ['adam', 'gd']"
        if of != "optimizer":
            example = f"{of} in {[_plain(value) for value in _values(runs, of)[:2]]}"
        raise SweepError(
            f"The runs have {count:,} {noun}, and at most {MAX_OPTIMIZERS} can be compared. "
            f'Select some with --where, such as "{example}".'
        )


@dataclass(frozen=True)
class PairedGap:
    """`value` at `of` = `a` minus `value` at `of` = `b`, on the same data and initial weights.

    `of` is `optimizer`, or any other column: `objective`, `model`, `batch_size`. Of several step
    sizes, `Tuning` chooses one for each optimizer and cell. Columns in `by` are paired as well: the
    result has a row for each of their values. An axis on which only one side was varied (the l2 of
    Adam beside an AdamW without l2) is an axis of the result: each of its values is compared with
    the same run of the other side. With one run each, this is `runs.pivot(index="problem",
    columns="optimizer", values="test_error")` and a difference.

    Args:
        a: The value of the one side.
        b: The value of the other, which is subtracted.
        value: The column that is compared.
        tune: The column that a step size minimizes; "" for the default of `Tuning`.
        by: Further columns of the training that are paired.
        of: The column whose values are the two sides.
        over: Columns that are chosen over, beside step sizes.
        per: What a step size is chosen for: "cell" or "seed".
    """

    a: Any
    b: Any
    value: str = "test_error"
    tune: str = ""
    by: tuple[str, ...] = ()
    of: str = "optimizer"
    over: tuple[str, ...] = ()
    per: str = "cell"

    def __post_init__(self) -> None:
        self.tuning()

    def tuning(self) -> Tuning:
        """How step sizes are chosen. Raises SweepError where that needs test data."""
        return Tuning(self.tune, self.over, self.per)

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a pair: its problem (that of `a`), swept columns and seed, `a`, `b`,
        `difference`, and the ids `trial_a`, `trial_b`.

        Values of diverged runs are NaN. `attrs` count `nonfinite` rows and `unpaired` runs, which
        have no partner. Raises SweepError where a side or a column is missing, and where something
        else than the step size would have to be chosen.
        """
        require_columns(runs, ["problem", "optimizer", "trial", self.of, self.value, *self.by])
        both = runs[runs[self.of].isin([self.a, self.b])]
        chosen = self.tuning()(both, (*self.by, self.of))
        axes = self._axes(chosen)
        chosen = chosen.assign(
            _value=finite_values(chosen, self.value), _start=same_start(chosen, self.of)
        )
        left, right = self._side(chosen, self.a), self._side(chosen, self.b)
        apart = {name: side for name in axes if (side := _varied_alone(left, right, name))}
        keys = [name for name in axes if name not in apart and self._splits(chosen, name)]
        for name, side in ((self.a, left), (self.b, right)):
            self._require_one(side, name, [*keys, *apart])
        table = self._merge(left, right, keys, apart, axes)
        table.attrs = {
            **runs.attrs,
            "pair": (self._label(self.a), self._label(self.b)),
            "of": self.of,
            "value": self.value,
            "tuned": chosen.attrs["tuned"],
            "unpaired": table.attrs["unpaired"],
            "nonfinite": int(table["difference"].isna().sum()),
        }
        return table

    def _label(self, value: Any) -> str:
        """A side in sentences: kinds go by their labels, numbers need the name of their column."""
        return kind_label(self.of, str(value)) if self.of in KINDS else f"{self.of} {value}"

    def _side(self, runs: pd.DataFrame, value: Any) -> pd.DataFrame:
        side = runs[runs[self.of] == value]
        if side.empty:
            noun = "optimizer" if self.of == "optimizer" else self.of
            raise SweepError(
                f"No run has the {noun} {value!r}. Look at runs[{self.of!r}].unique()."
            )
        return side

    def _axes(self, chosen: pd.DataFrame) -> list[str]:
        """The columns of the result that were swept: those of the problem, then those in `by`."""
        known = (self.of, *self.by, *chosen.attrs["tuned"])
        names = [name for name in problem_axes(chosen) if name not in known]
        # What is constant on each side is how the two were set, and no axis.
        names = [name for name in names if not is_determined_by(chosen, name, [self.of])]
        return [*self.by, *names]

    def _splits(self, chosen: pd.DataFrame, name: str) -> bool:
        """Whether runs of the same data and initial weights differ in a column."""
        return name in self.by or not is_determined_by(chosen, name, ["_start"])

    def _merge(
        self,
        left: pd.DataFrame,
        right: pd.DataFrame,
        keys: list[str],
        apart: dict[str, str],
        axes: list[str],
    ) -> pd.DataFrame:
        """The pairs, each axis taken from the side that varies it."""
        of_right = [name for name, side in apart.items() if side == "right"]
        of_left = [name for name in ("seed", *axes) if name not in (*keys, *of_right)]
        left = left[["problem", "_start", *keys, *of_left, "_value", "trial"]]
        right = right[["_start", *keys, *of_right, "_value", "trial"]]
        table = left.rename(columns={"_value": "a", "trial": "trial_a"}).merge(
            right.rename(columns={"_value": "b", "trial": "trial_b"}), on=["_start", *keys]
        )
        table = table.assign(difference=table["a"] - table["b"])
        unpaired = len(left) + len(right)
        unpaired -= table["trial_a"].nunique() + table["trial_b"].nunique()
        first = ["problem", *self.by]
        columns = [name for name in ("seed", *axes) if name not in first]
        table = table[[*first, *columns, "a", "b", "difference", "trial_a", "trial_b"]]
        table.attrs["unpaired"] = unpaired
        return table

    def _require_one(self, side: pd.DataFrame, value: Any, keys: list[str]) -> None:
        """Raises SweepError where a side has several runs of one pair."""
        groups = ["_start", *keys]
        if not side.duplicated(groups).any():
            return
        names = [name for name in ("optimizer", *training_axes(side)) if name != self.of]
        varied = [name for name in names if not is_determined_by(side, name, groups)]
        raise SweepError(_ambiguous(side, self.of, value, varied))


def _varied_alone(left: pd.DataFrame, right: pd.DataFrame, name: str) -> str:
    """The side that alone varies a column, "" where the two share it.

    They share it where the only value of the one is among those of the other.
    """
    values = {"left": left[name], "right": right[name]}
    for side, other in (("left", "right"), ("right", "left")):
        only = values[other].drop_duplicates()
        several = values[side].nunique(dropna=False) > 1
        if several and len(only) == 1 and not values[side].isin(only).any():
            return side
    return ""


def _ambiguous(side: pd.DataFrame, of: str, value: Any, varied: list[str]) -> str:
    """Why a side has several runs of one pair, and what to do."""
    if not varied:
        return f"Several runs with {of} = {value} have the same data and initial weights."
    name = varied[0]
    return (
        f"The runs with {of} = {value} differ in {', '.join(varied)} on the same data and first "
        f"weights. Make it an axis, in Python by by=({name!r},), select one value, such as by "
        f"runs.query({condition(name, side[name].iloc[0])!r}), or choose over it, by "
        f"over=({name!r},), on the command line --tune-over {name}."
    )


def pairs(runs: pd.DataFrame, of: str = "optimizer") -> list[tuple[Any, Any]]:
    """The pairs (a, b) of values of a column to compare.

    Of optimizers, each with the first of BASELINES that ran, or all where neither ran; of another
    column, each with its first value. Raises SweepError on more than MAX_OPTIMIZERS.
    """
    require_columns(runs, [of])
    _check_count(runs, of)
    names = _values(runs, of)
    if of != "optimizer":
        return [(name, names[0]) for name in names[1:]]
    baseline = next((name for name in BASELINES if name in names), None)
    if baseline is None:
        return list(combinations(names, 2))
    return [(name, baseline) for name in names if name != baseline]


def _values(runs: pd.DataFrame, of: str) -> list[Any]:
    return list(sorted_unique(runs, of))


def _plain(value: Any) -> Any:
    """A value as Python prints it, not as numpy does."""
    return value.item() if hasattr(value, "item") else value
