"""The state of long trials, saved by orbax so that a kill costs minutes and not days.

A checkpoint is a folder of arrays with one row a trial. It contains no training data, which is
drawn again. Its name states the process that wrote it, and that process removes its previous
checkpoint once the next one is complete. A digest detects a damaged checkpoint, which is ignored:
its trials then start from the beginning.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from sweep.errors import SweepError
from sweep.store.checkpoint_reading import Columns, digest_of, quiet_orbax, read_checkpoint
from sweep.store.layout import CHECKPOINTS
from sweep.store.leases import LEASE, file_system_time
from sweep.store.owners import owner, owner_is_gone
from sweep.store.plain_files import is_folder, open_folder, plain_states

_CHECKPOINT_NAME = re.compile(r"(?P<program>[0-9a-f]{16}-\d+)_(?P<owner>.+)_[0-9a-f]{8}")
_UNFINISHED = "orbax-checkpoint-tmp"
_SILENCE = 10 * LEASE
"""Seconds without a change after which a checkpoint of another machine counts as left behind."""
_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)


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
        """Save the state of trials, replacing what was saved or found before.

        Raises OSError, saying why, if that fails for any reason; then nothing has changed.
        """
        path = self.folder / f"{self.program}_{owner()}_{secrets.token_hex(4)}"
        with _saving_errors(self.folder, path):
            _save(path, columns)
        self.clear()
        self._latest = path
        for old_path, state in list(self._cache.items()):
            if state is not None and np.isin(state["trial"], columns["trial"]).all():
                del self._cache[old_path]
                _remove(old_path)

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
            _remove(self._latest)
            self._latest = None
            with suppress(OSError):  # not empty if another process has checkpoints
                self.folder.rmdir()

    def _states(self) -> list[Columns]:
        for path in _folders(self.folder):
            match = _CHECKPOINT_NAME.fullmatch(path.name)
            if match and match["program"] == self.program and path not in self._cache:
                self._cache[path] = read_checkpoint(path)
        return [columns for columns in self._cache.values() if columns is not None]


def count_checkpoints(folder: Path) -> int:
    """The number of complete checkpoints in a store."""
    return sum(_UNFINISHED not in path.name for path in _folders(folder / CHECKPOINTS))


def clear_checkpoints(folder: Path, done: np.ndarray, silence: float = _SILENCE) -> None:
    """Remove checkpoints of dead processes if all their trials are done, or if incomplete.

    Args:
        folder: The folder of the store.
        done: Ids of committed trials.
        silence: Seconds without a change after which a process of another machine counts as dead.
    """
    checkpoints = Path(folder).absolute() / CHECKPOINTS
    for path in _folders(checkpoints):
        match = _CHECKPOINT_NAME.match(path.name)
        if match is None or not _is_left(path, match["owner"], silence):
            continue
        columns = read_checkpoint(path) if _CHECKPOINT_NAME.fullmatch(path.name) else None
        if columns is None or np.isin(columns["trial"], done).all():
            _remove(path)
    with suppress(OSError):
        checkpoints.rmdir()


def _is_left(path: Path, owner: str, silence: float) -> bool:
    """Whether nobody writes a checkpoint any more, and it is one: what is strange is left alone."""
    try:
        changed = max(state.st_mtime for _, state in plain_states(path))
        gone = owner_is_gone(owner)
        return file_system_time(path.parent) - changed > silence if gone is None else gone
    except OSError:  # also if it vanishes meanwhile
        return False


def _folders(checkpoints: Path) -> list[Path]:
    """The folders in the folder of checkpoints, unless that is a link."""
    with suppress(OSError), open_folder(checkpoints) as folder:
        paths = [checkpoints / name for name in sorted(os.listdir(folder))]
        return [path for path in paths if is_folder(path)]
    return []


def _save(path: Path, columns: Columns) -> None:
    import orbax.checkpoint as ocp  # takes seconds and imports jax

    if os.path.lexists(path.parent) and not is_folder(path.parent):
        raise NotADirectoryError(errno.ENOTDIR, f"{path.parent} is a link or a file. Remove it")
    with quiet_orbax(), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, {**columns, "digest": digest_of(columns)})


@contextmanager
def _saving_errors(folder: Path, path: Path) -> Iterator[None]:
    """Turn any error into a short OSError, and remove what was written of a checkpoint."""
    try:
        yield
    except BaseException as error:
        for part in _folders(folder):
            if part.name.startswith(path.name):
                _remove(part)
        with suppress(OSError):
            folder.rmdir()
        if not isinstance(error, Exception) or isinstance(error, SweepError):
            raise  # a signal
        raise _short(error) from error


def _short(error: Exception) -> OSError:
    """The reason in an error of orbax, whose text has hundreds of lines."""
    if isinstance(error, OSError):
        return error
    for number in _ERRORS:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number))
    lines = str(error).splitlines() or [type(error).__name__]
    return OSError(errno.EIO, lines[0][:200])


def _remove(path: Path) -> None:
    """Remove a checkpoint, but nothing behind a link."""
    with suppress(OSError), open_folder(path.parent) as folder:
        shutil.rmtree(path.name, ignore_errors=True, dir_fd=folder)
