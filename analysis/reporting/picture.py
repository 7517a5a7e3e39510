"""A phase diagram as coloured text, for the terminal or a notebook."""

from __future__ import annotations

import io
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
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
from analysis.tables.labels import axis_label, completeness_sentence, ticks
from sweep.errors import SweepError

MAX_COLUMNS, MAX_ROWS = 24, 24
"""Largest picture in cells; of a larger plane every second, third, ... value is shown."""

CELL_WIDTH = 7
"""Characters per cell."""

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
    return Picture(Group(completeness_sentence(runs), *view.notes, panels))


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
    texts = {(row.get(y), row.get(x)): _cell_text(row, scale) for row in part.to_dict("records")}
    blank = Text(" " * CELL_WIDTH)
    # The first row of a table is its top, the first y belongs at the bottom.
    x_labels, y_labels = ticks(xs) if x else [""], ticks(ys) if y else [""]
    table = Table(box=None, padding=0, show_header=False)
    for row, label in reversed(list(zip(ys, y_labels, strict=True))):
        table.add_row(Text(f"{label} "), *(texts.get((row, column), blank) for column in xs))
    footer = [Text(label[: CELL_WIDTH - 1].center(CELL_WIDTH), "dim") for label in x_labels]
    table.add_row("", *footer)
    title = value_label(cells) if name is None else f"{value_label(cells)}, {name}"
    return Group(Text(title, "bold"), table, Text(_axes_line(x, y), "dim"))


def _thinned_values(cells: pd.DataFrame, key: str | None, limit: int) -> list[object]:
    values: list[object] = list(sorted_unique(cells, key)) if key else [None]
    return [values[i] for i in thin_ticks(len(values), limit)]


def _cell_text(row: dict[Hashable, Any], scale: ColorScale) -> Text:
    """The mean of a cell on its colour, underlined while runs are missing."""
    mean = np.array([row["mean"]])
    if np.isnan(mean).any():
        return Text("×".center(CELL_WIDTH), "dim")
    fraction = (mean - scale.low) / (scale.high - scale.low)
    (rgb,) = colormaps[scale.cmap](fraction, bytes=True)[:, :3]
    background = Color.from_rgb(*map(float, rgb))
    foreground = "white" if scale.dark(mean).any() else "black"
    style = Style(color=foreground, bgcolor=background, underline=row["incomplete"])
    return Text(scale.format_mean(row["mean"]).center(CELL_WIDTH), style)


def _axes_line(x: str | None, y: str | None) -> str:
    columns = f"→ {axis_label(x)}" if x else ""
    return f"{columns}   ↑ {axis_label(y)}" if y else columns
