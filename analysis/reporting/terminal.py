"""A phase diagram in the terminal that fills up while the sweep runs."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures.phase_diagram import ColorScale, color_scale
from analysis.figures.style import thin_ticks, value_label
from analysis.reporting.view import View, make_view
from analysis.stats.cells import Cells
from analysis.stats.paired_gap import PairedGap, pairs
from analysis.tables.axes import filter_rows, sorted_unique
from analysis.tables.labels import axis_label, completeness_sentence, ticks
from analysis.tables.load import load, part_files
from sweep.errors import SweepError
from sweep.schema import RUNS

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType
    from rich.text import Text

ACROSS, DOWN = 24, 24
"""Most cells of a picture; of a larger plane every second, third, ... value is shown."""

WIDTH = 7
"""Characters of a cell."""


def watch_frames(
    folder: Path,
    x: str | None = None,
    y: str | None = None,
    value: str = "test_error",
    where: str | None = None,
    every: float = 2.0,
) -> Iterator[RenderableType]:
    """The picture of a store now and after each commit, until all trials of its grid are there.

    `value` may be `difference`, the paired one of the first pair of optimizers. Before the first commit the picture is
    a sentence. Raises SweepError where the folder cannot be read.
    """
    seen: list[str] | None = None
    while True:
        names = [path.name for path in part_files(folder, RUNS)]
        if names != seen:
            seen = names
            if not names:
                yield f"{folder} has no runs yet."
            else:
                runs = load(folder)
                yield picture(filter_rows(runs, where), x, y, value)
                if runs.attrs["complete"]:
                    return
        time.sleep(every)


def picture(
    runs: pd.DataFrame, x: str | None = None, y: str | None = None, value: str = "test_error"
) -> RenderableType:
    """The plane of a table of runs as coloured cells, one panel an optimizer, for a terminal or a notebook.

    Raises SweepError where a column is missing, or `difference` is asked for and nothing can be compared.
    """
    from rich.columns import Columns
    from rich.console import Group

    shown = make_view(runs, x, y, "optimizer")
    cells = _difference(shown) if value == "difference" else Cells(shown.x, shown.y, value, "optimizer")(shown.runs)
    names = [None] if value == "difference" else list(sorted_unique(cells, "optimizer"))
    return Group(
        completeness_sentence(runs), *shown.notes, Columns([_panel(cells, name) for name in names], padding=(1, 4))
    )


def _difference(shown: View) -> pd.DataFrame:
    compared = pairs(shown.runs)
    if not compared:
        raise SweepError("There is one optimizer only, so there is no difference. Watch test_error instead.")
    return Cells(shown.x, shown.y, "difference")(PairedGap(*compared[0], by=shown.by)(shown.runs))


def _panel(cells: pd.DataFrame, name: object) -> RenderableType:
    """One plane, of one optimizer if named: y grows upwards; a cell is its mean, underlined while runs are missing."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    x, y = cells.attrs["x"], cells.attrs["y"]
    xs, ys = _some(cells, x, ACROSS), _some(cells, y, DOWN)
    part = cells if name is None else cells[cells["optimizer"] == name]
    scale = color_scale(cells)
    found = {(row.get(y), row.get(x)): _cell(row, scale) for row in part.to_dict("records")}
    table = Table(box=None, padding=0, show_header=False)
    for value, tick in reversed(list(zip(ys, ticks(ys) if y else [""], strict=True))):
        table.add_row(Text(f"{tick} "), *(found.get((value, each), Text(" " * WIDTH)) for each in xs))
    table.add_row("", *(Text(tick[: WIDTH - 1].center(WIDTH), "dim") for tick in (ticks(xs) if x else [""])))
    title = value_label(cells) + ("" if name is None else f", {name}")
    return Group(Text(title, "bold"), table, Text(_axes(x, y), "dim"))


def _some(cells: pd.DataFrame, key: str | None, most: int) -> list[object]:
    values: list[object] = list(sorted_unique(cells, key)) if key else [None]
    return [values[i] for i in thin_ticks(len(values), most)]


def _cell(row: dict[Hashable, Any], scale: ColorScale) -> Text:
    from matplotlib import colormaps
    from rich.color import Color
    from rich.style import Style
    from rich.text import Text

    mean = np.array([row["mean"]])
    if np.isnan(mean).any():
        return Text("×".center(WIDTH), "dim")
    (rgb,) = colormaps[scale.cmap]((mean - scale.low) / (scale.high - scale.low), bytes=True)[:, :3]
    paper, ink = Color.from_rgb(*map(float, rgb)), "white" if scale.dark(mean).any() else "black"
    return Text(scale.word(row["mean"]).center(WIDTH), Style(color=ink, bgcolor=paper, underline=row["incomplete"]))


def _axes(x: str | None, y: str | None) -> str:
    across = f"→ {axis_label(x)}" if x else ""
    return f"{across}   ↑ {axis_label(y)}" if y else across
