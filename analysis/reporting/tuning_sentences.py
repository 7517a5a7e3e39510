"""How step sizes and other settings of the training came about, in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.stats.tuning import Tuning
from analysis.tables.axes import sorted_unique
from analysis.tables.columns import column_info, kind_label
from analysis.tables.labels import axis_label, counted, format_number
from sweep.schema import KINDS
from sweep.wording import first_upper

MAX_LISTED = 8
"""Up to this number, the values that were tried are listed; of more, only the range is given."""

SETTINGS = ("objective", "optimizer", "schedule", "train")
"""Parts of a trial in which the two sides of a comparison may differ."""


def tuning_note(runs: pd.DataFrame, columns: Sequence[str], tuning: Tuning) -> str:
    """By what the columns were chosen, over which values, and for what.

    Args:
        runs: The runs that were chosen from.
        columns: What was chosen over.
        tuning: How.
    """
    criterion = tuning.criterion(runs)
    label = axis_label(criterion)
    if criterion.startswith("validation"):
        label = f"{label}, on points apart from those of the test"
    smallest = (
        f"for each optimizer, cell and seed the run with the smallest {label}"
        if tuning.per == "seed"
        else f"for each optimizer and cell the value with the smallest mean over its seeds of the {label}"
    )
    tried, fixed = [], []
    for name in sorted_unique(runs, "optimizer"):
        part = runs[runs["optimizer"] == name]
        varied = [column for column in columns if part[column].nunique(dropna=False) > 1]
        label = kind_label("optimizer", str(name))
        if varied:
            values = " and ".join(f"{column} = {_values(part[column])}" for column in varied)
            tried.append(f"{label} over {values}")
        else:
            fixed.append(f" {first_upper(label)} was not tuned: it ran at {_at(part, columns)}.")
    per_run = "" if tuning.per == "seed" else " A run that diverged counts as worse than any other."
    return (
        f"{_title(columns)} chosen: {smallest} ({'; '.join(tried)}).{per_run} Test data played no "
        f"part in the choice.{''.join(fixed)}"
    )


def edge_sentences(choices: pd.DataFrame) -> list[str]:
    """Warnings where a chosen value is the smallest or largest that was tried."""
    if choices.empty:
        return []
    numbers = [name for name in choices.attrs["columns"] if choices[name].dtype.kind in "iuf"]
    sentences = []
    for optimizer, part in choices.groupby("optimizer"):
        for name in numbers:
            edges = part["edge"].str.split(", ")
            counts = {
                end: sum(f"{end} {name}" in words for words in edges)
                for end in ("smallest", "largest")
            }
            if any(counts.values()):
                sentences.append(
                    _edge_sentence(
                        f"{name} chosen for {kind_label('optimizer', str(optimizer))}",
                        counts,
                        len(part),
                    )
                )
    return sentences


def _edge_sentence(what: str, counts: Mapping[str, int], total: int) -> str:
    """How often a chosen value is the smallest or the largest that was tried."""
    ends = [end for end, count in counts.items() if count]
    beyond = " or ".join({"smallest": "smaller", "largest": "larger"}[end] for end in ends)
    if total == 1:
        return f"Warning: the {what} is the {ends[0]} that was tried; a {beyond} one may be better."
    often = " and ".join(f"the {end} that was tried in {counts[end]}" for end in ends)
    return f"Warning: the {what} is {often} of {counted(total, 'choice')}; a {beyond} one may be better."


def setting_sentence(runs: pd.DataFrame, of: str, values: Iterable[Any]) -> str:
    """The settings in which the two sides of a comparison differ, such as lr and l2.

    Args:
        runs: The runs of both sides, after step sizes were chosen.
        of: The column that is compared.
        values: Its two values.
    """
    prefix = "" if of in KINDS else f"{of} = "
    labels = {value: kind_label(of, format_number(value)) for value in values}
    sides = {f"{prefix}{label}": runs[runs[of] == value] for value, label in labels.items()}
    names = [str(name) for name in runs if column_info(str(name)).part in SETTINGS and name != of]
    differing = [
        name for name in names if len({_set_of(part[name]) for part in sides.values()}) > 1
    ]
    tuned, texts = runs.attrs.get("tuned", ()), []
    for side, part in sides.items():
        known = [name for name in differing if part[name].notna().any()]
        entries = [
            f"{name} = {_values(part[name])}{' (chosen)' if name in tuned else ''}"
            for name in known
        ]
        if entries:
            texts.append(f"{side} has {', '.join(entries)}")
    return f"Settings that differ: {'; '.join(texts)}." if texts else ""


def _title(columns: Sequence[str]) -> str:
    """What was chosen, as the beginning of a sentence."""
    first = columns[0] if len(columns) == 1 else f"{', '.join(columns[:-1])} and {columns[-1]}"
    return f"{first} {'was' if len(columns) == 1 else 'were'}"


def _at(part: pd.DataFrame, columns: Sequence[str]) -> str:
    entries = [f"{name} = {_values(part[name])}" for name in columns if part[name].notna().any()]
    return f"{' and '.join(entries)} only" if entries else f"no {' or '.join(columns)}"


def _values(column: pd.Series) -> str:
    """The values of a column, or their range."""
    values = sorted(column.dropna().unique())
    if len(values) <= MAX_LISTED:
        return ", ".join(map(format_number, values))
    low, high = format_number(values[0]), format_number(values[-1])
    return f"{low} to {high} ({len(values)} values)"


def _set_of(column: pd.Series) -> frozenset[Any]:
    return frozenset(column.dropna().unique())
