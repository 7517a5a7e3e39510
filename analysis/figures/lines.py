"""Lines with bands: a value over one axis, or observables over steps.

Plotting functions take tables and return figures; they draw no number that is not in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    logarithmic_steps,
    new_figure,
    set_formula,
    thin_ticks,
    value_label,
)
from analysis.tables.axes import sorted_unique
from analysis.tables.columns import column_info
from analysis.tables.labels import axis_label, format_number, ticks
from sweep.errors import SweepError

MAX_MARKERS = 40
"""A line with more points than this is drawn without markers."""


@in_style
def gap_figure(cells: pd.DataFrame, title: str = "", width: str | None = None) -> Figure:
    """Lines of a table of Cells over x, with bands for the intervals.

    There is one line per facet and one panel per value of y. A hollow marker means that runs are
    missing, a cross that some have no finite value. A cell without a value on the x axis is drawn
    as a level across the panel.

    Args:
        cells: A table of Cells with an x axis.
        title: Title of the figure.
        width: `single` or `double` column of a paper; by default one column per panel.

    Raises SweepError on a table without x.
    """
    x, y, facet = (cells.attrs.get(key) for key in ("x", "y", "facet"))
    if x is None:
        raise SweepError(
            "gap_figure takes a table of Cells with x. Read the numbers from the table itself."
        )
    panels = list(sorted_unique(cells, y)) if y else [None]
    figure, axes = new_figure(len(panels), sharey=True, width=width)
    facets = list(sorted_unique(cells, facet)) if facet else [None]
    for ax, panel in zip(axes, panels, strict=True):
        part = cells if panel is None else cells[cells[y] == panel]
        _draw_lines(ax, part, x, facet, facets, markers=True)
        ax.set_title("" if panel is None else f"{axis_label(y or '')} = {format_number(panel)}")
        ax.set_xlabel(axis_label(x))
        first_column = ax.get_subplotspec().is_first_col()  # type: ignore[union-attr]
        ax.set_ylabel(value_label(cells) if first_column else "")
        _set_value_ticks(ax, list(sorted_unique(cells, x)))
    _add_legend(figure, axes, facet)
    return finish_figure(figure, title, _caption(cells))


@in_style
def curves_figure(bands: pd.DataFrame, title: str = "", width: str | None = None) -> Figure:
    """Observables over steps: one panel per observable, one line and band per facet.

    With the default observables this is the figure of the core paper: feature learning and noise
    memorization.

    Args:
        bands: A table of Bands.
        title: Title of the figure.
        width: `single` or `double` column of a paper; by default one column per panel.
    """
    facet, observables = bands.attrs["facet"], list(dict.fromkeys(bands["observable"]))
    figure, axes = new_figure(len(observables), width=width)
    for ax, name in zip(axes, observables, strict=True):
        part = bands[bands["observable"] == name]
        _draw_lines(ax, part, "step", facet, list(sorted_unique(bands, facet)), markers=False)
        ax.set_title(axis_label(name))
        ax.set_xlabel("step")
        set_formula(ax, column_info(name).formula or axis_label(name))
        logarithmic_steps(ax, with_zero=bool((part["step"] <= 0).any()))
        ax.set_xlim(left=part["step"].min())
    _add_legend(figure, axes, facet)
    return finish_figure(figure, title, _caption(bands))


def _draw_lines(
    ax: Axes, table: pd.DataFrame, x: str, facet: str | None, facets: list[Any], markers: bool
) -> None:
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    colors = sns.color_palette("colorblind", len(facets))
    for i, (name, color) in enumerate(zip(facets, colors, strict=True)):
        part = (table if name is None else table[table[facet] == name]).sort_values(x)
        # Dashes and markers too, so that lines can be told apart in black and white.
        dashes, marker = ("-", "--", "-.", ":")[i % 4], "osD^vP"[i % 6]
        label = facet_label(facet, name) or None
        part = _draw_levels(ax, part, x, {"color": color, "linestyle": dashes, "label": label})
        style = {"color": color, "linestyle": dashes, "ms": 3.5}
        style["marker"] = marker if markers and len(part) <= MAX_MARKERS else ""
        ax.plot(part[x], part["mean"], label=None if part.empty else label, **style)
        ax.fill_between(part[x], part["low"], part["high"], color=color, alpha=0.2, linewidth=0)
        if markers:
            incomplete, nonfinite = part[part["incomplete"]], part[part["nonfinite"] > 0]
            hollow = {"color": color, "markerfacecolor": "white", "ms": 4.5}
            ax.plot(incomplete[x], incomplete["mean"], marker, **hollow)
            ax.plot(nonfinite[x], nonfinite["mean"], "x", color="black", ms=6)
            split = _split(part)
            ax.plot(split[x], split["mean"], "|", color=color, ms=14, mew=1.2)


def _draw_levels(ax: Axes, part: pd.DataFrame, x: str, style: dict[str, Any]) -> pd.DataFrame:
    """Draw rows without a value on the axis, such as `eps` of gradient descent, across the panel.

    Returns the remaining rows.
    """
    without_x = part[x].isna()
    # One label per facet: its line has it, unless there is none.
    level_style = style if without_x.all() else {**style, "label": None}
    for row in part[without_x].to_dict("records"):
        ax.axhline(row["mean"], **level_style)
        ax.axhspan(row["low"], row["high"], color=style["color"], alpha=0.2, linewidth=0)
    return part[~without_x]


def _set_value_ticks(ax: Axes, values: list[Any]) -> None:
    """Put ticks at values of the sweep, on a logarithmic axis where they span a decade.

    There they are at round numbers instead, where the values are not.
    """
    if not values or isinstance(values[0], str):
        return
    labelled = [values[i] for i in thin_ticks(len(values), 6)]
    if values[0] > 0 and values[-1] / values[0] >= 10:
        if any(format_number(value, 2) != format_number(value, 6) for value in labelled):
            sparse_log_ticks(ax)
            return
        ax.set_xscale("log")
    elif values[0] == 0 and len(values) > 2 and values[-1] / values[1] >= 100:
        ax.set_xscale("symlog", linthresh=values[1])
    ax.set_xticks(labelled, ticks(labelled))
    ax.minorticks_off()


def _add_legend(figure: Figure, axes: Sequence[Axes], facet: str | None) -> None:
    """One entry for each value of the facet, in whichever panels it is drawn."""
    if not facet:
        return
    entries: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        entries = {**dict(zip(labels, handles, strict=True)), **entries}
    names = sorted(entries)
    handles = [entries[name] for name in names]
    figure.legend(handles, names, loc="outside upper right", ncols=min(len(names), 6))


def _caption(table: pd.DataFrame) -> str:
    over_steps = "observable" in table
    level = f"{100 * table.attrs['level']:g} %"
    parts = [count_sentence(table), f"bands: {level} intervals of the mean{_kinds(table)}"]
    if table["incomplete"].any() and not over_steps:
        parts.append("hollow: runs are missing")
    if len(_split(table)):
        mark = "in some cells" if over_steps else "|:"
        parts.append(f"{mark} seeds split into modes, and the mean is the value of no seed")
    if (table["nonfinite"] > 0).any():
        parts.append(f"{'' if over_steps else '×: '}some runs have no finite value")
    return "; ".join(parts) + "."


def _split(table: pd.DataFrame) -> pd.DataFrame:
    """The cells whose seeds split into modes."""
    return table[table["modes"] > 1] if "modes" in table else table[:0]


def _kinds(table: pd.DataFrame) -> str:
    """Which intervals the cells have."""
    named = {"student": "Student's t", "mid-p": "mid-P where seeds may split into modes"}
    kinds = set(table["interval"]) if "interval" in table else set()
    told = [text for kind, text in named.items() if kind in kinds]
    return f" ({', '.join(told)})" if told else ""
