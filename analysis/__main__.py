"""The command `python -m analysis`: tables and figures of a sweep's results."""

import os
import sys

# As `sweep.import_path` does, which cannot be imported yet: a folder `sweep/` in the working
# directory would be taken for it.
if __name__ == "__main__" and not sys.flags.safe_path:
    package_home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.path[0] in ("", os.getcwd()) and package_home != os.getcwd():
        del sys.path[0]

from sweep.early_signals import exit_on_signals

if __name__ == "__main__":
    exit_on_signals()

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
