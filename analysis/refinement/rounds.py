"""Rounds of refinement: write the grid of the next points of a sweep, run it, and repeat."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.files import write_file
from analysis.refinement.grid_edit import grid_with_cells
from analysis.refinement.proposal import MIN_SEEDS, Refinement
from analysis.refinement.round_process import run_to_end
from analysis.tables.axes import filter_rows
from analysis.tables.grids import grid_history, grid_size, grid_text
from analysis.tables.labels import counted, format_number
from analysis.tables.load import latest_grid, load, stored_manifest
from sweep.errors import Interrupted, StoreError, SweepError
from sweep.schema import GRID_FILE, RUNS
from sweep.start_command import start_command
from sweep.store import recorded_plugins
from sweep.user_paths import user_path


def refine(
    folder: Path | str,
    refinement: Refinement,
    rounds: int = 0,
    out: Path | str | None = None,
    where: str | None = None,
    all_grids: bool = False,
    plugins: Collection[str] = (),
) -> Iterator[str]:
    """Write the grid of the next points of a sweep and run it for some rounds.

    The points go into a store of their own, under another name: exploration leaves a registered
    sweep unchanged, and `load(folder, out)` reads both. An interrupted round is finished first. No
    round has more runs than the budget: seeds are left out where the grid of the sweep makes more
    runs of a point than its table has so far.

    Args:
        folder: the store of the sweep.
        refinement: what to refine, with the budget of a round.
        rounds: how many rounds to run; 0 writes the grid of one round and runs nothing.
        out: the store of the new points, `folder` with the suffix "-refined" by default.
        where: a condition on the runs, which the new grid gets, too.
        all_grids: whether runs that only an earlier grid of `folder` has count, too.
        plugins: the modules with parts of your own that the rounds import.

    Yields:
        A sentence on each step.

    Raises:
        StoreError: a folder cannot be read.
        SweepError: the grid cannot be refined, a round failed, or the sweep was trained with a
            plugin that is not among `plugins`.
        Interrupted: a signal ended a round.
    """
    folder = user_path(folder)
    out = _refined_folder(folder) if out is None else user_path(out)
    if rounds:
        _require_plugins(folder, plugins)
    # The store keeps a copy of each grid that was started in it.
    started = len(grid_history(out))
    if rounds and started:
        _run(_arguments(folder, _round_path(out, started), out, plugins))
    runs = _load(folder, out, where, all_grids)
    for turn in range(1, max(rounds, 1) + 1):
        points = refinement(runs)
        if points.empty:
            yield f"{counted(len(runs), 'run')}: further runs would not narrow the boundary."
            return
        path = _round_path(out, started + turn)
        yield _write(folder, path, refinement, points, runs, where)
        if not rounds:
            yield f"Run it with `{_command_line(_arguments(folder, path, out, plugins))}`."
            return
        _run(_arguments(folder, path, out, plugins))
        runs = _load(folder, out, where, all_grids)
        estimates = refinement.boundary.follow(refinement.best_runs(runs))
        yield f"{counted(len(runs), 'run')}: {_widths(estimates)}."


def _refined_folder(folder: Path) -> Path:
    """The folder beside a store. Raises SweepError where a link stands there."""
    # `.` and `..` have no name of their own.
    named = Path(os.path.abspath(folder)) if folder.name in ("", "..") else folder
    refined = named.with_name(f"{named.name}-refined")
    # It may have come with the store, and lead to any folder of the reader.
    if refined.is_symlink():
        raise SweepError(
            f"{refined} is a link, which is not followed. Name the folder of the new runs by --out."
        )
    return refined


def _load(folder: Path, out: Path, where: str | None, all_grids: bool) -> pd.DataFrame:
    """The runs of the sweep, and those of earlier rounds if there are any."""
    folders = [folder, out] if (out / RUNS).is_dir() else [folder]
    return filter_rows(load(*folders, all_grids=all_grids), where)


def _round_path(out: Path, turn: int) -> Path:
    """The path of the grid of a round, counted from 1."""
    return out / f"round-{turn}.yaml"


def _write(
    folder: Path,
    path: Path,
    refinement: Refinement,
    points: pd.DataFrame,
    runs: pd.DataFrame,
    where: str | None,
) -> str:
    """Write the grid of a round. Returns a sentence on what it contains."""
    boundary = refinement.boundary
    keys = [name for name in points if name != "seed"]
    cells, seeds = points[keys].drop_duplicates(), points["seed"].unique().tolist()
    columns = {str(name): cells[name].tolist() for name in keys}
    # Names of sweeps have at most 100 characters.
    name = f"{stored_manifest(folder).get('name', folder.name)}-refined"[-100:]
    text = _grid_text(folder)
    seeds = _affordable(
        seeds, refinement.runs, lambda some: grid_with_cells(text, name, columns, some, where)
    )
    grid = grid_with_cells(text, name, columns, seeds, where)
    rows = f" in {counted(cells[boundary.y].nunique(), 'row')}" if boundary.y else ""
    contents = f"{counted(len(cells), 'cell')}{rows} at {counted(len(seeds), 'new seed')}"
    branch = f", on its branch {boundary.branch}" if boundary.branch else ""
    crossing = f"where {boundary.value} crosses {boundary.level:g} along {boundary.x}{branch}"
    reason = f"chosen from {counted(len(runs), 'run')} of {folder.name} to locate best {crossing}"
    write_file(path, f"# {contents},\n# {reason}.\n{grid}".encode())
    return f"Wrote {path}: {contents}."


def _affordable(
    seeds: list[int], budget: int, grid_text_of: Callable[[list[int]], str]
) -> list[int]:
    """The first of some seeds, as many as a grid may have at a budget of runs.

    Raises SweepError if not even one is affordable.
    """
    size = grid_size(grid_text_of(seeds[:1]))
    if size is None or size * len(seeds) <= budget:
        return seeds
    if size > budget:
        raise SweepError(
            f"The grid of the sweep makes {counted(size, 'run')} for each seed at these points, more "
            f"than the {counted(budget, 'run')} of a round. Give at least {MIN_SEEDS * size}."
        )
    return seeds[: budget // size]


def _grid_text(folder: Path) -> str:
    """The text of the grid that a store ran last. Raises StoreError if it cannot be read."""
    path = latest_grid(folder) or folder / GRID_FILE
    try:
        return grid_text(path)
    except OSError as error:
        reason = error.strerror or error
        raise StoreError(f"{path} cannot be read ({reason}). Put the grid file there.") from error


def _run(arguments: Sequence[str]) -> None:
    """Run a round to its end. Raises Interrupted or SweepError if it does not complete."""
    code, name = run_to_end(start_command(*arguments)), Path(arguments[0]).name
    if code == Interrupted.exit_code:
        raise Interrupted(f"{name} was interrupted. Run the same command again to continue.")
    if code:
        line = _command_line(arguments)
        raise SweepError(f"{name} ended with exit code {code}. See the output of `{line}`.")


def _command_line(arguments: Sequence[str]) -> str:
    """The command of a round as a user may type it."""
    return shlex.join(["python", "-m", "sweep.run", *arguments])


def _arguments(folder: Path, path: Path, out: Path, plugins: Collection[str]) -> list[str]:
    """The arguments of a round, with the options of the sweep on which its results depend."""
    manifest = stored_manifest(folder)
    names = dict.fromkeys([*plugins, *recorded_plugins(manifest)])
    options = [argument for name in names for argument in ("--plugin", name)]
    dtype = str(manifest.get("dtype", "float32"))
    return [str(path), "--out", str(out), "--dtype", dtype, *options]


def _require_plugins(folder: Path, plugins: Collection[str]) -> None:
    """Raise SweepError unless the user names all plugins of a sweep: the folder may be anyone's."""
    missing = [name for name in recorded_plugins(stored_manifest(folder)) if name not in plugins]
    if missing:
        options = shlex.join(word for name in missing for word in ("--plugin", name))
        raise SweepError(
            f"{folder} was trained with {counted(len(missing), 'plugin')} that its rounds would "
            "import, and only plugins that you name are imported. If you trust this code, add "
            f"`{options}` to the command, in Python plugins={missing}."
        )


def _widths(estimates: pd.DataFrame) -> str:
    """How many rows cross within the grid and how wide their intervals are."""
    finite = np.isfinite(estimates[["at", "low", "high"]]).all(axis=1)
    inside = estimates[finite]
    verb = "crosses" if 1 in (len(inside), len(estimates)) else "cross"
    text = f"{len(inside)} of {counted(len(estimates), 'row')} {verb} within the grid"
    if inside.empty:
        return text
    if (inside["low"] > 0).all():
        factor = np.exp(np.log(inside["high"] / inside["low"]).mean())
        return f"{text}; on average, their intervals span a factor of {format_number(factor)}"
    width = (inside["high"] - inside["low"]).mean()
    return f"{text}; on average, their intervals are {format_number(width)} wide"
