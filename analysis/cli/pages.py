"""Commands that show a whole sweep: the report when it is there, the picture while it comes."""

from __future__ import annotations

from typing import Annotated

import typer

import analysis
from analysis.cli.shared import Confidence, Folder, Level, Where, X, Y
from analysis.reporting.terminal import watch_frames


def report(
    folder: Folder,
    x: X = None,
    y: Y = None,
    where: Where = None,
    confidence: Confidence = 0.95,
    level: Level = 0.25,
) -> None:
    """Write DIR/report/index.html with all figures, and the figures and tables as files beside it."""
    page = analysis.report(folder, x, y, where, confidence, level)
    typer.echo(f"Wrote {page} and the figures and tables in {page.parent / 'figures'}.")


def watch(
    folder: Folder,
    x: X = None,
    y: Y = None,
    value: Annotated[str, typer.Option(help="Column to show; `difference` for the paired one.")] = "test_error",
    where: Where = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
) -> None:
    """Show the phase diagram filling up while a sweep runs; ends with the sweep or at Ctrl-C."""
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        for picture in watch_frames(folder, x, y, value, where, every):
            live.update(picture, refresh=True)
