"""The share of runs that fit their training data by each step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import (
    count_sentence,
    facet_label,
    finish_figure,
    in_style,
    logarithmic_steps,
    new_figure,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

LINE_STYLES = ("-", "--", "-.", ":")
"""Facets differ by these too, for readers who cannot tell the colours apart."""


@in_style
def survival_figure(shares: pd.DataFrame, title: str = "") -> Figure:
    """The table of FitTime.shares as a step curve with a band for each facet.

    There is one panel for each value of x. Raises SweepError on a table with y.
    """
    x, y, facet = (shares.attrs[key] for key in ("x", "y", "facet"))
    if y is not None:
        raise SweepError(
            f"The figure has a panel for each {axis_label(x)} and none for {axis_label(y)}. "
            "Make it without y."
        )
    panels = list(sorted_unique(shares, x)) if x else [None]
    names = list(sorted_unique(shares, facet)) if facet else [None]
    figure, axes = new_figure(len(panels), sharey=True)
    for ax, value in zip(axes, panels, strict=True):
        panel = shares if value is None else shares[shares[x] == value]
        _draw_facets(ax, panel, facet, names)
        heading = "" if value is None else f"{axis_label(x)} = {format_number(value)}"
        _label_panel(ax, heading)
    if facet:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=min(len(names), 6))
    bands = f"bands: {100 * shares.attrs['level']:g} % intervals of the share"
    return finish_figure(figure, title, f"{count_sentence(shares)}; {bands}.")


def _draw_facets(ax: Axes, panel: pd.DataFrame, facet: str | None, names: list[Any]) -> None:
    """Draw each facet in a colour and a line style of its own."""
    colours = sns.color_palette("colorblind", len(names))
    for index, (name, colour) in enumerate(zip(names, colours, strict=True)):
        rows = panel if name is None else panel[panel[facet] == name]
        style = LINE_STYLES[index % len(LINE_STYLES)]
        _draw_stairs(
            ax, rows, {"color": colour, "linestyle": style, "label": facet_label(facet, name)}
        )


def _draw_stairs(ax: Axes, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    """Draw the share of runs over steps as a step function, with its band."""
    step, share = np.append(0.0, rows["step"]), np.append(0.0, rows["share"])
    ax.step(step, share, where="post", **style)
    band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
    ax.fill_between(rows["step"], rows["low"], rows["high"], step="post", **band)


def _label_panel(ax: Axes, heading: str) -> None:
    """Set the heading, the labels and the limits of a panel."""
    ax.set(title=heading, xlabel="step", ylim=(-0.02, 1.02))
    first = ax.get_subplotspec().is_first_col()  # type: ignore[union-attr]
    ax.set_ylabel("share of runs that fit" if first else "")
    logarithmic_steps(ax, with_zero=True)
    ax.set_xlim(left=0)
