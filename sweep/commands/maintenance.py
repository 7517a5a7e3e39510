"""The commands that check and mend a folder of tables: `verify`, `repair`, `compact`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sweep import store
from sweep.cli import path_argument
from sweep.errors import SweepError
from sweep.terminal_text import echo
from sweep.wording import counted

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Folder of the tables.", show_default=False, parser=path_argument
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and no sentences.")]
Plugin = Annotated[
    list[str] | None, typer.Option(help="Module that adds parts of your own; may be repeated.")
]


def verify_command(
    folder: Folder,
    replay: Annotated[
        int, typer.Option(min=0, help="Train this many random rows again and compare.")
    ] = 0,
    plugin: Plugin = None,
    as_json: Json = False,
) -> None:
    """Read every part of DIR and name those that are broken, swapped or missing.

    The exit code is 1 if there are any, and with --replay also if a row does not come out equal to
    the bit when it is trained again, alone and beside other trials.
    """
    with json_errors(as_json):
        survey = store.survey(folder)
        waiting = [str(path) for path in survey.waiting.values()]
        lines = [str(finding) for finding in survey.findings] or [f"{folder} is whole: {survey}."]
        if survey.missing and not survey.findings:
            planned = counted(survey.planned or 0, "trial")
            lines.append(
                f"{survey.missing:,} of {planned} of its largest grid are not in it: not trained "
                "yet, or lost with the last parts. The same sweep command trains them."
            )
        if waiting:
            cure = f"The same sweep command or `python -m sweep repair {folder}` publishes them"
            lines.append(f"Curves that a kill left unpublished: {', '.join(waiting)}. {cure}.")
        findings = [
            {"path": str(finding.path), "what": finding.what, "cure": finding.cure}
            for finding in survey.findings
        ]
        results = _replay(folder, replay, plugin) if replay and not findings else []
        lines += [str(result) for result in results]
        report = {
            "folder": str(folder),
            "parts": dict(survey.parts),
            "rows": dict(survey.rows),
            "planned": survey.planned,
            "findings": findings,
            "waiting": waiting,
            "replayed": [result.to_json() for result in results],
        }
        print_report(lines, report, as_json)
        sys.exit(1 if findings or not all(result.equal for result in results) else 0)


def repair_command(folder: Folder, as_json: Json = False) -> None:
    """Move broken parts of DIR aside, so that the same sweep command trains their rows again.

    No other rows are trained.
    """
    with json_errors(as_json):
        repaired = store.repair(folder)
        moves = repaired.before.moves
        moved = [str(path) for path in repaired.moved]
        foreign = [str(finding.path) for finding in repaired.before.beside_parts]
        lines = [f"Part {move.number} {move.why}." for move in moves]
        lines.append(
            f"These files were moved: {', '.join(moved)}." if moved else "No file had to be moved."
        )
        if moves:
            lines.append(
                "The same sweep command trains again what is missing now, and nothing else."
            )
        lines += [f"{finding} It stayed." for finding in repaired.before.beside_parts]
        report = {
            "folder": str(folder),
            "places": [{"number": move.number, "why": move.why} for move in moves],
            "moved": moved,
            "foreign": foreign,
        }
        print_report(lines, report, as_json)


def compact_command(folder: Folder, as_json: Json = False) -> None:
    """Join the parts of DIR to a few large ones, which are read faster.

    Nobody may be at work in DIR.
    """
    with json_errors(as_json):
        compacted = store.compact(folder)
        before, after = dict(compacted.before), dict(compacted.after)
        lines = [
            f"Parts of the {table}: {count:,} before, {after[table]:,} after."
            for table, count in before.items()
        ]
        print_report(lines, {"folder": str(folder), "before": before, "after": after}, as_json)


def _replay(folder: Path, count: int, plugin: list[str] | None) -> list[Any]:
    """Rows trained again, in this process, set up as the sweep was."""
    # Checking files needs no jax, whose import takes longer than most checks.
    from sweep.commands import replay as replays
    from sweep.commands.backend import configure
    from sweep.commands.plugins import check_same_source, load_plugins, naming_plugins
    from sweep.commands.run_info import training_setup

    plugins = load_plugins(plugin or ())
    check_same_source(folder, plugins)
    manifest = store.Store(folder).read_manifest()
    configure(training_setup(folder, manifest)[0])
    with naming_plugins(manifest, plugins):
        return list(replays.replay(folder, count))


def print_report(lines: list[str], report: dict[str, Any], as_json: bool) -> None:
    """Print the sentences of a command, or the same as one JSON object."""
    echo(json.dumps(report, indent=2) if as_json else "\n".join(lines))


@contextmanager
def json_errors(as_json: bool) -> Iterator[None]:
    """An error as JSON too, where that is asked for; the group prints its sentence."""
    try:
        yield
    except SweepError as error:
        if as_json:
            echo(json.dumps({"error": str(error)}, indent=2))
        raise
