"""The file by which a process tells others in the folder of claims that it is at work."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from sweep.errors import StoreError
from sweep.store.claim_files import WORKER, ClaimFile, ClaimFiles
from sweep.store.leases import TOUCHES
from sweep.store.owners import owner

PATIENCE = 10
"""Leases without progress after which a process counts as hung; compiling takes minutes."""


class Registration:
    """The file of this process, touched by a thread for as long as the process makes progress.

    Args:
        files: The folder of claims.
        lease: Seconds after which others take a silent process for dead.
    """

    def __init__(self, files: ClaimFiles, lease: float) -> None:
        self.files, self.lease, self.owner = files, lease, owner()
        self.file = f"{WORKER}{self.owner}"
        self._progress_at: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_fresh, daemon=True)

    def create(self) -> None:
        """Write the file unless it is there. Raises OSError, and then leaves nothing behind."""
        self.files.create(self.file, self.owner)

    def start(self) -> None:
        """Touch the file from now on."""
        self._thread.start()

    def end(self) -> None:
        """Touch it no more."""
        self._ended.set()
        # No longer than this: the thread may hang in a dead file system.
        self._thread.join(self.lease / TOUCHES)

    def touch(self) -> float:
        """Touch the file; returns the time by the clock of the file system, in seconds."""
        while True:
            with suppress(FileNotFoundError):
                return self.files.touch(self.file)
            self.create()  # another process took this one for dead

    def note_progress(self) -> None:
        """Tell that the process is not hung. Once called, it has to be called again and again."""
        self._progress_at = time.monotonic()

    def is_current(self, claim: ClaimFile) -> bool:
        """Whether a claim of this process is a link to its present file, not to a lost one."""
        own_file = self.files.find(self.file)
        return own_file is None or own_file.state.st_ino == claim.state.st_ino

    def _keep_fresh(self) -> None:
        while not self._ended.wait(self.lease / TOUCHES):
            if not self._is_hung():
                with suppress(OSError, StoreError):
                    self.touch()

    def _is_hung(self) -> bool:
        if self._progress_at is None:
            return False
        return time.monotonic() - self._progress_at > PATIENCE * self.lease
