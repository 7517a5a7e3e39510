"""The figure of a collapse: curves of several sizes, raw and rescaled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.figures.style import count_sentence, finish_figure, in_style, new_figure, sparse_log_ticks, value_label
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@in_style
def collapse_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Curves of a table of Collapse.collapsed, raw on the left, against scaled x on the right, one line a size.

    Two panels a facet. Raises SweepError where there are more than two facets.
    """
    facet, size = table.attrs["facet"], table.attrs["size"]
    names = list(sorted_unique(table, facet)) if facet else [None]
    if len(names) > 2:
        raise SweepError(f"{len(names)} values of {facet} are too many for one figure of collapses. Keep one or two.")
    figure, axes = new_figure(2 * len(names), sharey=True)
    for name, raw, scaled in zip(names, axes[::2], axes[1::2], strict=True):
        part = table if name is None else table[table[facet] == name]
        for ax, column in ((raw, table.attrs["x"]), (scaled, "scaled")):
            _curves(ax, part, column, size)
        who, first = "" if name is None else f"{axis_label(facet)} = {format_number(name)}", part.iloc[0]
        raw.set(title=who, xlabel=axis_label(table.attrs["x"]), ylabel=value_label(table))
        scaled.set(
            title=f"rescaled, quality {format_number(first['quality'], 2)} (1: a collapse)",
            xlabel=_scaled_label(table, first),
        )
    handles, sizes = axes[0].get_legend_handles_labels()
    figure.legend(handles, sizes, title=axis_label(size), loc="outside right center")
    return finish_figure(
        figure, title, f"{count_sentence(table)}; bars: {100 * table.attrs['level']:g} % intervals of the mean."
    )


def _curves(ax: Axes, part: pd.DataFrame, column: str, size: str) -> None:
    import seaborn as sns

    sizes = list(sorted_unique(part, size))
    if not (column == "scaled" and "width" in part):
        sparse_log_ticks(ax)
    for i, (each, colour) in enumerate(zip(sizes, sns.color_palette("viridis", len(sizes)), strict=True)):
        own = part[part[size] == each].dropna(subset=[column, "mean"]).sort_values(column)
        style = {"color": colour, "linestyle": ("-", "--", "-.", ":")[i % 4], "marker": "osD^vP"[i % 6]}
        bars = [(own["mean"] - own["low"]).fillna(0.0), (own["high"] - own["mean"]).fillna(0.0)]
        ax.errorbar(
            own[column], own["mean"], bars, ms=3.5, linewidth=1.0, elinewidth=0.8, label=format_number(each), **style
        )


def _scaled_label(table: pd.DataFrame, first: pd.Series) -> str:
    """What the scaled axis is, in words and numbers."""
    x, size, exponent = table.attrs["x"], table.attrs["size"], format_number(first["exponent"])
    if exponent == "none":
        return "no exponent"
    if "width" not in first:
        return f"{x} × {size}^{exponent}"
    return f"log({x} × {size}^{exponent} / {format_number(first['middle'])}) × {size}^{format_number(first['width'])}"
