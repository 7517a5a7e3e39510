"""Two optimizers on the same problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from analysis.tables.axes import finite_values, problem_axes, require_columns, training_axes
from sweep.errors import SweepError

TUNING_COLUMNS = ("train_loss", "train_error", "grad_norm", "fit_step", "steps")
"""Columns by which a hyperparameter may be chosen: all that a learner sees who has no test data.
Less is better."""

MAX_OPTIMIZERS = 50
"""Most optimizers to compare: each has a panel, and each pair a section of the report."""

BASELINES = ("gd", "sgd", "momentum", "nesterov")
"""Optimizers that serve as the baseline, in order of preference."""


def tuned(runs: pd.DataFrame, tune: str = "train_loss", by: Sequence[str] = ()) -> pd.DataFrame:
    """The run with the smallest `tune` of each problem, optimizer and value of the columns `by`.

    Diverged runs come last, ties go to the smaller trial id. `attrs["tuned"]` lists the columns
    that were chosen over. Raises SweepError where `tune` depends on test data.
    """
    check_tune(tune)
    choice_axes = [name for name in training_axes(runs) if name not in by]
    ranked = runs.assign(_rank=finite_values(runs, tune) if choice_axes else 0.0).sort_values(
        ["_rank", "trial"]
    )
    best = ranked.drop_duplicates(["problem", "optimizer", *by]).drop(columns="_rank").sort_index()
    best.attrs = {**runs.attrs, "tuned": [*runs.attrs.get("tuned", ()), *choice_axes]}
    return best


def check_tune(tune: str) -> None:
    """Raises SweepError where a hyperparameter must not be chosen by this column."""
    if tune not in TUNING_COLUMNS:
        what = f"A hyperparameter must not be chosen by {tune!r}, which a learner does not see before the test"
        raise SweepError(
            f"{what}. Choose by {', '.join(TUNING_COLUMNS[:-1])} or {TUNING_COLUMNS[-1]}."
        )


def check_optimizers(runs: pd.DataFrame) -> None:
    """Raises SweepError where there are more optimizers than can be compared."""
    count = runs["optimizer"].nunique()
    if count > MAX_OPTIMIZERS:
        raise SweepError(
            f"The runs have {count:,} optimizers, and at most {MAX_OPTIMIZERS} can be compared. "
            "Select some with --where, such as \"optimizer in ['adam', 'gd']\"."
        )


@dataclass(frozen=True)
class PairedGap:
    """`value` under optimizer `a` minus `value` under `b` on the same problem: same data, same
    initial weights.

    Where an optimizer has several runs of a problem (step sizes, batch sizes), the one with the
    least `tune` stands for it; columns in `by` are not chosen between but paired as well: the
    result
    has a row for each of their values. With one run each, this is `runs.pivot(index="problem",
    columns="optimizer", values="test_error")` and a difference.
    """

    a: str
    b: str
    value: str = "test_error"
    tune: str = "train_loss"
    by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_tune(self.tune)

    def __call__(self, runs: pd.DataFrame) -> pd.DataFrame:
        """One row a problem: its swept columns and seed, `a`, `b`, `difference`, and the ids
        `trial_a`, `trial_b`.

        Values of diverged runs are NaN. `attrs` count `nonfinite` rows and `unpaired` problems,
        which only one of the two optimizers has. Raises SweepError where an optimizer or a column
        is missing.
        """
        require_columns(runs, ["problem", "optimizer", "trial", self.value, *self.by])
        both = runs[runs["optimizer"].isin([self.a, self.b])]
        chosen = tuned(both, self.tune, self.by)
        chosen = chosen.assign(_value=finite_values(chosen, self.value))
        keys = ["problem", *self.by]
        hidden = (*keys, *chosen.attrs["tuned"])
        columns = [name for name in ("seed", *problem_axes(both)) if name not in hidden]
        left = self._side(chosen, self.a)[[*keys, *columns, "_value", "trial"]]
        right = self._side(chosen, self.b)[[*keys, "_value", "trial"]]
        left = left.rename(columns={"_value": "a", "trial": "trial_a"})
        table = left.merge(right.rename(columns={"_value": "b", "trial": "trial_b"}), on=keys)
        table = table.assign(difference=table["a"] - table["b"])
        table.attrs = {
            **runs.attrs,
            "pair": (self.a, self.b),
            "value": self.value,
            "tuned": chosen.attrs["tuned"],
        }
        table.attrs["unpaired"] = len(left) + len(right) - 2 * len(table)
        table.attrs["nonfinite"] = int(table["difference"].isna().sum())
        return table[[*keys, *columns, "a", "b", "difference", "trial_a", "trial_b"]]

    def _side(self, runs: pd.DataFrame, optimizer: str) -> pd.DataFrame:
        side = runs[runs["optimizer"] == optimizer]
        if side.empty:
            raise SweepError(
                f"No run has the optimizer {optimizer!r}. Look at runs['optimizer'].unique()."
            )
        return side


def pairs(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """The pairs of optimizers (a, b) to compare: each with the first of BASELINES that ran, or all
    where neither ran. Raises SweepError on more than MAX_OPTIMIZERS."""
    check_optimizers(runs)
    names = sorted(runs["optimizer"].dropna().unique())
    baseline = next((name for name in BASELINES if name in names), None)
    if baseline is None:
        return list(combinations(names, 2))
    return [(name, baseline) for name in names if name != baseline]
