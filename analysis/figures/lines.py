"""Lines with bands: a value over one axis, observables over steps. Phase diagrams are in heat.py.

Plotting functions take tables and return figures; a number that is in no table is in no figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.figures.style import count_sentence, finish_figure, in_style, new_figure, thin_ticks, value_label
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, format_number, ticks
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKED = 40
"""Most points of a line that get a marker."""

MEANING = {
    "feature": r"$\min_j \max_r \langle w_{j,r},\, j v\rangle$",
    "noise_min": r"$\min_i \max_r \langle w_{y_i,r},\, \xi_i\rangle$",
    "noise_mean": r"mean over $i$ of $\max_r \langle w_{y_i,r},\, \xi_i\rangle$",
    "noise_max": r"$\max_{i,r} \langle w_{y_i,r},\, \xi_i\rangle$",
}
"""Observables as formulas."""


@in_style
def gap_figure(cells: pd.DataFrame, title: str = "", width: str | None = None) -> Figure:
    """Lines of a table of Cells over x with bands of their intervals: one line a facet, one panel a value of y.

    A hollow marker stands where runs are missing, a cross where some have no finite value. What has no value on the
    axis is a level over all of it. Raises SweepError on a table without x.
    """
    x, y, facet = (cells.attrs.get(key) for key in ("x", "y", "facet"))
    if x is None:
        raise SweepError("gap_figure takes a table of Cells with x. Read the numbers from the table itself.")
    panels = list(sorted_unique(cells, y)) if y else [None]
    figure, axes = new_figure(len(panels), sharey=True, width=width)
    for ax, name in zip(axes, panels, strict=True):
        part = cells if name is None else cells[cells[y] == name]
        _lines(ax, part, x, facet, list(sorted_unique(cells, facet)) if facet else [None], marks=True)
        ax.set(title="" if name is None else f"{axis_label(y or '')} = {format_number(name)}", xlabel=axis_label(x))
        ax.set_ylabel(value_label(cells) if ax.get_subplotspec().is_first_col() else "")  # type: ignore[union-attr]
        _value_ticks(ax, list(sorted_unique(cells, x)))
    _legend(figure, axes[0], facet)
    return finish_figure(figure, title, _caption(cells))


@in_style
def curves_figure(bands: pd.DataFrame, title: str = "", width: str | None = None) -> Figure:
    """Observables over steps from a table of Bands: one panel an observable, one line and band a facet.

    With the default observables this is the core paper's figure: feature learning, noise memorization.
    """
    facet, names = bands.attrs["facet"], list(dict.fromkeys(bands["observable"]))
    figure, axes = new_figure(len(names), width=width)
    for ax, name in zip(axes, names, strict=True):
        part = bands[bands["observable"] == name]
        _lines(ax, part, "step", facet, list(sorted_unique(bands, facet)), marks=False)
        ax.set(title=axis_label(name), xlabel="step", ylabel=MEANING.get(name, axis_label(name)))
        ax.set_xscale("symlog", linthresh=1, linscale=0.3) if (part["step"] <= 0).any() else ax.set_xscale("log")
        ax.set_xlim(left=part["step"].min())
        ax.minorticks_off()
    _legend(figure, axes[0], facet)
    return finish_figure(figure, title, _caption(bands))


def _lines(ax: Axes, table: pd.DataFrame, x: str, facet: str | None, names: list[Any], marks: bool) -> None:
    import seaborn as sns

    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for i, (name, colour) in enumerate(zip(names, sns.color_palette("colorblind", len(names)), strict=True)):
        part = (table if name is None else table[table[facet] == name]).sort_values(x)
        dashes, marker = ("-", "--", "-.", ":")[i % 4], "osD^vP"[i % 6]
        part = _without_axis(ax, part, x, {"color": colour, "linestyle": dashes, "label": name})
        ax.plot(
            part[x],
            part["mean"],
            dashes,
            color=colour,
            marker=marker if marks and len(part) <= MARKED else "",
            ms=3.5,
            label=None if part.empty else name,
        )
        ax.fill_between(part[x], part["low"], part["high"], color=colour, alpha=0.2, linewidth=0)
        if marks:
            few, broken = part[part["incomplete"]], part[part["nonfinite"] > 0]
            ax.plot(few[x], few["mean"], marker, color=colour, markerfacecolor="white", ms=4.5)
            ax.plot(broken[x], broken["mean"], "x", color="black", ms=6)


def _without_axis(ax: Axes, part: pd.DataFrame, x: str, style: dict[str, Any]) -> pd.DataFrame:
    """Draw what has no value on the axis, such as `eps` of gradient descent, over all of it; returns the rest."""
    nowhere = part[x].isna()
    for row in part[nowhere].to_dict("records"):
        ax.axhline(row["mean"], **(style if nowhere.all() else {**style, "label": None}))
        ax.axhspan(row["low"], row["high"], color=style["color"], alpha=0.2, linewidth=0)
    return part[~nowhere]


def _value_ticks(ax: Axes, values: list[Any]) -> None:
    """Ticks at values that were run, on a logarithmic axis where they span a decade."""
    if not values or isinstance(values[0], str):
        return
    if values[0] > 0 and values[-1] / values[0] >= 10:
        ax.set_xscale("log")
    elif values[0] == 0 and len(values) > 2 and values[-1] / values[1] >= 100:
        ax.set_xscale("symlog", linthresh=values[1])
    shown = [values[i] for i in thin_ticks(len(values), 6)]
    ax.set_xticks(shown, ticks(shown))
    ax.minorticks_off()


def _legend(figure: Figure, ax: Axes, facet: str | None) -> None:
    if facet:
        handles, names = ax.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=min(len(names), 6))


def _caption(table: pd.DataFrame) -> str:
    marks = [count_sentence(table), f"bands: {100 * table.attrs['level']:g} % intervals of the mean"]
    marks += ["hollow: runs are missing"] if table["incomplete"].any() and "observable" not in table else []
    broken = (table["nonfinite"] > 0).any()
    marks += [f"{'' if 'observable' in table else '×: '}some runs have no finite value"] if broken else []
    return "; ".join(marks) + "."
