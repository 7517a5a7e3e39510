"""One panel of a phase diagram: coloured cells with their numbers, hatching and triangles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patheffects import withStroke

from analysis.figures.color_scale import ColorScale
from analysis.figures.style import PANEL
from analysis.tables.collapsed import MOSTLY

MOSTLY_CENSORED = 0.5
"""A cell is dotted where more than this share of its runs is censored."""

MOSTLY_COLLAPSED = MOSTLY
"""Its own hatching has a cell where more than this share of its networks went to zero."""

MAX_TEXT_CELLS, MAX_TEXT_COLUMNS = 120, 12
"""Above these there is no room for numbers in the cells."""

MAX_VECTOR_CELLS = 2500
"""Above this the cells are rasterized: as vectors they would make the file large and slow."""


class Strips(NamedTuple):
    """The modes of a cell, ascending: their means, seeds and shares of all seeds."""

    centers: Sequence[float]
    seeds: Sequence[int]
    shares: Sequence[float]


def draw_heatmap(
    ax: Axes,
    cell: dict[str, np.ndarray],
    scale: ColorScale,
    strips: Mapping[tuple[int, int], Strips] | None = None,
) -> None:
    """Draw a plane of cells; the first row is the lowest.

    Args:
        ax: The panel.
        cell: Arrays (rows, columns): `mean`, `nonfinite`, `incomplete` and perhaps `censored`,
            `collapsed`, and `marked`, 1 and -1 in cells with a triangle. NaN where there is no cell.
        scale: The colour scale of the figure.
        strips: Row and column of the cells whose seeds split into modes, with these.
    """
    rows, columns = cell["mean"].shape
    text = rows * columns <= MAX_TEXT_CELLS and columns <= MAX_TEXT_COLUMNS
    raster = rows * columns > MAX_VECTOR_CELLS
    _draw_colors(ax, cell["mean"], scale, text, raster)
    _draw_strips(ax, strips or {}, scale, raster)
    dark = scale.dark(cell["mean"])
    incomplete, nonfinite = cell["incomplete"] == 1, cell["nonfinite"] > 0
    _outline_texts(ax, incomplete | nonfinite)
    _hatch(ax, incomplete, "///", dark)
    _hatch(ax, nonfinite, "xxx", dark)
    if "censored" in cell:
        _hatch(ax, cell["censored"] > MOSTLY_CENSORED, "...", dark)
    if "collapsed" in cell:
        _hatch(ax, cell["collapsed"] > MOSTLY_COLLAPSED, "\\\\\\", dark)
    if "marked" in cell:
        for mask, marker in ((cell["marked"] > 0, "^"), (cell["marked"] < 0, "v")):
            _draw_triangles(ax, mask, marker, dark, text, raster)


def _draw_colors(ax: Axes, means: np.ndarray, scale: ColorScale, text: bool, raster: bool) -> None:
    """Colour the cells by their means, and write the means into them if `text`."""
    numbers = [["" if np.isnan(mean) else scale.format_mean(mean) for mean in row] for row in means]
    sns.heatmap(
        means,
        ax=ax,
        vmin=scale.low,
        vmax=scale.high,
        norm=scale.norm,
        cmap=scale.cmap,
        annot=np.array(numbers) if text else None,
        fmt="",
        annot_kws={"size": 8 if means.shape[1] <= 6 else 6},
        cbar=False,
        xticklabels=False,
        yticklabels=False,
        rasterized=raster,
    )
    ax.invert_yaxis()
    # seaborn leaves cells without a mean transparent, so this is their colour
    ax.set_facecolor("0.85")


def _draw_strips(
    ax: Axes, strips: Mapping[tuple[int, int], Strips], scale: ColorScale, raster: bool
) -> None:
    """Draw cells as their modes side by side, and how many seeds are in each as their text."""
    corners, colors = [], []
    for (row, column), modes in strips.items():
        edges = column + np.concatenate([[0.0], np.cumsum(modes.shares)])
        for left, right in pairwise(edges):
            corners.append([(left, row), (right, row), (right, row + 1), (left, row + 1)])
        colors.extend(scale.colors(np.array(modes.centers)))
    if corners:
        style = {"facecolors": colors, "linewidths": 0, "rasterized": raster}
        ax.add_collection(PolyCollection(corners, **style), autolim=False)
    for text in ax.texts:
        column, row = text.get_position()
        modes = strips.get((int(row), int(column)))
        if modes is not None:
            text.set_text(":".join(map(str, modes.seeds)))
            text.set_color("black")
            text.set_path_effects([withStroke(linewidth=1.5, foreground="white", alpha=0.7)])


def clear_texts(ax: Axes, means: np.ndarray, scale: ColorScale) -> None:
    """Lift numbers above lines, on the colour of their cells, and away from whiskers.

    These run along the middle of a row.
    """
    for text in ax.texts:
        column, row = text.get_position()
        if not text.get_path_effects():
            ground = tuple(scale.colors(means[int(row), int(column)]))
            text.set_path_effects([withStroke(linewidth=2.5, foreground=ground)])
        text.set_zorder(4)
        text.set_y(row - 0.25)


def _outline_texts(ax: Axes, hatched: np.ndarray) -> None:
    """Keep numbers legible on hatching."""
    for text in ax.texts:
        column, row = text.get_position()
        if not hatched[int(row), int(column)] or text.get_path_effects():
            continue
        contrast = "0.15" if text.get_color() == "w" else "0.95"
        text.set_path_effects([withStroke(linewidth=1.5, foreground=contrast, alpha=0.6)])


def _hatch(ax: Axes, mask: np.ndarray, pattern: str, dark: np.ndarray) -> None:
    """Hatch the cells of a mask, in light lines on dark cells."""
    for cells, color in ((mask & dark, "0.9"), (mask & ~dark, "0.25")):
        corners = [[(j, i), (j + 1, i), (j + 1, i + 1), (j, i + 1)] for i, j in np.argwhere(cells)]
        if corners:
            style = {"facecolors": "none", "edgecolors": color, "linewidths": 0, "hatch": pattern}
            ax.add_collection(PolyCollection(corners, **style), autolim=False)


def _draw_triangles(
    ax: Axes, mask: np.ndarray, marker: str, dark: np.ndarray, raised: bool, raster: bool
) -> None:
    """Mark the cells of a mask, above their number if `raised`."""
    rows, columns = np.nonzero(mask)
    colors = list(np.where(dark[rows, columns], "white", "black"))
    # 0.4 of a cell, in points of 1/72 inch
    size = min(3.5, 0.4 * 72 * min(PANEL[0] / mask.shape[1], PANEL[1] / mask.shape[0]))
    style = {"s": size**2, "marker": marker, "c": colors, "linewidths": 0, "rasterized": raster}
    # above the number of the cell, if it has one
    ax.scatter(columns + 0.5, rows + (0.84 if raised else 0.5), **style)
