"""What a worker has of its parent: a socket that takes its reports and closes when the parent ends.

Reports do not go over standard output, which belongs to plugins and libraries.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import suppress

from sweep.workers.progress import Clock, Progress, RateEstimate


class ParentLink(Progress):
    """Progress of a worker, sent to its parent as lines of JSON, which `relay_report` reads.

    A parent that is gone is no error here: the process ends by SIGTERM as soon as it notices.

    Args:
        connection: a socket whose other end only the parent has.
        interval: least number of seconds between two reports of counts.
        clock: tells the time in seconds.
    """

    def __init__(
        self, connection: socket.socket, interval: float = 0.2, clock: Clock = time.monotonic
    ) -> None:
        self._connection, self._interval, self._clock = connection, interval, clock
        self._tally, self._last_report = RateEstimate(0, 0, 0.0), clock()

    @classmethod
    def from_descriptor(cls, descriptor: int) -> ParentLink:
        """The link over an inherited descriptor, which children of this process do not inherit."""
        os.set_inheritable(descriptor, False)
        return cls(socket.socket(fileno=descriptor))

    def end_with_parent(self) -> None:
        """End this process by SIGTERM when its parent ends."""
        threading.Thread(target=self._wait_for_parent, daemon=True).start()

    def start(self, total: int, done: int) -> None:
        """Nothing: the parent counts for all workers."""

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self._tally.add(trials, lane_steps, compiles)
        self.tick()

    def tick(self) -> None:
        if self._clock() - self._last_report >= self._interval:
            self._report()

    def say(self, text: str) -> None:
        self._send({"say": text})

    def close(self) -> None:
        self._report()

    def _report(self) -> None:
        """Send the counts since the last report: the parent adds those of all workers."""
        tally = self._tally
        self._tally, self._last_report = RateEstimate(0, 0, 0.0), self._clock()
        self._send([tally.trials, tally.lane_steps, tally.compiles])

    def _send(self, report: object) -> None:
        with suppress(OSError):
            self._connection.sendall(json.dumps(report).encode() + b"\n")

    def _wait_for_parent(self) -> None:
        # The parent sends nothing, and the system closes its end however it ends.
        with suppress(OSError):
            self._connection.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)


def relay_report(line: str, progress: Progress) -> None:
    """Pass a report of `ParentLink` on to `progress`; ignore anything else.

    Zero counts are a sign of life only.
    """
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return
    match report:
        case [int(trials), int(lane_steps), int(compiles)] if any(report):
            progress.advance(trials, lane_steps, compiles)
        case {"say": str(text)}:
            progress.say(text)
