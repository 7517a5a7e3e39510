"""Command lines whose commands are imported when they are used, so that `--help` takes no time."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from sweep.early_signals import exiting_on_signals
from sweep.errors import SweepError, environment_errors
from sweep.terminal_text import accept_all_characters, echo, escape_controls
from sweep.user_paths import user_path


class CommandSource(NamedTuple):
    """Where a command is (`module:function`), and its line in the help of the group."""

    target: str
    summary: str


class LazyGroup(TyperGroup):
    """A group of commands from a table, which a subclass gives as `sources`.

    An error that a user can meet ends the command with its sentence on standard error and its exit
    code.
    """

    sources: ClassVar[Mapping[str, CommandSource]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands, in the order of `sources`."""
        return list(self.sources)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What the help of the group shows of a command: its summary.

        Nothing is imported for it.
        """
        source = self.sources.get(cmd_name)
        return source and TyperCommand(cmd_name, help=source.summary, short_help=source.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, imported now."""
        source = self.sources.get(args[0])
        if source is None:
            # The group looks for similar names among its commands.
            self.commands = {name: self.get_command(ctx, name) for name in self.sources}
            return super().resolve_command(ctx, args)
        return args[0], load_command(args[0], source), args[1:]

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, on a terminal of any encoding."""
        accept_all_characters()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a SweepError is a sentence and an exit code."""
        try:
            return super().invoke(ctx)
        except SweepError as error:
            echo(str(error), err=True)
            sys.exit(error.exit_code)


def path_argument(text: str) -> Path:
    """The `parser` of arguments and options that are paths: `~` is the home, "" is an error."""
    try:
        return user_path(text)
    except SweepError as error:
        raise typer.BadParameter(escape_controls(str(error))) from error


def load_command(name: str, source: CommandSource) -> Any:
    """Import the function of a command and make a command of it."""
    module, _, function = source.target.partition(":")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    with environment_errors(), exiting_on_signals(), _no_local_settings():
        app.command(name)(getattr(importlib.import_module(module), function))
    return typer.main.get_command(app)


@contextmanager
def _no_local_settings() -> Iterator[None]:
    """While a command is imported, hide `matplotlibrc` of the working directory from matplotlib.

    It reads that file before any other settings, the variable MATPLOTLIBRC included. The folder may
    have come from anyone, and old versions of matplotlib evaluate the values.
    """
    exists = os.path.exists
    # Another working directory meanwhile would be one for all threads.
    os.path.exists = lambda path: path != "matplotlibrc" and exists(path)
    try:
        yield
    finally:
        os.path.exists = exists
