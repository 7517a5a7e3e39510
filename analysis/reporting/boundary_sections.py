"""Report sections on the boundary of a phase: its place, its power law, and theory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.reporting.boundary_sentences import boundary_sentences, exponent_text
from analysis.reporting.overlay_sentences import overlay_sentences
from analysis.reporting.section import Section
from analysis.reporting.view import View
from analysis.stats.boundary import Boundary
from analysis.stats.overlay import Overlay
from analysis.stats.theories import THEORIES, Theory
from analysis.tables.axes import finite_values
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

THEORY_COLUMNS = ("predicted", "fails", "residual", "residual_low", "residual_high")
"""Columns of a theory's table that come first after those of the boundary's place."""

LAST_COLUMNS = ("index", "constant", "seeds")
"""Columns of a theory's table that come last."""

OVERLAY_CAPTION = (
    "The theory does not determine the constant: it is set to the median of the index (the left "
    "side) at the measured boundary, and is treated as known from there on. predicted: where the "
    "theory puts the boundary; fails: the interval of the boundary excludes the prediction; "
    "residual: log(at / predicted); apart: number of values of the axis between the two that "
    "were run."
)


@dataclass(frozen=True)
class BoundaryFit:
    """The boundary of the test error in a plane, its exponents, and the theories about it.

    Attributes:
        table: Table of Boundary.
        slopes: Its exponents, None where an axis is not positive.
        theories: Each theory that applies, with its table of Overlay and its exponents.
    """

    table: pd.DataFrame
    slopes: pd.DataFrame | None
    theories: list[tuple[Theory, pd.DataFrame, pd.DataFrame | None]]

    @property
    def lines(self) -> list[pd.DataFrame]:
        """Tables for a phase diagram: the measured boundary, then one table per theory."""
        return [self.table, *(table for _, table, _ in self.theories)]


def fit_boundary(view: View, level: float, confidence: float) -> BoundaryFit | None:
    """The boundary in the plane of a view; None where there is no numeric plane.

    Args:
        view: The runs and their axes.
        level: The test error on the boundary.
        confidence: Confidence of the intervals.
    """
    runs, x, y = view.runs, view.x, view.y
    if x is None or y is None or runs[[x, y]].isna().any(axis=None):
        return None
    if finite_values(runs, "test_error").isna().all():
        return None
    boundary = Boundary(x, y, "test_error", level, "optimizer", confidence=confidence)
    # A slope of logarithms needs positive coordinates.
    positive = bool((runs[y] > 0).all())
    slopes = boundary.exponent(runs) if positive else None
    overlays = (_overlay(theory, boundary, runs, positive) for theory in THEORIES.values())
    return BoundaryFit(boundary(runs), slopes, [entry for entry in overlays if entry is not None])


def _overlay(
    theory: Theory, boundary: Boundary, runs: pd.DataFrame, positive: bool
) -> tuple[Theory, pd.DataFrame, pd.DataFrame | None] | None:
    """A theory laid over a boundary; None where it is about other runs or other axes."""
    if theory.bound is not None:
        return None
    if not any(theory.applies(part) for _, part in runs.groupby("optimizer")):
        return None
    overlay = Overlay(theory, boundary)
    try:
        return theory, overlay(runs), overlay.exponent(runs) if positive else None
    except SweepError:
        # The index of the theory is constant along this x, or depends on something else as well.
        return None


def boundary_sections(fit: BoundaryFit) -> Iterator[Section]:
    """The boundary, its exponents, and a section for each theory."""
    attrs = fit.table.attrs
    title = f"Boundary: test error {attrs['level']:g}"
    sentences = boundary_sentences(fit.table, fit.slopes)
    yield Section("boundary", title, _boundary_caption(fit), fit.table, sentences=sentences)
    if fit.slopes is not None and fit.slopes["slope"].notna().any():
        caption = (
            f"Slope of log {attrs['x']} against log {attrs['y']} along one branch of the boundary, "
            "over the rows in which it lies within the grid."
        )
        yield Section("exponents", "Exponent of the boundary", caption, fit.slopes)
    for theory, table, slopes in fit.theories:
        yield Section(
            f"theory-{theory.name}",
            f"Theory: {theory.title}",
            f"{theory.source}. {OVERLAY_CAPTION}",
            _reorder(table),
            sentences=overlay_sentences(table, slopes),
        )


def _boundary_caption(fit: BoundaryFit) -> str:
    x, y, level = (fit.table.attrs[key] for key in ("x", "y", "level"))
    percent = f"{100 * fit.table.attrs['confidence']:g} %"
    return (
        f"Where the mean test error crosses {level:g} along {axis_label(x)}, in each row of "
        f"{axis_label(y)}. branch: the direction as {x} grows, further ones being counted from the "
        "low end of the trend; followed: whether exponents, theories and refinements take this "
        "branch. A crossing is that of the monotone curve through the means around it. The "
        f"{percent} interval is a bootstrap over seeds; where the error jumps between two "
        f"neighbouring values, it covers {percent} of the gap. Branch none: the whole row is on "
        "one side, and ∞ or -∞ is the end of the axis beyond which the trend would cross; as an "
        "end of an interval: the seeds do not exclude that. unsettled: further changes of side "
        "within the noise of the seeds; monotone: no where the means surely both rise and fall. "
        "Rows share their seeds, so their errors are correlated."
    )


def _reorder(table: pd.DataFrame) -> pd.DataFrame:
    """A theory's table with the columns that matter most to a reader first."""
    first = [name for name in THEORY_COLUMNS if name in table]
    key_columns = [name for name in table if name not in (*first, *LAST_COLUMNS)]
    return table[[*key_columns, *first, *LAST_COLUMNS]]


def exponent_sections(view: View, level: float, confidence: float) -> Iterator[Section]:
    """The exponent of the boundary over the values of each axis that the page holds fixed.

    Args:
        view: The runs and their axes.
        level: The test error on the boundary.
        confidence: Confidence of the intervals.
    """
    tables: dict[str, list[pd.DataFrame]] = {}
    for name, value, part in view.slices():
        for slopes in _slopes_with_theory(fit_boundary(part, level, confidence)):
            tables.setdefault(name, []).append(slopes.assign(**{name: value}))
    for name, parts in tables.items():
        joined = pd.concat(parts, ignore_index=True)
        table = joined[[name, *(key for key in joined if key != name)]]
        slope = (
            f"slope of log {view.x} against log {view.y} along the boundary of test error {level:g}"
        )
        label = axis_label(name)
        caption = f"The plane above at each value of {label}: {slope}, measured and predicted."
        exponents = [
            f"{name} = {format_number(row[name])}: {exponent_text(row)}"
            for row in table.to_dict("records")
        ]
        sentences = [f"Over {label}, {slope}: {'; '.join(exponents)}."]
        title = f"Exponents over {label}"
        yield Section(f"exponents-{name}", title, caption, table, sentences=sentences)


def _slopes_with_theory(fit: BoundaryFit | None) -> Iterator[pd.DataFrame]:
    """The exponents of a boundary, with those of theory for the optimizers that have one."""
    if fit is None or fit.slopes is None:
        return
    compared = [slopes for _, _, slopes in fit.theories if slopes is not None]
    covered = {name for slopes in compared for name in slopes["optimizer"]}
    yield from compared
    # the optimizers that no theory is about
    rest = fit.slopes[~fit.slopes["optimizer"].isin(covered)]
    if not rest.empty:
        yield rest
