"""Commands about cells: paired differences, phase diagrams, and curves in one cell."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
import typer

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    MoreFolders,
    Out,
    Tune,
    TuneOver,
    TunePer,
    Value,
    Where,
    Width,
    X,
    Y,
    print_table,
    read_runs,
    select_view,
    tuning_of,
    write_result,
)
from analysis.figures.lines import curves_figure
from analysis.reporting.curve_sections import most_informative_cell
from analysis.reporting.mode_sections import mode_sentences
from analysis.reporting.sections import draw_cells
from analysis.reporting.tuning_sentences import setting_sentence
from analysis.reporting.view import View
from analysis.stats.bands import FIGURE, Bands
from analysis.stats.cells import Cells
from analysis.stats.modes import Modes
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import sorted_unique
from analysis.tables.collapsed import pairs_collapsed
from analysis.tables.labels import (
    best_possible_error,
    error_sentences,
    format_number,
    gap_sentences,
)
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
    pair: Annotated[
        str,
        typer.Option(help="Column whose values --a and --b are compared, such as objective."),
    ] = "optimizer",
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str | None, typer.Option(help="Column with one panel per value.")] = None,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Difference between two optimizers, or two values of another column, on the same data.

    The runs of a pair have the same initial weights, too. Intervals are over seeds.
    """
    tuning = tuning_of(tune, tune_over, tune_per)
    runs = read_runs(folder, more, where, all_grids)
    first, second = _choose_pair(runs, a, b, pair)
    # A third optimizer must not decide which axes vary.
    view = select_view(runs[runs[pair].isin([first, second])], x, y, facet, tuning, pair)
    paired = PairedGap(first, second, value, by=view.pairing_axes, of=pair)(view.runs)
    if paired.empty:
        raise _nothing_paired(first, second, view)
    paired["collapsed"] = pairs_collapsed(paired, view.runs)
    cells = Cells(view.x, view.y, "difference", facet, confidence)(paired)
    modes = Modes(view.x, view.y, "difference", facet, confidence)(paired)
    sentences = [
        setting_sentence(view.runs, pair, (first, second)),
        *_facet_sentences(cells, facet),
    ]
    print_table(cells, [sentence for sentence in sentences if sentence])
    write_result(folder, f"gap-{first}-{second}", cells, draw_cells(cells, width, modes), out)


def phase(
    folder: Folder,
    more: MoreFolders = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str, typer.Option(help="Column with one panel per value.")] = "optimizer",
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Phase diagram: the mean over seeds in each cell of a plane, for each optimizer."""
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, more, where, all_grids), x, y, facet, tuning, facet)
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
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Observables over steps in the cell with the largest paired difference, with bands."""
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, None, where, all_grids), None, None, None, tuning)
    cell, cell_phrase = most_informative_cell(view, confidence)
    records = load_curves(folder, trials=cell["trial"].tolist())
    # otherwise the bands would count as averaged over the hyperparameters
    records.attrs["tuned"] = cell.attrs.get("tuned", ())
    bands = Bands(tuple(value), level=confidence)(records)
    final = bands[bands["step"] == bands["step"].max()]
    print_table(final, [cell_phrase, "At the last step:"] if cell_phrase else ["At the last step:"])
    write_result(folder, "curves", bands, curves_figure(bands, width=width), out)


def _facet_sentences(cells: pd.DataFrame, facet: str | None) -> list[str]:
    """What the cells show, for each panel."""
    if facet is None:
        return gap_sentences(cells)
    sentences = []
    for value in sorted_unique(cells, facet):
        part = cells[cells[facet] == value]
        part.attrs = cells.attrs
        sentences += [f"At {facet} = {format_number(value)}:", *gap_sentences(part)]
    return sentences


def _nothing_paired(a: Any, b: Any, view: View) -> SweepError:
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


def _choose_pair(runs: pd.DataFrame, a: str | None, b: str | None, of: str) -> tuple[Any, Any]:
    """The two values to compare: the requested ones, or the first pair that includes them."""
    compared = pairs(runs, of)
    values = {_text(value): value for value in sorted_unique(runs, of)}
    first, second = (None if text is None else values.get(_text(text), text) for text in (a, b))
    if first is not None and second is not None:
        return first, second
    for pair in compared:
        if first in (None, pair[0]) and second in (None, pair[1]):
            return pair
    noun = "optimizers" if of == "optimizer" else f"values of {of}"
    raise SweepError(
        f"No pair of {noun} matches. The runs have {', '.join(map(str, values))}; name two of them "
        "with --a and --b."
    )


def _text(value: Any) -> str:
    """A value, or what a user typed for it, as one text: 2, 2.0 and 2e0 are the same."""
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError):
        return str(value)
