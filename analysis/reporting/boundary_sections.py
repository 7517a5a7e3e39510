"""What a page says of the boundary of a phase: where it lies, which power law it follows, and what theory says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.collapse import collapse_figure
from analysis.reporting.overlay_sentences import overlay_sentences
from analysis.reporting.section import Section
from analysis.stats.boundary import Boundary
from analysis.stats.collapse import Collapse
from analysis.stats.overlay import Overlay
from analysis.stats.theories import THEORIES, Theory
from analysis.tables.axes import finite_values, sorted_unique
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.reporting.view import View


SIZES = ("n", "d")
"""Axes that are sizes of a problem."""

COLLAPSED = 2.0
"""Up to this quality curves are one: squared distances within twice what seeds explain."""


@dataclass(frozen=True)
class BoundaryFit:
    """The boundary of the test error in a plane: its table, its exponents, and the theories laid over it."""

    table: pd.DataFrame
    slopes: pd.DataFrame | None
    theories: list[tuple[Theory, pd.DataFrame, pd.DataFrame | None]]

    @property
    def lines(self) -> list[pd.DataFrame]:
        """What a phase diagram draws: of each facet what was measured, and what theory expects where there is one."""
        return [self.table, *(table for _, table, _ in self.theories)]


def fit_boundary(shown: View, level: float, confidence: float) -> BoundaryFit | None:
    """The boundary in the plane of a view, None where the view has no plane of numbers."""
    runs, x, y = shown.runs, shown.x, shown.y
    if x is None or y is None or runs[[x, y]].isna().any(axis=None) or finite_values(runs, "test_error").isna().all():
        return None
    boundary = Boundary(x, y, "test_error", level, "optimizer", confidence=confidence)
    positive = bool((runs[y] > 0).all())
    slopes = boundary.exponent(runs) if positive else None
    theories = [found for theory in THEORIES.values() if (found := _laid(theory, boundary, runs, positive))]
    return BoundaryFit(boundary(runs), slopes, theories)


FIRST, LAST = ("predicted", "fails", "residual", "residual_low", "residual_high"), ("index", "constant", "seeds")
"""Columns of a theory's table that come first behind those of the boundary's place, and last."""

OVERLAID = (
    "Theory leaves the constant open: it is the median of the index, the left side, at the measured boundary, and is "
    "then taken as known. predicted: where theory puts the boundary; fails: the interval of the boundary excludes "
    "that; residual: log(at / predicted); apart: values of the axis that were run between the two."
)


def _laid(
    theory: Theory, boundary: Boundary, runs: pd.DataFrame, positive: bool
) -> tuple[Theory, pd.DataFrame, pd.DataFrame | None] | None:
    """A theory over a boundary, None where it is about other runs or about other axes."""
    if theory.bound is not None or not any(theory.applies(part) for _, part in runs.groupby("optimizer")):
        return None
    overlay = Overlay(theory, boundary)
    try:
        return theory, overlay(runs), overlay.exponent(runs) if positive else None
    except SweepError:  # its index does not move along this x, or moves with something else too
        return None


def boundary_sections(found: BoundaryFit) -> Iterator[Section]:
    """The boundary with its exponents, and a table for each theory."""
    x, y, level = found.table.attrs["x"], found.table.attrs["y"], found.table.attrs["level"]
    percent = f"{100 * found.table.attrs['confidence']:g} %"
    caption = (
        f"Where the mean test error crosses {level:g} along {axis_label(x)}, in each row of {axis_label(y)}: the crossing of a "
        "monotone curve fitted to the means of the row, so where the error rises first and falls then, its main course "
        f"counts. The {percent} interval comes from drawing the seeds again and again; where the error jumps between "
        "two neighbours, the interval is all that gap. ∞ and -∞: the whole row is on one side. Rows share their seeds, "
        "so they err together."
    )
    said = boundary_sentences(found.table, found.slopes)
    yield Section("boundary", f"Boundary: test error {level:g}", caption, found.table, said=said)
    if found.slopes is not None and found.slopes["slope"].notna().any():
        caption = f"Slope of log {x} against log {y} along the boundary, over the rows that cross within the grid."
        yield Section("exponents", "Exponent of the boundary", caption, found.slopes)
    for theory, table, slopes in found.theories:
        title = f"Theory: {theory.title}"
        said = overlay_sentences(table, slopes)
        first = [name for name in FIRST if name in table]
        ordered = table[[*(name for name in table if name not in (*first, *LAST)), *first, *LAST]]
        yield Section(f"theory-{theory.name}", title, f"{theory.source}. {OVERLAID}", ordered, said=said)


def other_boundary_sections(shown: View, level: float, confidence: float) -> Iterator[Section]:
    """The exponent of the boundary at the values of the axes that the page keeps at one, beside what theory says."""
    import pandas as pd

    found: dict[str, list[pd.DataFrame]] = {}
    for name, value, view in shown.elsewhere():
        for table in _exponents(fit_boundary(view, level, confidence)):
            found.setdefault(name, []).append(table.assign(**{name: value}))
    for name, tables in found.items():
        table = pd.concat(tables, ignore_index=True)
        table = table[[name, *(key for key in table if key != name)]]
        slope = f"slope of log {shown.x} against log {shown.y} along the boundary of test error {level:g}"
        caption = f"The plane above at each value of {axis_label(name)}: {slope}, measured and in theory."
        told = [f"{name} = {format_number(row[name])}: {_exponent(row)}" for row in table.to_dict("records")]
        said = [f"Over {axis_label(name)}, {slope}: {'; '.join(told)}."]
        yield Section(f"exponents-{name}", f"Exponents over {axis_label(name)}", caption, table, said=said)


def collapse_sections(shown: View, confidence: float) -> Iterator[Section]:
    """Finite-size scaling where the rows of the plane are sizes, and few enough."""
    x, y, runs = shown.x, shown.y, shown.runs
    if x is None or y not in SIZES or not (runs[[x, y]] > 0).all(axis=None):
        return
    optimizers, sizes = runs["optimizer"].nunique(), runs[y].nunique()
    if optimizers > 2 or not 3 <= sizes <= 12 or finite_values(runs, "test_error").isna().all():
        return
    scaling = Collapse(x, y, "test_error", "optimizer", confidence=confidence)
    found = scaling(runs)
    curves = scaling.collapsed(runs, found)
    told = [_collapsed(row, x, y) for row in found.to_dict("records") if np.isfinite(row["exponent"])]
    caption = (
        "Curves of several sizes, as they are and against the scaled axis. The quality is the mean squared distance "
    )
    caption += "of points from the common curve over what seeds alone would make of it. Where curves collapse, the "
    caption += (
        f"exponent of the boundary is minus theirs. On this grid exponents {format_number(_step(runs, x, y))} apart "
    )
    caption += "differ by one step of the largest size against the smallest: less is not resolved."
    title, figure = "Finite-size scaling", collapse_figure(curves)
    yield Section("collapse", title, caption, found, figure, told, cells=curves, headline=False)


def _collapsed(row: Mapping[Any, Any], x: str, y: str) -> str:
    """Whether curves of all sizes are one, and with which exponent."""
    far, before = format_number(row["quality"]), format_number(row["quality_unscaled"])
    if not row["quality"] <= COLLAPSED:
        much = f"{far} times what seeds explain ({before} without scaling, about 1 for a collapse)"
        return (
            f"{row['optimizer']}: no power of {y} makes the curves of all {y} one; in the best one their squared "
            f"distances are {much}, so this page takes no exponent from it."
        )
    ends = f"[{format_number(row['low'])}, {format_number(row['high'])}]"
    return (
        f"{row['optimizer']}: the curves of all {y} are one in {x} {y}^{format_number(row['exponent'])} {ends}, with squared "
        f"distances of {far} times what seeds explain ({before} without scaling)."
    )


def _step(runs: pd.DataFrame, x: str, y: str) -> float:
    """Exponents that differ by this move the largest size by one step of x against the smallest."""
    xs, ys = (np.log(np.sort(runs[name].unique().astype(float))) for name in (x, y))
    return float(np.median(np.diff(xs)) / np.ptp(ys))


def _exponents(found: BoundaryFit | None) -> Iterator[pd.DataFrame]:
    """The slopes of a front, each with the theory about it if there is one."""
    if found is None or found.slopes is None:
        return
    told = [slopes for _, _, slopes in found.theories if slopes is not None]
    with_theory = {name for slopes in told for name in slopes["optimizer"]}
    yield from told
    rest = found.slopes[~found.slopes["optimizer"].isin(with_theory)]
    if not rest.empty:
        yield rest


def boundary_sentences(table: pd.DataFrame, slopes: pd.DataFrame | None) -> list[str]:
    """For each facet from where to where the boundary goes, how well it is known, and its exponent."""
    facet = table.attrs["facet"]
    return [
        f"{name}: {_course(own)}{_power_law(slopes, own, facet, name)}."
        for name in sorted_unique(table, facet)
        for own in [table[table[facet] == name]]
    ]


def _course(part: pd.DataFrame) -> str:
    x, y = part.attrs["x"], part.attrs["y"]
    what = f"the test error crosses {part.attrs['level']:g}"
    inside = part[np.isfinite(part["at"])]
    if inside.empty:
        return f"{what} nowhere within the grid"
    ends = [inside.iloc[i] for i in (0, -1)][: len(inside)]
    places = [
        f"{x} = {format_number(end['at'])} [{format_number(end['low'])}, {format_number(end['high'])}] at {y} = {format_number(end[y])}"
        for end in ends
    ]
    outside = f", and outside of the grid in {len(part) - len(inside)} of {len(part)} rows"
    return f"{what} at {' and at '.join(places)}{outside if len(inside) < len(part) else ''}"


def _power_law(slopes: pd.DataFrame | None, part: pd.DataFrame, facet: str, name: object) -> str:
    if slopes is None or (own := slopes[(slopes[facet] == name) & slopes["slope"].notna()]).empty:
        return ""
    inside = part[np.isfinite(part["at"])]
    open_ended = int(np.isinf(inside[["low", "high"]]).any(axis=1).sum())
    if 2 * open_ended > len(inside):
        return f"; no exponent, since the interval reaches beyond the grid in {open_ended} of {len(inside)} rows"
    return f"; exponent {_exponent(own.iloc[0].to_dict())}"


def _exponent(row: Mapping[Any, Any]) -> str:
    """A slope with its interval, and what theory says where it says something."""
    told = format_number(row["slope"])
    told += "" if np.isnan(row["low"]) else f" [{format_number(row['low'])}, {format_number(row['high'])}]"
    theory = row.get("theory", np.nan)
    return told if np.isnan(theory) else f"{told}, theory {format_number(theory)}"
