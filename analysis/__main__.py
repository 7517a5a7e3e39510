"""The command `python -m analysis`: tables and figures of a sweep's results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import analysis
from analysis.curves import FIGURE
from analysis.exhibits import draw, telling
from analysis.tables import keep
from analysis.view import View, view
from analysis.words import error_sentences, gap_sentences, number, state
from sweep.errors import SweepError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

app = typer.Typer(
    help="Turn the results of a sweep into numbers with intervals, figures and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep, such as results/quickstart.")]
X = Annotated[str | None, typer.Option("--x", help="Column of the horizontal axis. Default: snr if it varies.")]
Y = Annotated[str | None, typer.Option("--y", help="Column of the vertical axis. Default: another column that varies.")]
Tune = Annotated[str, typer.Option(help="Of several step sizes (and the like), take the run with the least of this.")]
Where = Annotated[str | None, typer.Option(help="Pandas query that the runs must satisfy, such as 'n == 200'.")]
Value = Annotated[str, typer.Option(help="Column that is averaged or compared.")]
Level = Annotated[float, typer.Option(min=0.01, max=0.9999, help="Level of the intervals over seeds.")]
Out = Annotated[Path | None, typer.Option(help="File to write: .pdf, .svg, .png for the figure, .csv for the table.")]

_FIGURE: list[str] = list(FIGURE)

ROWS = 20
"""Most rows of a table that are printed."""


@app.command()
def gap(
    folder: Folder,
    a: Annotated[str | None, typer.Option(help="First optimizer. Default: the one that is no baseline.")] = None,
    b: Annotated[str | None, typer.Option(help="Second optimizer, subtracted. Default: gd, sgd, ...")] = None,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    tune: Tune = "train_loss",
    where: Where = None,
    level: Level = 0.95,
    out: Out = None,
) -> None:
    """Difference between two optimizers on the same problems, with intervals over seeds."""
    runs = _load(folder, where)
    a, b = _pair(runs, a, b)
    shown = _view(runs[runs["optimizer"].isin([a, b])], x, y, None, tune)
    paired = analysis.PairedGap(a, b, value, tune, shown.by)(shown.runs)
    if paired.empty:
        raise SweepError(f"{a} and {b} share no problem yet. Let the sweep run on, or compare other optimizers.")
    cells = analysis.Cells(shown.x, shown.y, "difference", level=level)(paired)
    _show(cells, gap_sentences(cells))
    _write(folder, f"gap-{a}-{b}", cells, draw(cells), out)


@app.command()
def phase(
    folder: Folder,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    facet: Annotated[str, typer.Option(help="Column with a panel for each of its values.")] = "optimizer",
    tune: Tune = "train_loss",
    where: Where = None,
    level: Level = 0.95,
    out: Out = None,
) -> None:
    """Phase diagram: the mean over seeds in each cell of a plane, for each optimizer."""
    shown = _view(_load(folder, where), x, y, facet, tune)
    cells = analysis.Cells(shown.x, shown.y, value, facet, level)(shown.runs)
    _show(cells, error_sentences(cells) if (value, facet) == ("test_error", "optimizer") else [])
    _write(folder, f"phase-{value}", cells, draw(cells), out)


@app.command()
def boundary(
    folder: Folder,
    at: Annotated[float, typer.Option(help="The level that the value crosses.")] = 0.25,
    x: X = None,
    y: Y = None,
    value: Value = "test_error",
    fit: Annotated[str, typer.Option(help="monotone (of the means) or logistic (half of the runs).")] = "monotone",
    tune: Tune = "train_loss",
    where: Where = None,
    level: Level = 0.95,
    out: Out = None,
) -> None:
    """Where the value crosses a level along x, for each y and optimizer, and the exponent of that boundary."""
    shown = _view(_load(folder, where), x, y, "optimizer", tune)
    if shown.x is None:
        raise SweepError("Nothing but the seed varies, so there is no boundary.")
    if fit not in ("monotone", "logistic"):
        raise SweepError(f"There is no fit {fit!r}. Take monotone or logistic.")
    found = analysis.Boundary(shown.x, shown.y, value, at, "optimizer", fit, level)
    _show(found(shown.runs), [f"{value} = {at:g} is crossed at this {shown.x}:"])
    if shown.y is not None and (shown.runs[[shown.x, shown.y]] > 0).all().all():
        _show(found.exponent(shown.runs), [f"Slope of log {shown.x} against log {shown.y} along the boundary:"])
    _write(folder, "boundary", found(shown.runs), None, out)


@app.command()
def curves(
    folder: Folder,
    value: Annotated[list[str], typer.Option(help="Observable; give the option again for more panels.")] = _FIGURE,
    tune: Tune = "train_loss",
    where: Where = None,
    level: Level = 0.95,
    out: Out = None,
) -> None:
    """Observables over steps with bands over seeds, in one cell: by default that of the largest paired difference."""
    cell, place = telling(_view(_load(folder, where), None, None, None, tune), level)
    found = analysis.load_curves(folder, trials=cell["trial"].tolist())
    found.attrs["tuned"] = cell.attrs.get("tuned", ())
    bands = analysis.Bands(tuple(value), level=level)(found)
    _show(bands[bands["step"] == bands["step"].max()], [place, "At the last step:"] if place else ["At the last step:"])
    _write(folder, "curves", bands, analysis.curves_figure(bands), out)


@app.command()
def report(folder: Folder, x: X = None, y: Y = None, where: Where = None, level: Level = 0.95) -> None:
    """Write DIR/report/index.html with all figures, and the figures and tables as files beside it."""
    page = analysis.report(folder, x, y, where, level)
    typer.echo(f"Wrote {page} and the figures and tables in {page.parent / 'figures'}.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error that a user can meet is a sentence on stderr and its exit code."""
    try:
        app(arguments, prog_name="python -m analysis")
    except SweepError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)


