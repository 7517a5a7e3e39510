"""The state of long trials, saved by orbax so that a kill costs minutes and not days.

A checkpoint is a folder of arrays with one row a trial. It contains no training data, which is
drawn again. Its name states the process that wrote it, and that process removes its previous
checkpoint once the next one is complete. A digest detects a damaged checkpoint, which is ignored:
its trials then start from the beginning.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from sweep.store.layout import CHECKPOINTS
from sweep.store.owners import owner, owner_is_gone

Columns = Mapping[str, np.ndarray]
"""Arrays by name, each with one row a trial; `trial` holds ids, `step` the updates so far."""

_CHECKPOINT_NAME = re.compile(r"(?P<program>[0-9a-f]{16}-\d+)_(?P<owner>.+)_[0-9a-f]{8}")
_UNFINISHED = "orbax-checkpoint-tmp"


class Checkpoints:
    """Checkpoints in the folder of a store.

    Args:
        folder: The folder of the store.
        program: Name of the compiled program; the bits of a state depend on it.
    """

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program = Path(folder).absolute() / CHECKPOINTS, program
        self._latest: Path | None = None
        self._cache: dict[Path, Columns | None] = {}

    @property
    def written(self) -> bool:
        """Whether a checkpoint that this object has written exists."""
        return self._latest is not None

    def save(self, columns: Columns) -> None:
        """Save the state of trials, replacing what was saved or found before. Raises OSError."""
        import orbax.checkpoint as ocp  # takes seconds and imports jax

        path = self.folder / f"{self.program}_{owner()}_{secrets.token_hex(4)}"
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, {**columns, "digest": _digest(columns)})
        self.clear()
        self._latest = path
        for old_path, state in list(self._cache.items()):
            if state is not None and np.isin(state["trial"], columns["trial"]).all():
                del self._cache[old_path]
                shutil.rmtree(old_path, ignore_errors=True)

    def find(self, trials: np.ndarray) -> dict[str, np.ndarray]:
        """The latest rows of those of the trials that have a checkpoint; {} if none has."""
        latest: dict[int, tuple[int, Columns, int]] = {}
        for columns in self._states():
            for row in np.flatnonzero(np.isin(columns["trial"], trials)):
                trial, step = int(columns["trial"][row]), int(columns["step"][row])
                if trial not in latest or latest[trial][0] < step:
                    latest[trial] = step, columns, int(row)
        if not latest:
            return {}
        names = set.intersection(*(set(columns) for _, columns, _ in latest.values()))
        rows = [(columns, row) for _, columns, row in latest.values()]
        return {name: np.stack([columns[name][row] for columns, row in rows]) for name in names}

    def clear(self) -> None:
        """Remove what this object wrote: its trials have ended or are in a newer checkpoint."""
        if self._latest is not None:
            shutil.rmtree(self._latest, ignore_errors=True)
            self._latest = None
            with suppress(OSError):  # not empty if another process has checkpoints
                self.folder.rmdir()

    def _states(self) -> list[Columns]:
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                match = _CHECKPOINT_NAME.fullmatch(path.name)
                if match and match["program"] == self.program and path not in self._cache:
                    self._cache[path] = _read(path)
        return [columns for columns in self._cache.values() if columns is not None]


def count_checkpoints(folder: Path) -> int:
    """The number of complete checkpoints in a store."""
    checkpoints = folder / CHECKPOINTS
    paths = checkpoints.iterdir() if checkpoints.is_dir() else ()
    return sum(path.is_dir() and _UNFINISHED not in path.name for path in paths)


def clear_checkpoints(folder: Path, done: np.ndarray) -> None:
    """Remove checkpoints of dead processes if all their trials are done, or if incomplete.

    Args:
        folder: The folder of the store.
        done: Ids of committed trials.
    """
    checkpoints = Path(folder).absolute() / CHECKPOINTS
    for path in checkpoints.iterdir() if checkpoints.is_dir() else ():
        match = _CHECKPOINT_NAME.match(path.name)
        if match is None or owner_is_gone(match["owner"]) is False:
            continue
        columns = _read(path) if _CHECKPOINT_NAME.fullmatch(path.name) else None
        if columns is None or np.isin(columns["trial"], done).all():
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        checkpoints.rmdir()


def _read(path: Path) -> Columns | None:
    """The arrays of a checkpoint, None if it is damaged."""
    import orbax.checkpoint as ocp  # takes seconds and imports jax

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            state = checkpointer.restore(path)
        columns = {name: np.asarray(value) for name, value in state.items()}
        digest = columns.pop("digest")
    except Exception:  # orbax has no error type for a damaged folder
        return None
    return columns if np.array_equal(digest, _digest(columns)) else None


def _digest(columns: Columns) -> np.ndarray:
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(columns):
        array = np.ascontiguousarray(columns[name])
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return np.frombuffer(state.digest(), np.uint8)
