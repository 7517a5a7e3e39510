"""Checkpoints of the trials of a queue, without which a sweep goes on where the disk is full."""

from __future__ import annotations

import contextlib
import errno
import glob
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweep.errors import Interrupted
from sweep.store import Checkpoints, owner
from sweep.workers.trial_queue import TrialQueue

UNFINISHED = "orbax-checkpoint-tmp"
"""Part of the name of a checkpoint that orbax has not finished."""
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
        try:
            _check_space(self.checkpoints.folder.parent, sum(map(_size, columns.values())))
            with _quiet():
                self.checkpoints.save(columns)
        except Interrupted:
            raise
        except Exception as error:  # orbax has no error type for a full disk
            self._remove_unfinished()
            self.say(
                f"A checkpoint cannot be saved: {_reason(error)}. The trainings go on; if they are "
                "interrupted, they continue from their last checkpoint or begin again."
            )

    def find(self, indices: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Positions in `indices` of the trials with a stored state, and these states."""
        trials = self.queue.ids(indices)
        columns = self.checkpoints.find(trials)
        if not columns:
            return np.zeros(0, np.int64), {}
        order = np.argsort(trials)
        return order[np.searchsorted(trials[order], columns["trial"])], columns

    def _remove_unfinished(self) -> None:
        """Remove what this process has not finished to save: it takes space from the rows."""
        for path in self.checkpoints.folder.glob(f"*_{glob.escape(owner())}_*{UNFINISHED}*"):
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty if there are others
            self.checkpoints.folder.rmdir()


def _size(column: np.ndarray) -> int:
    return column.nbytes


def _reason(error: Exception) -> str:
    """The first line of an error, since those of orbax have many."""
    lines = str(getattr(error, "strerror", None) or error).splitlines()
    return lines[0] if lines else type(error).__name__


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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the threads of orbax print about an error off standard error."""
    logger = logging.getLogger("absl")
    was_disabled, logger.disabled = logger.disabled, True
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.disabled = was_disabled
