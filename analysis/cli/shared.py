"""What the commands share: their options, how a folder becomes a view, how a table is shown and written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import analysis
from analysis.reporting.view import View, make_view
from analysis.tables.axes import filter_rows
from analysis.tables.labels import completeness_sentence, format_number
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep, such as results/quickstart.")]
More = Annotated[
    list[Path] | None, typer.Option("--with", help="Another folder whose runs count too; may be repeated.")
]
X = Annotated[str | None, typer.Option("--x", help="Column of the horizontal axis. Default: snr if it varies.")]
Y = Annotated[str | None, typer.Option("--y", help="Column of the vertical axis. Default: another column that varies.")]
Tune = Annotated[str, typer.Option(help="Of several step sizes (and the like), take the run with the least of this.")]
Where = Annotated[str | None, typer.Option(help="Pandas query that the runs must satisfy, such as 'n == 200'.")]
Value = Annotated[str, typer.Option(help="Column that is averaged or compared.")]
Confidence = Annotated[float, typer.Option("--confidence", min=0.01, max=0.9999, help="Confidence of the intervals.")]
Level = Annotated[float, typer.Option("--level", help="The level that the value crosses.")]
Fit = Annotated[str, typer.Option(help="monotone (of the means) or logistic (half of the runs).")]
Width = Annotated[str | None, typer.Option(help="Width of the figure for a paper: single or double column.")]
Out = Annotated[Path | None, typer.Option(help="File to write: .pdf, .svg, .png for the figure, .csv for the table.")]

ROWS = 20
"""Most rows of a table that are printed."""


def read(folder: Path, more: list[Path] | None, where: str | None) -> pd.DataFrame:
    """The runs of a store, or of several, with a word on whether they are all there."""
    runs = analysis.load(folder, *(more or []))
    typer.echo(completeness_sentence(runs))
    return filter_rows(runs, where)


def look(runs: pd.DataFrame, x: str | None, y: str | None, facet: str | None, tune: str) -> View:
    """One plane of the runs; what was left out is said."""
    shown = make_view(runs, x, y, facet, tune)
    for note in shown.notes:
        typer.echo(note)
    return shown


def axis(shown: View) -> str:
    """The horizontal axis of a view. Raises SweepError where nothing varies."""
    if shown.x is None:
        raise SweepError("Nothing but the seed varies, so there is no boundary.")
    return shown.x


def show(table: pd.DataFrame, sentences: list[str]) -> None:
    """Print sentences and the first rows of a table."""
    from rich.console import Console
    from rich.table import Table

    for sentence in sentences:
        typer.echo(sentence)
    shown = Table(*map(str, table.columns), box=None, header_style="bold")
    for row in table.head(ROWS).itertuples(index=False):
        shown.add_row(*(format_number(value, 4) for value in row))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)
    if len(table) > ROWS:
        typer.echo(f"These are the first {ROWS} of {len(table)} rows; --out FILE.csv writes all.")


def write(folder: Path, name: str, table: pd.DataFrame, figure: Figure | None, out: Path | None) -> None:
    """Write the figure, or the table where `out` says so; nothing where there is no figure and no `out`."""
    if out is None and figure is None:
        return
    path = out or folder / "report" / f"{name}.pdf"
    if path.suffix == ".csv":
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    elif figure is None:
        raise SweepError("There is no figure of this, only numbers. Write the table with --out FILE.csv.")
    else:
        analysis.save(figure, path)
    typer.echo(f"Wrote {path}.")
