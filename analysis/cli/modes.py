"""The command about seeds that split into modes."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    MoreFolders,
    Out,
    Tune,
    TuneOver,
    TunePer,
    Value,
    Where,
    Width,
    X,
    Y,
    print_table,
    read_runs,
    select_view,
    tuning_of,
    write_result,
)
from analysis.reporting.mode_sections import mode_sentences
from analysis.reporting.sections import draw_cells
from analysis.stats.cells import Cells
from analysis.stats.modes import Modes, split_modes


def modes_command(
    folder: Folder,
    more: MoreFolders = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str, typer.Option(help="Column with one panel per value.")] = "optimizer",
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    width: Width = None,
    out: Out = None,
) -> None:
    """Where seeds split into modes, and what share of them is in each."""
    tuning = tuning_of(tune, tune_over, tune_per)
    view = select_view(read_runs(folder, more, where, all_grids), x, y, facet, tuning, facet)
    modes = Modes(view.x, view.y, value, facet, confidence)(view.runs)
    split = split_modes(modes)
    print_table(split, mode_sentences(modes) or ["In no cell do seeds split into modes."])
    cells = Cells(view.x, view.y, value, facet, confidence)(view.runs)
    write_result(folder, f"modes-{value}", split, draw_cells(cells, width, modes), out)
