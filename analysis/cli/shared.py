"""What the commands share: options, reading a folder, and printing and writing tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from analysis.figures.style import FIGURE_SUFFIXES, figure_bytes
from analysis.files import file_name, write_file
from analysis.reporting.picture import plain_text
from analysis.reporting.tuning_sentences import edge_sentences
from analysis.reporting.view import View, make_view
from analysis.stats.tuning import Tuning
from analysis.tables.axes import filter_rows
from analysis.tables.csv_files import csv_bytes
from analysis.tables.labels import completeness_sentence, format_number
from analysis.tables.load import load
from sweep.cli import path_argument
from sweep.errors import SweepError
from sweep.terminal_text import echo
from sweep.user_paths import user_path

TABLE_SUFFIX = ".csv"
"""Suffix of the files that a table is written to."""


def figure_or_table(text: str) -> Path:
    """The `parser` of a file to write: its suffix is known before anything is computed."""
    return _output_file(text, (*FIGURE_SUFFIXES, TABLE_SUFFIX))


def table_only(text: str) -> Path:
    """The `parser` of a file to write where the result has no figure."""
    return _output_file(text, (TABLE_SUFFIX,))


def _output_file(text: str, suffixes: Sequence[str]) -> Path:
    path = path_argument(text)
    if path.suffix in suffixes:
        return path
    cure = (
        f"one of the suffixes {', '.join(suffixes)}"
        if suffixes[1:]
        else f"the suffix {suffixes[0]}"
    )
    raise SweepError(f"The result cannot be written to {path.name}. Use {cure}.")


Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        parser=path_argument,
        help="Folder of a sweep, such as results/quickstart.",
    ),
]
MoreFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--with",
        parser=path_argument,
        help="Another folder whose runs are included; may be repeated.",
    ),
]
X = Annotated[
    str | None,
    typer.Option("--x", help="Column of the horizontal axis. Default: snr if it varies."),
]
Y = Annotated[
    str | None,
    typer.Option("--y", help="Column of the vertical axis. Default: another column that varies."),
]
Tune = Annotated[
    str,
    typer.Option(
        help="Of several step sizes, use the one that minimizes this column. Default: "
        "validation_error where it was measured, else train_loss.",
        show_default=False,
    ),
]
TuneOver = Annotated[
    list[str] | None,
    typer.Option(
        help="A column that is chosen like a step size, such as weight_decay; may be repeated."
    ),
]
TunePer = Annotated[
    str,
    typer.Option(help="Choose one value for each optimizer and cell, or one for each seed."),
]
Where = Annotated[
    str | None,
    typer.Option(help="Pandas query that the runs must satisfy, such as 'n == 200'."),
]
Value = Annotated[str, typer.Option(help="Column to average or compare.")]
Confidence = Annotated[
    float,
    typer.Option("--confidence", min=0.01, max=0.9999, help="Confidence of the intervals."),
]
Level = Annotated[
    float, typer.Option("--level", help="Value on the boundary: where it is crossed.")
]
Fit = Annotated[
    str,
    typer.Option(
        help="monotone (where the fitted mean crosses) or logistic (where half of the runs cross)."
    ),
]
Branch = Annotated[
    str | None,
    typer.Option(
        help="Branch to follow where rows cross several times: falling, rising, 'falling 2'. "
        "Default: the direction of the overall trend."
    ),
]
Width = Annotated[
    str | None,
    typer.Option(help="Width of the figure for a paper: single or double column."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        parser=figure_or_table,
        help="File to write: .pdf, .svg, .png for the figure, .csv for the table.",
    ),
]
TableOut = Annotated[
    Path | None, typer.Option(parser=table_only, help="File of the table to write: .csv.")
]

AllGrids = Annotated[
    bool,
    typer.Option("--all-grids", help="Include runs that only an earlier grid of the store has."),
]

MAX_ROWS = 20
"""Number of rows of a table that are printed."""

REDIRECTED_WIDTH = 200
"""Characters per line where the output is no terminal: rich would cut tables to 80."""


def read_runs(
    folder: Path, more_folders: list[Path] | None, where: str | None, all_grids: bool
) -> pd.DataFrame:
    """The runs of one or several stores; prints whether they are complete.

    Args:
        folder: The first store.
        more_folders: Other stores whose runs are included.
        where: A pandas query that the runs must satisfy.
        all_grids: Whether runs that only an earlier grid of a store has are included.
    """
    runs = load(folder, *(more_folders or []), all_grids=all_grids)
    echo(completeness_sentence(runs))
    return filter_rows(runs, where)


def select_view(
    runs: pd.DataFrame,
    x: str | None,
    y: str | None,
    facet: str | None,
    tuning: Tuning,
    compared: str = "optimizer",
) -> View:
    """One plane of the runs; prints what was left out.

    Args:
        runs: A table of runs.
        x: Horizontal axis, None to choose it.
        y: Vertical axis, None to choose it.
        facet: Another column that may vary.
        tuning: How step sizes are chosen.
        compared: The column whose values are compared.
    """
    view = make_view(runs, x, y, facet, tuning, compared)
    for note in (*view.notes, *edge_sentences(view.choices)):
        echo(note)
    return view


def tuning_of(tune: str, tune_over: list[str] | None, tune_per: str) -> Tuning:
    """The options about tuning as one object. Raises SweepError where they need test data."""
    return Tuning(tune, tuple(tune_over or ()), tune_per)


def horizontal_axis(view: View) -> str:
    """The x of a view. Raises SweepError where nothing varies."""
    if view.x is None:
        raise SweepError("Only the seed varies, so there is no boundary.")
    return view.x


def print_table(table: pd.DataFrame, sentences: list[str]) -> None:
    """Print sentences and the first rows of a table."""
    for sentence in sentences:
        echo(sentence)
    # without borders, so that columns can be copied
    grid = Table(box=None, header_style="bold")
    for name in table:
        grid.add_column(plain_text(str(name)))
    for row in table.head(MAX_ROWS).itertuples(index=False):
        grid.add_row(*(plain_text(format_number(value, 4)) for value in row))
    Console(width=None if sys.stdout.isatty() else REDIRECTED_WIDTH).print(grid)
    if len(table) > MAX_ROWS:
        echo(f"First {MAX_ROWS} of {len(table)} rows; --out FILE.csv writes all of them.")


def write_result(
    folder: Path, name: str, table: pd.DataFrame, figure: Figure | None, out: Path | None
) -> None:
    """Write the figure, or the table if `out` is a CSV file, and print where.

    Args:
        folder: The store; by default the figure goes to its folder `report`.
        name: Stem of the default file.
        table: The numbers.
        figure: Their figure; without a figure and without `out` nothing is written.
        out: The file to write.

    Raises SweepError where a figure is requested and there is none, or the file cannot be written.
    """
    if out is None and figure is None:
        return
    within = None if out else user_path(folder)
    path = user_path(out) if out else user_path(folder) / "report" / f"{file_name(name)}.pdf"
    if path.suffix == TABLE_SUFFIX:
        content = csv_bytes(table)
    elif figure is None:
        raise SweepError("This result has no figure. Write its table with --out FILE.csv.")
    else:
        content = figure_bytes(figure, path)
    write_file(path, content, within)
    echo(f"Wrote {path}.")
