"""What a report says of cells whose seeds split into modes: shares, and a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.reporting.section import Section
from analysis.stats.modes import GAP, GAP_TO_WIDTH, split_modes
from analysis.tables.columns import kind_label
from analysis.tables.labels import axis_label, cell_sentence, counted, format_number

MODES_CAPTION = (
    f"Cells whose seeds split: sorted, they leave gaps of at least {GAP:g}, each at least "
    f"{GAP_TO_WIDTH} times as wide as the widest group between them. One row a mode: its mean "
    "(center), how many of the seeds are in it, and their share with its mid-P interval (low, high). "
    "The mean of such a cell is the value of no seed."
)


def mode_sections(modes: pd.DataFrame) -> Iterator[Section]:
    """The shares of seeds in each mode; nothing where no cell splits.

    Args:
        modes: A table of Modes.
    """
    split = split_modes(modes)
    if split.empty:
        return
    title = f"Shares of seeds by mode: {axis_label(modes.attrs['of'])}"
    yield Section("modes", title, MODES_CAPTION, split, sentences=mode_sentences(modes))


def mode_sentences(modes: pd.DataFrame) -> list[str]:
    """In how many cells seeds split, with the most even one as an example; one for each facet."""
    facet = modes.attrs["facet"]
    keys = [modes.attrs[name] for name in ("x", "y") if modes.attrs[name] is not None]
    split = split_modes(modes)
    parts = split.groupby(facet) if facet else [("", split)]
    return [_sentence(name, part, keys, modes.attrs) for name, part in parts if len(part)]


def _sentence(name: object, split: pd.DataFrame, keys: list[str], attrs: dict[Any, Any]) -> str:
    value = axis_label(attrs["of"])
    quantity = f"difference in {value}" if attrs["column"] == "difference" else value
    of = f" of {kind_label(attrs['facet'], str(name))}" if name else ""
    groups = [part for _, part in split.groupby(keys, dropna=False)] if keys else [split]
    # the most even one
    example = min(groups, key=lambda part: part["share"].max())
    shares = [f"near {format_number(row.center, 2)} in {row.seeds}" for row in example.itertuples()]
    told = (
        f"of {example['count'].iloc[0]} seeds the {quantity} is {', '.join(shares[:-1])} and "
        f"{shares[-1]}"
    )
    if not keys:
        return f"The seeds{of} split into modes: {told}."
    return (
        f"In {counted(len(groups), 'cell')} the seeds{of} split into modes, and the mean is the "
        f"value of no seed: at {cell_sentence(example.iloc[0], keys)}, for example, {told}."
    )
