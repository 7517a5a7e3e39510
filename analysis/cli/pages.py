"""Commands that show a whole sweep: its report, and a live picture while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from analysis.cli.shared import (
    AllGrids,
    Confidence,
    Folder,
    Level,
    Tune,
    TuneOver,
    TunePer,
    Where,
    X,
    Y,
    tuning_of,
)
from analysis.reporting import page
from analysis.reporting.terminal import watch_frames
from sweep.cli import path_argument
from sweep.terminal_text import echo


def report_command(
    folder: Folder,
    x: X = None,
    y: Y = None,
    where: Where = None,
    all_grids: AllGrids = False,
    confidence: Confidence = 0.95,
    level: Level = 0.25,
    tune: Tune = "",
    tune_over: TuneOver = None,
    tune_per: TunePer = "cell",
    out: Annotated[
        Path | None,
        typer.Option(parser=path_argument, help="Folder of the report. Default: DIR/report."),
    ] = None,
) -> None:
    """Write DIR/report/index.html with all figures, and the figures and tables as files."""
    tuning = tuning_of(tune, tune_over, tune_per)
    path = page.report(folder, x, y, where, confidence, level, out, all_grids, tuning)
    echo(f"Wrote {path} and the figures and tables in {path.parent / 'figures'}.")


def watch(
    folder: Folder,
    x: X = None,
    y: Y = None,
    value: Annotated[
        str, typer.Option(help="Column to show; `difference` for the paired difference.")
    ] = "test_error",
    where: Where = None,
    all_grids: AllGrids = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between updates.")] = 2.0,
) -> None:
    """Show the phase diagram as the sweep fills it in; stops with the sweep or at Ctrl-C."""
    # Each frame is a new state of the store; in between there is nothing to redraw.
    with Live(auto_refresh=False) as live:
        for frame in watch_frames(folder, x, y, value, where, every, all_grids):
            live.update(frame, refresh=True)
    # rich ends the last line only on a terminal
    if not live.console.is_terminal:
        echo("")
