"""Lines on a phase diagram: measured boundaries, and where theories expect them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

MAX_WHISKERS = 40
"""A boundary with more rows than this has a band instead of whiskers and markers."""

RISING = "rising"
"""How the names of branches begin on which the value rises along x."""

DASHES = {"--": "dashed", ":": "dotted", "-.": "dash-dotted"}
"""Line styles of theories, used in turn, and their names."""


def check_lines(cells: pd.DataFrame, lines: Sequence[pd.DataFrame]) -> None:
    """Raise SweepError where a line does not belong on the diagram of these cells."""
    for line in lines:
        if any(line.attrs[axis] != cells.attrs[axis] for axis in ("x", "y")):
            raise SweepError(
                f"The diagram is over {_axes_text(cells)}, the line over {_axes_text(line)}. "
                "Give both the same x and y."
            )
        facet = line.attrs["facet"]
        if facet not in (None, cells.attrs["facet"]):
            raise SweepError(
                f"The line has a {facet} and the panels do not. Make the panels by {facet}, or "
                "keep one value of it in the line."
            )


def _axes_text(table: pd.DataFrame) -> str:
    return f"{axis_label(table.attrs['x'])} and {axis_label(table.attrs['y'] or 'nothing')}"


def draw_lines(
    ax: Axes, lines: Sequence[pd.DataFrame], panel: Any, xs: list[Any], ys: list[Any]
) -> None:
    """Draw the lines of one panel.

    Args:
        ax: The panel.
        lines: Tables of Boundary or Overlay.
        panel: The value of the facet; only rows with it are drawn, where the lines have a facet.
        xs: Values of the x axis, one per column of cells.
        ys: Values of the y axis, one per row of cells.
    """
    for line, dashes in zip(lines, cycle(DASHES), strict=False):
        facet = line.attrs["facet"]
        part = line if facet is None else line[line[facet] == panel]
        heights = axis_positions(part[line.attrs["y"]], ys)
        rows = part.assign(_height=heights).dropna(subset="_height").sort_values("_height")
        for rising, branch in _branches(rows):
            _draw_line(ax, branch, xs, dashes, "white" if rising else "black")


def _branches(rows: pd.DataFrame) -> Iterator[tuple[bool, pd.DataFrame]]:
    """Each branch of a line, with a gap where a row has none of it, and whether it is rising."""
    # A theory is about one branch, and so may be any other line without names of branches.
    if "branch" not in rows or "predicted" in rows:
        yield False, rows
        return
    every_row = rows.drop_duplicates("_height").set_index("_height")
    for name, part in rows.groupby("branch"):
        # Rows without any crossing have ends of intervals, but no place.
        if np.isfinite(part["at"]).any():
            branch = part.set_index("_height").reindex(every_row.index).reset_index()
            yield str(name).startswith(RISING), branch


def _draw_line(ax: Axes, line: pd.DataFrame, xs: list[Any], dashes: str, fill: str) -> None:
    crossing, height = axis_positions(line["at"], xs), line["_height"]
    on_grid, edges = ~np.isnan(crossing), (0.0, float(len(xs)))
    low, high = (axis_positions(line[end], xs, edges)[on_grid] for end in ("low", "high"))
    whiskers = len(line) <= MAX_WHISKERS
    if not whiskers:
        band = {"color": "white", "alpha": 0.35, "linewidth": 0, "zorder": 2.1}
        ax.fill_betweenx(height[on_grid], low, high, **band)
    # black on a wider white line, so that it is visible on any colour
    for color, margin in (("white", 2.0), ("black", 0.0)):
        style = {"color": color, "zorder": 2.6 - 0.1 * margin}
        if "predicted" in line:
            shape = "-" if margin else dashes
            predicted = axis_positions(line["predicted"], xs)
            ax.plot(predicted, height, shape, linewidth=1.2 + margin, **style)
        if whiskers:
            ax.hlines(height[on_grid], low, high, linewidth=0.8 + margin, **style)
        style |= {"linewidth": 1 + margin, "markersize": 2.2 + margin}
        style["markerfacecolor"] = color if margin else fill
        ax.plot(crossing, height, "-", marker="o" if whiskers else "", **style)


def axis_positions(
    values: pd.Series, axis: list[Any], beyond: tuple[float, float] = (np.nan, np.nan)
) -> np.ndarray:
    """Positions of values on an axis of cells of width 1, interpolated as the axis is spaced.

    Args:
        values: Values in the units of the axis.
        axis: The values of the cells, ascending.
        beyond: Positions of values below and above all cells.
    """
    numbers, grid = values.to_numpy(float), np.asarray(axis, float)
    if is_geometric(axis):
        with np.errstate(divide="ignore"):
            numbers, grid = np.log(np.maximum(numbers, 0.0)), np.log(grid)
    return np.interp(numbers, grid, np.arange(len(axis)) + 0.5, *beyond)


def is_geometric(values: list[Any]) -> bool:
    """Whether neighbouring values have about the same ratio throughout."""
    if len(values) < 3 or isinstance(values[0], str) or values[0] <= 0:
        return False
    ratios = np.diff(np.log(np.asarray(values, float)))
    return bool(np.ptp(ratios) <= 0.1 * ratios.mean())


def line_captions(lines: Sequence[pd.DataFrame]) -> Iterator[str]:
    """What each line is."""
    for line, dashes in zip(lines, cycle(DASHES.values()), strict=False):
        value, level = axis_label(line.attrs["value"]), format_number(line.attrs["level"])
        confidence = f"{100 * line.attrs['confidence']:g} %"
        yield f"solid: {value} = {level}, with its {confidence} interval"
        if "branch" in line and line["branch"].dropna().str.startswith(RISING).any():
            yield "open circles: where it rises along the horizontal axis"
        if "predicted" in line:
            # a formula must not be broken over two lines of the caption
            yield f"{dashes}: {line.attrs['theory']}".replace(" ", "\N{NO-BREAK SPACE}")
