"""The commands that answer questions and write nothing: `status`, `schema`, `kinds`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sweep.cli import path_argument
from sweep.commands import status_report
from sweep.commands.kinds import describe_kind, list_kinds
from sweep.commands.maintenance import Folder, Json, Plugin, json_errors, print_report
from sweep.commands.plugins import load_plugins
from sweep.grid import json_schema
from sweep.terminal_text import echo


def status(
    folder: Folder,
    grid: Annotated[
        Path | None,
        typer.Option(help="Grid file. [default: the one that was run last]", parser=path_argument),
    ] = None,
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Say how many trials are done in DIR and how they ended, and who is at work there.

    Writes nothing.
    """
    with json_errors(as_json):
        plugins = load_plugins(plugin or ())
        report = status_report.sweep_status(folder, grid, plugins)
        print_report([str(report)], report.to_json(), as_json)


def schema(plugin: Plugin = None) -> None:
    """Print the JSON Schema of grid files, for the completion and checks of an editor."""
    load_plugins(plugin or ())
    echo(json.dumps(json_schema(), indent=2))


def kinds(
    kind: Annotated[
        str | None,
        typer.Argument(help="A kind, such as adamw. [default: list all]", show_default=False),
    ] = None,
    plugin: Plugin = None,
) -> None:
    """List the kinds of all parts, or describe the fields of one."""
    load_plugins(plugin or ())
    echo(describe_kind(kind) if kind else list_kinds())
