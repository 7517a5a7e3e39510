"""The files in the folder of claims: one of each process, and hard links to it, the claims."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweep.store.directory import Directory
from sweep.store.layout import CLAIMS
from sweep.store.owners import is_owner

WORKER = "worker-"
"""Prefix of the file of a process, which its name follows."""
_LONGEST = 1024
"""Bytes of the longest text that is read."""


@dataclass(frozen=True)
class ClaimFile:
    """A claim or the file of a process.

    Attributes:
        owner: The process; "" if that was never written.
        state: The state of the file.
    """

    owner: str
    state: os.stat_result


class ClaimFiles:
    """The folder of claims; it appears with the first file and goes with the last.

    It is opened anew for each step, as others remove it meanwhile. All methods raise OSError, and
    StoreError if the folder is a link or a file.

    Args:
        store: The folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self.store = store

    def names(self) -> list[str]:
        """Names of all files."""
        with suppress(FileNotFoundError):
            return self._folder().names()
        return []

    def workers(self) -> list[str]:
        """Names of the files of processes."""
        return [name for name in self.names() if worker_name(name) and self.find(name)]

    def find(self, name: str) -> ClaimFile | None:
        """A file; None if it is missing or not of this program."""
        with suppress(FileNotFoundError):
            folder = self._folder()
            text, state = None, folder.status(name)
            if state is None or not stat.S_ISREG(state.st_mode):
                return None
            with suppress(PermissionError, ValueError), folder.open(name) as file:
                # A network file system asks its server for the state of a file that is opened.
                state = os.fstat(file.fileno())
                if state.st_size <= _LONGEST:
                    text = file.read(_LONGEST).decode(errors="replace")
            # The file of a process is named after it: its text may be missing after a crash.
            who = worker_name(name) or (None if text is None else text.strip("\0\n "))
            if who is not None and (is_owner(who) or not who):
                return ClaimFile(who, state)
        return None

    def is_foreign(self, name: str) -> bool:
        """Whether something has the name of a claim and is none, so that it would never go."""
        with suppress(FileNotFoundError):
            folder = self._folder()
            before = folder.status(name)
            found = self.find(name)
            # A claim may be released, and taken by another process, at any moment.
            after = folder.status(name)
            if before and after and found is None:
                return os.path.samestat(before, after)
        return False

    def create(self, name: str, text: str) -> None:
        """Write a file, and the folder if that is missing; nothing is left of a failed attempt."""
        while True:
            self.store.mkdir(parents=True, exist_ok=True)
            # A process that leaves last removes the folder, perhaps right now.
            with suppress(FileNotFoundError):
                folder = Directory(self.store).folder(CLAIMS, create=True)
                folder.write_once(name, text.encode())
                return

    def link(self, old: str, new: str) -> bool:
        """Link a file under another name; False if that is taken."""
        folder = self._folder()
        return folder.link(old, folder, new)

    def touch(self, name: str) -> float:
        """Touch a file and return its time, by the clock of the file system, in seconds."""
        with self._folder().open(name) as file:
            os.utime(file.fileno())
            return os.fstat(file.fileno()).st_mtime

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError):
            self._folder().remove(name)

    def _folder(self) -> Directory:
        return Directory(self.store).folder(CLAIMS)


def worker_name(file: str) -> str:
    """The process of which a file is, "" if it is not the file of a process but perhaps a claim."""
    name = file.removeprefix(WORKER)
    return name if name != file and is_owner(name) else ""
