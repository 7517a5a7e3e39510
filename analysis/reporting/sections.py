"""The sections of a report: tables, their figures, and what they show in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from analysis.figures.lines import gap_figure
from analysis.figures.phase_diagram import phase_diagram
from analysis.reporting.batch_sections import batch_sections
from analysis.reporting.boundary_sections import (
    boundary_sections,
    exponent_sections,
    fit_boundary,
)
from analysis.reporting.collapse_sections import collapse_sections
from analysis.reporting.correlation_sections import correlation_sections
from analysis.reporting.curve_sections import curve_sections, reported_values
from analysis.reporting.margin_sections import margin_sections
from analysis.reporting.matched_sections import matched_sections
from analysis.reporting.mode_sections import mode_sections
from analysis.reporting.section import Section
from analysis.reporting.survival_sections import fit_time_sections
from analysis.reporting.tuning_sections import tuning_sections
from analysis.reporting.tuning_sentences import setting_sentence
from analysis.reporting.view import View, make_view
from analysis.stats.cells import Cells
from analysis.stats.modes import Modes
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import sorted_unique
from analysis.tables.collapsed import pairs_collapsed
from analysis.tables.columns import column_info, kind_label, observable_names
from analysis.tables.labels import (
    axis_label,
    best_possible_error,
    counted,
    error_sentences,
    format_interval,
    format_number,
    gap_sentences,
)
from analysis.tables.load import part_files
from sweep.schema import CURVES, KINDS
from sweep.wording import first_upper

MAX_PANELS = 4
"""Largest number of panels in a figure of lines that accompanies a phase diagram."""


def report_sections(
    folder: Path, view: View, confidence: float, level: float = 0.25
) -> Iterator[Section]:
    """All sections of a report, the paired difference first.

    Args:
        folder: The store, for the curves.
        view: The runs and their axes.
        confidence: Confidence of the intervals.
        level: The test error whose boundary is located.

    Raises StoreError where the curves cannot be read.
    """
    if "test_error" in reported_values(view.runs):
        yield from _paired_sections(view, confidence)
        yield from _across_sections(view, confidence)
    yield from tuning_sections(view)
    yield from margin_sections(folder, view.runs, confidence)
    if view.x is None:
        yield _means_section(view.runs, confidence)
    elif view.y is None:
        yield from _line_sections(view, confidence)
    else:
        yield from _plane_sections(view, confidence, level)
    if "test_error" in reported_values(view.runs):
        yield from _own_axis_sections(view, confidence)
    yield from batch_sections(view, confidence, level)
    yield from correlation_sections(view, confidence)
    yield from fit_time_sections(view, confidence)
    # Curves are optional: a store may have runs only.
    if part_files(folder, CURVES):
        yield from curve_sections(folder, view, confidence)
        yield from matched_sections(folder, view, confidence)


def _paired_sections(view: View, confidence: float) -> Iterator[Section]:
    """Paired differences: a map, a line or a number."""
    for a, b in pairs(view.runs):
        paired = PairedGap(a, b, by=view.pairing_axes)(view.runs)
        paired["collapsed"] = pairs_collapsed(paired, view.runs)
        cells = Cells(view.x, view.y, "difference", level=confidence)(paired)
        first, second = paired.attrs["pair"]
        title = f"Test error, {first} minus {second}, on the same problems"
        caption = (
            f"Same data and same initial weights: above 0, {second} generalizes better. There are "
            f"{counted(len(paired), 'pair')}, and {counted(paired.attrs['unpaired'], 'run')} "
            f"without a partner. {setting_sentence(view.runs, 'optimizer', (a, b))}"
        ).rstrip()
        for label, column in ((first, "trial_a"), (second, "trial_b")):
            if paired[column].duplicated().any():
                caption += (
                    f" A run of {label} may be in several pairs, which differ by the other run."
                )
        if not view.runs.attrs.get("tuned"):
            caption += " No step size was chosen by these results."
        modes = Modes(view.x, view.y, "difference", level=confidence)(paired)
        figure, sentences = draw_cells(cells, modes=modes), gap_sentences(cells)
        yield Section(f"paired-{a}-{b}", title, caption, cells, figure, sentences)


def _across_sections(view: View, confidence: float) -> Iterator[Section]:
    """Paired differences along each axis of the training that has two values, for each optimizer.

    The two values start from the same data and initial weights, so their difference is more precise
    than the two means.
    """
    for name in view.pairing_axes:
        compared = pairs(view.runs, name)
        if len(compared) != 1:
            continue
        ((a, b),) = compared
        others = ["optimizer", *(key for key in view.pairing_axes if key != name)]
        paired = PairedGap(a, b, by=tuple(others), of=name)(view.runs)
        if paired.empty:
            continue
        x = next((key for key in view.keys if key != name), None)
        cells = Cells(x, None, "difference", "optimizer", confidence)(paired)
        high, low = format_number(a), format_number(b)
        title = f"Test error at {name} = {high} minus {name} = {low}, on the same data"
        caption = (
            f"Same data and same initial weights: above 0, {name} = {low} generalizes better. "
            f"There are {counted(len(paired), 'pair')}. {setting_sentence(view.runs, name, (a, b))}"
        ).rstrip()
        sentences = [_across_sentence(part, title) for _, part in cells.groupby("optimizer")]
        yield Section(f"across-{name}", title, caption, cells, draw_cells(cells), sentences)


def _across_sentence(cells: pd.DataFrame, title: str) -> str:
    """The difference of one optimizer: its value, or in how many cells its sign is clear."""
    lead = f"{title[0].lower()}{title[1:]}"
    first = cells.iloc[0]
    optimizer = first_upper(kind_label("optimizer", first["optimizer"]))
    if len(cells) == 1:
        text = format_interval(first["mean"], first["low"], first["high"], sign="+")
        return f"{optimizer}: {lead}: {text}."
    above, below = (cells["low"] > 0).sum(), (cells["high"] < 0).sum()
    return (
        f"{optimizer}: {lead}: the {100 * cells.attrs['level']:g} % interval of a cell on its own lies "
        f"above 0 in {above or 'none'} and below 0 in {below or 'none'} of {len(cells)} cells."
    )


def draw_cells(
    cells: pd.DataFrame, width: str | None = None, modes: pd.DataFrame | None = None
) -> Figure | None:
    """The figure for a table of Cells: a map or lines, None where there is at most one cell.

    Args:
        cells: A table of Cells.
        width: `single` or `double` column of a paper; by default one column per panel.
        modes: The table of Modes of the same values: cells of a map that split are drawn so.
    """
    if cells.empty or cells.attrs["x"] is None:
        return None
    if cells.attrs["y"] is None:
        return gap_figure(cells, width=width)
    return phase_diagram(cells, width=width, modes=modes)


def _own_axis_sections(view: View, confidence: float) -> Iterator[Section]:
    """Lines over each column that is held, for the optimizers that alone vary it."""
    for name in view.fixed:
        own = view.varied_by_some(name)
        if not own or name in KINDS or not is_numeric_dtype(view.all_runs[name]):
            continue
        runs = view.all_runs[view.all_runs["optimizer"].isin(own)]
        runs.attrs = view.all_runs.attrs
        part = make_view(runs, name, tuning=view.tuning)
        cells = Cells(part.x, part.y, "test_error", "optimizer", confidence)(part.runs)
        names = [kind_label("optimizer", name) for name in own]
        title = f"Test error of {' and '.join(names)} against {axis_label(name)}"
        caption = " ".join([_meaning("test_error"), *part.notes])
        sentences = error_sentences(cells, best_possible_error(part.runs))
        figure = gap_figure(cells)
        yield Section(f"own-{name}", title, caption, cells, figure, sentences, headline=False)


def _plane_sections(view: View, confidence: float, level: float) -> Iterator[Section]:
    # An optimizer with a single x has no boundary along x.
    counts = view.runs.groupby("optimizer")[view.keys[0]].transform("nunique")
    crossed = replace(view, runs=view.runs[counts > 1]) if (counts == 1).any() else view
    fit = fit_boundary(crossed, level, confidence)
    for value in reported_values(view.runs):
        is_error = value == "test_error"
        cells = Cells(view.x, view.y, value, "optimizer", confidence)(view.runs)
        sentences = error_sentences(cells, best_possible_error(view.runs)) if is_error else []
        modes = Modes(view.x, view.y, value, "optimizer", confidence)(view.runs)
        title, caption = axis_label(value).capitalize(), f"{_meaning(value)} Mean over seeds."
        lines = fit.lines if fit and is_error else ()
        figure = phase_diagram(cells, lines=lines, modes=modes)
        yield Section(f"phase-{value}", title, caption, cells, figure, sentences)
        if is_error:
            yield from mode_sections(modes)
        if fit and is_error:
            yield from boundary_sections(fit)
            yield from exponent_sections(crossed, level, confidence)
            yield from collapse_sections(crossed, confidence)
    yield from _line_sections(view, confidence)


def _line_sections(view: View, confidence: float) -> Iterator[Section]:
    """Lines over x; of a plane, only the last value and at a few values of y."""
    runs, values = view.runs, reported_values(view.runs)
    subset_note = ""
    if view.y is not None:
        ys = list(sorted_unique(runs, view.y))
        # from the first to the last; with fewer values, some repeat and are drawn once
        subset = [ys[round(i * (len(ys) - 1) / (MAX_PANELS - 1))] for i in range(MAX_PANELS)]
        runs, values = runs[runs[view.y].isin(subset)], values[-1:]
        subset_note = f" At selected values of {axis_label(view.y)}."
    for value in values:
        cells = Cells(view.x, view.y, value, "optimizer", confidence)(runs)
        sentences = []
        # The sentences about a plane are those of its phase diagram.
        is_error = view.y is None and value == "test_error"
        if is_error:
            sentences = error_sentences(cells, best_possible_error(runs))
        title = f"{axis_label(value).capitalize()} against {axis_label(view.x or '')}"
        caption = f"{_meaning(value)}{subset_note}"
        yield Section(f"lines-{value}", title, caption, cells, gap_figure(cells), sentences)
        if is_error:
            yield from mode_sections(Modes(view.x, None, value, "optimizer", confidence)(runs))


def _means_section(runs: pd.DataFrame, confidence: float) -> Section:
    """A table of means instead of a figure, where only the seed varies."""
    values = [name for name in observable_names() if name in runs and runs[name].notna().any()]
    columns = {
        str(name): [_mean_text(part, value, confidence) for value in values]
        for name, part in runs.groupby("optimizer")
    }
    for a, b in pairs(runs):
        gaps = (PairedGap(a, b, value)(runs) for value in values)
        columns[f"{a} - {b}, paired"] = [_mean_text(gap, "difference", confidence) for gap in gaps]
    errors = Cells(None, None, reported_values(runs)[0], "optimizer", confidence)(runs)
    counts = zip(errors["optimizer"], errors["count"], strict=True)
    finite = ", ".join(f"{count} of {kind_label('optimizer', name)}" for name, count in counts)
    percent = f"{100 * confidence:g} %"
    caption = f"Mean over seeds with its {percent} interval. Finite runs: {finite}."
    table = pd.DataFrame({"mean over seeds": values, **columns})
    return Section("means", "Means", caption, table, sentences=error_sentences(errors))


def _mean_text(table: pd.DataFrame, value: str, confidence: float) -> str:
    """The mean of a column over all rows, with its interval."""
    cells = Cells(None, None, value, level=confidence)(table)
    return "none" if cells.empty else format_interval(*cells[["mean", "low", "high"]].iloc[0])


def _meaning(value: str) -> str:
    return f"{axis_label(value).capitalize()}: {column_info(value).meaning}."
