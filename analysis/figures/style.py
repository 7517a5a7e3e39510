"""What all figures share: style, panels, captions and output files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    # 42 embeds TrueType fonts: many journals reject the Type 3 fonts that are matplotlib's default.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 200,
}
"""Sized for a column of a paper. Applied while a figure is drawn or saved, never globally."""

PANEL = (3.4, 3.0)
"""Width and height of one panel in inches; the width is that of a column of a paper."""

WIDTHS = {"single": 3.4, "double": 7.0}
"""Width in inches of a figure that fills one column of a paper, or both."""

# Without the date of creation, saving the same figure twice gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
    ".png": {},
}

PlotFunction = TypeVar("PlotFunction", bound=Callable[..., Any])


def in_style(plot: PlotFunction) -> PlotFunction:
    """Make a plotting function draw in STYLE and leave matplotlib's settings unchanged."""

    @wraps(plot)
    def styled(*args: Any, **kwargs: Any) -> Any:
        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return styled  # type: ignore[return-value]


def save(figure: Figure, *paths: Path | str) -> tuple[Path, ...]:
    """Write a figure to files; the suffix of each selects the format: pdf, svg or png.

    The same figure always gives the same bytes. Returns the paths. Raises SweepError on any other
    suffix.
    """
    files = tuple(Path(path) for path in paths)
    for path in files:
        if path.suffix not in _METADATA:
            raise SweepError(
                f"A figure cannot be written to {path.name}. Use one of the suffixes "
                f"{', '.join(_METADATA)}."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.stem}):
            figure.savefig(path, metadata=_METADATA[path.suffix])
    return files


def new_figure(
    panels: int, sharey: bool = False, width: str | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure that is not registered with pyplot, so nothing has to be closed, and its panels.

    Args:
        panels: Number of panels.
        sharey: Whether the panels share their y axis.
        width: `single` or `double` fits the figure to that many columns of a paper; by default
            each panel is as wide as a column.

    Raises SweepError on any other width.
    """
    if width not in (None, *WIDTHS):
        raise SweepError(f"There is no width {width!r}. Choose {' or '.join(WIDTHS)}.")
    columns = _panel_columns(panels, width)
    rows = -(-panels // columns)
    inches = WIDTHS[width] if width else PANEL[0] * columns + (0.8 if panels == 1 else 0.4)
    height = min(PANEL[1], PANEL[1] * inches / columns / PANEL[0] + 0.4)
    figure = Figure(figsize=(inches, height * rows + 0.3), layout="constrained")
    # seaborn draws once to measure labels, and would ask pyplot for a canvas
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for ax in axes[panels:]:
        ax.remove()
    return figure, axes[:panels]


def _panel_columns(panels: int, width: str | None) -> int:
    if width == "single":
        return 1
    return 2 if panels == 4 else min(panels, 3)


def finish_figure(figure: Figure, title: str, caption: str) -> Figure:
    """Set title and caption, and fix the layout.

    Args:
        figure: The figure, with everything drawn.
        title: Title above the panels, may be empty.
        caption: Text below the panels; wrapped to the width of the figure.
    """
    figure.suptitle(title, fontsize="medium", x=0.01, ha="left")
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 17))
    figure.supxlabel("\n".join(lines), fontsize="small", color="0.3")
    # Left to the backends, the layout would differ a little between file formats.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def sparse_log_ticks(ax: Axes) -> None:
    """Make x logarithmic, with plain numbers at 1, 2 and 5 of each decade so that none overlap."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(lambda value, _: format_number(value))
    ax.xaxis.set_minor_formatter(NullFormatter())


def value_label(cells: pd.DataFrame) -> str:
    """The label of the numbers in a table of Cells."""
    value, pair = axis_label(cells.attrs["of"]), cells.attrs.get("pair")
    if pair and cells.attrs["column"] == "difference":
        return f"{value}, {pair[0]} minus {pair[1]}"
    return value


def count_sentence(table: pd.DataFrame) -> str:
    """How many seeds are behind each number of a table."""
    smallest, largest = table["count"].min(), table["count"].max()
    if smallest == largest:
        return f"{largest} seeds each"
    return f"{smallest} to {largest} seeds"


def thin_ticks(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` positions, evenly spaced from the first."""
    return list(range(0, count, -(-count // limit)))
