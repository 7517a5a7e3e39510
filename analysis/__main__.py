"""The command `python -m analysis`: tables and figures of a sweep's results."""

from __future__ import annotations

import sys

import typer

from analysis.cli import boundaries, maps, pages
from sweep.errors import SweepError

app = typer.Typer(
    help="Turn the results of a sweep into numbers with intervals, figures and a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    maps.gap,
    maps.phase,
    maps.curves,
    boundaries.boundary,
    boundaries.collapse,
    boundaries.refine,
    pages.report,
    pages.watch,
):
    app.command()(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error that a user can meet is a sentence on stderr and its exit code."""
    try:
        app(arguments, prog_name="python -m analysis")
    except SweepError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
