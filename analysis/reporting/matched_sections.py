"""The report section on errors at equal training loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis.figures.loss_matched import matched_figure
from analysis.reporting.curve_sections import most_informative_cell
from analysis.reporting.section import Section
from analysis.reporting.view import View
from analysis.stats.loss_matched import LossMatched
from analysis.stats.paired_gap import pairs
from analysis.stats.same_start import curves_by_start
from analysis.tables.columns import kind_label
from analysis.tables.labels import axis_label, counted, format_interval, format_number
from analysis.tables.load import load_curves
from sweep.errors import SweepError

CAPTION = (
    "Runs are compared where their training losses are equal, not their steps: each counts from the "
    "record at which a loss is first reached, between records linear in log loss."
)

WIDE_SPACING = 10.0
"""Records further apart than this factor leave the line between them unknown."""


def matched_sections(folder: Path, view: View, confidence: float) -> Iterator[Section]:
    """Test errors at equal training loss in the most informative cell, for each pair of optimizers.

    There are none without test errors over steps, or where no loss is common to both.

    Args:
        folder: The store, for the curves.
        view: The runs and their axes.
        confidence: Confidence of the intervals.
    """
    compared = pairs(view.runs)
    if not compared:
        return
    cell, cell_phrase = most_informative_cell(view, confidence)
    curves = load_curves(folder, trials=cell["trial"].tolist())
    curves.attrs["tuned"] = view.runs.attrs.get("tuned", ())
    curves = curves_by_start(curves, view.runs)
    match = LossMatched(level=confidence)
    for a, b in compared:
        both = curves[curves["optimizer"].isin([a, b])]
        try:
            table, difference = match(both), match.difference(both, a, b)
        except SweepError:
            continue
        first, second = (kind_label("optimizer", str(name)) for name in (a, b))
        title = f"Test error at equal training loss, {first} and {second}"
        figure, sentences = matched_figure(table, difference), matched_sentences(table, difference)
        yield Section(
            f"matched-{a}-{b}",
            title,
            f"{cell_phrase}{CAPTION}",
            table,
            figure,
            sentences,
            headline=False,
        )


def matched_sentences(table: pd.DataFrame, difference: pd.DataFrame) -> list[str]:
    """The difference at the furthest progress that all runs make, or where many end before it."""
    along, facet = table.attrs["along"], table.attrs["facet"]
    unreached = table.groupby(along)["unreached"].sum()
    complete = unreached[unreached == 0].index
    furthest = min if along == "train_loss" else max
    at = furthest(complete if len(complete) else unreached.index)
    row = difference[difference[along] == at].iloc[0]
    a, b = difference.attrs["pair"]
    progress = "training loss" if along == "train_loss" else "effective time"
    gap = format_interval(row["mean"], row["low"], row["high"], "+")
    problems = counted(int(row["count"]), "problem")
    sentence = (
        f"At the {progress} {format_number(at)} the {axis_label(difference.attrs['of'])} of {a} "
        f"minus that of {b} is {gap}, over {problems} on which both get there."
    )
    if not row["count"]:
        sentence = f"There is no problem on which both get to the {progress} {format_number(at)}."
    ends = table[table[along] == furthest(table[along])].query("unreached > 0")
    counts = [
        f"{row['unreached']} of {row['unreached'] + row['count']} runs of {row[facet]}"
        for row in ends.to_dict("records")
    ]
    sentences = [sentence]
    if counts:
        end = format_number(furthest(table[along]))
        sentences.append(f"The {progress} {end} is not reached by {' and '.join(counts)}.")
    if (spacing := table.attrs["spacing"]) > WIDE_SPACING:
        sentences.append(
            f"Records are up to a factor of {spacing:,.0f} apart in {progress}, and "
            "lines between them are a guess. Record more points."
        )
    return sentences
