"""Commands about the boundary of a phase: where it lies and which power law it follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import analysis
from analysis.cli.shared import (
    Confidence,
    Fit,
    Folder,
    Level,
    More,
    Out,
    Tune,
    Value,
    Where,
    X,
    Y,
    axis,
    look,
    read,
    show,
    write,
)
from analysis.refinement.proposal import Refinement
from analysis.refinement.rounds import refine as refined
from analysis.stats.boundary import FITS
from sweep.errors import SweepError


def boundary(
    folder: Folder,
    more: More = None,
    level: Level = 0.25,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    fit: Fit = "monotone",
    tune: Tune = "train_loss",
    where: Where = None,
    confidence: Confidence = 0.95,
    out: Out = None,
) -> None:
    """Where the value crosses a level along x, for each y and optimizer, and the exponent of that boundary."""
    shown = look(read(folder, more, where), x, y, "optimizer", tune)
    if fit not in FITS:
        raise SweepError(f"There is no fit {fit!r}. Take {' or '.join(FITS)}.")
    across = axis(shown)
    found = analysis.Boundary(across, shown.y, value, level, "optimizer", fit, confidence)  # type: ignore[arg-type]
    show(found(shown.runs), [f"{value} = {level:g} is crossed at this {across}:"])
    if shown.y is not None and (shown.runs[shown.y] > 0).all():
        show(found.exponent(shown.runs), [f"Slope of log {across} against log {shown.y} along the boundary:"])
    write(folder, "boundary", found(shown.runs), None, out)


def collapse(
    folder: Folder,
    more: More = None,
    x: X = None,
    size: Annotated[str, typer.Option(help="Column of the sizes, n or d.")] = "n",
    value: Value = "test_error",
    width: Annotated[bool, typer.Option("--steepness", help="Let curves of larger sizes be steeper.")] = False,
    tune: Tune = "train_loss",
    where: Where = None,
    confidence: Confidence = 0.95,
    out: Out = None,
) -> None:
    """Finite-size scaling: the exponent for which curves of all sizes are one, for each optimizer."""
    shown = look(read(folder, more, where), x, size, "optimizer", tune)
    scaling = analysis.Collapse(axis(shown), size, value, "optimizer", width, confidence)
    found = scaling(shown.runs)
    show(found, [f"{value} = g({shown.x} {size}^exponent); a quality near 1 is a collapse:"])
    table = scaling.collapsed(shown.runs, found)
    write(folder, "collapse", table, analysis.collapse_figure(table), out)


def refine(
    folder: Folder,
    level: Level = 0.25,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    rounds: Annotated[int, typer.Option(min=0, help="Run so many rounds; with 0 the grid is written only.")] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Most runs of a round.")] = 1024,
    where: Where = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the new runs. Default: DIR-refined.")] = None,
) -> None:
    """Write, or run, the grid of the points that narrow a boundary most: load(DIR, DIR-refined) reads both."""
    shown = look(read(folder, None, where), x, y, "optimizer", "train_loss")
    if shown.fixed:
        fixed = ", ".join(shown.fixed)
        raise SweepError(
            f"The runs differ in {fixed} too. Keep one value of each by --where, such as '{fixed} == ...'."
        )
    boundary = analysis.Boundary(axis(shown), shown.y, value, level, "optimizer")
    for sentence in refined(folder, Refinement(boundary, runs), rounds, out, where):
        typer.echo(sentence)
