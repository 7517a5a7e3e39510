"""Signs of life of a process of this machine: its reports, and its use of the processor."""

from __future__ import annotations

from dataclasses import dataclass, field

import psutil

LOOK_SECONDS = 5.0
"""Time between two looks at a process."""
SILENCE_SECONDS = 120.0
"""Silence after which it is told of, again after twice that, and so on."""
BUSY_SECONDS = 0.5
"""Processor time that counts as a sign of life; threads in the background need less."""

_STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)


@dataclass
class Silence:
    """How long a process has given no sign of life.

    Silence is counted in looks, so that a parent that was suspended itself has missed nothing.

    Attributes:
        process_id: number of the process.
        seconds: how long it has been silent.
        told: silence that was told of last, 0 before the first time.
    """

    process_id: int
    seconds: float = 0.0
    told: float = 0.0
    _busy: float = field(default=0.0)

    def end(self) -> None:
        """Note a report of the process."""
        self.seconds = self.told = 0.0

    def look(self) -> str:
        """Look again after LOOK_SECONDS: what to tell of the process, "" for nothing."""
        try:
            process = psutil.Process(self.process_id)
            times = process.cpu_times()
            state = process.status()
        except psutil.Error:
            return ""
        self.seconds += LOOK_SECONDS
        busy = times.user + times.system
        if busy - self._busy >= BUSY_SECONDS:
            self._busy = busy
            self.end()
        if self.seconds < max(SILENCE_SECONDS, 2 * self.told):
            return ""
        self.told = self.seconds
        return self._sentence(state)

    def _sentence(self, state: str) -> str:
        """The predicate of a sentence about the process, with cures."""
        since = f"(process {self.process_id}) has not reported for {self.seconds / 60:.0f} min"
        restart = (
            f"`kill -9 {self.process_id}` ends it: it is started again, and written rows are kept."
        )
        if state in _STOPPED:
            return f"{since}, because it is suspended. `kill -CONT {self.process_id}` continues it."
        if state == psutil.STATUS_DISK_SLEEP:
            return f"{since}; it waits for a disk or a network file system."
        return f"{since}, nor used the processor. If it hangs, {restart}"
