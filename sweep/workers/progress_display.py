"""Progress for people: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichBar

from sweep.workers.lenient_stream import LenientStream
from sweep.workers.progress import Clock, Progress, RateEstimate


class ProgressBar(Progress):
    """A live bar on a terminal."""

    def __init__(self, stream: TextIO | LenientStream, clock: Clock = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._tally = RateEstimate(0, 0, clock())
        self._bar: RichBar | None = None

    def start(self, total: int, done: int) -> None:
        self._tally = RateEstimate(total, done, self._clock())
        text = TextColumn("{task.description}", markup=False)
        console = Console(file=cast(TextIO, self._stream))
        self._bar = RichBar(BarColumn(), text, console=console, get_time=self._clock)
        self._bar.add_task(self._text(), total=total, completed=done)
        self._bar.start()

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self._tally.add(trials, lane_steps, compiles)
        if self._bar:
            self._bar.update(self._bar.task_ids[0], advance=trials, description=self._text())

    def say(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        if self._bar:
            self._bar.stop()

    def _text(self) -> str:
        return self._tally.text(self._clock())


class LineProgress(Progress):
    """Plain lines for a log file.

    Args:
        stream: where lines are written.
        interval: least number of seconds between two lines, except for one at the end.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        stream: TextIO | LenientStream,
        interval: float = 10.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._stream, self._interval, self._clock = stream, interval, clock
        self._tally: RateEstimate | None = None
        self._last_report = 0.0

    def start(self, total: int, done: int) -> None:
        self._last_report = self._clock()
        self._tally = RateEstimate(total, done, self._last_report)

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        if self._tally:
            self._tally.add(trials, lane_steps, compiles)
        if self._clock() - self._last_report >= self._interval:
            self._report()

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        self._report()
        self._tally = None

    def _report(self) -> None:
        if self._tally:
            self._last_report = self._clock()
            self.say(self._tally.text(self._last_report))


def terminal_progress(stream: TextIO | None = None) -> Progress:
    """A bar if `stream` (by default standard error) is a terminal, otherwise plain lines.

    What cannot be written is lost, and no error.
    """
    output = LenientStream(stream or sys.stderr)
    return ProgressBar(output) if output.isatty() else LineProgress(output)
