"""The state of long trials, kept by orbax so that a kill costs minutes and not days.

A checkpoint is a folder of arrays with one row a trial. Data is never in it: it is drawn again. It names the process
that wrote it, and what that process wrote before goes when the next one is whole. A digest tells a damaged one, which
is left out: its trials then start from the beginning.
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

from sweep.store.atomic_files import owner, owner_is_gone

Columns = Mapping[str, np.ndarray]
"""Arrays by name, all with one row a trial; `trial` has their ids and `step` the updates made so far."""

_NAME = re.compile(r"(?P<program>[0-9a-f]{16}-\d+)_(?P<owner>.+)_[0-9a-f]{8}")


class Checkpoints:
    """Checkpoints in the folder of a store. `program` names the compiled program, which the bits depend on."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.program = Path(folder).absolute() / "checkpoints", program
        self._last: Path | None = None
        self._known: dict[Path, Columns | None] = {}

    @property
    def written(self) -> bool:
        """Is there something that this object has written?"""
        return self._last is not None

    def save(self, columns: Columns) -> None:
        """Keep the state of these trials in place of what this object kept or found before. Raises OSError."""
        import orbax.checkpoint as ocp

        path = self.folder / f"{self.program}_{owner()}_{secrets.token_hex(4)}"
        with ocp.StandardCheckpointer() as checkpointer:
            checkpointer.save(path, {**columns, "digest": _digest(columns)})
        self.clear()
        self._last = path
        for old, found in list(self._known.items()):
            if found is not None and np.isin(found["trial"], columns["trial"]).all():
                del self._known[old]
                shutil.rmtree(old, ignore_errors=True)

    def find(self, trials: np.ndarray) -> dict[str, np.ndarray]:
        """The latest rows of those of the trials that have some."""
        best: dict[int, tuple[int, Columns, int]] = {}
        for columns in self._tables():
            for row in np.flatnonzero(np.isin(columns["trial"], trials)):
                trial, step = int(columns["trial"][row]), int(columns["step"][row])
                if trial not in best or best[trial][0] < step:
                    best[trial] = step, columns, int(row)
        if not best:
            return {}
        names = set.intersection(*(set(columns) for _, columns, _ in best.values()))
        return {name: np.stack([columns[name][row] for _, columns, row in best.values()]) for name in names}

    def clear(self) -> None:
        """Remove what this object has written: its trials have ended, or are in a newer one."""
        if self._last is not None:
            shutil.rmtree(self._last, ignore_errors=True)
            self._last = None
            with suppress(OSError):  # others may have something in it
                self.folder.rmdir()

    def _tables(self) -> list[Columns]:
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match and match["program"] == self.program and path not in self._known:
                    self._known[path] = _read(path)
        return [columns for columns in self._known.values() if columns is not None]


def clear_checkpoints(folder: Path, done: np.ndarray) -> None:
    """Remove checkpoints of processes that are gone where all trials are done, and those that they left half made."""
    place = Path(folder).absolute() / "checkpoints"
    for path in place.iterdir() if place.is_dir() else ():
        match = _NAME.match(path.name)
        if match is None or owner_is_gone(match["owner"]) is False:
            continue
        columns = _read(path) if _NAME.fullmatch(path.name) else None
        if columns is None or np.isin(columns["trial"], done).all():
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        place.rmdir()


def _read(path: Path) -> Columns | None:
    """The arrays of a checkpoint, None where it is damaged."""
    import orbax.checkpoint as ocp

    try:
        with ocp.StandardCheckpointer() as checkpointer:
            found = {name: np.asarray(value) for name, value in checkpointer.restore(path).items()}
        digest = found.pop("digest")
    except Exception:  # orbax has no error of its own for a damaged folder
        return None
    return found if np.array_equal(digest, _digest(found)) else None


def _digest(columns: Columns) -> np.ndarray:
    state = hashlib.blake2b(digest_size=16)
    for name in sorted(columns):
        array = np.ascontiguousarray(columns[name])
        state.update(f"{name} {array.dtype.str} {array.shape}".encode())
        state.update(array.tobytes())
    return np.frombuffer(state.digest(), np.uint8)
