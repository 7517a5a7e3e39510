"""The figure of a finite-size collapse: curves of several sizes, raw and rescaled."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.axis_ticks import sparse_log_ticks
from analysis.figures.style import (
    count_sentence,
    facet_label,
    finish_figure,
    in_style,
    new_figure,
    value_label,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError


@in_style
def collapse_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Curves of a table of Collapse.collapsed: raw on the left, over the scaled axis on the right.

    There is one line per size and two panels per facet. Raises SweepError where there are more
    than two facets.
    """
    facet, size = table.attrs["facet"], table.attrs["size"]
    facets = list(sorted_unique(table, facet)) if facet else [None]
    if len(facets) > 2:
        raise SweepError(
            f"A collapse figure has room for two values of {facet}, and the table has "
            f"{len(facets)}. Keep one or two of them."
        )
    figure, axes = new_figure(2 * len(facets), sharey=True)
    for name, raw, scaled in zip(facets, axes[::2], axes[1::2], strict=True):
        part = table if name is None else table[table[facet] == name]
        _draw_curves(raw, part, table.attrs["x"], size)
        _draw_curves(scaled, part, "scaled", size)
        raw.set_title(facet_label(facet, name))
        raw.set(xlabel=axis_label(table.attrs["x"]), ylabel=value_label(table))
        quality = format_number(part.iloc[0]["quality"], 2)
        scaled.set_title(f"rescaled, quality {quality} (1: collapse)")
        scaled.set_xlabel(_scaled_label(table, part.iloc[0]))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=axis_label(size), loc="outside right center")
    level = f"{100 * table.attrs['level']:g} %"
    caption = f"{count_sentence(table)}; bars: {level} intervals of the mean."
    return finish_figure(figure, title, caption)


def _draw_curves(ax: Axes, part: pd.DataFrame, column: str, size: str) -> None:
    """Draw the means over `column` with error bars, one line per size."""
    sizes = list(sorted_unique(part, size))
    # With a width the scaled axis is already a logarithm.
    if not (column == "scaled" and "width" in part):
        sparse_log_ticks(ax)
    colors = sns.color_palette("viridis", len(sizes))
    for i, (value, color) in enumerate(zip(sizes, colors, strict=True)):
        curve = part[part[size] == value].dropna(subset=[column, "mean"]).sort_values(column)
        style = {"color": color, "linestyle": ("-", "--", "-.", ":")[i % 4]}
        style |= {"marker": "osD^vP"[i % 6], "ms": 3.5, "linewidth": 1.0, "elinewidth": 0.8}
        below = (curve["mean"] - curve["low"]).fillna(0.0)
        above = (curve["high"] - curve["mean"]).fillna(0.0)
        label = format_number(value)
        ax.errorbar(curve[column], curve["mean"], [below, above], label=label, **style)


def _scaled_label(table: pd.DataFrame, row: pd.Series) -> str:
    """The formula of the scaled axis, with the fitted numbers of a facet."""
    x, size, exponent = table.attrs["x"], table.attrs["size"], format_number(row["exponent"])
    if exponent == "none":
        return "no exponent"
    if "width" not in row:
        return f"{x} × {size}^{exponent}"
    middle, width = format_number(row["middle"]), format_number(row["width"])
    return f"log({x} × {size}^{exponent} / {middle}) × {size}^{width}"
