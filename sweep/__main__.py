"""Commands beside training: `python -m sweep verify|repair|compact|status DIR` and `python -m sweep schema`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sweep.commands.replay import ReplayResult

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the tables.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and no sentences.")]
Plugin = Annotated[list[str] | None, typer.Option(help="Module with parts of your own; may be repeated.")]


@app.callback()
def main() -> None:
    """What goes with `python -m sweep.run`, which trains a grid.

    Exit codes: 0 done, 1 failed or something is broken, 2 bad grid, 3 the folder holds another sweep.
    """


@app.command()
def schema(plugin: Plugin = None) -> None:
    """Print the JSON Schema of grid files, for the completion and checks of an editor."""
    with _errors():
        from sweep.commands import train
        from sweep.grid import json_schema

        train.load_plugins(plugin or ())
        typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def verify(
    folder: Folder,
    replay: Annotated[int, typer.Option(min=0, help="Train so many random rows again and compare.")] = 0,
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Read every part of DIR and name those that are broken, swapped or missing. Exit code 1 where there are some.

    With --replay also where a row does not come out to the bit again, alone and beside other trials.
    """
    with _errors(as_json):
        from sweep.store import survey

        found = survey(folder)
        waiting = [str(path) for path in found.waiting.values()]
        lines = [str(each) for each in found.findings] or [f"{folder} is whole: {found}."]
        if waiting:
            cure = f"The same sweep command or `python -m sweep repair {folder}` gives them their names"
            lines.append(f"Curves that a kill left under a hidden name: {', '.join(waiting)}. {cure}.")
        findings = [{"path": str(each.path), "what": each.what, "cure": each.cure} for each in found.findings]
        counts = {"parts": dict(found.parts), "rows": dict(found.rows)}
        again = _replay(folder, replay, plugin) if replay and not findings else []
        lines += [str(each) for each in again]
        said = {"folder": str(folder), **counts, "findings": findings, "waiting": waiting}
        _say(lines, {**said, "replayed": [each.json() for each in again]}, as_json)
        sys.exit(1 if findings or not all(each.equal for each in again) else 0)


@app.command()
def repair(folder: Folder, as_json: Json = False) -> None:
    """Move broken parts of DIR aside, so that the same sweep command trains their rows again and no others."""
    with _errors(as_json):
        from sweep import store

        done = store.repair(folder)
        places = [{"number": move.number, "why": move.why} for move in done.before.moves]
        moved, foreign = [str(path) for path in done.moved], [str(path) for path in done.before.foreign]
        lines = [f"Part {move.number} {move.why}." for move in done.before.moves]
        lines.append(f"These files were moved: {', '.join(moved)}." if moved else "No file had to be moved.")
        if places:
            lines.append("The same sweep command trains again what is missing now, and nothing else.")
        if foreign:
            lines.append(f"{', '.join(foreign)} stayed: these files are not the store's. Move them elsewhere.")
        _say(lines, {"folder": str(folder), "places": places, "moved": moved, "foreign": foreign}, as_json)


@app.command()
def compact(folder: Folder, as_json: Json = False) -> None:
    """Join the parts of DIR to few large ones, which are read sooner. Nobody may be at work in DIR."""
    with _errors(as_json):
        from sweep import store

        done = store.compact(folder)
        counts = {kind: (before, done.after[kind]) for kind, before in done.before.items()}
        lines = [f"Parts of the {kind}: {old:,} before, {new:,} after." for kind, (old, new) in counts.items()]
        _say(lines, {"folder": str(folder), "before": dict(done.before), "after": dict(done.after)}, as_json)


@app.command()
def status(
    folder: Folder,
    grid: Annotated[Path | None, typer.Option(help="Grid file. [default: the largest that DIR keeps]")] = None,
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Say how many trials of a grid are done in DIR and how they ended, and who is at work there. Writes nothing."""
    with _errors(as_json):
        from sweep.commands import status_report, train

        train.load_plugins(plugin or ())
        found = status_report.sweep_status(folder, grid)
        _say([str(found)], found.json(), as_json)


def _replay(folder: Path, count: int, plugin: list[str] | None) -> list[ReplayResult]:
    """Rows trained again, in this process, set up as the sweep was."""
    from sweep.commands import replay, train
    from sweep.store import Store

    train.load_plugins(plugin or ())
    train.configure(Store(folder).read_manifest()["dtype"])
    return list(replay.replay(folder, count))


def _say(lines: list[str], said: dict[str, Any], as_json: bool) -> None:
    typer.echo(json.dumps(said, indent=2) if as_json else "\n".join(lines))


@contextmanager
def _errors(as_json: bool = False) -> Iterator[None]:
    """An error as its sentence on standard error and its exit code, and as JSON too where that is asked for."""
    from sweep.errors import SweepError

    try:
        yield
    except SweepError as error:
        typer.echo(str(error), err=True)
        if as_json:
            typer.echo(json.dumps({"error": str(error)}, indent=2))
        sys.exit(error.exit_code)


if __name__ == "__main__":
    app()
