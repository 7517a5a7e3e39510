"""Where the numbers of a report come from: grids, manifest, and the commands that reproduce it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.tables.grids import grid_history, grid_text
from analysis.tables.load import part_files, stored_manifest
from sweep import store
from sweep.errors import StoreError
from sweep.grid.syntax.yaml_reader import read_yaml
from sweep.schema import GRID_FILE, RUNS

DEFAULT_DTYPE = "float32"

NOT_SHOWN = ("store", "grid", "meanings", "definitions", "labels")
"""What a manifest holds for programs, and what the page shows elsewhere."""


def describe_store(folder: Path) -> dict[str, Any]:
    """Name, question, comment, grids and provenance of a store, as variables of the template."""
    grids = {path.name: _grid_text(path) for path in grid_history(folder)}
    # The heading is that of the grid that was run last.
    recorded = store.current_grid(folder)
    last = grids.get(recorded.name if recorded else "", next(reversed(grids.values()), ""))
    header = _grid_mapping(last)
    manifest = stored_manifest(folder)
    return {
        "name": str(header.get("name") or folder.resolve().name),
        "question": str(header.get("description") or ""),
        "comment": _opening_comment(last),
        "grids": grids,
        "provenance": _provenance(folder, manifest),
        "manifest": json.dumps(manifest, indent=2, ensure_ascii=False) if manifest else "",
    }


def reproduction_commands(folder: Path, options: Mapping[str, Any]) -> list[str]:
    """The commands that produce the runs, one per grid, and the page.

    Args:
        folder: The store.
        options: Options of the report. None stands for the default, which is not printed, True for
            an option without a value, a tuple for one that is repeated.
    """
    manifest = stored_manifest(folder)
    dtype = manifest.get("dtype", DEFAULT_DTYPE)
    plugins = store.recorded_plugins(manifest)
    settings = [] if dtype == DEFAULT_DTYPE else ["--dtype", dtype]
    settings += [word for plugin in plugins for word in ("--plugin", plugin)]
    commands = [["sweep.run", path, "--out", folder, *settings] for path in grid_history(folder)]
    commands.append(["analysis", "report", folder, *_arguments(options)])
    lines = [shlex.join(["python", "-m", *map(str, command)]) for command in commands]
    info = manifest.get("info")
    commit = info.get("commit") if isinstance(info, Mapping) else None
    comments = [f"# code at commit {commit}"] if commit else []
    # A manifest has the digests of a plugin, not the place that it was imported from.
    modules = [name for name in plugins if name.replace(".", "").isidentifier()]
    if modules:
        files = " and ".join(f"{name.replace('.', '/')}.py" for name in modules)
        comments.append(f"# in the folder of {files}, unless it is installed")
    return [*comments, *lines]


def _arguments(options: Mapping[str, Any]) -> Iterator[str]:
    """The words of a command line for these options."""
    for option, value in options.items():
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None:
                yield from (option,) if each is True else (option, str(each))


def _grid_text(path: Path) -> str:
    """The text of a grid file, or a comment that says why it cannot be read."""
    # A report must not fail because of its heading.
    try:
        return grid_text(path)
    except StoreError as error:
        return f"# {path.name} cannot be read: {error}"


def _grid_mapping(grid: str) -> dict[str, Any]:
    """The top level of a grid file, empty where it is no YAML mapping."""
    content = read_yaml(grid, GRID_FILE).value
    return content if isinstance(content, dict) else {}


def _opening_comment(grid: str) -> str:
    """The comment lines at the top of a grid file, joined."""
    opening = re.match(r"(?:[ \t]*(?:#.*)?\n)*", grid)
    if opening is None:
        return ""
    return " ".join(re.findall(r"^[ \t]*#[ \t]?(.*)", opening.group(), re.MULTILINE))


def _provenance(folder: Path, manifest: Mapping[str, Any]) -> dict[str, str]:
    """What produced the rows and when, as far as the store records it."""
    info = manifest.get("info")
    facts = {name: manifest[name] for name in ("dtype", "platform", "versions") if name in manifest}
    if isinstance(info, Mapping):
        facts |= {str(name): value for name, value in info.items() if name not in NOT_SHOWN}
    # The manifest does not record the end of a sweep; the newest part does.
    modified = max(path.stat().st_mtime for path in part_files(folder, RUNS))
    last_rows = datetime.fromtimestamp(modified, UTC).replace(microsecond=0)
    entries = {name: _json_text(value) for name, value in facts.items()}
    entries["last rows written"] = last_rows.isoformat()
    started = _parse_time(facts.get("started"))
    if started is not None:
        entries["from start to last rows"] = str(last_rows - started)
    return entries


def _parse_time(text: Any) -> datetime | None:
    """A time from the manifest, None where it is not one."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError):
        return None


def _json_text(value: Any) -> str:
    """A JSON value as readable text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_json_text(entry)}" for key, entry in value.items())
    return " ".join(map(_json_text, value)) if isinstance(value, list) else str(value)
