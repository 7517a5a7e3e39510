"""When a file that its owner touches every few seconds is given up: after a lease.

The time of the last touch is compared with the clock of the file system, which all machines share.
After a step of that clock by hours all files look old at once, or seem to come from the future. So
what looks wrong by the clock is given up only once it has also not changed while this process
watched it for as long as a few of the touches that it should have had.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LEASE = 60.0
"""Seconds after which a process that has given no sign of life is taken for dead."""
TOUCHES = 24
"""Touches of its file by a live process in the time of a lease."""
_WATCHED_TOUCHES = 2


class Watch:
    """What one process has seen of the files of others.

    Args:
        lease: In seconds.
        clock: Seconds from an arbitrary origin that never jumps.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.lease, self.clock = lease, clock
        self._first_seen: dict[str, tuple[tuple[int, int], float]] = {}

    def has_expired(self, name: str, state: os.stat_result, now: float) -> bool | None:
        """Whether a file is given up; None if it looks old but was not watched for long enough.

        One that changed since it was last seen is not, however old it looks: on some file systems
        the times are those of the machine that touches a file, whose clock may be wrong.

        Args:
            name: Name of the file.
            state: Its present state.
            now: Time by the clock of the file system, in seconds.
        """
        mark = state.st_ino, state.st_mtime_ns
        seen, since = self._first_seen.get(name, (None, 0.0))
        if seen != mark:
            since = self.clock()
            self._first_seen[name] = mark, since
        if abs(now - state.st_mtime) <= self.lease or seen not in (None, mark):
            return False
        watched = self.clock() - since
        return True if watched > _WATCHED_TOUCHES * self.lease / TOUCHES else None


def file_system_time(folder: Path) -> float:
    """Time by the clock of the file system of a folder, in seconds.

    Raises OSError if the folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.fstat(file.fileno()).st_mtime