def _load(folder: Path, where: str | None) -> pd.DataFrame:
    runs = analysis.load(folder)
    typer.echo(state(runs))
    return keep(runs, where)


def _view(runs: pd.DataFrame, x: str | None, y: str | None, facet: str | None, tune: str) -> View:
    shown = view(runs, x, y, facet, tune)
    for note in shown.notes:
        typer.echo(note)
    return shown


def _pair(runs: pd.DataFrame, a: str | None, b: str | None) -> tuple[str, str]:
    wanted = [pair for pair in analysis.pairs(runs) if a in (None, pair[0]) and b in (None, pair[1])]
    if a is not None and b is not None:
        return a, b
    if not wanted:
        names = ", ".join(sorted(runs["optimizer"].unique()))
        raise SweepError(f"No pair of optimizers fits. The runs have {names}; name two of them with --a and --b.")
    return wanted[0]


def _show(table: pd.DataFrame, sentences: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    for sentence in sentences:
        typer.echo(sentence)
    shown = Table(*map(str, table.columns), box=None, header_style="bold")
    for row in table.head(ROWS).itertuples(index=False):
        shown.add_row(*(number(value, 4) for value in row))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)
    if len(table) > ROWS:
        typer.echo(f"These are the first {ROWS} of {len(table)} rows; --out FILE.csv writes all.")


def _write(folder: Path, name: str, table: pd.DataFrame, figure: Figure | None, out: Path | None) -> None:
    if out is None and figure is None:
        return
    path = out or folder / "report" / f"{name}.pdf"
    if path.suffix == ".csv":
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(path, index=False)
    elif figure is None:
        raise SweepError("Nothing but the seed varies, so there is no figure. Write the table with --out FILE.csv.")
    else:
        analysis.save(figure, path)
    typer.echo(f"Wrote {path}.")


if __name__ == "__main__":
    main()
