"""How far a sweep has come, read from its store. Nothing is written and no device is touched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep import grid as grids
from sweep.commands.plugins import naming_plugins, plugin_changes
from sweep.commands.sweep_status import FINAL_STATUSES, SweepStatus, TrialCounts
from sweep.errors import StoreError
from sweep.grid import Grid
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.manifest import results_identity
from sweep.planning.plan import Host
from sweep.schema import RUNS
from sweep.store import (
    Store,
    count_checkpoints,
    current_grid,
    is_being_compacted,
    list_parts,
    live_workers,
    read_grid,
    read_rows,
)

_UNKNOWN_STATUS = -1


def sweep_status(
    folder: Path, file: Path | None = None, plugins: Mapping[str, list[str]] | None = None
) -> SweepStatus:
    """How far the sweep in `folder` has come with a grid.

    Args:
        folder: the folder of the store.
        file: the grid file; by default the one that was run last.
        plugins: what `load_plugins` returned.

    Raises:
        GridError: the grid is wrong.
        StoreError: there is no store, or a part is broken.
    """
    manifest = _manifest(folder)
    with naming_plugins(manifest, plugins or ()):
        if file:
            loaded = {file: grids.load_grid(file)}
        else:
            loaded = {
                path: grids.parse_kept_grid(read_grid(path), str(path))
                for path in _stored_grids(folder)
            }
    chosen = _current(folder, loaded)
    grid = loaded[chosen]
    trials, status_codes = _rows(folder)
    in_grid = np.zeros(len(trials), bool)
    plan = plans.make_plan(grid, Host(str(manifest.get("platform", "cpu")), 1))
    buckets = tuple(_count(bucket, trials, status_codes, in_grid) for bucket in plan.buckets)
    conflict = _conflict(folder, grid, manifest, plugins or {}) if file else ""
    return SweepStatus(
        folder,
        chosen,
        {path.name: stored.size for path, stored in loaded.items()},
        buckets,
        int(np.count_nonzero(~in_grid)),
        tuple(live_workers(folder)),
        count_checkpoints(folder),
        conflict,
    )


def _current(folder: Path, loaded: Mapping[Path, Grid]) -> Path:
    """The grid that was run last; where the store does not say, the largest or latest."""
    recorded = current_grid(folder)
    if recorded is not None and recorded in loaded:
        return recorded
    return max(loaded, key=lambda path: (loaded[path].size, path.stat().st_mtime_ns))


def _conflict(
    folder: Path, grid: Grid, manifest: Mapping[str, Any], plugins: Mapping[str, list[str]]
) -> str:
    """Why the store would refuse the grid in this environment, "" if it would not.

    The platform is that of the store unless the environment names one.
    """
    name = os.environ.get("JAX_PLATFORMS", "").split(",")[0]
    # jax names gpus by vendor in the environment, but reports the platform `gpu`.
    aliases = {"": manifest.get("platform", "cpu"), "cuda": "gpu", "rocm": "gpu"}
    platform = aliases.get(name, name)
    identity = results_identity(grid, manifest.get("dtype", "float32"), platform, plugins)
    return plugin_changes(manifest, plugins) or Store(folder).conflict(identity)


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise StoreError(
            f"{folder} is no folder. Give the folder of a sweep, such as results/quickstart."
        )
    if is_being_compacted(folder):
        raise StoreError(
            f"{folder} is being compacted, or a compaction was cut off. Wait for it if it is "
            f"under way; otherwise `python -m sweep repair {folder}` finishes it."
        )
    return Store(folder).read_manifest()


def _stored_grids(folder: Path) -> list[Path]:
    """The grid files that a store holds."""
    files = Store(folder).grids()
    if not files:
        raise StoreError(f"{folder} holds no grid.yaml. Name the grid file with --grid.")
    return files


def _rows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Ids of the trials of a store, ascending, and the code of each one's status."""
    tables = [read_rows(path, ["trial", "status"]) for path in list_parts(folder, RUNS)]
    trial_columns = [table["trial"].to_numpy() for table in tables]
    code_columns = [_status_codes(table["status"]) for table in tables]
    # The empty arrays give a store without parts its types.
    trials = np.concatenate([np.empty(0, np.int64), *trial_columns])
    codes = np.concatenate([np.empty(0, np.int8), *code_columns])
    order = np.argsort(trials, kind="stable")
    return trials[order], codes[order]


def _status_codes(labels: pa.ChunkedArray) -> np.ndarray:
    """Indices into FINAL_STATUSES; of a status of a later version, _UNKNOWN_STATUS."""
    codes = np.full(len(labels), _UNKNOWN_STATUS, np.int8)
    for code, status in enumerate(FINAL_STATUSES):
        matches = pc.call_function("equal", [labels, status.label]).fill_null(False)
        codes[matches.to_numpy()] = code
    return codes


def _count(
    bucket: Bucket, trials: np.ndarray, status_codes: np.ndarray, in_grid: np.ndarray
) -> TrialCounts:
    """Count the rows of a bucket.

    Args:
        bucket: the bucket, with all its trials.
        trials: ids of the trials of the store, ascending, (rows,).
        status_codes: the code of each row's status, (rows,).
        in_grid: set to True for the rows that belong to the bucket, (rows,).
    """
    bucket_trials, _ = bucket.source.ids(bucket.rows)
    rows = np.searchsorted(trials, bucket_trials)
    if len(trials):
        rows = rows[np.take(trials, rows, mode="clip") == bucket_trials]
    else:
        rows = rows[:0]
    in_grid[rows] = True
    by_status = {
        status: int(np.count_nonzero(status_codes[rows] == code))
        for code, status in enumerate(FINAL_STATUSES)
    }
    return TrialCounts(bucket.id, bucket.title, bucket.planned, len(rows), by_status)
