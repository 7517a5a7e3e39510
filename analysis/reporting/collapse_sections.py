"""The report section on finite-size scaling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.collapse import collapse_figure
from analysis.reporting.section import Section
from analysis.reporting.view import View
from analysis.stats.collapse import Collapse
from analysis.tables.axes import finite_values
from analysis.tables.columns import kind_label
from analysis.tables.labels import format_number
from sweep.wording import first_upper

SIZES = ("n", "d")
"""Axes that are sizes of a problem."""

MIN_SIZES, MAX_SIZES = 3, 12
"""Two curves nearly always collapse; more than twelve cannot be told apart in a figure."""

GOOD_QUALITY = 2.0
"""Curves collapse up to this quality: squared distances at most twice what seeds explain."""


def collapse_sections(view: View, confidence: float) -> Iterator[Section]:
    """Finite-size scaling, if the rows of the plane are sizes and there are few enough of them."""
    x, y, runs = view.x, view.y, view.runs
    if x is None or y not in SIZES or not (runs[[x, y]] > 0).all(axis=None):
        return
    if runs["optimizer"].nunique() > 2 or not MIN_SIZES <= runs[y].nunique() <= MAX_SIZES:
        return
    if finite_values(runs, "test_error").isna().all():
        return
    scaling = Collapse(x, y, "test_error", "optimizer", confidence=confidence)
    fits = scaling(runs)
    curves = scaling.collapsed(runs, fits)
    rows = fits.to_dict("records")
    yield Section(
        "collapse",
        "Finite-size scaling",
        _caption(_exponent_resolution(runs, x, y)),
        fits,
        collapse_figure(curves),
        [_quality_sentence(row, x, y) for row in rows if np.isfinite(row["exponent"])],
        cells=curves,
        headline=False,
    )


def _caption(resolution: float) -> str:
    """The caption; `resolution` is that of exponents on this grid."""
    step = format_number(resolution)
    return (
        "Curves of several sizes, over the original and the scaled axis. The quality is the mean "
        "squared distance of the points from the common curve, relative to what the variation "
        "between seeds alone would give. Where the curves collapse, the exponent of the boundary "
        f"is minus the exponent of the collapse. A difference of {step} between exponents shifts "
        "the largest size against the smallest by one step of this grid; smaller differences are "
        "not resolved."
    )


def _quality_sentence(row: Mapping[Any, Any], x: str, y: str) -> str:
    """Whether the curves of all sizes collapse, and with which exponent."""
    optimizer = first_upper(kind_label("optimizer", row["optimizer"]))
    quality = format_number(row["quality"])
    unscaled = format_number(row["quality_unscaled"])
    # written so that an undefined quality counts as no collapse
    if not row["quality"] <= GOOD_QUALITY:
        return (
            f"{optimizer}: no power of {y} makes the curves of all {y} collapse; at best their "
            f"squared distances are {quality} times what seeds explain ({unscaled} without "
            "scaling, about 1 for a collapse), so this page reports no exponent from it."
        )
    interval = f"[{format_number(row['low'])}, {format_number(row['high'])}]"
    return (
        f"{optimizer}: the curves of all {y} collapse in {x} "
        f"{y}^{format_number(row['exponent'])} {interval}, with squared distances {quality} times "
        f"what seeds explain ({unscaled} without scaling)."
    )


def _exponent_resolution(runs: pd.DataFrame, x: str, y: str) -> float:
    """The change of exponent that shifts the largest y by one step of x against the smallest."""
    log_xs, log_sizes = (np.log(np.sort(runs[name].unique().astype(float))) for name in (x, y))
    return float(np.median(np.diff(log_xs)) / np.ptp(log_sizes))
