"""How far a sweep has come, told to a person: on the host only, never from inside a compiled program."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    import rich.progress

Clock = Callable[[], float]
"""Seconds since some fixed moment."""


class Progress(ABC):
    """Someone who is told how a sweep goes. Use it as a context manager, or call `close` at the end."""

    @abstractmethod
    def start(self, total: int, done: int) -> None:
        """Begin a sweep of `total` trials, of which `done` were committed by earlier runs."""

    @abstractmethod
    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        """Report what happened since the last call: trials ended, updates made over all lanes, programs compiled."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Tell a sentence that should not be lost."""

    @abstractmethod
    def close(self) -> None:
        """End the report."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


@dataclass
class RateEstimate:
    """The counts since `began`, and what they let us expect."""

    total: int
    done: int
    began: float
    trials: int = 0
    lane_steps: int = 0
    compiles: int = 0

    def add(self, trials: int, lane_steps: int, compiles: int) -> None:
        """Count on."""
        self.trials += trials
        self.lane_steps += lane_steps
        self.compiles += compiles

    def seconds_left(self, now: float) -> float | None:
        """Expected time to the end at the rate of this run so far; None while there is no rate."""
        left = self.total - self.done - self.trials
        return (now - self.began) * left / self.trials if self.trials else None

    def text(self, now: float) -> str:
        """All of it in one line."""
        rate = self.lane_steps / max(now - self.began, 1e-9)
        compiles = f"{self.compiles:,} compile{'' if self.compiles == 1 else 's'}"
        left = self.seconds_left(now)
        ending = f", about {duration(left)} left" if left else ""
        return f"{self.done + self.trials:,} of {self.total:,} trials, {rate:.1e} lane-steps/s, {compiles}{ending}"


def duration(seconds: float) -> str:
    """A time in the unit that a person would choose."""
    units = ((100, 1, "s"), (6000, 60, "min"), (48 * 3600, 3600, "h"))
    size, unit = next(((size, unit) for below, size, unit in units if seconds < below), (86400, "days"))
    return f"{seconds / size:.0f} {unit}" if seconds / size >= 10 or unit == "s" else f"{seconds / size:.1f} {unit}"


class ProgressBar(Progress):
    """A live bar on a terminal."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._tally = RateEstimate(0, 0, clock())
        self._bar: rich.progress.Progress | None = None

    def start(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichBar

        self._tally = RateEstimate(total, done, self._clock())
        text = TextColumn("{task.description}", markup=False)
        self._bar = RichBar(BarColumn(), text, console=Console(file=self._stream), get_time=self._clock)
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
    """Plain lines for a log file, at most one in `every` seconds, and one at the end."""

    def __init__(self, stream: TextIO, every: float = 10.0, clock: Clock = time.monotonic) -> None:
        self._stream, self._every, self._clock = stream, every, clock
        self._tally: RateEstimate | None = None
        self._told = 0.0

    def start(self, total: int, done: int) -> None:
        self._told = self._clock()
        self._tally = RateEstimate(total, done, self._told)

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        if self._tally:
            self._tally.add(trials, lane_steps, compiles)
        if self._clock() - self._told >= self._every:
            self._tell()

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        self._tell()
        self._tally = None

    def _tell(self) -> None:
        if self._tally:
            self._told = self._clock()
            self.say(self._tally.text(self._told))


@dataclass
class SilentProgress(Progress):
    """Tells nobody and keeps everything: for tests and for use from Python."""

    tally: RateEstimate = field(default_factory=lambda: RateEstimate(0, 0, 0.0))
    said: list[str] = field(default_factory=list)
    closed: bool = False

    def start(self, total: int, done: int) -> None:
        self.tally = RateEstimate(total, done, 0.0)

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self.tally.add(trials, lane_steps, compiles)

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        self.closed = True


class PipeProgress(Progress):
    """Lines of JSON for a parent process, which tells them on by `relay_line`."""

    def __init__(self, stream: TextIO, every: float = 0.2, clock: Clock = time.monotonic) -> None:
        self._stream, self._every, self._clock = stream, every, clock
        self._tally, self._told = RateEstimate(0, 0, 0.0), clock()

    def start(self, total: int, done: int) -> None:
        pass

    def advance(self, trials: int, lane_steps: int, compiles: int = 0) -> None:
        self._tally.add(trials, lane_steps, compiles)
        if self._clock() - self._told >= self._every:
            self._tell()

    def say(self, text: str) -> None:
        print(json.dumps({"say": text}), file=self._stream, flush=True)

    def close(self) -> None:
        self._tell()

    def _tell(self) -> None:
        told = self._tally
        self._tally, self._told = RateEstimate(0, 0, 0.0), self._clock()
        print(json.dumps([told.trials, told.lane_steps, told.compiles]), file=self._stream, flush=True)


def relay_line(line: str, progress: Progress) -> None:
    """Tell `progress` a line of `PipeProgress`; any other line is said as it is."""
    try:
        told = json.loads(line)
    except ValueError:
        told = {"say": line.rstrip()}
    if isinstance(told, list):
        progress.advance(*told)
    elif isinstance(told, dict):
        progress.say(told["say"])


def terminal_progress(stream: TextIO | None = None) -> Progress:
    """A bar where `stream` (by default standard error) is a terminal, else plain lines."""
    out = stream or sys.stderr
    return ProgressBar(out) if out.isatty() else LineProgress(out)
