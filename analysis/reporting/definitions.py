"""What was trained: the definitions of the kinds of a sweep, and its numbers, for readers who know neither code nor grid."""

from __future__ import annotations

import pandas as pd

from analysis.tables.axes import sorted_unique, swept
from analysis.tables.columns import column_info, kind_definition
from analysis.tables.labels import format_number

DEFINED = ("data", "model", "objective")
"""Families whose kinds are defined in a report; optimizers go by names that readers know."""

REGULARIZED = (
    "Training minimizes the mean of the loss over the training points plus (l2 / 2) times the squared norm of the "
    "weights."
)
TESTED = "A point with y F(x) ≤ 0 counts as an error."
KINDS = (*DEFINED, "optimizer", "schedule", "trial", "problem")


def training_setting(runs: pd.DataFrame) -> list[str]:
    """Sentences that define data, network and loss of these runs, then what they have in common and what varied."""
    definitions = [
        definition
        for family in DEFINED
        for kind in sorted_unique(runs, family)
        if (definition := kind_definition(family, str(kind)))
    ]
    return [*definitions, REGULARIZED, TESTED, *_values(runs)]


def _values(runs: pd.DataFrame) -> list[str]:
    """The values of all fields: one where it is the same in all runs, else the range."""
    varied = swept(runs)
    fields = [name for name in runs.columns if _is_field(name) and runs[name].notna().any()]
    common = [name for name in fields if name not in varied and runs[name].nunique() == 1]
    same = [f"{name} = {format_number(runs[name].dropna().iloc[0])}" for name in common]
    ranges = [
        _range(runs, name) for name in [*(name for name in varied if name not in KINDS), "seed"]
    ]
    sentences = [f"The same in all runs: {', '.join(same)}."] if same else []
    return [*sentences, f"Varied: {'; '.join(ranges)}."]


def _is_field(name: str) -> bool:
    """True of fields of data, network, objective and training; those of optimizers are tuned, not defined."""
    return column_info(name).part in (*DEFINED, "train")


def _range(runs: pd.DataFrame, name: str) -> str:
    values = list(sorted_unique(runs, name))
    if len(values) <= 4:
        return f"{name} {', '.join(map(format_number, values))}"
    return f"{name} from {format_number(values[0])} to {format_number(values[-1])} ({len(values)} values)"
