"""From the folders of stores to tidy tables."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from analysis.tables.axes import swept
from analysis.tables.columns import read_descriptions
from analysis.tables.grids import CurrentRows, choose_grid, current_rows
from analysis.tables.row_types import check_types, with_all_columns
from sweep import store
from sweep.errors import StoreError
from sweep.schema import CURVES, MANIFEST_FILE, RUNS
from sweep.user_paths import user_path

Folder = Path | str

MAX_DIGITS = 19
"""Numbers of trials have fewer digits."""


def load(*folders: Folder, all_grids: bool = False) -> pd.DataFrame:
    """All runs of one or several stores, one row a trial, sorted by trial.

    A trial in two stores counts once. Of a store in which several grids were run, the rows of the
    last one are taken.

    Args:
        *folders: The folders of the stores.
        all_grids: Take the rows of all grids.

    Returns:
        The runs. Their `attrs` are `trials` (how many the grids have, None if unknown), `complete`
        (True, False, or None if unknown), `folder`, and where rows were left out a `note`.

    Raises:
        StoreError: A folder is missing, has no runs, or holds a broken part.
    """
    _require_folders(folders)
    paths = [user_path(folder) for folder in folders]
    current = [_current_rows(path, all_grids) for path in paths]
    # The current grid knows how many trials it has; otherwise the store may.
    counts = [
        expected_trials(path) if part.trials is None else part.trials
        for path, part in zip(paths, current, strict=True)
    ]
    runs = _first_by_trial([part.rows for part in current]).to_pandas()
    for path in paths:
        read_descriptions(stored_manifest(path))
    runs.attrs = {
        "folder": ", ".join(map(str, folders)),
        "trials": None if None in counts else sum(filter(None, counts)),
        "complete": _completeness([part.rows.num_rows for part in current], counts),
    }
    if note := " ".join(part.note for part in current if part.note):
        runs.attrs["note"] = note
    return runs


def load_curves(
    *folders: Folder, trials: Collection[int] | None = None, all_grids: bool = False
) -> pd.DataFrame:
    """Observables over steps, one row a trial and recorded step, joined with the swept columns.

    Curves of trials without a run, which a crash may leave behind, are dropped.

    Args:
        *folders: the folders of the stores.
        trials: the trials whose curves are read, None for all of the runs.
        all_grids: take the curves of all grids, as in `load`.

    Returns:
        The curves, sorted by trial and step, with the `attrs` that `load` sets.

    Raises:
        StoreError: as in `load`, and where the sweep recorded no curves.
    """
    # Whoever names the trials has chosen between the grids.
    runs = load(*folders, all_grids=all_grids or trials is not None)
    labels = runs[["trial", "problem", "optimizer", "status", "seed", *swept(runs)]]
    tables = [
        table for folder in folders for table in _read_parts(user_path(folder), CURVES, trials)
    ]
    # A crash between the two commits of a part may also leave the curves of a trial twice.
    curves = _concatenated(tables).to_pandas().drop_duplicates(["trial", "step"])
    joined = labels.merge(curves, on="trial").sort_values(["trial", "step"], ignore_index=True)
    joined.attrs = dict(runs.attrs)
    return joined


def stored_manifest(folder: Folder) -> dict[str, Any]:
    """The manifest of a store, empty where there is none. Raises StoreError where it is broken."""
    path = user_path(folder)
    return store.read_manifest(path) if os.path.lexists(path / MANIFEST_FILE) else {}


def expected_trials(folder: Folder) -> int | None:
    """How many trials the largest grid of the store has, None if neither manifest nor parts say."""
    info = stored_manifest(folder).get("info")
    counts = [info.get("trials") if isinstance(info, dict) else None]
    # The manifest dates from the first start; a part knows the grid that it was written under,
    # which may have been extended since.
    for path in part_files(folder, RUNS):
        text = store.read_part_metadata(path).get("trials", "")
        counts.append(int(text) if text.isdigit() and len(text) < MAX_DIGITS else None)
    return max((count for count in counts if isinstance(count, int)), default=None)


def latest_grid(folder: Path) -> Path | None:
    """The grid that was run last in a store, None where the store keeps none."""
    paths = part_files(folder, RUNS)
    return choose_grid(folder, _read_part(paths[-1], None)) if paths else None


def part_files(folder: Folder, table: str) -> list[Path]:
    """The committed parquet parts of one table of a store, sorted by name."""
    paths = (user_path(folder) / table).glob("*.parquet")
    # Names of parts that are still being written begin with an underscore.
    return sorted(path for path in paths if not path.name.startswith(("_", ".")))


def _require_folders(folders: Sequence[Folder]) -> None:
    """Raise StoreError if no folder was given."""
    if not folders:
        raise StoreError(
            "No folder was given. Pass the folder of a sweep, such as results/quickstart."
        )


def _current_rows(folder: Path, all_grids: bool) -> CurrentRows:
    """The rows of a store that belong to its current grid, or all of them."""
    parts = _read_parts(folder, RUNS)
    rows = _concatenated(parts)
    if not rows.num_rows:
        raise StoreError(f"{folder} holds no runs. Let the sweep run until it commits some.")
    return CurrentRows(rows) if all_grids else current_rows(folder, parts, rows)


def _read_parts(folder: Path, name: str, trials: Collection[int] | None = None) -> list[pa.Table]:
    """The parts of one table of a store, in the order of their names."""
    if folder.is_file():
        raise StoreError(
            f"{folder} is a file. Give the folder of the sweep, such as {folder.absolute().parent}."
        )
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is not a folder. Run `python -m sweep.run GRID --out {folder}` first."
        )
    paths = part_files(folder, name)
    if not paths:
        cure = "Let the sweep run until it commits its first part"
        if name != RUNS:
            cure = f"{cure}, or set `record: {{points: 32}}` in its grid"
        raise StoreError(f"{folder} holds no {name}. {cure}.")
    parts = [_read_part(path, trials) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        check_types(part, name, path)
    return [with_all_columns(part, name) for part in parts]


def _read_part(path: Path, trials: Collection[int] | None) -> pa.Table:
    try:
        # Text columns are read as dictionaries, which halves the time to sort a million rows.
        table = store.read_rows(path, dictionaries=True)
    except StoreError as error:
        if os.path.lexists(path):
            raise
        raise StoreError(
            f"{path} disappeared while it was being read. Run the same command again."
        ) from error
    if trials is None or "trial" not in table.column_names:
        return table
    return table.filter(pc.field("trial").isin(list(trials)))


def _first_by_trial(tables: list[pa.Table]) -> pa.Table:
    """The first row of each trial, sorted by trial."""
    # Arrow sorts a million rows faster than pandas; taking a column at a time keeps at most a few
    # of them in memory twice.
    rows = _concatenated(tables)
    trial = rows["trial"].to_numpy()
    order = np.argsort(trial, kind="stable")
    first = np.ones(len(order), bool)
    first[1:] = trial[order[1:]] != trial[order[:-1]]
    indices = pa.array(order[first])

    def taken(column: pa.ChunkedArray) -> pa.Array:
        values = column.combine_chunks().take(indices)
        return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values

    with ThreadPoolExecutor() as pool:
        return pa.table(list(pool.map(taken, rows.columns)), names=rows.column_names)


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """The rows of all tables, with the columns of any, null where a table lacks them."""
    # Stores of different optimizers have different columns.
    return pa.concat_tables(tables, promote_options="permissive")


def _completeness(rows: list[int], expected: list[int | None]) -> bool | None:
    """Whether stores with these numbers of rows are complete, None if that is unknown."""
    for row_count, trial_count in zip(rows, expected, strict=True):
        if trial_count is not None and row_count < trial_count:
            return False
    # More rows than expected prove nothing: a later grid may be smaller than an earlier one.
    return True if rows == expected else None
