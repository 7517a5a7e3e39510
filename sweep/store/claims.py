"""Claims on slices of the work, so that workers that share a folder do not repeat each other's.

Claims only save time: a trial that was trained twice is still committed once (`commit_log`). Each
process has one file that it touches every few seconds, and a claim is a hard link to it. Links are
created atomically, and all claims of a process are as recent as its file. A claim expires when its
process is gone from this machine, or has not touched its file for a lease (`leases`), here or
elsewhere. A process that hangs stops touching its file. One that wakes up without its claims goes
on: what others have committed meanwhile is left out of its commits.

A rewrite of the store is another matter, since it would do harm beside a process that wakes up. A
process that exists on this machine keeps rewrites out, and goes on with its own, however silent.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sweep.errors import StoreError
from sweep.store.claim_files import WORKER, ClaimFiles, worker_name
from sweep.store.directory import is_abandoned
from sweep.store.io_errors import writing_errors
from sweep.store.layout import CLAIMS
from sweep.store.leases import LEASE, TOUCHES, Watch
from sweep.store.owners import owner_is_gone
from sweep.store.registration import Registration

_EXCLUSIVE = "alone"  # as in earlier versions, which may use the same store
_ENTERED: Counter[Path] = Counter()
"""How many objects of this process claim in a folder; its one file stands for them all."""


def live_workers(folder: Path, lease: float = LEASE) -> list[str]:
    """Live processes in a store, found without writing to it.

    Those of other machines are judged by the clock of this one; `lease` is in seconds.
    """
    files, workers = ClaimFiles(Path(folder)), list[str]()
    with suppress(OSError, StoreError):
        for name in files.workers():
            gone = owner_is_gone(worker_name(name))
            if gone is None:
                file = files.find(name)
                gone = file is None or time.time() - file.state.st_mtime > lease
            if not gone:
                workers.append(worker_name(name))
    return workers


class Claims:
    """The claims of this process in a store; a context manager that releases them at its end.

    Args:
        folder: The folder of the store.
        lease: Seconds after which a silent process is taken for dead.
        patient: Whether to wait for another process that rewrites the store, and not to fail.
    """

    def __init__(self, folder: Path, lease: float = LEASE, patient: bool = False) -> None:
        self.folder, self.lease, self.patient = Path(folder) / CLAIMS, lease, patient
        self._files = ClaimFiles(Path(folder))
        self._registration = Registration(self._files, lease)
        self.worker_file = self.folder / self._registration.file
        self._watch = Watch(lease)
        self._key = Path(os.path.realpath(self.folder))  # a loop of links raises nothing
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        with writing_errors(self.folder):
            self._registration.create()
            self._clear()
            while (holder := self._holder(_EXCLUSIVE)) and self.patient:
                time.sleep(self.lease / TOUCHES / 10)
        if holder:
            self._files.remove(self.worker_file.name)
            raise StoreError(
                f"{self.folder.parent} is being rewritten by {holder}. "
                "Run the same command again later."
            )
        self._registration.start()
        _ENTERED[self._key] += 1
        return self

    def __exit__(self, *_: object) -> None:
        _ENTERED[self._key] -= 1
        self._registration.end()
        for name in list(self._names):
            self.release(name)
        with suppress(OSError, StoreError):
            self._clear()
        if _ENTERED[self._key]:
            return
        with suppress(OSError, StoreError):  # the folder is not empty while other processes use it
            self._files.remove(self.worker_file.name)
            self.folder.rmdir()

    def take(self, name: str) -> bool:
        """Claim `name`; False if a live process, perhaps this one, has claimed it.

        Raises StoreError if the folder cannot be written, or what is no claim has the name.
        """
        with writing_errors(self.folder):
            if self._holds(name):
                return False
            # The second attempt follows the removal of an expired claim, or a new registration.
            for _ in range(2):
                try:
                    if self._files.link(self.worker_file.name, name):
                        self._names.add(name)
                        return True
                except FileNotFoundError:  # another process took this one for dead
                    self._registration.create()
                    continue
                if not self._has_expired(name):
                    self._require_claim(name)
                    return False
                self._files.remove(name)
        return False

    def release(self, name: str) -> None:
        """Release a claim, unless others took this process for dead and hold it now."""
        self._names.discard(name)
        with suppress(OSError, StoreError):
            file = self._files.find(name)
            if file and file.owner == self._registration.owner:
                self._files.remove(name)

    def _holds(self, name: str) -> bool:
        """Whether this object has claimed a name, and nobody took the claim away since."""
        if name not in self._names:
            return False
        file = self._files.find(name)
        return file is not None and not self._has_expired(name)

    def note_progress(self) -> None:
        """Tell that this process is not hung.

        Once this was called, its claims expire unless it is called every few minutes.
        """
        self._registration.note_progress()

    def other_workers(self) -> list[str]:
        """The other processes in the store, without those that are dead or silent."""
        names = [name for name in self._files.workers() if name != self.worker_file.name]
        return [worker_name(name) for name in names if not self._has_expired(name)]

    @contextmanager
    def rewriting(self) -> Iterator[None]:
        """Keep others from rewriting the store, while they may be at work in it.

        Raises StoreError if another process is rewriting it.
        """
        with writing_errors(self.folder):
            self._wait_for_verdict(_EXCLUSIVE)
            holder = "" if self.take(_EXCLUSIVE) else self._holder(_EXCLUSIVE) or "another process"
        if holder:
            raise StoreError(
                f"{self.folder.parent} is being rewritten by {holder}. Try again later."
            )
        try:
            yield
        finally:
            self.release(_EXCLUSIVE)

    @contextmanager
    def exclusive(self, purpose: str) -> Iterator[None]:
        """Keep other processes out while the store is rewritten.

        Raises StoreError if any is at work in it; `purpose` completes "To ..." in its message.
        """
        with self.rewriting():
            with writing_errors(self.folder):
                for name in self._files.workers():
                    self._wait_for_verdict(name)
                workers = [self._describe(f"{WORKER}{name}") for name in self.other_workers()]
            if _ENTERED[self._key] > 1:
                workers.append("this process itself")
            if workers:
                raise StoreError(
                    f"To {purpose}, no other process may use {self.folder.parent}. "
                    f"In use by {', '.join(workers)}. Try again later."
                )
            yield

    def require_exclusive(self) -> None:
        """Raise StoreError unless this process still has the store to itself."""
        file = self._files.find(_EXCLUSIVE)
        is_own = file is not None and file.owner == self._registration.owner
        if not is_own or _EXCLUSIVE not in self._names:
            raise StoreError(
                f"{self.folder.parent} was given to another process while this one was suspended. "
                "Run the same command again."
            )

    def _clear(self) -> None:
        """Remove the claims and files of processes that are gone, half-written ones as well."""
        for name in self._files.names():
            with suppress(PermissionError):  # of another user, in a folder that protects them
                if is_abandoned(name) or self._has_expired(name):
                    self._files.remove(name)

    def _require_claim(self, name: str) -> None:
        """Raise StoreError if what has the name of a claim is none, so that it would never go."""
        if self._files.is_foreign(name):
            raise StoreError(
                f"{self.folder / name} is in the way of a claim and is none. "
                "Move it elsewhere and run the same command again."
            )

    def _holder(self, name: str) -> str:
        """The live process that holds a claim, in words; "" if none does."""
        return "" if self._wait_for_verdict(name) else self._describe(name)

    def _describe(self, name: str) -> str:
        """The process of a file, and for how long it has been silent if that is strange."""
        file = self._files.find(name)
        if file is None:
            return ""
        seconds = self._registration.touch() - file.state.st_mtime
        # One of another machine that is silent has expired; if it looks old, its clock is wrong.
        silent = seconds > self.lease and owner_is_gone(file.owner) is False
        hint = f" (silent for {seconds:.0f} s: end it if it hangs)" if silent else ""
        return file.owner + hint

    def _wait_for_verdict(self, name: str) -> bool:
        """Whether a file has expired; one that looks old is watched for some seconds."""
        while (expired := self._has_expired(name)) is None:
            time.sleep(self.lease / TOUCHES / 10)
        return expired

    def _has_expired(self, name: str) -> bool | None:
        """Whether a claim or worker file is of a process that is gone or silent.

        None if it looks silent but was not watched for long enough.
        """
        file = self._files.find(name)
        if file is None:
            return False
        if file.owner == self._registration.owner:
            return name not in self._names and not self._registration.is_current(file)
        gone = owner_is_gone(file.owner)
        if gone or (gone is False and (name == _EXCLUSIVE or worker_name(name))):
            return gone
        return self._watch.has_expired(name, file.state, self._registration.touch())
