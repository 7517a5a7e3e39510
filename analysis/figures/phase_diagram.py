"""Phase diagrams: heat maps of a table of Cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from analysis.figures.boundary_lines import check_lines, draw_lines, is_geometric, line_captions
from analysis.figures.color_scale import ColorScale, color_scale
from analysis.figures.heatmap import (
    MOSTLY_CENSORED,
    MOSTLY_COLLAPSED,
    Strips,
    clear_texts,
    draw_heatmap,
)
from analysis.figures.style import (
    count_sentence,
    facet_label,
    finish_figure,
    in_style,
    new_figure,
    thin_ticks,
    value_label,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, counted, format_number, marked_signs, ticks
from sweep.errors import SweepError

CELL_COLUMNS = ("mean", "nonfinite", "incomplete")
"""Columns of a table of Cells that are drawn."""


@in_style
def phase_diagram(
    cells: pd.DataFrame,
    title: str = "",
    lines: Sequence[pd.DataFrame] = (),
    width: str | None = None,
    modes: pd.DataFrame | None = None,
) -> Figure:
    """A heat map of a table of Cells over x and y, one panel per facet.

    Hatching marks cells with missing runs, runs without a finite value, or mostly networks that
    collapsed to zero, dots those where most runs are censored; plain grey means no run. On paired
    differences a triangle points up or down where the difference is above or below 0 with a
    family-wise error of 1 - level over the whole map. A cell whose seeds split is drawn as its
    modes, if these are given.

    Args:
        cells: A table of Cells with x and y.
        title: Title of the figure.
        lines: Tables of Boundary or Overlay over the same axes, drawn on top.
        width: `single` or `double` column of a paper; by default one column per panel.
        modes: A table of Modes over the same axes.

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
        cell = _matrices(part, ys, xs)
        draw_heatmap(ax, cell, scale, _strips(modes, panel, ys, xs))
        if lines:
            clear_texts(ax, cell["mean"], scale)
        draw_lines(ax, lines, panel, xs, ys)
        # seaborn draws what is there of the figure with each further panel
        ax.set_title(facet_label(facet, panel))
        _label_axes(ax, x, xs, y, ys)
    bar = {"label": value_label(cells), "pad": 0.02, "extend": _extend(cells, scale)}
    figure.colorbar(axes[0].collections[0], ax=axes, **bar, **_bar_ticks(scale)).minorticks_off()
    return finish_figure(figure, title, _caption(cells, lines, modes))


def _bar_ticks(scale: ColorScale) -> dict[str, Any]:
    """Plain numbers on the colour bar: of counts whole ones, of a log 1, 2 and 5 of a decade."""
    plain = FuncFormatter(lambda value, _: format_number(value))
    if scale.logarithmic:
        return {"ticks": LogLocator(subs=(1.0, 2.0, 5.0)), "format": plain}
    if scale.counts:
        return {"ticks": MaxNLocator(integer=True), "format": plain}
    return {}


def _extend(cells: pd.DataFrame, scale: ColorScale) -> Literal["max", "neither"]:
    """Whether the colour bar shows that some means lie above its end."""
    return "max" if (cells["mean"] > scale.high).any() else "neither"


def _matrices(part: pd.DataFrame, ys: list[Any], xs: list[Any]) -> dict[str, np.ndarray]:
    """The columns of one panel as arrays (ys, xs), NaN where there is no cell."""
    names = [*CELL_COLUMNS, *(name for name in ("censored", "collapsed") if name in part)]
    if "p_map" in part:
        part = part.assign(marked=marked_signs(part))
        names.append("marked")
    table = part.set_index([part.attrs["y"], part.attrs["x"]])
    return {
        name: table[name].unstack().reindex(index=ys, columns=xs).to_numpy(float) for name in names
    }


def _strips(
    modes: pd.DataFrame | None, panel: Any, ys: list[Any], xs: list[Any]
) -> dict[tuple[int, int], Strips]:
    """The modes of the cells of one panel that have several, by row and column."""
    if modes is None:
        return {}
    x, y, facet = (modes.attrs[key] for key in ("x", "y", "facet"))
    split = modes[modes["seeds"] < modes["count"]].dropna(subset=[x, y])
    if facet:
        split = split[split[facet] == panel]
    return {
        (ys.index(row), xs.index(column)): Strips(
            part["center"].tolist(), part["seeds"].tolist(), part["share"].tolist()
        )
        for (row, column), part in split.groupby([y, x])
    }


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


def _caption(cells: pd.DataFrame, lines: Sequence[pd.DataFrame], modes: pd.DataFrame | None) -> str:
    """What the marks and the lines of the figure mean."""
    parts = [count_sentence(cells)]
    if "p_map" in cells:
        parts.append(_marks_caption(cells))
    # Cells without a place in the plane would otherwise be lost without a trace.
    undrawn = int(cells[[cells.attrs["x"], cells.attrs["y"]]].isna().any(axis=1).sum())
    if undrawn:
        verb = "is" if undrawn == 1 else "are"
        parts.append(f"{counted(undrawn, 'cell')} without a value on an axis {verb} not drawn")
    if modes is not None and (modes["seeds"] < modes["count"]).any():
        parts.append(
            "strips: seeds split into modes, each as wide as its share; 5:3 counts its seeds, from "
            "the lowest mode on"
        )
    if cells["incomplete"].any():
        parts.append("///: runs are missing")
    if (cells["nonfinite"] > 0).any():
        parts.append("xxx: runs without a finite value")
    if "censored" in cells and (cells["censored"] > MOSTLY_CENSORED).any():
        parts.append("...: more than half of the runs are censored")
    if "collapsed" in cells and (cells["collapsed"] > MOSTLY_COLLAPSED).any():
        parts.append(
            "\\\\\\: most networks went to zero, whose outputs are ties and count as errors"
        )
    return "; ".join([*parts, *dict.fromkeys(line_captions(lines))]) + "."


def _marks_caption(cells: pd.DataFrame) -> str:
    """What a triangle claims, and of how many cells at once."""
    percent = f"{100 - 100 * cells.attrs['level']:.3g} %"
    seeds, fewest = cells.attrs["map_seeds"], cells.attrs["fewest_seeds"]
    if seeds < fewest:
        return f"no cell can be marked: a family-wise error of {percent} takes {fewest} seeds"
    return (
        f"▲ ▼: above / below 0 with a family-wise error of {percent} over the map (signs of whole "
        "seeds permuted)"
    )
