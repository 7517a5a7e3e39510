"""What a figure answers to a pointer: place and numbers of every cell or point.

The page carries these data, so they are compact: integers in units of the last digit, and one
number for a constant column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.reporting.tooltip_numbers import json_numbers, tooltip_numbers
from analysis.tables.axes import sorted_unique
from analysis.tables.columns import kind_label
from analysis.tables.labels import axis_label, format_number, ticks

Floats = NDArray[np.float64]

TOOLTIP_COLUMNS = ("mean", "low", "high", "count", "nonfinite", "expected")
"""Columns of a table of Cells or Bands that a tooltip shows."""


def tooltip_data(figure: Figure | None, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The panels of a phase_diagram, gap_figure or curves_figure, as plain JSON values.

    Of each panel: its `name`; the names of its `columns` and `rows`; `bounds`, the left, top, width
    and height as fractions of the picture; in fractions of the panel, downwards, `x` of each
    column and `y` of each row (of a map) or point (of `lines`); and the `tooltip_numbers`.

    Args:
        figure: The figure, None if there is none.
        table: The table that it draws.

    Returns an empty list where the figure draws anything but the means of the table: a page must
    not show other numbers than it draws.
    """
    if figure is None or table.attrs.get("x") is None:
        return []
    if not set(TOOLTIP_COLUMNS) <= set(table.columns):
        return []
    y, facet = table.attrs["y"], table.attrs["facet"]
    is_map = _drawn_means(figure.axes[0]) is not None
    # A map has one panel per facet and rows along y; lines have it the other way round.
    panel_key, row_key = (facet, y) if is_map else (y, facet)
    if not is_map and "observable" in table:
        panel_key = "observable"
    panels = []
    for ax, (name, part) in zip(figure.axes, _split_panels(table, panel_key), strict=False):
        # A map has all cells in each panel, lines only points that were run.
        extent = table if is_map else part
        panel = _panel_data(ax, part, extent, row_key, is_map)
        if panel is None:
            return []
        signed = table.attrs.get("column") == "difference"
        panels.append({"name": name, **panel, "signed": signed})
    return panels


def _panel_data(
    ax: Axes, part: pd.DataFrame, extent: pd.DataFrame, row_key: str | None, is_map: bool
) -> dict[str, Any] | None:
    """Positions and numbers of one panel, None where it draws other means.

    Args:
        ax: The panel.
        part: The rows of the table that it draws.
        extent: The rows whose values make up its columns and rows.
        row_key: Column of the table for the rows of the panel, None if it has one row.
        is_map: Whether it is a heat map.
    """
    x = part.attrs["x"]
    # A row without x is drawn as a level, not a point.
    part, extent = part.dropna(subset=[x]), extent.dropna(subset=[x])
    columns, rows = _axis_values(extent, x), _axis_values(extent, row_key)
    values = (*TOOLTIP_COLUMNS, *(["modes"] if "modes" in part else []))
    matrices = {value: _matrix(part, value, row_key, rows, x, columns) for value in values}
    means = matrices["mean"]
    positions = _cell_positions(ax, means) if is_map else _point_positions(ax, means, columns)
    if positions is None:
        return None
    names = {"columns": _names(x, columns), "rows": _names(row_key, rows)}
    bounds = {"bounds": _panel_bounds(ax), "lines": not is_map}
    return {**names, **bounds, **positions, **tooltip_numbers(matrices)}


def _split_panels(table: pd.DataFrame, key: str | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and rows of each panel, in the order in which the figures draw them."""
    if key is None:
        yield "", table
        return
    in_order = dict.fromkeys(table[key]) if key == "observable" else sorted_unique(table, key)
    values = list(in_order)
    for value, name in zip(values, _names(key, values), strict=True):
        yield name, table[table[key] == value]


def _axis_values(table: pd.DataFrame, key: str | None) -> list[Any]:
    return [None] if key is None else list(sorted_unique(table, key))


def _names(key: str | None, values: Sequence[Any]) -> list[str]:
    """`snr = 0.5`, `Adam`, `feature learning`, or nothing."""
    if key == "observable":
        return [axis_label(value) for value in values]
    if key == "optimizer":
        return [kind_label(key, str(value)) for value in values]
    if key is None:
        return [""] * len(values)
    texts = [format_number(value) for value in values]
    if len(set(texts)) < len(texts):
        texts = ticks(list(values))
    return [f"{key} = {text}" for text in texts]


def _matrix(
    part: pd.DataFrame, value: str, row: str | None, rows: list[Any], x: str, columns: list[Any]
) -> Floats:
    """A column of the table over rows and columns, NaN where there is no cell."""
    wide = part.assign(_row=part[row] if row else None)
    wide = wide.pivot(index="_row", columns=x, values=value)
    if row:
        wide = wide.reindex(index=rows)
    return wide.reindex(columns=columns).to_numpy(float)


def _drawn_means(ax: Axes) -> Floats | None:
    """The values that a heat map draws, None where there is none."""
    meshes = [artist.get_array() for artist in ax.collections if isinstance(artist, QuadMesh)]
    return np.ma.filled(np.ma.asarray(meshes[0], float), np.nan) if meshes else None


def _cell_positions(ax: Axes, means: Floats) -> dict[str, list[float | None]] | None:
    """Centres of the columns and rows of a map, None where it draws other means."""
    drawn = _drawn_means(ax)
    if drawn is None or drawn.size != means.size:
        return None
    if not np.array_equal(drawn.ravel(), means.ravel(), equal_nan=True):
        return None
    rows, columns = np.arange(means.shape[0]) + 0.5, np.arange(means.shape[1]) + 0.5
    x, _ = _panel_fractions(ax, columns, 0 * columns)
    _, y = _panel_fractions(ax, 0 * rows, rows)
    return {"x": x, "y": y}


def _point_positions(
    ax: Axes, means: Floats, columns: list[Any]
) -> dict[str, list[float | None]] | None:
    """Columns and points of the lines of a panel, None where it draws other means."""
    drawn = [(line, _finite_points(line.get_xdata(), line.get_ydata())) for line in ax.lines]
    if not columns:
        return None
    # From the lines, not the table: names on an axis are drawn at 0, 1, 2, ...
    xs = np.full(means.shape, np.nan)
    for i, row in enumerate(means):
        matches = [line for line, points in drawn if points == _finite_points(columns, row)]
        if not matches:
            return None
        points = np.asarray(matches[0].get_xydata())
        xs[i, ~np.isnan(row)] = [across for across, height in points if np.isfinite(height)]
    x, _ = _panel_fractions(ax, np.fmax.reduce(xs), 0 * xs[0])
    _, y = _panel_fractions(ax, xs.ravel(), means.ravel())
    return {"x": x, "y": y}


def _finite_points(xs: Any, ys: Any) -> list[tuple[Any, float]]:
    return [(x, float(y)) for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]


def _panel_fractions(
    ax: Axes, x: Floats, y: Floats
) -> tuple[list[float | None], list[float | None]]:
    """Data coordinates as fractions of the panel, from its upper left corner."""
    pixels = ax.transData.transform(np.column_stack([x, y]))
    right, up = ax.transAxes.inverted().transform(pixels).T
    return json_numbers(right.round(4)), json_numbers((1 - up).round(4))


def _panel_bounds(ax: Axes) -> list[float]:
    box = ax.get_position()
    # matplotlib measures from the bottom of the figure, a page from the top
    bounds = (box.x0, 1 - box.y0 - box.height, box.width, box.height)
    return [round(value, 5) for value in bounds]
