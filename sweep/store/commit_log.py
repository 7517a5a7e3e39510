"""The order of commits: part 0, part 1, ... of the runs.

Part k is committed at the moment its file name appears, and a name is used only once. A process
that appends part k has read all earlier parts and omits the trials that they contain. So a trial is
in the table at most once, however many processes train it.
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
from sweep.store.atomic_files import sync_folder, temporary_path, write_once
from sweep.store.layout import TEMPORARY
from sweep.store.parts import (
    list_parts,
    numbered_parts,
    part_name,
    read_part,
    read_part_metadata,
    to_parquet,
)
from sweep.store.trial_ids import TrialIds


class CommitLog:
    """The parts of the store in `folder`, as far as this process has read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ids, self.blocks, self.next_number = TrialIds(), dict[str, int](), 0
        self._runs_inode: int | None = None

    def read(self) -> bool:
        """Read the parts appended since the last call; True if there were any.

        Raises StoreError if one is broken.
        """
        self._require_same_folder()
        previous_number = self.next_number
        if not previous_number:  # a compacted store does not start at part 0
            for number, path in numbered_parts(self.folder / RUNS).items():
                self._add_part(number, path)
        while (path := self.folder / RUNS / part_name(self.next_number)).exists():
            self._add_part(self.next_number, path)
        return self.next_number > previous_number

    def append(self, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]) -> int:
        """Commit the rows of those trials that no part has yet.

        Args:
            runs: One row a trial.
            curves: Recorded steps of the same trials, if any.
            metadata: Stored in the part.

        Returns:
            The number of trials committed.

        Raises:
            OSError: The part cannot be written.
        """
        while True:
            self.read()
            new_rows = ~self.ids.has(runs["trial"].to_numpy())
            if not new_rows.any():
                return 0
            runs = runs.filter(pa.array(new_rows))
            new_curves = _select_trials(curves, runs["trial"].to_numpy())
            if self._publish(self.next_number, runs, new_curves, metadata):
                return runs.num_rows

    def _publish(
        self, number: int, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]
    ) -> bool:
        """Publish part `number` of both tables; False if another process took the number first.

        The curves are complete under a hidden name when the runs appear, and are renamed then. If a
        kill comes between the two, `publish_curves` renames them later.
        """
        self._require_same_folder()
        hidden, metadata = None, {**metadata, "first": str(number)}
        if curves is not None and curves.num_rows:
            hidden = temporary_path(self.folder / CURVES, to_parquet(curves, metadata))
        target = self.folder / RUNS / part_name(number)
        try:
            metadata["curves"] = hidden.name if hidden else ""
            published = write_once(target, to_parquet(runs, metadata))
            if published and hidden:
                os.rename(hidden, self.folder / CURVES / part_name(number))
                sync_folder(self.folder / CURVES)
        except BaseException:
            # Committed runs name these curves: keep them for `publish_curves`.
            if hidden and not target.exists():
                hidden.unlink(missing_ok=True)
            raise
        if hidden and not published:
            hidden.unlink()
        return published

    def _require_same_folder(self) -> None:
        """Raise StoreError if the folder of parts was replaced, which renumbers the parts."""
        with suppress(FileNotFoundError):
            inode = (self.folder / RUNS).stat().st_ino
            if self._runs_inode not in (None, inode):
                raise StoreError(
                    f"{self.folder} was compacted while this process was suspended. "
                    "Run the same command again."
                )
            self._runs_inode = inode

    def _add_part(self, number: int, path: Path) -> None:
        part = read_part(path)
        self.ids.add(part.trials)
        for bucket, block in part.blocks.items():
            self.blocks[bucket] = min(block, self.blocks.get(bucket, block))
        self.next_number = number + 1


def publish_curves(folder: Path) -> None:
    """Rename hidden curves whose runs are committed, where a kill prevented it."""
    if not list((folder / CURVES).glob(f"{TEMPORARY}*")):
        return
    for path in list_parts(folder / RUNS):
        hidden = read_part_metadata(path).get("curves")
        target = folder / CURVES / path.name
        if hidden and not target.exists():
            with suppress(FileNotFoundError):  # another process may do the same
                os.rename(folder / CURVES / Path(hidden).name, target)
    sync_folder(folder / CURVES)


def _select_trials(curves: pa.Table | None, trials: np.ndarray) -> pa.Table | None:
    if curves is None:
        return None
    return curves.filter(pa.array(np.isin(curves["trial"].to_numpy(), trials)))
