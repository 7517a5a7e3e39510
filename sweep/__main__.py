"""The command `sweep`: train a grid, look after its tables, and analyse them."""

from sweep.import_path import leave_working_directory

if __name__ == "__main__":
    leave_working_directory()

from sweep.early_signals import exit_on_signals

if __name__ == "__main__":
    exit_on_signals()

import importlib
from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

import sweep
from sweep.cli import CommandSource, LazyGroup

COMMANDS = {
    "run": CommandSource("sweep.run:main", "Train all trials of a grid that are not done yet."),
    "status": CommandSource(
        "sweep.commands.queries:status", "Say how far a sweep is, and who is at work."
    ),
    "verify": CommandSource(
        "sweep.commands.maintenance:verify_command",
        "Check every part; train random rows again with --replay.",
    ),
    "repair": CommandSource(
        "sweep.commands.maintenance:repair_command", "Move broken parts aside, to be trained again."
    ),
    "compact": CommandSource(
        "sweep.commands.maintenance:compact_command", "Join small parts to large ones."
    ),
    "schema": CommandSource(
        "sweep.commands.queries:schema", "Print the JSON Schema of grids, for editors."
    ),
    "kinds": CommandSource(
        "sweep.commands.queries:kinds", "List all kinds of parts, or the fields of one."
    ),
}
"""Commands of this package.

Those of `analysis` are read from its own table by name, since nothing here imports it.
"""


class AllCommands(LazyGroup):
    """All commands."""

    sources: ClassVar[Mapping[str, CommandSource]] = {
        **COMMANDS,
        **importlib.import_module("analysis.cli").COMMANDS,
    }


app = typer.Typer(cls=AllCommands, pretty_exceptions_enable=False, no_args_is_help=True)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"sweep {sweep.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Grids of small neural-network trainings in compiled batches, from a YAML file to phase diagrams.

    Exit codes: 0 done, 1 failed or something is broken, 2 bad grid, 3 the folder holds another
    sweep, 75 interrupted and resumable.
    """


if __name__ == "__main__":
    app(prog_name="python -m sweep")
