"""The report section on curves over steps, in the cell where the optimizers differ most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from analysis.figures.lines import curves_figure
from analysis.reporting.section import Section
from analysis.reporting.survival_sections import sign_flip_sections
from analysis.reporting.view import View
from analysis.stats.bands import FIGURE, Bands
from analysis.stats.cells import Cells
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import largest_cell
from analysis.tables.columns import observable_names
from analysis.tables.labels import axis_label, cell_sentence
from analysis.tables.load import load_curves

TEST_VALUES = ("test_error", "generalization_gap")
"""What a page reports if the runs were tested."""

FALLBACK_CURVES = ("train_loss", "train_error", "test_error")
"""Observables to draw where the network has no features or the data no noise."""


def reported_values(runs: pd.DataFrame) -> tuple[str, ...]:
    """The columns that a page reports: those of the test, if there was one."""
    return TEST_VALUES if runs["test_error"].notna().any() else ("train_loss",)


def curve_sections(folder: Path, view: View, confidence: float) -> Iterator[Section]:
    """Curves with bands over seeds in the most informative cell, and the sign flips there.

    Args:
        folder: The store, for the curves.
        view: The runs and their axes.
        confidence: Confidence of the intervals.
    """
    cell, cell_phrase = most_informative_cell(view, confidence)
    curves = load_curves(folder, trials=cell["trial"].tolist())
    values = _drawn_observables(curves)
    if not values:
        return
    # Curves inherit the choice of hyperparameters; otherwise they count as averaged over.
    curves.attrs["tuned"] = view.runs.attrs.get("tuned", ())
    bands = Bands(values, level=confidence)(curves)
    labels = [axis_label(value) for value in values]
    title = " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]])).capitalize()
    caption = f"{cell_phrase}After a run has ended, its last value is carried forward."
    yield Section("curves", title, caption, bands, curves_figure(bands))
    yield from sign_flip_sections(curves, cell_phrase, confidence)


def _drawn_observables(curves: pd.DataFrame) -> tuple[str, ...]:
    """Those of the core paper's figure if they were recorded, else the losses and errors."""
    steps = {
        name: curves.loc[curves[name].notna(), "step"].nunique()
        for name in observable_names()
        if name in curves
    }
    # One step is no curve: some observables are measured at the end only.
    recorded = [name for name, count in steps.items() if count > 1]
    if set(FIGURE) <= set(recorded):
        return FIGURE
    return tuple(name for name in FALLBACK_CURVES if name in recorded)


def most_informative_cell(view: View, confidence: float) -> tuple[pd.DataFrame, str]:
    """The runs of the cell with the largest paired difference, and a phrase that names it.

    Where no paired difference is finite, it is the cell with the largest value.

    Args:
        view: The runs and their axes.
        confidence: Confidence of the intervals.
    """
    if not view.keys:
        return view.runs, ""
    cells, quantity, paired = _compared_cells(view, confidence)
    # The cell must lie in the plane, and NaN is equal to no value.
    peak = largest_cell(cells.dropna(subset=view.keys))
    inside = (view.runs[view.keys] == peak[view.keys]).all(axis=1)
    # A run may be the partner of runs at other values of an axis that only these vary.
    if paired is not None:
        at_peak = paired[(paired[view.keys] == peak[view.keys]).all(axis=1)]
        inside |= view.runs["trial"].isin([*at_peak["trial_a"], *at_peak["trial_b"]])
    scope = ""
    if view.runs[view.keys].isna().any(axis=None):
        scope = f" among the runs that have {' and '.join(view.keys)}"
    condition = cell_sentence(peak, view.keys)
    return view.runs[inside], f"At {condition}, the cell with the largest {quantity}{scope}. "


def _compared_cells(view: View, confidence: float) -> tuple[pd.DataFrame, str, pd.DataFrame | None]:
    """Cells of the paired difference with its name and pairs, or those of the value itself."""
    value = reported_values(view.runs)[0]
    compared = pairs(view.runs)
    if compared:
        a, b = compared[0]
        paired = PairedGap(a, b, value, by=view.pairing_axes)(view.runs)
        cells = Cells(view.x, view.y, "difference", level=confidence)(paired)
        if cells["mean"].notna().any():
            return cells, f"paired difference, {' minus '.join(paired.attrs['pair'])}", paired
    cells = Cells(view.x, view.y, value, "optimizer", confidence)(view.runs)
    return cells, axis_label(value), None
