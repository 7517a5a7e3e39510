"""What a page says of the boundary of a phase: where it lies, which power law it follows, and what theory says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.boundary import Boundary
from analysis.exhibit import Exhibit
from analysis.overlay import Overlay, overlay_sentences
from analysis.scaling import Collapse, collapse_figure
from analysis.tables import finite, levels
from analysis.theory import THEORIES, Theory
from analysis.words import label, number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.view import View


SIZES = ("n", "d")
"""Axes that are sizes of a problem."""


@dataclass(frozen=True)
class Front:
    """The boundary of the test error in a plane: its table, its exponents, and the theories laid over it."""

    table: pd.DataFrame
    slopes: pd.DataFrame | None
    theories: list[tuple[Theory, pd.DataFrame, pd.DataFrame | None]]

    @property
    def lines(self) -> list[pd.DataFrame]:
        """What a phase diagram draws: of each facet what was measured, and what theory expects where there is one."""
        return [self.table, *(table for _, table, _ in self.theories)]


def front(shown: View, level: float, confidence: float) -> Front | None:
    """The boundary in the plane of a view, None where the view has no plane of numbers."""
    runs, x, y = shown.runs, shown.x, shown.y
    if x is None or y is None or runs[[x, y]].isna().any(axis=None) or finite(runs, "test_error").isna().all():
        return None
    boundary = Boundary(x, y, "test_error", level, "optimizer", confidence=confidence)
    positive = bool((runs[y] > 0).all())
    slopes = boundary.exponent(runs) if positive else None
    theories = [found for theory in THEORIES.values() if (found := _laid(theory, boundary, runs, positive))]
    return Front(boundary(runs), slopes, theories)


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


def boundary_exhibits(found: Front) -> Iterator[Exhibit]:
    """The boundary with its exponents, and a table for each theory."""
    x, y, level = found.table.attrs["x"], found.table.attrs["y"], found.table.attrs["level"]
    percent = f"{100 * found.table.attrs['confidence']:g} %"
    caption = f"Where the mean test error crosses {level:g} along {label(x)}, in each row of {label(y)}. Nothing is "
    caption += f"smoothed: the fit is monotone, the {percent} interval comes from drawing the seeds again and again. A "
    caption += "step between two neighbours may be anywhere between them. ∞ and -∞: the whole row is on one side."
    said = boundary_sentences(found.table, found.slopes)
    yield Exhibit("boundary", f"Boundary: test error {level:g}", caption, found.table, said=said)
    if found.slopes is not None and found.slopes["slope"].notna().any():
        caption = f"Slope of log {x} against log {y} along the boundary, over the rows that cross within the grid."
        yield Exhibit("exponents", "Exponent of the boundary", caption, found.slopes)
    for theory, table, slopes in found.theories:
        caption = f"{theory.source}. Theory leaves the constant open; it is fitted to the measured boundary."
        title = f"Theory: {theory.title}"
        yield Exhibit(
            f"theory-{theory.name}", title, caption, table, said=overlay_sentences(table, slopes), headline=False
        )


def elsewhere_exhibits(shown: View, level: float, confidence: float) -> Iterator[Exhibit]:
    """The exponent of the boundary at the values of the axes that the page keeps at one, beside what theory says."""
    import pandas as pd

    found: dict[str, list[pd.DataFrame]] = {}
    for name, value, view in shown.elsewhere():
        for table in _exponents(front(view, level, confidence)):
            found.setdefault(name, []).append(table.assign(**{name: value}))
    for name, tables in found.items():
        table = pd.concat(tables, ignore_index=True)
        table = table[[name, *(key for key in table if key != name)]]
        caption = (
            f"The plane above at each value of {label(name)}: slope of log {shown.x} against log {shown.y} along the "
        )
        caption += f"boundary of test error {level:g}, measured and in theory."
        yield Exhibit(f"exponents-{name}", f"Exponents over {label(name)}", caption, table)


def collapse_exhibit(shown: View, confidence: float) -> Iterator[Exhibit]:
    """Finite-size scaling where the rows of the plane are sizes, and few enough."""
    x, y, runs = shown.x, shown.y, shown.runs
    if x is None or y not in SIZES or not (runs[[x, y]] > 0).all(axis=None):
        return
    optimizers, sizes = runs["optimizer"].nunique(), runs[y].nunique()
    if optimizers > 2 or not 3 <= sizes <= 12 or finite(runs, "test_error").isna().all():
        return
    scaling = Collapse(x, y, "test_error", "optimizer", confidence=confidence)
    found = scaling(runs)
    curves = scaling.collapsed(runs, found)
    told = [
        f"{row['optimizer']}: the curves of all {y} are best one in {x} {y}^{number(row['exponent'])} "
        f"[{number(row['low'])}, {number(row['high'])}], with a mean squared distance of {number(row['quality'])} "
        f"standard errors (1 is a collapse, {number(row['quality_unscaled'])} without scaling)."
        for row in found.to_dict("records")
        if np.isfinite(row["exponent"])
    ]
    caption = (
        "Curves of several sizes, as they are and against the scaled axis. An exponent of the boundary is minus that "
    )
    caption += "of a collapse where there is one."
    title, figure = "Finite-size scaling", collapse_figure(curves)
    yield Exhibit("collapse", title, caption, found, figure, told, cells=curves, headline=False)


def _exponents(found: Front | None) -> Iterator[pd.DataFrame]:
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
        f"{name}: {_course(table[table[facet] == name])}{_power_law(slopes, facet, name)}."
        for name in levels(table, facet)
    ]


def _course(part: pd.DataFrame) -> str:
    x, y = part.attrs["x"], part.attrs["y"]
    what = f"the test error crosses {part.attrs['level']:g}"
    inside = part[np.isfinite(part["at"])]
    if inside.empty:
        return f"{what} nowhere within the grid"
    ends = [inside.iloc[i] for i in (0, -1)][: len(inside)]
    places = [
        f"{x} = {number(end['at'])} [{number(end['low'])}, {number(end['high'])}] at {y} = {number(end[y])}"
        for end in ends
    ]
    outside = f", and outside of the grid in {len(part) - len(inside)} of {len(part)} rows"
    return f"{what} at {' and at '.join(places)}{outside if len(inside) < len(part) else ''}"


def _power_law(slopes: pd.DataFrame | None, facet: str, name: object) -> str:
    if slopes is None or (own := slopes[(slopes[facet] == name) & slopes["slope"].notna()]).empty:
        return ""
    slope = own.iloc[0]
    if np.isnan(slope["low"]):
        return f"; exponent {number(slope['slope'])}"
    return f"; exponent {number(slope['slope'])} [{number(slope['low'])}, {number(slope['high'])}]"
