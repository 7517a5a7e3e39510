"""Commands beside training: `python -m sweep schema`."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """What goes with `python -m sweep.run`, which trains a grid."""


@app.command()
def schema(
    plugin: Annotated[list[str] | None, typer.Option(help="Module with parts of your own; may be repeated.")] = None,
) -> None:
    """Print the JSON Schema of grid files, for the completion and checks of an editor."""
    from sweep import session
    from sweep.errors import SweepError
    from sweep.grid import json_schema

    try:
        session.load_plugins(plugin or ())
    except SweepError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.exit_code)
    typer.echo(json.dumps(json_schema(), indent=2))


if __name__ == "__main__":
    app()
