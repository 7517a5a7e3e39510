"""A phase diagram as coloured text, for the terminal or a notebook."""

from __future__ import annotations

import io
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.color import Color
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from analysis.figures.color_scale import ColorScale, color_scale
from analysis.figures.style import thin_ticks, value_label
from analysis.reporting.view import View, make_view
from analysis.stats.cells import Cells
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, completeness_sentence, narrow_ticks
from sweep.errors import SweepError
from sweep.terminal_text import escape_controls

MAX_COLUMNS, MAX_ROWS = 24, 24
"""Largest picture in cells; of a larger plane every second, third, ... value is shown."""

CELL_WIDTH = 7
"""Fewest characters per cell; labels that need more get them."""

NOTEBOOK_WIDTH = 160
"""Characters per line in a notebook: room for two panels of 10 columns side by side."""

NOTEBOOK_FORMAT = (
    "<pre style=\"font-family:Menlo,'DejaVu Sans Mono',consolas,monospace;white-space:pre;"
    'overflow-x:auto;line-height:normal">{code}</pre>'
)
"""HTML around the picture; `{code}` is filled in by rich."""


@dataclass(frozen=True, repr=False)
class Picture:
    """Coloured text that rich prints to a terminal and a notebook shows as HTML."""

    content: RenderableType

    def __rich__(self) -> RenderableType:
        return self.content

    def __repr__(self) -> str:
        """The picture as text without colours."""
        console = _recording_console()
        console.print(self.content)
        return console.export_text()

    def _repr_html_(self) -> str:
        console = _recording_console()
        console.print(self.content)
        return console.export_html(code_format=NOTEBOOK_FORMAT, inline_styles=True)


def _recording_console() -> Console:
    """A console of fixed width that keeps what it prints, whatever the real terminal is."""
    # In a notebook rich would display what this console prints, beside the result of the cell.
    return Console(
        record=True,
        file=io.StringIO(),
        width=NOTEBOOK_WIDTH,
        color_system="truecolor",
        force_jupyter=False,
    )


def picture(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None, value: str = "test_error"
) -> Picture:
    """The plane of a table of runs as coloured cells, one panel per optimizer.

    Print it with rich, or show it as the result of a cell of a notebook.

    Args:
        runs: A table of runs.
        x: Horizontal axis; by default chosen from the columns that vary.
        y: Vertical axis; likewise.
        value: Column to show; `difference` is the paired one of the first pair of optimizers.

    Raises SweepError where a column is missing, or `difference` is requested of one optimizer.
    """
    view = make_view(runs, x, y, "optimizer")
    if value == "difference":
        cells, names = _difference_cells(view), [None]
    else:
        cells = Cells(view.x, view.y, value, "optimizer")(view.runs)
        names = list(sorted_unique(cells, "optimizer"))
    panels = Columns([_panel(cells, name) for name in names], padding=(1, 4))
    sentences = [completeness_sentence(runs), *view.notes]
    if (cells["modes"] > 1).any():
        sentences.append("~: the seeds split into modes, so that the mean is the value of no seed.")
    return Picture(Group(*map(plain_text, sentences), panels))


def plain_text(words: str, style: str = "") -> Text:
    """Words as they stand: rich would take `[red]` for a colour, a terminal an escape sequence."""
    return Text(escape_controls(words), style)


def _difference_cells(view: View) -> pd.DataFrame:
    compared = pairs(view.runs)
    if not compared:
        raise SweepError(
            "There is only one optimizer, so there is no difference. Show test_error instead."
        )
    a, b = compared[0]
    return Cells(view.x, view.y, "difference")(PairedGap(a, b, by=view.pairing_axes)(view.runs))


def _panel(cells: pd.DataFrame, name: object) -> RenderableType:
    """One plane, of one optimizer if named; y grows upwards."""
    x, y = cells.attrs["x"], cells.attrs["y"]
    xs, ys = _thinned_values(cells, x, MAX_COLUMNS), _thinned_values(cells, y, MAX_ROWS)
    part = cells if name is None else cells[cells["optimizer"] == name]
    scale = color_scale(cells)
    # The first row of a table is its top, the first y belongs at the bottom.
    x_labels, y_labels = (narrow_ticks(xs) if x else [""]), (narrow_ticks(ys) if y else [""])
    width = max(CELL_WIDTH, *(len(label) + 1 for label in x_labels))
    texts = {
        (row.get(y), row.get(x)): _cell_text(row, scale, width) for row in part.to_dict("records")
    }
    blank = Text(" " * width)
    table = Table(box=None, padding=0, show_header=False)
    for row, label in reversed(list(zip(ys, y_labels, strict=True))):
        table.add_row(plain_text(f"{label} "), *(texts.get((row, column), blank) for column in xs))
    footer = [plain_text(label.center(width), "dim") for label in x_labels]
    table.add_row("", *footer)
    title = value_label(cells) if name is None else f"{value_label(cells)}, {name}"
    return Group(plain_text(title, "bold"), table, plain_text(_axes_line(x, y), "dim"))


def _thinned_values(cells: pd.DataFrame, key: str | None, limit: int) -> list[object]:
    values: list[object] = list(sorted_unique(cells, key)) if key else [None]
    return [values[i] for i in thin_ticks(len(values), limit)]


def _cell_text(row: dict[Hashable, Any], scale: ColorScale, width: int) -> Text:
    """The mean of a cell on its colour, underlined while runs are missing, after ~ of modes."""
    mean = np.array([row["mean"]])
    if np.isnan(mean).any():
        return Text("×".center(width), "dim")
    (rgb,) = np.round(255 * scale.colors(mean))
    background = Color.from_rgb(*map(float, rgb))
    foreground = "white" if scale.dark(mean).any() else "black"
    style = Style(color=foreground, bgcolor=background, underline=row["incomplete"])
    number = scale.format_mean(row["mean"])
    # a mean over modes is the value of no seed
    return Text((f"~{number}" if row["modes"] > 1 else number).center(width), style)


def _axes_line(x: str | None, y: str | None) -> str:
    columns = f"→ {axis_label(x)}" if x else ""
    return f"{columns}   ↑ {axis_label(y)}" if y else columns
