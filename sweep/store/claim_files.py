"""The files in the folder of claims: one of each process, and hard links to it, the claims.

The folder is opened anew for each step, without following a link: what lies behind one is not ours.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweep.store.owners import is_owner
from sweep.store.plain_files import open_folder, read_text

WORKER = "worker-"
"""Prefix of the file of a process, which its name follows."""


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
    """The folder of claims; it appears with the first file and goes with the last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Names of all files."""
        with suppress(FileNotFoundError), open_folder(self.folder) as folder:
            return sorted(os.listdir(folder))
        return []

    def workers(self) -> list[str]:
        """Names of the files of processes."""
        names = [name for name in self.names() if is_owner(worker_name(name))]
        return [name for name in names if self.find(name)]

    def find(self, name: str) -> ClaimFile | None:
        """A file; None if it is missing or not of this program."""
        with suppress(FileNotFoundError), open_folder(self.folder) as folder:
            text, state = read_text(name, folder)
            if not stat.S_ISREG(state.st_mode):
                return None
            # The file of a process is named after it: its text may be missing after a crash.
            who = worker_name(name) or (None if text is None else text.strip("\0\n "))
            if who is not None and (is_owner(who) or not who):
                return ClaimFile(who, state)
        return None

    def create(self, name: str, text: str) -> None:
        """Write a file, and the folder if that is missing; nothing is left of a failed attempt.

        Raises OSError: FileExistsError if there is one.
        """
        while True:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A process that leaves last removes the folder, perhaps right now.
            with suppress(FileNotFoundError), open_folder(self.folder) as folder:
                _write(name, text, folder)
                return

    def link(self, old: str, new: str) -> None:
        """Link a file under another name. Raises FileExistsError, FileNotFoundError, OSError."""
        with open_folder(self.folder) as folder:
            os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)

    def touch(self, name: str) -> float:
        """Touch a file and return its time, by the clock of the file system, in seconds."""
        with open_folder(self.folder) as folder:
            os.utime(name, dir_fd=folder, follow_symlinks=False)
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        with suppress(FileNotFoundError), open_folder(self.folder) as folder:
            os.unlink(name, dir_fd=folder)


def worker_name(file: str) -> str:
    """The process of which a file is, "" if it is not the file of a process but perhaps a claim."""
    return file.removeprefix(WORKER) if file.startswith(WORKER) else ""


def _write(name: str, text: str, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    file = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        os.write(file, text.encode())
        os.fsync(file)  # a network file system tells only now that the disk is full
    except OSError:
        os.unlink(name, dir_fd=folder)
        raise
    finally:
        os.close(file)
