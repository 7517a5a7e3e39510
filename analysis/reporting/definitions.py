"""What was trained: definitions of the kinds of a sweep and the values of its fields.

Written for readers who know neither the code nor the grid.
"""

from __future__ import annotations

import pandas as pd

from analysis.tables.axes import sorted_unique, swept
from analysis.tables.columns import column_info, kind_definition
from analysis.tables.labels import format_number

DEFINED = ("data", "model", "objective")
"""Families whose kinds a report defines; optimizers go by names that readers know."""

SUBJECTS = {"data": "point", "model": "network", "objective": "loss"}
"""The word that a definition uses if it is a sentence; that of a plugin may be a formula alone."""

REGULARIZED = (
    "Training minimizes the mean of the loss over the training points plus "
    r"$\frac{\lambda}{2} \| w \|^2$, where $\lambda$ is l2 and $w$ all weights that are trained."
)
TESTED = r"A point with $y F(x) \leq 0$ counts as an error."

KINDS = (*DEFINED, "optimizer", "schedule", "trial", "problem")
"""Columns that name a kind or a row rather than give a value."""

MAX_LISTED_VALUES = 4
"""Up to this number, the values of a field are listed; of more, only the range is given."""


def training_setting(runs: pd.DataFrame) -> list[str]:
    """Sentences that define data, network and loss of these runs, then give their fields."""
    kinds = {family: list(map(str, sorted_unique(runs, family))) for family in DEFINED}
    definitions = [
        _definition(family, kind, alone=len(names) == 1)
        for family, names in kinds.items()
        for kind in names
    ]
    return [*filter(None, definitions), REGULARIZED, TESTED, *_values(runs)]


def _definition(family: str, kind: str, alone: bool) -> str:
    """What a kind is; with its name where that would not be clear, as with two losses."""
    text = kind_definition(family, kind)
    if not text or (alone and SUBJECTS[family] in text):
        return text
    return f"{family.capitalize()} {kind}: {text}"


def _values(runs: pd.DataFrame) -> list[str]:
    """The value of each field that is the same in all runs, the range of each other one."""
    axes = swept(runs)
    fields = [name for name in runs.columns if _is_field(name) and runs[name].notna().any()]
    constant = [name for name in fields if name not in axes and runs[name].nunique() == 1]
    values = [f"{name} = {format_number(runs[name].dropna().tolist()[0])}" for name in constant]
    varied = [*(name for name in axes if name not in KINDS), "seed"]
    ranges = [_range(runs, name) for name in varied]
    sentences = [f"The same in all runs: {', '.join(values)}."] if values else []
    return [*sentences, f"Varied: {'; '.join(ranges)}."]


def _is_field(name: str) -> bool:
    # Fields of optimizers are left out: they are tuned and differ between optimizers.
    return column_info(name).part in (*DEFINED, "train")


def _range(runs: pd.DataFrame, name: str) -> str:
    values = list(sorted_unique(runs, name))
    if len(values) <= MAX_LISTED_VALUES:
        return f"{name} {', '.join(map(format_number, values))}"
    low, high = format_number(values[0]), format_number(values[-1])
    return f"{name} from {low} to {high} ({len(values)} values)"
