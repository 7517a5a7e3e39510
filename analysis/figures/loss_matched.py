"""A value at equal progress: one line a facet, and the paired difference beside them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import (
    count_sentence,
    finish_figure,
    in_style,
    logarithmic_steps,
    new_figure,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label

LINE_STYLES = ("-", "--", "-.", ":")
"""Facets differ by these too, for readers who cannot tell the colours apart."""

PROGRESS_LABELS = {
    "train_loss": "training loss reached",
    "time": "effective time (learning rate × step)",
}


@in_style
def matched_figure(
    matched: pd.DataFrame,
    difference: pd.DataFrame | None = None,
    title: str = "",
    width: str | None = None,
) -> Figure:
    """The table of LossMatched as lines with bands, and that of its difference in a second panel.

    Training proceeds from left to right, so the axis of a loss is reversed.

    Args:
        matched: A table of LossMatched.
        difference: A table of LossMatched.difference, or None for no second panel.
        title: Title of the figure.
        width: `single` or `double` column of a paper; by default one column per panel.
    """
    figure, axes = new_figure(1 if difference is None else 2, width=width)
    facet, value, along = (matched.attrs[key] for key in ("facet", "of", "along"))
    names = list(sorted_unique(matched, facet))
    colours = sns.color_palette("colorblind", len(names))
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        style = {"color": colour, "linestyle": LINE_STYLES[index % 4], "label": name}
        _draw(axes[0], matched[matched[facet] == name], along, style)
    axes[0].set_ylabel(axis_label(value))
    if difference is not None:
        axes[1].axhline(0, color="0.6", linewidth=0.8, zorder=0)
        _draw(axes[1], difference, along, {"color": "black"})
        axes[1].set_ylabel(f"{axis_label(value)}, {' - '.join(difference.attrs['pair'])}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=min(len(labels), 6))
    return finish_figure(figure, title, _caption(matched))


def _draw(ax: Axes, rows: pd.DataFrame, along: str, style: dict[str, Any]) -> None:
    """Draw one line with its band."""
    ax.plot(rows[along], rows["mean"], **style)
    ax.fill_between(
        rows[along], rows["low"], rows["high"], color=style["color"], alpha=0.2, linewidth=0
    )
    logarithmic_steps(ax, with_zero=False)
    ax.set_xlabel(PROGRESS_LABELS[along])
    if along == "train_loss":
        ax.set_xlim(rows[along].max(), rows[along].min())


def _caption(matched: pd.DataFrame) -> str:
    parts = [
        count_sentence(matched),
        f"bands: {100 * matched.attrs['level']:g} % intervals of the mean",
    ]
    if (matched["unreached"] > 0).any():
        parts.append("some runs do not get that far")
    return "; ".join(parts) + "."
