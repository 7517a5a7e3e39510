"""The command `python -m analysis`: tables and figures of a sweep's results."""

from sweep.import_path import leave_working_directory

if __name__ == "__main__":
    leave_working_directory()

from collections.abc import Mapping
from typing import ClassVar

import typer

from analysis.cli import COMMANDS
from sweep.cli import CommandSource, LazyGroup


class AnalysisCommands(LazyGroup):
    """The commands of this package; `sweep` has them too."""

    sources: ClassVar[Mapping[str, CommandSource]] = COMMANDS


app = typer.Typer(
    cls=AnalysisCommands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback()
def analysis() -> None:
    """Turn the results of a sweep into numbers with intervals, figures and a report."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error that a user can meet is a sentence on stderr and its exit code."""
    app(arguments, prog_name="python -m analysis")


if __name__ == "__main__":
    main()
