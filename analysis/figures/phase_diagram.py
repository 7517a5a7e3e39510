"""Phase diagrams: heat maps of a table of Cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.boundary_lines import check_lines, draw_lines, is_geometric, line_captions
from analysis.figures.color_scale import ColorScale, color_scale
from analysis.figures.heatmap import MOSTLY_CENSORED, draw_heatmap
from analysis.figures.style import (
    count_sentence,
    drawable,
    finish_figure,
    in_style,
    new_figure,
    thin_ticks,
    value_label,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, counted, ticks
from sweep.errors import SweepError

CELL_COLUMNS = ("mean", "low", "high", "nonfinite", "incomplete")
"""Columns of a table of Cells that are drawn."""


@in_style
def phase_diagram(
    cells: pd.DataFrame,
    title: str = "",
    lines: Sequence[pd.DataFrame] = (),
    width: str | None = None,
) -> Figure:
    """A heat map of a table of Cells over x and y, one panel per facet.

    Hatching marks cells with missing runs or runs without a finite value, dots those where most
    runs are censored; plain grey means no run. On paired differences a triangle points up where
    the whole interval lies above 0, down where it lies below.

    Args:
        cells: A table of Cells with x and y.
        title: Title of the figure.
        lines: Tables of Boundary or Overlay over the same axes, drawn on top.
        width: `single` or `double` column of a paper; by default one column per panel.

    Raises SweepError on a table without two axes and values on them, or a line that does not belong on it.
    """
    x, y, facet = (cells.attrs.get(key) for key in ("x", "y", "facet"))
    if x is None or y is None:
        raise SweepError(
            "A phase diagram takes a table of Cells with x and y. Use gap_figure for one axis."
        )
    check_lines(cells, lines)
    xs, ys = list(sorted_unique(cells, x)), list(sorted_unique(cells, y))
    for name, values in ((x, xs), (y, ys)):
        if not values:
            raise SweepError(f"No run has a value of {name}. Take another axis.")
    panels = list(sorted_unique(cells, facet)) if facet else [None]
    figure, axes = new_figure(len(panels), width=width)
    scale = color_scale(cells)
    for ax, panel in zip(axes, panels, strict=True):
        part = cells if panel is None else cells[cells[facet] == panel]
        draw_heatmap(ax, _matrices(part, ys, xs), scale, triangles=_is_difference(cells))
        if lines:
            _lower_texts(ax)
        draw_lines(ax, lines, panel, xs, ys)
        # seaborn draws what is there of the figure with each further panel
        ax.set_title("" if panel is None else drawable(str(panel)))
        _label_axes(ax, x, xs, y, ys)
    bar = {"label": value_label(cells), "pad": 0.02, "extend": _extend(cells, scale)}
    figure.colorbar(axes[0].collections[0], ax=axes, **bar)
    return finish_figure(figure, title, _caption(cells, lines))


def _extend(cells: pd.DataFrame, scale: ColorScale) -> Literal["max", "neither"]:
    """Whether the colour bar shows that some means lie above its end."""
    return "max" if (cells["mean"] > scale.high).any() else "neither"


def _matrices(part: pd.DataFrame, ys: list[Any], xs: list[Any]) -> dict[str, np.ndarray]:
    """The columns of one panel as arrays (ys, xs), NaN where there is no cell."""
    names = (*CELL_COLUMNS, "censored") if "censored" in part else CELL_COLUMNS
    table = part.set_index([part.attrs["y"], part.attrs["x"]])
    return {
        name: table[name].unstack().reindex(index=ys, columns=xs).to_numpy(float) for name in names
    }


def _lower_texts(ax: Axes) -> None:
    """Move the numbers down: the whiskers of a boundary run along the middle of a row."""
    for text in ax.texts:
        text.set_y(text.get_position()[1] - 0.25)


def _label_axes(ax: Axes, x: str, xs: list[Any], y: str, ys: list[Any]) -> None:
    """Label the axes and a few of the rows and columns."""
    columns, rows = thin_ticks(len(xs), 8), thin_ticks(len(ys), 12)
    first_column = ax.get_subplotspec().is_first_col()  # type: ignore[union-attr]
    y_labels = ticks([ys[i] for i in rows]) if first_column else []
    ax.set_xticks([i + 0.5 for i in columns], ticks([xs[i] for i in columns]), rotation=0)
    ax.set_yticks([i + 0.5 for i in rows], y_labels, rotation=0)
    ax.set_xlabel(axis_label(x) + _scale_note(xs))
    ax.set_ylabel(axis_label(y) + _scale_note(ys) if first_column else "")
    ax.tick_params(length=2)


def _scale_note(values: list[Any]) -> str:
    """What to add to the label of an axis with these values."""
    return " (log scale)" if is_geometric(values) else ""


def _is_difference(cells: pd.DataFrame) -> bool:
    """Whether these are paired differences, for which it matters if the interval excludes 0."""
    return cells.attrs["column"] == "difference"


def _caption(cells: pd.DataFrame, lines: Sequence[pd.DataFrame]) -> str:
    """What the marks and the lines of the figure mean."""
    parts = [count_sentence(cells)]
    if _is_difference(cells):
        level = f"{100 * cells.attrs['level']:g} %"
        parts.append(f"▲ ▼: the {level} interval lies above / below 0")
    # Cells without a place in the plane would otherwise be lost without a trace.
    undrawn = int(cells[[cells.attrs["x"], cells.attrs["y"]]].isna().any(axis=1).sum())
    if undrawn:
        verb = "is" if undrawn == 1 else "are"
        parts.append(f"{counted(undrawn, 'cell')} without a value on an axis {verb} not drawn")
    if cells["incomplete"].any():
        parts.append("///: runs are missing")
    if (cells["nonfinite"] > 0).any():
        parts.append("xxx: runs without a finite value")
    if "censored" in cells and (cells["censored"] > MOSTLY_CENSORED).any():
        parts.append("...: more than half of the runs are censored")
    return "; ".join([*parts, *dict.fromkeys(line_captions(lines))]) + "."
