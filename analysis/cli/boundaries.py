"""Commands about the boundary of a phase: where it lies and which power law it follows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from analysis.cli.shared import (
    AllGrids,
    Branch,
    Confidence,
    Fit,
    Folder,
    Level,
    MoreFolders,
    Out,
    TableOut,
    Tune,
    TuneOver,
    TunePer,
    Value,
    Where,
    X,
    Y,
    horizontal_axis,
    print_table,
    read_runs,
    select_view,
    tuning_of,
    write_result,
)
from analysis.figures.collapse import collapse_figure
from analysis.refinement import rounds as refinement_rounds
from analysis.refinement.proposal import Refinement
from analysis.reporting.boundary_sentences import row_notes
from analysis.stats.boundary import Boundary
from analysis.stats.branches import NONE
from analysis.stats.collapse import Collapse
from analysis.stats.resampling import FITS
from sweep.cli import path_argument
from sweep.errors import SweepError
from sweep.terminal_text import echo


def boundary(
    folder: Folder,
    more: MoreFolders = None,
    level: Level = 0.25,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    fit: Fit = "monotone",
    branch: Branch = None,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    out: TableOut = None,
) -> None:
    """Locate where a value crosses a level along x, and the power of y that the crossings follow.

    Each optimizer has a boundary of its own, and each direction of crossing a branch.
    """
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, more, where, all_grids), x, y, "optimizer", tuning)
    if fit not in FITS:
        raise SweepError(f"There is no fit {fit!r}. Choose {' or '.join(FITS)}.")
    axis = horizontal_axis(view)
    # To a type checker `fit` is any string; that it is one of FITS was checked above.
    arguments = (axis, view.y, value, level, "optimizer", fit, confidence)
    locate = Boundary(*arguments, branch=branch)  # type: ignore[arg-type]
    locate.follow(view.runs)
    table = locate(view.runs)
    print_table(table, [f"{value} = {level:g} is crossed at this {axis}:"])
    for sentence in _boundary_notes(table, fit):
        echo(sentence)
    # An exponent is a slope of logarithms.
    if view.y is not None and (view.runs[view.y] > 0).all():
        slope = f"Slope of log {axis} against log {view.y} along the branch that is followed:"
        print_table(locate.exponent(view.runs), [slope])
    write_result(folder, "boundary", table, None, out)


def _boundary_notes(table: pd.DataFrame, fit: str) -> Iterator[str]:
    """What a reader of the table must know about its rows."""
    yield from row_notes(table)
    if (~np.isfinite(table[["at", "low", "high"]].dropna())).any(axis=None):
        yield (
            "An infinite place, with branch none: the row lies on its side of the level everywhere. "
            "An infinite end of an interval: the seeds do not exclude that it crosses beyond the "
            "grid."
        )
    contradicted = int((table["crossings"] > 1).sum())
    if fit == "logistic" and contradicted:
        yield (
            "A logistic curve crosses once by its definition, which is wrong in such rows. See all "
            "crossings with --fit monotone."
        )


def collapse(
    folder: Folder,
    more: MoreFolders = None,
    x: X = None,
    size: Annotated[str, typer.Option(help="Column of the sizes, n or d.")] = "n",
    value: Value = "test_error",
    width: Annotated[
        bool, typer.Option("--steepness", help="Let curves of larger sizes be steeper.")
    ] = False,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    out: Out = None,
) -> None:
    """Finite-size scaling: the exponent at which the curves of all sizes collapse."""
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, more, where, all_grids), x, size, "optimizer", tuning)
    scaling = Collapse(horizontal_axis(view), size, value, "optimizer", width, confidence)
    fits = scaling(view.runs)
    formula = f"{value} = g({view.x} {size}^exponent)"
    print_table(fits, [f"{formula}; a quality near 1 is a collapse:"])
    table = scaling.collapsed(view.runs, fits)
    write_result(folder, "collapse", table, collapse_figure(table), out)


def refine_command(
    folder: Folder,
    level: Level = 0.25,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    branch: Branch = None,
    rounds: Annotated[
        int, typer.Option(min=0, help="Number of rounds to run; 0 only writes the grid.")
    ] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Maximum number of runs per round.")] = 1024,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    out: Annotated[
        Path | None,
        typer.Option(parser=path_argument, help="Folder of the new runs. Default: DIR-refined."),
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="Module with parts of your own that rounds import; may be repeated."),
    ] = None,
) -> None:
    """Write, or run, a grid of new points that narrow the intervals of a boundary most.

    In Python, load(DIR, DIR-refined) reads both folders.
    """
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, None, where, all_grids), x, y, "optimizer", tuning)
    # The refinement reads the runs again, and knows `where` but not the view's selection.
    if view.fixed:
        raise SweepError(
            f"The runs also differ in {', '.join(view.fixed)}. Select one value of each, such as by "
            f"--where {shlex.quote(view.fixed_condition)}."
        )
    target = Boundary(horizontal_axis(view), view.y, value, level, "optimizer", branch=branch)
    for sentence in _other_branches(target(view.runs)):
        echo(sentence)
    sentences = refinement_rounds.refine(
        folder, Refinement(target, runs, tuning), rounds, out, where, all_grids, plugin or ()
    )
    for sentence in sentences:
        echo(sentence)


def _other_branches(table: pd.DataFrame) -> Iterator[str]:
    """A sentence on the branches that a refinement does not follow, if there are any."""
    crossings = table[table["branch"] != NONE]
    followed = ", ".join(sorted(set(crossings["branch"][crossings["followed"]])))
    others = ", ".join(sorted(set(crossings["branch"]) - set(followed.split(", "))))
    if others:
        yield (
            f"Of the boundary, the branch {followed or 'none'} is refined; rows also cross on "
            f"{others}. Name another with --branch."
        )
