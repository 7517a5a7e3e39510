"""What a figure answers to a pointer: place and numbers of every cell of a map and every point of a line.

A page carries them, so they are small: whole numbers in units of a last digit, one number for a constant column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_interval, format_number, ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOLD = ("mean", "low", "high", "count", "nonfinite", "expected")
"""Columns of a table of Cells or Bands that a pointer reads."""


def tooltip_data(figure: Figure | None, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The panels of a phase_diagram, gap_figure or curves_figure of this table, as plain JSON values.

    Of each panel `name`, the names of its `columns` and `rows`, and `at`: left, top, width and height in fractions of
    the picture. Row after row, numbers as `format_interval` words them: `mean`, `below` and `above` (how far the ends of the
    interval are from it) in units of 10^-`digits`; `count`, `nonfinite`, `missing`. A number stands for a list of equal
    ones, null for what there is not; one null end of two is an infinite one. In fractions of the panel, downwards, `x`
    of each column and `y` of each row (of a map) or point (of `lines`).
    Empty where the figure draws something else than the means of the table: a page tells what is drawn or nothing.
    """
    if figure is None or table.attrs.get("x") is None or not {*TOLD} <= {*table}:
        return []
    x, y, facet = (table.attrs[key] for key in ("x", "y", "facet"))
    mapped = _map(figure.axes[0]) is not None
    panel, row = (facet, y) if mapped else ("observable" if "observable" in table else y, facet)
    found = []
    for ax, (name, part) in zip(figure.axes, _panels(table, panel), strict=False):
        part = part.dropna(subset=[x])  # what has no value on the axis is a level, not a point
        columns, rows = _levels(table if mapped else part, x), _levels(table if mapped else part, row)
        cell = {value: _matrix(part, value, row, rows, x, columns) for value in TOLD}
        place = _cells(ax, cell["mean"]) if mapped else _points(ax, cell["mean"], columns)
        if place is None:
            return []
        names = {"name": name, "columns": _names(x, columns), "rows": _names(row, rows)}
        found.append({**names, "at": _rectangle(ax), "lines": not mapped, **place, **_numbers(cell)})
        found[-1]["signed"] = table.attrs.get("column") == "difference"
    return found


def _panels(table: pd.DataFrame, key: str | None) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and rows of each panel, in the order in which the figures draw them."""
    if key is None:
        yield "", table
        return
    values = list(dict.fromkeys(table[key]) if key == "observable" else sorted_unique(table, key))
    for value, name in zip(values, _names(key, values), strict=True):
        yield name, table[table[key] == value]


def _levels(table: pd.DataFrame, key: str | None) -> list[Any]:
    return [None] if key is None else list(sorted_unique(table, key))


def _names(key: str | None, values: Sequence[Any]) -> list[str]:
    """`snr = 0.5`, `adam`, `feature learning`, or nothing."""
    if key == "observable":
        return [axis_label(value) for value in values]
    if key is None:
        return [""] * len(values)
    short = [format_number(value) for value in values]
    known = short if len(set(short)) == len(short) else ticks(list(values))
    return known if key == "optimizer" else [f"{key} = {text}" for text in known]


def _matrix(part: pd.DataFrame, value: str, row: str | None, rows: list[Any], x: str, columns: list[Any]) -> Floats:
    """A column of the table over rows and columns, NaN where there is no cell."""
    wide = part.assign(_row=part[row] if row else None).pivot(index="_row", columns=x, values=value)
    return (wide.reindex(index=rows) if row else wide).reindex(columns=columns).to_numpy(float)


def _map(ax: Axes) -> Floats | None:
    """What a heat map shows, None where there is none."""
    from matplotlib.collections import QuadMesh

    meshes = [each.get_array() for each in ax.collections if isinstance(each, QuadMesh)]
    return np.ma.filled(np.ma.asarray(meshes[0], float), np.nan) if meshes else None


def _cells(ax: Axes, means: Floats) -> dict[str, list[float | None]] | None:
    """Middles of the columns and rows of a map."""
    drawn = _map(ax)
    if drawn is None or drawn.size != means.size or not np.array_equal(drawn.ravel(), means.ravel(), equal_nan=True):
        return None
    down, across = np.arange(means.shape[0]) + 0.5, np.arange(means.shape[1]) + 0.5
    return {"x": _places(ax, across, 0 * across)[0], "y": _places(ax, 0 * down, down)[1]}


def _points(ax: Axes, means: Floats, columns: list[Any]) -> dict[str, list[float | None]] | None:
    """Columns and points of lines that are drawn with these means."""
    drawn = [(line, _finite(line.get_xdata(), line.get_ydata())) for line in ax.lines]
    if not columns:
        return None
    across, up = np.full(means.shape, np.nan), means.copy()
    for i, row in enumerate(means):
        own = [line for line, points in drawn if points == _finite(columns, row)]
        if not own:
            return None
        across[i, ~np.isnan(row)] = [x for x, y in np.asarray(own[0].get_xydata()) if np.isfinite(y)]
    return {"x": _places(ax, np.fmax.reduce(across), 0 * across[0])[0], "y": _places(ax, across.ravel(), up.ravel())[1]}


def _finite(x: Any, y: Any) -> list[tuple[Any, float]]:
    return [(across, float(up)) for across, up in zip(x, y, strict=True) if np.isfinite(up)]


def _places(ax: Axes, x: Floats, y: Floats) -> tuple[list[float | None], list[float | None]]:
    """Data coordinates as fractions of the panel from its upper left corner."""
    right, up = ax.transAxes.inverted().transform(ax.transData.transform(np.column_stack([x, y]))).T
    return _plain(right.round(4)), _plain((1 - up).round(4))


def _rectangle(ax: Axes) -> list[float]:
    left, bottom, width, height = ax.get_position().bounds
    return [round(each, 5) for each in (left, 1 - bottom - height, width, height)]


def _numbers(cell: dict[str, Floats]) -> dict[str, Any]:
    """The numbers of all cells, digit by digit those that `format_interval` words."""
    words = [_digits(*each) for each in zip(*(cell[name].ravel() for name in ("mean", "low", "high")), strict=True)]
    told = dict(zip(("digits", "mean", "below", "above"), map(list, zip(*words, strict=True)), strict=True))
    count, broken = cell["count"].ravel(), cell["nonfinite"].ravel()
    told |= {"count": _plain(count), "nonfinite": _plain(broken)}
    told["missing"] = _plain(cell["expected"].ravel() - count - broken)
    return {name: each[0] if len(set(each)) == 1 else each for name, each in told.items()}


def _digits(mean: float, low: float, high: float) -> tuple[int | None, ...]:
    """Digits after the point, the mean without a point, and how far below and above the ends are."""
    reach = np.array([mean - low, high - mean])
    endless = np.isinf(reach)
    if endless.any():  # as many digits as the end that is known has
        near = np.nan if endless.all() else reach.min()
        low, high = mean - near, mean + near
    found = re.findall(r"(-?\d+)\.?(\d*)", format_interval(mean, low, high))
    whole = [int(before + after) for before, after in found]
    if not whole:
        return (None,) * 4
    alike = None if np.isnan(reach).any() else 0
    below, above = (whole[0] - whole[1], whole[2] - whole[0]) if len(whole) == 3 else (alike, alike)
    return len(found[0][1]), whole[0], None if endless[0] else below, None if endless[1] else above


def _plain(values: Floats) -> list[Any]:
    """Floats for JSON: whole ones as integers, NaN as null."""
    return [None if np.isnan(each) else int(each) if each == int(each) else float(each) for each in values]
