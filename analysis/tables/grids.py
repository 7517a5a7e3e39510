"""Which grid of a store is the current one, and which rows belong to it.

A store keeps every grid that was run in it. Rows of an earlier grid that the current one does not
have differ from it in a value that was edited, so that a map of both would mix two experiments.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from analysis.tables.columns import observable_names
from sweep import store
from sweep.errors import SweepError
from sweep.schema import FIXED, KINDS, ROUND_FILES
from sweep.wording import counted

if TYPE_CHECKING:
    from sweep.grid import Grid

MAX_TRIALS = 10_000_000
"""Most trials of a grid whose ids are computed, which takes about half a second a million."""


@dataclass(frozen=True)
class CurrentRows:
    """The rows of the current grid of a store.

    Attributes:
        rows: The rows.
        trials: How many trials the grid has, None where that was not computed.
        note: What was left out, in sentences; "" where nothing was.
    """

    rows: pa.Table
    trials: int | None = None
    note: str = ""


def grid_history(folder: Path) -> list[Path]:
    """The grid files of a store by the time of their first start, the latest last."""
    # A link is none of the copies that a store makes, and may lead to any file of the reader.
    own = [path for path in store.grid_files(folder) if path.is_file() and not path.is_symlink()]
    return sorted(own, key=lambda path: (path.stat().st_mtime_ns, path.name))


def grid_text(path: Path) -> str:
    """The text of a grid file. Raises StoreError if it cannot be read."""
    return store.read_grid(path).decode("utf-8-sig", "replace")  # Windows adds a byte order mark


def choose_grid(folder: Path, newest: pa.Table) -> Path | None:
    """The grid that was run last, None where a store has no grid.

    The store says which; one of version 0.2 does not. Of its grids, the one with the latest file
    among those that contain all rows of the newest part, or among all if there is none of those:
    copying a store may lose the times of its files.

    Args:
        folder: The store.
        newest: The rows of its newest part.
    """
    history = grid_history(folder)[::-1]
    recorded = store.current_grid(folder)
    if recorded in history:
        return recorded
    if len(history) < 2:
        return history[0] if history else None
    trials = newest["trial"].to_numpy()
    for path in history:
        ids = trial_ids(path)
        if ids is not None and _among(trials, ids).all():
            return path
    return history[0]


def current_rows(folder: Path, parts: Sequence[pa.Table], rows: pa.Table) -> CurrentRows:
    """The rows that belong to the current grid; all rows where there is only one grid.

    Rounds of refinement are one experiment, so their grids count as one.

    Args:
        folder: The store.
        parts: Its parts of the table of runs, the newest last.
        rows: The rows of all parts.
    """
    if any(folder.glob(ROUND_FILES)):
        return CurrentRows(rows)
    if store.has_lost_current_grid(folder):
        return CurrentRows(
            rows,
            note=f"{folder} has lost its last grid, and the runs of all of its grids are taken. "
            "Run the last grid again, which writes it.",
        )
    if len(grid_history(folder)) < 2:
        return CurrentRows(rows)
    path = choose_grid(folder, parts[-1])
    ids = None if path is None else trial_ids(path)
    if path is None or ids is None:
        return CurrentRows(
            rows,
            note=f"{folder} holds the runs of several grids, and the trials of the last one cannot "
            "be computed here (it is too large, or needs a plugin). The runs of all of them are "
            "taken.",
        )
    current = _among(rows["trial"].to_numpy(), ids)
    kept, older = rows.filter(pa.array(current)), rows.filter(pa.array(~current))
    note = ""
    if older.num_rows:
        columns = ", ".join(_differing_columns(kept, older)) or "the combination of their values"
        verb, pronoun = ("is", "it differs") if older.num_rows == 1 else ("are", "they differ")
        note = (
            f"{counted(older.num_rows, 'older row')}, which {path.name} no longer has, {verb} left "
            f"out: {pronoun} in {columns}. Take them with --all-grids, in Python all_grids=True."
        )
    return CurrentRows(kept, len(ids), note)


def trial_ids(path: Path) -> np.ndarray | None:
    """The ids of the trials of a grid, ascending; None where they cannot be computed."""
    try:
        return _ids_of_text(grid_text(path))
    except OSError:
        return None


def grid_size(text: str) -> int | None:
    """The number of trials of a grid, None where it cannot be computed here."""
    grid = _parsed(text)
    return None if grid is None else grid.size


@functools.lru_cache(maxsize=8)
def _ids_of_text(text: str) -> np.ndarray | None:
    """As `trial_ids`, from the text of the grid."""
    grid = _parsed(text)
    if grid is None or grid.size > MAX_TRIALS:
        return None
    ids = [block.ids(rows)[0] for block in grid.blocks for rows in block.rows()]
    return np.sort(np.concatenate(ids))


def _parsed(text: str) -> Grid | None:
    """A grid, None where its text cannot be read without plugins, or at all."""
    # Imported here because it needs jax, which takes a second: few commands need a grid.
    from sweep.grid import parse_kept_grid

    try:
        return parse_kept_grid(text, "<kept grid>")
    except SweepError:
        return None


def _among(trials: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each trial, whether it is among some ids, ascending."""
    places = np.minimum(np.searchsorted(ids, trials), len(ids) - 1)
    return ids[places] == trials


def _differing_columns(kept: pa.Table, older: pa.Table) -> list[str]:
    """The fields of which some older rows have a value that no other row has."""
    skipped = (FIXED - {*KINDS, "seed"}) | {*observable_names()}
    names = [name for name in kept.column_names if name not in skipped]
    return [name for name in names if _has_other_values(older[name], kept[name])]


def _has_other_values(column: pa.ChunkedArray, known: pa.ChunkedArray) -> bool:
    """Whether a column has a value that is not among the known ones."""
    values, others = (part.unique().to_pandas() for part in (column, known))
    return not values.isin(others).all()
