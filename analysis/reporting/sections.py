"""What a page shows of a sweep: tables, their figures, and what they say in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.figures.lines import curves_figure, gap_figure
from analysis.figures.phase_diagram import phase_diagram
from analysis.reporting.boundary_sections import (
    boundary_sections,
    collapse_sections,
    fit_boundary,
    other_boundary_sections,
)
from analysis.reporting.margin_sections import margin_sections
from analysis.reporting.section import Section
from analysis.reporting.survival_sections import fit_time_sections, sign_flip_sections
from analysis.reporting.view import View
from analysis.stats.bands import FIGURE, Bands
from analysis.stats.cells import Cells
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import largest_cell, sorted_unique
from analysis.tables.columns import column_info, observable_names
from analysis.tables.labels import (
    axis_label,
    best_possible_error,
    cell_sentence,
    error_sentences,
    format_interval,
    gap_sentences,
)
from analysis.tables.load import load_curves, part_files
from sweep.schema import CURVES

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TESTED = ("test_error", "generalization_gap")
"""What a page is about where there was a test."""

OTHERWISE = ("train_loss", "train_error", "test_error")
"""Observables whose curves are shown where a network has no features or the data no noise."""

PANELS = 4
"""Most panels of a figure of lines."""


def report_sections(folder: Path, shown: View, confidence: float, level: float = 0.25) -> Iterator[Section]:
    """All that a page shows, the paired difference first; `level` is the test error whose boundary is looked for.

    Raises StoreError where the curves cannot be read.
    """
    if _measured(shown.runs) == TESTED:
        yield from _gaps(shown, confidence)
    yield from margin_sections(folder, shown.runs, confidence)
    if shown.x is None:
        yield _means(shown.runs, confidence)
    elif shown.y is None:
        yield from _lines(shown, confidence)
    else:
        yield from _planes(shown, confidence, level)
    yield from fit_time_sections(shown, confidence)
    if part_files(folder, CURVES):
        yield from _curves(folder, shown, confidence)


def _measured(runs: pd.DataFrame) -> tuple[str, ...]:
    """The values that a page is about: those of a test where there was one."""
    return TESTED if runs["test_error"].notna().any() else ("train_loss",)


def _gaps(shown: View, confidence: float) -> Iterator[Section]:
    """Paired differences: a map, a line or a number."""
    for a, b in pairs(shown.runs):
        paired = PairedGap(a, b, by=shown.by)(shown.runs)
        cells = Cells(shown.x, shown.y, "difference", level=confidence)(paired)
        title, name = f"Test error, {a} minus {b}, on the same problems", f"paired-{a}-{b}"
        caption = f"Same data and same first weights: above 0, {b} generalizes better. "
        caption += f"{len(paired)} problems were run with both; {paired.attrs['unpaired']} with one of the two only."
        yield Section(name, title, caption, cells, draw_cells(cells), gap_sentences(cells))


def draw_cells(cells: pd.DataFrame, width: str | None = None) -> Figure | None:
    """The figure that fits a table of Cells: a map, lines, or None for a single cell or none at all."""
    if cells.empty or cells.attrs["x"] is None:
        return None
    return gap_figure(cells, width=width) if cells.attrs["y"] is None else phase_diagram(cells, width=width)


def _planes(shown: View, confidence: float, level: float) -> Iterator[Section]:
    found = fit_boundary(shown, level, confidence)
    for value in _measured(shown.runs):
        cells = Cells(shown.x, shown.y, value, "optimizer", confidence)(shown.runs)
        said = error_sentences(cells, best_possible_error(shown.runs)) if value == "test_error" else []
        caption = f"{_meaning(value)} Mean over seeds in each cell."
        figure = phase_diagram(cells, lines=found.lines if found and value == "test_error" else ())
        yield Section(f"phase-{value}", axis_label(value).capitalize(), caption, cells, figure, said)
        if found and value == "test_error":
            yield from boundary_sections(found)
            yield from other_boundary_sections(shown, level, confidence)
            yield from collapse_sections(shown, confidence)
    yield from _lines(shown, confidence)


def _lines(shown: View, confidence: float) -> Iterator[Section]:
    """Lines over x; where there is a plane, of the last value alone and at some of the y."""
    runs, values = shown.runs, _measured(shown.runs)
    if shown.y is not None:
        ys = list(sorted_unique(runs, shown.y))
        some = [ys[round(i * (len(ys) - 1) / (PANELS - 1))] for i in range(PANELS)]
        runs, values = runs[runs[shown.y].isin(some)], values[-1:]
    for value in values:
        cells = Cells(shown.x, shown.y, value, "optimizer", confidence)(runs)
        said = error_sentences(cells, best_possible_error(runs)) if shown.y is None and value == "test_error" else []
        title = f"{axis_label(value).capitalize()} against {axis_label(shown.x or '')}"
        few = f" At some values of {axis_label(shown.y)}." if shown.y else ""
        yield Section(f"lines-{value}", title, f"{_meaning(value)}{few}", cells, gap_figure(cells), said)


def _means(runs: pd.DataFrame, confidence: float) -> Section:
    """Nothing but the seed varies: a table of means instead of a picture."""
    import pandas as pd

    values = [name for name in observable_names() if runs[name].notna().any()]
    columns = {
        str(name): [_told(Cells(None, None, value, level=confidence)(own)) for value in values]
        for name, own in runs.groupby("optimizer")
    }
    columns |= {
        f"{a} - {b}, paired": [
            _told(Cells(None, None, "difference", level=confidence)(PairedGap(a, b, value)(runs))) for value in values
        ]
        for a, b in pairs(runs)
    }
    errors = Cells(None, None, _measured(runs)[0], "optimizer", confidence)(runs)
    counted = ", ".join(f"{count} of {name}" for name, count in zip(errors["optimizer"], errors["count"], strict=True))
    caption = f"Mean over seeds with its {100 * confidence:g} % interval. Finite runs: {counted}."
    table = pd.DataFrame({"mean over seeds": values, **columns})
    return Section("means", "Means", caption, table, said=error_sentences(errors))


def _told(cells: pd.DataFrame) -> str:
    return "none" if cells.empty else format_interval(*cells[["mean", "low", "high"]].iloc[0])


def _curves(folder: Path, shown: View, confidence: float) -> Iterator[Section]:
    cell, place = most_informative_cell(shown, confidence)
    curves = load_curves(folder, trials=cell["trial"].tolist())
    recorded = [name for name in observable_names() if curves.loc[curves[name].notna(), "step"].nunique() > 1]
    values = FIGURE if set(FIGURE) <= set(recorded) else tuple(name for name in OTHERWISE if name in recorded)
    if not values:
        return
    curves.attrs["tuned"] = shown.runs.attrs.get("tuned", ())
    bands = Bands(values, level=confidence)(curves)
    caption = f"{place}A run that has ended keeps its last value."
    yield Section("curves", " and ".join(map(axis_label, values)).capitalize(), caption, bands, curves_figure(bands))
    yield from sign_flip_sections(curves, place, confidence)


def most_informative_cell(shown: View, confidence: float) -> tuple[pd.DataFrame, str]:
    """The runs of the cell with the largest paired difference, or test error, and its name in words."""
    if not shown.keys:
        return shown.runs, ""
    value, compared = _measured(shown.runs)[0], pairs(shown.runs)
    table = PairedGap(*compared[0], value, by=shown.by)(shown.runs) if compared else shown.runs
    cells = Cells(shown.x, shown.y, "difference", level=confidence)(table) if compared else None
    what = f"paired difference, {compared[0][0]} minus {compared[0][1]}" if compared else axis_label(value)
    if cells is None or cells["mean"].isna().all():
        cells, what = Cells(shown.x, shown.y, value, "optimizer", confidence)(shown.runs), axis_label(value)
    top = largest_cell(cells.dropna(subset=shown.keys))
    inside = (shown.runs[shown.keys] == top[shown.keys]).all(axis=1)
    among = f" of the runs that have {' and '.join(shown.keys)}" if shown.runs[shown.keys].isna().any(axis=None) else ""
    return shown.runs[inside], f"At {cell_sentence(top, shown.keys)}, the cell with the largest {what}{among}. "


def _meaning(value: str) -> str:
    return f"{axis_label(value).capitalize()}: {column_info(value).meaning}."
