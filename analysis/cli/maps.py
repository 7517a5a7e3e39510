"""Commands about cells: paired differences, phase diagrams, and curves in one cell."""

from __future__ import annotations

from typing import Annotated

import pandas as pd
import typer

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    MoreFolders,
    Out,
    Tune,
    Value,
    Where,
    Width,
    X,
    Y,
    print_table,
    read_runs,
    select_view,
    write_result,
)
from analysis.figures.lines import curves_figure
from analysis.reporting.curve_sections import most_informative_cell
from analysis.reporting.mode_sections import mode_sentences
from analysis.reporting.sections import draw_cells
from analysis.reporting.view import View
from analysis.stats.bands import FIGURE, Bands
from analysis.stats.cells import Cells
from analysis.stats.modes import Modes
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.labels import best_possible_error, error_sentences, gap_sentences
from analysis.tables.load import load_curves
from sweep.errors import SweepError

# typer needs a list for an option that may be repeated
_DEFAULT_CURVES: list[str] = list(FIGURE)


def gap(
    folder: Folder,
    more: MoreFolders = None,
    a: Annotated[
        str | None, typer.Option(help="First optimizer. Default: one that is not a baseline.")
    ] = None,
    b: Annotated[
        str | None, typer.Option(help="Second optimizer, subtracted. Default: gd, sgd, ...")
    ] = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    tune: Tune = "train_loss",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Difference between two optimizers on the same problems, with intervals over seeds."""
    runs = read_runs(folder, more, where, all_grids)
    a, b = _choose_pair(runs, a, b)
    # A third optimizer must not decide which axes vary.
    view = select_view(runs[runs["optimizer"].isin([a, b])], x, y, None, tune)
    paired = PairedGap(a, b, value, tune, view.pairing_axes)(view.runs)
    if paired.empty:
        raise _nothing_paired(a, b, view)
    cells = Cells(view.x, view.y, "difference", level=confidence)(paired)
    modes = Modes(view.x, view.y, "difference", level=confidence)(paired)
    print_table(cells, gap_sentences(cells))
    write_result(folder, f"gap-{a}-{b}", cells, draw_cells(cells, width, modes), out)


def phase(
    folder: Folder,
    more: MoreFolders = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str, typer.Option(help="Column with one panel per value.")] = "optimizer",
    tune: Tune = "train_loss",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Phase diagram: the mean over seeds in each cell of a plane, for each optimizer."""
    view = select_view(read_runs(folder, more, where, all_grids), x, y, facet, tune)
    cells = Cells(view.x, view.y, value, facet, confidence)(view.runs)
    # The sentences compare optimizers by their test error.
    sentences = []
    if value == "test_error" and facet == "optimizer":
        sentences = error_sentences(cells, best_possible_error(view.runs))
    modes = Modes(view.x, view.y, value, facet, confidence)(view.runs)
    print_table(cells, [*sentences, *mode_sentences(modes)])
    write_result(folder, f"phase-{value}", cells, draw_cells(cells, width, modes), out)


def curves_command(
    folder: Folder,
    value: Annotated[
        list[str], typer.Option(help="Observable; repeat the option for more panels.")
    ] = _DEFAULT_CURVES,
    tune: Tune = "train_loss",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Observables over steps in the cell with the largest paired difference, with bands."""
    view = select_view(read_runs(folder, None, where, all_grids), None, None, None, tune)
    cell, cell_phrase = most_informative_cell(view, confidence)
    records = load_curves(folder, trials=cell["trial"].tolist())
    # otherwise the bands would count as averaged over the hyperparameters
    records.attrs["tuned"] = cell.attrs.get("tuned", ())
    bands = Bands(tuple(value), level=confidence)(records)
    final = bands[bands["step"] == bands["step"].max()]
    print_table(final, [cell_phrase, "At the last step:"] if cell_phrase else ["At the last step:"])
    write_result(folder, "curves", bands, curves_figure(bands, width=width), out)


def _nothing_paired(a: str, b: str, view: View) -> SweepError:
    """Why no run of the one optimizer has a partner among those of the other."""
    if view.pairing_axes:
        axes = " and ".join(view.pairing_axes)
        return SweepError(
            f"{a} and {b} have no value of {axes} in common, so their runs cannot be paired over an "
            "axis of the training. Choose axes of the problem with --x and --y."
        )
    return SweepError(
        f"{a} and {b} have no problem in common yet. Let the sweep continue, or compare other "
        "optimizers."
    )


def _choose_pair(runs: pd.DataFrame, a: str | None, b: str | None) -> tuple[str, str]:
    """The two optimizers to compare: the requested ones, or the first pair that includes them."""
    if a is not None and b is not None:
        return a, b
    for first, second in pairs(runs):
        if a in (None, first) and b in (None, second):
            return first, second
    names = ", ".join(sorted(runs["optimizer"].unique()))
    raise SweepError(
        f"No pair of optimizers matches. The runs have {names}; name two of them with --a and --b."
    )
