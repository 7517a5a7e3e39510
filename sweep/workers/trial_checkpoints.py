"""Checkpoints of the trials of a queue, without which a sweep goes on where the disk is full."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.store import Checkpoints
from sweep.workers.trial_queue import TrialQueue

MARGIN = 1 << 20
"""Bytes that a checkpoint may take beside its arrays."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class TrialCheckpoints:
    """Checkpoints by index in a queue, stored by id; a `CheckpointStore` of the driver.

    Attributes:
        queue: the trials.
        checkpoints: where they are stored.
        say: receives a sentence if a checkpoint cannot be saved; the trials then go on without.
    """

    queue: TrialQueue
    checkpoints: Checkpoints
    say: Callable[[str], None]

    def save(self, indices: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Replace the stored states by those of these trials: columns with one row a trial."""
        columns = {**columns, "trial": self.queue.ids(indices)}
        size = sum(column.nbytes for column in columns.values())
        try:
            _check_space(self.checkpoints.folder.parent, size)
            self.checkpoints.save(columns)
        except OSError as error:
            self.say(
                f"A checkpoint cannot be saved: {error.strerror or error}. The trainings go on; if "
                "they are interrupted, they continue from their last checkpoint or begin again."
            )

    def find(self, indices: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Positions in `indices` of the trials with a stored state, and these states."""
        trials = self.queue.ids(indices)
        columns = self.checkpoints.find(trials)
        if not columns:
            return np.zeros(0, np.int64), {}
        order = np.argsort(trials)
        return order[np.searchsorted(trials[order], columns["trial"])], columns


def _check_space(folder: Path, size: int) -> None:
    """Raise OSError unless `size` bytes fit into a folder.

    Asked first, because orbax prints hundreds of lines where a disk is full.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size + MARGIN)
        except OSError as error:
            # Some file systems cannot tell.
            if error.errno in _FULL:
                raise
