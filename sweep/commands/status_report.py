"""How far a sweep has come: what its store holds of a grid. Nothing is written and no device is touched."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweep import grid as grids
from sweep.errors import StoreError
from sweep.grid import Grid
from sweep.planning import plan as plans
from sweep.planning.bucket import Bucket
from sweep.planning.manifest import results_identity
from sweep.planning.plan import Host
from sweep.schema import RUNS
from sweep.status import Status
from sweep.store import (
    Store,
    count_checkpoints,
    is_being_compacted,
    list_parts,
    live_workers,
    read_rows,
)

ENDS = tuple(status for status in Status if status is not Status.RUNNING)
_SHOWN = {Status.NONFINITE: "diverged"}


@dataclass(frozen=True)
class TrialCounts:
    """Trials of one bucket: how many there are, and how those that are done have ended."""

    bucket: str
    title: str
    trials: int
    done: int
    ended: Mapping[Status, int]

    @property
    def left(self) -> int:
        """Trials that are still to be done."""
        return self.trials - self.done

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        ended = {status.label: count for status, count in self.ended.items()}
        return {"trials": self.trials, "done": self.done, "left": self.left, "status": ended}


@dataclass(frozen=True)
class SweepStatus:
    """What a store holds of the grid in `file`; `grids` has the sizes of all grids that are kept in the store.

    `others` counts rows of trials that the grid does not have, `conflict` says why the store would refuse the grid.
    """

    folder: Path
    file: Path
    grids: Mapping[str, int]
    buckets: tuple[TrialCounts, ...]
    others: int
    workers: tuple[str, ...]
    checkpoints: int
    conflict: str = ""

    @property
    def total(self) -> TrialCounts:
        """All buckets together."""
        trials, done = (sum(getattr(each, name) for each in self.buckets) for name in ("trials", "done"))
        ended = {status: sum(each.ended[status] for each in self.buckets) for status in ENDS}
        return TrialCounts("", "all", trials, done, ended)

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        named = {"folder": str(self.folder), "grid": str(self.file), "grids": dict(self.grids)}
        buckets = [{"bucket": each.bucket, "title": each.title, **each.json()} for each in self.buckets]
        more = {"rows_of_other_grids": self.others, "at_work": list(self.workers), "checkpoints": self.checkpoints}
        return {**named, **self.total.json(), "buckets": buckets, **more, "conflict": self.conflict}

    def __str__(self) -> str:
        return "\n".join([*self._above(), "", _table([*self.buckets, self.total]), "", *self._below()])

    def _above(self) -> Iterator[str]:
        total = self.total
        counts = f"{total.trials:,} trials, {total.done:,} done, {total.left:,} left"
        yield f"{self.folder}: {counts} of the grid in {self.file}."
        if len(self.grids) > 1 and self.file.parent == self.folder:
            sizes = ", ".join(f"{name} ({size:,} trials)" for name, size in sorted(self.grids.items()))
            yield f"It is the largest of those in the folder: {sizes}. Another one is read with --grid."

    def _below(self) -> Iterator[str]:
        if self.others:
            yield f"{self.others:,} rows are of trials that this grid does not have."
        yield f"At work: {', '.join(self.workers)}." if self.workers else "Nobody is at work."
        yield f"Checkpoints of trials that have not ended: {self.checkpoints:,}."
        if self.conflict:
            yield self.conflict


def sweep_status(folder: Path, file: Path | None = None) -> SweepStatus:
    """How far the sweep in `folder` has come with a grid: that of `file`, or the largest that the folder keeps.

    Raises GridError where the grid is wrong, StoreError where there is no store or a part is broken.
    """
    manifest = _manifest(folder)
    found = {path: grids.load_grid(path) for path in ([file] if file else _kept(folder))}
    largest = max(found, key=lambda path: (found[path].size, path.stat().st_mtime_ns))
    trials, ends = _rows(folder)
    known = np.zeros(len(trials), bool)
    plan = plans.make_plan(found[largest], Host(str(manifest.get("platform", "cpu")), 1))
    buckets = tuple(_tally(bucket, trials, ends, known) for bucket in plan.buckets)
    sizes = {path.name: grid.size for path, grid in found.items()}
    others = int(np.count_nonzero(~known))
    asked = Store(folder).conflict(_wanted(found[largest], manifest)) if file else ""
    return SweepStatus(folder, largest, sizes, buckets, others, tuple(live_workers(folder)), count_checkpoints(folder), asked)


def _wanted(grid: Grid, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of the grid here; on the platform of the store where the environment names none."""
    named = os.environ.get("JAX_PLATFORMS", "").split(",")[0]
    platform = {"": manifest.get("platform", "cpu"), "cuda": "gpu", "rocm": "gpu"}.get(named, named)
    return results_identity(grid, manifest.get("dtype", "float32"), platform)


def _manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise StoreError(f"{folder} is no folder. Give the folder of a sweep, such as results/quickstart.")
    if is_being_compacted(folder):
        raise StoreError(
            f"{folder} is being compacted, or a compaction was cut off. Wait for it if it is under way; otherwise "
            f"`python -m sweep repair {folder}` finishes it."
        )
    return Store(folder).read_manifest()


def _kept(folder: Path) -> list[Path]:
    """The grids that a store keeps."""
    found = Store(folder).grids()
    if not found:
        raise StoreError(f"{folder} holds no grid.yaml. Name the grid file with --grid.")
    return found


def _rows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Trials of the store, ascending, and the place of their end in ENDS, -1 for another one."""
    tables = [read_rows(path, ["trial", "status"]) for path in list_parts(folder / RUNS)]
    trials = np.concatenate([np.empty(0, np.int64), *(table["trial"].to_numpy() for table in tables)])
    ends = np.concatenate([np.empty(0, np.int8), *(_ends(table["status"]) for table in tables)])
    order = np.argsort(trials, kind="stable")
    return trials[order], ends[order]


def _ends(labels: pa.ChunkedArray) -> np.ndarray:
    found = np.full(len(labels), -1, np.int8)
    for number, status in enumerate(ENDS):
        found[pc.call_function("equal", [labels, status.label]).fill_null(False).to_numpy()] = number
    return found


def _tally(bucket: Bucket, trials: np.ndarray, ends: np.ndarray, known: np.ndarray) -> TrialCounts:
    """Count the rows of a bucket, and note in `known` which rows of the store those are."""
    wanted, _ = bucket.source.ids(bucket.rows)
    place = np.searchsorted(trials, wanted)
    place = place[np.take(trials, place, mode="clip") == wanted] if len(trials) else place[:0]
    known[place] = True
    ended = {status: int(np.count_nonzero(ends[place] == number)) for number, status in enumerate(ENDS)}
    return TrialCounts(bucket.id, bucket.title, bucket.planned, len(place), ended)


def _table(tallies: list[TrialCounts]) -> str:
    """Tallies as aligned text of the width of the terminal, 80 to 120 columns."""
    from rich.console import Console
    from rich.table import Table

    ends = [status for status in ENDS if tallies[-1].ended[status]]
    table = Table(box=None, pad_edge=False)
    table.add_column("bucket", overflow="fold")
    for name in ("trials", "done", "left", *(_SHOWN.get(status, status.label) for status in ends)):
        table.add_column(name, justify="right", no_wrap=True)
    for each in tallies:
        counts = (each.trials, each.done, each.left, *(each.ended[status] for status in ends))
        table.add_row(each.title, *(f"{count:,}" for count in counts))
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 80), 120)
    console = Console(width=width, file=io.StringIO(), color_system=None, highlight=False, markup=False)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())
