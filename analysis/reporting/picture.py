"""A phase diagram as coloured text, for the terminal or a notebook."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pandas as pd
from rich.columns import Columns
from rich.console import Console, Group, RenderableType

from analysis.figures.color_scale import ColorScale, color_scale
from analysis.figures.style import facet_label, value_label
from analysis.reporting.text_map import TextMap, plain_text, text_map
from analysis.reporting.view import View, make_view
from analysis.stats.cells import Cells
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import sorted_unique
from analysis.tables.labels import completeness_sentence
from sweep.errors import SweepError

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
    scale = color_scale(cells)
    panels = Columns([_panel(cells, name, scale) for name in names], padding=(1, 4))
    sentences = [completeness_sentence(runs), *view.notes]
    if (cells["modes"] > 1).any():
        sentences.append("~: the seeds split into modes, so that the mean is the value of no seed.")
    return Picture(Group(*map(plain_text, sentences), panels))


def _difference_cells(view: View) -> pd.DataFrame:
    compared = pairs(view.runs)
    if not compared:
        raise SweepError(
            "There is only one optimizer, so there is no difference. Show test_error instead."
        )
    a, b = compared[0]
    return Cells(view.x, view.y, "difference")(PairedGap(a, b, by=view.pairing_axes)(view.runs))


def _panel(cells: pd.DataFrame, name: object, scale: ColorScale) -> TextMap:
    """One plane, of one optimizer if named."""
    title = value_label(cells)
    if name is None:
        return text_map(cells, scale, title, cells)
    title = f"{title}, {facet_label('optimizer', name)}"
    return text_map(cells, scale, title, cells[cells["optimizer"] == name])
