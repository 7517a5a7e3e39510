"""What all figures share: style, panels, captions and output files."""

from __future__ import annotations

import io
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
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from analysis.files import write_file
from analysis.tables.columns import kind_label
from analysis.tables.labels import axis_label, counted, format_number
from sweep.errors import SweepError
from sweep.terminal_text import escape_controls
from sweep.user_paths import user_path

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
    # Words of a table are no formulas, whatever signs they have; `set_formula` is for those.
    "text.parse_math": False,
    "text.usetex": False,
}
"""Sized for a column of a paper. Applied while a figure is drawn or saved, never globally."""

PANEL = (3.4, 3.0)
"""Width and height of one panel in inches; the width is that of a column of a paper."""

WIDTHS = {"single": 3.4, "double": 7.0}
"""Width in inches of a figure that fills one column of a paper, or both."""

MAX_PANELS = 100
"""More panels than this are no figure."""

MAX_TEXT = 200
"""Characters after which a text in a figure is cut; the caption is longer, and ours."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# Without the date of creation, saving the same figure twice gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
    ".png": {},
}

FIGURE_SUFFIXES = tuple(_METADATA)
"""Suffixes of the files that a figure can be written to."""

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
    suffix, and where a file cannot be written.
    """
    files = tuple(map(user_path, paths))
    contents = [figure_bytes(figure, path) for path in files]
    for path, content in zip(files, contents, strict=True):
        write_file(path, content)
    return files


def figure_bytes(figure: Figure, path: Path) -> bytes:
    """The file of a figure; the suffix of its path selects the format.

    Raises SweepError on a suffix that is none of pdf, svg and png.
    """
    if path.suffix not in _METADATA:
        raise SweepError(
            f"A figure cannot be written to {path.name}. Use one of the suffixes "
            f"{', '.join(_METADATA)}."
        )
    file = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": path.stem}):
        figure.savefig(file, format=path.suffix[1:], metadata=_METADATA[path.suffix])
    return file.getvalue()


def new_figure(
    panels: int, sharey: bool = False, width: str | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure that is not registered with pyplot, so nothing has to be closed, and its panels.

    Args:
        panels: Number of panels.
        sharey: Whether the panels share their y axis.
        width: `single` or `double` fits the figure to that many columns of a paper; by default
            each panel is as wide as a column.

    Raises SweepError on any other width, and on too many panels.
    """
    if panels > MAX_PANELS:
        raise SweepError(
            f"The figure would have {panels:,} panels, and {MAX_PANELS} is the most. Select fewer "
            "with --where, or write the table with --out FILE.csv."
        )
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
    """Number of panels side by side."""
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
    for text in _texts(figure):
        text.set_text(drawable(text.get_text()))
    lines = textwrap.wrap(caption, int(figure.get_figwidth() * 17))
    figure.supxlabel("\n".join(lines), fontsize="small", color="0.3")
    # Left to the backends, the layout would differ a little between file formats.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _texts(figure: Figure) -> list[Text]:
    """All texts of a figure."""
    return [artist for artist in figure.findobj(Text) if isinstance(artist, Text)]


def drawable(text: str) -> str:
    """The text cut after MAX_TEXT characters, with control characters written as escapes."""
    short = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return escape_controls(short)


def set_formula(ax: Axes, formula: str) -> None:
    """Label y with a text that may hold formulas in `$`; as it stands where it is not one."""
    formula = formula[:MAX_TEXT]
    try:
        MathTextParser("path").parse(formula)
    except (ValueError, RecursionError):
        ax.set_ylabel(formula)
    else:
        ax.set_ylabel(formula, parse_math=True)


def logarithmic_steps(ax: Axes, with_zero: bool) -> None:
    """Make x logarithmic, with ticks at powers of ten and, if wanted, at 0."""
    if with_zero:
        # Linear below 1: step 0 has no logarithm, but it is where curves start.
        ax.set_xscale("symlog", linthresh=1, linscale=0.3)
    else:
        ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: _power_text(value))
    ax.minorticks_off()


def _power_text(value: float) -> str:
    """A power of ten such as `10³`; any other number as `format_number` writes it."""
    exponent = f"{value:e}".removeprefix("1.000000e")
    if value <= 0 or len(exponent) > 4:
        return format_number(value)
    return f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def facet_label(column: str | None, value: Any) -> str:
    """A value of a facet for a legend or the title of a panel: `Adam`, `batch size = 2`, or ""."""
    if column is None:
        return ""
    if isinstance(value, str):
        return drawable(kind_label(column, value))
    return f"{axis_label(column)} = {format_number(value)}"


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
        return f"{counted(largest, 'seed')} each"
    return f"{smallest} to {largest} seeds"


def thin_ticks(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` positions, evenly spaced from the first."""
    return list(range(0, count, -(-count // limit)))
