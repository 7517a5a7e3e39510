"""Who trains what at the moment, so that workers that share a folder do not do the same work.

Nothing but time depends on claims: a trial that was trained twice is still committed once (`log`). A process has one
file that it touches every few seconds, and a claim is a hard link to it: links are made atomically, and all claims of
a process are as fresh as its file. A claim falls to others when its process is gone on this host, or has not touched
its file for a lease by the clock of the file system.
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
from sweep.store.atomic_files import is_owner, owner, owner_is_gone, writing_errors

ALONE = "alone"
_WORKER = "worker-"


def at_work(folder: Path, lease: float = 60.0) -> list[str]:
    """The live processes at work in a store, for those who may not write there; of other hosts by the clock of this."""
    found = list[str]()
    for path in (Path(folder) / "claims").glob(f"{_WORKER}*"):
        name = path.name.removeprefix(_WORKER)
        with suppress(FileNotFoundError):
            over = owner_is_gone(name) if is_owner(name) else True
            if over is False or (over is None and time.time() - path.stat().st_mtime <= lease):
                found.append(name)
    return sorted(found)


class Claims:
    """The claims of this process in the folder of a store; a context manager that gives them all back at its end."""

    def __init__(self, folder: Path, lease: float = 60.0) -> None:
        self.folder, self.lease = Path(folder) / "claims", lease
        self.own = self.folder / f"{_WORKER}{owner()}"
        self._held: set[str] = set()
        self._end = threading.Event()

    def __enter__(self) -> Self:
        with writing_errors(self.folder):
            self._register()
            self._clear()
        if holder := self._holder(ALONE):
            self.own.unlink(missing_ok=True)
            raise StoreError(f"{self.folder.parent} is being rewritten by {holder}. Run the same command again later.")
        threading.Thread(target=self._keep_fresh, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for name in list(self._held):
            self.release(name)
        with suppress(OSError):  # not empty where others are at work
            self.own.unlink(missing_ok=True)
            self.folder.rmdir()

    def take(self, name: str) -> bool:
        """Claim something; False where another live process has it."""
        with writing_errors(self.folder):
            for _ in range(2):
                try:
                    os.link(self.own, self.folder / name)
                except FileExistsError:
                    if not self._is_dead(self.folder / name):
                        return False
                    (self.folder / name).unlink(missing_ok=True)
                except FileNotFoundError:  # others took this process for dead
                    self._register()
                else:
                    self._held.add(name)
                    return True
        return False

    def release(self, name: str) -> None:
        """Give a claim back."""
        self._held.discard(name)
        with suppress(OSError):
            if (self.folder / name).samefile(self.own):
                (self.folder / name).unlink(missing_ok=True)

    def others(self) -> list[str]:
        """The other live processes at work in the store."""
        alive = (path for path in self.folder.glob(f"{_WORKER}*") if path != self.own and not self._is_dead(path))
        return sorted(path.name.removeprefix(_WORKER) for path in alive)

    @contextmanager
    def alone(self, purpose: str) -> Iterator[None]:
        """Keep all others out while the store is rewritten. Raises StoreError where some are at work in it."""
        if not self.take(ALONE):
            raise StoreError(f"{self.folder.parent} is being rewritten by {self._holder(ALONE)}. Try again later.")
        try:
            if others := self.others():
                who = ", ".join(others)
                raise StoreError(f"To {purpose}, nobody may work in {self.folder.parent}, but {who} does. Try later.")
            yield
        finally:
            self.release(ALONE)

    def _register(self) -> None:
        while not self.own.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the last of the others has just left
                self.own.write_text(self.own.name.removeprefix(_WORKER))

    def _keep_fresh(self) -> None:
        while not self._end.wait(self.lease / 6):
            with suppress(OSError):
                os.utime(self.own)

    def _clear(self) -> None:
        """Remove the claims and files of processes that are gone."""
        for path in self.folder.iterdir():
            if self._is_dead(path):
                path.unlink(missing_ok=True)

    def _holder(self, name: str) -> str:
        """The live process that has claimed something, "" where there is none."""
        path = self.folder / name
        with suppress(OSError):
            return "" if self._is_dead(path) else path.read_text()
        return ""

    def _is_dead(self, path: Path) -> bool:
        """Is it a claim or a file of a process that is gone, or that has not been heard of for a lease?"""
        with suppress(FileNotFoundError):
            text, touched = path.read_text(errors="replace"), path.stat().st_mtime
            if not is_owner(text):
                return False
            over = owner_is_gone(text)
            if over is None:
                os.utime(self.own)
                over = self.own.stat().st_mtime - touched > self.lease
            return over
        return False
