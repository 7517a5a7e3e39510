"""Commands about the boundary of a phase: where it lies and which power law it follows."""

from __future__ import annotations

import analysis
from analysis.boundary import FITS
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
