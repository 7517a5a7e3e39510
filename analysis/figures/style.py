"""What all figures share: style, panels, captions, files."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from analysis.tables.labels import axis_label, format_number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "savefig.dpi": 200,
}
"""For a column of a paper: fonts are embedded as TrueType. Applied while a figure is made or saved, never globally."""

PANEL = (3.4, 3.0)
"""Width and height of one panel in inches: a column of a paper."""

WIDTHS = {"single": 3.4, "double": 7.0}
"""Widths in inches of a figure that is to fill one column of a paper, or both."""

_DATE: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}

PlotFunction = TypeVar("PlotFunction", bound=Callable[..., Any])


def in_style(plot: PlotFunction) -> PlotFunction:
    """Make a function draw in STYLE and leave matplotlib's settings as they were."""

    @wraps(plot)
    def inner(*args: Any, **kwargs: Any) -> Any:
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return inner  # type: ignore[return-value]


def save(figure: Figure, *paths: Path | str) -> tuple[Path, ...]:
    """Write a figure to files whose endings say how: pdf, svg, png. The same figure gives the same bytes.

    Raises SweepError on another ending.
    """
    import matplotlib

    written = tuple(Path(path) for path in paths)
    for path in written:
        if path.suffix not in _DATE:
            raise SweepError(f"A figure cannot be written to {path.name}. Use an ending of {', '.join(_DATE)}.")
        path.parent.mkdir(parents=True, exist_ok=True)
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.stem}):
            figure.savefig(path, metadata=_DATE[path.suffix])
    return written


def new_figure(panels: int, sharey: bool = False, width: str | None = None) -> tuple[Figure, list[Axes]]:
    """A figure that pyplot knows nothing of, so that nothing has to be closed, and its panels.

    `width` fits it to the `single` or `double` column of a paper; without, each panel is as wide as a column. Raises
    SweepError on another width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if width not in (None, *WIDTHS):
        raise SweepError(f"There is no width {width!r}. Take {' or '.join(WIDTHS)}.")
    across = 1 if width == "single" else 2 if panels == 4 else min(panels, 3)
    down = -(-panels // across)
    inches = WIDTHS[width] if width else PANEL[0] * across + (0.8 if panels == 1 else 0.4)
    height = min(PANEL[1], PANEL[1] * inches / across / PANEL[0] + 0.4)
    figure = Figure(figsize=(inches, height * down + 0.3), layout="constrained")
    FigureCanvasAgg(figure)  # seaborn draws once to measure labels, and would ask pyplot for a canvas
    axes = list(figure.subplots(down, across, squeeze=False, sharey=sharey).flat)
    for ax in axes[panels:]:
        ax.remove()
    return figure, axes[:panels]


def finish_figure(figure: Figure, title: str, caption: str) -> Figure:
    """Set title and caption, and lay the figure out for good: each file format would do it a little differently."""
    figure.suptitle(title, fontsize="medium", x=0.01, ha="left")
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 17))
    figure.supxlabel("\n".join(lines), fontsize="small", color="0.3")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def sparse_log_ticks(ax: Axes) -> None:
    """A logarithmic x axis: plain numbers at 1, 2 and 5 of each power of ten, so that they never run together."""
    from matplotlib.ticker import LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(lambda value, _: format_number(value))
    ax.xaxis.set_minor_formatter(NullFormatter())


def value_label(cells: pd.DataFrame) -> str:
    """What the numbers of a table of Cells are."""
    value, pair = axis_label(cells.attrs["of"]), cells.attrs.get("pair")
    return f"{value}, {pair[0]} minus {pair[1]}" if pair and cells.attrs["column"] == "difference" else value


def count_sentence(table: pd.DataFrame) -> str:
    """How many seeds stand behind each number of a table."""
    least, most = table["count"].min(), table["count"].max()
    return f"{most} seeds each" if least == most else f"{least} to {most} seeds"


def thin_ticks(count: int, most: int) -> list[int]:
    """At most so many positions, evenly spaced from the first."""
    return list(range(0, count, -(-count // most)))
