"""The order of commits: part 0, part 1, ... of the runs.

Part k is committed at the moment its file name appears, and a name is used only once. A process
that appends part k has read all earlier parts and omits the trials that they contain. So a trial is
in the table at most once, however many processes train it.

The folders of parts stay open from the first look at them to the last commit. A process that slept
while a compaction replaced them therefore cannot add to the new folder what it decided by the old
one, whose names of parts remain taken until the folder is gone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from sweep.errors import StoreError
from sweep.schema import CURVES, MANIFEST_FILE, RUNS
from sweep.store.directory import Directory
from sweep.store.io_errors import reading_errors
from sweep.store.layout import TEMPORARY
from sweep.store.parts import (
    CURVE_ROWS,
    Part,
    decode_part,
    part_name,
    part_numbers,
    read_part_metadata,
    to_parquet,
)
from sweep.store.trial_ids import TrialIds

_MOST_UNLISTED = 100
"""Parts that others may append while a folder is listed."""


class CommitLog:
    """The parts of the store in `folder`, as far as this process has read them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store_id = ""
        """The id that its parts carry; "" if it is unknown."""
        self.ids, self.blocks, self.next_number = TrialIds(), dict[str, int](), 0
        self._runs: Directory | None = None
        self._curves: Directory | None = None

    def read(self) -> bool:
        """Read the parts appended since the last call; True if there were any.

        Raises StoreError if one is broken, or if the store was compacted since.
        """
        if not self._open():
            return False
        assert self._runs is not None
        self._require_current()
        previous_number = self.next_number
        if not previous_number:  # a compacted store does not start at part 0
            for number in part_numbers(self._runs):
                self._add_with_unlisted(self._runs, number)
        while self._runs.status(part_name(self.next_number)):
            self._add(self.next_number, self._decode(self._runs, self.next_number))
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
            StoreError: The store was compacted since it was first read.
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

    def _open(self) -> bool:
        """Open the folders of parts once; False if the store has none yet."""
        if self._runs is None:
            with suppress(FileNotFoundError):
                folder = Directory(self.folder)
                self._runs, self._curves = folder.folder(RUNS), folder.folder(CURVES)
        return self._runs is not None

    def _publish(
        self, number: int, runs: pa.Table, curves: pa.Table | None, metadata: Mapping[str, str]
    ) -> bool:
        """Publish part `number` of both tables; False if another process took the number first.

        The curves are complete under a hidden name when the runs appear, and are renamed then. If a
        kill comes between the two, `publish_curves` renames them later.
        """
        self._open()
        if self._runs is None or self._curves is None:
            raise FileNotFoundError(errno.ENOENT, "the folders of parts are missing")
        hidden, metadata = "", {**metadata, "first": str(number)}
        name = part_name(number)
        with self._compaction_is_an_error():
            if curves is not None and curves.num_rows:
                hidden = self._curves.write_temporary(to_parquet(curves, metadata))
            try:
                metadata["curves"] = hidden
                metadata[CURVE_ROWS] = str(curves.num_rows if curves is not None else 0)
                published = self._runs.write_once(name, to_parquet(runs, metadata))
                # A part that appeared in a folder that was being replaced may be lost with it.
                self._require_current()
                if published and hidden:
                    self._curves.move(hidden, self._curves, name)
                    self._curves.sync()
            except BaseException:
                # Committed runs name these curves: keep them for `publish_curves`.
                if hidden and not self._runs.status(name):
                    self._curves.remove(hidden)
                raise
            if hidden and not published:
                self._curves.remove(hidden)
        return published

    @contextmanager
    def _compaction_is_an_error(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                self._require_current()
            raise

    def _require_current(self) -> None:
        """Raise StoreError if the folders of parts were replaced, which renumbers the parts."""
        for folder in (self._runs, self._curves):
            if folder is not None and not folder.is_current():
                is_gone = not self.folder.is_dir()
                event = "removed" if is_gone else "compacted while this process was suspended"
                raise StoreError(f"{self.folder} was {event}. Run the same command again.")

    def _add_with_unlisted(self, folder: Directory, number: int) -> None:
        """Add a part after those right before it that the list of the folder had missed.

        A network file system may show the same list again for some seconds, but not of a name.
        """
        part = self._decode(folder, number)
        first = number if part.first is None else part.first
        for unlisted in range(max(self.next_number, first - _MOST_UNLISTED), first):
            if folder.status(part_name(unlisted)):
                self._add(unlisted, self._decode(folder, unlisted))
        self._add(number, part)

    def _decode(self, folder: Directory, number: int) -> Part:
        name = part_name(number)
        with reading_errors(folder.path / name), folder.open(name) as file:
            part = decode_part(file)
        if self.store_id and part.store not in ("", self.store_id):
            raise StoreError(
                f"{folder.path / name} belongs to another store than {MANIFEST_FILE}. "
                f"Run `python -m sweep verify {self.folder}`, which says what to do."
            )
        return part

    def _add(self, number: int, part: Part) -> None:
        self.ids.add(part.trials)
        for bucket, block in part.blocks.items():
            self.blocks[bucket] = min(block, self.blocks.get(bucket, block))
        self.next_number = number + 1


def publish_curves(folder: Directory) -> None:
    """Rename hidden curves whose runs are committed, where a kill prevented it."""
    curves = folder.folder(CURVES)
    names = set(curves.names())
    if not any(name.startswith(TEMPORARY) for name in names):
        return
    runs = folder.folder(RUNS)
    for name in map(part_name, part_numbers(runs)):
        hidden = read_part_metadata(runs.path / name).get("curves", "")
        if hidden.startswith(TEMPORARY) and hidden in names and name not in names:
            with suppress(FileNotFoundError):  # another process may do the same
                curves.move(hidden, curves, name)
    curves.sync()


def _select_trials(curves: pa.Table | None, trials: np.ndarray) -> pa.Table | None:
    if curves is None:
        return None
    return curves.filter(pa.array(np.isin(curves["trial"].to_numpy(), trials)))
