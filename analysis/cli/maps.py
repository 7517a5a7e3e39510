"""Commands that make cells: paired differences, phase diagrams, curves, times to fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import analysis
from analysis.cli.shared import Confidence, Folder, More, Out, Tune, Value, Where, Width, X, Y, look, read, show, write
from analysis.reporting.sections import draw_cells, most_informative_cell
from analysis.stats.bands import FIGURE
from analysis.tables.labels import best_possible_error, error_sentences, gap_sentences
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd

_FIGURE: list[str] = list(FIGURE)


def gap(
    folder: Folder,
    more: More = None,
    a: Annotated[str | None, typer.Option(help="First optimizer. Default: the one that is no baseline.")] = None,
    b: Annotated[str | None, typer.Option(help="Second optimizer, subtracted. Default: gd, sgd, ...")] = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    tune: Tune = "train_loss",
    where: Where = None,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Difference between two optimizers on the same problems, with intervals over seeds."""
    runs = read(folder, more, where)
    a, b = _pair(runs, a, b)
    shown = look(runs[runs["optimizer"].isin([a, b])], x, y, None, tune)
    paired = analysis.PairedGap(a, b, value, tune, shown.by)(shown.runs)
    if paired.empty:
        raise SweepError(f"{a} and {b} share no problem yet. Let the sweep run on, or compare other optimizers.")
    cells = analysis.Cells(shown.x, shown.y, "difference", level=confidence)(paired)
    show(cells, gap_sentences(cells))
    write(folder, f"gap-{a}-{b}", cells, draw_cells(cells, width), out)


def phase(
    folder: Folder,
    more: More = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str, typer.Option(help="Column with a panel for each of its values.")] = "optimizer",
    tune: Tune = "train_loss",
    where: Where = None,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Phase diagram: the mean over seeds in each cell of a plane, for each optimizer."""
    shown = look(read(folder, more, where), x, y, facet, tune)
    cells = analysis.Cells(shown.x, shown.y, value, facet, confidence)(shown.runs)
    show(
        cells,
        error_sentences(cells, best_possible_error(shown.runs))
        if (value, facet) == ("test_error", "optimizer")
        else [],
    )
    write(folder, f"phase-{value}", cells, draw_cells(cells, width), out)


def curves(
    folder: Folder,
    value: Annotated[list[str], typer.Option(help="Observable; give the option again for more panels.")] = _FIGURE,
    tune: Tune = "train_loss",
    where: Where = None,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Observables over steps with bands over seeds, in one cell: by default that of the largest paired difference."""
    cell, place = most_informative_cell(look(read(folder, None, where), None, None, None, tune), confidence)
    found = analysis.load_curves(folder, trials=cell["trial"].tolist())
    found.attrs["tuned"] = cell.attrs.get("tuned", ())
    bands = analysis.Bands(tuple(value), level=confidence)(found)
    show(bands[bands["step"] == bands["step"].max()], [place, "At the last step:"] if place else ["At the last step:"])
    write(folder, "curves", bands, analysis.curves_figure(bands, width=width), out)


def _pair(runs: pd.DataFrame, a: str | None, b: str | None) -> tuple[str, str]:
    wanted = [pair for pair in analysis.pairs(runs) if a in (None, pair[0]) and b in (None, pair[1])]
    if a is not None and b is not None:
        return a, b
    if not wanted:
        names = ", ".join(sorted(runs["optimizer"].unique()))
        raise SweepError(f"No pair of optimizers fits. The runs have {names}; name two of them with --a and --b.")
    return wanted[0]
