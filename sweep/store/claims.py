"""Claims on slices of the work, so that workers that share a folder do not repeat each other's.

Claims only save time: a trial that was trained twice is still committed once (`commit_log`). Each
process has one file that it touches every few seconds, and a claim is a hard link to it. Links are
created atomically, and all claims of a process are as recent as its file. A claim expires when its
process is gone from this host, or has not touched its file for the length of a lease, by the clock
of the file system.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sweep.errors import StoreError
from sweep.store.io_errors import writing_errors
from sweep.store.layout import CLAIMS
from sweep.store.owners import is_owner, owner, owner_is_gone

_EXCLUSIVE = "alone"  # as in earlier versions, which may use the same store
_WORKER = "worker-"


def live_workers(folder: Path, lease: float = 60.0) -> list[str]:
    """Live processes in a store, found without writing to it.

    Processes of other hosts are judged by the clock of this host; `lease` is in seconds.
    """
    workers = list[str]()
    for path in (Path(folder) / CLAIMS).glob(f"{_WORKER}*"):
        name = path.name.removeprefix(_WORKER)
        with suppress(FileNotFoundError):
            gone = owner_is_gone(name) if is_owner(name) else True
            if gone is None:
                gone = time.time() - path.stat().st_mtime > lease
            if not gone:
                workers.append(name)
    return sorted(workers)


class Claims:
    """The claims of this process in a store; a context manager that releases them at its end.

    Args:
        folder: The folder of the store.
        lease: Seconds after which a silent process of another host is taken for dead.
    """

    def __init__(self, folder: Path, lease: float = 60.0) -> None:
        self.folder, self.lease = Path(folder) / CLAIMS, lease
        self.worker_file = self.folder / f"{_WORKER}{owner()}"
        self._names: set[str] = set()
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        with writing_errors(self.folder):
            self._register()
            self._clear()
        if holder := self._holder(_EXCLUSIVE):
            self.worker_file.unlink(missing_ok=True)
            raise StoreError(
                f"{self.folder.parent} is being rewritten by {holder}. "
                "Run the same command again later."
            )
        threading.Thread(target=self._keep_fresh, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for name in list(self._names):
            self.release(name)
        with suppress(OSError):  # the folder is not empty while other processes use it
            self.worker_file.unlink(missing_ok=True)
            self.folder.rmdir()

    def take(self, name: str) -> bool:
        """Claim `name`; False if another live process has claimed it."""
        with writing_errors(self.folder):
            # The second attempt follows the removal of an expired claim, or a new registration.
            for _ in range(2):
                try:
                    os.link(self.worker_file, self.folder / name)
                except FileExistsError:
                    if not self._has_expired(self.folder / name):
                        return False
                    (self.folder / name).unlink(missing_ok=True)
                except FileNotFoundError:  # another process took this one for dead
                    self._register()
                else:
                    self._names.add(name)
                    return True
        return False

    def release(self, name: str) -> None:
        """Release a claim."""
        self._names.discard(name)
        with suppress(OSError):
            if (self.folder / name).samefile(self.worker_file):
                (self.folder / name).unlink(missing_ok=True)

    def other_workers(self) -> list[str]:
        """The other live processes in the store."""
        paths = [path for path in self.folder.glob(f"{_WORKER}*") if path != self.worker_file]
        alive = [path for path in paths if not self._has_expired(path)]
        return sorted(path.name.removeprefix(_WORKER) for path in alive)

    @contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        """Keep other processes out while the store is rewritten.

        Raises StoreError if any is at work in it; `purpose` completes "To ..." in its message.
        """
        if not self.take(_EXCLUSIVE):
            holder = self._holder(_EXCLUSIVE)
            raise StoreError(
                f"{self.folder.parent} is being rewritten by {holder}. Try again later."
            )
        try:
            if workers := self.other_workers():
                raise StoreError(
                    f"To {purpose}, no other process may use {self.folder.parent}. "
                    f"In use by {', '.join(workers)}. Try again later."
                )
            yield
        finally:
            self.release(_EXCLUSIVE)

    def _register(self) -> None:
        while not self.worker_file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # A process that leaves last removes the folder, perhaps right now.
            with suppress(FileNotFoundError):
                self.worker_file.write_text(self.worker_file.name.removeprefix(_WORKER))

    def _keep_fresh(self) -> None:
        while not self._closed.wait(self.lease / 6):
            with suppress(OSError):
                os.utime(self.worker_file)

    def _clear(self) -> None:
        """Remove the claims and files of processes that are gone."""
        for path in self.folder.iterdir():
            if self._has_expired(path):
                path.unlink(missing_ok=True)

    def _holder(self, name: str) -> str:
        """The live process that holds a claim, "" if none does."""
        path = self.folder / name
        with suppress(OSError):
            return "" if self._has_expired(path) else path.read_text()
        return ""

    def _has_expired(self, path: Path) -> bool:
        """Whether a claim or worker file is of a process that is gone, or silent for a lease."""
        with suppress(FileNotFoundError):
            text, touched = path.read_text(errors="replace"), path.stat().st_mtime
            if not is_owner(text):
                return False
            gone = owner_is_gone(text)
            if gone is None:
                # Touching our own file reads the clock of the file system, which all hosts share.
                os.utime(self.worker_file)
                gone = self.worker_file.stat().st_mtime - touched > self.lease
            return gone
        return False
