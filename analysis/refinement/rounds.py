"""Rounds of refinement: the grid of the next points of a sweep, and the sweep of that grid, in turns."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.refinement.grid_edit import grid_with_cells
from analysis.refinement.proposal import Refinement
from analysis.stats.boundary import Boundary
from analysis.tables.axes import filter_rows
from analysis.tables.labels import format_number
from analysis.tables.load import load, read_manifest
from sweep.errors import Interrupted, StoreError, SweepError


def refine(
    folder: Path | str,
    refinement: Refinement,
    rounds: int = 0,
    out: Path | str | None = None,
    where: str | None = None,
) -> Iterator[str]:
    """Write the grid of the next points of a sweep and, for so many rounds, run it; yields a sentence at each step.

    The points go into a store of their own, `out` or DIR-refined, under another name: exploring changes no registered
    sweep, and `load(DIR, out)` reads both. A round that was interrupted is ended first; runs that a round leaves are
    shared by the later ones. Raises StoreError where a folder cannot be read, SweepError where the grid cannot be
    refined or a round fails, Interrupted where a signal ended it.
    """
    folder = Path(folder)
    out = folder.with_name(f"{folder.name}-refined") if out is None else Path(out)
    begun = len(list(out.glob("grid*.yaml")))
    if rounds and begun:
        _run(folder, _path(out, begun), out)
    runs, left = _load(folder, out, where), rounds * refinement.runs
    for turn in range(1, max(rounds, 1) + 1):
        batch = replace(refinement, runs=left // (rounds - turn + 1)) if rounds else refinement
        points = batch(runs)
        if points.empty:
            yield f"{len(runs):,} runs: nothing is left to gain."
            return
        path = _path(out, begun + turn)
        yield _write(folder, path, batch.boundary, points, runs, where)
        if not rounds:
            yield f"Run it with `{shlex.join(['python', *_command(folder, path, out)])}`."
            return
        before = len(runs)
        _run(folder, path, out)
        runs = _load(folder, out, where)
        left -= len(runs) - before
        yield f"{len(runs):,} runs: {_widths(batch.boundary(runs))}."


def _load(folder: Path, out: Path, where: str | None) -> pd.DataFrame:
    return filter_rows(load(folder, *([out] if (out / "runs").is_dir() else [])), where)


def _path(out: Path, turn: int) -> Path:
    return out / f"round-{turn}.yaml"


def _write(
    folder: Path,
    path: Path,
    boundary: Boundary,
    points: pd.DataFrame,
    runs: pd.DataFrame,
    where: str | None,
) -> str:
    """Write the grid of a round and say what it holds."""
    try:
        text = (folder / "grid.yaml").read_text(encoding="utf-8-sig")
    except OSError as error:
        raise StoreError(
            f"{folder / 'grid.yaml'} cannot be read ({error.strerror}). Put the grid file there."
        ) from error
    keys = [name for name in points if name != "seed"]
    cells, seeds = points[keys].drop_duplicates(), points["seed"].unique().tolist()
    columns = {str(name): cells[name].tolist() for name in keys}
    rows = f" of {cells[boundary.y].nunique()} rows" if boundary.y else ""
    what = f"{len(cells):,} cells{rows} at {len(seeds):,} new seeds"
    why = f"where {boundary.value} crosses {boundary.level:g} along {boundary.x}"
    made = grid_with_cells(
        text,
        f"{read_manifest(folder).get('name', folder.name)}-refined"[-100:],
        columns,
        seeds,
        where,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    head = f"# {what}:\n# by {len(runs):,} runs of {folder.name} they say most of {why}.\n"
    path.write_text(head + made, encoding="utf-8")
    return f"Wrote {path}: {what}."


def _run(folder: Path, path: Path, out: Path) -> None:
    """Run a grid to its end. Raises Interrupted or SweepError where it does not get there."""
    process = subprocess.Popen(
        [sys.executable, *_command(folder, path, out)], stdout=subprocess.DEVNULL
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the sweep got it too, and keeps what it has
        code = process.wait()
    if code == Interrupted.exit_code:
        raise Interrupted(f"{path.name} was interrupted. The same command goes on from there.")
    if code:
        again = shlex.join(["python", *_command(folder, path, out)])
        raise SweepError(f"{path.name} ended with exit code {code}. See what `{again}` says.")


def _command(folder: Path, path: Path, out: Path) -> list[str]:
    """The command of a round, with the options of the sweep on which its results depend."""
    made = read_manifest(folder)
    given = list(map(str, made.get("info", {}).get("command", [])))
    plugins = [
        word
        for at, name in enumerate(given[:-1])
        if name == "--plugin"
        for word in given[at : at + 2]
    ]
    return [
        "-m",
        "sweep.run",
        str(path),
        "--out",
        str(out),
        "--dtype",
        str(made.get("dtype", "float32")),
        *plugins,
    ]


def _widths(found: pd.DataFrame) -> str:
    """How wide the intervals of a boundary are, in words."""
    inside = found[np.isfinite(found[["at", "low", "high"]]).all(axis=1)]
    rows = f"{len(inside)} of {len(found)} rows cross within the grid"
    if inside.empty:
        return rows
    if (inside["low"] > 0).all():
        factor = np.exp(np.log(inside["high"] / inside["low"]).mean())
        return f"{rows}, their intervals are a factor of {format_number(factor)} wide in the mean"
    return f"{rows}, their intervals are {format_number((inside['high'] - inside['low']).mean())} wide in the mean"
