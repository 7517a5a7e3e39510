"""One plane of a phase diagram as coloured text, as wide as there is room."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.style import Style
from rich.text import Text

from analysis.figures.color_scale import ColorScale
from analysis.figures.style import thin_ticks
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import axis_label, narrow_ticks
from sweep.terminal_text import escape_controls

MAX_COLUMNS, MAX_ROWS = 24, 24
"""Largest map in cells; of a larger plane every second, third, ... value is shown."""

CELL_WIDTH = 7
"""Characters per cell where there is room; a cell is never so narrow that its number is cut."""


def plain_text(words: str, style: str = "") -> Text:
    """Words as they stand: rich would take `[red]` for a colour, a terminal an escape sequence."""
    return Text(escape_controls(words), style)


@dataclass(frozen=True)
class TextMap:
    """A plane of cells for rich; y grows upwards.

    Attributes:
        cells: The rows of a table of Cells that it shows.
        scale: The colour scale of all panels.
        title: Its heading.
        xs: The values on the horizontal axis, [None] where there is no axis.
        ys: Those on the vertical axis.
    """

    cells: pd.DataFrame
    scale: ColorScale
    title: str
    xs: list[object]
    ys: list[object]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        columns = thin_ticks(len(self.xs), MAX_COLUMNS)
        width = self._label_width + len(columns) * self._wide_cell(columns)
        words = (plain_text(self.title), plain_text(self._axes_line(len(columns))))
        narrowest = self._label_width + self._number_width
        widest = max(width, *(each.cell_len for each in words))
        return Measurement(narrowest, widest).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.fitted(options.max_width)

    def fitted(self, room: int) -> RenderableType:
        """The map in lines of at most `room` characters, with all its numbers and labels whole."""
        room = max(room - self._label_width, self._number_width)
        columns = thin_ticks(len(self.xs), max(1, min(MAX_COLUMNS, room // self._number_width)))
        width = min(self._wide_cell(columns), room // len(columns))
        xs = [self.xs[i] for i in columns]
        texts = self._texts(width)
        blank = Text(" " * width)
        lines = [
            Text.assemble(label, *(texts.get((y, x), blank) for x in xs))
            for y, label in reversed(list(zip(self._shown_ys, self._row_labels, strict=True)))
        ]
        if self.cells.attrs["x"]:
            offset = " " * self._label_width
            lines.append(plain_text(offset + _spaced(narrow_ticks(xs), width), "dim"))
        lines.append(plain_text(self._axes_line(len(columns)), "dim"))
        return Group(plain_text(self.title, "bold"), *lines)

    @property
    def _shown_ys(self) -> list[object]:
        return [self.ys[i] for i in thin_ticks(len(self.ys), MAX_ROWS)]

    @property
    def _row_labels(self) -> list[Text]:
        """A label for each row that is shown, all of one width."""
        if not self.cells.attrs["y"]:
            return [Text()]
        labels = [plain_text(f"{label} ") for label in narrow_ticks(self._shown_ys)]
        for label in labels:
            label.align("left", max(each.cell_len for each in labels))
        return labels

    @property
    def _label_width(self) -> int:
        return self._row_labels[0].cell_len

    @property
    def _number_width(self) -> int:
        """Characters of the longest number, and a space."""
        rows = self.cells.dropna(subset=["mean"]).to_dict("records")
        return 1 + max((len(_number(row, self.scale)) for row in rows), default=1)

    def _wide_cell(self, columns: list[int]) -> int:
        """Characters of a cell that has room for its number and the label of its column."""
        labels = narrow_ticks([self.xs[i] for i in columns]) if self.cells.attrs["x"] else []
        return max(CELL_WIDTH, self._number_width, *(len(label) + 1 for label in labels))

    def _texts(self, width: int) -> dict[tuple[object, object], Text]:
        """The cells by their y and x."""
        x, y = self.cells.attrs["x"], self.cells.attrs["y"]
        rows = self.cells.to_dict("records")
        return {(row.get(y), row.get(x)): _cell_text(row, self.scale, width) for row in rows}

    def _axes_line(self, columns: int) -> str:
        """The names of the axes, and which of their values are shown."""
        parts = []
        axes = (("→", "x", self.xs, columns), ("↑", "y", self.ys, len(self._shown_ys)))
        for arrow, axis, values, shown in axes:
            if name := self.cells.attrs[axis]:
                part = "" if shown == len(values) else f" ({shown} of {len(values)} values)"
                parts.append(f"{arrow} {axis_label(name)}{part}")
        return "   ".join(parts)


def text_map(cells: pd.DataFrame, scale: ColorScale, title: str, part: pd.DataFrame) -> TextMap:
    """The map of some cells, over the axes of all.

    Args:
        cells: A table of Cells.
        scale: The colour scale of all panels.
        title: The heading.
        part: The rows of the table to show.
    """
    xs, ys = _values(cells, cells.attrs["x"]), _values(cells, cells.attrs["y"])
    return TextMap(part, scale, title, xs, ys)


def _values(cells: pd.DataFrame, key: str | None) -> list[object]:
    return list(sorted_unique(cells, key)) if key else [None]


def _cell_text(row: dict[Hashable, Any], scale: ColorScale, width: int) -> Text:
    """The mean of a cell on its colour, underlined while runs are missing, after ~ of modes."""
    mean = np.array([row["mean"]])
    if np.isnan(mean).any():
        return Text("×".center(width), "dim")
    (rgb,) = np.round(255 * scale.colors(mean))
    background = Color.from_rgb(*map(float, rgb))
    foreground = "white" if scale.dark(mean).any() else "black"
    style = Style(color=foreground, bgcolor=background, underline=row["incomplete"])
    return Text(_number(row, scale).center(width), style)


def _number(row: Mapping[Hashable, Any], scale: ColorScale) -> str:
    """The mean of a cell; one over modes is the value of no seed."""
    number = scale.format_mean(row["mean"])
    return f"~{number}" if row["modes"] > 1 else number


def _spaced(labels: list[str], width: int) -> str:
    """Labels under cells of a width: those for which there is no room are left out, none is cut."""
    line = ""
    for index, label in enumerate(labels):
        start = index * width + max(0, (width - len(label)) // 2)
        fits = start + len(label) <= len(labels) * width or index == 0
        if fits and (not line or start > len(line)):
            line = f"{line.ljust(start)}{label}"
    return line
