"""The order of commits: part 0, part 1, ... of the runs.

The commit of part k is the moment when its name appears, and a name is given once. Whoever appends part k has read all
parts before it and leaves out what they hold. So a trial is in the table at most once, however many processes train it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep.errors import StoreError
from sweep.schema import CURVES, RUNS
from sweep.store import parts
from sweep.store.atomic_files import sync_folder, temporary_path, write_once


class TrialIds:
    """A growing set of trial ids."""

    def __init__(self) -> None:
        self._sorted, self._new = np.empty(0, np.int64), list[np.ndarray]()

    def add(self, ids: np.ndarray) -> None:
        """Take some more in."""
        self._new.append(ids)

    def all(self) -> np.ndarray:
        """All of them, ascending."""
        if self._new:
            self._sorted, self._new = np.sort(np.concatenate([self._sorted, *self._new]), kind="stable"), []
        return self._sorted

    def has(self, ids: np.ndarray) -> np.ndarray:
        """Which of some ids are in it."""
        found = self.all()
        place = np.searchsorted(found, ids)
        return (
            (place < len(found)) & (np.take(found, place, mode="clip") == ids)
            if len(found)
            else np.zeros(len(ids), bool)
        )


class CommitLog:
    """The parts of the store in `folder`, as far as this process has read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids, self.blocks, self.next = TrialIds(), dict[str, int](), 0
        self._place: int | None = None

    def read(self) -> bool:
        """Take in the parts that were appended since; True where there are some. Raises StoreError on a broken one."""
        self._stay()
        before = self.next
        if not before:
            for path in parts.listed(self.folder / RUNS):
                self._take_in(path)
        while (path := self.folder / RUNS / parts.name(self.next)).exists():
            self._take_in(path)
        return self.next > before

    def append(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> int:
        """Commit the rows of those trials that no part has; how many there were. Raises OSError where that fails."""
        while True:
            self.read()
            fresh = ~self.ids.has(runs["trial"].to_numpy())
            if not fresh.any():
                return 0
            runs = runs.filter(pa.array(fresh))
            if self._publish(self.next, runs, _of(curves, runs["trial"].to_numpy()), metadata):
                return runs.num_rows

    def _publish(self, number: int, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> bool:
        """Make part `number` of both tables; False where somebody else was faster.

        The curves lie ready under a hidden name when the part of the runs appears, and take their own name then. A kill
        between the two is made good by `publish_curves`.
        """
        self._stay()
        said, hidden = {**metadata, "first": str(number)}, None
        if curves is not None and curves.num_rows:
            hidden = temporary_path(self.folder / CURVES, parts.parquet(curves, said))
        try:
            won = write_once(
                self.folder / RUNS / parts.name(number), parts.parquet(runs, {**said, "curves": _named(hidden)})
            )
            if won and hidden:
                os.rename(hidden, self.folder / CURVES / parts.name(number))
                sync_folder(self.folder / CURVES)
        except BaseException:
            if hidden and not (self.folder / RUNS / parts.name(number)).exists():
                hidden.unlink(missing_ok=True)
            raise
        if hidden and not won:
            hidden.unlink()
        return won

    def _stay(self) -> None:
        """Raise StoreError where the folder of parts was replaced: the numbers that this process knows are void."""
        with suppress(FileNotFoundError):
            place = (self.folder / RUNS).stat().st_ino
            if self._place not in (None, place):
                raise StoreError(f"{self.folder} was compacted while this process slept. Run the same command again.")
            self._place = place

    def _take_in(self, path: Path) -> None:
        part, number = parts.read(path), parts.number(path)
        assert number is not None
        self.ids.add(part.trials)
        for bucket, block in part.blocks.items():
            self.blocks[bucket] = min(block, self.blocks.get(bucket, block))
        self.next = number + 1


def publish_curves(folder: Path) -> None:
    """Give curves their names whose runs are committed: a kill may have come between the two."""
    if not list((folder / CURVES).glob("_tmp-*")):
        return
    for path in parts.listed(folder / RUNS):
        hidden = parts.metadata(path).get("curves")
        target = folder / CURVES / path.name
        if hidden and not target.exists():
            with suppress(FileNotFoundError):  # another process may do the same
                os.rename(folder / CURVES / Path(hidden).name, target)
    sync_folder(folder / CURVES)


def _named(path: Path | None) -> str:
    return path.name if path else ""


def _of(curves: pa.Table | None, trials: np.ndarray) -> pa.Table | None:
    return None if curves is None else curves.filter(pa.array(np.isin(curves["trial"].to_numpy(), trials)))
