"""Progress of a worker, sent to its parent as lines of JSON."""

from __future__ import annotations

import json
import time
from typing import TextIO

from sweep.workers.progress import Clock, Progress, RateEstimate


class PipeProgress(Progress):
    """Lines of JSON for a parent process, which passes them on by `relay_line`.

    Args:
        stream: a pipe to the parent.
        interval: least number of seconds between two lines of counts.
        clock: tells the time in seconds.
    """

    def __init__(
        self, stream: TextIO, interval: float = 0.2, clock: Clock = time.monotonic
    ) -> None:
        self._stream, self._interval, self._clock = stream, interval, clock
        self._tally, self._last_report = RateEstimate(0, 0, 0.0), clock()

    def start(self, total: int, done: int) -> None:
        """Nothing: the parent counts for all workers."""

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self._tally.add(trials, lane_steps, compiles)
        if self._clock() - self._last_report >= self._interval:
            self._report()

    def say(self, text: str) -> None:
        print(json.dumps({"say": text}), file=self._stream, flush=True)

    def close(self) -> None:
        self._report()

    def _report(self) -> None:
        """Send the counts since the last report: the parent adds those of all workers."""
        tally = self._tally
        self._tally, self._last_report = RateEstimate(0, 0, 0.0), self._clock()
        counts = [tally.trials, tally.lane_steps, tally.compiles]
        print(json.dumps(counts), file=self._stream, flush=True)


def relay_line(line: str, progress: Progress) -> None:
    """Pass a line of `PipeProgress` on to `progress`; any other line as a sentence."""
    try:
        report = json.loads(line)
    except ValueError:
        # A library printed something on standard output: better shown than lost.
        report = {"say": line.rstrip()}
    if isinstance(report, list):
        progress.advance(*report)
    elif isinstance(report, dict):
        progress.say(report["say"])
