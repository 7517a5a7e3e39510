"""Two columns of the runs against each other: one point a run."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.axis_ticks import is_logarithmic, number_ticks
from analysis.figures.style import (
    facet_label,
    finish_figure,
    in_style,
    new_figure,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label
from sweep.wording import counted

MAX_VECTOR_POINTS = 2000
"""More points than this are rasterized: as vectors they would make the file large and slow."""

MARKERS = "osD^vP"
"""Facets differ by these too, for readers who cannot tell the colours apart."""


@in_style
def correlation_figure(points: pd.DataFrame, title: str = "", width: str | None = None) -> Figure:
    """The table of Correlation.points: `value` over `other`, one point a run.

    Args:
        points: A table of Correlation.points.
        title: Title of the figure.
        width: `single` or `double` column of a paper.
    """
    value, other, facet = (points.attrs[key] for key in ("value", "other", "facet"))
    figure, (ax,) = new_figure(1, width=width)
    names = list(sorted_unique(points, facet)) if facet else [None]
    colors = sns.color_palette("colorblind", len(names))
    for index, (name, color) in enumerate(zip(names, colors, strict=True)):
        part = points if name is None else points[points[facet] == name]
        style = {"s": 9, "alpha": 0.6, "linewidths": 0, "marker": MARKERS[index % len(MARKERS)]}
        style |= {"color": color, "rasterized": len(points) > MAX_VECTOR_POINTS}
        ax.scatter(part[other], part[value], label=facet_label(facet, name), **style)
    _label_axes(ax, points, other, value)
    if facet:
        figure.legend(loc="outside upper right", ncols=min(len(names), 6))
    return finish_figure(figure, title, f"One point a run; {counted(len(points), 'run')}.")


def _label_axes(ax: Axes, points: pd.DataFrame, other: str, value: str) -> None:
    ax.set(xlabel=axis_label(other), ylabel=axis_label(value))
    for axis, name in ((ax.xaxis, other), (ax.yaxis, value)):
        if is_logarithmic(points[name]):
            axis._set_axes_scale("log")  # type: ignore[attr-defined]
        number_ticks(axis)
